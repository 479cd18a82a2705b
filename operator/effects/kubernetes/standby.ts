import type { ClusterSpec } from '../../api/flink-job.ts'

/**
 * JobManagers that stand by for each other (decision 0040), as far as a spec says it: pure. One leads and listens, the others wait for its Lease.
 */
type Cluster = Readonly<Record<'namespace' | 'name', string>>

export function jobManagersOf({ jobManager }: ClusterSpec): number {
  return jobManager?.replicas ?? 1
}

export function hasStandby(spec: ClusterSpec): boolean {
  return jobManagersOf(spec) > 1
}

/** What the options of such a cluster are beside those of its spec, which may not set them. No namespace has a dot in its name: clusters that share a store have ids of their own. */
export function standbyOptions({ namespace, name }: Cluster, spec: ClusterSpec): Readonly<Record<string, string>> {
  if (!hasStandby(spec)) return {}
  return { 'high-availability.type': 'kubernetes', 'high-availability.cluster-id': `${namespace}.${name}` }
}

/** As JobManagers name it by their options (bin/leadership.ts). */
export function leaseNameOf({ namespace, name }: Cluster): string {
  return `${namespace}.${name}-leader`
}
