import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { newId } from '../../runtime/common/ids.ts'
import { canonicalJson } from '../../runtime/common/json.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { type FlinkSnapshot, type FlinkSnapshotStatus, SNAPSHOT_FINALIZER } from '../api/flink-snapshot.ts'
import { afterFailedTry, decide } from './decide.ts'
import { afterFailedDisposal } from './deletion.ts'
import { type Decision, type Input, REST_MS, type SnapshotAction } from './input.ts'
import { isUnreachable, observe } from './observe.ts'

/**
 * The shell around `decide` of one FlinkSnapshot: observe everything once -> decide -> save the status -> act, as operator/job/controller.ts. A pass that dies anywhere
 * is repeated by the next one, here or in another process.
 */
export interface SnapshotParts {
  readonly store: FlinkSnapshotStore
  readonly jobs: FlinkJobs
  readonly rest: (webAddress: string) => RestClient
  readonly catalogue: Pick<Catalogue, 'snapshotAt' | 'disposeSavepoint'>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly random: Random
  readonly log: Logger
}

/** One FlinkSnapshot object. Writes are CONFLICT when somebody has written since it was read. */
export interface FlinkSnapshotStore {
  /** Undefined = it is gone. */
  read(): Promise<FlinkSnapshot | undefined>
  writeStatus(snapshot: FlinkSnapshot, status: FlinkSnapshotStatus): Promise<FlinkSnapshot>
  writeFinalizers(snapshot: FlinkSnapshot, finalizers: readonly string[]): Promise<FlinkSnapshot>
}

/** FlinkJobs as their statuses have them. */
export interface FlinkJobs {
  get(namespace: string, name: string): Promise<FlinkJob | undefined>
  list(namespace: string): Promise<readonly FlinkJob[]>
}

const RETRY_MS = 1_000

export async function reconcileSnapshot(parts: SnapshotParts): Promise<{ readonly requeueAfterMs: number }> {
  const { store, clock, random, log } = parts
  const snapshot = await store.read()
  if (snapshot === undefined) return { requeueAfterMs: REST_MS }
  const observed = await observe(snapshot, parts)
  const input: Input = { snapshot, observed, nowMs: clock.nowMs(), freshTriggerId: newId(random) }
  const decision = decide(input)
  let saved = await save(store, snapshot, decision.status)
  for (const action of decision.actions) {
    log.debug('acting', { snapshot: snapshot.metadata.name, action: action.kind })
    try {
      saved = await execute(action, saved, parts)
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      const after = afterFailure({ ...input, snapshot: saved }, action, error)
      if (after === undefined) throw error
      log.warn('an action on a snapshot failed', { snapshot: snapshot.metadata.name, action: action.kind, error: error.message })
      await save(store, saved, after.status)
      return { requeueAfterMs: after.requeueAfterMs }
    }
  }
  return { requeueAfterMs: decision.requeueAfterMs }
}

/** Undefined = the pass fails, as for any other error of the API server. */
function afterFailure(input: Input, action: SnapshotAction, error: FlinkError): Decision | undefined {
  if (action.kind === 'dispose') return afterFailedDisposal(input, error.message)
  if (action.kind !== 'trigger') return undefined
  // It is sent again under its id when the JobManager does not know it, once the job is there again.
  if (isUnreachable(error) || error.code === 'NOT_FOUND')
    return { status: input.snapshot.status ?? { state: 'TRIGGER_PENDING', conditions: [] }, actions: [], requeueAfterMs: RETRY_MS }
  return afterFailedTry(input, error.message)
}

async function execute(action: SnapshotAction, snapshot: FlinkSnapshot, { store, rest, catalogue }: SnapshotParts): Promise<FlinkSnapshot> {
  const finalizers = (snapshot.metadata.finalizers ?? []).filter(finalizer => finalizer !== SNAPSHOT_FINALIZER)
  switch (action.kind) {
    case 'addFinalizer':
      return store.writeFinalizers(snapshot, [...finalizers, SNAPSHOT_FINALIZER])
    case 'dropFinalizer':
      return store.writeFinalizers(snapshot, finalizers)
    case 'dispose':
      await catalogue.disposeSavepoint(action.location)
      return snapshot
    case 'trigger':
      await trigger(action, rest(action.webAddress))
      return snapshot
  }
}

async function trigger(
  { type, jobId, triggerId, targetDirectory }: Extract<SnapshotAction, { readonly kind: 'trigger' }>,
  rest: RestClient,
): Promise<void> {
  if (type === 'checkpoint') await rest.triggerCheckpoint(jobId, { checkpointType: 'CONFIGURED', triggerId })
  else {
    const target = targetDirectory === undefined ? {} : { 'target-directory': targetDirectory }
    await rest.triggerSavepoint(jobId, { ...target, 'cancel-job': false, triggerId })
  }
}

/** Written only when it says something new: whoever watches the object would be woken for nothing. */
async function save(store: FlinkSnapshotStore, snapshot: FlinkSnapshot, status: FlinkSnapshotStatus): Promise<FlinkSnapshot> {
  // An API server keeps no order of fields.
  if (snapshot.status !== undefined && canonicalJson(snapshot.status) === canonicalJson(status)) return snapshot
  return store.writeStatus(snapshot, status)
}
