import { assert } from '../common/assert.ts'
import type { ColumnarFrame } from '../network/columns.ts'
import { columnarFrameOf, frameOf, objectFrameOf } from '../network/columns-rows.ts'
import type { CheckpointBarrier, ControlElement, ObjectFrame } from '../network/frame.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../network/frame.ts'
import type { NetworkOutput } from '../network/io.ts'
import type { ColumnLayout } from '../serde/columns-type.ts'
import type { OperatorSnapshot } from '../state/snapshot.ts'
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
 * A columnar frame goes as a whole from operator to operator (`processFrame`): nothing stops inside it, so the outputs' capacity is looked at
 * before it. A frame that follows a watermark of the same call waits behind it as a visit: the rows in it may be late for that watermark. Between operators of which one works rows, rows and frames are made of one another and counted (`rowsConverted`).
 *
 * The chain knows nothing of scheduling; `limits` says when to stop, the task decides what happens then.
 */
export interface ChainLimits {
  /** The time slice is over. Reads a clock: asked every `rowsPerClockRead` rows. */
  budgetSpent(): boolean
  /** A power of two; 64 in production, 1 in tests that suspend at every row. */
  readonly rowsPerClockRead: number
}

export interface ChainLink {
  readonly operator: StreamOperator
  /** Index of the operator that feeds this one; -1 for the head. */
  readonly parent: number
  /** Which output of the parent; undefined = main. */
  readonly parentTag: string | undefined
  readonly networkOutputs: readonly { readonly tag: string | undefined; readonly output: NetworkOutput }[]
  readonly counters: LinkCounters
  /** Columns of each input of the operator (the head may have two); undefined where an input is not of type COLUMNS. */
  readonly inputColumns?: readonly (readonly ColumnLayout[] | undefined)[]
}

/** Written by the chain, read by whoever reports metrics. */
export interface LinkCounters {
  recordsIn: number
  recordsOut: number
  /** Of the rows in, those that came in columnar frames and were worked as such. */
  rowsColumnar: number
  /** Of the rows in, those that were made from a frame's, or put into one, for this operator. */
  rowsConverted: number
  /** Of the rows out, those in columnar frames. */
  rowsOutColumnar: number
}

export function newLinkCounters(): LinkCounters {
  return { recordsIn: 0, recordsOut: 0, rowsColumnar: 0, rowsConverted: 0, rowsOutColumnar: 0 }
}

export type StopReason = 'done' | 'outputFull' | 'control' | 'budget'

type Visit =
  | { readonly kind: 'watermark'; readonly link: number; readonly input: number; readonly timestamp: number }
  | { readonly kind: 'status'; readonly link: number; readonly input: number; readonly idle: boolean }
  | { readonly kind: 'end'; readonly link: number; readonly input: number }
  /** For the children of `link`. */
  | { readonly kind: 'frame'; readonly link: number; readonly frame: ColumnarFrame }

export class OperatorChain {
  readonly links: readonly ChainLink[]
  /** Set by `OperatorContext.block`: async sinks at their bound. Counts as a full output. */
  blockers = 0
  /** Row that was being processed when something threw. */
  currentRow = 0
  private readonly outputs: readonly ChainOutput[]
  private readonly networkOutputs: readonly NetworkOutput[]
  private readonly asyncHalves: readonly StreamOperator[]
  private readonly head: StreamOperator
  private readonly headCounters: LinkCounters
  private readonly limits: ChainLimits
  private readonly clockMask: number
  private readonly inputCount: number
  /** Rows of the columnar frame that the head is in the middle of. */
  private converted: { readonly frame: ColumnarFrame; readonly rows: ObjectFrame } | undefined = undefined
  private readonly visits: Visit[] = []
  /** Where the next visit goes that the first one causes. */
  private causedAt = 1
  private readonly endedInputs: number[]
  private yieldCalls = 0

