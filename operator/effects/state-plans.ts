import type { Clock } from '../../runtime/common/clock.ts'
import type { ObservedStatePlan, StatePlan } from './actions.ts'

/**
 * State plans that are being made, and the last one that was: asked for again and again by passes of the controller, made once for each key. One that failed is made
 * anew after a while, and stays failed until then.
 */
export interface StatePlans {
  observe(key: string, make: () => Promise<StatePlan>): ObservedStatePlan
  /** Settles when nothing is being made any more. */
  settled(): Promise<void>
}

const RETRY_MS = 10_000

interface Entry {
  readonly key: string
  observed: ObservedStatePlan
  making: Promise<void> | undefined
  againMs: number
}

export function createStatePlans(clock: Clock): StatePlans {
  let entry: Entry | undefined
  const start = (made: Entry, make: () => Promise<StatePlan>) => {
    made.making = make().then(
      plan => {
        made.observed = plan
        made.making = undefined
      },
      (error: unknown) => {
        made.observed = { kind: 'failed', message: error instanceof Error ? error.message : String(error) }
        made.againMs = clock.monotonicMs() + RETRY_MS
        made.making = undefined
      },
    )
  }
  return {
    observe(key, make) {
      if (entry?.key !== key) {
        entry = { key, observed: { kind: 'pending' }, making: undefined, againMs: 0 }
        start(entry, make)
      } else if (entry.observed.kind === 'failed' && entry.making === undefined && clock.monotonicMs() >= entry.againMs) start(entry, make)
      return entry.observed
    },
    settled: async () => entry?.making,
  }
}
