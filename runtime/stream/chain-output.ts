import { assert } from '../common/assert.ts'
import type { LocalFrame } from '../network/columns.ts'
import { columnarFrameOf } from '../network/columns-rows.ts'
import { MIN_WATERMARK } from '../network/frame.ts'
import type { NetworkOutput } from '../network/io.ts'
import type { RowLayout } from '../serde/row-layout.ts'
import type { OperatorChain } from './chain.ts'
import { type ChainLink, type LinkCounters, newLinkCounters } from './chain-link.ts'
import { type FrameRunner, RowsRunner } from './frame-runner.ts'
import { segmentAt, wantsFrames } from './generated/find-segment.ts'
import type { OperatorOutput, StreamOperator } from './operator.ts'

/** One operator's output: chained children by direct call, network outputs by frame. */
export class ChainOutput implements OperatorOutput {
  takesFrames = false
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
      const fresh: Targets = { operators: [], operatorCounters: [], frames: [], network: [] }
      byTag.set(tag, fresh)
      return fresh
    }
    for (const [i, link] of links.entries()) {
      if (link.parent !== this.index) continue
      this.children.push(i)
      const target = targets(link.parentTag)
      const layout = link.inputLayouts?.[0]
      const takesFrames = layout !== undefined && link.operator.processFrame !== undefined
      target.operators.push(takesFrames ? new RowsIntoFrames(link.operator, link.counters, layout) : link.operator)
      target.operatorCounters.push(link.counters)
      target.frames.push(takesFrames ? link.operator : this.runnerFor(links, i, layout))
    }
    for (const { tag, output } of own.networkOutputs) targets(tag).network.push(output)
    this.main = targets(undefined)
    for (const [tag, target] of byTag) if (tag !== undefined) this.side.set(tag, target)
    this.takesFrames = wantsFrames(links, this.index, this.chain.generated)
  }

  private runnerFor(links: readonly ChainLink[], index: number, layout: RowLayout | undefined): FrameRunner | undefined {
    if (layout === undefined) return undefined
    const { operator, counters } = links[index]!
    return segmentAt(this.chain, links, index, at => this.chain.outputOf(at)) ?? new RowsRunner(this.chain, this.index, operator, layout, counters)
  }

  collect(value: unknown, timestamp: number): void {
    this.counters.recordsOut++
    send(this.main, value, timestamp)
  }

  collectFrame(frame: LocalFrame): boolean {
    if (frame.length === 0) return true
    this.counters.recordsOut += frame.length
    this.counters.rowsOutColumnar += frame.length
    const { frames, network } = this.main
    this.chain.enterFrame(this.index, frame)
    if (frames.length > 0 && !this.chain.deferFrame(this.index, frame)) this.deliverFrame(frame)
    // What chained operators keep of it they do not say here: `framesAreDone` knows of those that keep nothing.
    let done = frames.length === 0
    for (let i = 0; i < network.length; i++) if (!network[i]!.collectFrame(frame)) done = false
    this.chain.leaveFrame(this.index)
    return done
  }

  /** To the chained operators. */
  deliverFrame(frame: LocalFrame): void {
    const { operatorCounters, frames } = this.main
    for (let i = 0; i < frames.length; i++) {
      const target = frames[i]
      assert(target !== undefined, 'columnar frames come from operators whose output type has a columnar form')
      if ('processFrame' in target) {
        const counters = operatorCounters[i]!
        counters.recordsIn += frame.length
        counters.rowsColumnar += frame.length
        target.processFrame!(frame)
      } else {
        this.chain.offer(target as FrameRunner, frame)
      }
    }
  }

  framesAreDone(): boolean {
    if (this.main.network.length > 0) return false
    return this.children.every(child => {
      const { operator, inputLayouts } = this.chain.links[child]!
      if (operator.processFrame === undefined || inputLayouts?.[0] === undefined) return false
      return operator.frameUse === 'done' || (operator.frameUse === 'passed' && (this.chain.outputOf(child).framesAreDone?.() ?? false))
    })
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
  /** What takes frames for each of the operators; undefined where the type has no columnar form. */
  readonly frames: (StreamOperator | FrameRunner | undefined)[]
  readonly network: NetworkOutput[]
}

const noTargets: Targets = { operators: [], operatorCounters: [], frames: [], network: [] }

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
  private readonly layout: RowLayout

  constructor(operator: StreamOperator, counters: LinkCounters, layout: RowLayout) {
    this.operator = operator
    this.counters = counters
    this.layout = layout
  }

  processElement(value: unknown, timestamp: number): void {
    this.counters.rowsColumnar++
    this.counters.rowsConverted++
    const timestamps = Number.isNaN(timestamp) ? undefined : Float64Array.of(timestamp)
    this.processFrame(columnarFrameOf({ kind: 'object', rows: [value], timestamps, rowKinds: undefined }, this.layout))
  }

  processFrame(frame: LocalFrame): void {
    assert(this.operator.processFrame !== undefined, 'made for operators that take frames')
    this.operator.processFrame(frame)
  }
}
