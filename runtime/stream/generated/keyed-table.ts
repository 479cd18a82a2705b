import { assert } from '../../common/assert.ts'
import type { ByteReader } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import { ownText } from '../../network/columns-text.ts'
import type { FieldLayout, RowLayout } from '../../serde/row-layout.ts'
import type { TypeInformation, TypeJson } from '../../serde/type-information.ts'
import { ChangedRows } from '../../state/changed-rows.ts'
import type { KeyedPart } from '../../state/keyed-part.ts'
import type { SegmentWriter } from '../../state/segment-writer.ts'
import type { StateSchema } from '../../state/snapshot.ts'
import { readerOf } from '../../state/typed-later.ts'
import type { KeySpec } from '../functions.ts'

/**
 * One row per key, a typed array a field: keyed state of `sum`, `min`, `max`, `minBy`, `maxBy` (and nothing else yet). An open-addressing table
 * of entry numbers over columns that grow by doubling; entries are never removed. A snapshot of it has the schema and the bytes of the value
 * state of a reduce, so that either restores what the other has saved.
 *
 * Generated code works on the arrays directly (emit-keyed-aggregate.ts) after `reserve`; `find`, `insert` and `hash` are the same in words, for
 * the interpreter and for restoring.
 *
 * Invariants: `slots[s]` is an entry's number + 1, 0 = free; at most half of the slots are taken; text in a column is a copy of its own,
 * never a view of a page of input.
 */
export type TableColumn = Uint8Array | Int32Array | Float64Array | BigInt64Array | string[]

const CAPACITY_MIN = 1024
/** Entries and what they refer to should stay in a core's second cache. */
const RECENT_MAX = 1 << 14

export class KeyedTable implements KeyedPart<RowsOfCheckpoint> {
  readonly schemas: readonly StateSchema[]
  tracks = false
  readonly changes = new ChangedRows()
  readonly layout: RowLayout
  readonly keyColumns: readonly number[]
  /** Of hashes, drawn once per table: whoever chooses keys cannot choose where they collide. Odd. */
  readonly seed: number
  count = 0
  slots = new Int32Array(2 * CAPACITY_MIN)
  /** `Math.imul(hash, 0x9e3779b1) >>> shift` is a key's first slot. */
  shift = 32 - Math.log2(2 * CAPACITY_MIN)
  hashes = new Int32Array(CAPACITY_MIN)
  /**
   * Where the key is one text: entries that were found last, by a few units of their texts. Keys that come often are found without their hash, which
   * costs a look at every unit. What stands here need not be right, nor be any key's: whoever reads it compares.
   */
  recent = new Int32Array(0)
  /** Frames to come that are not worth a look at `recent`: keys hardly ever came twice. */
  recentPause = 0
  columns: TableColumn[]
  /** 1 where a field is null; undefined = no row of the column is. Keys never are. */
  nulls: (Uint8Array | undefined)[]
  private readonly type: TypeInformation
  private reader: (input: ByteReader) => unknown
  private readonly key: KeySpec
  /** Of each entry its key group + 1; 0 = not known yet. */
  private keyGroups = new Uint16Array(CAPACITY_MIN)
  private base: { next: number; readonly end: number } | undefined = undefined
  /** First row that the base has written since the last checkpoint, and the one behind the last. */
  private baseFrom = 0
  private baseTo = 0

  constructor(name: string, type: TypeInformation, layout: RowLayout, keyColumns: readonly number[], key: KeySpec, seed: number) {
    this.schemas = [{ name, kind: 'value', type: type.json, namespace: { kind: 'VOID' } }]
    this.type = type
    this.reader = readerOf(type.json, type)
    this.layout = layout
    this.keyColumns = keyColumns
    this.key = key
    this.seed = seed | 1
    this.columns = layout.columns.map(column => newColumn(column, CAPACITY_MIN))
    if (this.hasTextKey) this.recent = new Int32Array(CAPACITY_MIN)
    this.nulls = layout.columns.map(() => undefined)
  }

  get hasTextKey(): boolean {
    const [only] = this.keyColumns
    return this.keyColumns.length === 1 && this.layout.columns[only as number]?.kind === 'bytes'
  }

