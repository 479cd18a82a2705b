import type { SerializedError } from '../common/errors.ts'
import { isCheckpoint, isTerminating, type SnapshotType } from '../common/snapshot-type.ts'

/**
 * When a job's checkpoints are taken, and when one is done: pure. `step(state, event)` answers the next state and what is to be done for it; the shell
 * (JobMaster) does it, and asks `wakeMs` when to come back without an event. Times are monotonic milliseconds of one clock.
 *
 *   trigger -> tasks acknowledge -> (all of them) publish -> published -> complete, older ones subsumed
 *           -> declined, expired, a task finished, stopped: aborted
 *
 * Rules, where not said otherwise Flink's:
 * - periodic ones wait for the interval, for `minPauseMs` since the last one has ended, and while `maxConcurrent` are under way. One that was asked for by
 *   somebody waits for the last of these only, in front of the next periodic one;
 * - every task that still runs acknowledges. The barrier starts at those without running tasks in front of them. A task that finishes before it has
 *   acknowledged makes the checkpoint one that cannot be had: it is aborted, counts for nothing, and the next one is taken at once, without that task;
 * - checkpoints are published one at a time, in order of their ids. A published one subsumes all that were triggered before it;
 * - what counts as failed: a decline because of an error, the time-out, a failed publication. More than `tolerableFailures` of them without a success
 *   between fail the job. A taken id (`conflict`) counts for nothing and is tried again at once;
 * - a savepoint is asked for by one request and is its answer. It is refused while not all tasks run. It subsumes nothing and is not subsumed, does not
 *   count among the completed ones, and nobody commits for it; that it fails counts for nothing, and the job goes on;
 * - one behind which the job stops is different in that. While it is under way nothing else is triggered. When it is published it is the newest
 *   checkpoint: sinks commit, and no other one follows. When it fails, tasks go on where they stood; but behind a drain they have seen the end of their
 *   inputs, so the job fails, and its next attempt goes on from the newest checkpoint;
 * - when the store says that this process does not lead any more, or cannot tell whether it has published, nothing at all is done any more.
 *
 * Invariants: ids grow and are never used twice, whatever becomes of them; a checkpoint is published only when all tasks that it waits for have
 * acknowledged, and said to be complete only when it is published; every request is answered once.
 */
export interface CoordinatorOptions {
  /** Undefined = only when somebody asks. */
  readonly intervalMs: number | undefined
  readonly timeoutMs: number
  readonly minPauseMs: number
  readonly maxConcurrent: number
  readonly tolerableFailures: number
  /** Completed checkpoints that are kept. */
  readonly retainedMax: number
}

export interface CoordinatorTask {
  readonly executionId: string
  /** Executions that send to it. */
  readonly upstream: readonly string[]
}

/** `A` is what a task hands over: the core only passes it on. */
export interface CoordinatorState<A> {
  readonly options: CoordinatorOptions
  readonly tasks: readonly CoordinatorTask[]
  readonly phase: 'waiting' | 'running' | 'stopped'
  readonly nextId: number
  /** When the next periodic one is due. */
  readonly dueMs: number
  /** When the last one ended, however. */
  readonly lastEndMs: number
  /** One was aborted that nobody can be blamed for: the next one is due at once. */
  readonly again: boolean
  /** In order of their ids. */
  readonly pending: readonly PendingCheckpoint<A>[]
  /** Asked for, not triggered yet: first come, first served. */
  readonly requests: readonly SnapshotRequest[]
  readonly finished: ReadonlySet<string>
  /** Without a success since. */
  readonly failures: number
  /** Ids, oldest first. */
  readonly completed: readonly number[]
}

export interface SnapshotRequest {
  readonly requestId: string
  readonly type: SnapshotType
}

export interface PendingCheckpoint<A> {
  readonly id: number
  readonly type: SnapshotType
  readonly triggeredMs: number
  /** Who waits for it. */
  readonly requests: readonly string[]
  readonly waitsFor: ReadonlySet<string>
  readonly acknowledged: ReadonlyMap<string, A>
  readonly publishing: boolean
}

