import { assert } from '../common/assert.ts'
import type { ByteReader } from '../common/bytes.ts'
import { canonicalJson } from '../common/json.ts'
import { keyGroupOf } from '../serde/key-groups.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import type { HeapState } from './heap-state.ts'
import { HotCapacity } from './hot-capacity.ts'
import { KeyEntry } from './key-entry.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import { type KeyTable, noKeySet } from './key-table.ts'
import { RowKeys } from './row-keys.ts'
import type { RowPages } from './row-pages.ts'
import { recordSize } from './row-record.ts'
import { RowStore } from './row-store.ts'
import type { SegmentWriter } from './segment-writer.ts'
import type { StateSchema } from './snapshot.ts'
import type { TtlCleanup } from './ttl-cleanup.ts'

/**
 * The keys of a backend and what they hold (decision 0024). Keys that were used lately are hot: key -> entry -> one slot a state (-> namespace), as objects.
 * The others are rows of bytes in pages (`RowStore`), from which an entry is made when its key comes again.
 *
 * 1. What changes is marked in its entry, and written back to the pages when the entry has to leave, and at every barrier.
 * 2. Snapshots are of the pages alone, after that: bytes are copied, and what has changed since which checkpoint is known there.
 * 3. Above so many (`HotCapacity`) each new one makes a few others leave that were not used since the last look at them. Entries that are large or cannot be
 *    written stay: the former cost too much to read again, and what is wrong with the latter is for the next checkpoint to say.
 *
 * An entry without values stays until it has been written back where the pages have rows of it, and goes at once where they have none.
 */
export class HeapTable implements KeyTable<number> {
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
  /** Keys that hold something. */
  keyCount = 0
  private readonly keyType: TypeInformation
  private readonly maxParallelism: number
  private readonly hot: HotCapacity
  /** Fewer entries than these take a millisecond or two at a barrier. */
  private readonly aheadMin: number
  /** The hot ones. */
  private readonly entries = new Map<unknown, KeyEntry>()
  private readonly store: RowStore
  private readonly rowKeys: RowKeys
  private readonly indexOf: KeyIndex
  private readonly states: HeapState[] = []
  /** Of the states' records. */
  private readonly heads: number[] = []
  /** Whether values of a state are restored from another type than its own. */
  private readonly converts: boolean[] = []
  private keySet = false
  private key: unknown = undefined
  private index: unknown = undefined
  /** The current one, if it is not hot: of a visit. */
  private coldVisited: KeyEntry | undefined = undefined
  /** Hot entries that have changed since they were written back. */
  private changedEntries = 0
  /** Keys that hold something and are not hot. */
  private coldCount = 0
  /** The state that was written back last: for messages. */
  private lastSchema = 0
  /** Entries that became hot since the last barrier, and between the two before it. */
  private entered = 0
  private enteredBefore = 0
  /** Goes round the hot entries. */
  private hand: Iterator<KeyEntry> | undefined = undefined

  constructor(owner: string, keyType: TypeInformation, { maxParallelism, hotKeysMax = HOT_KEYS_MAX, seed = 0x5bd1e995 }: HeapTableOptions) {
    this.owner = owner
    this.keyType = keyType
    this.maxParallelism = maxParallelism
    this.hot = new HotCapacity(hotKeysMax)
    this.aheadMin = hotKeysMax >>> 2
    this.indexOf = keyIndexOf(keyType)
    this.store = new RowStore(maxParallelism)
    this.rowKeys = new RowKeys(keyType, this.indexOf, seed)
  }

  add(state: HeapState): void {
    assert(this.keyCount === 0, 'states are registered before the first key has state')
    this.heads.push(2 * this.states.length)
    this.converts.push(false)
    this.states.push(state)
    this.schemas.push(state.schema)
  }

  setCurrentKey(key: unknown): void {
    const index = this.indexOf(key)
    this.key = key
    this.index = index
    this.keySet = true
    const entry = this.entries.get(index)
    if (entry !== undefined) {
      entry.touched = true
      this.entry = entry
    } else this.entry = this.load(key, index)
    const { recordCleanups } = this
    for (let i = 0; i < recordCleanups.length; i++) (recordCleanups[i] as TtlCleanup).step()
  }

