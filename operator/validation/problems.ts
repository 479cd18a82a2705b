import type { z } from 'zod'
import { Configuration, flattenConfiguration, type OptionTable, parseDuration } from '../../runtime/common/config.ts'
import { nearestName } from '../../runtime/common/errors.ts'
import { CONFIG_MAP_KIND, configMapSchema } from '../api/config-map.ts'
import { DEFAULT_NAMESPACE, type FlinkJobManifest, type FlinkJobSpec, flinkJobSchema, KIND } from '../api/flink-job.ts'
import {
  ignoredFields,
  type Platform,
  refusedFieldsOn,
  refusedOnSession,
  refusedOptionsOn,
  refusedSessionFieldsOn,
  refusedValue,
} from '../api/flink-job-refused.ts'
import { type FlinkSessionSpec, flinkSessionSchema, SESSION_KIND } from '../api/flink-session.ts'
import { flinkSnapshotSchema, SNAPSHOT_KIND } from '../api/flink-snapshot.ts'
import { operatorOptions, splitOptions } from '../api/operator-options.ts'
import { type FieldOption, fieldOptions, slotOptions } from './field-options.ts'
import { podFieldsOf, podProblems, processOf, standbyProblems } from './pod-fields.ts'
import { brokenRules } from './rules.ts'
import { scheduleOf, scheduleProblems } from './schedule.ts'
import { statePlaceProblems } from './state-places.ts'

/**
 * Everything that is wrong with an object of ours, at once: each problem with the path of its field, what was expected and the nearest name.
 * Used for manifests before anything is done, and by the controllers again for what they read from a store.
 */
export interface Problem {
  /** Keys and list positions from the document down. */
  readonly path: readonly (string | number)[]
  readonly message: string
  /** Where the field's name is what is wrong, rather than its value. */
  readonly atKey: boolean
}

export interface CheckedFlinkJob {
  readonly metadata: FlinkJobManifest['metadata']
  readonly spec: FlinkJobSpec
}

export interface CheckedFlinkSession {
  readonly metadata: FlinkJobManifest['metadata']
  readonly spec: FlinkSessionSpec
}

export type Checked<T> = { readonly kind: 'valid'; readonly object: T } | { readonly kind: 'invalid'; readonly problems: readonly Problem[] }

/** One of ours whose document is sound; a FlinkJob has its spec as it is carried out. */
export type CheckedObject =
  | { readonly kind: typeof KIND; readonly metadata: FlinkJobManifest['metadata']; readonly job: CheckedFlinkJob }
  | { readonly kind: typeof SESSION_KIND; readonly metadata: FlinkJobManifest['metadata']; readonly session: CheckedFlinkSession }
  | { readonly kind: typeof SNAPSHOT_KIND | typeof CONFIG_MAP_KIND; readonly metadata: FlinkJobManifest['metadata'] }

type Path = readonly (string | number)[]

interface Kind {
  readonly schema: z.ZodType
  readonly refused: Readonly<Record<string, string>>
}

const kinds: Readonly<Record<string, Kind>> = {
  [KIND]: { schema: flinkJobSchema, refused: refusedFieldsOn('local') },
  [SESSION_KIND]: { schema: flinkSessionSchema, refused: refusedSessionFieldsOn('local') },
  [SNAPSHOT_KIND]: { schema: flinkSnapshotSchema, refused: {} },
  [CONFIG_MAP_KIND]: { schema: configMapSchema, refused: {} },
}

/** `optionTables` are the options that this release knows. */
export function checkObject(document: unknown, optionTables: readonly OptionTable[]): Checked<CheckedObject> {
  const named = valueAt(document, ['kind'])
  if (isMap(document) && (typeof named !== 'string' || !Object.hasOwn(kinds, named))) {
    const message = `expected ${KIND}, ${SESSION_KIND}, ${SNAPSHOT_KIND} or ${CONFIG_MAP_KIND}, got ${shown(named)}`
    return { kind: 'invalid', problems: [{ path: ['kind'], message, atKey: false }] }
  }
  if (named !== SESSION_KIND && named !== SNAPSHOT_KIND && named !== CONFIG_MAP_KIND) {
    const checked = checkFlinkJob(document, optionTables)
    if (checked.kind === 'invalid') return checked
    return { kind: 'valid', object: { kind: KIND, metadata: checked.object.metadata, job: checked.object } }
  }
  if (named === SESSION_KIND) {
    const checked = checkFlinkSession(document, optionTables)
    if (checked.kind === 'invalid') return checked
    return { kind: 'valid', object: { kind: SESSION_KIND, metadata: checked.object.metadata, session: checked.object } }
  }
  const { accepted, problems } = shapeProblems(kinds[named] as Kind, document)
  if (problems.length > 0) return { kind: 'invalid', problems }
  // The shape was held to the schema above, whose metadata is that of every kind.
  return { kind: 'valid', object: { kind: named, metadata: flinkJobSchema.shape.metadata.parse(valueAt(accepted, ['metadata'])) } }
}

