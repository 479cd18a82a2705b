import { assert } from '../common/assert.ts'
import { Configuration } from '../common/config.ts'
import { serializeError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { LogEntry, Logger } from '../common/log.ts'
import { createLogger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { PageReserver } from '../network/page-pool.ts'
import type { SnapshotLimits } from '../state/keyed-snapshots.ts'
import type { OwnStateBackend } from '../state/own-backend.ts'
import type { OperatorChain } from '../stream/chain.ts'
import type { IoHost } from '../stream/spi/io-host.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import type { ChannelProvider } from './channel-providers.ts'
import { type SlotEnvironment, SlotScheduler } from './slot.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, TaskMetricsSnapshot } from './slot-host.ts'
import { stateBackendOf } from './state-backend.ts'
import type { Task } from './task.ts'
import { type BuildParts, type BuiltTask, buildTasks } from './task-builder.ts'

/**
 * What runs inside a slot, whoever hosts it: rebuilds the program's graph, makes the deployments' tasks, runs the scheduler, answers
 * commands. One instance serves one job, from its first deployment until no task runs any more.
 *
 * Protocol: `deploy`, once for each region of the job that has tasks here, and again for one whose tasks have ended; commands in any order; every task
 * reports INITIALIZING, RUNNING and one terminal state; when all are terminal `exited` is reported and nothing follows. A deployment that cannot be
 * built fails each of its tasks with the same cause.
 */
export interface SlotRuntimeEnvironment extends SlotEnvironment {
  readonly random: Random
  readonly pages: PageReserver
  /** Tests of resumption only. */
  readonly suspendEverywhere?: boolean
  readonly generated?: boolean
  /** Tests of small states only. */
  readonly snapshotLimits?: SnapshotLimits | undefined
  readonly hotKeysMax?: number | undefined
  /** `wake` is called when a port of that task has something or has credit again. */
  ioHost(wake: () => void): IoHost
  loadProgram(deployment: SlotDeployment): Promise<StreamGraph>
  emit(event: SlotEvent): void
}

/** A deployment whose program is being loaded. */
interface Loading {
  /** Those that have not been cancelled. */
  readonly executionIds: Set<string>
  /** Splits that arrived before their reader was built. */
  readonly earlyCommands: (() => void)[]
}

export class SlotRuntime {
  private readonly environment: SlotRuntimeEnvironment
  private readonly scheduler: SlotScheduler
  private readonly log: Logger
  private built: readonly BuiltTask[] = []
  private readonly loading = new Set<Loading>()
  private exited = false

  constructor(environment: SlotRuntimeEnvironment) {
    this.environment = environment
    this.scheduler = new SlotScheduler(environment)
    this.log = createLogger((entry: LogEntry) =>
      environment.emit({ kind: 'log', level: entry.level, message: entry.message, fields: entry.fields as JsonObject }),
    )
  }

  async deploy(deployment: SlotDeployment, restored: RestoredTasks, channels: ChannelProvider): Promise<void> {
    // Too late: whoever deploys finds it out by `exited`.
    if (this.exited) return
    const loading: Loading = { executionIds: new Set(deployment.tasks.map(task => task.executionId)), earlyCommands: [] }
    this.loading.add(loading)
    let built: readonly BuiltTask[]
    const chains: OperatorChain[] = []
    try {
      const graph = await this.environment.loadProgram(deployment)
      const stateBackend = await stateBackendOf(Configuration.fromObject(deployment.configuration), graph)
      if (loading.executionIds.size === 0) return
      built = this.build(deployment, graph, restored, stateBackend, channels, chains)
    } catch (error) {
      for (const chain of chains) await chain.close()
      this.loading.delete(loading)
      for (const executionId of loading.executionIds)
        this.environment.emit({ kind: 'task-state', executionId, state: 'FAILED', error: serializeError(error) })
      this.exitUnlessBusy()
      return
    }
    this.loading.delete(loading)
    this.built = [...this.built.filter(({ task }) => !task.isClosed), ...built]
    this.scheduler.add(built.map(({ task }) => task))
    for (const command of loading.earlyCommands) command()
    await Promise.all(built.map(({ task }) => task.open().then(() => this.scheduler.wake(task))))
  }

  cancel(executionIds: readonly string[]): void {
    for (const loading of this.loading) {
      // Nothing of it has run as a task yet.
      for (const executionId of executionIds)
        if (loading.executionIds.delete(executionId)) this.environment.emit({ kind: 'task-state', executionId, state: 'CANCELED', error: undefined })
      if (loading.executionIds.size === 0) this.loading.delete(loading)
    }
    for (const { task } of this.of(executionIds)) task.cancel()
    this.exitUnlessBusy()
  }

  wakeAll(): void {
    this.scheduler.wakeAll()
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    this.withSource(executionId, operatorId, built => {
      built.source?.addSplits(splits)
      this.scheduler.wake(built.task)
    })
  }

  noMoreSplits(executionId: string, operatorId: string): void {
    this.withSource(executionId, operatorId, built => {
      built.source?.noMoreSplits()
      this.scheduler.wake(built.task)
    })
  }

  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void {
    for (const { task } of this.of(executionIds)) {
      task.requestCheckpoint(barrier)
      this.scheduler.wake(task)
    }
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    for (const { task } of this.of(executionIds)) {
      task.notifyCheckpoint(checkpointId, outcome)
      this.scheduler.wake(task)
    }
  }

  metrics(): TaskMetricsSnapshot[] {
    return this.built.map(built => built.metrics())
  }

  get tasks(): readonly Task[] {
    return this.built.map(({ task }) => task)
  }

  private build(
    deployment: SlotDeployment,
    graph: StreamGraph,
    restored: RestoredTasks,
    stateBackend: OwnStateBackend | undefined,
    channels: ChannelProvider,
    chains: OperatorChain[],
  ): readonly BuiltTask[] {
    const { environment } = this
    const parts: BuildParts = {
      clock: environment.clock,
      random: environment.random,
      log: this.log,
      channels,
      pages: environment.pages,
      ioHost: environment.ioHost.bind(environment),
      scheduler: this.scheduler,
      suspendEverywhere: environment.suspendEverywhere ?? false,
      generated: environment.generated ?? true,
      snapshotLimits: environment.snapshotLimits,
      hotKeysMax: environment.hotKeysMax,
      stateBackend,
      splitRequest: (executionId, operatorId) => environment.emit({ kind: 'split-request', executionId, operatorId }),
      hooks: {
        state: (task, state, error) => {
          environment.emit({ kind: 'task-state', executionId: task.executionId, state, error })
          if (state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED') this.exitUnlessBusy()
        },
        acknowledge: (task, { checkpointId, location }, snapshots) => {
          const { operatorIds } = this.built.find(built => built.task === task) ?? { operatorIds: [] }
          // Most operators have none.
          const operators = snapshots.flatMap((snapshot, i) =>
            snapshot.keyed === undefined && snapshot.lists.length === 0 ? [] : [{ operatorId: operatorIds[i] ?? '', snapshot }],
          )
          environment.emit({ kind: 'checkpoint-ack', executionId: task.executionId, checkpointId, location, operators })
        },
        awaitsCheckpoint: ({ executionId }) => environment.emit({ kind: 'awaits-checkpoint', executionId }),
      },
    }
    return buildTasks(deployment, graph, restored, parts, chains)
  }

  private of(executionIds: readonly string[]): readonly BuiltTask[] {
    return this.built.filter(({ task }) => executionIds.includes(task.executionId))
  }

  private withSource(executionId: string, operatorId: string, action: (built: BuiltTask) => void): void {
    const run = () => {
      const built = this.built.find(({ task }) => task.executionId === executionId)
      // A message for a task of this slot that has ended is late, not wrong.
      if (built === undefined || built.task.isClosed) return
      assert(built.sourceOperatorId === operatorId, `task ${built.task.name} reads from operator ${operatorId}`)
      built.task.inOrderWithBarriers(() => action(built))
    }
    const loading = [...this.loading].find(({ executionIds }) => executionIds.has(executionId))
    if (loading === undefined) run()
    else loading.earlyCommands.push(run)
  }

  private exitUnlessBusy(): void {
    if (this.exited || this.loading.size > 0 || this.built.some(({ task }) => !task.isClosed)) return
    this.exited = true
    this.scheduler.stop()
    this.environment.emit({ kind: 'exited', error: undefined })
  }
}