  constructor(links: readonly ChainLink[], inputCount: number, limits: ChainLimits) {
    const first = links[0]
    assert(first !== undefined && first.parent === -1, 'a chain has a head')
    this.links = links
    this.inputCount = inputCount
    this.limits = limits
    this.clockMask = limits.rowsPerClockRead - 1
    assert((limits.rowsPerClockRead & this.clockMask) === 0, 'rowsPerClockRead is a power of two')
    this.head = first.operator
    this.headCounters = first.counters
    this.networkOutputs = links.flatMap(link => link.networkOutputs.map(({ output }) => output))
    this.asyncHalves = links.map(link => link.operator).filter(operator => operator.pollAsyncHalf !== undefined)
    this.outputs = links.map((_, index) => new ChainOutput(this, index))
    for (const output of this.outputs) output.connect(links)
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

  restore(snapshots: readonly (OperatorSnapshot | undefined)[]): void {
    for (const [i, snapshot] of snapshots.entries()) {
      if (snapshot !== undefined) this.links[i]?.operator.restore?.(snapshot)
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

  /** A cursor in a visit must not stop for the visits behind it, only for capacity and time. */
  private readonly cursorShouldYield = (): boolean => {
    return this.isFull() || this.isSliceOver()
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
  run(frame: ObjectFrame | ColumnarFrame, input: number, from: number): StopReason {
    const { head } = this
    const layouts = this.links[0]!.inputColumns?.[input]
    const process = input === 1 ? head.processFrame2 : head.processFrame
    if (process === undefined || layouts === undefined)
      return this.runRows(frame.kind === 'object' ? frame : this.rowsOf(frame, layouts), input, from)
    this.currentRow = 0
    if (this.isFull()) return 'outputFull'
    const counters = this.headCounters
    let columns: ColumnarFrame
    if (frame.kind === 'columnar') {
      columns = frame
    } else {
      columns = columnarFrameOf(frame, layouts)
      counters.rowsConverted += columns.length
    }
    counters.recordsIn += columns.length
    counters.rowsColumnar += columns.length
    process.call(head, columns)
    this.currentRow = columns.length
    return 'done'
  }

  /** Made once per frame: the head may stop at any of its rows. */
  private rowsOf(frame: ColumnarFrame, layouts: readonly ColumnLayout[] | undefined): ObjectFrame {
    if (this.converted?.frame === frame) return this.converted.rows
    assert(layouts !== undefined, 'columnar frames come on edges of columns')
    const rows = objectFrameOf(frame, layouts)
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

  runSource(): 'more' | 'nothing' | 'end' {
    this.yieldCalls = 0
    return (this.head as SourceHeadOperator).pollSource(this.shouldYield)
  }

  /** The source has ended by itself: MAX watermark, then the end, as a gate would deliver them. */
  endSource(): void {
    this.outputs[0]!.emitWatermark(MAX_WATERMARK)
    this.visits.push({ kind: 'end', link: 0, input: 0 })
  }

  /** Control from the gate. Barriers are the task's business: it calls `snapshot` when the visits are done. */
  accept(control: ControlElement, input: number): void {
    if (control.kind === 'watermark') this.visits.push({ kind: 'watermark', link: 0, input, timestamp: control.timestamp })
    else if (control.kind === 'status') this.visits.push({ kind: 'status', link: 0, input, idle: control.idle })
    else if (control.kind === 'end') this.visits.push({ kind: 'end', link: 0, input })
    else assert(false, `the chain does not take ${control.kind}`)
  }

  /** Works off visits. True when none is left. */
  advance(): boolean {
    while (this.visits.length > 0) {
      if (this.isFull()) return false
      const visit = this.visits[0]!
      this.inVisit = true
      this.yieldCalls = 0
      const done = this.visit(visit)
      this.inVisit = false
      if (!done) return false
      this.visits.shift()
      this.causedAt = 1
    }
    return true
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
    for (const { operator } of this.links) if (operator.prepareSnapshotPreBarrier?.() === false) return false
    return !this.isFull()
  }

  /** At a row border with no visit pending: barrier to the outputs, then every operator's state. */
  snapshot(barrier: CheckpointBarrier): OperatorSnapshot[] {
    assert(this.visits.length === 0, 'no snapshot inside a cursor')
    for (const output of this.networkOutputs) output.emit({ kind: 'barrier', barrier })
    return this.links.map(({ operator }) => operator.snapshot(barrier))
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

  /** True when `frame` waits for the children of `link`, behind visits of the call that emits it; false = it goes to them now. */
  deferFrame(link: number, frame: ColumnarFrame): boolean {
    if (this.inVisit || this.visits.length === 0) return false
    this.enqueue({ kind: 'frame', link, frame })
    return true
  }

  private enqueue(visit: Visit): void {
    if (this.inVisit) this.visits.splice(this.causedAt++, 0, visit)
    else this.visits.push(visit)
  }

  private visit(visit: Visit): boolean {
    if (visit.kind === 'frame') {
      this.outputs[visit.link]!.deliverFrame(visit.frame)
      return true
    }
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
      for (const { output } of this.links[visit.link]!.networkOutputs) output.emit({ kind: 'end' })
    }
    return true
  }

  private inputsOf(link: number): number {
    return link === 0 ? Math.max(1, this.inputCount) : 1
  }
}

/** One operator's output: chained children by direct call, network outputs by frame. */
class ChainOutput implements OperatorOutput {
  readonly children: number[] = []
  private readonly chain: OperatorChain
  private readonly index: number
  private counters: LinkCounters = newLinkCounters()
  private main: Targets = noTargets
  private readonly side = new Map<string, Targets>()
  private network: readonly NetworkOutput[] = []
  private lastWatermark = MIN_WATERMARK

  constructor(chain: OperatorChain, index: number) {
    this.chain = chain
    this.index = index
  }

  connect(links: readonly ChainLink[]): void {
    const own = links[this.index]!
    this.counters = own.counters
    this.network = own.networkOutputs.map(({ output }) => output)
    const byTag = new Map<string | undefined, Targets>()
    const targets = (tag: string | undefined): Targets => {
      const present = byTag.get(tag)
      if (present !== undefined) return present
      const fresh: Targets = { operators: [], operatorCounters: [], operatorColumns: [], network: [] }
      byTag.set(tag, fresh)
      return fresh
    }
    for (const [i, link] of links.entries()) {
      if (link.parent !== this.index) continue
      this.children.push(i)
      const target = targets(link.parentTag)
      const columns = link.inputColumns?.[0]
      const takesFrames = columns !== undefined && link.operator.processFrame !== undefined
      target.operators.push(takesFrames ? new RowsIntoFrames(link.operator, link.counters, columns) : link.operator)
      target.operatorCounters.push(link.counters)
      target.operatorColumns.push(columns)
    }
    for (const { tag, output } of own.networkOutputs) targets(tag).network.push(output)
    this.main = targets(undefined)
    for (const [tag, target] of byTag) if (tag !== undefined) this.side.set(tag, target)
  }

  collect(value: unknown, timestamp: number): void {
    this.counters.recordsOut++
    send(this.main, value, timestamp)
  }

  collectFrame(frame: ColumnarFrame): void {
    if (frame.length === 0) return
    this.counters.recordsOut += frame.length
    this.counters.rowsOutColumnar += frame.length
    const { operators, network } = this.main
    if (operators.length > 0 && !this.chain.deferFrame(this.index, frame)) this.deliverFrame(frame)
    for (let i = 0; i < network.length; i++) network[i]!.collectFrame(frame)
  }

  deliverFrame(frame: ColumnarFrame): void {
    const { operators, operatorCounters, operatorColumns } = this.main
    for (let i = 0; i < operators.length; i++) {
      const operator = operators[i]!
      const counters = operatorCounters[i]!
      counters.recordsIn += frame.length
      if (operator.processFrame === undefined) {
        counters.rowsConverted += frame.length
        processRows(operator, frame, operatorColumns[i])
      } else {
        counters.rowsColumnar += frame.length
        operator.processFrame(frame)
      }
    }
  }

  sideOutput(tagId: string, value: unknown, timestamp: number): void {
    // An unread tag costs one failed look-up and nothing else.
    const targets = this.side.get(tagId)
    if (targets === undefined) return
    this.counters.recordsOut++
    send(targets, value, timestamp)
  }

  emitWatermark(timestamp: number): void {
    if (timestamp <= this.lastWatermark) return
    this.lastWatermark = timestamp
    for (const output of this.network) output.emit({ kind: 'watermark', timestamp })
    for (const child of this.children) this.chain.enqueueWatermark(child, timestamp)
  }

  emitStatus(idle: boolean): void {
    for (const output of this.network) output.emit({ kind: 'status', idle })
    for (const child of this.children) this.chain.enqueueStatus(child, idle)
  }
}

type ChainedOperator = Pick<StreamOperator, 'processElement' | 'processFrame'>

interface Targets {
  readonly operators: ChainedOperator[]
  readonly operatorCounters: LinkCounters[]
  readonly operatorColumns: (readonly ColumnLayout[] | undefined)[]
  readonly network: NetworkOutput[]
}

const noTargets: Targets = { operators: [], operatorCounters: [], operatorColumns: [], network: [] }

function send(targets: Targets, value: unknown, timestamp: number): void {
  const { operators, operatorCounters, network } = targets
  for (let i = 0; i < operators.length; i++) {
    operatorCounters[i]!.recordsIn++
    operators[i]!.processElement(value, timestamp)
  }
  for (let i = 0; i < network.length; i++) network[i]!.collect(value, timestamp)
}

/**
 * Before an operator that works frames: a row becomes a frame of one. Slow, right, and counted; operators that feed columnar ones in their chain
 * emit frames.
 */
class RowsIntoFrames implements ChainedOperator {
  private readonly operator: StreamOperator
  private readonly counters: LinkCounters
  private readonly columns: readonly ColumnLayout[]

  constructor(operator: StreamOperator, counters: LinkCounters, columns: readonly ColumnLayout[]) {
    this.operator = operator
    this.counters = counters
    this.columns = columns
  }

  processElement(value: unknown, timestamp: number): void {
    this.counters.rowsColumnar++
    this.counters.rowsConverted++
    this.processFrame(frameOf([value], this.columns, Number.isNaN(timestamp) ? undefined : Float64Array.of(timestamp)))
  }

  processFrame(frame: ColumnarFrame): void {
    assert(this.operator.processFrame !== undefined, 'made for operators that take frames')
    this.operator.processFrame(frame)
  }
}

function processRows(operator: ChainedOperator, frame: ColumnarFrame, columns: readonly ColumnLayout[] | undefined): void {
  assert(columns !== undefined, 'columnar frames come from operators whose output type is COLUMNS')
  const { rows, timestamps } = objectFrameOf(frame, columns)
  for (let i = 0; i < rows.length; i++) operator.processElement(rows[i], timestamps === undefined ? Number.NaN : timestamps[i]!)
}
