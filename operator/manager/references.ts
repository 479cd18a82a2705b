import { createHash } from 'node:crypto'
import type { Clock } from '../../runtime/common/clock.ts'
import { canonicalJson } from '../../runtime/common/json.ts'
import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { configMaps, flinkJobs, referredConfigMaps } from '../kube/resources.ts'
import type { Caches } from './caches.ts'
import type { ObjectKey } from './manager.ts'
import { createReferredSecrets } from './referred-secrets.ts'

/**
 * ConfigMaps and Secrets that a FlinkJob refers to, put into its spec before the rules look at it: what they say is part of what is carried out, and a change of it is an edit
 * like any other, with its class, its savepoint, its plan and its way back (decision 0032).
 *
 * - `job.configMapRef`: the text becomes `script`, or `sql` where its key ends in .sql. What is not there makes the spec one that is not carried out.
 * - ConfigMaps and Secrets of pod templates become `references`: uid and version of each, and never what is in it. One that is not there keeps the entry that was carried out,
 *   so that it counts as another one when it is made anew; that pods cannot start without it is said of the pods.
 */
export interface References {
  /** `before`: what was carried out last. */
  resolve(namespace: string, spec: FlinkJobSpec, before: FlinkJobSpec | undefined): Promise<Resolved>
}

type Resolved = { readonly spec: FlinkJobSpec } | { readonly invalid: string }
type ReferredKind = 'ConfigMap' | 'Secret'

interface Program {
  readonly version: string
  readonly data: Readonly<Record<string, string>>
}

export function createReferences(api: ObjectApi, caches: Caches, clock: Clock): References {
  const secrets = createReferredSecrets(api, clock)
  /** By namespace and name: a text is asked for when its ConfigMap has changed. */
  const programs = new Map<string, Program>()

  const dataOf = async (namespace: string, name: string): Promise<Program['data'] | undefined> => {
    const key = `${namespace}/${name}`
    const there = caches.get(referredConfigMaps, namespace, name)
    const known = programs.get(key)
    if (there === undefined) {
      programs.delete(key)
      return undefined
    }
    if (known?.version === versionOf(there)) return known.data
    try {
      const object = await api.get(configMaps, namespace, name)
      const data = (object['data'] ?? {}) as Program['data']
      programs.set(key, { version: versionOf(object), data })
      return data
    } catch (error) {
      // It has gone since it was seen.
      if (!isReason(error, 'NotFound')) throw error
      return undefined
    }
  }

  const withProgram = async (namespace: string, spec: FlinkJobSpec): Promise<Resolved> => {
    const { configMapRef } = spec.job
    if (configMapRef === undefined) return { spec }
    const { name, key } = configMapRef
    const data = await dataOf(namespace, name)
    if (data === undefined) return { invalid: `spec.job.configMapRef: there is no ConfigMap ${name} in namespace ${namespace}` }
    const text = data[key]
    if (text === undefined) return { invalid: `spec.job.configMapRef: ConfigMap ${name} has no text under the key ${key}` }
    if (text.trim() === '') return { invalid: `spec.job.configMapRef: the text under the key ${key} of ConfigMap ${name} is empty` }
    return { spec: { ...spec, job: { ...spec.job, ...(key.endsWith('.sql') ? { sql: text } : { script: text }) } } }
  }

  const versionThere = async (kind: ReferredKind, namespace: string, name: string): Promise<string | undefined> => {
    if (kind === 'Secret') return secrets.version(namespace, name)
    const object = caches.get(referredConfigMaps, namespace, name)
    return object === undefined ? undefined : versionOf(object)
  }

  return {
    async resolve(namespace, spec, before) {
      const resolved = await withProgram(namespace, spec)
      if ('invalid' in resolved) return resolved
      const found: (readonly [key: string, version: string])[] = []
      for (const { kind, name } of podReferences(spec)) {
        const key = `${kind} ${name}`
        const there = await versionThere(kind, namespace, name).catch(refusedIn(key, namespace))
        if (there !== undefined && typeof there !== 'string') return there
        const version = there ?? before?.references?.[key]
        if (version !== undefined) found.push([key, version])
      }
      return found.length === 0 ? resolved : { spec: { ...resolved.spec, references: Object.fromEntries(found) } }
    },
  }
}

