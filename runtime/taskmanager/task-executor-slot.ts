import type { Clock, Timer } from '../common/clock.ts'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, SlotHost, TaskMetricsSnapshot, TaskState } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'

/**
 * One deployment in one slot, from the artefact to the end of its host.
 *
 * 1. The artefact is fetched, the state that the tasks begin with is read, channels are wired, the host is made and told to deploy.
 * 2. Task states are relayed; each execution ends exactly once, also when the host dies with tasks unfinished. A task has finished when the state of its
 *    checkpoints is written, and what it gave to blocking edges is stored.
 * 3. `cancel` asks the host; after `task.cancellation.interval` a host that still runs is terminated; after
 *    `task.cancellation.timeout` the process ends, because a thread that cannot be ended holds its slot for ever.
 * 4. `release` cancels what still runs, ends the host, and gives channels back, once.
 */
export interface SlotRunOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly hosts: SlotHostFactory
  readonly slotIndex: number
  readonly deployment: SlotDeployment
  readonly cancellationIntervalMs: number
  readonly cancellationTimeoutMs: number
  onTaskState(executionId: string, state: RelayedState, error: SerializedError | undefined, metrics: TaskMetricsSnapshot | undefined): void
  onSplitRequest(executionId: string, operatorId: string): void
  onAwaitsCheckpoint(executionId: string): void
  /** What the tasks begin with. */
  readRestored(): Promise<RestoredTasks>
  /** Writes and acknowledges the state of a task, or declines; never rejects. */
  onCheckpoint(checkpoint: Extract<SlotEvent, { kind: 'checkpoint-ack' }>): Promise<void>
  fatal(error: FlinkError): void
}

export type RelayedState = 'INITIALIZING' | 'RUNNING' | 'FINISHED' | 'CANCELED' | 'FAILED'

type Phase =
  | { readonly kind: 'preparing' }
  | { readonly kind: 'running'; readonly host: SlotHost }
  /** The host is gone, or there never was one. */
  | { readonly kind: 'ended' }

export class SlotRun {
  readonly deployment: SlotDeployment
  private readonly options: SlotRunOptions
  private phase: Phase = { kind: 'preparing' }
  private wired = false
  private cancelling = false
  private readonly unfinished: Set<string>
  /** State that is being written, by execution. */
  private readonly writing = new Map<string, Promise<unknown>>()
  /** Tasks that have finished but for that, or for their blocking results. */
  private readonly finishing = new Map<string, () => void>()
  private timers: Timer[] = []
  private readonly allFinished: Promise<void>
  private resolveAllFinished: () => void = () => {}
  private released: Promise<void> | undefined = undefined

  constructor(options: SlotRunOptions) {
    this.options = options
    this.deployment = options.deployment
    this.unfinished = new Set(options.deployment.tasks.map(task => task.executionId))
    this.allFinished = new Promise(resolve => {
      this.resolveAllFinished = resolve
    })
    if (this.unfinished.size === 0) this.resolveAllFinished()
  }

  get isRunning(): boolean {
    return this.unfinished.size > 0
  }

  /** Never rejects: what goes wrong is the tasks' failure. */
  async start(): Promise<void> {
    const { hosts, deployment, slotIndex } = this.options
    try {
      await hosts.ensureArtifact(deployment.artifact)
      const restored = await this.options.readRestored()
      if (this.phase.kind !== 'preparing') return
      const wiring = hosts.wire(deployment)
      this.wired = true
      const host = hosts.create(slotIndex, event => this.onEvent(event))
      this.phase = { kind: 'running', host }
      host.deploy(deployment, wiring, restored)
    } catch (error) {
      this.endAll('FAILED', serializeError(error))
    }
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    if (this.phase.kind === 'running' && this.unfinished.has(executionId)) this.phase.host.addSplits(executionId, operatorId, splits)
  }

  noMoreSplits(executionId: string, operatorId: string): void {
    if (this.phase.kind === 'running' && this.unfinished.has(executionId)) this.phase.host.noMoreSplits(executionId, operatorId)
  }

  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void {
    if (this.phase.kind === 'running') this.phase.host.triggerCheckpoint(executionIds, barrier)
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    if (this.phase.kind === 'running') this.phase.host.notifyCheckpoint(executionIds, checkpointId, outcome)
    // What is still being written is of no use any more.
    if (outcome === 'aborted') for (const executionId of executionIds) this.finishing.get(executionId)?.()
  }

  cancel(): void {
    if (this.cancelling || this.unfinished.size === 0) return
    this.cancelling = true
    for (const finish of [...this.finishing.values()]) finish()
    if (this.unfinished.size === 0) return
    if (this.phase.kind !== 'running') {
      this.phase = { kind: 'ended' }
      this.endAll('CANCELED', undefined)
      return
    }
    const { host } = this.phase
    const { clock, log, cancellationIntervalMs } = this.options
    this.timers.push(
      clock.schedule(cancellationIntervalMs, () => {
        log.warn('tasks did not react to cancelling, their slot is terminated', { unfinished: this.unfinished.size, afterMs: cancellationIntervalMs })
        this.terminate(host)
      }),
      this.scheduleFatal(),
    )
    host.cancel()
  }

  /** Resolves when host and channels are gone. */
  release(): Promise<void> {
    this.released ??= this.releaseOnce()
    return this.released
  }

  metrics(): readonly TaskMetricsSnapshot[] {
    return this.phase.kind === 'running' ? this.phase.host.metrics() : []
  }

