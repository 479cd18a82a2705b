import { assert } from '../common/assert.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { keyBytes } from '../serde/key.ts'
import { keyGroupOf } from '../serde/key-groups.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'
import type { HeapState } from './heap-state.ts'
import { KeyEntry } from './key-entry.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import { type KeyTable, noKeySet } from './key-table.ts'
import type { OwnStateBackend, StateStore } from './own-backend.ts'
import type { SegmentWriter } from './segment-writer.ts'
import type { StateSchema } from './snapshot.ts'
import type { TtlCleanup } from './ttl-cleanup.ts'

/**
 * The keys of a backend whose rows are in a store of somebody's own. Only the current key is an entry of objects: it is read when the key comes and, where it
 * has changed, put back when another one does, and before every snapshot.
 *
 * In the store a row is the key, as a record of a segment has it, and the state's value behind it: a snapshot copies bytes.
 */
export interface StoredTableOptions {
  readonly owner: string
  readonly keyType: TypeInformation
  readonly maxParallelism: number
  readonly backend: OwnStateBackend
  readonly store: StateStore
}

/** A row by state and key: what has changed, or what a checkpoint has. */
interface RowName {
  readonly state: number
  readonly key: unknown
}

export class StoredTable implements KeyTable<readonly RowName[]> {
  readonly owner: string
  readonly schemas: StateSchema[] = []
  tracks = false
  entry: KeyEntry | undefined = undefined
  readonly snapshotCleanups: TtlCleanup[] = []
  readonly recordCleanups: TtlCleanup[] = []
  rowCount = 0
  keyCount = 0
  private readonly options: StoredTableOptions
  private readonly indexOf: KeyIndex
  private readonly states: HeapState[] = []
  private readonly writer = new ByteWriter(256)
  private keySet = false
  private key: unknown = undefined
  private index: unknown = undefined
  /** By state and index of the key. */
  private readonly changed: Map<unknown, RowName>[] = []
  private base: Iterator<RowName & { readonly row: Uint8Array }> | undefined = undefined
  /** Of the base, since the last checkpoint. */
  private baseRows: RowName[] = []

  constructor(options: StoredTableOptions) {
    this.options = options
    this.owner = options.owner
    this.indexOf = keyIndexOf(options.keyType)
  }

  add(state: HeapState): void {
    this.states.push(state)
    this.schemas.push(state.schema)
    this.changed.push(new Map())
  }

  setCurrentKey(key: unknown): void {
    const index = this.indexOf(key)
    if (!this.keySet || index !== this.index) this.enter(key, index)
    for (const cleanup of this.recordCleanups) cleanup.step()
  }

  unsetCurrentKey(): void {
    this.putBack()
    this.key = undefined
    this.index = undefined
    this.keySet = false
    this.entry = undefined
  }

  visit(entry: KeyEntry, run: () => void): void {
    const { key, index, keySet } = this
    this.enter(entry.key, entry.index)
    run()
    if (keySet) this.enter(key, index)
    else this.unsetCurrentKey()
  }

  get currentKey(): unknown {
    this.assertKeySet()
    return this.key
  }

  entryForWrite(): KeyEntry {
    this.assertKeySet()
    this.entry ??= new KeyEntry(this.key, this.index, this.states.length)
    return this.entry
  }

  assertKeySet(): void {
    if (this.keySet) return
    throw noKeySet(this.owner)
  }

  filled(entry: KeyEntry): void {
    if (entry.filledCount === 0) this.keyCount++
    entry.filledCount++
    this.rowCount++
  }

  emptied(entry: KeyEntry): void {
    entry.filledCount--
    this.rowCount--
    if (entry.filledCount === 0) this.keyCount--
  }

  mark(entry: KeyEntry, bit: number): void {
    entry.changed |= bit
  }

  /** Each key once: with the first of the states that it has something in. */
  *keys(): Generator<KeyEntry, undefined> {
    this.putBack()
    for (let state = 0; state < this.states.length; state++) {
      for (const { key } of this.rowsOf(state)) {
        const bytes = this.bytesOf(key)
        if (this.states.slice(0, state).some((_, earlier) => this.options.store.get(earlier, bytes) !== undefined)) continue
        const entry = this.load(key, this.indexOf(key))
        if (entry !== undefined) yield entry
      }
    }
    return undefined
  }

  get changedCount(): number {
    return this.changed.reduce((sum, rows) => sum + rows.size, this.entry === undefined || this.entry.changed === 0 ? 0 : 1)
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    for (const cleanup of this.snapshotCleanups) cleanup.all()
    this.putBack()
    for (let state = 0; state < this.states.length; state++) for (const { key, row } of this.rowsOf(state)) this.writeRow(out, state, key, row)
    if (!begins) return
    for (const rows of this.changed) rows.clear()
    this.baseRows = []
  }

