/**
 * The body of a columnar frame on the wire (docs/decisions/0007-columns.md): every array begins 8-byte aligned behind the header, so that the
 * receiver makes one copy of the body and reads its columns in place. Texts are compacted: only the bytes of the rows sent, each value of a
 * dictionary once.
 *
 * A column that the edge does not carry is its header alone.
 *
 * Decoding checks before it makes anything: the columns are those of the edge's type, every array lies inside the body, texts inside their
 * data, ids inside their dictionary. Nothing is allocated beyond twice the body.
 */
import type { ByteWriter } from '../common/bytes.ts'
import { absentColumn, type BytesColumn, type Validity, type WireColumn, type WireFrame } from './columns.ts'
import { LOOP_COPY_MAX } from './columns-gather.ts'

const kinds = ['bool', 'i32', 'f64', 'i64', 'bytes', 'absent'] as const satisfies readonly WireColumn['kind'][]

const FLAG_VALIDITY = 1
const FLAG_IDS = 2
const FRAME_PART = 8
const COLUMN_HEADER = 16

/** Bytes of one row: fixed part, and the texts of a row. */
export function fixedRowSize(frame: WireFrame): number {
  let bits = 0
  if (frame.timestamps !== undefined) bits += 64
  if (frame.rowKinds !== undefined) bits += 8
  for (const column of frame.columns) {
    if (column.validity !== undefined) bits++
    if (column.kind === 'absent') continue
    if (column.kind === 'bool') bits += 8
    else if (column.kind === 'i32') bits += 32
    else if (column.kind === 'bytes') bits += column.ids === undefined ? 32 : 64
    else bits += 64
  }
  return bits / 8
}

/** Whether `textSize` is one subtraction a column. */
export function hasRangeSizes(frame: WireFrame): boolean {
  for (const column of frame.columns) if (column.kind === 'bytes' && column.packed !== true) return false
  return true
}

export function textSize(frame: WireFrame, from: number, to: number): number {
  let size = 0
  for (const column of frame.columns) if (column.kind === 'bytes') size += sumLengths(column, from, to)
  return size
}

function sumLengths({ starts, lengths, validity, packed }: BytesColumn, from: number, to: number): number {
  if (packed === true) return from === to ? 0 : starts[to - 1]! + lengths[to - 1]! - starts[from]!
  let size = 0
  if (validity === undefined) for (let i = from; i < to; i++) size += lengths[i]!
  else for (let i = from; i < to; i++) if ((validity[i >> 3]! & (1 << (i & 7))) !== 0) size += lengths[i]!
  return size
}

/** Appends rows from..to of `frame`; `out` stands at a multiple of 8. */
export function encodeColumns(out: ByteWriter, frame: WireFrame, from: number, to: number): void {
  out.u32(frame.columns.length)
  out.u32(0)
  if (frame.timestamps !== undefined) putArray(out, frame.timestamps, from, to)
  if (frame.rowKinds !== undefined) putArray(out, frame.rowKinds, from, to)
  for (const column of frame.columns) {
    if (column.kind === 'bytes') {
      encodeTexts(out, column, from, to)
      continue
    }
    if (column.kind === 'absent') {
      putColumnHeader(out, 'absent', 0, 0, 0)
      continue
    }
    putColumnHeader(out, column.kind, column.validity === undefined ? 0 : FLAG_VALIDITY, 0, 0)
    if (column.validity !== undefined) putBits(out, column.validity, from, to)
    putArray(out, column.values, from, to)
  }
}

