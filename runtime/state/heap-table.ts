import { assert } from '../common/assert.ts'
import type { ByteReader } from '../common/bytes.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'
import type { HeapState } from './heap-state.ts'
import { KeyEntry } from './key-entry.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import { type KeyTable, noKeySet } from './key-table.ts'
import type { SegmentWriter } from './segment-writer.ts'
import type { StateSchema } from './snapshot.ts'
import type { TtlCleanup } from './ttl-cleanup.ts'

/**
 * The keys of a backend and what they hold: key -> entry -> one slot a state (-> namespace).
 *
 * An entry whose last slot is emptied goes at once, unless a segment has values of it: then it stays, empty, until the checkpoint that says so. The list of
 * changed entries may name some that are gone; it is cleared of them when they are half of it, so that it is never longer than twice the keys.
 */
export class HeapTable implements KeyTable<Rows> {
  readonly owner: string
  readonly schemas: StateSchema[] = []
  tracks = false
  /** Of the current key; undefined = it has no state yet. Read by `HeapState` on every access. */
  entry: KeyEntry | undefined = undefined
  /** Of states whose expired values are in no whole snapshot and no base. */
  readonly snapshotCleanups: TtlCleanup[] = []
  /** A step of each for every record. */
  readonly recordCleanups: TtlCleanup[] = []
  /** Values, over all keys and states. */
  rowCount = 0
  private readonly keyType: TypeInformation
  private readonly entries = new Map<unknown, KeyEntry>()
  private readonly indexOf: KeyIndex
  private readonly states: HeapState[] = []
  private keySet = false
  private key: unknown = undefined
  private index: unknown = undefined
  /** Entries without a value that are still in `entries`. */
  private emptyCount = 0
  private changed: KeyEntry[] = []
  private goneCount = 0
  private base: { readonly entries: Iterator<KeyEntry>; left: number } | undefined = undefined
  /** Of the base, since the last checkpoint. */
  private baseRows = new Rows()

  constructor(owner: string, keyType: TypeInformation) {
    this.owner = owner
    this.keyType = keyType
    this.indexOf = keyIndexOf(keyType)
  }

  add(state: HeapState): void {
    assert(this.entries.size === 0, 'states are registered before the first key has state')
    this.states.push(state)
    this.schemas.push(state.schema)
  }

  setCurrentKey(key: unknown): void {
    const index = this.indexOf(key)
    this.key = key
    this.index = index
    this.keySet = true
    this.entry = this.entries.get(index)
    const { recordCleanups } = this
    for (let i = 0; i < recordCleanups.length; i++) (recordCleanups[i] as TtlCleanup).step()
  }

  unsetCurrentKey(): void {
    this.key = undefined
    this.index = undefined
    this.keySet = false
    this.entry = undefined
  }

  visit(entry: KeyEntry, run: () => void): void {
    const { key, index, keySet } = this
    this.key = entry.key
    this.index = entry.index
    this.keySet = true
    this.entry = entry
    run()
    this.key = key
    this.index = index
    this.keySet = keySet
    this.entry = keySet ? this.entries.get(index) : undefined
  }

  get currentKey(): unknown {
    this.assertKeySet()
    return this.key
  }

  entryForWrite(): KeyEntry {
    if (this.entry !== undefined) return this.entry
    this.assertKeySet()
    this.entry = this.create(this.key, this.index)
    return this.entry
  }

  assertKeySet(): void {
    if (this.keySet) return
    throw noKeySet(this.owner)
  }

  filled(entry: KeyEntry): void {
    if (entry.filledCount === 0) this.emptyCount--
    entry.filledCount++
    this.rowCount++
  }

  emptied(entry: KeyEntry): void {
    entry.filledCount--
    this.rowCount--
    if (entry.filledCount > 0) return
    this.emptyCount++
    if (entry.saved === 0) this.remove(entry)
  }

  mark(entry: KeyEntry, bit: number): void {
    if (!this.tracks) return
    if (entry.changed === 0) this.changed.push(entry)
    entry.changed |= bit
  }

  get keyCount(): number {
    return this.entries.size - this.emptyCount
  }

  /** In order of first write; stays valid while keys come and go. Some may be empty. */
  keys(): IterableIterator<KeyEntry> {
    return this.entries.values()
  }

  get changedCount(): number {
    const { size } = this.entries
    return size === 0 ? 0 : Math.ceil((this.changed.length - this.goneCount) * Math.max(1, this.rowCount / size))
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    for (const cleanup of this.snapshotCleanups) cleanup.all()
    for (const entry of this.entries.values()) {
      const written = this.writeValues(entry, ALL, out)
      if (!begins) continue
      entry.saved = written
      entry.changed = 0
      if (entry.filledCount === 0) this.remove(entry)
    }
    if (!begins) return
    this.changed = []
    this.goneCount = 0
    this.baseRows = new Rows()
  }

