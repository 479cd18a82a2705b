import type { CoProcessFunction, KeySpec } from '../functions.ts'
import { TimerFunctionOperator } from './timer-function-operator.ts'

/** CoProcessFunction of two inputs; with keys both share the key's state and timers (Flink's KeyedCoProcessFunction). */
export class CoProcessOperator extends TimerFunctionOperator<CoProcessFunction<unknown, unknown, unknown, unknown>> {
  constructor(fn: CoProcessFunction<unknown, unknown, unknown, unknown>, keys?: readonly [KeySpec, KeySpec]) {
    super(fn, keys ?? [], 2)
  }

  processElement(value: unknown, timestamp: number): void {
    this.beginElement(value, timestamp, 0)
    let result: unknown
    try {
      result = this.fn.processElement1(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement1', result)
  }

  processElement2(value: unknown, timestamp: number): void {
    this.beginElement(value, timestamp, 1)
    let result: unknown
    try {
      result = this.fn.processElement2(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement2', result)
  }
}
