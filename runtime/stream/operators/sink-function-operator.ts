import { assert } from '../../common/assert.ts'
import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import { MIN_WATERMARK } from '../../network/frame.ts'
import type { SinkContext, SinkFunction } from '../functions.ts'
import type { GeneratedStep } from '../generated/step.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { FunctionOperator } from './function-operator.ts'

/**
 * Own sinks: `{ open, invoke(value, context), close }`. `invoke` may answer a promise; then up to `inFlightMax` run at once and the
 * task reads no further rows above that. Rows that one record still produces meanwhile wait here, in order. All promises have settled
 * before the input counts as ended and before a barrier passes: what `snapshotState` saves then, all rows before the barrier have had their say in. A rejected
 * one fails the task.
 */
export interface SinkFunctionOptions {
  readonly inFlightMax?: number
  readonly closeTimeoutMs?: number
}

export class SinkFunctionOperator extends FunctionOperator {
  private readonly fn: SinkFunction<never>
  private readonly inFlightMax: number
  private readonly closeTimeoutMs: number
  /** What `invoke` gets. Generated code sets its time and calls `invoke` itself while `accepting`. */
  rowContext: RowContext | undefined
  private watermark = MIN_WATERMARK
  private readonly inFlight = new Set<Promise<void>>()
  private waiting: { readonly value: unknown; readonly timestamp: number }[] = []
  private blocked = false
  private closed = false

  constructor(fn: SinkFunction<never>, options: SinkFunctionOptions = {}) {
    super([fn], [])
    this.fn = fn
    this.inFlightMax = Math.max(1, options.inFlightMax ?? 64)
    this.closeTimeoutMs = options.closeTimeoutMs ?? 5_000
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.rowContext = new RowContext(context)
  }

  generatedStep(): GeneratedStep {
    return { kind: 'sink', fn: this.fn as { invoke(value: unknown, context: unknown): unknown }, operator: this }
  }

  processElement(value: unknown, timestamp: number): void {
    if (this.accepting) this.invoke(value, timestamp)
    else this.wait(value, timestamp)
  }

  /** A row may be given to the function now. */
  get accepting(): boolean {
    return this.inFlight.size < this.inFlightMax && this.waiting.length === 0
  }

  /** Before generated code calls the function for some rows. */
  beginRows(): void {
    const { rowContext } = this
    assert(rowContext !== undefined, 'setup comes before rows')
    rowContext.rowTimestamp = Number.NaN
    rowContext.rowWatermark = this.watermark
  }

  override processWatermark(timestamp: number): boolean {
    this.watermark = timestamp
    return true
  }

  override endInput(): boolean {
    return this.isDrained()
  }

  prepareSnapshotPreBarrier(): boolean {
    return this.isDrained()
  }

  override async close(): Promise<void> {
    const { context } = this
    if (context === undefined || this.closed) return
    this.closed = true
    this.waiting = []
    if (this.inFlight.size > 0) {
      const timeout = () => new FlinkError('TIMEOUT', `${this.inFlight.size} calls of the sink function have not settled`)
      await withDeadline(context.clock, this.closeTimeoutMs, Promise.allSettled(this.inFlight), timeout).catch(error =>
        context.log.warn('a sink function is closed with calls in flight', { operator: context.operatorName, error: String(error) }),
      )
    }
    await super.close()
  }

  private invoke(value: unknown, timestamp: number): void {
    this.beginRows()
    const { rowContext } = this
    assert(rowContext !== undefined, 'setup comes before rows')
    rowContext.rowTimestamp = timestamp
    let result: void | Promise<void>
    try {
      result = this.fn.invoke(value as never, rowContext)
    } catch (error) {
      throw this.userError(error)
    }
    this.invoked(result)
  }

  /** Takes what `invoke` has answered. */
  invoked(result: unknown): void {
    if (!(result instanceof Object && 'then' in result && typeof result.then === 'function')) return
    // The call goes on with the context it was given; the next row must not change it under its feet.
    this.rowContext = new RowContext(this.context)
    this.beginRows()
    // A thenable: what it answers is nobody's business.
    const call: Promise<void> = (result as Promise<void>).then(
      () => this.settled(call),
      error => {
        if (!this.closed) this.context.fail(this.userError(error))
        this.settled(call)
      },
    )
    this.inFlight.add(call)
    if (this.inFlight.size >= this.inFlightMax) this.block()
  }

  private wait(value: unknown, timestamp: number): void {
    if (this.waiting.length >= WAITING_MAX)
      throw new FlinkError(
        'OUTPUT_SPILL_EXHAUSTED',
        `one record sent more than ${WAITING_MAX} rows to ${this.context.operatorName} while its calls in flight were at their bound`,
      )
    this.waiting.push({ value, timestamp })
  }

  private settled(call: Promise<void>): void {
    this.inFlight.delete(call)
    if (this.closed) return
    const { waiting } = this
    let taken = 0
    try {
      while (taken < waiting.length && this.inFlight.size < this.inFlightMax) {
        const { value, timestamp } = waiting[taken]!
        taken++
        this.invoke(value, timestamp)
      }
    } catch (error) {
      this.context.fail(error)
    }
    if (taken > 0) this.waiting = waiting.slice(taken)
    if (this.waiting.length === 0 && this.inFlight.size < this.inFlightMax) this.unblock()
    if (this.isDrained()) this.context.wake()
  }

  private isDrained(): boolean {
    return this.inFlight.size === 0 && this.waiting.length === 0
  }

  private block(): void {
    if (this.blocked) return
    this.blocked = true
    this.context.block()
  }

  private unblock(): void {
    if (!this.blocked) return
    this.blocked = false
    this.context.unblock()
    this.context.wake()
  }
}

/** Rows of one record that may wait beside the calls in flight. */
const WAITING_MAX = 1_000_000

/** Reused from row to row as long as `invoke` is synchronous. */
class RowContext implements SinkContext {
  rowTimestamp = Number.NaN
  rowWatermark = MIN_WATERMARK
  private readonly context: OperatorContext

  constructor(context: OperatorContext) {
    this.context = context
  }

  timestamp(): number | null {
    return Number.isNaN(this.rowTimestamp) ? null : this.rowTimestamp
  }

  currentWatermark(): number {
    return this.rowWatermark
  }

  currentProcessingTime(): number {
    return this.context.clock.nowMs()
  }
}
