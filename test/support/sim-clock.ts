import type { Clock, Timer } from '../../runtime/common/clock.ts'

interface Entry {
  readonly dueMs: number
  readonly sequence: number
  callback: (() => void) | undefined
}

/**
 * Simulated time for whole clusters: a heap of callbacks, and after each of them everything that promises still had to do. Two runs of
 * one seed execute the same steps in the same order.
 */
export class SimClock implements Clock {
  private timeMs = 1_700_000_000_000
  private readonly startMs = this.timeMs
  private jumpedMs = 0
  private sequence = 0
  private readonly heap: Entry[] = []

  nowMs(): number {
    return this.timeMs + this.jumpedMs
  }

  /** Somebody sets the clock. What waits goes on waiting as long as it would have. */
  jump(byMs: number): void {
    this.jumpedMs += byMs
  }

  monotonicMs(): number {
    return this.timeMs - this.startMs
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { dueMs: this.timeMs + Math.max(0, delayMs), sequence: this.sequence++, callback }
    this.push(entry)
    return {
      cancel: () => {
        entry.callback = undefined
      },
    }
  }

  /** Runs until `isDone`, at most `limitMs` of simulated time; false = the limit came first. */
  async runUntil(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.timeMs + limitMs
    await settlePromises()
    while (!isDone()) {
      const entry = this.heap[0]
      if (entry === undefined || entry.dueMs > endMs) {
        this.timeMs = endMs
        return isDone()
      }
      this.pop()
      if (entry.callback === undefined) continue
      this.timeMs = Math.max(this.timeMs, entry.dueMs)
      const { callback } = entry
      entry.callback = undefined
      callback()
      await settlePromises()
    }
    return true
  }

  async run(spanMs: number): Promise<void> {
    await this.runUntil(() => false, spanMs)
  }

  private push(entry: Entry): void {
    const { heap } = this
    heap.push(entry)
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!this.before(i, parent)) break
      this.swap(i, parent)
      i = parent
    }
  }

  private pop(): void {
    const { heap } = this
    this.swap(0, heap.length - 1)
    heap.pop()
    for (let i = 0; ; ) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && this.before(child, least)) least = child
      if (least === i) return
      this.swap(i, least)
      i = least
    }
  }

  private before(i: number, j: number): boolean {
    const a = this.heap[i]
    const b = this.heap[j]
    if (a === undefined || b === undefined) return false
    return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence)
  }

  private swap(i: number, j: number): void {
    const { heap } = this
    const a = heap[i]
    const b = heap[j]
    if (a === undefined || b === undefined) return
    heap[i] = b
    heap[j] = a
  }
}

/** All microtasks, however deep, run before the next macrotask. */
function settlePromises(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
