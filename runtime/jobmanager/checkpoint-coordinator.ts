import {
  bodyObjects,
  type CheckpointBody,
  checkpointBody,
  decodeBody,
  encodeBody,
  RestorePlan,
  type TaskEntry,
} from '../checkpoint/checkpoint-body.ts'
import {
  type CheckpointEnd,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type CoordinatorOptions,
  type CoordinatorState,
  createCoordinator,
  step,
  wakeMs,
} from '../checkpoint/coordinator-core.ts'
import * as options from '../checkpoint/options.ts'
import { openCheckpointStore, storageSettings } from '../checkpoint/state-storage.ts'
import { EpochLog, readManifest } from '../checkpoint/storage/epoch-log.ts'
import type { ObjectStore } from '../checkpoint/storage/object-store.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import { sizeOf, type TaskState } from '../checkpoint/task-state.ts'
import { assert } from '../common/assert.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { deserializeError, FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { Execution, ExecutionGraph } from '../graph/execution-graph.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import type { TerminalJobStatus } from '../rpc/job-manager-gateway.ts'

/**
 * The checkpoints of one job, over all its attempts: the shell around the pure core (checkpoint/coordinator-core.ts), which says when and what, and the
 * epochs (checkpoint/storage/epoch-log.ts), which say what exists.
 *
 *   restore -> (the attempt is deployed with the plan) -> start -> running -> trigger .. acknowledge .. publish .. complete -> stop -> restore ..
 *
 * - Each attempt begins by claiming the next epoch. What was being published by the one before is awaited first, so it either counts or never will.
 * - Enumerators are asked for their state before the first barrier is sent: what they hand out later is sent behind the barriers, and is no part of it.
 * - A checkpoint is complete when its epoch is claimed; then tasks are told, then what is not retained is removed. That removing fails is logged only.
 */
export interface CheckpointCoordinatorServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly generation: number
  readonly openStore: StoreOpener
  snapshotEnumerators(): ReadonlyMap<string, JsonObject>
  trigger(executionIds: readonly string[], checkpointId: number, timestampMs: number): void
  notify(executionIds: readonly string[], checkpointId: number, outcome: 'complete' | 'aborted'): void
  failJob(error: FlinkError): void
}

export interface CheckpointSettings {
  readonly coordinator: CoordinatorOptions
  readonly retention: 'NO_EXTERNALIZED_CHECKPOINTS' | 'DELETE_ON_CANCELLATION' | 'RETAIN_ON_CANCELLATION'
}

/** Undefined = the job takes no checkpoints. Values that are out of their range are INVALID_CONFIGURATION. */
export function checkpointSettings(configuration: Configuration): CheckpointSettings | undefined {
  if (!options.isCheckpointingEnabled(configuration)) return undefined
  const least = (option: Parameters<typeof configuration.get<number>>[0], from: number): number => {
    const value = configuration.get(option)
    if (value < from) throw new FlinkError('INVALID_CONFIGURATION', `option ${option.key}: expected a number from ${from}, got ${value}`)
    return value
  }
  storageSettings(configuration)
  const minPauseMs = configuration.get(options.checkpointMinPause)
  return {
    coordinator: {
      intervalMs: configuration.get(options.checkpointInterval),
      timeoutMs: least(options.checkpointTimeout, 10),
      minPauseMs,
      // Flink's rule: a pause between checkpoints means one at a time.
      maxConcurrent: minPauseMs > 0 ? 1 : least(options.maxConcurrentCheckpoints, 1),
      tolerableFailures: least(options.tolerableFailedCheckpoints, 0),
      retainedMax: least(options.numRetainedCheckpoints, 1),
    },
    retention: configuration.get(options.checkpointRetention),
  }
}

interface Triggered {
  readonly timestampMs: number
  readonly enumerators: ReadonlyMap<string, JsonObject>
}

export class CheckpointCoordinator {
  private readonly jobId: string
  private readonly jobGraph: JobGraph
  private readonly settings: CheckpointSettings
  private readonly services: CheckpointCoordinatorServices
  private readonly log: Logger
  private store: ObjectStore | undefined
  private epochs: EpochLog | undefined
  private state: CoordinatorState<TaskState> | undefined
  private executions: readonly Execution[] = []
  private readonly triggered = new Map<number, Triggered>()
  private readonly waiting = new Map<string, (end: CheckpointEnd) => void>()
  private timer: Timer | undefined
  /** What is being published or removed: one thing after the other. */
  private storing: Promise<void> = Promise.resolve()
  private completed: readonly number[] = []
  private lastId = 0

