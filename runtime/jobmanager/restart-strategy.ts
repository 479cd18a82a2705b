import { isCheckpointingEnabled } from '../checkpoint/options.ts'
import type { ConfigOption, Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { Random } from '../common/random.ts'

/**
 * Whether a job that has failed is started again, and how long after the failure: pure, Flink's strategies with Flink's keys and defaults. `next` takes the
 * state and answers the next one and the delay in ms; no delay = the job fails.
 *
 * Times are monotonic ms. What one failure is decides the caller: all that tasks report of one loss is one.
 */
export type RestartStrategy =
  | { readonly kind: 'none' }
  | { readonly kind: 'fixed-delay'; readonly attempts: number; readonly delayMs: number }
  | {
      readonly kind: 'exponential-delay'
      readonly initialBackoffMs: number
      readonly maxBackoffMs: number
      readonly backoffMultiplier: number
      /** A delay is up to this part of itself longer or shorter, so that many jobs do not come back at once. */
      readonly jitterFactor: number
      readonly resetBackoffThresholdMs: number
      /** Restarts in a row; the next failure is final. */
      readonly attemptsMax: number
    }
  | { readonly kind: 'failure-rate'; readonly failuresMax: number; readonly intervalMs: number; readonly delayMs: number }

export interface RestartState {
  /** Restarts so far; of `exponential-delay` those since the backoff was reset. */
  readonly count: number
  /** When the last restart was due; `exponential-delay` looks how long that is ago. */
  readonly dueMs: number
  /** Of `failure-rate`: when it failed, oldest first. */
  readonly failuresMs: readonly number[]
}

export const noRestarts: RestartState = { count: 0, dueMs: Number.NEGATIVE_INFINITY, failuresMs: [] }

export function next(
  strategy: RestartStrategy,
  state: RestartState,
  nowMs: number,
  random: Random,
): readonly [RestartState, delayMs: number | undefined] {
  switch (strategy.kind) {
    case 'none':
      return [state, undefined]
    case 'fixed-delay':
      if (state.count >= strategy.attempts) return [state, undefined]
      return [{ ...state, count: state.count + 1, dueMs: nowMs + strategy.delayMs }, strategy.delayMs]
    case 'exponential-delay': {
      const isReset = nowMs - state.dueMs > strategy.resetBackoffThresholdMs
      const count = isReset ? 0 : state.count
      if (count >= strategy.attemptsMax) return [state, undefined]
      const delayMs = backoffMs(strategy, count, random)
      return [{ ...state, count: count + 1, dueMs: nowMs + delayMs }, delayMs]
    }
    case 'failure-rate': {
      const { failuresMax, intervalMs, delayMs } = strategy
      const failuresMs = [...state.failuresMs.filter(failedMs => nowMs - failedMs <= intervalMs), nowMs]
      if (failuresMs.length > failuresMax) return [{ ...state, failuresMs }, undefined]
      return [{ count: state.count + 1, dueMs: nowMs + delayMs, failuresMs }, delayMs]
    }
  }
}

function backoffMs(strategy: RestartStrategy & { readonly kind: 'exponential-delay' }, count: number, random: Random): number {
  const { initialBackoffMs, maxBackoffMs, backoffMultiplier, jitterFactor } = strategy
  const plainMs = Math.min(maxBackoffMs, initialBackoffMs * backoffMultiplier ** count)
  const jitteredMs = plainMs * (1 + jitterFactor * (2 * random.next() - 1))
  return Math.round(Math.min(maxBackoffMs, jitteredMs))
}

const second = 1_000
const minute = 60 * second

const kinds = ['none', 'off', 'disable', 'fixeddelay', 'fixed-delay', 'exponentialdelay', 'exponential-delay', 'failurerate', 'failure-rate'] as const

const type: ConfigOption<(typeof kinds)[number] | undefined> = {
  key: 'restart-strategy.type',
  type: 'enum',
  values: kinds,
  defaultValue: undefined,
  doc: 'whether and when a job that has failed is started again: none, fixed-delay, exponential-delay or failure-rate; default: exponential-delay with checkpoints, none without. It goes on from its newest checkpoint, or from the beginning where there is none',
}

const fixedDelayAttempts: ConfigOption<number> = {
  key: 'restart-strategy.fixed-delay.attempts',
  type: 'int',
  defaultValue: 1,
  doc: 'restarts of a job in all, with fixed-delay',
}

const fixedDelay: ConfigOption<number> = {
  key: 'restart-strategy.fixed-delay.delay',
  type: 'duration',
  defaultValue: second,
  doc: 'between a failure and the restart, with fixed-delay',
}

const initialBackoff: ConfigOption<number> = {
  key: 'restart-strategy.exponential-delay.initial-backoff',
  type: 'duration',
  defaultValue: second,
  doc: 'between the first failure and the restart, with exponential-delay',
}

const maxBackoff: ConfigOption<number> = {
  key: 'restart-strategy.exponential-delay.max-backoff',
  type: 'duration',
  defaultValue: minute,
  doc: 'longest time between a failure and the restart, with exponential-delay',
}

const backoffMultiplier: ConfigOption<number> = {
  key: 'restart-strategy.exponential-delay.backoff-multiplier',
  type: 'double',
  defaultValue: 1.5,
  doc: 'by which the delay grows with each failure, with exponential-delay',
}

const jitterFactor: ConfigOption<number> = {
  key: 'restart-strategy.exponential-delay.jitter-factor',
  type: 'double',
  defaultValue: 0.1,
  doc: 'part of a delay by which it is made longer or shorter at random, with exponential-delay',
}

const resetBackoffThreshold: ConfigOption<number> = {
  key: 'restart-strategy.exponential-delay.reset-backoff-threshold',
  type: 'duration',
  defaultValue: 60 * minute,
  doc: 'time without a failure after which delay and count begin anew, with exponential-delay',
}

/** Undefined = as many as it takes. */
const attemptsBeforeReset: ConfigOption<number | undefined> = {
  key: 'restart-strategy.exponential-delay.attempts-before-reset-backoff',
  type: 'int',
  defaultValue: undefined,
  doc: 'restarts in a row after which the next failure is final, with exponential-delay; not set = as many as it takes',
}

const failureRateMax: ConfigOption<number> = {
  key: 'restart-strategy.failure-rate.max-failures-per-interval',
  type: 'int',
  defaultValue: 1,
  doc: 'failures within the interval that are answered by a restart, with failure-rate',
}

const failureRateInterval: ConfigOption<number> = {
  key: 'restart-strategy.failure-rate.failure-rate-interval',
  type: 'duration',
  defaultValue: minute,
  doc: 'the interval in which failures are counted, with failure-rate',
}

const failureRateDelay: ConfigOption<number> = {
  key: 'restart-strategy.failure-rate.delay',
  type: 'duration',
  defaultValue: second,
  doc: 'between a failure and the restart, with failure-rate',
}

export const restartStrategyOptions: readonly ConfigOption<unknown>[] = [
  type,
  fixedDelayAttempts,
  fixedDelay,
  initialBackoff,
  maxBackoff,
  backoffMultiplier,
  jitterFactor,
  resetBackoffThreshold,
  attemptsBeforeReset,
  failureRateMax,
  failureRateInterval,
  failureRateDelay,
]

/** Of a job, or of the cluster where the job says nothing. Values that are out of their range are INVALID_CONFIGURATION. */
export function restartStrategyOf(configuration: Configuration): RestartStrategy {
  const strategy = strategyOf(configuration)
  const require = (holds: boolean, option: ConfigOption<unknown>, expected: string) => {
    if (!holds) throw new FlinkError('INVALID_CONFIGURATION', `option ${option.key}: expected ${expected}, got ${String(configuration.get(option))}`)
  }
  if (strategy.kind === 'fixed-delay') require(strategy.attempts >= 0, fixedDelayAttempts, 'a number from 0')
  if (strategy.kind === 'failure-rate') require(strategy.failuresMax >= 1, failureRateMax, 'a number from 1')
  if (strategy.kind === 'exponential-delay') {
    require(strategy.initialBackoffMs >= 1, initialBackoff, 'at least 1 ms')
    require(strategy.maxBackoffMs >= strategy.initialBackoffMs, maxBackoff, `at least ${initialBackoff.key}`)
    require(strategy.backoffMultiplier >= 1, backoffMultiplier, 'a number from 1')
    require(strategy.jitterFactor >= 0 && strategy.jitterFactor <= 1, jitterFactor, 'a number from 0 to 1')
    require(strategy.attemptsMax >= 1, attemptsBeforeReset, 'a number from 1')
  }
  return strategy
}

function strategyOf(configuration: Configuration): RestartStrategy {
  switch (configuration.get(type) ?? (isCheckpointingEnabled(configuration) ? 'exponential-delay' : 'none')) {
    case 'fixeddelay':
    case 'fixed-delay':
      return { kind: 'fixed-delay', attempts: configuration.get(fixedDelayAttempts), delayMs: configuration.get(fixedDelay) }
    case 'exponentialdelay':
    case 'exponential-delay':
      return {
        kind: 'exponential-delay',
        initialBackoffMs: configuration.get(initialBackoff),
        maxBackoffMs: configuration.get(maxBackoff),
        backoffMultiplier: configuration.get(backoffMultiplier),
        jitterFactor: configuration.get(jitterFactor),
        resetBackoffThresholdMs: configuration.get(resetBackoffThreshold),
        attemptsMax: configuration.get(attemptsBeforeReset) ?? Number.POSITIVE_INFINITY,
      }
    case 'failurerate':
    case 'failure-rate':
      return {
        kind: 'failure-rate',
        failuresMax: configuration.get(failureRateMax),
        intervalMs: configuration.get(failureRateInterval),
        delayMs: configuration.get(failureRateDelay),
      }
    default:
      return { kind: 'none' }
  }
}

/** For REST's `/jobs/:id/config`, in Flink's words. */
export function restartStrategyText(strategy: RestartStrategy): string {
  switch (strategy.kind) {
    case 'none':
      return 'Restart deactivated.'
    case 'fixed-delay':
      return `Restart with fixed delay (${strategy.delayMs} ms). #${strategy.attempts} restart attempts.`
    case 'exponential-delay': {
      const { initialBackoffMs, maxBackoffMs, backoffMultiplier, jitterFactor, resetBackoffThresholdMs, attemptsMax } = strategy
      const limit = attemptsMax === Number.POSITIVE_INFINITY ? '' : ` At most ${attemptsMax} restarts in a row.`
      return `Restart with exponential delay (from ${initialBackoffMs} ms to ${maxBackoffMs} ms, times ${backoffMultiplier}, jitter ${jitterFactor}, reset after ${resetBackoffThresholdMs} ms).${limit}`
    }
    case 'failure-rate':
      return `Failure rate restart with maximum of ${strategy.failuresMax} failures within interval ${strategy.intervalMs} ms and fixed delay ${strategy.delayMs} ms.`
  }
}
