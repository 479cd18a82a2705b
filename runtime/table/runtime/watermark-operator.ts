import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { MAX_WATERMARK } from '../../time/watermark.ts'
import { nullRowtime } from './window-aggregate-operator.ts'

/**
 * WATERMARK FOR of a table, as Flink's SQL emits it: the expression is evaluated for every row, its greatest value is the watermark, and it
 * leaves right behind a row when it has advanced by more than `pipeline.auto-watermark-interval` of event time, besides the timer. The first
 * value counts from 0. Upstream watermarks end here, but for the last. In batch mode only the last one leaves.
 *
 * What the columnar form (below) and the row form (rows/row-watermark-operator.ts) share. A watermark reaches chained operators as a visit,
 * between frames: rows that went on at once would overtake it, and not be late. So what comes behind a watermark waits. The task works off
 * visits, then asks for timers, then reads: what waits goes on where timers fire.
 */
export abstract class TableWatermarkBase<P> extends BaseOperator {
  protected current = 0
  protected last = 0
  private nextTickMs = Number.POSITIVE_INFINITY
  private readonly waiting: P[] = []

  override open(): void {
    const intervalMs = this.context.options.autoWatermarkIntervalMs
    if (intervalMs > 0 && !this.context.batch) this.nextTickMs = this.context.clock.nowMs() + intervalMs
  }

  /** Only the end of the input passes, behind all rows. It cannot wait for visits: the cuts of what it finds waiting are lost. */
  override processWatermark(timestamp: number, input: number): boolean {
    if (timestamp !== MAX_WATERMARK) return true
    while (this.waiting.length > 0) this.passFirst()
    return super.processWatermark(timestamp, input)
  }

  /** Passes `part` on as far as the first watermark that must come between, if nothing waits before it. */
  protected take(part: P): void {
    this.waiting.push(part)
    if (this.waiting.length === 1 && !this.context.shouldYield()) this.passFirst()
    if (this.waiting.length === 0) return
    this.waiting[this.waiting.length - 1] = this.kept(part)
    this.context.wake()
  }

  /** The part, as it may be held when the call that brought it has returned. */
  protected abstract kept(part: P): P

  /** Emits rows, then the watermark that is due; true when all rows of the part are out. */
  protected abstract pass(part: P): boolean

  protected override nextProcessingTimeMs(): number {
    return this.nextTickMs
  }

  protected override advanceProcessingTime(nowMs: number): boolean {
    while (this.waiting.length > 0) {
      if (this.context.shouldYield()) return false
      this.passFirst()
    }
    if (nowMs < this.nextTickMs) return true
    this.nextTickMs = nowMs + this.context.options.autoWatermarkIntervalMs
    if (this.current > this.last) this.emit()
    return true
  }

  /** The watermark is due behind the present row. */
  protected get isDue(): boolean {
    return this.current - this.last > this.context.options.autoWatermarkIntervalMs
  }

  protected emit(): void {
    this.last = this.current
    this.output.emitWatermark(this.current)
  }

  private passFirst(): void {
    if (this.pass(this.waiting[0]!)) this.waiting.shift()
  }
}

/** A frame, or what is left of it from row `from` on. */
interface Part {
  readonly frame: ColumnarFrame
  readonly times: Float64Column
  readonly watermarks: Float64Column
  from: number
}

/**
 * The columnar form. A frame is cut only where it matters: where a later row of it would be late for a watermark that leaves inside it.
 * Otherwise one watermark behind the frame says the same, because no window that it closes gets another row.
 */
export class SqlWatermarkOperator extends TableWatermarkBase<Part> {
  private readonly rowtime: number
  private readonly evaluate: (frame: ColumnarFrame) => Float64Column

  constructor(rowtime: number, evaluate: (frame: ColumnarFrame) => Float64Column) {
    super()
    this.rowtime = rowtime
    this.evaluate = evaluate
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'the watermark of a table takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const times = frame.columns[this.rowtime] as Float64Column
    if (times.validity !== undefined) for (let row = 0; row < frame.length; row++) if (!isValid(times.validity, row)) throw nullRowtime()
    if (this.context.batch) this.output.collectFrame(withTimes(frame, times))
    else this.take({ frame, times, watermarks: this.evaluate(frame), from: 0 })
  }

  /** A copy of what is left: whoever made the frame may write into its arrays again. */
  protected kept({ frame, times, watermarks, from }: Part): Part {
    const rest = copyOf(sliceFrame(frame, from, frame.length))
    return {
      frame: rest,
      times: { ...times, values: times.values.slice(from, frame.length), validity: undefined },
      watermarks: copyOfColumn(sliceColumn(watermarks, from, frame.length)) as Float64Column,
      from: 0,
    }
  }

  /** Up to the next cut. */
  protected pass(part: Part): boolean {
    const { frame, times, watermarks, from } = part
    let earliest: Float64Array | undefined
    let due: number | undefined
    let row = from
    while (row < frame.length) {
      if (isValid(watermarks.validity, row)) this.current = Math.max(this.current, watermarks.values[row]!)
      row++
      if (this.isDue) {
        due = this.current
        this.last = due
      }
      if (due === undefined || row === frame.length) continue
      earliest ??= earliestFrom(times.values, from, frame.length)
      if (earliest[row - from]! <= due) break
    }
    part.from = row
    this.output.collectFrame(withTimes(sliceFrame(frame, from, row), sliceColumn(times, from, row)))
    if (due !== undefined) this.output.emitWatermark(due)
    return row === frame.length
  }
}

/** Of each row from `from` on: the earliest time of it and the rows behind it. */
function earliestFrom(times: Float64Array, from: number, to: number): Float64Array {
  const earliest = new Float64Array(to - from)
  let least = Number.POSITIVE_INFINITY
  for (let row = to - 1; row >= from; row--) {
    if (times[row]! < least) least = times[row]!
    earliest[row - from] = least
  }
  return earliest
}

function copyOf(frame: ColumnarFrame): ColumnarFrame {
  return { ...frame, columns: frame.columns.map(copyOfColumn), timestamps: frame.timestamps?.slice(), rowKinds: frame.rowKinds?.slice() }
}

function copyOfColumn(column: Column): Column {
  const validity = column.validity?.slice()
  switch (column.kind) {
    case 'bytes':
      return {
        ...column,
        data: column.data.slice(),
        starts: column.starts.slice(),
        lengths: column.lengths.slice(),
        ids: column.ids?.slice(),
        validity,
      }
    case 'bool':
      return { ...column, values: column.values.slice(), validity }
    case 'i32':
      return { ...column, values: column.values.slice(), validity }
    case 'i64':
      return { ...column, values: column.values.slice(), validity }
    case 'f64':
      return { ...column, values: column.values.slice(), validity }
  }
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
