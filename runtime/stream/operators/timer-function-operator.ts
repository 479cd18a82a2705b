import type { Timer } from '../../time/timer-queue.ts'
import type { Collector, KeySpec, OnTimerContext, RichFunction, TimeDomain } from '../functions.ts'
import { OperatorProcessContext } from './process-context.ts'
import { TimedOperator } from './timed-operator.ts'

interface TimerFunction extends RichFunction {
  onTimer?(timestamp: number, ctx: OnTimerContext<unknown>, out: Collector<unknown>): void
}

/** What process operators of one and of two inputs share: one function, one context for rows and timers, and the call of `onTimer`. */
export abstract class TimerFunctionOperator<F extends TimerFunction> extends TimedOperator {
  protected readonly fn: F
  protected readonly processContext: OperatorProcessContext = new OperatorProcessContext(this)

  constructor(fn: F, keys: readonly KeySpec[], inputCount: 1 | 2) {
    super([fn], keys, inputCount)
    this.fn = fn
  }

  /** Before the function sees a row: its key is current, and what is collected carries its timestamp. */
  protected beginElement(value: unknown, timestamp: number, input: number): void {
    this.setKeyOf(value, input)
    this.collector.timestamp = timestamp
    this.processContext.elementTimestamp = timestamp
    this.processContext.domain = undefined
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
