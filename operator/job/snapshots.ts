import type { WantedCondition } from '../api/conditions.ts'
import { nextTimeMs, parseCron } from '../api/cron.ts'
import type { FlinkJobSpec, FlinkJobStatus, SnapshotTrigger } from '../api/flink-job.ts'
import {
  type FlinkSnapshot,
  type NewFlinkSnapshot,
  SAVEPOINT_ANNOTATION,
  SCHEDULED_ANNOTATION,
  SNAPSHOT_KIND,
  snapshotLabels,
} from '../api/flink-snapshot.ts'
import { type Decision, type Input, type SnapshotAction, statusOf } from './input.ts'

/**
 * The FlinkSnapshots of a FlinkJob: pure. Not one of the rules but beside whatever they answer, for a job is looked after while its savepoint is taken.
 *
 * 1. A new value of the annotation `millrace.dev/savepoint` or of `spec.job.savepointTriggerNonce` asks for a savepoint. The value is noted in the status, so that nobody's
 *    annotation has to be removed; those of a new FlinkJob are noted and take none.
 * 2. `spec.snapshots` asks for one whenever it is due, while the job runs and is not upgraded, and none is under way. What was missed is taken once.
 * 3. The savepoint of an upgrade, a suspension or a deletion is recorded as one that is there already.
 *
 * What is asked for stands under its name in `status.snapshots.requested` before it is made, until it is at its end: its path goes into `status.lastSavepoint`, or why there
 * is none into the condition SnapshotFailed. Of periodic ones that are complete the newest `retain` stay; the others are deleted, and are there until their files have gone.
 *
 * They have no owner: they outlive the FlinkJob, as their savepoints do (docs/decisions/0030-snapshots-without-owner.md).
 */
type Snapshots = NonNullable<FlinkJobStatus['snapshots']>
type Request = Snapshots['requested'][number]

/** What a name may be long, and what its hash takes of it. */
const NAME_MAX = 45
const HASH_LENGTH = 10

export function withSnapshots(input: Input, decision: Decision): Decision {
  const { status } = decision
  if (status.reconciliationStatus === undefined) return decision
  const isDeleting = input.job.metadata.deletionTimestamp !== undefined
  const asked = isDeleting ? (status.snapshots ?? { requested: [] }) : scheduled(input, status, askedFor(input, status))
  const { snapshots, lastSavepoint, actions } = settled(input, recorded(input, status, asked), status.lastSavepoint)
  // What is gone cannot be asked again: it stays until its last savepoint has its object.
  const isRecorded = status.lifecycleState !== 'DELETED' || actions.length === 0
  return {
    status: {
      ...status,
      ...(isRecorded ? {} : { lifecycleState: 'DELETING' }),
      snapshots,
      ...(lastSavepoint === undefined ? {} : { lastSavepoint }),
    },
    actions: [...decision.actions, ...actions, ...(isDeleting ? [] : outlived(input))],
    requeueAfterMs: Math.min(decision.requeueAfterMs, untilDueMs(input, snapshots)),
  }
}

/** By a person. */
function askedFor(input: Input, { snapshots }: FlinkJobStatus): Snapshots {
  const annotation = input.job.metadata.annotations?.[SAVEPOINT_ANNOTATION] ?? snapshots?.annotation
  const nonce = input.job.spec.job.savepointTriggerNonce ?? snapshots?.nonce
  const noted = {
    ...(snapshots ?? { requested: [] }),
    ...(annotation === undefined ? {} : { annotation }),
    ...(nonce === undefined ? {} : { nonce }),
  }
  if (snapshots === undefined || (annotation === snapshots.annotation && nonce === snapshots.nonce)) return noted
  return withRequest(noted, { name: nameFor(input, 'MANUAL', `${annotation} ${nonce} ${input.nowMs}`), trigger: 'MANUAL' })
}

