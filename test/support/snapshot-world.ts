import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { FlinkSnapshot, FlinkSnapshotSpec, FlinkSnapshotStatus } from '../../operator/api/flink-snapshot.ts'
import { type FlinkSnapshotStore, reconcileSnapshot, type SnapshotParts } from '../../operator/snapshot/controller.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { AsyncOperationJson, CheckpointTrigger, RestClient, SavepointTrigger } from '../../runtime/rest/types.ts'
import { Crash, type CrashPlan, crashingSteps } from './crash-plans.ts'
import { spec as jobSpec } from './operator-world.ts'

/** A JobManager that takes snapshots and a store that keeps them, by their rules: a trigger's id is one operation, and takes one look. */
export class FakeSnapshotting {
  /** What lies at the store. */
  readonly savepoints = new Set<string>()
  readonly taken: string[] = []
  readonly disposed: string[] = []
  readonly operations = new Map<string, { looks: number; readonly type: 'savepoint' | 'checkpoint'; readonly folder: string }>()
  looksPerOperation = 1
  failure: string | undefined
  refusal: FlinkError | undefined
  storeFailure: string | undefined
  reachable = true

  readonly rest = (): RestClient =>
    ({
      triggerSavepoint: async (jobId: string, request: SavepointTrigger) =>
        this.trigger('savepoint', jobId, request.triggerId, request['target-directory']),
      triggerCheckpoint: async (jobId: string, { triggerId }: CheckpointTrigger) =>
        this.trigger('checkpoint', jobId, triggerId, 'file:///checkpoints'),
      operation: async (_type: string, _jobId: string, triggerId: string) => this.operation(triggerId),
      checkpointPath: async (jobId: string, checkpointId: number) => `file:///checkpoints/${jobId}/chk-${checkpointId}`,
      // Nothing else is asked.
    }) as unknown as RestClient

  private trigger(type: 'savepoint' | 'checkpoint', _jobId: string, triggerId: string, folder = 'file:///savepoints'): string {
    if (!this.reachable) throw new FlinkError('CONNECTION_REFUSED', 'nobody answers')
    if (this.refusal !== undefined) throw this.refusal
    if (!this.operations.has(triggerId)) {
      this.operations.set(triggerId, { looks: 0, type, folder })
      this.taken.push(triggerId)
    }
    return triggerId
  }

  private operation(triggerId: string): AsyncOperationJson {
    if (!this.reachable) throw new FlinkError('CONNECTION_REFUSED', 'nobody answers')
    const operation = this.operations.get(triggerId)
    if (operation === undefined) throw new FlinkError('NOT_FOUND', `there is no operation ${triggerId}`)
    if (operation.looks++ < this.looksPerOperation) return { status: { id: 'IN_PROGRESS' }, operation: null }
    const cause = { class: 'E', 'stack-trace': `${this.failure}\n at x` }
    if (this.failure !== undefined) return { status: { id: 'COMPLETED' }, operation: { 'failure-cause': cause } }
    if (operation.type === 'checkpoint') return { status: { id: 'COMPLETED' }, operation: { checkpointId: 7 } }
    const location = `${operation.folder}/${triggerId}`
    this.savepoints.add(location)
    return { status: { id: 'COMPLETED' }, operation: { location } }
  }

  readonly catalogue: SnapshotParts['catalogue'] = {
    snapshotAt: async location => {
      if (this.storeFailure !== undefined) throw new FlinkError('EXTERNAL_SYSTEM', this.storeFailure)
      if (!this.savepoints.has(location)) throw new FlinkError('INVALID_ARGUMENT', `${location} is no snapshot`)
      return { kind: location.includes('/chk-') ? 'checkpoint' : 'savepoint', location, jobId: 'j', timestampMs: 5_000 }
    },
    disposeSavepoint: async location => {
      if (this.storeFailure !== undefined) throw new FlinkError('EXTERNAL_SYSTEM', this.storeFailure)
      if (this.savepoints.delete(location)) this.disposed.push(location)
    },
  }
}

export const snapshotFinalizer = 'millrace.dev/snapshot'

/** One FlinkSnapshot object with Kubernetes' rules. */
class MemorySnapshotStore implements FlinkSnapshotStore {
  readonly seen: string[] = []
  writes = 0
  private object: FlinkSnapshot | undefined

  constructor(spec: FlinkSnapshotSpec) {
    const metadata = { name: 'snap', namespace: 'default', generation: 1, resourceVersion: '1', uid: 's' }
    this.object = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkSnapshot', metadata, spec }
  }