  constructor(jobId: string, jobGraph: JobGraph, settings: CheckpointSettings, services: CheckpointCoordinatorServices) {
    this.jobId = jobId
    this.jobGraph = jobGraph
    this.settings = settings
    this.services = services
    this.log = services.log
  }

  /** Before an attempt is deployed; undefined = there is no checkpoint yet. */
  async restore(): Promise<RestorePlan | undefined> {
    await this.storing
    const { clock, random, log, generation, openStore } = this.services
    const configuration = Configuration.fromObject(this.jobGraph.configuration)
    this.store ??= await openCheckpointStore(configuration, openStore)
    this.epochs ??= new EpochLog({ store: this.store, jobId: this.jobId, generation, clock, random, log })
    const checkpointId = await this.epochs.takeOver()
    if (checkpointId === null) return undefined
    this.lastId = Math.max(this.lastId, checkpointId)
    if (!this.completed.includes(checkpointId)) this.completed = [checkpointId]
    const plan = new RestorePlan(checkpointId, decodeBody((await readManifest(this.store, this.jobId, checkpointId)).body))
    plan.check(this.jobGraph)
    return plan
  }

  /** The attempt's tasks, all of them still to be deployed. */
  start({ executions, jobGraph }: ExecutionGraph): void {
    const tasks = executions.map(({ executionId, vertexId }) => {
      const producers = jobGraph.edges.filter(edge => edge.target.vertexId === vertexId).map(edge => edge.source.vertexId)
      return { executionId, upstream: executions.filter(other => producers.includes(other.vertexId)).map(other => other.executionId) }
    })
    this.executions = executions
    this.triggered.clear()
    this.state = createCoordinator(this.settings.coordinator, tasks, this.completed, this.lastId)
  }

  /** All of them run, or have finished by now. */
  allRunning(): void {
    this.take({ kind: 'start', nowMs: this.nowMs(), firstDelayMs: this.settings.coordinator.intervalMs ?? 0 })
  }

  acknowledge(executionId: string, id: number, state: TaskState): void {
    this.take({ kind: 'acknowledge', nowMs: this.nowMs(), id, executionId, state })
  }

  decline(executionId: string, id: number, error: SerializedError): void {
    this.log.warn(`checkpoint ${id} was declined`, { executionId, error: error.message })
    this.take({ kind: 'decline', nowMs: this.nowMs(), id, executionId, error })
  }

  taskFinished(executionId: string): void {
    this.take({ kind: 'taskFinished', nowMs: this.nowMs(), executionId })
  }

  /** One more, beside the periodic ones. */
  request(): Promise<CheckpointEnd> {
    const requestId = newId(this.services.random)
    return new Promise(resolve => {
      this.waiting.set(requestId, resolve)
      if (this.state === undefined) this.answer(requestId, { kind: 'aborted', id: undefined, why: 'no task runs', error: undefined })
      else this.take({ kind: 'request', nowMs: this.nowMs(), requestId })
    })
  }

  /** The attempt is over: nothing is triggered any more; what is being published goes on. */
  stop(): void {
    this.take({ kind: 'stop', nowMs: this.nowMs() })
    this.timer?.cancel()
    this.timer = undefined
  }

  /** The job has ended: its checkpoints are removed, unless they are to be retained. */
  async close(end: TerminalJobStatus): Promise<void> {
    this.stop()
    await this.storing
    const { retention } = this.settings
    const retained = end === 'FAILED' ? retention !== 'NO_EXTERNALIZED_CHECKPOINTS' : end === 'CANCELED' && retention === 'RETAIN_ON_CANCELLATION'
    // One that never led has nothing to remove.
    if (retained || this.epochs === undefined || !this.epochs.leads) return
    try {
      await this.epochs.discard()
    } catch (error) {
      this.log.warn('the checkpoints of a job that has ended could not be removed', { uri: this.store?.uri, error: String(error) })
    }
  }

  private take(event: CoordinatorEvent<TaskState>): void {
    if (this.state === undefined) return
    const [next, effects] = step(this.state, event)
    this.state = next
    for (const effect of effects) this.carryOut(effect)
    this.armTimer()
  }

