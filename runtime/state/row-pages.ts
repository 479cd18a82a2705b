import { assert } from '../common/assert.ts'
import { ByteReader, type ByteWriter } from '../common/bytes.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import type { RowKeys } from './row-keys.ts'
import { copyBytes, headAt, headSize, LENGTH_BYTES, REMOVES, recordSize } from './row-record.ts'
import type { SegmentWriter } from './segment-writer.ts'

/**
 * The rows of one key group as bytes: records as segments have them (segment-writer.ts), in pages of up to 128 KiB, found by an open-addressing table from a
 * key's hash to a record's address. A row takes its record and 9 bytes a slot of the table, which is 3/8 to 3/4 full.
 *
 * - A row that keeps its size is overwritten in place; else its new record is appended, and the old one is dead. A page of which a third is dead is emptied into
 *   the page that is being filled. That takes a fraction of a millisecond, so it is done at once.
 * - A removed row of which a segment may have a value stays as a tombstone, until a checkpoint that says so is complete.
 * - `stamps` says of each row what snapshots have to know: marked (not in any checkpoint as it is now), or which checkpoint had it last.
 */
export class RowPages {
  /** Without tombstones. */
  rowCount = 0
  markedCount = 0
  /** Of each slot a hash (0 = it is free), and what it holds: an address + 1, or DELETED. Side by side, because they are read together and seldom cached. */
  private slots: Int32Array
  private stamps: Uint8Array
  private shift: number
  /** Slots that are not free. */
  private usedCount = 0
  private tombstoneCount = 0
  private readonly pages: Page[] = []
  private readonly freePages: number[] = []
  /** The page that is being filled. */
  private last = -1
  private fills = 0
  private bytes = 0
  private deadBytes = 0
  /** A base is being written of it. */
  private isCopied = false
  private readonly keyGroup: number
  private readonly stampUses: Uint16Array

  /** `stampUses`: how often a stamp is in use by checkpoints that are not complete. `rowsExpected`: so that its table is made once. */
  constructor(keyGroup: number, stampUses: Uint16Array, rowsExpected: number) {
    let length = SLOTS_MIN
    while (length * 3 < rowsExpected * 4) length *= 2
    this.slots = new Int32Array(2 * length)
    this.stamps = new Uint8Array(length)
    this.shift = 32 - Math.log2(length)
    this.keyGroup = keyGroup
    this.stampUses = stampUses
  }

  /** The slot of the key's row in a state, or of its tombstone; -1 = none. `head`: of its records. */
  find(head: number, keys: RowKeys): number {
    const { slots } = this
    const hash = mixed(keys.hash, head)
    const mask = this.slotCount - 1
    for (let slot = Math.imul(hash, FIBONACCI) >>> this.shift; ; slot = (slot + 1) & mask) {
      const found = slots[2 * slot]!
      if (found === 0) return -1
      if (found !== hash) continue
      const held = slots[2 * slot + 1]!
      if (held === DELETED) continue
      const page = this.pages[(held - 1) >>> OFFSET_BITS] as Page
      const at = (held - 1) & OFFSET_MASK
      if (headAt(page.reader.bytes, at) === head && keys.isAt(page.reader, at + headSize(head) + LENGTH_BYTES)) return slot
    }
  }

  hasRow(head: number, keys: RowKeys): boolean {
    const slot = this.find(head, keys)
    return slot >= 0 && this.isRow(slot)
  }

