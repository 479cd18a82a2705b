import { z } from 'zod'
import {
  API_VERSION,
  type Condition,
  conditions,
  DEFAULT_NAMESPACE,
  duration,
  expected,
  type Fixed,
  flinkConfiguration,
  foreign,
  imagePullPolicy,
  ingress,
  jobManager,
  listOf,
  map,
  metadata,
  name,
  nonEmptyText,
  number,
  oneOf,
  processProblems,
  programText,
  rules,
  taskManager,
  text,
  wholeNumber,
  yesOrNo,
} from './fields.ts'
import type { HealthCheck } from './operator-options.ts'

/**
 * The FlinkJob resource: one job, on a cluster of its own or on a FlinkSession's. Field names follow the Flink operator's FlinkDeployment, so that what people
 * know works; a jar is a TypeScript module here (`job.module`) or its text (`job.script`), or a SQL script.
 *
 * The schema is all of the resource: the CRD is generated from it (crd.ts), and manifests are checked by it. `flink-job-refused.ts` names what Flink's operator
 * has and what is not built yet; what depends on more than the document (option names, which keys Millrace sets itself) is in operator/validation.
 */
export { API_VERSION, type Condition, DEFAULT_NAMESPACE }
export const KIND = 'FlinkJob'

const argument = z.union([text, z.number()], expected('a text or a number')).meta({ 'x-kubernetes-int-or-string': true })

const digestText = 'sha256: and 64 hexadecimal digits'

const job = map(
  {
    script: programText.optional().describe('TypeScript text whose default export (or entryClass) is the program.'),
    module: nonEmptyText
      .optional()
      .describe(
        'A TypeScript or JavaScript module that exports the program: relative to the manifest, in the image or on a volume, or s3:// with a moduleDigest.',
      ),
    moduleDigest: z
      .string(expected(digestText))
      .max(71, expected(digestText))
      .regex(/^sha256:[0-9a-f]{64}$/, expected(digestText))
      .optional()
      .describe('Of a module by its address: exactly this text is planned and run, or none. A new value is another program.'),
    sql: programText.optional().describe('A SQL script; all its INSERTs are one job.'),
    configMapRef: map(
      { name: nonEmptyText.describe('Of the ConfigMap.'), key: nonEmptyText.describe('Of the text in it.') },
      'a map with name and key',
    )
      .optional()
      .describe('The program is the text under a key of a ConfigMap: a key that ends in .sql is SQL, any other TypeScript.'),
    entryClass: nonEmptyText.optional().describe('The export that is the program; default: default.'),
    args: listOf(argument, 'a list of texts').optional().describe('Arguments of the program.'),
    parallelism: wholeNumber(1, 32_768).optional().describe('Of operators that set none; default: parallelism.default, else 1.'),
    state: oneOf('running', 'suspended').default('running').describe('Whether it runs: a suspended job keeps its state and has no processes.'),
    upgradeMode: oneOf('stateless', 'savepoint', 'last-state')
      .default('stateless')
      .describe('How a changed job goes on: from a savepoint taken for it, from its last checkpoint, or empty.'),
    fallback: oneOf('none', 'last-state', 'stateless').default('none').describe('What an upgrade may do when it cannot do what upgradeMode says.'),
    initialSavepointPath: nonEmptyText.optional().describe('The savepoint or checkpoint that the first start begins from.'),
    allowNonRestoredState: yesOrNo.optional().describe('Whether state that the program has no place for may be dropped.'),
    savepointTriggerNonce: wholeNumber(0).optional().describe('A new value takes a savepoint.'),
    savepointRedeployNonce: wholeNumber(0).optional().describe('A new value starts the job anew from initialSavepointPath.'),
  },
  'the map "job" with a script, a module, sql or a configMapRef',
).meta(
  rules(
    {
      rule: '[has(self.script), has(self.module), has(self.sql), has(self.configMapRef)].exists_one(given, given)',
      message: 'expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef',
    },
    {
      rule: "!has(self.module) || !self.module.contains('://') || self.module.startsWith('s3://')",
      message:
        'is refused: a module is a file, in the image or on a volume, or an object at s3://; an init container of the podTemplate may fetch it from elsewhere',
      fieldPath: '.module',
    },
    {
      rule: "has(self.moduleDigest) == (has(self.module) && self.module.startsWith('s3://'))",
      message: 'belongs to a module at s3://, which needs it: what lies under an address may change, and is planned and run at different times',
      fieldPath: '.moduleDigest',
    },
    { rule: '!has(self.sql) || !has(self.entryClass)', message: 'has no meaning beside sql, which exports nothing', fieldPath: '.entryClass' },
    {
      rule: "self.fallback != 'last-state' || self.upgradeMode == 'savepoint'",
      message: 'last-state is a fall-back of upgradeMode savepoint only',
      fieldPath: '.fallback',
    },
    {
      rule: "self.fallback == 'none' || self.upgradeMode != 'stateless'",
      message: 'upgradeMode stateless has nothing to fall back from',
      fieldPath: '.fallback',
    },
    {
      rule: '!has(self.savepointRedeployNonce) || has(self.initialSavepointPath)',
      message: 'needs initialSavepointPath, from which the job is to start',
      fieldPath: '.savepointRedeployNonce',
    },
  ),
)

