import { FORCE_DELETE_ANNOTATION } from '../api/fields.ts'
import type { FlinkSessionSpec, FlinkSessionStatus } from '../api/flink-session.ts'
import type { Action, ObservedCluster } from '../effects/actions.ts'
import { isClusterGone, stopActions } from '../job/input.ts'
import { liveOf } from '../job/live.ts'
import { restartingPart, type SessionDecision, type SessionInput, type SessionLoad, taskManagersNeeded } from './input.ts'
import { type SessionStatusChange, sessionStatus } from './status.ts'

/**
 * What to do next about one FlinkSession: pure; an ordered list of rules, the first that answers wins, as for FlinkJobs (operator/job/decide.ts). The status is saved
 * before the actions run, and every action says what shall be there afterwards.
 *
 * 1. `deleteSession`: waits for the jobs that name it. Past `deletionTimeout` the status says `evicting`, on which each job of it suspends itself with a savepoint. What still
 *    runs then holds the deletion, by name, until `deletionPolicy: Delete` or the annotation `millrace.dev/force-delete`. A JobManager that is lost meanwhile is not started again.
 * 2. `restart`: a changed cluster part of the spec, or a JobManager that is lost: TaskManagers and JobManager end, jobs with checkpoints are suspended by that. Before a restart for an edit
 *    those that upgrade by savepoint suspend themselves with one, and the status says for which it waits.
 * 3. `deploy`: the intent, JobManager, TaskManagers.
 * 4. `scale`: as many TaskManagers as jobs ask for, from `taskManager.replicas` to `maxTaskManagers`; fewer after `idleTimeout`.
 *
 * The jobs themselves are FlinkJobs with controllers of their own, which find the cluster through the session's status.
 */
type Rule = (input: SessionInput) => SessionDecision | undefined

const POLL_MS = 100
const REPORT_MS = 1_000
const RESTART_FIRST_MS = 10_000
const RESTART_MAX_MS = 300_000
const RESTARTS_FORGIVEN_AFTER_MS = 600_000

const rules: readonly Rule[] = [deleteSession, restart, deploy, scale]

export function decideSession(input: SessionInput): SessionDecision {
  for (const rule of rules) {
    const decision = rule(input)
    if (decision !== undefined) return decision
  }
  return answer(sessionStatus(input, {}), REPORT_MS)
}

function answer(status: FlinkSessionStatus, requeueAfterMs: number, ...actions: Action[]): SessionDecision {
  return { status, actions, requeueAfterMs }
}

function deleteSession(input: SessionInput): SessionDecision | undefined {
  const { session, observed, nowMs } = input
  const { deletionTimestamp, annotations } = session.metadata
  if (deletionTimestamp === undefined) return undefined
  const { deletionTimeoutMs, deletionPolicy } = session.spec
  const blockers = observed.jobs.filter(job => !job.isAtRest)
  const waitedMs = nowMs - Date.parse(deletionTimestamp)
  const isForced = deletionPolicy === 'Delete' || annotations?.[FORCE_DELETE_ANNOTATION] === 'true'
  if (blockers.length > 0 && !isForced) {
    const names = blockers.map(({ name, message }) => (message === undefined ? name : `${name} (${message})`)).join(', ')
    const isEvicting = waitedMs >= deletionTimeoutMs
    const blocked = isEvicting
      ? `jobs of the session are suspended with a savepoint, and it waits for ${names}`
      : `waits for its jobs to be deleted or to end: ${names}; they are suspended with a savepoint at ${new Date(Date.parse(deletionTimestamp) + deletionTimeoutMs).toISOString()}`
    const change = { lifecycleState: 'DELETING', evicting: isEvicting ? true : undefined, waits: undefined, blocked } as const
    if (isLost(observed.cluster) || session.status?.restart !== undefined) return loseJobManager(input, change)
    // Without slots no job comes to a savepoint.
    const scaled = scale(input)
    if (scaled === undefined) return answer(sessionStatus(input, change), REPORT_MS)
    return { ...scaled, status: sessionStatus({ ...input, session: { ...session, status: scaled.status } }, change) }
  }
  if (isClusterGone(observed.cluster))
    return answer(
      sessionStatus(input, { lifecycleState: 'DELETED', jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined, blocked: undefined }),
      REPORT_MS,
    )
  // The JobManager first: its jobs, if any still run, keep what they have.
  return answer(sessionStatus(input, { lifecycleState: 'DELETING', blocked: undefined }), POLL_MS, ...stopActions(observed.cluster).reverse())
}

