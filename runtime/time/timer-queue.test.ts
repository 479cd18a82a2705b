import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { TimerQueue } from './timer-queue.ts'

// Of numbers and of texts.
const keyType = Types.GENERIC as TypeInformation
const newQueue = (namespaced = false) => new TimerQueue('timers', keyType, key => key, namespaced ? Types.SAFE_LONG : undefined)

function drain(queue: TimerQueue, time: number): [number, unknown, unknown][] {
  const fired: [number, unknown, unknown][] = []
  for (let timer = queue.pollDue(time); timer !== undefined; timer = queue.pollDue(time)) fired.push([timer.time, timer.key, timer.namespace])
  return fired
}

test('due timers come in ascending time, at one time in order of registration', () => {
  const queue = newQueue()
  for (const [time, key] of [
    [30, 'a'],
    [10, 'b'],
    [20, 'c'],
    [10, 'a'],
  ] as const)
    queue.register(time, key)
  expect(drain(queue, 20)).toEqual([
    [10, 'b', undefined],
    [10, 'a', undefined],
    [20, 'c', undefined],
  ])
  expect(queue.nextTime()).toBe(30)
})

test('the same key and time is one timer, another key or namespace a second one', () => {
  const queue = newQueue(true)
  expect([queue.register(10, 'a', 1), queue.register(10, 'a', 1), queue.register(10, 'b', 1), queue.register(10, 'a', 2)]).toEqual([
    true,
    false,
    true,
    true,
  ])
  expect(queue.size).toBe(3)
})

test('a deleted timer never comes, deleting one that is not there does nothing', () => {
  const queue = newQueue()
  queue.register(10, 'a')
  queue.delete(10, 'b')
  queue.delete(11, 'a')
  queue.delete(10, 'a')
  expect([queue.size, queue.nextTime(), drain(queue, 100)]).toEqual([0, Number.POSITIVE_INFINITY, []])
})

test('a timer at the end of time comes with the last watermark and not before', () => {
  const queue = newQueue()
  queue.register(Number.POSITIVE_INFINITY, 'a')
  expect(drain(queue, 1e15)).toEqual([])
  expect(drain(queue, Number.POSITIVE_INFINITY)).toHaveLength(1)
  expect(queue.isDue(Number.POSITIVE_INFINITY)).toBe(false)
})

test('a timer that is registered while its own time is drained comes in the same round', () => {
  const queue = newQueue()
  for (let key = 0; key < 100; key++) queue.register(10, key)
  expect(queue.pollDue(10)?.key).toBe(0)
  queue.register(10, 0)
  expect(drain(queue, 10).map(([, key]) => key)).toEqual([...Array.from({ length: 99 }, (_, i) => i + 1), 0])
})

test('moving one timer again and again does not grow the heap', () => {
  const queue = newQueue()
  for (let time = 0; time < 10_000; time++) {
    queue.register(time + 1_000_000, 'a')
    if (time > 0) queue.delete(time + 999_999, 'a')
  }
  expect(queue.size).toBe(1)
  expect((queue as unknown as { times: number[] }).times.length).toBeLessThan(200)
  expect(drain(queue, 2_000_000)).toEqual([[1_009_999, 'a', undefined]])
})

describe('against a plain list', () => {
  const operation = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('register' as const),
        time: fc.integer({ min: 0, max: 30 }),
        key: fc.integer({ min: 0, max: 4 }),
        namespace: fc.integer({ min: 0, max: 2 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('delete' as const),
        time: fc.integer({ min: 0, max: 30 }),
        key: fc.integer({ min: 0, max: 4 }),
        namespace: fc.integer({ min: 0, max: 2 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        time: fc.integer({ min: 0, max: 30 }),
        key: fc.constant(0),
        namespace: fc.constant(0),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('restore' as const), time: fc.constant(0), key: fc.constant(0), namespace: fc.constant(0) }),
    },
  )

  test('any sequence of registering, deleting, advancing and restoring holds the same timers', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), operations => {
        let queue = newQueue(true)
        let model: { time: number; key: number; namespace: number }[] = []
        for (const { kind, ...timer } of operations) {
          const same = (other: typeof timer) => other.time === timer.time && other.key === timer.key && other.namespace === timer.namespace
          if (kind === 'register') {
            queue.register(timer.time, timer.key, timer.namespace)
            if (!model.some(same)) model.push(timer)
          } else if (kind === 'delete') {
            queue.delete(timer.time, timer.key, timer.namespace)
            model = model.filter(other => !same(other))
          } else if (kind === 'advance') {
            const fired = drain(queue, timer.time)
            expect(fired.map(([time]) => time)).toEqual(fired.map(([time]) => time).sort((a, b) => a - b))
            const due = model.filter(other => other.time <= timer.time).map(other => [other.time, other.key, other.namespace])
            expect(sorted(fired)).toEqual(sorted(due))
            model = model.filter(other => other.time > timer.time)
          } else queue = restored(queue)
          expect(queue.size).toBe(model.length)
          expect(queue.nextTime()).toBe(Math.min(...model.map(other => other.time)))
        }
      }),
    )
  })
})

function sorted(timers: readonly unknown[]): string[] {
  return timers.map(timer => JSON.stringify(timer)).sort()
}

function restored(queue: TimerQueue): TimerQueue {
  const out = new ByteWriter()
  let records = 0
  queue.writeAll(
    {
      size: 0,
      keyed: (_schema, _removes, key) => {
        records++
        keyType.serializer.write(key, out)
        return out
      },
    },
    false,
  )
  const copy = newQueue(true)
  const input = new ByteReader(out.copy())
  for (; records > 0; records--) copy.restoreRecord(0, false, 0, input)
  expect(input.remaining).toBe(0)
  return copy
}
