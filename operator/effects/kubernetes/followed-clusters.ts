import type { KubeObject } from '../../kube/object-api.ts'
import { events, pods, statefulSets } from '../../kube/resources.ts'
import type { Caches } from '../../manager/caches.ts'
import type { Related } from '../../manager/manager.ts'
import { CLUSTER_LABELS, type ClusterOwner, MANAGED_BY, selectorLabels } from './objects.ts'
import type { OwnedObjects } from './owned-objects.ts'

/**
 * Pods and StatefulSets of a cluster for whoever only looks at them: from caches where there are some (decision 0033).
 *
 * That something is there may be answered late: whoever acts on it finds out. That nothing is there is asked of the API server, as what another job would be started for, but
 * only once in RECHECK_MS while nothing of it is seen or made: a job at rest costs next to nothing.
 */
const RECHECK_MS = 60_000
/** No name of a StatefulSet. */
const PODS = 'pods of processes'

/** Of a pod only what is looked at: its spec is most of it. */
function keptOfPod(pod: KubeObject): KubeObject {
  const { nodeName } = (pod.spec ?? {}) as { readonly nodeName?: string }
  return { ...withoutSpec(pod), spec: nodeName === undefined ? {} : { nodeName } }
}

function keptOfSet(set: KubeObject): KubeObject {
  const { replicas } = (set.spec ?? {}) as { readonly replicas?: number }
  return { ...withoutSpec(set), spec: replicas === undefined ? {} : { replicas } }
}

function withoutSpec({ apiVersion, kind, metadata, status }: KubeObject): KubeObject {
  const { annotations: _annotations, ...rest } = metadata
  return { apiVersion, kind, metadata: rest, status }
}

function isOfProcess({ metadata: { labels } }: KubeObject): boolean {
  const component = labels?.['app.kubernetes.io/component']
  return component !== 'planner' && component !== 'uploader'
}

/** A change of one of them makes a pass of the object that the cluster belongs to. */
export function followedClusters(kind: ClusterOwner['kind']): readonly Related[] {
  const label = CLUSTER_LABELS[kind]
  const keysOf = ({ metadata: { namespace, labels } }: KubeObject) => {
    const name = labels?.[label]
    return name === undefined ? [] : [{ namespace, name }]
  }
  return [
    { type: pods, labels: MANAGED_BY, indexed: [label], keep: keptOfPod, keysOf },
    { type: statefulSets, labels: MANAGED_BY, indexed: [label], keep: keptOfSet, keysOf },
  ]
}

export interface SeenClusterParts {
  readonly objects: OwnedObjects
  readonly caches: (() => Caches | undefined) | undefined
  readonly owner: ClusterOwner
  /** Of a namespace; without, they are listed each time. */
  readonly warnings: ((namespace: string) => Promise<readonly KubeObject[]>) | undefined
  readonly monotonicMs: () => number
}

export class SeenCluster {
  private readonly parts: SeenClusterParts
  /** What the API server has said not to be there, and when. */
  private readonly missing = new Map<string, number>()

  constructor(parts: SeenClusterParts) {
    this.parts = parts
  }

  /** A StatefulSet, whoever it is of. */
  async set(name: string): Promise<KubeObject | undefined> {
    const { objects, owner } = this.parts
    const cached = this.caches()?.get(statefulSets, owner.namespace, name)
    if (cached !== undefined || this.isKnownMissing(name)) return cached
    return this.noted(name, await objects.find(statefulSets, name))
  }

  /** All pods; `isWhole`: those of the cache are enough, for what they belong to is there. */
  async pods(isWhole: boolean): Promise<readonly KubeObject[]> {
    const { objects, owner } = this.parts
    const caches = this.caches()
    const cached = caches?.labelled(pods, CLUSTER_LABELS[owner.kind], owner.name).filter(pod => pod.metadata.namespace === owner.namespace) ?? []
    if (caches !== undefined && (isWhole || cached.some(isOfProcess) || this.isKnownMissing(PODS))) return cached
    const found = await objects.list(pods, selectorLabels(owner))
    this.noted(PODS, found.find(isOfProcess))
    return found
  }

  /** Undefined = it may be there all the same. */
  cachedPod(name: string): KubeObject | undefined {
    return this.caches()?.get(pods, this.parts.owner.namespace, name)
  }

  /** What is said to be wrong in the namespace. */
  async warnings(): Promise<readonly KubeObject[]> {
    const { objects, warnings, owner } = this.parts
    return warnings === undefined ? objects.list(events, {}) : warnings(owner.namespace)
  }

  /** A write of ours. */
  written(object: KubeObject): void {
    const type = [pods, statefulSets].find(({ kind }) => kind === object.kind)
    if (type === undefined) return
    if (isOfProcess(object)) for (const what of [object.metadata.name, PODS]) this.missing.delete(what)
    this.caches()?.seen(object, type)
  }

  private caches(): Caches | undefined {
    return this.parts.caches?.()
  }

  private isKnownMissing(what: string): boolean {
    const atMs = this.missing.get(what)
    return atMs !== undefined && this.parts.monotonicMs() - atMs < RECHECK_MS
  }

  private noted(what: string, found: KubeObject | undefined): KubeObject | undefined {
    if (found === undefined && this.caches() !== undefined) this.missing.set(what, this.parts.monotonicMs())
    else this.missing.delete(what)
    return found
  }
}
