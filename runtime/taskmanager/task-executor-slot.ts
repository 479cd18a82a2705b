import { sharedBuffers } from '../checkpoint/task-state.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { DeployedTasks, type DeployedTasksOptions } from './deployed-tasks.ts'
import type { CheckpointOutcome, SlotEvent, SlotHost, TaskMetricsSnapshot } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'

/**
 * What runs in one slot for its job: a host, and in it the tasks of one deployment for each region of the job's graph that has tasks here.
 *
 * 1. `deploy`: the artefact is fetched, the state that the tasks begin with is read, channels are wired, and the host is told to deploy; it is made where
 *    none is alive. Tasks of other regions run on beside.
 * 2. A host ends by itself with its last task. A deployment that reaches it on its way out is given to the next one.
 * 3. `cancel` asks the host; after `task.cancellation.interval` a host in which they still run is terminated, whatever else runs in it; after
 *    `task.cancellation.timeout` the process ends, because a thread that cannot be ended holds its slot for ever.
 * 4. Channels of a deployment are given back, once: where it has not ended in order, at its end, or at the latest when another one takes its place; those of
 *    tasks that have finished, with the slot: others may still read.
 * 5. `release` cancels what still runs, ends the host, and gives all channels back.
 */
export interface SlotRunOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly hosts: SlotHostFactory
  readonly slotIndex: number
  readonly jobId: string
  readonly cancellationIntervalMs: number
  readonly cancellationTimeoutMs: number
  fatal(error: FlinkError): void
}

export class SlotRun {
  private readonly options: SlotRunOptions
  private deployed: readonly DeployedTasks[] = []
  private host: SlotHost | undefined = undefined
  /** Of the last host: there is never more than one. */
  private gone: Promise<void> = Promise.resolve()
  private onGone: () => void = () => {}
  private released: Promise<void> | undefined = undefined

  constructor(options: SlotRunOptions) {
    this.options = options
  }

  get jobId(): string {
    return this.options.jobId
  }

  get isRunning(): boolean {
    return this.deployed.some(({ isRunning }) => isRunning)
  }

  /** What goes wrong later is the tasks' failure. */
  deploy(deployment: SlotDeployment, options: DeployedTasksOptions): void {
    const { region, attempt } = deployment
    const before = this.deployed.findLast(other => other.deployment.region === region)
    if (before !== undefined) {
      if (before.deployment.attempt === attempt) return
      const what = `of region ${region} of job ${this.jobId}`
      if (before.deployment.attempt > attempt)
        throw new FlinkError('STALE_GENERATION', `attempt ${attempt} ${what} was followed by attempt ${before.deployment.attempt}`)
      if (before.isRunning)
        throw new FlinkError('CONFLICT', `attempt ${before.deployment.attempt} ${what} still runs in slot ${this.options.slotIndex}`)
    }
    const tasks = new DeployedTasks(deployment, options)
    const replaced = this.deployed.filter(other => !other.isRunning && (other === before || !other.isOrderly || other.hasOnlyResults))
    this.deployed = [...this.deployed.filter(other => !replaced.includes(other)), tasks]
    void this.start(tasks, replaced)
    void tasks.whenEnded.then(() => this.giveBackEarly(tasks))
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    this.of([executionId])[0]?.posted?.host.addSplits(executionId, operatorId, splits)
  }

  noMoreSplits(executionId: string, operatorId: string): void {
    this.of([executionId])[0]?.posted?.host.noMoreSplits(executionId, operatorId)
  }

  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void {
    this.host?.triggerCheckpoint(executionIds, barrier)
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    this.host?.notifyCheckpoint(executionIds, checkpointId, outcome)
    for (const tasks of this.of(executionIds)) {
      // What is still being written is of no use any more.
      if (outcome === 'aborted') tasks.stopWriting(executionIds)
      else for (const executionId of executionIds) if (tasks.has(executionId)) tasks.options.onCheckpointComplete(executionId, checkpointId)
    }
  }

  /** All that were deployed with these. */
  cancel(executionIds: readonly string[]): void {
    for (const tasks of this.of(executionIds)) this.cancelTasks(tasks)
  }

  /** Resolves when host and channels are gone. */
  release(): Promise<void> {
    this.released ??= this.releaseOnce()
    return this.released
  }

  metrics(): readonly TaskMetricsSnapshot[] {
    return this.host?.metrics() ?? []
  }

  private of(executionIds: readonly string[]): readonly DeployedTasks[] {
    return this.deployed.filter(tasks => executionIds.some(executionId => tasks.has(executionId)))
  }

  private async start(tasks: DeployedTasks, replaced: readonly DeployedTasks[]): Promise<void> {
    const { hosts } = this.options
    try {
      if (!this.deployed.some(({ isRunning, posted }) => isRunning && posted !== undefined)) await this.endHost()
      for (const other of replaced) this.giveBack(other)
      await hosts.ensureArtifact(tasks.deployment.artifact)
      tasks.restored = await tasks.options.readRestored()
      await this.post(tasks)
    } catch (error) {
      tasks.endAll('FAILED', serializeError(error))
    }
  }

