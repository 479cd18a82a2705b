import type { CoFlatMapFunction, KeySpec } from '../functions.ts'
import { FunctionOperator } from './function-operator.ts'

/** Two inputs, one function each, any number of rows out through one collector. */
export class CoFlatMapOperator extends FunctionOperator {
  private readonly fn: CoFlatMapFunction<unknown, unknown, unknown>

  constructor(fn: CoFlatMapFunction<unknown, unknown, unknown>, keys?: readonly [KeySpec, KeySpec]) {
    super([fn], keys ?? [], 2)
    this.fn = fn
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    this.collector.timestamp = timestamp
    let result: unknown
    try {
      result = this.fn.flatMap1(value, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('flatMap1', result)
  }

  processElement2(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 1)
    this.collector.timestamp = timestamp
    let result: unknown
    try {
      result = this.fn.flatMap2(value, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('flatMap2', result)
  }
}
