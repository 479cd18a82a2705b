import { assert } from '../common/assert.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { errorCodes, FlinkError, type SerializedError, serializeError, stackWithCauses } from '../common/errors.ts'
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
import { planSlots } from '../graph/slot-assignment.ts'
import type { CompletedJob, ExceptionEntry, JobStatus } from '../rpc/job-manager-gateway.ts'
import type { RpcLink } from '../rpc/link.ts'
import { asJson, errorFromJson, type TaskManagerMethods, type TaskMetrics, type TaskStateUpdate } from '../rpc/messages.ts'
import { ExceptionHistory, exceptionEntry } from './exception-history.ts'
import { isTerminalStatus, mayEnter } from './job-status.ts'
import { next, noRestarts, type RestartStrategy, restartStrategyOf } from './restart-strategy.ts'
import type { SlotRequest } from './slot-manager-core.ts'
import { type AllocatedSlot, noResourceAvailable, SlotPool, shortageText } from './slot-pool.ts'
import { type EnumeratorRegistry, SourceCoordinators, type SplitMessage } from './source-coordinators.ts'

/**
 * One job, from its slots to its end, over as many attempts as its restart strategy allows.
 *
 * 1. INITIALIZING -> CREATED -> RUNNING at once; all tasks SCHEDULED; one slot is requested per shared slot of the plan.
 * 2. When every slot is there, all are deployed (channels name both of their ends, so nothing can start earlier).
 * 3. Tasks report their states; sources ask for splits, which their enumerators hand out through here.
 * 4. The first failure of an attempt (of a task, a TaskManager, an enumerator, or of the slot requests) is put to the restart strategy.
 *    No restart: the job is FAILING, everything is cancelled, and it is FAILED when the last task has ended. A restart: it is RESTARTING,
 *    everything is cancelled as well; when the last task has ended and the delay is over, the next attempt begins at step 1 with new executions
 *    and enumerators, in the slots that are still there. Failures on the way down are the same failure.
 * 5. At the end the enumerators are closed and all slots given back at once.
 *
 * Late and doubled messages find no edge in the state tables and are dropped; messages of an earlier attempt are refused.
 */
export interface TaskManagerHandle {
  readonly id: string
  readonly dataHost: string
  readonly dataPort: number
  readonly link: RpcLink<TaskManagerMethods>
}

export interface JobMasterServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly generation: number
  readonly enumerators: EnumeratorRegistry
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  readonly exceptionHistorySize: number
  artifactUrl(digest: string): string
  requestSlot(request: SlotRequest): void
  cancelSlotRequest(allocationId: string): void
  slotCounts(): { readonly total: number; readonly free: number }
  taskManager(id: string): TaskManagerHandle | undefined
  onTerminal(jobMaster: JobMaster): void
}

export interface JobMasterJob {
  readonly jobId: string
  readonly jobGraph: JobGraph
  readonly artifact: { readonly digest: string; readonly entry: string }
  readonly args: readonly string[]
}

/** A shortage that lasts is told again so often. */
const shortageLogIntervalMs = 60_000

export class JobMaster {
  readonly job: JobMasterJob
  readonly restartStrategy: RestartStrategy
  readonly timestamps: Partial<Record<JobStatus, number>> = {}
  readonly exceptions: ExceptionHistory
  readonly metrics = new Map<string, TaskMetrics>()
  private readonly services: JobMasterServices
  private readonly log: Logger
  private readonly pool: SlotPool
  private sources: SourceCoordinators
  private readonly planned: ReturnType<typeof planSlots>
  /** By the request id of a planned slot. */
  private readonly slots = new Map<string, AllocatedSlot>()
  private status: JobStatus = 'INITIALIZING'
  private executionGraph: ExecutionGraph
  private failure: SerializedError | undefined = undefined
  private deployed = false
  private restarts = noRestarts
  /** The delay of a restart is running. */
  private restartTimer: Timer | undefined = undefined
  private shortageTimer: Timer | undefined = undefined
  private readonly done = Promise.withResolvers<CompletedJob>()

