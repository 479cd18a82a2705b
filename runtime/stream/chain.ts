import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { LocalFrame } from '../network/columns.ts'
import { columnarFrameOf, objectFrameOf } from '../network/columns-rows.ts'
import type { CheckpointBarrier, ControlElement, ObjectFrame } from '../network/frame.ts'
import { MAX_WATERMARK } from '../network/frame.ts'
import type { NetworkOutput } from '../network/io.ts'
import type { RowLayout } from '../serde/row-layout.ts'
import { type OperatorIncrement, type RestoredSnapshot, snapshotSize } from '../state/snapshot.ts'
import type { ChainLimits, ChainLink, LinkCounters } from './chain-link.ts'
import { ChainOutput } from './chain-output.ts'
import type { FrameRunner, RunnerHost } from './frame-runner.ts'
import { segmentAt } from './generated/find-segment.ts'
import type { OperatorOutput, StreamOperator } from './operator.ts'
import type { SourceHeadOperator } from './operators/source-operator.ts'

/**
 * A chain: the operators of one task as a tree in pre-order, run a frame at a time by the interpreter.
 *
 * Rows go depth first by direct calls. Watermarks, stream status and end of input go as *visits*: `emitWatermark` of operator k puts one
 * visit per chained child into a queue, and the queue is worked off between rows (`advance`), what a visit causes before the next one. A visit
 * is a cursor: an operator that has more timers to fire than fit the output answers false and is visited again. So
 * - a watermark is delayed behind rows the same call still emits, never ahead of them;
 * - no row enters the chain while a visit is unfinished, and timers fire before later rows;
 * - at every row border the chain can stop (output full, budget spent, control) and go on at exactly that row.
 *
 * A frame goes to an operator in one of two ways:
 * - `processFrame`: as a whole. Nothing stops inside it, so the outputs' capacity is looked at before it;
 * - a `FrameRunner`: users' functions in a generated loop (generated/segment.ts), or the interpreter of an operator that only knows rows. It may
 *   stop at any row; what is left of the frame becomes the next visit, in front of what came behind the frame, so nothing overtakes its rows.
 * A frame that an operator emits behind a watermark of the same call waits as a visit too: its rows may be late for that watermark.
 * Rows that are made of a frame, or put into one, are counted (`rowsConverted`).
 *
 * The chain knows nothing of scheduling; `limits` says when to stop, the task decides what happens then.
 */
export type StopReason = 'done' | 'outputFull' | 'control' | 'budget'

type Visit =
  | { readonly kind: 'watermark'; readonly link: number; readonly input: number; readonly timestamp: number }
  | { readonly kind: 'status'; readonly link: number; readonly input: number; readonly idle: boolean }
  | { readonly kind: 'end'; readonly link: number; readonly input: number }
  /** For the children of `link`. */
  | { readonly kind: 'frame'; readonly link: number; readonly frame: LocalFrame }
  /** What a runner has left of a frame. */
  | { readonly kind: 'rest'; readonly runner: FrameRunner; readonly frame: ObjectFrame | LocalFrame; readonly from: number }

/**
 * For naming the record that an error comes from. `row`: the one that a source emitted last, or `currentRow` of the frame at hand. `rows`: of
 * the frame that the source emitted last, or of the one at hand, `first` to `last`, both counted. `nowhere`: a timer, a watermark, an answer of
 * an outside system, or a frame that was made on the way and has waited: it is not known any more what it was made of.
 */
export type InputPlace =
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'row' }
  | { readonly kind: 'rows'; readonly first: number; readonly last: number; readonly length: number }

const nowhere: InputPlace = { kind: 'nowhere' }
const atRow: InputPlace = { kind: 'row' }

