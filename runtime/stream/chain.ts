import { assert } from '../common/assert.ts'
import type { CheckpointBarrier, ControlElement, ObjectFrame } from '../network/frame.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../network/frame.ts'
import type { NetworkOutput } from '../network/io.ts'
import type { OperatorSnapshot } from '../state/snapshot.ts'
import type { OperatorOutput, StreamOperator } from './operator.ts'
import type { SourceHeadOperator } from './operators/source-operator.ts'

/**
 * A chain: the operators of one task as a tree in pre-order, run a frame at a time by the interpreter.
 *
 * Rows go depth first by direct calls. Watermarks, stream status and end of input go as *visits*: `emitWatermark` of operator k puts one
 * visit per chained child into a queue, and the queue is worked off between rows (`advance`). A visit is a cursor: an operator that has
 * more timers to fire than fit the output answers false and is visited again. So
 * - a watermark is delayed behind rows the same call still emits, never ahead of them;
 * - no row enters the chain while a visit is unfinished, and timers fire before later rows;
 * - at every row border the chain can stop (output full, budget spent, control) and go on at exactly that row.
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
}

/** Written by the chain, read by whoever reports metrics. */
export interface LinkCounters {
  recordsIn: number
  recordsOut: number
}

export type StopReason = 'done' | 'outputFull' | 'control' | 'budget'

type Visit =
  | { readonly kind: 'watermark'; readonly link: number; readonly input: number; readonly timestamp: number }
  | { readonly kind: 'status'; readonly link: number; readonly input: number; readonly idle: boolean }
  | { readonly kind: 'end'; readonly link: number; readonly input: number }

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
  private readonly visits: Visit[] = []
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

  /** Runs rows `from`.. of `frame`; the caller keeps `currentRow`, where it goes on. */
  run(frame: ObjectFrame, input: number, from: number): StopReason {
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
      if (row + 1 === rows.length) return 'done'
      if (this.visits.length > 0) return 'control'
      if (((row + 1) & this.clockMask) === 0 && this.limits.budgetSpent()) return 'budget'
    }
    this.currentRow = rows.length
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
    this.visits.push({ kind: 'watermark', link, input: 0, timestamp })
  }

  enqueueStatus(link: number, idle: boolean): void {
    this.visits.push({ kind: 'status', link, input: 0, idle })
  }

  private visit(visit: Visit): boolean {
    const { operator } = this.links[visit.link]!
    if (visit.kind === 'watermark') return operator.processWatermark(visit.timestamp, visit.input)
    if (visit.kind === 'status') {
      operator.processStatus?.(visit.idle, visit.input)
      return true
    }
    if (!operator.endInput(visit.input)) return false
    const ended = ++this.endedInputs[visit.link]!
    if (ended === this.inputsOf(visit.link)) {
      for (const child of this.outputs[visit.link]!.children) this.visits.push({ kind: 'end', link: child, input: 0 })
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
  private counters: LinkCounters = { recordsIn: 0, recordsOut: 0 }
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
      const fresh: Targets = { operators: [], operatorCounters: [], network: [] }
      byTag.set(tag, fresh)
      return fresh
    }
    for (const [i, link] of links.entries()) {
      if (link.parent !== this.index) continue
      this.children.push(i)
      const target = targets(link.parentTag)
      target.operators.push(link.operator)
      target.operatorCounters.push(link.counters)
    }
    for (const { tag, output } of own.networkOutputs) targets(tag).network.push(output)
    this.main = targets(undefined)
    for (const [tag, target] of byTag) if (tag !== undefined) this.side.set(tag, target)
  }

  collect(value: unknown, timestamp: number): void {
    this.counters.recordsOut++
    send(this.main, value, timestamp)
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

interface Targets {
  readonly operators: StreamOperator[]
  readonly operatorCounters: LinkCounters[]
  readonly network: NetworkOutput[]
}

const noTargets: Targets = { operators: [], operatorCounters: [], network: [] }

function send(targets: Targets, value: unknown, timestamp: number): void {
  const { operators, operatorCounters, network } = targets
  for (let i = 0; i < operators.length; i++) {
    operatorCounters[i]!.recordsIn++
    operators[i]!.processElement(value, timestamp)
  }
  for (let i = 0; i < network.length; i++) network[i]!.collect(value, timestamp)
}