  private async post(tasks: DeployedTasks): Promise<void> {
    const { hosts, slotIndex } = this.options
    if (this.host === undefined) await this.gone
    // Cancelled meanwhile.
    if (!tasks.isRunning) return
    if (tasks.wiring === undefined) {
      tasks.wiring = await hosts.wire(tasks.deployment)
      if (!tasks.isRunning) return this.giveBack(tasks)
      // A host that was there may be gone.
      return this.post(tasks)
    }
    if (this.host === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const host = hosts.create(slotIndex, event => this.onEvent(host, event))
      this.host = host
      this.gone = promise
      this.onGone = resolve
    }
    tasks.posted = { host: this.host, isTaken: false }
    this.host.deploy(tasks.deployment, tasks.wiring, tasks.restored)
  }

  private cancelTasks(tasks: DeployedTasks): void {
    if (tasks.isCancelling || !tasks.isRunning) return
    tasks.cancel()
    if (!tasks.isRunning) return
    if (tasks.posted === undefined) {
      tasks.endAll('CANCELED', undefined)
      return
    }
    const { host } = tasks.posted
    const { clock, log, cancellationIntervalMs } = this.options
    tasks.timers.push(
      clock.schedule(cancellationIntervalMs, () => {
        log.warn('tasks did not react to cancelling, their slot is terminated', {
          unfinished: tasks.unfinishedIds.length,
          afterMs: cancellationIntervalMs,
        })
        this.terminate(host).catch(error => log.error('a slot could not be terminated', { error: String(error) }))
      }),
      this.scheduleFatal(),
    )
    host.cancel(tasks.unfinishedIds)
  }

  private onEvent(host: SlotHost, event: SlotEvent): void {
    if (event.kind === 'log') {
      this.options.log[event.level](event.message, event.fields)
      return
    }
    if (event.kind === 'exited') {
      this.exited(host, event.error)
      return
    }
    const { executionId } = event
    const tasks = this.deployed.find(candidate => candidate.has(executionId))
    if (tasks?.posted?.host !== host) return
    if (!tasks.posted.isTaken) {
      tasks.posted.isTaken = true
      tasks.restored = new Map()
    }
    switch (event.kind) {
      case 'task-state':
        tasks.relay(
          executionId,
          event.state,
          event.error,
          host.metrics().find(snapshot => snapshot.executionId === executionId),
        )
        return
      case 'awaits-checkpoint':
        tasks.options.onAwaitsCheckpoint(executionId)
        return
      case 'split-request':
        tasks.options.onSplitRequest(executionId, event.operatorId)
        return
      case 'checkpoint-ack':
        void tasks.writeCheckpoint(event).then(() => host.returnMemory(sharedBuffers(event.operators)))
        return
    }
  }

  private exited(host: SlotHost, error: SerializedError | undefined): void {
    if (this.host !== host) return
    this.host = undefined
    this.onGone()
    const metrics = host.metrics()
    for (const tasks of this.deployed) {
      if (tasks.posted?.host !== host) continue
      const { isTaken } = tasks.posted
      tasks.posted = undefined
      if (tasks.isCancelling) tasks.endAll('CANCELED', undefined, metrics)
      else if (error === undefined && !isTaken) this.post(tasks).catch(cause => tasks.endAll('FAILED', serializeError(cause)))
      else tasks.endAll('FAILED', error ?? serializeError(this.endedEarly()), metrics)
    }
  }

  private endedEarly(): FlinkError {
    return new FlinkError('INTERNAL', `the host of slot ${this.options.slotIndex} ended while its tasks ran`)
  }

  private async releaseOnce(): Promise<void> {
    for (const tasks of this.deployed) this.cancelTasks(tasks)
    await Promise.all(this.deployed.map(({ whenEnded }) => whenEnded))
    await this.endHost()
    for (const tasks of this.deployed) this.giveBack(tasks)
    this.deployed = []
  }

  private async endHost(): Promise<void> {
    if (this.host === undefined) return this.gone
    const timer = this.scheduleFatal()
    await this.terminate(this.host)
    timer.cancel()
  }

  private async terminate(host: SlotHost): Promise<void> {
    await host.terminate()
    this.exited(host, undefined)
  }

  /** Nobody will read what has not ended in order, and the next attempt may need the room. */
  private async giveBackEarly(tasks: DeployedTasks): Promise<void> {
    if (tasks.isOrderly) return
    // With others in it the host stays; otherwise it is on its way out.
    if (!this.isRunning) await this.gone
    this.giveBack(tasks)
  }

  private giveBack(tasks: DeployedTasks): void {
    if (tasks.wiring !== undefined) this.options.hosts.release(tasks.deployment, tasks.isOrderly)
    tasks.wiring = undefined
  }

  /** Goes on when a host cannot even be terminated. */
  private scheduleFatal(): Timer {
    const { clock, cancellationTimeoutMs, slotIndex, fatal } = this.options
    return clock.schedule(cancellationTimeoutMs, () => {
      const what = `slot ${slotIndex} with tasks of job ${this.jobId}`
      fatal(new FlinkError('TIMEOUT', `${what} did not end within task.cancellation.timeout (${cancellationTimeoutMs} ms)`))
    })
  }
}
