import { nexmarkLines } from './generate/nexmark.ts'
import { wordLines } from './generate/words.ts'
import { cachedFile } from './harness/cache.ts'
import type { Path } from './harness/paths.ts'

/** What is measured, as data. Names are `CASE=`. */
interface Common {
  readonly name: string
  readonly summary: string
}

export interface Target {
  /** Ours to tuned Flink's records per CPU-second. */
  readonly ratio: number
  readonly aim: number
}

/** The same program in TypeScript and Java. */
export interface ProgramCase extends Common {
  readonly kind: 'program'
  /** bench/jobs/<job>.ts */
  readonly job: string
  /** bench/flink/<program>.java */
  readonly program: string
  readonly records: (scale: number) => number
  readonly args: (records: number) => readonly string[]
  /** Hot operators of ours, by metric scope (SQL: without the number in brackets, meaning all of that name), and the path their rows must take. */
  readonly hotOperators: Readonly<Record<string, Path>>
  readonly target: Target
}

/** The same script; results compared through a filesystem sink, then measured into a blackhole. */
export interface SqlCase extends Common {
  readonly kind: 'sql'
  /** bench/sql/<script>.sql; `${name}` are replaced. */
  readonly script: string
  readonly records: (scale: number) => number
  readonly variables: (records: number) => Readonly<Record<string, string>>
  /** As of a program. */
  readonly hotOperators: Readonly<Record<string, Path>>
  readonly target: Target
}

/** Ours alone. */
export interface ExchangeCase extends Common {
  readonly kind: 'exchange'
  readonly taskManagers: number
  readonly slots: number
  readonly records: (scale: number) => number
  readonly targetMbPerSecond: number
}

export interface StartupCase extends Common {
  readonly kind: 'startup'
}

/** Many FlinkJobs on one operator; ours alone, see `bench/harness/operator.ts`. */
export interface OperatorCase extends Common {
  readonly kind: 'operator'
  readonly jobs: number
}

/** Much keyed state under a steady rate; see `bench/harness/state.ts`. */
export interface StateCase extends Common {
  readonly kind: 'state'
  readonly measure: 'checkpoint' | 'restore' | 'kill' | 'rescale'
  /** Whether the state's type is declared. */
  readonly values: 'typed' | 'generic'
  readonly taskManagers: number
  readonly slots: number
  readonly parallelism: number
  readonly keys: (scale: number) => number
  /** Breaks or restores per engine, unless RUNS says otherwise. */
  readonly runs: number
  readonly figures: readonly StateFigure[]
}

export interface StateFigure {
  /** As the measure calls it. */
  readonly id: string
  readonly label: string
  readonly unit: string
  readonly digits: number
  /** Of ours, or of ours to Flink's. */
  readonly required?: { readonly of: 'millrace' | 'ratio'; readonly atMost?: number; readonly atLeast?: number }
}

export type Case = ProgramCase | SqlCase | ExchangeCase | StartupCase | StateCase | OperatorCase

const scaled = (records: number) => (scale: number) => Math.max(1, Math.round(records * scale))
const DISTINCT_WORDS = 50_000
const words = (lines: number) => cachedFile(`words-${lines}-${DISTINCT_WORDS}.txt`, () => wordLines(lines, DISTINCT_WORDS))
const nexmark = (events: number) => cachedFile(`nexmark-${events}.jsonl`, () => nexmarkLines(events))

function keyedSum(name: string, keys: number, extra: readonly string[], target: Target): ProgramCase {
  return {
    kind: 'program',
    name,
    summary: `50 million generated (int, long) rows, ${keys} keys, rolling sum${extra.length === 0 ? '' : `, ${extra.join(' ')}`}`,
    job: 'keyed-sum',
    program: 'KeyedSum',
    records: scaled(50_000_000),
    args: records => ['--rows', String(records), '--keys', String(keys), ...extra],
    hotOperators: { Source__numbers: 'columnar', pairs: 'generated', sums: 'columnar', Sink__sink: 'generated' },
    target,
  }
}

const NEXMARK_EVENTS = 5_000_000
const fromJson = (events: number) => ({ input: nexmark(events), events: String(events) })
const generated = (events: number) => ({ last: String(events - 1), events: String(events) })

function sql(name: string, summary: string, variables: SqlCase['variables'], target: Target, windows = false): SqlCase {
  const columns: Record<string, Path> = { Calc: 'generated', Sink__results: 'columnar' }
  const hotOperators = windows ? { ...columns, LocalWindowAggregate: 'generated' as const, GlobalWindowAggregate: 'generated' as const } : columns
  return { kind: 'sql', name, summary, script: name, records: scaled(NEXMARK_EVENTS), variables, hotOperators, target }
}

const STATE_KEYS = 10_000_000

const checkpointFigures: readonly StateFigure[] = [
  { id: 'durationMax', label: 'longest checkpoint', unit: 's', digits: 2, required: { of: 'millrace', atMost: 1 } },
  { id: 'durationMedian', label: 'median checkpoint', unit: 's', digits: 2 },
  { id: 'checkpoints', label: 'checkpoints in 15 s', unit: '', digits: 0 },
  { id: 'failed', label: 'failed checkpoints', unit: '', digits: 0, required: { of: 'millrace', atMost: 0 } },
  { id: 'size', label: 'bytes of a checkpoint', unit: 'MB', digits: 1 },
  { id: 'perChanged', label: 'bytes per changed byte', unit: 'x', digits: 2, required: { of: 'millrace', atMost: 3 } },
  { id: 'perChangedMax', label: 'the same, largest checkpoint', unit: 'x', digits: 2 },
  { id: 'diskPerChanged', label: 'written to disk per changed byte', unit: 'x', digits: 2 },
  { id: 'slowestSecond', label: "sink's slowest second, of the rate", unit: '%', digits: 1, required: { of: 'millrace', atLeast: 95 } },
  { id: 'gapMax', label: 'longest time without a result', unit: 's', digits: 2 },
  { id: 'cpuPerSecond', label: 'CPU-seconds a second', unit: '', digits: 2 },
  { id: 'cpu', label: 'CPU-seconds of the whole job', unit: '', digits: 1 },
  { id: 'memory', label: 'memory of all processes', unit: 'MB', digits: 0 },
]

