/**
 * Columns on their way into a frame: one builder a column, appending single values or rows of other frames. What is finished is handed over;
 * a writer whose channel has encoded a frame gives its arrays back by `recycle`, so that a full exchange allocates nothing per frame.
 *
 * Builders grow by doubling and begin at the size of what they made last. Their owner bounds them: it asks `count` (and `byteCount`) and finishes.
 */
import { writeWtf8 } from '../serde/string-codec.ts'
import type { BoolColumn, BytesColumn, Column, Float64Column, Int32Column, Int64Column, LocalColumn, LocalColumnKind, Validity } from './columns.ts'
import { AbsentColumnBuilder } from './columns-absent.ts'
import { DictionaryRows } from './columns-dictionary.ts'
import { gatherBytes, gatherFloat64, gatherInt32, gatherInt64, gatherText, LOOP_COPY_MAX } from './columns-gather.ts'
import { TextColumnBuilder } from './columns-text.ts'
import { ValidityBuilder } from './columns-validity.ts'

const CAPACITY_MIN = 16
const BYTES_CAPACITY_MIN = 256

export interface ColumnBuilder<C extends LocalColumn = LocalColumn> {
  count: number
  appendNull(): void
  /** One row of a column of the same kind. */
  appendFrom(column: C, row: number): void
  /** Rows `order[from..to)` of a column of the same kind. */
  gather(column: C, order: Int32Array, from: number, to: number): void
  appendRange(column: C, from: number, to: number): void
  /** Hands the column over; the builder is empty afterwards. */
  finish(): C
  /** A finished column that nobody reads any more. */
  recycle(column: C): void
}

type FixedArray = Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>

/** What the builders of fixed-width columns share. Subclasses keep their own loops: each sees one kind of array, so each is compiled for it. */
abstract class FixedColumnBuilder<A extends FixedArray> {
  count = 0
  protected values: A
  protected readonly validity = new ValidityBuilder()
  private readonly empty: A
  private sizeHint = CAPACITY_MIN

  constructor() {
    this.empty = this.allocate(0)
    this.values = this.empty
  }

  appendNull(): void {
    this.validity.append(this.count, false)
    this.room(1)
    this.count++
  }

  protected abstract allocate(length: number): A

  /** Makes room for more values, answers where they go. */
  protected room(more: number): number {
    const needed = this.count + more
    if (needed > this.values.length) {
      const grown = this.allocate(Math.max(needed, this.values.length * 2, this.sizeHint))
      grown.set(this.values as never) // the same kind of array
      this.values = grown
    }
    return this.count
  }

  protected taken(): { values: A; validity: Validity } {
    const { values, count } = this
    const validity = this.validity.finish(count)
    this.sizeHint = Math.max(CAPACITY_MIN, count)
    this.values = this.empty
    this.count = 0
    return { values: values.subarray(0, count) as A, validity }
  }

  protected keep(values: A): void {
    // The whole array of which `values` is a part, as `allocate` made it.
    if (this.values.length === 0) this.values = new (values.constructor as new (buffer: ArrayBuffer) => A)(values.buffer)
  }
}

export class BoolColumnBuilder extends FixedColumnBuilder<Uint8Array<ArrayBuffer>> implements ColumnBuilder<BoolColumn> {
  append(value: boolean): void {
    this.validity.append(this.count, true)
    const at = this.room(1)
    this.values[at] = value ? 1 : 0
    this.count = at + 1
  }

  appendFrom(column: BoolColumn, row: number): void {
    this.appendRange(column, row, row + 1)
  }

  gather(column: BoolColumn, order: Int32Array, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.gather(at, column.validity, order, from, to)
    gatherBytes(this.values, at, column.values, order, from, to)
    this.count = at + to - from
  }

  appendRange(column: BoolColumn, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.appendRange(at, column.validity, from, to)
    this.values.set(column.values.subarray(from, to), at)
    this.count = at + to - from
  }

