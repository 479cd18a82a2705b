/**
 * Key groups of columnar rows, equal to what the row form gives by the one rule of runtime/serde/columns-type.ts: Java's hash of the held
 * value for one key column, `31 * hash + h` over several, null counts as 0; then murmur3, modulo the max parallelism.
 *
 * Hashes are computed a column at a time over a whole frame: nothing is allocated, no string is made of ASCII or well-formed UTF-8.
 */
import { assert } from '../common/assert.ts'
import { heldValue } from '../serde/columns-type.ts'
import { javaHash } from '../serde/key.ts'
import { murmurHash } from '../serde/key-groups.ts'
import type { FieldLayout } from '../serde/row-layout.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import type { BoolColumn, BytesColumn, Float64Column, Int32Column, Int64Column, LocalColumn, LocalFrame, TextColumn } from './columns.ts'
import { textOf } from './columns-text.ts'

export class ColumnsKeyHasher {
  private readonly layouts: readonly FieldLayout[]
  private readonly types: readonly TypeInformation[]
  private readonly keys: readonly number[]

  /** `layouts` of all columns; `keys` are indices into them. */
  constructor(layouts: readonly FieldLayout[], keys: readonly number[]) {
    this.keys = keys
    this.layouts = keys.map(key => {
      const layout = layouts[key]
      assert(layout !== undefined, 'a key is a column of its edge')
      return layout
    })
    this.types = this.layouts.map(layout => Types[layout.held])
  }

  /** Java's hash of each row's key into `out[0..length)`. */
  hashes(frame: LocalFrame, out: Int32Array): void {
    const { keys, layouts } = this
    out.fill(0, 0, frame.length)
    for (let i = 0; i < keys.length; i++) hashColumn(frame.columns[keys[i]!]!, layouts[i]!.held, frame.length, out)
  }

  /** The row rule. */
  hashOfRow(row: readonly unknown[]): number {
    const { keys, layouts, types } = this
    let hash = 0
    for (let i = 0; i < keys.length; i++) {
      const value = row[keys[i]!]
      const h = value === null || value === undefined ? 0 : javaHash(types[i]!, heldValue(layouts[i]!, value))
      hash = (Math.imul(hash, 31) + h) | 0
    }
    return hash
  }

  keyGroupOfRow(row: readonly unknown[], maxParallelism: number): number {
    return murmurHash(this.hashOfRow(row)) % maxParallelism
  }
}

function hashColumn(column: LocalColumn, held: FieldLayout['held'], length: number, out: Int32Array): void {
  const binary = held === 'BYTES'
  switch (column.kind) {
    case 'bool':
      return hashBools(column, length, out)
    case 'i32':
      return hashInts(column, length, out)
    case 'f64':
      return held === 'DOUBLE' ? hashDoubles(column, length, out) : hashNumbers(column, held, length, out)
    case 'i64':
      return hashLongs(column, length, out)
    case 'absent':
      return assert(false, 'the columns of a key are there where rows are hashed')
    case 'text':
      return hashStrings(column, length, out)
    case 'bytes':
      return column.ids === undefined ? hashTexts(column, binary, length, out) : hashDictionary(column, column.ids, binary, length, out)
  }
}

