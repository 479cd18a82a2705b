import { assert } from '../../common/assert.ts'
import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import type { OperatorListSnapshot } from '../../state/snapshot.ts'
import type { SourceContext, SourceFunction } from '../functions.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { FunctionOperator } from './function-operator.ts'
import { SourceBuffer } from './source-buffer.ts'
import type { SourceHeadOperator } from './source-operator.ts'

/**
 * Own sources in the form `run(ctx)` / `cancel()`.
 *
 * 1. `run` starts at the first poll, when everything behind it is open, and goes on beside the slot's work wherever it awaits.
 * 2. What it collects goes into a bounded buffer; the task takes it from there. Above the high mark `collect` answers a promise to
 *    await; a source that never awaits gets a named error at the hard bound instead of filling the memory.
 * 3. `run` returning (or its promise resolving) is the end of the input; throwing fails the task.
 * 4. At a barrier everything that was collected is emitted first, then `snapshotState` is called, and nothing of `run` comes in between: all runs on one
 *    thread. So what `run` does between two awaits is one piece, as what stands in `synchronized (ctx.getCheckpointLock())` is in Flink: a source collects a
 *    row and moves its position before it awaits. While a barrier waits, `collect` lets one row pass at a time.
 * 5. `close` calls `cancel` once when `run` is still going on, lets go whoever waits in `collect`, and waits for `run` until a
 *    deadline. Whatever is collected or thrown after `cancel` is ignored.
 */
export interface FunctionSourceOptions {
  readonly bufferHighMark?: number
  readonly bufferSizeMax?: number
  readonly cancelTimeoutMs?: number
}

export class FunctionSourceOperator extends FunctionOperator implements SourceHeadOperator {
  private readonly fn: SourceFunction<never>
  private readonly buffer: SourceBuffer
  private readonly cancelTimeoutMs: number
  private readonly drainState = { idle: false, passWatermarks: true }
  private phase: 'created' | 'running' | 'ended' | 'cancelled' = 'created'
  private running: Promise<void> = Promise.resolve()
  private room: { readonly promise: Promise<void>; readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined
  /** A barrier waits until the buffer is empty: the producer is kept waiting too. */
  private barrierWaits = false

  constructor(fn: SourceFunction<never>, options: FunctionSourceOptions = {}) {
    super([fn], [])
    this.fn = fn
    this.buffer = new SourceBuffer(options.bufferHighMark ?? 1024, options.bufferSizeMax ?? 65_536)
    this.cancelTimeoutMs = options.cancelTimeoutMs ?? 10_000
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.drainState.passWatermarks = !context.batch
  }

  pollSource(shouldYield: () => boolean): 'more' | 'nothing' | 'end' {
    // The barrier has passed, or is given up.
    this.barrierWaits = false
    if (this.phase === 'created') this.start()
    this.buffer.drain(this.output, this.drainState, shouldYield)
    if (this.room !== undefined && this.buffer.size <= this.buffer.highMark / 2) {
      const { resolve } = this.room
      this.room = undefined
      resolve()
    }
    if (this.buffer.size > 0) return 'more'
    return this.phase === 'ended' ? 'end' : 'nothing'
  }

  addSplits(): void {
    assert(false, 'a source function has no splits')
  }

  noMoreSplits(): void {}

  describePosition(): string {
    return this.buffer.rowCount === 0 ? '' : `record ${this.buffer.rowCount} of the source function`
  }

  processElement(): void {
    assert(false, 'a source has no input')
  }

  override processWatermark(): boolean {
    return true
  }

  prepareSnapshotPreBarrier(): boolean {
    this.barrierWaits = true
    this.buffer.drain(this.output, this.drainState, () => this.context.shouldYield())
    return this.buffer.size === 0
  }

  protected override operatorState(barrier: CheckpointBarrier): readonly OperatorListSnapshot[] {
    assert(this.buffer.size === 0, 'what was collected has gone out in front of the barrier')
    return super.operatorState(barrier)
  }

  override async close(): Promise<void> {
    const { context } = this
    if (context === undefined) return
    let failure: unknown
    try {
      if (this.phase === 'running') await this.cancel(context)
    } catch (error) {
      failure = error
    }
    await super.close()
    if (failure !== undefined) throw failure
  }

  private start(): void {
    this.phase = 'running'
    let result: void | Promise<void>
    try {
      result = this.fn.run(this.sourceContext())
    } catch (error) {
      this.phase = 'ended'
      throw this.userError(error)
    }
    if (!(result instanceof Object && typeof result.then === 'function')) {
      this.phase = 'ended'
      return
    }
    this.running = result.then(
      () => {
        if (this.phase !== 'running') return
        this.phase = 'ended'
        this.context.wake()
      },
      error => {
        if (this.phase !== 'running') return
        this.phase = 'ended'
        this.context.fail(this.userError(error))
      },
    )
  }

  private async cancel(context: OperatorContext): Promise<void> {
    this.phase = 'cancelled'
    this.buffer.clear()
    this.room?.reject(cancelled())
    this.room = undefined
    try {
      this.fn.cancel()
    } catch (error) {
      context.log.warn('cancel of a source function failed', { operator: context.operatorName, error: String(error) })
    }
    const timeout = () => new FlinkError('TIMEOUT', `source function of ${context.operatorName} still runs ${this.cancelTimeoutMs} ms after cancel`)
    // Not a failure of the task: it is ending anyway, and the slot's worker ends with it.
    await withDeadline(context.clock, this.cancelTimeoutMs, this.running, timeout).catch(error =>
      context.log.warn('a source function did not end after cancel', { operator: context.operatorName, error: String(error) }),
    )
  }

  private sourceContext(): SourceContext<never> {
    return {
      collect: value => this.collect(value, Number.NaN),
      collectWithTimestamp: (value, timestamp) => {
        if (!Number.isFinite(timestamp))
          throw new FlinkError('USER_FUNCTION', `collectWithTimestamp expects epoch milliseconds, got ${String(timestamp)}`)
        return this.collect(value, timestamp)
      },
      emitWatermark: timestamp => {
        if (typeof timestamp !== 'number' || Number.isNaN(timestamp))
          throw new FlinkError('USER_FUNCTION', `emitWatermark expects epoch milliseconds, got ${String(timestamp)}`)
        if (this.phase !== 'running') return
        this.buffer.watermark(timestamp)
        this.context.wake()
      },
      markAsTemporarilyIdle: () => {
        if (this.phase !== 'running') return
        this.buffer.idle()
        this.context.wake()
      },
    }
  }

  private collect(value: unknown, timestamp: number): void | Promise<void> {
    // Throwing ends a loop that never looks at its own flag; `close` ignores it.
    if (this.phase === 'cancelled') throw cancelled()
    if (this.phase !== 'running') throw new FlinkError('USER_FUNCTION', 'a source function collected a row after its run had ended')
    this.buffer.row(value, timestamp)
    if (this.buffer.size === 1) this.context.wake()
    if (this.buffer.size < this.buffer.highMark && !this.barrierWaits) return undefined
    if (this.room === undefined) {
      this.room = Promise.withResolvers<void>()
      // Whoever awaits sees the rejection; for whoever does not, it must not end the process.
      this.room.promise.catch(() => {})
    }
    return this.room.promise
  }
}

function cancelled(): FlinkError {
  return new FlinkError('CANCELLED', 'the source function was cancelled')
}
