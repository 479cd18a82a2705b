import { type RestorePlan, taskRestoreToJson } from '../checkpoint/checkpoint-body.ts'
import type { EndedJob, JobResultStore } from '../checkpoint/job-results.ts'
import { isCheckpointingEnabled } from '../checkpoint/options.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import type { TaskState } from '../checkpoint/task-state.ts'
import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError, type SerializedError, serializeError, stackWithCauses } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import {
  createExecutionGraph,
  type Execution,
  type ExecutionGraph,
  type ExecutionLocation,
  type ExecutionState,
  executionOf,
  executionOfSubtask,
  executionsIn,
  isTerminal,
  regionsOf,
  transition,
  transitionText,
  withNewAttempts,
} from '../graph/execution-graph.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { regionsToRestart } from '../graph/regions.ts'
import {
  checkRequirements,
  parallelismsById,
  parallelismsOf,
  type ResourceRequirements,
  requirementsOf,
  rescaleTarget,
  sameParallelisms,
} from '../graph/rescale.ts'
import { storedResults } from '../graph/scheduling.ts'
import type { PlannedSlot } from '../graph/slot-assignment.ts'
import type { CompletedJob, ExceptionEntry, JobStatus, SavepointRequest } from '../rpc/job-manager-gateway.ts'
import { errorFromJson, type TaskMetrics, type TaskStateUpdate } from '../rpc/messages.ts'
import { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import { checkpointSettings } from './checkpoint-settings.ts'
import { clearJob, endedJob } from './job-clearing.ts'
import { type PlacedDeployment, placedDeployments, slotsOf } from './job-deployments.ts'
import { JobFailures } from './job-failures.ts'
import { JobSlots } from './job-slots.ts'
import { takeCheckpoint, takeSavepoint } from './job-snapshots.ts'
import { JobStages } from './job-stages.ts'
import { isOver, isTerminalStatus, mayEnter } from './job-status.ts'
import type { JobStore } from './job-store.ts'
import { failoverStrategy } from './options.ts'
import { type RestartStrategy, restartStrategyOf } from './restart-strategy.ts'
import { type Restart, Restarts, type Waiting } from './restarts.ts'
import type { SlotRequest } from './slot-manager-core.ts'
import { type AllocatedSlot, noResourceAvailable } from './slot-pool.ts'
import { type EnumeratorRegistry, SourceCoordinators } from './source-coordinators.ts'
import { locationOf, TaskGateway, type TaskManagerHandle } from './task-gateway.ts'

/**
 * One job, from its slots to its end, over as many restarts as its restart strategy allows.
 *
 * 1. INITIALIZING -> CREATED -> RUNNING at once; the tasks of the first stage SCHEDULED; one slot is requested per shared slot of theirs.
 * 2. When every slot is there, all are deployed (channels name both of their ends, so nothing can start earlier). When all of them have finished, the
 *    next stage begins in the same way, in slots that have become free (job-stages.ts); with pipelined exchanges only, as in every streaming job, there is one stage.
 * 3. Tasks report their states; sources ask for splits, which their enumerators hand out through here.
 * 4. A failure of tasks (or of a TaskManager) is one of their regions (graph/regions.ts), everything else that fails (enumerators, the slot requests,
 *    checkpoints) is one of all regions. It is put to the restart strategy. No restart: the job is FAILING, everything is cancelled, and it is FAILED when the
 *    last task has ended. A restart: the job is RESTARTING, the tasks of these regions are cancelled while the others run on; when the last of them has ended
 *    and the delay is over, they begin anew, with new executions, in the slots that are still there, with the state of the newest checkpoint. A source whose
 *    readers all begin anew with the whole job gets a new enumerator. Failures of regions on their way down are the same failure.
 * 5. At the end the enumerators are closed and all slots given back at once.
 *
 * Late and doubled messages find no edge in the state tables and are dropped; those of executions that have been replaced are refused.
 */
export interface JobMasterServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly generation: number
  readonly incarnation: string
  readonly enumerators: EnumeratorRegistry
  readonly openStore: StoreOpener
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  readonly exceptionHistorySize: number
  requestSlot(request: SlotRequest): void
  cancelSlotRequest(allocationId: string): void
  slotCounts(): { readonly total: number; readonly free: number }
  taskManager(id: string): TaskManagerHandle | undefined
  /** Undefined = jobs do not outlive their JobManager. */
  readonly jobStore: JobStore | undefined
  /** Undefined = it is not stored how jobs end. */
  readonly results: JobResultStore | undefined
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
  /** Undefined = the parallelisms of the graph. */
  readonly requirements?: ResourceRequirements | undefined
}

