import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHART } from '../../../bin/chart.ts'
import { networkPolicySettings } from '../../../operator/effects/kubernetes/network-policy.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { OperatorMetrics } from '../../../operator/manager/metrics.ts'
import { rendered, runHelm, valuesArgs } from '../../support/helm.ts'

/** The chart by helm alone; test/parts/chart/install.test.ts installs it. */
const home = mkdtempSync(join(tmpdir(), 'millrace-helm-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const everything = {
  replicas: 2,
  podDisruptionBudget: { enabled: true },
  networkPolicies: { enabled: true },
  evictions: { enabled: true },
  metrics: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true }, dashboard: { enabled: true } },
}
const lint = (values: object) => runHelm(['lint', '--strict', CHART, ...valuesArgs(values)], home)
type Found<Spec> = KubeObject & { readonly spec: Spec }

/** Rejects where there is none. */
function found<Spec>(objects: readonly KubeObject[], kind: string, name: string): Found<Spec> {
  const object = objects.find(each => each.kind === kind && each.metadata.name === name)
  if (object === undefined) throw new Error(`the chart makes no ${kind} ${name}`)
  return object as Found<Spec>
}
const kinds = (objects: readonly KubeObject[]) => [...new Set(objects.map(({ kind }) => kind))].sort()

interface PodSpec {
  readonly securityContext: object
  readonly containers: readonly { readonly image: string; readonly args: readonly string[]; readonly securityContext: object }[]
}
interface Rule {
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

interface Webhook {
  readonly clientConfig: object
}

interface DeploymentSpec {
  readonly selector: { readonly matchLabels: object }
  readonly template: { readonly spec: PodSpec }
}

function operatorPod(objects: readonly KubeObject[]): PodSpec {
  return found<DeploymentSpec>(objects, 'Deployment', 'millrace-operator').spec.template.spec
}

test('helm lint --strict finds nothing, as it is and with everything on', async () => {
  expect(await lint({})).toContain('0 chart(s) failed')
  expect(await lint(everything)).toContain('0 chart(s) failed')
})

describe('values.schema.json', () => {
  test.each([
    ['a value that is not there', { replcas: 2 }, 'replcas'],
    ['one in a group', { image: { tga: '1' } }, 'tga'],
    ['one of another kind', { replicas: 'two' }, 'replicas'],
    ['one out of range', { replicas: 0 }, 'replicas'],
    ['a digest that is none', { image: { digest: 'sha256:1' } }, 'digest'],
    ['a choice that there is not', { image: { pullPolicy: 'Sometimes' } }, 'pullPolicy'],
  ])('%s is refused by name', async (_what, values, name) => {
    await expect(rendered(values, home)).rejects.toThrow(name)
  })
})

/** Of each value that is no switch for something that has a test of its own: another one, and what changes. */
const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema
interface Schema {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly default?: unknown
  readonly pattern?: string
  readonly properties?: Readonly<Record<string, Schema>>
}
const leaves = (at: Schema, path: readonly string[] = []): readonly (readonly [path: string, leaf: Schema])[] =>
  Object.entries(at.properties ?? {}).flatMap(([name, inner]) =>
    name === 'global'
      ? []
      : inner.properties === undefined || inner.default !== undefined
        ? [[[...path, name].join('.'), inner] as const]
        : leaves(inner, [...path, name]),
  )

function otherValue(path: string, { type, enum: values, default: before, pattern, anyOf }: Schema): unknown {
  if (path === 'watchNamespaces') return ['a']
  if (path === 'extraObjects') return [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'extra' } }]
  if (values !== undefined) return values.find(value => value !== before)
  if (pattern?.includes('sha256') === true) return `sha256:${'0'.repeat(64)}`
  if (anyOf !== undefined || type === 'integer') return (before as number) + 1
  return { boolean: before !== true, string: 'other', object: { other: 'value' }, array: [{ name: 'other' }] }[type ?? '']
}

/** Without what helm draws anew each time. */
const steady = (objects: readonly KubeObject[]) =>
  objects
    .filter(({ kind }) => kind !== 'ValidatingWebhookConfiguration')
    .map(object => (object.kind === 'Secret' ? { ...object, data: Object.keys(object['data'] as object) } : object))

