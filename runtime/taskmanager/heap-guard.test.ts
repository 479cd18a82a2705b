import { expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { HeapGuard, heapHeadroomMb } from './heap-guard.ts'

/** A heap of which `garbage` goes away with a collection that takes 10 ms. */
class FakeHeap {
  readonly clock = new SimulatedClock()
  live = 0
  garbage = 0
  collections = 0
  readonly guard = new HeapGuard({
    clock: this.clock,
    limitBytes: 100,
    headroomBytes: 200,
    usedBytes: () => this.live + this.garbage,
    collect: () => {
      this.collections++
      this.garbage = 0
      this.clock.advanceBy(10)
    },
  })

  /** After `passMs`, with so much in use. */
  look(passMs: number, live: number, garbage = 0): number | undefined {
    this.clock.advanceBy(passMs)
    this.live = live
    this.garbage = garbage
    return this.guard.excess()
  }
}

test('a heap above its limit is reported with its size, one at the limit is not', () => {
  const heap = new FakeHeap()
  expect(heap.look(0, 100)).toBeUndefined()
  expect(heap.collections).toBe(0)
  expect(heap.look(1000, 101)).toBe(101)
})

test('garbage above the limit is collected, and no reason to end', () => {
  const heap = new FakeHeap()
  expect(heap.look(0, 60, 70)).toBeUndefined()
  expect(heap.collections).toBe(1)
})

test('collections take a tenth of the time at most while half of the headroom is free, and are not waited for above it', () => {
  const heap = new FakeHeap()
  for (let i = 0; i < 50; i++) expect(heap.look(20, 90, 20)).toBeUndefined()
  // 10 ms each in 1000 ms of work.
  expect(heap.collections).toBeLessThanOrEqual(11)
  expect(heap.collections).toBeGreaterThan(5)
  const before = heap.collections
  heap.look(100, 90, 20)
  expect(heap.look(20, 90, 120)).toBeUndefined()
  expect(heap.look(20, 201)).toBe(201)
  expect(heap.collections).toBe(before + 3)
})

test('between two looks the heap is not asked', () => {
  const heap = new FakeHeap()
  expect(heap.look(0, 10)).toBeUndefined()
  expect(heap.look(19, 500)).toBeUndefined()
  expect(heap.look(1, 500)).toBe(500)
})

test('the headroom holds a doubling of what fits into the limit, and is bounded', () => {
  expect([heapHeadroomMb(80), heapHeadroomMb(4096)]).toEqual([160, 512])
})
