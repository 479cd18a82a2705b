import { FlinkError } from '../common/errors.ts'
import type { HeapState } from './heap-state.ts'
import type { CurrentKey, KeyEntry } from './key-entry.ts'
import type { KeyedPart } from './keyed-part.ts'
import type { TtlCleanup, TtlKeys } from './ttl-cleanup.ts'

/** What a backend needs of where its keys are: on the heap (heap-table.ts), or in a store of somebody's own (stored-table.ts). */
export interface KeyTable<R = unknown> extends CurrentKey, TtlKeys, KeyedPart<R> {
  /** Of states whose expired values are in no whole snapshot and no base. */
  readonly snapshotCleanups: TtlCleanup[]
  /** A step of each for every record. */
  readonly recordCleanups: TtlCleanup[]
  readonly currentKey: unknown
  readonly keyCount: number
  /** Before the first key has state. */
  add(state: HeapState): void
  setCurrentKey(key: unknown): void
  unsetCurrentKey(): void
  keys(): IterableIterator<KeyEntry>
  close?(): void
}

export function noKeySet(owner: string): FlinkError {
  return new FlinkError(
    'INVALID_PROGRAM',
    `operator ${owner}: no key is set; keyed state can be used only while a record of a keyed stream or a timer is processed, not in open, close or processBroadcastElement`,
  )
}
