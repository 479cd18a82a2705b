import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import type { FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import { type Input, statusOf } from './input.ts'
import { isRescaling, rescaleStep } from './rescale.ts'
import { restartLoopCondition } from './restarts.ts'
import { snapshotCondition } from './snapshots.ts'
import { planningCondition } from './state-plan.ts'

/**
 * The conditions of a FlinkJob, derived from its status in one place, at the end of every pass whatever its outcome: pure. The status says everything that they say; they say
 * it in the form that `kubectl wait`, Argo CD and people look for.
 *
 * - `Ready`: what the spec asks for is there. Its message is a column of `kubectl get`: what is missing.
 * - `Running`: the job is RUNNING.
 * - `Progressing`: something is being done that will end by itself, and which step of it.
 * - `Degraded`: the job or its processes have a problem, in words. That an edit is not carried out is no problem of the job.
 * - `DeletionBlocked`: the object is to go away, and what holds it.
 * - `Planning`: state-plan.ts. `RestartLoop`: restarts.ts. `SnapshotFailed`: snapshots.ts.
 */
type Derived = (status: FlinkJobStatus, job: FlinkJob) => WantedCondition | undefined

const derived: readonly Derived[] = [
  ready,
  running,
  progressing,
  degraded,
  deletionBlocked,
  planningCondition,
  restartLoopCondition,
  snapshotCondition,
]

export function withConditions(input: Pick<Input, 'job' | 'nowMs'>, status: FlinkJobStatus): FlinkJobStatus {
  const { job, nowMs } = input
  const wanted = derived.map(condition => condition(status, job)).filter(condition => condition !== undefined)
  const observedGeneration = status.observedGeneration ?? job.metadata.generation
  return { ...status, conditions: conditionsAfter(statusOf(input).conditions, wanted, { nowMs, observedGeneration }) }
}

function ready(status: FlinkJobStatus, job: FlinkJob): WantedCondition {
  const { lifecycleState, error } = status
  const state = status.jobStatus?.state
  const isSuspended = lifecycleState === 'SUSPENDED'
  const isThere = job.spec.job.state === 'suspended' ? isSuspended : lifecycleState === 'STABLE' && (state === 'RUNNING' || state === 'FINISHED')
  if (isThere && isCarriedOut(status, job))
    return { type: 'Ready', status: 'True', reason: isSuspended ? 'Suspended' : 'Running', message: stateText(status) }
  const reason =
    lifecycleState === 'FAILED'
      ? 'Failed'
      : lifecycleState === 'ROLLED_BACK'
        ? 'RolledBack'
        : isThere && status.upgrade === undefined
          ? 'EditPending'
          : 'Progressing'
  const pending = isThere ? `generation ${job.metadata.generation} is not carried out yet` : stateText(status)
  return {
    type: 'Ready',
    status: 'False',
    reason,
    message: status.deletion?.blocked ?? error ?? status.problems?.[0]?.message ?? stepOf(status) ?? pending,
  }
}

/** What runs, or rests, is what the spec says now. */
function isCarriedOut({ observedGeneration, upgrade, reconciliationStatus }: FlinkJobStatus, { metadata, spec }: FlinkJob): boolean {
  return observedGeneration === metadata.generation && upgrade === undefined && reconciliationStatus?.lastReconciledSpec === JSON.stringify(spec)
}

function running(status: FlinkJobStatus): WantedCondition {
  const state = status.jobStatus?.state
  const reason = status.lifecycleState === 'FAILED' ? 'Failed' : (runningReasons[state ?? ''] ?? 'NotDeployed')
  return { type: 'Running', status: state === 'RUNNING' ? 'True' : 'False', reason, message: status.error ?? stateText(status) }
}

const runningReasons: Readonly<Record<string, string>> = {
  RECONCILING: 'Deploying',
  INITIALIZING: 'Deploying',
  CREATED: 'Deploying',
  RUNNING: 'Running',
  RESTARTING: 'Restarting',
  FAILING: 'Failing',
  FAILED: 'Failed',
  CANCELLING: 'Cancelling',
  CANCELED: 'Canceled',
  FINISHED: 'Finished',
  SUSPENDED: 'Suspended',
}

function progressing(status: FlinkJobStatus): WantedCondition {
  const step = stepOf(status)
  if (step === undefined) return { type: 'Progressing', status: 'False', reason: 'AtRest', message: stateText(status) }
  return { type: 'Progressing', status: 'True', reason: stepReason(status), message: step }
}

function stepReason(status: FlinkJobStatus): string {
  const { lifecycleState, upgrade, recovery } = status
  if (lifecycleState === 'DELETING') return 'Deleting'
  if (upgrade !== undefined) return 'Upgrading'
  if (isRescaling(status)) return 'Rescaling'
  return isRecovering(recovery) ? 'Recovering' : 'Deploying'
}

function isRecovering(recovery: FlinkJobStatus['recovery']): boolean {
  return recovery !== undefined && recovery.step !== 'DONE'
}

/** Undefined: nothing is being done. */
function stepOf(status: FlinkJobStatus): string | undefined {
  const { lifecycleState, upgrade, recovery, plan, jobManagerDeploymentStatus, deletion } = status
  if (lifecycleState === 'DELETING') return deletion === undefined ? 'the job is deleted' : deletionSteps[deletion.step]
  if (upgrade !== undefined) {
    const { generation, mode, step } = upgrade
    if (step === 'RELEASING') return `generation ${generation}: what ran before ends`
    return `generation ${generation}: the job is ${mode === 'savepoint' ? 'stopped with a savepoint' : 'cancelled'}`
  }
  if (isRecovering(recovery)) return `the job is started again, time ${recovery?.count} in a row: ${recovery?.reason}`
  const rescale = rescaleStep(status)
  if (rescale !== undefined) return rescale
  if (lifecycleState === 'CREATED') return 'the program is bundled and planned'
  if (lifecycleState === 'DEPLOYED' && status.trial !== undefined && status.jobStatus?.state === 'RUNNING')
    return `generation ${status.trial.generation} is on trial: the job is RUNNING, and has to complete a checkpoint`
  if (lifecycleState === 'DEPLOYED') return `the job is submitted, and ${status.jobStatus?.state}`
  if (lifecycleState === 'ROLLING_BACK') return `the last stable spec is started again: ${status.rollback?.reason}`
  if (lifecycleState !== 'UPGRADING') return undefined
  if (plan?.verdict === 'pending') return 'what becomes of the state of the job is planned'
  return jobManagerDeploymentStatus === 'READY' ? 'the job is submitted' : 'the JobManager starts'
}

const deletionSteps = {
  STOPPING: 'the job is stopped, to be deleted',
  RELEASING: 'the processes of the job end',
  REMOVING: 'what is at the store under the id of the job is removed',
} as const

function deletionBlocked({ deletion }: FlinkJobStatus): WantedCondition | undefined {
  if (deletion?.blocked === undefined) return undefined
  return { type: 'DeletionBlocked', status: 'True', reason: deletion.step === 'STOPPING' ? 'NoSavepoint' : 'Waiting', message: deletion.blocked }
}

function degraded(status: FlinkJobStatus, job: FlinkJob): WantedCondition {
  const { error, lifecycleState, jobStatus, problems = [] } = status
  const isAsItWas = jobStatus?.state === 'RUNNING' || lifecycleState === 'SUSPENDED'
  const isOfEdit = isAsItWas && status.reconciliationStatus?.lastReconciledSpec !== JSON.stringify(job.spec)
  const [first] = problems
  if (first !== undefined) {
    const message = [...(error === undefined || isOfEdit ? [] : [error]), ...problems.map(problem => problem.message)].join('\n')
    return { type: 'Degraded', status: 'True', reason: first.reason, message }
  }
  if (error === undefined || isOfEdit) return { type: 'Degraded', status: 'False', reason: 'AsExpected', message: 'no problem is known' }
  const reason = lifecycleState === 'FAILED' ? 'Failed' : isRecovering(status.recovery) ? 'JobManagerLost' : 'Problem'
  return { type: 'Degraded', status: 'True', reason, message: error }
}

function stateText({ jobStatus }: FlinkJobStatus): string {
  return jobStatus === undefined ? 'the job is not deployed' : `the job is ${jobStatus.state}`
}
