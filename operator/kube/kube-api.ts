import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { type Clock, sleep, type Timer } from '../../runtime/common/clock.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { KubeAuth } from './kube-auth.ts'
import {
  type DeleteOptions,
  givenMetadata,
  isReason,
  KubeError,
  type KubeObject,
  type MetadataChange,
  type ObjectApi,
  type ObjectList,
  type ObjectMeta,
  type Reason,
  type ResourceType,
  type Selection,
  type WatchEvent,
} from './object-api.ts'
import { apiVersionOf, typeOf } from './resources.ts'

/**
 * A kube-apiserver over HTTP(S), in plain JSON both ways, so that no field of a newer server is lost; only `managedFields`, often the larger part of an object, are not
 * handed on. Every call has a deadline. What was surely not done is tried again, later each time with full jitter, or as late as `Retry-After` says: reads after any
 * failure, writes when the server has answered 429 or could not be reached at all, but nothing that has taken long already. A write whose answer did not come, or was a
 * 5xx, is `OutcomeUnknown`; a 409 is the caller's to think about.
 *
 * No more than CALLS_AT_ONCE are under way, others wait for their turn; a watch has a connection of its own.
 *
 * A watch asks for bookmarks and for an end after four to five minutes; one on which nothing comes for 90 seconds, bookmarks neither, is dead.
 */
export interface KubeApiOptions {
  readonly auth: KubeAuth
  readonly clock: Clock
  readonly random: Random
  /** Default: 30 s for a try, 8 tries, the last of which begins 45 s after the first at the latest. */
  readonly requestTimeoutMs?: number
  readonly attemptsMax?: number
  readonly watchSilenceMs?: number
}

const REQUEST_TIMEOUT_MS = 30_000
const WATCH_SILENCE_MS = 90_000
const ATTEMPTS_MAX = 8
/** Callers have deadlines of about a minute. */
const RETRY_MS = 45_000
const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 10_000
const PAGE_SIZE = 500
const CALLS_AT_ONCE = 16
const LIST_ATTEMPTS_MAX = 3

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly contentType?: string
  readonly accept?: string
}

function acceptOf(type: ResourceType, as: string): string {
  return type.isMetadataOnly === true ? `application/json;as=${as};g=meta.k8s.io;v=v1` : 'application/json'
}

/** A server may know nothing of metadata alone. */
function seenOf(type: ResourceType, object: KubeObject): KubeObject {
  return type.isMetadataOnly === true ? { apiVersion: apiVersionOf(type), kind: type.kind, metadata: object.metadata } : object
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly retryAfterMs: number | undefined
}

export class KubeApi implements ObjectApi {
  private readonly options: KubeApiOptions
  private readonly calls: HttpAgent | HttpsAgent
  private readonly watches: HttpAgent | HttpsAgent
  private readonly base: URL

