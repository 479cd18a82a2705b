import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../runtime/api/environment.ts'
import { sqlProgram } from '../runtime/table/index.ts'
import { finishInProcess } from './support/in-process-job.ts'

/**
 * Every script of test/sql/cases gives the rows that Apache Flink 2.3.0 gave (test/oracle/sql/run.sh), in any order: at parallelism 1 and 2,
 * aggregated in one phase and in two, with generated code, interpreted, and over rows as objects. Of INSERTs the lines of the files below ${out}
 * are compared.
 */
const folder = join(import.meta.dirname, 'sql/cases')
const names = readdirSync(folder)
  .filter(name => name.endsWith('.sql'))
  .map(name => name.slice(0, -'.sql'.length))
/** What is not there yet has Flink's rows all the same, and NAME.refused: how it is refused. */
const refused = names.filter(name => existsSync(join(folder, `${name}.refused`)))
const accepted = names.filter(name => !refused.includes(name))
const written = mkdtempSync(join(tmpdir(), 'millrace-sql-cases-'))
afterAll(() => rmSync(written, { recursive: true, force: true }))

const ways = [
  { parallelism: 1, codegen: true, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: true, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: false, columnar: true, phases: 'ONE_PHASE' },
  { parallelism: 1, codegen: false, columnar: true, phases: 'AUTO' },
  { parallelism: 2, codegen: true, columnar: false, phases: 'AUTO' },
  { parallelism: 1, codegen: true, columnar: false, phases: 'ONE_PHASE' },
]
/** Which rows are late is the same every time only where one subtask reads: the watermark of two is the one that is behind. */
const late = (way: (typeof ways)[number]) =>
  way.parallelism === 1 ? way : { ...way, parallelism: 1, phases: way.codegen ? 'TWO_PHASE' : 'ONE_PHASE' }
/**
 * The row form has no DISTINCT yet, and adds rows up one by one where Flink (and the columnar form) adds slices: sums of doubles differ in their last
 * digit, of FLOATs also with the order in which two subtasks meet.
 */
const notOverRows = ['count-distinct', 'count-distinct-hop', 'sum-distinct', 'double-order-hop', 'aggregates-of-kinds']
const waysOf = (name: string) => {
  const all = name.startsWith('late-') ? ways.map(late) : ways
  return notOverRows.includes(name) ? all.filter(({ columnar }) => columnar) : all
}

test.each(notOverRows.filter(name => name.includes('distinct')))('%s over rows is refused by name', async name => {
  const program = finishInProcess(env => {
    env.configure({ 'table.exec.columnar': false })
    sqlProgram(scriptOf(name, written), `${name}.sql`)(env, [])
  })
  await expect(program).rejects.toThrow('(DISTINCT) is not supported over rows (table.exec.columnar: false)')
})

function scriptOf(name: string, out: string): string {
  return readFileSync(join(folder, `${name}.sql`), 'utf8')
    .replaceAll('${data}', join(folder, 'data'))
    .replaceAll('${out}', out)
}

function linesBelow(path: string, name: string): string[] {
  if (!existsSync(path)) return []
  if (statSync(path).isDirectory()) return readdirSync(path).flatMap(entry => linesBelow(join(path, entry), name === '' ? entry : name))
  return linesOf(readFileSync(path, 'utf8')).map(line => `${name}: ${line}`)
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}

test('no script is one that Flink refuses', () => {
  expect(names.filter(name => readFileSync(join(folder, `${name}.expected`), 'utf8').startsWith('error: '))).toEqual([])
})

test.each(refused)('%s is refused by name', name => {
  const script = scriptOf(name, written)
  const message = readFileSync(join(folder, `${name}.refused`), 'utf8').trimEnd()
  expect(() => sqlProgram(script, `${name}.sql`)(StreamExecutionEnvironment.createForProgram({}), [])).toThrow(message)
})

/** How many ways of a script came out equal. */
const equal = new Map<string, number>()

describe.each(accepted)('%s', name => {
  const expected = linesOf(readFileSync(join(folder, `${name}.expected`), 'utf8').trimEnd()).sort()

  test.each(waysOf(name))(
    "gives Flink's rows at parallelism $parallelism, codegen $codegen, columnar $columnar, phases $phases",
    async ({ parallelism, codegen, columnar, phases }) => {
      const out = join(written, name, `${parallelism}-${codegen}-${columnar}-${phases}`)
      const script = scriptOf(name, out)
      const { stdout } = await finishInProcess(
        env => {
          env.configure({ 'table.exec.codegen': codegen, 'table.exec.columnar': columnar, 'table.optimizer.agg-phase-strategy': phases })
          sqlProgram(script, `${name}.sql`)(env, [])
        },
        { batch: false, parallelism },
      )
      expect([...linesOf(stdout), ...linesBelow(out, '')].sort()).toEqual(expected)
      equal.set(name, (equal.get(name) ?? 0) + 1)
    },
  )
})

const subjects = {
  types: /^(kinds|bigint|decimal|row-access|cast|try-cast|date|nulls|three-valued|insert-columns)/,
  'views, computed columns and watermarks': /^(computed-columns|nested-views|subquery-view|quoted-names|rowtime-of-ddl|tumble-filtered-view|zone-s0)/,
  'windows, as table functions and as group windows': /^(tumble|hop|cumulate|late|window)/,
}

test.each(Object.entries(subjects))("scripts of %s gave Flink's rows in every way", (_, subject) => {
  const some = accepted.filter(name => subject.test(name))
  expect(some.length).toBeGreaterThan(5)
  expect(some.filter(name => equal.get(name) !== waysOf(name).length)).toEqual([])
})

test("60 scripts gave Flink's rows in every way", () => {
  expect([...equal].filter(([name, count]) => count === waysOf(name).length).length).toBeGreaterThanOrEqual(60)
})
