import { describe, expect, test } from 'vitest'
import { seededRandom } from '../common/random.ts'
import { keyGroupOf, subtaskOfKeyGroup } from '../serde/key-groups.ts'
import { Types } from '../serde/types.ts'
import { createSelector, type PartitionerKind, type SelectorOptions } from './partitioner.ts'

function counts(kind: PartitionerKind, channelCount: number, rows: number, extra: Partial<SelectorOptions> = {}): number[] {
  const selector = createSelector({ kind, channelCount, random: seededRandom(7), ...extra })
  const out = new Array<number>(channelCount).fill(0)
  for (let i = 0; i < rows; i++) out[selector.select(i)]!++
  return out
}

describe('partitioners', () => {
  test('FORWARD and GLOBAL use the first channel only', () => {
    expect(counts('FORWARD', 1, 5)).toEqual([5])
    expect(counts('GLOBAL', 4, 100)).toEqual([100, 0, 0, 0])
  })

  test('REBALANCE deals evenly in turn, from a start that differs between subtasks', () => {
    expect(counts('REBALANCE', 4, 400)).toEqual([100, 100, 100, 100])
    const starts = new Set<number>()
    for (let seed = 0; seed < 64; seed++) {
      const selector = createSelector({ kind: 'REBALANCE', channelCount: 4, random: seededRandom(seed) })
      const first = selector.select(0)
      starts.add(first)
      expect([selector.select(0), selector.select(0), selector.select(0), selector.select(0)]).toEqual([1, 2, 3, 4].map(step => (first + step) % 4))
    }
    expect(starts).toEqual(new Set([0, 1, 2, 3]))
  })

  test('RESCALE deals evenly in turn, beginning with its first consumer', () => {
    const selector = createSelector({ kind: 'RESCALE', channelCount: 3, random: seededRandom(1) })
    expect([0, 1, 2, 3, 4].map(i => selector.select(i))).toEqual([0, 1, 2, 0, 1])
  })

  test('SHUFFLE is uniform, and the same for the same seed', () => {
    const found = counts('SHUFFLE', 8, 80_000)
    // Chi-square with 7 degrees of freedom: above 24.3 in one of a thousand runs; the seed is fixed.
    expect(found.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(24.3)
    expect(counts('SHUFFLE', 8, 80_000)).toEqual(found)
    expect(counts('SHUFFLE', 1, 10)).toEqual([10])
  })

  test('SHUFFLE does not go in turn', () => {
    const selector = createSelector({ kind: 'SHUFFLE', channelCount: 2, random: seededRandom(3) })
    let repeats = 0
    let last = selector.select(0)
    for (let i = 0; i < 10_000; i++) {
      const next = selector.select(0)
      if (next === last) repeats++
      last = next
    }
    expect(repeats).toBeGreaterThan(4_700)
    expect(repeats).toBeLessThan(5_300)
  })

  test('BROADCAST says that every channel gets every row', () => {
    expect(createSelector({ kind: 'BROADCAST', channelCount: 3, random: seededRandom(1) }).broadcast).toBe(true)
  })

  test('HASH sends a key to the subtask that owns its key group, and spreads keys', () => {
    const selector = createSelector({
      kind: 'HASH',
      channelCount: 3,
      maxParallelism: 128,
      random: seededRandom(1),
      key: { type: Types.STRING, select: row => (row as { k: string }).k },
    })
    const found = [0, 0, 0]
    for (let i = 0; i < 3_000; i++) {
      const channel = selector.select({ k: `key-${i}` })
      expect(channel).toBe(subtaskOfKeyGroup(keyGroupOf(Types.STRING, `key-${i}`, 128), 128, 3))
      found[channel]!++
    }
    for (const count of found) expect(count).toBeGreaterThan(700)
  })

  test('CUSTOM asks the function, and refuses a channel that is none', () => {
    const key = { type: Types.INT, select: (row: unknown) => row }
    expect(counts('CUSTOM', 3, 9, { key, partition: (value, n) => (value as number) % n })).toEqual([3, 3, 3])
    for (const answer of [-1, 3, 0.5, Number.NaN, undefined as unknown as number]) {
      const selector = createSelector({ kind: 'CUSTOM', channelCount: 3, random: seededRandom(1), key, partition: () => answer })
      expect(() => selector.select(1)).toThrow(expect.objectContaining({ code: 'USER_FUNCTION', message: expect.stringContaining(String(answer)) }))
    }
  })
})
