import type { Timer } from '../common/clock.ts'
import { type SerializedError, serializeError } from '../common/errors.ts'
import type { OutputDeployment, SlotDeployment } from '../graph/deployment.ts'
import type { RestoredTasks, SlotEvent, SlotHost, SlotWiring, TaskMetricsSnapshot, TaskState } from './slot-host.ts'

/**
 * The tasks of one deployment, as the TaskManager's main thread sees them: each ends exactly once, also when the host dies with it unfinished. A task has
 * finished when the state of its checkpoints is written, and what it gave to blocking edges is stored.
 */
export interface DeployedTasksOptions {
  onTaskState(executionId: string, state: RelayedState, error: SerializedError | undefined, metrics: TaskMetricsSnapshot | undefined): void
  onSplitRequest(executionId: string, operatorId: string): void
  onAwaitsCheckpoint(executionId: string): void
  /** What the tasks begin with. */
  readRestored(): Promise<RestoredTasks>
  /** Resolves when all that the task gave to blocking edges is stored. */
  storeResult(executionId: string): Promise<void>
  onCheckpointComplete(executionId: string, checkpointId: number): void
  /** Writes and acknowledges the state of a task, or declines; never rejects. */
  onCheckpoint(checkpoint: CheckpointAck): Promise<void>
}

export type RelayedState = 'INITIALIZING' | 'RUNNING' | 'FINISHED' | 'CANCELED' | 'FAILED'
export type CheckpointAck = Extract<SlotEvent, { kind: 'checkpoint-ack' }>
type EndState = 'FINISHED' | 'CANCELED' | 'FAILED'

/** Where it runs. */
export interface Posted {
  readonly host: SlotHost
  /** Some event of its tasks has come: the host has taken it up. */
  isTaken: boolean
}

export class DeployedTasks {
  readonly deployment: SlotDeployment
  readonly options: DeployedTasksOptions
  /** Undefined = it has not been wired yet, or never will. */
  wiring: SlotWiring | undefined = undefined
  /** Undefined = it has not reached a host yet, or its host is gone. */
  posted: Posted | undefined = undefined
  /** What the tasks begin with, until a host has taken it up. */
  restored: RestoredTasks = new Map()
  isCancelling = false
  /** All that have ended have finished. */
  isOrderly = true
  timers: Timer[] = []
  readonly whenEnded: Promise<void>
  private readonly resolveEnded: () => void
  private readonly unfinished: Set<string>
  /** State that is being written, by execution. */
  private readonly writing = new Map<string, Promise<unknown>>()
  /** Tasks that have finished but for that, or for their blocking results. */
  private readonly finishing = new Map<string, () => void>()

  constructor(deployment: SlotDeployment, options: DeployedTasksOptions) {
    this.deployment = deployment
    this.options = options
    this.unfinished = new Set(deployment.tasks.map(task => task.executionId))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.whenEnded = promise
    this.resolveEnded = resolve
  }

  get isRunning(): boolean {
    return this.unfinished.size > 0
  }

  get unfinishedIds(): readonly string[] {
    return [...this.unfinished]
  }

  has(executionId: string): boolean {
    return this.unfinished.has(executionId)
  }

  /** From now on it is over with what is still being written. */
  cancel(): void {
    this.isCancelling = true
    this.stopWriting([...this.finishing.keys()])
  }

  stopWriting(executionIds: readonly string[]): void {
    for (const executionId of executionIds) this.finishing.get(executionId)?.()
  }

  relay(executionId: string, state: TaskState, error: SerializedError | undefined, metrics: TaskMetricsSnapshot | undefined): void {
    if (!isRelayed(state)) return
    if (state === 'INITIALIZING' || state === 'RUNNING') {
      this.options.onTaskState(executionId, state, undefined, undefined)
      return
    }
    const lastSteps = state === 'FINISHED' && !this.isCancelling ? this.lastSteps(executionId) : []
    if (lastSteps.length === 0) {
      this.finish(executionId, state, error, metrics)
      return
    }
    const finish = () => this.finish(executionId, state, error, metrics)
    this.finishing.set(executionId, finish)
    Promise.all(lastSteps).then(finish, (cause: unknown) => this.finish(executionId, 'FAILED', serializeError(cause), metrics))
  }

  /** Nobody reads from its rings when it has ended. */
  get hasOnlyResults(): boolean {
    return this.deployment.tasks.every(({ outputs }) => outputs.every(isBlocking))
  }

  /** What a task that has ended by itself still waits for. */
  private lastSteps(executionId: string): readonly Promise<unknown>[] {
    const writing = this.writing.get(executionId)
    const hasResult = this.deployment.tasks.find(task => task.executionId === executionId)?.outputs.some(isBlocking) ?? false
    return [...(writing === undefined ? [] : [writing]), ...(hasResult ? [this.options.storeResult(executionId)] : [])]
  }

  async writeCheckpoint(checkpoint: CheckpointAck): Promise<void> {
    const { executionId } = checkpoint
    // Of one task one behind the other, so that they are acknowledged in order.
    const before = this.writing.get(executionId) ?? Promise.resolve()
    // Nobody waits for it once they are cancelled, and the checkpoints may be removed.
    const written = before.then(() => (this.isCancelling ? undefined : this.options.onCheckpoint(checkpoint)))
    this.writing.set(executionId, written)
    await written
    if (this.writing.get(executionId) === written) this.writing.delete(executionId)
  }

  /** Nothing runs any more of those that have not finished. */
  endAll(state: 'CANCELED' | 'FAILED', error: SerializedError | undefined, metrics: readonly TaskMetricsSnapshot[] = []): void {
    for (const executionId of [...this.unfinished]) {
      if (this.finishing.has(executionId)) continue
      const last = metrics.find(snapshot => snapshot.executionId === executionId)
      this.finish(executionId, state, error, last)
    }
  }

  stopTimers(): void {
    for (const timer of this.timers) timer.cancel()
    this.timers = []
  }

  private finish(executionId: string, state: EndState, error: SerializedError | undefined, metrics: TaskMetricsSnapshot | undefined): void {
    if (!this.unfinished.delete(executionId)) return
    this.finishing.delete(executionId)
    if (state !== 'FINISHED') this.isOrderly = false
    this.options.onTaskState(executionId, state, error, metrics)
    if (this.unfinished.size > 0) return
    this.stopTimers()
    this.resolveEnded()
  }
}

function isBlocking({ edge }: OutputDeployment): boolean {
  return edge.exchange === 'blocking'
}

/** The other states are the JobMaster's own. */
function isRelayed(state: TaskState): state is RelayedState {
  return state === 'INITIALIZING' || state === 'RUNNING' || state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED'
}
