import type { EndedJob, RestorePoint } from '../../runtime/checkpoint/catalogue.ts'
import type { FlinkJob, FlinkJobSpec, FlinkJobStatus, JobManagerDeploymentStatus } from '../api/flink-job.ts'
import type { FlinkSnapshot, NewFlinkSnapshot } from '../api/flink-snapshot.ts'
import type { Action, ObservedCluster, ObservedProgram, ObservedStatePlan } from '../effects/actions.ts'

/** What the rules look at and what they answer: data, and small questions about it. */
export interface Input {
  readonly job: FlinkJob
  readonly observed: Observed
  readonly nowMs: number
  /** Offered for a job that has none yet, and for a trigger. */
  readonly freshJobId: string
  readonly freshTriggerId: string
}

export interface Observed {
  readonly cluster: ObservedCluster
  /** Of the spec that is carried out. */
  readonly program: ObservedProgram
  /** Of the spec that an edit leads to; undefined = there is none. */
  readonly edited: ObservedProgram | undefined
  /** Of that edit; undefined = none is needed now. */
  readonly statePlan: ObservedStatePlan | undefined
  readonly job: ObservedJob
  /** How it gets on; undefined = nothing is decided by that, or nobody could be asked. */
  readonly progress: ObservedProgress | undefined
  /** Undefined = nothing is decided by that, or nobody could be asked. */
  readonly size: ObservedSize | undefined
  /** What `status.upgrade` has triggered. */
  readonly operation: ObservedOperation
  /** What lies where the next start is to begin (start-path.ts); undefined = nobody needs to know. */
  readonly startPath: ObservedPath | undefined
  /** What the store says of the job; asked only where `asksCatalogue` says so. */
  readonly catalogue: ObservedCatalogue
  /** FlinkSnapshots that were made for the job. */
  readonly snapshots: readonly FlinkSnapshot[]
}

export type ObservedPath =
  | { readonly kind: 'found' }
  /** There is nothing that a job could begin with. */
  | { readonly kind: 'missing'; readonly message: string }
  | { readonly kind: 'unknown'; readonly message: string }

export interface KnownCatalogue {
  readonly kind: 'known'
  /** Whether it was ever begun with at this store. */
  readonly isKnown: boolean
  readonly newest: RestorePoint | undefined
  readonly result: EndedJob | undefined
}

/** `unknown`: it was not asked, or could not be read, for which there is a message. */
export type ObservedCatalogue = KnownCatalogue | { readonly kind: 'unknown'; readonly message: string | undefined }

export type ObservedJob =
  /** Nobody could be asked. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'missing' }
  | {
      readonly kind: 'present'
      readonly name: string
      readonly state: string
      readonly startTimeMs: number
      readonly updateTimeMs: number
      /** By vertex id, as it runs. */
      readonly parallelisms: Readonly<Record<string, number>>
      /** When it was last restarted by itself; 0 = never. */
      readonly restartedMs: number
      /** Why it waits or failed. */
      readonly message: string | undefined
      /** Why no checkpoint is completed at present, where that is known. */
      readonly checkpointProblem?: string
    }

/** Slots and who has them, asked only where they decide something. */
export interface ObservedSize {
  /** Of all TaskManagers that have registered. */
  readonly slots: number
  /** How many more it takes for what the job waits for. */
  readonly slotsRequired: number
  /** Names of TaskManagers of which the job has slots. */
  readonly usedTaskManagers: readonly string[]
}

export interface ObservedFailure {
  readonly timestampMs: number
  /** The root cause, one line. */
  readonly cause: string
  readonly where?: string
}

export interface ObservedProgress {
  /** The newest first. */
  readonly failures: readonly ObservedFailure[]
  /** When the newest checkpoint or savepoint was complete. */
  readonly checkpointMs: number | undefined
  /** By itself. */
  readonly takesCheckpoints: boolean
  /** In which one is to be completed however many fail that may. */
  readonly checkpointWindowMs: number
  /** By itself, since it runs on this JobManager. */
  readonly restarts: number
}

