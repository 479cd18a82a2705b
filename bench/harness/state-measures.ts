import { systemClock } from '../../runtime/common/clock.ts'
import type { StateCase } from '../cases.ts'
import { figureOf } from './measure.ts'
import { requestJson } from './request.ts'
import { type AfterBreak, afterBreak, lastIndex } from './result-times.ts'
import { type Measured, ROWS_PER_SECOND, type StateJob, type StateRun } from './state.ts'
import { checkpointSince, checkpointsOf, measureCheckpoints } from './state-checkpoints.ts'

/** What the state cases do with a filled job. Points of time are the same on both engines: requests sent, states told by REST, lines of the sink's log. */
export const stateMeasures: Readonly<Record<StateCase['measure'], (run: StateRun) => Promise<Measured>>> = {
  checkpoint: measureCheckpoints,
  restore: measureRestore,
  kill: measureKill,
  rescale: measureRescale,
}

const REST_SECONDS = 5
const medianSeconds = (valuesMs: readonly number[]) => figureOf(valuesMs).median / 1000

/** From a checkpoint that a cancelled job left behind. */
async function measureRestore(run: StateRun): Promise<Measured> {
  const { cluster, bench } = run
  // Never reached: it is cancelled before.
  const first = await run.submit(run.keys + ROWS_PER_SECOND * 120)
  await run.filled(first)
  await checkpointSince(run, first, systemClock.nowMs())
  await run.cancel(first)
  const path = (await checkpointsOf(cluster, first)).latest.completed?.external_path
  if (path === undefined) throw new Error(`${cluster.name} left no checkpoint behind`)
  const rows = lastIndex(run.attempts(first)) + ROWS_PER_SECOND
  const restored: number[] = []
  const firstResult: number[] = []
  for (let round = 1; ; round++) {
    const job = await run.submit(rows, path)
    const { firstMs } = await firstNew(run, job, job.submittedMs, bench.parallelism)
    const { subtasks } = await run.stateVertex(job)
    const during = subtasks.map(({ 'status-duration': spent }) => Math.max(0, spent['DEPLOYING'] ?? 0) + Math.max(0, spent['INITIALIZING'] ?? 0))
    restored.push(Math.max(...during))
    firstResult.push(firstMs - job.submittedMs)
    run.say(`${round}/${run.runs}: deployed to restored ${Math.max(...during)} ms, request to first result ${firstMs - job.submittedMs} ms`)
    if (round >= run.runs) {
      await cluster.finished(job.id)
      return { job, values: { restored: medianSeconds(restored), first: medianSeconds(firstResult) } }
    }
    await run.cancel(job)
  }
}

/** `kill -9` of the TaskManager that has the state's first subtask, while another one has a free slot. */
async function measureKill(run: StateRun): Promise<Measured> {
  const { cluster, bench } = run
  const spares = bench.taskManagers - bench.parallelism
  // One that is started in between would be cold, and by chance the one that is taken.
  if (run.runs > spares) throw new Error(`${bench.name} has ${spares} spare TaskManagers: RUNS is at most that`)
  return measureBreaks(run, async job => {
    const { subtasks } = await run.stateVertex(job)
    const taskManager = subtasks[0]?.['taskmanager-id'].replace('tm-', 'taskmanager-') ?? ''
    const atMs = systemClock.nowMs()
    cluster.killProcess(taskManager)
    const after = await firstNew(run, job, atMs, bench.parallelism)
    const { exceptionHistory } = await cluster.rest.jobExceptions(job.id)
    const [newest] = exceptionHistory.entries
    if (newest !== undefined) run.say(`noticed after ${newest.timestamp - atMs} ms: ${newest.stacktrace.split('\n')[0]}`)
    return { atMs, after }
  })
}

async function measureRescale(run: StateRun): Promise<Measured> {
  const { bench } = run
  return measureBreaks(run, async (job, last) => {
    const atMs = await rescale(run, job, 2 * bench.parallelism)
    const after = await firstNew(run, job, atMs, 2 * bench.parallelism)
    // The last one ends with the larger parallelism: each subtask of the sink then has its part of the result.
    if (!last) await firstNew(run, job, await rescale(run, job, bench.parallelism), bench.parallelism)
    return { atMs, after }
  })
}

interface Break {
  readonly atMs: number
  readonly after: AfterBreak
}

async function measureBreaks(run: StateRun, breakJob: (job: StateJob, last: boolean) => Promise<Break>): Promise<Measured> {
  const { cluster } = run
  const job = await run.submit(run.keys + ROWS_PER_SECOND * (REST_SECONDS + run.breakSeconds * run.runs))
  await run.filled(job)
  const first: number[] = []
  const fresh: number[] = []
  for (let round = 1; round <= run.runs; round++) {
    const sinceMs = systemClock.nowMs()
    await checkpointSince(run, job, sinceMs)
    run.say(`${round}/${run.runs}: a checkpoint after ${systemClock.nowMs() - sinceMs} ms, row ${lastIndex(run.attempts(job))} of ${job.rows}`)
    const { atMs, after } = await breakJob(job, round === run.runs)
    first.push(after.firstMs - atMs)
    fresh.push(after.firstNewMs - atMs)
    run.say(`${round}/${run.runs}: first result after ${after.firstMs - atMs} ms, first new one after ${after.firstNewMs - atMs} ms`)
  }
  await cluster.finished(job.id)
  return { job, values: { first: medianSeconds(first), firstNew: medianSeconds(fresh) } }
}

/** Answers when it was asked for. */
async function rescale({ cluster }: StateRun, job: StateJob, parallelism: number): Promise<number> {
  const { vertices } = await cluster.rest.job(job.id)
  const bounds = { parallelism: { lowerBound: parallelism, upperBound: parallelism } }
  const atMs = systemClock.nowMs()
  const url = `${cluster.rest.address}/v1/jobs/${job.id}/resource-requirements`
  await requestJson(url, 'PUT', Object.fromEntries(vertices.map(({ id }) => [id, bounds])))
  return atMs
}

function firstNew(run: StateRun, job: StateJob, sinceMs: number, parallelism: number): Promise<AfterBreak> {
  return run.until('there is a new result', job, () => afterBreak(run.attempts(job), sinceMs, parallelism))
}
