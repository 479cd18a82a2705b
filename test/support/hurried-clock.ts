import { type Clock, systemClock } from '../../runtime/common/clock.ts'

/** Real time, some times as fast; it may be set wrong, and stand still as for a process that is stopped. */
export class HurriedClock implements Clock {
  private readonly factor: number
  private jumpedMs = 0
  private frozen: PromiseWithResolvers<void> | undefined

  constructor(factor: number) {
    this.factor = factor
  }

  nowMs(): number {
    return START_MS + (systemClock.nowMs() - START_MS) * this.factor + this.jumpedMs
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() * this.factor
  }

  schedule(delayMs: number, callback: () => void, options?: Parameters<Clock['schedule']>[2]): ReturnType<Clock['schedule']> {
    let isCancelled = false
    const timer = systemClock.schedule(
      delayMs / this.factor,
      () => {
        if (this.frozen === undefined) return callback()
        void this.frozen.promise.then(() => {
          if (!isCancelled) callback()
        })
      },
      options,
    )
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  /** Somebody sets the clock. What waits goes on waiting as long as it would have. */
  jump(byMs: number): void {
    this.jumpedMs += byMs
  }

  /** Timers that are due meanwhile come when it goes on. */
  freeze(): void {
    this.frozen ??= Promise.withResolvers()
  }

  thaw(): void {
    this.frozen?.resolve()
    this.frozen = undefined
  }
}

const START_MS = systemClock.nowMs()
