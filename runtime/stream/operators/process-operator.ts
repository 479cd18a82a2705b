import { assert } from '../../common/assert.ts'
import type { ProcessFunction } from '../functions.ts'
import { OperatorProcessContext } from './process-context.ts'
import { TimedOperator } from './timed-operator.ts'

/** ProcessFunction on a stream without keys: time can be asked, side outputs written, timers are refused. */
export class ProcessOperator extends TimedOperator {
  private readonly fn: ProcessFunction<unknown, unknown>
  private readonly processContext = new OperatorProcessContext(this)

  constructor(fn: ProcessFunction<unknown, unknown>) {
    super([fn], [], 1)
    this.fn = fn
  }

  processElement(value: unknown, timestamp: number): void {
    this.collector.timestamp = timestamp
    this.processContext.elementTimestamp = timestamp
    let result: unknown
    try {
      result = this.fn.processElement(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement', result)
  }

  protected onTimer(): void {
    assert(false, 'a stream without keys has no timers')
  }
}
