import type { JobResultStore } from '../checkpoint/job-results.ts'
import { savepointDirectory } from '../checkpoint/options.ts'
import { disposeSavepoint } from '../checkpoint/savepoint.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import { taskStateFromJson } from '../checkpoint/task-state.ts'
import { type Clock, sleep } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { hex } from '../common/ids.ts'
import type { JsonObject, JsonValue } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { RpcConnection, RpcServer, RpcTransport } from '../rpc/connection.ts'
import type { JobManagerGateway, ResourceRequirements, SavepointRequest, TriggerAnswer } from '../rpc/job-manager-gateway.ts'
import { RpcLink } from '../rpc/link.ts'
import { type ArtifactPart, checkGeneration, errorFromJson, type JobManagerMethods, type TaskManagerMethods } from '../rpc/messages.ts'
import { ArtifactRetention } from './artifact-retention.ts'
import type { ArtifactStore } from './artifact-store.ts'
import { AsyncOperations } from './async-operations.ts'
import { Dispatcher } from './dispatcher.ts'
import type { JobMaster } from './job-master.ts'
import type { JobStore } from './job-store.ts'
import * as views from './job-views.ts'
import { ResourceManager } from './resource-manager.ts'
import type { LoadBalanceMode } from './slot-manager-core.ts'
import type { EnumeratorRegistry } from './source-coordinators.ts'

/**
 * The JobManager: one Dispatcher, one ResourceManager, one JobMaster per job, one authenticated connection per TaskManager. It never
 * runs user code and never sees a row.
 *
 * How a job starts: `submitJob` -> Dispatcher makes a JobMaster -> its SlotPool asks the ResourceManager -> which asks TaskManagers
 * (`requestSlot`) -> which offer the slots to the JobMaster (`offerSlots`) -> which deploys (`submitTasks`).
 *
 * A message of another generation is refused here, one of an execution that was replaced by the JobMaster.
 */
export interface JobManagerOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly transport: RpcTransport
  readonly rpc: { readonly host: string; readonly port: number; readonly token: string }
  readonly generation: number
  readonly enumerators: EnumeratorRegistry
  readonly openStore: StoreOpener
  /** Undefined = jobs do not outlive this process. */
  readonly jobStore?: JobStore
  /** Undefined = it is not stored how jobs end. With a job store it is. */
  readonly results?: JobResultStore
  /** Another JobManager leads: this process has to end. */
  onFenced(error: FlinkError): void
  readonly artifacts: ArtifactStore
  /** For `clusterConfiguration`. */
  readonly configuration: Readonly<Record<string, string>>
  readonly loadBalanceMode: LoadBalanceMode
  readonly heartbeatIntervalMs: number
  readonly heartbeatTimeoutMs: number
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  readonly completedJobExpirationMs: number
  readonly exceptionHistorySize: number
  /** How long the result of a triggered operation can be asked for. */
  readonly operationStoreDurationMs: number
}

const tailBytesMax = 1024 * 1024
const artifactPartBytesMax = 8 * 1024 * 1024

export class JobManager implements JobManagerGateway {
  private readonly options: JobManagerOptions
  private readonly resources: ResourceManager
  private readonly dispatcher: Dispatcher
  private readonly artifacts: ArtifactRetention
  private readonly savepoints: AsyncOperations<{ readonly location: string }>
  private readonly checkpoints: AsyncOperations<{ readonly checkpointId: number }>
  private readonly disposals: AsyncOperations<null>
  private server: RpcServer | undefined = undefined
  private shuttingDown: Promise<void> | undefined = undefined

