import { type RestorePlan, taskRestoreToJson } from '../checkpoint/checkpoint-body.ts'
import { isCheckpointingEnabled } from '../checkpoint/options.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import type { TaskState } from '../checkpoint/task-state.ts'
import { assert } from '../common/assert.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { deserializeError, errorCodes, FlinkError, type SerializedError, serializeError, stackWithCauses } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import { buildSlotDeployments } from '../graph/deployment-builder.ts'
import {
  createExecutionGraph,
  type Execution,
  type ExecutionGraph,
  type ExecutionLocation,
  type ExecutionState,
  executionOf,
  executionOfSubtask,
  isTerminal,
  transition,
  transitionText,
} from '../graph/execution-graph.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { checkRequirements, type ResourceRequirements, requirementsOf, rescaled } from '../graph/rescale.ts'
import type { CompletedJob, ExceptionEntry, JobStatus, SavepointRequest, TerminalJobStatus } from '../rpc/job-manager-gateway.ts'
import { errorFromJson, type TaskMetrics, type TaskStateUpdate } from '../rpc/messages.ts'
import { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import { checkpointSettings } from './checkpoint-settings.ts'
import { ExceptionHistory, exceptionEntry } from './exception-history.ts'
import { JobSlots } from './job-slots.ts'
import { JobStages } from './job-stages.ts'
import { isOver, isTerminalStatus, mayEnter } from './job-status.ts'
import type { JobStore } from './job-store.ts'
import { next, noRestarts, type RestartStrategy, restartStrategyOf } from './restart-strategy.ts'
import type { SlotRequest } from './slot-manager-core.ts'
import { type AllocatedSlot, noResourceAvailable } from './slot-pool.ts'
import { type EnumeratorRegistry, SourceCoordinators } from './source-coordinators.ts'
import { locationOf, TaskGateway, type TaskManagerHandle } from './task-gateway.ts'

/**
 * One job, from its slots to its end, over as many attempts as its restart strategy allows.
 *
 * 1. INITIALIZING -> CREATED -> RUNNING at once; the tasks of the first stage SCHEDULED; one slot is requested per shared slot of its plan.
 * 2. When every slot is there, all are deployed (channels name both of their ends, so nothing can start earlier). When all of them have finished, the
 *    next stage begins in the same way (job-stages.ts); with pipelined exchanges only, as in every streaming job, there is one stage.
 * 3. Tasks report their states; sources ask for splits, which their enumerators hand out through here.
 * 4. The first failure of an attempt (of a task, a TaskManager, an enumerator, or of the slot requests) is put to the restart strategy.
 *    No restart: the job is FAILING, everything is cancelled, and it is FAILED when the last task has ended. A restart: it is RESTARTING,
 *    everything is cancelled as well; when the last task has ended and the delay is over, the next attempt begins at step 1 with new executions
 *    and enumerators, in the slots that are still there, with the state of the newest checkpoint. Failures on the way down are the same failure.
 * 5. At the end the enumerators are closed and all slots given back at once.
 *
 * Late and doubled messages find no edge in the state tables and are dropped; messages of an earlier attempt are refused.
 */
export interface JobMasterServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly generation: number
  readonly enumerators: EnumeratorRegistry
  readonly openStore: StoreOpener
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  readonly exceptionHistorySize: number
  artifactUrl(digest: string): string
  requestSlot(request: SlotRequest): void
  cancelSlotRequest(allocationId: string): void
  slotCounts(): { readonly total: number; readonly free: number }
  taskManager(id: string): TaskManagerHandle | undefined
  /** Undefined = jobs do not outlive their JobManager. */
  readonly jobStore: JobStore | undefined
  /** The job is over for this JobManager: it has ended, or is suspended. */
  onTerminal(jobMaster: JobMaster): void
  /** Another JobManager has taken the job over. */
  onFenced(jobMaster: JobMaster, error: SerializedError): void
}

export interface JobMasterJob {
  readonly jobId: string
  readonly jobGraph: JobGraph
  readonly artifact: { readonly digest: string; readonly entry: string }
  readonly args: readonly string[]
}

