/**
 * A single-producer single-consumer ring of page-sized slots in shared memory, moving segments (runs of bytes of at most a page).
 * It knows nothing of frames: slots encode into it and decode from it through `ring-channel.ts`, the I/O worker moves segments
 * between it and a socket unchanged.
 *
 * Protocol. `head` counts segments written, `tail` segments released; both wrap at 2^32 and only their difference means something.
 * Which slot is next each end counts for itself, from 0 (2^32 is not a multiple of every number of slots), so there is one writer and
 * one reader in the life of a ring.
 * 1. The writer copies a segment into its next slot, stores its length, advances `head`, rings the consumer.
 * 2. The reader takes segments in order and releases them in order; a release advances `tail`.
 * 3. A writer that finds the ring full sets `producerWaiting` and looks once more; a reader looks at it after each release and, once half of
 *    the slots are free, rings the producer. Whichever comes second sees the other. Half, because waking a thread costs more than filling a
 *    slot; until then the reader has segments to read, so nobody waits for nothing.
 * 4. `failRing`, from a thread that is neither, leaves an error that the writer meets when the ring is full, the reader when it is empty.
 *
 * Beside the slots lies the control lane: one entry, written when empty, that may overtake all segments.
 */
import { crc32 } from 'node:zlib'
import { assert } from '../common/assert.ts'
import { type ErrorCode, errorCodes, FlinkError } from '../common/errors.ts'
import { type Doorbell, PAGE_SIZE } from './frame.ts'
import type { FrameChannel } from './frame-codec.ts'
import type { PageRef } from './page-pool.ts'

/** Structured-clonable: this is what travels to the two threads. */
export interface RingDescriptor {
  readonly control: SharedArrayBuffer
  readonly pages: readonly PageRef[]
  /** The TaskManager's own number of the ring. Frames carry `frameChannel`'s, on which both TaskManagers agree. */
  readonly channel: number
  readonly channelId: string
  /** Frames carry a checksum: the channel crosses a socket. */
  readonly checksum: boolean
}

// Word indices. What the producer writes, what the consumer writes and what is rare lie on different pairs of cache lines.
const HEAD = 0
const TAIL = 32
const PRODUCER_WAITING = 64
const ERROR_STATE = 96
const ERROR_LENGTH = 97
const LANE_STATE = 128
const LANE_LENGTH = 129
const LENGTHS = 160

const ERROR_SIZE = 1024
export const LANE_SIZE = 512

const ERROR_NONE = 0
const ERROR_CLAIMED = 1
const ERROR_SET = 2

export function createRing(pages: readonly PageRef[], channel: number, channelId: string, checksum: boolean): RingDescriptor {
  assert(pages.length >= 1, 'a ring has at least one slot')
  return { control: new SharedArrayBuffer(bytesAt(pages.length) + ERROR_SIZE + LANE_SIZE), pages, channel, channelId, checksum }
}

/** What the headers of a ring's frames carry: a channel number that both of its ends derive from its id. */
export function frameChannel({ channelId, checksum }: RingDescriptor): FrameChannel {
  return { channel: crc32(channelId), channelId, checksum }
}

/** A ring with pages of its own, outside any pool: for tests and for connectors' channels. */
export function createUnpooledRing(slots: number, channel: number, channelId: string, checksum = false): RingDescriptor {
  const buffer = new SharedArrayBuffer(slots * PAGE_SIZE)
  const pages = Array.from({ length: slots }, (_, i) => ({ buffer, offset: i * PAGE_SIZE }))
  return createRing(pages, channel, channelId, checksum)
}

export class SegmentWriter {
  readonly slots: number
  private readonly words: Int32Array
  private readonly pages: readonly Uint8Array[]
  private readonly lane: Uint8Array
  private readonly channelId: string
  private readonly consumer: Doorbell
  private readonly ring: RingDescriptor
  /** Only this side writes `head`, so its own copy is exact; its copy of `tail` may lag behind, which only makes it look again. */
  private head: number
  private tail: number
  private slot = 0

  constructor(ring: RingDescriptor, consumer: Doorbell) {
    this.slots = ring.pages.length
    this.words = new Int32Array(ring.control, 0, LENGTHS + this.slots)
    this.pages = pageViews(ring)
    this.lane = laneBytes(ring)
    this.channelId = ring.channelId
    this.consumer = consumer
    this.ring = ring
    this.head = Atomics.load(this.words, HEAD)
    this.tail = Atomics.load(this.words, TAIL)
  }

  /** Segments written since the ring was made, wrapping. */
  get written(): number {
    return this.head
  }

  /** Free slots now. When none is, the consumer will ring the producer when half of them are. */
  free(): number {
    let used = (this.head - this.tail) | 0
    if (used < this.slots) return this.slots - used
    this.tail = Atomics.load(this.words, TAIL)
    used = (this.head - this.tail) | 0
    if (used < this.slots) return this.slots - used
    return this.slots - this.usedWaiting()
  }

  /** Segments released by the consumer, wrapping; from now on the release that leaves half of the slots free rings the producer. For granting credits. */
  releasedWatched(): number {
    this.usedWaiting()
    return this.tail
  }

  /** Writes bytes from..to as one segment; false = no free slot. */
  write(source: Uint8Array, from: number, to: number): boolean {
    if (this.free() === 0) return false
    const { slot } = this
    const page = this.pages[slot]!
    assert(to > from && to - from <= PAGE_SIZE, 'a segment fits its slot')
    page.set(source.subarray(from, to))
    // Plain store: published by the atomic store of head.
    this.words[LENGTHS + slot] = to - from
    this.slot = slot + 1 === this.slots ? 0 : slot + 1
    this.head = (this.head + 1) | 0
    Atomics.store(this.words, HEAD, this.head)
    this.consumer.ring()
    return true
  }

