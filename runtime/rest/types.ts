/**
 * Answers of the REST API, byte-compatible with Flink's (paths, field names, -1 and null where Flink has them). Shared by the server, the
 * typed client, the command line and the operator. Fields that Flink does not have start with `millrace-`: Flink's own clients ignore them.
 */
export interface ErrorBody {
  readonly errors: readonly string[]
}

export interface ClusterConfig {
  readonly 'refresh-interval': number
  readonly 'timezone-name': string
  readonly 'timezone-offset': number
  readonly 'flink-version': string
  readonly 'flink-revision': string
  readonly features: {
    readonly 'web-submit': boolean
    readonly 'web-cancel': boolean
    readonly 'web-rescale': boolean
    readonly 'web-history': boolean
  }
}

export interface Overview {
  readonly taskmanagers: number
  readonly 'slots-total': number
  readonly 'slots-available': number
  /** How many more it takes for all that jobs wait for. */
  readonly 'millrace-slots-required': number
  readonly 'jobs-running': number
  readonly 'jobs-finished': number
  readonly 'jobs-cancelled': number
  readonly 'jobs-failed': number
  readonly 'flink-version': string
  readonly 'flink-commit': string
}

export interface JobRow {
  readonly jid: string
  readonly name: string
  readonly jobType: 'STREAMING' | 'BATCH'
  readonly schedulerType: 'Default'
  readonly 'start-time': number
  readonly 'end-time': number
  readonly duration: number
  readonly state: string
  readonly 'last-modification': number
  /** Lower-case states plus `total`. */
  readonly tasks: Readonly<Record<string, number>>
  readonly 'pending-operators': number
  /** Why the job waits: `needs 4 slots (group default: 4), 2 free`. */
  readonly 'millrace-message'?: string
}

export interface JobsOverview {
  readonly jobs: readonly JobRow[]
}

export interface Io {
  readonly 'read-bytes': number
  readonly 'read-bytes-complete': boolean
  readonly 'write-bytes': number
  readonly 'write-bytes-complete': boolean
  readonly 'read-records': number
  readonly 'read-records-complete': boolean
  readonly 'write-records': number
  readonly 'write-records-complete': boolean
  readonly 'accumulated-backpressured-time': number
  readonly 'accumulated-idle-time': number
  readonly 'accumulated-busy-time': number
}

export interface Plan {
  readonly jid: string
  readonly name: string
  readonly type: string
  readonly nodes: readonly PlanNode[]
}

export interface PlanNode {
  readonly id: string
  readonly parallelism: number
  readonly operator: string
  readonly operator_strategy: string
  readonly description: string
  readonly inputs?: readonly { readonly num: number; readonly id: string; readonly ship_strategy: string; readonly exchange: string }[]
  readonly optimizer_properties: Readonly<Record<string, unknown>>
}

export interface VertexRow {
  readonly id: string
  readonly slotSharingGroupId: string
  readonly name: string
  readonly maxParallelism: number
  readonly parallelism: number
  readonly status: string
  readonly 'start-time': number
  readonly 'end-time': number
  readonly duration: number
  /** Upper-case states. */
  readonly tasks: Readonly<Record<string, number>>
  readonly metrics: Io
}

export interface JobInfo {
  readonly jid: string
  readonly name: string
  readonly isStoppable: boolean
  readonly state: string
  readonly 'job-type': string
  readonly schedulerType: string
  readonly 'start-time': number
  readonly 'end-time': number
  readonly duration: number
  readonly maxParallelism: number
  readonly now: number
  readonly timestamps: Readonly<Record<string, number>>
  readonly vertices: readonly VertexRow[]
  readonly 'status-counts': Readonly<Record<string, number>>
  readonly plan: Plan
  readonly 'pending-operators': number
  readonly 'millrace-message'?: string
  /** Why no checkpoint is completed at present: its store does not answer, tasks decline. */
  readonly 'millrace-checkpoint-problem'?: string
}