export class JobMaster {
  readonly job: JobMasterJob
  readonly restartStrategy: RestartStrategy
  readonly timestamps: Partial<Record<JobStatus, number>> = {}
  readonly exceptions: ExceptionHistory
  readonly metrics = new Map<string, TaskMetrics>()
  private readonly services: JobMasterServices
  private readonly log: Logger
  private readonly slots: JobSlots
  private readonly gateway: TaskGateway
  private readonly stages: JobStages
  private sources: SourceCoordinators
  private status: JobStatus = 'INITIALIZING'
  private executionGraph: ExecutionGraph
  /** What the next attempt is made of: the job's, or what it was rescaled to. */
  private nextGraph: JobGraph
  private requirements: ResourceRequirements
  private failure: SerializedError | undefined = undefined
  private readonly checkpoints: CheckpointCoordinator | undefined
  /** What the attempt began with. */
  private restored: RestorePlan | undefined = undefined
  /** Barriers may be sent. */
  private checkpointing = false
  private attemptFailed = Promise.withResolvers<SerializedError>()
  private restarts = noRestarts
  /** The delay of a restart is running. */
  private restartTimer: Timer | undefined = undefined
  private readonly done = Promise.withResolvers<CompletedJob>()
  private readonly over = Promise.withResolvers<void>()

  constructor(job: JobMasterJob, services: JobMasterServices) {
    const { clock, random, log } = services
    this.job = job
    this.services = services
    this.log = log.child({ jobId: job.jobId })
    this.exceptions = new ExceptionHistory(services.exceptionHistorySize)
    this.timestamps.INITIALIZING = clock.nowMs()
    this.restartStrategy = restartStrategyOf(Configuration.fromObject(job.jobGraph.configuration))
    this.nextGraph = job.jobGraph
    this.requirements = requirementsOf(job.jobGraph)
    this.executionGraph = this.newExecutionGraph(0)
    this.gateway = new TaskGateway({ log: this.log, taskManager: id => services.taskManager(id), fence: () => this.fence() })
    this.stages = new JobStages({ release: executions => this.gateway.releaseResults(executions) })
    this.slots = new JobSlots({
      clock,
      random,
      log: this.log,
      jobId: job.jobId,
      jobGraph: job.jobGraph,
      slotRequestTimeoutMs: services.slotRequestTimeoutMs,
      slotIdleTimeoutMs: services.slotIdleTimeoutMs,
      attempt: () => this.attempt,
      requestSlot: request => services.requestSlot(request),
      cancelSlotRequest: allocationId => services.cancelSlotRequest(allocationId),
      freeSlot: slot => this.gateway.freeSlot(slot),
      slotCounts: () => services.slotCounts(),
      taskManager: id => services.taskManager(id),
      onComplete: () => this.deploy(),
      onTimeout: () => this.onSlotTimeout(),
    })
    this.sources = this.newSources()
    this.checkpoints = this.newCheckpoints()
    this.enter('CREATED')
  }

  get state(): JobStatus {
    return this.status
  }

  /** 0 for the first, as in Flink; so it is also the number of restarts. */
  get attempt(): number {
    return this.executionGraph.attempt
  }

  get graph(): ExecutionGraph {
    return this.executionGraph
  }

  get result(): Promise<CompletedJob> {
    return this.done.promise
  }

  /** When nothing of it is left to be done, its checkpoints included. */
  get whenCleared(): Promise<void> {
    return this.over.promise
  }

  get failureCause(): SerializedError | undefined {
    return this.failure
  }

  /** The first attempt, or the next one: at once, or when it is known what to begin with. */
  start(): void {
    const { checkpoints, attempt, status } = this
    if (checkpoints === undefined) {
      this.begin(undefined)
      return
    }
    const isCurrent = () => attempt === this.attempt && status === this.status
    checkpoints.restore(this.executionGraph.jobGraph).then(
      plan => {
        if (isCurrent()) this.begin(plan)
      },
      (error: unknown) => {
        if (isCurrent()) this.failJob(serializeError(error), undefined)
      },
    )
  }

