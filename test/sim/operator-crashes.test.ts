import { describe, expect, test } from 'vitest'
import { type Outcome, runScenario, type Scenario } from '../scenarios/scenario.ts'
import { simulatedWorld } from '../scenarios/simulated-world.ts'
import { scenarios as table } from '../scenarios/table.ts'
import { type CallFault, callFaults } from '../support/manager-world.ts'

/**
 * Every scenario of the table, again and again: each time another call that the operator makes, of the API server, of a cluster or over REST, goes wrong in another way, or is
 * the last one of its process. It always comes to what it comes to without, with as many starts and savepoints (but for two that depend on when); no two generations of a job ever work at once, and no savepoint
 * is lost (test/support/epoch-claims.ts). On simulated time; every so many runs, all of them under SOAK=1.
 */
const seeds = Number(process.env['SEEDS'] || 2_000)
const stride = process.env['SOAK'] === '1' ? 1 : seeds < 1_000 ? 997 : 17

/** Long enough for what was begun to be seen, and for a call that hangs. */
const SETTLED_MS = 5_000
const HUNG_MS = 40_000

/** How often they start and what they take on the way depends on when: held to the end that they come to, and to no violation. */
const timed = ['savepoints by the clock', 'deleted in an upgrade nothing is left']
const scenarios = table

interface Told {
  readonly outcome: Outcome
  readonly savepoints: number
  /** Of the operator, until the scenario had come to its end. */
  readonly calls: number
  readonly trace: readonly string[]
}

async function tell(scenario: Scenario, faults: ReadonlyMap<number, CallFault> = new Map()): Promise<Told> {
  const world = simulatedWorld(faults)
  const { manager } = world
  let calls = 0
  const settled = async () => {
    calls = manager.calls
    await manager.clock.run([...faults.values()].includes('hang') ? HUNG_MS : SETTLED_MS)
  }
  try {
    const { outcome, refusals } = await runScenario(scenario, { ...world, settled })
    expect([world.violations(), refusals.length]).toEqual([[], scenario.refused?.length ?? 0])
    return { outcome, savepoints: manager.clusterOf(world.name).claims.savepoints, calls, trace: manager.trace }
  } finally {
    manager.kill()
  }
}

const runs = { scenarios: 0, calls: 0, runs: 0 }

describe('wherever the operator is killed, and whatever a call meets with', () => {
  test.each(scenarios.map((scenario, number) => ({ ...scenario, number })))(
    '$name',
    async ({ number, ...scenario }) => {
      const plain = await tell(scenario)
      expect(plain.calls).toBeGreaterThan(2)
      const plans = Array.from({ length: plain.calls }, (_, at) => callFaults.map(fault => [at, fault] as const)).flat()
      const wrong: string[] = []
      for (let n = number % stride; n < plans.length; n += stride) {
        const plan = plans[n]
        if (plan === undefined) continue
        runs.runs++
        try {
          const { outcome, savepoints } = await tell(scenario, new Map([plan]))
          if (!timed.includes(scenario.name)) expect({ ...outcome, savepoints }).toEqual({ ...plain.outcome, savepoints: plain.savepoints })
        } catch (error) {
          wrong.push(`${plan.join(' ')} ${plain.trace[plan[0]]}: ${(error as Error).message}`)
        }
      }
      // Counted only when nothing was wrong.
      expect(wrong.join('\n')).toBe('')
      runs.scenarios++
      runs.calls += plain.calls
    },
    3_600_000,
  )

  test('every scenario ends as it does without: no two generations at work, no savepoint lost', () => {
    console.log(`${runs.scenarios} scenarios of ${runs.calls} calls, ${callFaults.length} faults: ${runs.runs} runs`)
    expect(runs.scenarios).toBe(scenarios.length)
    expect(runs.runs).toBeGreaterThanOrEqual(Math.floor((runs.calls * callFaults.length) / stride) - scenarios.length)
  })
})