  unsetCurrentKey(): void {
    this.key = undefined
    this.index = undefined
    this.keySet = false
    this.entry = undefined
  }

  visit(visited: KeyEntry, run: () => void): void {
    const { key, index, keySet, entry: before, coldVisited } = this
    // A key that is current has one entry, which `keys` may not know.
    const entry = keySet && visited.index === index && this.entry !== undefined ? this.entry : visited
    this.key = entry.key
    this.index = entry.index
    this.keySet = true
    this.entry = entry
    this.coldVisited = this.entries.get(entry.index) === entry ? undefined : entry
    run()
    // Entries that `keys` has made of rows are known to nobody else.
    if (entry.changed !== 0 && entry === visited && this.entries.get(entry.index) !== entry) {
      this.writeBack(entry)
      if (entry.filledCount === 0) this.coldCount--
    }
    this.key = key
    this.index = index
    this.keySet = keySet
    this.coldVisited = coldVisited
    if (!keySet) this.entry = undefined
    // The pages do not have yet what the visit around this one has changed.
    else if (coldVisited !== undefined && before === coldVisited) this.entry = before
    else this.entry = this.entries.get(index) ?? this.load(key, index)
  }

  get currentKey(): unknown {
    this.assertKeySet()
    return this.key
  }

  entryForWrite(): KeyEntry {
    if (this.entry !== undefined) return this.entry
    this.assertKeySet()
    const entry = new KeyEntry(this.key, this.index, this.states.length)
    this.entry = entry
    this.enter(entry)
    return entry
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
    if (entry.filledCount > 0) return
    this.keyCount--
    if (entry.stored === 0) this.remove(entry)
  }

  mark(entry: KeyEntry, bit: number): void {
    if (entry.changed === 0) this.changedEntries++
    entry.changed |= bit
  }

  /**
   * Those that are hot when it begins, in order of first use, then the others. Each once, as it is when it is asked for, while keys come, go, and become hot or
   * cold. Of keys that come meanwhile some are met. Some may be empty.
   */
  *keys(): Generator<KeyEntry, undefined> {
    // A copy, as Flink takes: whoever clears a key and writes it again puts it at the end, and records may bring hot keys faster than they are asked for.
    const hot = new Map<unknown, unknown>()
    for (const { index, key } of this.entries.values()) hot.set(index, key)
    for (const [index, key] of hot) {
      const entry = this.entries.get(index) ?? this.read(key, index)
      if (entry !== undefined) yield entry
    }
    for (const group of this.store.present()) for (const entry of this.entriesOf(group)) if (!hot.has(entry.index)) yield entry
    return undefined
  }

  /** Of a key group's rows, as they are when each is asked for; or of those of a page. */
  private *entriesOf(group: RowPages, page?: number): Generator<KeyEntry> {
    for (const key of group.keysOf(this.keyType.serializer, this.rowKeys, this.heads, page)) {
      const index = this.indexOf(key)
      const entry = this.entries.get(index) ?? this.read(key, index)
      if (entry !== undefined) yield entry
    }
  }

  get changedCount(): number {
    const rowsOfKey = this.keyCount === 0 ? 1 : Math.max(1, this.rowCount / this.keyCount)
    return Math.ceil(this.changedEntries * rowsOfKey) + this.store.markedCount
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    for (const cleanup of this.snapshotCleanups) cleanup.all()
    this.writeBackAll(out)
    this.store.writeAll(out, begins)
  }

  get isAheadDue(): boolean {
    return this.enteredBefore >= this.aheadMin && this.entered >= this.enteredBefore * AHEAD_SHARE
  }

  writeAhead(out: SegmentWriter): boolean {
    return this.store.writeAhead(out)
  }

  forgetAhead(): void {
    this.store.forgetAhead()
  }

  writeChanged(out: SegmentWriter): number {
    this.writeBackAll(out)
    this.enteredBefore = this.entered
    this.entered = 0
    return this.store.writeMarked(out)
  }

  beginBase(): void {
    this.store.beginBase()
  }