  private begin(restored: RestorePlan | undefined): void {
    this.restored = restored
    if (restored !== undefined) this.log.info(`job ${this.job.jobGraph.jobName} is restored from checkpoint ${restored.checkpointId}`)
    this.enter('RUNNING')
    this.checkpoints?.start(this.executionGraph)
    this.sources.start(operatorId => restored?.enumerator(operatorId))
    this.beginStage()
  }

  /** In the slots of the one before, as far as they suffice. */
  private beginStage(): void {
    for (const { executionId } of this.stages.executions(this.executionGraph)) this.move(executionId, { name: 'SCHEDULED' })
    this.slots.release()
    this.slots.replan(this.stages.graph(this.executionGraph))
    this.slots.acquire()
  }

  private newExecutionGraph(attempt: number): ExecutionGraph {
    const { clock, random } = this.services
    return createExecutionGraph(this.job.jobId, this.nextGraph, { attempt, nowMs: clock.nowMs(), newExecutionId: () => newId(random) })
  }

  private newSources(): SourceCoordinators {
    const { attempt } = this
    const ofThis = <A extends unknown[]>(act: (...args: A) => void) => {
      // Enumerators of an earlier attempt may still be closing.
      return (...args: A) => {
        if (attempt === this.attempt) act(...args)
      }
    }
    return new SourceCoordinators({
      jobGraph: this.executionGraph.jobGraph,
      enumerators: this.services.enumerators,
      clock: this.services.clock,
      log: this.log,
      send: ofThis((vertexId, subtaskIndex, operatorId, message) => {
        const execution = executionOfSubtask(this.executionGraph, vertexId, subtaskIndex)
        this.gateway.sendSplits(execution, operatorId, message, error => this.failJob(serializeError(error), execution))
      }),
      fail: ofThis(error => this.failJob(serializeError(error), undefined)),
    })
  }

  /** Batch jobs take no checkpoints. */
  private newCheckpoints(): CheckpointCoordinator | undefined {
    const { jobId, jobGraph } = this.job
    const configuration = Configuration.fromObject(jobGraph.configuration)
    if (jobGraph.runtimeMode === 'BATCH') {
      if (isCheckpointingEnabled(configuration))
        this.log.info('Disabled Checkpointing. Checkpointing is not supported and not needed when executing jobs in BATCH mode.')
      return undefined
    }
    const settings = checkpointSettings(configuration)
    const { clock, random, generation, openStore } = this.services
    return new CheckpointCoordinator(jobId, jobGraph, settings, {
      clock,
      random,
      log: this.log,
      generation,
      openStore,
      snapshotEnumerators: () => this.sources.snapshot(),
      trigger: (executionIds, snapshot) => this.gateway.triggerCheckpoint(this.executionsOf(executionIds), snapshot),
      notify: (executionIds, checkpointId, outcome) => this.gateway.notifyCheckpoint(this.executionsOf(executionIds), checkpointId, outcome),
      failJob: error => this.failJob(serializeError(error), undefined),
    })
  }

  private executionsOf(executionIds: readonly string[]): readonly Execution[] {
    const wanted = new Set(executionIds)
    return this.executionGraph.executions.filter(({ executionId }) => wanted.has(executionId))
  }

  get resourceRequirements(): ResourceRequirements {
    return this.requirements
  }