export class OperatorChain implements RunnerHost {
  readonly links: readonly ChainLink[]
  /** Set by `OperatorContext.block`: async sinks at their bound. Counts as a full output. */
  blockers = 0
  /** Row of the frame at hand where `run` goes on. */
  currentRow = 0
  /** What of its input the chain is at, or was at when something threw. */
  inputAt: InputPlace = nowhere
  readonly clockMask: number
  private readonly outputs: readonly ChainOutput[]
  private readonly networkOutputs: readonly NetworkOutput[]
  private readonly asyncHalves: readonly StreamOperator[]
  private readonly head: StreamOperator
  private readonly headCounters: LinkCounters
  private readonly limits: ChainLimits
  private readonly inputCount: number
  /** Of the head's first input. */
  private readonly headRunner: FrameRunner | undefined
  /** Visits that the one at work has caused: they stand right behind it, in front of what came after it. */
  private caused = 0
  /** Rows of the columnar frame that the head is in the middle of. */
  private converted: { readonly frame: LocalFrame; readonly rows: ObjectFrame } | undefined = undefined
  private readonly visits: Visit[] = []
  /** Its inputs were ended for a savepoint, whose barrier follows: so its outputs have not. */
  private draining = false
  private readonly endedInputs: number[]
  private yieldCalls = 0

  readonly generated: boolean
  readonly jobName: string

  constructor(links: readonly ChainLink[], inputCount: number, limits: ChainLimits) {
    const first = links[0]
    assert(first !== undefined && first.parent === -1, 'a chain has a head')
    this.links = links
    this.inputCount = inputCount
    this.limits = limits
    this.generated = limits.generated !== false
    this.jobName = limits.jobName ?? ''
    this.clockMask = limits.rowsPerClockRead - 1
    assert((limits.rowsPerClockRead & this.clockMask) === 0, 'rowsPerClockRead is a power of two')
    this.head = first.operator
    this.headCounters = first.counters
    this.networkOutputs = links.flatMap(link => link.networkOutputs.map(({ output }) => output))
    this.asyncHalves = links.map(link => link.operator).filter(operator => operator.pollAsyncHalf !== undefined)
    this.outputs = links.map((_, index) => new ChainOutput(this, index))
    for (const output of this.outputs) output.connect(links)
    this.headRunner = inputCount === 1 ? segmentAt(this, links, 0, index => this.outputOf(index)) : undefined
    this.endedInputs = links.map(() => 0)
  }

  outputOf(index: number): OperatorOutput {
    const output = this.outputs[index]
    assert(output !== undefined, 'an output for every link')
    return output
  }

  /** Opens sinks first, so that nobody emits into a closed operator. */
  async open(): Promise<void> {
    for (let i = this.links.length - 1; i >= 0; i--) await this.links[i]!.operator.open()
  }

  restore(snapshots: readonly (RestoredSnapshot | undefined)[]): void {
    for (const [i, snapshot] of snapshots.entries()) {
      const link = this.links[i]
      if (snapshot === undefined || link === undefined) continue
      if (link.operator.restore !== undefined) link.operator.restore(snapshot)
      else if (snapshot.keyed !== undefined || snapshot.lists.some(({ items }) => items.length > 0))
        throw new FlinkError('INVALID_PROGRAM', `operator ${link.name}: the checkpoint has state of it, but it keeps none`)
    }
  }

  isFull(): boolean {
    if (this.blockers > 0) return true
    const outputs = this.networkOutputs
    for (let i = 0; i < outputs.length; i++) if (outputs[i]!.isFull()) return true
    return false
  }

  hasVisits(): boolean {
    return this.visits.length > 0
  }

  /** Asked by cursors and sources before each unit of work. */
  readonly shouldYield = (): boolean => {
    return this.isFull() || this.visits.length > 0 || this.isSliceOver()
  }

  /** A cursor in a visit must not stop for the visits behind it, only for those that it causes, for capacity and time. */
  private readonly cursorShouldYield = (): boolean => {
    return this.isFull() || this.caused > 0 || this.isSliceOver()
  }

  /** Never at the first call of a run, so that each run does at least one unit of work. */
  private isSliceOver(): boolean {
    const call = this.yieldCalls++
    return call !== 0 && (call & this.clockMask) === 0 && this.limits.budgetSpent()
  }

  /** True inside a visit; operators' `context.shouldYield` delegates here. */
  private inVisit = false
  contextShouldYield(): boolean {
    return this.inVisit ? this.cursorShouldYield() : this.shouldYield()
  }

