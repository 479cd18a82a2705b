import { type TaskRestore, taskRestoreFromJson } from '../checkpoint/checkpoint-body.ts'
import { localBackupEnabled, recoverFromLocal } from '../checkpoint/options.ts'
import { SharedReads } from '../checkpoint/shared-reads.ts'
import { StateStorage } from '../checkpoint/state-storage.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import { type RestoredOperator, taskStateToJson } from '../checkpoint/task-state.ts'
import { TaskStateWriter } from '../checkpoint/task-state-writer.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { sleep } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError, serializeError } from '../common/errors.ts'
import type { JsonObject, JsonValue } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { ArtifactRef, SlotDeployment } from '../graph/deployment.ts'
import type { RpcTransport } from '../rpc/connection.ts'
import { RpcLink } from '../rpc/link.ts'
import { checkGeneration, errorToJson, type JobManagerMethods, type TaskManagerMethods } from '../rpc/messages.ts'
import type { StateBytes } from '../state/state-files.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import type { CopyFiles } from './copy-files.ts'
import type { DeployedTasksOptions, RelayedState } from './deployed-tasks.ts'
import { LocalCopies } from './local-copies.ts'
import type { RestoredTask, RestoredTasks, TaskMetricsSnapshot } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'
import { asOffer, type SlotAllocation, SlotTable } from './slot-table.ts'
import { TaskCopies } from './task-copies.ts'
import { SlotRun } from './task-executor-slot.ts'

/**
 * A TaskManager's main thread: it registers slots with the JobManager, gives them to jobs, runs what is deployed into them, and says
 * what became of it. No row ever passes here.
 *
 * 1. Connect and register, with back-off, until `taskmanager.registration.timeout`; then the process ends.
 * 2. `requestSlot` allocates a slot and offers it to the job's JobMaster; a rejected offer frees it, an unanswered one is repeated.
 * 3. `submitTasks` gives the slot's SlotRun tasks; `freeSlot` ends it and tells the ResourceManager (`slotFreed`).
 * 4. The JobManager's heartbeats bring what its JobMasters own: orphan slots are freed, open offers repeated; the answer is the report.
 * 5. Without heartbeats for `heartbeat.timeout`, or when the connection ends, all jobs are cancelled and it registers anew. Slots that
 *    are still being cleared are reported as `releasing`.
 */
export interface TaskExecutorOptions {
  readonly id: string
  /** The name by which people know this machine. */
  readonly host: string
  readonly slotCount: number
  readonly jobManager: { readonly host: string; readonly port: number; readonly token: string }
  readonly transport: RpcTransport
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly hosts: SlotHostFactory
  readonly openStore: StoreOpener
  /** For local copies of state; undefined = none are kept. */
  readonly copyFiles?: CopyFiles
  readonly registrationTimeoutMs: number
  readonly cancellationIntervalMs: number
  readonly cancellationTimeoutMs: number
  readonly metricsIntervalMs?: number
  /** Memory and CPU of the process, Flink's names. */
  readonly processMetrics?: () => Readonly<Record<string, number>>
  /** The last part of the process's log file; undefined = not known here. */
  readonly readLog?: (maxBytes: number) => Promise<string | undefined>
  /** Ends the process: nothing more can be done here. */
  fatal(error: FlinkError): void
  /** The JobManager asked for an orderly end. */
  onShutDownRequest(reason: string): void
}

interface Session {
  readonly link: RpcLink<JobManagerMethods>
  readonly generation: number
  readonly heartbeatTimeoutMs: number
  lastHeardMs: number
}

const connectTimeoutMs = 10_000
const backoffMaxMs = 10_000
/** A bundle comes in such parts, so that heartbeats pass between them. */
const ARTIFACT_PART_BYTES = 4 * 2 ** 20
const ARTIFACT_PART_TIMEOUT_MS = 60_000