/** There will be no other one: jobs see that nobody runs them, and rest on what is at the store. */
function loseJobManager(input: SessionInput, change: SessionStatusChange): SessionDecision {
  const { cluster } = input.observed
  const lost = { ...change, error: 'the JobManager is gone, and is not started again for a session that is being deleted' }
  if (!isClusterGone(cluster)) return answer(sessionStatus(input, lost), POLL_MS, ...stopActions(cluster).reverse())
  return answer(sessionStatus(input, { ...lost, restart: undefined, jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined }), REPORT_MS)
}

function isLost({ jobManager }: ObservedCluster): boolean {
  return jobManager.kind === 'ended' || jobManager.kind === 'missing'
}

/** Also what is left of a restart that was begun. */
function restart(input: SessionInput): SessionDecision | undefined {
  const { session, observed, nowMs } = input
  const { status } = session
  if (status?.lastReconciledSpec === undefined) return undefined
  const { cluster } = observed
  if (status.restart === undefined) {
    const reason = restartReason(input)
    if (reason === undefined) return undefined
    const wasLost = isLost(cluster)
    const waiting = cluster.jobManager.kind === 'ready' ? observed.jobs.filter(({ needsSavepoint }) => needsSavepoint) : []
    if (waiting.length > 0) {
      const waits = `${reason}: the cluster is restarted when these jobs rest with a savepoint: ${waiting.map(({ name }) => name).join(', ')}`
      return answer(sessionStatus(input, { lifecycleState: 'UPGRADING', waits }), REPORT_MS)
    }
    const count = wasLost ? (status.lost?.count ?? 0) : 0
    const delayMs = count === 0 ? 0 : Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** (count - 1))
    return answer(
      sessionStatus(input, {
        lifecycleState: 'UPGRADING',
        jobManagerDeploymentStatus: wasLost ? 'ERROR' : (status.jobManagerDeploymentStatus ?? 'READY'),
        waits: undefined,
        restart: { reason, after: new Date(nowMs + delayMs).toISOString() },
        lost: wasLost ? { count: count + 1, since: new Date(nowMs).toISOString() } : status.lost,
        error: wasLost ? reason : undefined,
      }),
      0,
    )
  }
  if (!isClusterGone(cluster)) return answer(sessionStatus(input, {}), POLL_MS, ...stopActions(cluster).reverse())
  const waitMs = Date.parse(status.restart.after) - nowMs
  if (waitMs > 0) return answer(sessionStatus(input, { jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined }), Math.min(waitMs, REPORT_MS))
  return answer(
    sessionStatus(input, {
      ...reconciled(input),
      restart: undefined,
      jobManagerDeploymentStatus: 'MISSING',
      clusterInfo: undefined,
      scaleDown: undefined,
      taskManager: { replicas: session.spec.minTaskManagers },
    }),
    0,
  )
}

function restartReason({ session, observed }: SessionInput): string | undefined {
  const { status, spec } = session
  const wanted = restartingPart(spec)
  if (status?.lastReconciledSpec !== wanted) return 'the cluster part of the spec has changed'
  const { jobManager } = observed.cluster
  if (jobManager.kind === 'ended') return jobManager.message
  if (jobManager.kind === 'missing' && status.jobManagerDeploymentStatus === 'READY') return 'the JobManager is gone'
  return undefined
}

function reconciled({ session }: SessionInput) {
  return { observedGeneration: session.metadata.generation, lastReconciledSpec: restartingPart(session.spec) }
}

