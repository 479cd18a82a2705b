import { parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'

/** What `env.setRestartStrategy` takes; made by `RestartStrategies`. */
export interface RestartStrategyConfiguration {
  /** By their keys, as `env.configure` takes them. */
  readonly options: Readonly<Record<string, string>>
}

/** Milliseconds, or a text such as `10 s`. */
type Duration = string | number

/**
 * Whether a job that has failed is started again, in Flink's words; defaults are Flink's (`restart-strategy.*` in docs/configuration.md). As long as there
 * are no checkpoints a restarted job begins from the beginning.
 */
export const RestartStrategies = {
  noRestart(): RestartStrategyConfiguration {
    return strategy('none', {})
  },

  /** What the cluster's configuration says. */
  fallBackRestart(): RestartStrategyConfiguration {
    return { options: {} }
  },

  /** So many restarts in all, each `delayBetweenAttempts` behind the failure. */
  fixedDelayRestart(restartAttempts: number, delayBetweenAttempts: Duration): RestartStrategyConfiguration {
    return strategy('fixed-delay', {
      attempts: count('fixedDelayRestart', 'restartAttempts', restartAttempts, 0),
      delay: duration('fixedDelayRestart', 'delayBetweenAttempts', delayBetweenAttempts),
    })
  },

  /** Delays that grow by `backoffMultiplier` until there was no failure for `resetBackoffThreshold`. */
  exponentialDelayRestart(
    initialBackoff: Duration,
    maxBackoff: Duration,
    backoffMultiplier: number,
    resetBackoffThreshold: Duration,
    jitterFactor: number,
  ): RestartStrategyConfiguration {
    const name = 'exponentialDelayRestart'
    if (!(backoffMultiplier >= 1)) throw wrong(name, 'backoffMultiplier', 'a number from 1', backoffMultiplier)
    if (!(jitterFactor >= 0 && jitterFactor <= 1)) throw wrong(name, 'jitterFactor', 'a number from 0 to 1', jitterFactor)
    return strategy('exponential-delay', {
      'initial-backoff': duration(name, 'initialBackoff', initialBackoff),
      'max-backoff': duration(name, 'maxBackoff', maxBackoff),
      'backoff-multiplier': String(backoffMultiplier),
      'reset-backoff-threshold': duration(name, 'resetBackoffThreshold', resetBackoffThreshold),
      'jitter-factor': String(jitterFactor),
    })
  },

  /** A restart, unless there were more than `failureRate` failures within `failureInterval`. */
  failureRateRestart(failureRate: number, failureInterval: Duration, delayInterval: Duration): RestartStrategyConfiguration {
    return strategy('failure-rate', {
      'max-failures-per-interval': count('failureRateRestart', 'failureRate', failureRate, 1),
      'failure-rate-interval': duration('failureRateRestart', 'failureInterval', failureInterval),
      delay: duration('failureRateRestart', 'delayInterval', delayInterval),
    })
  },
}

function strategy(type: string, options: Readonly<Record<string, string>>): RestartStrategyConfiguration {
  const entries = Object.entries(options).map(([key, value]) => [`restart-strategy.${type}.${key}`, value])
  return { options: { 'restart-strategy.type': type, ...Object.fromEntries(entries) } }
}

function count(name: string, argument: string, value: number, least: number): string {
  if (!Number.isSafeInteger(value) || value < least) throw wrong(name, argument, `a whole number from ${least}`, value)
  return String(value)
}

function duration(name: string, argument: string, value: Duration): string {
  try {
    return `${Math.round(parseDuration(value))} ms`
  } catch {
    throw wrong(name, argument, 'milliseconds or a text such as "10 s"', value)
  }
}

function wrong(name: string, argument: string, expected: string, value: unknown): FlinkError {
  return new FlinkError('INVALID_PROGRAM', `RestartStrategies.${name}: ${argument} is ${expected}, got ${JSON.stringify(value)}`)
}