/** `sessionOptions` are those of the FlinkSession that it names, where that is known. */
export function checkFlinkJob(
  document: unknown,
  optionTables: readonly OptionTable[],
  platform: Platform = 'local',
  sessionOptions?: Readonly<Record<string, string>>,
): Checked<CheckedFlinkJob> {
  const { accepted, problems } = shapeProblems({ schema: flinkJobSchema, refused: refusedFieldsOn(platform) }, document)
  const parsed = flinkJobSchema.safeParse(accepted)
  const isShared = parsed.data?.spec.sessionName !== undefined
  const options = optionsOf(accepted, [...optionTables, operatorOptions], platform, isShared ? refusedOnSession : undefined)
  const fields = parsed.success ? fieldOptions(parsed.data.spec) : []
  const isPlaceKnown = platform === 'kubernetes' && (!isShared || sessionOptions !== undefined)
  problems.push(
    ...options.problems,
    ...contradictions(accepted, fields, options.flat),
    ...scheduleProblems(parsed.data?.spec.snapshots),
    ...podProblems(parsed.data?.spec),
    ...(platform === 'kubernetes' ? standbyProblems(parsed.data?.spec, options.flat) : []),
    ...(isPlaceKnown ? statePlaceProblems(parsed.data?.spec, { ...sessionOptions, ...options.flat }) : []),
  )
  if (!parsed.success || problems.length > 0) return { kind: 'invalid', problems }
  const configuration = { ...options.flat, ...Object.fromEntries(fields.map(({ key, value }) => [key, value])) }
  return { kind: 'valid', object: { metadata: parsed.data.metadata, spec: specOf(parsed.data, configuration) } }
}

export function checkFlinkSession(
  document: unknown,
  optionTables: readonly OptionTable[],
  platform: Platform = 'local',
): Checked<CheckedFlinkSession> {
  const { accepted, problems } = shapeProblems({ schema: flinkSessionSchema, refused: refusedSessionFieldsOn(platform) }, document)
  const parsed = flinkSessionSchema.safeParse(accepted)
  const options = optionsOf(accepted, optionTables, platform)
  const fields = parsed.success ? slotOptions(parsed.data.spec.taskManager) : []
  problems.push(
    ...options.problems,
    ...contradictions(accepted, fields, options.flat),
    ...podProblems(parsed.data?.spec),
    ...(platform === 'kubernetes' ? standbyProblems(parsed.data?.spec, options.flat) : []),
  )
  if (!parsed.success || problems.length > 0) return { kind: 'invalid', problems }
  const flinkConfiguration = { ...options.flat, ...Object.fromEntries(fields.map(({ key, value }) => [key, value])) }
  const { taskManager, maxTaskManagers, idleTimeout, deletionTimeout, deletionPolicy, restartNonce } = parsed.data.spec
  const taskManagerPod = processOf(taskManager)
  const spec: FlinkSessionSpec = {
    cluster: {
      flinkConfiguration,
      ...(restartNonce === undefined ? {} : { restartNonce }),
      ...podFieldsOf(parsed.data.spec),
      ...(Object.keys(taskManagerPod).length === 0 ? {} : { taskManager: taskManagerPod }),
    },
    slotsPerTaskManager: Number(flinkConfiguration['taskmanager.numberOfTaskSlots'] ?? 1),
    minTaskManagers: taskManager?.replicas ?? 0,
    maxTaskManagers,
    idleTimeoutMs: parseDuration(idleTimeout),
    deletionTimeoutMs: parseDuration(deletionTimeout),
    deletionPolicy,
  }
  return { kind: 'valid', object: { metadata: parsed.data.metadata, spec } }
}