export class TaskExecutor {
  private readonly options: TaskExecutorOptions
  private readonly log: Logger
  private readonly table: SlotTable
  /** By allocation id. */
  private readonly runs = new Map<string, SlotRun>()
  private readonly offering = new Set<string>()
  /** Executions that have, or had, blocking results here. */
  private readonly results = new Set<string>()
  private readonly copies: LocalCopies | undefined
  private readonly reads = new SharedReads<StateBytes>()
  private session: Session | undefined = undefined
  private highestGeneration = -1
  private readonly closing = new AbortController()
  private readonly timers = new Set<Timer>()
  private metricsTimer: Timer | undefined = undefined

  constructor(options: TaskExecutorOptions) {
    this.options = options
    this.log = options.log.child({ taskManagerId: options.id })
    this.table = new SlotTable(options.slotCount)
    this.copies = options.copyFiles === undefined ? undefined : new LocalCopies(options.copyFiles, this.log)
  }

  start(): void {
    void this.register()
    this.scheduleMetrics()
  }

  /** Cancels what runs, waits for it at most `waitMs`, and leaves the cluster. */
  async close(waitMs = 10_000): Promise<void> {
    if (this.closing.signal.aborted) return
    this.closing.abort(new FlinkError('CANCELLED', `taskmanager ${this.options.id} is closing`))
    this.metricsTimer?.cancel()
    const ended = Promise.all([...this.runs.values()].map(run => run.release()))
    // A wait that is over must not hold the process.
    const waited = new AbortController()
    await Promise.race([ended, sleep(this.options.clock, waitMs, waited.signal).catch(() => {})])
    waited.abort()
    for (const timer of this.timers) timer.cancel()
    this.session?.link.connection.close('the taskmanager is shutting down')
    this.session = undefined
  }

  get isRegistered(): boolean {
    return this.session !== undefined
  }

  /** Over the control connection: whoever may run a job may read its code, and nobody else. */
  async fetchArtifact({ digest }: ArtifactRef): Promise<Uint8Array> {
    const session = this.session
    if (session === undefined) throw new FlinkError('CONNECTION_LOST', `the bundle ${digest} cannot be fetched: the jobmanager is not there`)
    const { generation, link } = session
    const parts: Uint8Array[] = []
    for (let offset = 0; ; ) {
      const { size, base64 } = await link.call(
        'readArtifact',
        { generation, digest, offset, maxBytes: ARTIFACT_PART_BYTES },
        ARTIFACT_PART_TIMEOUT_MS,
      )
      const part = Buffer.from(base64, 'base64')
      parts.push(part)
      offset += part.length
      if (offset >= size) return Buffer.concat(parts)
      if (part.length === 0) throw new FlinkError('PROTOCOL_MISMATCH', `the bundle ${digest} ends at ${offset} of ${size} bytes`)
    }
  }

  private async register(): Promise<void> {
    const { clock, random, registrationTimeoutMs, jobManager } = this.options
    const deadlineMs = clock.monotonicMs() + registrationTimeoutMs
    for (let backoffMs = 100; !this.closing.signal.aborted; backoffMs = Math.min(backoffMaxMs, backoffMs * 2)) {
      try {
        await this.registerOnce()
        return
      } catch (error) {
        if (this.closing.signal.aborted) return
        const cause = error instanceof FlinkError ? error : new FlinkError('INTERNAL', 'registration failed', {}, error)
        const pauseMs = backoffMs * (0.5 + random.next() / 2)
        const hopeless = cause.code === 'UNAUTHENTICATED' || cause.code === 'PROTOCOL_MISMATCH'
        if (hopeless || clock.monotonicMs() + pauseMs > deadlineMs) {
          const message = hopeless
            ? `the jobmanager at ${jobManager.host}:${jobManager.port} refuses taskmanager ${this.options.id}: ${cause.message}`
            : `taskmanager ${this.options.id} could not register at ${jobManager.host}:${jobManager.port} within taskmanager.registration.timeout (${registrationTimeoutMs} ms): ${cause.message}`
          this.options.fatal(new FlinkError(cause.code, message, {}, cause))
          return
        }
        this.log.debug('registration failed, it is tried again', { code: cause.code, reason: cause.message, pauseMs: Math.round(pauseMs) })
        await sleep(clock, pauseMs, this.closing.signal).catch(() => {})
      }
    }
  }

