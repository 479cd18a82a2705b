import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../../runtime/common/random.ts'
import { murmur3Hex } from '../../runtime/graph/murmur3-128.ts'
import { tokenize } from '../../runtime/table/sql/lexer.ts'
import { splitScript } from '../../runtime/table/sql/parse.ts'

/** Whole scripts, of test/sql/cases and of the corpus over tables that fit it, with one token replaced: for the planner as much as for the parser. */
const folder = join(import.meta.dirname, '../sql')

export interface WrongScript {
  readonly file: string
  readonly script: string
  /** What stands in the token's place. */
  readonly replacement: string
  /** The token itself with a letter wrong. */
  readonly misspelt: boolean
}

interface Statement {
  readonly file: string
  readonly script: string
  readonly start: number
  readonly text: string
}

/** Tables of the names that the corpus uses. */
const corpusTables = `CREATE TABLE t (a INT, b BIGINT, c STRING, d DOUBLE, k ROW<x INT, y STRING>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE u (a INT, b BIGINT, c STRING) WITH ('connector' = 'datagen');
CREATE TABLE s (a INT) WITH ('connector' = 'blackhole');
CREATE TABLE student (id STRING, score INT) WITH ('connector' = 'datagen');
`

/** Every statement of the scripts once; those before it in its script come along. */
function statements(): Statement[] {
  const scripts = [
    ...sqlFiles('cases').map(({ file, text }) => ({ file, script: text.replaceAll(/\$\{(data|out)\}/g, '/$1') })),
    ...sqlFiles('corpus').flatMap(({ file, text }) => splitScript(text).map(part => ({ file, script: corpusTables + part.text }))),
  ]
  const seen = new Set<string>()
  return scripts.flatMap(({ file, script }) => {
    let from = 0
    return splitScript(script).flatMap(({ text }) => {
      const start = script.indexOf(text, from)
      from = start + text.length
      if (seen.has(text)) return []
      seen.add(text)
      // What stands behind the statement would only repeat its errors.
      return [{ file, script: script.slice(0, from), start, text }]
    })
  })
}

function sqlFiles(name: string): { file: string; text: string }[] {
  const files = readdirSync(join(folder, name)).filter(file => file.endsWith('.sql'))
  return files.sort().map(file => ({ file, text: readFileSync(join(folder, name, file), 'utf8') }))
}

const pool =
  "FROM|x|(|)|,|1|'s'|SELECT|.|=||AND|NULL|;|`q`|ROW|DATE|}|?|*|id|COUNT|TRUE|1.5|INTERVAL '1' SECOND|ts|-|ARRAY|CASE|TABLE|'id'|UPPER|r|rt|window_start|SUM|<|[|IN|GROUP|DISTINCT|OVER|INT|DESCRIPTOR|LIKE|||99999999999999999999999999999999999999999".split(
    '|',
  )

/**
 * Tokens of each statement replaced in turn by a wrong one, another in every turn; in odd turns by itself with a letter wrong. Two turns together
 * replace each token once: the even ones the first, third, … token, which changes with every second turn.
 */
export function* wrongScripts(turn: number): Generator<WrongScript> {
  for (const { file, script, start, text } of statements()) {
    // A statement's own: one more script changes nothing of the others.
    const random = seededRandom(turn + Number.parseInt(murmur3Hex(text).slice(0, 8), 16))
    for (const [i, token] of tokenize(text).slice(0, -1).entries()) {
      if (((i + turn + (turn >> 1)) & 1) === 1) continue
      const written = text.slice(token.offset, token.end)
      const wrong = turn % 2 === 1 && /^\w{3,}$/.test(written)
      const replacement = wrong ? misspelt(written, random.next()) : pool[random.nextInt(pool.length)]!
      if (replacement === written) continue
      const offset = start + token.offset
      yield { file, script: script.slice(0, offset) + replacement + script.slice(start + token.end), replacement, misspelt: wrong }
    }
  }
}

/** A letter left out, doubled, or changed places with the next. */
function misspelt(word: string, random: number): string {
  const at = Math.floor(random * (word.length - 1))
  const kind = Math.floor(random * 1e6) % 3
  if (kind === 0) return word.slice(0, at) + word.slice(at + 1)
  if (kind === 1) return word.slice(0, at + 1) + word.slice(at)
  return `${word.slice(0, at)}${word[at + 1]}${word[at]}${word.slice(at + 2)}`
}

/** The scripts cut off at every so-manieth character, from `turn`. */
export function* cutScripts(turn: number, every: number): Generator<string> {
  for (const { script, start, text } of statements())
    for (let end = start + (turn % every); end < start + text.length; end += every) yield script.slice(0, end)
}
