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
  type AbortReason,
  type CheckpointEnd,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type CoordinatorState,
  createCoordinator,
  step,
  wakeMs,
} from '../checkpoint/coordinator-core.ts'
import type { EndedJob } from '../checkpoint/job-results.ts'
import { recoveryPath, savepointDirectory } from '../checkpoint/options.ts'
import {
  disposeSnapshot,
  locationOf,
  newSavepointFolder,
  readSnapshot,
  removeUnfinished,
  type SavepointTarget,
  writeSavepoint,
} from '../checkpoint/savepoint.ts'
import { planState, requireRestorable } from '../checkpoint/state-plan.ts'
import { openCheckpointStore } from '../checkpoint/state-storage.ts'
import { EpochLog, objectName, readManifest } from '../checkpoint/storage/epoch-log.ts'
import type { ObjectStore } from '../checkpoint/storage/object-store.ts'
import type { StoreOpener } from '../checkpoint/storage/open-store.ts'
import { sizeOf, type TaskState, writtenSize } from '../checkpoint/task-state.ts'
import { assert } from '../common/assert.ts'
import type { Clock, Timer } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { deserializeError, FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import { isCheckpoint, isTerminating, type SnapshotType } from '../common/snapshot-type.ts'
import { producersOf } from '../graph/channels.ts'
import type { Execution, ExecutionGraph } from '../graph/execution-graph.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { withoutUid } from '../graph/uids.ts'
import type { CheckpointSettings } from './checkpoint-settings.ts'
import { CheckpointStatistics } from './checkpoint-statistics.ts'
import { warnOfResultsSince } from './older-savepoint.ts'
import type { TriggeredSnapshot } from './task-gateway.ts'

/**
 * The checkpoints of one job, over all its restarts: the shell around the pure core (checkpoint/coordinator-core.ts), which says when and what, and the
 * epochs (checkpoint/storage/epoch-log.ts), which say what exists.
 *
 *   restore -> start -> (tasks are deployed with the plan) -> running -> trigger .. acknowledge .. publish .. complete -> stop -> restore ..
 *
 * - Each restart begins by claiming the next epoch. What was being published before is awaited first, so it either counts or never will; tasks that ran on
 *   in regions that have not failed learn which of the two it is.
 * - Enumerators are asked for their state before the first barrier is sent: what they hand out later is sent behind the barriers, and is no part of it.
 * - A checkpoint is complete when its epoch is claimed; then tasks are told, then what is not retained is removed. That removing fails is logged only.
 * - A savepoint is complete when its manifest is in its folder (checkpoint/savepoint.ts). One behind which the job stops claims an epoch as well, before
 *   anybody commits: should the job fail on its way out, it goes on from there.
 * - A job without a checkpoint of its own begins with what it was told to (`execution.state-recovery.path`), if anything.
 */
export interface CheckpointCoordinatorServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly generation: number
  /** Of this JobManager: other ones of its generation are no leaders. */
  readonly incarnation: string
  readonly openStore: StoreOpener
  snapshotEnumerators(checkpointId: number): ReadonlyMap<string, JsonObject>
  trigger(executionIds: readonly string[], snapshot: TriggeredSnapshot): void
  notify(executionIds: readonly string[], checkpointId: number, outcome: 'complete' | 'aborted'): void
  failJob(error: FlinkError): void
}

interface Triggered {
  readonly type: SnapshotType
  readonly timestampMs: number
  readonly enumerators: ReadonlyMap<string, JsonObject>
  /** Of a savepoint. */
  readonly target: SavepointTarget | undefined
}

/** As its result has it: it may have ended in another JobManager. */
type JobEnd = Pick<EndedJob, 'state' | 'savepoint'>

/** History that is kept of the checkpoints of a job. */
const HISTORY_MAX = 10

export class CheckpointCoordinator {
  private readonly jobId: string
  private jobGraph: JobGraph
  readonly settings: CheckpointSettings
  private readonly services: CheckpointCoordinatorServices
  private readonly log: Logger
  private store: ObjectStore | undefined
  private epochs: EpochLog | undefined
  private state: CoordinatorState<TaskState> | undefined
  private executions: readonly Execution[] = []
  private readonly triggered = new Map<number, Triggered>()
  private readonly waiting = new Map<string, (end: CheckpointEnd) => void>()
  /** Where requested savepoints go, by request. */
  private readonly targets = new Map<string, SavepointTarget>()
  private timer: Timer | undefined
  /** What is being published or removed: one thing after the other. */
  private storing: Promise<void> = Promise.resolve()
  private completed: readonly number[] = []
  private lastId = 0
  /** The newest one that tasks were told to be complete. */
  private toldId = 0
  /** A savepoint is taken, or has been, behind which all tasks end. */
  private stopping = false
  /** What the job was started from is its own, and has not been removed yet. */
  private claimed: string | undefined
  /** There is a checkpoint to begin with, and no task has begun with it. */
  private untouched = false
  readonly statistics = new CheckpointStatistics(HISTORY_MAX)
  /** Since the last one that was completed. */
  private failing: { readonly since: string; readonly cause: string } | undefined

