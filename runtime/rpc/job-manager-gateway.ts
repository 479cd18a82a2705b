import type { SerializedError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { SnapshotType } from '../common/snapshot-type.ts'

/**
 * What the JobManager answers to whoever stands in front of it: REST, the local executor, tests. Views are plain data made at the
 * moment of the call, cheap enough to be polled; nothing here knows HTTP or Flink's JSON. An unknown id is `undefined` (or
 * `not-found`), never an exception. Times are epoch milliseconds, -1 where something has not happened.
 */
export interface JobManagerGateway {
  overview(): ClusterOverview
  listJobs(): readonly JobSummary[]
  jobDetails(jobId: string): JobDetails | undefined
  vertexDetails(jobId: string, vertexId: string): VertexDetails | undefined
  exceptions(jobId: string): readonly ExceptionEntry[] | undefined
  jobResult(jobId: string): JobResult | undefined
  /** Resolves when the job has reached a terminal state; `undefined` when there is no such job. */
  awaitJobResult(jobId: string): Promise<CompletedJob | undefined>
  /** Idempotent by `jobId`: submitting the same id again answers the id of the job that is there. */
  submitJob(submission: JobSubmission): Promise<{ readonly jobId: string }>
  cancelJob(jobId: string): CancelAnswer
  /** Suspends a job that runs, and forgets it; its checkpoints stay. It is known until that is done. */
  releaseJob(jobId: string): 'accepted' | 'not-found'
  /**
   * What takes time is triggered, and asked for by its id until it is done or a while after; triggering one id again changes nothing. CONFLICT for a job
   * that has ended; INVALID_ARGUMENT when there is no place for a savepoint. What fails later is the answer of the operation.
   */
  triggerSavepoint(jobId: string, request: SavepointRequest): TriggerAnswer
  savepointOperation(jobId: string, triggerId: string): Operation<{ readonly location: string }> | undefined
  /** `full`: one that stands behind no earlier one. */
  triggerCheckpoint(jobId: string, triggerId: string, full: boolean): TriggerAnswer
  checkpointOperation(jobId: string, triggerId: string): Operation<{ readonly checkpointId: number }> | undefined
  triggerDisposal(path: string, triggerId: string): void
  disposalOperation(triggerId: string): Operation<null> | undefined
  /** Undefined also for a batch job, which takes none. */
  checkpointStatistics(jobId: string): CheckpointStatisticsView | undefined
  checkpointConfig(jobId: string): CheckpointConfigView | undefined
  resourceRequirements(jobId: string): ResourceRequirements | undefined
  /** Answers when the job is on its way: false when there is no such job. Rejects, and leaves the job alone, where it cannot be done. */
  rescaleJob(jobId: string, requirements: ResourceRequirements): Promise<boolean>
  taskManagers(): readonly TaskManagerView[]
  taskManager(taskManagerId: string): TaskManagerView | undefined
  /** The last part of a TaskManager's stdout file, at most `maxBytes` (default 1 MiB); `undefined` when there is no such TaskManager. */
  taskManagerStdout(taskManagerId: string, maxBytes?: number): Promise<string | undefined>
  /** The same of its log; `undefined` also when it does not know where its log goes. */
  taskManagerLog(taskManagerId: string, maxBytes?: number): Promise<string | undefined>
  /** Options in effect, Flink's keys, secrets masked by whoever parsed them. */
  clusterConfiguration(): Readonly<Record<string, string>>
  /** Code bundles by sha256 (hex). Putting checks the digest and is idempotent. */
  putArtifact(digest: string, bytes: Uint8Array): Promise<void>
  /** Cancels all jobs, tells the TaskManagers to end, closes. */
  shutDown(reason: string): Promise<void>
}

export const jobStatuses = [
  'INITIALIZING',
  'CREATED',
  'RUNNING',
  'FAILING',
  'FAILED',
  'CANCELLING',
  'CANCELED',
  'FINISHED',
  'RESTARTING',
  'SUSPENDED',
  'RECONCILING',
] as const
export type JobStatus = (typeof jobStatuses)[number]

export const executionStates = [
  'CREATED',
  'SCHEDULED',
  'DEPLOYING',
  'INITIALIZING',
  'RUNNING',
  'FINISHED',
  'CANCELING',
  'CANCELED',
  'FAILED',
  'RECONCILING',
] as const
export type ExecutionStateName = (typeof executionStates)[number]

export type TerminalJobStatus = 'FAILED' | 'CANCELED' | 'FINISHED'

export interface ClusterOverview {
  readonly taskManagers: number
  readonly slotsTotal: number
  readonly slotsAvailable: number
  /** That jobs have asked for and that no TaskManager has. */
  readonly slotsRequired: number
  readonly jobsRunning: number
  readonly jobsFinished: number
  readonly jobsCancelled: number
  readonly jobsFailed: number
}

export interface JobSummary {
  readonly jobId: string
  readonly name: string
  readonly jobType: 'STREAMING' | 'BATCH'
  readonly state: JobStatus
  readonly startTimeMs: number
  readonly endTimeMs: number
  readonly durationMs: number
  readonly lastModificationMs: number
  readonly taskCounts: Readonly<Record<ExecutionStateName, number>>
  readonly tasksTotal: number
  /** While the job waits for slots: `needs 4 slots (group default: 4), 2 free`. */
  readonly message: string | undefined
}

export interface JobDetails extends JobSummary {
  readonly nowMs: number
  /** When each state was entered the last time; 0 if never. */
  readonly timestamps: Readonly<Record<JobStatus, number>>
  /** In the JobGraph's (topological) order. */
  readonly vertices: readonly VertexSummary[]
  /** For the plan: vertices, edges, partitioners. A `JobGraph` of runtime/graph. */
  readonly jobGraph: JsonObject
  /** Sum over sharing groups of the largest parallelism. */
  readonly slotsNeeded: number
  /** Largest parallelism of all operators. */
  readonly parallelism: number
  readonly configuration: Readonly<Record<string, string>>
  readonly args: readonly string[]
  readonly attempt: number
  /** In words. */
  readonly restartStrategy: string
  /** Why no checkpoint is completed at present; undefined = none is known. */
  readonly checkpointProblem: string | undefined
}

export interface VertexSummary {
  readonly id: string
  readonly name: string
  readonly slotSharingGroup: string
  readonly parallelism: number
  readonly maxParallelism: number
  /** Flink's aggregate of the subtasks' states. */
  readonly status: ExecutionStateName
  readonly startTimeMs: number
  readonly endTimeMs: number
  readonly durationMs: number
  readonly taskCounts: Readonly<Record<ExecutionStateName, number>>
  readonly metrics: IoMetrics
  readonly operators: readonly OperatorView[]
}

export interface OperatorView {
  readonly operatorId: string
  readonly name: string
  /** Sum over subtasks, by Flink's names. */
  readonly metrics: Readonly<Record<string, number>>
}

export interface IoMetrics {
  readonly readBytes: number
  readonly writeBytes: number
  readonly readRecords: number
  readonly writeRecords: number
  readonly accumulatedBusyMs: number
  readonly accumulatedIdleMs: number
  readonly accumulatedBackPressuredMs: number
  /** True once every subtask has reported (Flink's `*-complete`). */
  readonly complete: boolean
}

export interface VertexDetails extends VertexSummary {
  /** Of the split enumerators on the JobManager, by operator. */
  readonly coordinatorMetrics: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly nowMs: number
  readonly subtasks: readonly SubtaskView[]
}

export interface SubtaskView {
  readonly subtaskIndex: number
  /** 0 for the first, as in Flink. */
  readonly attempt: number
  readonly executionId: string
  readonly status: ExecutionStateName
  /** Empty until it is assigned to a slot. */
  readonly host: string
  readonly taskManagerId: string
  /** `host:dataPort`, or `(unassigned)`. */
  readonly endpoint: string
  readonly startTimeMs: number
  readonly endTimeMs: number
  readonly durationMs: number
  readonly timestamps: Readonly<Record<ExecutionStateName, number>>
  readonly metrics: IoMetrics
  /** All the task reported, Flink's names. */
  readonly taskMetrics: Readonly<Record<string, number>>
  /** operatorId -> name -> value. */
  readonly operatorMetrics: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export interface ExceptionEntry {
  readonly exceptionName: string
  /** With `Caused by:` of every cause. */
  readonly stacktrace: string
  readonly timestampMs: number
  /** `Map (1/2) - execution #0`; undefined when no task is to blame. */
  readonly taskName: string | undefined
  readonly endpoint: string | undefined
  readonly taskManagerId: string | undefined
  readonly error: SerializedError
  readonly concurrentExceptions: readonly Omit<ExceptionEntry, 'concurrentExceptions'>[]
}

export interface CompletedJob {
  readonly kind: 'completed'
  readonly jobId: string
  readonly name: string
  readonly state: TerminalJobStatus
  readonly startTimeMs: number
  readonly endTimeMs: number
  readonly failureCause: SerializedError | undefined
}

export type JobResult = { readonly kind: 'in-progress' } | CompletedJob

export interface JobSubmission {
  /** A `JobGraph` of runtime/graph as JSON. */
  readonly jobGraph: JsonObject
  readonly name: string
  readonly artifact: { readonly digest: string; readonly entry: string }
  readonly args: readonly string[]
  readonly jobId?: string
}

/** What a vertex may run with, by its id; both counted. */
export type ResourceRequirements = Readonly<Record<string, { readonly lowerBound: number; readonly upperBound: number }>>

export type CancelAnswer =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'not-found' }
  /** FAILED, FINISHED or CANCELED already. */
  | { readonly kind: 'already-terminal'; readonly state: TerminalJobStatus }

export type TriggerAnswer = 'accepted' | 'not-found'

export interface SavepointRequest {
  readonly triggerId: string
  /** Undefined = `execution.checkpointing.savepoint-dir`. */
  readonly targetDirectory: string | undefined
  /** What becomes of the job behind it; `stop` and `drain` end it when the savepoint is complete, `cancel` a moment later. */
  readonly behind: 'go-on' | 'cancel' | 'stop' | 'drain'
}

export type Operation<T> =
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'completed'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: SerializedError }

