import { unreachable } from '../../common/assert.ts'
import type { BytesColumn, Column, ColumnKind } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'

/** The values of one key column of a `KeyTable`, by entry. One class a kind, so that each loop sees one kind of array. */
export interface KeyStore {
  /** Folds the column into the running hashes of `rows[from..to)`. */
  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void
  equals(index: number, column: Column, row: number): boolean
  append(column: Column, row: number): void
  column(from: number, to: number): Column
  /** Takes over the entries of a store of the same kind; what was here is gone. */
  copyFrom(other: KeyStore): void
  clear(): void
}

export function keyStore(kind: ColumnKind): KeyStore {
  switch (kind) {
    case 'bool':
      return new FixedKeyStore('bool', length => new Uint8Array(length), hashInt)
    case 'i32':
      return new FixedKeyStore('i32', length => new Int32Array(length), hashInt)
    case 'f64':
      return new DoubleKeyStore()
    case 'i64':
      return new LongKeyStore()
    case 'bytes':
      return new BytesKeyStore()
    default:
      return unreachable(kind)
  }
}

const NULL_HASH = 0x2545f491
const INITIAL = 32

function combine(hash: number, value: number): number {
  const k = Math.imul(value, 0xcc9e2d51)
  const h = hash ^ Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

function hashInt(value: number): number {
  return value
}

/** Which entries are null; made when the first one comes. */
class NullFlags {
  private flags: Uint8Array | undefined = undefined

  set(index: number, isNull: boolean): void {
    if (this.flags === undefined) {
      if (!isNull) return
      this.flags = new Uint8Array(Math.max(INITIAL, index + 1))
    }
    if (index >= this.flags.length) {
      const grown = new Uint8Array(Math.max(index + 1, this.flags.length * 2))
      grown.set(this.flags)
      this.flags = grown
    }
    this.flags[index] = isNull ? 1 : 0
  }

  get(index: number): boolean {
    return this.flags !== undefined && this.flags[index] === 1
  }

  validity(from: number, to: number): Uint8Array | undefined {
    const { flags } = this
    if (flags === undefined) return undefined
    const bits = new Uint8Array((to - from + 7) >> 3)
    for (let i = from; i < to; i++) if (flags[i] !== 1) bits[(i - from) >> 3]! |= 1 << ((i - from) & 7)
    return bits
  }

  get any(): boolean {
    return this.flags !== undefined
  }

  copyFrom(other: NullFlags): void {
    this.flags = other.flags?.slice()
  }

  clear(): void {
    this.flags = undefined
  }
}

class FixedKeyStore implements KeyStore {
  private count = 0
  private values: Int32Array | Uint8Array
  private readonly nulls = new NullFlags()
  private readonly kind: 'i32' | 'bool'
  private readonly allocate: (length: number) => Int32Array | Uint8Array
  private readonly hashOf: (value: number) => number

  constructor(kind: 'i32' | 'bool', allocate: (length: number) => Int32Array | Uint8Array, hashOf: (value: number) => number) {
    this.kind = kind
    this.allocate = allocate
    this.hashOf = hashOf
    this.values = allocate(INITIAL)
  }

  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void {
    const { values, validity } = column as { values: Int32Array; validity: Uint8Array | undefined }
    if (validity === undefined) {
      for (let i = from; i < to; i++) hashes[i] = combine(hashes[i]!, values[rows[i]!]!)
      return
    }
    for (let i = from; i < to; i++) hashes[i] = combine(hashes[i]!, isValid(validity, rows[i]!) ? this.hashOf(values[rows[i]!]!) : NULL_HASH)
  }

  equals(index: number, column: Column, row: number): boolean {
    const { values, validity } = column as { values: Int32Array; validity: Uint8Array | undefined }
    const isNull = validity !== undefined && !isValid(validity, row)
    return isNull ? this.nulls.get(index) : this.values[index] === values[row] && !this.nulls.get(index)
  }

  append(column: Column, row: number): void {
    const { values, validity } = column as { values: Int32Array; validity: Uint8Array | undefined }
    const index = this.count++
    if (index === this.values.length) {
      const grown = this.allocate(index * 2)
      grown.set(this.values)
      this.values = grown
    }
    this.values[index] = values[row]!
    this.nulls.set(index, !isValid(validity, row))
  }

  column(from: number, to: number): Column {
    const values = this.values.slice(from, to)
    // The kind says which array `allocate` makes.
    return { kind: this.kind, values, validity: this.nulls.validity(from, to) } as Column
  }

  copyFrom(other: KeyStore): void {
    // Stores of one column have one class.
    const { count, values, nulls } = other as FixedKeyStore
    if (this.values.length < count) this.values = this.allocate(values.length)
    this.values.set(values.subarray(0, count))
    this.count = count
    this.nulls.copyFrom(nulls)
  }

  clear(): void {
    this.count = 0
    this.nulls.clear()
  }
}

export class LongKeyStore implements KeyStore {
  private count = 0
  private values = new BigInt64Array(INITIAL)
  private readonly nulls = new NullFlags()

  /** The values as pairs of words, while no entry is null; as long as nothing is appended. */
  words(): Int32Array | undefined {
    return this.nulls.any ? undefined : longWords(this.values)
  }

  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void {
    const { values, validity } = column as { values: BigInt64Array; validity: Uint8Array | undefined }
    // As pairs of 32 bits: no bigint is made for a hash.
    const words = longWords(values)
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      hashes[i] = isValid(validity, row) ? combine(combine(hashes[i]!, words[2 * row]!), words[2 * row + 1]!) : combine(hashes[i]!, NULL_HASH)
    }
  }

  equals(index: number, column: Column, row: number): boolean {
    const { values, validity } = column as { values: BigInt64Array; validity: Uint8Array | undefined }
    const isNull = validity !== undefined && !isValid(validity, row)
    return isNull ? this.nulls.get(index) : this.values[index] === values[row] && !this.nulls.get(index)
  }

  append(column: Column, row: number): void {
    const { values, validity } = column as { values: BigInt64Array; validity: Uint8Array | undefined }
    const index = this.count++
    if (index === this.values.length) {
      const grown = new BigInt64Array(index * 2)
      grown.set(this.values)
      this.values = grown
    }
    this.values[index] = values[row]!
    this.nulls.set(index, !isValid(validity, row))
  }

  column(from: number, to: number): Column {
    return { kind: 'i64', values: this.values.slice(from, to), validity: this.nulls.validity(from, to) }
  }

  copyFrom(other: KeyStore): void {
    // Stores of one column have one class.
    const { count, values, nulls } = other as LongKeyStore
    if (this.values.length < count) this.values = new BigInt64Array(values.length)
    this.values.set(values.subarray(0, count))
    this.count = count
    this.nulls.copyFrom(nulls)
  }

  clear(): void {
    this.count = 0
    this.nulls.clear()
  }
}

