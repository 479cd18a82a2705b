/**
 * A channel over a shared ring: the writer encodes elements into frames and streams them through the slots in segments, the reader
 * puts frames together in memory of its own and decodes them there.
 *
 * Invariants:
 * - a frame may be larger than the whole ring: the writer keeps the rest and goes on when slots come free, so the ring's own slots
 *   suffice for progress and no channel waits for pages of another;
 * - each frame starts a segment; frames do not share slots;
 * - both ends hold at most one frame: the writer encodes the next one only when the last is in the ring. A taken frame of rows or
 *   columns that is larger than a frame should be waits by reference.
 */
import { assert } from '../common/assert.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import type { WireFrame } from './columns.ts'
import { FrameTexts } from './columns-text.ts'
import {
  type ChannelElement,
  type ChannelReader,
  type ChannelWriter,
  type ControlElement,
  type Doorbell,
  type ObjectFrame,
  PAGE_SIZE,
  RECORD_SIZE_MAX,
  ROWS_PER_FRAME_MAX,
} from './frame.ts'
import {
  decodeControl,
  decodeFrame,
  encodeColumnarFrame,
  encodeControl,
  encodeControlFrame,
  encodeObjectFrame,
  encodeRawFrame,
  FRAME_HEADER_SIZE,
  type FrameChannel,
  frameSize,
  frameSizeMax,
} from './frame-codec.ts'
import { frameChannel, type RingDescriptor, SegmentReader, SegmentWriter } from './ring.ts'

/** Frames are closed this full, so that the row that crosses the mark usually still fits the same slot. */
const FRAME_TARGET_SIZE = PAGE_SIZE - PAGE_SIZE / 8
/** Buffers that one huge record has grown beyond this are dropped again. */
const BUFFER_KEEP_MAX = 1024 * 1024

export interface RingChannelOptions {
  /** Undefined on channels that carry only raw and control frames. */
  readonly serializer: TypeSerializer<unknown> | undefined
  /** Of the other side's host. */
  readonly doorbell: Doorbell
  readonly recordSizeMax?: number
}

export class RingWriter implements ChannelWriter {
  /** How many rows make a frame of about one page, by the rows seen so far: the record writer seals at this. */
  rowsPerFrame = ROWS_PER_FRAME_MAX
  bytesWritten = 0
  private readonly channel: FrameChannel
  private readonly segments: SegmentWriter
  private readonly serializer: TypeSerializer<unknown> | undefined
  private readonly recordSizeMax: number
  private out: ByteWriter
  /** Next byte of `out` to be written; equal to its length when all of it is in the ring. */
  private position = 0
  private sequence = 0
  private readonly texts = new FrameTexts()
  private frame: ObjectFrame | WireFrame | undefined = undefined
  private nextRow = 0

  constructor(ring: RingDescriptor, options: RingChannelOptions) {
    this.channel = frameChannel(ring)
    this.segments = new SegmentWriter(ring, options.doorbell)
    this.serializer = options.serializer
    this.recordSizeMax = options.recordSizeMax ?? RECORD_SIZE_MAX
    this.out = this.newBuffer()
  }

  offer(element: ChannelElement): boolean {
    // A free slot is asked for before encoding: otherwise an element would be taken that cannot even begin to leave.
    if (!this.flush() || this.segments.free() === 0) {
      this.segments.throwIfFailed()
      return false
    }
    if (element.kind === 'object' || element.kind === 'columnar') {
      if ((element.kind === 'object' ? element.rows.length : element.length) === 0) return true
      // Strings become bytes once, however many frames they are sent in.
      this.frame = element.kind === 'columnar' ? this.texts.wireFrame(element) : element
      this.nextRow = 0
      this.encodeRows(this.frame)
    } else {
      this.out.reset()
      if (element.kind === 'raw') encodeRawFrame(this.out, element, this.channel, this.sequence, this.recordSizeMax)
      else encodeControlFrame(this.out, element, this.channel, this.sequence)
      this.encoded()
    }
    this.flush()
    return true
  }

  flush(): boolean {
    for (;;) {
      const { length, bytes } = this.out
      while (this.position < length) {
        const end = Math.min(length, this.position + PAGE_SIZE)
        if (!this.segments.write(bytes, this.position, end)) {
          this.segments.throwIfFailed()
          return false
        }
        this.position = end
      }
      if (bytes.length > BUFFER_KEEP_MAX) {
        this.out = this.newBuffer()
        this.position = 0
      }
      if (this.frame === undefined) return true
      this.encodeRows(this.frame)
    }
  }

