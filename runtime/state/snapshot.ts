import type { TypeJson } from '../serde/type-information.ts'
import type { StateBytes } from './state-files.ts'

/**
 * State of one operator subtask as data, its schema inside: what is restored, and what a checkpoint holds. Restoring at another
 * parallelism goes through `redistribute` (runtime/checkpoint): keyed state by key group range, `split` lists round-robin,
 * `union` lists whole to every subtask, `broadcast` one copy to every subtask. `B` is what stands for bytes: the bytes themselves in a slot,
 * where they lie (runtime/checkpoint/task-state.ts) everywhere else.
 */
export interface OperatorSnapshot<B = Uint8Array, K = KeyedSnapshot<B>> {
  readonly keyed: K | undefined
  readonly lists: readonly OperatorListSnapshot<B>[]
}

/** What an operator is restored from. */
export type RestoredSnapshot = OperatorSnapshot<Uint8Array, KeyedSnapshot<StateBytes>>

export interface KeyedSnapshot<B = Uint8Array> {
  readonly keyType: TypeJson
  /** One entry a state and one a timer service, in order of registration; the index is used inside the key groups' bytes. */
  readonly schemas: readonly StateSchema[]
  /** Of each key group its segments: records of a later one replace those of an earlier one. Only key groups that hold something. */
  readonly keyGroups: ReadonlyMap<number, readonly B[]>
  /** Records say how long they are; absent = they were written before format 3. */
  readonly sized?: true
  /** It lies where it is not ours (a savepoint): nothing may stand behind its segments. */
  readonly foreign?: boolean
}

/**
 * What an operator subtask hands over at a barrier. A segment of keyed state is handed over once, by name; later barriers only say that they still need it,
 * and whoever writes the bytes puts the whole together (`SegmentChains`, runtime/checkpoint).
 */
export type OperatorIncrement<B = Uint8Array> = OperatorSnapshot<B, KeyedIncrement<B>>

/** Of an operator without keyed state: what it hands over is what it is restored from. */
export type UnkeyedSnapshot = OperatorSnapshot<Uint8Array, never>

export interface KeyedIncrement<B = Uint8Array> {
  readonly keyType: TypeJson
  readonly schemas: readonly StateSchema[]
  /** By name, then by key group: what has been written since the barrier before. */
  readonly written: ReadonlyMap<string, ReadonlyMap<number, B>>
  /** Names of the segments that are the state, oldest first. */
  readonly chain: readonly string[]
  /** Of these segments together; of some key groups not all are needed. */
  readonly chainBytes: number
  /** Names of segments that are no part of this state, and will be of later ones. */
  readonly kept: readonly string[]
  /** Its own segments are all of it, and nothing later will need those. */
  readonly standalone: boolean
}

/** The name of what the subtask was restored from. */
export const RESTORED_SEGMENT = 'restored'

/**
 * The name of a segment of which the first in a chain that has a key group has all of it: those in front of it are not needed for that key group. All others are
 * named otherwise, for their checkpoint too.
 */
export function beginningName(checkpointId: number): string {
  return `${checkpointId}${BEGINNING}`
}

export function isBeginning(name: string): boolean {
  return name.endsWith(BEGINNING)
}

const BEGINNING = '-base'

export interface StateSchema {
  readonly name: string
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating' | 'timers'
  readonly type: TypeJson
  readonly namespace: TypeJson
  /** Some of its values have no declared type: they say themselves what they are. Absent = all have one. */
  readonly untyped?: true
  /** On restore: it is not declared any more, and allowed to be lost. */
  readonly ignored?: true
}

export interface OperatorListSnapshot<B = Uint8Array> {
  readonly name: string
  readonly mode: 'split' | 'union' | 'broadcast'
  readonly type: TypeJson
  readonly items: readonly B[]
}

/** Bytes of keys and values; names and types not counted. */
export function snapshotSize({ keyed, lists }: OperatorIncrement): number {
  let size = keyed?.chainBytes ?? 0
  for (const { items } of lists) for (const item of items) size += item.length
  return size
}

export const emptySnapshot: UnkeyedSnapshot = { keyed: undefined, lists: [] }
