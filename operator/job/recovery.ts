import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import type { ObservedCluster } from '../effects/actions.ts'
import {
  answer,
  type Decision,
  type Input,
  intendedSpec,
  isClusterGone,
  isGloballyTerminal,
  type KnownCatalogue,
  POLL_MS,
  REPORT_MS,
  statusOf,
} from './input.ts'
import { statusWith } from './status.ts'

/**
 * A JobManager that is gone, or has ended, while its job was to run: pure, as all rules. The job is started again under its id, from its newest restore point.
 *
 *   RELEASING   what is left of its processes ends: TaskManagers of a lost JobManager work for nobody
 *   STARTING    the rules of a deployment start it again; when it is lost before it was ready, once more, later each time
 *   DONE        the job runs again; what happened stays to be read, and counts when it happens again soon
 *
 * What the store says comes first. A job that has ended while nobody looked has ended, and is not started again (reliability.md 2A, bug 11). One whose state should
 * be there and is not, is not started empty: it waits, and says what is missing.
 */
type Recovery = NonNullable<FlinkJobStatus['recovery']>
type Restore = NonNullable<FlinkJobStatus['restore']>

const FIRST_DELAY_MS = 10_000
const LONGEST_DELAY_MS = 300_000
/** One that has lasted longer than this has got over what happened before. */
const FORGIVEN_AFTER_MS = 600_000
const STORE_RETRY_MS = 5_000

export function recover(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { reconciliationStatus, recovery } = status
  const { cluster, catalogue } = input.observed
  if (reconciliationStatus === undefined || status.jobStatus === undefined || status.lifecycleState === 'SUSPENDED') return undefined
  if (recovery?.step === 'RELEASING') return release(input, recovery)
  // A first deployment that fails is not repeated: nothing says that it could succeed.
  const hasRun = recovery !== undefined || reconciliationStatus.lastStableSpec !== undefined
  const why = reconciliationStatus.state === 'DEPLOYED' ? lossOf(input) : hasRun ? startFailure(cluster) : undefined
  if (why === undefined) return undefined
  const jobManagerDeploymentStatus = cluster.jobManager.kind === 'ended' ? 'ERROR' : 'MISSING'
  const waits = (message: string) => answer(statusWith(input, { jobManagerDeploymentStatus, error: `${why}; ${message}` }), STORE_RETRY_MS)
  if (catalogue.kind === 'unknown') return waits(`the job is started again as soon as its store can be read${because(catalogue.message)}`)
  const { result } = catalogue
  if (result !== undefined) return answer(endedStatus(input, result), 0)
  const restore = restorePoint(input, catalogue, intendedSpec(status))
  if (restore.kind === 'lost') return waits(restore.message)
  return answer(
    statusWith(input, {
      lifecycleState: 'UPGRADING',
      jobManagerDeploymentStatus,
      clusterInfo: undefined,
      jobStatus: { ...status.jobStatus, state: 'RECONCILING' },
      reconciliationStatus: { ...reconciliationStatus, state: 'UPGRADING' },
      recovery: nextRecovery(input, why),
      restore: { ...restore, reason: why },
      health: undefined,
      error: why,
    }),
    0,
  )
}

/** Until then the next start waits; undefined = it does not. */
export function recoveryWait({ nowMs, ...input }: Input): number | undefined {
  const { recovery } = statusOf(input)
  const waitMs = recovery?.retryAt === undefined ? 0 : Date.parse(recovery.retryAt) - nowMs
  return waitMs > 0 ? Math.min(waitMs, REPORT_MS) : undefined
}

function nextRecovery(input: Input, reason: string): Recovery {
  const { recovery } = statusOf(input)
  const { nowMs, observed } = input
  const lastMs = recovery === undefined ? Number.NEGATIVE_INFINITY : Date.parse(recovery.retryAt ?? recovery.at)
  const count = recovery === undefined || nowMs - lastMs > FORGIVEN_AFTER_MS ? 1 : recovery.count + 1
  const delayMs = count === 1 ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (count - 2))
  return {
    count,
    reason,
    at: new Date(nowMs).toISOString(),
    ...(delayMs === 0 ? {} : { retryAt: new Date(nowMs + delayMs).toISOString() }),
    // A JobManager that has forgotten the job has its TaskManagers, and only gets the job again.
    step: observed.cluster.jobManager.kind === 'ready' ? 'STARTING' : 'RELEASING',
  }
}

