import type { EndedJob } from '../../runtime/checkpoint/catalogue.ts'
import { isId } from '../../runtime/common/ids.ts'
import { API_GROUP } from '../api/fields.ts'
import { type FlinkJob, type FlinkJobSpec, type FlinkJobStatus, flinkJobStatusSchema } from '../api/flink-job.ts'
import type { ObservedCluster, ObservedProgram } from '../effects/actions.ts'
import { initialStatus, replicasFor } from './input.ts'

/**
 * A status that somebody has removed or edited must not cost a job: pure. The one thing that cannot be found again without it is the job id; so the operator keeps it in an
 * annotation as well, which is written before the status that first has it.
 *
 * | status | annotation | what counts |
 * | --- | --- | --- |
 * | sound | the same id | the status |
 * | none, or none that could be ours | an id that the JobManager or the store knows | the annotation |
 * | none, or none that could be ours | none, or one that nobody knows: nothing was started under it | a job that the JobManager runs; else it begins |
 * | sound, with another id | one that the JobManager or the store knows | the annotation |
 * | sound, with another id | one that nobody knows: the operator died before it wrote the status | the status |
 *
 * What ran under the id, and with which spec, nobody knows any more: the job is restarted as a last-state upgrade restarts it, with the spec of the object. One that has
 * FINISHED or FAILED is not.
 */
export const JOB_ID_ANNOTATION = `${API_GROUP}/job-id`

export function notedJobId({ metadata }: FlinkJob): string | undefined {
  const noted = metadata.annotations?.[JOB_ID_ANNOTATION]
  return noted !== undefined && isId(noted) ? noted : undefined
}

/** Why the status is to be doubted; undefined = it is not. */
export function statusDoubt(job: FlinkJob): string | undefined {
  const noted = notedJobId(job)
  const { status } = job
  if (status === undefined) return noted === undefined ? undefined : 'the object has no status any more'
  const problem = statusProblem(job, status)
  if (problem !== undefined) return `its status could not be ours: ${problem}`
  const jobId = status.jobStatus?.jobId
  if (jobId === undefined) return noted === undefined ? undefined : 'its status names no job'
  return noted === undefined || noted === jobId ? undefined : `its status names job ${jobId}, and its annotation ${noted}`
}

/** What the rules never write. */
export function statusProblem({ metadata }: FlinkJob, status: FlinkJobStatus): string | undefined {
  const parsed = flinkJobStatusSchema.safeParse(status)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return `status.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is wrong'}`
  }
  const { jobStatus, reconciliationStatus, upgrade, rescale, lifecycleState } = status
  if (jobStatus !== undefined && !isId(jobStatus.jobId)) return `status.jobStatus.jobId: expected 32 lower-case hex digits, got ${jobStatus.jobId}`
  const texts = [reconciliationStatus?.lastReconciledSpec, reconciliationStatus?.lastStableSpec, upgrade?.spec, rescale?.spec]
  if (texts.some(text => text !== undefined && specOf(text) === undefined)) return 'a spec in it is none'
  const isSuspended = lifecycleState === 'SUSPENDED'
  const carriedOut = specOf(reconciliationStatus?.lastReconciledSpec ?? '')
  if (isSuspended && carriedOut?.job.state !== 'suspended') return 'it is SUSPENDED, with a spec that runs'
  if (lifecycleState.startsWith('DELET') && metadata.deletionTimestamp === undefined) return `it is ${lifecycleState}, and nobody has deleted it`
  return undefined
}

function specOf(text: string): FlinkJobSpec | undefined {
  try {
    const spec = JSON.parse(text) as FlinkJobSpec | null
    return typeof spec?.job === 'object' ? spec : undefined
  } catch {
    return undefined
  }
}

export interface FoundJob {
  readonly jobId: string
  readonly jobName: string
  readonly cluster: ObservedCluster
  readonly program: ObservedProgram
  /** How it has ended. */
  readonly result: EndedJob | undefined
  readonly isCancelled: boolean
  readonly nowMs: number
  /** Why the status was doubted. */
  readonly reason: string
}

export function rebuiltStatus(
  { spec, metadata }: FlinkJob,
  { jobId, jobName, isCancelled, cluster, program, result, nowMs, reason }: FoundJob,
): FlinkJobStatus {
  const now = new Date(nowMs).toISOString()
  if (result?.state === 'FINISHED' || result?.state === 'FAILED')
    return {
      ...initialStatus,
      observedGeneration: metadata.generation,
      lifecycleState: result.state === 'FAILED' ? 'FAILED' : 'STABLE',
      jobManagerDeploymentStatus: 'READY',
      jobStatus: { jobId, jobName, state: result.state, startTime: String(result.startTimeMs), updateTime: String(result.endTimeMs) },
      reconciliationStatus: { lastReconciledSpec: JSON.stringify(spec), state: 'DEPLOYED', reconciliationTimestamp: now },
      ...(result.failureCause === null ? {} : { error: result.failureCause }),
    }
  return {
    ...initialStatus,
    lifecycleState: 'UPGRADING',
    // Whoever has cancelled it: an upgrade may have, and the object says whether it is to run.
    jobStatus: { jobId, jobName, state: isCancelled ? 'CANCELED' : 'RECONCILING' },
    reconciliationStatus: {
      // Of no generation: whatever runs is taken for something else than what the object says.
      lastReconciledSpec: JSON.stringify({ ...spec, rebuilt: true }),
      state: 'DEPLOYED',
      reconciliationTimestamp: now,
    },
    upgrade: {
      generation: metadata.generation,
      spec: JSON.stringify(spec),
      mode: 'last-state',
      reason: `${reason}; the job is started again where its state is`,
      step: 'RELEASING',
      triggerId: jobId,
      since: now,
    },
    taskManager: { replicas: Math.max(replicasFor(spec, program), cluster.taskManagers.running) },
  }
}