  constructor(options: KubeApiOptions) {
    this.options = options
    this.base = new URL(options.auth.url)
    const agent = (connections: { readonly maxSockets?: number }) =>
      this.base.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, ca: options.auth.ca, ...connections })
        : new HttpAgent({ keepAlive: true, ...connections })
    this.calls = agent({ maxSockets: CALLS_AT_ONCE })
    this.watches = agent({})
  }

  close(): void {
    this.calls.destroy()
    this.watches.destroy()
  }

  async get(type: ResourceType, namespace: string, name: string): Promise<KubeObject> {
    const accept = acceptOf(type, 'PartialObjectMetadata')
    return seenOf(type, await this.object({ method: 'GET', path: pathOf(type, namespace, name), accept }))
  }

  async list(type: ResourceType, selection: Selection = {}): Promise<ObjectList> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.listPages(type, selection)
      } catch (error) {
        // The snapshot that the pages are of is forgotten: from its beginning, of what is now.
        if (!isReason(error, 'Expired') || attempt >= LIST_ATTEMPTS_MAX) throw error
      }
    }
  }

  private async listPages(type: ResourceType, { namespace, labels }: Selection): Promise<ObjectList> {
    const items: KubeObject[] = []
    let next = ''
    for (;;) {
      const query = queryOf({ labelSelector: selectorOf(labels), limit: String(PAGE_SIZE), continue: next })
      const page = (
        await this.call({ method: 'GET', path: `${pathOf(type, namespace)}${query}`, accept: acceptOf(type, 'PartialObjectMetadataList') })
      ).body as {
        readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
        readonly items: readonly KubeObject[] | null
      }
      // Items of a list do not say what they are.
      for (const item of page.items ?? []) items.push({ ...seenOf(type, stripped(item)), apiVersion: apiVersionOf(type), kind: type.kind })
      next = page.metadata.continue ?? ''
      if (next === '') return { items, resourceVersion: page.metadata.resourceVersion }
    }
  }

  create(object: KubeObject): Promise<KubeObject> {
    const body = { ...object, metadata: givenMetadata(object.metadata) }
    return this.object({ method: 'POST', path: pathOf(typeOf(object), object.metadata.namespace), body })
  }

  apply(object: KubeObject, fieldManager: string): Promise<KubeObject> {
    const { resourceVersion } = object.metadata
    const metadata = { ...givenMetadata(object.metadata), ...(resourceVersion === undefined ? {} : { resourceVersion }) }
    const path = `${pathOfObject(object)}${queryOf({ fieldManager, force: 'true' })}`
    // Status is written beside: in what is applied it would only be owned.
    const { status: _status, ...rest } = object
    return this.object({ method: 'PATCH', path, body: { ...rest, metadata }, contentType: 'application/apply-patch+yaml' })
  }

  updateStatus(object: KubeObject): Promise<KubeObject> {
    return this.object({ method: 'PUT', path: `${pathOfObject(object)}/status`, body: object })
  }

  patchMetadata(object: KubeObject, change: MetadataChange): Promise<KubeObject> {
    const { uid, resourceVersion } = object.metadata
    const metadata = { ...change, ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) }
    return this.object({ method: 'PATCH', path: pathOfObject(object), body: { metadata }, contentType: 'application/merge-patch+json' })
  }

  async delete(type: ResourceType, namespace: string, name: string, { uid, resourceVersion, isForced }: DeleteOptions = {}): Promise<void> {
    const preconditions = { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) }
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      preconditions,
      ...(isForced === true ? { gracePeriodSeconds: 0 } : {}),
    }
    await this.call({ method: 'DELETE', path: pathOf(type, namespace, name), body })
  }

  async *watch(type: ResourceType, from: Selection & { readonly resourceVersion: string }, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const timeoutSeconds = String(240 + Math.floor(this.options.random.next() * 60))
    const { resourceVersion, labels } = from
    const query = queryOf({ watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds, resourceVersion, labelSelector: selectorOf(labels) })
    const stream = await this.open(`${pathOf(type, from.namespace)}${query}`, acceptOf(type, 'PartialObjectMetadata'), signal)
    if (stream === undefined) return
    try {
      for await (const line of stream.lines()) {
        const event = eventOf(line)
        if (event !== undefined) yield event.type === 'BOOKMARK' ? event : { ...event, object: seenOf(type, event.object) }
      }
    } catch (error) {
      if (!signal.aborted)
        throw error instanceof KubeError ? error : new KubeError('Unreachable', `the watch broke: ${messageOf(error)}`, { cause: error })
    } finally {
      stream.close()
    }
  }

  private async object(call: Call): Promise<KubeObject> {
    return stripped((await this.call(call)).body as KubeObject)
  }

  private async call(call: Call): Promise<Answer> {
    const { clock, random, attemptsMax = ATTEMPTS_MAX } = this.options
    const endMs = clock.monotonicMs() + RETRY_MS
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.once(call)
        if (answer.status < 300) return answer
        const error = errorOf(answer)
        // etcd may have it although the API server did not hear so.
        const isUnknown = call.method !== 'GET' && answer.status >= 500 && error.reason !== 'RequestEntityTooLarge'
        throw isUnknown ? new KubeError('OutcomeUnknown', error.message, { cause: error }) : error
      } catch (error) {
        if (!(error instanceof KubeError) || attempt >= attemptsMax || !isWorthTrying(error, call.method === 'GET')) throw error
        const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1)) * random.next()
        const delayMs = error.retryAfterMs ?? backoffMs
        if (clock.monotonicMs() + delayMs > endMs) throw error
        await sleep(clock, delayMs)
      }
    }
  }

  /** One request and its answer, whatever it says. */
  private async once(call: Call): Promise<Answer> {
    const { clock, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.options
    const isWrite = call.method !== 'GET'
    const controller = new AbortController()
    const deadline = clock.schedule(requestTimeoutMs, () => controller.abort(new Error(`no answer within ${requestTimeoutMs} ms`)))
    let isSent = false
    try {
      const message = await this.send(call, this.calls, controller.signal, () => {
        isSent = true
      })
      const text = await textOf(message)
      return { status: message.statusCode ?? 0, body: parsed(text), retryAfterMs: retryAfterOf(message) }
    } catch (error) {
      const why = controller.signal.aborted ? messageOf(controller.signal.reason) : messageOf(error)
      const what = `${call.method} ${call.path.replace(/\?.*$/, '')}: ${why}`
      throw new KubeError(isWrite && isSent ? 'OutcomeUnknown' : 'Unreachable', what, { cause: error })
    } finally {
      deadline.cancel()
    }
  }

  /** `onSent`: from here on the server may have it. */
  private async send(
    { method, path, body, contentType = 'application/json', accept = 'application/json' }: Call,
    agent: HttpAgent | HttpsAgent,
    signal: AbortSignal,
    onSent: () => void,
  ): Promise<IncomingMessage> {
    const token = await this.options.auth.token()
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const headers = {
      accept,
      'user-agent': 'millrace-operator',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(payload === undefined ? {} : { 'content-type': contentType, 'content-length': String(payload.length) }),
    }
    const isSecure = this.base.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const sent = (isSecure ? httpsRequest : httpRequest)(new URL(path, this.base), { method, headers, agent, signal }, resolve)
      sent.on('error', reject)
      sent.on('socket', socket => {
        // A connection that is kept has been made before.
        if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', onSent)
        else onSent()
      })
      sent.end(payload)
    })
  }

  private async open(path: string, accept: string, signal: AbortSignal): Promise<LineStream | undefined> {
    const { clock, requestTimeoutMs = REQUEST_TIMEOUT_MS, watchSilenceMs = WATCH_SILENCE_MS } = this.options
    const controller = new AbortController()
    const stop = () => controller.abort()
    signal.addEventListener('abort', stop)
    const deadline = clock.schedule(requestTimeoutMs, () => controller.abort())
    try {
      const message = await this.send({ method: 'GET', path, accept }, this.watches, controller.signal, () => {})
      if (message.statusCode !== 200)
        throw errorOf({ status: message.statusCode ?? 0, body: parsed(await textOf(message)), retryAfterMs: retryAfterOf(message) })
      return new LineStream(message, clock, watchSilenceMs, () => {
        signal.removeEventListener('abort', stop)
        controller.abort()
      })
    } catch (error) {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) return undefined
      if (error instanceof KubeError) throw error
      throw new KubeError('Unreachable', `GET ${path.replace(/\?.*$/, '')}: ${messageOf(error)}`, { cause: error })
    } finally {
      deadline.cancel()
    }
  }
}

