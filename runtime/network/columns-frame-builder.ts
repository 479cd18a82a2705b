import { assert } from '../common/assert.ts'
import type { LocalColumnKind, LocalFrame } from './columns.ts'
import { type ColumnBuilder, columnBuilder } from './columns-builder.ts'
import { gatherBytes, gatherFloat64 } from './columns-gather.ts'

const CAPACITY_MIN = 16

/** A frame of rows of other frames of the same columns. */
export class ColumnarFrameBuilder {
  count = 0
  /** Row kind of the row appended last. */
  lastRowKind = 0
  readonly columns: readonly ColumnBuilder[]
  private timestamps: Float64Array<ArrayBuffer> | undefined = undefined
  private rowKinds: Uint8Array<ArrayBuffer> | undefined = undefined
  private sizeHint = CAPACITY_MIN

  constructor(kinds: readonly LocalColumnKind[]) {
    this.columns = kinds.map(columnBuilder)
  }

  gather(frame: LocalFrame, order: Int32Array, from: number, to: number): void {
    const { columns } = this
    assert(columns.length === frame.columns.length, 'frames of one output have the same columns')
    for (let i = 0; i < columns.length; i++) columns[i]!.gather(frame.columns[i]!, order, from, to)
    this.gatherTimes(frame.timestamps, order, from, to)
    this.gatherKinds(frame.rowKinds, order, from, to)
    this.count += to - from
  }

  appendRange(frame: LocalFrame, from: number, to: number): void {
    const { columns, count } = this
    assert(columns.length === frame.columns.length, 'frames of one output have the same columns')
    for (let i = 0; i < columns.length; i++) columns[i]!.appendRange(frame.columns[i]!, from, to)
    const size = to - from
    if (frame.timestamps !== undefined) this.timesRoom(size).set(frame.timestamps.subarray(from, to), count)
    else if (this.timestamps !== undefined) this.timesRoom(size).fill(Number.NaN, count, count + size)
    if (frame.rowKinds !== undefined) this.kindsRoom(size).set(frame.rowKinds.subarray(from, to), count)
    else if (this.rowKinds !== undefined) this.kindsRoom(size).fill(0, count, count + size)
    if (size > 0) this.lastRowKind = frame.rowKinds === undefined ? 0 : frame.rowKinds[to - 1]!
    this.count += size
  }

  finish(): LocalFrame {
    const { count } = this
    const frame: LocalFrame = {
      kind: 'columnar',
      length: count,
      columns: this.columns.map(column => column.finish()),
      timestamps: this.timestamps?.subarray(0, count),
      rowKinds: this.rowKinds?.subarray(0, count),
    }
    this.sizeHint = Math.max(CAPACITY_MIN, count)
    this.timestamps = undefined
    this.rowKinds = undefined
    this.count = 0
    this.lastRowKind = 0
    return frame
  }

  /** A frame that this builder made and nobody reads any more. */
  recycle(frame: LocalFrame): void {
    for (let i = 0; i < this.columns.length; i++) this.columns[i]!.recycle(frame.columns[i]!)
  }

  private gatherTimes(source: Float64Array | undefined, order: Int32Array, from: number, to: number): void {
    const { count } = this
    if (source !== undefined) gatherFloat64(this.timesRoom(to - from), count, source, order, from, to)
    else if (this.timestamps !== undefined) this.timesRoom(to - from).fill(Number.NaN, count, count + to - from)
  }

  private gatherKinds(source: Uint8Array | undefined, order: Int32Array, from: number, to: number): void {
    const { count } = this
    if (source !== undefined) gatherBytes(this.kindsRoom(to - from), count, source, order, from, to)
    else if (this.rowKinds !== undefined) this.kindsRoom(to - from).fill(0, count, count + to - from)
    if (to > from) this.lastRowKind = source === undefined ? 0 : source[order[to - 1]!]!
  }

  private timesRoom(more: number): Float64Array<ArrayBuffer> {
    const needed = this.count + more
    const old = this.timestamps
    if (old !== undefined && old.length >= needed) return old
    const times = new Float64Array(Math.max(needed, this.sizeHint, old === undefined ? 0 : old.length * 2))
    if (old === undefined) times.fill(Number.NaN, 0, this.count)
    else times.set(old)
    this.timestamps = times
    return times
  }

  private kindsRoom(more: number): Uint8Array<ArrayBuffer> {
    const needed = this.count + more
    const old = this.rowKinds
    if (old !== undefined && old.length >= needed) return old
    const kinds = new Uint8Array(Math.max(needed, this.sizeHint, old === undefined ? 0 : old.length * 2))
    if (old !== undefined) kinds.set(old)
    this.rowKinds = kinds
    return kinds
  }
}
