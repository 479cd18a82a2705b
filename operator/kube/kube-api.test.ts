import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { KubeApi } from './kube-api.ts'
import { withToken } from './kube-auth.ts'
import type { KubeObject } from './object-api.ts'
import { configMaps } from './resources.ts'

/** A server that answers by a script: each request takes the next answer of it, the last one for ever. */
type Scripted = (request: IncomingMessage, response: ServerResponse) => void
let server: Server | undefined
let api: KubeApi | undefined
afterEach(async () => {
  api?.close()
  server?.closeAllConnections()
  await new Promise(resolve => server?.close(resolve))
})

const object: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default', resourceVersion: '7' }, data: {} }

async function scripted(...answers: Scripted[]) {
  const requests: string[] = []
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    request.resume()
    answers[Math.min(requests.length, answers.length) - 1]?.(request, response)
  })
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  // Only who does not answer is waited for: a busy machine must not look like one.
  const limits = { requestTimeoutMs: answers.includes(hang) ? 1_000 : 10_000, watchSilenceMs: 300, attemptsMax: 3 }
  api = new KubeApi({ auth: withToken(url, 'secret'), clock: systemClock, random: seededRandom(1), ...limits })
  return { api, requests }
}

const json =
  (code: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Scripted =>
  (_request, response) =>
    response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
const failure = (code: number, reason: string, headers: Readonly<Record<string, string>> = {}) =>
  json(code, { kind: 'Status', status: 'Failure', reason, message: `${reason} it is`, code }, headers)
const ok = json(200, object)
const hang: Scripted = () => {}
const cut: Scripted = request => request.socket.destroy()
const half: Scripted = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('{"kind"', () => response.destroy())
}

const writes: readonly (readonly [string, (api: KubeApi) => Promise<unknown>])[] = [
  ['create', api => api.create(object)],
  ['apply', api => api.apply(object, 'one')],
  ['updateStatus', api => api.updateStatus(object)],
  ['patchMetadata', api => api.patchMetadata(object, { labels: { a: 'b' } })],
  ['delete', api => api.delete(configMaps, 'default', 'a')],
]

describe('reads', () => {
  test.each([
    ['429', failure(429, 'TooManyRequests')],
    ['500', failure(500, 'InternalError')],
    ['503', failure(503, 'ServiceUnavailable')],
    ['a hang', hang],
    ['a cut', cut],
    ['half an answer', half],
  ])('are tried again after %s', async (_name, first) => {
    const { api, requests } = await scripted(first, ok)
    expect(await api.get(configMaps, 'default', 'a')).toEqual(object)
    expect(requests.length).toBe(2)
  })

  test('are given up in the end, with what is wrong', async () => {
    const { api, requests } = await scripted(failure(500, 'InternalError'))
    await expect(api.get(configMaps, 'default', 'a')).rejects.toMatchObject({ reason: 'InternalError', message: 'InternalError it is' })
    expect(requests.length).toBe(3)
  })

  test('a list begins anew when its pages are forgotten', async () => {
    const page = (name: string, next: string) =>
      json(200, { metadata: { resourceVersion: '9', continue: next }, items: [{ metadata: { name, namespace: 'default' } }] })
    const { api, requests } = await scripted(page('a', 'more'), failure(410, 'Expired'), page('b', 'more'), page('c', ''))
    const { items, resourceVersion } = await api.list(configMaps)
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['b', 'c'])
    expect(items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(resourceVersion).toBe('9')
    expect(requests.map(request => /continue=(\w+)/.exec(request)?.[1])).toEqual([undefined, 'more', undefined, 'more'])
  })
})