function encodeTexts(out: ByteWriter, column: BytesColumn, from: number, to: number): void {
  const { ids, validity } = column
  if (ids !== undefined) {
    const count = buildDictionary(column, ids, from, to)
    // Few repetitions: an id a row costs more than the bytes it saves.
    if (count > 0 && count * 2 <= to - from) {
      const dataLength = dictionaryBytes(column, count)
      putColumnHeader(out, 'bytes', (validity === undefined ? 0 : FLAG_VALIDITY) | FLAG_IDS, count, dataLength)
      if (validity !== undefined) putBits(out, validity, from, to)
      putArray(out, idOfRow, 0, to - from)
      putArray(out, lengthOfId, 0, count)
      putTexts(out, column, firstRowOfId, 0, count, dataLength)
      return
    }
  }
  const dataLength = sumLengths(column, from, to)
  putColumnHeader(out, 'bytes', validity === undefined ? 0 : FLAG_VALIDITY, 0, dataLength)
  if (validity === undefined) {
    putArray(out, column.lengths, from, to)
  } else {
    putBits(out, validity, from, to)
    putValidLengths(out, column.lengths, validity, from, to)
  }
  putTexts(out, column, undefined, from, to, dataLength)
}

function putColumnHeader(out: ByteWriter, kind: WireColumn['kind'], flags: number, dictionaryCount: number, dataLength: number): void {
  const at = out.reserve(COLUMN_HEADER)
  const { view } = out
  view.setUint32(at, kinds.indexOf(kind) + 1 + (flags << 8), true)
  view.setUint32(at + 4, dictionaryCount, true)
  view.setUint32(at + 8, dataLength, true)
  view.setUint32(at + 12, 0, true)
}

function putArray(out: ByteWriter, values: Uint8Array | Int32Array | Float64Array | BigInt64Array, from: number, to: number): void {
  const width = values.BYTES_PER_ELEMENT
  const size = (to - from) * width
  const at = reservePadded(out, size)
  // Typed arrays are little-endian on every machine that Node runs on.
  out.bytes.set(new Uint8Array(values.buffer, values.byteOffset + from * width, size), at)
}

function putBits(out: ByteWriter, bits: Uint8Array, from: number, to: number): void {
  const count = to - from
  const size = (count + 7) >> 3
  const at = reservePadded(out, size)
  const shift = from & 7
  const first = from >> 3
  for (let i = 0; i < size; i++) {
    const low = bits[first + i]! >> shift
    out.bytes[at + i] = shift === 0 ? low : low | ((bits[first + i + 1] ?? 0) << (8 - shift))
  }
}

function putValidLengths(out: ByteWriter, lengths: Int32Array, validity: Uint8Array, from: number, to: number): void {
  const at = reservePadded(out, (to - from) * 4)
  const { view } = out
  for (let i = from, t = at; i < to; i++, t += 4) view.setInt32(t, (validity[i >> 3]! & (1 << (i & 7))) === 0 ? 0 : lengths[i]!, true)
}

/** The bytes of rows from..to, or of rows `order[from..to)`, one behind the other. */
function putTexts(out: ByteWriter, column: BytesColumn, order: Int32Array | undefined, from: number, to: number, size: number): void {
  const at = reservePadded(out, size)
  const { data, starts, lengths, validity } = column
  if (order === undefined && column.packed === true && from < to) {
    out.bytes.set(data.subarray(starts[from], starts[from]! + size), at)
    return
  }
  if (order === undefined && validity === undefined && from < to) {
    let end = starts[from]!
    let row = from
    for (; row < to && starts[row] === end; row++) end += lengths[row]!
    if (row === to) {
      out.bytes.set(data.subarray(starts[from], end), at)
      return
    }
  }
  copyTexts(out.bytes, out.view, at, column, new DataView(data.buffer, data.byteOffset, data.byteLength), order, from, to)
}

function copyTexts(
  target: Uint8Array,
  view: DataView,
  at: number,
  column: BytesColumn,
  source: DataView,
  order: Int32Array | undefined,
  from: number,
  to: number,
): void {
  const { data, starts, lengths, validity } = column
  let t = at
  for (let i = from; i < to; i++) {
    const row = order === undefined ? i : order[i]!
    if (validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0) continue
    const length = lengths[row]!
    let s = starts[row]!
    if (length > LOOP_COPY_MAX) {
      target.set(data.subarray(s, s + length), t)
      t += length
      continue
    }
    const end = t + length
    // As in columns-builder.ts.
    for (const last = end - 8; t <= last; t += 8, s += 8) {
      const low = source.getInt32(s, true)
      const high = source.getInt32(s + 4, true)
      view.setInt32(t, low, true)
      view.setInt32(t + 4, high, true)
    }
    for (; t < end; t++, s++) view.setUint8(t, source.getUint8(s))
  }
}

