import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keyGroupRange } from '../serde/key-groups.ts'
import type { OperatorListSnapshot, OperatorSnapshot, StateSchema } from '../state/snapshot.ts'
import { redistribute } from './redistribute.ts'

const maxParallelism = 16
const schemas: readonly StateSchema[] = [{ name: 'count', kind: 'value', type: { kind: 'INT' }, namespace: { kind: 'VOID' } }]
const keyType = { kind: 'STRING' } as const

const byte = (n: number) => Uint8Array.of(n)

function list(mode: OperatorListSnapshot['mode'], items: readonly number[]): OperatorListSnapshot {
  return { name: mode, mode, type: { kind: 'INT' }, items: items.map(byte) }
}

/** Subtasks at `parallelism`; each of `groups` holds its own number. */
function snapshotsOf(
  parallelism: number,
  groups: readonly number[],
  lists: (subtask: number) => OperatorListSnapshot[] = () => [],
): OperatorSnapshot[] {
  return Array.from({ length: parallelism }, (_, subtask) => {
    const { startKeyGroup, endKeyGroup } = keyGroupRange(maxParallelism, parallelism, subtask)
    const own = groups.filter(group => group >= startKeyGroup && group <= endKeyGroup)
    return { keyed: { keyType, schemas, keyGroups: new Map(own.map(group => [group, [byte(group), byte(group + 1)]])) }, lists: lists(subtask) }
  })
}

const items = (snapshot: OperatorSnapshot | undefined, name: string) => snapshot?.lists.find(each => each.name === name)?.items.map(item => item[0])

test('every key group goes to the subtask that owns it, at any old and new parallelism', () => {
  const parallelism = fc.integer({ min: 1, max: maxParallelism })
  fc.assert(
    fc.property(parallelism, parallelism, fc.uniqueArray(fc.integer({ min: 0, max: maxParallelism - 1 })), (before, after, groups) => {
      const sorted = [...groups].sort((a, b) => a - b)
      expect(redistribute(snapshotsOf(before, sorted), after, maxParallelism)).toEqual(snapshotsOf(after, sorted))
    }),
  )
})

test('no element of a split list is lost or doubled, and shares differ by one at most', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 8 }), (sizes, after) => {
      let next = 0
      const before = sizes.map(size => ({
        keyed: undefined,
        lists: [
          list(
            'split',
            Array.from({ length: size }, () => next++),
          ),
        ],
      }))
      const shares = redistribute(before, after, maxParallelism).map(snapshot => items(snapshot, 'split') ?? [])
      expect(shares.flat().sort((a, b) => (a ?? 0) - (b ?? 0))).toEqual(Array.from({ length: next }, (_, i) => i))
      if (after === sizes.length) expect(shares.map(share => share.length)).toEqual(sizes)
      else expect(Math.max(...shares.map(share => share.length)) - Math.min(...shares.map(share => share.length))).toBeLessThanOrEqual(1)
    }),
  )
})

describe('operator state', () => {
  test('a union list goes whole to every subtask', () => {
    const after = redistribute(
      snapshotsOf(2, [], subtask => [list('union', [subtask])]),
      3,
      maxParallelism,
    )
    expect(after.map(snapshot => items(snapshot, 'union'))).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
    ])
  })

  test('one copy of a broadcast map goes to every subtask, also when a new subtask has none yet', () => {
    const after = redistribute(
      snapshotsOf(2, [], subtask => [list('broadcast', subtask === 0 ? [] : [7, 8])]),
      3,
      maxParallelism,
    )
    expect(after.map(snapshot => items(snapshot, 'broadcast'))).toEqual([
      [7, 8],
      [7, 8],
      [7, 8],
    ])
  })

  test('a list that only some subtasks have is kept', () => {
    const after = redistribute(
      snapshotsOf(2, [], subtask => (subtask === 0 ? [] : [list('split', [1])])),
      1,
      maxParallelism,
    )
    expect(items(after[0], 'split')).toEqual([1])
  })
})

test('a parallelism above the max parallelism is refused', () => {
  expect(() => redistribute(snapshotsOf(1, []), 17, maxParallelism)).toThrow('parallelism 17 is above the max parallelism 16')
})
