import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crdFiles } from '../../../bin/crds.ts'
import { definitions } from '../../../operator/api/crd.ts'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { LocalApiServer } from '../../../operator/kube/local-api-server.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { configMaps } from '../../../operator/kube/resources.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { seededRandom, systemRandom } from '../../../runtime/common/random.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { objectApiContract } from '../../support/object-api-contract.ts'
import { RandomWriter } from '../../support/random-writes.ts'

/** KubeApi against a real kube-apiserver and etcd. Owners are not looked after there: kube-controller-manager does that, and does not run. */
let plane: KubeControlPlane
let api: KubeApi
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  for (const [, text] of crdFiles()) await plane.kubectl(['apply', '--server-side', '-f', '-'], text)
  for (const { plural } of definitions) await plane.kubectl(['wait', '--for=condition=Established', `crd/${plural}.millrace.dev`, '--timeout=30s'])
  api = client()
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
})

const client = (token = plane.token) => new KubeApi({ auth: withToken(plane.url, token, plane.ca), clock: systemClock, random: systemRandom })
const configMap = (name: string, data: Readonly<Record<string, string>> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
})

describe('the contract of API servers', () => {
  const compact = async () => {
    await plane.compactEtcd()
    // The API server has a memory of its own, which goes further back.
    await plane.restartApiServer()
  }
  objectApiContract(() => ({ api, compact }))
})

test('lists are put together from pages', async () => {
  const label = 'many'
  const names = Array.from({ length: 1_203 }, (_, n) => `many-${String(n).padStart(4, '0')}`)
  for (let at = 0; at < names.length; at += 50)
    await Promise.all(
      names.slice(at, at + 50).map(name => api.create({ ...configMap(name), metadata: { name, namespace: 'default', labels: { test: label } } })),
    )
  const { items } = await api.list(configMaps, { labels: { test: label } })
  expect(items.map(({ metadata }) => metadata.name)).toEqual(names)
})

test('who is not known, and who may not', async () => {
  const [unknown, stranger] = [client('nobody'), client(plane.strangerToken)]
  await expect(unknown.list(configMaps)).rejects.toMatchObject({ reason: 'Unauthorized' })
  await expect(stranger.list(configMaps)).rejects.toMatchObject({ reason: 'Forbidden', message: expect.stringContaining('configmaps is forbidden') })
  for (const each of [unknown, stranger]) each.close()
})

test('what the schema refuses is named with its field', async () => {
  const bad = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name: 'bad', namespace: 'default' },
    spec: { job: { sql: 'SELECT 1', parallelism: 0 } },
  }
  await expect(api.create(bad)).rejects.toMatchObject({ reason: 'Invalid', message: expect.stringContaining('spec.job.parallelism') })
})

test('an API server that is restarted: watches break, calls wait for it, and nothing is lost', async () => {
  const made = await api.create(configMap('restarted', { a: '1' }))
  const broken = (async () => {
    for await (const event of api.watch(configMaps, { resourceVersion: made.metadata.resourceVersion as string }, new AbortController().signal))
      if (event.type === 'BOOKMARK') continue
    return 'ended'
  })().catch((error: unknown) => error)
  const [, , found] = await Promise.all([plane.restartApiServer(), broken, broken.then(() => api.get(configMaps, 'default', 'restarted'))])
  expect(found).toEqual(made)
})

test('random writes are answered by LocalApiServer as by a real API server', async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const local = new LocalApiServer({ clock: systemClock, random: seededRandom(seed) })
    const [real, ours] = [api, local].map(each => new RandomWriter(each, seededRandom(seed), `random-${seed}`)) as [RandomWriter, RandomWriter]
    const asked: string[] = []
    for (let step = 0; step < 200; step++) {
      const [expected, found] = [await real.step(), await ours.step()]
      asked.push(expected)
      expect(found, `seed ${seed}, after\n${asked.slice(-20).join('\n')}`).toBe(expected)
    }
    expect(await ours.objects()).toEqual(await real.objects())
  }
})