export interface CheckpointView {
  readonly id: number
  readonly type: SnapshotType
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'
  readonly triggerMs: number
  /** -1 = nobody has acknowledged yet. */
  readonly latestAckMs: number
  /** Of all state. */
  readonly sizeBytes: number
  /** Of what this one has written: less, where it stands behind earlier ones. */
  readonly writtenBytes: number
  readonly durationMs: number
  readonly subtasks: number
  readonly acknowledged: number
  /** Where it lies; undefined = in the JobManager's memory, or nowhere yet. */
  readonly path: string | undefined
  readonly failure: { readonly timestampMs: number; readonly message: string } | undefined
}

export interface CheckpointTaskView {
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'
  readonly latestAckMs: number
  /** Of all state. */
  readonly sizeBytes: number
  /** Of what this one has written: less, where it stands behind earlier ones. */
  readonly writtenBytes: number
  readonly durationMs: number
  readonly subtasks: number
  readonly acknowledged: number
}

export interface RestoredView {
  readonly id: number
  readonly timestampMs: number
  readonly isSavepoint: boolean
  readonly path: string | undefined
}

export interface Statistic {
  readonly min: number
  readonly max: number
  readonly avg: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly p999: number
}

export interface Summary {
  readonly sizeBytes: Statistic
  readonly writtenBytes: Statistic
  readonly durationMs: Statistic
}

