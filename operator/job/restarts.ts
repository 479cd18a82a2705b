import type { WantedCondition } from '../api/conditions.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import { type Input, isGloballyTerminal, type ObservedFailure, type ObservedJob, statusOf } from './input.ts'

/**
 * Restarts of a job by itself, counted from its last completed checkpoint on: pure. Three of them are a loop (seed-details B14): the job works and gets nowhere. The
 * condition `RestartLoop` names cause, place, number and start, until a checkpoint completes. A job that takes no checkpoints has got over it when it has run for ten
 * minutes.
 *
 * REST is asked for failures and checkpoints only when the job has been restarted since the last look, and until the count is back at nothing.
 */
type Restarts = NonNullable<FlinkJobStatus['restarts']>

export const RESTART_LOOP = 'RestartLoop'
const LOOP_MIN = 3
const CALM_AFTER_MS = 600_000
const CAUSE_MAX = 1_000

/** Whether something may have changed in what `status.restarts` says. */
export function asksForRestarts({ restarts }: FlinkJobStatus, job: ObservedJob): boolean {
  if (job.kind !== 'present' || isGloballyTerminal(job.state)) return false
  if (restarts === undefined) return job.restartedMs > 0
  return restarts.count > 0 || restarts.seen !== String(job.restartedMs)
}

export function restartsOf(input: Input): Restarts | undefined {
  const { restarts } = statusOf(input)
  const { job, progress } = input.observed
  if (job.kind !== 'present' || progress === undefined || !asksForRestarts(statusOf(input), job)) return restarts
  const { checkpointMs = Number.NEGATIVE_INFINITY, takesCheckpoints, failures } = progress
  const lastMs = restarts?.last === undefined ? Number.NEGATIVE_INFINITY : Date.parse(restarts.last)
  const isOver = checkpointMs > lastMs || (!takesCheckpoints && input.nowMs - lastMs > CALM_AFTER_MS)
  const carried = restarts !== undefined && restarts.count > 0 && !isOver ? restarts : undefined
  // The newest first.
  const fresh = failures.filter(({ timestampMs }) => timestampMs > lastMs && timestampMs > checkpointMs)
  const seen = String(job.restartedMs)
  const newest = fresh[0]
  const oldest = fresh.at(-1)
  if (newest === undefined || oldest === undefined) return carried === undefined ? { count: 0, seen } : { ...carried, seen }
  const since = carried?.since ?? time(oldest)
  return { count: (carried?.count ?? 0) + fresh.length, seen, since, last: time(newest), ...causeOf(newest) }
}

function time({ timestampMs }: ObservedFailure): string {
  return new Date(timestampMs).toISOString()
}

function causeOf({ cause, where }: ObservedFailure): Pick<Restarts, 'cause' | 'where'> {
  const text = cause.length > CAUSE_MAX ? `${cause.slice(0, CAUSE_MAX - 3)}...` : cause
  return { cause: text, ...(where === undefined ? {} : { where }) }
}

export function restartLoopCondition({ restarts, jobStatus }: FlinkJobStatus): WantedCondition | undefined {
  if (restarts === undefined) return undefined
  const loops = restarts.count >= LOOP_MIN && !isGloballyTerminal(jobStatus?.state)
  if (loops) return { type: RESTART_LOOP, status: 'True', reason: 'RestartsWithoutCheckpoint', message: loopText(restarts) }
  return { type: RESTART_LOOP, status: 'False', reason: 'NoRestartLoop', message: 'the job does not restart again and again' }
}

function loopText({ count, since, where, cause }: Restarts): string {
  const place = where === undefined ? '' : ` in ${where}`
  return `restarted ${count} times since ${since} without a completed checkpoint between, the last time for a failure${place}: ${cause}`
}
