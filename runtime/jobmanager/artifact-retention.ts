import type { Clock } from '../common/clock.ts'
import type { Logger } from '../common/log.ts'
import type { ArtifactStore } from './artifact-store.ts'

/**
 * Drops bundles that no job needs any more: a job keeps its bundle until it is forgotten, and a bundle that was just put is kept for the
 * submit that follows, for a client puts first and submits then.
 */
export interface ArtifactRetentionParts {
  readonly clock: Clock
  readonly log: Logger
  readonly store: ArtifactStore
  isNeeded(digest: string): boolean
}

export const SUBMIT_GRACE_MS = 600_000

export class ArtifactRetention {
  private readonly parts: ArtifactRetentionParts
  /** Monotonic time of the last put. */
  private readonly putMs = new Map<string, number>()
  private puts: Promise<unknown> = Promise.resolve()

  constructor(parts: ArtifactRetentionParts) {
    this.parts = parts
  }

  put(digest: string, bytes: Uint8Array): Promise<void> {
    // At once, so that a sweep that comes before the store is done spares it.
    this.putMs.set(digest, this.parts.clock.monotonicMs())
    const put = this.puts.then(() => this.parts.store.put(digest, bytes))
    this.puts = put.catch(() => {})
    this.sweep()
    return put
  }

  /** With each put and each job that is forgotten; what is too young now is dropped by a later one. */
  sweep(): void {
    const { clock, log, store, isNeeded } = this.parts
    const untilMs = clock.monotonicMs() - SUBMIT_GRACE_MS
    for (const [digest, putMs] of this.putMs) {
      if (putMs > untilMs || isNeeded(digest)) continue
      this.putMs.delete(digest)
      // Behind whatever is being put: the same bundle may come again.
      this.puts = this.puts
        .then(() => store.delete(digest))
        .catch((error: unknown) => log.warn('a code bundle could not be dropped', { digest, error: String(error) }))
    }
  }
}