  constructor(jobId: string, jobGraph: JobGraph, settings: CheckpointSettings, services: CheckpointCoordinatorServices) {
    this.jobId = jobId
    this.jobGraph = jobGraph
    this.settings = settings
    this.services = services
    this.log = services.log
    this.claimed = settings.recovery?.claim === true ? settings.recovery.path : undefined
  }

  /** Before tasks of this graph are deployed; undefined = there is no checkpoint yet. */
  async restore(jobGraph: JobGraph): Promise<RestorePlan | undefined> {
    const taken = this.storing.then(() => this.takeOver())
    this.storing = taken.then(
      () => {},
      () => {},
    )
    const { store, checkpointId, savepoint } = await taken
    const ignores = this.settings.ignoresUnclaimedState
    this.untouched = checkpointId !== null && this.state === undefined
    if (checkpointId !== null && savepoint === null && checkpointId > this.toldId) {
      this.toldId = checkpointId
      this.tellAll(checkpointId, 'complete')
    }
    if (checkpointId !== null && savepoint === null) {
      if (!this.completed.includes(checkpointId)) this.completed = [checkpointId]
      const manifest = await readManifest(store, this.jobId, checkpointId)
      const body = decodeBody(manifest.body)
      const location = this.checkpointPath(checkpointId)
      // Of another JobManager, which may have run another program under this id.
      const isForeign = manifest.head.nonce !== this.epochs?.nonce
      if (isForeign) requireRestorable(planState(body, jobGraph), location ?? String(checkpointId), ignores)
      return this.restoring(new RestorePlan(checkpointId, body, null, isForeign && ignores), false, location)
    }
    const path = savepoint ?? this.settings.recovery?.path
    if (path === undefined) return undefined
    const { head, body, isSavepoint, location, objectsLocation } = await readSnapshot(path, uri => this.openFolder(uri))
    requireRestorable(planState(body, jobGraph), location, ignores)
    if (savepoint === null) await warnOfResultsSince(store, head, location, this.log)
    return this.restoring(new RestorePlan(head.checkpointId, body, objectsLocation, ignores), isSavepoint, location)
  }

  private restoring(plan: RestorePlan, isSavepoint: boolean, path: string | undefined): RestorePlan {
    const { checkpointId } = plan
    this.lastId = Math.max(this.lastId, checkpointId)
    this.statistics.restored({ id: checkpointId, timestampMs: Math.round(this.services.clock.nowMs()), isSavepoint, path })
    return plan
  }

  /** Why none is completed at present, as far as that is known. */
  get problem(): string | undefined {
    const { failing, epochs } = this
    if (epochs?.waitsFor !== undefined) return `the checkpoint store does not answer: ${epochs.waitsFor}`
    return failing === undefined ? undefined : `checkpoints fail since ${failing.since}: ${failing.cause}`
  }

  /** From here on no other JobManager's checkpoints of the job count. */
  async takeOver(): Promise<{ readonly store: ObjectStore; readonly checkpointId: number | null; readonly savepoint: string | null }> {
    const { clock, random, log, generation, incarnation, openStore } = this.services
    const store = (this.store ??= await openCheckpointStore(this.configuration, openStore))
    this.epochs ??= new EpochLog({ store, jobId: this.jobId, generation, incarnation, clock, random, log })
    return { store, checkpointId: await this.epochs.takeOver(), savepoint: this.epochs.savepoint }
  }

  /** What is stored stays when the job is told to end, so that it can be started again under its id. */
  get outlivesJob(): boolean {
    const { retention, storage } = this.settings.view
    return retention === 'RETAIN_ON_CANCELLATION' && storage === 'FileSystemCheckpointStorage'
  }

  /** Behind a savepoint a job rests rather than ends: under its id it goes on from there. */
  restsAfter({ state, savepoint }: JobEnd): boolean {
    return state === 'FINISHED' && savepoint !== null && this.outlivesJob
  }

