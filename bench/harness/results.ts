import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What a job computed, in the one text form that the programs of both engines write: a folder with a file per sink subtask,
 * - `#name<TAB>number`: a total, added up over the subtasks (`#rows` = rows that the sink took);
 * - any other line: a result row. Rows are compared as a multiset: their number and the sum of their hashes.
 */
export interface JobResult {
  readonly totals: Readonly<Record<string, number>>
  readonly lines: number
  /** Sum of the lines' hashes modulo 2^64, hexadecimal; independent of their order and of the file they stand in. */
  readonly hash: string
}

/** Of a job that writes nothing: no rows. */
export function readResult(folder: string): JobResult {
  const texts: string[] = []
  const visit = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) visit(join(path, entry.name))
      // Files in progress and markers begin with a dot.
      else if (!entry.name.startsWith('.')) texts.push(readFileSync(join(path, entry.name), 'utf8'))
    }
  }
  if (existsSync(folder)) visit(folder)
  return resultOf(texts)
}

export function resultOf(texts: readonly string[]): JobResult {
  const totals: Record<string, number> = {}
  let lines = 0
  let sum = 0n
  for (const text of texts) {
    for (const line of text.split('\n')) {
      if (line === '') continue
      if (line.startsWith('#')) {
        const [name = '', value = ''] = line.slice(1).split('\t')
        const number = Number(value)
        if (value === '' || !Number.isFinite(number)) throw new Error(`a total that is no number: ${line}`)
        totals[name] = (totals[name] ?? 0) + number
        continue
      }
      lines++
      sum = BigInt.asUintN(64, sum + createHash('sha256').update(line).digest().readBigUInt64LE())
    }
  }
  return { totals, lines, hash: sum.toString(16).padStart(16, '0') }
}

/** undefined = the same, else the first difference. */
export function differenceOf(expected: JobResult, actual: JobResult): string | undefined {
  for (const name of new Set([...Object.keys(expected.totals), ...Object.keys(actual.totals)])) {
    if (expected.totals[name] !== actual.totals[name]) return `${name}: ${expected.totals[name] ?? 'none'} and ${actual.totals[name] ?? 'none'}`
  }
  if (expected.lines !== actual.lines) return `result rows: ${expected.lines} and ${actual.lines}`
  if (expected.hash !== actual.hash) return `hash of the result rows: ${expected.hash} and ${actual.hash}`
  return undefined
}
