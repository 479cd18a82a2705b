/** Everything that one key holds. `slots` has one place a state; undefined = empty. */
export class KeyEntry {
  readonly key: unknown
  readonly index: unknown
  /** -1 until rows of it are looked for or written. */
  keyGroup = -1
  filledCount = 0
  /** Bits of states that have changed since they were written back. */
  changed = 0
  /** Bits of states that have a row in the pages. */
  stored = 0
  /** Bytes of these rows. */
  size = 0
  /** It was current since somebody looked whether it may leave. */
  touched = true
  /** It cannot be written, so that it cannot leave. */
  stays = false
  readonly slots: unknown[]

  constructor(key: unknown, index: unknown, slotCount: number) {
    this.key = key
    this.index = index
    this.slots = new Array(slotCount).fill(undefined)
  }
}

/** What a state needs of the table that its keys are in. */
export interface CurrentKey {
  /** Name of the operator, for messages. */
  readonly owner: string
  /** Of the current key; undefined = it has no state yet. */
  readonly entry: KeyEntry | undefined
  /** Makes the entry when it is the key's first write. */
  entryForWrite(): KeyEntry
  /** A read before any key was set is the user's mistake (state used in `open`). */
  assertKeySet(): void
  /** A slot that was empty is filled. */
  filled(entry: KeyEntry): void
  /** A slot that was filled is empty. */
  emptied(entry: KeyEntry): void
  /** The state of this bit has changed. */
  mark(entry: KeyEntry, bit: number): void
}