  private async registerOnce(): Promise<void> {
    const { id, host, jobManager, transport, clock, hosts } = this.options
    const connection = await transport.connect({ ...jobManager, role: 'taskmanager', id, timeoutMs: connectTimeoutMs })
    const link = new RpcLink<JobManagerMethods>(connection, { clock })
    // The JobManager may ask for slots in the same breath as it answers.
    const registered = Promise.withResolvers<Session>()
    registered.promise.catch(() => {})
    link.serve((method, payload) => {
      const session = this.session
      return session?.link === link ? this.handle(session, method, payload) : registered.promise.then(late => this.handle(late, method, payload))
    })
    try {
      const answer = await link.call('registerTaskManager', {
        generation: this.highestGeneration,
        taskManagerId: id,
        host,
        dataHost: hosts.dataHost,
        dataPort: hosts.dataPort,
        hardware: hosts.hardware,
        report: this.table.report(),
      })
      if (answer.generation < this.highestGeneration) {
        throw new FlinkError('STALE_GENERATION', `the jobmanager has generation ${answer.generation}, a later one has ${this.highestGeneration}`)
      }
      if (link.isClosed || this.closing.signal.aborted) throw new FlinkError('CONNECTION_LOST', 'the connection ended while registering')
      this.highestGeneration = answer.generation
      const session: Session = {
        link,
        generation: answer.generation,
        heartbeatTimeoutMs: answer.heartbeatTimeoutMs,
        lastHeardMs: clock.monotonicMs(),
      }
      this.session = session
      registered.resolve(session)
      connection.onClose(reason => this.lose(session, reason))
      this.watchHeartbeats(session, answer.heartbeatIntervalMs)
      this.log.info('registered at the resource manager', { generation: answer.generation, slots: this.options.slotCount })
    } catch (error) {
      registered.reject(error)
      connection.close('registration failed')
      throw error
    }
  }

  /** The JobManager is gone: nobody may tell our tasks anything any more, so they end. */
  private lose(session: Session, reason: Error): void {
    if (this.session !== session) return
    this.session = undefined
    if (this.closing.signal.aborted) return
    this.log.warn('connection to the jobmanager lost, its jobs are cancelled', { reason: reason.message })
    for (const allocation of this.table.allocations()) void this.free(allocation)
    this.releaseResults([...this.results.keys()])
    void this.register()
  }

  private watchHeartbeats(session: Session, intervalMs: number): void {
    this.later(intervalMs, () => {
      if (this.session !== session) return
      const silentMs = this.options.clock.monotonicMs() - session.lastHeardMs
      if (silentMs > session.heartbeatTimeoutMs) session.link.connection.close(`no heartbeat of the jobmanager for ${Math.round(silentMs)} ms`)
      else this.watchHeartbeats(session, intervalMs)
    })
  }