/** Most switches are on, so that what they switch is used; accounts that are there already have a name. */
const switchedOn = { ...everything, serviceAccount: { name: 'account' } }
let withAll: readonly KubeObject[]
beforeAll(async () => {
  withAll = await rendered(switchedOn, home)
})

test.each(leaves(schema))('value %s is used', async (path, leaf) => {
  const isSwitch = leaf.default === false || path === 'replicas'
  const [base, before] = isSwitch ? [{}, await rendered({}, home)] : [switchedOn, withAll]
  expect(steady(await rendered({ ...base, [path]: otherValue(path, leaf) }, home))).not.toEqual(steady(before))
})

test('of the whole cluster: a ClusterRole; of namespaces: a Role in each, and no ClusterRole', async () => {
  expect(kinds(await rendered({}, home))).toContain('ClusterRole')
  const objects = await rendered({ watchNamespaces: ['a', 'b'] }, home)
  expect(kinds(objects)).not.toContain('ClusterRole')
  expect(kinds(objects)).not.toContain('ClusterRoleBinding')
  for (const kind of ['Role', 'RoleBinding'])
    expect(
      objects.filter(({ kind: each, metadata }) => each === kind && metadata.name === 'millrace-operator').map(({ metadata }) => metadata.namespace),
    ).toEqual(['a', 'b'])
  expect(operatorPod(objects).containers[0]?.args).toEqual(expect.arrayContaining(['--namespace=a', '--namespace=b']))
})

test('evictions: of pods of the namespaces that are looked after, answered by who is trusted, and never held by an operator that is away', async () => {
  const objects = await rendered({ evictions: { enabled: true }, watchNamespaces: ['a', 'b'] }, home)
  const [webhook] = found<never>(objects, 'ValidatingWebhookConfiguration', 'millrace-operator-system')['webhooks'] as readonly Webhook[]
  const secret = found<never>(objects, 'Secret', 'millrace-operator-evictions')['data'] as Readonly<Record<string, string>>
  const path = Buffer.from(secret['path'] ?? '', 'base64').toString()
  expect(path).toMatch(/^[a-z0-9]{40}$/)
  expect(webhook).toMatchObject({
    failurePolicy: 'Ignore',
    rules: [{ operations: ['CREATE'], resources: ['pods/eviction'] }],
    namespaceSelector: { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['a', 'b'] }] },
    clientConfig: { caBundle: secret['ca.crt'], service: { name: 'millrace-operator-evictions', port: 443, path: `/${path}` } },
  })
  const [authority, certificate] = ['ca.crt', 'tls.crt'].map(name => new X509Certificate(Buffer.from(secret[name] ?? '', 'base64')))
  expect(authority !== undefined && certificate?.checkIssued(authority)).toBe(true)
  expect(certificate?.checkHost('millrace-operator-evictions.system.svc')).toBeDefined()
  expect(operatorPod(objects).containers[0]?.args).toContain('--evictions=/etc/millrace-evictions')
})

test('secrets are never listed, and nothing is allowed by a star', async () => {
  const objects = await rendered(everything, home)
  const rules = objects.flatMap(object => (object['rules'] ?? []) as readonly Rule[])
  expect(rules.length).toBeGreaterThan(10)
  for (const { resources, verbs } of rules) {
    expect([...resources, ...verbs]).not.toContain('*')
    if (resources.includes('secrets')) expect(verbs).not.toEqual(expect.arrayContaining([expect.stringMatching(/list|watch|delete/)]))
  }
})

test('every pod keeps to the restricted Pod Security standard', async () => {
  const objects = await rendered(everything, home)
  const pods = [operatorPod(objects), found<PodSpec>(objects, 'Pod', 'millrace-test').spec]
  for (const { securityContext, containers } of pods) {
    expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    for (const container of containers)
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
  }
})

test('a digest pins both images', async () => {
  const [own, ofJobs] = ['a', 'b'].map(digit => `sha256:${digit.repeat(64)}`)
  const objects = await rendered({ image: { digest: own, repository: 'example/op' }, runtimeImage: { digest: ofJobs, tag: '2' } }, home)
  expect(operatorPod(objects).containers[0]).toMatchObject({
    image: `example/op@${own}`,
    args: expect.arrayContaining([`--image=millrace@${ofJobs}`]) as unknown,
  })
  expect(found<PodSpec>(objects, 'Pod', 'millrace-test').spec.containers[0]?.image).toBe(`example/op@${own}`)
})

