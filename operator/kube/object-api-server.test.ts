import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { objectApiContract } from '../../test/support/object-api-contract.ts'
import { KubeApi } from './kube-api.ts'
import { withToken } from './kube-auth.ts'
import { LocalApiServer } from './local-api-server.ts'
import { type ObjectApiServer, serveObjectApi } from './object-api-server.ts'
import { configMaps, resourceTypes } from './resources.ts'

/** LocalApiServer over HTTP, asked by KubeApi: what `millrace get` does. */
const random = seededRandom(1)
const local = new LocalApiServer({ clock: systemClock, random })
let server: ObjectApiServer
let api: KubeApi
beforeAll(async () => {
  server = await serveObjectApi({ api: local, types: resourceTypes, token: 'secret', clock: systemClock })
  api = new KubeApi({ auth: withToken(server.url, 'secret'), clock: systemClock, random })
})
afterAll(async () => {
  api.close()
  await server.close()
})

describe('the contract of API servers', () => {
  objectApiContract(() => ({ api, collectGarbage: () => local.collectGarbage(), compact: async () => local.compact() }))
})

test('without the token nothing is answered', async () => {
  const stranger = new KubeApi({ auth: withToken(server.url, 'guessed'), clock: systemClock, random })
  await expect(stranger.list(configMaps)).rejects.toMatchObject({ reason: 'Unauthorized' })
  stranger.close()
})

test('what is not served is not found, and a body that is no object is refused', async () => {
  const headers = { authorization: 'Bearer secret' }
  const ask = async (path: string, init: RequestInit = {}) => (await fetch(`${server.url}${path}`, { headers, ...init })).status
  expect(await ask('/apis/apps/v1/deployments')).toBe(404)
  expect(await ask('/version')).toBe(404)
  expect(await ask('/api/v1/namespaces/default/configmaps', { method: 'POST', body: '{' })).toBe(400)
  expect(await ask('/api/v1/namespaces/default/configmaps', { method: 'POST', body: '{}' })).toBe(400)
  expect(await ask('/api/v1/namespaces/default/configmaps/a', { method: 'POST', body: '{}' })).toBe(400)
  const secret = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } })
  expect(await ask('/api/v1/namespaces/default/configmaps', { method: 'POST', body: secret })).toBe(400)
  const patch = { method: 'PATCH', headers: { ...headers, 'content-type': 'application/apply-patch+yaml' }, body: secret }
  expect(await ask('/api/v1/namespaces/default/secrets/b', patch)).toBe(400)
})

test('a server that ends ends its watches', async () => {
  const ending = await serveObjectApi({ api: local, types: resourceTypes, token: 'secret', clock: systemClock })
  const client = new KubeApi({ auth: withToken(ending.url, 'secret'), clock: systemClock, random, attemptsMax: 1 })
  const { resourceVersion } = await client.list(configMaps)
  const signal = new AbortController().signal
  const watched = (async () => {
    for await (const event of client.watch(configMaps, { resourceVersion, namespace: 'default' }, signal))
      if (event.type !== 'BOOKMARK' && event.object.metadata.name === 'last') await ending.close()
  })()
  await local.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'last', namespace: 'default' } })
  await watched.catch(error => expect(error).toMatchObject({ reason: 'Unreachable' }))
  await expect(client.list(configMaps)).rejects.toMatchObject({ reason: 'Unreachable' })
  client.close()
})

test('a watch on which nothing happens gets bookmarks of what it has seen', async () => {
  const quiet = await serveObjectApi({ api: local, types: resourceTypes, token: 'secret', clock: systemClock, bookmarkMs: 1 })
  const client = new KubeApi({ auth: withToken(quiet.url, 'secret'), clock: systemClock, random })
  const { resourceVersion } = await client.list(configMaps)
  const controller = new AbortController()
  const seen: unknown[] = []
  for await (const event of client.watch(configMaps, { resourceVersion, namespace: 'quiet' }, controller.signal)) {
    seen.push(event)
    if (seen.length === 2) controller.abort()
  }
  expect(seen).toEqual([
    { type: 'BOOKMARK', resourceVersion },
    { type: 'BOOKMARK', resourceVersion },
  ])
  client.close()
  await quiet.close()
})
