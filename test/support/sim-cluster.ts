import { createHash } from 'node:crypto'
import { createJobResultStore } from '../../runtime/checkpoint/job-results.ts'
import { createMemoryStore, type MemoryStore } from '../../runtime/checkpoint/storage/memory-store.ts'
import type { ByteRange, ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'
import type { StoreOpener } from '../../runtime/checkpoint/storage/open-store.ts'
import type { FlinkError } from '../../runtime/common/errors.ts'
import { newId } from '../../runtime/common/ids.ts'
import { createLogger, type LogEntry } from '../../runtime/common/log.ts'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import type { JobGraph, JobVertex } from '../../runtime/graph/job-graph.ts'
import { createMemoryArtifactStore } from '../../runtime/jobmanager/artifact-store.ts'
import { JobManager, type JobManagerOptions } from '../../runtime/jobmanager/job-manager.ts'
import { createJobStore } from '../../runtime/jobmanager/job-store.ts'
import type { EnumeratorRegistry } from '../../runtime/jobmanager/source-coordinators.ts'
import type { JobDetails, JobSubmission } from '../../runtime/rpc/job-manager-gateway.ts'
import { asJson } from '../../runtime/rpc/messages.ts'
import type { SourceSplit, SplitEnumeratorFactory } from '../../runtime/stream/spi/source.ts'
import type { CopyFiles } from '../../runtime/taskmanager/copy-files.ts'
import type { SlotHostFactory } from '../../runtime/taskmanager/slot-host-factory.ts'
import { TaskExecutor } from '../../runtime/taskmanager/task-executor.ts'
import { SimClock } from './sim-clock.ts'
import { type NetworkFaults, SimNetwork } from './sim-network.ts'
import { FakeSlotHostFactory, SimLedger, type TaskScript } from './sim-slot-host.ts'
import { folderOf } from './store-folder.ts'

/**
 * A JobManager and TaskManagers in one thread, on simulated time and network, all from one seed. `hosts` decides what runs in the
 * slots: scripted tasks by default, the in-process host for real jobs.
 */
export interface SimClusterOptions {
  readonly seed: number
  readonly taskManagers: number
  readonly slots: number
  readonly faults?: NetworkFaults
  readonly enumerators?: EnumeratorRegistry
  readonly hosts?: (taskManagerId: string, cluster: SimCluster) => SlotHostFactory
  /** Jobs outlive their JobManager. */
  readonly highAvailability?: boolean
  /** It is stored how they end: always with high availability; `kept`: for good. */
  readonly jobResults?: 'kept' | 'until committed'
  /** TaskManagers have files for local copies of state. */
  readonly localCopies?: boolean
  readonly jobManager?: Partial<Omit<JobManagerOptions, 'openStore' | 'onFenced' | 'jobStore' | 'results'>>
}

export interface SimTaskManager {
  readonly id: string
  readonly executor: TaskExecutor
  readonly hosts: SlotHostFactory
  /** Local copies of state, by path. */
  readonly copies: Map<string, Uint8Array>
  alive: boolean
}

const rpc = { host: 'jobmanager', port: 6123, token: 'secret' }

/** `number` from 0 on, over all processes; `text` as in `create <path>`. */
export interface StoreCall {
  readonly node: string
  readonly number: number
  readonly text: string
}

export class SimCluster {
  readonly clock = new SimClock()
  readonly random: Random
  readonly network: SimNetwork
  readonly ledger = new SimLedger()
  readonly logs: LogEntry[] = []
  readonly fatal: { readonly taskManagerId: string; readonly error: FlinkError }[] = []
  /** The one that leads. */
  jobManager: JobManager
  generation = 1
  /** JobManagers that have learned that they are old. */
  readonly fenced: { readonly generation: number; readonly error: FlinkError }[] = []
  readonly taskManagers: SimTaskManager[] = []
  /** Around each call of a store. A process that is killed here never comes back from it; `before`: it had no effect. */
  onStoreCall: (call: StoreCall, phase: 'before' | 'after') => void = () => {}
  /** What a store answers instead of doing it. */
  storeFault: (call: StoreCall) => FlinkError | undefined = () => undefined
  private storeCalls = 0
  /** By URI: what outlives every process. */
  readonly stores = new Map<string, MemoryStore>()
  private readonly options: SimClusterOptions

  constructor(options: SimClusterOptions) {
    this.options = options
    this.random = seededRandom(options.seed)
    this.network = new SimNetwork(this.clock, seededRandom(options.seed + 1_000_003))
    if (options.faults !== undefined) this.network.faults = options.faults
    this.jobManager = this.newJobManager(1)
  }

  private newJobManager(generation: number): JobManager {
    const { options } = this
    const node = `jobmanager-${generation}`
    return new JobManager({
      clock: this.clock,
      random: this.random,
      log: this.log,
      transport: this.network.transport(node),
      rpc,
      generation,
      enumerators: options.enumerators ?? { fake: createFakeEnumerator },
      openStore: this.openStoreOf(node),
      ...this.storesOfJobs(node),
      onFenced: error => this.fenced.push({ generation, error }),
      artifacts: createMemoryArtifactStore(),
      configuration: {},
      loadBalanceMode: 'NONE',
      heartbeatIntervalMs: 10_000,
      heartbeatTimeoutMs: 50_000,
      slotRequestTimeoutMs: 300_000,
      slotIdleTimeoutMs: 50_000,
      completedJobExpirationMs: 3_600_000,
      exceptionHistorySize: 16,
      operationStoreDurationMs: 300_000,
      ...options.jobManager,
    })
  }

  private storesOfJobs(node: string): Pick<JobManagerOptions, 'jobStore' | 'results'> {
    const { clock, log, options } = this
    const { highAvailability = false, jobResults: kind = highAvailability ? 'until committed' : undefined } = options
    if (kind === undefined) return {}
    const results = createJobResultStore(this.storeOf(node, RESULTS_URI), { clock, log, deleteOnCommit: kind !== 'kept' })
    return highAvailability ? { results, jobStore: createJobStore(this.storeOf(node, HA_URI), 'sim', { clock, log, results }) } : { results }
  }

  /** What there is in a store now, without anybody's asking for it. */
  paths(uri: string): readonly string[] {
    return this.stores.get(uri)?.paths() ?? []
  }

  private storeAt(uri: string): MemoryStore {
    const known = this.stores.get(uri) ?? createMemoryStore(uri)
    this.stores.set(uri, known)
    return known
  }

  /** What a process does with a store stops with it. */
  private storeOf(node: string, uri: string): ObjectStore {
    const store = this.storeAt(uri)
    const call =
      <A extends unknown[], R>(operation: string, act: (path: string, ...args: A) => Promise<R>) =>
      async (path: string, ...args: A): Promise<R> => {
        await this.network.untilAlive(node)
        const made = { node, number: this.storeCalls++, text: `${operation} ${path}` }
        this.onStoreCall(made, 'before')
        await this.network.untilAlive(node)
        const fault = this.storeFault(made)
        if (fault !== undefined) throw fault
        const answer = await act(path, ...args)
        this.onStoreCall(made, 'after')
        await this.network.untilAlive(node)
        return answer
      }
    return {
      uri,
      create: call('create', (path, bytes: Uint8Array) => store.create(path, bytes)),
      read: call('read', (path, range?: ByteRange) => store.read(path, range)),
      size: call('size', path => store.size(path)),
      list: call('list', folder => store.list(folder)),
      remove: call('remove', path => store.remove(path)),
    }
  }

  /** A URI below that of a known store is a folder in it. */
  private openStoreOf(node: string): StoreOpener {
    return async uri => {
      const root = [...this.stores.keys()].find(known => uri.startsWith(`${known}/`))
      return root === undefined ? this.storeOf(node, uri) : folderOf(this.storeOf(node, root), uri)
    }
  }

  /** kill -9 of the JobManager, and another one at the same address. Or the old one only stands still for `pausedMs`, and is not told. */
  async replaceJobManager(pausedMs?: number): Promise<void> {
    const old = `jobmanager-${this.generation}`
    if (pausedMs === undefined) this.network.kill(old)
    else {
      this.network.freeze(old)
      this.network.unlisten(old)
      this.network.cut(old)
      this.clock.schedule(pausedMs, () => this.network.thaw(old))
    }
    this.generation++
    this.jobManager = this.newJobManager(this.generation)
    await this.jobManager.start()
  }

  get log() {
    return createLogger(entry => this.logs.push(entry), 'info')
  }

  async start(): Promise<void> {
    await this.jobManager.start()
    for (let i = 0; i < this.options.taskManagers; i++) this.startTaskManager(`tm-${i}`)
  }

  startTaskManager(id: string): SimTaskManager {
    const hosts = this.options.hosts?.(id, this) ?? new FakeSlotHostFactory(id, this.clock, this.random, this.ledger)
    const copies = new Map<string, Uint8Array>()
    const executor = new TaskExecutor({
      id,
      host: `${id}.test`,
      slotCount: this.options.slots,
      jobManager: rpc,
      transport: this.network.transport(id),
      clock: this.clock,
      random: this.random,
      log: this.log,
      hosts,
      openStore: this.openStoreOf(id),
      ...(this.options.localCopies === true ? { copyFiles: copyFilesIn(copies) } : {}),
      registrationTimeoutMs: 300_000,
      cancellationIntervalMs: 30_000,
      cancellationTimeoutMs: 180_000,
      fatal: error => this.fatal.push({ taskManagerId: id, error }),
      onShutDownRequest: () => void executor.close(),
    })
    executor.start()
    const taskManager: SimTaskManager = { id, executor, hosts, copies, alive: true }
    this.taskManagers.push(taskManager)
    return taskManager
  }

  /** kill -9: nobody on that machine does anything any more, the sockets close. */
  kill(taskManager: SimTaskManager): void {
    taskManager.alive = false
    this.network.kill(taskManager.id)
    void taskManager.executor.close(0)
  }

  /** Until all TaskManagers that live are registered. */
  async ready(): Promise<void> {
    const wanted = this.taskManagers.filter(taskManager => taskManager.alive).length
    if (!(await this.clock.runUntil(() => this.jobManager.overview().taskManagers === wanted, 120_000)))
      throw new Error('taskmanagers did not register')
  }

  async submit(graph: JobGraph, jobId = newId(this.random)): Promise<string> {
    await this.jobManager.putArtifact(BUNDLE.digest, BUNDLE.bytes)
    const submission: JobSubmission = {
      jobGraph: asJson(graph),
      name: graph.jobName,
      artifact: { digest: BUNDLE.digest, entry: 'default' },
      args: [],
      jobId,
    }
    await this.jobManager.submitJob(submission)
    return jobId
  }

  job(jobId: string): JobDetails {
    const details = this.jobManager.jobDetails(jobId)
    if (details === undefined) throw new Error(`job ${jobId} is not known`)
    return details
  }

  async untilState(jobId: string, state: JobDetails['state'], limitMs = 600_000): Promise<void> {
    if (!(await this.clock.runUntil(() => this.job(jobId).state === state, limitMs))) {
      throw new Error(`job is ${this.job(jobId).state}, not ${state}, after ${limitMs} ms`)
    }
  }

  /** Until all tasks of the job run. */
  async untilRunning(jobId: string, limitMs = 600_000): Promise<void> {
    const running = () => this.job(jobId).taskCounts.RUNNING === this.job(jobId).tasksTotal
    if (!(await this.clock.runUntil(running, limitMs)))
      throw new Error(`tasks do not run after ${limitMs} ms: ${JSON.stringify(this.job(jobId).taskCounts)}`)
  }

  get freeSlots(): number {
    return this.jobManager.overview().slotsAvailable
  }
}

const BUNDLE = { bytes: new Uint8Array(1), digest: createHash('sha256').update(new Uint8Array(1)).digest('hex') }
const HA_URI = 'sim://high-availability'
export const RESULTS_URI = 'sim://results'

/** Hands out `options.splits` splits one by one to whoever asks. */
export const createFakeEnumerator: SplitEnumeratorFactory = (options, context, restored) => {
  let next = Number(restored?.['next'] ?? 0)
  const total = Number(options['splits'])
  const returned: SourceSplit[] = []
  return {
    start() {},
    addReader() {},
    handleSplitRequest(subtaskIndex) {
      const again = returned.shift()
      if (again !== undefined) context.assignSplits(subtaskIndex, [again])
      else if (next < total) context.assignSplits(subtaskIndex, [{ splitId: `split-${next++}` }])
      else context.signalNoMoreSplits(subtaskIndex)
    },
    addSplitsBack(_subtaskIndex, splits) {
      returned.push(...splits)
    },
    snapshot: () => ({ next }),
    close() {},
  }
}

function copyFilesIn(copies: Map<string, Uint8Array>): CopyFiles {
  return {
    write: async (path, bytes) => void copies.set(path, bytes.slice()),
    read: async path => copies.get(path) ?? new Uint8Array(),
    remove: async path => void copies.delete(path),
  }
}

export interface SimVertex {
  readonly name: string
  readonly parallelism: number
  readonly group?: string
  readonly splits?: number
  readonly script?: Partial<TaskScript>
}

export const endless: Partial<TaskScript> = { finishAfterMs: null }

/** The same as a batch job: each vertex is a stage of its own. */
export function inStages(graph: JobGraph): JobGraph {
  const edges = graph.edges.map(edge => ({ ...edge, exchange: 'blocking' as const }))
  return { ...graph, runtimeMode: 'BATCH', scheduling: 'lazy-from-sources', edges }
}

/** A job graph of scripted tasks: each vertex reads the one before it by HASH. */
export function simJobGraph(name: string, vertices: readonly SimVertex[]): JobGraph {
  const id = (index: number) => (index + 1).toString(16).padStart(32, '0')
  const type = { kind: 'generic' } as unknown as JobGraph['edges'][number]['type']
  return {
    jobName: name,
    runtimeMode: 'STREAMING',
    scheduling: 'eager',
    configuration: {},
    parallelism: Math.max(...vertices.map(vertex => vertex.parallelism)),
    vertices: vertices.map((vertex, index): JobVertex => {
      const script: TaskScript = { finishAfterMs: 1_000, failSubtask: null, failAfterMs: 500, stuck: false, ...vertex.script }
      const source = vertex.splits === undefined ? undefined : { enumerator: 'fake', options: { splits: vertex.splits }, bounded: true }
      return {
        id: id(index),
        name: vertex.name,
        parallelism: vertex.parallelism,
        maxParallelism: 128,
        slotSharingGroup: vertex.group ?? 'default',
        inputCount: index === 0 ? 0 : 1,
        operators: [
          {
            operatorId: id(index),
            nodeId: index + 1,
            name: vertex.name,
            uid: undefined,
            type: 'fake',
            options: script,
            states: [],
            keyType: null,
            hash: '',
            kind: source === undefined ? 'operator' : 'source',
            source,
            parent: -1,
            parentTag: undefined,
            outputType: type,
            parallelismOrigin: 'operator',
          },
        ],
      }
    }),
    edges: vertices.slice(1).map((_, index) => ({
      id: index,
      source: { vertexId: id(index), operatorIndex: 0, tag: undefined },
      target: { vertexId: id(index + 1), input: 0 },
      partitioner: 'HASH',
      type,
      keyType: undefined,
      exchange: 'pipelined_bounded',
      nodeInput: { nodeId: index + 2, index: 0 },
    })),
  }
}