test('objects of your own come along, as maps and as texts, with templates in them', async () => {
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-map' } }
  const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\n'
  const objects = await rendered({ extraObjects: [map, text] }, home)
  expect(found(objects, 'ConfigMap', 'millrace-map')).toBeDefined()
  expect(found(objects, 'ConfigMap', 'millrace-text')).toBeDefined()
})

test('a disruption budget selects the pods of the operator', async () => {
  const objects = await rendered({ replicas: 2, podDisruptionBudget: { enabled: true, maxUnavailable: '50%' } }, home)
  const { matchLabels } = found<DeploymentSpec>(objects, 'Deployment', 'millrace-operator').spec.selector
  expect(found(objects, 'PodDisruptionBudget', 'millrace-operator').spec).toEqual({ maxUnavailable: '50%', selector: { matchLabels } })
})

test('with NetworkPolicies the operator and the test may speak with the API server, DNS and what is named, and nobody else; jobs get the same by the operator', async () => {
  const egress = [{ to: [{ ipBlock: { cidr: '10.0.0.0/24' } }] }]
  const objects = await rendered(
    { networkPolicies: { enabled: true, egress, restFrom: [{ podSelector: {} }], metricsFrom: [{ podSelector: {} }] } },
    home,
  )
  const { spec } = found<{ readonly egress: readonly object[]; readonly policyTypes: readonly string[] }>(
    objects,
    'NetworkPolicy',
    'millrace-operator',
  )
  expect(spec.policyTypes).toEqual(['Ingress', 'Egress'])
  expect(spec.egress).toHaveLength(4)
  expect(spec.egress.at(-1)).toEqual(egress[0])
  const { data } = found(objects, 'ConfigMap', 'millrace-operator-network-policies') as unknown as { readonly data: Record<string, string> }
  expect(networkPolicySettings(data['network-policies.yaml'] ?? '', 'network-policies.yaml')).toEqual({
    operator: { namespace: 'system', podLabels: { 'app.kubernetes.io/name': 'millrace-operator', 'app.kubernetes.io/instance': 'millrace' } },
    restFrom: [{ podSelector: {} }],
    egress,
    apiServer: [{ ports: [443, 6443].map(port => ({ protocol: 'TCP', port })) }],
  })
  expect(operatorPod(objects).containers[0]?.args).toContain('--network-policies=/etc/millrace/network-policies.yaml')
  expect(kinds(await rendered({}, home))).not.toContain('NetworkPolicy')
})

test('alerts and dashboard ask for metrics that there are, and nothing of it is made unless asked for', async () => {
  expect(kinds(await rendered({}, home))).not.toEqual(expect.arrayContaining([expect.stringMatching(/ServiceMonitor|PrometheusRule/)]))
  const objects = await rendered(everything, home)
  const metrics = new OperatorMetrics({ nowMs: () => 0 }, ['FlinkJob'])
  const there = new Set(
    (await metrics.registry.getMetricsAsJSON()).flatMap(({ name }) => [name, ...['bucket', 'count', 'sum'].map(part => `${name}_${part}`)]),
  )
  const { data } = found(objects, 'ConfigMap', 'millrace-operator-dashboard') as unknown as { readonly data: Record<string, string> }
  const { panels } = JSON.parse(data['millrace-operator.json'] ?? '') as {
    readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[]
  }
  const { groups } = found<{
    readonly groups: readonly { readonly rules: readonly { readonly expr: string }[] }[]
  }>(objects, 'PrometheusRule', 'millrace-operator').spec
  const asked = [...panels.flatMap(({ targets }) => targets), ...groups.flatMap(({ rules }) => rules)].flatMap(
    ({ expr }) => expr.match(/millrace_\w+/g) ?? [],
  )
  expect(asked.length).toBeGreaterThan(12)
  expect(asked.filter(name => !there.has(name))).toEqual([])
  const service = found(objects, 'Service', 'millrace-operator-metrics')
  const monitor = found<{ readonly selector: { readonly matchLabels: object } }>(objects, 'ServiceMonitor', 'millrace-operator').spec
  expect(service.metadata.labels).toMatchObject(monitor.selector.matchLabels)
})