  private handle(session: Session, method: string, payload: JsonObject): JsonValue | Promise<JsonValue> {
    checkGeneration(payload, session.generation, `rpc ${method}`)
    // checkPayload has seen the fields of each method; the types are those of TaskManagerMethods.
    const name = method as keyof TaskManagerMethods
    const of = <M extends keyof TaskManagerMethods>() => payload as TaskManagerMethods[M]['payload']
    switch (name) {
      case 'requestSlot':
        return this.requestSlot(session, of<'requestSlot'>())
      case 'submitTasks':
        return this.submitTasks(of<'submitTasks'>())
      case 'cancelTasks':
        this.runOf(of<'cancelTasks'>())?.cancel(of<'cancelTasks'>().executionIds)
        return null
      case 'assignSplits': {
        const { executionId, operatorId, splits } = of<'assignSplits'>()
        this.runOf(of<'assignSplits'>())?.addSplits(executionId, operatorId, splits as readonly SourceSplit[])
        return null
      }
      case 'noMoreSplits': {
        const { executionId, operatorId } = of<'noMoreSplits'>()
        this.runOf(of<'noMoreSplits'>())?.noMoreSplits(executionId, operatorId)
        return null
      }
      case 'triggerCheckpoint': {
        const { executionIds, checkpointId, timestampMs, type, location } = of<'triggerCheckpoint'>()
        const barrier = { checkpointId, timestampMs, type }
        this.runOf(of<'triggerCheckpoint'>())?.triggerCheckpoint(executionIds, location === null ? barrier : { ...barrier, location })
        return null
      }
      case 'notifyCheckpoint': {
        const { executionIds, checkpointId, outcome } = of<'notifyCheckpoint'>()
        this.runOf(of<'notifyCheckpoint'>())?.notifyCheckpoint(executionIds, checkpointId, outcome)
        return null
      }
      case 'freeSlot': {
        const allocation = this.table.allocation(of<'freeSlot'>().allocationId)
        if (allocation !== undefined) void this.free(allocation)
        return null
      }
      case 'releaseResults':
        this.releaseResults(of<'releaseResults'>().executionIds)
        return null
      case 'heartbeat':
        return this.heartbeat(session, of<'heartbeat'>())
      case 'readStdout':
        return this.options.hosts.readStdout(of<'readStdout'>().maxBytes).then(text => ({ text }))
      case 'readLog':
        return this.readLog(of<'readLog'>().maxBytes)
      case 'shutDown':
        this.options.onShutDownRequest(of<'shutDown'>().reason)
        return null
      default:
        throw new FlinkError('PROTOCOL_MISMATCH', `a taskmanager does not serve rpc ${String(name satisfies never)}`)
    }
  }

  private async readLog(maxBytes: number): Promise<JsonValue> {
    return { text: (await this.options.readLog?.(maxBytes)) ?? null }
  }

  private requestSlot(session: Session, request: TaskManagerMethods['requestSlot']['payload']): JsonValue {
    const outcome = this.table.allocate(request)
    if (outcome === 'allocated') {
      this.log.info('slot allocated', { slotIndex: request.slotIndex, jobId: request.jobId, allocationId: request.allocationId })
      const allocation = this.table.allocation(request.allocationId)
      if (allocation !== undefined) void this.offer(session, allocation)
    }
    return { accepted: outcome !== 'occupied', report: this.table.report() }
  }

  /** One offer at a time per slot; an unanswered one is repeated with the next heartbeat. */
  private async offer(session: Session, allocation: SlotAllocation): Promise<void> {
    const { jobId, allocationId } = allocation
    if (this.offering.has(allocationId)) return
    this.offering.add(allocationId)
    try {
      const slotVersion = this.table.report().version
      const answer = await session.link.call('offerSlots', {
        generation: session.generation,
        jobId,
        slots: [asOffer(allocation)],
        slotVersion,
      })
      if (answer.accepted.includes(allocationId)) this.table.accepted(allocationId, answer.allocationVersion)
      else void this.free(allocation)
    } catch (error) {
      this.log.debug('slot offer was not answered', { allocationId, reason: error instanceof Error ? error.message : String(error) })
    } finally {
      this.offering.delete(allocationId)
    }
  }

  private submitTasks({ jobId, allocationId, deployment: json }: TaskManagerMethods['submitTasks']['payload']): null {
    const allocation = this.table.allocation(allocationId)
    if (allocation === undefined || allocation.jobId !== jobId) {
      throw new FlinkError('NOT_FOUND', `slot allocation ${allocationId} of job ${jobId} is not on taskmanager ${this.options.id}`)
    }
    const deployment = json as unknown as SlotDeployment
    for (const { executionId, outputs } of deployment.tasks)
      if (outputs.some(({ edge }) => edge.exchange === 'blocking')) this.results.add(executionId)
    const run = this.runs.get(allocationId) ?? this.createRun(allocation)
    this.runs.set(allocationId, run)
    run.deploy(deployment, this.deployedTasks(deployment))
    return null
  }

  private createRun({ jobId, slotIndex }: SlotAllocation): SlotRun {
    const { clock, hosts, cancellationIntervalMs, cancellationTimeoutMs, fatal } = this.options
    const log = this.log.child({ jobId, slotIndex })
    return new SlotRun({ clock, log, hosts, slotIndex, jobId, cancellationIntervalMs, cancellationTimeoutMs, fatal })
  }