export interface CheckpointStatisticsView {
  readonly counts: {
    readonly restored: number
    readonly total: number
    readonly inProgress: number
    readonly completed: number
    readonly failed: number
  }
  readonly summary: Summary
  readonly latest: {
    readonly completed: CheckpointView | undefined
    readonly savepoint: CheckpointView | undefined
    readonly failed: CheckpointView | undefined
    readonly restored: RestoredView | undefined
  }
  /** Newest first; tasks by vertex id. */
  readonly history: readonly (CheckpointView & { readonly tasks: Readonly<Record<string, CheckpointTaskView>> })[]
}

export interface CheckpointConfigView {
  readonly exactlyOnce: boolean
  /** Undefined = only when somebody asks. */
  readonly intervalMs: number | undefined
  readonly timeoutMs: number
  readonly minPauseMs: number
  readonly maxConcurrent: number
  readonly tolerableFailures: number
  readonly retention: 'NO_EXTERNALIZED_CHECKPOINTS' | 'DELETE_ON_CANCELLATION' | 'RETAIN_ON_CANCELLATION'
  /** `own` = the program's; `module#export`; else Flink's name. */
  readonly stateBackend: string
  readonly storage: 'JobManagerCheckpointStorage' | 'FileSystemCheckpointStorage'
}

export interface TaskManagerView {
  readonly id: string
  readonly host: string
  readonly dataPort: number
  /** Epoch ms of the last heartbeat (Flink's field `timeSinceLastHeartbeat` holds just that). */
  readonly lastHeartbeatMs: number
  readonly slotsTotal: number
  readonly slotsFree: number
  readonly hardware: HardwareDescription
  /** As reported last, about once a second; Flink's names. Empty until the first report. */
  readonly metrics: Readonly<Record<string, number>>
  readonly slots: readonly SlotView[]
}

export interface SlotView {
  readonly slotIndex: number
  readonly jobId: string | undefined
  readonly allocationId: string | undefined
  readonly assignedTasks: number
}

export type HardwareDescription = {
  readonly cpuCores: number
  readonly physicalMemoryBytes: number
  readonly freeMemoryBytes: number
  readonly managedMemoryBytes: number
  readonly networkMemoryBytes: number
}
