import { expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { StatePlan } from './actions.ts'
import { createStatePlans } from './state-plans.ts'

const plan: StatePlan = { kind: 'ready', restorePoint: 'chk-1', ignoresUnclaimedState: false, states: [] }

test('a plan is made once for each key; one that failed is made anew after ten seconds, and stays failed until then', async () => {
  const clock = new SimulatedClock()
  const plans = createStatePlans(clock)
  let made = 0
  let problem: Error | undefined = new Error('the store is away')
  const observe = (key: string) =>
    plans.observe(key, async () => {
      made++
      if (problem !== undefined) throw problem
      return plan
    })
  const failed = { kind: 'failed', message: 'the store is away' }
  expect(observe('a')).toEqual({ kind: 'pending' })
  await plans.settled()
  expect([observe('a'), made]).toEqual([failed, 1])
  problem = undefined
  clock.advanceBy(10_000)
  expect([observe('a'), made]).toEqual([failed, 2])
  await plans.settled()
  expect([observe('a'), observe('a'), made]).toEqual([plan, plan, 2])
  expect([observe('b'), made]).toEqual([{ kind: 'pending' }, 3])
})