export type CoordinatorEvent<A> =
  /** All tasks run. `firstDelayMs`: until the first periodic one is due. */
  | { readonly kind: 'start'; readonly nowMs: number; readonly firstDelayMs: number }
  | { readonly kind: 'wake'; readonly nowMs: number }
  | { readonly kind: 'request'; readonly nowMs: number; readonly requestId: string; readonly type: SnapshotType }
  | { readonly kind: 'acknowledge'; readonly nowMs: number; readonly id: number; readonly executionId: string; readonly state: A }
  /** `error` undefined = the task is about to end, which is nobody's failure. */
  | {
      readonly kind: 'decline'
      readonly nowMs: number
      readonly id: number
      readonly executionId: string
      readonly error: SerializedError | undefined
    }
  | { readonly kind: 'taskFinished'; readonly nowMs: number; readonly executionId: string }
  | { readonly kind: 'published'; readonly nowMs: number; readonly id: number }
  | {
      readonly kind: 'publishFailed'
      readonly nowMs: number
      readonly id: number
      readonly error: SerializedError
      /** `lost`: this process must not go on. */
      readonly outcome: 'failed' | 'conflict' | 'lost'
    }
  /** The job fails, is cancelled or has ended. */
  | { readonly kind: 'stop'; readonly nowMs: number }

export type CheckpointEnd =
  | { readonly kind: 'completed'; readonly id: number }
  | { readonly kind: 'aborted'; readonly id: number | undefined; readonly why: AbortReason; readonly error: SerializedError | undefined }

export type AbortReason =
  | 'declined'
  | 'expired'
  | 'subsumed'
  | 'task finished'
  | 'publication failed'
  | 'id taken'
  | 'stopped'
  | 'no task runs'
  | 'not all tasks run'

export type CoordinatorEffect<A> =
  /** Send a barrier from these tasks. */
  | {
      readonly kind: 'trigger'
      readonly id: number
      readonly type: SnapshotType
      /** Who has asked for it. */
      readonly requests: readonly string[]
      readonly executionIds: readonly string[]
    }
  /** Tasks forget it. */
  | {
      readonly kind: 'abort'
      readonly id: number
      readonly why: AbortReason
      readonly error: SerializedError | undefined
      readonly executionIds: readonly string[]
    }
  | { readonly kind: 'publish'; readonly id: number; readonly states: ReadonlyMap<string, A> }
  /** Sinks commit, sources tell their systems; then what is not in `retained` goes. None for a savepoint behind which the job goes on. */
  | { readonly kind: 'complete'; readonly id: number; readonly executionIds: readonly string[]; readonly retained: readonly number[] }
  | { readonly kind: 'answer'; readonly requestId: string; readonly end: CheckpointEnd }
  /** Too many checkpoints have failed one after the other; or `type` is a drain, whose failure is one too many. */
  | {
      readonly kind: 'failJob'
      readonly type: SnapshotType
      readonly failures: number
      readonly error: SerializedError | undefined
      readonly why: AbortReason
    }
  /** Do nothing for the job any more. */
  | { readonly kind: 'giveUp'; readonly error: SerializedError }

/** `restored`: ids of the checkpoints that the store keeps, oldest first; new ones begin behind `idFloor`. */
export function createCoordinator<A>(
  options: CoordinatorOptions,
  tasks: readonly CoordinatorTask[],
  restored: readonly number[] = [],
  idFloor = 0,
): CoordinatorState<A> {
  return {
    options,
    tasks,
    phase: 'waiting',
    nextId: Math.max(idFloor, ...restored, 0) + 1,
    dueMs: Number.POSITIVE_INFINITY,
    lastEndMs: Number.NEGATIVE_INFINITY,
    again: false,
    pending: [],
    requests: [],
    finished: new Set(),
    failures: 0,
    completed: restored,
  }
}

export function step<A>(state: CoordinatorState<A>, event: CoordinatorEvent<A>): readonly [CoordinatorState<A>, readonly CoordinatorEffect<A>[]] {
  const run = new Step(state, event.nowMs)
  run.take(event)
  return [run.state, run.effects]
}

/** When a `wake` can do something; infinity = only an event can. */
export function wakeMs<A>(state: CoordinatorState<A>): number {
  if (state.phase !== 'running') return Number.POSITIVE_INFINITY
  const { timeoutMs, minPauseMs, maxConcurrent, intervalMs } = state.options
  let next = Number.POSITIVE_INFINITY
  for (const pending of state.pending) if (!pending.publishing) next = Math.min(next, pending.triggeredMs + timeoutMs)
  if (intervalMs !== undefined && mayTrigger(state, maxConcurrent) && runningTasks(state).length > 0)
    next = Math.min(next, Math.max(state.dueMs, state.lastEndMs + minPauseMs))
  return next
}

function mayTrigger<A>({ pending }: CoordinatorState<A>, maxConcurrent: number): boolean {
  return pending.length < maxConcurrent && !pending.some(({ type }) => isTerminating(type))
}

function runningTasks<A>({ tasks, finished }: CoordinatorState<A>): readonly CoordinatorTask[] {
  return tasks.filter(({ executionId }) => !finished.has(executionId))
}

