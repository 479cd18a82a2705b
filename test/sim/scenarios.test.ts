import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { unnamed } from '../scenarios/comparison.ts'
import { runScenario } from '../scenarios/scenario.ts'
import { simulatedWorld } from '../scenarios/simulated-world.ts'
import { scenarios } from '../scenarios/table.ts'
import { readItemTables } from '../support/items.ts'

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
    expect(unnamed(scenario, refusals)).toEqual([])
  })

/** docs/items/operator-e2e.md is held to the tests that it names by the run; that these are scenarios, and that the rest says why, is looked at here. */
test('every row of the end-to-end list is a scenario or a test, or says why it does not apply', () => {
  const folder = new URL('../../docs/items', import.meta.url).pathname
  const rows = readItemTables(folder).filter(({ table }) => table === 'operator-e2e.md')
  const known = new Set<string>(scenarios.map(({ name }) => name))
  const ofScenarios = rows.filter(({ file }) => file === 'test/sim/scenarios.test.ts')
  expect(ofScenarios.filter(({ title }) => !known.has(title)).map(({ id, title }) => `${id}: ${title}`)).toEqual([])
  expect(ofScenarios.length).toBeGreaterThan(50)
  expect(rows.filter(({ state }) => state !== 'done')).toEqual([])
  const others = readFileSync(`${folder}/operator-e2e.md`, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('- '))
  expect(others.filter(line => !/^- 3\.\d .*: does not apply( yet)?, because \S/.test(line))).toEqual([])
  expect(others.length).toBeGreaterThan(5)
})
