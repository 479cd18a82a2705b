/**
 * Consumer's side of the exchange between TaskManagers, in the I/O worker: asks producers for channels and writes the segments that
 * come into the rings that slots read. Protocol: `exchange-protocol.ts`.
 *
 * Invariants:
 * - granted and not yet received credits never exceed the free slots of the ring, so a segment always finds its slot;
 * - whatever ends a connection before its channels were released becomes the error of those channels' rings, which the reading task
 *   meets after the rows that had arrived;
 * - the host calls `pump` whenever its doorbell rings.
 */
import type { Clock, Timer } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { DataNetwork, DataSocket } from './data-socket.ts'
import * as protocol from './exchange-protocol.ts'
import { type ExchangeScope, scopeKey } from './exchange-scope.ts'
import type { Doorbell } from './frame.ts'
import { failRing, LANE_SIZE, type RingDescriptor, SegmentWriter } from './ring.ts'

export interface ExchangeClientOptions {
  readonly network: DataNetwork
  readonly clock: Clock
  readonly log: Logger
  readonly token: string
  /** Our own id, for the producer's messages. */
  readonly taskManagerId: string
  /** `taskmanager.network.request-timeout`: until the producer has connected and answered the handshake. */
  readonly requestTimeoutMs: number
}

export interface ExchangePeer {
  readonly taskManagerId: string
  readonly host: string
  readonly dataPort: number
}

export class ExchangeClient {
  private readonly options: ExchangeClientOptions
  private readonly connections = new Map<string, ClientConnection>()
  /** By attempt: connections that were lost and may yet turn out to be those of a producer that was released before us. */
  private readonly warnings = new Map<string, Timer[]>()

  constructor(options: ExchangeClientOptions) {
    this.options = options
  }

  /** Fetches a channel from `peer` into `ring`; opens the connection when it is the first. `consumer` is the reading slot's doorbell. */
  request(scope: ExchangeScope, peer: ExchangePeer, ring: RingDescriptor, consumer: Doorbell): void {
    const key = `${scopeKey(scope)}/${peer.taskManagerId}/${peer.host}:${peer.dataPort}`
    let connection = this.connections.get(key)
    if (connection === undefined) {
      connection = new ClientConnection(this.options, scope, peer, warn => {
        this.connections.delete(key)
        if (warn !== undefined) this.warnUnlessReleased(scope, warn)
      })
      this.connections.set(key, connection)
    }
    connection.request(ring, consumer)
  }

  /** The consumer of a channel has ended, in whatever way. The connection is closed with its last channel. */
  releaseChannel(scope: ExchangeScope, channelId: string): void {
    for (const connection of this.connections.values()) if (connection.key === scopeKey(scope)) connection.releaseChannel(channelId)
  }

  /** The attempt is over: its connections are closed without an error. */
  release(scope: ExchangeScope): void {
    for (const connection of this.connections.values()) if (connection.key === scopeKey(scope)) connection.end()
    for (const timer of this.warnings.get(scopeKey(scope)) ?? []) timer.cancel()
    this.warnings.delete(scopeKey(scope))
  }

  /** Grants the slots that came free; true when some did. */
  pump(): boolean {
    let moved = false
    for (const connection of this.connections.values()) if (connection.pump()) moved = true
    return moved
  }

  close(): void {
    for (const connection of this.connections.values()) connection.end()
    for (const timer of [...this.warnings.values()].flat()) timer.cancel()
    this.warnings.clear()
  }

  /** When a job is cancelled or fails, one side is released first; the other's order comes a moment later. */
  private warnUnlessReleased(scope: ExchangeScope, warn: () => void): void {
    const timer = this.options.clock.schedule(RELEASE_GRACE_MS, warn)
    const timers = this.warnings.get(scopeKey(scope))
    if (timers === undefined) this.warnings.set(scopeKey(scope), [timer])
    else timers.push(timer)
  }
}

/** How far apart the two sides of an attempt are released; a task that takes longer to be cancelled is warned of anyway. */
const RELEASE_GRACE_MS = 10_000

interface InChannel {
  readonly ring: RingDescriptor
  readonly segments: SegmentWriter
  readonly consumer: Doorbell
  readonly number: number
  /** Segments that the producer may have sent in total, wrapping: released slots + all slots. */
  granted: number
  /** An entry that found the lane's place taken; the producer sends no other before LANE_CREDIT. */
  lane: Uint8Array | undefined
}

class ClientConnection {
  readonly key: string
  private readonly options: ExchangeClientOptions
  private readonly scope: ExchangeScope
  private readonly peer: ExchangePeer
  private readonly onEnd: (warn: (() => void) | undefined) => void
  private readonly channels = new Map<number, InChannel>()
  private nextNumber = 0
  private socket: DataSocket | undefined = undefined
  private welcomed = false
  private closed = false
  private readonly timer: Timer

  constructor(options: ExchangeClientOptions, scope: ExchangeScope, peer: ExchangePeer, onEnd: (warn: (() => void) | undefined) => void) {
    this.key = scopeKey(scope)
    this.options = options
    this.scope = scope
    this.peer = peer
    this.onEnd = onEnd
    this.timer = options.clock.schedule(options.requestTimeoutMs, () => {
      this.shut(new FlinkError('TIMEOUT', `no answer to the handshake within ${options.requestTimeoutMs} ms`))
    })
    options.network.connect({ host: peer.host, port: peer.dataPort }).then(
      socket => this.onConnect(socket),
      error => this.shut(error),
    )
  }