/** One event: `state` is replaced as it is worked. */
class Step<A> {
  state: CoordinatorState<A>
  readonly effects: CoordinatorEffect<A>[] = []
  private readonly nowMs: number

  constructor(state: CoordinatorState<A>, nowMs: number) {
    this.state = state
    this.nowMs = nowMs
  }

  take(event: CoordinatorEvent<A>): void {
    if (this.state.phase === 'stopped') {
      if (event.kind === 'request') this.answer([event.requestId], aborted(undefined, 'stopped'))
      return
    }
    switch (event.kind) {
      case 'start':
        this.set({ phase: 'running', dueMs: event.nowMs + event.firstDelayMs })
        break
      case 'wake':
        break
      case 'request':
        this.request({ requestId: event.requestId, type: event.type })
        break
      case 'acknowledge':
        this.acknowledge(event.id, event.executionId, event.state)
        break
      case 'decline':
        this.decline(event.id, event.executionId, event.error)
        break
      case 'taskFinished':
        this.taskFinished(event.executionId)
        break
      case 'published':
        this.published(event.id)
        break
      case 'publishFailed':
        this.publishFailed(event.id, event.outcome, event.error)
        break
      case 'stop':
        this.stop()
        return
    }
    this.expire()
    this.publishNext()
    this.triggerDue()
  }

  private set(change: Partial<CoordinatorState<A>>): void {
    this.state = { ...this.state, ...change }
  }

  private find(id: number): PendingCheckpoint<A> | undefined {
    return this.state.pending.find(pending => pending.id === id)
  }

  private replace(next: PendingCheckpoint<A>): void {
    this.set({ pending: this.state.pending.map(pending => (pending.id === next.id ? next : pending)) })
  }

  private request(request: SnapshotRequest): void {
    if (!isCheckpoint(request.type) && this.state.phase === 'waiting') this.answer([request.requestId], aborted(undefined, 'not all tasks run'))
    else this.set({ requests: [...this.state.requests, request] })
  }

  private acknowledge(id: number, executionId: string, state: A): void {
    const pending = this.find(id)
    // Late, of a task that it does not wait for, or a second time: the first one counts.
    if (pending === undefined || !pending.waitsFor.has(executionId) || pending.acknowledged.has(executionId)) return
    this.replace({ ...pending, acknowledged: new Map([...pending.acknowledged, [executionId, state]]) })
  }

  private decline(id: number, executionId: string, error: SerializedError | undefined): void {
    const pending = this.find(id)
    if (pending === undefined || pending.publishing || !pending.waitsFor.has(executionId) || pending.acknowledged.has(executionId)) return
    if (error === undefined) this.abort(pending, 'task finished', undefined)
    else this.fail(pending, 'declined', error)
  }

  private taskFinished(executionId: string): void {
    if (this.state.finished.has(executionId)) return
    this.set({ finished: new Set([...this.state.finished, executionId]) })
    for (const pending of this.state.pending) {
      if (pending.waitsFor.has(executionId) && !pending.acknowledged.has(executionId)) this.abort(pending, 'task finished', undefined)
    }
  }

  private published(id: number): void {
    const pending = this.find(id)
    if (pending === undefined) return
    const answer = { kind: 'completed', id } as const
    if (pending.type === 'savepoint') {
      this.end(pending)
      this.answer(pending.requests, answer)
      return
    }
    for (const older of this.state.pending) if (older.id < id && isCheckpoint(older.type)) this.abort(older, 'subsumed', undefined)
    const completed = isCheckpoint(pending.type) ? [...this.state.completed, id].slice(-this.state.options.retainedMax) : this.state.completed
    this.end(pending)
    this.set({ failures: 0, completed })
    this.effects.push({ kind: 'complete', id, executionIds: runningTasks(this.state).map(task => task.executionId), retained: completed })
    this.answer(pending.requests, answer)
    if (isTerminating(pending.type)) this.stop()
  }

  private publishFailed(id: number, outcome: 'failed' | 'conflict' | 'lost', error: SerializedError): void {
    const pending = this.find(id)
    if (pending === undefined) return
    if (outcome === 'lost') {
      this.effects.push({ kind: 'giveUp', error })
      this.stop()
    } else if (outcome === 'conflict') {
      this.abort(pending, 'id taken', error)
    } else {
      this.fail(pending, 'publication failed', error)
    }
  }

  private stop(): void {
    for (const pending of this.state.pending) this.abort(pending, 'stopped', undefined, false)
    this.answerAll(aborted(undefined, 'stopped'))
    this.set({ phase: 'stopped' })
  }

