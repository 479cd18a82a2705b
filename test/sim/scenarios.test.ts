import { expect, test } from 'vitest'
import { runScenario } from '../scenarios/scenario.ts'
import { simulatedWorld } from '../scenarios/simulated-world.ts'
import { scenarios } from '../scenarios/table.ts'

test('there are at least 60 scenarios, each with a name of its own', () => {
  expect(scenarios.length).toBeGreaterThanOrEqual(60)
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length)
})

for (const scenario of scenarios)
  test(scenario.name, async () => {
    const world = simulatedWorld()
    const { outcome, refusals } = await runScenario(scenario, world)
    expect(outcome.starts).toEqual(scenario.starts)
    expect(world.violations()).toEqual([])
    expect(refusals).toEqual([])
  })