class DoubleKeyStore implements KeyStore {
  private count = 0
  private values = new Float64Array(INITIAL)
  private readonly nulls = new NullFlags()
  private readonly scratch = new Float64Array(1)
  private readonly scratchWords = new Int32Array(this.scratch.buffer)

  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void {
    const { values, validity } = column as { values: Float64Array; validity: Uint8Array | undefined }
    const { scratch, scratchWords } = this
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) {
        hashes[i] = combine(hashes[i]!, NULL_HASH)
        continue
      }
      const value = values[row]!
      // One bit pattern for all NaN.
      scratch[0] = Number.isNaN(value) ? Number.NaN : value
      hashes[i] = combine(combine(hashes[i]!, scratchWords[0]!), scratchWords[1]!)
    }
  }

  equals(index: number, column: Column, row: number): boolean {
    const { values, validity } = column as { values: Float64Array; validity: Uint8Array | undefined }
    const isNull = validity !== undefined && !isValid(validity, row)
    return isNull ? this.nulls.get(index) : Object.is(this.values[index], values[row]) && !this.nulls.get(index)
  }

  append(column: Column, row: number): void {
    const { values, validity } = column as { values: Float64Array; validity: Uint8Array | undefined }
    const index = this.count++
    if (index === this.values.length) {
      const grown = new Float64Array(index * 2)
      grown.set(this.values)
      this.values = grown
    }
    this.values[index] = values[row]!
    this.nulls.set(index, !isValid(validity, row))
  }

  column(from: number, to: number): Column {
    return { kind: 'f64', values: this.values.slice(from, to), validity: this.nulls.validity(from, to) }
  }

  copyFrom(other: KeyStore): void {
    // Stores of one column have one class.
    const { count, values, nulls } = other as DoubleKeyStore
    if (this.values.length < count) this.values = new Float64Array(values.length)
    this.values.set(values.subarray(0, count))
    this.count = count
    this.nulls.copyFrom(nulls)
  }

  clear(): void {
    this.count = 0
    this.nulls.clear()
  }
}

