/**
 * The network output of a task for one edge: rows are collected into frames per channel, sealed frames are offered to their channels,
 * and what a channel refuses waits in its spill.
 *
 * Invariants:
 * - order per channel: rows and control elements leave in the order of the calls; nothing is offered to a channel past its spill;
 * - `isFull` is true while any channel has a spill or holds a half-written frame. The task stops at the next row border, so what can
 *   still come is the output of one row, of timers, and control elements;
 * - the spill is bounded: two frames per channel are free (the one that met the full channel, and the one that a control element
 *   behind it seals), each further one reserves a page of the TaskManager's pool, and an empty pool is OUTPUT_SPILL_EXHAUSTED.
 *   Control elements are not counted: a watermark or status that waits is replaced by the next one;
 * - a frame that was offered is never touched again. On a BROADCAST edge each channel gets its own array of rows, but inside a thread
 *   the values themselves are shared by all consumers, which must not change them. Rings encode, so nothing is shared there;
 * - rows and columnar frames on one output keep their order: whichever comes second seals the other first. A columnar frame that all goes one
 *   way and is not small is passed on as it is; otherwise its rows are gathered by channel into frames of the channel's size. While a channel
 *   is full its rows wait for a whole frame, so that one more frame makes at most two of them for the spill.
 */
import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { LocalFrame } from './columns.ts'
import { ColumnProjection } from './columns-absent.ts'
import { ColumnarFrameBuilder } from './columns-frame-builder.ts'
import { RowsByTarget } from './columns-scatter.ts'
import { type ChannelElement, type ChannelWriter, type ControlElement, type ObjectFrame, ROWS_PER_FRAME_MAX } from './frame.ts'
import type { NetworkOutput } from './io.ts'
import type { PageReserver } from './page-pool.ts'
import type { ChannelSelector } from './partitioner.ts'

/** What a channel that encodes tells its writer; a channel by reference lacks both. */
export interface OutputChannel extends ChannelWriter {
  /** Rows that fill about one page. */
  readonly rowsPerFrame?: number
  readonly bytesWritten?: number
}

export interface RecordWriterOptions {
  /** For errors: the operator whose output this is. */
  readonly operatorName: string
  readonly channels: readonly OutputChannel[]
  readonly selector: ChannelSelector
  readonly pages: PageReserver
  /** At most ROWS_PER_FRAME_MAX, which is also the default. */
  readonly rowsPerFrameMax?: number
  /** Columns that the consumer reads, of so many: the others leave frames once their channels are chosen. Absent = all. */
  readonly fields?: { readonly read: readonly number[]; readonly count: number }
}

const FREE_SPILL_FRAMES = 2
const TIMESTAMPS_INITIAL = 16
const UPDATE_BEFORE = 1
const UPDATE_AFTER = 2
/** A columnar frame with less than this part of the rows that a frame may have is gathered with others. */
const SMALL_FRAME = 1 / 4

export class RecordWriter implements NetworkOutput {
  numRecordsOut = 0
  numBuffersOut = 0
  private full = false
  private readonly selector: ChannelSelector
  private readonly broadcast: boolean
  private readonly outputs: readonly Subpartition[]
  /** One per channel; a broadcast edge has a single one. */
  private readonly builders: readonly FrameBuilder[]
  /** Beside each builder of rows, from the first columnar frame on; at most one of the two has rows. */
  private columnBuilders: readonly ColumnarFrameBuilder[] = []
  private columnKinds: readonly string[] = []
  private readonly rowsMax: number
  private targets = new Int32Array(0)
  private readonly byTarget: RowsByTarget
  private readonly projection: ColumnProjection | undefined

  constructor(options: RecordWriterOptions) {
    const rowsMax = Math.min(options.rowsPerFrameMax ?? ROWS_PER_FRAME_MAX, ROWS_PER_FRAME_MAX)
    this.selector = options.selector
    this.broadcast = options.selector.broadcast
    this.outputs = options.channels.map(channel => new Subpartition(channel, options.pages, options.operatorName))
    const builderCount = this.broadcast ? 1 : options.channels.length
    this.builders = Array.from({ length: builderCount }, () => new FrameBuilder(rowsMax))
    this.rowsMax = rowsMax
    this.byTarget = new RowsByTarget(builderCount, 0)
    this.projection = options.fields === undefined ? undefined : new ColumnProjection(options.fields.read, options.fields.count)
  }

