import { describe, expect, test } from 'vitest'
import { Configuration } from '../common/config.ts'
import { seededRandom } from '../common/random.ts'
import { next, noRestarts, type RestartStrategy, restartStrategyOf, restartStrategyOptions, restartStrategyText } from './restart-strategy.ts'

const random = seededRandom(1)

/** Delays of failures that come `gapsMs` after the restart before; undefined = final. */
function delays(strategy: RestartStrategy, gapsMs: readonly number[]): (number | undefined)[] {
  let state = noRestarts
  let nowMs = 1_000_000
  return gapsMs.map(gapMs => {
    nowMs += gapMs
    const [after, delayMs] = next(strategy, state, nowMs, random)
    state = after
    nowMs += delayMs ?? 0
    return delayMs
  })
}

const exponential: RestartStrategy & { readonly kind: 'exponential-delay' } = {
  kind: 'exponential-delay',
  initialBackoffMs: 1_000,
  maxBackoffMs: 10_000,
  backoffMultiplier: 2,
  jitterFactor: 0,
  resetBackoffThresholdMs: 3_600_000,
  attemptsMax: Number.POSITIVE_INFINITY,
}
const times = (count: number, gapMs = 10) => Array.from({ length: count }, () => gapMs)

describe('exponential-delay', () => {
  test("doubles from 1 s to 10 s: Flink's worked example", () => {
    expect(delays(exponential, times(7))).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  })

  test('the ninth failure in a row is final after eight attempts', () => {
    expect(delays({ ...exponential, attemptsMax: 8 }, times(10)).map(delay => delay === undefined)).toEqual([
      ...times(8).map(() => false),
      true,
      true,
    ])
  })

  test('begins anew when a failure comes more than the threshold after the last restart, and not when it comes just then', () => {
    expect(delays({ ...exponential, attemptsMax: 3 }, [10, 10, 3_600_000, 3_600_001, 10])).toEqual([1_000, 2_000, 4_000, 1_000, 2_000])
  })

  test('jitter makes a delay longer and shorter by at most its part, never longer than the longest', () => {
    const seen = Array.from({ length: 500 }, () => delays({ ...exponential, jitterFactor: 0.1 }, times(5)))
    for (const [i, plain] of [1_000, 2_000, 4_000, 8_000, 10_000].entries()) {
      const these = seen.map(run => run[i] ?? -1)
      expect(Math.min(...these)).toBeGreaterThanOrEqual(plain * 0.9)
      expect(Math.max(...these)).toBeLessThanOrEqual(Math.min(10_000, plain * 1.1))
      expect(new Set(these).size).toBeGreaterThan(50)
    }
  })
})

test('fixed-delay: so many restarts in all, however far apart', () => {
  expect(delays({ kind: 'fixed-delay', attempts: 3, delayMs: 700 }, [10, 1e9, 10, 10, 1e9])).toEqual([700, 700, 700, undefined, undefined])
})

test('failure-rate: final is the failure that is one too many within the interval', () => {
  const strategy: RestartStrategy = { kind: 'failure-rate', failuresMax: 2, intervalMs: 10_000, delayMs: 1_000 }
  // At 0, 2, 11, 12.5 and 14 s: only the last is the third one within 10 s.
  expect(delays(strategy, [0, 1_000, 8_000, 500, 500])).toEqual([1_000, 1_000, 1_000, 1_000, undefined])
  // At 0, 2 and exactly 10 s.
  expect(delays(strategy, [0, 1_000, 7_000])).toEqual([1_000, 1_000, undefined])
  expect(delays(strategy, [0, 1_000, 1_000])).toEqual([1_000, 1_000, undefined])
})

test('none: never', () => {
  expect(delays({ kind: 'none' }, [0, 1e9])).toEqual([undefined, undefined])
})