  /** Runs rows `from`.. of `frame`; the caller keeps `currentRow`, where it goes on. A frame worked as a whole is done at once or not begun. */
  run(frame: ObjectFrame | LocalFrame, input: number, from: number): StopReason {
    if (this.headRunner !== undefined) return this.runHead(this.headRunner, frame, from)
    const { head } = this
    const layout = this.links[0]!.inputLayouts?.[input]
    const process = input === 1 ? head.processFrame2 : head.processFrame
    if (process === undefined || layout === undefined) {
      this.inputAt = atRow
      const why = this.runRows(frame.kind === 'object' ? frame : this.rowsOf(frame, layout), input, from)
      this.inputAt = nowhere
      return why
    }
    this.currentRow = 0
    if (this.isFull()) return 'outputFull'
    const counters = this.headCounters
    let columns: LocalFrame
    if (frame.kind === 'columnar') {
      columns = frame
    } else {
      columns = columnarFrameOf(frame, layout)
      counters.rowsConverted += columns.length
    }
    counters.recordsIn += columns.length
    counters.rowsColumnar += columns.length
    this.inputAt = wholeOf(columns)
    process.call(head, columns)
    this.inputAt = nowhere
    this.currentRow = columns.length
    return 'done'
  }

  private runHead(runner: FrameRunner, frame: ObjectFrame | LocalFrame, from: number): StopReason {
    this.currentRow = from
    if (this.isFull()) return 'outputFull'
    this.currentRow = runner.run(frame, from)
    if (this.currentRow === lengthOf(frame)) return 'done'
    return this.visits.length > 0 ? 'control' : this.isFull() ? 'outputFull' : 'budget'
  }

  /** Made once per frame: the head may stop at any of its rows. */
  private rowsOf(frame: LocalFrame, layout: RowLayout | undefined): ObjectFrame {
    if (this.converted?.frame === frame) return this.converted.rows
    assert(layout !== undefined, 'columnar frames come on edges whose type has a columnar form')
    const rows = objectFrameOf(frame, layout)
    this.headCounters.rowsConverted += frame.length
    this.converted = { frame, rows }
    return rows
  }

  private runRows(frame: ObjectFrame, input: number, from: number): StopReason {
    const { rows, timestamps } = frame
    const head = this.head
    const counters = this.headCounters
    const second = input === 1
    for (let row = from; row < rows.length; row++) {
      this.currentRow = row
      if (this.isFull()) return 'outputFull'
      counters.recordsIn++
      const timestamp = timestamps === undefined ? Number.NaN : timestamps[row]!
      if (second) head.processElement2!(rows[row], timestamp)
      else head.processElement(rows[row], timestamp)
      this.currentRow = row + 1
      if (row + 1 === rows.length) break
      if (this.visits.length > 0) return 'control'
      if (((row + 1) & this.clockMask) === 0 && this.limits.budgetSpent()) return 'budget'
    }
    this.currentRow = rows.length
    this.converted = undefined
    return 'done'
  }

  /** Gives a frame to a chained operator; what its runner leaves is the next visit. */
  offer(runner: FrameRunner, frame: LocalFrame): void {
    const from = runner.run(frame, 0)
    if (from < frame.length) this.enqueue({ kind: 'rest', runner, frame, from })
  }

  visitCount(): number {
    return this.visits.length
  }

  budgetSpent(): boolean {
    return this.limits.budgetSpent()
  }

  failedAt(parent: number, first: number, last: number, length: number): void {
    if (this.isInput(parent)) this.inputAt = { kind: 'rows', first, last, length }
  }

  /** Whether frames that this link emits are the chain's input: -1 = a gate. Those of any other link were made on the way. */
  private isInput(link: number): boolean {
    return link === -1 || (link === 0 && this.inputCount === 0)
  }

  runSource(): 'more' | 'nothing' | 'end' {
    this.yieldCalls = 0
    this.inputAt = atRow
    const read = (this.head as SourceHeadOperator).pollSource(this.shouldYield)
    this.inputAt = nowhere
    return read
  }

