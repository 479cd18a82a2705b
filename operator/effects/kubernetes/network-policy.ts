import { parse } from 'yaml'
import { z } from 'zod'
import { FlinkError } from '../../../runtime/common/errors.ts'
import { KIND as JOB_KIND } from '../../api/flink-job.ts'
import { SESSION_KIND } from '../../api/flink-session.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { type ClusterOwner, MANAGED_BY, metadataOf, names, selectorLabels } from './objects.ts'
import { PORTS } from './pod-specs.ts'

/**
 * Who pods of a cluster may speak with, as a NetworkPolicy <name>-job or <name>-session of each (decision 0041): with each other, with the operator, with DNS, and with what the operator's settings
 * name; nobody else. JobManagers that stand by reach the API server besides, by a policy of their own. Pods that plan and upload programs are of their job.
 */
const rules = z.array(z.looseObject({}))
const settings = z.strictObject({
  /** The pods of the operator, who ask REST. */
  operator: z.strictObject({ namespace: z.string(), podLabels: z.record(z.string(), z.string()) }),
  /** NetworkPolicyPeers who may ask REST besides: an ingress controller, people's tools. */
  restFrom: rules.default([]),
  /** NetworkPolicyEgressRules of all pods: brokers, stores. */
  egress: rules.default([]),
  /** NetworkPolicyEgressRules of JobManagers that stand by: the API server. */
  apiServer: rules.default([]),
})

export type NetworkPolicySettings = z.infer<typeof settings>

/** Of a file, in YAML; INVALID_CONFIGURATION names it and the field. */
export function networkPolicySettings(text: string, path: string): NetworkPolicySettings {
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `${path}: ${(error as Error).message}`, {}, error)
  }
  const parsed = settings.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(issue => `${path}: ${issue.path.length === 0 ? 'the whole file' : issue.path.join('.')}: ${issue.message}`)
  throw new FlinkError('INVALID_CONFIGURATION', problems.join('\n'))
}

/** JobManagers that stand by ask the API server for their Lease; no other pod of a cluster has anything to ask there. */
export function standbyPolicyOf(owner: ClusterOwner, { apiServer }: NetworkPolicySettings): KubeObject {
  const { podSelector } = podsWith(selectorLabels(owner, 'jobmanager'))
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { ...metadataOf(owner, names.jobManager(owner.name)), namespace: owner.namespace },
    spec: { podSelector, policyTypes: ['Egress'], egress: apiServer },
  }
}

type Peer = Readonly<Record<string, unknown>>

/** `sessionName`: of a job without pods of its own but those that plan and upload its program. */
export function networkPolicyOf(owner: ClusterOwner, { operator, restFrom, egress }: NetworkPolicySettings, sessionName?: string): KubeObject {
  const { name, kind, namespace } = owner
  const own = podsWith(selectorLabels(owner))
  const [rest, all] = [portsOf(PORTS.rest), portsOf(PORTS.rest, PORTS.rpc, PORTS.data)]
  const ofOperator = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': operator.namespace } },
    podSelector: { matchLabels: operator.podLabels },
  }
  const uploaders = podsWith({ ...MANAGED_BY, 'app.kubernetes.io/component': 'uploader' })
  const session = sessionName === undefined ? [] : [{ to: [podsWith(selectorLabels({ kind: SESSION_KIND, name: sessionName }))], ports: rest }]
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { ...metadataOf(owner, `${name}-${kind === JOB_KIND ? 'job' : 'session'}`), namespace },
    spec: {
      podSelector: own.podSelector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: [own], ports: all },
        { from: [ofOperator, ...restFrom, ...(kind === SESSION_KIND ? [uploaders] : [])], ports: rest },
      ],
      egress: [{ to: [own], ports: all }, ...session, { ports: ['UDP', 'TCP'].map(protocol => ({ protocol, port: DNS })) }, ...egress],
    },
  }
}

const DNS = 53

function podsWith(matchLabels: Readonly<Record<string, string>>): Peer & { readonly podSelector: object } {
  return { podSelector: { matchLabels } }
}

function portsOf(...ports: readonly number[]) {
  return ports.map(port => ({ protocol: 'TCP', port }))
}