  offerPriority(element: ControlElement): boolean {
    const lane = new ByteWriter(64)
    encodeControl(lane, element)
    return this.segments.writeLane(lane.subarray())
  }

  close(): void {
    this.frame = undefined
  }

  private encodeRows(frame: ObjectFrame | WireFrame): void {
    const { serializer, channel, sequence, recordSizeMax } = this
    assert(serializer !== undefined, 'a channel that carries rows has a serializer')
    const from = this.nextRow
    this.out.reset()
    const next =
      frame.kind === 'object'
        ? encodeObjectFrame(this.out, frame, from, serializer, channel, sequence, FRAME_TARGET_SIZE, recordSizeMax)
        : encodeColumnarFrame(this.out, frame, from, channel, sequence, FRAME_TARGET_SIZE, recordSizeMax)
    this.rowsPerFrame = Math.max(1, Math.min(ROWS_PER_FRAME_MAX, Math.floor((FRAME_TARGET_SIZE * (next - from)) / this.out.length)))
    this.nextRow = next
    if (next === (frame.kind === 'object' ? frame.rows.length : frame.length)) this.frame = undefined
    this.encoded()
  }

  private encoded(): void {
    this.position = 0
    this.sequence++
    this.bytesWritten += this.out.length
  }

  private newBuffer(): ByteWriter {
    return new ByteWriter(2 * PAGE_SIZE, frameSizeMax(this.recordSizeMax))
  }
}

export class RingReader implements ChannelReader {
  bytesRead = 0
  private readonly channel: FrameChannel
  private readonly segments: SegmentReader
  private readonly serializer: TypeSerializer<unknown> | undefined
  private readonly sizeMax: number
  private buffer = new Uint8Array(PAGE_SIZE)
  private view = new DataView(this.buffer.buffer)
  private length = 0
  /** Size of the frame being put together; 0 = none begun. */
  private frameSize = 0
  private sequence = 0

  constructor(ring: RingDescriptor, options: RingChannelOptions) {
    this.channel = frameChannel(ring)
    this.segments = new SegmentReader(ring, options.doorbell)
    this.serializer = options.serializer
    this.sizeMax = frameSizeMax(options.recordSizeMax ?? RECORD_SIZE_MAX)
  }

  /** Segments, not frames: more than can be polled while a frame of several pages is under way. */
  get queued(): number {
    return this.segments.queued
  }

  poll(): ChannelElement | undefined {
    for (;;) {
      const segment = this.segments.next()
      if (segment === undefined) {
        this.segments.throwIfFailed()
        return undefined
      }
      this.append(segment)
      // The slot is free before the frame is decoded: the producer writes on meanwhile.
      this.segments.release()
      if (this.length === this.frameSize) return this.decode()
    }
  }

  pollPriority(): ControlElement | undefined {
    const bytes = this.segments.readLane()
    return bytes === undefined ? undefined : decodeControl(new ByteReader(bytes), this.channel)
  }

  close(): void {
    this.length = 0
    this.frameSize = 0
  }

  private append(segment: Uint8Array): void {
    const end = this.length + segment.length
    if (end > this.buffer.length) this.grow(Math.max(end, this.frameSize))
    this.buffer.set(segment, this.length)
    this.length = end
    if (this.frameSize === 0) {
      const header = end < FRAME_HEADER_SIZE ? this.buffer.subarray(0, end) : this.buffer
      this.frameSize = frameSize(header, this.view, this.channel, this.sizeMax)
    }
    if (end > this.frameSize) {
      const { channelId } = this.channel
      throw new FlinkError('CORRUPT_FRAME', `corrupt frame on channel ${channelId}: ${end} bytes received of a frame of ${this.frameSize}`, {
        channelId,
      })
    }
  }

  private decode(): ChannelElement {
    const bytes = this.buffer.subarray(0, this.length)
    const sequence = this.sequence++
    this.bytesRead += this.length
    this.length = 0
    this.frameSize = 0
    if (this.buffer.length > BUFFER_KEEP_MAX) this.setBuffer(new Uint8Array(PAGE_SIZE))
    return decodeFrame(bytes, this.serializer, this.channel, sequence)
  }

  private grow(needed: number): void {
    const buffer = new Uint8Array(Math.max(needed, this.buffer.length * 2))
    buffer.set(this.buffer.subarray(0, this.length))
    this.setBuffer(buffer)
  }

  private setBuffer(buffer: Uint8Array<ArrayBuffer>): void {
    this.buffer = buffer
    this.view = new DataView(buffer.buffer)
  }
}
