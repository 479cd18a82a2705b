import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Agent, request } from 'node:https'

/**
 * What can happen to one call on its way to an API server and back:
 * - `409`, `429` (with Retry-After), `500`: answered so, and not carried out; `500-after`: carried out, and then answered so;
 * - `reset`: the connection ends, and it is not carried out; `lost`: it is; `hang`, `hang-after`: no answer ever, without and with having been carried out;
 * - `stale`: a list is answered as it was when it was first asked for;
 * - of watches only: `gone`: 410 to who asks for it; `cut`, `expired`: behind the first event the connection ends, or the event of an error 410 comes.
 */
export type ApiFault = '409' | '429' | '500' | '500-after' | 'reset' | 'lost' | 'hang' | 'hang-after' | 'stale' | 'gone' | 'cut' | 'expired'

export interface ApiCall {
  /** From 0 on, over all calls. */
  readonly number: number
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly kind: 'watch' | 'list' | 'get' | 'write'
}

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

const notCarriedOut: ReadonlySet<ApiFault> = new Set(['409', '429', '500', 'reset', 'hang', 'gone'])
const reasons = {
  '409': [409, 'Conflict'],
  '429': [429, 'TooManyRequests'],
  '500': [500, 'InternalError'],
  '500-after': [500, 'InternalError'],
  gone: [410, 'Expired'],
} as const

/** An HTTP proxy on loopback in front of a kube-apiserver, that lets the calls that `rule` names meet with a fault. Watches pass through it event by event. */
export class ApiServerProxy implements AsyncDisposable {
  rule: (call: ApiCall) => ApiFault | undefined = () => undefined
  /** A call was carried out, and its answer is not on its way yet. */
  onCarriedOut: (call: ApiCall) => void = () => {}
  readonly calls: ApiCall[] = []
  /** How many calls have met with a fault. */
  faulted = 0
  /** How many watches the server itself has answered 410. */
  expired = 0
  readonly url: string
  private readonly target: URL
  private readonly agent: Agent
  private readonly server: Server
  private readonly firstLists = new Map<string, Answer>()
  private paused: PromiseWithResolvers<void> | undefined

  private constructor(target: string, ca: string, server: Server) {
    const { port } = server.address() as { port: number }
    this.url = `http://127.0.0.1:${port}`
    this.target = new URL(target)
    this.agent = new Agent({ keepAlive: true, ca })
    this.server = server
    server.on(
      'request',
      (incoming: IncomingMessage, response: ServerResponse) => void this.serve(incoming, response).catch(() => incoming.socket.destroy()),
    )
  }

  static async start(plane: { readonly url: string; readonly ca: string }): Promise<ApiServerProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ApiServerProxy(plane.url, plane.ca, server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume()
    this.server.close()
    this.server.closeAllConnections()
    await once(this.server, 'close')
    this.agent.destroy()
  }

  /** What comes waits, and is carried out when it goes on. */
  pause(): void {
    this.paused ??= Promise.withResolvers()
  }

  resume(): void {
    this.paused?.resolve()
    this.paused = undefined
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bytesOf(incoming)
    await this.paused?.promise
    const { method = '', url = '' } = incoming
    const call: ApiCall = { number: this.calls.length, method, path: url, kind: kindOf(method, url) }
    this.calls.push(call)
    const fault = this.rule(call)
    if (fault !== undefined) this.faulted++
    if (fault !== undefined && notCarriedOut.has(fault)) return this.answerFault(fault, incoming, response)
    if (call.kind === 'watch') return this.watch(incoming, response, fault)
    const answer = (fault === 'stale' ? this.firstLists.get(url) : undefined) ?? (await this.forward(incoming, body))
    if (call.kind === 'list' && answer.status === 200 && !this.firstLists.has(url)) this.firstLists.set(url, answer)
    this.onCarriedOut(call)
    if (fault !== undefined && fault !== 'stale') return this.answerFault(fault, incoming, response)
    response.writeHead(answer.status, [...answer.headers])
    response.end(answer.body)
  }

  private answerFault(fault: ApiFault, { socket }: IncomingMessage, response: ServerResponse): void {
    if (fault === 'hang' || fault === 'hang-after') return
    if (fault === 'reset' || fault === 'lost') return void socket.destroy()
    const [status] = reasons[fault as keyof typeof reasons]
    response.writeHead(status, { 'content-type': 'application/json', ...(status === 429 ? { 'retry-after': '1' } : {}) })
    response.end(JSON.stringify(statusOf(fault as keyof typeof reasons)))
  }

  private async watch(incoming: IncomingMessage, response: ServerResponse, fault: ApiFault | undefined): Promise<void> {
    const outgoing = this.open(incoming)
    outgoing.end()
    response.on('close', () => outgoing.destroy())
    outgoing.on('error', () => response.destroy())
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.writeHead(answer.statusCode ?? 0, answer.rawHeaders)
    response.flushHeaders()
    answer.on('error', () => response.destroy())
    answer.on('data', (chunk: Buffer) => {
      if (chunk.includes('"reason":"Expired"')) this.expired++
    })
    if (fault !== 'cut' && fault !== 'expired') return void answer.pipe(response)
    answer.once('data', (chunk: Buffer) => {
      outgoing.destroy()
      // The event, or half of it: who reads has to cope with either.
      if (fault === 'cut') return void response.write(chunk.subarray(0, chunk.length >> 1), () => incoming.socket.destroy())
      response.end(Buffer.concat([chunk, Buffer.from(`${JSON.stringify({ type: 'ERROR', object: statusOf('gone') })}\n`)]))
    })
  }

  private async forward(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const outgoing = this.open(incoming)
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    // The body comes whole, whatever it came as.
    const headers = answer.rawHeaders.filter((_, i, all) => (all[i - (i % 2)] ?? '').toLowerCase() !== 'transfer-encoding')
    return { status: answer.statusCode ?? 0, headers, body: await bytesOf(answer) }
  }

  private open({ method, url, rawHeaders }: IncomingMessage) {
    const { hostname, port } = this.target
    const headers = rawHeaders.filter((_, i, all) => !['host', 'connection'].includes((all[i - (i % 2)] ?? '').toLowerCase()))
    return request({ hostname, port, method, path: url, headers: [...headers, 'host', this.target.host], agent: this.agent })
  }
}

function kindOf(method: string, url: string): ApiCall['kind'] {
  if (method !== 'GET') return 'write'
  const { pathname, searchParams } = new URL(url, 'http://proxy')
  if (searchParams.get('watch') === 'true') return 'watch'
  // /api/v1/.. or /apis/<group>/<version>/.., then namespaces/<namespace> or nothing, then the kind, and perhaps a name.
  const [, root, ...rest] = pathname.split('/')
  const behind = rest.slice(root === 'api' ? 1 : 2)
  return (behind[0] === 'namespaces' ? behind.slice(2) : behind).length === 1 ? 'list' : 'get'
}

function statusOf(fault: keyof typeof reasons): object {
  const [code, reason] = reasons[fault]
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: `${reason}, by the proxy`, reason, code }
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