  constructor(job: JobMasterJob, services: JobMasterServices) {
    const { clock, random, log } = services
    this.job = job
    this.services = services
    this.log = log.child({ jobId: job.jobId })
    this.exceptions = new ExceptionHistory(services.exceptionHistorySize)
    this.timestamps.INITIALIZING = clock.nowMs()
    this.restartStrategy = restartStrategyOf(Configuration.fromObject(job.jobGraph.configuration))
    this.executionGraph = this.newExecutionGraph(0)
    this.planned = planSlots(job.jobGraph)
    this.pool = new SlotPool({
      clock,
      random,
      log: this.log,
      slotRequestTimeoutMs: services.slotRequestTimeoutMs,
      slotIdleTimeoutMs: services.slotIdleTimeoutMs,
      requestSlot: allocationId => services.requestSlot({ allocationId, jobId: job.jobId, attempt: this.attempt }),
      cancelRequest: allocationId => services.cancelSlotRequest(allocationId),
      freeSlot: slot => this.freeSlot(slot),
      onAllocated: (requestId, slot) => this.onAllocated(requestId, slot),
      onTimeout: () => this.onSlotTimeout(),
    })
    this.sources = this.newSources()
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

  get failureCause(): SerializedError | undefined {
    return this.failure
  }

  start(): void {
    this.begin()
  }

  /** The next attempt, or the first. */
  private begin(): void {
    this.enter('RUNNING')
    for (const { executionId } of this.executionGraph.executions) this.move(executionId, { name: 'SCHEDULED' })
    this.sources.start()
    for (const slot of this.planned) this.requestPlanned(slot)
    this.watchShortage(1_000)
  }

  private newExecutionGraph(attempt: number): ExecutionGraph {
    const { clock, random } = this.services
    const { jobId, jobGraph } = this.job
    return createExecutionGraph(jobId, jobGraph, { attempt, nowMs: clock.nowMs(), newExecutionId: () => newId(random) })
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
      jobGraph: this.job.jobGraph,
      enumerators: this.services.enumerators,
      clock: this.services.clock,
      log: this.log,
      send: ofThis((vertexId, subtaskIndex, operatorId, message) => this.sendSplits(vertexId, subtaskIndex, operatorId, message)),
      fail: ofThis(error => this.failJob(serializeError(error), undefined)),
    })
  }

  cancel(): void {
    if (!mayEnter(this.status, 'CANCELLING')) return
    this.restartTimer?.cancel()
    this.enter('CANCELLING')
    this.cancelTasks()
  }

  coordinatorMetrics(vertexId: string): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return this.sources.metricsOf(vertexId)
  }

  /** What this job still waits for; undefined when it has all its slots. */
  shortage(): string | undefined {
    if (this.pool.pendingCount === 0) return undefined
    return shortageText(this.pool.missing(), this.services.slotCounts().free)
  }

  exceptionView(): readonly ExceptionEntry[] {
    return this.exceptions.view()
  }

  // From TaskManagers.

  offerSlot(slot: AllocatedSlot, attempt: number): boolean {
    return attempt === this.attempt && this.pool.offer(slot)
  }

  allocationsOn(taskManagerId: string): readonly string[] {
    return this.pool.allocationsOn(taskManagerId)
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
        if (update.state === 'RUNNING') this.sources.readerStarted(execution.vertexId, execution.subtaskIndex)
        return
      case 'FINISHED':
        this.move(update.executionId, { name: 'FINISHED', location })
        this.checkEnd()
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

  taskManagerLost(taskManagerId: string, error: FlinkError): void {
    const cause = serializeError(error)
    for (const execution of this.executionGraph.executions) {
      if (locationOf(execution)?.taskManagerId === taskManagerId && !isTerminal(execution.state)) this.failExecution(execution, cause)
    }
    for (const allocationId of this.pool.allocationsOn(taskManagerId)) this.allocationLost(allocationId)
  }

  /** The slot is not ours any more, or never will be. Before anything was deployed another one does as well. */
  allocationLost(allocationId: string): void {
    if (!this.pool.lose(allocationId)) return
    for (const [requestId, slot] of this.slots) {
      if (slot.allocationId !== allocationId) continue
      this.slots.delete(requestId)
      const planned = this.planned.find(candidate => requestIdOf(candidate) === requestId)
      if (this.status === 'RUNNING' && !this.deployed && planned !== undefined) this.requestPlanned(planned)
    }
    const error = serializeError(new FlinkError('TASKMANAGER_LOST', `the slot of allocation ${allocationId} was freed while its tasks ran`))
    for (const execution of this.executionGraph.executions) {
      if (locationOf(execution)?.allocationId === allocationId && !isTerminal(execution.state)) this.failExecution(execution, error)
    }
  }

  // Slots and deployment.

  private requestPlanned(slot: (typeof this.planned)[number]): void {
    this.pool.request(requestIdOf(slot), slot.slotSharingGroup)
  }

  private onAllocated(requestId: string, slot: AllocatedSlot): void {
    this.slots.set(requestId, slot)
    if (this.status === 'RUNNING' && !this.deployed && this.slots.size === this.planned.length) this.deploy()
  }

  private deploy(): void {
    const slots = this.planned.map(planned => {
      const slot = this.slots.get(requestIdOf(planned))
      assert(slot !== undefined, 'every planned slot is allocated')
      const taskManager = this.services.taskManager(slot.taskManagerId)
      const { allocationId, taskManagerId } = slot
      return { planned, location: { allocationId, taskManagerId, host: taskManager?.dataHost ?? '', dataPort: taskManager?.dataPort ?? 0 } }
    })
    this.deployed = true
    const { digest, entry } = this.job.artifact
    const deployments = buildSlotDeployments(this.executionGraph, slots, {
      generation: this.services.generation,
      artifact: { digest, entry, url: this.services.artifactUrl(digest) },
      args: this.job.args,
    })
    for (const { planned, location } of slots) {
      for (const { vertexId, subtaskIndex } of planned.subtasks) {
        this.move(executionOfSubtask(this.executionGraph, vertexId, subtaskIndex).executionId, { name: 'DEPLOYING', location })
      }
    }
    for (const [index, deployment] of deployments.entries()) this.submit(deployment, slots[index]?.location)
  }

  private submit(deployment: SlotDeployment, location: ExecutionLocation | undefined): void {
    const { allocationId } = deployment
    const failed = (error: unknown) => {
      const taskManager = location?.taskManagerId ?? 'unknown'
      const cause = serializeError(
        new FlinkError('EXTERNAL_SYSTEM', `tasks could not be deployed to taskmanager ${taskManager}`, { allocationId }, error),
      )
      for (const { executionId } of deployment.tasks) {
        const execution = executionOf(this.executionGraph, executionId)
        if (execution !== undefined && !isTerminal(execution.state)) this.failExecution(execution, cause)
      }
    }
    const link = location === undefined ? undefined : this.services.taskManager(location.taskManagerId)?.link
    if (link === undefined) {
      failed(new FlinkError('TASKMANAGER_LOST', 'the taskmanager is not registered any more'))
      return
    }
    // A lost connection is told by the ResourceManager, with a better reason.
    link.callInOrder('submitTasks', { ...this.fence(), allocationId, deployment: asJson(deployment) }).catch(error => {
      if (!isConnectionLost(error)) failed(error)
    })
  }

  private sendSplits(vertexId: string, subtaskIndex: number, operatorId: string, message: SplitMessage): void {
    const execution = executionOfSubtask(this.executionGraph, vertexId, subtaskIndex)
    const location = locationOf(execution)
    const link = location === undefined ? undefined : this.services.taskManager(location.taskManagerId)?.link
    if (location === undefined || link === undefined || isTerminal(execution.state)) return
    const to = { ...this.fence(), allocationId: location.allocationId, executionId: execution.executionId, operatorId }
    const sent =
      message.kind === 'assign' ? link.callInOrder('assignSplits', { ...to, splits: message.splits }) : link.callInOrder('noMoreSplits', to)
    sent.catch(error => {
      // A split that does not arrive is data that is not read.
      if (!isConnectionLost(error)) this.failJob(serializeError(error), execution)
    })
  }

  private freeSlot({ allocationId, taskManagerId }: AllocatedSlot): void {
    // Lost or refused: the next heartbeat does not list the allocation, and the TaskManager frees it by itself.
    this.services
      .taskManager(taskManagerId)
      ?.link.call('freeSlot', { ...this.fence(), allocationId })
      .catch(() => {})
  }

  private onSlotTimeout(): void {
    const { free, total } = this.services.slotCounts()
    this.failJob(serializeError(noResourceAvailable(this.pool.missing(), free, total, this.services.slotRequestTimeoutMs)), undefined)
  }

  private watchShortage(delayMs: number): void {
    this.shortageTimer = this.services.clock.schedule(delayMs, () => {
      const shortage = this.shortage()
      if (this.status !== 'RUNNING' || shortage === undefined) return
      this.log.warn(`job ${this.job.jobGraph.jobName} ${shortage}`)
      this.watchShortage(shortageLogIntervalMs)
    })
  }

  // Failure, cancel, end.

  private failExecution(execution: Execution, error: SerializedError): void {
    const moved = this.move(execution.executionId, { name: 'FAILED', location: locationOf(execution), error })
    if (moved !== undefined) this.failJob(error, moved)
  }

  private failJob(error: SerializedError, execution: Execution | undefined): void {
    // On its way down already: what else goes wrong belongs to the failure that began it.
    if (this.status !== 'RESTARTING' && mayEnter(this.status, 'FAILING')) {
      this.failure = error
      this.exceptions.root(exceptionEntry(error, this.services.clock.nowMs(), this.executionGraph, execution))
      const delayMs = this.restartDelayMs(error)
      if (delayMs === undefined) this.enter('FAILING')
      else this.restartAfter(delayMs)
      this.cancelTasks()
    } else {
      if (!isTerminalStatus(this.status)) {
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
    if (this.status !== 'RUNNING' || isFinal(error)) return undefined
    const { clock, random } = this.services
    const [state, delayMs] = next(this.restartStrategy, this.restarts, clock.monotonicMs(), random)
    this.restarts = state
    return delayMs
  }

  private restartAfter(delayMs: number): void {
    this.enter('RESTARTING')
    this.log.info(`job ${this.job.jobGraph.jobName} is restarted`, {
      delayMs,
      restart: this.attempt + 1,
      from: 'the beginning: there is no checkpoint',
    })
    this.restartTimer = this.services.clock.schedule(delayMs, () => {
      this.restartTimer = undefined
      this.checkEnd()
    })
  }

  /** All tasks of the last attempt have ended, and the delay is over. */
  private restart(): void {
    void this.sources.close()
    this.failure = undefined
    this.deployed = false
    this.metrics.clear()
    this.slots.clear()
    this.executionGraph = this.newExecutionGraph(this.attempt + 1)
    this.sources = this.newSources()
    this.pool.releaseAll()
    this.begin()
  }

  private cancelTasks(): void {
    this.pool.stopRequesting()
    this.shortageTimer?.cancel()
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
    for (const { allocationId, taskManagerId } of allocations.values()) {
      // Refused: the slot is gone, and its tasks were told to have ended or will be told to be lost.
      this.services
        .taskManager(taskManagerId)
        ?.link.callInOrder('cancelTasks', { ...this.fence(), allocationId })
        .catch(error => this.log.debug('cancelling was not answered', { taskManagerId, reason: String(error) }))
    }
    this.checkEnd()
  }

  private checkEnd(): void {
    if (isTerminalStatus(this.status) || this.executionGraph.executions.some(({ state }) => !isTerminal(state))) return
    if (this.status === 'RESTARTING') {
      if (this.restartTimer === undefined) this.restart()
    } else if (this.status === 'FAILING') this.end('FAILED')
    else if (this.status === 'CANCELLING') this.end('CANCELED')
    else if (this.status === 'RUNNING') {
      const finished = this.executionGraph.executions.every(({ state }) => state.name === 'FINISHED')
      assert(finished, 'the tasks of a running job that have ended have finished')
      this.end('FINISHED')
    }
  }

  private end(state: CompletedJob['state']): void {
    this.enter(state)
    this.shortageTimer?.cancel()
    this.restartTimer?.cancel()
    this.pool.close()
    void this.sources.close()
    const { job, failure, timestamps } = this
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
    const text = transitionText(this.job.jobGraph, moved.before, moved.after)
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

function requestIdOf(slot: { readonly slotSharingGroup: string; readonly index: number }): string {
  return `${slot.slotSharingGroup}/${slot.index}`
}

function locationOf({ state }: Execution): ExecutionLocation | undefined {
  return 'location' in state ? state.location : undefined
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

function isConnectionLost(error: unknown): boolean {
  return error instanceof FlinkError && error.code === 'CONNECTION_LOST'
}
