import { expect, test } from 'vitest'
import type { KubeObject } from '../operator/kube/object-api.ts'
import { rulesOf, without } from './support/network-policies.ts'

const namespaces = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'jobs', namespace: '', labels: { team: 'a' } } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other', namespace: '', labels: { team: 'b' } } },
]

function pod(
  name: string,
  podIP: string,
  more: { readonly namespace?: string; readonly phase?: string; readonly hostNetwork?: boolean } = {},
): KubeObject {
  const { namespace = 'jobs', phase = 'Running', hostNetwork = false } = more
  const containers = [{ ports: [{ name: 'rest', containerPort: 8081 }] }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { hostNetwork, containers },
    status: { podIP, phase },
  }
}

function policy(spec: object): KubeObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'policy', namespace: 'jobs' }, spec }
}

const server = pod('server', '10.0.0.1')
const client = pod('client', '10.0.0.2')
const stranger = pod('client', '10.0.0.3', { namespace: 'other' })
const app = (name: string) => ({ matchLabels: { app: name } })

/** What the chain of this direction lets through, beside the pod itself. */
function allowed(chain: string, ...policies: readonly KubeObject[]): readonly string[] {
  const { text } = rulesOf({ policies, pods: [server, client, stranger], namespaces })
  const rules = text.split('\n').filter(line => line.startsWith(`-A ${chain} `))
  expect(rules.at(-1)).toBe(`-A ${chain} -j ${chain.replace(/-([IE])-/, '-X$1-')}`)
  return rules.slice(1, -1).map(line => line.slice(`-A ${chain} `.length).replace(/ ?-j RETURN$/, ''))
}

const ingress = (rules: readonly object[]) => policy({ podSelector: app('server'), policyTypes: ['Ingress'], ingress: rules })
const egress = (rules: readonly object[]) => policy({ podSelector: app('client'), policyTypes: ['Egress'], egress: rules })
const [INTO_SERVER, FROM_CLIENT] = ['MILLRACE-I-10.0.0.1', 'MILLRACE-E-10.0.0.2']

test('only pods that a policy selects are isolated, in the directions that it names', () => {
  const chains = (...policies: readonly KubeObject[]) => rulesOf({ policies, pods: [server, client, stranger], namespaces }).refusals
  expect(chains()).toEqual([])
  expect(chains(policy({ podSelector: {} }))).toEqual(['MILLRACE-XI-10.0.0.1', 'MILLRACE-XI-10.0.0.2'])
  expect(chains(policy({ podSelector: app('client'), egress: [] }))).toEqual(['MILLRACE-XE-10.0.0.2', 'MILLRACE-XI-10.0.0.2'])
  expect(chains(egress([]))).toEqual(['MILLRACE-XE-10.0.0.2'])
  const gone = [pod('server', '10.0.0.1', { phase: 'Succeeded' }), pod('server', '10.99.0.1', { hostNetwork: true })]
  expect(rulesOf({ policies: [ingress([])], pods: gone, namespaces }).refusals).toEqual([])
})

test.each<{ what: string; rules: readonly object[]; lets: readonly string[] }>([
  { what: 'no rule: nobody', rules: [], lets: [] },
  { what: 'an empty rule: anybody', rules: [{}], lets: [''] },
  { what: 'pods of the policy’s namespace', rules: [{ from: [{ podSelector: app('client') }] }], lets: ['-s 10.0.0.2/32'] },
  { what: 'all pods of namespaces', rules: [{ from: [{ namespaceSelector: { matchLabels: { team: 'b' } } }] }], lets: ['-s 10.0.0.3/32'] },
  {
    what: 'both have to hold',
    rules: [{ from: [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists' }] }, podSelector: app('client') }] }],
    lets: ['-s 10.0.0.2/32', '-s 10.0.0.3/32'],
  },
  {
    what: 'expressions',
    rules: [{ from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['server'] }] } }] }],
    lets: ['-s 10.0.0.2/32'],
  },
  {
    what: 'ports: each with each peer, named ones as the pod has them, TCP unless said',
    rules: [{ from: [{ podSelector: app('client') }], ports: [{ port: 'rest' }, { protocol: 'UDP', port: 53, endPort: 54 }, { port: 'unknown' }] }],
    lets: ['-s 10.0.0.2/32 -p tcp --dport 8081', '-s 10.0.0.2/32 -p udp --dport 53:54'],
  },
  {
    what: 'a block with a hole',
    rules: [{ from: [{ ipBlock: { cidr: '10.1.0.0/30', except: ['10.1.0.1/32'] } }] }],
    lets: ['-s 10.1.0.0/32', '-s 10.1.0.2/31'],
  },
])('into a pod: $what', ({ rules, lets }) => {
  expect(allowed(INTO_SERVER, ingress(rules))).toEqual(lets)
})

test('out of a pod: ports are named by who listens; several policies add up', () => {
  const toServer = egress([{ to: [{ podSelector: app('server') }], ports: [{ port: 'rest' }] }])
  const dns = egress([{ ports: [{ protocol: 'UDP', port: 53 }] }])
  expect(allowed(FROM_CLIENT, toServer)).toEqual(['-d 10.0.0.1/32 -p tcp --dport 8081'])
  expect(allowed(FROM_CLIENT, toServer, dns)).toEqual(['-d 10.0.0.1/32 -p tcp --dport 8081', '-p udp --dport 53'])
})

test('a block without others covers what it should and nothing else', () => {
  expect(without(['10.0.0.0/8'], ['11.0.0.0/8'])).toEqual(['10.0.0.0/8'])
  expect(without(['10.0.0.0/8'], ['0.0.0.0/0'])).toEqual([])
  expect(without(['0.0.0.0/0'], ['128.0.0.0/1', '64.0.0.0/2'])).toEqual(['0.0.0.0/2'])
  expect(without(['255.255.255.252/30'], ['255.255.255.255/32'])).toEqual(['255.255.255.252/31', '255.255.255.254/32'])
})