  constructor(options: JobManagerOptions) {
    this.options = options
    const { clock, random, log, generation, operationStoreDurationMs } = options
    this.savepoints = new AsyncOperations(clock, operationStoreDurationMs)
    this.checkpoints = new AsyncOperations(clock, operationStoreDurationMs)
    this.disposals = new AsyncOperations(clock, operationStoreDurationMs)
    this.resources = new ResourceManager({
      clock,
      log,
      generation,
      loadBalanceMode: options.loadBalanceMode,
      heartbeatIntervalMs: options.heartbeatIntervalMs,
      heartbeatTimeoutMs: options.heartbeatTimeoutMs,
      allocationsOn: id => this.dispatcher.running().flatMap(job => job.allocationsOn(id)),
      onAllocationLost: (jobId, allocationId) => this.dispatcher.job(jobId)?.allocationLost(allocationId),
      onTaskManagerLost: (id, error) => {
        for (const job of this.dispatcher.running()) job.taskManagerLost(id, error)
      },
    })
    this.dispatcher = new Dispatcher({
      completedJobExpirationMs: options.completedJobExpirationMs,
      onForgotten: () => this.artifacts.sweep(),
      services: {
        clock,
        random,
        log,
        generation,
        incarnation: hex(random.bytes(16)),
        enumerators: options.enumerators,
        openStore: options.openStore,
        jobStore: options.jobStore,
        results: options.results,
        onFenced: (job, error) =>
          options.onFenced(new FlinkError('FENCED', `${error.message}; this jobmanager ends and removes nothing`, { jobId: job.job.jobId })),
        slotRequestTimeoutMs: options.slotRequestTimeoutMs,
        slotIdleTimeoutMs: options.slotIdleTimeoutMs,
        exceptionHistorySize: options.exceptionHistorySize,
        requestSlot: request => this.resources.requestSlot(request),
        cancelSlotRequest: allocationId => this.resources.cancelRequest(allocationId),
        slotCounts: () => this.resources.counts(),
        taskManager: id => this.resources.session(id),
      },
    })
    this.artifacts = new ArtifactRetention({
      clock,
      log,
      store: options.artifacts,
      isNeeded: digest => this.dispatcher.all().some(({ job }) => job.artifact.digest === digest),
    })
  }

  /** Listens for TaskManagers. The port is known afterwards, when 0 was asked for. */
  async start(): Promise<RpcServer> {
    const { transport, rpc, log, generation } = this.options
    this.server = await transport.listen({ ...rpc, onConnection: connection => this.onConnection(connection) })
    log.info('jobmanager listens for taskmanagers', { host: this.server.host, port: this.server.port, generation })
    await this.recover()
    return this.server
  }

  /** The jobs of the JobManager before. One that cannot be recovered is told of, and stays in the store. */
  private async recover(): Promise<void> {
    const { jobStore, log } = this.options
    for (const job of (await jobStore?.recover()) ?? []) {
      try {
        await this.artifacts.put(job.submission.artifact.digest, job.artifact)
        this.dispatcher.recover(job)
      } catch (error) {
        log.error('a job could not be recovered', { jobId: job.jobId, error: String(error) })
      }
    }
  }

  overview() {
    const { total, free, queued } = this.resources.counts()
    const states = this.dispatcher.all().map(job => job.state)
    const ended = (state: string) => states.filter(candidate => candidate === state).length
    return {
      taskManagers: this.resources.allSessions().length,
      slotsTotal: total,
      slotsAvailable: free,
      slotsRequired: queued,
      jobsRunning: this.dispatcher.running().length,
      jobsFinished: ended('FINISHED'),
      jobsCancelled: ended('CANCELED'),
      jobsFailed: ended('FAILED'),
    }
  }

  listJobs() {
    const nowMs = this.options.clock.nowMs()
    return this.dispatcher.all().map(job => views.jobSummary(job, nowMs))
  }

  jobDetails(jobId: string) {
    return this.of(jobId, job => views.jobDetails(job, this.options.clock.nowMs()))
  }

  vertexDetails(jobId: string, vertexId: string) {
    return this.of(jobId, job => views.vertexDetails(job, vertexId, this.options.clock.nowMs()))
  }

  exceptions(jobId: string) {
    return this.of(jobId, job => job.exceptionView())
  }

  jobResult(jobId: string) {
    return this.of(jobId, views.jobResult)
  }

  async awaitJobResult(jobId: string) {
    return this.dispatcher.job(jobId)?.result
  }

  async submitJob(submission: Parameters<JobManagerGateway['submitJob']>[0]) {
    const { digest } = submission.artifact
    const jobId = await this.dispatcher.submit(submission, async () => {
      const bytes = await this.options.artifacts.get(digest)
      if (bytes === undefined) throw new FlinkError('NOT_FOUND', `code bundle ${digest} is not here; it is put before the job is submitted`)
      return bytes
    })
    return { jobId }
  }

  triggerSavepoint(jobId: string, { triggerId, targetDirectory, behind }: SavepointRequest): TriggerAnswer {
    const job = this.dispatcher.job(jobId)
    if (job === undefined) return 'not-found'
    const target = targetDirectory ?? Configuration.fromObject(job.job.jobGraph.configuration).get(savepointDirectory)
    if (target === undefined)
      throw new FlinkError(
        'INVALID_ARGUMENT',
        `Config key [${savepointDirectory.key}] is not set. Property [${behind === 'go-on' || behind === 'cancel' ? 'target-directory' : 'targetDirectory'}] must be provided.`,
      )
    this.savepoints.trigger(`${jobId}/${triggerId}`, async () => ({ location: await job.savepoint(target, behind) }))
    return 'accepted'
  }

