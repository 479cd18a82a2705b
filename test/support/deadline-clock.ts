import { type Clock, systemClock } from '../../runtime/common/clock.ts'

/** What is shorter than five seconds takes no time: the waits between tries. The rest are deadlines: they come when the test says so. */
export class DeadlineClock implements Clock {
  /** Told of each deadline that is set. */
  onDeadline: (delayMs: number) => void = () => {}
  private readonly deadlines = new Set<() => void>()

  nowMs(): number {
    return systemClock.nowMs()
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  schedule(delayMs: number, callback: () => void): { cancel(): void } {
    if (delayMs < 5_000) {
      const handle = setImmediate(callback)
      return { cancel: () => clearImmediate(handle) }
    }
    this.deadlines.add(callback)
    this.onDeadline(delayMs)
    return { cancel: () => this.deadlines.delete(callback) }
  }

  expire(): void {
    for (const callback of [...this.deadlines]) callback()
  }
}