  writeBase(out: SegmentWriter, sizeMax: number): boolean {
    return this.store.writeBase(out, sizeMax, this.expire)
  }

  endBase(): void {
    this.store.endBase()
  }

  confirm(stamp: number): void {
    this.store.confirm(stamp)
  }

  markAgain(stamp: number): void {
    this.store.markAgain(stamp)
  }

  readAs(schema: number, saved: TypeJson): void {
    const own = this.schemas[schema] as StateSchema
    this.states[schema]?.readAs(saved)
    this.converts[schema] = canonicalJson(saved as TypeJsonObject) !== canonicalJson(own.type as TypeJsonObject)
  }

  restoreRecord(schema: number, removes: boolean, keyGroup: number, input: ByteReader, end: number | undefined): void {
    const head = this.heads[schema] as number
    const keys = this.rowKeys
    const start = input.position
    keys.setFrom(input)
    // As many rows as this one's size lets expect, if it is not a very small one.
    const group =
      this.store.group(keyGroup) ?? this.store.groupForWrite(keyGroup, (input.end - start) / Math.max(ROW_BYTES_MIN, (end ?? start) - start))
    const slot = group.find(head, keys)
    if (removes) {
      if (slot < 0) return
      group.remove(slot, keys, false)
      this.restored(group, keys, head, -1)
      return
    }
    if (slot < 0) this.restored(group, keys, head, 1)
    if (this.converts[schema] === true) {
      const state = this.states[schema] as HeapState
      const stored = state.readRow(input)
      keys.writer.reset()
      keys.writer.raw(keys.bytes.subarray(keys.start, keys.start + keys.length))
      state.writeRow(stored, keys.writer)
      group.put(slot, head, keys, keys.writer.bytes, 0, keys.writer.length, true)
    } else {
      if (end === undefined) this.states[schema]?.readRow(input)
      group.put(slot, head, keys, input.bytes, start, end ?? input.position, true)
    }
  }

  restoreRows(keyGroup: number, input: ByteReader, bytesExpected: number): number {
    const { heads, rowKeys } = this
    const rowBytes = input.remaining < ROW_BYTES_MIN ? ROW_BYTES_MIN : Math.max(ROW_BYTES_MIN, recordSize(input, input.position))
    const group = this.store.group(keyGroup) ?? this.store.groupForWrite(keyGroup, bytesExpected / rowBytes)
    return group.restore(input, rowKeys, 2 * heads.length, (head, change) => this.restored(group, rowKeys, head, change))
  }

  restoreEnds(): void {
    // The pages have values of the states' own types.
    for (const [i, { type }] of this.schemas.entries()) if (this.converts[i] === true) this.states[i]?.readAs(type)
    this.converts.fill(false)
    this.rowKeys.release()
  }

  close(): void {
    this.store.close()
  }

  private restored(group: RowPages, keys: RowKeys, head: number, count: 1 | -1): void {
    this.rowCount += count
    if (this.heads.length === 1 || !this.heads.some(other => other !== head && group.hasRow(other, keys))) {
      this.keyCount += count
      this.coldCount += count
    }
  }

  /** The entry of a key that is not hot, hot from now on. */
  private load(key: unknown, index: unknown): KeyEntry | undefined {
    const entry = this.read(key, index)
    if (entry === undefined) return undefined
    this.coldCount--
    this.hot.loaded(this.rowKeys.hash)
    this.enter(entry)
    return entry
  }

  private read(key: unknown, index: unknown): KeyEntry | undefined {
    if (this.coldCount === 0) return undefined
    const keyGroup = keyGroupOf(this.keyType, key, this.maxParallelism)
    const group = this.store.group(keyGroup)
    if (group === undefined) return undefined
    const { rowKeys: keys, states } = this
    keys.set(key, index)
    let entry: KeyEntry | undefined
    for (let i = 0; i < states.length; i++) {
      const slot = group.find(this.heads[i] as number, keys)
      if (slot < 0 || !group.isRow(slot)) continue
      const state = states[i] as HeapState
      entry ??= new KeyEntry(key, index, states.length)
      const input = group.readerOf(slot)
      keys.stepOver(input)
      entry.slots[i] = state.readRow(input)
      entry.size += group.sizeOf(slot)
      entry.filledCount++
      entry.stored |= state.bit
    }
    if (entry !== undefined) entry.keyGroup = keyGroup
    return entry
  }

