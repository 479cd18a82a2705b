import type { Clock } from '../../runtime/common/clock.ts'
import { isReason, type ObjectApi } from '../kube/object-api.ts'
import { referredSecrets } from '../kube/resources.ts'

/**
 * Which Secrets are there of those that pods read, and which version: got by name, without what is in them. They are not followed as ConfigMaps are: that would need the right to list all Secrets, with
 * their contents, for the API server knows no right to metadata alone (decision 0037). So each is looked at now and then, in passes that are made anyway.
 */
export interface ReferredSecrets {
  /** `uid/resourceVersion`, not older than LOOK_MS; undefined = it is not there. */
  version(namespace: string, name: string): Promise<string | undefined>
}

/** How late an edit of a Secret may be seen. */
const LOOK_MS = 60_000
/** Of those that nobody asked for of late. */
const FORGET_MS = 2 * LOOK_MS

interface Seen {
  readonly version: string | undefined
  readonly atMs: number
}

export function createReferredSecrets(api: Pick<ObjectApi, 'get'>, clock: Clock): ReferredSecrets {
  const seen = new Map<string, Seen>()

  const look = async (namespace: string, name: string): Promise<string | undefined> => {
    try {
      const { metadata } = await api.get(referredSecrets, namespace, name)
      return `${metadata.uid}/${metadata.resourceVersion}`
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  return {
    async version(namespace, name) {
      const nowMs = clock.monotonicMs()
      const key = `${namespace}/${name}`
      const known = seen.get(key)
      if (known !== undefined && nowMs - known.atMs < LOOK_MS) return known.version
      const version = await look(namespace, name)
      for (const [other, { atMs }] of seen) if (nowMs - atMs >= FORGET_MS) seen.delete(other)
      seen.set(key, { version, atMs: nowMs })
      return version
    },
  }
}
