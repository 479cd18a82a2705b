import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { WorkQueue } from './work-queue.ts'

function queue() {
  const clock = new SimulatedClock()
  const waited: number[] = []
  const made = new WorkQueue({ clock, random: seededRandom(1), onTake: ms => waited.push(ms) })
  return { clock, queue: made, waited }
}

test('a key that is added twice is taken once, in the order of the first time', async () => {
  const { queue: keys, clock, waited } = queue()
  for (const key of ['a', 'b', 'a', 'c', 'b']) keys.add(key)
  clock.advanceBy(10)
  expect([await keys.take(), await keys.take(), await keys.take(), keys.depth]).toEqual(['a', 'b', 'c', 0])
  expect(waited).toEqual([10, 10, 10])
})

test('a key is worked on by one at a time; added meanwhile it comes again', async () => {
  const { queue: keys } = queue()
  keys.add('a')
  expect(await keys.take()).toBe('a')
  keys.add('a')
  keys.add('b')
  expect(await keys.take()).toBe('b')
  const next = keys.take()
  keys.done('b')
  keys.done('a')
  expect(await next).toBe('a')
  keys.done('a')
  expect(keys.depth).toBe(0)
})

test('of several delays the earliest counts', async () => {
  const { queue: keys, clock } = queue()
  keys.addAfter('a', 100)
  keys.addAfter('a', 50)
  keys.addAfter('a', 200)
  const taken = keys.take()
  clock.advanceBy(49)
  expect(clock.pendingCount).toBe(1)
  clock.advanceBy(1)
  expect(await taken).toBe('a')
  expect(clock.pendingCount).toBe(0)
})

test('a key that fails comes later each time, up to a limit; forgotten, it begins anew', async () => {
  const { queue: keys, clock } = queue()
  const delay = async () => {
    const taken = keys.take()
    keys.addRateLimited('a')
    const startMs = clock.monotonicMs()
    clock.advanceTo(clock.nextDueMs() ?? 0)
    expect(await taken).toBe('a')
    keys.done('a')
    return clock.monotonicMs() - startMs
  }
  const delays: number[] = []
  for (let i = 0; i < 20; i++) delays.push(await delay())
  for (const [index, ms] of delays.entries()) {
    const full = Math.min(60_000, 5 * 2 ** index)
    expect(ms).toBeGreaterThanOrEqual(full / 2)
    expect(ms).toBeLessThanOrEqual(full)
  }
  keys.forget('a')
  expect(await delay()).toBeLessThanOrEqual(5)
})

test('closed, takers are sent away and nothing comes any more', async () => {
  const { queue: keys, clock } = queue()
  const waiting = keys.take()
  keys.addAfter('a', 10)
  keys.close()
  keys.add('b')
  clock.advanceBy(100)
  expect([await waiting, await keys.take(), clock.pendingCount]).toEqual([undefined, undefined, 0])
})
