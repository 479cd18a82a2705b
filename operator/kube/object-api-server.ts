import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../runtime/common/clock.ts'
import {
  isReason,
  KubeError,
  type KubeObject,
  type MetadataChange,
  type ObjectApi,
  type ObjectMeta,
  type Reason,
  type ResourceType,
  type WatchEvent,
} from './object-api.ts'
import { apiVersionOf } from './resources.ts'

/**
 * An ObjectApi over HTTP, in the paths, verbs and bodies of the Kubernetes API as far as KubeApi speaks them: how `millrace get` and its kin reach the `up` that runs in
 * another terminal. On a loopback address, and every request needs the token, which no page in a browser has.
 *
 *   GET    /apis/<group>/<version>/namespaces/<ns>/<plural>[/<name>]      one, a list (labelSelector), or with watch=true lines of events
 *   POST   .../<plural>                create        PATCH .../<name>           apply (application/apply-patch+yaml, a JSON body), or metadata (merge-patch)
 *   PUT    .../<name>/status           the status    DELETE .../<name>          with preconditions in the body
 *
 * A watch on which nothing happens gets a bookmark each minute: without a sign of life its reader would give it up. Errors are metav1.Status with Kubernetes' reasons and codes.
 */
export interface ObjectApiServer {
  readonly url: string
  close(): Promise<void>
}

export interface ObjectApiServerOptions {
  readonly api: ObjectApi
  readonly types: readonly ResourceType[]
  readonly token: string
  readonly clock: Clock
  readonly bookmarkMs?: number
}

const BODY_MAX = 3 * 1024 * 1024
const BOOKMARK_MS = 60_000

const codes: Readonly<Record<Reason, number>> = {
  NotFound: 404,
  AlreadyExists: 409,
  Conflict: 409,
  Invalid: 422,
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  Expired: 410,
  RequestEntityTooLarge: 413,
  TooManyRequests: 429,
  ServerTimeout: 504,
  InternalError: 500,
  ServiceUnavailable: 503,
  Unreachable: 503,
  OutcomeUnknown: 500,
}

export async function serveObjectApi({ api, types, token, clock, bookmarkMs = BOOKMARK_MS }: ObjectApiServerOptions): Promise<ObjectApiServer> {
  const closing = new AbortController()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => fail(response, error))
  })

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!sameText(request.headers.authorization ?? '', `Bearer ${token}`)) throw new KubeError('Unauthorized', 'the token is missing or wrong')
    const url = new URL(request.url ?? '/', 'http://localhost')
    const { type, namespace, name, isStatus } = targetOf(url.pathname, types)
    const { method = 'GET' } = request
    if (method === 'GET' && name !== undefined) return send(response, 200, await api.get(type, required(namespace), name))
    if (method === 'GET') return list(url, response, type, namespace)
    const body = await bodyOf(request)
    if (method === 'POST' && name === undefined) return send(response, 201, await api.create(objectOf(body, type, namespace)))
    if (method === 'PUT' && isStatus) return send(response, 200, await api.updateStatus(objectOf(body, type, namespace, name)))
    if (method === 'PATCH' && name !== undefined) return send(response, 200, await patch(request, url, type, required(namespace), name, body))
    if (method === 'DELETE' && name !== undefined) {
      const { preconditions = {}, gracePeriodSeconds } = (body ?? {}) as {
        readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
        readonly gracePeriodSeconds?: number
      }
      await api.delete(type, required(namespace), name, { ...preconditions, isForced: gracePeriodSeconds === 0 })
      return send(response, 200, { kind: 'Status', apiVersion: 'v1', status: 'Success' })
    }
    throw new KubeError('BadRequest', `${method} ${url.pathname} is not served`)
  }

  const list = async (url: URL, response: ServerResponse, type: ResourceType, namespace: string | undefined): Promise<void> => {
    const labels = labelsOf(url.searchParams.get('labelSelector') ?? '')
    if (url.searchParams.get('watch') !== 'true') {
      const { items, resourceVersion } = await api.list(type, { namespace, labels })
      return send(response, 200, { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: { resourceVersion }, items })
    }
    const ended = new AbortController()
    response.on('close', () => ended.abort())
    const signal = AbortSignal.any([ended.signal, closing.signal])
    let seen = url.searchParams.get('resourceVersion') ?? ''
    const events = api.watch(type, { namespace, labels, resourceVersion: seen }, signal)
    const tell = (event: WatchEvent['type'] | 'ERROR', object: unknown) => response.write(`${JSON.stringify({ type: event, object })}\n`)
    const bookmark = () => tell('BOOKMARK', { kind: type.kind, apiVersion: apiVersionOf(type), metadata: { resourceVersion: seen } })
    const scheduled = () =>
      clock.schedule(bookmarkMs, () => {
        bookmark()
        timer = scheduled()
      })
    let timer = scheduled()
    // Told before the first event, which may be long in coming.
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    try {
      for await (const event of events) {
        seen = event.type === 'BOOKMARK' ? event.resourceVersion : (event.object.metadata.resourceVersion ?? seen)
        if (event.type === 'BOOKMARK') bookmark()
        else tell(event.type, event.object)
      }
    } catch (error) {
      tell('ERROR', statusOf(error))
    } finally {
      timer.cancel()
    }
    response.end()
  }

  const patch = async (
    request: IncomingMessage,
    url: URL,
    type: ResourceType,
    namespace: string,
    name: string,
    body: unknown,
  ): Promise<KubeObject> => {
    const contentType = request.headers['content-type']
    if (contentType === 'application/apply-patch+yaml')
      return api.apply(objectOf(body, type, namespace, name), url.searchParams.get('fieldManager') ?? 'unknown')
    if (contentType !== 'application/merge-patch+json') throw new KubeError('BadRequest', `a patch of type ${contentType} is not served`)
    const { metadata, ...rest } = body as { readonly metadata?: MetadataChange & Pick<ObjectMeta, 'uid' | 'resourceVersion'> }
    if (Object.keys(rest).some(field => field !== 'apiVersion' && field !== 'kind'))
      throw new KubeError('BadRequest', 'a merge patch changes metadata only')
    const { uid, resourceVersion, labels, annotations, finalizers } = metadata ?? {}
    const change = {
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
    }
    const meant = { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) }
    return api.patchMetadata({ apiVersion: apiVersionOf(type), kind: type.kind, metadata: { name, namespace, ...meant } }, change)
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => closed(server, closing),
  }
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