  get hasNulls(): boolean {
    return this.nulls.some(nulls => nulls !== undefined)
  }

  /** Room for `more` new keys. */
  reserve(more: number): void {
    this.grow(this.count + more)
    if (this.tracks) this.changes.reserve(this.hashes.length)
  }

  private grow(needed: number): void {
    if (needed <= this.hashes.length) return
    let capacity = this.hashes.length
    while (capacity < needed) capacity *= 2
    this.hashes = grown(this.hashes, capacity)
    this.keyGroups = grown(this.keyGroups, capacity)
    if (this.hasTextKey) this.recent = new Int32Array(Math.min(capacity, RECENT_MAX))
    this.columns = this.columns.map(column => (Array.isArray(column) ? column : grown(column, capacity)))
    this.nulls = this.nulls.map(nulls => (nulls === undefined ? undefined : grown(nulls, capacity)))
    this.slots = new Int32Array(2 * capacity)
    this.shift = 32 - Math.log2(2 * capacity)
    for (let entry = 0; entry < this.count; entry++) this.slots[this.freeSlot(this.hashes[entry]!)] = entry + 1
  }

  /** Of a row's fields; null keys have none. */
  hash(fields: readonly unknown[]): number {
    let hash = 0
    for (const column of this.keyColumns) hash = (Math.imul(hash, this.seed) + this.hashOf(fields[column])) | 0
    return hash
  }

