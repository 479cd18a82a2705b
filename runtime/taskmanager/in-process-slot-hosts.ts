import type { Clock } from '../common/clock.ts'
import { FlinkError, serializeError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { ArtifactRef, SlotDeployment } from '../graph/deployment.ts'
import type { JobEdge } from '../graph/job-graph.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { type ExchangeScope, scopeKey } from '../network/exchange-scope.ts'
import type { CheckpointBarrier, Doorbell } from '../network/frame.ts'
import { PageBudget, pageMetrics } from '../network/page-pool.ts'
import { createResultFiles, type ResultFiles } from '../network/result-files.ts'
import { ResultStore } from '../network/result-store.ts'
import { createUnpooledRing, type RingDescriptor } from '../network/ring.ts'
import type { ResultSize } from '../network/task-result.ts'
import type { HardwareDescription } from '../rpc/job-manager-gateway.ts'
import type { SnapshotLimits } from '../state/keyed-snapshots.ts'
import { segmentMemory } from '../state/segment-memory.ts'
import type { IoHost } from '../stream/spi/io-host.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { RingChannelProvider } from './channel-providers.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, SlotHost, SlotWiring, TaskMetricsSnapshot } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'
import { SlotRuntime } from './slot-runtime.ts'

/**
 * Slots in the calling thread: the same scheduler, tasks, channels and bytes as in worker threads, on whatever clock and event loop the
 * caller gives. For tests and simulation. `InProcessNetwork` stands for all media between slots, also of different TaskManagers.
 */
export interface InProcessOptions {
  readonly clock: Clock
  readonly random: Random
  readonly network: InProcessNetwork
  /** Runs a callback on a later turn: setImmediate in tests, the simulation's queue in simulation. */
  post(callback: () => void): void
  loadProgram(deployment: SlotDeployment): Promise<StreamGraph>
  createIoHost(wake: () => void): IoHost
  readonly pages?: number
  /** Pages of each ring and frames of each local edge. */
  readonly channelCapacity?: number
  readonly readStdout?: () => string
  /** Tests of resumption: every row and every unit of a cursor may be the last of its slice. */
  readonly suspendEverywhere?: boolean
  /** False = the interpreter takes all rows of users' functions. */
  readonly generated?: boolean
  /** Tests of small states: when snapshots are whole. */
  readonly snapshotLimits?: SnapshotLimits | undefined
  /** Tests of small states: how many keys are held as objects. */
  readonly hotKeysMax?: number | undefined
  /** For blocking results; without it all of them stay in memory. */
  readonly results?: { readonly memoryLimit: number; readonly files: ResultFiles }
}

interface Edge {
  readonly ring: RingDescriptor
  producer: (() => void) | undefined
  consumer: (() => void) | undefined
}

export class InProcessNetwork {
  private readonly edges = new Map<string, Edge>()
  private readonly channelCapacity: number
  /** Of all TaskManagers. */
  private readonly stores: ResultStore[] = []

  constructor(channelCapacity = 2) {
    this.channelCapacity = channelCapacity
  }

  addStore(store: ResultStore): void {
    this.stores.push(store)
  }

  /** A blocking result is written to a store of the writer's own, and read from whichever has it. */
  store(scope: ExchangeScope, executionId: string, channelId: string, store: ResultStore): void {
    const edge = this.edge(scope, channelId)
    edge.consumer = () => store.pump()
    store.accept(scope, executionId, edge.ring, { ring: () => edge.producer?.() })
  }

  feed(scope: ExchangeScope, channelId: string, own: ResultStore): void {
    const edge = this.edge(scope, channelId)
    const store = this.stores.find(candidate => candidate.has(channelId)) ?? own
    edge.producer = () => store.pump()
    store.feed(scope, edge.ring, { ring: () => edge.consumer?.() })
  }

  edge(scope: ExchangeScope, channelId: string): Edge {
    const key = `${scopeKey(scope)}/${channelId}`
    const present = this.edges.get(key)
    if (present !== undefined) return present
    const edge: Edge = { ring: createUnpooledRing(this.channelCapacity, this.edges.size, channelId), producer: undefined, consumer: undefined }
    this.edges.set(key, edge)
    return edge
  }

  release(scope: ExchangeScope): void {
    for (const store of this.stores) store.detach(scope)
    for (const key of this.edges.keys()) if (key.startsWith(`${scopeKey(scope)}/`)) this.edges.delete(key)
  }
}

export class InProcessSlotHosts implements SlotHostFactory {
  readonly dataHost = 'in-process'
  readonly dataPort = 0
  readonly hardware: HardwareDescription = { cpuCores: 1, physicalMemoryBytes: 0, freeMemoryBytes: 0, managedMemoryBytes: 0, networkMemoryBytes: 0 }
  private readonly options: InProcessOptions
  private readonly pages: PageBudget
  private readonly results: ResultStore

  constructor(options: InProcessOptions) {
    this.options = options
    this.pages = PageBudget.create(options.pages ?? 2048)
    const { memoryLimit, files } = options.results ?? { memoryLimit: Number.MAX_SAFE_INTEGER, files: createResultFiles([]) }
    this.results = new ResultStore({ memoryLimit, files, log: noLog })
    options.network.addStore(this.results)
  }

  create(_slotIndex: number, onEvent: (event: SlotEvent) => void): SlotHost {
    return new InProcessSlotHost(this.options, this.pages, this.results, onEvent)
  }

