import { columnLayout } from '../../../serde/columns-type.ts'
import { ChangedRows } from '../../../state/changed-rows.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../../state/snapshot.ts'
import type { OperatorContext, OperatorOutput } from '../../../stream/operator.ts'
import { BaseOperator } from '../../../stream/operators/base-operator.ts'
import { progressLists, restoredProgress } from '../../../stream/operators/window-progress.ts'
import { MIN_WATERMARK } from '../../../time/watermark.ts'
import type { AggregateCall, LocalWindowAggregateNode, WindowAggregateNode, WindowSpec } from '../../plan/physical.ts'
import { accumulatorTypes, groupType } from '../accumulators.ts'
import { nullRowtime } from '../slice-tables.ts'
import { sliceEndOf, slicingOf } from '../slices.ts'
import { windowSnapshots } from '../window-aggregate-operator.ts'
import { rowKeyText, WindowSnapshots, type WindowTable, type WindowTables } from '../window-snapshots.ts'
import { type Partial, type RowAggregate, rowAggregate } from './row-aggregates.ts'

/** Aggregates before the exchange, a row at a time: each row is the partial result of itself. Nothing is kept. */
export class RowLocalWindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'>
  private readonly aggregates: readonly RowAggregate[]
  private readonly sliceEnd: (time: number) => number

  constructor(node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'> & { window: WindowSpec }) {
    super()
    this.node = node
    this.aggregates = node.aggregates.map(rowAggregate)
    const slicing = slicingOf(node.window)
    this.sliceEnd = time => sliceEndOf(slicing, time)
  }

  processElement(value: unknown): void {
    const row = value as readonly unknown[]
    const { keys, aggregates, rowtime } = this.node
    const time = row[rowtime]
    if (typeof time !== 'number') throw nullRowtime()
    const partials = aggregates.flatMap((call, i) => partialOf(this.aggregates[i]!, call, row))
    this.output.collect([...keys.map(key => row[key]), ...partials, this.sliceEnd(time)], Number.NaN)
  }
}

interface Group {
  readonly key: readonly unknown[]
  partials: readonly Partial[]
}

/** The groups of one window, in order of their first rows. */
class RowWindow implements WindowTable {
  readonly changes = new ChangedRows()
  readonly groups: Group[] = []
  private readonly indices = new Map<string, number>()
  private readonly merge: (a: readonly Partial[], b: readonly Partial[]) => readonly Partial[]

  constructor(merge: RowWindow['merge']) {
    this.merge = merge
  }

  get count(): number {
    return this.groups.length
  }

  /** Answers the group's number. */
  add(key: readonly unknown[], partials: readonly Partial[]): number {
    const text = rowKeyText(key, key.length)
    const index = this.indices.get(text)
    if (index === undefined) {
      this.indices.set(text, this.groups.length)
      return this.groups.push({ key, partials }) - 1
    }
    const group = this.groups[index]!
    group.partials = this.merge(group.partials, partials)
    return index
  }

  rows(from: number, to: number): Iterable<readonly unknown[]> {
    return this.groups.slice(from, to).map(({ key, partials }) => [...key, ...partials.flat()])
  }
}

class RowWindows implements WindowTables {
  tracks = false
  readonly readsWhole = false
  private readonly windows = new Map<number, RowWindow>()
  private readonly keyCount: number
  private readonly aggregates: readonly RowAggregate[]
  private readonly widths: readonly number[]

  /** `widths`: columns of each accumulator. */
  constructor(keyCount: number, aggregates: readonly RowAggregate[], widths: readonly number[]) {
    this.keyCount = keyCount
    this.aggregates = aggregates
    this.widths = widths
  }

  get rowCount(): number {
    let count = 0
    for (const window of this.windows.values()) count += window.count
    return count
  }

  ends(): readonly number[] {
    return [...this.windows.keys()]
  }

  find(end: number): RowWindow | undefined {
    return this.windows.get(end)
  }

  add(end: number, key: readonly unknown[], partials: readonly Partial[]): void {
    const window = this.window(end)
    const index = window.add(key, partials)
    if (this.tracks) window.changes.mark(index)
  }

  load(end: number, rows: readonly (readonly unknown[])[]): void {
    const window = this.window(end)
    for (const row of rows) window.add(row.slice(0, this.keyCount), this.partialsOf(row, this.keyCount))
  }

  drop(end: number): void {
    this.windows.delete(end)
  }

  /** The accumulators that stand in a row from a column on. */
  partialsOf(row: readonly unknown[], from: number): readonly Partial[] {
    let next = from
    return this.widths.map(width => {
      next += width
      return row.slice(next - width, next)
    })
  }

  private window(end: number): RowWindow {
    let window = this.windows.get(end)
    if (window === undefined) {
      window = new RowWindow((a, b) => b.map((partial, i) => this.aggregates[i]!.merge(a[i]!, partial)))
      this.windows.set(end, window)
    }
    return window
  }
}

