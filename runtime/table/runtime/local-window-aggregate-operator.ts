import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { emptySnapshot, type OperatorSnapshot } from '../../state/snapshot.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import type { LocalWindowAggregateNode, WindowSpec } from '../plan/physical.ts'
import { type Slicing, sliceEndOf, slicingOf } from './slices.ts'
import { nullRowtime, type SliceTable, SliceTables } from './window-aggregate-operator.ts'

/**
 * Aggregates before the exchange: what leaves is one row per key and slice instead of one per input row. Partial accumulators leave when the
 * tables hold too much, before a watermark, a barrier and the end of the input; so nothing is kept over a barrier, and no row is late here.
 *
 * Output: keys, the accumulators' columns, the slice's end.
 */
export class LocalWindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'>
  private readonly slicing: Slicing
  private readonly state: SliceTables
  private flushing: { readonly sliceEnd: number; readonly table: SliceTable; next: number } | undefined

  constructor(node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'> & { window: WindowSpec }, inputTypes: readonly string[]) {
    super()
    this.node = node
    this.slicing = slicingOf(node.window)
    this.state = new SliceTables(
      node.keys.map(key => columnLayout(inputTypes[key]!)),
      node.aggregates,
    )
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'a local window aggregate takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const times = frame.columns[this.node.rowtime] as Float64Column
    this.state.forEachSlice(
      frame,
      row => {
        if (!isValid(times.validity, row)) throw nullRowtime()
        return sliceEndOf(this.slicing, times.values[row]!)
      },
      (sliceEnd, rows, count) => this.state.table(sliceEnd).add(frame, this.node.keys, rows, count),
    )
    // Bounded memory without waiting for a watermark. Not a cursor: what one frame can add is bounded, and the output's spill takes it.
    if (this.state.rowCount > ROWS_MAX) while (!this.flush(() => false));
  }

  prepareSnapshotPreBarrier(): boolean {
    return this.flush(() => this.context.shouldYield())
  }

  override endInput(): boolean {
    return this.flush(() => this.context.shouldYield())
  }

  override snapshot(): OperatorSnapshot {
    return emptySnapshot
  }

  protected override advanceEventTime(): boolean {
    return this.flush(() => this.context.shouldYield())
  }

  private flush(shouldYield: () => boolean): boolean {
    for (;;) {
      if (this.flushing === undefined) {
        const [sliceEnd] = this.state.ends()
        if (sliceEnd === undefined) return true
        this.flushing = { sliceEnd, table: this.state.table(sliceEnd), next: 0 }
        // Rows that come while this cursor is suspended start a new table.
        this.state.drop(sliceEnd)
      }
      const { flushing } = this
      while (flushing.next < flushing.table.count) {
        if (shouldYield()) return false
        const to = Math.min(flushing.next + ROWS_PER_FRAME, flushing.table.count)
        this.output.collectFrame(partials(flushing.table, flushing.sliceEnd, flushing.next, to))
        flushing.next = to
      }
      this.flushing = undefined
    }
  }
}

const ROWS_PER_FRAME = 2048
/** Entries over all slices; beyond, the table outgrows the caches and stops paying. */
const ROWS_MAX = 32_768

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
