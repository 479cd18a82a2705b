import type { FlinkJobStatus, LifecycleState } from '../api/flink-job.ts'
import type { Action } from '../effects/actions.ts'
import { withConditions } from './conditions.ts'
import { blockedDeletion, deleteJob } from './deletion.ts'
import { evict } from './eviction.ts'
import { restartUnhealthy } from './health.ts'
import {
  answer,
  type Decision,
  hasEnded,
  type Input,
  intendedSpec,
  isClusterGone,
  isGloballyTerminal,
  POLL_MS,
  REPORT_MS,
  type Rule,
  replicasFor,
  statusOf,
  stopActions,
} from './input.ts'
import { liveOf } from './live.ts'
import { because, endedStatus, recover, recoveryWait, startFailure } from './recovery.ts'
import { continueRescale, isRescaling, refusedRescale, replicasForShortage, taskManagersKept } from './rescale.ts'
import { restartsOf } from './restarts.ts'
import { isRolledBack, isStable, rollBack, rollbackProblem } from './rollback.ts'
import { withSnapshots } from './snapshots.ts'
import { startPathProblem } from './start-path.ts'
import { isPlanning, mayDropState } from './state-plan.ts'
import { statusWith, withObservedJob, withProblems } from './status.ts'
import { continueUpgrade, pendingEdit, startUpgrade } from './upgrade.ts'

const WAIT_WORTH_SAYING_MS = 10_000

/**
 * What to do next about one FlinkJob: pure. An ordered list of rules, the first that answers wins, each may assume that those above it
 * declined. The shell saves `status` before it runs `actions`: after a crash in between, the saved status must lead back to the same
 * actions, which are idempotent.
 *
 * 1. `deleteJob`: an object that is to go away (deletion.ts).
 * 2. `continueUpgrade`, `continueRescale`: an edit is being carried out (upgrade.ts), in place (rescale.ts).
 * 3. `evict`: the session that the job runs on is to go away (eviction.ts).
 * 4. `rollBack`: a changed spec has not become stable (rollback.ts).
 * 5. `releaseCluster`: the job has ended, or cannot be deployed: its processes end with it.
 * 6. `startUpgrade`: the spec is not the one that is carried out.
 * 7. `rest`: the job is suspended, or has ended.
 * 8. `restartUnhealthy`: the job runs, and gets nowhere (health.ts).
 * 9. `recover`: the JobManager is lost (recovery.ts).
 * 10. `deploy`: id first, then JobManager, TaskManagers, submission.
 * 11. `report`: what REST says of the job; TaskManagers that it has lost are replaced.
 *
 * Beside whatever they answer the job's FlinkSnapshots are seen to (snapshots.ts).
 */
const rules: readonly Rule[] = [
  deleteJob,
  continueUpgrade,
  continueRescale,
  evict,
  rollBack,
  releaseCluster,
  startUpgrade,
  rest,
  restartUnhealthy,
  recover,
  deploy,
  report,
]

export function decide(looked: Input): Decision {
  const { jobStatus, upgrade } = statusOf(looked)
  const { job } = looked.observed
  // Who says that a job has ended which its JobManager runs is wrong: it would be ended for that.
  const isContradicted = upgrade === undefined && isGloballyTerminal(jobStatus?.state) && job.kind === 'present' && !isGloballyTerminal(job.state)
  const input = isContradicted ? withObservedJob(looked) : looked
  const decision = withSnapshots(input, firstAnswer(input))
  return { ...decision, status: withConditions(input, withProblems(input, decision.status)) }
}

function firstAnswer(input: Input): Decision {
  for (const rule of rules) {
    const decision = rule(input)
    if (decision !== undefined) return decision
  }
  return answer(statusOf(input), REPORT_MS)
}

function releaseCluster(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { cluster } = input.observed
  if (!hasEnded(status)) return undefined
  if (isClusterGone(cluster)) {
    if (status.jobManagerDeploymentStatus === 'MISSING') return undefined
    return answer(statusWith(input, { jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined }), 0)
  }
  return answer(status, POLL_MS, ...stopActions(cluster))
}

/** The state of a suspended job waits at the store; made suspended it has none yet. */
function rest(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { spec, metadata } = input.job
  if (status.lifecycleState === 'SUSPENDED') return answer(statusWith(input, { error: undefined, ...pendingEdit(input) }), REPORT_MS)
  if (hasEnded(status)) {
    const pending = pendingEdit(input)
    // What could not be deployed at first is tried again with each edit.
    const isEdited = status.reconciliationStatus === undefined && status.observedGeneration !== metadata.generation
    return isEdited ? undefined : answer(statusWith(input, { ...pending, error: pending.error ?? status.error }), REPORT_MS)
  }
  if (status.reconciliationStatus !== undefined || spec.job.state !== 'suspended') return undefined
  return answer(
    statusWith(input, {
      observedGeneration: metadata.generation,
      lifecycleState: 'SUSPENDED',
      reconciliationStatus: {
        lastReconciledSpec: JSON.stringify(spec),
        state: 'DEPLOYED',
        reconciliationTimestamp: new Date(input.nowMs).toISOString(),
      },
    }),
    REPORT_MS,
  )
}

