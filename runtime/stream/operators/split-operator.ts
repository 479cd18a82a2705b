import type { StreamOperator } from '../operator.ts'
import { FunctionOperator } from './function-operator.ts'

/** `split(selector)`: each name that the selector answers for a row is the side output that `select(name)` reads. */
export class SplitOperator extends FunctionOperator implements StreamOperator {
  private readonly selector: (value: unknown) => Iterable<string>

  constructor(selector: (value: never) => Iterable<string>) {
    super([], [])
    this.selector = selector as (value: unknown) => Iterable<string>
  }

  processElement(value: unknown, timestamp: number): void {
    let names: Iterable<string>
    try {
      names = this.selector(value)
    } catch (error) {
      throw this.userError(error)
    }
    if (names instanceof Promise) throw this.promiseRefused('the selector of split', names)
    if (typeof names === 'string') this.output.sideOutput(names, value, timestamp)
    else for (const name of names) this.output.sideOutput(name, value, timestamp)
  }
}
