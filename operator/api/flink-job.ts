import { z } from 'zod'

/**
 * The FlinkJob resource: one job on a cluster of its own. Field names follow the Flink operator's FlinkDeployment, so that what people
 * know works; a jar is a TypeScript module here (`job.module`) or its text (`job.script`).
 *
 * This file says what is accepted. `flink-job-refused.ts` names what Flink's operator has and this release refuses; what depends on more
 * than the document (option names, which keys Millrace sets itself) is in operator/validation. The text given as `error` of each schema is what
 * a problem shows after "expected".
 */
export const API_VERSION = 'millrace.dev/v1alpha1'
export const KIND = 'FlinkJob'
export const DEFAULT_NAMESPACE = 'default'

const expected = (text: string) => ({ error: text })
const text = z.string(expected('a text'))
const nonEmptyText = z.string(expected('a text that is not empty')).min(1, expected('a text that is not empty'))
const count = z.number(expected('a whole number from 1')).int(expected('a whole number from 1')).min(1, expected('a whole number from 1'))
const textMap = z.record(text, text, expected('a map of texts'))

/** A name becomes part of host names and labels, with room for what is appended. */
const name = z
  .string(expected('a name of up to 45 lower-case letters, digits and dashes that starts with a letter'))
  .regex(/^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$/, expected('a name of up to 45 lower-case letters, digits and dashes that starts with a letter'))

const namespace = z
  .string(expected('the name of a namespace'))
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, expected('the name of a namespace: lower-case letters, digits and dashes'))

const metadata = z.strictObject(
  {
    name,
    namespace: namespace.default(DEFAULT_NAMESPACE),
    labels: textMap.optional(),
    annotations: textMap.optional(),
  },
  expected('the map "metadata" with a name'),
)

const job = z.strictObject(
  {
    /** TypeScript text whose default export (or `entryClass`) is the program. */
    script: nonEmptyText.optional(),
    /** A TypeScript or JavaScript module, relative to the manifest. */
    module: nonEmptyText.optional(),
    /** A SQL script; all its INSERTs are one job. */
    sql: nonEmptyText.optional(),
    /** The export that is the program. */
    entryClass: nonEmptyText.default('default'),
    args: z
      .array(z.union([text, z.number(), z.boolean()], expected('a text')), expected('a list of texts'))
      .transform(args => args.map(String))
      .default([]),
    parallelism: count.optional(),
    state: z.enum(['running', 'suspended'], expected('running or suspended')).default('running'),
    upgradeMode: z.enum(['stateless', 'savepoint', 'last-state'], expected('stateless, savepoint or last-state')).default('stateless'),
  },
  expected('the map "job" with a script, a module or sql'),
)

const spec = z.strictObject(
  {
    job,
    /** Options in Flink's keys, flat or nested. */
    flinkConfiguration: z.record(text, z.unknown(), expected('a map of option keys to values')).default({}),
    jobManager: z
      .strictObject(
        { replicas: z.literal(1, expected('1: more JobManagers need high availability, which is not supported yet')).default(1) },
        expected('a map'),
      )
      .optional(),
    taskManager: z.strictObject({ replicas: count.optional() }, expected('a map')).optional(),
  },
  expected('the map "spec" with a job'),
)

export const flinkJobSchema = z.strictObject(
  {
    apiVersion: z.literal(API_VERSION, expected(API_VERSION)),
    kind: z.literal(KIND, expected(KIND)),
    metadata,
    spec,
  },
  expected(`a ${KIND} manifest: a map with apiVersion, kind, metadata and spec`),
)

/** A manifest as it was written, defaults filled in. `flinkConfiguration` is still as nested as the author made it. */
export type FlinkJobManifest = z.infer<typeof flinkJobSchema>

/** The spec as it is carried out: checked, defaults filled in, options flat. */
export interface FlinkJobSpec {
  readonly job: {
    readonly script?: string
    readonly module?: string
    readonly sql?: string
    readonly entryClass: string
    readonly args: readonly string[]
    readonly parallelism?: number
    readonly state: 'running'
    readonly upgradeMode: 'stateless'
  }
  readonly flinkConfiguration: Readonly<Record<string, string>>
  readonly taskManager: { readonly replicas?: number }
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

export type JobManagerDeploymentStatus = 'READY' | 'DEPLOYED_NOT_READY' | 'DEPLOYING' | 'MISSING' | 'ERROR'

export interface Condition {
  readonly type: 'Running'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
  readonly observedGeneration: number
}

/** What the controller knows and has decided. Written before the actions that it leads to. */
export interface FlinkJobStatus {
  readonly observedGeneration?: number
  readonly lifecycleState: LifecycleState
  readonly jobManagerDeploymentStatus: JobManagerDeploymentStatus
  readonly jobStatus?: {
    /** Chosen before the job is submitted: a submission that is repeated finds it. */
    readonly jobId: string
    readonly jobName: string
    readonly state: string
    /** Epoch ms as text, as Flink's operator has them. */
    readonly startTime?: string
    readonly updateTime?: string
  }
  readonly reconciliationStatus?: {
    /** JSON text of the spec that is carried out. */
    readonly lastReconciledSpec: string
    /** JSON text of the last one under which the job ran. */
    readonly lastStableSpec?: string
    readonly state: 'UPGRADING' | 'DEPLOYED'
    readonly reconciliationTimestamp: string
  }
  readonly taskManager?: { readonly replicas: number }
  readonly clusterInfo?: { readonly 'web-address': string }
  readonly error?: string
  readonly conditions: readonly Condition[]
}
