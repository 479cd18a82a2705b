import { FlinkError } from '../../common/errors.ts'
import type { OperatorOutput } from '../operator.ts'

/**
 * What an own source has collected and the task has not taken yet: rows, watermarks and idleness in order. Above `highMark` the
 * producer is asked to wait; it is let go at half of that. At `sizeMax` collecting is an error: the source does not wait.
 */
export class SourceBuffer {
  readonly highMark: number
  readonly sizeMax: number
  /** Rows taken out so far. */
  rowCount = 0
  private values: unknown[] = []
  private timestamps: number[] = []
  private head = 0

  constructor(highMark: number, sizeMax: number) {
    this.highMark = highMark
    this.sizeMax = sizeMax
  }

  get size(): number {
    return this.values.length - this.head
  }

  row(value: unknown, timestamp: number): void {
    if (this.size >= this.sizeMax)
      throw new FlinkError(
        'USER_FUNCTION',
        `a source function collected ${this.sizeMax} rows without waiting: await the promise that collect returns`,
      )
    this.values.push(value)
    this.timestamps.push(timestamp)
  }

  watermark(timestamp: number): void {
    // A later watermark replaces one that nothing follows, so that watermarks alone cannot fill the buffer.
    const last = this.values.length - 1
    if (this.size > 0 && this.values[last] === WATERMARK) this.timestamps[last] = Math.max(timestamp, this.timestamps[last]!)
    else this.push(WATERMARK, timestamp)
  }

  idle(): void {
    if (this.size > 0 && this.values[this.values.length - 1] === IDLE) return
    this.push(IDLE, Number.NaN)
  }

  /** Emits what is there until `shouldYield`. */
  drain(output: OperatorOutput, state: { idle: boolean; passWatermarks: boolean }, shouldYield: () => boolean): void {
    while (this.head < this.values.length && !shouldYield()) {
      const value = this.values[this.head]
      const timestamp = this.timestamps[this.head]!
      this.values[this.head] = undefined
      this.head++
      if (value === IDLE) {
        state.idle = true
        output.emitStatus(true)
        continue
      }
      if (state.idle) {
        state.idle = false
        output.emitStatus(false)
      }
      if (value === WATERMARK) {
        if (state.passWatermarks) output.emitWatermark(timestamp)
      } else {
        this.rowCount++
        output.collect(value, timestamp)
      }
    }
    this.compact()
  }

  clear(): void {
    this.values = []
    this.timestamps = []
    this.head = 0
  }

  private push(value: unknown, timestamp: number): void {
    this.values.push(value)
    this.timestamps.push(timestamp)
  }

  private compact(): void {
    if (this.head === this.values.length) this.clear()
    else if (this.head >= this.highMark) {
      this.values = this.values.slice(this.head)
      this.timestamps = this.timestamps.slice(this.head)
      this.head = 0
    }
  }
}

const WATERMARK = Symbol('watermark')
const IDLE = Symbol('idle')