function deploy(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { cluster, program, job, catalogue } = input.observed
  if (status.reconciliationStatus?.state === 'DEPLOYED') return undefined
  if (status.jobStatus === undefined || status.reconciliationStatus === undefined) {
    // One that FAILED is tried again for as long as its edit was not seen.
    const seen = status.lifecycleState === 'CREATED' ? { observedGeneration: input.job.metadata.generation } : {}
    if (program.kind === 'pending') return answer(statusWith(input, seen), POLL_MS)
    if (program.kind === 'invalid') return answer(failed(input, program.message), POLL_MS)
    const problem = startPathProblem(input)
    if (problem !== undefined) {
      const isFinal = input.observed.startPath?.kind === 'missing'
      return answer(isFinal ? failed(input, problem) : statusWith(input, { ...seen, error: problem }), REPORT_MS)
    }
    return answer(intended(input, program.jobName, replicasFor(input.job.spec, program)), 0)
  }
  const { jobId } = status.jobStatus
  const spec = intendedSpec(status)
  const replicas = status.taskManager?.replicas ?? 1
  const failure = startFailure(cluster)
  if (failure !== undefined) return answer(failed(input, failure, 'ERROR'), POLL_MS)
  const { jobManager, taskManagers } = cluster
  if (jobManager.kind === 'missing') {
    const waitMs = recoveryWait(input)
    if (waitMs !== undefined) return answer(status, waitMs)
    if (cluster.session?.unavailable !== undefined)
      return answer(statusWith(input, { jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined }), REPORT_MS)
    return answer(statusWith(input, { jobManagerDeploymentStatus: 'DEPLOYING' }), POLL_MS, { kind: 'startJobManager', spec })
  }
  if (jobManager.kind !== 'ready') return answer(statusWith(input, { jobManagerDeploymentStatus: 'DEPLOYED_NOT_READY' }), POLL_MS)
  const ready = statusWith(input, { jobManagerDeploymentStatus: 'READY', clusterInfo: { 'web-address': jobManager.webAddress } })
  if (job.kind === 'unknown') return answer(ready, POLL_MS)
  if (job.kind === 'present') return undefined
  if (catalogue.kind === 'unknown')
    return answer(statusWith(input, { error: `the job is not started before its store can be read${because(catalogue.message)}` }), POLL_MS)
  // A result that is not the one to be forgotten is that of this start: it has ended while nobody looked.
  const forgets = catalogue.result !== undefined && String(catalogue.result.endTimeMs) === status.restore?.forgets
  if (catalogue.result !== undefined && !forgets) return answer(endedStatus(input, catalogue.result), 0)
  // TaskManagers first: after a crash between the two the job is still missing, and both are done again.
  const start: Action[] = taskManagers.running < replicas ? [{ kind: 'startTaskManagers', spec, replicas }] : []
  const path = status.restore?.kind === 'path' ? status.restore.location : undefined
  const forget: Action[] = forgets ? [{ kind: 'forgetResult', spec, jobId }] : []
  const dropping = mayDropState(status) ? { allowNonRestoredState: true } : {}
  return answer(ready, POLL_MS, ...start, ...forget, {
    kind: 'submitJob',
    spec,
    jobId,
    ...(path === undefined ? {} : { initialSavepointPath: path }),
    ...dropping,
  })
}

/** The intent, saved before anything is started: the id under which whatever happens next is found again. */
function intended(input: Input, jobName: string, replicas: number): FlinkJobStatus {
  const { metadata, spec } = input.job
  const path = spec.job.initialSavepointPath
  return statusWith(input, {
    observedGeneration: metadata.generation,
    lifecycleState: 'UPGRADING',
    jobStatus: { jobId: input.freshJobId, jobName, state: 'RECONCILING' },
    reconciliationStatus: {
      lastReconciledSpec: JSON.stringify(spec),
      state: 'UPGRADING',
      reconciliationTimestamp: new Date(input.nowMs).toISOString(),
    },
    error: undefined,
    restore: path === undefined ? { kind: 'none', reason: 'first deployment' } : { kind: 'path', location: path, reason: 'first deployment' },
    taskManager: { replicas },
  })
}