  finish(): BoolColumn {
    return { kind: 'bool', ...this.taken() }
  }

  recycle(column: BoolColumn): void {
    this.keep(column.values as Uint8Array<ArrayBuffer>) // made by `allocate`
  }

  protected allocate(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(length)
  }
}

export class Int32ColumnBuilder extends FixedColumnBuilder<Int32Array<ArrayBuffer>> implements ColumnBuilder<Int32Column> {
  append(value: number): void {
    this.validity.append(this.count, true)
    const at = this.room(1)
    this.values[at] = value
    this.count = at + 1
  }

  appendFrom(column: Int32Column, row: number): void {
    this.validity.append(this.count, valid(column, row))
    const at = this.room(1)
    this.values[at] = column.values[row]!
    this.count = at + 1
  }

  gather(column: Int32Column, order: Int32Array, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.gather(at, column.validity, order, from, to)
    gatherInt32(this.values, at, column.values, order, from, to)
    this.count = at + to - from
  }

  appendRange(column: Int32Column, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.appendRange(at, column.validity, from, to)
    this.values.set(column.values.subarray(from, to), at)
    this.count = at + to - from
  }

  finish(): Int32Column {
    return { kind: 'i32', ...this.taken() }
  }

  recycle(column: Int32Column): void {
    this.keep(column.values as Int32Array<ArrayBuffer>) // made by `allocate`
  }

  protected allocate(length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(length)
  }
}

export class Float64ColumnBuilder extends FixedColumnBuilder<Float64Array<ArrayBuffer>> implements ColumnBuilder<Float64Column> {
  append(value: number): void {
    this.validity.append(this.count, true)
    const at = this.room(1)
    this.values[at] = value
    this.count = at + 1
  }

  appendFrom(column: Float64Column, row: number): void {
    this.validity.append(this.count, valid(column, row))
    const at = this.room(1)
    this.values[at] = column.values[row]!
    this.count = at + 1
  }

  gather(column: Float64Column, order: Int32Array, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.gather(at, column.validity, order, from, to)
    gatherFloat64(this.values, at, column.values, order, from, to)
    this.count = at + to - from
  }

  appendRange(column: Float64Column, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.appendRange(at, column.validity, from, to)
    this.values.set(column.values.subarray(from, to), at)
    this.count = at + to - from
  }

  finish(): Float64Column {
    return { kind: 'f64', ...this.taken() }
  }

  recycle(column: Float64Column): void {
    this.keep(column.values as Float64Array<ArrayBuffer>) // made by `allocate`
  }

  protected allocate(length: number): Float64Array<ArrayBuffer> {
    return new Float64Array(length)
  }
}

export class Int64ColumnBuilder extends FixedColumnBuilder<BigInt64Array<ArrayBuffer>> implements ColumnBuilder<Int64Column> {
  append(value: bigint): void {
    this.validity.append(this.count, true)
    const at = this.room(1)
    this.values[at] = value
    this.count = at + 1
  }

  appendFrom(column: Int64Column, row: number): void {
    this.validity.append(this.count, valid(column, row))
    const at = this.room(1)
    this.values[at] = column.values[row]!
    this.count = at + 1
  }

  gather(column: Int64Column, order: Int32Array, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.gather(at, column.validity, order, from, to)
    // As pairs of words: no bigint is made on the way.
    gatherInt64(wordsOf(this.values), at, wordsOf(column.values), order, from, to)
    this.count = at + to - from
  }

  appendRange(column: Int64Column, from: number, to: number): void {
    const at = this.room(to - from)
    this.validity.appendRange(at, column.validity, from, to)
    this.values.set(column.values.subarray(from, to), at)
    this.count = at + to - from
  }

  finish(): Int64Column {
    return { kind: 'i64', ...this.taken() }
  }

  recycle(column: Int64Column): void {
    this.keep(column.values as BigInt64Array<ArrayBuffer>) // made by `allocate`
  }