function release(input: Input, recovery: Recovery): Decision {
  const { cluster } = input.observed
  if (isClusterGone(cluster) && cluster.taskManagers.ended.length === 0)
    return answer(statusWith(input, { recovery: { ...recovery, step: 'STARTING' } }), 0)
  return answer(statusOf(input), POLL_MS, { kind: 'stopTaskManagers' }, { kind: 'stopJobManager' })
}

/** Why a job that was deployed has nobody who runs it. */
function lossOf({ observed: { cluster, job }, ...input }: Input): string | undefined {
  const { jobStatus } = statusOf(input)
  if (isGloballyTerminal(jobStatus?.state)) return undefined
  const { jobManager } = cluster
  if (jobManager.kind === 'ended') return jobManager.message
  if (jobManager.kind === 'missing') return statusOf(input).health?.unhealthy ?? 'the JobManager is gone'
  return jobManager.kind === 'ready' && job.kind === 'missing' ? `job ${jobStatus?.jobId} is not known to its JobManager any more` : undefined
}

/** A process that has ended before the job could run. */
export function startFailure({ jobManager, taskManagers }: ObservedCluster): string | undefined {
  if (jobManager.kind === 'ended') return jobManager.message
  return taskManagers.ended.find(taskManager => !taskManager.wasReady)?.message
}

/** What the store says of a job that nobody can be asked about any more. */
export function endedStatus(input: Input, { state, startTimeMs, endTimeMs, failureCause }: NonNullable<KnownCatalogue['result']>): FlinkJobStatus {
  const { jobStatus, reconciliationStatus, recovery, upgrade, rescale, refused } = statusOf(input)
  if (jobStatus === undefined || reconciliationStatus === undefined) throw new Error('a job that has ended was deployed')
  const stable = state === 'FINISHED' ? { lastStableSpec: reconciliationStatus.lastReconciledSpec } : {}
  return statusWith(input, {
    lifecycleState: state === 'FAILED' ? 'FAILED' : 'STABLE',
    jobStatus: { ...jobStatus, state, startTime: String(startTimeMs), updateTime: String(endTimeMs) },
    reconciliationStatus: { ...reconciliationStatus, state: 'DEPLOYED', ...stable },
    recovery: recovery === undefined ? undefined : { ...recovery, step: 'DONE' },
    upgrade: undefined,
    rescale: undefined,
    refused: tooLate(upgrade ?? rescale, state) ?? refused,
    error: state === 'FAILED' ? (failureCause ?? 'the job has failed') : undefined,
  })
}

/** A job that has done its work is not run again by an edit that came before it had; one that has FAILED is. */
export function tooLate(upgrade: { readonly generation: number } | undefined, state: string): FlinkJobStatus['refused'] {
  if (upgrade === undefined || state === 'FAILED') return undefined
  return { generation: upgrade.generation, message: `the job has ${state} before the edit was carried out` }
}

/** What the job goes on from when it is started again with `spec`, which is not to lose its state. */
export function restorePoint(
  input: Input,
  { newest, isKnown, result }: KnownCatalogue,
  spec: FlinkJobSpec,
): Omit<Restore, 'reason'> | { readonly kind: 'lost'; readonly message: string } {
  const { jobStatus, restore, reconciliationStatus } = statusOf(input)
  if (newest !== undefined) {
    const { kind, location, checkpointId, timestampMs } = newest
    return { kind, location, checkpointId, time: new Date(timestampMs).toISOString() }
  }
  // Nothing is kept of a job that has come to its end.
  if (result?.state === 'FINISHED' || jobStatus?.state === 'FINISHED') return { kind: 'none' }
  const hasRun = jobStatus?.startTime !== undefined
  const earlier = jobStatus?.upgradeSavepointPath ?? (restore?.kind === 'path' ? undefined : restore?.location)
  if (spec.job.upgradeMode !== 'stateless' && (earlier !== undefined || (hasRun && !isKnown))) {
    const missing = earlier === undefined ? `the store knows nothing of job ${jobStatus?.jobId}, which has run` : `nothing is left of ${earlier}`
    return {
      kind: 'lost',
      message: `it is not started without its state: ${missing}; bring it back, name a savepoint in spec.job.initialSavepointPath with a new spec.job.savepointRedeployNonce, or give the state up with spec.job.upgradeMode stateless`,
    }
  }
  const begunWith = restore?.kind === 'path' ? restore.location : undefined
  const path = reconciliationStatus?.lastStableSpec === undefined ? spec.job.initialSavepointPath : begunWith
  return path === undefined ? { kind: 'none' } : { kind: 'path', location: path }
}

/** `: message`, where there is one. */
export function because(message: string | undefined): string {
  return message === undefined ? '' : `: ${message}`
}