/** Which fields belong to which strategy; Flink's defaults where they are absent. */
const strategyFields = {
  'fixed-delay': ['attempts', 'delay'],
  'exponential-delay': ['attempts', 'initialBackoff', 'maxBackoff', 'multiplier', 'jitter', 'resetAfter'],
  'failure-rate': ['delay', 'maxFailures', 'interval'],
} as const

const restartStrategy = map(
  {
    type: oneOf('none', 'fixed-delay', 'exponential-delay', 'failure-rate').describe("Which of Flink's strategies."),
    attempts: wholeNumber(0).optional().describe('Restarts before the job fails; of exponential-delay in a row.'),
    delay: duration.optional().describe('Between a failure and the restart.'),
    initialBackoff: duration.optional().describe('The first delay.'),
    maxBackoff: duration.optional().describe('The longest delay.'),
    multiplier: number(1).optional().describe('Each delay to the one before.'),
    jitter: number(0, 1).optional().describe('A delay is up to this part of itself longer or shorter.'),
    resetAfter: duration.optional().describe('A job that ran this long begins with the first delay again.'),
    maxFailures: wholeNumber(1).optional().describe('Failures within the interval before the job fails.'),
    interval: duration.optional().describe('In which failures are counted.'),
  },
  'a map with a type',
).meta(
  rules(
    ...[...new Set(Object.values(strategyFields).flat())].map(field => {
      const types = Object.entries(strategyFields).flatMap(([type, fields]) => ((fields as readonly string[]).includes(field) ? [type] : []))
      return {
        rule: `!has(self.${field}) || self.type in [${types.map(type => `'${type}'`).join(', ')}]`,
        message: `belongs to type ${types.join(' and ')} only`,
        fieldPath: `.${field}`,
      }
    }),
  ),
)

const snapshots = map(
  {
    interval: duration.optional().describe('Between two snapshots.'),
    cron: nonEmptyText.optional().describe('When snapshots are taken: five fields as in crontab(5), in UTC.'),
    retain: wholeNumber(1, 10_000).default(10).describe('How many of them are kept, the newest ones.'),
  },
  'a map with an interval or cron',
).meta(rules({ rule: 'has(self.interval) != has(self.cron)', message: 'expected either an interval or cron' }))

/** What a job on a session has of its session. */
const ofOwnCluster = ['image', 'imagePullPolicy', 'serviceAccount', 'podTemplate', 'jobManager', 'taskManager', 'ingress'] as const

