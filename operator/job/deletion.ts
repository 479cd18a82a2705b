import { FORCE_DELETE_ANNOTATION } from '../api/fields.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import {
  answer,
  CANCEL_TIMEOUT_MS,
  type Decision,
  hasEnded,
  type Input,
  intendedSpec,
  isClusterGone,
  isGloballyTerminal,
  POLL_MS,
  REPORT_MS,
  statusOf,
  stopActions,
  withStatus,
} from './input.ts'
import { type StatusChange, statusWith, withObservedJob } from './status.ts'

/**
 * A FlinkJob that is to go away: pure, as all rules. What becomes of its state is `spec.deletionPolicy`, as it says now.
 *
 *   STOPPING    Savepoint: the job is stopped with one; what fails is tried again until `deletionTimeout`, then what is at the store has to do, and the status says so.
 *               Delete: it is cancelled, with patience
 *   RELEASING   its processes end; under a job that still runs the JobManager first, which keeps what there is
 *   REMOVING    Delete: everything that is at the store under its id goes; savepoints are somebody else's
 *
 * Lifecycle DELETED then says that nothing holds the object. What does until then is in `status.deletion.blocked`, which is condition DeletionBlocked; the annotation
 * `millrace.dev/force-delete: "true"` ends all waiting but that for processes.
 */
type Deletion = NonNullable<FlinkJobStatus['deletion']>

const RETRY_FIRST_MS = 10_000
const RETRY_LAST_MS = 60_000
const DEFAULT_TIMEOUT_MS = 300_000

export function deleteJob(input: Input): Decision | undefined {
  const { metadata } = input.job
  if (metadata.deletionTimestamp === undefined) return undefined
  const status = statusOf(input)
  if (status.lifecycleState === 'DELETED') return answer(status, REPORT_MS)
  const { deletion } = status
  if (deletion === undefined) return begin(input)
  switch (deletion.step) {
    case 'STOPPING':
      return stop(input, deletion)
    case 'RELEASING':
      return release(input, deletion)
    case 'REMOVING':
      return remove(input, deletion)
  }
}

function begin(input: Input): Decision {
  const status = statusOf(input)
  const { upgrade, jobStatus } = status
  const isOver = jobStatus === undefined || status.lifecycleState === 'SUSPENDED' || hasEnded(status) || upgrade?.step === 'RELEASING'
  // A savepoint that was asked for already is this one.
  const triggerId = upgrade?.mode === 'savepoint' ? upgrade.triggerId : input.freshTriggerId
  return next(input, {
    lifecycleState: 'DELETING',
    upgrade: undefined,
    error: undefined,
    deletion: { step: policyOf(input) !== 'Keep' && !isOver ? 'STOPPING' : 'RELEASING', triggerId, since: new Date(input.nowMs).toISOString() },
  })
}

function policyOf({ job }: Input): 'Savepoint' | 'Keep' | 'Delete' {
  return job.spec.deletionPolicy ?? 'Keep'
}

function isForced({ job }: Input): boolean {
  return job.metadata.annotations?.[FORCE_DELETE_ANNOTATION] === 'true'
}

function next(input: Input, change: StatusChange): Decision {
  return answer(statusWith(input, change), 0)
}

function waits(input: Input, deletion: Deletion, blocked: string | undefined, requeueAfterMs: number): Decision {
  const { blocked: _, ...rest } = deletion
  return answer(statusWith(withObservedJob(input), { deletion: blocked === undefined ? rest : { ...rest, blocked } }), requeueAfterMs)
}

function goesOn(input: Input, { blocked: _, retryAt: __, ...deletion }: Deletion, change: Partial<Deletion>): Decision {
  return next(withObservedJob(input), { deletion: { ...deletion, ...change } })
}

function stop(input: Input, deletion: Deletion): Decision {
  const policy = policyOf(input)
  if (policy === 'Savepoint') return stopWithSavepoint(input, deletion)
  return policy === 'Delete' ? cancel(input, deletion) : goesOn(input, deletion, { step: 'RELEASING' })
}

function stopWithSavepoint(input: Input, deletion: Deletion): Decision {
  const { cluster, job, operation } = input.observed
  const { jobManager } = cluster
  const withoutOne = (why: string) =>
    goesOn(input, deletion, { step: 'RELEASING', notice: `no savepoint was taken, what is at the store stays: ${why}` })
  if (jobManager.kind === 'missing' || jobManager.kind === 'ended' || job.kind === 'missing') return lost(input, deletion, withoutOne)
  if (operation.kind === 'completed' && job.kind === 'present' && isGloballyTerminal(job.state))
    return goesOn(input, deletion, { step: 'RELEASING', savepointPath: operation.location })
  if (job.kind === 'present' && isGloballyTerminal(job.state) && (operation.kind === 'failed' || operation.kind === 'missing'))
    return withoutOne(`the job has ${job.state}`)
  const isRunning = job.kind === 'present' && job.state === 'RUNNING'
  const holds =
    deletion.failure ??
    (isRunning ? undefined : `a savepoint needs a job that is RUNNING, this one is ${job.kind === 'present' ? job.state : 'not to be asked'}`)
  if (isForced(input) || isLate(input)) return withoutOne(holds ?? 'it was not complete in time')
  if (deletion.retryAt !== undefined && Date.parse(deletion.retryAt) > input.nowMs) return waits(input, deletion, holds, REPORT_MS)
  if (operation.kind === 'failed') return triedAgain(input, deletion, operation.message)
  if (operation.kind !== 'missing' || !isRunning) return waits(input, deletion, holds, POLL_MS)
  const { jobId } = requireJob(input)
  return answer(statusWith(withObservedJob(input), { deletion }), POLL_MS, { kind: 'stopJob', jobId, triggerId: deletion.triggerId })
}

