import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { StateSchema } from './snapshot.ts'

/** A state table or timer queue as the snapshot sees it. */
export interface KeyedSnapshotPart {
  readonly schema: StateSchema
  /** Asks for the writer of each entry's key group and writes namespace and value to it, before asking for the next. */
  snapshotTo(writerOf: (key: unknown, keyGroup: number | undefined) => ByteWriter): void
  /** Of what type the values in the snapshot are; absent = of its own only. */
  readAs?(saved: TypeJson): void
  /** Reads what `snapshotTo` wrote; `key` is the backend's current key. */
  restoreEntry(key: unknown, input: ByteReader): void
}

/** Everything that one key holds. `slots` has one place a state; undefined = empty. */
export class KeyEntry {
  readonly key: unknown
  readonly index: unknown
  /** -1 until the first snapshot needs it. */
  keyGroup = -1
  filledCount = 0
  readonly slots: unknown[]

  constructor(key: unknown, index: unknown, slotCount: number) {
    this.key = key
    this.index = index
    this.slots = new Array(slotCount).fill(undefined)
  }
}

/** What a state needs of the backend that it belongs to. */
export interface CurrentKey {
  /** Name of the operator, for messages. */
  readonly owner: string
  /** Of the current key; undefined = it has no state yet. */
  readonly entry: KeyEntry | undefined
  /** Makes the entry when it is the key's first write. */
  entryForWrite(): KeyEntry
  /** A read before any key was set is the user's mistake (state used in `open`). */
  assertKeySet(): void
  drop(entry: KeyEntry): void
  keys(): IterableIterator<KeyEntry>
  keyGroupOf(key: unknown): number
}
