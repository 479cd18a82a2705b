import { expect, test } from 'vitest'
import { seededRandom } from '../common/random.ts'
import { HotCapacity } from './hot-capacity.ts'

/** A cache of that capacity from which the key that was used longest ago leaves; answers its hits. */
function run(capacity: HotCapacity, rows: number, next: () => number): number {
  const hot = new Set<number>()
  let hits = 0
  for (let row = 0; row < rows; row++) {
    const key = next()
    if (hot.delete(key)) hits++
    else capacity.loaded(Math.imul(key, 0x9e3779b1))
    hot.add(key)
    for (const oldest of hot) {
      if (hot.size <= capacity.current) break
      hot.delete(oldest)
    }
  }
  return hits
}

const max = 1 << 10

test('keys that hardly come again are not kept, and those that do are, as soon as they begin to', () => {
  const capacity = new HotCapacity(max)
  const random = seededRandom(1)
  expect(capacity.current).toBe(max)
  run(capacity, 20_000, () => random.nextInt(1_000_000))
  expect(capacity.current).toBe(max / 16)
  // None of these would be kept for long enough with so few.
  run(capacity, 20_000, () => random.nextInt(900))
  expect(capacity.current).toBe(max)
  expect(run(capacity, 20_000, () => random.nextInt(900))).toBeGreaterThan(19_000)
})

test.each([0, 1, 2, 3])('at most %i', most => {
  const capacity = new HotCapacity(most)
  const random = seededRandom(2)
  for (let row = 0; row < 1_000; row++) {
    capacity.loaded(random.nextInt(5))
    expect(capacity.current).toBeLessThanOrEqual(most)
  }
})
