import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import { isTerminating } from '../common/snapshot-type.ts'
import type { LocalFrame } from '../network/columns.ts'
import type { CheckpointBarrier, ObjectFrame } from '../network/frame.ts'
import type { InputGate } from '../network/io.ts'
import type { OperatorIncrement } from '../state/snapshot.ts'
import type { InputPlace, OperatorChain } from '../stream/chain.ts'
import type { SourceHeadOperator } from '../stream/operators/source-operator.ts'
import type { TaskState } from './slot-host.ts'

/**
 * One subtask: a chain, its gate and where it stands. The slot's scheduler calls `resume`, which works for one time slice and answers why
 * it stopped; nobody else ever waits.
 *
 * Order inside a slice, and the reason: some of a base that snapshots need (a task that is idle goes on with it slice by slice); spilled output (nothing new
 * while old output waits); then visits (watermarks, ends) and due
 * timers (they come before later rows); then a barrier that was asked for; then rows. When the input runs empty the output is flushed at
 * once, so an idle job has no rows in builders.
 *
 * Barriers come through the gate, or from the coordinator to a task without anybody left in front of it: a source, between two rows and in order with the
 * splits it gets; any other when it has read all of its input, since what it has not read is in no snapshot. At the end of its input a task whose operators
 * commit waits for a checkpoint that it has acknowledged since; one that a restored checkpoint calls finished only passes the end on.
 *
 * Behind the barrier of a savepoint with which the job stops, a task rests: it reads nothing and fires no timer. When the savepoint is complete it has
 * finished, without having told anybody of its end, for the others have taken the same barrier; when it is given up the task goes on. A drain ends the
 * inputs first, which cannot be taken back: from then on the task only waits for barriers.
 */
export interface TaskHooks {
  state(task: Task, state: TaskState, error: SerializedError | undefined): void
  acknowledge(task: Task, barrier: CheckpointBarrier, snapshots: readonly OperatorIncrement[]): void
  /** It has come to its end and waits for a checkpoint. */
  awaitsCheckpoint(task: Task): void
}

/** 'budget': run again; 'outputFull' and 'idle': when woken; 'ended': never. */
export type Resumption = 'budget' | 'outputFull' | 'idle' | 'ended'

type Phase =
  | { readonly kind: 'created' }
  | { readonly kind: 'initializing' }
  | { readonly kind: 'running' }
  | { readonly kind: 'closing'; readonly to: 'FINISHED' | 'CANCELED' | 'FAILED'; readonly error: SerializedError | undefined }
  | { readonly kind: 'closed' }

const edges: Record<Phase['kind'], readonly Phase['kind'][]> = {
  created: ['initializing', 'closing'],
  initializing: ['running', 'closing'],
  running: ['closing'],
  closing: ['closed'],
  closed: [],
}

/** What the coordinator sends, in its order. */
type Command = { readonly kind: 'barrier'; readonly barrier: CheckpointBarrier } | { readonly kind: 'run'; readonly run: () => void }

export const TIME_SLICE_MS = 5

export class Task {
  readonly executionId: string
  readonly name: string
  /** Position in the slot's topological order; the scheduler runs the largest first. */
  readonly depth: number
  readonly chain: OperatorChain
  /** Cumulative, for metrics. */
  busyMs = 0
  backPressuredMs = 0
  private phase: Phase = { kind: 'created' }
  private readonly gate: InputGate | undefined
  private readonly channelNames: readonly (readonly string[])[]
  private readonly source: SourceHeadOperator | undefined
  private readonly clock: Clock
  private readonly hooks: TaskHooks
  private readonly bufferTimeoutMs: number
  private readonly suspendEverywhere: boolean
  private frame: ObjectFrame | LocalFrame | undefined
  private frameInput = 0
  private frameRow = 0
  private frameChannel = 0
  private frameSequence = 0
  private barrier: CheckpointBarrier | undefined
  private readonly commands: Command[] = []
  private readonly restoredFinished: boolean
  /** Whether the end of the input waits for a checkpoint. */
  private readonly endsByCheckpoint: boolean
  /** The first checkpoint acknowledged behind the end of the input; undefined = none yet. */
  private finalCheckpointId: number | undefined
  private finalCheckpointComplete = false
  private awaitTold = false
  private sourceEnded = false
  private readonly inputEnded: boolean[]
  private drained = false
  /** The savepoint behind which it rests. */
  private resting: { readonly checkpointId: number; readonly complete: boolean } | undefined
  private sliceEndMs = 0
  private lastFlushMs = 0
  private parkedFullSinceMs = Number.NaN
  private runningSinceMs = Number.NaN
  private endedMs = Number.NaN
  private pendingError: unknown
  private opening: Promise<void> = Promise.resolve()