  protected allocate(length: number): BigInt64Array<ArrayBuffer> {
    return new BigInt64Array(length)
  }
}

/**
 * Copies the bytes of its rows together. Of columns with ids each value is copied once, and the ids are kept (`DictionaryRows`) until a column
 * without ids joins.
 */
export class BytesColumnBuilder implements ColumnBuilder<BytesColumn> {
  count = 0
  byteCount = 0
  private data: Uint8Array<ArrayBuffer> = noBytes
  private view: DataView | undefined = undefined
  private starts: Int32Array<ArrayBuffer> = noInts
  private lengths: Int32Array<ArrayBuffer> = noInts
  private readonly validity = new ValidityBuilder()
  private readonly dictionary = new DictionaryRows()
  private sizeHint = CAPACITY_MIN
  private byteSizeHint = BYTES_CAPACITY_MIN

  append(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.validity.append(this.count, true)
    const length = to - from
    this.room(1, length)
    const start = this.byteCount
    if (length > LOOP_COPY_MAX) this.data.set(bytes.subarray(from, to), start)
    else for (let i = 0; i < length; i++) this.data[start + i] = bytes[from + i]!
    this.put(start, length)
  }

  /** As UTF-8; a lone surrogate keeps its three bytes. */
  appendText(text: string): void {
    this.validity.append(this.count, true)
    const start = this.byteCount
    const { length } = text
    this.room(1, length)
    const { data } = this
    let i = 0
    for (; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) break
      data[start + i] = code
    }
    if (i === length) {
      this.put(start, length)
      return
    }
    if (!text.isWellFormed()) {
      this.room(1, 3 * length)
      this.put(start, writeWtf8(text, this.data, start) - start)
      return
    }
    const encoded = encoder.encode(text)
    this.room(1, encoded.length)
    this.data.set(encoded, start)
    this.put(start, encoded.length)
  }

  appendNull(): void {
    this.validity.append(this.count, false)
    this.room(1, 0)
    this.put(this.byteCount, 0)
  }

  appendFrom(column: BytesColumn, row: number): void {
    if (!valid(column, row)) {
      this.appendNull()
      return
    }
    const start = column.starts[row]!
    this.append(column.data, start, start + column.lengths[row]!)
  }

  gather(column: BytesColumn, order: Int32Array, from: number, to: number): void {
    const { validity, lengths } = column
    if (column.ids !== undefined && this.dictionary.begin(this.count) && this.gatherDictionary(column, order, from, to)) return
    this.dictionary.end()
    let total = 0
    for (let i = from; i < to; i++) total += lengthAt(lengths, validity, order[i]!)
    this.room(to - from, total)
    this.validity.gather(this.count, validity, order, from, to)
    const view = this.dataView()
    const source = viewOf(column.data)
    this.byteCount = gatherText(this.data, view, this.starts, this.lengths, this.count, this.byteCount, column, source, order, from, to)
    this.count += to - from
  }

  appendRange(column: BytesColumn, from: number, to: number): void {
    if (from === to) return
    const { validity, starts, lengths } = column
    const first = starts[from]!
    let end = first
    let row = from
    // Rows that lie one behind the other are copied in one piece.
    if (validity === undefined && column.ids === undefined) for (; row < to && starts[row] === end; row++) end += lengths[row]!
    if (row < to) {
      for (let next = from; next < to; next += identity.length) {
        const size = Math.min(identity.length, to - next)
        for (let i = 0; i < size; i++) identity[i] = next + i
        this.gather(column, identity, 0, size)
      }
      return
    }
    this.dictionary.end()
    this.room(to - from, end - first)
    this.validity.appendRange(this.count, undefined, from, to)
    this.data.set(column.data.subarray(first, end), this.byteCount)
    const shift = this.byteCount - first
    for (let i = from, at = this.count; i < to; i++, at++) {
      this.starts[at] = starts[i]! + shift
      this.lengths[at] = lengths[i]!
    }
    this.byteCount += end - first
    this.count += to - from
  }

  finish(): BytesColumn {
    const { count, data, byteCount } = this
    const column: BytesColumn = {
      kind: 'bytes',
      data: data.subarray(0, byteCount),
      starts: this.starts.subarray(0, count),
      lengths: this.lengths.subarray(0, count),
      ids: this.dictionary.finish(count),
      validity: this.validity.finish(count),
    }
    this.sizeHint = Math.max(CAPACITY_MIN, count)
    this.byteSizeHint = Math.max(BYTES_CAPACITY_MIN, byteCount + (byteCount >> 3))
    this.data = noBytes
    this.starts = noInts
    this.lengths = noInts
    this.view = undefined
    this.count = 0
    this.byteCount = 0
    return column
  }

  recycle(column: BytesColumn): void {
    if (this.count > 0) return
    // The whole arrays of which the column has parts, as this builder made them.
    this.data = new Uint8Array(column.data.buffer as ArrayBuffer)
    this.starts = new Int32Array(column.starts.buffer as ArrayBuffer)
    this.lengths = new Int32Array(column.lengths.buffer as ArrayBuffer)
    this.view = undefined
    this.dictionary.recycle(column.ids)
  }

  /** False where values repeat too little: nothing was gathered. */
  private gatherDictionary(column: BytesColumn, order: Int32Array, from: number, to: number): boolean {
    const { dictionary, count } = this
    const newBytes = dictionary.collect(column, order, from, to, count, this.byteCount)
    if (newBytes < 0) return false
    this.validity.gather(count, column.validity, order, from, to)
    this.room(to - from, newBytes)
    dictionary.fill(this.starts, this.lengths, to - from, count)
    for (const row of dictionary.newRows()) {
      const start = column.starts[row]!
      this.data.set(column.data.subarray(start, start + column.lengths[row]!), this.byteCount)
      this.byteCount += column.lengths[row]!
    }
    this.count += to - from
    return true
  }

  private put(start: number, length: number): void {
    this.dictionary.end()
    this.starts[this.count] = start
    this.lengths[this.count] = length
    this.count++
    this.byteCount = start + length
  }

  private dataView(): DataView {
    this.view ??= viewOf(this.data)
    return this.view
  }

  private room(rows: number, bytes: number): void {
    const needed = this.byteCount + bytes
    if (needed > this.data.length) {
      const data = new Uint8Array(Math.max(needed, this.data.length * 2, this.byteSizeHint))
      data.set(this.data.subarray(0, this.byteCount))
      this.data = data
      this.view = undefined
    }
    const count = this.count + rows
    if (count <= this.starts.length && count <= this.lengths.length) return
    const capacity = Math.max(count, this.starts.length * 2, this.sizeHint)
    const starts = new Int32Array(capacity)
    const lengths = new Int32Array(capacity)
    starts.set(this.starts.subarray(0, this.count))
    lengths.set(this.lengths.subarray(0, this.count))
    this.starts = starts
    this.lengths = lengths
  }
}

const noBytes = new Uint8Array(0)
const noInts = new Int32Array(0)
const encoder = new TextEncoder()
const identity = new Int32Array(256)

export function columnBuilder(kind: LocalColumnKind): ColumnBuilder {
  switch (kind) {
    case 'text':
      return new TextColumnBuilder()
    case 'absent':
      return new AbsentColumnBuilder()
    case 'bool':
      return new BoolColumnBuilder()
    case 'i32':
      return new Int32ColumnBuilder()
    case 'f64':
      return new Float64ColumnBuilder()
    case 'i64':
      return new Int64ColumnBuilder()
    case 'bytes':
      return new BytesColumnBuilder()
  }
}

function valid(column: Column, row: number): boolean {
  const { validity } = column
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0
}

function lengthAt(lengths: Int32Array, validity: Validity, row: number): number {
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0 ? lengths[row]! : 0
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function wordsOf(values: BigInt64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2)
}
