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
import type { IoHost } from '../stream/spi/io-host.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import type { ChannelProvider } from './channel-providers.ts'
import { type SlotEnvironment, SlotScheduler } from './slot.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, TaskMetricsSnapshot } from './slot-host.ts'
import { stateBackendOf } from './state-backend.ts'
import type { Task } from './task.ts'
import { type BuiltTask, buildTasks } from './task-builder.ts'

/**
 * What runs inside a slot, whoever hosts it: rebuilds the program's graph, makes the deployment's tasks, runs the scheduler, answers
 * commands. One instance serves one deployment (one job attempt).
 *
 * Protocol: `deploy` once; then commands in any order; every task reports INITIALIZING, RUNNING and one terminal state; when all are
 * terminal `exited` is reported and nothing follows. A deployment that cannot be built fails each of its tasks with the same cause.
 */
export interface SlotRuntimeEnvironment extends SlotEnvironment {
  readonly random: Random
  readonly channels: ChannelProvider
  readonly pages: PageReserver
  /** Tests of resumption only. */
  readonly suspendEverywhere?: boolean
  readonly generated?: boolean
  /** Tests of small states only. */
  readonly snapshotLimits?: SnapshotLimits | undefined
  /** `wake` is called when a port of that task has something or has credit again. */
  ioHost(wake: () => void): IoHost
  loadProgram(deployment: SlotDeployment): Promise<StreamGraph>
  emit(event: SlotEvent): void
}

export class SlotRuntime {
  private readonly environment: SlotRuntimeEnvironment
  private readonly scheduler: SlotScheduler
  private readonly log: Logger
  private built: readonly BuiltTask[] = []
  private pendingIds: readonly string[] = []
  private liveCount = 0
  private cancelled = false
  private exited = false
  /** Splits that arrived before their reader was built. */
  private readonly earlyCommands: (() => void)[] = []

  constructor(environment: SlotRuntimeEnvironment) {
    this.environment = environment
    this.scheduler = new SlotScheduler(environment)
    this.log = createLogger((entry: LogEntry) =>
      environment.emit({ kind: 'log', level: entry.level, message: entry.message, fields: entry.fields as JsonObject }),
    )
  }

  async deploy(deployment: SlotDeployment, restored: RestoredTasks = new Map()): Promise<void> {
    this.pendingIds = deployment.tasks.map(task => task.executionId)
    try {
      const graph = await this.environment.loadProgram(deployment)
      const stateBackend = await stateBackendOf(Configuration.fromObject(deployment.configuration), graph)
      if (this.cancelled) return
      this.built = buildTasks(deployment, graph, restored, {
        clock: this.environment.clock,
        random: this.environment.random,
        log: this.log,
        channels: this.environment.channels,
        pages: this.environment.pages,
        ioHost: this.environment.ioHost.bind(this.environment),
        scheduler: this.scheduler,
        suspendEverywhere: this.environment.suspendEverywhere ?? false,
        generated: this.environment.generated ?? true,
        snapshotLimits: this.environment.snapshotLimits,
        stateBackend,
        splitRequest: (executionId, operatorId) => this.environment.emit({ kind: 'split-request', executionId, operatorId }),
        hooks: {
          state: (task, state, error) => {
            this.environment.emit({ kind: 'task-state', executionId: task.executionId, state, error })
            if (state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED') this.ended()
          },
          acknowledge: (task, { checkpointId, location }, snapshots) => {
            const { operatorIds } = this.built.find(built => built.task === task) ?? { operatorIds: [] }
            // Most operators have none.
            const operators = snapshots.flatMap((snapshot, i) =>
              snapshot.keyed === undefined && snapshot.lists.length === 0 ? [] : [{ operatorId: operatorIds[i] ?? '', snapshot }],
            )
            this.environment.emit({ kind: 'checkpoint-ack', executionId: task.executionId, checkpointId, location, operators })
          },
          awaitsCheckpoint: ({ executionId }) => this.environment.emit({ kind: 'awaits-checkpoint', executionId }),
        },
      })
    } catch (error) {
      if (this.cancelled) return
      for (const executionId of this.pendingIds)
        this.environment.emit({ kind: 'task-state', executionId, state: 'FAILED', error: serializeError(error) })
      this.exit()
      return
    }
    this.liveCount = this.built.length
    this.scheduler.start(this.built.map(({ task }) => task))
    for (const command of this.earlyCommands.splice(0)) command()
    await Promise.all(this.built.map(({ task }) => task.open().then(() => this.scheduler.wake(task))))
  }

  cancel(): void {
    this.cancelled = true
    if (this.built.length === 0) {
      // Still loading the program: nothing of it has run as a task.
      for (const executionId of this.pendingIds) this.environment.emit({ kind: 'task-state', executionId, state: 'CANCELED', error: undefined })
      this.exit()
      return
    }
    for (const { task } of this.built) task.cancel()
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
    for (const { task } of this.built) {
      if (!executionIds.includes(task.executionId)) continue
      task.requestCheckpoint(barrier)
      this.scheduler.wake(task)
    }
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    for (const { task } of this.built) {
      if (!executionIds.includes(task.executionId)) continue
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

  private withSource(executionId: string, operatorId: string, action: (built: BuiltTask) => void): void {
    const run = () => {
      const built = this.built.find(({ task }) => task.executionId === executionId)
      // A message for a task of this slot that has ended is late, not wrong.
      if (built === undefined || built.task.isClosed) return
      assert(built.sourceOperatorId === operatorId, `task ${built.task.name} reads from operator ${operatorId}`)
      built.task.inOrderWithBarriers(() => action(built))
    }
    if (this.built.length === 0) this.earlyCommands.push(run)
    else run()
  }

  private ended(): void {
    this.liveCount--
    if (this.liveCount === 0) this.exit()
  }

  private exit(): void {
    if (this.exited) return
    this.exited = true
    this.scheduler.stop()
    this.environment.emit({ kind: 'exited', error: undefined })
  }
}
