import { assert } from '../../common/assert.ts'
import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import { MIN_WATERMARK } from '../../network/frame.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import type { SinkContext, SinkFunction } from '../functions.ts'
import type { GeneratedStep } from '../generated/step.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../operator.ts'
import { userError } from './user-code.ts'
import { UserFunctions } from './user-functions.ts'

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

export class SinkFunctionOperator implements StreamOperator {
  private readonly fn: SinkFunction<never>
  private readonly inFlightMax: number
  private readonly closeTimeoutMs: number
  private context: OperatorContext | undefined
  /** What `invoke` gets. Generated code sets its time and calls `invoke` itself while `accepting`. */
  rowContext: RowContext | undefined
  private watermark = MIN_WATERMARK
  private readonly inFlight = new Set<Promise<void>>()
  private waiting: { readonly value: unknown; readonly timestamp: number }[] = []
  private blocked = false
  private readonly functions: UserFunctions
  private closed = false

  constructor(fn: SinkFunction<never>, options: SinkFunctionOptions = {}) {
    this.fn = fn
    this.functions = new UserFunctions([fn])
    this.inFlightMax = Math.max(1, options.inFlightMax ?? 64)
    this.closeTimeoutMs = options.closeTimeoutMs ?? 5_000
  }

  setup(context: OperatorContext, _output: OperatorOutput): void {
    this.context = context
    this.rowContext = new RowContext(context)
    this.functions.setup(context, undefined)
  }

  restore(state: OperatorSnapshot): void {
    this.functions.restore(state)
  }

  open(): void | Promise<void> {
    return this.functions.open()
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

  processWatermark(timestamp: number): boolean {
    this.watermark = timestamp
    return true
  }

  endInput(): boolean {
    return this.isDrained()
  }

  prepareSnapshotPreBarrier(): boolean {
    return this.isDrained()
  }

  snapshot(barrier: CheckpointBarrier): OperatorSnapshot {
    return { keyed: undefined, lists: this.functions.snapshot(barrier) }
  }

  stateEntries(): number {
    return this.functions.stateEntries
  }

  get commitsOnCheckpoint(): boolean {
    return this.functions.listens
  }

  commitsDone(): boolean {
    return this.functions.notificationsDone()
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.functions.notifyCheckpointComplete(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.functions.notifyCheckpointAborted(checkpointId)
  }

  async close(): Promise<void> {
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
    await this.functions.close()
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
      throw userError(this.ctx().operatorName, error)
    }
    this.invoked(result)
  }

  /** Takes what `invoke` has answered. */
  invoked(result: unknown): void {
    if (!(result instanceof Object && 'then' in result && typeof result.then === 'function')) return
    // The call goes on with the context it was given; the next row must not change it under its feet.
    this.rowContext = new RowContext(this.ctx())
    this.beginRows()
    // A thenable: what it answers is nobody's business.
    const call: Promise<void> = (result as Promise<void>).then(
      () => this.settled(call),
      error => {
        if (!this.closed) this.ctx().fail(userError(this.ctx().operatorName, error))
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
        `one record sent more than ${WAITING_MAX} rows to ${this.ctx().operatorName} while its calls in flight were at their bound`,
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
      this.ctx().fail(error)
    }
    if (taken > 0) this.waiting = waiting.slice(taken)
    if (this.waiting.length === 0 && this.inFlight.size < this.inFlightMax) this.unblock()
    if (this.isDrained()) this.ctx().wake()
  }

  private isDrained(): boolean {
    return this.inFlight.size === 0 && this.waiting.length === 0
  }

  private block(): void {
    if (this.blocked) return
    this.blocked = true
    this.ctx().block()
  }

  private unblock(): void {
    if (!this.blocked) return
    this.blocked = false
    this.ctx().unblock()
    this.ctx().wake()
  }

  private ctx(): OperatorContext {
    assert(this.context !== undefined, 'setup comes first')
    return this.context
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
