import type { Socket } from 'node:net'
import type { Clock, Timer } from '../common/clock.ts'
import { type ClusterSockets, plainSockets } from '../common/cluster-sockets.ts'
import { deserializeError, FlinkError, serializeError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import { type Logger, noLog } from '../common/log.ts'
import { isCertificateError } from '../common/tls-sockets.ts'
import { RPC_PROTOCOL_VERSION, type RpcConnection, type RpcServer, type RpcTransport } from './connection.ts'
import { encodeFrame, FrameReader, frameBytesMax, helloBytesMax } from './frame-codec.ts'
import { FramedConnection } from './framed-connection.ts'
import { asJson, errorFromJson, errorToJson, type SerializedErrorJson } from './messages.ts'

/**
 * The control plane over TCP.
 *
 * 1. The client's first frame is the hello {protocolVersion, token, role, id}. Until it was read and found right, a connection may send
 *    8 KiB and has 10 s; the token is compared in constant time.
 * 2. The server answers `welcome` {id} or `refused` {error} and closes.
 * 3. Then both sides send calls, answers and notifications (framed-connection.ts), and pings, so that a peer that vanished without a
 *    word (a pulled cable) is noticed even where nobody asks anything.
 *
 * Over plain sockets the token keeps strangers out, not eavesdroppers; over TLS the certificates keep out both.
 */
export interface TcpTransportOptions {
  readonly clock: Clock
  readonly log?: Logger
  /** Default: plain ones. */
  readonly sockets?: ClusterSockets
  /** What a server calls itself in its welcome. */
  readonly serverId?: string
  readonly helloTimeoutMs?: number
  readonly pingIntervalMs?: number
  /** Longer than heartbeats allow: those decide over a live but stuck peer, this only over a vanished one. */
  readonly pingTimeoutMs?: number
}

/** Connections that have not said hello yet; more are closed unheard. */
const strangersMax = 64

export function createTcpTransport(options: TcpTransportOptions): RpcTransport {
  const settings = {
    clock: options.clock,
    log: options.log ?? noLog,
    sockets: options.sockets ?? plainSockets,
    serverId: options.serverId ?? 'jobmanager',
    helloTimeoutMs: options.helloTimeoutMs ?? 10_000,
    pingIntervalMs: options.pingIntervalMs ?? 15_000,
    pingTimeoutMs: options.pingTimeoutMs ?? 60_000,
  }
  return { listen: listenOptions => listen(settings, listenOptions), connect: connectOptions => connect(settings, connectOptions) }
}

type Settings = Required<TcpTransportOptions>
type ListenOptions = Parameters<RpcTransport['listen']>[0]
type ConnectOptions = Parameters<RpcTransport['connect']>[0]

async function listen(settings: Settings, options: ListenOptions): Promise<RpcServer> {
  const sockets = new Set<Socket>()
  let strangers = 0
  const server = settings.sockets.createServer(['taskmanager'], socket => {
    if (strangers >= strangersMax) {
      socket.destroy()
      return
    }
    strangers++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    receiveHello(settings, socket, options, connection => {
      strangers--
      if (connection !== undefined) options.onConnection(connection)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE'
      const message = inUse
        ? `port ${options.port} on ${options.host} is in use`
        : `cannot listen on ${options.host}:${options.port}: ${error.message}`
      reject(new FlinkError(inUse ? 'PORT_IN_USE' : 'EXTERNAL_SYSTEM', message, { host: options.host, port: options.port }, error))
    })
    server.listen(options.port, options.host, resolve)
  })
  server.on('error', error => settings.log.warn('rpc server error', { error: error.message }))
  const address = server.address()
  return {
    host: options.host,
    port: address !== null && typeof address === 'object' ? address.port : options.port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** Calls `done` exactly once: with the connection, or with undefined when the stranger was refused or left. */
function receiveHello(settings: Settings, socket: Socket, options: ListenOptions, done: (connection: RpcConnection | undefined) => void): void {
  const reader = new FrameReader(helloBytesMax)
  const from = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`
  let settled = false
  const settle = (connection: RpcConnection | undefined) => {
    if (settled) return
    settled = true
    timer.cancel()
    socket.off('data', onData)
    socket.off('close', onClose)
    done(connection)
  }
  const refuse = (error: FlinkError) => {
    if (settled) return
    settings.log.warn('rpc connection refused', { from, code: error.code, reason: error.message })
    socket.end(encodeFrame({ kind: 'refused', error: asJson(errorToJson(serializeErrorWithoutStack(error))) }))
    // A peer that never closes its half must not keep the socket.
    settings.clock.schedule(1_000, () => socket.destroy())
    settle(undefined)
  }
  const onClose = () => settle(undefined)
  const onData = (chunk: Uint8Array) => {
    try {
      reader.push(chunk, message => {
        if (settled) throw new FlinkError('PROTOCOL_MISMATCH', 'rpc frames followed the hello before it was answered')
        const problem = checkHello(message, options.token)
        if (problem !== undefined) return refuse(problem)
        reader.maxBytes = frameBytesMax
        socket.write(encodeFrame({ kind: 'welcome', id: settings.serverId }))
        settle(new FramedConnection(socket, reader, String(message['id']), settings))
      })
    } catch (error) {
      refuse(error instanceof FlinkError ? error : new FlinkError('PROTOCOL_MISMATCH', 'the rpc hello is malformed', {}, error))
      socket.destroy()
    }
  }
  const timer: Timer = settings.clock.schedule(settings.helloTimeoutMs, () =>
    refuse(new FlinkError('TIMEOUT', `no hello came within ${settings.helloTimeoutMs} ms`)),
  )
  socket.on('data', onData)
  socket.on('close', onClose)
  socket.on('error', () => {})
}

function checkHello(hello: JsonObject, token: string): FlinkError | undefined {
  if (hello['kind'] !== 'hello') return new FlinkError('PROTOCOL_MISMATCH', 'the first rpc frame is no hello')
  // The token first: a stranger learns nothing, not even our version.
  const offered = hello['token']
  if (typeof offered !== 'string' || !equalInConstantTime(offered, token))
    return new FlinkError('UNAUTHENTICATED', 'the token of the rpc hello is missing or wrong')
  if (hello['protocolVersion'] !== RPC_PROTOCOL_VERSION) {
    return new FlinkError(
      'PROTOCOL_MISMATCH',
      `the peer speaks rpc protocol ${String(hello['protocolVersion'])}, this process ${RPC_PROTOCOL_VERSION}`,
    )
  }
  if (typeof hello['id'] !== 'string' || hello['id'] === '') return new FlinkError('PROTOCOL_MISMATCH', 'the rpc hello names no id')
  return undefined
}

/** Takes the same time wherever the first difference is; only the length of the offered token shows. */
export function equalInConstantTime(offered: string, expected: string): boolean {
  const a = new TextEncoder().encode(offered)
  const b = new TextEncoder().encode(expected)
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i % Math.max(1, b.length)] ?? 0)
  return difference === 0
}

function serializeErrorWithoutStack(error: FlinkError) {
  return { ...serializeError(error), stack: `${error.name}: ${error.message}`, cause: undefined }
}

function connect(settings: Settings, options: ConnectOptions): Promise<RpcConnection> {
  const where = `${options.host}:${options.port}`
  return new Promise((resolve, reject) => {
    const sayHello = () => {
      socket.write(encodeFrame({ kind: 'hello', protocolVersion: RPC_PROTOCOL_VERSION, token: options.token, role: options.role, id: options.id }))
    }
    const socket = settings.sockets.connect({ host: options.host, port: options.port, peer: 'jobmanager' }, sayHello)
    const reader = new FrameReader(frameBytesMax)
    const fail = (error: FlinkError) => {
      timer.cancel()
      socket.off('data', onData)
      socket.destroy()
      reject(error)
    }
    const timer = settings.clock.schedule(
      options.timeoutMs,
      () => fail(new FlinkError('TIMEOUT', `connecting to the jobmanager at ${where} took longer than ${options.timeoutMs} ms`)),
      { ref: true },
    )
    const onError = (error: NodeJS.ErrnoException) => {
      const refused = error.code === 'ECONNREFUSED'
      const message = isCertificateError(error)
        ? `the jobmanager at ${where} and this process do not accept each other's certificates: ${error.message}`
        : `cannot connect to the jobmanager at ${where}: ${error.code ?? error.message}`
      // Also of certificates: they may be renewed, and the next attempt succeed.
      fail(new FlinkError(refused ? 'CONNECTION_REFUSED' : 'CONNECTION_LOST', message, {}, error))
    }
    const onClose = () => fail(new FlinkError('CONNECTION_LOST', `the jobmanager at ${where} closed the connection before it answered the hello`))
    let connection: FramedConnection | undefined
    const onData = (chunk: Uint8Array) => {
      try {
        reader.push(chunk, message => {
          if (connection !== undefined) return connection.receive(message)
          if (message['kind'] !== 'welcome') throw refusal(message, where)
          timer.cancel()
          socket.off('data', onData)
          socket.off('error', onError)
          socket.off('close', onClose)
          connection = new FramedConnection(socket, reader, String(message['id']), settings)
          resolve(connection)
        })
      } catch (error) {
        fail(error instanceof FlinkError ? error : new FlinkError('PROTOCOL_MISMATCH', `${where} does not speak the rpc protocol`, {}, error))
      }
    }
    socket.on('data', onData)
    socket.on('error', onError)
    socket.on('close', onClose)
  })
}

function refusal(message: JsonObject, where: string): FlinkError {
  if (message['kind'] !== 'refused') return new FlinkError('PROTOCOL_MISMATCH', `${where} does not speak the rpc protocol`)
  // Made by errorToJson on the other side.
  return deserializeError(errorFromJson(message['error'] as unknown as SerializedErrorJson))
}
