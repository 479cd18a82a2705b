/**
 * Columns of JS strings: from and to bytes, a whole column at a time. Joined, a column is encoded or decoded by one call of the runtime; one call a
 * string costs more than the rest of an exchange (performance.md 3.2). Bench: bench/micro/columns.ts.
 */
import { decodeUtf8, shortAscii } from '../common/utf8.ts'
import { writeWtf8 } from '../serde/string-codec.ts'
import type { BytesColumn, LocalFrame, TextColumn, Validity, WireFrame } from './columns.ts'
import type { ColumnBuilder } from './columns-builder.ts'
import { ValidityBuilder } from './columns-validity.ts'

/** V8 makes a view of the whole text of strings from here on, which would keep that text alive; shorter ones are copies. */
const SLICE_LENGTH_MIN = 13
/** A text of this many strings at once: what one string that a user keeps can hold on to is bounded by it. */
const ROWS_PER_TEXT = 128

/** The strings of a column, each as `textOf` makes it. */
export function texts(column: BytesColumn, length: number): TextColumn {
  const { validity } = column
  // Of its full length at once: growing costs more than all stores.
  const values = new Array<string>(length)
  for (let from = 0; from < length; from += ROWS_PER_TEXT) decodeRows(column, from, Math.min(length, from + ROWS_PER_TEXT), values)
  return { kind: 'text', values, validity }
}

function decodeRows(column: BytesColumn, from: number, to: number, values: string[]): void {
  const { data, starts, lengths, validity } = column
  const first = starts[from]!
  let end = first
  let row = from
  if (validity === undefined) for (; row < to && starts[row] === end; row++) end += lengths[row]!
  if (row < to) {
    for (row = from; row < to; row++) values[row] = isNull(validity, row) ? '' : longTextOf(data, starts[row]!, starts[row]! + lengths[row]!)
    return
  }
  const text = decodeUtf8(data, first, end)
  // As many units as bytes: ASCII, where units and bytes are the same, or malformed.
  if (text.length !== end - first || text.includes(REPLACEMENT)) {
    for (row = from; row < to; row++) values[row] = longTextOf(data, starts[row]!, starts[row]! + lengths[row]!)
    return
  }
  for (row = from; row < to; row++) {
    const start = starts[row]! - first
    values[row] = text.slice(start, start + lengths[row]!)
  }
}

/** UTF-8 as a string, in which a lone surrogate has kept its three bytes, as in string-codec.ts; other malformed bytes become U+FFFD. */
export function textOf(data: Uint8Array, start: number, end: number): string {
  return shortAscii(data, start, end) ?? longTextOf(data, start, end)
}

function longTextOf(data: Uint8Array, start: number, end: number): string {
  const text = decodeUtf8(data, start, end)
  return text.includes(REPLACEMENT) ? withSurrogates(data, start, end) : text
}

const REPLACEMENT = '\ufffd'

function withSurrogates(data: Uint8Array, start: number, end: number): string {
  let text = ''
  let from = start
  for (let at = start; at + 2 < end; at++) {
    // ED begins nothing else before A0..BF, and is no tail of anything.
    if (data[at] !== 0xed || data[at + 1]! >> 5 !== 5 || data[at + 2]! >> 6 !== 2) continue
    text += decodeUtf8(data, from, at) + String.fromCharCode(0xd000 | ((data[at + 1]! & 0x3f) << 6) | (data[at + 2]! & 0x3f))
    from = at + 3
    at += 2
  }
  return text + decodeUtf8(data, from, end)
}

/** The same text with nothing behind it: for strings that are kept, which may be a view of a large one. */
export function ownText(text: string): string {
  return text.length < SLICE_LENGTH_MIN ? text : ` ${text}`.slice(1)
}

/** Arrays of a column of bytes that are used again for the next frame, once its owner has sent the last one. */
export class TextScratch {
  private data: Buffer = Buffer.allocUnsafeSlow(0)
  private ints = new Int32Array(0)

  dataOf(size: number): Buffer {
    if (size > this.data.length) this.data = Buffer.allocUnsafeSlow(size + (size >> 2))
    // One huge frame does not stay.
    else if (this.data.length > SCRATCH_KEEP_MAX && size < this.data.length >> 2) this.data = Buffer.allocUnsafeSlow(size)
    return this.data
  }

  /** Two arrays of a length. */
  intsOf(length: number): [Int32Array, Int32Array] {
    if (2 * length > this.ints.length) this.ints = new Int32Array(2 * length)
    return [this.ints.subarray(0, length), this.ints.subarray(length, 2 * length)]
  }
}

const SCRATCH_KEEP_MAX = 1024 * 1024

