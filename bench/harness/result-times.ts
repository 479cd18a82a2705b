import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mix } from '../generate/hash.ts'

/** What the logs of `bench/jobs/result-log.ts` say: when results came. Reading them is here, the rest is arithmetic. */
export interface Attempt {
  readonly parallelism: number
  /** Epoch ms. */
  readonly startMs: number
  readonly periods: readonly Period[]
}

export interface Period {
  /** Epoch ms; results of the 10 ms from here on. */
  readonly startMs: number
  readonly rows: number
  /** Of all results of the attempt until then. */
  readonly indexMax: number
  /** Of these results. */
  readonly indexMin: number
}

export function readAttempts(folder: string): Attempt[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).map(name => attemptOf(name, readFileSync(join(folder, name), 'utf8')))
}

export function attemptOf(name: string, text: string): Attempt {
  const [, parallelism, startMs] = /^log-(\d+)-\d+-(\d+)$/.exec(name) ?? []
  if (parallelism === undefined || startMs === undefined) throw new Error(`not the name of a log of results: ${name}`)
  // The last line may be under way.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  const periods = lines.filter(Boolean).map(line => {
    const [start = Number.NaN, rows = Number.NaN, indexMax = Number.NaN, indexMin = Number.NaN] = line.split(' ').map(Number)
    return { startMs: start, rows, indexMax, indexMin }
  })
  return { parallelism: Number(parallelism), startMs: Number(startMs), periods }
}

/** The largest index of all results; -1 = there are none. */
export function lastIndex(attempts: readonly Attempt[]): number {
  return attempts.reduce((max, { periods }) => periods.reduce((largest, { indexMax }) => Math.max(largest, indexMax), max), -1)
}

/** Since when, in epoch ms, no result has had an index below `index`; undefined = not for so long yet. */
export function passedSince(attempts: readonly Attempt[], index: number, durationMs: number): number | undefined {
  const periods = attempts.flatMap(one => one.periods)
  const newestMs = periods.reduce((newest, { startMs }) => Math.max(newest, startMs), 0)
  const belowMs = periods.reduce((newest, { startMs, indexMin }) => (indexMin < index ? Math.max(newest, startMs) : newest), 0)
  return newestMs - belowMs > durationMs ? belowMs : undefined
}

export function rowsBetween(attempts: readonly Attempt[], fromMs: number, toMs: number): number {
  const within = attempts.flatMap(one => one.periods).filter(({ startMs }) => startMs >= fromMs && startMs < toMs)
  return within.reduce((sum, { rows }) => sum + rows, 0)
}

export interface AfterBreak {
  /** Epoch ms of the first result at all of the attempts begun since: a row may be worked again that has been before. */
  readonly firstMs: number
  /** Epoch ms of the first result that nobody has seen before. */
  readonly firstNewMs: number
}

/** undefined = there is no new result yet. `parallelism`: of the attempts that count. */
export function afterBreak(attempts: readonly Attempt[], breakMs: number, parallelism: number): AfterBreak | undefined {
  const seen = lastIndex(attempts.filter(({ startMs }) => startMs < breakMs))
  const periods = attempts.filter(one => one.startMs >= breakMs && one.parallelism === parallelism).flatMap(one => one.periods)
  const first = (of: readonly Period[]) => of.reduce((min, { startMs }) => Math.min(min, startMs), Number.POSITIVE_INFINITY)
  const firstNewMs = first(periods.filter(({ indexMax }) => indexMax > seen))
  return firstNewMs === Number.POSITIVE_INFINITY ? undefined : { firstMs: first(periods), firstNewMs }
}

export interface Evenness {
  /** Results in the slowest whole second of the clock. */
  readonly slowestSecondRows: number
  /** The longest time without a result. */
  readonly gapMaxMs: number
}

/** Of the whole seconds from `fromMs` to `toMs`. */
export function evenness(attempts: readonly Attempt[], fromMs: number, toMs: number): Evenness {
  const from = Math.ceil(fromMs / 1000)
  const to = Math.floor(toMs / 1000)
  if (to <= from) throw new Error(`no whole second from ${fromMs} to ${toMs}`)
  const rows = new Array<number>(to - from).fill(0)
  const starts: number[] = []
  for (const period of attempts.flatMap(({ periods }) => periods)) {
    const second = Math.floor(period.startMs / 1000) - from
    if (second < 0 || second >= rows.length) continue
    rows[second] = (rows[second] ?? 0) + period.rows
    starts.push(period.startMs)
  }
  let last = from * 1000
  let gapMaxMs = 0
  for (const start of [...starts.sort((a, b) => a - b), to * 1000]) {
    gapMaxMs = Math.max(gapMaxMs, start - last)
    last = start + 10
  }
  return { slowestSecondRows: Math.min(...rows), gapMaxMs }
}

/** What the sink of keyed-state must have counted, worked out without an engine. */
export function expectedCounts(keys: number, rows: number): Readonly<Record<'rows' | 'checksum', number>> {
  const counts = new Int32Array(keys)
  let checksum = 0
  for (let index = 0; index < rows; index++) {
    const key = index < keys ? index : (mix(index) >>> 1) % keys
    const count = (counts[key] ?? 0) + 1
    counts[key] = count
    checksum += mix(Math.imul(key, 31) + count) & 0xffff
  }
  return { rows, checksum }
}