  constructor(parts: {
    executionId: string
    name: string
    depth: number
    chain: OperatorChain
    gate: InputGate | undefined
    /** Who writes each channel of each input of the gate, for people. */
    channelNames: readonly (readonly string[])[]
    source: SourceHeadOperator | undefined
    clock: Clock
    hooks: TaskHooks
    bufferTimeoutMs: number
    suspendEverywhere: boolean
    checkpointingEnabled: boolean
    /** It had finished when the checkpoint was taken that the job is restored from. */
    restoredFinished: boolean
  }) {
    this.executionId = parts.executionId
    this.name = parts.name
    this.depth = parts.depth
    this.chain = parts.chain
    this.gate = parts.gate
    this.channelNames = parts.channelNames
    this.source = parts.source
    this.clock = parts.clock
    this.hooks = parts.hooks
    this.bufferTimeoutMs = parts.bufferTimeoutMs
    this.suspendEverywhere = parts.suspendEverywhere
    this.restoredFinished = parts.restoredFinished
    this.inputEnded = parts.channelNames.map(() => false)
    this.endsByCheckpoint = parts.checkpointingEnabled && !parts.restoredFinished && parts.chain.commitsOnCheckpoint
  }

  get isRunning(): boolean {
    return this.phase.kind === 'running'
  }

  get isClosed(): boolean {
    return this.phase.kind === 'closed'
  }

  /** Time neither spent working nor waiting for an output. Cumulative, for metrics. */
  get idleMs(): number {
    if (Number.isNaN(this.runningSinceMs)) return 0
    const untilMs = Number.isNaN(this.endedMs) ? this.clock.monotonicMs() : this.endedMs
    const parkedMs = Number.isNaN(this.parkedFullSinceMs) ? 0 : untilMs - this.parkedFullSinceMs
    return Math.max(0, untilMs - this.runningSinceMs - this.busyMs - this.backPressuredMs - parkedMs)
  }

  budgetSpent(): boolean {
    return this.suspendEverywhere || this.clock.monotonicMs() >= this.sliceEndMs
  }

  async open(): Promise<void> {
    this.move({ kind: 'initializing' })
    this.hooks.state(this, 'INITIALIZING', undefined)
    try {
      if (this.restoredFinished) this.chain.endAtOnce()
      else this.opening = this.chain.open()
      await this.opening
    } catch (error) {
      this.fail(error)
      return
    }
    // Cancelled or failed while opening: `close` is already under way.
    if (this.phaseKind() !== 'initializing') return
    this.move({ kind: 'running' })
    this.lastFlushMs = this.clock.monotonicMs()
    this.runningSinceMs = this.lastFlushMs
    this.hooks.state(this, 'RUNNING', undefined)
  }

  requestCheckpoint(barrier: CheckpointBarrier): void {
    this.commands.push({ kind: 'barrier', barrier })
  }

  /** At once, or behind the barriers that were asked for before. */
  inOrderWithBarriers(run: () => void): void {
    if (this.commands.length === 0 && (this.source === undefined || this.barrier === undefined)) run()
    else this.commands.push({ kind: 'run', run })
  }

  notifyCheckpoint(checkpointId: number, outcome: 'complete' | 'aborted'): void {
    if (this.phase.kind !== 'running') return
    if (outcome === 'aborted') {
      this.gate?.abortCheckpoint(checkpointId)
      const at = this.commands.findIndex(command => command.kind === 'barrier' && command.barrier.checkpointId === checkpointId)
      if (at >= 0) this.commands.splice(at, 1)
      if (this.barrier?.checkpointId === checkpointId) this.barrier = undefined
      if (this.resting?.checkpointId === checkpointId) this.resting = undefined
    } else if (this.resting?.checkpointId === checkpointId) {
      this.resting = { checkpointId, complete: true }
    } else if (this.finalCheckpointId !== undefined && checkpointId >= this.finalCheckpointId) {
      this.finalCheckpointComplete = true
    }
    try {
      this.chain.notifyCheckpoint(checkpointId, outcome)
    } catch (error) {
      this.failLater(error)
    }
  }

  /** From outside a slice (rejected promise of an async function): raised by the next slice, so that failing has one path. */
  failLater(error: unknown): void {
    this.pendingError ??= error ?? new Error('unknown failure')
  }