/** Room of `size` bytes and zeros up to the next multiple of 8. */
function reservePadded(out: ByteWriter, size: number): number {
  const at = out.reserve((size + 7) & ~7)
  for (let i = at + size; i < out.length; i++) out.bytes[i] = 0
  return at
}

// Of the column being encoded: ids made dense for the rows that are sent.
let sentId = new Int32Array(64)
let idOfRow = new Int32Array(64)
let firstRowOfId = new Int32Array(64)
let lengthOfId = new Int32Array(64)

/** Fills the four; answers how many values the dictionary has. A null row has the id 0, which is never read. */
function buildDictionary({ lengths, validity }: BytesColumn, ids: Int32Array, from: number, to: number): number {
  const rows = to - from
  if (rows > idOfRow.length) {
    idOfRow = new Int32Array(rows)
    firstRowOfId = new Int32Array(rows)
    lengthOfId = new Int32Array(rows)
  }
  let idMax = 0
  for (let i = from; i < to; i++) if (ids[i]! > idMax && (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0)) idMax = ids[i]!
  if (idMax >= sentId.length) sentId = new Int32Array(2 * idMax)
  sentId.fill(-1, 0, idMax + 1)
  let count = 0
  for (let i = from; i < to; i++) {
    if (validity !== undefined && (validity[i >> 3]! & (1 << (i & 7))) === 0) {
      idOfRow[i - from] = 0
      continue
    }
    const id = ids[i]!
    let sent = sentId[id]!
    if (sent < 0) {
      sent = count++
      sentId[id] = sent
      firstRowOfId[sent] = i
      lengthOfId[sent] = lengths[i]!
    }
    idOfRow[i - from] = sent
  }
  return count
}

function dictionaryBytes({ lengths }: BytesColumn, count: number): number {
  let size = 0
  for (let id = 0; id < count; id++) size += lengths[firstRowOfId[id]!]!
  return size
}

/** What does not fit; the caller names the channel. */
export class MalformedColumns extends Error {}

/** `body` is everything behind the header and is not kept. */
export function decodeColumns(body: Uint8Array, length: number, expected: readonly string[], hasTimes: boolean, hasKinds: boolean): WireFrame {
  if (body.length % 8 !== 0) throw new MalformedColumns(`a body of ${body.length} bytes`)
  const buffer = new ArrayBuffer(body.length)
  const bytes = new Uint8Array(buffer)
  bytes.set(body)
  const input = new BodyReader(buffer)
  const header = input.take(FRAME_PART)
  const columnCount = input.view.getUint32(header, true)
  if (input.view.getUint32(header + 4, true) !== 0) throw new MalformedColumns('a reserved field is set')
  if (columnCount !== expected.length) throw new MalformedColumns(`${columnCount} columns instead of ${expected.length}`)
  const timestamps = hasTimes ? new Float64Array(buffer, input.take(length * 8), length) : undefined
  const rowKinds = hasKinds ? new Uint8Array(buffer, input.take(length), length) : undefined
  if (rowKinds !== undefined) checkAtMost(rowKinds, 3, 'row kind')
  const columns: WireColumn[] = []
  for (let i = 0; i < columnCount; i++) columns.push(decodeColumn(input, buffer, length, expected[i]!))
  if (input.at !== body.length) throw new MalformedColumns(`${body.length - input.at} bytes behind the last column`)
  return { kind: 'columnar', length, columns, timestamps, rowKinds }
}

class BodyReader {
  at = 0
  readonly view: DataView
  private readonly end: number

  constructor(buffer: ArrayBuffer) {
    this.view = new DataView(buffer)
    this.end = buffer.byteLength
  }

  /** Where an array of `size` bytes begins. */
  take(size: number): number {
    const start = this.at
    const end = start + Math.ceil(size / 8) * 8
    if (end > this.end) throw new MalformedColumns(`the body ends early: ${size} bytes wanted, ${this.end - start} left`)
    this.at = end
    return start
  }
}

