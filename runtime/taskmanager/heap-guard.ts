import type { Clock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'

/**
 * Ends a slot whose heap has outgrown its limit before V8 gives up, which it does by aborting the process with all of its slots when a
 * single allocation (a Map that doubles) exceeds what is left.
 *
 * - V8's own limit lies above the slot's by `heapHeadroomMb`: a container that doubles just below the limit still finds room, and the next
 *   look finds the heap too large.
 * - Garbage is no reason: what is above the limit is collected first. Collections take a tenth of the time at most, except when half
 *   of the headroom is used up.
 */
export interface HeapGuardParts {
  readonly clock: Clock
  readonly limitBytes: number
  readonly headroomBytes: number
  usedBytes(): number
  /** A full collection, done when it returns. */
  collect(): void
}

export class HeapGuard {
  private readonly parts: HeapGuardParts
  private nextLookMs = Number.NEGATIVE_INFINITY
  private nextCollectionMs = Number.NEGATIVE_INFINITY

  constructor(parts: HeapGuardParts) {
    this.parts = parts
  }

  /** Between turns of the slot's scheduler. Bytes in use when they are too many; else undefined. */
  excess(): number | undefined {
    const { clock, limitBytes, headroomBytes } = this.parts
    const nowMs = clock.monotonicMs()
    if (nowMs < this.nextLookMs) return undefined
    this.nextLookMs = nowMs + LOOK_INTERVAL_MS
    const before = this.parts.usedBytes()
    if (before <= limitBytes) return undefined
    if (nowMs < this.nextCollectionMs && before <= limitBytes + headroomBytes / 2) return undefined
    this.parts.collect()
    const endMs = clock.monotonicMs()
    this.nextCollectionMs = endMs + (endMs - nowMs) * 9
    const after = this.parts.usedBytes()
    return after > limitBytes ? after : undefined
  }
}

/** `usedMb` is not known when V8 itself has ended the thread. */
export function heapLimitExceeded(limitMb: number, usedMb: number | undefined, cause?: unknown): FlinkError {
  const used = usedMb === undefined ? '' : ` (${usedMb} MB in use)`
  return new FlinkError(
    'OUT_OF_MEMORY',
    `the slot exceeded its heap limit of ${limitMb} MB${used}; raise taskmanager.memory.task.heap.size or lower the parallelism per TaskManager`,
    usedMb === undefined ? { heapLimitMb: limitMb } : { heapLimitMb: limitMb, heapUsedMb: usedMb },
    cause,
  )
}

/** Room for one doubling of the largest table that fits into the limit; V8's largest Map has one of about 470 MB. */
export function heapHeadroomMb(limitMb: number): number {
  return Math.min(2 * limitMb, 512)
}

/** Far below the time in which a slot fills the smallest headroom. */
const LOOK_INTERVAL_MS = 20