  private deployedTasks(deployment: SlotDeployment): DeployedTasksOptions {
    const { jobId, allocationId } = deployment
    const fence = () => ({ generation: this.highestGeneration, jobId })
    const copies = this.copiesFor(deployment)
    const storage = new StateStorage(jobId, Configuration.fromObject(deployment.configuration), this.options.openStore, copies, this.reads)
    const restores = restoresOf(deployment)
    const writers = new Map(
      deployment.tasks.map(({ executionId }) => [executionId, new TaskStateWriter(executionId, storage, ownOperators(restores.get(executionId)))]),
    )
    return {
      onTaskState: (executionId, state, error, metrics) =>
        this.tell('updateTaskState', {
          ...fence(),
          allocationId,
          executionId,
          state: state satisfies RelayedState,
          error: error === undefined ? null : errorToJson(error),
          metrics: metrics === undefined ? null : metricsJson(metrics),
        }),
      onSplitRequest: (executionId, operatorId) => this.tell('splitRequest', { ...fence(), executionId, operatorId }),
      onAwaitsCheckpoint: executionId => this.tell('awaitCheckpoint', { ...fence(), executionId }),
      storeResult: async executionId => {
        const { memoryBytes, diskBytes } = await this.options.hosts.finishResult(executionId)
        this.log.info('blocking result stored', { jobId, executionId, memoryBytes, diskBytes })
      },
      readRestored: () => {
        for (const [executionId, restore] of restores) copies?.begin(executionId, restore)
        return readRestored(restores, storage, this.log.child({ jobId, allocationId }))
      },
      onCheckpointComplete: (executionId, checkpointId) => copies?.completed(executionId, checkpointId),
      onCheckpoint: async ({ executionId, checkpointId, location, operators }) => {
        const about = { ...fence(), executionId, checkpointId }
        try {
          const state = await writers.get(executionId)?.write(checkpointId, operators, location)
          // Slots say nothing of executions that they were not given.
          if (state === undefined) return
          if (location === undefined) copies?.taken(executionId, checkpointId, state)
          this.tell('acknowledgeCheckpoint', { ...about, state: taskStateToJson(state) })
        } catch (error) {
          this.log.warn('the state of a task could not be written', { checkpointId, executionId, error: serializeError(error).message })
          this.tell('declineCheckpoint', { ...about, error: errorToJson(serializeError(error)) })
        }
      },
    }
  }

  private copiesFor(deployment: SlotDeployment): TaskCopies | undefined {
    const configuration = Configuration.fromObject(deployment.configuration)
    const [writes, reads] = [configuration.get(localBackupEnabled), configuration.get(recoverFromLocal)]
    if (this.copies === undefined || !(writes || reads)) return undefined
    return new TaskCopies(this.copies, deployment, { writes, reads, isHeld: () => this.runs.has(deployment.allocationId) })
  }

  private tell<M extends 'updateTaskState' | 'splitRequest' | 'acknowledgeCheckpoint' | 'declineCheckpoint' | 'awaitCheckpoint'>(
    method: M,
    payload: JobManagerMethods[M]['payload'],
  ): void {
    // After a loss the job is over for us: what its tasks still say concerns nobody.
    this.session?.link.callInOrder(method, payload).catch(error => {
      this.log.debug('a task message was refused', { method, reason: serializeError(error).message })
    })
  }

  private runOf({ allocationId, jobId }: { allocationId: string; jobId: string }): SlotRun | undefined {
    const run = this.runs.get(allocationId)
    if (run === undefined || run.jobId === jobId) return run
    throw new FlinkError('STALE_GENERATION', `slot allocation ${allocationId} is of job ${run.jobId}, not ${jobId}`)
  }

  private heartbeat(session: Session, { allocations, allocationVersion }: TaskManagerMethods['heartbeat']['payload']): JsonValue {
    session.lastHeardMs = this.options.clock.monotonicMs()
    for (const orphan of this.table.orphans(allocations, allocationVersion)) {
      this.log.warn('slot is owned by no job any more and is freed', { slotIndex: orphan.slotIndex, jobId: orphan.jobId })
      void this.free(orphan)
    }
    for (const allocation of this.table.unaccepted()) void this.offer(session, allocation)
    return { generation: session.generation, report: this.table.report() }
  }

