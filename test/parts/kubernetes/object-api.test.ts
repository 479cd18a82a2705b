import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { LocalApiServer } from '../../../operator/kube/local-api-server.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { configMaps, flinkJobs } from '../../../operator/kube/resources.ts'
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
  await plane.installDefinitions()
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

test('an answer that is lost: the write is done, its outcome is called unknown, and repeating it shows what it was', async () => {
  await using proxy = await LosingProxy.start(plane)
  const through = new KubeApi({ auth: withToken(proxy.url, undefined), clock: systemClock, random: systemRandom })
  const lost = async (write: Promise<unknown>) => expect(write).rejects.toMatchObject({ reason: 'OutcomeUnknown' })
  const read = () => api.get(flinkJobs, 'default', 'lost')
  const job = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', metadata: { name: 'lost', namespace: 'default' } }

  proxy.isLosing = true
  await lost(through.create({ ...job, spec: { job: { sql: 'SELECT 1' } } }))
  const made = await read()
  await lost(through.updateStatus({ ...made, status: { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [] } }))
  const written = await read()
  expect(written.status).toMatchObject({ lifecycleState: 'CREATED' })
  await lost(through.apply({ ...job, spec: { job: { sql: 'SELECT 2' } } }, 'one'))
  expect((await read()).spec).toMatchObject({ job: { sql: 'SELECT 2' } })
  await lost(through.patchMetadata(await read(), { labels: { a: 'b' } }))
  const labelled = await read()
  expect(labelled.metadata.labels).toEqual({ a: 'b' })

  proxy.isLosing = false
  await expect(through.create({ ...job, spec: { job: { sql: 'SELECT 1' } } })).rejects.toMatchObject({ reason: 'AlreadyExists' })
  await expect(through.updateStatus(made)).rejects.toMatchObject({ reason: 'Conflict' })
  await expect(through.patchMetadata(written, { labels: { a: 'b' } })).rejects.toMatchObject({ reason: 'Conflict' })
  expect(await through.apply({ ...job, spec: { job: { sql: 'SELECT 2' } } }, 'one')).toEqual(labelled)

  proxy.isLosing = true
  await lost(through.delete(flinkJobs, 'default', 'lost'))
  await expect(read()).rejects.toMatchObject({ reason: 'NotFound' })
  proxy.isLosing = false
  await expect(through.delete(flinkJobs, 'default', 'lost')).rejects.toMatchObject({ reason: 'NotFound' })
  through.close()
})

/** Hands on what it is asked, and says nothing of the answer while it is losing. */
class LosingProxy implements AsyncDisposable {
  isLosing = false
  readonly url: string
  private readonly server: Server

  private constructor(server: Server, url: string) {
    this.server = server
    this.url = url
  }

  static async start(behind: KubeControlPlane): Promise<LosingProxy> {
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request.setEncoding('utf8')) text += chunk
      const contentType = request.headers['content-type']
      const body = text === '' ? undefined : JSON.parse(text)
      const answer = await behind.call(request.method ?? '', request.url ?? '', body, contentType === undefined ? {} : { contentType })
      if (proxy.isLosing) request.socket.destroy()
      else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const proxy = new LosingProxy(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    return proxy
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise(resolve => this.server.close(resolve))
  }
}
