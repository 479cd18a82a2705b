import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { FlinkSnapshot } from '../api/flink-snapshot.ts'
import type { SnapshotParts } from './controller.ts'
import { type Observed, type ObservedExisting, type ObservedJob, type ObservedOperation, statusOf, typeOf } from './input.ts'
import { isAtRest } from './status.ts'

/** Everything that `decide` looks at, asked once. Of a snapshot at its end nothing is asked, until it is to be removed. */
export async function observe(snapshot: FlinkSnapshot, parts: SnapshotParts): Promise<Observed> {
  const status = statusOf({ snapshot })
  const { metadata, spec } = snapshot
  if (isAtRest(status)) {
    const usedBy = metadata.deletionTimestamp === undefined || status.path === undefined ? [] : await usersOf(status.path, snapshot, parts)
    return { job: { kind: 'none' }, operation: { kind: 'unknown' }, existing: { kind: 'unknown' }, usedBy }
  }
  if (spec.savepoint?.alreadyExists === true) {
    const isDue = status.retryAt === undefined || Date.parse(status.retryAt) <= parts.clock.nowMs()
    const existing = isDue ? await observeExisting(spec.savepoint.path ?? '', parts) : ({ kind: 'unknown' } as const)
    return { job: { kind: 'none' }, operation: { kind: 'unknown' }, existing, usedBy: [] }
  }
  const job = spec.jobReference === undefined ? undefined : await parts.jobs.get(metadata.namespace, spec.jobReference.name)
  const operation = job === undefined ? ({ kind: 'unknown' } as const) : await observeOperation(snapshot, job, parts)
  return { job: spec.jobReference === undefined ? { kind: 'none' } : stateOf(job), operation, existing: { kind: 'unknown' }, usedBy: [] }
}

/** What the FlinkJob's status says: its controller asks the JobManager. */
function stateOf(job: FlinkJob | undefined): ObservedJob {
  if (job === undefined) return { kind: 'missing' }
  const { status, metadata } = job
  const label = `FlinkJob ${metadata.name}`
  const { jobId, state } = status?.jobStatus ?? {}
  if (metadata.deletionTimestamp !== undefined) return { kind: 'ended', why: `${label} is being deleted`, jobId }
  if (status?.lifecycleState === 'SUSPENDED') return { kind: 'ended', why: `${label} is suspended`, jobId }
  // A job that is stopped to be upgraded has ended too, and goes on.
  if (status?.upgrade !== undefined || status?.lifecycleState === 'UPGRADING') return { kind: 'waiting', why: `${label} is being upgraded` }
  if (state === 'FINISHED' || state === 'FAILED' || state === 'CANCELED') return { kind: 'ended', why: `${label} is ${state}`, jobId }
  const webAddress = status?.clusterInfo?.['web-address']
  if (state !== 'RUNNING' || jobId === undefined || webAddress === undefined)
    return { kind: 'waiting', why: `${label} is ${state ?? 'not deployed yet'}, a snapshot needs one that is RUNNING` }
  return { kind: 'running', jobId, webAddress }
}

/** Asked of the JobManager even when its job has ended: it may have been taken before. */
async function observeOperation(snapshot: FlinkSnapshot, { status: ofJob }: FlinkJob, { rest }: SnapshotParts): Promise<ObservedOperation> {
  const { triggerId, jobId, state } = statusOf({ snapshot })
  const webAddress = ofJob?.clusterInfo?.['web-address']
  if (state !== 'IN_PROGRESS' || triggerId === undefined || jobId === undefined || webAddress === undefined) return { kind: 'unknown' }
  const client = rest(webAddress)
  try {
    const type = typeOf(snapshot)
    const { status, operation } = await client.operation(type, jobId, triggerId)
    if (status.id === 'IN_PROGRESS') return { kind: 'in-progress' }
    const { location, checkpointId } = operation ?? {}
    if (type === 'savepoint' && typeof location === 'string') return { kind: 'completed', location }
    if (type === 'checkpoint' && typeof checkpointId === 'number') return { kind: 'completed', location: await pathOf(client, jobId, checkpointId) }
    return { kind: 'failed', message: failureText(operation?.['failure-cause'] ?? operation?.['failureCause']) }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    if (error.code === 'NOT_FOUND') return { kind: 'missing' }
    if (isUnreachable(error)) return { kind: 'unknown' }
    throw error
  }
}

/** It may have been followed by others since, and be forgotten: complete it was. */
async function pathOf(client: RestClient, jobId: string, checkpointId: number): Promise<string | undefined> {
  try {
    return await client.checkpointPath(jobId, checkpointId)
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

export function isUnreachable({ code }: FlinkError): boolean {
  return code === 'CONNECTION_REFUSED' || code === 'CONNECTION_LOST' || code === 'TIMEOUT' || code === 'OUTCOME_UNKNOWN'
}

/** As Flink has it: the class of the exception and its trace, whose first line says what happened. */
function failureText(cause: unknown): string {
  const trace = (cause as { readonly 'stack-trace'?: unknown } | undefined)?.['stack-trace']
  return typeof trace === 'string' ? (trace.split('\n')[0] ?? trace) : JSON.stringify(cause ?? 'no cause is given')
}

async function observeExisting(path: string, { catalogue }: SnapshotParts): Promise<ObservedExisting> {
  try {
    const { kind, location, timestampMs } = await catalogue.snapshotAt(path)
    if (kind === 'checkpoint') return { kind: 'invalid', message: `${path} is a checkpoint, which belongs to its job, and no savepoint` }
    return { kind, location, timestampMs }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    return { kind: 'invalid', message: error.message }
  }
}

/** FlinkJobs that name it as what they begin with, go on from, or leave behind. */
async function usersOf(path: string, { metadata }: FlinkSnapshot, { jobs }: SnapshotParts): Promise<string[]> {
  const named = (await jobs.list(metadata.namespace)).filter(({ spec, status }) =>
    [spec.job.initialSavepointPath, status?.jobStatus?.upgradeSavepointPath, status?.restore?.location, status?.deletion?.savepointPath].some(place =>
      isSame(place, path),
    ),
  )
  return named.map(job => `FlinkJob ${job.metadata.name}`)
}

function isSame(named: string | undefined, path: string): boolean {
  const folder = (location: string) => location.replace(/\/_metadata$/, '').replace(/\/+$/, '')
  return named !== undefined && folder(named) === folder(path)
}