function report(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { cluster, job } = input.observed
  const { jobManager, taskManagers } = cluster
  if (jobManager.kind !== 'ready' || job.kind !== 'present') {
    return answer(statusWith(input, { jobManagerDeploymentStatus: 'DEPLOYED_NOT_READY' }), POLL_MS)
  }
  const stable = isStable(input)
  const { reconciliationStatus: reconciliation, recovery } = status
  const neverReady = taskManagers.ended.find(taskManager => !taskManager.wasReady)
  const pending = pendingEdit(input)
  const keep = taskManagersKept(input)
  const error =
    job.state === 'FAILED'
      ? (job.message ?? 'the job has failed')
      : (neverReady?.message ?? taskManagers.ended[0]?.message ?? pending.error ?? rollbackProblem(status) ?? waiting(input))
  const next = statusWith(withObservedJob(input), {
    ...pending,
    lifecycleState: lifecycleOf(input, job.state, stable),
    jobManagerDeploymentStatus: 'READY',
    clusterInfo: { 'web-address': jobManager.webAddress },
    recovery: recovery === undefined ? undefined : { ...recovery, step: 'DONE' },
    restarts: restartsOf(input),
    trial: stable ? undefined : status.trial,
    error,
    ...(reconciliation === undefined
      ? {}
      : {
          reconciliationStatus: {
            ...reconciliation,
            state: 'DEPLOYED',
            ...(stable ? { lastStableSpec: reconciliation.lastReconciledSpec } : {}),
          },
        }),
  })
  if (isGloballyTerminal(job.state)) return answer(next, 0)
  const spec = intendedSpec(status)
  const live = liveOf(spec)
  if (live !== status.live) {
    return { ...answer(next, 0, { kind: 'applyLive', spec }), after: { live } }
  }
  const replicas = replicasForShortage(input)
  if (replicas !== undefined) return answer({ ...next, taskManager: { ...next.taskManager, replicas } }, 0)
  const changes: Action[] = neverReady !== undefined ? [] : keep === undefined ? lostTaskManagers(input) : [{ kind: 'stopTaskManagers', keep }]
  return answer(next, changes.length === 0 && job.state === 'RUNNING' ? REPORT_MS : POLL_MS, ...changes)
}

function lifecycleOf(input: Input, state: string, stable: boolean): LifecycleState {
  const status = statusOf(input)
  if (state === 'FAILED') return 'FAILED'
  if (isPlanning(status, input.job.metadata.generation) || isRescaling(status)) return 'UPGRADING'
  if (isRolledBack(status)) return stable || status.lifecycleState === 'ROLLED_BACK' ? 'ROLLED_BACK' : 'ROLLING_BACK'
  return stable || status.lifecycleState === 'STABLE' ? 'STABLE' : 'DEPLOYED'
}

/** Whether the job comes back in them is its restart strategy's to say; when it does not, they end with it. */
function lostTaskManagers(input: Input): Action[] {
  const status = statusOf(input)
  const replicas = status.taskManager?.replicas ?? 1
  return input.observed.cluster.taskManagers.running < replicas ? [{ kind: 'startTaskManagers', spec: intendedSpec(status), replicas }] : []
}

/** Why a job does not get on, once that has lasted longer than starting takes. */
function waiting({ observed: { job }, nowMs }: Input): string | undefined {
  return job.kind === 'present' && nowMs - job.startTimeMs > WAIT_WORTH_SAYING_MS ? job.message : undefined
}

function failed(input: Input, message: string, jobManagerDeploymentStatus = statusOf(input).jobManagerDeploymentStatus): FlinkJobStatus {
  return statusWith(input, {
    observedGeneration: statusOf(input).reconciliationStatus === undefined ? input.job.metadata.generation : statusOf(input).observedGeneration,
    lifecycleState: 'FAILED',
    // What it was to lead to is seen anew.
    upgrade: undefined,
    jobManagerDeploymentStatus,
    error: message,
  })
}

/** An action failed in a way that trying again cannot mend. */
export function statusAfterFailure(input: Input, message: string): FlinkJobStatus {
  return withConditions(input, failed(input, message))
}

/** The job cannot be rescaled in place: whoever knows it says so. */
export function statusAfterRefusal(input: Input, message: string): FlinkJobStatus {
  return withConditions(input, refusedRescale(input, message))
}

/** An action failed, and is tried again. Undefined: nobody waits for it but the next pass. */
export function statusAfterRetry(input: Input, message: string): FlinkJobStatus | undefined {
  const change = blockedDeletion(statusOf(input), message)
  return change === undefined ? undefined : withConditions(input, statusWith(input, change))
}

/** Nothing could be decided: what was asked has not answered as expected. What a job that has ended says is how it did. */
export function statusAfterLook(input: Pick<Input, 'job' | 'nowMs'>, message: string): FlinkJobStatus {
  return withConditions(input, hasEnded(statusOf(input)) ? statusOf(input) : statusWith(input, { error: message }))
}