export interface SubtaskRow {
  readonly subtask: number
  readonly status: string
  readonly attempt: number
  readonly endpoint: string
  readonly 'start-time': number
  readonly 'end-time': number
  readonly duration: number
  readonly metrics: Io
  readonly 'taskmanager-id': string
  readonly 'status-duration': Readonly<Record<string, number>>
  /** Flink's old spelling of `start-time`, still sent by it. */
  readonly start_time: number
}

export interface VertexInfo {
  readonly id: string
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly now: number
  readonly subtasks: readonly SubtaskRow[]
  readonly aggregated: Aggregated
}

export interface Aggregated {
  readonly metrics: Readonly<Record<string, Stat>>
  readonly 'status-duration': Readonly<Record<string, Stat>>
}

export interface Stat {
  readonly min: number
  readonly max: number
  readonly avg: number
  readonly sum: number
  readonly median: number
  readonly p25: number
  readonly p75: number
  readonly p95: number
}

export interface ExceptionRow {
  readonly exceptionName: string
  readonly stacktrace: string
  readonly timestamp: number
  readonly failureLabels: Readonly<Record<string, string>>
  readonly taskName: string | null
  readonly endpoint: string | null
  readonly taskManagerId: string | null
}

export interface JobExceptions {
  readonly exceptionHistory: {
    readonly entries: readonly (ExceptionRow & { readonly concurrentExceptions: readonly ExceptionRow[] })[]
    readonly truncated: boolean
  }
}

export interface ThrowableJson {
  readonly class: string
  readonly 'stack-trace': string
  /** Base64 of a Java object at Flink's; empty here, where there is none. */
  readonly 'serialized-throwable': string
}

export interface JobResultJson {
  readonly id: string
  readonly name: string
  readonly 'application-status': 'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'UNKNOWN'
  readonly 'accumulator-results': Readonly<Record<string, string>>
  readonly 'net-runtime': number
  readonly 'failure-cause'?: ThrowableJson
  readonly 'start-time': number
  readonly 'end-time': number
}

export type ExecutionResult =
  | { readonly status: { readonly id: 'IN_PROGRESS' } }
  | { readonly status: { readonly id: 'COMPLETED' }; readonly 'job-execution-result': JobResultJson }

export interface Metric {
  readonly id: string
  readonly value?: string
}

export interface AggregatedMetric {
  readonly id: string
  readonly min?: number
  readonly max?: number
  readonly avg?: number
  readonly sum?: number
  readonly skew?: number
}

export interface ResourceJson {
  readonly cpuCores: number
  readonly taskHeapMemory: number
  readonly taskOffHeapMemory: number
  readonly managedMemory: number
  readonly networkMemory: number
  readonly extendedResources: Readonly<Record<string, number>>
}

export interface TaskManagerRow {
  readonly id: string
  readonly path: string
  readonly dataPort: number
  readonly jmxPort: number
  /** Epoch ms of the last heartbeat, whatever its name says. */
  readonly timeSinceLastHeartbeat: number
  readonly slotsNumber: number
  readonly freeSlots: number
  readonly assignedTasks: number
  readonly totalResource: ResourceJson
  readonly freeResource: ResourceJson
  readonly hardware: { readonly cpuCores: number; readonly physicalMemory: number; readonly freeMemory: number; readonly managedMemory: number }
  readonly memoryConfiguration: Readonly<Record<string, number>>
}

export interface JarFile {
  readonly id: string
  readonly name: string
  readonly uploaded: number
  readonly entry: readonly { readonly name: string; readonly description: string | null }[]
}

export interface JarList {
  readonly address: string
  readonly files: readonly JarFile[]
}

/** Strictly parsed: an unknown field is refused. */
/** What was triggered: `operation` is null until it is COMPLETED, then its result or its failure. */
export interface AsyncOperationJson {
  readonly status: { readonly id: 'IN_PROGRESS' | 'COMPLETED' }
  readonly operation: Readonly<Record<string, unknown>> | null
}

export interface JarRunRequest {
  readonly entryClass?: string
  readonly programArgsList?: readonly string[]
  readonly parallelism?: number
  readonly jobId?: string
  readonly allowNonRestoredState?: boolean
  readonly savepointPath?: string
  readonly claimMode?: string
  readonly restoreMode?: string
  readonly flinkConfiguration?: Readonly<Record<string, string>>
}