/** What the API server does not let us see is said where the job is looked at: whoever has named it can mend that. */
function refusedIn(what: string, namespace: string): (error: unknown) => { readonly invalid: string } {
  return error => {
    if (!isReason(error, 'Forbidden')) throw error
    return { invalid: `spec names ${what} in namespace ${namespace}, which the operator may not read: ${(error as Error).message}` }
  }
}

/**
 * A plan, and what was refused, are of a generation, and an object that is referred to changes without one: they do not count for what it says now. While an edit is carried out
 * its own stay.
 */
export function ofReferences(status: FlinkJobStatus, { references, job }: FlinkJobSpec): FlinkJobStatus {
  if (status.upgrade !== undefined || status.rescale !== undefined) return status
  const program = job.configMapRef === undefined ? undefined : (job.script ?? job.sql)
  if (references === undefined && program === undefined) return status
  const referenced = createHash('sha256')
    .update(canonicalJson([references ?? {}, program ?? '']))
    .digest('hex')
    .slice(0, 16)
  if (status.referenced === referenced) return status
  if (status.referenced === undefined) return { ...status, referenced }
  const { plan: _plan, refused: _refused, ...rest } = status
  return { ...rest, referenced }
}

/** The jobs of its namespace that a changed ConfigMap concerns. */
export function jobsReferringTo({ metadata: { namespace, name } }: KubeObject, caches: Caches): readonly ObjectKey[] {
  return caches
    .list(flinkJobs)
    .filter(job => job.metadata.namespace === namespace && configMapsNamedBy(job).has(name))
    .map(({ metadata }) => metadata)
}

/** Names of ConfigMaps, by the object as it is stored, which never changes. */
const named = new WeakMap<KubeObject, ReadonlySet<string>>()

function configMapsNamedBy(job: KubeObject): ReadonlySet<string> {
  const known = named.get(job)
  if (known !== undefined) return known
  // As it is stored: it may be unsound, and the walk takes what it finds.
  const spec = (job.spec ?? {}) as FlinkJobSpec
  const program = (spec.job as FlinkJobSpec['job'] | undefined)?.configMapRef?.name
  const all = new Set(podReferences(spec).flatMap(({ kind, name }) => (kind === 'ConfigMap' ? [name] : [])))
  if (program !== undefined) all.add(program)
  named.set(job, all)
  return all
}

interface PodReference {
  readonly kind: ReferredKind
  readonly name: string
}

/** In order of their names, each once. */
function podReferences(spec: FlinkJobSpec): readonly PodReference[] {
  const found = new Map<string, PodReference>()
  for (const template of [spec.podTemplate, spec.jobManager?.podTemplate, spec.taskManager?.podTemplate])
    for (const each of namesIn(template)) found.set(`${each.kind} ${each.name}`, each)
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each)
}

/** The fields of a pod by which containers and volumes name ConfigMaps and Secrets, wherever they stand; images are pulled by others, and pods that run need none. */
const fields: Readonly<Record<string, readonly [kind: ReferredKind, nameIn: string]>> = {
  configMapRef: ['ConfigMap', 'name'],
  configMapKeyRef: ['ConfigMap', 'name'],
  configMap: ['ConfigMap', 'name'],
  secretRef: ['Secret', 'name'],
  secretKeyRef: ['Secret', 'name'],
}

function namesIn(value: unknown): readonly PodReference[] {
  if (Array.isArray(value)) return value.flatMap(namesIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const [kind, nameIn] = (Object.hasOwn(fields, key) ? fields[key] : undefined) ?? []
    if (kind !== undefined && nameIn !== undefined) return referenceOf(kind, inner, nameIn)
    // A volume says secretName, a source of a projected one name.
    if (key === 'secret') return [...referenceOf('Secret', inner, 'secretName'), ...referenceOf('Secret', inner, 'name')]
    return namesIn(inner)
  })
}

function referenceOf(kind: ReferredKind, value: unknown, nameIn: string): readonly PodReference[] {
  const name: unknown = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[nameIn] : undefined
  return typeof name === 'string' ? [{ kind, name }] : []
}

function versionOf({ metadata: { uid, resourceVersion } }: KubeObject): string {
  return `${uid}/${resourceVersion}`
}