describe.each(writes)('%s', (_name, write) => {
  test('is tried again after a 429, when the server says', async () => {
    const { api, requests } = await scripted(failure(429, 'TooManyRequests', { 'retry-after': '0' }), ok)
    await write(api)
    expect(requests.length).toBe(2)
  })

  test('is not held up by a server that asks for much time: the caller is told how much', async () => {
    const { api, requests } = await scripted(failure(429, 'TooManyRequests', { 'retry-after': '600' }), ok)
    await expect(write(api)).rejects.toMatchObject({ reason: 'TooManyRequests', retryAfterMs: 600_000 })
    expect(requests.length).toBe(1)
  })

  test.each([
    ['a hang', hang],
    ['a cut', cut],
    ['half an answer', half],
    ['500', failure(500, 'InternalError')],
    ['504', failure(504, 'Timeout')],
  ])('is done once, and its outcome unknown, after %s', async (_what, first) => {
    const { api, requests } = await scripted(first, ok)
    await expect(write(api)).rejects.toMatchObject({ reason: 'OutcomeUnknown', code: 'OUTCOME_UNKNOWN' })
    expect(requests.length).toBe(1)
  })

  test.each([
    ['409', failure(409, 'Conflict'), 'Conflict'],
    ['403', failure(403, 'Forbidden'), 'Forbidden'],
    ['422', failure(422, 'Invalid'), 'Invalid'],
    ['what is too large for etcd', json(500, { kind: 'Status', message: 'etcdserver: request is too large', code: 500 }), 'RequestEntityTooLarge'],
  ])('is not tried again after %s', async (_what, first, reason) => {
    const { api, requests } = await scripted(first, ok)
    await expect(write(api)).rejects.toMatchObject({ reason })
    expect(requests.length).toBe(1)
  })

  test('nobody there: surely not done', async () => {
    const { api } = await scripted(ok)
    server?.closeAllConnections()
    await new Promise(resolve => server?.close(resolve))
    await expect(write(api)).rejects.toMatchObject({ reason: 'Unreachable' })
  })
})

describe('a watch', () => {
  const line = (type: string, body: unknown) => `${JSON.stringify({ type, object: body })}\n`
  const stream =
    (...chunks: readonly string[]): Scripted =>
    (_request, response) => {
      response.writeHead(200)
      for (const chunk of chunks) response.write(chunk)
    }
  const seen = async (api: KubeApi) => {
    const events: unknown[] = []
    try {
      for await (const event of api.watch(configMaps, { resourceVersion: '7' }, new AbortController().signal)) events.push(event)
      return { events, error: undefined }
    } catch (error) {
      return { events, error }
    }
  }

  test('asks for bookmarks and an end, and takes lines however they are cut', async () => {
    const whole = line('ADDED', object) + line('BOOKMARK', { metadata: { resourceVersion: '12' } })
    const { api, requests } = await scripted((_request, response) => {
      response.writeHead(200)
      for (const character of whole) response.write(character)
      response.end()
    })
    expect(await seen(api)).toEqual({
      events: [
        { type: 'ADDED', object },
        { type: 'BOOKMARK', resourceVersion: '12' },
      ],
      error: undefined,
    })
    expect(requests[0]).toMatch(/\?watch=true&allowWatchBookmarks=true&timeoutSeconds=2[4-9]\d&resourceVersion=7$/)
  })

  test('on which nothing comes ends: it may be dead, or nothing happens', async () => {
    const { api } = await scripted(stream(line('ADDED', object)))
    const { events, error } = await seen(api)
    expect(events.length).toBe(1)
    expect(error).toBeUndefined()
  })

  test('from a forgotten version says so, at once or on the way', async () => {
    const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }
    const { api } = await scripted(stream(line('ADDED', object), line('ERROR', gone)), failure(410, 'Expired'))
    expect((await seen(api)).error).toMatchObject({ reason: 'Expired', message: 'too old' })
    expect((await seen(api)).error).toMatchObject({ reason: 'Expired' })
  })

  test('leaves no connection behind', async () => {
    const { api } = await scripted(stream(line('ADDED', object)))
    const ended: Promise<void>[] = []
    server?.on('connection', socket => ended.push(new Promise(resolve => socket.on('close', () => resolve()))))
    for (let count = 0; count < 20; count++) {
      const controller = new AbortController()
      for await (const _event of api.watch(configMaps, { resourceVersion: '7' }, controller.signal)) controller.abort()
    }
    expect(ended.length).toBe(20)
    await Promise.all(ended)
  })

  test('that is not answered ends, and one that is stopped ends without an error', async () => {
    const { api } = await scripted(hang, stream())
    expect((await seen(api)).error).toMatchObject({ reason: 'Unreachable' })
    const controller = new AbortController()
    const stopped = (async () => {
      for await (const _event of api.watch(configMaps, { resourceVersion: '7' }, controller.signal)) expect.unreachable()
    })()
    controller.abort()
    await stopped
  })
})
