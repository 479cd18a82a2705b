import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { consumersOf, distributionPattern, producersOf } from './channels.ts'

const parallelism = fc.integer({ min: 1, max: 40 })

describe('RESCALE', () => {
  test.each([
    [
      2,
      4,
      [
        [0, 1],
        [2, 3],
      ],
    ],
    [4, 2, [[0], [0], [1], [1]]],
    [2, 3, [[0, 1], [2]]],
    [3, 2, [[0], [1], [1]]],
    [3, 3, [[0], [1], [2]]],
    [1, 3, [[0, 1, 2]]],
    [3, 1, [[0], [0], [0]]],
  ])('from %i to %i producers and consumers', (producers, consumers, expected) => {
    expect(Array.from({ length: producers }, (_, producer) => consumersOf('RESCALE', producer, producers, consumers))).toEqual(expected)
  })

  test('each consumer of the larger side belongs to one neighbour, spread evenly', () => {
    fc.assert(
      fc.property(parallelism, parallelism, (producers, consumers) => {
        const loads = Array.from({ length: producers }, (_, producer) => consumersOf('RESCALE', producer, producers, consumers))
        const reached = loads.flat()
        expect(new Set(reached).size).toBe(consumers)
        expect(reached).toHaveLength(Math.max(producers, consumers))
        const sizes =
          producers >= consumers ? Array.from({ length: consumers }, (_, c) => reached.filter(r => r === c).length) : loads.map(load => load.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

test('FORWARD connects i with i', () => {
  expect([0, 1, 2].map(i => consumersOf('FORWARD', i, 3, 3))).toEqual([[0], [1], [2]])
})

test.each(['HASH', 'REBALANCE', 'SHUFFLE', 'BROADCAST', 'GLOBAL', 'CUSTOM'] as const)('%s connects all with all', partitioner => {
  expect(distributionPattern(partitioner)).toBe('ALL_TO_ALL')
  expect(consumersOf(partitioner, 1, 2, 3)).toEqual([0, 1, 2])
  expect(producersOf(partitioner, 1, 2, 3)).toEqual([0, 1])
})

test('producersOf is the inverse of consumersOf', () => {
  fc.assert(
    fc.property(fc.constantFrom('RESCALE' as const, 'HASH' as const), parallelism, parallelism, (partitioner, producers, consumers) => {
      for (let consumer = 0; consumer < consumers; consumer++) {
        const expected = Array.from({ length: producers }, (_, p) => p).filter(p =>
          consumersOf(partitioner, p, producers, consumers).includes(consumer),
        )
        expect(producersOf(partitioner, consumer, producers, consumers)).toEqual(expected)
      }
    }),
  )
})
