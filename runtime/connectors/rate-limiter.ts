import type { Clock, Timer } from '../common/clock.ts'

/**
 * So many rows a second, on the task's clock. What was missed under back pressure is caught up with for at most one second, so that a
 * stall does not end in a burst.
 */
export class RateLimiter {
  private readonly clock: Clock
  private readonly rowsPerSecond: number
  private readonly wake: () => void
  private startMs: number
  private taken = 0
  private timer: Timer | undefined

  constructor(clock: Clock, rowsPerSecond: number, wake: () => void) {
    this.clock = clock
    this.rowsPerSecond = rowsPerSecond
    this.wake = wake
    this.startMs = clock.monotonicMs()
  }

  /** Rows that may be emitted now. When there are none, `wake` is called as soon as there are. */
  available(): number {
    const due = this.due()
    const behind = due - this.taken
    if (behind > this.rowsPerSecond) {
      this.startMs += ((behind - this.rowsPerSecond) * 1000) / this.rowsPerSecond
      return Math.max(1, Math.floor(this.rowsPerSecond))
    }
    if (behind >= 1) return Math.floor(behind)
    this.timer ??= this.clock.schedule(Math.max(1, Math.ceil(((1 - behind) * 1000) / this.rowsPerSecond)), () => {
      this.timer = undefined
      this.wake()
    })
    return 0
  }

  take(rows: number): void {
    this.taken += rows
  }

  close(): void {
    this.timer?.cancel()
  }

  /** The first row is due at once. */
  private due(): number {
    return 1 + ((this.clock.monotonicMs() - this.startMs) * this.rowsPerSecond) / 1000
  }
}
