import { FlinkError } from '../../common/errors.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { keyIndexOf } from '../../state/key-index.ts'
import type { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import { type Timer, TimerQueue } from '../../time/timer-queue.ts'
import type { KeySpec, RichFunction, TimeDomain, TimerService } from '../functions.ts'
import { FunctionOperator } from './function-operator.ts'

/**
 * A function operator with timers, which exist on keyed streams only. Due ones fire one by one, the timer's key current, each asked
 * for by a cursor: event-time timers before their watermark goes on, processing-time ones between rows. Timers that a callback
 * registers at or before the current time fire in the same round.
 */
export abstract class TimedOperator extends FunctionOperator {
  /** undefined = the stream is not keyed. */
  protected eventTimers: TimerQueue | undefined = undefined
  protected processingTimers: TimerQueue | undefined = undefined
  private readonly timerNamespace: TypeInformation | undefined

  constructor(functions: readonly RichFunction[], keys: readonly KeySpec[], inputCount: 1 | 2, timerNamespace?: TypeInformation) {
    super(functions, keys, inputCount)
    this.timerNamespace = timerNamespace
  }

  protected abstract onTimer(timer: Timer, domain: TimeDomain): void

  protected override registerStates(backend: KeyedStateBackend): void {
    super.registerStates(backend)
    const indexOf = keyIndexOf(backend.keyType)
    this.eventTimers = new TimerQueue('_timers/event-time', backend.keyType, indexOf, this.timerNamespace)
    this.processingTimers = new TimerQueue('_timers/processing-time', backend.keyType, indexOf, this.timerNamespace)
    backend.registerPart(this.eventTimers)
    backend.registerPart(this.processingTimers)
  }

  protected override advanceEventTime(watermark: number): boolean {
    return this.fireDue(this.eventTimers, watermark, 'EVENT_TIME')
  }

  protected override advanceProcessingTime(nowMs: number): boolean {
    return this.fireDue(this.processingTimers, nowMs, 'PROCESSING_TIME')
  }

  protected override nextProcessingTimeMs(): number {
    return this.processingTimers?.nextTime() ?? Number.POSITIVE_INFINITY
  }

  /** For the current key. The scheduler learns of a timer that is now the earliest by being woken. */
  registerProcessingTimer(timeMs: number, namespace?: unknown): void {
    const timers = this.processingTimers
    if (timers === undefined || this.backend === undefined) throw timersNeedKey('Setting')
    const earliest = timers.nextTime()
    timers.register(timeMs, this.backend.currentKey, namespace)
    if (timeMs < earliest) this.context.wake()
  }

  registerEventTimer(timeMs: number, namespace?: unknown): void {
    if (this.eventTimers === undefined || this.backend === undefined) throw timersNeedKey('Setting')
    this.eventTimers.register(timeMs, this.backend.currentKey, namespace)
  }

  deleteProcessingTimer(timeMs: number): void {
    if (this.processingTimers === undefined || this.backend === undefined) throw timersNeedKey('Deleting')
    this.processingTimers.delete(timeMs, this.backend.currentKey)
  }

  deleteEventTimer(timeMs: number): void {
    if (this.eventTimers === undefined || this.backend === undefined) throw timersNeedKey('Deleting')
    this.eventTimers.delete(timeMs, this.backend.currentKey)
  }

  override stateEntries(): number {
    return super.stateEntries() + (this.eventTimers?.size ?? 0) + (this.processingTimers?.size ?? 0)
  }

  nowMs(): number {
    return this.context.clock.nowMs()
  }

  watermark(): number {
    return this.currentWatermark
  }

  key(): unknown {
    return this.backend?.currentKey
  }

  emitSideOutput(tagId: string, value: unknown, timestamp: number): void {
    this.output.sideOutput(tagId, value, timestamp)
  }

  private fireDue(timers: TimerQueue | undefined, time: number, domain: TimeDomain): boolean {
    if (timers === undefined) return true
    while (timers.isDue(time)) {
      if (this.context.shouldYield()) return false
      const timer = timers.pollDue(time)
      if (timer === undefined) return true
      this.backend?.setCurrentKey(timer.key)
      this.onTimer(timer, domain)
    }
    return true
  }
}

/** What functions see of an operator's timers. */
export class OperatorTimerService implements TimerService {
  private readonly operator: TimedOperator

  constructor(operator: TimedOperator) {
    this.operator = operator
  }

  currentProcessingTime(): number {
    return this.operator.nowMs()
  }

  currentWatermark(): number {
    return this.operator.watermark()
  }

  registerProcessingTimeTimer(timeMs: number): void {
    this.operator.registerProcessingTimer(timerTime(timeMs))
  }

  registerEventTimeTimer(timeMs: number): void {
    this.operator.registerEventTimer(timerTime(timeMs))
  }

  deleteProcessingTimeTimer(timeMs: number): void {
    this.operator.deleteProcessingTimer(timerTime(timeMs))
  }

  deleteEventTimeTimer(timeMs: number): void {
    this.operator.deleteEventTimer(timerTime(timeMs))
  }
}

// A plain error: the user's call that it is thrown into is wrapped with the operator's name.
function timerTime(timeMs: unknown): number {
  // LONG fields are bigints, and a timer is often set at such a field plus something.
  const time = typeof timeMs === 'bigint' ? Number(timeMs) : timeMs
  if (typeof time !== 'number' || Number.isNaN(time)) throw new TypeError(`a timer's time must be a number of milliseconds, got ${String(timeMs)}`)
  return time
}

// Flink's texts, word for word.
function timersNeedKey(what: 'Setting' | 'Deleting'): FlinkError {
  return new FlinkError('UNSUPPORTED', `${what} timers is only supported on a keyed streams.`)
}
