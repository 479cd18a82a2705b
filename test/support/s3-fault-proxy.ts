import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * What can happen to one request on its way to an S3 server and back:
 * - `409`, `412`: answered so, and not carried out; `500-before`, `503-before` likewise;
 * - `412-after`: carried out, and then answered as if it had been sent twice, as by a gateway that tries again by itself; `500-after`, `503-after`:
 *   carried out, and answered with an error;
 * - `reset`: the connection ends, and it is not carried out; `lost`: it is; `late`: it is, behind the request that comes next;
 * - `hang`, `hang-after`: no answer ever, without and with having been carried out; `onHang` is told;
 * - `cut`: the connection ends in the middle of the answer; `slow`: the answer comes in pieces.
 */
export const s3Faults = [
  '409',
  '412',
  '412-after',
  '500-before',
  '500-after',
  '503-before',
  '503-after',
  'reset',
  'lost',
  'late',
  'hang',
  'hang-after',
  'cut',
  'slow',
] as const
export type S3Fault = (typeof s3Faults)[number]

export type S3Operation = 'PutObject' | 'GetObject' | 'HeadObject' | 'HeadBucket' | 'ListObjectsV2' | 'DeleteObject'

export interface S3Call {
  /** From 0 on, over all operations. */
  readonly number: number
  readonly operation: S3Operation
  /** As it stands in the request, with its bucket: `/checkpoints/job/a`. */
  readonly path: string
}

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

const notCarriedOut: ReadonlySet<S3Fault> = new Set(['409', '412', '500-before', '503-before', 'reset', 'late', 'hang'])

const statuses = {
  '409': [409, 'ConditionalRequestConflict'],
  '412': [412, 'PreconditionFailed'],
  '412-after': [412, 'PreconditionFailed'],
  '500-before': [500, 'InternalError'],
  '500-after': [500, 'InternalError'],
  '503-before': [503, 'SlowDown'],
  '503-after': [503, 'SlowDown'],
} as const

const noAnswer: Answer = { status: 0, headers: [], body: Buffer.alloc(0) }

/** An HTTP proxy on loopback in front of an S3 server, that lets the requests that `rule` names meet with a fault. */
export class S3FaultProxy {
  rule: (call: S3Call) => S3Fault | undefined = () => undefined
  /** Requests hang, and nobody will answer them. */
  onHang: () => void = () => {}
  /** All requests, in order: `PutObject /checkpoints/job/a`. */
  log: string[] = []
  readonly endpoint: string
  private readonly target: URL
  private readonly server: Server
  private late: (() => Promise<unknown>) | undefined = undefined

  private constructor(target: URL, server: Server) {
    const { port } = server.address() as { port: number }
    this.endpoint = `http://127.0.0.1:${port}`
    this.target = target
    this.server = server
    server.on('request', (incoming: IncomingMessage, response: ServerResponse) => void this.serve(incoming, response))
  }

  static async start(target: string): Promise<S3FaultProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new S3FaultProxy(new URL(target), server)
  }

  async stop(): Promise<void> {
    this.server.close()
    this.server.closeAllConnections()
    await once(this.server, 'close')
  }

  /** What was late arrives now. */
  async settle(): Promise<void> {
    const { late } = this
    this.late = undefined
    await late?.()
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const call = callOf(incoming, this.log.length)
    this.log.push(`${call.operation} ${call.path}`)
    const forward = () => this.forward(incoming, Buffer.concat(chunks))
    const fault = this.rule(call)
    if (fault === 'late') this.late = forward
    if (fault !== undefined && notCarriedOut.has(fault)) return this.answer(fault, incoming, response, noAnswer)
    const answer = await forward().catch(() => undefined)
    // Nobody is there behind it.
    if (answer === undefined) return void incoming.socket.destroy()
    // Whatever was late is overtaken by one request.
    await this.settle()
    this.answer(fault, incoming, response, answer)
  }

  private answer(fault: S3Fault | undefined, { socket }: IncomingMessage, response: ServerResponse, answer: Answer): void {
    switch (fault) {
      case undefined:
        return answerWith(response, answer)
      case 'slow':
        return void answerSlowly(response, answer)
      case 'cut':
        return cut(socket, answer)
      case 'reset':
      case 'lost':
      case 'late':
        return void socket.destroy()
      case 'hang':
      case 'hang-after':
        return this.onHang()
    }
    const [status, code] = statuses[fault]
    answerWith(response, statusAnswer(status, code))
  }

  private async forward(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const { hostname, port } = this.target
    // The signature covers the headers, the host among them: they go on as they are.
    const outgoing = request({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.rawHeaders })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    return { status: answer.statusCode ?? 0, headers: answer.rawHeaders, body: Buffer.concat(chunks) }
  }
}

function callOf({ method = '', url = '' }: IncomingMessage, number: number): S3Call {
  const { pathname, searchParams } = new URL(url, 'http://proxy')
  const inBucket = /^\/[^/]+\/.+$/.test(pathname)
  if (method === 'GET' && searchParams.get('list-type') === '2')
    return { number, operation: 'ListObjectsV2', path: `${pathname.replace(/\/$/, '')}/${searchParams.get('prefix') ?? ''}` }
  const operations: Readonly<Record<string, S3Operation>> = { PUT: 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }
  const operation = method === 'HEAD' && !inBucket ? 'HeadBucket' : operations[method]
  if (operation === undefined) throw new Error(`the proxy does not know ${method} ${url}`)
  return { number, operation, path: pathname }
}

function statusAnswer(status: number, code: string): Answer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>by the proxy</Message></Error>`)
  return { status, headers: ['Content-Type', 'application/xml', 'Content-Length', String(body.length)], body }
}

function answerWith(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, [...headers])
  response.end(body)
}

/** In the middle of the body, or of the head where there is none. */
function cut(socket: Socket, { status, headers, body }: Answer): void {
  const lines = Array.from({ length: headers.length / 2 }, (_, i) => `${headers[2 * i]}: ${headers[2 * i + 1]}\r\n`)
  const head = Buffer.from(`HTTP/1.1 ${status} cut\r\n${lines.join('')}\r\n`)
  socket.end(body.length === 0 ? head.subarray(0, head.length >> 1) : Buffer.concat([head, body.subarray(0, body.length >> 1)]))
}

const PIECES = 4

async function answerSlowly(response: ServerResponse, { status, headers, body }: Answer): Promise<void> {
  response.writeHead(status, [...headers])
  response.flushHeaders()
  for (let i = 0; i < PIECES; i++) {
    await new Promise(resolve => setTimeout(resolve, 2))
    response.write(body.subarray(Math.floor((i * body.length) / PIECES), Math.floor(((i + 1) * body.length) / PIECES)))
  }
  response.end()
}
