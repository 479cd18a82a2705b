/**
 * The only door to time. Everything that waits or reads the time takes a `Clock`, so that whole-system simulation can run on
 * simulated time. Times are epoch milliseconds; `nowMs` may go backwards on a real machine, `monotonicMs` never does.
 */
export interface Clock {
  nowMs(): number
  /** For measuring spans and deadlines; the origin is arbitrary. */
  monotonicMs(): number
  /** Runs `callback` once after `delayMs`. Timers do not keep the process alive unless `ref` is true. */
  schedule(delayMs: number, callback: () => void, options?: { ref?: boolean }): Timer
}

export interface Timer {
  cancel(): void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback, options) {
    // setTimeout truncates above 2^31-1 ms to 1 ms; a timer that far away is re-armed instead.
    if (delayMs > MAX_TIMEOUT_MS) {
      let inner: Timer | undefined
      const outer = systemClock.schedule(MAX_TIMEOUT_MS, () => (inner = systemClock.schedule(delayMs - MAX_TIMEOUT_MS, callback, options)), options)
      return { cancel: () => (inner ?? outer).cancel() }
    }
    const handle = setTimeout(callback, Math.max(0, delayMs))
    if (options?.ref !== true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** Waits `delayMs` on `clock`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.schedule(
      delayMs,
      () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
      { ref: true },
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Rejects with `onTimeout()` when `promise` has not settled after `timeoutMs` on `clock`. */
export function withDeadline<T>(clock: Clock, timeoutMs: number, promise: Promise<T>, onTimeout: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, () => reject(onTimeout()), { ref: true })
    promise.then(
      value => {
        timer.cancel()
        resolve(value)
      },
      error => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