  private releaseResults(executionIds: readonly string[]): void {
    for (const executionId of executionIds) this.results.delete(executionId)
    this.options.hosts.releaseResults(executionIds)
  }

  private async free(allocation: SlotAllocation): Promise<void> {
    const { allocationId } = allocation
    if (!this.table.release(allocationId)) return
    const run = this.runs.get(allocationId)
    try {
      await run?.release()
    } catch (error) {
      const cause = new FlinkError('INTERNAL', `slot ${allocation.slotIndex} could not be cleared`, {}, error)
      this.options.fatal(cause)
      return
    }
    this.runs.delete(allocationId)
    this.copies?.release(allocationId)
    this.table.freed(allocationId)
    this.log.info('slot freed', { slotIndex: allocation.slotIndex, jobId: allocation.jobId, allocationId })
    const session = this.session
    session?.link.notify('slotFreed', { generation: session.generation, report: this.table.report() })
  }

  private scheduleMetrics(): void {
    this.metricsTimer = this.options.clock.schedule(this.options.metricsIntervalMs ?? 1_000, () => {
      this.reportMetrics()
      if (!this.closing.signal.aborted) this.scheduleMetrics()
    })
  }

  private reportMetrics(): void {
    const session = this.session
    if (session === undefined) return
    const own = finite({ ...this.options.processMetrics?.(), ...this.options.hosts.metrics() })
    session.link.notify('taskManagerMetrics', { generation: session.generation, metrics: own })
    for (const run of this.runs.values()) {
      if (!run.isRunning) continue
      const tasks = run.metrics().map(metricsJson)
      if (tasks.length > 0) session.link.notify('metricsReport', { generation: session.generation, jobId: run.jobId, tasks })
    }
  }

  private later(delayMs: number, callback: () => void): void {
    const timer = this.options.clock.schedule(delayMs, () => {
      this.timers.delete(timer)
      callback()
    })
    this.timers.add(timer)
  }
}

/** By execution. */
function restoresOf({ tasks }: SlotDeployment): ReadonlyMap<string, TaskRestore> {
  const restores = new Map<string, TaskRestore>()
  for (const { executionId, restore } of tasks) if (restore !== null) restores.set(executionId, taskRestoreFromJson(restore))
  return restores
}

/** Of the job's own checkpoints: what the next ones may stand behind. */
function ownOperators(restore: TaskRestore | undefined): TaskRestore['state']['operators'] {
  return restore === undefined || restore.location !== null ? [] : restore.state.operators
}

function asForeign({ operatorId, snapshot }: RestoredOperator): RestoredOperator {
  const { keyed, lists } = snapshot
  return { operatorId, snapshot: { keyed: keyed === undefined ? undefined : { ...keyed, foreign: true }, lists } }
}

async function readRestored(restores: ReadonlyMap<string, TaskRestore>, storage: StateStorage, log: Logger): Promise<RestoredTasks> {
  const restored = new Map<string, RestoredTask>()
  for (const [executionId, { checkpointId, finished, state, location }] of restores) {
    const objects = { copy: 0, store: 0 }
    const operators = await storage.read(state, location ?? undefined, from => {
      objects[from]++
    })
    if (objects.copy + objects.store > 0)
      log.info('the state of a task was read', { executionId, checkpointId, localCopies: objects.copy, storeObjects: objects.store })
    // What lies elsewhere is nothing that checkpoints of the job may stand behind.
    restored.set(executionId, { finished, operators: location === null ? operators : operators.map(asForeign) })
  }
  return restored
}

/** NaN and infinities are no JSON; they are left out. */
function metricsJson(snapshot: TaskMetricsSnapshot) {
  const operators: Record<string, Record<string, number>> = {}
  for (const [operatorId, values] of Object.entries(snapshot.operators)) operators[operatorId] = finite(values)
  return { executionId: snapshot.executionId, task: finite(snapshot.task), operators }
}

function finite(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)))
}
