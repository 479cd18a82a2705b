import type { Clock } from '../../../runtime/common/clock.ts'
import type { KubeObject, ObjectApi } from '../../kube/object-api.ts'
import type { Caches } from '../../manager/caches.ts'
import { fenced } from '../../manager/pass.ts'
import { SeenCluster } from './followed-clusters.ts'
import type { ClusterOwner, ClusterSettings } from './objects.ts'
import { OwnedObjects } from './owned-objects.ts'

/** Whose objects are read and written, and how. */
export interface ScopeOptions {
  readonly api: ObjectApi
  readonly owner: ClusterOwner
  readonly settings: ClusterSettings
  /** Of pods and StatefulSets; without, all is asked of the API server. */
  readonly caches?: () => Caches | undefined
  /** Of a namespace; without, they are listed each time. */
  readonly warnings?: (namespace: string) => Promise<readonly KubeObject[]>
  readonly clock: Clock
}

export interface ClusterScope extends ScopeOptions {
  readonly objects: OwnedObjects
  readonly seen: SeenCluster
}

export function scopeOf(options: ScopeOptions): ClusterScope {
  const { api, owner, clock, caches, warnings } = options
  const objects: OwnedObjects = new OwnedObjects(fenced(api), owner, clock, object => seen.written(object))
  const seen = new SeenCluster({ objects, caches, owner, warnings, monotonicMs: () => clock.monotonicMs() })
  return { ...options, objects, seen }
}