  async read() {
    return this.object
  }
  async writeStatus(snapshot: FlinkSnapshot, status: FlinkSnapshotStatus) {
    if (this.seen.at(-1) !== status.state) this.seen.push(status.state)
    return this.put({ ...this.checked(snapshot), status })
  }
  async writeFinalizers(snapshot: FlinkSnapshot, finalizers: readonly string[]) {
    const current = this.checked(snapshot)
    return this.put({ ...current, metadata: { ...current.metadata, finalizers } })
  }
  annotate(annotations: Readonly<Record<string, string>>) {
    const current = this.current()
    this.put({ ...current, metadata: { ...current.metadata, annotations } })
  }
  markDeleted(nowMs: number) {
    const current = this.current()
    this.put({ ...current, metadata: { ...current.metadata, deletionTimestamp: new Date(nowMs).toISOString() } })
  }
  private current(): FlinkSnapshot {
    if (this.object === undefined) throw new FlinkError('NOT_FOUND', 'the FlinkSnapshot is gone')
    return this.object
  }
  private checked(snapshot: FlinkSnapshot): FlinkSnapshot {
    const current = this.current()
    if (current.metadata.resourceVersion !== snapshot.metadata.resourceVersion) throw new FlinkError('CONFLICT', 'read it again')
    return current
  }
  private put(next: FlinkSnapshot): FlinkSnapshot {
    this.writes++
    const object = { ...next, metadata: { ...next.metadata, resourceVersion: String(Number(next.metadata.resourceVersion) + 1) } }
    const { deletionTimestamp, finalizers } = object.metadata
    this.object = deletionTimestamp !== undefined && (finalizers ?? []).length === 0 ? undefined : object
    return object
  }
}

export function runningJob(name: string, status: Partial<NonNullable<FlinkJob['status']>> = {}): FlinkJob {
  return {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name, namespace: 'default', generation: 1, resourceVersion: '1', uid: `uid of ${name}` },
    spec: jobSpec,
    status: {
      lifecycleState: 'STABLE',
      jobManagerDeploymentStatus: 'READY',
      jobStatus: { jobId: 'a'.repeat(32), jobName: name, state: 'RUNNING' },
      clusterInfo: { 'web-address': 'http://fake' },
      conditions: [],
      ...status,
    },
  }
}

/** A FlinkSnapshot, a controller that reconciles it in passes, the FlinkJobs around it, and what takes and keeps snapshots. */
export function snapshotWorld(spec: FlinkSnapshotSpec, crashes: CrashPlan = new Map()) {
  const flink = new FakeSnapshotting()
  const store = new MemorySnapshotStore(spec)
  const jobs = new Map<string, FlinkJob>([['job', runningJob('job')]])
  const { step, steps } = crashingSteps(crashes)
  let nowMs = 0
  let seed = 1
  const parts = (): SnapshotParts => ({
    store: {
      read: () => store.read(),
      writeStatus: (snapshot, status) => step(() => store.writeStatus(snapshot, status)),
      writeFinalizers: (snapshot, finalizers) => step(() => store.writeFinalizers(snapshot, finalizers)),
    },
    jobs: { get: async (_namespace, name) => jobs.get(name), list: async () => [...jobs.values()] },
    rest: () => {
      const rest = flink.rest()
      return {
        ...rest,
        triggerSavepoint: (jobId, request) => step(() => rest.triggerSavepoint(jobId, request)),
        triggerCheckpoint: (jobId, request) => step(() => rest.triggerCheckpoint(jobId, request)),
      }
    },
    catalogue: {
      snapshotAt: location => flink.catalogue.snapshotAt(location),
      disposeSavepoint: location => step(() => flink.catalogue.disposeSavepoint(location)),
    },
    clock: { nowMs: () => nowMs },
    // A restarted controller draws other ids.
    random: seededRandom(seed++),
    log: noLog,
  })
  const pass = async (): Promise<FlinkSnapshot | undefined> => {
    try {
      nowMs += (await reconcileSnapshot(parts())).requeueAfterMs
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      nowMs += 1_000
    }
    return store.read()
  }
  const until = async (reached: (snapshot: FlinkSnapshot | undefined) => boolean) => {
    for (let i = 0; i < 100; i++) {
      const snapshot = await pass()
      if (reached(snapshot)) return snapshot
    }
    throw new Error(`not reached: ${JSON.stringify((await store.read())?.status)}`)
  }
  const remove = () => store.markDeleted(nowMs)
  return { flink, store, jobs, pass, until, remove, steps, now: () => nowMs, advance: (ms: number) => (nowMs += ms) }
}
