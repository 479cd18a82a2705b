import type { CoMapFunction, KeySpec } from '../functions.ts'
import { FunctionOperator } from './function-operator.ts'

/** Two inputs, one function each, one row out for each row in. */
export class CoMapOperator extends FunctionOperator {
  private readonly fn: CoMapFunction<unknown, unknown, unknown>

  constructor(fn: CoMapFunction<unknown, unknown, unknown>, keys?: readonly [KeySpec, KeySpec]) {
    super([fn], keys ?? [], 2)
    this.fn = fn
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    let result: unknown
    try {
      result = this.fn.map1(value)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('map1', result)
    this.output.collect(result, timestamp)
  }

  processElement2(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 1)
    let result: unknown
    try {
      result = this.fn.map2(value)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('map2', result)
    this.output.collect(result, timestamp)
  }
}
