import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import type { OperatorContext, OperatorOutput } from '../../stream/operator.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import type { LocalWindowAggregateNode, WindowSpec } from '../plan/physical.ts'
import { type SliceTable, SliceTables } from './slice-tables.ts'
import { type Slicing, slicingOf } from './slices.ts'
import { originOf } from './window-aggregate-operator.ts'

/**
 * Aggregates before the exchange: what leaves is one row per key and slice instead of one per input row. Partial accumulators leave
 *
 * - before the first watermark that passes the end of their slice, not before each: no window that holds a slice fires before that, so none of
 *   its rows gets late by waiting (Flink's local aggregate waits for the same watermark);
 * - before a barrier and the end of the input, so nothing is kept over a barrier; and when the tables hold too much.
 *
 * Output: keys, the accumulators' columns, the slice's end.
 */
export class LocalWindowAggregateOperator extends BaseOperator {
  /** Keys and values are copied into the tables. */
  readonly frameUse = 'done'
  private readonly node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'>
  private readonly slicing: Slicing
  private readonly keyLayouts: readonly ColumnLayout[]
  private readonly codegen: boolean
  // Set by `setup`, which precedes every other call.
  private state!: SliceTables
  private counter: { inc(count?: number): void } = { inc: () => {} }
  private flushing: { readonly sliceEnd: number; readonly table: SliceTable; next: number } | undefined

  constructor(
    node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'> & { window: WindowSpec },
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
  }

  override open(): void {
    this.counter = this.context.metrics.counter(this.codegen ? 'rowsGenerated' : 'rowsInterpreted')
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'a local window aggregate takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    this.counter.inc(frame.length)
    this.state.forEachSlice(frame, frame.columns[this.node.rowtime] as Float64Column, this.slicing, (sliceEnd, rows, count) =>
      this.state.table(sliceEnd).add(frame, this.node.keys, rows, count),
    )
    // Bounded memory without waiting for a watermark. No cursor suspends a frame, so a little leaves with each: more than it can have added, and
    // little enough for the output's spill.
    if (this.flushing !== undefined || this.state.rowCount > ROWS_MAX) {
      let frames = 0
      this.flush(Number.POSITIVE_INFINITY, () => frames++ === FRAMES_PER_OVERFLOW)
    }
  }

  prepareSnapshotPreBarrier(): boolean {
    return this.flush(Number.POSITIVE_INFINITY, () => this.context.shouldYield())
  }

  override endInput(): boolean {
    return this.flush(Number.POSITIVE_INFINITY, () => this.context.shouldYield())
  }

  protected override advanceEventTime(watermark: number): boolean {
    return this.flush(watermark, () => this.context.shouldYield())
  }

  /** Slices that end before or with `watermark`. */
  private flush(watermark: number, shouldYield: () => boolean): boolean {
    for (;;) {
      if (this.flushing === undefined) {
        const sliceEnd = this.state.ends().find(end => end - 1 <= watermark)
        if (sliceEnd === undefined) return true
        // Taken: rows that come while this cursor is suspended start a new table.
        const table = this.state.take(sliceEnd)
        assert(table !== undefined, 'a slice that has an end has a table')
        this.flushing = { sliceEnd, table, next: 0 }
      }
      const { flushing } = this
      while (flushing.next < flushing.table.count) {
        if (shouldYield()) return false
        const to = Math.min(flushing.next + ROWS_PER_FRAME, flushing.table.count)
        this.output.collectFrame(partials(flushing.table, flushing.sliceEnd, flushing.next, to))
        flushing.next = to
      }
      this.flushing = undefined
      this.state.recycle(flushing.table)
    }
  }
}

const ROWS_PER_FRAME = 2048
const FRAMES_PER_OVERFLOW = 2
/** Entries over all slices; beyond, the table outgrows the caches and stops paying. */
const ROWS_MAX = 131_072

function partials(table: SliceTable, sliceEnd: number, from: number, to: number): ColumnarFrame {
  const length = to - from
  const end: Column = { kind: 'f64', values: new Float64Array(length).fill(sliceEnd), validity: undefined }
  return {
    kind: 'columnar',
    length,
    columns: [...table.keys(from, to), ...table.accumulatorColumns(from, to), end],
    timestamps: undefined,
    rowKinds: undefined,
  }
}