  writeChanged(out: SegmentWriter): readonly RowName[] {
    this.putBack()
    const written = this.baseRows
    this.baseRows = []
    for (const rows of this.changed) {
      for (const name of rows.values()) {
        const row = this.options.store.get(name.state, this.bytesOf(name.key))
        if (row !== undefined) this.writeRow(out, name.state, name.key, row)
        else out.keyed(name.state, true, name.key, this.groupOf(name.key))
        written.push(name)
      }
      rows.clear()
    }
    return written
  }

  markAgain(rows: readonly RowName[]): void {
    for (const row of rows) this.changed[row.state]?.set(this.indexOf(row.key), row)
  }

  beginBase(): void {
    for (const cleanup of this.snapshotCleanups) cleanup.all()
    this.putBack()
    this.base = this.allRows()
  }

  writeBase(out: SegmentWriter, sizeMax: number): boolean {
    const { base } = this
    assert(base !== undefined, 'a base is begun before it is written')
    while (out.size < sizeMax) {
      const { done, value } = base.next()
      if (done === true) {
        this.endBase()
        return true
      }
      const { state, key, row } = value
      if (this.changed[state]?.has(this.indexOf(key)) === true) continue
      this.writeRow(out, state, key, row)
      this.baseRows.push({ state, key })
    }
    return false
  }

  endBase(): void {
    this.base = undefined
  }

  readAs(schema: number, saved: TypeJson): void {
    this.states[schema]?.readAs(saved)
  }

  restoreRecord(schema: number, removes: boolean, _keyGroup: number, input: ByteReader): void {
    const { keyType, store } = this.options
    const key = keyType.serializer.read(input)
    const bytes = this.bytesOf(key)
    const had = this.states.map((_, state) => store.get(state, bytes) !== undefined)
    const others = had.some((has, state) => has && state !== schema)
    if (removes) {
      store.remove(schema, bytes)
      if (had[schema] !== true) return
      this.rowCount--
      if (!others) this.keyCount--
      return
    }
    const state = this.states[schema]
    assert(state !== undefined, 'the schema of a record is registered')
    store.put(schema, bytes, this.rowBytes(key, state, state.readRow(input)))
    if (had[schema] === true) return
    this.rowCount++
    if (!others) this.keyCount++
  }

  close(): void {
    this.options.store.close()
  }

  private enter(key: unknown, index: unknown): void {
    this.putBack()
    this.entry = this.load(key, index)
    this.key = key
    this.index = index
    this.keySet = true
  }

  private load(key: unknown, index: unknown): KeyEntry | undefined {
    const bytes = this.bytesOf(key)
    let entry: KeyEntry | undefined
    for (const [i, state] of this.states.entries()) {
      const row = this.options.store.get(i, bytes)
      if (row === undefined) continue
      const input = new ByteReader(row)
      const held = this.options.keyType.serializer.read(input)
      entry ??= new KeyEntry(held, index, this.states.length)
      entry.slots[i] = state.readRow(input)
      entry.filledCount++
    }
    return entry
  }

  private putBack(): void {
    const { entry } = this
    if (entry === undefined || entry.changed === 0) return
    const { store } = this.options
    const bytes = this.bytesOf(entry.key)
    for (const [i, state] of this.states.entries()) {
      if ((entry.changed & state.bit) === 0) continue
      const held = entry.slots[i]
      if (held === undefined) store.remove(i, bytes)
      else store.put(i, bytes, this.rowBytes(entry.key, state, held))
      if (this.tracks) this.changed[i]?.set(entry.index, { state: i, key: entry.key })
    }
    entry.changed = 0
  }

  private rowBytes(key: unknown, state: HeapState, held: unknown): Uint8Array {
    this.writer.reset()
    this.options.keyType.serializer.write(key, this.writer)
    state.writeRow(held, this.writer)
    return this.writer.copy()
  }

  private writeRow(out: SegmentWriter, state: number, key: unknown, row: Uint8Array): void {
    out.record(state, false, this.groupOf(key)).raw(row)
  }

  private *allRows(): Generator<RowName & { readonly row: Uint8Array }> {
    for (let state = 0; state < this.states.length; state++) for (const each of this.rowsOf(state)) yield { state, ...each }
  }

  private *rowsOf(state: number): Generator<{ readonly key: unknown; readonly row: Uint8Array }> {
    const { backend, store, keyType } = this.options
    if (!backend.can.snapshots)
      throw new FlinkError(
        'UNSUPPORTED',
        `operator ${this.owner}: state backend ${backend.name} says that it cannot list its rows (can.snapshots), which snapshots, the clean-up of expired values and calls for all keys need`,
      )
    // Where it says so, one that has begun goes on while rows come and go.
    const rows = backend.can.incremental ? store.rows(state) : [...store.rows(state)]
    for (const row of rows) yield { key: keyType.serializer.read(new ByteReader(row)), row }
  }

  private bytesOf(key: unknown): Uint8Array {
    return keyBytes(this.options.keyType, key)
  }

  private groupOf(key: unknown): number {
    return keyGroupOf(this.options.keyType, key, this.options.maxParallelism)
  }
}
