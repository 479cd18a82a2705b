import type { Clock, Timer } from '../../runtime/common/clock.ts'

/**
 * Time that moves only when a test says so. Callbacks run in order of their due time, and of scheduling where times are equal;
 * a callback sees the clock at its own due time, and what it schedules within the span still runs.
 */
export class SimulatedClock implements Clock {
  private timeMs: number
  private readonly startMs: number
  private sequence = 0
  private scheduled: { readonly dueMs: number; readonly sequence: number; readonly callback: () => void }[] = []

  constructor(startMs = 0) {
    this.timeMs = startMs
    this.startMs = startMs
  }

  nowMs(): number {
    return this.timeMs
  }

  monotonicMs(): number {
    return this.timeMs - this.startMs
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry = { dueMs: this.timeMs + Math.max(0, delayMs), sequence: this.sequence++, callback }
    this.scheduled.push(entry)
    return {
      cancel: () => {
        this.scheduled = this.scheduled.filter(other => other !== entry)
      },
    }
  }

  /** Callbacks that wait. */
  get pendingCount(): number {
    return this.scheduled.length
  }

  /** When the next callback is due; undefined = nothing is scheduled. */
  nextDueMs(): number | undefined {
    return this.next()?.dueMs
  }

  advanceBy(spanMs: number): void {
    this.advanceTo(this.timeMs + spanMs)
  }

  advanceTo(timeMs: number): void {
    for (let entry = this.next(); entry !== undefined && entry.dueMs <= timeMs; entry = this.next()) {
      const due = entry
      this.scheduled = this.scheduled.filter(other => other !== due)
      this.timeMs = Math.max(this.timeMs, due.dueMs)
      due.callback()
    }
    this.timeMs = Math.max(this.timeMs, timeMs)
  }

  private next() {
    let first = this.scheduled[0]
    for (const entry of this.scheduled)
      if (first === undefined || entry.dueMs < first.dueMs || (entry.dueMs === first.dueMs && entry.sequence < first.sequence)) first = entry
    return first
  }
}