  private async releaseOnce(): Promise<void> {
    this.cancel()
    await this.allFinished
    if (this.phase.kind === 'running') {
      this.timers.push(this.scheduleFatal())
      await this.phase.host.terminate()
    }
    this.phase = { kind: 'ended' }
    this.stopTimers()
    if (this.wired) this.options.hosts.releaseJob(this.deployment)
  }

  private onEvent(event: SlotEvent): void {
    if (this.phase.kind === 'ended') return
    switch (event.kind) {
      case 'task-state':
        if (isRelayed(event.state)) this.relay(event.executionId, event.state, event.error)
        return
      case 'awaits-checkpoint':
        if (this.unfinished.has(event.executionId)) this.options.onAwaitsCheckpoint(event.executionId)
        return
      case 'split-request':
        if (this.unfinished.has(event.executionId)) this.options.onSplitRequest(event.executionId, event.operatorId)
        return
      case 'log':
        this.options.log[event.level](event.message, event.fields)
        return
      case 'exited':
        this.exited(event.error)
        return
      case 'checkpoint-ack':
        if (this.unfinished.has(event.executionId)) this.writeCheckpoint(event)
        return
    }
  }

  private relay(executionId: string, state: RelayedState, error: SerializedError | undefined): void {
    if (!this.unfinished.has(executionId)) return
    if (state === 'INITIALIZING' || state === 'RUNNING') {
      this.options.onTaskState(executionId, state, undefined, undefined)
      return
    }
    const metrics = this.lastMetrics(executionId)
    const lastSteps = state === 'FINISHED' && !this.cancelling ? this.lastSteps(executionId) : []
    if (lastSteps.length === 0) {
      this.finish(executionId, state, error, metrics)
      return
    }
    const finish = () => this.finish(executionId, state, error, metrics)
    this.finishing.set(executionId, finish)
    Promise.all(lastSteps).then(finish, (cause: unknown) => this.finish(executionId, 'FAILED', serializeError(cause), metrics))
  }

  /** What a task that has ended by itself still waits for. */
  private lastSteps(executionId: string): readonly Promise<unknown>[] {
    const writing = this.writing.get(executionId)
    const task = this.deployment.tasks.find(candidate => candidate.executionId === executionId)
    const hasResult = task?.outputs.some(({ edge }) => edge.exchange === 'blocking') ?? false
    return [...(writing === undefined ? [] : [writing]), ...(hasResult ? [this.storeResult(executionId)] : [])]
  }

  private async storeResult(executionId: string): Promise<void> {
    const { memoryBytes, diskBytes } = await this.options.hosts.finishResult(executionId)
    this.options.log.info('blocking result stored', { executionId, memoryBytes, diskBytes })
  }

  private finish(
    executionId: string,
    state: 'FINISHED' | 'CANCELED' | 'FAILED',
    error: SerializedError | undefined,
    metrics: TaskMetricsSnapshot | undefined,
  ): void {
    if (!this.unfinished.delete(executionId)) return
    this.finishing.delete(executionId)
    this.options.onTaskState(executionId, state, error, metrics)
    this.checkFinished()
  }

  private writeCheckpoint(checkpoint: Extract<SlotEvent, { kind: 'checkpoint-ack' }>): void {
    const { executionId } = checkpoint
    // Of one task one behind the other, so that they are acknowledged in order.
    const before = this.writing.get(executionId) ?? Promise.resolve()
    const written = before.then(() => this.options.onCheckpoint(checkpoint))
    this.writing.set(executionId, written)
    void written.then(() => {
      if (this.writing.get(executionId) === written) this.writing.delete(executionId)
    })
  }

  private exited(error: SerializedError | undefined): void {
    const metrics = new Map(this.metrics().map(snapshot => [snapshot.executionId, snapshot]))
    this.phase = { kind: 'ended' }
    if (this.cancelling) this.endAll('CANCELED', undefined, metrics)
    else
      this.endAll(
        'FAILED',
        error ?? serializeError(new FlinkError('INTERNAL', `the host of slot ${this.options.slotIndex} ended while its tasks ran`)),
        metrics,
      )
  }

  private endAll(state: 'CANCELED' | 'FAILED', error: SerializedError | undefined, metrics?: ReadonlyMap<string, TaskMetricsSnapshot>): void {
    for (const executionId of [...this.unfinished])
      if (!this.finishing.has(executionId)) this.finish(executionId, state, error, metrics?.get(executionId))
  }

  private scheduleFatal(): Timer {
    const { clock, cancellationTimeoutMs, slotIndex, fatal } = this.options
    return clock.schedule(cancellationTimeoutMs, () => {
      const what = `slot ${slotIndex} with tasks of job ${this.deployment.jobId}`
      fatal(new FlinkError('TIMEOUT', `${what} did not end within task.cancellation.timeout (${cancellationTimeoutMs} ms)`))
    })
  }

  private checkFinished(): void {
    if (this.unfinished.size > 0) return
    this.stopTimers()
    this.resolveAllFinished()
  }

  /** The fatal timer goes on: it is what is left when the host cannot even be terminated. */
  private terminate(host: SlotHost): void {
    host.terminate().then(
      () => {
        if (this.phase.kind === 'running') this.exited(undefined)
      },
      error => this.options.log.error('a slot could not be terminated', { error: String(error) }),
    )
  }

  private lastMetrics(executionId: string): TaskMetricsSnapshot | undefined {
    return this.metrics().find(snapshot => snapshot.executionId === executionId)
  }

  private stopTimers(): void {
    for (const timer of this.timers) timer.cancel()
    this.timers = []
  }
}

/** The other states are the JobMaster's own. */
function isRelayed(state: TaskState): state is RelayedState {
  return state === 'INITIALIZING' || state === 'RUNNING' || state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED'
}
