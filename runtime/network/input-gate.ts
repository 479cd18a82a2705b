/**
 * Where a task reads: all channels of all its logical inputs. Polls them round-robin so that none starves, and turns what they say
 * into what the task must know: combined watermarks and status per input (`watermark-valve.ts`), a barrier once it is everywhere
 * (`barrier-aligner.ts`), the end of an input once. Frames are passed on as they are.
 *
 * What one channel element causes may be several elements of the gate (a status and a watermark; a barrier completed by an end): they
 * wait in `ready`, which is empty whenever a channel is polled, and so is bounded by what one element can cause.
 */
import { assert } from '../common/assert.ts'
import { BarrierAligner } from './barrier-aligner.ts'
import type { LocalFrame } from './columns.ts'
import type { ChannelReader, CheckpointBarrier, ControlElement, ObjectFrame } from './frame.ts'
import type { GateElement, InputGate } from './io.ts'
import { WatermarkValve } from './watermark-valve.ts'

export interface ChannelInputGateOptions {
  /** Readers by logical input: index 0, and 1 for a two-input operator. */
  readonly inputs: readonly (readonly ChannelReader[])[]
  readonly mode: 'exactly-once' | 'at-least-once'
}

interface GateChannel {
  readonly reader: ChannelReader
  readonly input: number
  /** Within its logical input. */
  readonly index: number
  sequence: number
  ended: boolean
}

export class ChannelInputGate implements InputGate {
  /** Frames and rows taken so far. */
  numBuffersIn = 0
  numRecordsIn = 0
  private readonly channels: readonly GateChannel[]
  private readonly valves: readonly WatermarkValve[]
  private readonly openChannels: number[]
  private readonly aligner: BarrierAligner
  private readonly ready: GateElement[] = []
  private next = 0
  private openInputs: number

  constructor(options: ChannelInputGateOptions) {
    this.channels = options.inputs.flatMap((readers, input) => readers.map((reader, index) => ({ reader, input, index, sequence: 0, ended: false })))
    this.valves = options.inputs.map((readers, input) => {
      return new WatermarkValve(readers.length, {
        watermark: timestamp => this.push(input, { kind: 'watermark', timestamp }),
        status: idle => this.push(input, { kind: 'status', idle }),
      })
    })
    this.openChannels = options.inputs.map(readers => readers.length)
    for (const count of this.openChannels) assert(count > 0, 'each logical input has at least one channel')
    this.openInputs = options.inputs.length
    this.aligner = new BarrierAligner(this.channels.length, options.mode === 'exactly-once')
  }

  /** True when every input has ended and nothing is left to poll. */
  get isFinished(): boolean {
    return this.openInputs === 0 && this.ready.length === 0
  }

  /** Elements waiting in channels, for metrics. */
  get queued(): number {
    let count = 0
    for (const channel of this.channels) count += channel.reader.queued
    return count
  }

  /** Whether `poll` could make progress: the second look before the host sleeps. What waits in blocked channels does not count. */
  hasInput(): boolean {
    if (this.ready.length > 0) return true
    const { blocked } = this.aligner
    for (let i = 0; i < this.channels.length; i++) {
      const channel = this.channels[i]!
      if (!channel.ended && !blocked[i]! && channel.reader.queued > 0) return true
    }
    return false
  }

  poll(): GateElement | undefined {
    if (this.ready.length > 0) return this.ready.shift()
    const { channels } = this
    const count = channels.length
    const { blocked } = this.aligner
    // Channels in turn, each at most once without yielding: an element that yields nothing (a watermark that is not the minimum)
    // gives its channel another turn, and the count starts anew because it may have unblocked others.
    let visited = 0
    while (visited < count) {
      const at = this.next
      this.next = at + 1 === count ? 0 : at + 1
      visited++
      const channel = channels[at]!
      if (channel.ended || blocked[at]!) continue
      const element = channel.reader.poll()
      if (element === undefined) continue
      if (element.kind === 'object' || element.kind === 'columnar') return this.frame(channel, element)
      assert(element.kind !== 'raw', 'raw frames travel between the halves of a connector only')
      this.control(at, channel, element)
      if (this.ready.length > 0) return this.ready.shift()
      visited = 0
    }
    return undefined
  }

  /** The checkpoint was given up: blocked channels flow again. */
  abortCheckpoint(checkpointId: number): void {
    this.aligner.abort(checkpointId)
  }

  close(): void {
    for (const channel of this.channels) channel.reader.close()
    this.ready.length = 0
  }

  private frame(channel: GateChannel, frame: ObjectFrame | LocalFrame): GateElement {
    this.numBuffersIn++
    this.numRecordsIn += frame.kind === 'object' ? frame.rows.length : frame.length
    return { kind: 'frame', input: channel.input, channel: channel.index, sequence: channel.sequence++, frame }
  }

  private control(at: number, channel: GateChannel, control: ControlElement): void {
    const valve = this.valves[channel.input]!
    switch (control.kind) {
      case 'watermark':
        valve.inputWatermark(channel.index, control.timestamp)
        return
      case 'status':
        valve.inputStatus(channel.index, control.idle)
        return
      case 'barrier':
        this.pushBarrier(channel.input, this.aligner.onBarrier(at, control.barrier))
        return
      case 'end':
        channel.ended = true
        valve.inputEnd(channel.index)
        this.pushBarrier(channel.input, this.aligner.onEnd(at))
        this.endChannel(channel.input)
        return
      case 'event':
        this.push(channel.input, control)
        return
    }
  }

  private endChannel(input: number): void {
    const open = this.openChannels[input]! - 1
    this.openChannels[input] = open
    if (open > 0) return
    this.openInputs--
    this.push(input, { kind: 'end' })
  }

  private pushBarrier(input: number, barrier: CheckpointBarrier | undefined): void {
    if (barrier !== undefined) this.push(input, { kind: 'barrier', barrier })
  }

  private push(input: number, control: ControlElement): void {
    this.ready.push({ kind: 'control', input, control })
  }
}
