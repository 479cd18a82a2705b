/**
 * Producer's side of the exchange between TaskManagers, in the I/O worker: sends the segments of registered rings, and of blocking results, to the
 * consumers that ask for them, as far as their credits go. Protocol: `exchange-protocol.ts`.
 *
 * Invariants:
 * - a ring slot is released in the write callback of its segment, not before: the socket reads the shared page itself;
 * - in flight on a connection is at most what its channels were granted, so a connection needs no bound of its own;
 * - one consumer per registered channel: one that is requested again is refused. A blocking result is read from its beginning by whoever asks, and
 *   no reader's loss is its producer's;
 * - the host calls `pump` whenever its doorbell rings.
 */

import type { Clock, Timer } from '../common/clock.ts'
import { type ErrorCode, FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { DataListener, DataNetwork, DataSocket } from './data-socket.ts'
import * as protocol from './exchange-protocol.ts'
import { type ExchangeScope, isOlder, regionKey, scopeKey } from './exchange-scope.ts'
import type { Doorbell } from './frame.ts'
import { failRing, type RingDescriptor, SegmentReader } from './ring.ts'
import type { ResultReader } from './task-result.ts'

export interface ExchangeServerOptions {
  readonly network: DataNetwork
  readonly clock: Clock
  readonly log: Logger
  readonly host: string
  readonly port: number
  readonly token: string
  /** `taskmanager.network.request-timeout`: for the first message, and for a requested channel to be registered. */
  readonly requestTimeoutMs: number
  /**
   * Called once per registered channel, when it is forgotten (taken to its end, lost, given up or released) and no socket reads its
   * ring's pages any more.
   */
  readonly onChannelGone?: (scope: ExchangeScope, channelId: string) => void
  /** Channels of blocking results: undefined = there is no such one here. `onReady` as `ResultStore.open`. */
  readonly openResult?: (channelId: string, onReady: () => void) => ResultReader | undefined
}

export interface ExchangeServer {
  readonly port: number
  /**
   * Offers a ring that a slot writes into. `producer` is the slot's doorbell. It stays until its consumer is done or gone or the
   * attempt is released: a producer may end long before its consumer has read everything, or has even connected.
   */
  register(scope: ExchangeScope, ring: RingDescriptor, producer: Doorbell): void
  /**
   * The producer's slot is gone. In order: what it wrote is still sent, and the channel goes when its consumer is done or lost.
   * Otherwise it goes now; the consumer learns from its JobManager what became of the attempt.
   */
  endServing(scope: ExchangeScope, channelId: string, orderly: boolean): void
  /** The attempt is over, whatever is unsent: its connections are cut, so that no page is read any more, and its channels forgotten. */
  release(scope: ExchangeScope): void
  /** Sends what can be sent now; true when something was. */
  pump(): boolean
  close(): Promise<void>
}

/** Where a channel's segments come from: a registered ring, or a blocking result. */
interface SegmentSource {
  next(): Uint8Array | undefined
  /** The oldest taken one has been sent. */
  release?(): void
  readLane?(): Uint8Array | undefined
  /** Why nothing comes any more. */
  readonly failure?: FlinkError | undefined
}

interface OutChannel {
  readonly channelId: string
  readonly scope: ExchangeScope
  readonly segments: SegmentSource
  /** Its consumer was lost. */
  lost(code: ErrorCode, message: string): void
  /** It is forgotten, and no socket reads its segments any more. */
  gone(): void
  connection: ServerConnection | undefined
  number: number
  credit: number
  laneFree: boolean
  /** Segments that a socket may still read. */
  inFlight: number
  forgotten: boolean
}

export async function startExchangeServer(options: ExchangeServerOptions): Promise<ExchangeServer> {
  const server = new Server(options)
  await server.listen()
  return server
}

class Server implements ExchangeServer {
  port = 0
  readonly options: ExchangeServerOptions
  readonly channels = new Map<string, OutChannel>()
  readonly connections = new Set<ServerConnection>()
  /** The newest attempt of each region that anything was registered for. */
  private readonly newest = new Map<string, ExchangeScope>()
  private listener: DataListener | undefined = undefined

  constructor(options: ExchangeServerOptions) {
    this.options = options
  }

  async listen(): Promise<void> {
    const { network, host, port } = this.options
    this.listener = await network.listen({ host, port, onConnection: socket => this.connections.add(new ServerConnection(this, socket)) })
    this.port = this.listener.port
  }

  register(scope: ExchangeScope, ring: RingDescriptor, producer: Doorbell): void {
    const { channelId } = ring
    const channel = outChannel(scope, channelId, new SegmentReader(ring, producer), {
      lost: (code, message) => {
        failRing(ring, code, message)
        producer.ring()
      },
      gone: () => this.options.onChannelGone?.(scope, channelId),
    })
    this.channels.set(channelKey(scope, ring.channelId), channel)
    const region = regionKey(scope)
    const newest = this.newest.get(region)
    if (newest === undefined || isOlder(newest, scope)) this.newest.set(region, scope)
    // Whoever has not fetched the channels of an older attempt by now never will.
    for (const old of this.channels.values())
      if (regionKey(old.scope) === region && old.connection === undefined && isOlder(old.scope, scope)) this.forget(old)
    for (const connection of this.connections) {
      if (connection.scope === undefined || regionKey(connection.scope) !== region) continue
      if (isOlder(connection.scope, scope)) connection.fail('STALE_GENERATION', staleText(connection.scope, scope))
      else connection.onRegistered(channel)
    }
  }

  endServing(scope: ExchangeScope, channelId: string, orderly: boolean): void {
    const channel = this.channels.get(channelKey(scope, channelId))
    if (channel === undefined) return
    if (!orderly) {
      channel.connection?.detach(channel)
      this.forget(channel)
      return
    }
    // A consumer that has not connected by now was to come at once: the job has failed before it was deployed.
    if (channel.connection !== undefined) return
    this.options.clock.schedule(this.options.requestTimeoutMs, () => {
      if (channel.connection === undefined) this.forget(channel)
    })
  }

  forget(channel: OutChannel): void {
    if (channel.forgotten) return
    channel.forgotten = true
    const key = channelKey(channel.scope, channel.channelId)
    if (this.channels.get(key) === channel) this.channels.delete(key)
    this.announceIfGone(channel)
  }

  announceIfGone(channel: OutChannel): void {
    if (channel.forgotten && channel.inFlight === 0) channel.gone()
  }

  release(scope: ExchangeScope): void {
    for (const channel of this.channels.values()) if (isSame(channel.scope, scope)) this.forget(channel)
    for (const connection of this.connections) if (connection.scope !== undefined && isSame(connection.scope, scope)) connection.end()
    const region = regionKey(scope)
    const newest = this.newest.get(region)
    if (newest !== undefined && isSame(newest, scope)) this.newest.delete(region)
  }

  pump(): boolean {
    let moved = false
    for (const connection of this.connections) if (connection.pump()) moved = true
    return moved
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.end()
    await this.listener?.close()
  }

  /** The newer attempt of the same region, when there is one. */
  newerThan(scope: ExchangeScope): ExchangeScope | undefined {
    const newest = this.newest.get(regionKey(scope))
    return newest !== undefined && isOlder(scope, newest) ? newest : undefined
  }
}

class ServerConnection {
  scope: ExchangeScope | undefined = undefined
  private readonly server: Server
  private readonly socket: DataSocket
  private taskManagerId = 'unknown'
  private readonly channels = new Map<number, OutChannel>()
  /** Requests for channels that are not registered yet, by channel id. */
  private readonly waiting = new Map<string, { readonly number: number; credit: number; readonly timer: Timer }>()
  private readonly waitingNumbers = new Map<number, string>()
  private handshakeTimer: Timer | undefined
  /** Every channel that was ever sent on it: the socket may still read pages of those that are forgotten. */
  private readonly carried = new Set<OutChannel>()
  private closed = false
  private orderly = false

  constructor(server: Server, socket: DataSocket) {
    this.server = server
    this.socket = socket
    const { clock, requestTimeoutMs } = server.options
    this.handshakeTimer = clock.schedule(requestTimeoutMs, () => this.fail('TIMEOUT', 'no first message came on a data connection'))
    const reader = new protocol.MessageReader((type, payload) => this.onMessage(type, payload))
    socket.onData(bytes => {
      if (this.closed) return
      try {
        reader.push(bytes)
      } catch (error) {
        const code = error instanceof FlinkError ? error.code : 'INTERNAL'
        this.fail(code, (error as Error).message)
      }
    })
    socket.onClose(error => this.onClose(error))
  }

  /** Refuses or breaks the connection: the peer is told why, and every channel on it fails. */
  fail(code: ErrorCode, message: string): void {
    if (this.closed) return
    this.server.options.log.warn('data connection refused or failed', { peer: this.socket.peer, taskManagerId: this.taskManagerId, code, message })
    this.socket.write([protocol.jsonMessage(protocol.REFUSED, { code, message })])
    this.socket.end()
    this.shut(code, message)
  }

  /** The attempt is over. */
  end(): void {
    this.orderly = true
    this.socket.destroy()
    this.shut('CONNECTION_LOST', 'the exchange of this attempt was closed')
  }

  detach(channel: OutChannel): void {
    this.channels.delete(channel.number)
  }

  onRegistered(channel: OutChannel): void {
    const request = this.waiting.get(channel.channelId)
    if (request === undefined || this.scope === undefined || !isSame(channel.scope, this.scope)) return
    request.timer.cancel()
    this.waiting.delete(channel.channelId)
    this.waitingNumbers.delete(request.number)
    this.attach(channel, request.number, request.credit)
  }

  pump(): boolean {
    let moved = false
    for (const channel of this.channels.values()) if (this.send(channel)) moved = true
    return moved
  }

  private onMessage(type: number, payload: Uint8Array): void {
    if (this.closed) return
    if (this.scope === undefined) {
      if (type !== protocol.HELLO) throw new FlinkError('UNAUTHENTICATED', 'the first message of a data connection is not the handshake')
      this.onHello(payload)
      return
    }
    switch (type) {
      case protocol.REQUEST:
        this.onRequest(protocol.readU32(payload, 0), protocol.readU32(payload, 4), new TextDecoder().decode(payload.subarray(8)))
        return
      case protocol.CREDIT:
        this.onCredit(protocol.readU32(payload, 0), protocol.readU32(payload, 4))
        return
      case protocol.LANE_CREDIT: {
        const channel = this.channels.get(protocol.readU32(payload, 0))
        if (channel !== undefined) {
          channel.laneFree = true
          this.send(channel)
        }
        return
      }
      case protocol.DONE:
        this.onDone(protocol.readU32(payload, 0))
        return
      default:
        throw new FlinkError('PROTOCOL_MISMATCH', `unknown message type ${type} on the data plane`)
    }
  }

  private onHello(payload: Uint8Array): void {
    const { version, token, jobId, generation, region, attempt, taskManagerId } = protocol.parseJson(payload)
    if (version !== protocol.EXCHANGE_PROTOCOL_VERSION) {
      throw new FlinkError(
        'PROTOCOL_MISMATCH',
        `data plane version ${String(version)} of the peer differs from ${protocol.EXCHANGE_PROTOCOL_VERSION}`,
      )
    }
    if (typeof token !== 'string' || !tokensEqual(token, this.server.options.token))
      throw new FlinkError('UNAUTHENTICATED', 'wrong token on a data connection')
    const scope = { jobId, generation, region, attempt }
    if (!isScope(scope) || typeof taskManagerId !== 'string')
      throw new FlinkError('PROTOCOL_MISMATCH', 'the handshake of a data connection lacks a field')
    const newer = this.server.newerThan(scope)
    if (newer !== undefined) throw new FlinkError('STALE_GENERATION', staleText(scope, newer))
    this.handshakeTimer?.cancel()
    this.handshakeTimer = undefined
    this.taskManagerId = taskManagerId
    this.scope = scope
    this.socket.write([protocol.jsonMessage(protocol.WELCOME, {})])
  }

  private onRequest(number: number, credit: number, channelId: string): void {
    const { server, scope } = this
    if (scope === undefined) return
    const channel = server.channels.get(channelKey(scope, channelId))
    if (channel !== undefined) {
      if (channel.connection !== undefined) {
        this.refuseChannel(number, 'CONFLICT', `channel ${channelId} already has a consumer`)
        return
      }
      this.attach(channel, number, credit)
      return
    }
    const result = this.resultChannel(scope, channelId)
    if (result !== undefined) {
      this.attach(result, number, credit)
      return
    }
    if (this.waiting.has(channelId)) {
      this.refuseChannel(number, 'CONFLICT', `channel ${channelId} was requested twice`)
      return
    }
    const { clock, requestTimeoutMs } = server.options
    const timer = clock.schedule(requestTimeoutMs, () => {
      this.waiting.delete(channelId)
      this.waitingNumbers.delete(number)
      this.refuseChannel(number, 'TIMEOUT', `channel ${channelId} was not registered by its producer within ${requestTimeoutMs} ms`)
    })
    this.waiting.set(channelId, { number, credit, timer })
    this.waitingNumbers.set(number, channelId)
  }

  private resultChannel(scope: ExchangeScope, channelId: string): OutChannel | undefined {
    const reader = this.server.options.openResult?.(channelId, () => {
      if (this.channels.get(channel.number) === channel) this.send(channel)
    })
    if (reader === undefined) return undefined
    const channel = outChannel(scope, channelId, reader, { lost: () => {}, gone: () => reader.close() })
    return channel
  }

  private attach(channel: OutChannel, number: number, credit: number): void {
    channel.connection = this
    channel.number = number
    channel.credit = credit
    this.channels.set(number, channel)
    this.carried.add(channel)
    this.send(channel)
  }

  private onCredit(number: number, count: number): void {
    const channel = this.channels.get(number)
    if (channel !== undefined) {
      channel.credit += count
      this.send(channel)
      return
    }
    const request = this.waiting.get(this.waitingNumbers.get(number) ?? '')
    if (request !== undefined) request.credit += count
  }

  private onDone(number: number): void {
    const waitingFor = this.waitingNumbers.get(number)
    if (waitingFor !== undefined) {
      this.waiting.get(waitingFor)?.timer.cancel()
      this.waiting.delete(waitingFor)
      this.waitingNumbers.delete(number)
    }
    const channel = this.channels.get(number)
    if (channel === undefined) return
    this.channels.delete(number)
    this.server.forget(channel)
  }

  private send(channel: OutChannel): boolean {
    let moved = false
    while (channel.credit > 0) {
      const segment = channel.segments.next()
      if (segment === undefined) break
      channel.credit--
      channel.inFlight++
      moved = true
      this.socket.write([protocol.channelMessage(protocol.SEGMENT, channel.number, segment.length), segment], () => this.onSent(channel))
    }
    if (channel.segments.failure !== undefined && this.channels.get(channel.number) === channel) {
      const { code, message } = channel.segments.failure
      this.refuseChannel(channel.number, code, message)
      this.onDone(channel.number)
    }
    if (channel.laneFree) {
      const entry = channel.segments.readLane?.()
      if (entry !== undefined) {
        channel.laneFree = false
        moved = true
        this.socket.write([protocol.channelMessage(protocol.LANE, channel.number, entry.length), entry])
      }
    }
    return moved
  }

  private onSent(channel: OutChannel): void {
    channel.segments.release?.()
    channel.inFlight--
    this.server.announceIfGone(channel)
  }

  private refuseChannel(number: number, code: ErrorCode, message: string): void {
    if (!this.closed) this.socket.write(protocol.failedMessage(number, code, message))
  }

  private onClose(error: Error | undefined): void {
    const cause = error === undefined ? 'the peer closed it' : error.message
    if (!this.closed && this.channels.size > 0) {
      this.server.options.log.warn('data connection lost', { peer: this.socket.peer, taskManagerId: this.taskManagerId, cause })
    }
    this.shut('CONNECTION_LOST', cause)
    // Write callbacks that have not come never will; from here on nothing reads the pages.
    for (const channel of this.carried) {
      if (channel.inFlight === 0) continue
      channel.inFlight = 0
      this.server.announceIfGone(channel)
    }
    this.carried.clear()
  }

  private shut(code: ErrorCode, cause: string): void {
    if (this.closed) return
    this.closed = true
    this.handshakeTimer?.cancel()
    for (const request of this.waiting.values()) request.timer.cancel()
    this.waiting.clear()
    for (const channel of this.channels.values()) {
      channel.connection = undefined
      this.server.forget(channel)
      // A released attempt needs no error: its tasks have ended or are being ended.
      if (this.orderly) continue
      channel.lost(code, `connection to TaskManager ${this.taskManagerId} (${this.socket.peer}) for channel ${channel.channelId} was lost: ${cause}`)
    }
    this.channels.clear()
    this.server.connections.delete(this)
  }
}

function outChannel(scope: ExchangeScope, channelId: string, segments: SegmentSource, ends: Pick<OutChannel, 'lost' | 'gone'>): OutChannel {
  return { channelId, scope, segments, ...ends, connection: undefined, number: 0, credit: 0, laneFree: true, inFlight: 0, forgotten: false }
}

function channelKey(scope: ExchangeScope, channelId: string): string {
  return `${scopeKey(scope)}/${channelId}`
}

function isSame(a: ExchangeScope, b: ExchangeScope): boolean {
  return scopeKey(a) === scopeKey(b)
}

function isScope(scope: { readonly [F in keyof ExchangeScope]: unknown }): scope is ExchangeScope {
  const { jobId, generation, region, attempt } = scope
  return typeof jobId === 'string' && typeof generation === 'number' && typeof region === 'number' && typeof attempt === 'number'
}

function staleText(stale: ExchangeScope, current: ExchangeScope): string {
  return `attempt ${stale.attempt} of generation ${stale.generation} of job ${stale.jobId} is over: attempt ${current.attempt} of generation ${current.generation} runs`
}

/** Looks at every character, whatever the first difference: the time says nothing about the token. */
function tokensEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % Math.max(1, b.length))
  return difference === 0
}
