import { FlinkError } from '../../common/errors.ts'
import type { ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { MAX_WATERMARK } from '../../time/watermark.ts'
import { nullRowtime } from './slice-tables.ts'

/**
 * WATERMARK FOR of a table, as Flink's SQL emits it: the expression is evaluated for every row, its greatest value is the watermark, and it
 * leaves right behind a row when it has advanced by more than `pipeline.auto-watermark-interval` of event time, besides the timer. The first
 * value counts from 0. Upstream watermarks end here, but for the last. In batch mode only the last one leaves.
 *
 * A frame is cut only where it matters: where a later row of it would be late for a watermark that leaves inside it. Otherwise one watermark
 * behind the frame says the same, because no window that it closes gets another row.
 */
export class SqlWatermarkOperator extends BaseOperator {
  private readonly rowtime: number
  private readonly evaluate: (frame: ColumnarFrame) => Float64Column
  private current = 0
  private last = 0
  private nextTickMs = Number.POSITIVE_INFINITY
  private earliestFrom = new Float64Array(0)

  constructor(rowtime: number, evaluate: (frame: ColumnarFrame) => Float64Column) {
    super()
    this.rowtime = rowtime
    this.evaluate = evaluate
  }

  override open(): void {
    const intervalMs = this.context.options.autoWatermarkIntervalMs
    if (intervalMs > 0 && !this.context.batch) this.nextTickMs = this.context.clock.nowMs() + intervalMs
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'the watermark of a table takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const times = frame.columns[this.rowtime] as Float64Column
    if (times.validity !== undefined) for (let row = 0; row < frame.length; row++) if (!isValid(times.validity, row)) throw nullRowtime()
    if (this.context.batch) {
      this.output.collectFrame(withTimes(frame, times.values))
      return
    }
    const { values, validity } = this.evaluate(frame)
    const { length } = frame
    const interval = this.context.options.autoWatermarkIntervalMs
    let earliestFrom: Float64Array | undefined
    let { current } = this
    let from = 0
    for (let row = 0; row < length; row++) {
      if (isValid(validity, row) && values[row]! > current) current = values[row]!
      if (current - this.last <= interval) continue
      earliestFrom ??= this.earliestOf(times.values, row + 1, length)
      if (row + 1 < length && earliestFrom[row + 1]! > current) continue
      this.current = current
      this.output.collectFrame(withTimes(sliceFrame(frame, from, row + 1), times.values.subarray(from, row + 1)))
      this.emit()
      from = row + 1
    }
    this.current = current
    if (from < length) this.output.collectFrame(withTimes(sliceFrame(frame, from, length), times.values.subarray(from, length)))
    if (current - this.last > interval) this.emit()
  }

  /** Only the end of the input passes: watermarks are made here. */
  override processWatermark(timestamp: number, input: number): boolean {
    return timestamp === MAX_WATERMARK ? super.processWatermark(timestamp, input) : true
  }

  protected override nextProcessingTimeMs(): number {
    return this.nextTickMs
  }

  protected override advanceProcessingTime(nowMs: number): boolean {
    if (nowMs < this.nextTickMs) return true
    this.nextTickMs = nowMs + this.context.options.autoWatermarkIntervalMs
    if (this.current > this.last) this.emit()
    return true
  }

  /** At `row`: the earliest time of the rows from there on, so that one look says whether a watermark would make one of them late. */
  private earliestOf(times: Float64Array, from: number, length: number): Float64Array {
    if (this.earliestFrom.length < length) this.earliestFrom = new Float64Array(length)
    const { earliestFrom } = this
    let earliest = Number.POSITIVE_INFINITY
    for (let row = length - 1; row >= from; row--) {
      if (times[row]! < earliest) earliest = times[row]!
      earliestFrom[row] = earliest
    }
    return earliestFrom
  }

  private emit(): void {
    this.last = this.current
    this.output.emitWatermark(this.current)
  }
}

function withTimes(frame: ColumnarFrame, timestamps: Float64Array): ColumnarFrame {
  return { ...frame, timestamps }
}

function sliceBits(validity: Uint8Array | undefined, from: number, to: number): Uint8Array | undefined {
  if (validity === undefined) return undefined
  const bits = new Uint8Array((to - from + 7) >> 3)
  for (let row = from; row < to; row++) if (isValid(validity, row)) bits[(row - from) >> 3]! |= 1 << ((row - from) & 7)
  return bits
}

/** Rows `from..to` as a frame that shares the arrays. */
export function sliceFrame(frame: ColumnarFrame, from: number, to: number): ColumnarFrame {
  if (from === 0 && to === frame.length) return frame
  return {
    kind: 'columnar',
    length: to - from,
    columns: frame.columns.map(column => {
      const validity = sliceBits(column.validity, from, to)
      switch (column.kind) {
        case 'bytes':
          return {
            ...column,
            starts: column.starts.subarray(from, to),
            lengths: column.lengths.subarray(from, to),
            ids: column.ids?.subarray(from, to),
            validity,
          }
        case 'bool':
          return { ...column, values: column.values.subarray(from, to), validity }
        case 'i32':
          return { ...column, values: column.values.subarray(from, to), validity }
        case 'i64':
          return { ...column, values: column.values.subarray(from, to), validity }
        case 'f64':
          return { ...column, values: column.values.subarray(from, to), validity }
      }
    }),
    timestamps: frame.timestamps?.subarray(from, to),
    rowKinds: frame.rowKinds?.subarray(from, to),
  }
}
