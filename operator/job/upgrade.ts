import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import { type Edit, editOf, isBeside, isRedeploy } from './diff.ts'
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
  replicasFor,
  statusOf,
  stopActions,
  withStatus,
} from './input.ts'
import { because, endedStatus, restorePoint, tooLate } from './recovery.ts'
import { classified, isRescaling, isResize, resizeObstacle, slotsProblem, startRescale } from './rescale.ts'
import { givenUp, lostSince, trialOf } from './rollback.ts'
import { startPathProblem } from './start-path.ts'
import { letsGoOn, neededPlan, type Plan, planBehindStop, planOf, planProblem, refusal, takesStateOver } from './state-plan.ts'
import { type StatusChange, statusWith, withObservedJob } from './status.ts'

/**
 * An edit of a FlinkJob carried out: pure, as all rules. What is to be done is written to `status.upgrade` before the job is touched, with the spec that it leads to: what is
 * edited meanwhile waits for its turn.
 *
 *   STOPPING    a savepoint upgrade stops the job with a savepoint, a stateless one cancels it; a last-state upgrade has nothing to wait for
 *   RELEASING   the processes end: with a job that still runs the JobManager first, which suspends it
 *
 * Then the new spec is the one to be deployed, under the same job id: it goes on from the newest checkpoint that was claimed under it, which a savepoint of STOPPING
 * is. Only a stateless upgrade draws another id (decision 0025).
 *
 * A JobManager that is lost under a savepoint is recovered first (recovery.ts), unless the savepoint turns out to be complete: the store says so.
 *
 * The new program is made and planned before anything else, and so is what becomes of the state (state-plan.ts): an edit that cannot run leaves the job alone. A savepoint that fails is taken again, later each time, unless
 * `fallback` says otherwise; after MAX_FAILURES the edit is given up, and the job goes on as it was.
 */
type Upgrade = NonNullable<FlinkJobStatus['upgrade']>

const MAX_FAILURES = 5
const RETRY_FIRST_MS = 10_000

/** Sees an edit, and writes down what is to be done about it. */
export function startUpgrade(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { reconciliationStatus } = status
  const { spec, metadata } = input.job
  if (status.upgrade !== undefined || isRescaling(status) || reconciliationStatus === undefined) return undefined
  const found = editOf(intendedSpec(status), spec)
  if (found === undefined || isBeside(found)) {
    const edit = found
    if (edit === undefined && status.observedGeneration === metadata.generation) return undefined
    const text = JSON.stringify(spec)
    const isStable = reconciliationStatus.lastStableSpec === reconciliationStatus.lastReconciledSpec
    return answer(
      statusWith(input, {
        observedGeneration: metadata.generation,
        edit: edit === undefined ? undefined : { ...edit, generation: metadata.generation },
        // Whatever stood in the way of an edit that is taken back.
        plan: status.plan?.verdict === 'compatible' ? status.plan : undefined,
        refused: undefined,
        rescale: undefined,
        rollback: undefined,
        error: hasEnded(status) ? status.error : undefined,
        reconciliationStatus: { ...reconciliationStatus, lastReconciledSpec: text, ...(isStable ? { lastStableSpec: text } : {}) },
      }),
      0,
    )
  }
  if (isRefused(input) || input.observed.edited?.kind !== 'ready' || startPathProblem(input) !== undefined) return undefined
  const obstacle = isResize(found) ? resizeObstacle(input) : undefined
  if (isResize(found) && obstacle === undefined) return slotsProblem(input) === undefined ? startRescale(input, found) : undefined
  const edit = classified(found, obstacle, spec)
  const mode = modeFor(input, spec)
  const plan = neededPlan(input, mode?.mode)
  if (plan !== undefined && !letsGoOn(plan)) return written(input, edit, plan)
  if (mode === undefined) return undefined
  return answer(
    statusWith(withObservedJob(input), {
      observedGeneration: metadata.generation,
      plan,
      lifecycleState: 'UPGRADING',
      edit: { ...edit, generation: metadata.generation },
      upgrade: {
        generation: metadata.generation,
        spec: JSON.stringify(spec),
        ...mode,
        reason: obstacle === undefined ? mode.reason : `${mode.reason}; ${obstacle}`,
        step: mode.mode === 'last-state' || !(isDeployed(input) || mayAnswer(input)) ? 'RELEASING' : 'STOPPING',
        triggerId: input.freshTriggerId,
        since: new Date(input.nowMs).toISOString(),
      },
      rescale: undefined,
      error: undefined,
    }),
    0,
  )
}

