import type { KeySpec, MapFunction } from '../functions.ts'
import type { GeneratedStep } from '../generated/step.ts'
import { FunctionOperator } from './function-operator.ts'

/** One row in, one row out. With `key` the function may keep keyed state. */
export class MapOperator extends FunctionOperator {
  private readonly fn: MapFunction<unknown, unknown>

  constructor(fn: MapFunction<unknown, unknown>, key?: KeySpec) {
    super([fn], key === undefined ? [] : [key])
    this.fn = fn
  }

  generatedStep(): GeneratedStep | undefined {
    return this.keys.length === 0 ? { kind: 'map', fn: this.fn } : undefined
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    let result: unknown
    try {
      result = this.fn.map(value)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('map', result)
    this.output.collect(result, timestamp)
  }
}
