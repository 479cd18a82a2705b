import { ByteWriter } from '../common/bytes.ts'
import { keyGroupOf } from '../serde/key-groups.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { segmentMemory } from './segment-memory.ts'

export interface FinishedSegment {
  readonly keyGroups: ReadonlyMap<number, Uint8Array>
  /** In bytes. */
  readonly size: number
  readonly recordCount: number
}

const LENGTH_BYTES = 4
const CAPACITY_KEPT_MAX = 128 * 1024 * 1024
/** Of the last segment's size, or of this one's: what the next is expected to have. */
const ROOM_SHARE = 17 / 16
const TOUCHED_AT_ONCE = 256 * 1024
const noRoom = new Uint8Array(0)
/** Nobody writes to it. */
const noWriter = new ByteWriter(0)

/**
 * One segment of keyed state while it is written. Per key group: records one behind the other, each a head (schema and whether it removes), the length of the
 * rest in four bytes, then what the state's part writes: the key, and below it a namespace, a value. A record replaces those of the same key and namespace in
 * front of it.
 *
 * It asks for memory seldom and in one piece: V8 looks at the whole heap for every 64 MB of buffers that are made, which takes seconds where it is large. So
 * the room of small segments is used again, and that of large ones is made at once and handed over as it is.
 */
export class SegmentWriter {
  /** Place of the current part's first schema among all schemas. */
  firstSchema = 0
  /** Of the current part, the state that wrote last: for messages. */
  lastSchema = 0
  recordCount = 0
  private readonly keyType: TypeInformation
  private readonly maxParallelism: number
  private readonly groups: (ByteWriter | undefined)[]
  private sizeBefore = 0
  private last = noWriter
  private lastStart = 0
  private sizeOfLast = 0
  /** For what `finish` answers, and how much of it has been touched. */
  private room: Uint8Array = noRoom
  private touched = 0
  /** Where the length of the last record is to be; -1 = it has one. */
  private lengthAt = -1

  constructor(keyType: TypeInformation, maxParallelism: number) {
    this.keyType = keyType
    this.maxParallelism = maxParallelism
    this.groups = new Array(maxParallelism).fill(undefined)
  }

  /** Begins a record without a key. `schema` is the part's own index. */
  record(schema: number, removes: boolean, keyGroup: number): ByteWriter {
    const writer = this.begin(keyGroup)
    this.lastSchema = schema
    this.recordCount++
    writer.varint((this.firstSchema + schema) * 2 + (removes ? 1 : 0))
    this.lengthAt = writer.reserve(LENGTH_BYTES)
    return writer
  }

  /** Begins a record of `key`. */
  keyed(schema: number, removes: boolean, key: unknown, keyGroup = this.keyGroupOf(key)): ByteWriter {
    const writer = this.record(schema, removes, keyGroup)
    this.keyType.serializer.write(key, writer)
    return writer
  }

  /** For records that are complete; who writes them there counts them. */
  begin(keyGroup: number): ByteWriter {
    this.endRecord()
    const writer = this.writerOf(keyGroup)
    this.sizeBefore = this.size
    this.last = writer
    this.lastStart = writer.length
    return writer
  }

  protected writerOf(keyGroup: number): ByteWriter {
    return (this.groups[keyGroup] ??= new ByteWriter(256))
  }

  protected endRecord(): void {
    const { last, lengthAt } = this
    if (lengthAt >= 0) last.view.setUint32(lengthAt, last.length - lengthAt - LENGTH_BYTES, true)
    this.lengthAt = -1
  }

  keyGroupOf(key: unknown): number {
    return keyGroupOf(this.keyType, key, this.maxParallelism)
  }

  get size(): number {
    return this.sizeBefore + this.last.length - this.lastStart
  }

  /** A segment of about this size comes next. */
  expect(bytes: number): void {
    if (bytes <= CAPACITY_KEPT_MAX) return
    const share = Math.ceil((bytes * 1.2) / this.maxParallelism)
    const slab = segmentMemory.take(share * this.maxParallelism).room
    for (let keyGroup = 0; keyGroup < this.maxParallelism; keyGroup++)
      this.groups[keyGroup] = new ByteWriter(slab.subarray(keyGroup * share, (keyGroup + 1) * share))
  }

  /**
   * Makes room for the segment at its end, a piece at a time, since memory that a process has not had before takes time when it is first touched. True = there is
   * more to do.
   */
  prepare(): boolean {
    const bytes = Math.max(this.size, this.sizeOfLast) * ROOM_SHARE
    if (bytes > CAPACITY_KEPT_MAX) return false
    if (this.room.length < bytes) {
      segmentMemory.giveBack([this.room.buffer])
      const { room, isTouched } = segmentMemory.take(Math.ceil(bytes * ROOM_SHARE))
      this.room = room
      this.touched = isTouched ? room.length : 0
    }
    if (this.touched === this.room.length) return false
    const end = Math.min(this.room.length, this.touched + TOUCHED_AT_ONCE)
    this.room.fill(0, this.touched, end)
    this.touched = end
    return true
  }

  /** What was written is not needed. */
  drop(): void {
    this.groups.fill(undefined)
    this.reset()
  }

  /** By key group, ascending. The next segment may be written then. */
  finish(): FinishedSegment {
    this.endRecord()
    const { size, recordCount } = this
    const keyGroups = new Map<number, Uint8Array>()
    let capacity = 0
    for (const writer of this.groups) capacity += writer?.bytes.length ?? 0
    const isKept = capacity <= CAPACITY_KEPT_MAX
    const slab = isKept ? this.slabOf(size) : noRoom
    this.sizeOfLast = size
    let at = 0
    for (const [keyGroup, writer] of this.groups.entries()) {
      if (writer === undefined || writer.length === 0) continue
      if (isKept) {
        slab.set(writer.subarray(), at)
        keyGroups.set(keyGroup, slab.subarray(at, (at += writer.length)))
        writer.reset()
      } else keyGroups.set(keyGroup, writer.subarray())
    }
    if (!isKept) this.groups.fill(undefined)
    this.reset()
    return { keyGroups, size, recordCount }
  }

  private slabOf(size: number): Uint8Array {
    const { room } = this
    // Nobody gives back what an empty segment would have taken.
    if (size === 0) return noRoom
    if (room.length < size) return segmentMemory.take(size).room
    this.room = noRoom
    return room
  }

  protected reset(): void {
    this.lengthAt = -1
    this.recordCount = 0
    this.sizeBefore = 0
    this.last = noWriter
    this.lastStart = 0
  }
}