/** Fields that are refused, unknown, of a wrong type, or at odds with others. */
function shapeProblems({ schema, refused }: Kind, document: unknown): { readonly accepted: unknown; readonly problems: Problem[] } {
  const { accepted, problems } = withoutRefused(document, [], { schema, refused })
  const parsed = schema.safeParse(accepted)
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap(issue => problemsOf(issue, accepted, schema, refused)))
  problems.push(...brokenRules(schema, accepted).map(({ path, message }) => ({ path, message, atKey: path.length > 2 })))
  return { accepted, problems }
}

/** One line each. */
export function problemsText(problems: readonly Problem[]): string {
  return problems.map(({ path, message }) => (path.length === 0 ? message : `${fieldPath(path)}: ${message}`)).join('\n')
}

/** `spec.job.args[2]`; a key that is no plain word stands in brackets: `spec.flinkConfiguration["rest.port"]`. */
export function fieldPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    if (!/^[A-Za-z_][\w-]*$/.test(part)) return `${text}[${JSON.stringify(part)}]`
    return text === '' ? part : `${text}.${part}`
  }, '')
}

/** Refused fields are reported once, and what a cluster adds is dropped; the rest is for the schema. */
function withoutRefused(value: unknown, path: Path, kind: Kind): { accepted: unknown; problems: Problem[] } {
  if (!isMap(value)) return { accepted: value, problems: [] }
  const problems: Problem[] = []
  const accepted: [string, unknown][] = []
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key]
    const dotted = at.join('.')
    const refusal = Object.hasOwn(kind.refused, dotted) ? kind.refused[dotted] : undefined
    // An API server has filled it in, and it asks for nothing.
    if (refusal !== undefined && inner === defaultAt(kind.schema, at)) continue
    if (refusal !== undefined) problems.push({ path: at, message: `is refused: ${refusal}`, atKey: true })
    else if (!ignoredFields.has(dotted)) {
      const deeper = path.length < 2 ? withoutRefused(inner, at, kind) : { accepted: inner, problems: [] }
      accepted.push([key, deeper.accepted])
      problems.push(...deeper.problems)
    }
  }
  return { accepted: Object.fromEntries(accepted), problems }
}

function problemsOf(issue: z.core.$ZodIssue, document: unknown, schema: z.ZodType, refused: Kind['refused']): Problem[] {
  const path = issue.path.filter(part => typeof part !== 'symbol')
  if (issue.code === 'unrecognized_keys') {
    const known = knownFields(schema, path, refused)
    return issue.keys.map(key => ({ path: [...path, key], message: unknownField(key, known), atKey: true }))
  }
  const got = valueAt(document, path)
  if (got === undefined && path.length > 0) return [{ path, message: `is missing, expected ${issue.message}`, atKey: false }]
  return [{ path, message: `expected ${issue.message}, got ${shown(got)}`, atKey: false }]
}

function unknownField(key: string, known: readonly string[]): string {
  const near = nearestName(key, known)
  if (near !== undefined) return `unknown field, did you mean ${near}?`
  return `unknown field, expected one of ${known.join(', ')}`
}

/** The names of a map of the schema that are built. The paths are few and the schema is ours, so they are spelled out by walking it. */
function knownFields(root: z.ZodType, path: Path, refused: Kind['refused']): string[] {
  let schema: unknown = root
  for (const part of path) schema = shapeOf(schema)[String(part)]
  return Object.keys(shapeOf(schema)).filter(key => !Object.hasOwn(refused, [...path, key].join('.')))
}

function defaultAt(root: z.ZodType, path: Path): unknown {
  let schema: unknown = root
  for (const part of path) schema = shapeOf(schema)[String(part)]
  return (schema as { def?: { defaultValue?: unknown } } | undefined)?.def?.defaultValue
}

function shapeOf(schema: unknown): Readonly<Record<string, unknown>> {
  const { shape, def } = (schema ?? {}) as { shape?: Record<string, unknown>; def?: { innerType?: unknown } }
  if (shape !== undefined) return shape
  return def?.innerType === undefined ? {} : shapeOf(def.innerType)
}

