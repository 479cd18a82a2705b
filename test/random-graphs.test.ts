import { expect, test } from 'vitest'
import { runInProcess } from './support/in-process-job.ts'
import { randomProgram } from './support/random-program.ts'

/**
 * Random graphs, all vertices of a subtask index in one slot, rings and edges of one frame, suspended and resumed at every row: no
 * deadlock, and the rows of an independent model. `SEED=n` runs one, `GRAPHS=n` says how many.
 */
const single = process.env['SEED']
const count = process.env['SOAK'] !== undefined ? 10_000 : Number(process.env['GRAPHS'] ?? (process.env['CI'] !== undefined ? 500 : 100))
const seeds = single !== undefined && single !== '' ? [Number(single)] : Array.from({ length: count }, (_, i) => i + 1)

// By %s: vitest cuts what it puts in for a $name, and the item tables look for the whole title.
test.each([
  ["random graphs give the model's rows with rings of one frame, suspended at every row", true],
  ['the same where the interpreter takes all rows', false],
] as const)('%s', { timeout: 3_600_000 }, async (_, generated) => {
  for (const seed of seeds) {
    const program = randomProgram(seed, { rowsMax: 40, fanOutMax: seed % 20 === 0 ? 5000 : 50 })
    const result = await runInProcess(env => program.build(env), {
      parallelism: program.parallelism,
      channelCapacity: 1,
      suspendEverywhere: true,
      generated,
      seed,
    })
    if (program.throws !== undefined) {
      expect(result.state, `seed ${seed}`).toBe('FAILED')
      expect(result.error?.message, `seed ${seed}`).toContain(program.throws)
      continue
    }
    expect(result.error, `seed ${seed}`).toBeUndefined()
    const printed = result.stdout === '' ? [] : result.stdout.trimEnd().split('\n')
    expect(printed.map(line => line.replace(/^\d+> /, '')).sort(), `seed ${seed}`).toEqual(program.expected())
  }
})