/** What keeps an edit from being carried out is in the status once, and the job is looked after as any other. */
function written(input: Input, edit: Edit, plan: Plan): Decision | undefined {
  const status = statusOf(input)
  const { generation } = input.job.metadata
  if (JSON.stringify(status.plan) === JSON.stringify(plan)) return undefined
  const refused = plan.verdict === 'incompatible' ? { generation, message: refusal(input, plan) } : status.refused
  const isAtRest = status.lifecycleState === 'SUSPENDED' || hasEnded(status)
  return answer(
    statusWith(input, {
      observedGeneration: generation,
      edit: { ...edit, generation },
      plan,
      refused,
      ...(plan.verdict === 'pending' && !isAtRest ? { lifecycleState: 'UPGRADING' } : {}),
      error: planProblem(input, plan),
    }),
    plan.verdict === 'pending' ? POLL_MS : 0,
  )
}

/** Given up, or forbidden by its plan; somebody may approve that since. */
function isRefused(input: Input): boolean {
  const { refused, plan } = statusOf(input)
  if (refused?.generation !== input.job.metadata.generation) return false
  return !(plan?.generation === refused.generation && plan.verdict === 'incompatible' && plan.approved !== true && letsGoOn(planOf(input)))
}

/** What is said of an edit that is not carried out, or not yet: it was seen. Empty where there is none or nothing stands in its way. */
export function pendingEdit(input: Input): StatusChange {
  const error = pendingProblem(input)
  const status = statusOf(input)
  if (error === undefined || status.upgrade !== undefined) return { error }
  const { generation } = input.job.metadata
  const edit = editOf(intendedSpec(status), input.job.spec)
  if (edit === undefined) return { error, observedGeneration: generation, edit: undefined }
  const obstacle = isResize(edit) ? resizeObstacle(input) : undefined
  return { error, observedGeneration: generation, edit: { ...classified(edit, obstacle, input.job.spec), generation } }
}

/** Why an edit is not carried out, or not yet; undefined where there is none or nothing stands in its way. */
function pendingProblem(input: Input): string | undefined {
  const status = statusOf(input)
  const { spec } = input.job
  if (status.upgrade !== undefined) return status.upgrade.failure
  if (isRescaling(status)) return undefined
  if (status.reconciliationStatus === undefined) return undefined
  const edit = editOf(intendedSpec(status), spec)
  if (edit === undefined || isBeside(edit)) return undefined
  if (isRefused(input)) return `${status.refused?.message}; the job goes on as it was`
  const { edited } = input.observed
  if (edited?.kind === 'invalid') return `the edit is not carried out, the job goes on as it was: ${edited.message}`
  if (edited?.kind !== 'ready') return undefined
  const pathProblem = startPathProblem(input)
  if (pathProblem !== undefined) return `the edit is not carried out, the job goes on as it was: ${pathProblem}`
  if (isResize(edit) && resizeObstacle(input) === undefined) return slotsProblem(input)
  const mode = modeFor(input, spec)
  const plan = neededPlan(input, mode?.mode)
  const problem = plan === undefined ? undefined : planProblem(input, plan)
  if (problem !== undefined) return problem
  if (mode === undefined)
    return `the edit waits: a savepoint needs a job that is RUNNING, this one is ${stateOf(input)}, and spec.job.fallback is none`
  return undefined
}