  /**
   * Other parallelisms for a running job: a checkpoint is taken, then the attempt ends and the next one goes on from it; one that fails before that has the
   * same successor. Refused, with the job left alone, where that cannot be done; answered when the checkpoint has been asked for.
   */
  async rescale(requirements: ResourceRequirements): Promise<void> {
    const { checkpoints, services } = this
    const { jobGraph } = this.executionGraph
    checkRequirements(jobGraph, requirements)
    if (this.status !== 'RUNNING')
      throw new FlinkError('CONFLICT', `job ${jobGraph.jobName} is ${this.status}; it can be rescaled while it is RUNNING`)
    if (checkpoints === undefined)
      throw new FlinkError(
        'UNSUPPORTED',
        `job ${jobGraph.jobName} is a batch job, which takes no checkpoints: it cannot be rescaled without losing its state`,
      )
    const slots = this.slots.ownedCount + services.slotCounts().free
    const target = rescaled(jobGraph, requirements, slots)
    if (target === undefined)
      throw new FlinkError(
        'CONFLICT',
        `job ${jobGraph.jobName} cannot be rescaled: there are ${slots} slots for it, fewer than its lower bounds need`,
      )
    // The next JobManager must not go back to what was before, and the next attempt neither.
    await services.jobStore?.setRequirements(this.job.jobId, requirements)
    this.requirements = requirements
    this.nextGraph = target
    const { executionGraph } = this
    if (this.status !== 'RUNNING' || sameParallelisms(target, executionGraph.jobGraph)) return
    this.log.info(`job ${jobGraph.jobName} is to be rescaled`, { to: parallelismsOf(target) })
    void checkpoints.requestCheckpoint().then(end => {
      // Cancelled, failed or asked for something else meanwhile.
      if (this.executionGraph.attempt !== executionGraph.attempt || this.status !== 'RUNNING' || this.nextGraph !== target) return
      if (end.kind === 'completed') {
        this.enter('RESTARTING')
        this.cancelTasks()
      } else
        this.log.warn(`job ${jobGraph.jobName} is not rescaled before it is restarted for another reason: its checkpoint was aborted`, {
          why: end.why,
          error: end.error?.message,
        })
    })
  }

  cancel(): void {
    if (!mayEnter(this.status, 'CANCELLING')) return
    this.restartTimer?.cancel()
    this.enter('CANCELLING')
    this.cancelTasks()
  }

  /** Another JobManager goes on with it, or this one when it is back: its tasks end, and nothing of it is removed. */
  suspend(): void {
    if (!mayEnter(this.status, 'SUSPENDED')) return
    this.restartTimer?.cancel()
    this.enter('SUSPENDED')
    this.cancelTasks()
  }

