import { describe, expect, test } from 'vitest'
import { PAGE_SIZE } from './frame.ts'
import { networkPageCount } from './options.ts'
import { PageBudget, PagePool, pageMetrics } from './page-pool.ts'

describe('page pool', () => {
  test('pages that are out never overlap, and are handed out again after release', () => {
    const pool = new PagePool(70)
    const first = pool.acquire(40, 'channel a')
    const second = pool.acquire(30, 'channel b')
    const all = [...first, ...second]
    all.forEach((page, i) => {
      new Uint8Array(page.buffer, page.offset, PAGE_SIZE).fill(i)
    })
    all.forEach((page, i) => {
      expect(new Set(new Uint8Array(page.buffer, page.offset, PAGE_SIZE))).toEqual(new Set([i]))
    })
    pool.release(first)
    expect(pool.acquire(40, 'channel c')).toHaveLength(40)
  })

  test('figures of the pool: used falls back, the peak stays, and used and available are all there is', () => {
    const pool = new PagePool(70)
    pool.release(pool.acquire(40, 'channel a'))
    pool.acquire(3, 'channel b')
    expect(pageMetrics(pool.budget)).toEqual({
      'Status.Shuffle.Netty.TotalMemorySegments': 70,
      'Status.Shuffle.Netty.UsedMemorySegments': 3,
      'Status.Shuffle.Netty.AvailableMemorySegments': 67,
      'Status.Shuffle.Netty.TotalMemory': 70 * PAGE_SIZE,
      'Status.Shuffle.Netty.UsedMemory': 3 * PAGE_SIZE,
      'Status.Shuffle.Netty.AvailableMemory': 67 * PAGE_SIZE,
      'Status.Shuffle.Netty.PeakMemorySegments': 40,
    })
  })

  test('too few pages is an error that says who needs how many and how many there are', () => {
    const pool = new PagePool(10)
    pool.acquire(7, 'channel a')
    expect(() => pool.acquire(4, 'channel b')).toThrow(
      expect.objectContaining({
        code: 'INSUFFICIENT_NETWORK_BUFFERS',
        message: expect.stringMatching(/channel b needs 4 pages.* 3 of 10/),
        detail: { needed: 4, available: 3, total: 10 },
      }),
    )
    expect(pool.budget.used).toBe(7)
  })

  test('spill reservations and real pages share one bound, across views of the same count', () => {
    const pool = new PagePool(10)
    const other = new PageBudget(pool.budget.buffer)
    expect(other.tryReserve(6)).toBe(true)
    expect(() => pool.acquire(5, 'channel a')).toThrow()
    expect(other.tryReserve(5)).toBe(false)
    const pages = pool.acquire(4, 'channel a')
    expect([pool.budget.used, pool.budget.total, pool.budget.peak]).toEqual([10, 10, 10])
    other.release(6)
    pool.release(pages)
    expect([other.used, other.peak]).toEqual([0, 10])
  })

  test('the size is the fraction of the memory within min and max', () => {
    const mib = 1024 * 1024
    expect(networkPageCount(undefined, 0.1, 64 * mib, 1024 * mib)).toBe(2048)
    expect(networkPageCount(2000 * mib, 0.1, 64 * mib, 1024 * mib)).toBe(6400)
    expect(networkPageCount(200 * mib, 0.1, 64 * mib, 1024 * mib)).toBe(2048)
    expect(networkPageCount(20_000 * mib, 0.1, 64 * mib, 1024 * mib)).toBe(32_768)
  })
})