function stateOf({ observed: { job } }: Input): string {
  return job.kind === 'present' ? job.state : 'not to be asked'
}

/** There is a job that could be stopped. */
function isDeployed({ observed: { job } }: Input): boolean {
  return job.kind === 'present' && !isGloballyTerminal(job.state)
}

/** It was asked and has not answered; at the next look it may. */
function mayAnswer(input: Input): boolean {
  const { cluster, job } = input.observed
  const { jobStatus, lifecycleState } = statusOf(input)
  if (jobStatus === undefined || isGloballyTerminal(jobStatus.state) || lifecycleState === 'SUSPENDED') return false
  return cluster.jobManager.kind === 'ready' && job.kind === 'unknown'
}

function isPatient({ nowMs }: Input, { since }: Upgrade): boolean {
  return nowMs - Date.parse(since) < CANCEL_TIMEOUT_MS
}

function modeFor(input: Input, { job: { upgradeMode, fallback, state } }: FlinkJobSpec): Pick<Upgrade, 'mode' | 'reason'> | undefined {
  const { job } = input.observed
  const status = statusOf(input)
  if (isRedeploy(intendedSpec(status), input.job.spec)) return { mode: 'stateless', reason: 'spec.job.savepointRedeployNonce is new' }
  // A job that rests keeps its state, whatever becomes of it later.
  if (upgradeMode === 'stateless' && state === 'running') return { mode: 'stateless', reason: 'spec.job.upgradeMode is stateless' }
  if (hasEnded(status)) return { mode: 'last-state', reason: `the job is ${status.jobStatus?.state}, and begins again where its state is` }
  if (upgradeMode !== 'savepoint') return { mode: 'last-state', reason: `spec.job.upgradeMode is ${upgradeMode}` }
  if (job.kind === 'present' && job.state === 'RUNNING') return { mode: 'savepoint', reason: 'spec.job.upgradeMode is savepoint' }
  if (status.lifecycleState === 'SUSPENDED') return { mode: 'last-state', reason: 'the job was suspended, and goes on from where it was' }
  if (fallback === 'none') return undefined
  if (mayAnswer(input)) return { mode: 'savepoint', reason: 'spec.job.upgradeMode is savepoint' }
  return { mode: fallback, reason: `the job is ${stateOf(input)}, which allows no savepoint, and spec.job.fallback is ${fallback}` }
}

function isWaiting({ nowMs }: Input, { retryAt }: Upgrade): boolean {
  return retryAt !== undefined && Date.parse(retryAt) > nowMs
}

export function continueUpgrade(input: Input): Decision | undefined {
  const { upgrade } = statusOf(input)
  // Until it is tried again the job is looked after as any other.
  if (upgrade === undefined || isWaiting(input, upgrade)) return undefined
  // Its JobManager was lost, and it is not back yet.
  const isRecovering = statusOf(input).reconciliationStatus?.state === 'UPGRADING'
  if (upgrade.step === 'STOPPING' && upgrade.mode === 'savepoint' && isRecovering) return undefined
  if (upgrade.step === 'RELEASING') return release(input, upgrade)
  return upgrade.mode === 'savepoint' ? stopWithSavepoint(input, upgrade) : cancel(input, upgrade)
}