  coordinatorMetrics(vertexId: string): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return this.sources.metricsOf(vertexId)
  }

  /** What this job still waits for; undefined when it has all its slots. */
  shortage(): string | undefined {
    return this.slots.shortage()
  }

  // Checkpoints.

  acknowledgeCheckpoint(executionId: string, checkpointId: number, state: TaskState, attempt: number): void {
    this.checkAttempt(attempt)
    this.checkpoints?.acknowledge(executionId, checkpointId, state)
  }

  declineCheckpoint(executionId: string, checkpointId: number, error: SerializedError, attempt: number): void {
    this.checkAttempt(attempt)
    this.checkpoints?.decline(executionId, checkpointId, error)
  }

  /** A task has come to its end, and is finished when a checkpoint has its last results: so it is taken now. */
  awaitCheckpoint(attempt: number): void {
    this.checkAttempt(attempt)
    void this.checkpoints?.requestCheckpoint()
  }

  /** Answers the id of a checkpoint that was taken now. */
  async checkpoint(full: boolean): Promise<number> {
    const end = await this.coordinator().requestCheckpoint(full)
    if (end.kind === 'completed') return end.id
    throw new FlinkError(
      'EXTERNAL_SYSTEM',
      `the checkpoint was not completed: it was ${end.why}`,
      {},
      end.error === undefined ? undefined : deserializeError(end.error),
    )
  }

  /** Answers where it is: when it is there, or when the job has ended behind it. */
  async savepoint(targetDirectory: string, behind: SavepointRequest['behind']): Promise<string> {
    const checkpoints = this.coordinator()
    const { promise: attemptFailed } = this.attemptFailed
    switch (behind) {
      case 'go-on':
        return checkpoints.requestSavepoint('savepoint', targetDirectory)
      case 'cancel': {
        const location = await checkpoints.requestSavepoint('savepoint', targetDirectory)
        this.cancel()
        return location
      }
      case 'stop':
      case 'drain': {
        const location = await checkpoints.requestSavepoint(behind === 'stop' ? 'savepoint-terminate' : 'savepoint-drain', targetDirectory)
        const error = await Promise.race([attemptFailed, this.result.then(({ failureCause }) => failureCause)])
        if (this.status === 'FINISHED') return location
        throw new FlinkError(
          'EXTERNAL_SYSTEM',
          `A savepoint has been created at: ${location}, but the corresponding job ${this.job.jobId} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint.`,
          {},
          error === undefined ? undefined : deserializeError(error),
        )
      }
    }
  }

  /** Undefined = a batch job. */
  get checkpointCoordinator(): CheckpointCoordinator | undefined {
    return this.checkpoints
  }

  private coordinator(): CheckpointCoordinator {
    if (isOver(this.status)) throw new FlinkError('CONFLICT', `Job ${this.job.jobId} has already reached the state ${this.status}.`)
    if (this.checkpoints === undefined) throw new FlinkError('UNSUPPORTED', `Job ${this.job.jobId} is not a streaming job.`)
    return this.checkpoints
  }

  exceptionView(): readonly ExceptionEntry[] {
    return this.exceptions.view()
  }

  // From TaskManagers.

  offerSlot(slot: AllocatedSlot, attempt: number): boolean {
    return attempt === this.attempt && this.slots.offer(slot)
  }

  allocationsOn(taskManagerId: string): readonly string[] {
    return this.slots.allocationsOn(taskManagerId)
  }

  updateTaskState(update: TaskStateUpdate): void {
    this.checkAttempt(update.attempt)
    const execution = executionOf(this.executionGraph, update.executionId)
    if (execution === undefined) throw new FlinkError('NOT_FOUND', `execution ${update.executionId} is not of job ${this.job.jobId}`)
    if (update.metrics !== null) this.metrics.set(update.executionId, update.metrics)
    const location = locationOf(execution)
    switch (update.state) {
      case 'INITIALIZING':
      case 'RUNNING':
        if (location === undefined || this.move(update.executionId, { name: update.state, location }) === undefined) return
        if (update.state === 'RUNNING') {
          this.sources.readerStarted(execution.vertexId, execution.subtaskIndex)
          this.checkAllRunning()
        }
        return
      case 'FINISHED':
        this.move(update.executionId, { name: 'FINISHED', location })
        this.checkpoints?.taskFinished(update.executionId)
        this.checkAllRunning()
        if (this.status === 'RUNNING' && this.stages.advance(this.executionGraph)) this.beginStage()
        else this.checkEnd()
        return
      case 'CANCELED':
        if (this.status === 'RUNNING') {
          // Nobody here asked for it. Without a failure the job would wait for ever for what this task does no more.
          const where = location?.taskManagerId ?? 'unknown'
          this.failExecution(
            execution,
            serializeError(new FlinkError('TASKMANAGER_LOST', `TaskManager with id ${where} gave the task up: it is shutting down.`)),
          )
          return
        }
        this.move(update.executionId, { name: 'CANCELED', location })
        this.checkEnd()
        return
      case 'FAILED': {
        const unknown = new FlinkError('INTERNAL', 'the task failed without saying why')
        this.failExecution(execution, update.error === null ? serializeError(unknown) : errorFromJson(update.error))
      }
    }
  }

  splitRequest(executionId: string, operatorId: string, attempt: number): void {
    this.checkAttempt(attempt)
    const execution = executionOf(this.executionGraph, executionId)
    if (execution !== undefined && this.status === 'RUNNING') this.sources.splitRequest(execution.vertexId, execution.subtaskIndex, operatorId)
  }

  reportMetrics(tasks: readonly TaskMetrics[], attempt: number): void {
    this.checkAttempt(attempt)
    for (const task of tasks) {
      const execution = executionOf(this.executionGraph, task.executionId)
      // The figures of a terminal state are the last; a report that was under way is older.
      if (execution !== undefined && !isTerminal(execution.state)) this.metrics.set(task.executionId, task)
    }
  }

  /** Its slots go first: the end of the last task may be all that a restart waits for, and that asks for slots at once. */
  taskManagerLost(taskManagerId: string, error: FlinkError): void {
    for (const allocationId of this.slots.allocationsOn(taskManagerId)) this.slots.lose(allocationId)
    this.failWhere(location => location.taskManagerId === taskManagerId, error)
    const lost = this.status === 'RUNNING' ? this.stages.lost(this.executionGraph, taskManagerId) : undefined
    if (lost !== undefined) this.failJob(serializeError(error), lost)
  }

  /** The slot is not ours any more, or never will be. Before anything was deployed another one does as well. */
  allocationLost(allocationId: string): void {
    if (!this.slots.lose(allocationId)) return
    const error = new FlinkError('TASKMANAGER_LOST', `the slot of allocation ${allocationId} was freed while its tasks ran`)
    this.failWhere(location => location.allocationId === allocationId, error)
  }

  // Deployment.

  private deploy(): void {
    const { restored } = this
    const slots = this.slots.placed()
    const { digest, entry } = this.job.artifact
    let deployments: readonly SlotDeployment[]
    try {
      deployments = buildSlotDeployments(this.executionGraph, slots, {
        generation: this.services.generation,
        stage: this.stages.current,
        artifact: { digest, entry, url: this.services.artifactUrl(digest) },
        args: this.job.args,
        restoreOf: restored === undefined ? undefined : (vertex, subtaskIndex) => taskRestoreToJson(restored.taskRestore(vertex, subtaskIndex)),
      })
    } catch (error) {
      // State that cannot be dealt out to these tasks.
      this.failJob(serializeError(error), undefined)
      return
    }
    for (const { planned, location } of slots) {
      for (const { vertexId, subtaskIndex } of planned.subtasks) {
        this.move(executionOfSubtask(this.executionGraph, vertexId, subtaskIndex).executionId, { name: 'DEPLOYING', location })
      }
    }
    for (const [index, deployment] of deployments.entries()) {
      const { location } = slots[index] ?? {}
      assert(location !== undefined, 'deployments stand in the order of the slots')
      this.gateway.submit(deployment, location, error => this.failWhere(at => at.allocationId === deployment.allocationId, error))
    }
  }

  /** Barriers reach everybody only when everybody runs. */
  private checkAllRunning(): void {
    if (this.status !== 'RUNNING' || this.checkpointing) return
    if (!this.executionGraph.executions.every(({ state }) => state.name === 'RUNNING' || state.name === 'FINISHED')) return
    this.checkpointing = true
    this.checkpoints?.allRunning()
  }

  private onSlotTimeout(): void {
    const { free, total } = this.services.slotCounts()
    this.failJob(serializeError(noResourceAvailable(this.slots.missing(), free, total, this.services.slotRequestTimeoutMs)), undefined)
  }

  // Failure, cancel, end.

  private failWhere(isThere: (location: ExecutionLocation) => boolean, error: FlinkError): void {
    const cause = serializeError(error)
    const { executions } = this.executionGraph
    // A restart that the first ones bring about has executions of its own.
    for (const execution of executions) {
      const location = locationOf(execution)
      if (location !== undefined && isThere(location) && !isTerminal(execution.state)) this.failExecution(execution, cause)
    }
  }

  private failExecution(execution: Execution, error: SerializedError): void {
    const moved = this.move(execution.executionId, { name: 'FAILED', location: locationOf(execution), error })
    if (moved !== undefined) this.failJob(error, moved)
  }

  private failJob(error: SerializedError, execution: Execution | undefined): void {
    if (error.code === 'FENCED') {
      this.suspend()
      this.services.onFenced(this, error)
      return
    }
    // On its way down already: what else goes wrong belongs to the failure that began it. Unless that is over, and the next attempt cannot begin.
    if ((this.status !== 'RESTARTING' || this.failure === undefined) && mayEnter(this.status, 'FAILING')) {
      this.failure = error
      this.attemptFailed.resolve(error)
      this.exceptions.root(exceptionEntry(error, this.services.clock.nowMs(), this.executionGraph, execution))
      const delayMs = this.restartDelayMs(error)
      if (delayMs === undefined) this.enter('FAILING')
      else this.restartAfter(delayMs)
      this.cancelTasks()
    } else {
      if (!isOver(this.status)) {
        const entry = exceptionEntry(error, this.services.clock.nowMs(), this.executionGraph, execution)
        if (this.failure !== undefined && explains(error, this.failure)) {
          this.failure = error
          this.exceptions.explain(entry)
        } else {
          this.exceptions.concurrent(entry)
        }
      }
      this.checkEnd()
    }
  }

  /** Undefined = the failure is final. */
  private restartDelayMs(error: SerializedError): number | undefined {
    if ((this.status !== 'RUNNING' && this.status !== 'RESTARTING') || isFinal(error)) return undefined
    const { clock, random } = this.services
    const [state, delayMs] = next(this.restartStrategy, this.restarts, clock.monotonicMs(), random)
    this.restarts = state
    return delayMs
  }

  private restartAfter(delayMs: number): void {
    if (this.status !== 'RESTARTING') this.enter('RESTARTING')
    this.log.info(`job ${this.job.jobGraph.jobName} is restarted`, {
      delayMs,
      restart: this.attempt + 1,
      from: this.checkpoints?.settings.periodic === true ? 'its newest checkpoint' : 'where it began: it takes no checkpoints by itself',
    })
    this.restartTimer = this.services.clock.schedule(delayMs, () => {
      this.restartTimer = undefined
      this.checkEnd()
    })
  }

  /** All tasks of the last attempt have ended, and the delay is over. */
  private restart(): void {
    void this.sources.close()
    this.stages.end(this.executionGraph)
    this.failure = undefined
    this.attemptFailed = Promise.withResolvers()
    this.checkpointing = false
    this.metrics.clear()
    const { nextGraph } = this
    if (!sameParallelisms(nextGraph, this.executionGraph.jobGraph))
      this.log.info(`job ${nextGraph.jobName} is restarted with other parallelisms`, { to: parallelismsOf(nextGraph) })
    this.executionGraph = this.newExecutionGraph(this.attempt + 1)
    this.sources = this.newSources()
    this.start()
  }

  private cancelTasks(): void {
    this.slots.stop()
    this.checkpoints?.stop()
    const allocations = new Map<string, ExecutionLocation>()
    for (const { executionId, state } of this.executionGraph.executions) {
      if (isTerminal(state)) continue
      const location = 'location' in state ? state.location : undefined
      if (location === undefined) {
        this.move(executionId, { name: 'CANCELED', location })
      } else {
        this.move(executionId, { name: 'CANCELING', location })
        allocations.set(location.allocationId, location)
      }
    }
    for (const location of allocations.values()) this.gateway.cancel(location)
    this.checkEnd()
  }

  private checkEnd(): void {
    if (isTerminalStatus(this.status) || this.executionGraph.executions.some(({ state }) => !isTerminal(state))) return
    if (this.status === 'RESTARTING') {
      if (this.restartTimer === undefined) this.restart()
    } else if (this.status === 'SUSPENDED') this.leave()
    else if (this.status === 'FAILING') this.end('FAILED')
    else if (this.status === 'CANCELLING') this.end('CANCELED')
    else if (this.status === 'RUNNING') {
      const finished = this.executionGraph.executions.every(({ state }) => state.name === 'FINISHED')
      assert(finished, 'the tasks of a running job that have ended have finished')
      this.end('FINISHED')
    }
  }

  private end(state: CompletedJob['state']): void {
    this.enter(state)
    this.restartTimer?.cancel()
    this.stages.end(this.executionGraph)
    this.slots.close()
    const { job, failure, timestamps } = this
    void this.clear(state).then(this.over.resolve)
    this.done.resolve({
      kind: 'completed',
      jobId: job.jobId,
      name: job.jobGraph.jobName,
      state,
      startTimeMs: timestamps.INITIALIZING ?? -1,
      endTimeMs: timestamps[state] ?? -1,
      failureCause: state === 'FAILED' ? failure : undefined,
    })
    this.services.onTerminal(this)
  }

  /** It had ended in another JobManager, which did not come to clear it. */
  async clearAfter(state: TerminalJobStatus): Promise<void> {
    try {
      await this.checkpoints?.takeOver()
    } catch (error) {
      this.log.warn('a job that has ended could not be cleared', { error: String(error) })
      return
    }
    await this.clear(state)
  }

  /** The tasks of a suspended job have ended. */
  private leave(): void {
    this.stages.end(this.executionGraph)
    this.slots.close()
    void this.sources.close().then(this.over.resolve)
    this.services.onTerminal(this)
  }

  /** That it has ended is stored before its checkpoints go: without them it must never be run again. */
  private async clear(state: TerminalJobStatus): Promise<void> {
    const { jobStore } = this.services
    const { jobId } = this.job
    await this.sources.close()
    try {
      await jobStore?.recordResult(jobId, state)
    } catch (error) {
      this.log.error('the result of the job could not be stored: the next JobManager runs it again from its newest checkpoint', {
        error: String(error),
      })
      return
    }
    await this.checkpoints?.close(state)
    try {
      await jobStore?.remove(jobId)
    } catch (error) {
      this.log.warn('a job that has ended could not be removed from the job store; the next JobManager does it', { error: String(error) })
    }
  }

  // State tables.

  private enter(next: JobStatus): void {
    assert(mayEnter(this.status, next), `job state ${this.status} -> ${next}`)
    const message = `Job ${this.job.jobGraph.jobName} (${this.job.jobId}) switched from state ${this.status} to ${next}.`
    if (next === 'FAILED') this.log.error(message, { error: this.failure?.message })
    else this.log.info(message)
    this.status = next
    this.timestamps[next] = this.services.clock.nowMs()
  }

  /** The execution as it is now, or undefined when there is no such edge. */
  private move(executionId: string, next: ExecutionState): Execution | undefined {
    const moved = transition(this.executionGraph, executionId, next, this.services.clock.nowMs())
    if (moved === undefined) return undefined
    this.executionGraph = moved.graph
    const text = transitionText(this.executionGraph.jobGraph, moved.before, moved.after)
    // The chain of causes once, with the failure that brings the job down; the others follow from it or share it.
    if (next.name === 'FAILED' && this.failure === undefined) this.log.warn(text, { error: next.error.message, stack: stackWithCauses(next.error) })
    else if (next.name === 'FAILED') this.log.warn(text, { error: next.error.message })
    else this.log.info(text)
    return moved.after
  }

  private checkAttempt(attempt: number): void {
    if (attempt !== this.attempt)
      throw new FlinkError('STALE_GENERATION', `attempt ${attempt} of job ${this.job.jobId} is not the current one, ${this.attempt}`)
  }

  private fence() {
    return { generation: this.services.generation, jobId: this.job.jobId, attempt: this.attempt }
  }
}

function parallelismsOf({ vertices }: JobGraph): Readonly<Record<string, number>> {
  return Object.fromEntries(vertices.map(({ name, parallelism }) => [name, parallelism]))
}

function sameParallelisms(a: JobGraph, b: JobGraph): boolean {
  return a.vertices.every(({ parallelism }, i) => parallelism === b.vertices[i]?.parallelism)
}

/**
 * A TaskManager that dies closes all its sockets at once, and who notices first is chance: a neighbour's task, by its data connection, or the
 * ResourceManager. The job cannot end before the latter has said so, because only then the tasks over there have an end.
 */
function explains(error: SerializedError, failure: SerializedError): boolean {
  return error.code === 'TASKMANAGER_LOST' && failure.code === 'CONNECTION_LOST'
}

/** Another attempt would end the same way: the program, the graph or a value is what is wrong. */
function isFinal(error: SerializedError): boolean {
  return errorCodes[error.code].retry !== 'backoff'
}