/** By the clock. What there is of periodic snapshots says when the last one was, should the status have lost it. */
function scheduled(input: Input, status: FlinkJobStatus, snapshots: Snapshots): Snapshots {
  const { spec } = input.job
  const { job } = input.observed
  const { scheduled: last, ...rest } = snapshots
  if (spec.snapshots === undefined) return rest
  if (job.kind !== 'present' || job.state !== 'RUNNING' || status.upgrade !== undefined) return snapshots
  const since = [last, ...periodic(input).map(scheduledOf)]
    .filter(time => time !== undefined)
    .sort()
    .at(-1)
  if (since === undefined) return { ...rest, scheduled: new Date(input.nowMs).toISOString() }
  const dueMs = nextDueMs(spec.snapshots, since)
  const isBusy = snapshots.requested.some(({ trigger }) => trigger === 'PERIODIC')
  if (dueMs === undefined || dueMs > input.nowMs || isBusy) return last === since ? snapshots : { ...rest, scheduled: since }
  const slot = new Date(latestDueMs(spec.snapshots, dueMs, input.nowMs)).toISOString()
  return withRequest({ ...rest, scheduled: slot }, { name: nameFor(input, 'PERIODIC', slot), trigger: 'PERIODIC', scheduled: slot })
}

type Schedule = NonNullable<FlinkJobSpec['snapshots']>

function nextDueMs({ intervalMs, cron }: Schedule, since: string): number | undefined {
  if (intervalMs !== undefined) return Date.parse(since) + intervalMs
  const parsed = parseCron(cron ?? '')
  // Validation has refused any other.
  return parsed.kind === 'cron' ? nextTimeMs(parsed.cron, Date.parse(since)) : undefined
}

/** One that is due already waits for the job, which is looked at again anyway. */
function untilDueMs({ job: { spec }, nowMs }: Input, { scheduled: since }: Snapshots): number {
  const dueMs = spec.snapshots === undefined || since === undefined ? undefined : nextDueMs(spec.snapshots, since)
  return dueMs === undefined || dueMs <= nowMs ? Number.POSITIVE_INFINITY : dueMs - nowMs
}

/** Missed ones are one. */
function latestDueMs({ intervalMs }: Schedule, dueMs: number, nowMs: number): number {
  return intervalMs === undefined ? nowMs : dueMs + Math.floor((nowMs - dueMs) / intervalMs) * intervalMs
}

/** By an upgrade, a suspension or a deletion, which has taken it: its path is in the status since this pass. */
function recorded(input: Input, status: FlinkJobStatus, snapshots: Snapshots): Snapshots {
  const known = takenWhenStopped(statusOf(input))
  return takenWhenStopped(status)
    .filter(path => !known.includes(path))
    .reduce((all, path) => withRequest(all, { name: nameFor(input, 'UPGRADE', path), trigger: 'UPGRADE', path }), snapshots)
}

function takenWhenStopped({ jobStatus, deletion }: FlinkJobStatus): readonly string[] {
  return [...new Set([jobStatus?.upgradeSavepointPath, deletion?.savepointPath].filter(path => path !== undefined))]
}

function withRequest(snapshots: Snapshots, request: Request): Snapshots {
  return { ...snapshots, requested: [...snapshots.requested, request] }
}

interface Settled {
  readonly snapshots: Snapshots
  readonly lastSavepoint: FlinkJobStatus['lastSavepoint']
  readonly actions: readonly SnapshotAction[]
}

/** What has become of those that were asked for. */
function settled(input: Input, snapshots: Snapshots, before: FlinkJobStatus['lastSavepoint']): Settled {
  const requested: Request[] = []
  const actions: SnapshotAction[] = []
  let { failure } = snapshots
  let lastSavepoint = before
  for (const request of snapshots.requested) {
    const { name, trigger, created, path } = request
    const object = input.observed.snapshots.find(({ metadata }) => metadata.name === name)
    const { state, error, resultTimestamp, path: location = path } = object?.status ?? {}
    // One that was seen, and is missed now, somebody has deleted.
    if (object === undefined && created === true) continue
    if (object === undefined) actions.push({ kind: 'createSnapshot', snapshot: snapshotFor(input, request) })
    if (error !== undefined && state !== 'COMPLETED')
      failure = failure?.name === name && failure.message === error ? failure : { name, message: error, time: new Date(input.nowMs).toISOString() }
    if (state === 'COMPLETED' && location !== undefined && resultTimestamp !== undefined) {
      failure = undefined
      if (lastSavepoint === undefined || lastSavepoint.time <= resultTimestamp) lastSavepoint = { time: resultTimestamp, location, trigger, name }
    } else if (state !== 'FAILED' && state !== 'ABANDONED') {
      requested.push(object === undefined || created === true ? request : { ...request, created: true })
    }
  }
  const { failure: _, ...rest } = snapshots
  return { snapshots: { ...rest, requested, ...(failure === undefined ? {} : { failure }) }, lastSavepoint, actions }
}

