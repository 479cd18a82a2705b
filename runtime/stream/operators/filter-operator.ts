import type { FilterFunction, KeySpec } from '../functions.ts'
import type { GeneratedStep } from '../generated/step.ts'
import { FunctionOperator } from './function-operator.ts'

/** Passes the rows for which the function answers something true. With `key` the function may keep keyed state. */
export class FilterOperator extends FunctionOperator {
  private readonly fn: FilterFunction<unknown>

  constructor(fn: FilterFunction<unknown>, key?: KeySpec) {
    super([fn], key === undefined ? [] : [key])
    this.fn = fn
  }

  generatedStep(): GeneratedStep | undefined {
    return this.keys.length === 0 ? { kind: 'filter', fn: this.fn } : undefined
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    let passes: unknown
    try {
      passes = this.fn.filter(value)
    } catch (error) {
      throw this.userError(error)
    }
    // A promise is true: without this an async filter would pass everything.
    if (passes instanceof Promise) throw this.promiseRefused('filter', passes)
    if (passes) this.output.collect(value, timestamp)
  }
}