  private enter(entry: KeyEntry): void {
    const { entries } = this
    // The current one never leaves.
    this.entry = entry
    entries.set(entry.index, entry)
    this.entered++
    for (let looks = LOOKS; looks > 0 && entries.size > this.hot.current; looks--) {
      this.hand ??= entries.values()
      const { done, value } = this.hand.next()
      if (done === true) this.hand = undefined
      else this.makeLeave(value)
    }
  }

  private makeLeave(entry: KeyEntry): void {
    if (entry.touched) {
      entry.touched = false
      return
    }
    if (entry === this.entry || entry.stays) return
    if (entry.changed !== 0) {
      try {
        this.writeBack(entry)
      } catch {
        entry.stays = true
      }
    }
    if (entry.stays || entry.size > LEAVING_BYTES_MAX) return
    this.entries.delete(entry.index)
    if (entry.filledCount > 0) this.coldCount++
  }

  private writeBackAll(out: SegmentWriter): void {
    for (const entry of this.entries.values()) {
      if (this.changedEntries === 0) return
      if (entry.changed === 0) continue
      try {
        this.writeBack(entry)
      } catch (error) {
        out.lastSchema = this.lastSchema
        throw error
      }
      entry.stays = false
      if (entry.filledCount === 0) this.remove(entry)
    }
  }

  private writeBack(entry: KeyEntry): void {
    const { rowKeys: keys, states, heads } = this
    const { changed } = entry
    if (entry.keyGroup < 0) entry.keyGroup = keyGroupOf(this.keyType, entry.key, this.maxParallelism)
    const group = this.store.groupForWrite(entry.keyGroup)
    keys.set(entry.key, entry.index)
    let stored = entry.stored & ~changed
    for (let i = 0; i < states.length; i++) {
      const state = states[i] as HeapState
      if ((changed & state.bit) === 0) continue
      const head = heads[i] as number
      const held = entry.slots[i]
      if (held === undefined) {
        const slot = group.find(head, keys)
        if (slot >= 0) entry.size -= group.remove(slot, keys, this.tracks)
        continue
      }
      this.lastSchema = i
      const { writer } = keys
      writer.length = keys.length
      state.writeRow(held, writer)
      keys.bytes = writer.bytes
      entry.size += group.put(group.find(head, keys), head, keys, writer.bytes, 0, writer.length, false)
      stored |= state.bit
      // At once, for the next state's value may be one that cannot be written. What has been removed by then is only looked for once more.
      entry.stored |= state.bit
    }
    entry.stored = stored
    entry.changed = 0
    this.changedEntries--
  }

  private remove(entry: KeyEntry): void {
    this.entries.delete(entry.index)
    if (entry.changed !== 0) this.changedEntries--
    entry.changed = 0
    if (this.entry === entry) this.entry = undefined
  }

  /** What has expired is marked by that: its end is in the next segment of changes. */
  private readonly expire = (group: RowPages, page: number): void => {
    if (this.snapshotCleanups.length === 0) return
    for (const entry of this.entriesOf(group, page)) for (const cleanup of this.snapshotCleanups) cleanup.of(entry)
  }
}

export interface HeapTableOptions {
  readonly maxParallelism: number
  readonly hotKeysMax?: number | undefined
  /** Of hashes, which whoever chooses keys should not know. */
  readonly seed?: number | undefined
}

/** Ten megabytes of objects or more. As many may have to be written back at a barrier, at about 1 µs each. */
const HOT_KEYS_MAX = 1 << 15
/** Of the entries that became hot between two barriers: when so many have since the last one, rows are written for the next. */
const AHEAD_SHARE = 3 / 4
/** Entries that are looked at for each that comes. */
const LOOKS = 4
const LEAVING_BYTES_MAX = 2048
const ROW_BYTES_MIN = 64