  get numBytesOut(): number {
    let bytes = 0
    for (const output of this.outputs) bytes += output.channel.bytesWritten ?? 0
    return bytes
  }

  /** Elements that channels have refused so far and that still wait. */
  get spilled(): number {
    let count = 0
    for (const output of this.outputs) count += output.spilled
    return count
  }

  /** Of frames: rows times columns that the consumer does not read. */
  get valuesNotSent(): number {
    return this.projection?.valuesDropped ?? 0
  }

  collect(value: unknown, timestamp: number): void {
    const index = this.broadcast ? 0 : this.selector.select(value)
    const builder = this.builders[index]!
    if (this.columnBuilders.length > 0) this.sealColumns(index)
    builder.add(value, timestamp)
    this.numRecordsOut++
    if (builder.count >= builder.limit) this.seal(index, builder)
  }

  collectFrame(frame: LocalFrame): boolean {
    const { length } = frame
    if (length === 0) return true
    this.numRecordsOut += length
    if (length > this.targets.length) this.targets = new Int32Array(Math.max(length, this.rowsMax))
    const channel = this.broadcast ? 0 : this.selector.selectFrame(frame, this.targets)
    const sent = this.projection === undefined ? frame : this.projection.project(frame)
    this.checkKinds(sent)
    if (channel >= 0) return this.collectWhole(channel, sent)
    this.scatter(sent)
    return true
  }

  emit(control: ControlElement): void {
    this.sealAll()
    for (const output of this.outputs) output.send(control)
    this.refreshFull()
  }

  isFull(): boolean {
    return this.full
  }

  drain(): boolean {
    for (const output of this.outputs) output.drain()
    this.refreshFull()
    return !this.full
  }

  flush(): void {
    // Rows of a channel that has a spill stay in their builder: they could not leave, and sealing them would only grow the spill.
    if (this.broadcast) {
      if (!this.full) this.sealAll()
      return
    }
    for (let i = 0; i < this.builders.length; i++) {
      if (this.hasRows(i) && this.outputs[i]!.drain()) this.sealBoth(i)
    }
    this.refreshFull()
  }

  close(): void {
    for (const output of this.outputs) output.close()
    for (const builder of this.builders) builder.clear()
    this.columnBuilders = []
  }

  private sealAll(): void {
    for (let i = 0; i < this.builders.length; i++) this.sealBoth(i)
  }

  private hasRows(index: number): boolean {
    return this.builders[index]!.count > 0 || (this.columnBuilders.length > 0 && this.columnBuilders[index]!.count > 0)
  }

  private sealBoth(index: number): void {
    const builder = this.builders[index]!
    if (builder.count > 0) this.seal(index, builder)
    if (this.columnBuilders.length > 0) this.sealColumns(index)
  }

  private seal(index: number, builder: FrameBuilder): void {
    this.sendFrame(index, builder.take())
  }

  private sealColumns(index: number): void {
    const builder = this.columnBuilders[index]!
    if (builder.count === 0) return
    const frame = builder.finish()
    const encoded = this.sendFrame(index, frame)
    if (encoded) builder.recycle(frame)
  }

  /** True when nothing refers to the frame any more: its one channel has encoded all of it. */
  private sendFrame(index: number, frame: ObjectFrame | LocalFrame): boolean {
    const builder = this.builders[index]!
    if (!this.broadcast) {
      const output = this.outputs[index]!
      this.numBuffersOut++
      const sent = output.send(frame)
      if (!sent) this.full = true
      const { rowsPerFrame } = output.channel
      builder.setLimit(rowsPerFrame)
      return sent && rowsPerFrame !== undefined
    }
    let rowsPerFrame = ROWS_PER_FRAME_MAX
    for (let i = 0; i < this.outputs.length; i++) {
      const output = this.outputs[i]!
      this.numBuffersOut++
      // Nobody writes to columns: they are shared.
      if (!output.send(i === 0 || frame.kind === 'columnar' ? frame : copyFrame(frame))) this.full = true
      rowsPerFrame = Math.min(rowsPerFrame, output.channel.rowsPerFrame ?? ROWS_PER_FRAME_MAX)
    }
    builder.setLimit(rowsPerFrame)
    return false
  }