  savepointOperation(jobId: string, triggerId: string) {
    return this.savepoints.get(`${jobId}/${triggerId}`)
  }

  triggerCheckpoint(jobId: string, triggerId: string, full: boolean): TriggerAnswer {
    const job = this.dispatcher.job(jobId)
    if (job === undefined) return 'not-found'
    this.checkpoints.trigger(`${jobId}/${triggerId}`, async () => ({ checkpointId: await job.checkpoint(full) }))
    return 'accepted'
  }

  checkpointOperation(jobId: string, triggerId: string) {
    return this.checkpoints.get(`${jobId}/${triggerId}`)
  }

  triggerDisposal(path: string, triggerId: string) {
    const open = (uri: string) => this.options.openStore(uri, Configuration.fromObject({}), 'savepoint-path', 'read')
    this.disposals.trigger(triggerId, async () => {
      await disposeSavepoint(path, open)
      return null
    })
  }

  disposalOperation(triggerId: string) {
    return this.disposals.get(triggerId)
  }

  checkpointStatistics(jobId: string) {
    return this.dispatcher.job(jobId)?.checkpointCoordinator?.statistics.view()
  }

  checkpointConfig(jobId: string) {
    return this.dispatcher.job(jobId)?.checkpointCoordinator?.settings.view
  }

  cancelJob(jobId: string) {
    return this.dispatcher.cancel(jobId)
  }

  releaseJob(jobId: string) {
    return this.dispatcher.release(jobId)
  }

  resourceRequirements(jobId: string) {
    return this.of(jobId, job => job.resourceRequirements)
  }

  async rescaleJob(jobId: string, requirements: ResourceRequirements) {
    const job = this.dispatcher.job(jobId)
    await job?.rescale(requirements)
    return job !== undefined
  }

  taskManagers() {
    const jobs = this.dispatcher.running()
    return this.resources.allSessions().map(session => views.taskManagerView(session, this.resources, jobs))
  }

  taskManager(taskManagerId: string) {
    return this.taskManagers().find(view => view.id === taskManagerId)
  }

  async taskManagerStdout(taskManagerId: string, maxBytes = tailBytesMax) {
    const session = this.resources.session(taskManagerId)
    if (session === undefined) return undefined
    const { text } = await session.link.call('readStdout', { generation: this.options.generation, maxBytes: Math.min(maxBytes, tailBytesMax) })
    return text
  }

  async taskManagerLog(taskManagerId: string, maxBytes = tailBytesMax) {
    const session = this.resources.session(taskManagerId)
    if (session === undefined) return undefined
    const { text } = await session.link.call('readLog', { generation: this.options.generation, maxBytes: Math.min(maxBytes, tailBytesMax) })
    return text ?? undefined
  }

  clusterConfiguration() {
    return this.options.configuration
  }

  putArtifact(digest: string, bytes: Uint8Array) {
    return this.artifacts.put(digest, bytes)
  }

  /** Jobs have `graceMs` to be cancelled; then the TaskManagers are told to end, unless they are `staying` for another JobManager, and connections are closed whatever is left. */
  shutDown(reason: string, staying = false, graceMs = 10_000): Promise<void> {
    this.shuttingDown ??= this.shutDownOnce(reason, staying, graceMs)
    return this.shuttingDown
  }

  private async shutDownOnce(reason: string, staying: boolean, graceMs: number): Promise<void> {
    const { clock, log, generation } = this.options
    log.info('jobmanager shuts down', { reason })
    const running = this.dispatcher.all().map(job => job.whenCleared)
    this.dispatcher.close()
    // A wait that is over must not hold the process.
    const waited = new AbortController()
    await Promise.race([Promise.all(running), sleep(clock, graceMs, waited.signal).catch(() => {})])
    waited.abort()
    const told = staying ? [] : this.resources.allSessions()
    await Promise.all(told.map(({ link }) => link.call('shutDown', { generation, reason }, 1_000).catch(() => {})))
    this.resources.close(reason)
    await this.server?.close()
  }

  private of<T>(jobId: string, view: (job: JobMaster) => T): T | undefined {
    const job = this.dispatcher.job(jobId)
    return job === undefined ? undefined : view(job)
  }

  private onConnection(connection: RpcConnection): void {
    if (this.shuttingDown !== undefined) {
      connection.close('the jobmanager is shutting down')
      return
    }
    const link = new RpcLink<TaskManagerMethods>(connection, { clock: this.options.clock })
    link.serve((method, payload) => this.handle(link, method, payload))
  }

