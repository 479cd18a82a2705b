import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KEYS_PER_TYPE, Lcg, oracleKeys } from '../../test/oracle/keygroups/oracle-keys.ts'
import { defaultMaxParallelism, keyGroupOf, keyGroupRange, murmurHash, subtaskOfKeyGroup } from './key-groups.ts'
import { Types } from './types.ts'

const lines = readFileSync(new URL('../../test/oracle/keygroups/expected.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')

function expectedOf(type: string, seed: number): string[] {
  const start = lines.indexOf(`keys ${type} seed ${seed}`)
  expect(start, `a section for ${type}`).toBeGreaterThan(0)
  return lines
    .slice(start + 1, start + 1 + KEYS_PER_TYPE / 16)
    .join(' ')
    .split(' ')
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')

describe('as Apache Flink 2.3.0 answers', () => {
  test('the committed answers say which Flink gave them', () => {
    expect(lines[0]).toContain('Apache Flink 2.3.0')
    expect(lines.filter(line => line.startsWith('keys '))).toHaveLength(oracleKeys.length)
  })

  test.each(oracleKeys)('assigns keys of type $type to the same key groups and subtasks', ({ type, seed, key }) => {
    const random = new Lcg(seed)
    const actual: string[] = []
    for (let i = 0; i < KEYS_PER_TYPE; i++) {
      const value = key(random, i)
      const small = keyGroupOf(type, value, 128)
      const large = keyGroupOf(type, value, 32768)
      const subtasks = [
        subtaskOfKeyGroup(small, 128, 3),
        subtaskOfKeyGroup(small, 128, 7),
        subtaskOfKeyGroup(large, 32768, 3),
        subtaskOfKeyGroup(large, 32768, 7),
      ]
      actual.push(hex(small, 2) + hex(large, 4) + subtasks.join(''))
    }
    const expected = expectedOf(String(type), seed)
    expect(expected).toHaveLength(KEYS_PER_TYPE)
    expect(actual).toEqual(expected)
  })

  test('assigns a SAFE_LONG as the LONG of the same value', () => {
    const random = new Lcg(2)
    const longs = oracleKeys.find(keys => keys.type === Types.LONG)
    const expected = expectedOf('LONG', 2)
    let compared = 0
    for (let i = 0; i < KEYS_PER_TYPE; i++) {
      const value = Number(longs?.key(random, i))
      if (!Number.isSafeInteger(value)) continue
      expect(hex(keyGroupOf(Types.SAFE_LONG, value, 128), 2)).toBe(expected[i]?.slice(0, 2))
      compared++
    }
    expect(compared).toBeGreaterThan(KEYS_PER_TYPE / 3)
  })

  test('gives subtasks the same key group ranges', () => {
    const ranges = lines.filter(line => line.startsWith('ranges '))
    expect(ranges.length).toBeGreaterThan(5)
    for (const line of ranges) {
      const [, maxParallelism, parallelism, ...expected] = line.split(' ')
      const actual = expected.map((_, subtask) => {
        const range = keyGroupRange(Number(maxParallelism), Number(parallelism), subtask)
        return `${range.startKeyGroup}-${range.endKeyGroup}`
      })
      expect(actual).toEqual(expected)
    }
  })

  test('derives the same maximum parallelism', () => {
    const [, ...pairs] = (lines.find(line => line.startsWith('defaultMaxParallelism ')) ?? '').split(' ')
    expect(pairs.length).toBeGreaterThan(10)
    for (const pair of pairs) {
      const [parallelism, expected] = pair.split(':').map(Number)
      expect(defaultMaxParallelism(parallelism ?? 0), `at parallelism ${parallelism}`).toBe(expected)
    }
  })
})

test('murmurHash is never negative', () => {
  fc.assert(
    fc.property(fc.integer(), int => {
      expect(murmurHash(int)).toBeGreaterThanOrEqual(0)
    }),
  )
})

test('every key group belongs to exactly the subtask whose range holds it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }), (a, b) => {
      const maxParallelism = Math.max(a, b)
      const parallelism = Math.min(a, b)
      let next = 0
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const { startKeyGroup, endKeyGroup } = keyGroupRange(maxParallelism, parallelism, subtask)
        expect(startKeyGroup).toBe(next)
        for (let keyGroup = startKeyGroup; keyGroup <= endKeyGroup; keyGroup++) {
          if (subtaskOfKeyGroup(keyGroup, maxParallelism, parallelism) !== subtask) expect.fail(`key group ${keyGroup} of subtask ${subtask}`)
        }
        next = endKeyGroup + 1
      }
      expect(next).toBe(maxParallelism)
    }),
    { numRuns: 50 },
  )
})
