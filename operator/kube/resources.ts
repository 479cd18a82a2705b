import { definitions, VERSION } from '../api/crd.ts'
import { API_GROUP, API_VERSION } from '../api/fields.ts'
import { KubeError, type KubeObject, type ResourceType } from './object-api.ts'

/** The kinds of objects that the operator reads and writes. */
const ours = Object.fromEntries(definitions.map(({ kind, plural }) => [kind, { group: API_GROUP, version: VERSION, plural, kind }]))

function kind(group: string, version: string, plural: string, name: string): ResourceType {
  return { group, version, plural, kind: name }
}

/** Made once of a literal list of kinds: one that is missing is a mistake of ours. */
function own(name: string): ResourceType {
  const type = ours[name]
  if (type === undefined) throw new Error(`${API_VERSION} has no kind ${name}`)
  return type
}

export const flinkJobs = own('FlinkJob')
export const flinkSessions = own('FlinkSession')
export const flinkSnapshots = own('FlinkSnapshot')
export const configMaps = kind('', 'v1', 'configmaps', 'ConfigMap')
export const secrets = kind('', 'v1', 'secrets', 'Secret')
/** Those of other people, which FlinkJobs refer to: what is in them is asked for where it is needed, and of Secrets never. */
export const referredConfigMaps: ResourceType = { ...configMaps, isMetadataOnly: true }
export const referredSecrets: ResourceType = { ...secrets, isMetadataOnly: true }
export const services = kind('', 'v1', 'services', 'Service')
export const pods = kind('', 'v1', 'pods', 'Pod')
export const statefulSets = kind('apps', 'v1', 'statefulsets', 'StatefulSet')
export const controllerRevisions = kind('apps', 'v1', 'controllerrevisions', 'ControllerRevision')
export const ingresses = kind('networking.k8s.io', 'v1', 'ingresses', 'Ingress')
export const networkPolicies = kind('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy')
export const leases = kind('coordination.k8s.io', 'v1', 'leases', 'Lease')
export const serviceAccounts = kind('', 'v1', 'serviceaccounts', 'ServiceAccount')
export const roles = kind('rbac.authorization.k8s.io', 'v1', 'roles', 'Role')
export const roleBindings = kind('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding')
export const events = kind('events.k8s.io', 'v1', 'events', 'Event')

export const resourceTypes: readonly ResourceType[] = [
  flinkJobs,
  flinkSessions,
  flinkSnapshots,
  configMaps,
  secrets,
  services,
  pods,
  statefulSets,
  controllerRevisions,
  ingresses,
  networkPolicies,
  leases,
  serviceAccounts,
  roles,
  roleBindings,
  events,
]

export function apiVersionOf({ group, version }: ResourceType): string {
  return group === '' ? version : `${group}/${version}`
}

export function typeOf({ apiVersion, kind: name }: Pick<KubeObject, 'apiVersion' | 'kind'>): ResourceType {
  const type = resourceTypes.find(each => each.kind === name && apiVersionOf(each) === apiVersion)
  if (type === undefined) throw new KubeError('NotFound', `kind ${name} of ${apiVersion} is not served`)
  return type
}

const withStatus = new Set([flinkJobs, flinkSessions, flinkSnapshots, pods, statefulSets, services, ingresses])
const withGeneration = new Set([flinkJobs, flinkSessions, flinkSnapshots, pods, statefulSets, ingresses, networkPolicies])

/** Their status is written beside the rest of them. */
export function hasStatus(type: ResourceType): boolean {
  return withStatus.has(type)
}

/** Changes of their spec are counted. */
export function hasGeneration(type: ResourceType): boolean {
  return withGeneration.has(type)
}