function stopWithSavepoint(input: Input, upgrade: Upgrade): Decision | undefined {
  const { cluster, job, operation } = input.observed
  const { kind } = cluster.jobManager
  if (kind === 'ended' || kind === 'missing' || job.kind === 'missing') return lostWhileStopping(input, upgrade)
  const status = statusWith(withObservedJob(input), {})
  const { jobId } = requireJob(status)
  if (job.kind !== 'present') {
    const isGivenUp = fallsBack(upgrade) && !isPatient(input, upgrade)
    return isGivenUp ? failed(input, upgrade, 'its JobManager does not answer') : answer(status, POLL_MS)
  }
  const isOver = isGloballyTerminal(job.state)
  switch (operation.kind) {
    case 'completed': {
      // Also when it has failed since: the savepoint is claimed.
      if (!isOver) return answer(status, POLL_MS)
      const jobStatus = { ...requireJob(status), upgradeSavepointPath: operation.location }
      return answer(statusWith(withStatus(input, status), { jobStatus, upgrade: { ...upgrade, step: 'RELEASING' } }), 0)
    }
    // It may be complete by now, and the job at its end for that.
    case 'in-progress':
    case 'unknown':
      return answer(status, POLL_MS)
    case 'failed':
    case 'missing':
      // It has come to its end by itself, and there is nothing left to upgrade.
      if (isOver) return answer(statusWith(withStatus(input, status), { upgrade: undefined, refused: tooLate(upgrade, job.state) }), 0)
      if (operation.kind === 'failed') return failed(input, upgrade, operation.message)
      if (job.state !== 'RUNNING') return fallsBack(upgrade) ? failed(input, upgrade, `the job is ${job.state}`) : undefined
      return answer(status, POLL_MS, { kind: 'stopJob', jobId, triggerId: upgrade.triggerId })
  }
}

/** Undefined: the job is started again first, or has ended. */
function lostWhileStopping(input: Input, upgrade: Upgrade): Decision | undefined {
  const status = statusOf(input)
  const { catalogue } = input.observed
  if (catalogue.kind === 'unknown') return undefined
  const { newest, result } = catalogue
  // Not what it began with: it was taken since, and the job was to stop behind it.
  if (newest?.kind === 'savepoint' && newest.location !== status.restore?.location) {
    const jobStatus = { ...requireJob(status), upgradeSavepointPath: newest.location }
    return answer(statusWith(input, { jobStatus, upgrade: { ...upgrade, step: 'RELEASING' } }), 0)
  }
  // It ended while the next try was waited for.
  if (hasEnded(status))
    return answer(statusWith(input, { upgrade: undefined, refused: tooLate(upgrade, status.jobStatus?.state ?? 'FAILED'), error: undefined }), 0)
  if (result !== undefined || !fallsBack(upgrade)) return undefined
  return failed(input, upgrade, 'its JobManager was lost while the savepoint was taken')
}

function fallsBack({ spec }: Upgrade): boolean {
  return (JSON.parse(spec) as FlinkJobSpec).job.fallback !== 'none'
}

/** What `fallback` allows, else the same again, later; in the end the edit is given up. */
function failed(input: Input, upgrade: Upgrade, why: string): Decision {
  const { fallback } = (JSON.parse(upgrade.spec) as FlinkJobSpec).job
  const failures = (upgrade.failures ?? 0) + 1
  const message = `the savepoint for the upgrade could not be taken: ${why}`
  if (fallback !== 'none') {
    const step = fallback === 'last-state' ? 'RELEASING' : 'STOPPING'
    const reason = `${message}; spec.job.fallback is ${fallback}`
    const since = new Date(input.nowMs).toISOString()
    return answer(statusWith(input, { upgrade: { ...upgrade, mode: fallback, step, reason, since }, error: undefined }), 0)
  }
  if (failures >= MAX_FAILURES || !isDeployed(input)) {
    // The rules for a job that was deployed see to it from here, with the spec that it had.
    return answer(
      statusWith(input, {
        upgrade: undefined,
        refused: { generation: upgrade.generation, message },
        lifecycleState: 'DEPLOYED',
        error: `${message}; the job goes on as it was`,
      }),
      0,
    )
  }
  const delayMs = RETRY_FIRST_MS * 2 ** (failures - 1)
  const failure = `${message}; the job goes on, and it is tried again in ${delayMs / 1_000} s`
  const retryAt = new Date(input.nowMs + delayMs).toISOString()
  return answer(
    statusWith(input, { upgrade: { ...upgrade, triggerId: input.freshTriggerId, failures, failure, retryAt }, error: failure }),
    REPORT_MS,
  )
}