function optionsOf(
  document: unknown,
  tables: readonly OptionTable[],
  platform: Platform = 'local',
  refusalOf: (key: string) => string | undefined = () => undefined,
): { flat: Record<string, string>; problems: Problem[] } {
  const nested = valueAt(document, ['spec', 'flinkConfiguration'])
  if (!isMap(nested)) return { flat: {}, problems: [] }
  const flat = flattenConfiguration(nested)
  const refused = refusedOptionsOn(platform)
  const problems: Problem[] = []
  for (const [key, value] of Object.entries(flat)) {
    const path = ['spec', 'flinkConfiguration', ...pathOfOption(nested, key)]
    const refusal = Object.hasOwn(refused, key) ? refused[key] : refusedValue(key, value)
    const isKnown = tables.some(table => table.some(option => option.key === key))
    const message = refusal ?? (isKnown ? refusalOf(key) : undefined)
    if (message !== undefined) problems.push({ path, message: `is refused: ${message}`, atKey: true })
    else for (const message of Configuration.parse({ [key]: value }, tables).problems) problems.push({ path, message, atKey: true })
  }
  return { flat, problems }
}

/** A field and its option that say different things: neither is quietly the stronger one. */
function contradictions(document: unknown, fields: readonly FieldOption[], flat: Readonly<Record<string, string>>): Problem[] {
  const nested = valueAt(document, ['spec', 'flinkConfiguration'])
  if (!isMap(nested)) return []
  return fields.flatMap(({ key, value, field }) => {
    const other = flat[key]
    if (other === undefined || other === value) return []
    const path = ['spec', 'flinkConfiguration', ...pathOfOption(nested, key)]
    return [{ path, message: `is ${shown(other)}, but ${field} is ${shown(value)}: remove one of them`, atKey: true }]
  })
}

/** The keys under which the author wrote `key`: nested maps may split it at any of its dots. */
function pathOfOption(map: Readonly<Record<string, unknown>>, key: string): string[] {
  for (const [name, value] of Object.entries(map)) {
    if (name === key) return [name]
    if (key.startsWith(`${name}.`) && isMap(value)) {
      const rest = pathOfOption(value, key.slice(name.length + 1))
      if (rest.length > 0) return [name, ...rest]
    }
  }
  return []
}

function specOf(manifest: FlinkJobManifest, configuration: Readonly<Record<string, string>>): FlinkJobSpec {
  const { flinkConfiguration, healthCheck } = splitOptions(configuration)
  const {
    script,
    module,
    moduleDigest,
    sql,
    configMapRef,
    parallelism,
    entryClass,
    args,
    state,
    upgradeMode,
    fallback,
    initialSavepointPath,
    allowNonRestoredState,
  } = manifest.spec.job
  const { savepointTriggerNonce, savepointRedeployNonce } = manifest.spec.job
  const { snapshots, restartNonce, deletionPolicy, deletionTimeout, sessionName } = manifest.spec
  const replicas = manifest.spec.taskManager?.replicas
  const { rollback } = manifest.spec
  return {
    job: {
      ...(script === undefined ? {} : { script }),
      ...(module === undefined ? {} : { module }),
      ...(moduleDigest === undefined ? {} : { moduleDigest }),
      ...(sql === undefined ? {} : { sql }),
      ...(configMapRef === undefined ? {} : { configMapRef }),
      entryClass: entryClass ?? 'default',
      args: (args ?? []).map(String),
      ...(parallelism === undefined ? {} : { parallelism }),
      state,
      upgradeMode,
      fallback,
      ...(initialSavepointPath === undefined ? {} : { initialSavepointPath }),
      ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
      ...(savepointTriggerNonce === undefined ? {} : { savepointTriggerNonce }),
      ...(savepointRedeployNonce === undefined ? {} : { savepointRedeployNonce }),
    },
    ...(sessionName === undefined ? {} : { sessionName }),
    ...(snapshots === undefined ? {} : { snapshots: scheduleOf(snapshots) }),
    flinkConfiguration,
    ...(restartNonce === undefined ? {} : { restartNonce }),
    ...podFieldsOf(manifest.spec),
    taskManager: { ...(replicas === undefined ? {} : { replicas }), ...processOf(manifest.spec.taskManager) },
    ...(healthCheck === undefined ? {} : { healthCheck }),
    deletionPolicy,
    deletionTimeoutMs: parseDuration(deletionTimeout),
    ...(rollback === undefined ? {} : { rollback: { enabled: rollback.enabled, deadline: String(rollback.deadline) } }),
  }
}

/** `name` in the default namespace, else `namespace/name`. */
export function displayName(metadata: { readonly name: string; readonly namespace: string }): string {
  return metadata.namespace === DEFAULT_NAMESPACE ? metadata.name : `${metadata.namespace}/${metadata.name}`
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function valueAt(document: unknown, path: Path): unknown {
  let value = document
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Readonly<Record<string | number, unknown>>)[part]
  }
  return value
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