/** Its last savepoint may be complete all the same: the store says so. */
function lost(input: Input, deletion: Deletion, withoutOne: (why: string) => Decision): Decision {
  const { catalogue, cluster } = input.observed
  const { jobManager } = cluster
  const why =
    jobManager.kind === 'ended' ? jobManager.message : `the JobManager ${jobManager.kind === 'missing' ? 'is gone' : 'does not know the job'}`
  if (catalogue.kind === 'unknown') {
    if (isForced(input) || isLate(input)) return withoutOne(why)
    return waits(input, deletion, `the store of the job cannot be read: ${catalogue.message ?? why}`, REPORT_MS)
  }
  const { newest } = catalogue
  if (newest?.kind !== 'savepoint' || newest.location === statusOf(input).restore?.location) return withoutOne(why)
  return goesOn(input, deletion, { step: 'RELEASING', savepointPath: newest.location })
}

function isLate({ job, nowMs }: Input): boolean {
  return nowMs - Date.parse(job.metadata.deletionTimestamp ?? '') >= (job.spec.deletionTimeoutMs ?? DEFAULT_TIMEOUT_MS)
}

function triedAgain(input: Input, deletion: Deletion, message: string): Decision {
  const failures = (deletion.failures ?? 0) + 1
  const delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** (failures - 1))
  const failure = `the savepoint before the deletion could not be taken: ${message}`
  const retryAt = new Date(input.nowMs + delayMs).toISOString()
  return waits(input, { ...deletion, failures, failure, retryAt, triggerId: input.freshTriggerId }, failure, REPORT_MS)
}

function cancel(input: Input, deletion: Deletion): Decision {
  const { cluster, job } = input.observed
  const mayRun = cluster.jobManager.kind === 'ready' && job.kind !== 'missing' && !(job.kind === 'present' && isGloballyTerminal(job.state))
  const isPatient = input.nowMs - Date.parse(deletion.since) < CANCEL_TIMEOUT_MS
  if (!mayRun || !isPatient || isForced(input)) return goesOn(input, deletion, { step: 'RELEASING' })
  if (job.kind !== 'present' || job.state === 'CANCELLING') return waits(input, deletion, deletion.blocked, POLL_MS)
  return answer(statusWith(withObservedJob(input), {}), POLL_MS, { kind: 'cancelJob', jobId: requireJob(input).jobId })
}

function release(input: Input, deletion: Deletion): Decision {
  const { cluster } = input.observed
  const { jobStatus } = statusOf(input)
  const isOver = jobStatus === undefined || isGloballyTerminal(jobStatus.state)
  const actions = stopActions(cluster)
  if (!isClusterGone(cluster)) return answer(statusOf(input), POLL_MS, ...(isOver ? actions : actions.reverse()))
  if (jobStatus === undefined) return gone(input)
  // It has ended under Flink's name for that, and can be started again all the same.
  const rests = !isOver || deletion.savepointPath !== undefined
  const atRest = withStatus(input, { ...statusOf(input), jobStatus: rests ? { ...jobStatus, state: 'SUSPENDED' } : jobStatus })
  return policyOf(input) === 'Delete' ? goesOn(atRest, deletion, { step: 'REMOVING' }) : gone(atRest)
}

function remove(input: Input, deletion: Deletion): Decision {
  const { catalogue } = input.observed
  if (policyOf(input) !== 'Delete') return gone(input)
  if (catalogue.kind === 'known' && !catalogue.isKnown && catalogue.result === undefined) return gone(input)
  if (isForced(input))
    return gone(withStatus(input, { ...statusOf(input), deletion: { ...deletion, notice: 'checkpoints of the job may be left at the store' } }))
  // What removing it has met with says more than what looking at it has.
  const unread = catalogue.kind === 'unknown' ? `the store of the job cannot be read: ${catalogue.message ?? 'it was not asked'}` : undefined
  const blocked = deletion.blocked ?? unread
  const spec = intendedSpec(statusOf(input))
  return { ...waits(input, deletion, blocked, REPORT_MS), actions: [{ kind: 'removeState', spec, jobId: requireJob(input).jobId }] }
}

function gone(input: Input): Decision {
  const { deletion } = statusOf(input)
  const { blocked: _, ...rest } = deletion ?? { step: 'RELEASING' as const, triggerId: '', since: '' }
  return answer(
    statusWith(input, { lifecycleState: 'DELETED', jobManagerDeploymentStatus: 'MISSING', clusterInfo: undefined, deletion: rest }),
    REPORT_MS,
  )
}

/** An action failed and will be tried again: what holds the deletion has a name. */
export function blockedDeletion(status: FlinkJobStatus, message: string): StatusChange | undefined {
  const { deletion } = status
  return deletion === undefined ? undefined : { deletion: { ...deletion, blocked: message } }
}

function requireJob(input: Input): NonNullable<FlinkJobStatus['jobStatus']> {
  const { jobStatus } = statusOf(input)
  if (jobStatus === undefined) throw new Error('a job that is stopped was started')
  return jobStatus
}