  wire(_deployment: SlotDeployment): SlotWiring {
    return { channels: {}, io: undefined }
  }

  release(deployment: SlotDeployment): void {
    this.options.network.release(scopeOf(deployment))
  }

  finishResult(executionId: string): Promise<ResultSize> {
    return this.results.finish(executionId)
  }

  releaseResults(executionIds: readonly string[]): void {
    this.results.release(executionIds)
  }

  get resultUsage() {
    return this.results.usage()
  }

  ensureArtifact(_ref: ArtifactRef): Promise<string> {
    return Promise.resolve('')
  }

  get pageCounts(): { used: number; peak: number; total: number } {
    const { used, peak, total } = this.pages
    return { used, peak, total }
  }

  metrics(): Readonly<Record<string, number>> {
    return pageMetrics(this.pages)
  }

  readStdout(maxBytes: number): Promise<string> {
    return Promise.resolve((this.options.readStdout?.() ?? '').slice(-maxBytes))
  }
}

class InProcessSlotHost implements SlotHost {
  private readonly options: InProcessOptions
  private readonly pages: PageBudget
  private readonly results: ResultStore
  private readonly onEvent: (event: SlotEvent) => void
  private runtime: SlotRuntime | undefined
  private dead = false

  constructor(options: InProcessOptions, pages: PageBudget, results: ResultStore, onEvent: (event: SlotEvent) => void) {
    this.options = options
    this.pages = pages
    this.results = results
    this.onEvent = onEvent
  }

  deploy(deployment: SlotDeployment, _wiring: SlotWiring, restored: RestoredTasks): void {
    const { options } = this
    const scope = scopeOf(deployment)
    for (const { executionId, inputs, outputs } of deployment.tasks) {
      for (const { channelId } of outputs.filter(isBlocking).flatMap(({ channels }) => channels))
        options.network.store(scope, executionId, channelId, this.results)
      for (const { channelId } of inputs.filter(isBlocking).flatMap(({ channels }) => channels)) options.network.feed(scope, channelId, this.results)
    }
    const edges = new Map<RingDescriptor, Edge>()
    const medium = (channelId: string) => {
      const edge = options.network.edge(scope, channelId)
      edges.set(edge.ring, edge)
      return { ring: edge.ring, ends: edge.ring.control }
    }
    const runtime = (this.runtime ??= this.start())
    const wake = () => runtime.wakeAll()
    const attach =
      (own: 'producer' | 'consumer', other: 'producer' | 'consumer') =>
      (ring: RingDescriptor): Doorbell => {
        const edge = edges.get(ring)
        if (edge !== undefined) edge[own] = wake
        return { ring: () => edge?.[other]?.() }
      }
    const asProducer = attach('producer', 'consumer')
    const asConsumer = attach('consumer', 'producer')
    const channels = new RingChannelProvider({
      medium,
      asProducer: ({ ring }) => asProducer(ring),
      asConsumer: ({ ring }) => asConsumer(ring),
      recordSizeMax: 16 * 1024 * 1024,
      ...(options.channelCapacity === undefined ? {} : { localCapacity: options.channelCapacity }),
    })
    runtime.deploy(deployment, restored, channels).catch(error => this.die(new FlinkError('INTERNAL', 'a slot died while deploying', {}, error)))
  }

  private start(): SlotRuntime {
    const { options } = this
    return new SlotRuntime({
      clock: options.clock,
      random: options.random,
      pages: this.pages,
      suspendEverywhere: options.suspendEverywhere ?? false,
      generated: options.generated ?? true,
      snapshotLimits: options.snapshotLimits,
      hotKeysMax: options.hotKeysMax,
      post: callback =>
        options.post(() => {
          if (!this.dead) callback()
        }),
      // Rings of this thread call `wakeAll` directly: there is nothing to arm.
      idle: () => {},
      ioHost: taskWake => options.createIoHost(taskWake),
      loadProgram: options.loadProgram,
      emit: event => {
        if (!this.dead) this.onEvent(event)
      },
    })
  }

  cancel(executionIds: readonly string[]): void {
    this.runtime?.cancel(executionIds)
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    this.runtime?.addSplits(executionId, operatorId, splits)
  }

  noMoreSplits(executionId: string, operatorId: string): void {
    this.runtime?.noMoreSplits(executionId, operatorId)
  }

  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void {
    this.runtime?.triggerCheckpoint(executionIds, barrier)
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    this.runtime?.notifyCheckpoint(executionIds, checkpointId, outcome)
  }

  returnMemory(buffers: readonly SharedArrayBuffer[]): void {
    segmentMemory.giveBack(buffers)
  }

  terminate(): Promise<void> {
    this.die(undefined)
    return Promise.resolve()
  }

  metrics(): readonly TaskMetricsSnapshot[] {
    return this.runtime?.metrics() ?? []
  }

  private die(error: FlinkError | undefined): void {
    if (this.dead) return
    this.dead = true
    this.onEvent({ kind: 'exited', error: error === undefined ? undefined : serializeError(error) })
  }
}

function isBlocking({ edge }: { readonly edge: JobEdge }): boolean {
  return edge.exchange === 'blocking'
}

function scopeOf({ jobId, generation, region, attempt }: SlotDeployment): ExchangeScope {
  return { jobId, generation, region, attempt }
}
