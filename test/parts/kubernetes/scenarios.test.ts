import { afterAll, beforeAll, expect, test } from 'vitest'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { KubeError, type KubeObject } from '../../../operator/kube/object-api.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { runComparably } from '../../scenarios/comparison.ts'
import { kubernetesWorld } from '../../scenarios/kubernetes-world.ts'
import { limited } from '../../scenarios/limited.ts'
import { scenarios } from '../../scenarios/table.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'

/** The table of scenarios on a real kube-apiserver with etcd: each comes to what the simulation comes to. A namespace a scenario, many at once. */
const AT_ONCE = 8
const TIMEOUT_MS = 900_000
const turn = limited(AT_ONCE)

let plane: KubeControlPlane
let api: KubeApi
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
  api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock: systemClock, random: systemRandom })
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
})

async function bind({ metadata: { name, namespace } }: KubeObject): Promise<void> {
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target: { apiVersion: 'v1', kind: 'Node', name: 'node-1' } }
  await plane.call('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, binding)
}

async function apply(object: KubeObject): Promise<void> {
  const { namespace, name } = object.metadata
  const path = `/apis/millrace.dev/v1alpha1/namespaces/${namespace}/flinkjobs/${name}?fieldManager=kubectl&fieldValidation=Strict`
  const { status, body } = await plane.call('PATCH', path, object, { contentType: 'application/apply-patch+yaml' })
  if (status >= 300) throw new KubeError('Invalid', (body as { readonly message: string }).message)
}

const compared = new Set<string>()

for (const [number, scenario] of scenarios.entries()) {
  if (scenario.absent?.kubernetes !== undefined) continue
  test.concurrent(scenario.name, { timeout: TIMEOUT_MS }, () =>
    turn(async () => {
      const namespace = `scenario-${number}`
      await plane.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      await using world = await kubernetesWorld({ server: api, namespace, apply, bind })
      const { found, wanted, unnamed } = await runComparably(scenario, world, 'kubernetes')
      expect(found).toEqual(wanted)
      expect(unnamed).toEqual([])
      expect(world.violations()).toEqual([])
      compared.add(scenario.name)
    }),
  )
}

test('at least 60 scenarios come to the same on a real API server as in the simulation', () => {
  expect(compared.size).toBeGreaterThanOrEqual(60)
})
