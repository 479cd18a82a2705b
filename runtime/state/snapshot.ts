import type { TypeJson } from '../serde/type-information.ts'

/**
 * What one operator subtask hands over at a barrier, and gets back on restore: pure data, its schema inside. Restoring at another
 * parallelism goes through `redistribute` (runtime/checkpoint): keyed state by key group range, `split` lists round-robin,
 * `union` lists whole to every subtask, `broadcast` one copy to every subtask.
 */
export interface OperatorSnapshot {
  readonly keyed: KeyedSnapshot | undefined
  readonly lists: readonly OperatorListSnapshot[]
}

export interface KeyedSnapshot {
  readonly keyType: TypeJson
  /** One entry a state and one a timer service, in order of registration; the index is used inside the key groups' bytes. */
  readonly schemas: readonly StateSchema[]
  /** Only key groups that hold something. */
  readonly keyGroups: ReadonlyMap<number, Uint8Array>
}

export interface StateSchema {
  readonly name: string
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating' | 'timers'
  readonly type: TypeJson
  readonly namespace: TypeJson
}

export interface OperatorListSnapshot {
  readonly name: string
  readonly mode: 'split' | 'union' | 'broadcast'
  readonly type: TypeJson
  readonly items: readonly Uint8Array[]
}

export const emptySnapshot: OperatorSnapshot = { keyed: undefined, lists: [] }