  request(ring: RingDescriptor, consumer: Doorbell): void {
    const segments = new SegmentWriter(ring, consumer)
    const channel: InChannel = { ring, segments, consumer, number: this.nextNumber++, granted: segments.slots, lane: undefined }
    this.channels.set(channel.number, channel)
    if (this.closed) this.failChannel(channel, 'CONNECTION_LOST', 'it had ended before')
    else if (this.welcomed) this.sendRequest(channel)
  }

  releaseChannel(channelId: string): void {
    for (const channel of this.channels.values()) {
      if (channel.ring.channelId !== channelId) continue
      this.channels.delete(channel.number)
      this.sayDone(channel)
    }
    if (this.channels.size === 0) this.end()
  }

  /** In order: the producer is told of each channel, so that it does not take the end of the connection for a loss. */
  end(): void {
    for (const channel of this.channels.values()) this.sayDone(channel)
    this.channels.clear()
    this.socket?.end()
    this.shut(undefined)
  }

  pump(): boolean {
    if (!this.welcomed || this.closed) return false
    let moved = false
    for (const channel of this.channels.values()) {
      const released = channel.segments.releasedWatched()
      const count = (released + channel.segments.slots - channel.granted) | 0
      if (count > 0) {
        channel.granted = (channel.granted + count) | 0
        this.socket?.write([protocol.numberMessage(protocol.CREDIT, channel.number, count)])
        moved = true
      }
      if (channel.lane !== undefined && this.deliverLane(channel, channel.lane)) moved = true
    }
    return moved
  }

  private onConnect(socket: DataSocket): void {
    if (this.closed) {
      socket.destroy()
      return
    }
    this.socket = socket
    const reader = new protocol.MessageReader((type, payload) => this.onMessage(type, payload))
    socket.onData(bytes => {
      if (this.closed) return
      try {
        reader.push(bytes)
      } catch (error) {
        socket.destroy()
        this.shut(error)
      }
    })
    socket.onClose(error => this.shut(error ?? new FlinkError('CONNECTION_LOST', 'the peer closed it')))
    const hello: protocol.ExchangeHello = {
      version: protocol.EXCHANGE_PROTOCOL_VERSION,
      token: this.options.token,
      jobId: this.scope.jobId,
      generation: this.scope.generation,
      region: this.scope.region,
      attempt: this.scope.attempt,
      taskManagerId: this.options.taskManagerId,
    }
    socket.write([protocol.jsonMessage(protocol.HELLO, hello)])
  }

  private onMessage(type: number, payload: Uint8Array): void {
    if (this.closed) return
    switch (type) {
      case protocol.WELCOME:
        this.welcomed = true
        this.timer.cancel()
        for (const channel of this.channels.values()) this.sendRequest(channel)
        return
      case protocol.REFUSED:
        throw protocol.parseError(payload)
      case protocol.SEGMENT:
        this.onSegment(protocol.readU32(payload, 0), payload)
        return
      case protocol.LANE: {
        const channel = this.channels.get(protocol.readU32(payload, 0))
        if (channel !== undefined) this.deliverLane(channel, payload.slice(4, 4 + LANE_SIZE))
        return
      }
      case protocol.FAILED: {
        const number = protocol.readU32(payload, 0)
        const channel = this.channels.get(number)
        if (channel === undefined) return
        this.channels.delete(number)
        const { code, message } = protocol.parseError(payload.subarray(4))
        this.failChannel(channel, code, message)
        return
      }
      default:
        throw new FlinkError('PROTOCOL_MISMATCH', `unknown message type ${type} on the data plane`)
    }
  }

  private onSegment(number: number, payload: Uint8Array): void {
    const channel = this.channels.get(number)
    // Of a channel that was released while it was on its way.
    if (channel === undefined) return
    if (payload.length <= 4 || !channel.segments.write(payload, 4, payload.length)) {
      throw new FlinkError('PROTOCOL_MISMATCH', `an empty segment, or one without credit, came on channel ${channel.ring.channelId}`)
    }
  }

  private deliverLane(channel: InChannel, entry: Uint8Array): boolean {
    if (!channel.segments.writeLane(entry)) {
      channel.lane = entry
      return false
    }
    channel.lane = undefined
    this.socket?.write([protocol.channelMessage(protocol.LANE_CREDIT, channel.number, 0)])
    return true
  }

  private sendRequest(channel: InChannel): void {
    // From here on a release by the slot rings our doorbell, and `pump` grants the slot again.
    channel.segments.releasedWatched()
    this.socket?.write(protocol.requestMessage(channel.number, channel.segments.slots, channel.ring.channelId))
  }

  private sayDone(channel: InChannel): void {
    if (this.welcomed && !this.closed) this.socket?.write([protocol.channelMessage(protocol.DONE, channel.number, 0)])
  }

  /** Undefined error = released in order. */
  private shut(error: unknown): void {
    if (this.closed) return
    this.closed = true
    this.timer.cancel()
    if (error === undefined) {
      this.onEnd(undefined)
      return
    }
    const code = error instanceof FlinkError ? error.code : 'CONNECTION_LOST'
    const message = error instanceof Error ? error.message : String(error)
    const { host, dataPort, taskManagerId } = this.peer
    const warn = () => this.options.log.warn('data connection failed', { peer: `${host}:${dataPort}`, taskManagerId, code, message })
    this.onEnd(this.channels.size > 0 ? warn : undefined)
    for (const channel of this.channels.values()) this.failChannel(channel, code, message)
    this.channels.clear()
    this.socket?.destroy()
  }

  private failChannel(channel: InChannel, code: FlinkError['code'], message: string): void {
    const { taskManagerId, host, dataPort } = this.peer
    failRing(
      channel.ring,
      code,
      `connection to TaskManager ${taskManagerId} (${host}:${dataPort}) for channel ${channel.ring.channelId} failed: ${message}`,
    )
    channel.consumer.ring()
  }
}