/** Bodies, strictly parsed. */
export interface SavepointTrigger {
  readonly 'target-directory'?: string
  readonly 'cancel-job': boolean
  readonly formatType?: string
  readonly triggerId: string
}

export interface StopTrigger {
  readonly targetDirectory?: string
  readonly drain: boolean
  readonly formatType?: string
  readonly triggerId: string
}

export interface CheckpointTrigger {
  readonly checkpointType: 'CONFIGURED' | 'FULL'
  readonly triggerId: string
}

/** Of `/jobs/:id/checkpoints`, what the operator reads. */
export interface CheckpointStatisticsJson {
  readonly counts: { readonly total: number; readonly in_progress: number; readonly completed: number; readonly failed: number }
  readonly latest: { readonly completed: CompletedCheckpointJson | null; readonly savepoint: CompletedCheckpointJson | null }
}

export interface CompletedCheckpointJson {
  readonly id: number
  readonly trigger_timestamp: number
  /** When it was complete. */
  readonly latest_ack_timestamp: number
}

/** Of `/jobs/:id/checkpoints/config`, what the operator reads. */
export interface CheckpointConfigJson {
  /** Null = none are taken by themselves. */
  readonly interval: number | null
  readonly timeout: number
  readonly tolerable_failed_checkpoints: number
}

/** What the command line and the operator call; `createRestClient` makes one over HTTP. Every method rejects with a `FlinkError`. */
/** By vertex id; all vertices of the job. */
export type ResourceRequirementsJson = Readonly<
  Record<string, { readonly parallelism: { readonly lowerBound: number; readonly upperBound: number } }>
>

export interface RestClient {
  /** `http://host:port` */
  readonly address: string
  config(): Promise<ClusterConfig>
  overview(): Promise<Overview>
  jobsOverview(): Promise<JobsOverview>
  job(jobId: string): Promise<JobInfo>
  jobStatus(jobId: string): Promise<string>
  jobExceptions(jobId: string): Promise<JobExceptions>
  executionResult(jobId: string): Promise<ExecutionResult>
  cancelJob(jobId: string): Promise<void>
  /** Suspends it, and has it forgotten there: NOT_FOUND once that is done. Its checkpoints stay. */
  releaseJob(jobId: string): Promise<void>
  resourceRequirements(jobId: string): Promise<ResourceRequirementsJson>
  /** All vertices of a job that runs; it is on its way there when this answers. */
  putResourceRequirements(jobId: string, requirements: ResourceRequirementsJson): Promise<void>
  /** What is triggered answers its trigger's id; with one that the caller has chosen it can be sent again. */
  triggerSavepoint(jobId: string, request: SavepointTrigger): Promise<string>
  stopWithSavepoint(jobId: string, request: StopTrigger): Promise<string>
  triggerCheckpoint(jobId: string, request: CheckpointTrigger): Promise<string>
  triggerDisposal(savepointPath: string): Promise<string>
  operation(kind: 'savepoint' | 'checkpoint', jobId: string, triggerId: string): Promise<AsyncOperationJson>
  /** Those of `names` that it has. */
  jobMetrics(jobId: string, names: readonly string[]): Promise<readonly Metric[]>
  checkpointStatistics(jobId: string): Promise<CheckpointStatisticsJson>
  checkpointConfig(jobId: string): Promise<CheckpointConfigJson>
  /** Where a completed checkpoint lies; undefined = nowhere that a job could be started from. */
  checkpointPath(jobId: string, checkpointId: number): Promise<string | undefined>
  disposal(triggerId: string): Promise<AsyncOperationJson>
  vertex(jobId: string, vertexId: string): Promise<VertexInfo>
  taskManagers(): Promise<readonly TaskManagerRow[]>
  taskManagerStdout(taskManagerId: string): Promise<string>
  /** Answers the jar's id. */
  uploadJar(fileName: string, bytes: Uint8Array): Promise<string>
  runJar(jarId: string, request: JarRunRequest): Promise<string>
  planJar(jarId: string, request: JarRunRequest): Promise<Plan>
  deleteJar(jarId: string): Promise<void>
  shutDownCluster(): Promise<void>
}