  /** Each once, though it has rows in several states. `heads`: of the records of all states; `page`: only of this one's rows. */
  keysOf(type: TypeSerializer<unknown>, keys: RowKeys, heads: readonly number[], page?: number): unknown[] {
    const found: unknown[] = []
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (!this.isRow(slot) || (page !== undefined && (this.slots[2 * slot + 1]! - 1) >>> OFFSET_BITS !== page)) continue
      const head = this.headOf(slot)
      if (head > 0) {
        keys.setFrom(this.readerOf(slot))
        if (heads.some(other => other < head && this.hasRow(other, keys))) continue
      }
      found.push(type.read(this.readerOf(slot)))
    }
    return found
  }

  isRow(slot: number): boolean {
    const held = this.slots[2 * slot + 1]!
    return held > 0 && ((this.pages[(held - 1) >>> OFFSET_BITS] as Page).reader.bytes[(held - 1) & OFFSET_MASK]! & REMOVES) === 0
  }

  /** A reader in front of the row's key. */
  readerOf(slot: number): ByteReader {
    const held = this.slots[2 * slot + 1]! - 1
    const { reader } = this.pages[held >>> OFFSET_BITS] as Page
    const at = held & OFFSET_MASK
    reader.position = at + headSize(headAt(reader.bytes, at)) + LENGTH_BYTES
    return reader
  }

  private headOf(slot: number): number {
    const held = this.slots[2 * slot + 1]! - 1
    return headAt((this.pages[held >>> OFFSET_BITS] as Page).reader.bytes, held & OFFSET_MASK)
  }

  /** Bytes of the record. */
  sizeOf(slot: number): number {
    const held = this.slots[2 * slot + 1]! - 1
    return recordSize((this.pages[held >>> OFFSET_BITS] as Page).reader, held & OFFSET_MASK)
  }

  /**
   * Puts `body`, the key and the value behind it, at the place that `find` has answered. `isSaved`: a segment has it, as in a restore. Answers by how many
   * bytes the row has grown.
   */
  put(slot: number, head: number, keys: RowKeys, body: Uint8Array, start: number, end: number, isSaved: boolean): number {
    const size = headSize(head) + LENGTH_BYTES + end - start
    if (slot < 0) {
      // First, because it may move records, and this one is in no slot yet.
      if ((this.usedCount + 1) * 4 > this.slotCount * 3) this.makeAnew()
      this.insert(mixed(keys.hash, head), this.write(head, body, start, end) + 1, isSaved ? SAVED : MARKED_NEW)
      this.rowCount++
      return size
    }
    const held = this.slots[2 * slot + 1]! - 1
    const page = this.pages[held >>> OFFSET_BITS] as Page
    const at = held & OFFSET_MASK
    const wasRow = (page.reader.bytes[at]! & REMOVES) === 0
    if (!wasRow) {
      this.tombstoneCount--
      this.rowCount++
    }
    if (!isSaved) this.mark(slot)
    const sizeBefore = recordSize(page.reader, at)
    if (wasRow && sizeBefore === size) copyBytes(body, start, end, page.reader.bytes, at + headSize(head) + LENGTH_BYTES)
    else {
      this.leavesPage(slot, page)
      this.slots[2 * slot + 1] = DELETED
      this.kill(held, sizeBefore)
      this.slots[2 * slot + 1] = this.write(head, body, start, end) + 1
    }
    return wasRow ? size - sizeBefore : size
  }

  /** `leaves`: a tombstone, if a segment may have the row. Answers the bytes of the row. */
  remove(slot: number, keys: RowKeys, leaves: boolean): number {
    const held = this.slots[2 * slot + 1]! - 1
    const { reader } = this.pages[held >>> OFFSET_BITS] as Page
    const at = held & OFFSET_MASK
    if ((reader.bytes[at]! & REMOVES) !== 0) return 0
    const size = recordSize(reader, at)
    this.rowCount--
    this.leavesPage(slot, this.page(held >>> OFFSET_BITS))
    if (!leaves || this.stamps[slot] === MARKED_NEW) {
      this.drop(slot)
      return size
    }
    this.mark(slot)
    this.tombstoneCount++
    const lengthAt = at + headSize(headAt(reader.bytes, at))
    const keyAt = lengthAt + LENGTH_BYTES
    reader.bytes[at] = reader.bytes[at]! | REMOVES
    // The key as it stands here: an equal one may be longer or shorter.
    reader.position = keyAt
    keys.stepOver(reader)
    reader.view.setUint32(lengthAt, reader.position - keyAt, true)
    this.kill(held, at + size - reader.position)
    return size
  }

  /**
   * Takes over records from `input`, as a segment has them, until one comes whose head is not below `headEnd`; answers how many. `counted` hears of each row
   * that comes and goes. What follows a row that is new is copied along with it, twice as much each time, for most of a base is new.
   */
  restore(input: ByteReader, keys: RowKeys, headEnd: number, counted: (head: number, change: 1 | -1) => void): number {
    const { bytes, end: inputEnd } = input
    let count = 0
    /** The bytes from `nextFrom` stand at address `next` already, as far as `ahead`, behind what is used of the page. */
    let next = -1
    let nextFrom = -1
    let ahead = 0
    let copied = 0
    for (; input.position < inputEnd; count++) {
      const from = input.position
      const head = headAt(bytes, from)
      if (head >= headEnd) break
      const removes = (bytes[from]! & REMOVES) !== 0
      const keyAt = input.take(headSize(head) + LENGTH_BYTES) + headSize(head) + LENGTH_BYTES
      const size = recordSize(input, from)
      input.position = from
      input.take(size)
      input.position = keyAt
      keys.setFrom(input)
      input.position = from + size
      const slot = this.find(head, keys)
      if (slot >= 0) {
        if (!removes) this.put(slot, head, keys, bytes, keyAt, from + size, true)
        else if (this.remove(slot, keys, false) > 0) counted(head, -1)
        continue
      }
      if (removes) continue
      if ((this.usedCount + 1) * 4 > this.slotCount * 3) this.makeAnew()
      const address = this.room(size)
      if (address !== next || from !== nextFrom) {
        ahead = 0
        copied = 0
      }
      if (ahead < size) {
        const page = this.page(address >>> OFFSET_BITS).reader.bytes
        const to = address & OFFSET_MASK
        copied = Math.min(Math.max(size, 2 * copied), page.length - to, inputEnd - from)
        copyBytes(bytes, from, from + copied, page, to)
        ahead = copied
      }
      ahead -= size
      next = address + size
      nextFrom = from + size
      this.insert(mixed(keys.hash, head), address + 1, SAVED)
      this.rowCount++
      counted(head, 1)
    }
    return count
  }

  /** Writes rows and tombstones that are marked; they are in the checkpoint of `stamp` then. */
  writeMarked(out: SegmentWriter, stamp: number): void {
    if (this.markedCount === 0) return
    const { stamps, slots, pages } = this
    const marked = new Int32Array(this.markedCount)
    let count = 0
    for (let slot = 0; slot < stamps.length; slot++) {
      const held = stamps[slot]!
      if (held !== MARKED_NEW && held !== MARKED) continue
      marked[count++] = slots[2 * slot + 1]! - 1
      stamps[slot] = stamp
    }
    // Sizes first: rows are far apart, and a processor waits for many at once where nothing else is done with them.
    let size = 0
    for (let i = 0; i < count; i++) size += recordSize((pages[marked[i]! >>> OFFSET_BITS] as Page).reader, marked[i]! & OFFSET_MASK)
    const writer = out.begin(this.keyGroup)
    let to = writer.reserve(size)
    for (let i = 0; i < count; i++) {
      const { reader } = pages[marked[i]! >>> OFFSET_BITS] as Page
      const at = marked[i]! & OFFSET_MASK
      const end = at + recordSize(reader, at)
      copyBytes(reader.bytes, at, end, writer.bytes, to)
      to += end - at
    }
    out.recordCount += this.markedCount
    this.markedCount = 0
  }

  /** Rows only. `begins`: all of them are in a segment then, and nothing else is. */
  writeAll(out: SegmentWriter, begins: boolean): void {
    if (this.deadBytes > 0 || this.tombstoneCount > 0) this.copyRowsOf(undefined, out)
    else for (const page of this.pages) this.copyFrom(page, 0, Infinity, out)
    if (!begins) return
    for (let slot = 0; this.tombstoneCount > 0 && slot < this.slotCount; slot++) {
      if (this.slots[2 * slot + 1]! <= 0 || this.isRow(slot)) continue
      this.drop(slot)
      this.tombstoneCount--
    }
    this.stamps.fill(SAVED)
    this.markedCount = 0
  }

  /**
   * Writes what is in a page at `place`, until `out` has `sizeMax` bytes or a little more; answers whether there are more pages. Marked rows and tombstones may
   * be among it: they are in the changes of a later checkpoint as well. Rows that move to another page meanwhile are marked.
   */
  writePage(place: PagePlace, out: SegmentWriter, sizeMax: number, stamp: number): boolean {
    const page = this.pages[place.page]
    this.isCopied = page !== undefined
    if (page === undefined) return false
    if (page.used > 0) page.stamp = stamp
    if (page.dead > 0) this.copyRowsOf(place.page, out)
    else {
      place.offset = this.copyFrom(page, place.fill === page.fill ? place.offset : 0, sizeMax - out.size, out)
      place.fill = page.fill
      if (place.offset < page.used) return true
    }
    place.page++
    place.offset = 0
    return true
  }

  /** Nobody will ask for its rows any more. */
  close(): void {
    for (const page of this.pages) pageMemory.bytes -= page.reader.bytes.length
    this.pages.length = 0
  }

  /** The base is complete or given up. */
  endCopy(): void {
    this.isCopied = false
  }

  private get slotCount(): number {
    return this.stamps.length
  }

  /** What has one of these stamps is to be written again. */
  markAgain(stamp: number, orStamp: number): void {
    const { stamps, slots } = this
    for (let slot = 0; slot < stamps.length; slot++) {
      const held = slots[2 * slot + 1]! - 1
      if (held < 0) continue
      const ofRow = stamps[slot]!
      const ofPage = this.page(held >>> OFFSET_BITS).stamp
      if (ofRow === stamp || ofRow === orStamp || ofPage === stamp || ofPage === orStamp) this.mark(slot)
    }
  }

  private mark(slot: number): void {
    const held = this.stamps[slot]!
    if (held === MARKED_NEW || held === MARKED) return
    this.stamps[slot] = MARKED
    this.markedCount++
  }

  /** A base may have a row that is in no other segment. */
  private leavesPage(slot: number, page: Page): void {
    if (this.stamps[slot] === MARKED_NEW && this.stampUses[page.stamp]! > 0) this.stamps[slot] = MARKED
  }

  /** `number`: of one page; undefined = of all. */
  private copyRowsOf(number: number | undefined, out: SegmentWriter): void {
    const { slots } = this
    const writer = out.begin(this.keyGroup)
    for (let slot = 0; slot < this.slotCount; slot++) {
      const held = slots[2 * slot + 1]! - 1
      if (held < 0 || (number !== undefined && held >>> OFFSET_BITS !== number) || !this.isRow(slot)) continue
      this.copy(held, writer)
      out.recordCount++
    }
  }

  /** Of a page without dead records; answers the end of what was copied. */
  private copyFrom({ reader, used }: Page, from: number, sizeMax: number, out: SegmentWriter): number {
    let to = from
    for (; to < used && to - from < sizeMax; out.recordCount++) to += recordSize(reader, to)
    out.begin(this.keyGroup).raw(reader.bytes.subarray(from, to))
    return to
  }

  private copy(held: number, out: ByteWriter): void {
    const { reader } = this.pages[held >>> OFFSET_BITS] as Page
    const at = held & OFFSET_MASK
    const size = recordSize(reader, at)
    const to = out.reserve(size)
    copyBytes(reader.bytes, at, at + size, out.bytes, to)
  }

  private insert(hash: number, held: number, stamp: number): void {
    const { slots } = this
    const mask = this.slotCount - 1
    let slot = Math.imul(hash, FIBONACCI) >>> this.shift
    while (slots[2 * slot + 1]! > 0) slot = (slot + 1) & mask
    if (slots[2 * slot] === 0) this.usedCount++
    slots[2 * slot] = hash
    slots[2 * slot + 1] = held
    this.stamps[slot] = stamp
    if (stamp === MARKED_NEW) this.markedCount++
  }

  /** Forgets a slot's record. */
  private drop(slot: number): void {
    const held = this.slots[2 * slot + 1]! - 1
    const { reader } = this.pages[held >>> OFFSET_BITS] as Page
    const size = recordSize(reader, held & OFFSET_MASK)
    const stamp = this.stamps[slot]
    if (stamp === MARKED_NEW || stamp === MARKED) this.markedCount--
    this.slots[2 * slot + 1] = DELETED
    this.stamps[slot] = SAVED
    this.kill(held, size)
  }

  /** With room for as many again, and without the tombstones that nobody needs any more. */
  private makeAnew(): void {
    const { slots, stamps } = this
    for (let slot = 0; this.tombstoneCount > 0 && slot < stamps.length; slot++) {
      if (slots[2 * slot + 1]! <= 0 || this.stampUses[stamps[slot]!]! > 0 || this.isRow(slot)) continue
      this.drop(slot)
      this.tombstoneCount--
    }
    const count = this.rowCount + this.tombstoneCount
    let length = SLOTS_MIN
    while (length < count * 2) length *= 2
    this.slots = new Int32Array(2 * length)
    this.stamps = new Uint8Array(length)
    this.shift = 32 - Math.log2(length)
    const mask = length - 1
    this.usedCount = 0
    for (let from = 0; from < stamps.length; from++) {
      if (slots[2 * from + 1]! <= 0) continue
      const hash = slots[2 * from]!
      let slot = Math.imul(hash, FIBONACCI) >>> this.shift
      while (this.slots[2 * slot] !== 0) slot = (slot + 1) & mask
      this.slots[2 * slot] = hash
      this.slots[2 * slot + 1] = slots[2 * from + 1]!
      this.stamps[slot] = stamps[from]!
      this.usedCount++
    }
  }

  /** Answers the record's address. */
  private write(head: number, body: Uint8Array, start: number, end: number): number {
    const address = this.room(headSize(head) + LENGTH_BYTES + end - start)
    const { reader } = this.pages[address >>> OFFSET_BITS] as Page
    let at = address & OFFSET_MASK
    if (head >= 0x80) {
      reader.bytes[at++] = (head & 0x7f) | 0x80
      reader.bytes[at++] = head >>> 7
    } else reader.bytes[at++] = head
    reader.view.setUint32(at, end - start, true)
    copyBytes(body, start, end, reader.bytes, at + LENGTH_BYTES)
    return address
  }

  private room(size: number): number {
    this.bytes += size
    if (size > PAGE_BYTES / 4) {
      const alone = this.newPage(size)
      this.page(alone).used = size
      return alone << OFFSET_BITS
    }
    const before = this.last
    if (before < 0 || this.page(before).used + size > this.page(before).reader.bytes.length) {
      this.last = this.newPage(Math.max(size, Math.min(PAGE_BYTES, Math.max(PAGE_BYTES_MIN, this.bytes - this.deadBytes))))
      if (before >= 0) this.emptyIfDue(before)
    }
    const page = this.page(this.last)
    const offset = page.used
    // Emptying the page before may have filled this one.
    if (offset + size > page.reader.bytes.length) {
      this.bytes -= size
      return this.room(size)
    }
    page.used += size
    return (this.last << OFFSET_BITS) | offset
  }

  private newPage(size: number): number {
    const number = this.freePages.pop() ?? this.pages.length
    assert(number < PAGES_MAX, `key group ${this.keyGroup} has at most ${PAGES_MAX} pages`)
    this.pages[number] = new Page(size, ++this.fills)
    pageMemory.bytes += size
    return number
  }

  private page(number: number): Page {
    return this.pages[number] as Page
  }

  private kill(address: number, size: number): void {
    const number = address >>> OFFSET_BITS
    this.page(number).dead += size
    this.deadBytes += size
    this.emptyIfDue(number)
  }

  private emptyIfDue(number: number): void {
    const page = this.page(number)
    if (page.dead === page.used) {
      this.bytes -= page.used
      this.deadBytes -= page.dead
      page.used = 0
      page.dead = 0
      page.fill = ++this.fills
      page.stamp = SAVED
      if (number === this.last) return
      pageMemory.bytes -= page.reader.bytes.length
      this.pages[number] = noPage
      this.freePages.push(number)
    } else if (number !== this.last && page.dead * 3 >= page.used) this.empty(number, page)
  }

  private empty(number: number, page: Page): void {
    const { slots } = this
    const { reader } = page
    for (let slot = 0; slot < this.slotCount; slot++) {
      const held = slots[2 * slot + 1]! - 1
      if (held < 0 || held >>> OFFSET_BITS !== number) continue
      const at = held & OFFSET_MASK
      const size = recordSize(reader, at)
      const address = this.room(size)
      copyBytes(reader.bytes, at, at + size, this.page(address >>> OFFSET_BITS).reader.bytes, address & OFFSET_MASK)
      slots[2 * slot + 1] = address + 1
      this.leavesPage(slot, page)
      // A base may have passed where it goes; and a checkpoint that is given up has what had its page's stamp.
      if (this.isCopied || this.stampUses[page.stamp]! > 0) this.mark(slot)
      page.dead += size
      this.deadBytes += size
    }
    assert(page.dead === page.used, 'what is not dead in a page stands in the table')
    this.emptyIfDue(number)
  }
}