/**
 * GROUP BY keys and a window of event time, a row at a time: a row is added to every window that holds it and has not fired; none is left:
 * it is late. Windows fire in order of their ends, groups in order of their first rows.
 *
 * With `merges` the rows are partial results: keys, accumulators, slice end. A slice lies in the windows that hold its last millisecond.
 */
export class RowWindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { readonly window: WindowSpec }
  private readonly inputTypes: readonly string[]
  private readonly aggregates: readonly RowAggregate[]
  private readonly windows: RowWindows
  // Set by `setup`, which precedes every other call.
  private parts!: WindowSnapshots
  /** Windows up to here have fired, maybe before a restore, when the watermark of now is behind it. */
  private firedWatermark = MIN_WATERMARK
  private firing: { readonly end: number; readonly groups: readonly Group[]; next: number } | undefined
  private late: { inc(count?: number): void } = { inc: () => {} }

  constructor(
    node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { window: WindowSpec },
    inputTypes: readonly string[],
  ) {
    super()
    this.node = node
    this.inputTypes = inputTypes
    this.aggregates = node.aggregates.map(rowAggregate)
    this.windows = new RowWindows(
      node.keys.length,
      this.aggregates,
      node.aggregates.map(call => accumulatorTypes(call).length),
    )
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    const keyTypes = this.node.keys.map(key => this.inputTypes[key]!)
    const rowType = groupType(keyTypes, this.node.aggregates)
    this.parts = new WindowSnapshots('window-rows', this.windows, keyTypes.map(columnLayout), rowType, context.maxParallelism)
    this.snapshots = windowSnapshots(context, groupType(keyTypes, []), this.parts)
  }

  override open(): void {
    this.late = this.context.metrics.counter('numLateRecordsDropped')
  }

  processElement(value: unknown): void {
    const row = value as readonly unknown[]
    const { keys, aggregates, rowtime, merges, window } = this.node
    const time = row[rowtime]
    if (typeof time !== 'number') throw nullRowtime()
    const ends = windowEnds(window, merges ? time - 1 : time)
    const watermark = Math.max(this.currentWatermark, this.firedWatermark)
    const open = ends.filter(end => end - 1 > watermark)
    if (open.length === 0 && ends.length > 0) this.late.inc()
    const partials = merges ? this.windows.partialsOf(row, keys.length) : aggregates.map((call, i) => partialOf(this.aggregates[i]!, call, row))
    const key = keys.map(index => row[index])
    for (const end of open) this.windows.add(end, key, partials)
  }

  stateEntries(): number {
    return this.windows.rowCount
  }

  protected override operatorState(): readonly OperatorListSnapshot[] {
    return progressLists(this.firedWatermark)
  }

  restore(snapshot: RestoredSnapshot): void {
    this.firedWatermark = restoredProgress(snapshot)
    if (snapshot.keyed !== undefined) this.snapshots?.restore(snapshot.keyed)
  }

  protected override advanceEventTime(watermark: number): boolean {
    for (;;) {
      if (this.firing === undefined) {
        const [end] = this.windows
          .ends()
          .filter(each => each - 1 <= watermark)
          .sort((a, b) => a - b)
        if (end === undefined) {
          this.firedWatermark = Math.max(this.firedWatermark, watermark)
          return true
        }
        this.firing = { end, groups: [...(this.windows.find(end)?.groups ?? [])], next: 0 }
      }
      const { end, groups } = this.firing
      for (; this.firing.next < groups.length; this.firing.next++) {
        if (this.context.shouldYield()) return false
        this.output.collect(this.resultOf(groups[this.firing.next]!, end), end - 1)
      }
      this.windows.drop(end)
      this.parts.drop(end)
      this.firing = undefined
    }
  }

  private resultOf({ key, partials }: Group, end: number): unknown[] {
    const { window, windowColumns } = this.node
    const start = window.kind === 'CUMULATE' ? floorTo(end - 1, window.size, window.offset) : end - window.size
    const times = { window_start: start, window_end: end, window_time: end - 1 }
    return [...key, ...partials.map((partial, i) => this.aggregates[i]!.result(partial)), ...windowColumns.map(column => times[column])]
  }
}

function partialOf(aggregate: RowAggregate, call: AggregateCall, row: readonly unknown[]): Partial {
  if (call.filter >= 0 && row[call.filter] !== true) return aggregate.empty
  if (call.argument < 0) return aggregate.of(1)
  const value = row[call.argument]
  return value === null ? aggregate.empty : aggregate.of(value)
}

/** Ends of all windows that hold `time`. */
function windowEnds(window: WindowSpec, time: number): number[] {
  const ends: number[] = []
  if (window.kind === 'CUMULATE') {
    const start = floorTo(time, window.size, window.offset)
    for (let end = start + window.step; end <= start + window.size; end += window.step) if (time < end) ends.push(end)
    return ends
  }
  const slide = window.kind === 'HOP' ? window.slide : window.size
  for (let start = floorTo(time, slide, window.offset); start > time - window.size; start -= slide) ends.push(start + window.size)
  return ends
}

function floorTo(time: number, step: number, offset: number): number {
  return Math.floor((time - offset) / step) * step + offset
}
