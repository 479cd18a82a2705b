import type { EditClass, FlinkJobSpec } from '../api/flink-job.ts'

/**
 * What an edit means for a job that runs, before anything is done: pure. The class of an edit is the largest of its fields'; a field that is not named here restarts the
 * job, so that nothing is ever taken for harmless by mistake.
 *
 * - `ignore`: it counts from the next restart or deletion on.
 * - `restart`: the job is stopped and started again, with its state.
 * - `state-loss`: the same, without its state: `upgradeMode` says so, or it is to begin from `initialSavepointPath` instead.
 */
export interface Edit {
  readonly class: EditClass
  /** Paths of what differs, below the document. */
  readonly fields: readonly string[]
}

/** Only how later edits are carried out, where a first start begins, or what its FlinkSnapshots are to be: snapshots.ts looks at those by itself. */
const ignored: ReadonlySet<string> = new Set([
  'spec.job.upgradeMode',
  'spec.job.fallback',
  'spec.job.initialSavepointPath',
  'spec.job.allowNonRestoredState',
  'spec.deletionPolicy',
  'spec.deletionTimeoutMs',
  'spec.healthCheck',
  'spec.healthCheck.checkpointProgress',
  'spec.healthCheck.checkpointWindowMs',
  'spec.healthCheck.restartsThreshold',
  'spec.healthCheck.restartsWindowMs',
  'spec.rollback',
  'spec.rollback.enabled',
  'spec.rollback.deadline',
  'spec.job.savepointTriggerNonce',
  'spec.snapshots',
  'spec.snapshots.intervalMs',
  'spec.snapshots.cron',
  'spec.snapshots.retain',
])

/** More of them are not named. */
const FIELDS_MAX = 100

export function editOf(before: FlinkJobSpec, after: FlinkJobSpec): Edit | undefined {
  const all = differences(before, after, 'spec')
  if (all.length === 0) return undefined
  const fields = all.slice(0, FIELDS_MAX)
  if (isRedeploy(before, after)) return { class: 'state-loss', fields }
  if (all.every(field => ignored.has(field) || isTakenOut(field, after))) return { class: 'ignore', fields }
  return { class: after.job.state === 'running' && after.job.upgradeMode === 'stateless' ? 'state-loss' : 'restart', fields }
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