  get isStopping(): boolean {
    return this.stopping
  }

  /** The job's tasks: those that are still to be deployed, and those that have run on. */
  start({ executions, jobGraph }: ExecutionGraph): void {
    this.untouched = false
    const byVertex = Map.groupBy(executions, ({ vertexId }) => vertexId)
    const tasks = executions.map(({ executionId, vertexId, subtaskIndex }) => {
      const own = byVertex.get(vertexId) ?? []
      // Of neighbours only those that send to it: others may run on when these have finished.
      const upstream = jobGraph.edges.flatMap(({ source, target, partitioner }) => {
        if (target.vertexId !== vertexId) return []
        const producers = byVertex.get(source.vertexId) ?? []
        return producersOf(partitioner, subtaskIndex, producers.length, own.length).flatMap(index => producers[index]?.executionId ?? [])
      })
      return { executionId, upstream }
    })
    this.executions = executions
    this.jobGraph = jobGraph
    this.triggered.clear()
    this.stopping = false
    // What was asked for while tasks were on their way, when another region's restart took their place.
    const requests = this.state?.requests ?? []
    this.state = { ...createCoordinator<TaskState>(this.settings.coordinator, tasks, this.completed, this.lastId), requests }
    for (const { executionId, state } of executions) if (state.name === 'FINISHED') this.taskFinished(executionId)
  }

  /** All of them run, or have finished by now. */
  allRunning(): void {
    this.take({ kind: 'start', nowMs: this.nowMs(), firstDelayMs: this.settings.coordinator.intervalMs ?? 0 })
  }

