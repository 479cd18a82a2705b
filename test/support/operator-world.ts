import type { FlinkJob, FlinkJobSpec } from '../../operator/api/flink-job.ts'
import type { Action } from '../../operator/effects/actions.ts'
import { type ControllerParts, type FlinkJobStore, reconcile } from '../../operator/job/controller.ts'
import { createSnapshotObjects } from '../../operator/job/snapshot-objects.ts'
import { LocalApiServer } from '../../operator/kube/local-api-server.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { Crash, type CrashPlan, crashingSteps } from './crash-plans.ts'
import { FakeFlinkCluster } from './fake-flink-cluster.ts'

export const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
  flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2' },
  taskManager: {},
}

export class MemoryStore implements FlinkJobStore {
  readonly seen: string[] = []
  private job: FlinkJob

  constructor(first: FlinkJobSpec) {
    this.job = {
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'FlinkJob',
      metadata: { name: 'fake', namespace: 'default', generation: 1, resourceVersion: '1', uid: 'u', labels: { team: 'words' } },
      spec: first,
    }
  }

  async read() {
    return this.job
  }
  async writeStatus(job: FlinkJob, status: NonNullable<FlinkJob['status']>) {
    this.requireNewest(job)
    const state = `${status.lifecycleState} ${status.jobStatus?.state ?? '-'}`
    if (this.seen.at(-1) !== state) this.seen.push(state)
    return this.put({ ...this.job, status })
  }
  async writeSpec(_job: FlinkJob, next: FlinkJobSpec) {
    return this.put({ ...this.job, spec: next, metadata: { ...this.job.metadata, generation: this.job.metadata.generation + 1 } })
  }
  async markDeleted(_job: FlinkJob, nowMs: number) {
    return this.put({ ...this.job, metadata: { ...this.job.metadata, deletionTimestamp: new Date(nowMs).toISOString() } })
  }
  async noteJobId(job: FlinkJob, jobId: string) {
    this.requireNewest(job)
    return this.annotate({ 'millrace.dev/job-id': jobId })
  }
  /** By hand. */
  async replaceStatus(status: unknown) {
    const { status: _, ...rest } = this.job
    return this.put(status === undefined ? rest : { ...rest, status: status as NonNullable<FlinkJob['status']> })
  }
  async annotate(annotations: Readonly<Record<string, string>>) {
    return this.put({ ...this.job, metadata: { ...this.job.metadata, annotations: { ...this.job.metadata.annotations, ...annotations } } })
  }
  private requireNewest({ metadata }: FlinkJob) {
    if (metadata.resourceVersion !== this.job.metadata.resourceVersion) throw new FlinkError('CONFLICT', 'read it again')
  }
  private put(job: FlinkJob) {
    this.job = { ...job, metadata: { ...job.metadata, resourceVersion: String(Number(job.metadata.resourceVersion) + 1) } }
    return this.job
  }
}

/**
 * A FlinkJob, a controller that reconciles it in passes, and a cluster. Steps that touch the world are numbered over the whole run; the process dies before or after
 * the effect of those that are planned.
 */
export function world(crashes: CrashPlan = new Map(), firstSpec: FlinkJobSpec = spec) {
  const cluster = new FakeFlinkCluster()
  const store = new MemoryStore(firstSpec)
  const { step, steps } = crashingSteps(crashes)
  let nowMs = 0
  let seed = 1
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, schedule: () => ({ cancel() {} }) }
  const api = new LocalApiServer({ clock, random: seededRandom(4711) })
  const snapshots = createSnapshotObjects(api)
  const parts = (): ControllerParts => ({
    store: {
      read: () => store.read(),
      writeStatus: (job, status) => step(() => store.writeStatus(job, status)),
      noteJobId: (job, jobId) => step(() => store.noteJobId(job, jobId)),
    },
    executor: {
      observeCluster: () => cluster.observeCluster(),
      observeProgram: wanted => cluster.observeProgram(wanted),
      observeStatePlan: question => cluster.observeStatePlan(question),
      catalogue: wanted => cluster.catalogue(wanted),
      execute: (action: Action) => step(() => cluster.execute(action)),
    },
    rest: cluster.rest,
    snapshots: { list: job => snapshots.list(job), execute: action => step(() => snapshots.execute(action)) },
    clock,
    // A restarted controller draws other ids.
    random: seededRandom(seed++),
    log: noLog,
  })
  const pass = async () => {
    try {
      const { job, requeueAfterMs } = await reconcile(parts())
      nowMs += requeueAfterMs
      return job
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      nowMs += 1_000
      return store.read()
    }
  }
  const until = async (reached: (job: FlinkJob) => boolean, passesMax = 100) => {
    for (let i = 0; i < passesMax; i++) {
      const job = await pass()
      if (reached(job)) return job
    }
    throw new Error(`not reached: ${JSON.stringify((await store.read()).status)}`)
  }
  const edit = async (change: (before: FlinkJobSpec) => FlinkJobSpec) => {
    const job = await store.read()
    return store.writeSpec(job, change(job.spec))
  }
  const advance = (ms: number) => {
    nowMs += ms
  }
  return { cluster, store, api, pass, until, edit, advance, step, steps, now: () => nowMs }
}