const spec = map(
  {
    job: job.describe('The program, and how it goes on when it is changed.'),
    sessionName: name.optional().describe('The FlinkSession that the job runs on; absent: a cluster of its own.'),
    flinkConfiguration: flinkConfiguration.optional().describe("Options in Flink's keys, flat or nested."),
    restartStrategy: restartStrategy.optional().describe('What happens when the job fails; default: exponential-delay with checkpoints, else none.'),
    kafka: map({
      partitionDiscoveryInterval: duration.optional().describe('How often sources look for new partitions.'),
      defaultApiTimeout: duration.optional().describe('For a call of a Kafka client, all tries together.'),
      requestTimeout: duration.optional().describe('For one request to a broker.'),
      maxBlock: duration.optional().describe('How long a producer waits for metadata and room.'),
    })
      .optional()
      .describe('Time-outs of all Kafka connectors of the job.'),
    image: nonEmptyText.optional().describe('The runtime image; default: that of the operator.'),
    imagePullPolicy: imagePullPolicy.optional().describe('When the image is fetched.'),
    serviceAccount: name.optional().describe('Of the pods.'),
    podTemplate: foreign('a pod template').optional().describe('Merged into the pods of the JobManager and the TaskManagers.'),
    jobManager: jobManager.optional().describe('The JobManager.'),
    taskManager: taskManager.optional().describe('The TaskManagers.'),
    snapshots: snapshots.optional().describe('Savepoints taken by the clock.'),
    deletionPolicy: oneOf('Savepoint', 'Keep', 'Delete')
      .default('Keep')
      .describe('What becomes of the state when the FlinkJob is deleted: a last savepoint first, what there is stays, or all checkpoints go.'),
    deletionTimeout: duration.default('5 min').describe('How long deletion tries what deletionPolicy says before its condition says what holds it.'),
    restartNonce: wholeNumber(0).optional().describe('A new value restarts the job as an upgrade would.'),
    ingress: ingress.optional().describe('For REST and the web page of the JobManager.'),
    rollback: map({
      enabled: yesOrNo.default(true).describe('Whether to go back.'),
      deadline: duration.default('5 min').describe('How long a changed job has to become stable.'),
    })
      .optional()
      .describe('Going back to the last stable spec when a changed one does not become stable.'),
  },
  'the map "spec" with a job',
).meta(
  rules(
    ...ofOwnCluster.map(field => ({
      rule: `!has(self.sessionName) || !has(self.${field})`,
      message: 'belongs to the FlinkSession that sessionName names',
      fieldPath: `.${field}`,
    })),
    {
      rule: 'has(self.sessionName) == has(oldSelf.sessionName) && (!has(self.sessionName) || self.sessionName == oldSelf.sessionName)',
      message: 'a job cannot move to or from a session: delete it and create it anew',
      fieldPath: '.sessionName',
    },
  ),
)

export const flinkJobSchema = map(
  {
    apiVersion: z.literal(API_VERSION, expected(API_VERSION)),
    kind: z.literal(KIND, expected(KIND)),
    metadata,
    spec,
  },
  `a ${KIND} manifest: a map with apiVersion, kind, metadata and spec`,
)

/** A manifest as it was written, defaults filled in. `flinkConfiguration` is still as nested as the author made it. */
export type FlinkJobManifest = z.infer<typeof flinkJobSchema>

export const lifecycleStates = [
  'CREATED',
  'SUSPENDED',
  'UPGRADING',
  'DEPLOYED',
  'STABLE',
  'ROLLING_BACK',
  'ROLLED_BACK',
  'FAILED',
  'DELETING',
  'DELETED',
] as const
export type LifecycleState = (typeof lifecycleStates)[number]

const jobManagerDeploymentStatuses = ['READY', 'DEPLOYED_NOT_READY', 'DEPLOYING', 'MISSING', 'ERROR'] as const
export type JobManagerDeploymentStatus = (typeof jobManagerDeploymentStatuses)[number]

/** What an edit means for a job that runs; see operator/job/diff.ts. */
export const editClasses = ['ignore', 'live', 'rescale', 'restart', 'state-loss'] as const
export type EditClass = (typeof editClasses)[number]