  writeChanged(out: SegmentWriter): Rows {
    const rows = this.baseRows
    this.baseRows = new Rows()
    for (const entry of this.changed) {
      const bits = entry.changed
      entry.changed = 0
      const removed = entry.saved & bits
      entry.saved = (entry.saved & ~bits) | this.writeValues(entry, bits, out)
      if (removed !== 0) this.writeRemoved(entry, removed, out)
      if (entry.filledCount > 0 || removed !== 0) rows.add(entry, bits)
      if (entry.filledCount === 0 && removed !== 0) this.remove(entry)
    }
    this.changed = []
    this.goneCount = 0
    return rows
  }

  beginBase(): void {
    // Entries that come later stand behind those that are there, and are in checkpoints of their own.
    this.base = { entries: this.entries.values(), left: this.entries.size }
  }

  writeBase(out: SegmentWriter, sizeMax: number): boolean {
    const { base } = this
    assert(base !== undefined, 'a base is begun before it is written')
    for (; base.left > 0; base.left--) {
      if (out.size >= sizeMax) return false
      const { done, value: entry } = base.entries.next()
      if (done === true) break
      // What has expired is marked by that: its end is in the next segment of changes.
      for (const cleanup of this.snapshotCleanups) cleanup.of(entry)
      const written = this.writeValues(entry, ~entry.changed, out)
      if (written !== 0) this.baseRows.add(entry, written)
    }
    this.endBase()
    return true
  }

  endBase(): void {
    this.base = undefined
  }

  markAgain({ entries, bits }: Rows): void {
    for (const [i, entry] of entries.entries()) {
      // Gone by now: it comes back empty, until it has been said again that it is gone.
      const present = this.entries.get(entry.index) ?? this.create(entry.key, entry.index)
      present.saved |= bits[i] as number
      this.mark(present, bits[i] as number)
    }
    this.entry = this.keySet ? this.entries.get(this.index) : undefined
  }

  readAs(schema: number, saved: TypeJson): void {
    this.states[schema]?.readAs(saved)
  }

  restoreRecord(schema: number, removes: boolean, keyGroup: number, input: ByteReader): void {
    const state = this.states[schema] as HeapState
    const key = this.keyType.serializer.read(input)
    const index = this.indexOf(key)
    const entry = this.entries.get(index)
    if (!removes) {
      const target = entry ?? this.create(key, index)
      target.keyGroup = keyGroup
      if (this.tracks) target.saved |= state.bit
      if (target.slots[state.slot] === undefined) this.filled(target)
      target.slots[state.slot] = state.readRow(input)
    } else if (entry?.slots[state.slot] !== undefined) {
      entry.slots[state.slot] = undefined
      entry.saved &= ~state.bit
      this.emptied(entry)
    }
  }

  private create(key: unknown, index: unknown): KeyEntry {
    const entry = new KeyEntry(key, index, this.states.length)
    this.entries.set(index, entry)
    this.emptyCount++
    return entry
  }

  private remove(entry: KeyEntry): void {
    this.entries.delete(entry.index)
    this.emptyCount--
    if (this.entry === entry) this.entry = undefined
    if (entry.changed === 0 || ++this.goneCount * 2 < this.changed.length || this.goneCount < GONE_MIN) return
    this.changed = this.changed.filter(each => each.filledCount > 0 || each.saved !== 0)
    this.goneCount = 0
  }

  /** Answers the bits of states that it has written. */
  private writeValues(entry: KeyEntry, bits: number, out: SegmentWriter): number {
    let written = 0
    const { states } = this
    for (let i = 0; i < states.length; i++) {
      const state = states[i] as HeapState
      const held = entry.slots[i]
      if (held === undefined || (bits & state.bit) === 0) continue
      state.writeRow(held, out.keyed(i, false, entry.key, this.groupOf(entry, out)))
      written |= state.bit
    }
    return written
  }

  private writeRemoved(entry: KeyEntry, bits: number, out: SegmentWriter): void {
    for (const [i, state] of this.states.entries())
      if (entry.slots[i] === undefined && (bits & state.bit) !== 0) out.keyed(i, true, entry.key, this.groupOf(entry, out))
  }

  private groupOf(entry: KeyEntry, out: SegmentWriter): number {
    if (entry.keyGroup < 0) entry.keyGroup = out.keyGroupOf(entry.key)
    return entry.keyGroup
  }
}

/** What a segment has of which entries. */
class Rows {
  readonly entries: KeyEntry[] = []
  readonly bits: number[] = []

  add(entry: KeyEntry, bits: number): void {
    this.entries.push(entry)
    this.bits.push(bits)
  }
}

const ALL = -1
const GONE_MIN = 1024
