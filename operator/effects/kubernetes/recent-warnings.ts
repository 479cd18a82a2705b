import type { Clock } from '../../../runtime/common/clock.ts'
import type { KubeObject, ObjectApi } from '../../kube/object-api.ts'
import { events } from '../../kube/resources.ts'

/**
 * Warnings of a namespace, for all that look for one about a pod of theirs. There are many, and jobs that wait for their pods look often and all at once: they are listed for all of
 * them together, no more than once in LISTED_EVERY_MS. A warning is late by that.
 */
const LISTED_EVERY_MS = 5_000

export function createRecentWarnings(api: ObjectApi, clock: Clock): (namespace: string) => Promise<readonly KubeObject[]> {
  const listed = new Map<string, { readonly atMs: number; readonly warnings: Promise<readonly KubeObject[]> }>()
  return namespace => {
    const nowMs = clock.monotonicMs()
    const known = listed.get(namespace)
    if (known !== undefined && nowMs - known.atMs < LISTED_EVERY_MS) return known.warnings
    const warnings = api.list(events, { namespace }).then(({ items }) => items.filter(event => event['type'] === 'Warning'))
    listed.set(namespace, { atMs: nowMs, warnings })
    // Who asks next finds out for himself.
    warnings.catch(() => listed.delete(namespace))
    return warnings
  }
}