const breakFigures: readonly StateFigure[] = [
  { id: 'firstNew', label: 'until the first new result', unit: 's', digits: 2, required: { of: 'ratio', atMost: 1 / 3 } },
  { id: 'first', label: 'until the first result, seen before or not', unit: 's', digits: 2 },
]

function state(
  name: string,
  what: string,
  measure: StateCase['measure'],
  layout: Pick<StateCase, 'taskManagers' | 'slots'>,
  runs: number,
  figures: readonly StateFigure[],
  values: StateCase['values'] = 'typed',
): StateCase {
  const summary = `10 million keys with values of 100 bytes, 200,000 rows/s, a checkpoint a second: ${what}`
  return { kind: 'state', name, summary, measure, values, ...layout, parallelism: 2, keys: scaled(STATE_KEYS), runs, figures }
}

const stateless: Target = { ratio: 5, aim: 12 }
const windowed: Target = { ratio: 4, aim: 10 }
const fromGenerator: Target = { ratio: 2, aim: 4 }

export const cases: readonly Case[] = [
  {
    kind: 'program',
    name: 'word-count',
    summary: `2 million lines of 10 words, ${DISTINCT_WORDS} distinct, skewed; lambdas on both sides`,
    job: 'word-count',
    program: 'WordCount',
    records: scaled(2_000_000),
    args: lines => ['--input', words(lines)],
    hotOperators: { Source__lines: 'columnar', words: 'generated', counts: 'columnar', Sink__sink: 'generated' },
    target: { ratio: 2, aim: 5 },
  },
  keyedSum('keyed-sum-1k', 1_000, [], { ratio: 1.5, aim: 4 }),
  keyedSum('keyed-sum-100k', 100_000, [], { ratio: 1.5, aim: 4 }),
  keyedSum('keyed-sum-1k-bigint', 1_000, ['--long', 'bigint'], { ratio: 1.5, aim: 4 }),
  sql('nexmark-q0', 'Nexmark q0 (pass through) from JSON lines', fromJson, stateless),
  sql('nexmark-q1', 'Nexmark q1 (currency conversion) from JSON lines', fromJson, stateless),
  sql('nexmark-q2', 'Nexmark q2 (selection) from JSON lines', fromJson, stateless),
  sql('nexmark-q22', 'Nexmark q22 (parts of a URL) from JSON lines', fromJson, stateless),
  sql('tumble', 'bids per auction in TUMBLE 10 s from JSON lines', fromJson, windowed, true),
  sql('hop', 'bids per auction in HOP 10 s / 2 s from JSON lines', fromJson, windowed, true),
  sql('datagen-q1', 'q1 over generated bids', generated, fromGenerator),
  sql('datagen-tumble', 'bids per auction in TUMBLE 10 s over generated bids', generated, fromGenerator, true),
  sql('datagen-hop', 'bids per auction in HOP 10 s / 2 s over generated bids', generated, fromGenerator, true),
  {
    kind: 'exchange',
    name: 'exchange-slots',
    summary: 'HASH edge between two slots of one TaskManager, rows of 64 bytes, every column read',
    taskManagers: 1,
    slots: 2,
    records: scaled(20_000_000),
    targetMbPerSecond: 1_000,
  },
  {
    kind: 'exchange',
    name: 'exchange-processes',
    summary: 'the same between two TaskManagers over TCP',
    taskManagers: 2,
    slots: 1,
    records: scaled(20_000_000),
    targetMbPerSecond: 300,
  },
  state('state-checkpoint', 'checkpoints', 'checkpoint', { taskManagers: 1, slots: 2 }, 1, checkpointFigures),
  state(
    'state-checkpoint-generic',
    'checkpoints, values of no declared type',
    'checkpoint',
    { taskManagers: 1, slots: 2 },
    1,
    checkpointFigures,
    'generic',
  ),
  state('state-restore', 'restore', 'restore', { taskManagers: 1, slots: 2 }, 3, [
    { id: 'restored', label: 'from deploying to restored', unit: 's', digits: 2, required: { of: 'millrace', atMost: 3 } },
    { id: 'first', label: 'from the request to the first result', unit: 's', digits: 2 },
  ]),
  state('state-kill', 'kill -9 of a TaskManager, a spare one there', 'kill', { taskManagers: 4, slots: 1 }, 1, breakFigures),
  state('state-rescale', 'in place from parallelism 2 to 4', 'rescale', { taskManagers: 2, slots: 2 }, 1, breakFigures),
  { kind: 'startup', name: 'startup', summary: 'an empty local job, its first row, memory of an idle cluster with 2 slots' },
  { kind: 'operator', name: 'operator-500', summary: '500 FlinkJobs at once on the operator, then IDLE=600 seconds of nothing', jobs: 500 },
]