describe('of a configuration', () => {
  test('where nothing is set it is exponential-delay with checkpoints, and none without, as in Flink', () => {
    const of = (entries: Readonly<Record<string, string>>) => restartStrategyOf(Configuration.fromObject(entries)).kind
    expect([of({}), of({ 'execution.checkpointing.interval': '0' }), of({ 'execution.checkpointing.interval': '1 s' })]).toEqual([
      'none',
      'none',
      'exponential-delay',
    ])
    expect(of({ 'execution.checkpointing.interval': '1 s', 'restart-strategy.type': 'none' })).toBe('none')
  })

  const of = (entries: Readonly<Record<string, string>>) => {
    const { configuration, problems } = Configuration.parse(entries, [restartStrategyOptions])
    expect(problems).toEqual([])
    return restartStrategyOf(configuration)
  }

  test("Flink's defaults and spellings", () => {
    for (const name of ['none', 'off', 'disable']) expect(of({ 'restart-strategy.type': name })).toEqual({ kind: 'none' })
    expect(of({})).toEqual({ kind: 'none' })
    expect(of({ 'restart-strategy.type': 'fixed-delay' })).toEqual({ kind: 'fixed-delay', attempts: 1, delayMs: 1_000 })
    expect(of({ 'restart-strategy.type': 'fixeddelay' })).toEqual(of({ 'restart-strategy': 'fixed-delay' }))
    expect(of({ 'restart-strategy.type': 'exponential-delay' })).toEqual({
      kind: 'exponential-delay',
      initialBackoffMs: 1_000,
      maxBackoffMs: 60_000,
      backoffMultiplier: 1.5,
      jitterFactor: 0.1,
      resetBackoffThresholdMs: 3_600_000,
      attemptsMax: Number.POSITIVE_INFINITY,
    })
    expect(of({ 'restart-strategy.type': 'failure-rate' })).toEqual({ kind: 'failure-rate', failuresMax: 1, intervalMs: 60_000, delayMs: 1_000 })
  })

  test('what is set, and in words', () => {
    const fixed = of({
      'restart-strategy.type': 'fixed-delay',
      'restart-strategy.fixed-delay.attempts': '60',
      'restart-strategy.fixed-delay.delay': '10 s',
    })
    expect(restartStrategyText(fixed)).toBe('Restart with fixed delay (10000 ms). #60 restart attempts.')
    const backoff = of({
      'restart-strategy.type': 'exponential-delay',
      'restart-strategy.exponential-delay.attempts-before-reset-backoff': '8',
      'restart-strategy.exponential-delay.backoff-multiplier': '2',
    })
    expect(restartStrategyText(backoff)).toContain(
      'from 1000 ms to 60000 ms, times 2, jitter 0.1, reset after 3600000 ms). At most 8 restarts in a row.',
    )
    expect(restartStrategyText(of({}))).toBe('Restart deactivated.')
  })

  test.each([
    ['fixed-delay', 'fixed-delay.attempts', '-1', 'a number from 0, got -1'],
    ['failure-rate', 'failure-rate.max-failures-per-interval', '0', 'a number from 1, got 0'],
    ['exponential-delay', 'exponential-delay.backoff-multiplier', '0.5', 'a number from 1, got 0.5'],
    ['exponential-delay', 'exponential-delay.jitter-factor', '2', 'a number from 0 to 1, got 2'],
    ['exponential-delay', 'exponential-delay.max-backoff', '10 ms', 'at least restart-strategy.exponential-delay.initial-backoff, got 10'],
    ['exponential-delay', 'exponential-delay.attempts-before-reset-backoff', '0', 'a number from 1, got 0'],
  ])('%s: a value out of its range is refused with its key: %s=%s', (type, key, value, expected) => {
    expect(() => of({ 'restart-strategy.type': type, [`restart-strategy.${key}`]: value })).toThrow(
      `option restart-strategy.${key}: expected ${expected}`,
    )
  })

  test('a strategy that does not exist is refused with those that do', () => {
    const { problems } = Configuration.parse({ 'restart-strategy.type': 'sometimes' }, [restartStrategyOptions])
    expect(problems.join()).toMatch(/restart-strategy\.type: expected .*fixed-delay.*sometimes/)
  })
})
