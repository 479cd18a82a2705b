import { expect, test } from 'vitest'
import { runComparably } from '../scenarios/comparison.ts'
import { limited } from '../scenarios/limited.ts'
import { localWorld } from '../scenarios/local-world.ts'
import { scenarios } from '../scenarios/table.ts'

/** The table of scenarios on real processes of this machine: each comes to what the simulation comes to. */
const AT_ONCE = 3
const TIMEOUT_MS = 900_000
const turn = limited(AT_ONCE)

const here = scenarios.filter(({ absent }) => absent?.local === undefined)
const compared = new Set<string>()

for (const scenario of here)
  test.concurrent(scenario.name, { timeout: TIMEOUT_MS }, () =>
    turn(async () => {
      await using world = await localWorld()
      const { found, wanted, unnamed } = await runComparably(scenario, world, 'local')
      expect(found).toEqual(wanted)
      expect(unnamed).toEqual([])
      if (found.status === 'gone') expect(world.processes()).toEqual([])
      compared.add(scenario.name)
    }),
  )

test('at least 60 scenarios come to the same on processes of this machine as in the simulation', () => {
  expect(compared.size).toBeGreaterThanOrEqual(60)
})