function cancel(input: Input, upgrade: Upgrade): Decision {
  const { cluster, job } = input.observed
  const status = statusWith(withObservedJob(input), {})
  const mayRun = cluster.jobManager.kind === 'ready' && job.kind !== 'missing' && !(job.kind === 'present' && isGloballyTerminal(job.state))
  if (!mayRun || !isPatient(input, upgrade)) return answer(statusWith(withStatus(input, status), { upgrade: { ...upgrade, step: 'RELEASING' } }), 0)
  if (job.kind !== 'present' || job.state === 'CANCELLING') return answer(status, POLL_MS)
  return answer(status, POLL_MS, { kind: 'cancelJob', jobId: requireJob(status).jobId })
}

function release(input: Input, upgrade: Upgrade): Decision {
  const { cluster, edited } = input.observed
  const status = statusOf(input)
  if (!isClusterGone(cluster)) {
    const actions = stopActions(cluster)
    return answer(status, POLL_MS, ...(upgrade.mode === 'last-state' ? actions.reverse() : actions))
  }
  const spec = JSON.parse(upgrade.spec) as FlinkJobSpec
  const isSuspended = spec.job.state === 'suspended'
  if (!isSuspended && edited?.kind === 'invalid') return refuse(input, upgrade, edited.message)
  if (!isSuspended && edited?.kind !== 'ready') return answer(status, POLL_MS)
  const plan = takesStateOver(spec) && upgrade.mode !== 'stateless' && status.jobStatus !== undefined ? planBehindStop(input, upgrade) : undefined
  if (plan?.verdict === 'incompatible' && !letsGoOn(plan)) return refuse(withStatus(input, { ...status, plan }), upgrade, plan.message ?? '')
  if (plan !== undefined && !letsGoOn(plan))
    return answer(statusWith(input, { error: plan.message }), plan.verdict === 'pending' ? POLL_MS : REPORT_MS)
  const { jobStatus, reconciliationStatus } = status
  const isNewJob = jobStatus === undefined || upgrade.mode === 'stateless'
  const restore = isNewJob ? firstStart(input, upgrade, spec) : goOn(input, upgrade, spec)
  if ('actions' in restore) return restore
  const lost = lostSince(input, upgrade)
  if (lost !== undefined) return refuse(input, upgrade, lost)
  return answer(
    statusWith(input, {
      upgrade: undefined,
      rescale: undefined,
      refused: upgrade.back === undefined ? undefined : status.refused,
      rollback: upgrade.back === undefined ? undefined : status.rollback,
      trial: upgrade.back === undefined ? trialOf(input, upgrade, spec, plan) : undefined,
      // What happened to another spec neither counts nor waits for this one.
      recovery: undefined,
      restarts: undefined,
      health: undefined,
      ...(plan === undefined ? {} : { plan }),
      observedGeneration: upgrade.generation,
      lifecycleState: isSuspended ? 'SUSPENDED' : upgrade.back === undefined ? 'UPGRADING' : 'ROLLING_BACK',
      jobManagerDeploymentStatus: 'MISSING',
      clusterInfo: undefined,
      jobStatus: {
        ...(isNewJob ? { jobId: input.freshJobId } : jobStatus),
        jobName: edited?.kind === 'ready' ? edited.jobName : (jobStatus?.jobName ?? input.job.metadata.name),
        state: isSuspended ? 'SUSPENDED' : 'RECONCILING',
      },
      reconciliationStatus: {
        ...reconciliationStatus,
        lastReconciledSpec: upgrade.spec,
        state: isSuspended ? 'DEPLOYED' : 'UPGRADING',
        reconciliationTimestamp: new Date(input.nowMs).toISOString(),
      },
      restore,
      taskManager: { replicas: isSuspended ? 0 : replicasFor(spec, edited) },
      error: undefined,
    }),
    0,
  )
}

