import type { BytesColumn, Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { combineHash, type KeyStore, NULL_HASH } from './key-store.ts'

/**
 * Texts and bytes of a key column. Each distinct value is held once and has a number; an entry is the number of its value, so rows are compared by
 * numbers, and what leaves (`column`) has the numbers as dictionary ids for whoever comes behind.
 *
 * `hash` gives the value of each row its number first. Where the column has ids, it does so once for each id of the frame.
 */
export class TextKeyStore implements KeyStore {
  /** The number of the value of each row of the frame that was hashed last; -1 = null. */
  rowValues = noInts
  /** The entry of a value where this column is the whole key; -1 = none yet. Kept by the table. */
  entryOfValue = new Int32Array(INITIAL).fill(-1)
  entryOfNull = -1
  private count = 0
  /** Per entry: the number of its value; -1 = null. */
  private values = new Int32Array(INITIAL)
  private hasNulls = false
  private valueCount = 0
  private data = new Uint8Array(INITIAL * 16)
  private dataLength = 0
  private starts = new Int32Array(INITIAL)
  private lengths = new Int32Array(INITIAL)
  private valueHashes = new Int32Array(INITIAL)
  /** Number of a value + 1 by its hash, 0 = empty. */
  private slots = new Int32Array(INITIAL * 2)
  private valueOfId = noInts
  private readonly seed: number

  /** That of the table. */
  constructor(seed: number) {
    this.seed = seed
  }

  hash(column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array): void {
    const texts = column as BytesColumn
    const { validity, ids } = texts
    if (this.rowValues.length < texts.starts.length) this.rowValues = new Int32Array(texts.starts.length)
    const { rowValues } = this
    if (ids !== undefined) this.forgetIds(texts, ids, rows, from, to)
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) {
        rowValues[row] = -1
        hashes[i] = combineHash(hashes[i]!, NULL_HASH)
        continue
      }
      let value: number
      if (ids === undefined) value = this.numberOf(texts, row)
      else {
        value = this.valueOfId[ids[row]!]!
        if (value < 0) {
          value = this.numberOf(texts, row)
          this.valueOfId[ids[row]!] = value
        }
      }
      rowValues[row] = value
      hashes[i] = combineHash(hashes[i]!, this.valueHashes[value]!)
    }
  }

  equals(index: number, _column: Column, row: number): boolean {
    return this.values[index] === this.rowValues[row]
  }

  append(_column: Column, row: number): void {
    if (this.count === this.values.length) this.values = doubled(this.values)
    const value = this.rowValues[row]!
    if (value < 0) this.hasNulls = true
    this.values[this.count++] = value
  }

  column(from: number, to: number): Column {
    const ids = this.values.slice(from, to)
    const starts = new Int32Array(to - from)
    const lengths = new Int32Array(to - from)
    let validity: Uint8Array | undefined
    if (this.hasNulls) validity = new Uint8Array((to - from + 7) >> 3)
    for (let i = 0; i < ids.length; i++) {
      const value = ids[i]!
      if (value < 0) {
        ids[i] = 0
        continue
      }
      if (validity !== undefined) validity[i >> 3]! |= 1 << (i & 7)
      starts[i] = this.starts[value]!
      lengths[i] = this.lengths[value]!
    }
    // Ids save where values repeat; tables are indexed by them, so many would cost more than they save.
    const repeats = this.valueCount * 2 <= this.count && this.valueCount <= IDS_MAX
    // The array is only ever appended to, or replaced: what is handed out never changes.
    return { kind: 'bytes', data: this.data, starts, lengths, ids: repeats ? ids : undefined, validity }
  }

  copyFrom(other: KeyStore): void {
    // Stores of one column have one class.
    const store = other as TextKeyStore
    this.count = store.count
    this.values = store.values.slice()
    this.hasNulls = store.hasNulls
    this.valueCount = store.valueCount
    this.data = store.data.slice()
    this.dataLength = store.dataLength
    this.starts = store.starts.slice()
    this.lengths = store.lengths.slice()
    this.valueHashes = store.valueHashes.slice()
    this.slots = store.slots.slice()
    this.entryOfValue = store.entryOfValue.slice()
    this.entryOfNull = store.entryOfNull
  }

  clear(): void {
    this.count = 0
    this.hasNulls = false
    this.valueCount = 0
    this.slots.fill(0)
    this.entryOfValue.fill(-1)
    this.entryOfNull = -1
    // Frames that were handed out still point into the old array.
    this.data = new Uint8Array(Math.max(INITIAL * 16, this.dataLength))
    this.dataLength = 0
  }

  /** Another frame: its ids say nothing of those before. */
  private forgetIds({ validity }: BytesColumn, ids: Int32Array, rows: Int32Array, from: number, to: number): void {
    let idMax = 0
    for (let i = from; i < to; i++) if (ids[rows[i]!]! > idMax && isValid(validity, rows[i]!)) idMax = ids[rows[i]!]!
    if (this.valueOfId.length <= idMax) this.valueOfId = new Int32Array(2 * (idMax + 1))
    this.valueOfId.fill(-1, 0, idMax + 1)
  }

  private numberOf(column: BytesColumn, row: number): number {
    const start = column.starts[row]!
    const length = column.lengths[row]!
    const hash = hashBytes(this.seed, column.data, start, length)
    const mask = this.slots.length - 1
    let at = hash & mask
    for (;;) {
      const value = this.slots[at]! - 1
      if (value < 0) return this.addValue(column.data, start, length, hash, at)
      if (this.valueHashes[value] === hash && this.lengths[value] === length && this.equalsValue(value, column.data, start)) return value
      at = (at + 1) & mask
    }
  }

  private equalsValue(value: number, data: Uint8Array, start: number): boolean {
    const own = this.data
    let a = this.starts[value]!
    let b = start
    for (const end = a + this.lengths[value]!; a < end; a++, b++) if (own[a] !== data[b]) return false
    return true
  }

  private addValue(data: Uint8Array, start: number, length: number, hash: number, at: number): number {
    const value = this.valueCount++
    if (value === this.starts.length) {
      this.starts = doubled(this.starts)
      this.lengths = doubled(this.lengths)
      this.valueHashes = doubled(this.valueHashes)
    }
    if (value >= this.entryOfValue.length) {
      const grown = new Int32Array(this.entryOfValue.length * 2).fill(-1)
      grown.set(this.entryOfValue)
      this.entryOfValue = grown
    }
    if (this.dataLength + length > this.data.length) {
      const grown = new Uint8Array(Math.max(this.dataLength + length, this.data.length * 2))
      grown.set(this.data.subarray(0, this.dataLength))
      this.data = grown
    }
    this.starts[value] = this.dataLength
    this.lengths[value] = length
    this.valueHashes[value] = hash
    this.data.set(data.subarray(start, start + length), this.dataLength)
    this.dataLength += length
    this.slots[at] = value + 1
    // At most half full: linear probing stays short.
    if (this.valueCount * 2 > this.slots.length) this.rehash()
    return value
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let value = 0; value < this.valueCount; value++) {
      let at = this.valueHashes[value]! & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = value + 1
    }
    this.slots = slots
  }
}

const INITIAL = 32
const IDS_MAX = 4096
const noInts = new Int32Array(0)

function hashBytes(seed: number, data: Uint8Array, start: number, length: number): number {
  let at = start
  const end = start + length
  let hash = combineHash(seed, length)
  for (; at + 4 <= end; at += 4) hash = combineHash(hash, data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24))
  let rest = 0
  for (; at < end; at++) rest = (rest << 8) | data[at]!
  hash = combineHash(hash, rest)
  return hash ^ (hash >>> 16)
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2)
  grown.set(array)
  return grown
}