/** Who asked for a snapshot: a person, the clock, or an upgrade or suspension. */
export const snapshotTriggers = ['MANUAL', 'PERIODIC', 'UPGRADE'] as const
export type SnapshotTrigger = (typeof snapshotTriggers)[number]

/** What the controller knows and has decided. Written before the actions that it leads to. */
export const flinkJobStatusSchema = z.object({
  observedGeneration: z.int().optional(),
  lifecycleState: z.enum(lifecycleStates),
  jobManagerDeploymentStatus: z.enum(jobManagerDeploymentStatuses),
  jobStatus: z
    .object({
      /** Chosen before the job is submitted: a submission that is repeated finds it. */
      jobId: z.string(),
      jobName: z.string(),
      state: z.string(),
      /** The largest of its operators, as it runs. */
      parallelism: z.int().optional(),
      /** Where the savepoint of the last upgrade or suspension lies. */
      upgradeSavepointPath: z.string().optional(),
      /** Epoch ms as text, as Flink's operator has them. */
      startTime: z.string().optional(),
      updateTime: z.string().optional(),
    })
    .optional(),
  reconciliationStatus: z
    .object({
      /** JSON text of the spec that is carried out. */
      lastReconciledSpec: z.string(),
      /** JSON text of the last one under which the job ran. */
      lastStableSpec: z.string().optional(),
      state: z.enum(['UPGRADING', 'DEPLOYED']),
      reconciliationTimestamp: z.string(),
    })
    .optional(),
  /** What the last edit that was seen means: known before it is carried out. */
  edit: z.object({ generation: z.int(), class: z.enum(editClasses), fields: z.array(z.string()).max(1000) }).optional(),
  /** What becomes of the job's state in the last edit that keeps it: known before the job is touched. See operator/job/state-plan.ts. */
  plan: z
    .object({
      generation: z.int(),
      verdict: z.enum(['pending', 'compatible', 'incompatible', 'unknown']),
      /** Where the state lies that it was made for. */
      restorePoint: z.string().optional(),
      /** By the annotation millrace.dev/approve-plan. */
      approved: z.boolean().optional(),
      message: z.string().optional(),
      /** The worst first. */
      states: z
        .array(
          z.object({
            operator: z.string(),
            uid: z.string().optional(),
            name: z.string(),
            outcome: z.enum(['kept', 'new', 'dropped', 'incompatible']),
            why: z.string().optional(),
          }),
        )
        .max(100),
    })
    .optional(),
  /** An edit that is being carried out. */
  upgrade: z
    .object({
      generation: z.int(),
      /** JSON text of the spec that it leads to. */
      spec: z.string(),
      mode: z.enum(['stateless', 'savepoint', 'last-state']),
      /** Why in this mode. */
      reason: z.string(),
      step: z.enum(['STOPPING', 'RELEASING']),
      triggerId: z.string(),
      since: z.string(),
      /** Of an upgrade back to the last stable spec: what the failed one had dropped, and where it had begun. See operator/job/rollback.ts. */
      back: z.object({ dropped: z.array(z.string()).max(100), restorePoint: z.string().optional() }).optional(),
      failures: z.int().optional(),
      /** Of the last savepoint. */
      failure: z.string().optional(),
      retryAt: z.string().optional(),
    })
    .optional(),
  /** An edit that is carried out without a restart; see operator/job/rescale.ts. */
  rescale: z
    .object({
      generation: z.int(),
      /** JSON text of the spec that it leads to. */
      spec: z.string(),
      /** Parallelism of the job. */
      from: z.int(),
      to: z.int(),
      taskManagers: z.object({ from: z.int(), to: z.int() }),
      step: z.enum(['STARTING', 'RESCALING', 'REFUSED']),
      since: z.string(),
      /** Why it is refused. */
      message: z.string().optional(),
    })
    .optional(),
  /** What the present start goes on from, noted before it: its newest checkpoint or savepoint, the path that the spec names, or nothing. */
  restore: z
    .object({
      kind: z.enum(['checkpoint', 'savepoint', 'path', 'none']),
      location: z.string().optional(),
      checkpointId: z.int().optional(),
      time: z.string().optional(),
      /** Why it was started. */
      reason: z.string(),
      /** When the run ended (epoch ms as text) whose result is forgotten for it: it is to run again under its id. */
      forgets: z.string().optional(),
    })
    .optional(),
  /** The last time that the JobManager was lost. */
  recovery: z
    .object({
      /** In a row. */
      count: z.int(),
      reason: z.string(),
      at: z.string(),
      /** Before which it is not started again. */
      retryAt: z.string().optional(),
      step: z.enum(['RELEASING', 'STARTING', 'DONE']),
    })
    .optional(),
  /** A deletion that is being carried out; see operator/job/deletion.ts. */
  deletion: z
    .object({
      step: z.enum(['STOPPING', 'RELEASING', 'REMOVING']),
      triggerId: z.string(),
      since: z.string(),
      failures: z.int().optional(),
      /** Of the last savepoint. */
      failure: z.string().optional(),
      retryAt: z.string().optional(),
      /** What the job was stopped with. */
      savepointPath: z.string().optional(),
      /** What was given up. */
      notice: z.string().optional(),
      /** What holds it. */
      blocked: z.string().optional(),
    })
    .optional(),
  /** A changed spec that has still to become stable; only with spec.rollback. */
  trial: z
    .object({
      generation: z.int(),
      since: z.string(),
      /** It began empty. */
      losesState: z.boolean(),
      /** State that it had no place for. */
      dropped: z.array(z.string()).max(100),
      restorePoint: z.string().optional(),
    })
    .optional(),
  /** The last spec that did not become stable. */
  rollback: z
    .object({
      generation: z.int(),
      reason: z.string(),
      at: z.string(),
      /** Why it was not rolled back. */
      failure: z.string().optional(),
    })
    .optional(),
  /** An edit that was given up. */
  refused: z.object({ generation: z.int(), message: z.string() }).optional(),
  /** Of what the spec refers to, as it was when `plan` and `refused` were written: another one has another plan, though the generation is the same. */
  referenced: z.string().optional(),
  /** The newest one that is complete, whoever asked for it. */
  lastSavepoint: z.object({ time: z.string(), location: z.string(), trigger: z.enum(snapshotTriggers), name: z.string() }).optional(),
  /** Its FlinkSnapshots; see operator/job/snapshots.ts. */
  snapshots: z
    .object({
      /** The values of the annotation and of `savepointTriggerNonce` that have been seen to. */
      annotation: z.string().optional(),
      nonce: z.int().optional(),
      /** When the last periodic one was due. */
      scheduled: z.string().optional(),
      /** Those that are not at their end. */
      requested: z.array(
        z.object({
          name: z.string(),
          trigger: z.enum(snapshotTriggers),
          /** When a periodic one was due. */
          scheduled: z.string().optional(),
          /** Of one that is there already. */
          path: z.string().optional(),
          /** It has been seen: when it is missed it was deleted. */
          created: z.boolean().optional(),
        }),
      ),
      /** Of the last one, until one is complete. */
      failure: z.object({ name: z.string(), message: z.string(), time: z.string() }).optional(),
    })
    .optional(),
  /** By the job itself, since its last completed checkpoint; see operator/job/restarts.ts. */
  restarts: z
    .object({
      count: z.int(),
      since: z.string().optional(),
      last: z.string().optional(),
      /** Of the last one. */
      cause: z.string().optional(),
      where: z.string().optional(),
      /** Epoch ms as text: the one that was last looked at. */
      seen: z.string(),
    })
    .optional(),
  /** What is known for its health check; see operator/job/health.ts. */
  health: z
    .object({
      restartsSince: z.string(),
      /** Of the job, at that time. */
      restarts: z.int(),
      /** The last completed checkpoint that is known of, or the start of the job. */
      checkpointAt: z.string(),
      /** In which another one is expected; absent: it takes none. */
      windowMs: z.number().optional(),
      /** Why it is started again. */
      unhealthy: z.string().optional(),
    })
    .optional(),
  taskManager: z.object({ replicas: z.int(), labelSelector: z.string().optional() }).optional(),
  clusterInfo: z.object({ 'web-address': z.string() }).optional(),
  /** What keeps processes from being there or staying up, where nobody has to start them again. */
  problems: processProblems,
  /** JSON text of what of the spec was carried out beside the processes that run. */
  live: z.string().optional(),
  error: z.string().optional(),
  conditions,
})

