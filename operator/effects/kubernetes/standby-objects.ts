import type { ClusterSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { type ClusterOwner, metadataOf, names } from './objects.ts'
import { hasStandby, leaseNameOf } from './standby.ts'

/**
 * What JobManagers that stand by need of the API server, as it shall be: pure.
 *
 *   ServiceAccount <name>-jm             of their pods alone; where the spec names one, that one is bound instead
 *   Role, RoleBinding <name>-jm          to read and patch one Lease, and nothing else: `create` knows no names, so
 *   Lease <namespace>.<name>-leader      is made by the operator; what is in it is theirs
 */
export function standbyObjects(owner: ClusterOwner, spec: ClusterSpec): readonly KubeObject[] {
  if (!hasStandby(spec)) return []
  const name = names.jobManager(owner.name)
  const metadata = metadataOf(owner, name, 'jobmanager')
  const account = spec.serviceAccount ?? name
  // Who wants a token asks for it: our container does, others in its pods do not get it.
  const own: KubeObject = { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false }
  return [
    ...(spec.serviceAccount === undefined ? [own] : []),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [leaseNameOf(owner)], verbs: ['get', 'patch'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace: owner.namespace }],
    },
  ]
}

/** Nobody's yet: the first JobManager that asks for it leads. */
export function leaderLease(owner: ClusterOwner): KubeObject {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: metadataOf(owner, leaseNameOf(owner), 'jobmanager') }
}