function deploy(input: SessionInput): SessionDecision | undefined {
  const { session, observed } = input
  const { status, spec } = session
  if (status?.lastReconciledSpec === undefined)
    return answer(sessionStatus(input, { ...reconciled(input), lifecycleState: 'UPGRADING', taskManager: { replicas: spec.minTaskManagers } }), 0)
  const { jobManager } = observed.cluster
  if (jobManager.kind === 'missing')
    return answer(sessionStatus(input, { jobManagerDeploymentStatus: 'DEPLOYING' }), POLL_MS, { kind: 'startJobManager', spec: spec.cluster })
  if (jobManager.kind !== 'ready') return answer(sessionStatus(input, { jobManagerDeploymentStatus: 'DEPLOYED_NOT_READY' }), POLL_MS)
  return undefined
}

function scale(input: SessionInput): SessionDecision | undefined {
  const { session, observed, nowMs } = input
  const { cluster, load } = observed
  const { status, spec } = session
  if (cluster.jobManager.kind !== 'ready') return undefined
  const before = status?.taskManager?.replicas ?? spec.minTaskManagers
  const problem = taskManagerProblem(cluster)
  const ready = {
    waits: undefined,
    observedGeneration: session.metadata.generation,
    jobManagerDeploymentStatus: 'READY' as const,
    clusterInfo: { 'web-address': cluster.jobManager.webAddress },
    jobs: observed.jobs.map(({ name }) => name).sort(),
    lost: isForgiven(status, nowMs) ? undefined : status?.lost,
  }
  // Nobody could be asked: what was decided stays.
  const needed = load === undefined ? before : taskManagersNeeded(spec, load, before)
  const replicas = Math.max(needed, before)
  const shortage = load !== undefined && replicas === spec.maxTaskManagers ? shortageText(spec, load) : undefined
  const scaleDown =
    needed >= before ? undefined : status?.scaleDown?.to === needed ? status.scaleDown : { to: needed, since: new Date(nowMs).toISOString() }
  const isDue = scaleDown !== undefined && nowMs - Date.parse(scaleDown.since) >= spec.idleTimeoutMs
  const wanted = isDue ? needed : replicas
  const next = sessionStatus(input, {
    ...ready,
    lifecycleState: cluster.taskManagers.running >= spec.minTaskManagers ? 'STABLE' : 'DEPLOYED',
    taskManager: { replicas: wanted },
    scaleDown: isDue ? undefined : scaleDown,
    error: problem,
    shortage,
  })
  const live = liveOf(spec.cluster)
  const actions: Action[] = live === status?.live ? [] : [{ kind: 'applyLive', spec: spec.cluster }]
  if (cluster.taskManagers.running < wanted) actions.push({ kind: 'startTaskManagers', spec: spec.cluster, replicas: wanted })
  if (cluster.taskManagers.running > wanted) actions.push({ kind: 'stopTaskManagers', keep: wanted })
  const decision = answer(next, actions.length > 0 || scaleDown !== undefined ? POLL_MS : REPORT_MS, ...actions)
  return live === status?.live ? decision : { ...decision, statusAfter: sessionStatus({ ...input, session: { ...session, status: next } }, { live }) }
}

/** A JobManager that has run for a while since it was last lost is as good as any. */
function isForgiven(status: FlinkSessionStatus | undefined, nowMs: number): boolean {
  return status?.lost !== undefined && nowMs - Date.parse(status.lost.since) >= RESTARTS_FORGIVEN_AFTER_MS
}

function taskManagerProblem({ taskManagers }: ObservedCluster): string | undefined {
  return taskManagers.ended[0]?.message
}

/** Slots that are on their way are not missing. */
function shortageText({ maxTaskManagers, slotsPerTaskManager }: FlinkSessionSpec, { slotsRequired, slotsTotal }: SessionLoad): string | undefined {
  const missing = slotsRequired - Math.max(0, maxTaskManagers * slotsPerTaskManager - slotsTotal)
  return missing <= 0 ? undefined : `jobs wait for ${missing} more slots, and there are maxTaskManagers (${maxTaskManagers}) TaskManagers already`
}

/** An action failed, and is tried again. */
export function statusAfterRetry(input: SessionInput, message: string): FlinkSessionStatus {
  return sessionStatus(input, { error: message })
}