export type ObservedOperation =
  /** Nobody could be asked, or there is nothing to ask for. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'completed'; readonly location: string }
  | { readonly kind: 'failed'; readonly message: string }

export interface Decision {
  readonly status: FlinkJobStatus
  readonly actions: readonly (Action | SnapshotAction)[]
  readonly requeueAfterMs: number
  /** What the status says besides, once the actions are done. */
  readonly after?: { readonly live: string | undefined }
}

/** What is done about FlinkSnapshots; each may be repeated. */
export type SnapshotAction =
  | { readonly kind: 'createSnapshot'; readonly snapshot: NewFlinkSnapshot }
  /** Its files go before it does. */
  | { readonly kind: 'deleteSnapshot'; readonly snapshot: FlinkSnapshot }

export type Rule = (input: Input) => Decision | undefined

/** Past this a job that does not end is ended with its processes: longer than task.cancellation.interval, so that a slot is terminated before. */
export const CANCEL_TIMEOUT_MS = 60_000
export const POLL_MS = 100
export const REPORT_MS = 500

export function answer(status: FlinkJobStatus, requeueAfterMs: number, ...actions: Action[]): Decision {
  return { status, actions, requeueAfterMs }
}

export const initialStatus: FlinkJobStatus = { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [] }

export function statusOf({ job }: Pick<Input, 'job'>): FlinkJobStatus {
  return job.status ?? initialStatus
}

export function withStatus(input: Input, status: FlinkJobStatus): Input {
  return { ...input, job: { ...input.job, status } }
}

export function intendedSpec(status: FlinkJobStatus): FlinkJobSpec {
  // Written by the rules from a FlinkJobSpec.
  return JSON.parse(status.reconciliationStatus?.lastReconciledSpec ?? '{}') as FlinkJobSpec
}

/** The job has ended for good. */
export function isGloballyTerminal(state: string | undefined): boolean {
  return state === 'FINISHED' || state === 'FAILED' || state === 'CANCELED'
}

/** There are pods, or what makes them, though nobody may answer: what they need is kept up. */
export function isJobManagerDeployed(status: JobManagerDeploymentStatus | undefined): boolean {
  return status === 'READY' || status === 'DEPLOYED_NOT_READY'
}

export function isClusterGone({ jobManager, taskManagers }: ObservedCluster): boolean {
  return jobManager.kind === 'missing' && taskManagers.running === 0
}

/** Whether something is decided by what the store says: there is nobody else who could be asked about the job, and it is not at rest. */
export function asksCatalogue(status: FlinkJobStatus, { cluster, job }: Pick<Observed, 'cluster' | 'job'>): boolean {
  const { jobManager } = cluster
  if (status.jobStatus === undefined || jobManager.kind === 'starting') return false
  if (jobManager.kind === 'ready') return job.kind === 'missing'
  return !isAtRest(status)
}

/** Nothing is to run, and nothing is being done about that. */
function isAtRest(status: FlinkJobStatus): boolean {
  if (status.lifecycleState === 'DELETED') return true
  if (status.deletion?.step === 'REMOVING') return false
  return status.upgrade === undefined && (status.lifecycleState === 'SUSPENDED' || hasEnded(status))
}

/** It has ended for good, or could not be deployed: it runs again when the object is edited. */
export function hasEnded({ lifecycleState, jobStatus }: FlinkJobStatus): boolean {
  return lifecycleState === 'FAILED' || isGloballyTerminal(jobStatus?.state)
}

/** Those who work before the one who knows what they did. */
export function stopActions(cluster: ObservedCluster): Action[] {
  return [
    ...(cluster.taskManagers.running > 0 ? [{ kind: 'stopTaskManagers' } as const] : []),
    ...(cluster.jobManager.kind === 'missing' ? [] : [{ kind: 'stopJobManager' } as const]),
  ]
}

/** Just enough for the job, unless the manifest says how many; those of a session are its own matter. */
export function replicasFor({ taskManager, sessionName }: FlinkJobSpec, program: ObservedProgram | undefined): number {
  if (sessionName !== undefined) return 0
  if (taskManager.replicas !== undefined) return taskManager.replicas
  return program?.kind === 'ready' ? Math.max(1, Math.ceil(program.slotsNeeded / program.slotsPerTaskManager)) : 1
}