  private handle(link: RpcLink<TaskManagerMethods>, method: string, payload: JsonObject): JsonValue | Promise<JsonValue> {
    const { generation, heartbeatIntervalMs, heartbeatTimeoutMs } = this.options
    // checkPayload has seen the fields of each method; the types are those of JobManagerMethods.
    const name = method as keyof JobManagerMethods
    const of = <M extends keyof JobManagerMethods>() => payload as JobManagerMethods[M]['payload']
    if (name === 'registerTaskManager') {
      const registration = of<'registerTaskManager'>()
      if (registration.generation > generation) {
        throw new FlinkError(
          'STALE_GENERATION',
          `taskmanager ${registration.taskManagerId} knows generation ${registration.generation}, this jobmanager has ${generation}`,
        )
      }
      if (registration.taskManagerId !== link.peerId) {
        throw new FlinkError('PROTOCOL_MISMATCH', `the connection of ${link.peerId} registers taskmanager ${registration.taskManagerId}`)
      }
      this.resources.register(registration, link)
      return { generation, heartbeatIntervalMs, heartbeatTimeoutMs }
    }
    checkGeneration(payload, generation, `rpc ${method}`)
    // A message of a connection that was given up must not speak for the TaskManager that has replaced it.
    if (this.resources.session(link.peerId)?.link !== link)
      throw new FlinkError('STALE_GENERATION', `taskmanager ${link.peerId} is not registered by this connection`)
    switch (name) {
      case 'offerSlots':
        return this.offerSlots(link.peerId, of<'offerSlots'>())
      case 'readArtifact':
        return this.readArtifact(of<'readArtifact'>())
      case 'updateTaskState':
        this.jobOf(of<'updateTaskState'>().jobId).updateTaskState(of<'updateTaskState'>())
        return null
      case 'splitRequest': {
        const { jobId, executionId, operatorId } = of<'splitRequest'>()
        this.jobOf(jobId).splitRequest(executionId, operatorId)
        return null
      }
      case 'acknowledgeCheckpoint': {
        const { jobId, executionId, checkpointId, state } = of<'acknowledgeCheckpoint'>()
        this.jobOf(jobId).acknowledgeCheckpoint(executionId, checkpointId, taskStateFromJson(state))
        return null
      }
      case 'declineCheckpoint': {
        const { jobId, executionId, checkpointId, error } = of<'declineCheckpoint'>()
        this.jobOf(jobId).declineCheckpoint(executionId, checkpointId, errorFromJson(error))
        return null
      }
      case 'awaitCheckpoint':
        this.jobOf(of<'awaitCheckpoint'>().jobId).awaitCheckpoint(of<'awaitCheckpoint'>().executionId)
        return null
      case 'slotFreed':
        this.resources.report(link.peerId, of<'slotFreed'>().report)
        return null
      case 'metricsReport': {
        const { jobId, tasks } = of<'metricsReport'>()
        this.jobOf(jobId).reportMetrics(tasks)
        return null
      }
      case 'taskManagerMetrics':
        this.resources.reportMetrics(link.peerId, of<'taskManagerMetrics'>().metrics)
        return null
      default:
        throw new FlinkError('PROTOCOL_MISMATCH', `a jobmanager does not serve rpc ${String(name satisfies never)}`)
    }
  }

  private async readArtifact({ digest, offset, maxBytes }: JobManagerMethods['readArtifact']['payload']): Promise<ArtifactPart> {
    const bytes = await this.options.artifacts.get(digest)
    if (bytes === undefined) throw new FlinkError('NOT_FOUND', `code bundle ${digest} does not exist`)
    const part = bytes.subarray(offset, offset + Math.min(maxBytes, artifactPartBytesMax))
    return { size: bytes.length, base64: Buffer.from(part.buffer, part.byteOffset, part.length).toString('base64') }
  }

  private offerSlots(taskManagerId: string, { jobId, slots }: JobManagerMethods['offerSlots']['payload']): JsonValue {
    const session = this.resources.session(taskManagerId)
    const job = this.dispatcher.job(jobId)
    const accepted: string[] = []
    const rejected: string[] = []
    for (const { allocationId, slotIndex } of slots) {
      const taken = job?.offerSlot({ allocationId, taskManagerId, slotIndex }) === true
      ;(taken ? accepted : rejected).push(allocationId)
    }
    if (session !== undefined && accepted.length > 0) session.allocationVersion++
    return { accepted, rejected, allocationVersion: session?.allocationVersion ?? 0 }
  }

  private jobOf(jobId: string): JobMaster {
    const job = this.dispatcher.job(jobId)
    if (job === undefined) throw new FlinkError('NOT_FOUND', `job ${jobId} does not exist`)
    return job
  }
}