  private expire(): void {
    const { timeoutMs } = this.state.options
    for (const pending of this.state.pending) {
      if (pending.publishing || this.nowMs < pending.triggeredMs + timeoutMs) continue
      this.fail(pending, 'expired', undefined)
      // It may have been one failure too many.
      if (this.state.phase !== 'running') return
    }
  }

  /** The oldest that is whole, unless another one is at it. */
  private publishNext(): void {
    if (this.state.phase !== 'running' || this.state.pending.some(({ publishing }) => publishing)) return
    const ready = this.state.pending.find(({ waitsFor, acknowledged: states }) => states.size === waitsFor.size)
    if (ready === undefined) return
    this.replace({ ...ready, publishing: true })
    this.effects.push({ kind: 'publish', id: ready.id, states: ready.acknowledged })
  }

  private triggerDue(): void {
    const { state, nowMs } = this
    if (state.phase !== 'running') return
    const running = runningTasks(state)
    if (running.length === 0) {
      this.answerAll(aborted(undefined, 'no task runs'))
      return
    }
    const { intervalMs, minPauseMs, maxConcurrent } = state.options
    if (!mayTrigger(state, maxConcurrent)) return
    const isDue = state.again || (intervalMs !== undefined && nowMs >= state.dueMs && nowMs >= state.lastEndMs + minPauseMs)
    const [next] = state.requests
    if (!isDue && next === undefined) return
    if (next === undefined || isCheckpoint(next.type)) {
      // All that want a checkpoint share it, which is a full one where anybody wants that.
      const asked = state.requests.filter(({ type }) => isCheckpoint(type))
      this.set({ again: false, dueMs: intervalMs === undefined ? state.dueMs : nowMs + intervalMs })
      this.trigger(asked.some(({ type }) => type === 'full-checkpoint') ? 'full-checkpoint' : 'checkpoint', asked, running)
    } else {
      this.trigger(next.type, [next], running)
    }
  }

  private trigger(type: SnapshotType, asked: readonly SnapshotRequest[], running: readonly CoordinatorTask[]): void {
    const { state, nowMs } = this
    const { nextId: id, finished } = state
    const requests = asked.map(({ requestId }) => requestId)
    const waitsFor = new Set(running.map(task => task.executionId))
    const pending = { id, type, triggeredMs: nowMs, requests, waitsFor, acknowledged: new Map<string, A>(), publishing: false }
    this.set({
      nextId: id + 1,
      requests: state.requests.filter(request => !asked.includes(request)),
      pending: [...state.pending, pending],
    })
    const first = running.filter(({ upstream }) => upstream.every(executionId => finished.has(executionId)))
    this.effects.push({ kind: 'trigger', id, type, requests, executionIds: first.map(task => task.executionId) })
  }

  private fail(pending: PendingCheckpoint<A>, why: AbortReason, error: SerializedError | undefined): void {
    const { type } = pending
    this.abort(pending, why, error)
    if (type === 'savepoint' || type === 'savepoint-terminate') return
    const failures = this.state.failures + 1
    this.set({ failures })
    if (type === 'savepoint-drain' || failures > this.state.options.tolerableFailures) {
      this.effects.push({ kind: 'failJob', type, failures, error, why })
      this.stop()
    }
  }

  /** One that nobody can be blamed for is taken again at once; who waits for it waits on. */
  private abort(pending: PendingCheckpoint<A>, why: AbortReason, error: SerializedError | undefined, tells = true): void {
    this.end(pending)
    const waiting = [...pending.waitsFor].filter(executionId => !this.state.finished.has(executionId))
    if (tells && waiting.length > 0) this.effects.push({ kind: 'abort', id: pending.id, why, error, executionIds: waiting })
    if (why === 'task finished' || why === 'id taken') {
      const { type } = pending
      const again = pending.requests.map(requestId => ({ requestId, type }))
      this.set({ requests: [...again, ...this.state.requests], again: this.state.again || isCheckpoint(type) })
    } else this.answer(pending.requests, aborted(pending.id, why, error))
  }

  private end(pending: PendingCheckpoint<A>): void {
    this.set({ pending: this.state.pending.filter(({ id }) => id !== pending.id), lastEndMs: this.nowMs })
  }

  private answerAll(end: CheckpointEnd): void {
    this.answer(
      this.state.requests.map(({ requestId }) => requestId),
      end,
    )
    this.set({ requests: [] })
  }

  private answer(requestIds: readonly string[], end: CheckpointEnd): void {
    for (const requestId of requestIds) this.effects.push({ kind: 'answer', requestId, end })
  }
}

function aborted(id: number | undefined, why: AbortReason, error?: SerializedError): CheckpointEnd {
  return { kind: 'aborted', id, why, error }
}
