/**
 * Rows of a frame by channel: a counting sort of row indices (stable, so rows of a channel stay in order), after which each column is gathered
 * channel by channel in a loop of its own.
 */
import type { LocalFrame } from './columns.ts'
import { ColumnarFrameBuilder } from './columns-frame-builder.ts'

export class RowsByTarget {
  /** Row indices, those of target 0 first. */
  order: Int32Array
  /** Rows of target t are `order[ends[t - 1] .. ends[t])`. */
  readonly ends: Int32Array
  private readonly targetCount: number

  constructor(targetCount: number, rowsMax: number) {
    this.targetCount = targetCount
    this.order = new Int32Array(rowsMax)
    this.ends = new Int32Array(targetCount)
  }

  /** `targets[0..length)` are from 0 to the target count. */
  sort(targets: Int32Array, length: number): void {
    if (length > this.order.length) this.order = new Int32Array(length)
    sortRows(targets, length, this.targetCount, this.order, this.ends)
  }
}

/** Two passes: count, place. Placing moves each start to its end. */
function sortRows(targets: Int32Array, length: number, targetCount: number, order: Int32Array, ends: Int32Array): void {
  ends.fill(0)
  for (let row = 0; row < length; row++) {
    const target = targets[row]!
    ends[target] = ends[target]! + 1
  }
  let start = 0
  for (let target = 0; target < targetCount; target++) {
    const count = ends[target]!
    ends[target] = start
    start += count
  }
  for (let row = 0; row < length; row++) {
    const target = targets[row]!
    const at = ends[target]!
    order[at] = row
    ends[target] = at + 1
  }
}

/** One new frame per target that gets rows. The record writer instead collects them in builders of its own. */
export function scatterFrame(frame: LocalFrame, targets: Int32Array, targetCount: number): (LocalFrame | undefined)[] {
  const rows = new RowsByTarget(targetCount, frame.length)
  rows.sort(targets, frame.length)
  const kinds = frame.columns.map(column => column.kind)
  return Array.from(rows.ends, (end, target) => {
    const from = target === 0 ? 0 : rows.ends[target - 1]!
    if (from === end) return undefined
    const builder = new ColumnarFrameBuilder(kinds)
    builder.gather(frame, rows.order, from, end)
    return builder.finish()
  })
}
