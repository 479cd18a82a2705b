import { expect, test } from 'vitest'
import { clusterInput, fullSpec } from '../../../test/support/kubernetes-cluster.ts'
import { networkPolicyOf, networkPolicySettings, standbyPolicyOf } from './network-policy.ts'

const { owner } = clusterInput(fullSpec)
const file = `
operator: { namespace: system, podLabels: { app: operator } }
restFrom: [{ namespaceSelector: { matchLabels: { zone: web } } }]
egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/24 } }], ports: [{ port: 9092 }] }]
apiServer: [{ ports: [{ port: 6443 }] }]
`
const settings = networkPolicySettings(file, 'policies.yaml')
const port = (number: number, protocol = 'TCP') => ({ protocol, port: number })
const own = { podSelector: { matchLabels: { 'millrace.dev/job': 'words' } } }

test('a job speaks with itself, with the operator, with DNS, and with what the file names', () => {
  expect(networkPolicyOf(owner, settings)).toMatchObject({
    kind: 'NetworkPolicy',
    metadata: { name: 'words-job', namespace: 'jobs', ownerReferences: [{ uid: owner.uid }] },
    spec: {
      ...own,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: [own], ports: [port(8081), port(6123), port(6122)] },
        {
          from: [
            { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'system' } }, podSelector: { matchLabels: { app: 'operator' } } },
            { namespaceSelector: { matchLabels: { zone: 'web' } } },
          ],
          ports: [port(8081)],
        },
      ],
      egress: [
        { to: [own], ports: [port(8081), port(6123), port(6122)] },
        { ports: [port(53, 'UDP'), port(53)] },
        { to: [{ ipBlock: { cidr: '10.0.0.0/24' } }], ports: [{ port: 9092 }] },
      ],
    },
  })
})

test('pods that upload programs reach REST of the session, from any job of its namespace', () => {
  const ofJob = networkPolicyOf(owner, settings, 'shared').spec as { readonly egress: readonly object[] }
  expect(ofJob.egress[1]).toEqual({ to: [{ podSelector: { matchLabels: { 'millrace.dev/session': 'shared' } } }], ports: [port(8081)] })
  const session = networkPolicyOf({ ...owner, kind: 'FlinkSession', name: 'shared' }, settings)
  expect(session.metadata.name).toBe('shared-session')
  const { ingress } = session.spec as { readonly ingress: readonly { readonly from: readonly object[] }[] }
  expect(ingress[1]?.from.at(-1)).toEqual({
    podSelector: { matchLabels: { 'app.kubernetes.io/managed-by': 'millrace', 'app.kubernetes.io/component': 'uploader' } },
  })
})

test('JobManagers that stand by reach the API server besides, no other pod does', () => {
  expect(standbyPolicyOf(owner, settings)).toMatchObject({
    metadata: { name: 'words-jm', namespace: 'jobs', ownerReferences: [{ uid: owner.uid }] },
    spec: {
      podSelector: { matchLabels: { 'millrace.dev/job': 'words', 'app.kubernetes.io/component': 'jobmanager' } },
      policyTypes: ['Egress'],
      egress: [{ ports: [{ port: 6443 }] }],
    },
  })
})

test('a file that does not hold is refused with the field', () => {
  expect(() => networkPolicySettings('operator: [', 'policies.yaml')).toThrow('policies.yaml: ')
  expect(() => networkPolicySettings('egress: []', 'policies.yaml')).toThrow('policies.yaml: operator: ')
  expect(() => networkPolicySettings(`${file}egres: []`, 'policies.yaml')).toThrow('"egres"')
})