  /** -1 = the key is not there. */
  find(fields: readonly unknown[], hash: number): number {
    const { slots, hashes, keyColumns, columns } = this
    const mask = slots.length - 1
    for (let slot = Math.imul(hash, FIBONACCI) >>> this.shift; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]! - 1
      if (entry < 0) return -1
      if (hashes[entry] === hash && keyColumns.every(column => columns[column]![entry] === held(fields[column]))) return entry
    }
  }

  /** A key that is not there; answers its entry. */
  insert(fields: readonly unknown[], hash: number): number {
    this.reserve(1)
    const entry = this.count++
    this.slots[this.freeSlot(hash)] = entry + 1
    this.hashes[entry] = hash
    for (const [column, field] of fields.entries()) this.set(entry, column, field)
    this.mark(entry)
    return entry
  }

  /** Its fields have changed. */
  mark(entry: number): void {
    if (this.tracks) this.changes.mark(entry)
  }

  set(entry: number, column: number, field: unknown): void {
    const values = this.columns[column]!
    const isNull = field === null || field === undefined
    if (isNull) this.nulls[column] ??= new Uint8Array(this.hashes.length)
    const nulls = this.nulls[column]
    if (nulls !== undefined) nulls[entry] = isNull ? 1 : 0
    if (Array.isArray(values)) values[entry] = isNull ? '' : ownText(field as string)
    else if (!isNull) values[entry] = held(field) as never // of the column's kind: the row has come in columns
  }

  get(entry: number, column: number): unknown {
    if (this.nulls[column]?.[entry] === 1) return null
    const value = this.columns[column]![entry]
    return this.layout.columns[column]!.kind === 'bool' ? value === 1 : value
  }

  /** As users know it. */
  row(entry: number): unknown {
    const { shape } = this.layout
    const fields = this.columns.map((_, column) => this.get(entry, column))
    if (shape.kind === 'object') return Object.fromEntries(shape.names.map((name, i) => [name, fields[i]]))
    return shape.kind === 'value' ? fields[0] : fields
  }

  get rowCount(): number {
    return this.count
  }

  get changedCount(): number {
    return this.changes.count
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    for (let entry = 0; entry < this.count; entry++) this.write(entry, out)
    if (!begins) return
    this.changes.clear()
    this.baseFrom = this.baseTo
  }

  writeChanged(out: SegmentWriter): RowsOfCheckpoint {
    const rows = this.changes.take()
    for (let i = 0; i < rows.length; i++) this.write(rows[i] as number, out)
    const { baseFrom, baseTo } = this
    this.baseFrom = baseTo
    return { rows, baseFrom, baseTo }
  }

  beginBase(): void {
    this.base = { next: 0, end: this.count }
    this.baseFrom = 0
    this.baseTo = 0
  }

  writeBase(out: SegmentWriter, sizeMax: number): boolean {
    const { base } = this
    assert(base !== undefined, 'a base is begun before it is written')
    while (base.next < base.end) {
      if (out.size >= sizeMax) return false
      if (this.changes.flags[base.next] !== 1) this.write(base.next, out)
      this.baseTo = ++base.next
    }
    this.endBase()
    return true
  }

  endBase(): void {
    this.base = undefined
  }

  markAgain({ rows, baseFrom, baseTo }: RowsOfCheckpoint): void {
    for (const row of rows) this.changes.mark(row)
    for (let row = baseFrom; row < baseTo; row++) this.changes.mark(row)
  }

  readAs(_schema: number, saved: TypeJson): void {
    this.reader = readerOf(saved, this.type)
  }

  restoreRecord(_schema: number, removes: boolean, keyGroup: number, input: ByteReader): void {
    this.key.type.serializer.read(input)
    // The bytes are also those of a reduce's state, whose values never go.
    if (removes) throw new FlinkError('CORRUPT_CHECKPOINT', `state ${this.schemas[0]?.name} has the end of a key, which it never has`)
    const row = this.reader(input)
    const { shape } = this.layout
    const fields =
      shape.kind === 'array'
        ? (row as readonly unknown[])
        : shape.kind === 'object'
          ? shape.names.map(name => (row as Record<string, unknown>)[name])
          : [row]
    const hash = this.hash(fields)
    const { tracks } = this
    this.tracks = false
    let entry = this.find(fields, hash)
    if (entry < 0) entry = this.insert(fields, hash)
    else for (const [column, field] of fields.entries()) this.set(entry, column, field)
    this.keyGroups[entry] = keyGroup + 1
    this.tracks = tracks
  }

  private write(entry: number, out: SegmentWriter): void {
    const row = this.row(entry)
    const key = this.key.select(row)
    if (this.keyGroups[entry] === 0) this.keyGroups[entry] = out.keyGroupOf(key) + 1
    this.type.serializer.write(row, out.keyed(0, false, key, (this.keyGroups[entry] as number) - 1))
  }

  private freeSlot(hash: number): number {
    const { slots } = this
    const mask = slots.length - 1
    let slot = Math.imul(hash, FIBONACCI) >>> this.shift
    while (slots[slot] !== 0) slot = (slot + 1) & mask
    return slot
  }

  private hashOf(field: unknown): number {
    const { seed } = this
    if (typeof field === 'string') {
      let hash = 0
      for (let i = 0; i < field.length; i++) hash = (Math.imul(hash, seed) + field.charCodeAt(i)) | 0
      return hash
    }
    if (typeof field === 'bigint') {
      const high = Number(BigInt.asIntN(32, field >> 32n))
      return Number(BigInt.asIntN(32, field)) ^ Math.imul(high, seed)
    }
    const number = Number(field)
    return (number | 0) ^ Math.imul(Math.floor(number / 2 ** 32), seed)
  }
}

interface RowsOfCheckpoint {
  readonly rows: Int32Array
  /** Of the base: rows `baseFrom` to `baseTo`. */
  readonly baseFrom: number
  readonly baseTo: number
}

/** 2^32 divided by the golden ratio: spreads neighbouring hashes over the table. */
export const FIBONACCI = 0x9e3779b1 | 0

function held(field: unknown): unknown {
  return typeof field === 'boolean' ? Number(field) : field
}

function newColumn({ kind }: FieldLayout, capacity: number): TableColumn {
  switch (kind) {
    case 'bool':
      return new Uint8Array(capacity)
    case 'i32':
      return new Int32Array(capacity)
    case 'f64':
      return new Float64Array(capacity)
    case 'i64':
      return new BigInt64Array(capacity)
    case 'bytes':
      return []
  }
}

function grown<A extends Uint8Array | Uint16Array | Int32Array | Float64Array | BigInt64Array>(array: A, length: number): A {
  // The same kind of array.
  const copy = new (array.constructor as new (length: number) => A)(length)
  copy.set(array as never)
  return copy
}
