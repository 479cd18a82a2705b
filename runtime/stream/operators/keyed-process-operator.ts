import type { KeyedProcessFunction, KeySpec } from '../functions.ts'
import { TimerFunctionOperator } from './timer-function-operator.ts'

/** KeyedProcessFunction: keyed state, timers of both domains, side outputs. Element and timer calls never overlap. */
export class KeyedProcessOperator extends TimerFunctionOperator<KeyedProcessFunction<unknown, unknown, unknown>> {
  constructor(key: KeySpec, fn: KeyedProcessFunction<unknown, unknown, unknown>) {
    super(fn, [key], 1)
  }

  processElement(value: unknown, timestamp: number): void {
    this.beginElement(value, timestamp, 0)
    let result: unknown
    try {
      result = this.fn.processElement(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement', result)
  }
}
