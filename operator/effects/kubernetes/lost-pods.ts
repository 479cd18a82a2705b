import type { Clock } from '../../../runtime/common/clock.ts'
import type { Pod } from './pods.ts'

/**
 * Pods that were told to end, and of which nobody says that they have: their nodes do not answer. One counts as lost when we have watched it end for longer than its grace by
 * LOST_AFTER_MS, on our own monotonic clock: neither a clock that jumps nor one that differs from the API server's makes a pod lost that is about to end.
 * Whatever a lost one still does is fenced by the epoch of its job (decision 0029).
 */
const LOST_AFTER_MS = 60_000
const DEFAULT_GRACE_S = 30

export class LostPods {
  private readonly clock: Clock
  /** By uid: since when we know that it is to end. */
  private readonly endingSinceMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  has({ metadata }: Pick<Pod, 'metadata'>): boolean {
    const { uid = '', deletionTimestamp } = metadata
    if (deletionTimestamp === undefined) return false
    const nowMs = this.clock.monotonicMs()
    const since = this.endingSinceMs.get(uid) ?? nowMs
    this.endingSinceMs.set(uid, since)
    const { deletionGracePeriodSeconds: graceS = DEFAULT_GRACE_S } = metadata as { readonly deletionGracePeriodSeconds?: number }
    return nowMs - since > graceS * 1_000 + LOST_AFTER_MS
  }

  /** Those that are there; the others are forgotten. */
  keep(pods: readonly Pick<Pod, 'metadata'>[]): void {
    const there = new Set(pods.map(({ metadata }) => metadata.uid))
    for (const uid of this.endingSinceMs.keys()) if (!there.has(uid)) this.endingSinceMs.delete(uid)
  }
}