/** What all pages of this thread take. V8 does not count it as heap, but it is the slot's. */
export const pageMemory = { bytes: 0 }

/** How far a base has come in a key group. */
export interface PagePlace {
  page: number
  offset: number
  /** The page's when `offset` was right. */
  fill: number
}

class Page {
  /** Its `bytes` and `view` are the page's. */
  readonly reader: ByteReader
  used = 0
  dead = 0
  /** Another one whenever it begins to be filled. */
  fill: number
  /** Of the checkpoint that has all of it in a base, if none of its rows says otherwise. */
  stamp = SAVED

  constructor(size: number, fill: number) {
    this.fill = fill
    // Not zeroed: nobody looks behind what is used.
    this.reader = new ByteReader(new Uint8Array(Buffer.allocUnsafeSlow(size).buffer))
  }
}

const OFFSET_BITS = 17
const OFFSET_MASK = (1 << OFFSET_BITS) - 1
const PAGE_BYTES = 1 << OFFSET_BITS
const PAGE_BYTES_MIN = 512
/** Addresses have 31 bits. */
const PAGES_MAX = (1 << (31 - OFFSET_BITS)) - 1
const SLOTS_MIN = 16
const DELETED = -1
/** 2^32 divided by the golden ratio: spreads neighbouring hashes over the table. */
const FIBONACCI = 0x9e3779b1 | 0
/** It is as some complete checkpoint has it. */
export const SAVED = 0
/** No segment has it. */
export const MARKED_NEW = 1
/** A segment may have what it was before. */
export const MARKED = 2
/** Others are checkpoints'. */
export const FIRST_STAMP = 3
const noPage = new Page(0, 0)

/** Never 0, which is the hash of a free slot. */
function mixed(hash: number, head: number): number {
  return hash ^ Math.imul(head, FIBONACCI) || 1
}