async function closed(server: Server, closing: AbortController): Promise<void> {
  closing.abort()
  await new Promise<void>(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** `/apis/group/version/namespaces/ns/plural/name/status`, and `/api/v1/...` for the core. */
function targetOf(path: string, types: readonly ResourceType[]) {
  const parts = path.split('/').slice(1).map(decodeURIComponent)
  const [root, ...rest] = parts
  const [group, version, ...below] = root === 'api' ? ['', ...rest] : rest
  const [first, second, ...named] = below
  const namespace = first === 'namespaces' ? second : undefined
  const [plural, name, sub] = first === 'namespaces' ? named : [first, second, ...named]
  const type = types.find(each => each.group === group && each.version === version && each.plural === plural)
  const isStatus = sub === 'status'
  if ((root !== 'api' && root !== 'apis') || type === undefined || (sub !== undefined && !isStatus))
    throw new KubeError('NotFound', `${path} is not served`)
  return { type, namespace, name, isStatus }
}

function required(namespace: string | undefined): string {
  if (namespace === undefined) throw new KubeError('BadRequest', 'a namespace is needed')
  return namespace
}

/** The object in a body, which is the one that the path names. */
function objectOf(body: unknown, type: ResourceType, namespace: string | undefined, name?: string): KubeObject {
  const object = body as KubeObject
  if (typeof object?.metadata?.name !== 'string') throw new KubeError('BadRequest', 'the body is no object with a name')
  if (object.kind !== type.kind || object.apiVersion !== apiVersionOf(type))
    throw new KubeError('BadRequest', `the body is a ${object.kind} of ${object.apiVersion}, expected a ${type.kind} of ${apiVersionOf(type)}`)
  if (name !== undefined && object.metadata.name !== name)
    throw new KubeError('BadRequest', `the body is ${JSON.stringify(object.metadata.name)}, expected ${JSON.stringify(name)}`)
  return { ...object, metadata: { ...object.metadata, namespace: required(namespace) } }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    // Read to its end in any case: who is still sending does not see an answer.
    if (size <= BODY_MAX) chunks.push(chunk)
  }
  if (size > BODY_MAX) throw new KubeError('RequestEntityTooLarge', `a request may have ${BODY_MAX} bytes`)
  if (size === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new KubeError('BadRequest', 'the body is no JSON', { cause: error })
  }
}

function labelsOf(selector: string): Record<string, string> {
  return Object.fromEntries(
    selector
      .split(',')
      .filter(term => term !== '')
      .map(term => term.split(/==?/, 2) as [string, string]),
  )
}

function send(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function statusOf(error: unknown) {
  const reason: Reason = error instanceof KubeError ? error.reason : 'InternalError'
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code: codes[reason] }
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const status = statusOf(error)
  if (isReason(error, 'TooManyRequests') && error instanceof KubeError && error.retryAfterMs !== undefined)
    response.setHeader('retry-after', String(Math.ceil(error.retryAfterMs / 1_000)))
  send(response, status.code, status)
}
