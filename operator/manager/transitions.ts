import { type FlinkJobStatus, KIND as JOB_KIND } from '../api/flink-job.ts'
import { type FlinkSessionStatus, SESSION_KIND } from '../api/flink-session.ts'
import { type FlinkSnapshotStatus, SNAPSHOT_KIND } from '../api/flink-snapshot.ts'
import type { KubeObject } from '../kube/object-api.ts'

/**
 * What has happened to an object between two of its statuses, as events say it: pure. Reasons are those of Flink's operator where it has one.
 *
 * Nothing is told of an object that is seen for the first time, for that is how an operator that begins anew sees all of them.
 */
export interface Transition {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly note: string
}

/** What is told of a status: under a key that is told again only when its text changes. Undefined = there is nothing to tell of it now. */
interface Told extends Transition {
  readonly key: string
}

export function transitionsOf(before: KubeObject | undefined, after: KubeObject): readonly Transition[] {
  if (before === undefined || after.status === undefined) return []
  const tell = teller(after.kind)
  const said = new Map((before.status === undefined ? [] : tell(before.status)).map(({ key, note }) => [key, note]))
  return tell(after.status)
    .filter(({ key, note }) => said.get(key) !== note)
    .map(({ type, reason, note }) => ({ type, reason, note }))
}

/** Statuses are written by the controllers, and held to the CRDs by the API server. */
function teller(kind: string): (status: unknown) => readonly Told[] {
  if (kind === JOB_KIND) return status => [...ofJob(status as FlinkJobStatus)]
  if (kind === SNAPSHOT_KIND) return status => [...ofSnapshot(status as FlinkSnapshotStatus)]
  if (kind === SESSION_KIND) return status => [...ofSession(status as FlinkSessionStatus)]
  return () => []
}

const normal = (key: string, reason: string, note: string): Told => ({ key, type: 'Normal', reason, note })
const warning = (key: string, reason: string, note: string): Told => ({ key, type: 'Warning', reason, note })

function* ofJob(status: FlinkJobStatus): Iterable<Told> {
  const { lifecycleState, jobStatus, edit, upgrade, restore, recovery, rollback, refused, snapshots, lastSavepoint, deletion, error } = status
  if (edit !== undefined) yield normal('edit', 'SpecChanged', `generation ${edit.generation} (${edit.class}): ${edit.fields.join(', ')}`)
  if (upgrade !== undefined) yield normal('upgrade', 'Upgrading', `to generation ${upgrade.generation}, mode ${upgrade.mode}: ${upgrade.reason}`)
  if (restore !== undefined)
    yield normal('restore', 'Submit', `the job is started${restore.location === undefined ? '' : ` from ${restore.location}`}: ${restore.reason}`)
  if (jobStatus !== undefined) {
    const tell = jobStatus.state === 'FAILED' ? warning : normal
    yield tell('state', 'JobStatusChanged', `job ${jobStatus.jobId} is ${jobStatus.state}`)
  }
  if (lifecycleState === 'SUSPENDED') yield normal('suspended', 'Suspended', 'the job rests, and keeps its state')
  if (recovery !== undefined) yield warning('recovery', 'RecoverDeployment', `time ${recovery.count} in a row: ${recovery.reason}`)
  if (rollback !== undefined) yield warning('rollback', 'Rollback', `generation ${rollback.generation}: ${rollback.failure ?? rollback.reason}`)
  if (refused !== undefined) yield warning('refused', 'ValidationError', `generation ${refused.generation}: ${refused.message}`)
  if (lastSavepoint !== undefined)
    yield normal('savepoint', 'SavepointCompleted', `${lastSavepoint.location} (${lastSavepoint.trigger}, FlinkSnapshot ${lastSavepoint.name})`)
  if (snapshots?.failure !== undefined)
    yield warning('snapshot', 'SavepointError', `FlinkSnapshot ${snapshots.failure.name}: ${snapshots.failure.message}`)
  if (lifecycleState === 'DELETING') yield normal('deletion', 'Cleanup', 'the job ends, and its processes with it')
  const held = deletion?.blocked ?? deletion?.failure ?? deletion?.notice
  if (held !== undefined) yield warning('held', 'CleanupFailed', held)
  if (isTrue(status, 'RestartLoop'))
    yield warning('loop', 'RestartLoop', 'the job restarts by itself again and again, without a checkpoint between: see the condition')
  if (error !== undefined) yield warning('error', jobStatus?.state === 'FAILED' ? 'JobException' : 'Error', error)
}

function isTrue({ conditions }: FlinkJobStatus, type: string): boolean {
  return conditions.some(condition => condition.type === type && condition.status === 'True')
}

function* ofSnapshot({ state, path, error, disposal, conditions }: FlinkSnapshotStatus): Iterable<Told> {
  if (state === 'IN_PROGRESS') yield normal('state', 'SnapshotTriggered', 'it is being taken')
  if (state === 'COMPLETED') yield normal('state', 'SnapshotCompleted', path ?? 'the checkpoint is complete')
  if (state === 'ABANDONED') yield warning('state', 'SnapshotAbandoned', error ?? 'nothing was taken')
  else if (error !== undefined) yield warning('error', 'SnapshotError', error)
  const held = disposal?.message ?? conditions.find(({ type }) => type === 'DeletionBlocked')?.message
  if (held !== undefined) yield warning('held', 'CleanupFailed', held)
}

function* ofSession({ lifecycleState, restart, blocked, error }: FlinkSessionStatus): Iterable<Told> {
  yield normal('lifecycle', 'LifecycleStateChanged', lifecycleState)
  if (restart !== undefined) yield warning('restart', 'RecoverDeployment', restart.reason)
  if (blocked !== undefined) yield warning('held', 'CleanupFailed', blocked)
  if (error !== undefined) yield warning('error', 'Error', error)
}
