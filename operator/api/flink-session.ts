import { z } from 'zod'
import {
  API_VERSION,
  conditions,
  duration,
  expected,
  flinkConfiguration,
  foreign,
  imagePullPolicy,
  ingress,
  jobManager,
  map,
  metadata,
  name,
  nonEmptyText,
  rules,
  taskManager,
  wholeNumber,
} from './fields.ts'

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

export const flinkSessionStatusSchema = z.object({
  observedGeneration: z.int().optional(),
  lifecycleState: z.enum(['CREATED', 'UPGRADING', 'DEPLOYED', 'STABLE', 'FAILED', 'DELETING', 'DELETED']),
  jobManagerDeploymentStatus: z.enum(['READY', 'DEPLOYED_NOT_READY', 'DEPLOYING', 'MISSING', 'ERROR']),
  /** JSON text of the spec that is carried out. */
  lastReconciledSpec: z.string().optional(),
  taskManager: z.object({ replicas: z.int(), labelSelector: z.string().optional() }).optional(),
  clusterInfo: z.object({ 'web-address': z.string() }).optional(),
  /** Jobs that run on it, as namespace/name. */
  jobs: z.array(z.string()).max(1000).optional(),
  error: z.string().optional(),
  conditions,
})
