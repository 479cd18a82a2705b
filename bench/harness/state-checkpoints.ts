import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import type { Cluster } from './engine.ts'
import { figureOf } from './measure.ts'
import { requestJson } from './request.ts'
import { type Attempt, evenness, rowsBetween } from './result-times.ts'
import { type Measured, ROWS_PER_SECOND, type StateJob, type StateRun, VALUE_BYTES } from './state.ts'

/** `GET /jobs/:id/checkpoints`, of which this much is read. */
interface CheckpointStatistics {
  readonly latest: { readonly completed: { readonly external_path: string } | null }
  readonly history: readonly CheckpointRow[]
}

interface CheckpointRow {
  readonly id: number
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'
  readonly trigger_timestamp: number
  readonly end_to_end_duration: number
  readonly checkpointed_size: number
}

export const checkpointsOf = (cluster: Cluster, job: StateJob) =>
  requestJson<CheckpointStatistics>(`${cluster.rest.address}/v1/jobs/${job.id}/checkpoints`)

/** A completed one that was begun later than `sinceMs`. */
export function checkpointSince(run: StateRun, job: StateJob, sinceMs: number): Promise<true> {
  const completed = ({ status, trigger_timestamp }: CheckpointRow) => status === 'COMPLETED' && trigger_timestamp > sinceMs
  const ask = async () => ((await checkpointsOf(run.cluster, job)).history.some(completed) ? (true as const) : undefined)
  return run.until('there is a checkpoint', job, ask, 100)
}

/** Key and value of a changed row. */
const ROW_BYTES = 4 + VALUE_BYTES
const SETTLE_MS = 3_000
const WINDOW_MS = 15_000
/** How long a checkpoint that was begun within the window may go on. */
const REST_MS = 5_000

/** A checkpoint every second at the steady rate, over 15 seconds. */
export async function measureCheckpoints(run: StateRun): Promise<Measured> {
  const { cluster } = run
  const startCpu = cluster.group.cpuSeconds()
  const job = await run.submit(run.keys + (ROWS_PER_SECOND * (SETTLE_MS + WINDOW_MS + REST_MS)) / 1000)
  await run.filled(job)
  await delay(SETTLE_MS)
  const seen = new Map<number, CheckpointRow>()
  const look = async () => {
    for (const row of (await checkpointsOf(cluster, job)).history) seen.set(row.id, row)
  }
  const fromMs = systemClock.nowMs()
  const [fromCpu, fromWritten] = [cluster.group.cpuSeconds(), writtenBytes(cluster)]
  while (systemClock.nowMs() < fromMs + WINDOW_MS) {
    await look()
    await delay(500)
  }
  const toMs = systemClock.nowMs()
  const seconds = (toMs - fromMs) / 1000
  const windowCpu = cluster.group.cpuSeconds() - fromCpu
  const written = writtenBytes(cluster) - fromWritten
  const memoryBytes = cluster.pssBytes()
  await cluster.finished(job.id)
  await look()
  const history = [...seen.values()].sort((a, b) => a.id - b.id)
  const within = history.filter(({ trigger_timestamp: at }) => at >= fromMs && at <= toMs)
  const completed = within.filter(({ status }) => status === 'COMPLETED').length
  const attempts = run.attempts(job)
  const { slowestSecondRows, gapMaxMs } = evenness(attempts, fromMs, toMs)
  return {
    job,
    values: {
      ...(within.length === 0 ? {} : checkpointValues(within, history, attempts, run.keys)),
      checkpoints: completed,
      failed: within.filter(({ status }) => status === 'FAILED').length,
      ...(completed === 0
        ? {}
        : { diskPerChanged: written / (completed * changedRows(run.keys, rowsBetween(attempts, fromMs, toMs) / completed) * ROW_BYTES) }),
      slowestSecond: (100 * slowestSecondRows) / ROWS_PER_SECOND,
      gapMax: gapMaxMs / 1000,
      cpuPerSecond: windowCpu / seconds,
      cpu: cluster.group.cpuSeconds() - startCpu,
      memory: memoryBytes / 1e6,
    },
  }
}

function checkpointValues(
  within: readonly CheckpointRow[],
  history: readonly CheckpointRow[],
  attempts: readonly Attempt[],
  keys: number,
): Readonly<Record<string, number>> {
  const durations = figureOf(within.map(row => row.end_to_end_duration / 1000))
  const completed = within.filter(({ status }) => status === 'COMPLETED')
  let bytes = 0
  let changedBytes = 0
  let ratioMax = 0
  for (const row of completed) {
    const before = history.findLast(({ id, status }) => id < row.id && status === 'COMPLETED')
    if (before === undefined) continue
    const changed = changedRows(keys, rowsBetween(attempts, before.trigger_timestamp, row.trigger_timestamp)) * ROW_BYTES
    bytes += row.checkpointed_size
    changedBytes += changed
    ratioMax = Math.max(ratioMax, row.checkpointed_size / changed)
  }
  return {
    durationMax: durations.max,
    durationMedian: durations.median,
    size: bytes / 1e6 / Math.max(1, completed.length),
    perChanged: bytes / changedBytes,
    perChangedMax: ratioMax,
  }
}

/** Different keys among so many rows, by chance each. */
export function changedRows(keys: number, rows: number): number {
  return keys * (1 - (1 - 1 / keys) ** rows)
}

/** What the processes have given to the disk to write, by the kernel's account: all of their files. */
function writtenBytes(cluster: Cluster): number {
  const of = (pid: number) => Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0)
  return cluster.group.pids().reduce((sum, pid) => sum + of(pid), 0)
}
