import { assert, unreachable } from '../../common/assert.ts'
import type { Column, ColumnKind, Int64Column } from '../../network/columns.ts'
import { DoubleKeyStore, FixedKeyStore, hashInt, type KeyStore, LongKeyStore, longWords } from './key-store.ts'
import { TextKeyStore } from './key-text-store.ts'

/**
 * An open-addressing table from keys (one or several columns) to dense indices 0, 1, 2, … in order of first sight. Aggregates keep their
 * accumulators in typed arrays under these indices; the keys themselves stay here as columns.
 *
 * Two passes over a frame: hashes of all rows column by column, then probes. A probe compares the stored 32-bit hash first and the key's
 * columns only when that is equal. NULL is a key value like any other, equal to itself; -0 and 0 are two keys, all NaN one, as in Flink.
 *
 * The hash is for this process only: nothing of it is persisted or sent. Its seed is random and one operator instance's (tables that share keys share
 * it), so that nobody knows which keys collide. It is murmur3's mixing and no cipher: long texts that collide under every seed exist.
 */
export class KeyTable {
  count = 0
  private readonly stores: readonly KeyStore[]
  private readonly seed: number
  /** Index + 1 of an entry, 0 = empty. */
  private slots = new Int32Array(INITIAL_SLOTS)
  private mask = INITIAL_SLOTS - 1
  private hashes = new Int32Array(INITIAL_SLOTS / 2)
  private rowHashes = new Int32Array(0)

  constructor(kinds: readonly ColumnKind[], seed: number) {
    this.seed = seed | 0
    this.stores = kinds.map(kind => keyStore(kind, this.seed))
  }

  /** Writes the index of the key of `rows[from..to)` of `columns` to `out[from..to)`; unseen keys are added. */
  lookup(columns: readonly Column[], rows: Int32Array, from: number, to: number, out: Int32Array): void {
    const { stores } = this
    assert(columns.length === stores.length, 'a key has as many columns as its table')
    const rowHashes = this.room(to)
    const { seed } = this
    for (let i = from; i < to; i++) rowHashes[i] = seed
    for (let c = 0; c < stores.length; c++) stores[c]!.hash(columns[c]!, rows, from, to, rowHashes)
    for (let i = from; i < to; i++) rowHashes[i] = mix(rowHashes[i]!)
    if (stores.length === 1) this.probeOne(stores[0]!, columns[0]!, rows, from, to, rowHashes, out)
    else this.probeSeveral(columns, rows, from, to, rowHashes, out)
  }

  /** The same for all entries of a table of the same columns and seed: their hashes are known. */
  lookupEntries(other: KeyTable, out: Int32Array): void {
    assert(other.seed === this.seed && other.stores.length === this.stores.length, 'tables that share keys have one seed and the same columns')
    const { count } = other
    if (entries.length < count) entries = Int32Array.from({ length: count * 2 }, (_, i) => i)
    const columns = other.keys(0, count)
    // Texts are known to a store by the frame they came in.
    for (let c = 0; c < columns.length; c++) {
      const store = this.stores[c]!
      if (store instanceof TextKeyStore) store.hash(columns[c]!, entries, 0, count, this.room(count))
    }
    if (columns.length === 1) this.probeOne(this.stores[0]!, columns[0]!, entries, 0, count, other.hashes, out)
    else this.probeSeveral(columns, entries, 0, count, other.hashes, out)
  }

  /** Takes over the entries of a table of the same columns and seed; what was here is gone. */
  copyFrom(other: KeyTable): void {
    assert(other.seed === this.seed && other.stores.length === this.stores.length, 'tables that share keys have one seed and the same columns')
    this.slots = reused(this.slots, other.slots)
    this.mask = other.mask
    this.hashes = reused(this.hashes, other.hashes)
    this.count = other.count
    for (const [i, store] of this.stores.entries()) store.copyFrom(other.stores[i]!)
  }

  /** The keys of entries `from..to)`, one column each, in the order of the table's columns. */
  keys(from: number, to: number): Column[] {
    return this.stores.map(store => store.column(from, to))
  }

  clear(): void {
    this.slots.fill(0)
    this.count = 0
    for (const store of this.stores) store.clear()
  }

  private room(count: number): Int32Array {
    if (this.rowHashes.length < count) this.rowHashes = new Int32Array(count)
    return this.rowHashes
  }

  private probeOne(store: KeyStore, column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array, out: Int32Array): void {
    if (store instanceof TextKeyStore) {
      this.probeTexts(store, column, rows, from, to, hashes, out)
      return
    }
    let start = from
    if (store instanceof LongKeyStore && column.kind === 'i64' && column.validity === undefined)
      start = this.probeLongs(store, column, rows, from, to, hashes, out)
    for (let i = start; i < to; i++) {
      const hash = hashes[i]!
      const row = rows[i]!
      let at = hash & this.mask
      let entry = this.slots[at]!
      while (entry !== 0 && !(this.hashes[entry - 1] === hash && store.equals(entry - 1, column, row))) {
        at = (at + 1) & this.mask
        entry = this.slots[at]!
      }
      if (entry === 0) {
        store.append(column, row)
        entry = this.insert(at, hash)
      }
      out[i] = entry - 1
    }
  }

