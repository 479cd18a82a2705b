import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows, windowStart } from './windows.ts'

test.each([
  // Seen on Flink 2.3 (XE24): timestamp, offset, size, start.
  [-7, 0, 5, -10],
  [-6, 0, 5, -10],
  [-5, 0, 5, -5],
  [3, 0, 5, 0],
  [1500, 300, 1000, 1300],
  [100, 300, 1000, -700],
  [-800, 300, 1000, -1700],
])('the window of %i with offset %i and size %i starts at %i', (timestamp, offset, size, start) => {
  expect(windowStart(timestamp, offset, size)).toBe(start)
})

test('every timestamp lies in exactly the window that its start names', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 1e7 }),
      fc.double({ min: -1, max: 1, noNaN: true, minExcluded: true, maxExcluded: true }),
      (timestamp, size, share) => {
        const offset = Math.trunc(share * size)
        const start = windowStart(timestamp, offset, size)
        expect(start).toBeLessThanOrEqual(timestamp)
        expect(timestamp).toBeLessThan(start + size)
        expect(Math.abs((start - offset) % size)).toBe(0)
      },
    ),
  )
})

test('sizes and offsets are durations', () => {
  expect(TumblingEventTimeWindows.of('1 min', '15 s')).toMatchObject({ sizeMs: 60_000, offsetMs: 15_000, timeDomain: 'EVENT_TIME' })
  expect(TumblingProcessingTimeWindows.of(500)).toMatchObject({ sizeMs: 500, offsetMs: 0, timeDomain: 'PROCESSING_TIME' })
})

test.each([
  [0, 0],
  [-5, 0],
  [5, 5],
  [5, -5],
  [2.5, 0],
])('a window of size %d with offset %d is refused', (size, offset) => {
  expect(() => TumblingEventTimeWindows.of(size, offset)).toThrow(
    'TumblingEventTimeWindows: the size must be positive and the offset smaller than it',
  )
})
