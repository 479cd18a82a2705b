import type { Column } from '../../network/columns.ts'
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

export const NULL_HASH = 0x2545f491
const INITIAL = 32

export function combineHash(hash: number, value: number): number {
  const k = Math.imul(value, 0xcc9e2d51)
  const h = hash ^ Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

export function hashInt(value: number): number {
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

export class FixedKeyStore implements KeyStore {
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
      for (let i = from; i < to; i++) hashes[i] = combineHash(hashes[i]!, values[rows[i]!]!)
      return
    }
    for (let i = from; i < to; i++) hashes[i] = combineHash(hashes[i]!, isValid(validity, rows[i]!) ? this.hashOf(values[rows[i]!]!) : NULL_HASH)
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
      hashes[i] = isValid(validity, row)
        ? combineHash(combineHash(hashes[i]!, words[2 * row]!), words[2 * row + 1]!)
        : combineHash(hashes[i]!, NULL_HASH)
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

export class DoubleKeyStore implements KeyStore {
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
        hashes[i] = combineHash(hashes[i]!, NULL_HASH)
        continue
      }
      const value = values[row]!
      // One bit pattern for all NaN.
      scratch[0] = Number.isNaN(value) ? Number.NaN : value
      hashes[i] = combineHash(combineHash(hashes[i]!, scratchWords[0]!), scratchWords[1]!)
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

/** Two words a value: no bigint is made to hash or to compare one. */
export function longWords(values: BigInt64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2)
}
