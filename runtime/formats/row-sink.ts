import { assert } from '../common/assert.ts'
import { ByteWriter } from '../common/bytes.ts'
import type { BytesColumn, Column, ColumnKind, Validity } from '../network/columns.ts'

/**
 * Where decoders put rows: the arrays of one frame's columns, of fixed capacity. Texts and bytes are not copied: a column points into the page
 * that the decoder reads.
 *
 * Ownership: from `begin(page)` on, the page belongs to the frames made here; nobody may write to it any more, and whoever reads input takes a
 * fresh one. Only values that do not stand in the page as they are (unescaped texts, base64) are written beside it; a column with such values is
 * gathered into bytes of its own when the frame is finished, as are rows of an earlier page when a frame goes on with another one.
 *
 * With `reuse` the arrays are the sink's again as soon as the next row is written: for readers whose frames are done with by then.
 *
 * A row is written at `count` and counts once `count` moves on: a row that failed half-way is undone by `resetRow`.
 */
export class RowSink {
  count = 0
  /** Rows of the frame in the making: `capacityMax`, or a little more than the last one had where pages end sooner. */
  capacity: number
  private readonly capacityMax: number
  readonly columns: readonly SinkColumn[]
  private page: Uint8Array = noBytes
  /** The first row of `page`; those in front of it stand aside. */
  private pageRow = 0

  private reuse = false

  constructor(kinds: readonly ColumnKind[], capacity = 2048) {
    assert(capacity > 0, 'a frame has room for a row')
    this.capacity = capacity
    this.capacityMax = capacity
    this.columns = kinds.map(kind => new SinkColumn(kind))
  }

  /** From the next frame on, whose arrays are made for as many rows as there may be. */
  reuseArrays(): void {
    assert(this.count === 0, 'arrays are reused from frame to frame')
    this.reuse = true
    this.capacity = this.capacityMax
  }

  get isFull(): boolean {
    return this.count >= this.capacity
  }

  /** Called by decoders before they write rows that point into `page`. */
  begin(page: Uint8Array): void {
    if (page !== this.page) {
      if (this.count > this.pageRow) for (const column of this.columns) column.leavePage(this.page, this.pageRow, this.count)
      this.page = page
      this.pageRow = this.count
    }
    for (const column of this.columns) column.begin(this.capacity)
  }

  /** All columns are not null at the current row again. */
  resetRow(): void {
    const { count } = this
    for (const column of this.columns) column.validity[count >> 3]! |= 1 << (count & 7)
  }

  /** The columns of the rows so far; the sink is empty afterwards. */
  finish(): { length: number; columns: readonly Column[] } {
    const { count, page } = this
    for (const column of this.columns) column.begin(this.capacity)
    const columns = this.columns.map(column => column.finish(page, count))
    this.count = 0
    this.page = noBytes
    this.pageRow = 0
    if (this.reuse) {
      for (const column of this.columns) column.keep(count)
      return { length: count, columns }
    }
    // Arrays are zeroed when they are made: of pages that hold 300 rows not for 2,048. bench: bench/micro/formats.ts
    const wanted = count >= this.capacity ? count * 2 : count + (count >> 2) + 16
    this.capacity = Math.min(this.capacityMax, wanted)
    return { length: count, columns }
  }
}

/** One shape for all kinds, so that decoders see one; arrays that the kind does not need are empty. */
export class SinkColumn {
  readonly kind: ColumnKind
  bools: Uint8Array<ArrayBuffer> = noBytes
  ints: Int32Array<ArrayBuffer> = noInts
  doubles: Float64Array<ArrayBuffer> = noDoubles
  longs: BigInt64Array<ArrayBuffer> = noLongs
  /** The same memory as `longs`, low word first: a long that is no bigint on the way is written by words. */
  words: Int32Array<ArrayBuffer> = noInts
  /** Offset in the page; `~offset` in `aside`. */
  starts: Int32Array<ArrayBuffer> = noInts
  lengths: Int32Array<ArrayBuffer> = noInts
  validity: Uint8Array<ArrayBuffer> = noBytes
  private allocated = false
  /** Rows of the last frame whose arrays are used again; -1 = new ones. */
  private kept = -1
  private readonly aside = new ByteWriter(0)