  /** False while the lane's entry is unread. */
  writeLane(bytes: Uint8Array): boolean {
    if (bytes.length > LANE_SIZE) {
      throw new FlinkError(
        'RECORD_TOO_LARGE',
        `a control element of ${bytes.length} bytes does not fit the control lane of channel ${this.channelId}`,
      )
    }
    if (Atomics.load(this.words, LANE_STATE) !== 0) return false
    this.lane.set(bytes)
    this.words[LANE_LENGTH] = bytes.length
    Atomics.store(this.words, LANE_STATE, 1)
    this.consumer.ring()
    return true
  }

  throwIfFailed(): void {
    throwIfFailed(this.ring, this.words)
  }

  private usedWaiting(): number {
    Atomics.store(this.words, PRODUCER_WAITING, 1)
    this.tail = Atomics.load(this.words, TAIL)
    return (this.head - this.tail) | 0
  }
}

export class SegmentReader {
  readonly slots: number
  private readonly words: Int32Array
  private readonly pages: readonly Uint8Array[]
  private readonly lane: Uint8Array
  private readonly producer: Doorbell
  private readonly ring: RingDescriptor
  /** Taken by `next`, not yet released: position - tail segments. */
  private position: number
  private tail: number
  private slot = 0

  constructor(ring: RingDescriptor, producer: Doorbell) {
    this.slots = ring.pages.length
    this.words = new Int32Array(ring.control, 0, LENGTHS + this.slots)
    this.pages = pageViews(ring)
    this.lane = laneBytes(ring)
    this.producer = producer
    this.ring = ring
    this.tail = Atomics.load(this.words, TAIL)
    this.position = this.tail
  }

  /** Segments written and not yet taken. An error counts as one: a host that looks here before it sleeps must not miss it. */
  get queued(): number {
    const count = (Atomics.load(this.words, HEAD) - this.position) | 0
    return count === 0 && Atomics.load(this.words, ERROR_STATE) === ERROR_SET ? 1 : count
  }

  /** The next segment: a view of shared memory, valid until it is released. */
  next(): Uint8Array | undefined {
    if (Atomics.load(this.words, HEAD) === this.position) return undefined
    const { slot } = this
    const length = this.words[LENGTHS + slot]!
    assert(length > 0 && length <= PAGE_SIZE, 'a segment has a length')
    this.slot = slot + 1 === this.slots ? 0 : slot + 1
    this.position = (this.position + 1) | 0
    return this.pages[slot]!.subarray(0, length)
  }

  /** Gives the oldest taken segment's slot back. */
  release(): void {
    assert(this.tail !== this.position, 'only a taken segment is released')
    this.tail = (this.tail + 1) | 0
    Atomics.store(this.words, TAIL, this.tail)
    if (Atomics.load(this.words, PRODUCER_WAITING) === 0 || ((Atomics.load(this.words, HEAD) - this.tail) | 0) > this.slots >> 1) return
    if (Atomics.exchange(this.words, PRODUCER_WAITING, 0) === 1) this.producer.ring()
  }

  /** A copy of the lane's entry, which is thereby empty again. */
  readLane(): Uint8Array | undefined {
    if (Atomics.load(this.words, LANE_STATE) === 0) return undefined
    const bytes = this.lane.slice(0, this.words[LANE_LENGTH]!)
    Atomics.store(this.words, LANE_STATE, 0)
    this.producer.ring()
    return bytes
  }

  throwIfFailed(): void {
    throwIfFailed(this.ring, this.words)
  }
}

/** Leaves an error in the ring; the first one stays. The caller rings both sides' doorbells. */
export function failRing(ring: RingDescriptor, code: ErrorCode, message: string): void {
  const words = new Int32Array(ring.control, 0, LENGTHS)
  if (Atomics.compareExchange(words, ERROR_STATE, ERROR_NONE, ERROR_CLAIMED) !== ERROR_NONE) return
  const area = new Uint8Array(ring.control, bytesAt(ring.pages.length), ERROR_SIZE)
  const bytes = new TextEncoder().encode(`${code}\n${message}`).subarray(0, ERROR_SIZE)
  area.set(bytes)
  words[ERROR_LENGTH] = bytes.length
  Atomics.store(words, ERROR_STATE, ERROR_SET)
}

function throwIfFailed(ring: RingDescriptor, words: Int32Array): void {
  if (Atomics.load(words, ERROR_STATE) !== ERROR_SET) return
  const at = bytesAt(ring.pages.length)
  const text = new TextDecoder().decode(new Uint8Array(ring.control).slice(at, at + words[ERROR_LENGTH]!))
  const end = text.indexOf('\n')
  const code = text.slice(0, end)
  assert(Object.hasOwn(errorCodes, code), 'a failed ring names an error code')
  // Checked in the line above.
  throw new FlinkError(code as ErrorCode, text.slice(end + 1), { channelId: ring.channelId })
}

function bytesAt(slots: number): number {
  return (LENGTHS + slots) * 4
}

function laneBytes(ring: RingDescriptor): Uint8Array {
  return new Uint8Array(ring.control, bytesAt(ring.pages.length) + ERROR_SIZE, LANE_SIZE)
}

function pageViews(ring: RingDescriptor): Uint8Array[] {
  return ring.pages.map(page => new Uint8Array(page.buffer, page.offset, PAGE_SIZE))
}
