import type { Timer } from '../../time/timer-queue.ts'
import type { CoProcessFunction, KeySpec, TimeDomain } from '../functions.ts'
import { OperatorProcessContext } from './process-context.ts'
import { TimedOperator } from './timed-operator.ts'

/** CoProcessFunction of two inputs; with keys both share the key's state and timers (Flink's KeyedCoProcessFunction). */
export class CoProcessOperator extends TimedOperator {
  private readonly fn: CoProcessFunction<unknown, unknown, unknown>
  private readonly processContext = new OperatorProcessContext(this)

  constructor(fn: CoProcessFunction<unknown, unknown, unknown, unknown>, keys?: readonly [KeySpec, KeySpec]) {
    super([fn], keys ?? [], 2)
    this.fn = fn
  }

  processElement(value: unknown, timestamp: number): void {
    this.prepare(value, timestamp, 0)
    let result: unknown
    try {
      result = this.fn.processElement1(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement1', result)
  }

  processElement2(value: unknown, timestamp: number): void {
    this.prepare(value, timestamp, 1)
    let result: unknown
    try {
      result = this.fn.processElement2(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement2', result)
  }

  protected onTimer(timer: Timer, domain: TimeDomain): void {
    if (this.fn.onTimer === undefined) return
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

  private prepare(value: unknown, timestamp: number, input: number): void {
    this.setKeyOf(value, input)
    this.collector.timestamp = timestamp
    this.processContext.elementTimestamp = timestamp
    this.processContext.domain = undefined
  }
}
