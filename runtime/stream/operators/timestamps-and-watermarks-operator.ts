import { FlinkError } from '../../common/errors.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../../time/watermark.ts'
import type { TimestampAssigner, WatermarkGenerator, WatermarkOutput, WatermarkStrategy } from '../../time/watermark-strategy.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { BaseOperator } from './base-operator.ts'
import { userError } from './user-code.ts'

/**
 * Assigns event times and makes watermarks: periodic ones every `pipeline.auto-watermark-interval`, punctuated ones right behind the
 * record. Watermarks from upstream end here, except the last one. In batch mode only the last one leaves: partial results are not asked for.
 */
export class TimestampsAndWatermarksOperator extends BaseOperator implements WatermarkOutput {
  private readonly strategy: WatermarkStrategy<unknown>
  private readonly assigner: TimestampAssigner<unknown> | undefined
  // Set by `setup`.
  private generator!: WatermarkGenerator<unknown>
  private streaming = true
  private intervalMs = 0
  private nextEmitMs = Number.POSITIVE_INFINITY
  private lastEmitted = MIN_WATERMARK

  constructor(strategy: WatermarkStrategy<never>) {
    super()
    this.strategy = strategy as unknown as WatermarkStrategy<unknown>
    this.assigner = this.strategy.timestampAssigner
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.streaming = !context.batch
    this.intervalMs = context.options.autoWatermarkIntervalMs
    this.generator = this.guarded(() => this.strategy.createGenerator())
  }

  override open(): void {
    if (this.streaming && this.intervalMs > 0) this.nextEmitMs = this.context.clock.nowMs() + this.intervalMs
  }

  processElement(value: unknown, timestamp: number): void {
    const assigned = this.assigner === undefined ? timestamp : this.assign(this.assigner, value, timestamp)
    this.output.collect(value, assigned)
    if (!this.streaming) return
    try {
      // Without a timestamp a record must not move the maximum, and NaN would poison it.
      this.generator.onEvent(value, Number.isNaN(assigned) ? MIN_WATERMARK : assigned, this)
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
  }

  override processWatermark(timestamp: number, input: number): boolean {
    return timestamp === MAX_WATERMARK ? super.processWatermark(timestamp, input) : true
  }

  /** The generator's output: never backwards. */
  emitWatermark(timestamp: number): void {
    if (!(timestamp > this.lastEmitted)) return
    this.lastEmitted = timestamp
    this.output.emitWatermark(timestamp)
  }

  protected override advanceProcessingTime(nowMs: number): boolean {
    if (nowMs < this.nextEmitMs) return true
    this.nextEmitMs = nowMs + this.intervalMs
    this.guarded(() => this.generator.onPeriodicEmit(this))
    return true
  }

  protected override nextProcessingTimeMs(): number {
    return this.nextEmitMs
  }

  private assign(assigner: TimestampAssigner<unknown>, value: unknown, previous: number): number {
    let assigned: unknown
    try {
      assigned = assigner(value, previous)
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
    // LONG fields are bigints; event times are numbers everywhere inside.
    if (typeof assigned === 'bigint') return Number(assigned)
    if (typeof assigned !== 'number' || Number.isNaN(assigned))
      throw new FlinkError(
        'USER_FUNCTION',
        `operator ${this.context.operatorName}: the timestamp assigner answered ${String(assigned)} instead of milliseconds`,
      )
    return assigned
  }

  private guarded<R>(call: () => R): R {
    try {
      return call()
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
  }
}
