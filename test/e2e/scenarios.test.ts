import { expect, test } from 'vitest'
import { localWorld } from '../scenarios/local-world.ts'
import { limited } from '../scenarios/limited.ts'
import { runComparably } from '../scenarios/comparison.ts'
import { scenarios } from '../scenarios/table.ts'

/** The table of scenarios on real processes of this machine: each comes to what the simulation comes to. */
const AT_ONCE = 3
const TIMEOUT_MS = 900_000
const turn = limited(AT_ONCE)

const here = scenarios.filter(({ absent }) => absent?.local === undefined)

test.concurrent.each(here)('$name', { timeout: TIMEOUT_MS }, scenario =>
  turn(async () => {
    await using world = await localWorld()
    const { found, wanted } = await runComparably(scenario, world, 'local')
    expect(found).toEqual(wanted)
    if (found.status === 'gone') expect(world.processes()).toEqual([])
  }),
)
