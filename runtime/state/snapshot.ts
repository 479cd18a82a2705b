import type { TypeJson } from '../serde/type-information.ts'

/**
 * What one operator subtask hands over at a barrier, and gets back on restore: pure data, its schema inside. Restoring at another
 * parallelism goes through `redistribute` (runtime/checkpoint): keyed state by key group range, `split` lists round-robin,
 * `union` lists whole to every subtask, `broadcast` one copy to every subtask. `B` is what stands for bytes: the bytes themselves in a slot,
 * where they lie (runtime/checkpoint/task-state.ts) everywhere else.
 */
export interface OperatorSnapshot<B = Uint8Array> {
  readonly keyed: KeyedSnapshot<B> | undefined
  readonly lists: readonly OperatorListSnapshot<B>[]
}

export interface KeyedSnapshot<B = Uint8Array> {
  readonly keyType: TypeJson
  /** One entry a state and one a timer service, in order of registration; the index is used inside the key groups' bytes. */
  readonly schemas: readonly StateSchema[]
  /** Only key groups that hold something. */
  readonly keyGroups: ReadonlyMap<number, B>
}

export interface StateSchema {
  readonly name: string
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating' | 'timers'
  readonly type: TypeJson
  readonly namespace: TypeJson
  /** Some of its values have no declared type: they say themselves what they are. Absent = all have one. */
  readonly untyped?: true
}

export interface OperatorListSnapshot<B = Uint8Array> {
  readonly name: string
  readonly mode: 'split' | 'union' | 'broadcast'
  readonly type: TypeJson
  readonly items: readonly B[]
}

/** Bytes of keys and values; names and types not counted. */
export function snapshotSize({ keyed, lists }: OperatorSnapshot): number {
  let size = 0
  if (keyed !== undefined) for (const bytes of keyed.keyGroups.values()) size += bytes.length
  for (const { items } of lists) for (const item of items) size += item.length
  return size
}

export const emptySnapshot: OperatorSnapshot = { keyed: undefined, lists: [] }