/** The newest complete ones stay, at least one; and of those that came to nothing as many, for a person to look at. */
function outlived(input: Input): SnapshotAction[] {
  const { snapshots } = input.job.spec
  if (snapshots === undefined) return []
  const { jobStatus, restore } = statusOf(input)
  const inUse = [jobStatus?.upgradeSavepointPath, restore?.location]
  const newestFirst = periodic(input)
    .filter(({ status }) => status?.resultTimestamp !== undefined)
    .sort((a, b) => (b.status?.resultTimestamp ?? '').localeCompare(a.status?.resultTimestamp ?? ''))
  const complete = newestFirst.filter(({ status }) => status?.state === 'COMPLETED')
  const lost = newestFirst.filter(({ status }) => status?.state !== 'COMPLETED')
  return [...complete.slice(snapshots.retain), ...lost.slice(snapshots.retain)]
    .filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && (status?.path === undefined || !inUse.includes(status.path)))
    .map(snapshot => ({ kind: 'deleteSnapshot', snapshot }))
}

function periodic({ observed }: Input): readonly FlinkSnapshot[] {
  return observed.snapshots.filter(({ metadata }) => metadata.labels?.[snapshotLabels.trigger] === 'PERIODIC')
}

function scheduledOf({ metadata }: FlinkSnapshot): string | undefined {
  return metadata.annotations?.[SCHEDULED_ANNOTATION]
}

function snapshotFor({ job: { apiVersion, metadata } }: Input, { name, trigger, path, scheduled: due }: Request): NewFlinkSnapshot {
  return {
    apiVersion,
    kind: SNAPSHOT_KIND,
    metadata: {
      name,
      namespace: metadata.namespace,
      labels: {
        // An operator that looks after objects with some labels only has to see those of its job too.
        ...metadata.labels,
        [snapshotLabels.job]: metadata.name,
        [snapshotLabels.jobUid]: metadata.uid,
        [snapshotLabels.type]: 'savepoint',
        [snapshotLabels.trigger]: trigger,
      },
      ...(due === undefined ? {} : { annotations: { [SCHEDULED_ANNOTATION]: due } }),
    },
    spec: {
      jobReference: { name: metadata.name },
      savepoint: path === undefined ? { alreadyExists: false, disposeOnDelete: true } : { path, alreadyExists: true, disposeOnDelete: true },
      backoffLimit: -1,
    },
  }
}

const nameParts: Readonly<Record<SnapshotTrigger, string>> = { MANUAL: 'savepoint', PERIODIC: 'periodic', UPGRADE: 'upgrade' }

/** The job's name as far as it fits, and a hash that tells apart what it leaves out. */
function nameFor({ job: { metadata } }: Input, trigger: SnapshotTrigger, what: string): string {
  const end = `-${nameParts[trigger]}-${hash(`${metadata.uid} ${trigger} ${what}`)}`
  return `${metadata.name.slice(0, NAME_MAX - end.length).replace(/-+$/, '')}${end}`
}

/** FNV-1a in 64 bits. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n)
  return value.toString(36).padStart(HASH_LENGTH, '0').slice(-HASH_LENGTH)
}

/** There only as long as there is something to say. */
export function snapshotCondition({ snapshots }: FlinkJobStatus): WantedCondition | undefined {
  const { failure } = snapshots ?? {}
  if (failure === undefined) return undefined
  return { type: 'SnapshotFailed', status: 'True', reason: 'SavepointError', message: `FlinkSnapshot ${failure.name}: ${failure.message}` }
}