/** An answer that goes on, in lines; a longer silence than `silenceMs` ends it with an error. */
class LineStream {
  private readonly message: IncomingMessage
  private readonly clock: Clock
  private readonly silenceMs: number
  private readonly onClose: () => void
  private timer: Timer

  constructor(message: IncomingMessage, clock: Clock, silenceMs: number, onClose: () => void) {
    this.message = message
    this.clock = clock
    this.silenceMs = silenceMs
    this.onClose = onClose
    this.timer = this.silence()
  }

  async *lines(): AsyncGenerator<string> {
    let rest = ''
    this.message.setEncoding('utf8')
    for await (const chunk of this.message as AsyncIterable<string>) {
      this.timer.cancel()
      this.timer = this.silence()
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  }

  close(): void {
    this.timer.cancel()
    this.message.destroy()
    this.onClose()
  }

  private silence(): Timer {
    return this.clock.schedule(this.silenceMs, () => this.message.destroy(new Error(`nothing came for ${this.silenceMs} ms`)))
  }
}

/** What surely was not done, or does nothing. */
function isWorthTrying({ reason }: KubeError, isRead: boolean): boolean {
  if (reason === 'TooManyRequests' || reason === 'Unreachable') return true
  return isRead && ['ServerTimeout', 'InternalError', 'ServiceUnavailable'].includes(reason)
}

function pathOf({ group, version, plural }: ResourceType, namespace: string | undefined, name?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}${scope}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}

function pathOfObject(object: KubeObject): string {
  return pathOf(typeOf(object), object.metadata.namespace, object.metadata.name)
}

function selectorOf(labels: Readonly<Record<string, string>> = {}): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

function queryOf(parameters: Readonly<Record<string, string>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== '')
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

interface Status {
  readonly reason?: string
  readonly message?: string
  readonly code?: number
  readonly details?: { readonly causes?: readonly { readonly field?: string }[] }
}

const reasonOfStatus: Readonly<Record<number, Reason>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
  504: 'ServerTimeout',
}

function errorOf({ status, body, retryAfterMs }: Answer): KubeError {
  const answer = (typeof body === 'object' && body !== null ? body : {}) as Status
  const text = answer.message ?? (typeof body === 'string' && body !== '' ? body.slice(0, 500) : `the API server answered ${status}`)
  return new KubeError(reasonOf(status, answer), text, retryAfterMs === undefined ? {} : { retryAfterMs })
}

function reasonOf(status: number, { reason, message, details }: Status): Reason {
  if (reason === 'AlreadyExists') return 'AlreadyExists'
  // The limit of etcd, which the API server takes for an error of its own.
  if (message?.includes('etcdserver: request is too large')) return 'RequestEntityTooLarge'
  // A patch says which object it means by its uid. Of another one it would be a change of the uid.
  if (details?.causes?.some(({ field }) => field === 'metadata.uid')) return 'Conflict'
  return reasonOfStatus[status] ?? 'InternalError'
}

/** Who owns which fields nobody of ours asks; a write without it changes nothing of it. */
function stripped(object: KubeObject): KubeObject {
  const { managedFields: _owners, ...metadata } = object.metadata as ObjectMeta & { readonly managedFields?: unknown }
  return { ...object, metadata }
}

function eventOf(line: string): WatchEvent | undefined {
  if (line === '') return undefined
  const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: KubeObject & Status }
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') return { type, object: stripped(object) }
  if (type === 'BOOKMARK') return { type, resourceVersion: object.metadata.resourceVersion ?? '' }
  throw errorOf({ status: object.code ?? 500, body: object, retryAfterMs: undefined })
}

async function textOf(message: IncomingMessage): Promise<string> {
  message.setEncoding('utf8')
  let text = ''
  for await (const chunk of message as AsyncIterable<string>) text += chunk
  return text
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const seconds = Number(headers['retry-after'])
  return Number.isFinite(seconds) ? seconds * 1_000 : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
