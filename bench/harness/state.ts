import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import type { VertexInfo } from '../../runtime/rest/types.ts'
import type { StateCase } from '../cases.ts'
import type { Cluster } from './engine.ts'
import { Neighbours } from './machine.ts'
import { type Attempt, expectedCounts, passedSince, readAttempts } from './result-times.ts'
import { differenceOf, type JobResult, readResult } from './results.ts'
import type { RunOptions } from './side-by-side.ts'
import { type StateCluster, startFlinkWithState, startMillraceWithState } from './state-engines.ts'

/**
 * A job with much keyed state on both engines, one after the other, since both together do not fit into one machine:
 * 1. a fresh cluster, and a small job in all of its slots, so that no TaskManager that takes over later is cold;
 * 2. a job that first gives each key its value, as fast as it goes, then takes rows at a steady rate;
 * 3. the measure of the case (`state-measures.ts`) while it does;
 * 4. the job ends after a known number of rows; each must have been counted exactly once, whatever happened, else there is no figure.
 */
export interface StateFigures {
  readonly keys: number
  readonly engines: readonly { readonly name: string; readonly values: StateValues }[]
  readonly problems: readonly string[]
  readonly othersShare: number
}

/** By the figures' ids. */
export type StateValues = Readonly<Record<string, number>>

export const VALUE_BYTES = 100
export const ROWS_PER_SECOND = 200_000
const WARM_KEYS = 10_000
const POLL_MS = 20
const STEP_TIMEOUT_MS = 240_000

/** A cluster with the job that the measures drive. */
export class StateRun {
  readonly cluster: Cluster
  readonly bench: StateCase
  readonly keys: number
  readonly runs: number
  readonly say: (line: string) => void
  readonly breakSeconds: number
  private readonly jarId: string
  private readonly entry: string
  private readonly folder: string
  private outs = 0

  constructor(bench: StateCase, options: RunOptions, keys: number, started: StateCluster, folder: string) {
    const { cluster, jarId, entry, breakSeconds } = started
    this.bench = bench
    this.keys = keys
    this.runs = options.runs
    this.say = line => options.say(`${cluster.name}: ${line}`)
    this.cluster = cluster
    this.breakSeconds = breakSeconds
    this.jarId = jarId
    this.entry = entry
    this.folder = folder
  }

  /** `rows`: after how many it ends. */
  submit(rows: number, savepointPath?: string): Promise<StateJob> {
    return this.start(this.keys, rows, this.bench.parallelism, savepointPath)
  }

  async warmUp(): Promise<void> {
    const job = await this.start(WARM_KEYS, WARM_KEYS + ROWS_PER_SECOND, this.bench.taskManagers * this.bench.slots)
    await this.cluster.finished(job.id)
  }

  private async start(keys: number, rows: number, parallelism: number, savepointPath?: string): Promise<StateJob> {
    const folder = join(this.folder, `job-${this.outs++}`)
    const job = { id: '', rows, logs: join(folder, 'logs'), out: join(folder, 'out'), submittedMs: systemClock.nowMs() }
    const options = {
      keys,
      rows,
      rate: ROWS_PER_SECOND,
      'value-bytes': VALUE_BYTES,
      values: this.bench.values,
      out: job.out,
      log: job.logs,
    }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    const request = { entry: this.entry, args, parallelism }
    const id = await this.cluster.submit(this.jarId, savepointPath === undefined ? request : { ...request, savepointPath })
    return { ...job, id }
  }

  attempts(job: StateJob): Attempt[] {
    return readAttempts(job.logs)
  }

  /** Until every key has its value and rows come at their rate. */
  async filled(job: StateJob): Promise<void> {
    const startMs = systemClock.monotonicMs()
    await this.until('the state is filled', job, () => passedSince(this.attempts(job), this.keys, 1_000), 250)
    this.say(`${this.keys} keys after ${((systemClock.monotonicMs() - startMs) / 1000).toFixed(1)} s`)
  }

  /** Asks until there is an answer. */
  async until<T>(what: string, job: StateJob, ask: () => T | undefined | Promise<T | undefined>, pollMs = POLL_MS): Promise<T> {
    const startMs = systemClock.monotonicMs()
    let ended = false
    for (let round = 0; ; round++) {
      const answer = await ask()
      if (answer !== undefined) return answer
      if (ended) throw new Error(`${this.cluster.name}: the job ended before ${what}`)
      // Seldom: the cluster answers it, which is work.
      if (round % 10 === 0) ended = (await this.cluster.requireSound(job.id)) === 'FINISHED'
      if (systemClock.monotonicMs() - startMs > STEP_TIMEOUT_MS) throw new Error(`${this.cluster.name}: waited in vain until ${what}`)
      await delay(pollMs)
    }
  }

  /** Its end, which it may have come to by itself meanwhile. */
  async cancel(job: StateJob): Promise<void> {
    const { rest } = this.cluster
    await rest.cancelJob(job.id)
    const startMs = systemClock.monotonicMs()
    while (!['CANCELED', 'FINISHED'].includes(await rest.jobStatus(job.id))) {
      if (systemClock.monotonicMs() - startMs > STEP_TIMEOUT_MS) throw new Error(`${this.cluster.name}: waited in vain until the job is cancelled`)
      await delay(POLL_MS)
    }
  }

  /** The vertex that holds the state. */
  async stateVertex(job: StateJob): Promise<VertexInfo> {
    const { vertices } = await this.cluster.rest.job(job.id)
    const found = vertices.find(({ name }) => name.includes('values'))
    if (found === undefined) throw new Error(`no vertex 'values' among ${vertices.map(({ name }) => name).join(', ')}`)
    return this.cluster.rest.vertex(job.id, found.id)
  }
}

export interface StateJob {
  readonly id: string
  readonly rows: number
  readonly logs: string
  readonly out: string
  /** Epoch ms, as the logs have it. */
  readonly submittedMs: number
}

/** What a measure answers: its values, and the job that has run to its end. */
export interface Measured {
  readonly values: StateValues
  readonly job: StateJob
}

export async function runState(bench: StateCase, measure: (run: StateRun) => Promise<Measured>, options: RunOptions): Promise<StateFigures> {
  const keys = bench.keys(options.scale)
  const problems: string[] = []
  const engines: { readonly name: string; readonly values: StateValues }[] = []
  let counted = 0
  const neighbours = new Neighbours(() => process.cpuUsage().user / 1e6 + counted)
  for (const [name, start] of Object.entries({ millrace: startMillraceWithState, 'flink tuned': startFlinkWithState })) {
    if (!options.engines.includes(name)) continue
    const folder = join(options.folder, name.replace(' ', '-'))
    mkdirSync(folder, { recursive: true })
    neighbours.start()
    {
      const started = await start(bench, Math.min(1, options.scale), folder)
      const { cluster } = started
      await using _ = cluster
      const run = new StateRun(bench, options, keys, started, folder)
      await run.warmUp()
      const { values, job } = await measure(run)
      const expected: JobResult = { ...readResult(''), totals: expectedCounts(keys, job.rows) }
      const difference = differenceOf(expected, readResult(job.out))
      if (difference !== undefined) problems.push(`${name}: expected and counted differ: ${difference}`)
      counted += cluster.group.cpuSeconds()
      engines.push({ name, values })
    }
    neighbours.stop()
    // Gigabytes that the next engine's files would compete with.
    rmSync(folder, { recursive: true, force: true })
  }
  return { keys, engines, problems, othersShare: neighbours.share }
}
