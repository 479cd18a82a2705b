import type { EditClass, FlinkJobSpec } from '../api/flink-job.ts'

/**
 * What an edit means for a job that runs, before anything is done: pure. The class of an edit is the largest of its fields'; a field that is not named here restarts the
 * job, so that nothing is ever taken for harmless by mistake.
 *
 * - `ignore`: it touches nothing that runs, and counts from the next time that it is asked for.
 * - `live`: it is carried out beside the running job: where REST is found, how much is logged, more TaskManagers.
 * - `rescale`: the job is brought to another size under its id: its processes stay, it goes on from a checkpoint (rescale.ts).
 * - `restart`: the job is stopped and started again, with its state.
 * - `state-loss`: the same, without its state: `upgradeMode` says so, or it is to begin from `initialSavepointPath` instead.
 */
export interface Edit {
  readonly class: EditClass
  /** Paths of what differs, below the document. */
  readonly fields: readonly string[]
}

const order = ['ignore', 'live', 'rescale', 'restart'] as const
type FieldClass = (typeof order)[number]

/** Of fields and all that is below them: the longest name counts, and what has none is `restart`. */
const classes: Readonly<Record<string, FieldClass>> = {
  // What counts is the program that is found there, `script` or `sql` (references.ts).
  'spec.job.configMapRef': 'ignore',
  'spec.job.parallelism': 'rescale',
  'spec.job.upgradeMode': 'ignore',
  'spec.job.fallback': 'ignore',
  'spec.job.initialSavepointPath': 'ignore',
  'spec.job.allowNonRestoredState': 'ignore',
  'spec.job.savepointTriggerNonce': 'ignore',
  'spec.taskManager.replicas': 'rescale',
  'spec.snapshots': 'ignore',
  'spec.deletionPolicy': 'ignore',
  'spec.deletionTimeout': 'ignore',
  'spec.deletionTimeoutMs': 'ignore',
  'spec.healthCheck': 'ignore',
  'spec.flinkConfiguration["env.log.level"]': 'live',
  'spec.ingress': 'live',
  'spec.rollback': 'ignore',
}

/** Of a field by its path, whatever its values are. */
export function classOfField(path: string): FieldClass {
  for (let name = path; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.'), name.lastIndexOf('[')))) {
    const known = classes[name]
    if (known !== undefined) return known
  }
  return 'restart'
}

/** More of them are not named. */
const FIELDS_MAX = 100

export function editOf(before: FlinkJobSpec, after: FlinkJobSpec): Edit | undefined {
  const all = differences(before, after, 'spec')
  if (all.length === 0) return undefined
  // The ones that decide come first where there is no room for all.
  const worst = (field: string) => -order.indexOf(classOf(field, before, after))
  const fields = all.length <= FIELDS_MAX ? all : all.toSorted((a, b) => worst(a) - worst(b)).slice(0, FIELDS_MAX)
  const isRunning = before.job.state === 'running' && after.job.state === 'running'
  if (isRedeploy(before, after)) return { class: 'state-loss', fields }
  const largest = order[Math.max(...all.map(field => order.indexOf(classOf(field, before, after))))]
  // Nothing runs that could be left alone, or nothing is to run.
  const isSmall = largest === 'live' || largest === 'rescale'
  if (largest === 'ignore' || (isSmall && isRunning)) return { class: largest, fields }
  // Beside what? It counts from the next start on.
  if (isBeside({ class: largest ?? 'restart', fields: all })) return { class: 'ignore', fields }
  return restartOf(after, fields)
}

/** It touches nothing of what runs: the spec is carried out as soon as it is seen, and what is live of it beside the job (live.ts). */
export function isBeside(edit: Edit): boolean {
  return edit.class === 'ignore' || (edit.class === 'live' && edit.fields.every(field => classOfField(field) === 'ignore' || isBesideField(field)))
}

function isBesideField(field: string): boolean {
  return (
    field === 'spec.flinkConfiguration["env.log.level"]' ||
    field === 'spec.ingress' ||
    field.startsWith('spec.ingress.') ||
    field.startsWith('spec.ingress[')
  )
}

/** What an edit is when it cannot be carried out with less than a restart. */
export function restartOf(after: FlinkJobSpec, fields: readonly string[]): Edit {
  return { class: after.job.state === 'running' && after.job.upgradeMode === 'stateless' ? 'state-loss' : 'restart', fields }
}

function classOf(field: string, before: FlinkJobSpec, after: FlinkJobSpec): FieldClass {
  if (isTakenOut(field, after)) return 'ignore'
  const from = before.taskManager.replicas
  const to = after.taskManager.replicas
  if (field.startsWith(REFERENCES)) return isOther(field.slice(REFERENCES.length + 2, -2), before, after) ? 'restart' : 'ignore'
  if (field === 'spec.taskManager.replicas' && from !== undefined && to !== undefined && to > from) return 'live'
  return classOfField(field)
}

const REFERENCES = 'spec.references'

/** Pods that run have read what was there: an object that comes, or that is no longer referred to, changes nothing for them. */
function isOther(object: string, before: FlinkJobSpec, after: FlinkJobSpec): boolean {
  return before.references?.[object] !== undefined && after.references?.[object] !== undefined
}

/** A new value of the nonce: the job is to begin anew, from the path that the spec names. */
export function isRedeploy(before: FlinkJobSpec, after: FlinkJobSpec): boolean {
  const { savepointRedeployNonce } = after.job
  return savepointRedeployNonce !== undefined && savepointRedeployNonce !== before.job.savepointRedeployNonce
}

/** Only a new value of a nonce asks for anything. */
function isTakenOut(field: string, { restartNonce, job }: FlinkJobSpec): boolean {
  if (field === 'spec.restartNonce') return restartNonce === undefined
  return field === 'spec.job.savepointRedeployNonce' && job.savepointRedeployNonce === undefined
}

function differences(before: unknown, after: unknown, path: string): string[] {
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return keys.flatMap(key => differences(before[key], after[key], /^[\w-]+$/.test(key) ? `${path}.${key}` : `${path}["${key}"]`))
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [path]
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