export class JobMaster {
  readonly job: JobMasterJob
  readonly restartStrategy: RestartStrategy
  readonly timestamps: Partial<Record<JobStatus, number>> = {}
  readonly metrics = new Map<string, TaskMetrics>()
  private readonly services: JobMasterServices
  private readonly log: Logger
  private readonly slots: JobSlots
  private readonly gateway: TaskGateway
  private readonly stages: JobStages
  private sources: SourceCoordinators
  private status: JobStatus = 'INITIALIZING'
  private executionGraph: ExecutionGraph
  /** What the next restart of all tasks is made of: the job's, or what it was rescaled to. */
  private nextGraph: JobGraph
  private restartCount = 0
  /** Requests of other sizes, one after the other. */
  private storing: Promise<unknown> = Promise.resolve()
  private requirements: ResourceRequirements
  private readonly failures: JobFailures
  private readonly checkpoints: CheckpointCoordinator | undefined
  /** Barriers may be sent. */
  private checkpointing = false
  /** Tasks that have ended but for a checkpoint. */
  private readonly awaitingCheckpoint = new Set<string>()
  /** Whatever fails, all tasks are restarted. */
  private readonly failsWhole: boolean
  private readonly restarts = new Restarts<RestorePlan | undefined>()
  private readonly done = Promise.withResolvers<CompletedJob>()
  private readonly over = Promise.withResolvers<void>()

