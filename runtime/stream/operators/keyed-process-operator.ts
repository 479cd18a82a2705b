import type { Timer } from '../../time/timer-queue.ts'
import type { KeyedProcessFunction, KeySpec, TimeDomain } from '../functions.ts'
import { OperatorProcessContext } from './process-context.ts'
import { TimedOperator } from './timed-operator.ts'

/** KeyedProcessFunction: keyed state, timers of both domains, side outputs. Element and timer calls never overlap. */
export class KeyedProcessOperator extends TimedOperator {
  private readonly fn: KeyedProcessFunction<unknown, unknown, unknown>
  private readonly processContext = new OperatorProcessContext(this)

  constructor(key: KeySpec, fn: KeyedProcessFunction<unknown, unknown, unknown>) {
    super([fn], [key], 1)
    this.fn = fn
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    this.collector.timestamp = timestamp
    this.processContext.elementTimestamp = timestamp
    this.processContext.domain = undefined
    let result: unknown
    try {
      result = this.fn.processElement(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement', result)
  }

  protected onTimer(timer: Timer, domain: TimeDomain): void {
    if (this.fn.onTimer === undefined) return
    // The timer's own time is no event time when it was measured by the wall clock.
    this.collector.timestamp = domain === 'EVENT_TIME' ? timer.time : Number.NaN
    this.processContext.elementTimestamp = timer.time
    this.processContext.domain = domain
    let result: unknown
    try {
      result = this.fn.onTimer(timer.time, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('onTimer', result)
  }
}
