import { expect, test } from 'vitest'
import { checkCase } from './support/differential/differential.ts'
import { sqlCase } from './support/differential/sql-case.ts'
import { simSeeds } from './support/sim-seeds.ts'

test('generated, interpreted and object path give the same rows', { timeout: 3_600_000 }, async () => {
  const seeds = simSeeds(300)
  let [modelled, failed] = [0, 0]
  const start = performance.now()
  for (const seed of seeds) {
    const result = await checkCase(sqlCase(seed))
    if (result.modelled) modelled++
    if (result.failed) failed++
  }
  console.log({ modelled, failed, ms: (performance.now() - start) / seeds.length })
  expect(modelled).toBeGreaterThanOrEqual(0)
})
