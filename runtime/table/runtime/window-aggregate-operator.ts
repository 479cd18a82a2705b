import type { FunctionOrigin } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { typeFromJson } from '../../serde/types.ts'
import { KeyedSnapshots } from '../../state/keyed-snapshots.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'
import type { OperatorContext, OperatorOutput } from '../../stream/operator.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { progressLists, restoredProgress } from '../../stream/operators/window-progress.ts'
import { MIN_WATERMARK } from '../../time/watermark.ts'
import type { WindowAggregateNode, WindowSpec } from '../plan/physical.ts'
import { type SliceTable, SliceTables } from './slice-tables.ts'
import { type Slicing, slicingOf } from './slices.ts'
import { WindowSnapshots } from './window-snapshots.ts'

/**
 * GROUP BY keys and a window of event time, on slices: a row is added to the accumulators of its key in one slice; a window's result is the
 * merge of its slices when the watermark passes its end.
 *
 * - A row is late when the last window that holds it has fired: dropped and counted (`numLateRecordsDropped`). A row whose earlier windows
 *   have fired still counts for the later ones; no window fires twice, also behind a restore.
 * - Firing is a cursor: one frame of results per step, windows in order of their ends, and only then does the watermark go on.
 * - A slice lives until the last window that holds it has fired.
 *
 * With `merges` the rows are partial accumulators of a local aggregation: keys, accumulators' columns, slice end.
 */
export class WindowAggregateOperator extends BaseOperator {
  /** Keys and values are copied into the tables. */
  readonly frameUse = 'done'
  private readonly node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { window: WindowSpec }
  private readonly slicing: Slicing
  private readonly keyLayouts: readonly ColumnLayout[]
  private readonly codegen: boolean
  // Set by `setup`, which precedes every other call.
  private state!: SliceTables
  private slices!: WindowSnapshots
  /** Ends of windows that have rows and have not fired, unordered. */
  private readonly pending = new Set<number>()
  /** Windows up to here have fired, maybe before a restore, when the watermark of now is behind it. */
  private firedWatermark = MIN_WATERMARK
  private firing: { readonly end: number; readonly tables: SliceTable; next: number } | undefined
  private late: { inc(count?: number): void } = { inc: () => {} }
  private counter: { inc(count?: number): void } = { inc: () => {} }

  constructor(
    node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { window: WindowSpec },
    inputTypes: readonly string[],
    codegen: boolean,
  ) {
    super()
    this.codegen = codegen
    this.node = node
    this.slicing = slicingOf(node.window)
    this.keyLayouts = node.keys.map(key => columnLayout(inputTypes[key]!))
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.state = new SliceTables(this.keyLayouts, this.node.aggregates, originOf(context, this.codegen), context.random)
    this.slices = new WindowSnapshots('window-aggs', this.state, this.keyLayouts, this.state.rowType(), context.maxParallelism)
    this.snapshots = windowSnapshots(context, this.state.keyType(), this.slices)
  }

  override open(): void {
    this.late = this.context.metrics.counter('numLateRecordsDropped')
    this.counter = this.context.metrics.counter(this.codegen ? 'rowsGenerated' : 'rowsInterpreted')
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'a window aggregate takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const { node, slicing } = this
    const watermark = Math.max(this.currentWatermark, this.firedWatermark)
    this.counter.inc(frame.length)
    this.state.forEachSlice(
      frame,
      frame.columns[node.rowtime] as Float64Column,
      // A partial accumulator carries the end of its slice.
      node.merges ? undefined : slicing,
      (sliceEnd, rows, count) => {
        if (slicing.lastWindowEnd(sliceEnd) - 1 <= watermark) {
          this.late.inc(count)
          return
        }
        for (let end = slicing.firstWindowEnd(sliceEnd); end <= slicing.lastWindowEnd(sliceEnd); end += slicing.windowStep) {
          if (end - 1 > watermark) this.pending.add(end)
        }
        const table = this.state.table(sliceEnd)
        if (node.merges) table.merge(frame, node.keys, rows, count)
        else table.add(frame, node.keys, rows, count)
      },
    )
  }