  resume(): Resumption {
    if (this.phase.kind !== 'running') return this.phase.kind === 'closing' || this.phase.kind === 'closed' ? 'ended' : 'idle'
    const startMs = this.clock.monotonicMs()
    this.sliceEndMs = startMs + TIME_SLICE_MS
    if (!Number.isNaN(this.parkedFullSinceMs)) {
      this.backPressuredMs += startMs - this.parkedFullSinceMs
      this.parkedFullSinceMs = Number.NaN
    }
    let result: Resumption
    try {
      if (this.pendingError !== undefined) throw this.pendingError
      result = this.slice(startMs)
    } catch (error) {
      this.fail(error)
      return 'ended'
    }
    const endMs = this.clock.monotonicMs()
    this.busyMs += endMs - startMs
    if (result === 'outputFull') this.parkedFullSinceMs = endMs
    return result
  }

  /** When the scheduler must resume this task even if nobody wakes it, epoch ms. */
  nextTimerMs(): number {
    return this.phase.kind === 'running' && this.resting === undefined ? this.chain.nextTimerMs() : Number.POSITIVE_INFINITY
  }

  cancel(): void {
    this.end('CANCELED', undefined)
  }

  fail(error: unknown): void {
    this.end('FAILED', serializeError(this.locate(error)))
  }

  private slice(startMs: number): Resumption {
    const { chain } = this
    if (startMs - this.lastFlushMs >= this.bufferTimeoutMs) this.flush(startMs)
    chain.pollAsyncHalves()
    const baseUnfinished = chain.writeAhead()
    for (;;) {
      if (!chain.drainOutputs() || chain.blockers > 0) return 'outputFull'
      if (this.resting !== undefined) return this.rest(this.resting.complete)
      if (!chain.advance()) return this.whyStopped()
      const atEnd = this.isAtEnd()
      if (atEnd && this.mayFinish()) {
        this.end('FINISHED', undefined)
        return 'ended'
      }
      if (!atEnd && !this.restoredFinished && !chain.fireTimers(this.clock.nowMs())) {
        if (chain.hasVisits()) continue
        return this.whyStopped()
      }
      if (chain.hasVisits()) continue
      if (this.barrier === undefined) this.takeCommands()
      if (this.barrier !== undefined && this.frame === undefined) {
        if (this.barrier.type === 'savepoint-drain' && !this.drained) {
          this.drain()
          continue
        }
        const prepared = chain.prepareSnapshot()
        if (chain.hasVisits()) continue
        if (!prepared) return this.whyStopped()
        const { barrier } = this
        this.barrier = undefined
        if (atEnd) this.finalCheckpointId ??= barrier.checkpointId
        this.hooks.acknowledge(this, barrier, chain.snapshot(barrier))
        if (isTerminating(barrier.type)) {
          this.resting = { checkpointId: barrier.checkpointId, complete: false }
          this.flush(startMs)
        }
        continue
      }
      if (this.frame !== undefined) {
        const why = chain.run(this.frame, this.frameInput, this.frameRow)
        this.frameRow = chain.currentRow
        if (why === 'done') this.frame = undefined
        if (why === 'budget') return 'budget'
        continue
      }
      const read = this.source === undefined ? this.readGate() : this.readSource()
      if (read === 'nothing') {
        this.flush(startMs)
        if (!chain.drainOutputs()) return 'outputFull'
        return baseUnfinished ? 'budget' : 'idle'
      }
      if (this.budgetSpent()) return 'budget'
    }
  }

  private readGate(): 'more' | 'nothing' {
    assert(this.gate !== undefined, 'a task without a source has a gate')
    const element = this.gate.poll()
    if (element === undefined) return 'nothing'
    if (element.kind === 'frame') {
      this.frame = element.frame
      this.frameInput = element.input
      this.frameChannel = element.channel
      this.frameSequence = element.sequence
      this.frameRow = 0
    } else if (element.control.kind === 'barrier') {
      this.barrier = element.control.barrier
    } else if (!this.restoredFinished && !this.drained) {
      if (element.control.kind === 'end') this.inputEnded[element.input] = true
      this.chain.accept(element.control, element.input)
    }
    return 'more'
  }

  private drain(): void {
    this.drained = true
    this.sourceEnded = true
    this.chain.drain(this.inputEnded.flatMap((ended, input) => (ended ? [] : [input])))
  }