function decodeColumn(input: BodyReader, buffer: ArrayBuffer, length: number, expected: string): WireColumn {
  const header = input.take(COLUMN_HEADER)
  const word = input.view.getUint32(header, true)
  const kind = kinds[(word & 0xff) - 1]
  const flags = word >>> 8
  const dictionaryCount = input.view.getUint32(header + 4, true)
  const dataLength = input.view.getUint32(header + 8, true)
  if (kind !== expected) throw new MalformedColumns(`a column of kind ${kind ?? word & 0xff} where the edge's type has ${expected}`)
  const isBytes = kind === 'bytes'
  const known = isBytes ? FLAG_VALIDITY | FLAG_IDS : kind === 'absent' ? 0 : FLAG_VALIDITY
  if ((flags & ~known) !== 0 || input.view.getUint32(header + 12, true) !== 0) {
    throw new MalformedColumns('a reserved field of a column is set')
  }
  if (((flags & FLAG_IDS) !== 0) !== dictionaryCount > 0 || (!isBytes && dataLength > 0)) {
    throw new MalformedColumns(`a column of kind ${kind} with ${dictionaryCount} values and ${dataLength} bytes`)
  }
  const validity = (flags & FLAG_VALIDITY) === 0 ? undefined : new Uint8Array(buffer, input.take((length + 7) >> 3), (length + 7) >> 3)
  switch (kind) {
    case 'absent':
      return absentColumn
    case 'bool': {
      const values = new Uint8Array(buffer, input.take(length), length)
      checkAtMost(values, 1, 'boolean')
      return { kind, values, validity }
    }
    case 'i32':
      return { kind, values: new Int32Array(buffer, input.take(length * 4), length), validity }
    case 'f64':
      return { kind, values: new Float64Array(buffer, input.take(length * 8), length), validity }
    case 'i64':
      return { kind, values: new BigInt64Array(buffer, input.take(length * 8), length), validity }
    case 'bytes':
      return decodeTexts(input, buffer, length, validity, dictionaryCount, dataLength)
  }
}

function decodeTexts(
  input: BodyReader,
  buffer: ArrayBuffer,
  length: number,
  validity: Validity,
  dictionaryCount: number,
  dataLength: number,
): BytesColumn {
  if (dictionaryCount > length) throw new MalformedColumns(`a dictionary of ${dictionaryCount} values for ${length} rows`)
  const ids = dictionaryCount === 0 ? undefined : new Int32Array(buffer, input.take(length * 4), length)
  const valueCount = ids === undefined ? length : dictionaryCount
  const lengths = new Int32Array(buffer, input.take(valueCount * 4), valueCount)
  const data = new Uint8Array(buffer, input.take(dataLength), dataLength)
  const starts = new Int32Array(valueCount)
  if (startsOf(lengths, starts, dataLength) !== dataLength) throw new MalformedColumns(`texts that do not fill their ${dataLength} bytes`)
  if (ids === undefined) return { kind: 'bytes', data, starts, lengths, ids: undefined, validity }
  const startOfRow = new Int32Array(length)
  const lengthOfRow = new Int32Array(length)
  for (let i = 0; i < length; i++) {
    const id = ids[i]!
    if (id < 0 || id >= dictionaryCount) throw new MalformedColumns(`the id ${id} of a dictionary of ${dictionaryCount} values`)
    startOfRow[i] = starts[id]!
    lengthOfRow[i] = lengths[id]!
  }
  return { kind: 'bytes', data, starts: startOfRow, lengths: lengthOfRow, ids, validity }
}

/** Fills `starts`; answers the sum of the lengths, or -1 when one does not fit. */
function startsOf(lengths: Int32Array, starts: Int32Array, dataLength: number): number {
  let at = 0
  for (let i = 0; i < lengths.length; i++) {
    starts[i] = at
    const length = lengths[i]!
    at += length
    if (length < 0 || at > dataLength) return -1
  }
  return at
}

function checkAtMost(values: Uint8Array, max: number, what: string): void {
  for (let i = 0; i < values.length; i++) if (values[i]! > max) throw new MalformedColumns(`the ${what} ${values[i]}`)
}