  /**
   * The loop of the commonest key, one BIGINT: compared as words, the arrays as locals until one of them grows. Answers where it stopped: the
   * end, or the first row when an entry is null.
   */
  private probeLongs(
    store: LongKeyStore,
    column: Int64Column,
    rows: Int32Array,
    from: number,
    to: number,
    rowHashes: Int32Array,
    out: Int32Array,
  ): number {
    const given = longWords(column.values)
    let own = store.words()
    if (own === undefined) return from
    let { slots, hashes, mask } = this
    for (let i = from; i < to; i++) {
      const hash = rowHashes[i]!
      const word = rows[i]! << 1
      const low = given[word]!
      const high = given[word + 1]!
      let at = hash & mask
      let entry = slots[at]!
      while (entry !== 0) {
        const index = entry - 1
        if (hashes[index] === hash && own[index << 1] === low && own[(index << 1) + 1] === high) break
        at = (at + 1) & mask
        entry = slots[at]!
      }
      if (entry === 0) {
        store.append(column, rows[i]!)
        entry = this.insert(at, hash)
        if (own.length < entry << 1) own = store.words()!
        slots = this.slots
        hashes = this.hashes
        mask = this.mask
      }
      out[i] = entry - 1
    }
    return to
  }

  /** A text that is the whole key: its value has a number already, and a value has one entry. */
  private probeTexts(store: TextKeyStore, column: Column, rows: Int32Array, from: number, to: number, hashes: Int32Array, out: Int32Array): void {
    const { rowValues, entryOfValue } = store
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      const value = rowValues[row]!
      let index = value < 0 ? store.entryOfNull : entryOfValue[value]!
      if (index < 0) {
        store.append(column, row)
        index = this.insert(this.emptySlot(hashes[i]!), hashes[i]!) - 1
        if (value < 0) store.entryOfNull = index
        else entryOfValue[value] = index
      }
      out[i] = index
    }
  }

  private emptySlot(hash: number): number {
    let at = hash & this.mask
    while (this.slots[at] !== 0) at = (at + 1) & this.mask
    return at
  }

  private probeSeveral(columns: readonly Column[], rows: Int32Array, from: number, to: number, hashes: Int32Array, out: Int32Array): void {
    const { stores } = this
    for (let i = from; i < to; i++) {
      const hash = hashes[i]!
      const row = rows[i]!
      let at = hash & this.mask
      let entry = this.slots[at]!
      while (entry !== 0 && !(this.hashes[entry - 1] === hash && this.equalsAll(entry - 1, columns, row))) {
        at = (at + 1) & this.mask
        entry = this.slots[at]!
      }
      if (entry === 0) {
        for (let c = 0; c < stores.length; c++) stores[c]!.append(columns[c]!, row)
        entry = this.insert(at, hash)
      }
      out[i] = entry - 1
    }
  }

  private equalsAll(index: number, columns: readonly Column[], row: number): boolean {
    const { stores } = this
    for (let c = 0; c < stores.length; c++) if (!stores[c]!.equals(index, columns[c]!, row)) return false
    return true
  }

  /** Returns the new entry (index + 1). */
  private insert(at: number, hash: number): number {
    const entry = ++this.count
    if (entry > this.hashes.length) {
      const grown = new Int32Array(this.hashes.length * 2)
      grown.set(this.hashes)
      this.hashes = grown
    }
    this.hashes[entry - 1] = hash
    this.slots[at] = entry
    // At most half full: linear probing stays short.
    if (entry * 2 > this.mask) this.rehash()
    return entry
  }

  private rehash(): void {
    const size = this.slots.length * 2
    const slots = new Int32Array(size)
    const mask = size - 1
    for (let entry = 1; entry <= this.count; entry++) {
      let at = this.hashes[entry - 1]! & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = entry
    }
    this.slots = slots
    this.mask = mask
  }
}

function keyStore(kind: ColumnKind, seed: number): KeyStore {
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
      return new TextKeyStore(seed)
    default:
      return unreachable(kind)
  }
}

const INITIAL_SLOTS = 64
/** 0, 1, 2, …: the entries of another table as rows. */
let entries = new Int32Array(0)

function reused(array: Int32Array<ArrayBuffer>, from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  if (array.length !== from.length) return from.slice()
  array.set(from)
  return array
}

/** murmur3's finaliser: every bit of the columns' hashes reaches the low bits that choose the slot. */
function mix(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