  private rest(complete: boolean): Resumption {
    if (!complete || !this.chain.commitsDone()) return 'idle'
    this.end('FINISHED', undefined)
    return 'ended'
  }

  private readSource(): 'more' | 'nothing' {
    if (this.sourceEnded || this.restoredFinished) return 'nothing'
    const why = this.chain.runSource()
    if (why === 'end') {
      this.sourceEnded = true
      this.chain.endSource()
      return 'more'
    }
    return why
  }

  private whyStopped(): Resumption {
    // Neither full nor out of time: a cursor waits for async work, which wakes the task.
    return this.chain.isFull() ? 'outputFull' : this.budgetSpent() ? 'budget' : 'idle'
  }

  private isAtEnd(): boolean {
    if (this.restoredFinished && this.gate?.isFinished === false) return false
    return this.chain.isEnded() && this.chain.drainOutputs()
  }

  private mayFinish(): boolean {
    if (this.drained) return false
    if (!this.endsByCheckpoint) return true
    if (this.finalCheckpointComplete) return this.chain.commitsDone()
    if (!this.awaitTold) this.hooks.awaitsCheckpoint(this)
    this.awaitTold = true
    return false
  }

  private takeCommands(): void {
    while (this.barrier === undefined) {
      const next = this.commands[0]
      if (next === undefined || (next.kind === 'barrier' && this.gate !== undefined && !this.gate.isFinished)) return
      this.commands.shift()
      if (next.kind === 'run') next.run()
      else this.barrier = next.barrier
    }
  }

  private flush(nowMs: number): void {
    this.lastFlushMs = nowMs
    this.chain.flushOutputs()
  }

  private end(to: 'FINISHED' | 'CANCELED' | 'FAILED', error: SerializedError | undefined): void {
    if (this.phase.kind === 'closing' || this.phase.kind === 'closed') return
    this.move({ kind: 'closing', to, error })
    this.endedMs = this.clock.monotonicMs()
    this.frame = undefined
    if (to === 'CANCELED') this.hooks.state(this, 'CANCELING', undefined)
    // An `open` in flight must not run beside `close`; cancel escalates when it never ends.
    void this.opening.catch(() => {}).then(() => this.close(to, error))
  }

  private async close(to: 'FINISHED' | 'CANCELED' | 'FAILED', error: SerializedError | undefined): Promise<void> {
    const closeError = await this.chain.close()
    this.gate?.close()
    this.move({ kind: 'closed' })
    // A failure while closing fails a task that had finished; it never hides the first cause.
    if (to === 'FINISHED' && closeError !== undefined) this.hooks.state(this, 'FAILED', serializeError(closeError))
    else this.hooks.state(this, to, error)
  }

  /** Adds where the record came from. The stack of the cause already names the user's file and line. */
  private locate(error: unknown): unknown {
    if (!(error instanceof FlinkError) || error.code !== 'USER_FUNCTION') return error
    const where = this.source === undefined ? this.describeFrame() : describeEmitted(this.source, this.chain.inputAt)
    if (where === undefined || where === '') return error
    const located = new FlinkError(error.code, `${error.message} (at ${where})`, { ...error.detail, position: where }, error.cause)
    located.stack = `${located.name}: ${located.message}\n${(error.stack ?? '')
      .split('\n')
      .filter(line => /^\s+at /.test(line))
      .join('\n')}`
    return located
  }

  private describeFrame(): string | undefined {
    const { inputAt, currentRow } = this.chain
    if (inputAt.kind === 'nowhere') return undefined
    const { first, last } = inputAt.kind === 'rows' ? inputAt : { first: currentRow, last: currentRow }
    const records = first === last ? `record ${first + 1}` : `records ${first + 1} to ${last + 1}`
    return `${records} of frame ${this.frameSequence + 1} from ${this.channelNames[this.frameInput]?.[this.frameChannel]}`
  }

  private phaseKind(): Phase['kind'] {
    return this.phase.kind
  }

  private move(to: Phase): void {
    assert(edges[this.phase.kind].includes(to.kind), `task phase ${this.phase.kind} -> ${to.kind}`)
    this.phase = to
  }
}

/** One row of a source, or the first and last of those that an error may come from. */
function describeEmitted(source: SourceHeadOperator, at: InputPlace): string | undefined {
  if (at.kind === 'nowhere') return undefined
  if (at.kind === 'row') return source.describePosition()
  const last = source.describePosition(at.length - 1 - at.last)
  return at.first === at.last ? last : `${source.describePosition(at.length - 1 - at.first)} to ${last}`
}
