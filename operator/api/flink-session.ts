import { z } from 'zod'
import {
  API_VERSION,
  conditions,
  duration,
  expected,
  type Fixed,
  flinkConfiguration,
  foreign,
  imagePullPolicy,
  ingress,
  jobManager,
  map,
  metadata,
  name,
  nonEmptyText,
  processProblems,
  rules,
  taskManager,
  wholeNumber,
} from './fields.ts'
import type { ClusterSpec, FlinkJobMetadata } from './flink-job.ts'

/**
 * The FlinkSession resource: a cluster that FlinkJobs share by naming it in `sessionName`. All jobs of a session are one trust domain. Short of slots it gets
 * TaskManagers up to `maxTaskManagers`; those without work for `idleTimeout` go, down to `taskManager.replicas`.
 */
export const SESSION_KIND = 'FlinkSession'

const spec = map(
  {
    flinkConfiguration: flinkConfiguration.optional().describe("Options in Flink's keys, flat or nested."),
    image: nonEmptyText.optional().describe('The runtime image; default: that of the operator.'),
    imagePullPolicy: imagePullPolicy.optional().describe('When the image is fetched.'),
    serviceAccount: name.optional().describe('Of the pods.'),
    podTemplate: foreign('a pod template').optional().describe('Merged into the pods of the JobManager and the TaskManagers.'),
    jobManager: jobManager.optional().describe('The JobManager.'),
    taskManager: taskManager.optional().describe('The TaskManagers; replicas are those that are always there, default 0.'),
    maxTaskManagers: wholeNumber(1, 10_000).default(10).describe('How many TaskManagers jobs may make it have.'),
    idleTimeout: duration.default('60 s').describe('How long a TaskManager without work stays.'),
    deletionTimeout: duration
      .default('5 min')
      .describe('How long deletion waits for the jobs of the session before it suspends them with a savepoint.'),
    deletionPolicy: z
      .enum(['Wait', 'Delete'], expected('Wait or Delete'))
      .default('Wait')
      .describe('Whether jobs that cannot be suspended hold the deletion, or are cancelled.'),
    restartNonce: wholeNumber(0).optional().describe('A new value restarts the cluster; its jobs go on from their last checkpoints.'),
    ingress: ingress.optional().describe('For REST and the web page of the JobManager.'),
  },
  'the map "spec"',
).meta(
  rules({
    rule: '!has(self.taskManager) || !has(self.taskManager.replicas) || self.taskManager.replicas <= self.maxTaskManagers',
    message: 'must not be less than taskManager.replicas',
    fieldPath: '.maxTaskManagers',
  }),
)

export const flinkSessionSchema = map(
  { apiVersion: z.literal(API_VERSION, expected(API_VERSION)), kind: z.literal(SESSION_KIND, expected(SESSION_KIND)), metadata, spec },
  `a ${SESSION_KIND} manifest: a map with apiVersion, kind, metadata and spec`,
)

/** As it was written, defaults filled in. */
export type FlinkSessionManifest = z.infer<typeof flinkSessionSchema>

export const flinkSessionStatusSchema = z.object({
  observedGeneration: z.int().optional(),
  lifecycleState: z.enum(['CREATED', 'UPGRADING', 'DEPLOYED', 'STABLE', 'FAILED', 'DELETING', 'DELETED']),
  jobManagerDeploymentStatus: z.enum(['READY', 'DEPLOYED_NOT_READY', 'DEPLOYING', 'MISSING', 'ERROR']),
  /** JSON text of the part of the spec that the running processes were started with. */
  lastReconciledSpec: z.string().optional(),
  /** The processes end, and are started again at the earliest then. */
  restart: z.object({ reason: z.string(), after: z.string() }).optional(),
  /** How many times the JobManager was lost in a row, and when last. */
  lost: z.object({ count: z.int(), since: z.string() }).optional(),
  taskManager: z.object({ replicas: z.int(), labelSelector: z.string().optional() }).optional(),
  /** TaskManagers that no job needs since then, and what is to stay of them. */
  scaleDown: z.object({ to: z.int(), since: z.string() }).optional(),
  clusterInfo: z.object({ 'web-address': z.string() }).optional(),
  /** Jobs that run on it, as namespace/name. */
  jobs: z.array(z.string()).max(1000).optional(),
  /** Deletion does not wait for the jobs any longer: each suspends itself with a savepoint. */
  evicting: z.boolean().optional(),
  /** What its restart waits for: jobs that come to rest with a savepoint. */
  waits: z.string().optional(),
  /** What holds the deletion. */
  blocked: z.string().optional(),
  /** How many slots jobs wait for though all TaskManagers that may be there are. */
  shortage: z.string().optional(),
  problems: processProblems,
  /** JSON text of what of the spec was carried out beside the processes that run. */
  live: z.string().optional(),
  error: z.string().optional(),
  conditions,
})

export type FlinkSessionStatus = Fixed<z.infer<typeof flinkSessionStatusSchema>>

/** The spec as it is carried out: checked, defaults filled in, options flat. */
export interface FlinkSessionSpec {
  /** What its processes are started with. */
  readonly cluster: ClusterSpec
  readonly slotsPerTaskManager: number
  readonly minTaskManagers: number
  readonly maxTaskManagers: number
  readonly idleTimeoutMs: number
  readonly deletionTimeoutMs: number
  readonly deletionPolicy: 'Wait' | 'Delete'
}

export interface FlinkSession {
  readonly apiVersion: typeof API_VERSION
  readonly kind: typeof SESSION_KIND
  readonly metadata: FlinkJobMetadata
  readonly spec: FlinkSessionSpec
  readonly status?: FlinkSessionStatus
}
