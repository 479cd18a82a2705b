import { utf8Text } from '../../common/utf8.ts'
import { type BytesColumn, type Column, type ColumnarFrame, isValid, type Validity } from '../../network/columns.ts'
import { decimalText, parseDecimal } from './decimal.ts'
import { columnKindOfValue, isBinary, isDecimal, type Value, type ValueType } from './value-type.ts'

/** Values in and out of columns: helpers of generated loops, and the whole of it for the interpreter. */

const encoder = new TextEncoder()

export function decodeText(data: Uint8Array, start: number, length: number): string {
  return utf8Text(data, start, start + length)
}

export function decodeBytes(data: Uint8Array, start: number, length: number): Uint8Array {
  return data.subarray(start, start + length)
}

export function decodeDecimal(data: Uint8Array, start: number, length: number): bigint {
  return BigInt(decodeText(data, start, length))
}

/** The bytes of a slice equal those of `other`. */
export function sliceEquals(data: Uint8Array, start: number, length: number, other: Uint8Array, otherStart: number, otherLength: number): boolean {
  if (length !== otherLength) return false
  for (let i = 0; i < length; i++) if (data[start + i] !== other[otherStart + i]) return false
  return true
}

/** The part found last, of which text: parts of one text are mostly asked for in their order. One for each text and separator of a loop. */
export class SplitResult {
  start = 0
  length = 0
  frame: ColumnarFrame | undefined = undefined
  row = -1
  index = 0
}

/**
 * Part `index` of a slice split at the byte `separator`; false when there is none. The same as strings.ts's splitIndex for an ASCII separator.
 * A later part of the same text is looked for behind the last one found.
 */
export function splitSlice(
  data: Uint8Array,
  start: number,
  length: number,
  separator: number,
  index: number,
  result: SplitResult,
  frame: ColumnarFrame,
  row: number,
): boolean {
  if (index < 0 || length === 0) return false
  const end = start + length
  let from = start
  let left = index
  if (result.row === row && result.frame === frame && result.index < index) {
    from = result.start + result.length + 1
    left = index - result.index - 1
    // The part found last was the last one.
    if (from > end) return false
  }
  let at = from
  for (; at < end; at++)
    if (data[at] === separator) {
      if (left === 0) break
      left--
      from = at + 1
    }
  if (left > 0) return false
  result.start = from
  result.length = at - from
  result.frame = frame
  result.row = row
  result.index = index
  return true
}

/** Code points of a slice: bytes that continue none. */
export function sliceCodePoints(data: Uint8Array, start: number, length: number): number {
  let count = 0
  for (let i = start; i < start + length; i++) if ((data[i]! & 0xc0) !== 0x80) count++
  return count
}

/** Collects the texts or bytes of an output column. */
export class BytesSink {
  data: Uint8Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
  used: number

  /** Rows there is room for. */
  get length(): number {
    return this.starts.length
  }

  constructor(rows: number) {
    this.data = new Uint8Array(Math.max(64, rows * 16))
    this.starts = new Int32Array(rows)
    this.lengths = new Int32Array(rows)
    this.used = 0
  }

  /** What was collected is done with. */
  reset(): void {
    this.used = 0
  }

  text(row: number, text: string): void {
    const start = this.used
    const units = text.length
    if (start + units * 3 > this.data.length) this.grow(start + units * 3)
    const data = this.data
    this.starts[row] = start
    let i = 0
    for (; i < units; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) break
      data[start + i] = unit
    }
    const length = i === units ? units : encoder.encodeInto(text, data.subarray(start)).written
    this.lengths[row] = length
    this.used = start + length
  }

  /** The digits of a decimal's unscaled value, as `BigInt.toString` writes them. */
  decimal(row: number, value: bigint): void {
    const size = Number(value)
    if (!Number.isSafeInteger(size)) {
      this.text(row, value.toString())
      return
    }
    const start = this.used
    if (start + SAFE_DIGITS_MAX > this.data.length) this.grow(start + SAFE_DIGITS_MAX)
    const { data } = this
    let from = start
    if (size < 0) data[from++] = 45
    // Two halves of integers: divisions of doubles cost several times as much.
    const high = Math.floor(Math.abs(size) / 1e8)
    const low = Math.abs(size) - high * 1e8
    const end = high === 0 ? from + digitsOf(low) : from + digitsOf(high) + 8
    let rest = low | 0
    let at = end - 1
    for (const stop = high === 0 ? from : end - 8; at >= stop; at--) {
      const tenth = (rest / 10) | 0
      data[at] = 48 + rest - tenth * 10
      rest = tenth
    }
    rest = high | 0
    for (; at >= from; at--) {
      const tenth = (rest / 10) | 0
      data[at] = 48 + rest - tenth * 10
      rest = tenth
    }
    this.starts[row] = start
    this.lengths[row] = end - start
    this.used = end
  }

  bytes(row: number, bytes: Uint8Array): void {
    const start = this.used
    if (start + bytes.length > this.data.length) this.grow(start + bytes.length)
    this.data.set(bytes, start)
    this.starts[row] = start
    this.lengths[row] = bytes.length
    this.used = start + bytes.length
  }

  private grow(needed: number): void {
    const data = new Uint8Array(Math.max(needed, this.data.length * 2))
    data.set(this.data.subarray(0, this.used))
    this.data = data
  }
}