type Restore = NonNullable<FlinkJobStatus['restore']>

function firstStart(input: Input, { reason }: Upgrade, spec: FlinkJobSpec): Restore {
  const status = statusOf(input)
  const { jobStatus, restore } = status
  const isFirst = jobStatus === undefined || isRedeploy(intendedSpec(status), spec)
  // One that never began keeps where it was to begin; one that gives up its state does not go back there.
  const kept = jobStatus?.startTime === undefined && restore?.kind === 'path' ? restore.location : undefined
  const path = isFirst ? spec.job.initialSavepointPath : kept
  return path === undefined ? { kind: 'none', reason } : { kind: 'path', location: path, reason }
}

/** Under its id: from what the store says now that nobody runs it any more. */
function goOn(input: Input, upgrade: Upgrade, spec: FlinkJobSpec): Restore | Decision {
  const { catalogue } = input.observed
  const status = statusOf(input)
  const waits = (error: string) => answer(statusWith(input, { error }), REPORT_MS)
  if (catalogue.kind === 'unknown') return waits(`the upgrade waits until the store of the job can be read${because(catalogue.message)}`)
  const { result } = catalogue
  // It has come to its end by itself before its JobManager did: there is nothing left to upgrade.
  const endedBefore = isGloballyTerminal(status.jobStatus?.state)
  if (upgrade.mode === 'last-state' && !endedBefore && result !== undefined && result.state !== 'FAILED' && result.savepoint === null)
    return answer(endedStatus(input, result), 0)
  const restore = restorePoint(input, catalogue, spec)
  if (restore.kind !== 'lost') return { ...restore, reason: upgrade.reason, ...(result === undefined ? {} : { forgets: String(result.endTimeMs) }) }
  if (input.job.metadata.generation === upgrade.generation) return waits(restore.message)
  // A later edit may say what is to become of it.
  return answer(
    statusWith(input, {
      upgrade: undefined,
      refused: { generation: upgrade.generation, message: restore.message },
      lifecycleState: 'FAILED',
      error: restore.message,
    }),
    0,
  )
}

/** It was planned before the job was stopped, and is not any more: a module that was edited, a table that is gone. What ran before runs again, what rested rests. */
function refuse(input: Input, upgrade: Upgrade, message: string): Decision {
  const status = statusOf(input)
  const { reconciliationStatus, jobStatus } = status
  const rests = reconciliationStatus !== undefined && intendedSpec(status).job.state === 'suspended'
  // A job that was cancelled has ended under its id.
  const isNewJob = jobStatus === undefined || upgrade.mode === 'stateless'
  const restore = rests ? status.restore : isNewJob ? firstStart(input, upgrade, intendedSpec(status)) : goOn(input, upgrade, intendedSpec(status))
  if (restore !== undefined && 'actions' in restore) return restore
  const jobId = isNewJob ? { jobId: input.freshJobId } : {}
  return answer(
    statusWith(input, {
      upgrade: undefined,
      rescale: undefined,
      refused: { generation: upgrade.generation, message },
      rollback: upgrade.back === undefined ? status.rollback : givenUp(status.rollback, message),
      restore,
      lifecycleState: rests ? 'SUSPENDED' : 'UPGRADING',
      ...(jobStatus === undefined ? {} : { jobStatus: { ...jobStatus, ...jobId, state: rests ? 'SUSPENDED' : 'RECONCILING' } }),
      ...(reconciliationStatus === undefined ? {} : { reconciliationStatus: { ...reconciliationStatus, state: rests ? 'DEPLOYED' : 'UPGRADING' } }),
      error: `the edit is not carried out: ${message}`,
    }),
    0,
  )
}

function requireJob({ jobStatus }: FlinkJobStatus): NonNullable<FlinkJobStatus['jobStatus']> {
  if (jobStatus === undefined) throw new Error('a job that is stopped was started')
  return jobStatus
}