  /** Called around a frame on its way to whoever reads what `link` emits. */
  enterFrame(link: number, frame: LocalFrame): void {
    if (this.isInput(link)) this.inputAt = wholeOf(frame)
  }

  leaveFrame(link: number): void {
    if (this.isInput(link)) this.inputAt = atRow
  }

  /** The source has ended by itself: MAX watermark, then the end, as a gate would deliver them. */
  endSource(): void {
    this.outputs[0]!.emitWatermark(MAX_WATERMARK)
    this.visits.push({ kind: 'end', link: 0, input: 0 })
  }

  /**
   * The job is to stop behind what there is: the inputs that have not ended do so now, and operators emit their last results. Those behind the outputs
   * do the same when the savepoint's barrier comes to them.
   */
  drain(openInputs: readonly number[]): void {
    if (this.isEnded()) return
    this.draining = true
    if (this.inputCount === 0) this.endSource()
    else for (const input of openInputs) this.accept({ kind: 'end' }, input)
  }

  /** Nothing of it runs: what it was to emit was emitted before the checkpoint that it comes from. */
  endAtOnce(): void {
    for (let link = 0; link < this.links.length; link++) this.endedInputs[link] = this.inputsOf(link)
    for (const output of this.networkOutputs) {
      output.emit({ kind: 'watermark', timestamp: MAX_WATERMARK })
      output.emit({ kind: 'end' })
    }
  }

  /** Control from the gate. Barriers are the task's business: it calls `snapshot` when the visits are done. */
  accept(control: ControlElement, input: number): void {
    if (control.kind === 'watermark') this.visits.push({ kind: 'watermark', link: 0, input, timestamp: control.timestamp })
    else if (control.kind === 'status') this.visits.push({ kind: 'status', link: 0, input, idle: control.idle })
    else if (control.kind === 'end') this.visits.push({ kind: 'end', link: 0, input })
    else assert(false, `the chain does not take ${control.kind}`)
  }

  /** Works off visits. True when none is left; false when capacity or time is out. */
  advance(): boolean {
    while (this.visits.length > 0) {
      if (this.isFull()) return false
      this.inVisit = true
      this.caused = 0
      this.yieldCalls = 0
      const left = this.work(this.visits[0]!)
      this.inVisit = false
      this.visits.shift()
      if (left === undefined) continue
      this.visits.splice(this.caused, 0, left)
      if (this.caused === 0) return false
    }
    return true
  }

  /** What is left of the visit; undefined = nothing. */
  private work(visit: Visit): Visit | undefined {
    if (visit.kind === 'frame') {
      this.enterFrame(visit.link, visit.frame)
      this.outputs[visit.link]!.deliverFrame(visit.frame)
      this.inputAt = nowhere
      return undefined
    }
    if (visit.kind === 'rest') {
      const next = visit.runner.run(visit.frame, visit.from)
      return next === lengthOf(visit.frame) ? undefined : { ...visit, from: next }
    }
    return this.visit(visit) ? undefined : visit
  }

  /** True when every operator has ended and the network outputs got their `end`. */
  isEnded(): boolean {
    return this.endedInputs.every((count, i) => count >= this.inputsOf(i)) && this.visits.length === 0
  }

  /** Lets operators with an async half (sinks) take its answers; also while the chain is blocked, because that is what unblocks it. */
  pollAsyncHalves(): void {
    for (const operator of this.asyncHalves) operator.pollAsyncHalf?.()
  }

  /** Fires due processing-time timers of all operators; false = call again. */
  fireTimers(nowMs: number): boolean {
    this.yieldCalls = 0
    for (const { operator } of this.links) {
      if (operator.processTimers !== undefined && !operator.processTimers(nowMs)) return false
      if (this.visits.length > 0) return false
    }
    return true
  }

  nextTimerMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { operator } of this.links) {
      const time = operator.nextTimerMs?.()
      if (time !== undefined && time < next) next = time
    }
    return next
  }

  /** Lets operators finish what must precede a barrier; false = call again. */
  prepareSnapshot(): boolean {
    this.yieldCalls = 0
    for (const { operator } of this.links) if (operator.prepareSnapshotPreBarrier?.() === false) return false
    return !this.isFull()
  }

  /** At a row border with no visit pending: barrier to the outputs, then every operator's state. Nothing follows an output's end. */
  snapshot(barrier: CheckpointBarrier): OperatorIncrement[] {
    assert(this.visits.length === 0, 'no snapshot inside a cursor')
    if (this.draining || !this.isEnded()) for (const output of this.networkOutputs) output.emit({ kind: 'barrier', barrier })
    return this.links.map(({ operator, counters }) => {
      const snapshot = operator.snapshot(barrier)
      counters.stateBytes = snapshotSize(snapshot)
      return snapshot
    })
  }

  /** Some of what snapshots to come will need; true = there is more that could be done now. */
  writeAhead(): boolean {
    let more = false
    for (const { operator } of this.links) if (operator.writeAhead?.() === true) more = true
    return more
  }

  notifyCheckpoint(checkpointId: number, outcome: 'complete' | 'aborted'): void {
    for (const { operator } of this.links) {
      if (outcome === 'complete') operator.notifyCheckpointComplete?.(checkpointId)
      else operator.notifyCheckpointAborted?.(checkpointId)
    }
  }

  get commitsOnCheckpoint(): boolean {
    return this.links.some(({ operator }) => operator.commitsOnCheckpoint === true)
  }

  commitsDone(): boolean {
    return this.links.every(({ operator }) => operator.commitsDone?.() ?? true)
  }

  drainOutputs(): boolean {
    let drained = true
    for (const output of this.networkOutputs) if (!output.drain()) drained = false
    return drained
  }

  flushOutputs(): void {
    for (const output of this.networkOutputs) output.flush()
  }

  /** Closes all operators, whatever one of them throws; answers the first error. */
  async close(): Promise<unknown> {
    let first: unknown
    for (const { operator } of this.links) {
      try {
        await operator.close()
      } catch (error) {
        first ??= error
      }
    }
    for (const output of this.networkOutputs) output.close()
    return first
  }

  enqueueWatermark(link: number, timestamp: number): void {
    this.enqueue({ kind: 'watermark', link, input: 0, timestamp })
  }

  enqueueStatus(link: number, idle: boolean): void {
    this.enqueue({ kind: 'status', link, input: 0, idle })
  }

  /** True when `frame` waits for the children of `link`, behind visits that the same call has caused; false = it goes to them now. */
  deferFrame(link: number, frame: LocalFrame): boolean {
    if ((this.inVisit ? this.caused : this.visits.length) === 0) return false
    this.enqueue({ kind: 'frame', link, frame })
    return true
  }

  private enqueue(visit: Visit): void {
    if (this.inVisit) this.visits.splice(1 + this.caused++, 0, visit)
    else this.visits.push(visit)
  }

  private visit(visit: Exclude<Visit, { kind: 'rest' | 'frame' }>): boolean {
    const { operator } = this.links[visit.link]!
    if (visit.kind === 'watermark') return operator.processWatermark(visit.timestamp, visit.input)
    if (visit.kind === 'status') {
      operator.processStatus?.(visit.idle, visit.input)
      return true
    }
    if (!operator.endInput(visit.input)) return false
    const ended = ++this.endedInputs[visit.link]!
    if (ended === this.inputsOf(visit.link)) {
      for (const child of this.outputs[visit.link]!.children) this.enqueue({ kind: 'end', link: child, input: 0 })
      if (!this.draining) for (const { output } of this.links[visit.link]!.networkOutputs) output.emit({ kind: 'end' })
    }
    return true
  }

  private inputsOf(link: number): number {
    return link === 0 ? Math.max(1, this.inputCount) : 1
  }
}

function wholeOf({ length }: LocalFrame): InputPlace {
  return { kind: 'rows', first: 0, last: length - 1, length }
}

function lengthOf(frame: ObjectFrame | LocalFrame): number {
  return frame.kind === 'object' ? frame.rows.length : frame.length
}