/** Values one behind the other in one growing array. */
class BytesKeyStore implements KeyStore {
  private count = 0
  private data = new Uint8Array(INITIAL * 16)
  private dataLength = 0
  private starts = new Int32Array(INITIAL)
  private lengths = new Int32Array(INITIAL)
  private readonly nulls = new NullFlags()

  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void {
    const { data, starts, lengths, validity } = column as BytesColumn
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) {
        hashes[i] = combine(hashes[i]!, NULL_HASH)
        continue
      }
      let at = starts[row]!
      const end = at + lengths[row]!
      let hash = combine(hashes[i]!, lengths[row]!)
      for (; at + 4 <= end; at += 4) hash = combine(hash, data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24))
      let rest = 0
      for (; at < end; at++) rest = (rest << 8) | data[at]!
      hashes[i] = combine(hash, rest)
    }
  }

  equals(index: number, column: Column, row: number): boolean {
    const { data, starts, lengths, validity } = column as BytesColumn
    if (!isValid(validity, row)) return this.nulls.get(index)
    const length = lengths[row]!
    if (this.lengths[index] !== length || this.nulls.get(index)) return false
    const own = this.data
    let a = this.starts[index]!
    let b = starts[row]!
    for (const end = a + length; a < end; a++, b++) if (own[a] !== data[b]) return false
    return true
  }

  append(column: Column, row: number): void {
    const { data, starts, lengths, validity } = column as BytesColumn
    const valid = isValid(validity, row)
    const length = valid ? lengths[row]! : 0
    const index = this.count++
    if (index === this.starts.length) {
      this.starts = doubled(this.starts)
      this.lengths = doubled(this.lengths)
    }
    if (this.dataLength + length > this.data.length) {
      const grown = new Uint8Array(Math.max(this.dataLength + length, this.data.length * 2))
      grown.set(this.data.subarray(0, this.dataLength))
      this.data = grown
    }
    this.starts[index] = this.dataLength
    this.lengths[index] = length
    this.data.set(data.subarray(starts[row]!, starts[row]! + length), this.dataLength)
    this.dataLength += length
    this.nulls.set(index, !valid)
  }

  column(from: number, to: number): Column {
    // The array is only ever appended to, or replaced: what is handed out never changes.
    return {
      kind: 'bytes',
      data: this.data,
      starts: this.starts.slice(from, to),
      lengths: this.lengths.slice(from, to),
      ids: undefined,
      validity: this.nulls.validity(from, to),
    }
  }

  copyFrom(other: KeyStore): void {
    // Stores of one column have one class.
    const store = other as BytesKeyStore
    this.count = store.count
    this.data = store.data.slice()
    this.dataLength = store.dataLength
    this.starts = store.starts.slice()
    this.lengths = store.lengths.slice()
    this.nulls.copyFrom(store.nulls)
  }

  clear(): void {
    this.count = 0
    // Frames that were handed out still point into the old array.
    this.data = new Uint8Array(Math.max(INITIAL * 16, this.dataLength))
    this.dataLength = 0
    this.nulls.clear()
  }
}

/** Two words a value: no bigint is made to hash or to compare one. */
export function longWords(values: BigInt64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2)
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2)
  grown.set(array)
  return grown
}
