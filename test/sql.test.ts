import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sqlProgram } from '../runtime/table/index.ts'
import { finishInProcess } from './support/in-process-job.ts'

/**
 * Every script of test/sql/cases gives the rows that Apache Flink 2.3.0 gave (test/oracle/sql/run.sh), in any order: at parallelism 1 and 2,
 * aggregated in one phase and in two, with generated code, interpreted,
 * and over rows as objects.
 */
const folder = join(import.meta.dirname, 'sql/cases')
const names = readdirSync(folder)
  .filter(name => name.endsWith('.sql'))
  .map(name => name.slice(0, -'.sql'.length))

const ways = [
  { parallelism: 1, codegen: true, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: true, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: false, columnar: true, phases: 'ONE_PHASE' },
  { parallelism: 1, codegen: false, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: true, columnar: false, phases: 'AUTO' },
  { parallelism: 1, codegen: true, columnar: false, phases: 'ONE_PHASE' },
]

describe.each(names)('%s', name => {
  const script = readFileSync(join(folder, `${name}.sql`), 'utf8').replaceAll('${data}', join(folder, 'data'))
  const expected = readFileSync(join(folder, `${name}.expected`), 'utf8')
    .trimEnd()
    .split('\n')
    .sort()

  const title = "gives Flink's rows at parallelism $parallelism, codegen $codegen, columnar $columnar, phases $phases"
  test.each(ways)(title, async ({ parallelism, codegen, columnar, phases }) => {
    const { stdout } = await finishInProcess(
      env => {
        env.configure({ 'table.exec.codegen': codegen, 'table.exec.columnar': columnar, 'table.optimizer.agg-phase-strategy': phases })
        sqlProgram(script, `${name}.sql`)(env, [])
      },
      { batch: false, parallelism },
    )
    expect(stdout.trimEnd().split('\n').sort()).toEqual(expected)
  })
})
