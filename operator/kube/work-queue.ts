import type { Clock, Timer } from '../../runtime/common/clock.ts'
import type { Random } from '../../runtime/common/random.ts'

/**
 * Keys that have to be looked at, each at most once at a time, in the manner of client-go's workqueue: a key that is added while it waits is there already, one that is
 * added while it is worked on comes again when that is done. Whoever takes a key says when it is `done`.
 */
export interface WorkQueueOptions {
  readonly clock: Clock
  readonly random: Random
  /** Of a key that fails: 5 ms, doubled each time, up to a minute. */
  readonly retryFirstMs?: number
  readonly retryMaxMs?: number
  readonly onAdd?: () => void
  /** How long a key has waited. */
  readonly onTake?: (waitedMs: number) => void
  readonly onRetry?: () => void
}

const RETRY_FIRST_MS = 5
const RETRY_MAX_MS = 60_000

export class WorkQueue {
  private readonly options: WorkQueueOptions
  /** To be worked on, with the time since when. */
  private readonly dirty = new Map<string, number>()
  private readonly processing = new Set<string>()
  private queue: string[] = []
  private readonly delayed = new Map<string, { readonly dueMs: number; readonly timer: Timer }>()
  private readonly failures = new Map<string, number>()
  private takers: ((key: string | undefined) => void)[] = []
  private closed = false

  constructor(options: WorkQueueOptions) {
    this.options = options
  }

  /** Keys that wait. */
  get depth(): number {
    return this.queue.length
  }

  add(key: string): void {
    if (this.closed || this.dirty.has(key)) return
    this.dirty.set(key, this.options.clock.monotonicMs())
    this.options.onAdd?.()
    if (!this.processing.has(key)) this.push(key)
  }

  /** The earliest of several times counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.closed) return
    const { clock } = this.options
    const dueMs = clock.monotonicMs() + delayMs
    const before = this.delayed.get(key)
    if (before !== undefined && before.dueMs <= dueMs) return
    before?.timer.cancel()
    this.delayed.delete(key)
    if (delayMs <= 0) return this.add(key)
    const timer = clock.schedule(delayMs, () => {
      this.delayed.delete(key)
      this.add(key)
    })
    this.delayed.set(key, { dueMs, timer })
  }

  /** Later each time it fails in a row, and not all at once with others that failed together. */
  addRateLimited(key: string, atLeastMs = 0): void {
    const { retryFirstMs = RETRY_FIRST_MS, retryMaxMs = RETRY_MAX_MS, random, onRetry } = this.options
    const failures = this.failures.get(key) ?? 0
    this.failures.set(key, failures + 1)
    onRetry?.()
    const delayMs = Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(failures, 30))
    this.addAfter(key, Math.max(atLeastMs, delayMs * (0.5 + 0.5 * random.next())))
  }

  /** It went well: the next failure is the first one. */
  forget(key: string): void {
    this.failures.delete(key)
  }

  /** Undefined = the queue is closed. */
  take(): Promise<string | undefined> {
    const key = this.queue.shift()
    if (key !== undefined) return Promise.resolve(this.started(key))
    if (this.closed) return Promise.resolve(undefined)
    return new Promise(resolve => this.takers.push(resolve))
  }

  done(key: string): void {
    this.processing.delete(key)
    if (this.dirty.has(key)) this.push(key)
  }

  /** What waits is dropped; takers are sent away. */
  close(): void {
    this.closed = true
    this.queue = []
    this.dirty.clear()
    for (const { timer } of this.delayed.values()) timer.cancel()
    this.delayed.clear()
    for (const taker of this.takers.splice(0)) taker(undefined)
  }

  private push(key: string): void {
    const taker = this.takers.shift()
    if (taker === undefined) this.queue.push(key)
    else taker(this.started(key))
  }

  private started(key: string): string {
    const { clock, onTake } = this.options
    onTake?.(clock.monotonicMs() - (this.dirty.get(key) ?? clock.monotonicMs()))
    this.dirty.delete(key)
    this.processing.add(key)
    return key
  }
}