  acknowledge(executionId: string, id: number, state: TaskState): void {
    const bytes = { sizeBytes: sizeOf(state.operators), writtenBytes: writtenSize(state, objectName(id, executionId)) }
    this.statistics.acknowledged(id, executionId, bytes, Math.round(this.services.clock.nowMs()))
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
  requestCheckpoint(full = false): Promise<CheckpointEnd> {
    return this.request(newId(this.services.random), full ? 'full-checkpoint' : 'checkpoint')
  }

  /** Answers where it is, once it is there. */
  async requestSavepoint(type: Exclude<SnapshotType, 'checkpoint' | 'full-checkpoint'>, targetDirectory: string): Promise<string> {
    const { random, openStore } = this.services
    const store = await openStore(targetDirectory, this.configuration, savepointDirectory.key, 'write')
    const unnamed = withoutUid(this.jobGraph)
    if (unnamed.length > 0)
      this.log.warn('a savepoint finds operators by their uid, which some with state do not have: another graph may not find theirs', {
        operators: unnamed.join(', '),
      })
    const target = { store, folder: newSavepointFolder(this.jobId, random) }
    const requestId = newId(random)
    this.targets.set(requestId, target)
    try {
      const end = await this.request(requestId, type)
      if (end.kind === 'completed') return locationOf(target)
      throw new FlinkError(
        'EXTERNAL_SYSTEM',
        end.why === 'not all tasks run' ? 'Not all required tasks are currently running.' : `the savepoint could not be taken: ${reasonOf(end.why)}`,
        {},
        end.error === undefined ? undefined : deserializeError(end.error),
      )
    } finally {
      this.targets.delete(requestId)
    }
  }

  private request(requestId: string, type: SnapshotType): Promise<CheckpointEnd> {
    return new Promise(resolve => {
      this.waiting.set(requestId, resolve)
      if (this.state === undefined) this.answer(requestId, { kind: 'aborted', id: undefined, why: 'not all tasks run', error: undefined })
      else this.take({ kind: 'request', nowMs: this.nowMs(), requestId, type })
    })
  }

  /** Tasks have failed, or end: nothing is triggered any more; what is being published goes on. */
  stop(): void {
    this.take({ kind: 'stop', nowMs: this.nowMs() })
    for (const id of this.triggered.keys()) {
      this.tellAll(id, 'aborted')
      this.giveUp(id, 'stopped')
    }
    this.timer?.cancel()
    this.timer = undefined
  }

  /** Nothing that was begun is being stored any more. */
  async settled(): Promise<void> {
    await this.storing
  }

  /** Where the savepoint lies behind which all tasks have ended. */
  get stoppedBehind(): string | null {
    return this.stopping ? (this.epochs?.savepoint ?? null) : null
  }

  /** To be asked before anything is said of the job's end: FENCED where it is another JobManager's. One that never led cannot know. */
  async confirmLead(): Promise<void> {
    await this.storing
    if (this.epochs?.leads === true) await this.epochs.confirmLead()
  }

  /** The job has ended: its checkpoints are removed, unless they are to be retained, or are those of a program that this one could not go on from. */
  async close(end: JobEnd): Promise<void> {
    this.stop()
    await this.storing
    const { retention } = this.settings.view
    const retained =
      end.state === 'FAILED' ? retention !== 'NO_EXTERNALIZED_CHECKPOINTS' : (end.state === 'CANCELED' && this.outlivesJob) || this.restsAfter(end)
    const isUntouched = end.state === 'FAILED' && this.untouched
    // One that never led has nothing to remove.
    if (retained || isUntouched || this.epochs === undefined || !this.epochs.leads) return
    try {
      await this.epochs.discard()
      await this.removeClaimed()
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
      case 'trigger':
        this.trigger(effect.id, effect.type, effect.requests[0], effect.executionIds)
        return
      case 'abort':
        this.log.info(`checkpoint ${effect.id} was given up`, { why: effect.why })
        services.notify(effect.executionIds, effect.id, 'aborted')
        this.giveUp(effect.id, effect.why, effect.error)
        return
      case 'publish':
        this.publish(effect.id, effect.states)
        return
      case 'complete':
        this.completed = effect.retained
        this.toldId = effect.id
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
            effect.type === 'savepoint-drain'
              ? `the job was to stop, its inputs were ended, and the savepoint could not be taken: ${reasonOf(effect.why)}`
              : `Exceeded checkpoint tolerable failure threshold. ${effect.failures} in a row failed, the last one because it was ${effect.why}`,
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

  private trigger(id: number, type: SnapshotType, requestId: string | undefined, executionIds: readonly string[]): void {
    const { services, state } = this
    const timestampMs = Math.round(services.clock.nowMs())
    const target = isCheckpoint(type) || requestId === undefined ? undefined : this.targets.get(requestId)
    this.lastId = id
    this.stopping ||= isTerminating(type)
    this.triggered.set(id, { type, timestampMs, enumerators: services.snapshotEnumerators(id), target })
    const waitsFor = state?.pending.find(pending => pending.id === id)?.waitsFor ?? new Set()
    const waiting = this.executions.filter(({ executionId }) => waitsFor.has(executionId))
    this.statistics.triggered(id, type, timestampMs, new Map(waiting.map(({ executionId, vertexId }) => [executionId, vertexId])))
    const location = target === undefined ? null : locationOf(target)
    this.log.info(`triggering ${type} ${id}`, location === null ? { timestampMs } : { timestampMs, location })
    services.trigger(executionIds, { checkpointId: id, timestampMs, type, location })
  }

  /** Of a savepoint that did not come about nothing is left. */
  private giveUp(id: number, why: AbortReason, error?: SerializedError): void {
    const triggered = this.triggered.get(id)
    this.triggered.delete(id)
    if (triggered !== undefined && isTerminating(triggered.type)) this.stopping = false
    if (failures.has(why)) this.noteFailed(id, failureText(why, error))
    else this.statistics.failed(id, failureText(why, error), Math.round(this.services.clock.nowMs()))
    if (triggered?.target !== undefined) this.removeUnfinished(id, triggered.target)
  }

  private noteFailed(id: number, cause: string): void {
    const nowMs = Math.round(this.services.clock.nowMs())
    this.statistics.failed(id, cause, nowMs)
    this.failing = { since: this.failing?.since ?? new Date(nowMs).toISOString(), cause }
  }

  private removeUnfinished(id: number, target: SavepointTarget): void {
    removeUnfinished(target, id).catch(error => this.log.warn('what was written of a savepoint could not be removed', { id, error: String(error) }))
  }

  private publish(id: number, states: ReadonlyMap<string, TaskState>): void {
    const { epochs, state } = this
    const triggered = this.triggered.get(id)
    assert(epochs !== undefined && triggered !== undefined, 'a checkpoint is published by the process that has triggered it')
    this.triggered.delete(id)
    const body = this.bodyOf(states, triggered.enumerators)
    const isOver = () => this.state?.tasks !== state?.tasks || this.state?.phase === 'stopped'
    // An event of before a restart must not reach the core of behind it.
    const tell = (event: CoordinatorEvent<TaskState>) => {
      if (!isOver()) this.take(event)
    }
    const startMs = this.nowMs()
    this.storing = this.storing.then(async () => {
      try {
        await this.save(id, triggered, body, epochs)
      } catch (error) {
        const serialized = serializeError(error)
        this.noteFailed(id, failureText('publication failed', serialized))
        const outcome =
          serialized.code === 'CONFLICT' ? 'conflict' : serialized.code === 'FENCED' || serialized.code === 'OUTCOME_UNKNOWN' ? 'lost' : 'failed'
        this.log.warn(`checkpoint ${id} could not be published`, { outcome, error: serialized.message })
        if (isOver() && outcome !== 'lost') this.tellAll(id, 'aborted')
        tell({ kind: 'publishFailed', nowMs: this.nowMs(), id, error: serialized, outcome })
        return
      }
      let size = 0
      for (const taskState of states.values()) size += sizeOf(taskState.operators)
      const nowMs = Math.round(this.services.clock.nowMs())
      const path = triggered.target === undefined ? this.checkpointPath(id) : locationOf(triggered.target)
      this.statistics.completed(id, path, nowMs)
      this.failing = undefined
      this.log.info(`completed ${triggered.type} ${id}`, {
        bytes: size,
        durationMs: nowMs - triggered.timestampMs,
        publishedInMs: Math.round(this.nowMs() - startMs),
      })
      tell({ kind: 'published', nowMs: this.nowMs(), id })
    })
  }

  /** Those that run on while others have failed. */
  private tellAll(id: number, outcome: 'complete' | 'aborted'): void {
    const executionIds = this.executions.map(({ executionId }) => executionId)
    this.services.notify(executionIds, id, outcome)
  }

  private async save(id: number, { type, timestampMs, target }: Triggered, body: CheckpointBody, epochs: EpochLog): Promise<void> {
    const about = { checkpointId: id, timestampMs, objects: bodyObjects(body) }
    if (target === undefined) {
      await epochs.publish(about, encodeBody(body))
      return
    }
    try {
      await writeSavepoint(target, { ...about, jobId: this.jobId, generation: this.services.generation, nonce: epochs.nonce }, body)
    } catch (error) {
      // Its manifest may be there.
      if (!(error instanceof FlinkError) || error.code !== 'OUTCOME_UNKNOWN') this.removeUnfinished(id, target)
      throw error
    }
    if (isTerminating(type)) await epochs.claimSavepoint(id, locationOf(target))
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
        // As if it were the oldest one.
        if (retained.length >= this.settings.coordinator.retainedMax) await this.removeClaimed()
      } catch (error) {
        this.log.warn('old checkpoints could not be removed; it is tried again after the next one', { error: String(error) })
      }
    })
  }

