import { FlinkError } from '../../common/errors.ts'
import type { OnTimerContext, OutputTag, TimeDomain, TimerService } from '../functions.ts'
import { OperatorTimerService, type TimedOperator } from './timed-operator.ts'

/** The one context object of a process operator, for elements and timers alike; its fields are set before each call. */
export class OperatorProcessContext implements OnTimerContext<unknown> {
  elementTimestamp = Number.NaN
  domain: TimeDomain | undefined = undefined
  private readonly operator: TimedOperator
  private readonly timers: TimerService

  constructor(operator: TimedOperator) {
    this.operator = operator
    this.timers = new OperatorTimerService(operator)
  }

  timestamp(): number | null {
    return Number.isNaN(this.elementTimestamp) ? null : this.elementTimestamp
  }

  timerService(): TimerService {
    return this.timers
  }

  getCurrentKey(): unknown {
    return this.operator.key()
  }

  timeDomain(): TimeDomain {
    if (this.domain === undefined) throw new FlinkError('USER_FUNCTION', 'timeDomain() exists only in onTimer')
    return this.domain
  }

  output<X>(tag: OutputTag<X>, value: X): void {
    // What a processing-time timer emits has no event time, as in the main output.
    this.operator.emitSideOutput(tag.id, value, this.domain === 'PROCESSING_TIME' ? Number.NaN : this.elementTimestamp)
  }
}
