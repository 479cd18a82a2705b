/**
 * The network memory of a TaskManager, counted in pages of 32 KiB. Two parts share one count:
 * - `PagePool`, on the TaskManager's main thread, hands out real pages of shared memory to rings and takes them back;
 * - `PageBudget`, in every thread, reserves pages for what waits in an output's spill. Such rows live on the heap: the
 *   reservation bounds them.
 *
 * Invariants: used never exceeds total; shared memory is allocated in chunks as it is first needed and never returned, so real pages
 * never exceed total either.
 */
import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import { PAGE_SIZE } from './frame.ts'

/** One page: structured-clonable, the buffer is shared, not copied. */
export interface PageRef {
  readonly buffer: SharedArrayBuffer
  readonly offset: number
}

/** What an output needs of the pool. */
export interface PageReserver {
  tryReserve(pages: number): boolean
  release(pages: number): void
}

const USED = 0
const TOTAL = 1
const PEAK = 2

const CHUNK_PAGES = 32

/** The shared count; make one per thread from the same buffer. */
export class PageBudget implements PageReserver {
  readonly buffer: SharedArrayBuffer
  private readonly words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
  }

  static create(totalPages: number): PageBudget {
    const budget = new PageBudget(new SharedArrayBuffer(12))
    Atomics.store(budget.words, TOTAL, totalPages)
    return budget
  }

  get used(): number {
    return Atomics.load(this.words, USED)
  }

  get total(): number {
    return Atomics.load(this.words, TOTAL)
  }

  get peak(): number {
    return Atomics.load(this.words, PEAK)
  }

  tryReserve(pages: number): boolean {
    const { words } = this
    const total = Atomics.load(words, TOTAL)
    let used = Atomics.load(words, USED)
    for (;;) {
      const next = used + pages
      if (next > total) return false
      const found = Atomics.compareExchange(words, USED, used, next)
      if (found === used) {
        this.raisePeak(next)
        return true
      }
      used = found
    }
  }

  release(pages: number): void {
    const before = Atomics.sub(this.words, USED, pages)
    assert(before >= pages, 'no more pages are released than were reserved')
  }

  private raisePeak(used: number): void {
    let peak = Atomics.load(this.words, PEAK)
    while (used > peak) {
      const found = Atomics.compareExchange(this.words, PEAK, peak, used)
      if (found === peak) return
      peak = found
    }
  }
}

/** Under Flink's names, where a segment is a page; the peak is our own. */
export function pageMetrics({ used, peak, total }: PageBudget): Record<string, number> {
  return {
    'Status.Shuffle.Netty.TotalMemorySegments': total,
    'Status.Shuffle.Netty.UsedMemorySegments': used,
    'Status.Shuffle.Netty.AvailableMemorySegments': total - used,
    'Status.Shuffle.Netty.TotalMemory': total * PAGE_SIZE,
    'Status.Shuffle.Netty.UsedMemory': used * PAGE_SIZE,
    'Status.Shuffle.Netty.AvailableMemory': (total - used) * PAGE_SIZE,
    'Status.Shuffle.Netty.PeakMemorySegments': peak,
  }
}

export class PagePool {
  readonly budget: PageBudget
  private readonly free: PageRef[] = []

  constructor(totalPages: number) {
    this.budget = PageBudget.create(totalPages)
  }

  /** `purpose` names what needs them, for the error. */
  acquire(count: number, purpose: string): PageRef[] {
    if (!this.budget.tryReserve(count)) {
      const { total, used } = this.budget
      throw new FlinkError(
        'INSUFFICIENT_NETWORK_BUFFERS',
        `insufficient number of network buffers: ${purpose} needs ${count} pages of ${PAGE_SIZE} bytes, ${total - used} of ${total} are available; raise taskmanager.memory.network.min`,
        { needed: count, available: total - used, total },
      )
    }
    while (this.free.length < count) this.allocateChunk()
    return this.free.splice(this.free.length - count, count)
  }

  /** The caller makes sure that no thread touches the pages any more. */
  release(pages: readonly PageRef[]): void {
    for (const page of pages) this.free.push(page)
    this.budget.release(pages.length)
  }

  private allocateChunk(): void {
    const buffer = new SharedArrayBuffer(CHUNK_PAGES * PAGE_SIZE)
    for (let i = CHUNK_PAGES - 1; i >= 0; i--) this.free.push({ buffer, offset: i * PAGE_SIZE })
  }
}