function hashBools({ values, validity }: BoolColumn, length: number, out: Int32Array): void {
  for (let i = 0; i < length; i++) {
    const hash = validity !== undefined && (validity[i >> 3]! & (1 << (i & 7))) === 0 ? 0 : values[i] === 1 ? 1231 : 1237
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

function hashInts({ values, validity }: Int32Column, length: number, out: Int32Array): void {
  if (validity === undefined) {
    for (let i = 0; i < length; i++) out[i] = Math.imul(out[i]!, 31) + values[i]!
    return
  }
  for (let i = 0; i < length; i++) out[i] = Math.imul(out[i]!, 31) + ((validity[i >> 3]! & (1 << (i & 7))) === 0 ? 0 : values[i]!)
}

function hashDoubles({ values, validity }: Float64Column, length: number, out: Int32Array): void {
  const words = new Int32Array(values.buffer, values.byteOffset, length * 2)
  for (let i = 0; i < length; i++) {
    let hash = 0
    if (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0) {
      const value = values[i]!
      // biome-ignore lint/suspicious/noSelfCompare: the cheapest test for NaN, of which there is one to a hash
      hash = value === value ? words[2 * i]! ^ words[2 * i + 1]! : 0x7ff80000
    }
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

/** FLOAT and SAFE_LONG are held as doubles and hash as what they are. */
function hashNumbers({ values, validity }: Float64Column, held: FieldLayout['held'], length: number, out: Int32Array): void {
  const type = held === 'FLOAT' ? Types.FLOAT : Types.SAFE_LONG
  for (let i = 0; i < length; i++) {
    const hash = validity !== undefined && (validity[i >> 3]! & (1 << (i & 7))) === 0 ? 0 : javaHash(type, values[i])
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

function hashStrings({ values, validity }: TextColumn, length: number, out: Int32Array): void {
  for (let i = 0; i < length; i++) {
    let hash = 0
    if (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0) {
      const text = values[i]!
      for (let k = 0; k < text.length; k++) hash = (Math.imul(hash, 31) + text.charCodeAt(k)) | 0
    }
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

function hashLongs({ values, validity }: Int64Column, length: number, out: Int32Array): void {
  const words = new Int32Array(values.buffer, values.byteOffset, length * 2)
  for (let i = 0; i < length; i++) {
    const hash = validity !== undefined && (validity[i >> 3]! & (1 << (i & 7))) === 0 ? 0 : words[2 * i]! ^ words[2 * i + 1]!
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

function hashTexts({ data, starts, lengths, validity }: BytesColumn, binary: boolean, length: number, out: Int32Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  for (let i = 0; i < length; i++) {
    let hash = 0
    if (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0) {
      const start = starts[i]!
      hash = binary ? hashOfBytes(data, start, start + lengths[i]!) : hashOfText(data, view, start, start + lengths[i]!)
    }
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

let hashOfId = new Int32Array(64)
let idIsHashed = new Uint8Array(64)

/** Each value of the dictionary once. */
function hashDictionary({ data, starts, lengths, validity }: BytesColumn, ids: Int32Array, binary: boolean, length: number, out: Int32Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let idMax = 0
  for (let i = 0; i < length; i++) if (ids[i]! > idMax && (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0)) idMax = ids[i]!
  if (idMax >= hashOfId.length) {
    hashOfId = new Int32Array(2 * idMax + 1)
    idIsHashed = new Uint8Array(2 * idMax + 1)
  }
  idIsHashed.fill(0, 0, idMax + 1)
  for (let i = 0; i < length; i++) {
    let hash = 0
    if (validity === undefined || (validity[i >> 3]! & (1 << (i & 7))) !== 0) {
      const id = ids[i]!
      if (idIsHashed[id] === 0) {
        const start = starts[i]!
        hashOfId[id] = binary ? hashOfBytes(data, start, start + lengths[i]!) : hashOfText(data, view, start, start + lengths[i]!)
        idIsHashed[id] = 1
      }
      hash = hashOfId[id]!
    }
    out[i] = Math.imul(out[i]!, 31) + hash
  }
}

/** Java's hash of a byte[]. */
function hashOfBytes(data: Uint8Array, start: number, end: number): number {
  let hash = 1
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + ((data[i]! << 24) >> 24)) | 0
  return hash
}

/** Java's hash of the string that these bytes are in UTF-8: over its UTF-16 units. `view` is of `data`. */
export function hashOfText(data: Uint8Array, view: DataView, start: number, end: number): number {
  let hash = 0
  let i = start
  // Four bytes a step: one look for all, and a chain of multiplications a fourth as long. bench: bench/micro/columns.ts, 1.7x
  for (const last = end - 4; i <= last; i += 4) {
    const word = view.getInt32(i, true)
    if ((word & 0x80808080) !== 0) return hashOfUtf8(data, start, end)
    hash =
      (Math.imul(hash, 923521) +
        Math.imul(word & 0x7f, 29791) +
        Math.imul((word >>> 8) & 0x7f, 961) +
        Math.imul((word >>> 16) & 0x7f, 31) +
        (word >>> 24)) |
      0
  }
  for (; i < end; i++) {
    const byte = data[i]!
    if (byte > 127) return hashOfUtf8(data, start, end)
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  return hash
}

function hashOfUtf8(data: Uint8Array, start: number, end: number): number {
  let hash = 0
  for (let i = start; i < end; ) {
    const first = data[i]!
    const size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0
    if (size === 0 || i + size > end) return hashOfMalformed(data, start, end)
    let code = size === 1 ? first : first & (0xff >> (size + 1))
    for (let k = 1; k < size; k++) {
      const next = data[i + k]!
      if ((next & 0xc0) !== 0x80) return hashOfMalformed(data, start, end)
      code = (code << 6) | (next & 0x3f)
    }
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if ((size === 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) || (size === 4 && (code < 0x10000 || code > 0x10ffff))) {
      return hashOfMalformed(data, start, end)
    }
    if (code < 0x10000) {
      hash = (Math.imul(hash, 31) + code) | 0
    } else {
      hash = (Math.imul(hash, 31) + (0xd7c0 + (code >> 10))) | 0
      hash = (Math.imul(hash, 31) + (0xdc00 + (code & 0x3ff))) | 0
    }
    i += size
  }
  return hash
}

function hashOfMalformed(data: Uint8Array, start: number, end: number): number {
  return javaHash(Types.STRING, textOf(data, start, end))
}