  private checkKinds(frame: LocalFrame): void {
    const { columns } = frame
    if (this.columnBuilders.length === 0) {
      const kinds = columns.map(column => column.kind)
      this.columnKinds = kinds
      this.columnBuilders = this.builders.map(() => new ColumnarFrameBuilder(kinds))
    }
    const { columnKinds } = this
    let equal = columns.length === columnKinds.length
    for (let i = 0; i < columns.length; i++) if (columns[i]!.kind !== columnKinds[i]) equal = false
    assert(equal, 'frames of one output have the same columns')
  }

  private collectWhole(index: number, frame: LocalFrame): boolean {
    const builder = this.builders[index]!
    if (builder.count > 0) this.seal(index, builder)
    if (frame.length < this.goal(index) * SMALL_FRAME) {
      this.append(index, frame, undefined, 0, frame.length)
      return true
    }
    this.sealColumns(index)
    return this.sendFrame(index, frame)
  }

  private scatter(frame: LocalFrame): void {
    const { byTarget, builders } = this
    byTarget.sort(this.targets, frame.length)
    const { order, ends } = byTarget
    let from = 0
    for (let index = 0; index < builders.length; index++) {
      const end = ends[index]!
      if (end === from) continue
      const builder = builders[index]!
      if (builder.count > 0) this.seal(index, builder)
      const first = order[from]!
      // Rows of a channel are in order, so they are one run when the last is as far as their number says.
      if (order[end - 1]! - first === end - 1 - from) this.append(index, frame, undefined, first, first + end - from)
      else this.append(index, frame, order, from, end)
      from = end
    }
  }

  /** Rows from..to, or `order[from..to)`, in pieces that end where a frame is full. */
  private append(index: number, frame: LocalFrame, order: Int32Array | undefined, from: number, to: number): void {
    const columns = this.columnBuilders[index]!
    const { rowKinds } = frame
    for (let at = from; at < to; ) {
      const goal = this.goal(index)
      const end = Math.min(to, at + Math.max(1, goal - columns.count))
      if (order === undefined) columns.appendRange(frame, at, end)
      else columns.gather(frame, order, at, end)
      at = end
      if (columns.count < goal) continue
      const splitsUpdate =
        rowKinds !== undefined && at < to && columns.lastRowKind === UPDATE_BEFORE && rowKinds[order === undefined ? at : order[at]!] === UPDATE_AFTER
      if (!splitsUpdate) this.sealColumns(index)
    }
  }

  /** Rows at which columns of a channel are sealed. */
  private goal(index: number): number {
    return !this.broadcast && this.outputs[index]!.waiting ? this.rowsMax : this.builders[index]!.limit
  }

  private refreshFull(): void {
    let full = false
    for (const output of this.outputs) if (output.waiting) full = true
    this.full = full
  }
}

/** One channel with what it has refused. */
class Subpartition {
  readonly channel: OutputChannel
  waiting = false
  private readonly pages: PageReserver
  private readonly operatorName: string
  private spill: ChannelElement[] = []
  private spillFrom = 0
  private spillFrames = 0

  constructor(channel: OutputChannel, pages: PageReserver, operatorName: string) {
    this.channel = channel
    this.pages = pages
    this.operatorName = operatorName
  }

  get spilled(): number {
    return this.spill.length - this.spillFrom
  }

  /** False when something waits afterwards. */
  send(element: ChannelElement): boolean {
    try {
      if (this.drainSpill() && this.channel.offer(element)) {
        this.waiting = !this.channel.flush()
      } else {
        this.append(element)
        this.waiting = true
      }
    } catch (error) {
      throw this.ofOperator(error)
    }
    return !this.waiting
  }

  drain(): boolean {
    try {
      if (this.waiting && this.drainSpill()) this.waiting = !this.channel.flush()
    } catch (error) {
      throw this.ofOperator(error)
    }
    return !this.waiting
  }

  close(): void {
    if (this.spillFrames > FREE_SPILL_FRAMES) this.pages.release(this.spillFrames - FREE_SPILL_FRAMES)
    this.spill = []
    this.spillFrom = 0
    this.spillFrames = 0
    this.waiting = false
    this.channel.close()
  }