/** As UTF-8; a lone surrogate keeps its three bytes: a key is hashed before the edge and again behind it. The column stands in `scratch`. */
export function textBytes({ values, validity }: TextColumn, length: number, scratch = new TextScratch()): BytesColumn {
  const [starts, lengths] = scratch.intsOf(length)
  let units = 0
  for (let row = 0; row < length; row++) {
    starts[row] = units
    const size = isNull(validity, row) ? 0 : values[row]!.length
    lengths[row] = size
    units += size
  }
  const data = scratch.dataOf(units)
  if (validity === undefined && writeAscii(data, values, length))
    return { kind: 'bytes', data: data.subarray(0, units), starts, lengths, ids: undefined, validity, packed: true }
  return encodeEach(values, validity, starts, lengths, scratch.dataOf(3 * units))
}

/** Sixteen strings at a time. False when one is not ASCII: then a string has other bytes than units. */
function writeAscii(data: Buffer, v: readonly string[], length: number): boolean {
  let at = 0
  let row = 0
  for (; row + 16 <= length; row += 16) {
    const text =
      v[row]! +
      v[row + 1]! +
      v[row + 2]! +
      v[row + 3]! +
      v[row + 4]! +
      v[row + 5]! +
      v[row + 6]! +
      v[row + 7]! +
      v[row + 8]! +
      v[row + 9]! +
      v[row + 10]! +
      v[row + 11]! +
      v[row + 12]! +
      v[row + 13]! +
      v[row + 14]! +
      v[row + 15]!
    if (!isWritten(data, text, at)) return false
    at += text.length
  }
  for (; row < length; row++) {
    const text = v[row]!
    if (!isWritten(data, text, at)) return false
    at += text.length
  }
  return true
}

/** False for what is not ASCII. Near the end a text that is not could be cut to as many bytes as it has units: there it is looked at first. */
function isWritten(data: Buffer, text: string, at: number): boolean {
  if (at + 3 * text.length > data.length && Buffer.byteLength(text) !== text.length) return false
  return data.write(text, at, 'utf8') === text.length
}

/** One by one, also because halves of a surrogate pair in two rows must not meet. */
function encodeEach(values: readonly string[], validity: Validity, starts: Int32Array, lengths: Int32Array, data: Buffer): BytesColumn {
  let at = 0
  for (let row = 0; row < lengths.length; row++) {
    starts[row] = at
    if (!isNull(validity, row)) {
      const text = values[row]!
      at = text.isWellFormed() ? at + data.write(text, at, 'utf8') : writeWtf8(text, data, at)
    }
    lengths[row] = at - starts[row]!
  }
  return { kind: 'bytes', data: data.subarray(0, at), starts, lengths, ids: undefined, validity, packed: true }
}

/** What leaves the slot: strings become bytes. What it answers is good until the next call. */
export class FrameTexts {
  private readonly scratches: TextScratch[] = []

  wireFrame(frame: LocalFrame): WireFrame {
    for (const { kind } of frame.columns) if (kind === 'text') return this.encoded(frame)
    // None of its columns is one of strings.
    return frame as WireFrame
  }

  private encoded(frame: LocalFrame): WireFrame {
    const columns = frame.columns.map((column, i) => {
      if (column.kind !== 'text') return column
      const scratch = this.scratches[i] ?? new TextScratch()
      this.scratches[i] = scratch
      return textBytes(column, frame.length, scratch)
    })
    return { ...frame, columns }
  }
}

function isNull(validity: Validity, row: number): boolean {
  return validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0
}

export class TextColumnBuilder implements ColumnBuilder<TextColumn> {
  count = 0
  /** As long as the last column was, from the beginning. */
  private values: string[] = []
  private readonly validity = new ValidityBuilder()

  appendNull(): void {
    this.validity.append(this.count, false)
    this.values[this.count++] = ''
  }

  append(text: string): void {
    this.validity.append(this.count, true)
    this.values[this.count++] = text
  }

  appendFrom(column: TextColumn, row: number): void {
    this.validity.append(this.count, !isNull(column.validity, row))
    this.values[this.count++] = column.values[row]!
  }

  gather(column: TextColumn, order: Int32Array, from: number, to: number): void {
    this.validity.gather(this.count, column.validity, order, from, to)
    gatherStrings(this.values, this.count, column.values, order, from, to)
    this.count += to - from
  }

  appendRange(column: TextColumn, from: number, to: number): void {
    this.validity.appendRange(this.count, column.validity, from, to)
    for (let row = from, at = this.count; row < to; row++, at++) this.values[at] = column.values[row]!
    this.count += to - from
  }

  finish(): TextColumn {
    const { values, count } = this
    values.length = count
    this.values = new Array<string>(count)
    this.count = 0
    return { kind: 'text', values, validity: this.validity.finish(count) }
  }

  recycle(column: TextColumn): void {
    // Made by `finish`, and nobody reads it any more.
    if (this.count === 0) this.values = column.values as string[]
  }
}

function gatherStrings(target: string[], at: number, source: readonly string[], order: Int32Array, from: number, to: number): void {
  for (let i = from, t = at; i < to; i++, t++) target[t] = source[order[i]!]!
}