  private carryOut(effect: CoordinatorEffect<TaskState>): void {
    const { services } = this
    switch (effect.kind) {
      case 'trigger': {
        const timestampMs = services.clock.nowMs()
        this.lastId = effect.id
        this.triggered.set(effect.id, { timestampMs, enumerators: services.snapshotEnumerators() })
        this.log.info(`triggering checkpoint ${effect.id}`, { timestampMs })
        services.trigger(effect.executionIds, effect.id, timestampMs)
        return
      }
      case 'abort':
        this.log.info(`checkpoint ${effect.id} was given up`, { why: effect.why })
        this.triggered.delete(effect.id)
        services.notify(effect.executionIds, effect.id, 'aborted')
        return
      case 'publish':
        this.publish(effect.id, effect.states)
        return
      case 'complete':
        this.completed = effect.retained
        services.notify(effect.executionIds, effect.id, 'complete')
        this.cleanUp(effect.retained)
        return
      case 'answer':
        this.answer(effect.requestId, effect.end)
        return
      case 'failJob':
        services.failJob(
          new FlinkError(
            'EXTERNAL_SYSTEM',
            `Exceeded checkpoint tolerable failure threshold. ${effect.failures} in a row failed, the last one because it was ${effect.why}`,
            {},
            effect.error === undefined ? undefined : deserializeError(effect.error),
          ),
        )
        return
      case 'giveUp': {
        const error = deserializeError(effect.error)
        // Whether it was published is found out by the next attempt, which takes over again.
        services.failJob(error.code === 'OUTCOME_UNKNOWN' ? new FlinkError('EXTERNAL_SYSTEM', error.message, {}, error) : error)
        return
      }
    }
  }

  private publish(id: number, states: ReadonlyMap<string, TaskState>): void {
    const { epochs, state } = this
    const triggered = this.triggered.get(id)
    assert(epochs !== undefined && triggered !== undefined, 'a checkpoint is published by the process that has triggered it')
    this.triggered.delete(id)
    const body = this.bodyOf(states, triggered.enumerators)
    // An event of an attempt that is over must not reach the next one's core.
    const tell = (event: CoordinatorEvent<TaskState>) => {
      if (this.state?.tasks === state?.tasks) this.take(event)
    }
    const startMs = this.nowMs()
    this.storing = this.storing.then(async () => {
      try {
        await epochs.publish({ checkpointId: id, timestampMs: triggered.timestampMs, objects: bodyObjects(body) }, encodeBody(body))
      } catch (error) {
        const serialized = serializeError(error)
        const outcome =
          serialized.code === 'CONFLICT' ? 'conflict' : serialized.code === 'FENCED' || serialized.code === 'OUTCOME_UNKNOWN' ? 'lost' : 'failed'
        this.log.warn(`checkpoint ${id} could not be published`, { outcome, error: serialized.message })
        tell({ kind: 'publishFailed', nowMs: this.nowMs(), id, error: serialized, outcome })
        return
      }
      let size = 0
      for (const taskState of states.values()) size += sizeOf(taskState.operators)
      const durationMs = Math.round(this.services.clock.nowMs() - triggered.timestampMs)
      this.log.info(`completed checkpoint ${id}`, { bytes: size, durationMs, publishedInMs: Math.round(this.nowMs() - startMs) })
      tell({ kind: 'published', nowMs: this.nowMs(), id })
    })
  }

  private bodyOf(states: ReadonlyMap<string, TaskState>, enumerators: ReadonlyMap<string, JsonObject>): CheckpointBody {
    const executionIds = new Map(this.executions.map(({ executionId, vertexId, subtaskIndex }) => [`${vertexId}/${subtaskIndex}`, executionId]))
    return checkpointBody(this.jobGraph, enumerators, (vertexId, subtaskIndex): TaskEntry['state'] => {
      // Every task that runs has acknowledged: the others had finished.
      return states.get(executionIds.get(`${vertexId}/${subtaskIndex}`) ?? '') ?? 'finished'
    })
  }

  private cleanUp(retained: readonly number[]): void {
    const { epochs } = this
    this.storing = this.storing.then(async () => {
      try {
        await epochs?.cleanUp(retained)
      } catch (error) {
        this.log.warn('old checkpoints could not be removed; it is tried again after the next one', { error: String(error) })
      }
    })
  }

  private answer(requestId: string, end: CheckpointEnd): void {
    this.waiting.get(requestId)?.(end)
    this.waiting.delete(requestId)
  }

  private armTimer(): void {
    this.timer?.cancel()
    this.timer = undefined
    const next = this.state === undefined ? Number.POSITIVE_INFINITY : wakeMs(this.state)
    if (next === Number.POSITIVE_INFINITY) return
    this.timer = this.services.clock.schedule(Math.max(0, next - this.nowMs()), () => {
      this.timer = undefined
      this.take({ kind: 'wake', nowMs: this.nowMs() })
    })
  }

  private nowMs(): number {
    return this.services.clock.monotonicMs()
  }
}