  private async removeClaimed(): Promise<void> {
    if (this.claimed === undefined) return
    await disposeSnapshot(this.claimed, uri => this.openFolder(uri)).catch((error: unknown) => {
      // Removed by an attempt or a JobManager before this one.
      if (!(error instanceof FlinkError) || error.code !== 'INVALID_ARGUMENT') throw error
    })
    this.claimed = undefined
  }

  private openFolder(uri: string): Promise<ObjectStore> {
    return this.services.openStore(uri, this.configuration, recoveryPath.key, 'read')
  }

  private get configuration(): Configuration {
    return Configuration.fromObject(this.jobGraph.configuration)
  }

  /** Undefined = it is in the memory of the JobManager only. */
  private checkpointPath(id: number): string | undefined {
    return this.settings.view.storage === 'JobManagerCheckpointStorage' ? undefined : `${this.store?.uri}/${this.jobId}/chk-${id}`
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

const reasons: Record<AbortReason, string> = {
  declined: 'a task could not take it',
  expired: 'it took longer than execution.checkpointing.timeout',
  subsumed: 'a later one has completed before it',
  'task finished': 'a task has finished',
  'publication failed': 'it could not be stored',
  'id taken': 'its id was taken',
  stopped: 'the job ends, or is about to restart',
  'no task runs': 'no task runs any more',
  'not all tasks run': 'not all tasks run',
}

/** Those that say that something is wrong; the others come with a job's life. */
const failures: ReadonlySet<AbortReason> = new Set(['declined', 'expired', 'publication failed'])

function reasonOf(why: AbortReason): string {
  return reasons[why]
}

/** What REST says of a checkpoint that has failed. */
function failureText(why: AbortReason, error: SerializedError | undefined): string {
  return error === undefined ? reasonOf(why) : `${reasonOf(why)}: ${error.message}`
}
