import type { FlatMapFunction, KeySpec } from '../functions.ts'
import type { GeneratedStep } from '../generated/step.ts'
import { FunctionOperator } from './function-operator.ts'

/** One row in, any number out through the collector, with the row's timestamp. With `key` the function may keep keyed state. */
export class FlatMapOperator extends FunctionOperator {
  private readonly fn: FlatMapFunction<unknown, unknown>

  constructor(fn: FlatMapFunction<unknown, unknown>, key?: KeySpec) {
    super([fn], key === undefined ? [] : [key])
    this.fn = fn
  }

  generatedStep(): GeneratedStep | undefined {
    return this.keys.length === 0 ? { kind: 'flatMap', fn: this.fn } : undefined
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    this.collector.timestamp = timestamp
    let result: unknown
    try {
      result = this.fn.flatMap(value, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('flatMap', result)
  }
}