  stateEntries(): number {
    return this.state.rowCount
  }

  protected override operatorState(): readonly OperatorListSnapshot[] {
    return progressLists(this.firedWatermark)
  }

  restore(snapshot: RestoredSnapshot): void {
    this.firedWatermark = restoredProgress(snapshot)
    if (snapshot.keyed !== undefined) this.snapshots?.restore(snapshot.keyed)
    for (const sliceEnd of this.state.ends()) {
      for (let end = this.slicing.firstWindowEnd(sliceEnd); end <= this.slicing.lastWindowEnd(sliceEnd); end += this.slicing.windowStep)
        if (end - 1 > this.firedWatermark) this.pending.add(end)
    }
  }

  protected override advanceEventTime(watermark: number): boolean {
    for (;;) {
      if (this.firing === undefined) {
        const end = this.nextDue(watermark)
        if (end === undefined) {
          this.firedWatermark = Math.max(this.firedWatermark, watermark)
          return true
        }
        this.firing = { end, tables: this.windowTable(end), next: 0 }
      }
      const { firing } = this
      while (firing.next < firing.tables.count) {
        if (this.context.shouldYield()) return false
        const to = Math.min(firing.next + ROWS_PER_RESULT_FRAME, firing.tables.count)
        this.output.collectFrame(this.results(firing.tables, firing.end, firing.next, to))
        firing.next = to
      }
      this.pending.delete(firing.end)
      this.firing = undefined
      this.state.recycle(firing.tables)
      this.dropSlices(firing.end)
    }
  }

  private nextDue(watermark: number): number | undefined {
    let next: number | undefined
    for (const end of this.pending) if (end - 1 <= watermark && (next === undefined || end < next)) next = end
    return next
  }

  /** Slices in Flink's order, which sums of doubles show: of a hopping window from the last to the first, of a cumulating one the other way. */
  private windowTable(end: number): SliceTable {
    const { slicing } = this
    const { first, last } = slicing.slicesOf(end)
    return this.node.window.kind === 'CUMULATE'
      ? this.state.merged(first, last, slicing.sliceSize)
      : this.state.merged(last, first, -slicing.sliceSize)
  }

  private results(table: SliceTable, windowEnd: number, from: number, to: number): ColumnarFrame {
    const length = to - from
    const constant = (value: number): Column => ({ kind: 'f64', values: new Float64Array(length).fill(value), validity: undefined })
    const columns = [...table.keys(from, to), ...table.results(from, to)]
    for (const column of this.node.windowColumns) {
      columns.push(constant(column === 'window_start' ? this.slicing.windowStart(windowEnd) : column === 'window_end' ? windowEnd : windowEnd - 1))
    }
    return { kind: 'columnar', length, columns, timestamps: new Float64Array(length).fill(windowEnd - 1), rowKinds: undefined }
  }

  private dropSlices(firedEnd: number): void {
    for (const sliceEnd of this.state.ends()) {
      if (this.slicing.lastWindowEnd(sliceEnd) > firedEnd) continue
      this.state.drop(sliceEnd)
      this.slices.drop(sliceEnd)
    }
  }
}

const ROWS_PER_RESULT_FRAME = 2048

/** Of the windows of an operator, which are all of its keyed state. */
export function windowSnapshots(context: OperatorContext, keyType: TypeJson, windows: WindowSnapshots): KeyedSnapshots {
  const snapshots = new KeyedSnapshots({
    owner: context.operatorName,
    keyType: typeFromJson(keyType),
    maxParallelism: context.maxParallelism,
    limits: context.options.snapshotLimits,
  })
  snapshots.register(windows)
  return snapshots
}

/** undefined: without generated code. */
export function originOf(context: OperatorContext, codegen: boolean): FunctionOrigin | undefined {
  return codegen ? { job: context.jobName, vertex: context.operatorName } : undefined
}
