/**
 * Columns of JS strings: from and to bytes, a whole column at a time. Joined, a column is encoded or decoded by one call of the runtime; one call a
 * string costs more than the rest of an exchange (performance.md 3.2). Bench: bench/micro/columns.ts.
 */
import type { BytesColumn, ColumnarFrame, LocalFrame, TextColumn, Validity } from './columns.ts'
import type { ColumnBuilder } from './columns-builder.ts'
import { ValidityBuilder } from './columns-validity.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
/** V8 makes a view of the whole text of strings from here on, which would keep that text alive; shorter ones are copies. */
const SLICE_LENGTH_MIN = 13
/** A text of this many strings at once: what one string that a user keeps can hold on to is bounded by it. */
const ROWS_PER_TEXT = 128

/** The strings of a column. Malformed bytes become U+FFFD, as everywhere in the engine. */
export function texts(column: BytesColumn, length: number): TextColumn {
  const { validity } = column
  const values: string[] = []
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
    for (row = from; row < to; row++) values.push(isNull(validity, row) ? '' : decode(data, starts[row]!, starts[row]! + lengths[row]!))
    return
  }
  const text = decode(data, first, end)
  // As many units as bytes: ASCII, where units and bytes are the same.
  if (text.length !== end - first) {
    for (row = from; row < to; row++) values.push(decode(data, starts[row]!, starts[row]! + lengths[row]!))
    return
  }
  for (row = from; row < to; row++) {
    const start = starts[row]! - first
    values.push(text.slice(start, start + lengths[row]!))
  }
}

function decode(data: Uint8Array, start: number, end: number): string {
  // TextDecoder refuses views of shared memory.
  return decoder.decode(data.buffer instanceof SharedArrayBuffer ? data.slice(start, end) : data.subarray(start, end))
}

/** The same text with nothing behind it: for strings that are kept, which may be a view of a large one. */
export function ownText(text: string): string {
  return text.length < SLICE_LENGTH_MIN ? text : ` ${text}`.slice(1)
}

/** As UTF-8; a lone surrogate becomes U+FFFD. */
export function textBytes(column: TextColumn, length: number): BytesColumn {
  const { values, validity } = column
  const starts = new Int32Array(length)
  const lengths = new Int32Array(length)
  const all = validity === undefined && values.length === length ? values.join('') : joined(values, validity, length)
  const encoded = encoder.encode(all)
  let at = 0
  if (encoded.length === all.length) {
    for (let row = 0; row < length; row++) {
      starts[row] = at
      const size = isNull(validity, row) ? 0 : values[row]!.length
      lengths[row] = size
      at += size
    }
    return { kind: 'bytes', data: encoded, starts, lengths, ids: undefined, validity }
  }
  // Not all ASCII. One by one also because halves of a surrogate pair in two rows must not meet.
  const parts = Array.from({ length }, (_, row) => (isNull(validity, row) ? none : encoder.encode(values[row])))
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  for (const [row, part] of parts.entries()) {
    data.set(part, at)
    starts[row] = at
    lengths[row] = part.length
    at += part.length
  }
  return { kind: 'bytes', data, starts, lengths, ids: undefined, validity }
}

function joined(values: readonly string[], validity: Validity, length: number): string {
  let all = ''
  for (let row = 0; row < length; row++) if (!isNull(validity, row)) all += values[row]!
  return all
}

/** What leaves the slot: strings become bytes. */
export function wireFrame(frame: LocalFrame): ColumnarFrame {
  for (const { kind } of frame.columns) {
    if (kind === 'text')
      return { ...frame, columns: frame.columns.map(column => (column.kind === 'text' ? textBytes(column, frame.length) : column)) }
  }
  // None of its columns is one of strings.
  return frame as ColumnarFrame
}

function isNull(validity: Validity, row: number): boolean {
  return validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0
}

const none = new Uint8Array(0)

export class TextColumnBuilder implements ColumnBuilder<TextColumn> {
  count = 0
  private values: string[] = []
  private readonly validity = new ValidityBuilder()

  appendNull(): void {
    this.validity.append(this.count, false)
    this.values.push('')
    this.count++
  }

  appendFrom(column: TextColumn, row: number): void {
    this.validity.append(this.count, !isNull(column.validity, row))
    this.values.push(column.values[row]!)
    this.count++
  }

  gather(column: TextColumn, order: Int32Array, from: number, to: number): void {
    this.validity.gather(this.count, column.validity, order, from, to)
    gatherStrings(this.values, column.values, order, from, to)
    this.count += to - from
  }

  appendRange(column: TextColumn, from: number, to: number): void {
    this.validity.appendRange(this.count, column.validity, from, to)
    for (let row = from; row < to; row++) this.values.push(column.values[row]!)
    this.count += to - from
  }

  finish(): TextColumn {
    const column: TextColumn = { kind: 'text', values: this.values, validity: this.validity.finish(this.count) }
    this.values = []
    this.count = 0
    return column
  }

  recycle(): void {}
}

function gatherStrings(target: string[], source: readonly string[], order: Int32Array, from: number, to: number): void {
  for (let i = from; i < to; i++) target.push(source[order[i]!]!)
}
