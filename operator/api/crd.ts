import { z } from 'zod'
import { API_GROUP } from './fields.ts'
import { flinkJobSchema, flinkJobStatusSchema, KIND } from './flink-job.ts'
import { flinkSessionSchema, flinkSessionStatusSchema, SESSION_KIND } from './flink-session.ts'
import { flinkSnapshotSchema, flinkSnapshotStatusSchema, SNAPSHOT_KIND } from './flink-snapshot.ts'

/**
 * The CustomResourceDefinitions, from the schemas that manifests are checked by. What zod writes is JSON Schema; a CRD takes a "structural" part of it: a type
 * everywhere, nothing closed (unknown fields are pruned, or refused by `kubectl --validate=strict`), metadata left to Kubernetes.
 */
export const VERSION = 'v1alpha1'

export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly priority?: number
}

export interface Definition {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly schema: z.ZodType
  readonly spec: z.ZodType
  readonly status: z.ZodType
  readonly columns: readonly Column[]
  readonly scale?: Readonly<Record<string, string>>
}

const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }
const message: Column = { name: 'Message', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].message' }

export const definitions: readonly Definition[] = [
  {
    kind: KIND,
    plural: 'flinkjobs',
    singular: 'flinkjob',
    shortNames: ['fj'],
    schema: flinkJobSchema,
    spec: flinkJobSchema.shape.spec,
    status: flinkJobStatusSchema,
    columns: [
      { name: 'Job State', type: 'string', jsonPath: '.status.jobStatus.state' },
      { name: 'Lifecycle', type: 'string', jsonPath: '.status.lifecycleState' },
      { name: 'Parallelism', type: 'integer', jsonPath: '.status.jobStatus.parallelism' },
      { name: 'Last Savepoint', type: 'date', jsonPath: '.status.lastSavepoint.time' },
      message,
      age,
    ],
    scale: {
      specReplicasPath: '.spec.taskManager.replicas',
      statusReplicasPath: '.status.taskManager.replicas',
      labelSelectorPath: '.status.taskManager.labelSelector',
    },
  },
  {
    kind: SESSION_KIND,
    plural: 'flinksessions',
    singular: 'flinksession',
    shortNames: ['fsn'],
    schema: flinkSessionSchema,
    spec: flinkSessionSchema.shape.spec,
    status: flinkSessionStatusSchema,
    columns: [
      { name: 'Lifecycle', type: 'string', jsonPath: '.status.lifecycleState' },
      { name: 'JobManager', type: 'string', jsonPath: '.status.jobManagerDeploymentStatus' },
      { name: 'TaskManagers', type: 'integer', jsonPath: '.status.taskManager.replicas' },
      message,
      age,
    ],
    scale: {
      specReplicasPath: '.spec.taskManager.replicas',
      statusReplicasPath: '.status.taskManager.replicas',
      labelSelectorPath: '.status.taskManager.labelSelector',
    },
  },
  {
    kind: SNAPSHOT_KIND,
    plural: 'flinksnapshots',
    singular: 'flinksnapshot',
    shortNames: ['fsnap'],
    schema: flinkSnapshotSchema,
    spec: flinkSnapshotSchema.shape.spec,
    status: flinkSnapshotStatusSchema,
    columns: [
      { name: 'Job', type: 'string', jsonPath: '.spec.jobReference.name' },
      { name: 'State', type: 'string', jsonPath: '.status.state' },
      { name: 'Path', type: 'string', jsonPath: '.status.path' },
      { name: 'Taken', type: 'date', jsonPath: '.status.resultTimestamp' },
      { name: 'Message', type: 'string', jsonPath: '.status.error', priority: 1 },
      age,
    ],
  },
]

/** As of the schema of names: here it is a rule, for a CRD cannot say more of metadata. */
const nameRule = {
  rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 45",
  message: 'metadata.name must have up to 45 lower-case letters, digits and dashes, and start with a letter',
}

export function customResourceDefinition(definition: Definition): Readonly<Record<string, unknown>> {
  const { kind, plural, singular, shortNames, spec, status, columns, scale } = definition
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ['millrace'] },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {}, ...(scale === undefined ? {} : { scale }) },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: structural(jsonSchema(spec)),
                status: structural(jsonSchema(status)),
              },
              'x-kubernetes-validations': [nameRule],
            },
          },
        },
      ],
    },
  }
}

type Json = Readonly<Record<string, unknown>>

function jsonSchema(schema: z.ZodType): Json {
  // A JSON document; zod types it more narrowly than it needs to be read here.
  return z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline' }) as unknown as Json
}

function structural(schema: Json): Json {
  const { additionalProperties, anyOf, properties, items, ...rest } = schema
  if (rest['x-kubernetes-int-or-string'] === true) return rest
  if (rest['x-kubernetes-preserve-unknown-fields'] === true) return rest
  const values = isObject(additionalProperties) ? { additionalProperties: structural(additionalProperties) } : {}
  const fields = isObject(properties) ? { properties: mapped(properties, structural) } : {}
  return { ...withoutOddBounds(rest), ...values, ...fields, ...(isObject(items) ? { items: structural(items) } : {}) }
}

/** Zod says of an integer that it is a safe one, which is Kubernetes' int64. */
function withoutOddBounds(schema: Json): Json {
  if (schema['type'] !== 'integer') return schema
  const { minimum, maximum, ...rest } = schema
  return {
    format: 'int64',
    ...rest,
    ...(minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
    ...(maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
  }
}

function mapped(object: Json, change: (value: Json) => Json): Json {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value as Json)]))
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
