import { type Clock, sleep } from '../../common/clock.ts'
import type { Logger } from '../../common/log.ts'
import type { KafkaSettings } from './settings.ts'

/** Pauses that double up to a limit, and a log line for the first failure and then one in ten seconds: it must show, and not flood. */
export class Backoff {
  private readonly settings: KafkaSettings
  private readonly clock: Clock
  private readonly log: Logger
  private readonly signal: AbortSignal
  private pauseMs: number
  private loggedMs = Number.NEGATIVE_INFINITY
  private failures = 0

  constructor(settings: KafkaSettings, clock: Clock, log: Logger, signal: AbortSignal) {
    this.settings = settings
    this.clock = clock
    this.log = log
    this.signal = signal
    this.pauseMs = settings.retryBackoffMs
  }

  /** Not longer than `leftMs`. Rejects when the signal aborts. */
  async pause(message: string, reason: string, leftMs = Number.POSITIVE_INFINITY): Promise<void> {
    this.failures++
    const nowMs = this.clock.monotonicMs()
    if (nowMs - this.loggedMs >= LOG_INTERVAL_MS) {
      this.loggedMs = nowMs
      this.log.warn(message, { reason, failures: this.failures })
    }
    const delayMs = this.pauseMs
    this.pauseMs = Math.min(this.settings.retryBackoffMaxMs, Math.max(1, delayMs) * 2)
    await sleep(this.clock, Math.min(delayMs, leftMs), this.signal)
  }

  reset(): void {
    this.failures = 0
    this.pauseMs = this.settings.retryBackoffMs
    this.loggedMs = Number.NEGATIVE_INFINITY
  }
}

const LOG_INTERVAL_MS = 10_000
