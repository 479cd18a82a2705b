import { z } from 'zod'
import {
  API_GROUP,
  API_VERSION,
  conditions,
  expected,
  type Fixed,
  map,
  metadata,
  name,
  nonEmptyText,
  oneOf,
  rules,
  wholeNumber,
  yesOrNo,
} from './fields.ts'

/**
 * The FlinkSnapshot resource: a savepoint or a checkpoint as an object. Made by a person it triggers one, or names one that is there already; the operator makes
 * one for each that it takes. Deleting it removes a savepoint's files at the store, for which no job needs to run.
 */
export const SNAPSHOT_KIND = 'FlinkSnapshot'

const spec = map(
  {
    jobReference: map({ name: name.describe('Of a FlinkJob in the same namespace.') }, 'a map with the name of a FlinkJob')
      .optional()
      .describe('The job that it is of.'),
    savepoint: map({
      path: nonEmptyText.optional().describe('Where it is taken to, or lies already; default: execution.checkpointing.savepoint-dir of the job.'),
      alreadyExists: yesOrNo.default(false).describe('It is there, and nothing is taken.'),
      disposeOnDelete: yesOrNo.default(true).describe('Whether its files go with the object.'),
    })
      .meta(rules({ rule: '!self.alreadyExists || has(self.path)', message: 'is needed where alreadyExists is true', fieldPath: '.path' }))
      .optional()
      .describe('A savepoint.'),
    checkpoint: map({}).optional().describe('A checkpoint, which belongs to the job and goes as its checkpoints do.'),
    backoffLimit: wholeNumber(-1).default(-1).describe('Tries after the first one before it is FAILED; -1: no limit.'),
  },
  'the map "spec" with a savepoint or a checkpoint',
).meta(
  rules(
    { rule: 'has(self.savepoint) != has(self.checkpoint)', message: 'expected exactly one of savepoint and checkpoint' },
    {
      rule: 'has(self.jobReference) || (has(self.savepoint) && self.savepoint.alreadyExists)',
      message: 'is needed, unless the savepoint is there already',
      fieldPath: '.jobReference',
    },
    { rule: 'self == oldSelf', message: 'a snapshot cannot be changed: delete it and make another one' },
  ),
)

export const flinkSnapshotSchema = map(
  { apiVersion: z.literal(API_VERSION, expected(API_VERSION)), kind: z.literal(SNAPSHOT_KIND, expected(SNAPSHOT_KIND)), metadata, spec },
  `a ${SNAPSHOT_KIND} manifest: a map with apiVersion, kind, metadata and spec`,
)

export const flinkSnapshotStatusSchema = z.object({
  observedGeneration: z.int().optional(),
  state: oneOf('TRIGGER_PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'ABANDONED'),
  /** Drawn before it is triggered: a trigger that is repeated is the same. */
  triggerId: z.string().optional(),
  /** Of the job that it was triggered in: one that begins anew has another. */
  jobId: z.string().optional(),
  triggerTimestamp: z.string().optional(),
  resultTimestamp: z.string().optional(),
  path: z.string().optional(),
  error: z.string().optional(),
  failures: z.int().min(0).optional(),
  /** When it is tried again after a failure. */
  retryAt: z.string().optional(),
  /** Tries to remove its files that have failed. */
  disposal: z.object({ failures: z.int(), message: z.string(), retryAt: z.string() }).optional(),
  conditions,
})

export type FlinkSnapshotStatus = Fixed<z.infer<typeof flinkSnapshotStatusSchema>>
export type FlinkSnapshotSpec = Fixed<z.infer<typeof spec>>

export interface FlinkSnapshot {
  readonly apiVersion: typeof API_VERSION
  readonly kind: typeof SNAPSHOT_KIND
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly finalizers?: readonly string[]
    readonly generation: number
    readonly resourceVersion: string
    readonly uid: string
    /** ISO 8601, as all times. */
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
  }
  readonly spec: FlinkSnapshotSpec
  readonly status?: FlinkSnapshotStatus
}

/** As it is handed to the API server. */
export interface NewFlinkSnapshot extends Pick<FlinkSnapshot, 'apiVersion' | 'kind' | 'spec'> {
  readonly metadata: Pick<FlinkSnapshot['metadata'], 'name' | 'namespace' | 'labels' | 'annotations'>
}

/** Keeps an object until what it stands for has been seen to. */
export const SNAPSHOT_FINALIZER = `${API_GROUP}/snapshot`

/** Of those that the operator makes for a FlinkJob. */
export const snapshotLabels = {
  job: `${API_GROUP}/job`,
  /** Another FlinkJob of the same name has other snapshots. */
  jobUid: `${API_GROUP}/job-uid`,
  type: `${API_GROUP}/snapshot-type`,
  trigger: `${API_GROUP}/snapshot-trigger`,
} as const
/** When a periodic one was due. */
export const SCHEDULED_ANNOTATION = `${API_GROUP}/scheduled`
/** On a FlinkJob: any new value takes a savepoint. */
export const SAVEPOINT_ANNOTATION = `${API_GROUP}/savepoint`
