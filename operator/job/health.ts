import type { FlinkJobStatus } from '../api/flink-job.ts'
import type { HealthCheck } from '../api/operator-options.ts'
import {
  answer,
  type Decision,
  type Input,
  intendedSpec,
  isGloballyTerminal,
  type ObservedJob,
  type ObservedProgress,
  POLL_MS,
  statusOf,
} from './input.ts'
import { statusWith } from './status.ts'

/**
 * Restart of a job that is not healthy, as Flink's operator has it under `kubernetes.operator.cluster.health-check.*`: pure. Not healthy is a job that has restarted
 * more often than the threshold within the window, or that takes checkpoints and has completed none within theirs.
 *
 * Its JobManager is ended, which suspends the job. What follows is what follows for any JobManager that is lost (recovery.ts): the job goes on under its id from its
 * newest restore point, later each time it happens again soon. The reason stands in `status.health` until then, and in `status.recovery` afterwards.
 *
 * A healthy job costs no write: restarts are counted when there are some, and checkpoints asked for when the last one that is known of is older than the window.
 */
type Health = NonNullable<FlinkJobStatus['health']>

/** Whether something may be wrong that nobody else asks about. */
export function asksForHealth(status: FlinkJobStatus, job: ObservedJob, nowMs: number): boolean {
  const check = checkOf(status)
  if (check === undefined || job.kind !== 'present' || isGloballyTerminal(job.state) || status.upgrade !== undefined) return false
  const { health } = status
  if (health === undefined) return true
  return check.checkpointProgress && health.windowMs !== undefined && nowMs - Date.parse(health.checkpointAt) > health.windowMs
}

export function restartUnhealthy(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { job, progress, cluster } = input.observed
  const { health, upgrade, reconciliationStatus } = status
  if (upgrade !== undefined || reconciliationStatus?.state !== 'DEPLOYED') return undefined
  if (health?.unhealthy !== undefined) {
    const isGone = cluster.jobManager.kind === 'missing' || cluster.jobManager.kind === 'ended'
    return isGone || isGloballyTerminal(status.jobStatus?.state) ? undefined : answer(status, POLL_MS, { kind: 'stopJobManager' })
  }
  const check = checkOf(status)
  if (check === undefined || progress === undefined || job.kind !== 'present' || isGloballyTerminal(job.state)) return undefined
  const next = healthOf(health, check, progress, job.startTimeMs, input.nowMs)
  const unhealthy = problemOf(next, check, progress, input.nowMs)
  if (unhealthy !== undefined) return answer(statusWith(input, { health: { ...next, unhealthy }, error: unhealthy }), 0)
  // The rules below look after the job as ever, and what is known of its health is kept with what they say.
  return JSON.stringify(next) === JSON.stringify(health) ? undefined : answer(statusWith(input, { health: next }), 0)
}

function checkOf(status: FlinkJobStatus): HealthCheck | undefined {
  return status.reconciliationStatus === undefined ? undefined : intendedSpec(status).healthCheck
}

function healthOf(before: Health | undefined, check: HealthCheck, progress: ObservedProgress, startMs: number, nowMs: number): Health {
  const { restarts, checkpointMs, takesCheckpoints } = progress
  const isCurrent = before !== undefined && before.restarts <= restarts && nowMs - Date.parse(before.restartsSince) <= check.restartsWindowMs
  const counted = isCurrent ? { restartsSince: before.restartsSince, restarts: before.restarts } : { restartsSince: time(nowMs), restarts }
  const windowMs = takesCheckpoints ? Math.max(check.checkpointWindowMs ?? 0, progress.checkpointWindowMs) : undefined
  const checkpointMsKnown = Math.max(checkpointMs ?? 0, startMs)
  // A later checkpoint is noted when the window is over, not each time: nothing is decided by it before.
  const isRecent =
    before?.windowMs === windowMs && before !== undefined && nowMs - Date.parse(before.checkpointAt) <= (windowMs ?? Number.POSITIVE_INFINITY)
  const checkpointAt = isRecent ? before.checkpointAt : time(checkpointMsKnown)
  return { ...counted, checkpointAt, ...(windowMs === undefined ? {} : { windowMs }) }
}

function problemOf(health: Health, check: HealthCheck, progress: ObservedProgress, nowMs: number): string | undefined {
  const restarts = progress.restarts - health.restarts
  if (restarts > check.restartsThreshold)
    return `the job is not healthy: it has restarted ${restarts} times since ${health.restartsSince}, ${check.restartsThreshold} within ${seconds(check.restartsWindowMs)} are allowed`
  if (!check.checkpointProgress || health.windowMs === undefined || nowMs - Date.parse(health.checkpointAt) <= health.windowMs) return undefined
  return `the job is not healthy: no checkpoint was completed since ${health.checkpointAt}, one within ${seconds(health.windowMs)} is expected`
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}

function seconds(ms: number): string {
  return `${ms / 1_000} s`
}
