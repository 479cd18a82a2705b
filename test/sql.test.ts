import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sqlProgram } from '../runtime/table/index.ts'
import { finishInProcess } from './support/in-process-job.ts'

/**
 * Every script of test/sql/cases gives the rows that Apache Flink 2.3.0 gave (test/oracle/sql/run.sh), in any order: at parallelism 1 and 2,
 * aggregated in one phase and in two, with generated code and interpreted.
 */
const folder = join(import.meta.dirname, 'sql/cases')
const names = readdirSync(folder)
  .filter(name => name.endsWith('.sql'))
  .map(name => name.slice(0, -'.sql'.length))

const ways = [
  { parallelism: 1, codegen: true, phases: 'AUTO' },
  { parallelism: 2, codegen: true, phases: 'AUTO' },
  { parallelism: 2, codegen: false, phases: 'ONE_PHASE' },
  { parallelism: 1, codegen: false, phases: 'AUTO' },
]

describe.each(names)('%s', name => {
  const script = readFileSync(join(folder, `${name}.sql`), 'utf8').replaceAll('${data}', join(folder, 'data'))
  const expected = readFileSync(join(folder, `${name}.expected`), 'utf8')
    .trimEnd()
    .split('\n')
    .sort()

  test.each(ways)("gives Flink's rows at parallelism $parallelism, codegen $codegen, phases $phases", async ({ parallelism, codegen, phases }) => {
    const { stdout } = await finishInProcess(
      env => {
        env.configure({ 'table.exec.codegen': codegen, 'table.optimizer.agg-phase-strategy': phases })
        sqlProgram(script, `${name}.sql`)(env, [])
      },
      { batch: false, parallelism },
    )
    expect(stdout.trimEnd().split('\n').sort()).toEqual(expected)
  })
})