  /** Rows are encoded when their frame leaves, when nothing but the channel knows any more who emitted them. */
  private ofOperator(error: unknown): unknown {
    if (!(error instanceof FlinkError) || (error.code !== 'RECORD_TOO_LARGE' && error.code !== 'UNSUPPORTED_VALUE')) return error
    return new FlinkError(error.code, `output of operator ${this.operatorName}: ${error.message}`, error.detail, error)
  }

  private drainSpill(): boolean {
    while (this.spillFrom < this.spill.length) {
      const element = this.spill[this.spillFrom]!
      if (!this.channel.offer(element)) {
        this.compact()
        return false
      }
      this.spillFrom++
      if (element.kind === 'object' || element.kind === 'columnar') {
        this.spillFrames--
        if (this.spillFrames >= FREE_SPILL_FRAMES) this.pages.release(1)
      }
    }
    if (this.spillFrom > 0) {
      this.spill = []
      this.spillFrom = 0
    }
    return true
  }

  /** Sent elements are let go once they are half of the array: constant cost per element, and nothing that was sent is kept alive. */
  private compact(): void {
    if (this.spillFrom * 2 < this.spill.length) return
    this.spill = this.spill.slice(this.spillFrom)
    this.spillFrom = 0
  }

  private append(element: ChannelElement): void {
    const last = this.spill.length - 1
    if (element.kind === 'object' || element.kind === 'columnar') {
      if (this.spillFrames >= FREE_SPILL_FRAMES && !this.pages.tryReserve(1)) {
        throw new FlinkError(
          'OUTPUT_SPILL_EXHAUSTED',
          `the output of operator ${this.operatorName} is full and no page is left for what it still emits; raise taskmanager.memory.network.min`,
          {
            spilledFrames: this.spillFrames,
          },
        )
      }
      this.spillFrames++
    } else if ((element.kind === 'watermark' || element.kind === 'status') && last >= this.spillFrom && this.spill[last]!.kind === element.kind) {
      this.spill[last] = element
      return
    }
    this.spill.push(element)
  }
}

/** Rows on their way into a frame. The arrays are handed over with the frame; each frame gets new ones. */
class FrameBuilder {
  count = 0
  limit: number
  private readonly rowsMax: number
  private rows: unknown[] = []
  private timestamps: Float64Array<ArrayBuffer> | undefined = undefined
  /** Room for as many times as the last frame had rows: neither grown in steps at full speed nor wasted on frames of a few rows. */
  private timestampsInitial = TIMESTAMPS_INITIAL

  constructor(rowsMax: number) {
    this.rowsMax = rowsMax
    this.limit = rowsMax
  }

  add(value: unknown, timestamp: number): void {
    const at = this.count
    this.rows.push(value)
    // NaN = none: the column is made only when some row has a time.
    if (this.timestamps !== undefined || !Number.isNaN(timestamp)) this.setTimestamp(at, timestamp)
    this.count = at + 1
  }

  take(): ObjectFrame {
    const { rows, count } = this
    const timestamps = this.timestamps?.subarray(0, count)
    this.timestampsInitial = Math.max(TIMESTAMPS_INITIAL, count)
    this.clear()
    return { kind: 'object', rows, timestamps, rowKinds: undefined }
  }

  clear(): void {
    this.rows = []
    this.timestamps = undefined
    this.count = 0
  }

  setLimit(rowsPerFrame: number | undefined): void {
    this.limit = rowsPerFrame === undefined ? this.rowsMax : Math.min(rowsPerFrame, this.rowsMax)
  }

  private setTimestamp(at: number, timestamp: number): void {
    let { timestamps } = this
    if (timestamps === undefined || at >= timestamps.length) {
      const grown = new Float64Array(Math.min(this.rowsMax, Math.max(this.timestampsInitial, 2 * at)))
      if (timestamps === undefined) grown.fill(Number.NaN, 0, at)
      else grown.set(timestamps)
      timestamps = grown
      this.timestamps = grown
    }
    timestamps[at] = timestamp
  }
}

function copyFrame(frame: ObjectFrame): ObjectFrame {
  return { kind: 'object', rows: frame.rows.slice(), timestamps: frame.timestamps?.slice(), rowKinds: frame.rowKinds?.slice() }
}
