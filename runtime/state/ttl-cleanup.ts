import type { KeyEntry } from './key-entry.ts'
import type { TtlState } from './ttl-state.ts'

/** What a clean-up needs of the table of keys. */
export interface TtlKeys {
  /** Each once; stays valid while keys come and go. */
  keys(): IterableIterator<KeyEntry>
  /** Runs with this key as the current one; the one before is current again afterwards. */
  visit(entry: KeyEntry, run: () => void): void
}

/**
 * Removes expired values of one state: some keys a step, in turn over all keys and then anew, or of all keys at once. As in Flink, a step looks at all that
 * a key holds, however long its list or map is.
 */
export class TtlCleanup {
  private readonly table: TtlKeys
  private readonly keysPerStep: number
  private readonly clearExpired: () => void
  private keys: IterableIterator<KeyEntry> | undefined = undefined

  /** `forEachNamespace` of the state below runs once for each namespace of the current key. */
  constructor(table: TtlKeys, state: TtlState, forEachNamespace: (run: () => void) => void, keysPerStep: number) {
    this.table = table
    this.keysPerStep = keysPerStep
    const clearOne = () => state.clearExpired()
    this.clearExpired = () => forEachNamespace(clearOne)
  }

  step(): void {
    this.keys ??= this.table.keys()
    for (let count = 0; count < this.keysPerStep; count++) {
      const next = this.keys.next()
      if (next.done === true) {
        this.keys = undefined
        return
      }
      this.of(next.value)
    }
  }

  all(): void {
    for (const entry of this.table.keys()) this.of(entry)
  }

  of(entry: KeyEntry): void {
    this.table.visit(entry, this.clearExpired)
  }
}