/** A sign and sixteen digits. */
const SAFE_DIGITS_MAX = 17

/** Of an integer from 0 on that has at most nine. */
function digitsOf(value: number): number {
  let digits = 1
  for (let bound = 10; value >= bound; bound *= 10) digits++
  return digits
}

export function allValid(rows: number): Uint8Array {
  return new Uint8Array((rows + 7) >> 3).fill(255)
}

type Values<C> = C extends { readonly values: infer V } ? V : never

export function valuesColumn(kind: Exclude<Column['kind'], 'bytes'>, values: Values<Column>, validity: Validity, count: number): Column {
  const used = count === values.length ? values : values.subarray(0, count)
  const bits = validity === undefined ? undefined : validity.subarray(0, (count + 7) >> 3)
  // `values` was made for `kind` by the same emitter; the union cannot say so.
  return { kind, values: used, validity: bits } as Column
}

export function bytesColumn(data: Uint8Array, starts: Int32Array, lengths: Int32Array, validity: Validity, count: number): BytesColumn {
  const cut = count !== starts.length
  const bits = validity === undefined ? undefined : validity.subarray(0, (count + 7) >> 3)
  return {
    kind: 'bytes',
    data,
    starts: cut ? starts.subarray(0, count) : starts,
    lengths: cut ? lengths.subarray(0, count) : lengths,
    ids: undefined,
    validity: bits,
  }
}

/** What functions see at a row of a column. */
export function readValue(column: Column, type: ValueType, row: number): Value {
  if (type.root === 'NULL' || !isValid(column.validity, row)) return null
  switch (column.kind) {
    case 'bool':
      return column.values[row] === 1
    case 'bytes': {
      const start = column.starts[row] ?? 0
      const length = column.lengths[row] ?? 0
      if (isDecimal(type)) return decodeDecimal(column.data, start, length)
      return isBinary(type) ? column.data.slice(start, start + length) : decodeText(column.data, start, length)
    }
    default:
      return column.values[row] ?? null
  }
}

export function buildColumn(type: ValueType, values: readonly Value[]): Column {
  const count = values.length
  let validity: Uint8Array | undefined
  for (let row = 0; row < count; row++)
    if (values[row] === null) {
      validity ??= allValid(count)
      validity[row >> 3]! &= ~(1 << (row & 7))
    }
  switch (columnKindOfValue(type)) {
    case 'bool':
      return { kind: 'bool', values: Uint8Array.from(values, value => (value === true ? 1 : 0)), validity }
    case 'i32':
      return { kind: 'i32', values: Int32Array.from(values, value => (typeof value === 'number' ? value : 0)), validity }
    case 'f64':
      return { kind: 'f64', values: Float64Array.from(values, value => (typeof value === 'number' ? value : 0)), validity }
    case 'i64':
      return { kind: 'i64', values: BigInt64Array.from(values, value => (typeof value === 'bigint' ? value : 0n)), validity }
    case 'bytes': {
      const sink = new BytesSink(count)
      for (let row = 0; row < count; row++) {
        const value = values[row]
        if (typeof value === 'string') sink.text(row, value)
        else if (typeof value === 'bigint') sink.decimal(row, value)
        else if (value instanceof Uint8Array) sink.bytes(row, value)
      }
      return bytesColumn(sink.data, sink.starts, sink.lengths, validity, count)
    }
  }
}

/** The row form (M2's contract): a DECIMAL is its text, everything else as functions see it. */
export function toRowForm(type: ValueType, value: Value): Value {
  return isDecimal(type) && typeof value === 'bigint' ? decimalText(value, type.scale) : value
}

export function fromRowForm(type: ValueType, value: Value): Value {
  return isDecimal(type) && typeof value === 'string' ? (parseDecimal(value, type.scale) ?? null) : value
}
