import { expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../runtime/api/environment.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { seededRandom } from '../runtime/common/random.ts'
import { sqlProgram } from '../runtime/table/index.ts'
import { cutScripts, wrongScripts } from './support/sql-mutations.ts'

/** Wrong SQL through parser and planner: one error each, that says where, or a plan. `SEEDS` (make test, make soak) gives more of it. */
const turns = Math.ceil(Number(process.env['SEEDS'] || 300) / 300)

/** NOT_FOUND: a catalog, database or object that a statement names. */
const expected: ReadonlySet<string> = new Set(['INVALID_SQL', 'UNSUPPORTED', 'NOT_FOUND'])

/** Throws whatever is no error of the user's SQL. */
function problemOf(script: string): FlinkError | undefined {
  try {
    sqlProgram(script, 'test.sql')(StreamExecutionEnvironment.createForProgram({}), [])
    return undefined
  } catch (error) {
    if (error instanceof FlinkError && expected.has(error.code)) return error
    throw new Error(`${String((error as Error).stack)}\n\nin\n${script}`)
  }
}

/** What is missing in the error: a place inside the script, which the message names. */
function flawOf(error: FlinkError, script: string): string | undefined {
  if (error.message.endsWith('there is nothing to run')) return undefined
  const { line, column } = error.detail as { line: number; column: number }
  const text = script.split(/\r\n?|\n/)[line - 1]
  if (text === undefined || !(column >= 1 && column <= [...text].length + 1)) return `${error.message}: no place inside the script`
  if (!error.message.includes(`${line}:${column}`)) return `${error.message}: says no place`
  return error.message.includes('\n') ? `${error.message}: more than a line` : undefined
}

/** Of the first two turns, which three tests look at: wrong tokens and misspelt words. */
const wrong: { readonly script: string; readonly replacement: string; readonly misspelt: boolean; readonly error: FlinkError }[] = []

test('each token replaced in turn gives one error that says where, or a plan; nothing else escapes', () => {
  const flaws: string[] = []
  let errors = 0
  for (let turn = 0; turn < Math.max(2, turns); turn++)
    for (const { script, replacement, misspelt } of wrongScripts(turn)) {
      const error = problemOf(script)
      if (error === undefined) continue
      errors++
      if (turn < 2) wrong.push({ script, replacement, misspelt, error })
      const flaw = flawOf(error, script)
      if (flaw !== undefined) flaws.push(`${flaw}\n${script}`)
    }
  expect(flaws).toEqual([])
  expect(errors).toBeGreaterThan(5_000)
}, 180_000)

test('scripts that end anywhere give one error that says where, or a plan', () => {
  const flaws: string[] = []
  let errors = 0
  for (let turn = 0; turn < turns; turn++)
    for (const script of cutScripts(turn, 40)) {
      const error = problemOf(script)
      if (error === undefined) continue
      errors++
      const flaw = flawOf(error, script)
      if (flaw !== undefined) flaws.push(`${flaw}\n${script}`)
    }
  expect(flaws).toEqual([])
  expect(errors).toBeGreaterThan(300)
}, 120_000)

test('bytes at random, and scripts with some of them inside, give one error that says where', () => {
  const random = seededRandom(turns)
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const starts = ['', 'SELECT ', "CREATE TABLE t (a INT) WITH ('connector' = 'datagen'); SELECT a FROM t WHERE ", 'INSERT INTO t VALUES (']
  const flaws: string[] = []
  for (let i = 0; i < 1_000 * turns; i++) {
    const bytes = Uint8Array.from({ length: random.nextInt(60) }, () => (random.nextInt(2) === 0 ? 32 + random.nextInt(96) : random.nextInt(256)))
    const text =
      starts[i % starts.length] + (random.nextInt(4) === 0 ? String.fromCharCode(...bytes.map(byte => byte + 0xd700)) : decoder.decode(bytes))
    const error = problemOf(text)
    const flaw = error === undefined ? undefined : flawOf(error, text)
    if (flaw !== undefined) flaws.push(`${flaw}\n${JSON.stringify(text)}`)
  }
  expect(flaws).toEqual([])
}, 120_000)

test('errors of the planner read as they are kept in planner-errors.golden', async () => {
  const shapes = new Map<string, string>()
  for (const { script, error } of wrong) {
    // The parser's have a golden file of their own.
    if (!/\d:\d/.test(error.message) || error.message.startsWith('syntax error')) continue
    const shape = shapeOf(error.message)
    if (!shapes.has(shape)) shapes.set(shape, blockOf(script, error))
  }
  expect(shapes.size).toBeGreaterThanOrEqual(80)
  const header = 'self: written by Millrace (vitest -u), read by people when it changes; the first of each kind\n\n'
  await expect(`${header}${[...shapes.values()].join('\n\n')}\n`).toMatchFileSnapshot('sql/planner-errors.golden')
})

test('a misspelt name is answered with the right one, or with those there are', () => {
  const unknown = wrong.filter(
    ({ error, replacement, misspelt }) =>
      misspelt && replacement.length >= 5 && error.message.toLowerCase().includes(`${replacement.toLowerCase()}' is not known`),
  )
  expect(unknown.length).toBeGreaterThan(50)
  expect(unknown.filter(({ error }) => !/; (did you mean|there are) /.test(error.message)).map(({ error }) => error.message)).toEqual([])
})

/** Messages that differ in names, numbers and types only are of one kind. */
function shapeOf(message: string): string {
  return message
    .replaceAll(/'[^']*'/g, "'…'")
    .replaceAll(/\d+/g, '0')
    .replace(/expected .*/, 'expected')
    .replace(/did you mean .*/, 'near')
    .replace(/there are .*/, 'list')
    .replaceAll(/\b[A-Z][A-Z_0-9]+\b/g, 'X')
    .replace(/\(.*\)/, '()')
    .replace(/function \S+/, 'function')
}

function blockOf(script: string, error: FlinkError): string {
  const { line, column } = error.detail as { line: number; column: number }
  const text = (script.split('\n')[line - 1] ?? '').replaceAll('\t', ' ')
  const from = Math.max(0, column - 60)
  return `${error.code} ${error.message}\n${text.slice(from, from + 110)}\n${' '.repeat(column - 1 - from)}^`
}
