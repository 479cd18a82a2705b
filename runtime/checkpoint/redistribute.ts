import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import { canonicalJson, type JsonValue } from '../common/json.ts'
import { keyGroupRange } from '../serde/key-groups.ts'
import type { KeyedSnapshot, OperatorListSnapshot, OperatorSnapshot } from '../state/snapshot.ts'

/**
 * The snapshots of one operator's subtasks, in order of subtask, cut anew for another number of subtasks: keyed state by key-group
 * range, `split` lists element by element in turn, `union` lists whole to everybody, `broadcast` one copy to everybody. Bytes are
 * moved, never decoded (nor read, where only their places are at hand), so this runs where no user code is.
 */
export function redistribute<B>(snapshots: readonly OperatorSnapshot<B>[], newParallelism: number, maxParallelism: number): OperatorSnapshot<B>[] {
  if (newParallelism > maxParallelism)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `parallelism ${newParallelism} is above the max parallelism ${maxParallelism} that the state was taken with`,
    )
  const keyed = mergeKeyed(snapshots)
  const lists = mergeLists(snapshots, newParallelism)
  return Array.from({ length: newParallelism }, (_, subtask) => ({
    keyed: keyed === undefined ? undefined : keyedOf(keyed, maxParallelism, newParallelism, subtask),
    lists: lists[subtask] ?? [],
  }))
}

function mergeKeyed<B>(snapshots: readonly OperatorSnapshot<B>[]): KeyedSnapshot<B> | undefined {
  const parts = snapshots.flatMap(snapshot => (snapshot.keyed === undefined ? [] : [snapshot.keyed]))
  const first = parts[0]
  if (first === undefined) return undefined
  const keyGroups = new Map<number, readonly B[]>()
  for (const part of parts) {
    // The bytes name states by their place in the schemas.
    assert(
      sameJson([part.keyType, part.schemas, part.sized ?? false], [first.keyType, first.schemas, first.sized ?? false]),
      'all subtasks of an operator register the same states',
    )
    for (const [keyGroup, segments] of part.keyGroups) {
      assert(!keyGroups.has(keyGroup), `key group ${keyGroup} belongs to one subtask`)
      keyGroups.set(keyGroup, segments)
    }
  }
  return { ...first, keyGroups }
}

function keyedOf<B>(keyed: KeyedSnapshot<B>, maxParallelism: number, parallelism: number, subtask: number): KeyedSnapshot<B> {
  const { startKeyGroup, endKeyGroup } = keyGroupRange(maxParallelism, parallelism, subtask)
  const own = [...keyed.keyGroups].filter(([keyGroup]) => keyGroup >= startKeyGroup && keyGroup <= endKeyGroup).sort(([a], [b]) => a - b)
  return { ...keyed, keyGroups: new Map(own) }
}

function mergeLists<B>(snapshots: readonly OperatorSnapshot<B>[], newParallelism: number): OperatorListSnapshot<B>[][] {
  const perSubtask: OperatorListSnapshot<B>[][] = Array.from({ length: newParallelism }, () => [])
  const names = new Set(snapshots.flatMap(snapshot => snapshot.lists.map(list => list.name)))
  for (const name of names) {
    const bySubtask = snapshots.map(snapshot => snapshot.lists.find(list => list.name === name))
    const present = bySubtask.filter(list => list !== undefined)
    const first = present[0]
    assert(first !== undefined, 'a name comes from a list')
    for (const list of present)
      assert(list.mode === first.mode && sameJson(list.type, first.type), `operator state ${name} is the same on all subtasks`)
    const shares = share(
      first.mode,
      bySubtask.map(list => list?.items ?? []),
      newParallelism,
    )
    for (const [subtask, lists] of perSubtask.entries()) lists.push({ name, mode: first.mode, type: first.type, items: shares[subtask] ?? [] })
  }
  return perSubtask
}

function share<B>(mode: OperatorListSnapshot['mode'], bySubtask: readonly (readonly B[])[], newParallelism: number): (readonly B[])[] {
  const all = bySubtask.flat()
  switch (mode) {
    case 'split': {
      // As many subtasks as before keep what they had: a source goes on with its own splits.
      if (bySubtask.length === newParallelism) return [...bySubtask]
      const shares: B[][] = Array.from({ length: newParallelism }, () => [])
      for (const [i, item] of all.entries()) shares[i % newParallelism]?.push(item)
      return shares
    }
    case 'union':
      return Array.from({ length: newParallelism }, () => all)
    case 'broadcast': {
      // All copies are equal; a subtask that had none yet must not win.
      const copy = bySubtask.find(items => items.length > 0) ?? []
      return Array.from({ length: newParallelism }, () => copy)
    }
  }
}

function sameJson(a: unknown, b: unknown): boolean {
  return canonicalJson(a as JsonValue) === canonicalJson(b as JsonValue)
}