  constructor(kind: ColumnKind) {
    this.kind = kind
  }

  begin(capacity: number): void {
    if (this.allocated) return
    this.allocated = true
    if (this.kept >= 0) {
      this.validity.fill(0xff, 0, (this.kept + 7) >> 3)
      return
    }
    this.validity = new Uint8Array((capacity + 7) >> 3).fill(0xff)
    switch (this.kind) {
      case 'bool':
        this.bools = new Uint8Array(capacity)
        break
      case 'i32':
        this.ints = new Int32Array(capacity)
        break
      case 'f64':
        this.doubles = new Float64Array(capacity)
        break
      case 'i64':
        this.longs = new BigInt64Array(capacity)
        this.words = new Int32Array(this.longs.buffer)
        break
      case 'bytes':
        this.starts = new Int32Array(capacity)
        this.lengths = new Int32Array(capacity)
        break
    }
  }

  /** The arrays of the frame just finished, of `count` rows, are those of the next one. */
  keep(count: number): void {
    this.kept = count
  }

  setNull(row: number): void {
    this.validity[row >> 3]! &= ~(1 << (row & 7))
  }

  /** A value that does not stand in the page. */
  setAside(row: number, bytes: Uint8Array): void {
    this.starts[row] = ~this.aside.length
    this.lengths[row] = bytes.length
    this.aside.raw(bytes)
  }

  /** The page of rows `from..to` changes: what points into it is copied. Rows of earlier pages are not looked at again: of messages each is a page. */
  leavePage(page: Uint8Array, from: number, to: number): void {
    if (this.kind !== 'bytes') return
    for (let row = from; row < to; row++) {
      const start = this.starts[row]!
      if (start >= 0 && this.isValid(row)) this.setAside(row, page.subarray(start, start + this.lengths[row]!))
    }
  }

  finish(page: Uint8Array, count: number): Column {
    assert(this.allocated, 'a column that is finished has begun')
    this.allocated = false
    const validity = this.validityOf(count)
    switch (this.kind) {
      case 'bool':
        return { kind: 'bool', values: this.bools.subarray(0, count), validity }
      case 'i32':
        return { kind: 'i32', values: this.ints.subarray(0, count), validity }
      case 'f64':
        return { kind: 'f64', values: this.doubles.subarray(0, count), validity }
      case 'i64':
        return { kind: 'i64', values: this.longs.subarray(0, count), validity }
      case 'bytes':
        return this.finishBytes(page, count, validity)
    }
  }

  private finishBytes(page: Uint8Array, count: number, validity: Validity): BytesColumn {
    const starts = this.starts.subarray(0, count)
    const lengths = this.lengths.subarray(0, count)
    let data = page
    if (this.aside.length > 0) {
      const { bytes: aside } = this.aside
      let size = 0
      for (let row = 0; row < count; row++) if (this.isValid(row)) size += lengths[row]!
      data = new Uint8Array(size)
      let at = 0
      for (let row = 0; row < count; row++) {
        if (!this.isValid(row)) continue
        const start = starts[row]!
        const length = lengths[row]!
        data.set(start < 0 ? aside.subarray(~start, ~start + length) : page.subarray(start, start + length), at)
        starts[row] = at
        at += length
      }
      this.aside.reset()
    }
    return { kind: 'bytes', data, starts, lengths, ids: undefined, validity }
  }

  private isValid(row: number): boolean {
    return (this.validity[row >> 3]! & (1 << (row & 7))) !== 0
  }

  /** Undefined when no row is null. */
  private validityOf(count: number): Validity {
    const whole = count >> 3
    const bits = this.validity
    for (let i = 0; i < whole; i++) if (bits[i] !== 0xff) return bits.subarray(0, (count + 7) >> 3)
    const rest = (1 << (count & 7)) - 1
    return (bits[whole]! & rest) === rest ? undefined : bits.subarray(0, (count + 7) >> 3)
  }
}

const noBytes = new Uint8Array(0)
const noInts = new Int32Array(0)
const noDoubles = new Float64Array(0)
const noLongs = new BigInt64Array(0)
