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
 * A frame is cut only where it matters: where a later row of it would be late for a watermark that leaves inside it. Otherwise the last of them
 * behind the frame says the same, because no window that it closes gets another row.
 */
export class SqlWatermarkOperator extends BaseOperator {
  readonly frameUse = 'passed'
  private readonly rowtime: number
  private readonly evaluate: (frame: ColumnarFrame) => Float64Column
  private current = 0
  private last = 0
  private nextTickMs = Number.POSITIVE_INFINITY

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
      this.output.collectFrame(withTimes(frame, times))
      return
    }
    const watermarks = this.evaluate(frame)
    const greatest = greatestOf(watermarks, frame.length, this.current)
    if (greatest >= leastOf(times.values, frame.length)) {
      this.cut(frame, times, watermarks)
      return
    }
    this.output.collectFrame(withTimes(frame, times))
    if (greatest - this.last <= this.context.options.autoWatermarkIntervalMs) {
      this.current = greatest
      return
    }
    // The last one that is due, which need not be the greatest: what has advanced by less since then waits.
    for (let row = 0; row < frame.length; row++) this.advance(watermarks, row)
    this.output.emitWatermark(this.last)
  }

  /** A row of the frame may be late for a watermark of the same frame: row by row. */
  private cut(frame: ColumnarFrame, times: Float64Column, watermarks: Float64Column): void {
    const { length } = frame
    const least = leastBehind(times.values, length)
    let from = 0
    let due = false
    for (let row = 0; row < length; row++) {
      if (!this.advance(watermarks, row)) continue
      due = true
      const next = row + 1
      if (next === length || least[next]! > this.last) continue
      this.output.collectFrame(withTimes(sliceFrame(frame, from, next), sliceColumn(times, from, next)))
      this.output.emitWatermark(this.last)
      due = false
      from = next
    }
    if (from < length) this.output.collectFrame(withTimes(sliceFrame(frame, from, length), sliceColumn(times, from, length)))
    if (due) this.output.emitWatermark(this.last)
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
    if (this.current > this.last) {
      this.last = this.current
      this.output.emitWatermark(this.last)
    }
    return true
  }

  /** True when a watermark is due behind `row`: `last`, from now on. */
  private advance(watermarks: Float64Column, row: number): boolean {
    if (isValid(watermarks.validity, row)) this.current = Math.max(this.current, watermarks.values[row]!)
    if (this.current - this.last <= this.context.options.autoWatermarkIntervalMs) return false
    this.last = this.current
    return true
  }
}

function greatestOf(watermarks: Float64Column, length: number, atLeast: number): number {
  const { values, validity } = watermarks
  let greatest = atLeast
  if (validity === undefined) {
    for (let row = 0; row < length; row++) if (values[row]! > greatest) greatest = values[row]!
  } else {
    for (let row = 0; row < length; row++) if (isValid(validity, row) && values[row]! > greatest) greatest = values[row]!
  }
  return greatest
}

function leastOf(times: Float64Array, length: number): number {
  let least = Number.POSITIVE_INFINITY
  for (let row = 0; row < length; row++) if (times[row]! < least) least = times[row]!
  return least
}

/** Of each row, the least time of it and the rows behind it. */
function leastBehind(times: Float64Array, length: number): Float64Array {
  const least = new Float64Array(length)
  let soFar = Number.POSITIVE_INFINITY
  for (let row = length - 1; row >= 0; row--) {
    if (times[row]! < soFar) soFar = times[row]!
    least[row] = soFar
  }
  return least
}

function withTimes(frame: ColumnarFrame, times: Float64Column): ColumnarFrame {
  return { ...frame, timestamps: times.values }
}

function sliceColumn(column: Float64Column, from: number, to: number): Float64Column {
  return { kind: 'f64', values: column.values.subarray(from, to), validity: sliceBits(column.validity, from, to) }
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