  constructor(job: JobMasterJob, services: JobMasterServices) {
    const { clock, random, log } = services
    this.job = job
    this.services = services
    this.log = log.child({ jobId: job.jobId })
    this.timestamps.INITIALIZING = clock.nowMs()
    const configuration = Configuration.fromObject(job.jobGraph.configuration)
    this.restartStrategy = restartStrategyOf(configuration)
    this.failures = new JobFailures(this.restartStrategy, { clock, random, historySize: services.exceptionHistorySize })
    this.nextGraph = job.jobGraph
    this.requirements = job.requirements ?? requirementsOf(job.jobGraph)
    this.executionGraph = this.newExecutionGraph(0)
    this.failsWhole = configuration.get(failoverStrategy) === 'full'
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
      requestSlot: request => services.requestSlot(request),
      cancelSlotRequest: allocationId => services.cancelSlotRequest(allocationId),
      freeSlot: slot => this.gateway.freeSlot(slot),
      slotCounts: () => services.slotCounts(),
      taskManager: id => services.taskManager(id),
      onAvailable: () => this.deployWaiting(),
      onTimeout: () => this.onSlotTimeout(),
    })
    this.sources = this.newSources()
    this.checkpoints = this.newCheckpoints()
    this.enter('CREATED')
  }

  get state(): JobStatus {
    return this.status
  }

  /** The number of restarts, of whatever part of it. */
  get attempt(): number {
    return this.restartCount
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
    return this.failures.current
  }

  start(): void {
    this.restore(this.restarts.add(this.allRegions))
  }

  /** At once, or when it is known what to begin with. */
  private restore(restart: Restart): void {
    restart.phase = 'restoring'
    const { checkpoints } = this
    if (checkpoints === undefined) {
      this.begin(restart, undefined)
      return
    }
    checkpoints.restore(this.executionGraph.jobGraph).then(
      plan => {
        if (this.restarts.includes(restart)) this.begin(restart, plan)
      },
      (error: unknown) => {
        if (this.restarts.includes(restart)) this.failJob(serializeError(error))
      },
    )
  }

  private begin(restart: Restart, restored: RestorePlan | undefined): void {
    const { regions } = restart
    if (restored !== undefined)
      this.log.info(
        `job ${this.job.jobGraph.jobName} is restored from checkpoint ${restored.checkpointId}`,
        this.isWhole(regions) ? {} : { regions: [...regions].join() },
      )
    this.restarts.restored(restart, restored)
    if (this.restarts.isIdle) {
      this.enter('RUNNING')
      // Who has finished meanwhile.
      this.stages.advance(this.executionGraph)
    }
    this.checkpoints?.start(this.executionGraph)
    if (this.isWhole(regions)) this.sources.start(operatorId => restored?.enumerator(operatorId))
    else
      for (const { vertexId, subtaskIndex } of executionsIn(this.executionGraph, regions))
        this.sources.reset(vertexId, subtaskIndex, restored?.checkpointId)
    this.want()
    this.moveOn()
  }

  private get allRegions(): ReadonlySet<number> {
    return new Set(this.executionGraph.regions)
  }

  private isWhole(regions: ReadonlySet<number>): boolean {
    return regions.size === this.allRegions.size
  }

  private newExecutionGraph(attempt: number): ExecutionGraph {
    const { clock, random } = this.services
    return createExecutionGraph(this.job.jobId, this.nextGraph, { attempt, nowMs: clock.nowMs(), newExecutionId: () => newId(random) })
  }

  private newSources(): SourceCoordinators {
    // Enumerators from before a restart of the job may still be closing.
    const isCurrent = () => this.sources === sources
    const sources: SourceCoordinators = new SourceCoordinators({
      jobGraph: this.executionGraph.jobGraph,
      enumerators: this.services.enumerators,
      clock: this.services.clock,
      log: this.log,
      send: (vertexId, subtaskIndex, operatorId, message) => {
        if (!isCurrent()) return
        const execution = executionOfSubtask(this.executionGraph, vertexId, subtaskIndex)
        this.gateway.sendSplits(execution, operatorId, message, error => this.failTasks([execution], serializeError(error)))
      },
      fail: error => {
        if (isCurrent()) this.failJob(serializeError(error))
      },
    })
    return sources
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
    const { clock, random, generation, incarnation, openStore } = this.services
    return new CheckpointCoordinator(jobId, jobGraph, settings, {
      clock,
      random,
      log: this.log,
      generation,
      incarnation,
      openStore,
      snapshotEnumerators: checkpointId => this.sources.snapshot(checkpointId),
      trigger: (executionIds, snapshot) => this.gateway.triggerCheckpoint(this.executionsOf(executionIds), snapshot),
      notify: (executionIds, checkpointId, outcome) => {
        if (outcome === 'complete') this.sources.checkpointComplete(checkpointId)
        const running = this.executionsOf(executionIds).filter(({ state }) => state.name !== 'CANCELING')
        this.gateway.notifyCheckpoint(running, checkpointId, outcome)
      },
      failJob: error => this.failJob(serializeError(error)),
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
   * Other parallelisms for a running job: a checkpoint is taken, then all tasks end and the job goes on from it; a failure before that has the same
   * successor. Refused, with the job left alone, where that cannot be done; answered when the checkpoint has been asked for.
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
    const target = rescaleTarget(jobGraph, requirements, this.slots.ownedCount + services.slotCounts().free)
    // The next JobManager must not go back to what was before, and the next attempt neither. One request after the other.
    const stored = this.storing.then(() => services.jobStore?.setSize(this.job.jobId, { requirements, parallelisms: parallelismsById(target) }))
    this.storing = stored.catch(() => {})
    await stored
    this.requirements = requirements
    const { jobGraph: present } = this.executionGraph
    this.nextGraph = sameParallelisms(target, present) ? present : target
    this.moveOn()
  }

  /** Where another size is asked for: to it, behind a checkpoint. */
  private moveOn(): void {
    const { checkpoints, nextGraph, restartCount } = this
    if (this.status !== 'RUNNING' || nextGraph === this.executionGraph.jobGraph || checkpoints === undefined) return
    this.log.info(`job ${nextGraph.jobName} is to be rescaled`, { to: parallelismsOf(nextGraph) })
    void checkpoints.requestCheckpoint().then(end => {
      // Cancelled, failed or asked for something else meanwhile.
      if (this.restartCount !== restartCount || this.status !== 'RUNNING' || this.nextGraph !== nextGraph) return
      if (end.kind === 'completed') {
        this.enter('RESTARTING')
        this.restarts.add(this.allRegions)
        this.cancelTasks(this.allRegions)
      } else
        this.log.warn(`job ${nextGraph.jobName} is not rescaled before it is restarted for another reason: its checkpoint was aborted`, {
          why: end.why,
          error: end.error?.message,
        })
    })
  }

  cancel(): void {
    if (!mayEnter(this.status, 'CANCELLING')) return
    this.enter('CANCELLING')
    this.endTasks()
  }

  /** Whether another JobManager can go on with it. */
  get outlivesJobManager(): boolean {
    return this.services.jobStore !== undefined || this.checkpoints?.outlivesJob === true
  }

  /** Another JobManager goes on with it, or this one when it is back: its tasks end, and nothing of it is removed. */
  suspend(): void {
    if (!mayEnter(this.status, 'SUSPENDED')) return
    this.enter('SUSPENDED')
    this.endTasks()
  }

  coordinatorMetrics(vertexId: string): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return this.sources.metricsOf(vertexId)
  }

  /** What this job still waits for; undefined when it has all its slots. */
  shortage(): string | undefined {
    return this.slots.shortage()
  }

  // Checkpoints.

  acknowledgeCheckpoint(executionId: string, checkpointId: number, state: TaskState): void {
    this.execution(executionId)
    this.checkpoints?.acknowledge(executionId, checkpointId, state)
  }

  declineCheckpoint(executionId: string, checkpointId: number, error: SerializedError): void {
    this.execution(executionId)
    this.checkpoints?.decline(executionId, checkpointId, error)
  }

  /** A task has come to its end, and is finished when a checkpoint has its last results: so it is taken now. */
  awaitCheckpoint(executionId: string): void {
    this.execution(executionId)
    this.awaitingCheckpoint.add(executionId)
    void this.checkpoints?.requestCheckpoint()
  }

  /** Answers its id. */
  async checkpoint(full: boolean): Promise<number> {
    return takeCheckpoint(this.coordinator(), full)
  }

  async savepoint(targetDirectory: string, behind: SavepointRequest['behind']): Promise<string> {
    const whenStopped = () =>
      Promise.race([this.failures.next, this.result.then(({ failureCause }) => (this.status === 'FINISHED' ? ('finished' as const) : failureCause))])
    return takeSavepoint(this.coordinator(), targetDirectory, behind, { jobId: this.job.jobId, cancel: () => this.cancel(), whenStopped })
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
    return this.failures.view()
  }

  // From TaskManagers.

  offerSlot(slot: AllocatedSlot): boolean {
    return this.slots.offer(slot)
  }

  allocationsOn(taskManagerId: string): readonly string[] {
    return this.slots.allocationsOn(taskManagerId)
  }

  updateTaskState(update: TaskStateUpdate): void {
    const execution = this.execution(update.executionId)
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
        // It may have finished while it was being cancelled, to read the same again.
        if (this.status === 'RUNNING') this.stages.advance(this.executionGraph)
        if (this.isLazy) this.want()
        this.checkEnd()
        return
      case 'CANCELED':
        if (execution.state.name !== 'CANCELING') {
          // Nobody here asked for it. Without a failure the job would wait for ever for what this task does no more.
          const where = location?.taskManagerId ?? 'unknown'
          const error = new FlinkError('TASKMANAGER_LOST', `TaskManager with id ${where} gave the task up: it is shutting down.`)
          this.failAndMove([execution], serializeError(error))
          return
        }
        this.move(update.executionId, { name: 'CANCELED', location })
        this.checkEnd()
        return
      case 'FAILED': {
        const unknown = new FlinkError('INTERNAL', 'the task failed without saying why')
        this.failAndMove([execution], update.error === null ? serializeError(unknown) : errorFromJson(update.error))
      }
    }
  }

  splitRequest(executionId: string, operatorId: string): void {
    const { vertexId, subtaskIndex, state } = this.execution(executionId)
    if (state.name === 'RUNNING') this.sources.splitRequest(vertexId, subtaskIndex, operatorId)
  }

  reportMetrics(tasks: readonly TaskMetrics[]): void {
    for (const task of tasks) {
      const execution = executionOf(this.executionGraph, task.executionId)
      // The figures of a terminal state are the last; a report that was under way is older.
      if (execution !== undefined && !isTerminal(execution.state)) this.metrics.set(task.executionId, task)
    }
  }

  /** Its slots go first: the end of the last task may be all that a restart waits for, and that asks for slots at once. */
  taskManagerLost(taskManagerId: string, error: FlinkError): void {
    for (const allocationId of this.slots.allocationsOn(taskManagerId)) this.slots.lose(allocationId)
    const results = this.stages.lostWith(this.executionGraph, taskManagerId)
    this.failWhere((_, location) => location.taskManagerId === taskManagerId, error, results)
  }

  /** The slot is not ours any more, or never will be. Before anything was deployed another one does as well. */
  allocationLost(allocationId: string): void {
    if (!this.slots.lose(allocationId)) return
    const error = new FlinkError('TASKMANAGER_LOST', `the slot of allocation ${allocationId} was freed while its tasks ran`)
    this.failWhere((_, location) => location.allocationId === allocationId, error)
  }

  // Deployment.

  private want(): void {
    const startable = this.startableOf(this.restarts.waitingForSlots.flatMap(({ regions }) => [...regions]))
    for (const { executionId } of executionsIn(this.executionGraph, startable)) this.move(executionId, { name: 'SCHEDULED' })
    // What runs later may run in them; everybody else comes back to where he was.
    if (this.isLazy) this.slots.giveBack(this.slots.plan.filter(slot => slot.subtasks.every(subtask => this.isIdle(subtask))))
    this.slots.want(this.slotsOf(startable))
    this.deployWaiting()
  }

  /** Some tasks wait until others have finished. */
  private get isLazy(): boolean {
    return this.executionGraph.jobGraph.scheduling === 'lazy-from-sources'
  }

  private startableOf(regions: Iterable<number>): ReadonlySet<number> {
    const startable = this.stages.startable(this.executionGraph)
    return new Set([...regions].filter(region => startable.has(region)))
  }

  private isIdle({ vertexId, subtaskIndex }: PlannedSlot['subtasks'][number]): boolean {
    const { state } = executionOfSubtask(this.executionGraph, vertexId, subtaskIndex)
    return state.name === 'CREATED' || isTerminal(state)
  }

  private slotsOf(regions: ReadonlySet<number>): readonly PlannedSlot[] {
    return slotsOf(this.slots.plan, this.executionGraph, regions)
  }

  private deployWaiting(): void {
    const ready = this.restarts.waitingForSlots
      .map(({ regions, restored }) => ({ regions: this.startableOf(regions), restored }))
      .filter(({ regions }) => regions.size > 0 && this.slots.has(this.slotsOf(regions)))
    for (const waiting of ready) {
      this.restarts.deployed(waiting.regions)
      this.deploy(waiting)
    }
    if (ready.length > 0) this.want()
  }

  private deploy({ regions, restored }: Waiting<RestorePlan | undefined>): void {
    const { digest, entry } = this.job.artifact
    let placed: readonly PlacedDeployment[]
    try {
      placed = placedDeployments(this.executionGraph, this.slots.placed(this.slotsOf(regions)), {
        generation: this.services.generation,
        artifact: { digest, entry },
        args: this.job.args,
        regions,
        restoreOf: restored === undefined ? undefined : (vertex, subtaskIndex) => taskRestoreToJson(restored.taskRestore(vertex, subtaskIndex)),
      })
    } catch (error) {
      // State that cannot be dealt out to these tasks.
      this.failJob(serializeError(error))
      return
    }
    for (const { location, executionIds } of placed) for (const executionId of executionIds) this.move(executionId, { name: 'DEPLOYING', location })
    for (const { deployment, location, executionIds } of placed)
      this.gateway.submit(deployment, location, error => this.failWhere(({ executionId }) => executionIds.includes(executionId), error))
  }

  /** Barriers reach everybody only when everybody runs. */
  private checkAllRunning(): void {
    if (this.status !== 'RUNNING' || this.checkpointing) return
    if (!this.executionGraph.executions.every(({ state }) => state.name === 'RUNNING' || state.name === 'FINISHED')) return
    this.checkpointing = true
    this.checkpoints?.allRunning()
    // What they have asked for was given up with a restart of others.
    if (this.executionGraph.executions.some(({ executionId, state }) => state.name === 'RUNNING' && this.awaitingCheckpoint.has(executionId)))
      void this.checkpoints?.requestCheckpoint()
  }

  private onSlotTimeout(): void {
    const { free, total } = this.services.slotCounts()
    const error = serializeError(noResourceAvailable(this.slots.missing(), free, total, this.services.slotRequestTimeoutMs))
    this.fail(error, new Set(this.restarts.waitingForSlots.flatMap(({ regions }) => [...regions])), [])
  }

  // Failure, cancel, end.

  /** `results`: of executions that have finished, and are lost with the same cause. */
  private failWhere(
    isThere: (execution: Execution, location: ExecutionLocation) => boolean,
    error: FlinkError,
    results: readonly Execution[] = [],
  ): void {
    const lost = this.executionGraph.executions.filter(execution => {
      const location = locationOf(execution)
      return location !== undefined && isThere(execution, location)
    })
    this.failAndMove(lost, serializeError(error), results)
  }

  /** They have ended. All at once: what has one cause is one failure. */
  private failAndMove(executions: readonly Execution[], error: SerializedError, results: readonly Execution[] = []): void {
    const moved = executions.flatMap(execution => this.move(execution.executionId, { name: 'FAILED', location: locationOf(execution), error }) ?? [])
    const failed = [...moved, ...results]
    if (failed.length > 0) this.failTasks(failed, error)
  }

  private failTasks(executions: readonly Execution[], error: SerializedError): void {
    this.fail(error, regionsOf(this.executionGraph, executions), executions)
  }

  private failJob(error: SerializedError): void {
    this.fail(error, this.allRegions, [])
  }

  private fail(error: SerializedError, failed: ReadonlySet<number>, executions: readonly Execution[]): void {
    if (error.code === 'FENCED') {
      // Whoever has it now may be another one of this JobManager.
      if (this.status === 'SUSPENDED') return
      this.suspend()
      this.services.onFenced(this, error)
      return
    }
    // On their way down already: what else goes wrong there belongs to the failure that began it.
    const isNew = [...failed].some(region => !this.restarts.isEnding(region))
    if (!isNew || !mayEnter(this.status, 'FAILING')) {
      if (!isOver(this.status)) this.failures.join(error, this.executionGraph, executions)
      this.checkEnd()
      return
    }
    const isSame = this.status === 'RESTARTING' && this.failures.isSame(error)
    const delayMs = this.failures[isSame ? 'join' : 'begin'](error, this.executionGraph, executions)
    if (delayMs === undefined || (this.status !== 'RUNNING' && this.status !== 'RESTARTING')) {
      this.enter('FAILING')
      this.endTasks()
    } else {
      this.restartAfter(delayMs, this.regionsBehind(failed))
    }
  }

  private regionsBehind(failed: ReadonlySet<number>): ReadonlySet<number> {
    const { jobGraph, regions, executions } = this.executionGraph
    // With a savepoint behind which the job stops others may have seen the end of their input; to be rescaled is all of it.
    if (this.failsWhole || this.checkpoints?.isStopping === true || this.nextGraph !== jobGraph) return this.allRegions
    return regionsToRestart(jobGraph, regions, failed, subtask => {
      const execution = executions[subtask]
      return execution !== undefined && this.stages.isLost(execution)
    })
  }

  private restartAfter(delayMs: number, regions: ReadonlySet<number>): void {
    if (this.status !== 'RESTARTING') this.enter('RESTARTING')
    const restart = this.restarts.add(regions)
    const tasks = executionsIn(this.executionGraph, restart.regions).length
    const what = this.isWhole(restart.regions) ? `job ${this.job.jobGraph.jobName} is` : `${tasks} tasks of job ${this.job.jobGraph.jobName} are`
    this.log.info(`${what} restarted`, {
      delayMs,
      restart: this.restartCount + 1,
      from: this.checkpoints?.settings.periodic === true ? 'the newest checkpoint' : 'the beginning: the job takes no checkpoints by itself',
    })
    restart.delay = this.services.clock.schedule(delayMs, () => {
      restart.delay = undefined
      this.checkEnd()
    })
    this.cancelTasks(restart.regions)
  }

  /** All tasks of these regions have ended, and the delay is over. */
  private restart(restart: Restart): void {
    const { regions } = restart
    if (this.nextGraph !== this.executionGraph.jobGraph && !this.isWhole(regions)) {
      // Told to be another one meanwhile.
      this.restarts.add(this.allRegions)
      this.cancelTasks(this.allRegions)
      return
    }
    const ended = executionsIn(this.executionGraph, regions)
    this.restartCount++
    this.failures.end()
    for (const { executionId } of ended) {
      this.metrics.delete(executionId)
      this.awaitingCheckpoint.delete(executionId)
    }
    if (this.isWhole(regions)) void this.sources.close()
    this.stages.release(storedResults(this.executionGraph).filter(({ executionId }) => ended.some(other => other.executionId === executionId)))
    if (this.nextGraph === this.executionGraph.jobGraph) {
      const { clock, random } = this.services
      this.executionGraph = withNewAttempts(this.executionGraph, regions, { nowMs: clock.nowMs(), newExecutionId: () => newId(random) })
      if (this.isWhole(regions)) this.sources = this.newSources()
      this.restore(restart)
    } else {
      this.log.info(`job ${this.nextGraph.jobName} is restarted with other parallelisms`, { to: parallelismsOf(this.nextGraph) })
      this.executionGraph = this.newExecutionGraph(1 + Math.max(...ended.map(({ attempt }) => attempt)))
      this.sources = this.newSources()
      this.slots.replan(this.nextGraph)
      // Its regions are others.
      this.restarts.clear()
      this.restore(this.restarts.add(this.allRegions))
    }
  }

  /** The job ends, for this JobManager at least. */
  private endTasks(): void {
    this.restarts.clear()
    this.cancelTasks(this.allRegions)
  }

  private cancelTasks(regions: ReadonlySet<number>): void {
    const slots = new Map<string, { readonly location: ExecutionLocation; readonly executionIds: string[] }>()
    for (const execution of executionsIn(this.executionGraph, regions)) {
      const { executionId, state } = execution
      if (isTerminal(state)) continue
      const location = locationOf(execution)
      if (location === undefined) {
        this.move(executionId, { name: 'CANCELED', location })
      } else {
        this.move(executionId, { name: 'CANCELING', location })
        const slot = slots.get(location.allocationId) ?? { location, executionIds: [] }
        slots.set(location.allocationId, slot)
        slot.executionIds.push(executionId)
      }
    }
    this.checkpointing = false
    this.checkpoints?.stop()
    this.want()
    for (const { location, executionIds } of slots.values()) this.gateway.cancel(location, executionIds)
    this.checkEnd()
  }

  private checkEnd(): void {
    if (this.status === 'RESTARTING') {
      const isDone = ({ phase, delay, regions }: Restart) =>
        phase === 'ending' && delay === undefined && executionsIn(this.executionGraph, regions).every(({ state }) => isTerminal(state))
      // One may take the others in.
      for (const restart of this.restarts.current.filter(isDone)) if (this.restarts.includes(restart)) this.restart(restart)
      return
    }
    if (isTerminalStatus(this.status) || this.executionGraph.executions.some(({ state }) => !isTerminal(state))) return
    if (this.status === 'SUSPENDED') this.leave()
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
    this.stages.release(storedResults(this.executionGraph))
    this.slots.close()
    const { job, timestamps, checkpoints } = this
    const completed: CompletedJob = {
      kind: 'completed',
      jobId: job.jobId,
      name: job.jobGraph.jobName,
      state,
      startTimeMs: timestamps.INITIALIZING ?? -1,
      endTimeMs: timestamps[state] ?? -1,
      failureCause: state === 'FAILED' ? this.failures.current : undefined,
    }
    this.done.resolve(completed)
    void this.clear(endedJob(completed, state === 'FINISHED' ? (checkpoints?.stoppedBehind ?? null) : null)).then(this.over.resolve)
    this.services.onTerminal(this)
  }

  /** It had ended in another JobManager, which did not come to clear it. */
  async clearAfter(job: EndedJob): Promise<void> {
    try {
      await this.checkpoints?.takeOver()
    } catch (error) {
      this.log.warn('a job that has ended could not be cleared', { error: String(error) })
      return
    }
    await this.clear(job)
  }

  /** The tasks of a suspended job have ended. */
  private leave(): void {
    this.stages.release(storedResults(this.executionGraph))
    this.slots.close()
    void Promise.all([this.sources.close(), this.checkpoints?.settled()]).then(() => this.over.resolve())
    this.services.onTerminal(this)
  }

  private clear(job: EndedJob): Promise<void> {
    const { checkpoints, sources, log } = this
    const { jobStore, results } = this.services
    return clearJob(job, { jobStore, results, checkpoints, sources, log })
  }

  // State tables.

  private enter(next: JobStatus): void {
    assert(mayEnter(this.status, next), `job state ${this.status} -> ${next}`)
    const message = `Job ${this.job.jobGraph.jobName} (${this.job.jobId}) switched from state ${this.status} to ${next}.`
    if (next === 'FAILED') this.log.error(message, { error: this.failures.current?.message })
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
    if (next.name === 'FAILED' && this.failures.current === undefined)
      this.log.warn(text, { error: next.error.message, stack: stackWithCauses(next.error) })
    else if (next.name === 'FAILED') this.log.warn(text, { error: next.error.message })
    else this.log.info(text)
    return moved.after
  }

  private execution(executionId: string): Execution {
    const execution = executionOf(this.executionGraph, executionId)
    if (execution === undefined)
      throw new FlinkError('STALE_GENERATION', `execution ${executionId} is none of job ${this.job.jobId}, or was replaced by a later attempt`)
    return execution
  }

  private fence() {
    return { generation: this.services.generation, jobId: this.job.jobId }
  }
}
