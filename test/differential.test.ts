import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../runtime/common/random.ts'
import { scalarFunctions } from '../runtime/table/functions/function-table.ts'
import { sqlProgram } from '../runtime/table/index.ts'
import { coverageOf } from './support/differential/coverage.ts'
import { checkCase, type DifferentialCase } from './support/differential/differential.ts'
import { sqlCase } from './support/differential/sql-case.ts'
import { columnRoots, randomType } from './support/differential/values.ts'
import { finishInProcess } from './support/in-process-job.ts'
import { simSeeds } from './support/sim-seeds.ts'

/** `SEED=n` runs one case, `SEEDS=n` the first n: some hundred in `make check`, 2,000 in `make test`, 100,000 in `make soak`. */
const kinds: readonly { readonly name: string; readonly make: (seed: number) => DifferentialCase }[] = [{ name: 'plans of SQL', make: sqlCase }]

const seeds = simSeeds(300)

test.each(kinds)('interpreter = generated = object path on random schemas, data and chains: $name', { timeout: 3_600_000 }, async ({ make }) => {
  let [modelled, failed] = [0, 0]
  for (const seed of seeds) {
    const result = await checkCase(make(seed))
    if (result.modelled) modelled++
    if (result.failed) failed++
  }
  if (seeds.length < 100) return
  // An evaluation that shares no code with the paths has to have looked at many of them; a case that fails has compared no rows.
  expect(modelled / seeds.length).toBeGreaterThan(0.3)
  expect(failed / seeds.length).toBeLessThan(0.2)
  expect(failed).toBeGreaterThan(0)
})

test('random plans hold every function, kind of column, aggregate and window', { timeout: 120_000 }, () => {
  const coverage = coverageOf(Array.from({ length: 2_000 }, (_, seed) => sqlCase(seed)))
  expect(scalarFunctions.map(({ name }) => name).filter(name => !coverage.functions.has(name))).toEqual([])
  const random = seededRandom(1)
  const types = new Set(columnRoots.flatMap(root => Array.from({ length: 60 }, () => randomType(random, root))))
  expect([...types].filter(type => !coverage.columnTypes.has(type))).toEqual([])
  expect([...coverage.windows].sort()).toEqual(['CUMULATE', 'HOP', 'TUMBLE'])
  expect([...coverage.nodes].sort()).toEqual(['aggregate', 'filter', 'project', 'scan', 'sink', 'union', 'watermark'])
  const numbers = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'FLOAT', 'DOUBLE']
  const wanted = ['COUNT', 'SUM', 'MIN', 'MAX', 'AVG'].flatMap(name => numbers.map(type => `${name} ${type}`))
  expect([...wanted, 'MIN STRING', 'MAX STRING', 'MIN DATE', 'MAX TIMESTAMP'].filter(aggregate => !coverage.aggregates.has(aggregate))).toEqual([])
})

describe('a difference', () => {
  /** The second way forgets sevens. */
  const numbersCase = (numbers: readonly number[]): DifferentialCase => ({
    seed: 3,
    ways: [
      { name: 'right', run: () => Promise.resolve({ rows: numbers.map(String) }) },
      { name: 'wrong', run: () => Promise.resolve({ rows: numbers.filter(n => n !== 7).map(String) }) },
    ],
    expected: () => undefined,
    apart: () => [],
    *smaller() {
      for (const dropped of numbers.keys()) yield numbersCase(numbers.filter((_, i) => i !== dropped))
    },
    describe: () => `numbers ${numbers.join()}`,
  })

  test('fails with its seed, both outcomes and the smallest data that shows it', async () => {
    await expect(checkCase(numbersCase([1, 7, 2, 7]))).rejects.toThrow(
      'seed 3 (repeat with SEED=3): right and wrong differ\nright: 1 rows\n  7\nwrong: 0 rows\n  \nnumbers 7',
    )
    await expect(checkCase(numbersCase([1, 2]))).resolves.toMatchObject({ modelled: false })
  })
})

describe('tables with hostile names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hostile-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  // A name of SQL ends on its line; those of random plans hold line feeds too.
  const names = ['a b', '"', "it's", 'tick`', '/* */', '*/', '${x}', '__proto__', 'constructor', '\u2028', '\\', '//', 'é😀', 'k0']
  const quoted = (name: string) => `\`${name.replaceAll('`', '``')}\``
  const ways = [
    { codegen: true, columnar: true },
    { codegen: false, columnar: true },
    { codegen: false, columnar: false },
  ]

  test.each(ways)(
    'are read, filtered, computed on and grouped, codegen $codegen, columnar $columnar',
    { timeout: 120_000 },
    async ({ codegen, columnar }) => {
      const rows = Array.from({ length: 40 }, (_, i) => ({ time: i * 100, values: names.map((_, k) => (i * 7 + k) % 5) }))
      const path = join(folder, 'rows.json')
      // Not by an object literal: `__proto__` would set the prototype.
      const line = ({ time, values }: (typeof rows)[number]) =>
        `{${names.map((name, k) => `${JSON.stringify(name)}:${values[k]}`).join()},"ts":"1970-01-01 00:00:0${(time / 1000).toFixed(3)}"}`
      writeFileSync(path, `${rows.map(line).join('\n')}\n`)
      const table = `CREATE TABLE t (${names.map(name => `${quoted(name)} INT`).join()}, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'json');`
      const run = async (query: string) => {
        const { stdout } = await finishInProcess(
          env => {
            env.configure({ 'table.exec.codegen': codegen, 'table.exec.columnar': columnar })
            sqlProgram(`${table} ${query}`, 'hostile.sql')(env, [])
          },
          { batch: false, parallelism: 2 },
        )
        return stdout.trimEnd().split('\n').sort()
      }
      for (const [k, name] of names.entries()) {
        const other = names[(k + 1) % names.length]!
        const kept = rows.filter(({ values }) => values[k]! > 2)
        expect(await run(`SELECT ${quoted(name)} + 1 AS ${quoted(other)}, ${quoted(other)} FROM t WHERE ${quoted(name)} > 2`), name).toEqual(
          kept.map(({ values }) => `+I[${values[k]! + 1}, ${values[(k + 1) % names.length]}]`).sort(),
        )
      }
      const [key, value] = [quoted('__proto__'), quoted('*/')]
      const sums = new Map<number, number>()
      for (const { values } of rows) {
        const group = values[names.indexOf('__proto__')]!
        sums.set(group, (sums.get(group) ?? 0) + values[names.indexOf('*/')]!)
      }
      const query = `SELECT ${key}, SUM(${value}) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY ${key}, window_start, window_end`
      expect(await run(query)).toEqual([...sums].map(([group, sum]) => `+I[${group}, ${sum}]`).sort())
    },
  )
})