export type FlinkJobStatus = Fixed<z.infer<typeof flinkJobStatusSchema>>

/** What the processes of a cluster are started with. */
export interface ClusterSpec {
  readonly flinkConfiguration: Readonly<Record<string, string>>
  /** A new value starts them anew. */
  readonly restartNonce?: number
  readonly image?: string
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
  readonly serviceAccount?: string
  readonly podTemplate?: PodTemplate
  /** `replicas`: absent = 1. */
  readonly jobManager?: ProcessSpec & { readonly replicas?: number }
  readonly taskManager?: ProcessSpec
  readonly ingress?: IngressSpec
}

/** What Kubernetes checks by itself: a pod template as its author wrote it. */
export type PodTemplate = Readonly<Record<string, unknown>>

/** How the pods of one kind of process are made. */
export interface ProcessSpec {
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>
    readonly limits?: Readonly<Record<string, string | number>>
  }
  readonly podTemplate?: PodTemplate
}

export interface IngressSpec {
  readonly template: string
  readonly className?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
  readonly tls?: readonly Readonly<Record<string, unknown>>[]
}

/** The spec as it is carried out: checked, defaults filled in, options flat. Only what this release carries out. */
export interface FlinkJobSpec extends ClusterSpec {
  readonly job: {
    readonly script?: string
    readonly module?: string
    /** Of one by its address: `sha256:…` */
    readonly moduleDigest?: string
    readonly sql?: string
    /** Where `script` or `sql` comes from. */
    readonly configMapRef?: { readonly name: string; readonly key: string }
    readonly entryClass: string
    readonly args: readonly string[]
    readonly parallelism?: number
    readonly state: 'running' | 'suspended'
    readonly upgradeMode: 'stateless' | 'savepoint' | 'last-state'
    readonly fallback: 'none' | 'last-state' | 'stateless'
    readonly initialSavepointPath?: string
    readonly allowNonRestoredState?: boolean
    readonly savepointTriggerNonce?: number
    readonly savepointRedeployNonce?: number
  }
  /** ConfigMaps and Secrets that its pods read, by `Secret name`: which one it is, and in which version. */
  readonly references?: Readonly<Record<string, string>>
  /** The FlinkSession whose processes it shares. */
  readonly sessionName?: string
  /** Either an interval or a cron expression. */
  readonly snapshots?: { readonly intervalMs?: number; readonly cron?: string; readonly retain: number }
  readonly taskManager: ProcessSpec & { readonly replicas?: number }
  readonly healthCheck?: HealthCheck
  /** Keep where it is absent. */
  readonly deletionPolicy?: 'Savepoint' | 'Keep' | 'Delete'
  readonly deletionTimeoutMs?: number
  readonly rollback?: { readonly enabled: boolean; readonly deadline: string }
}

export interface FlinkJobMetadata {
  readonly name: string
  readonly namespace: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** Grows with every change of the spec. */
  readonly generation: number
  /** Changes with every write; a write that names another one is refused. */
  readonly resourceVersion: string
  readonly uid: string
  /** ISO 8601; the object is to go away once what it stands for is gone. */
  readonly deletionTimestamp?: string
}

export interface FlinkJob {
  readonly apiVersion: typeof API_VERSION
  readonly kind: typeof KIND
  readonly metadata: FlinkJobMetadata
  readonly spec: FlinkJobSpec
  readonly status?: FlinkJobStatus
}
