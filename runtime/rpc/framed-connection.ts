import type { Socket } from 'node:net'
import type { Clock, Timer } from '../common/clock.ts'
import { deserializeError, FlinkError, serializeError } from '../common/errors.ts'
import type { JsonObject, JsonValue } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { RpcConnection } from './connection.ts'
import { encodeFrame, type FrameReader } from './frame-codec.ts'
import { asJson, errorFromJson, errorToJson, type SerializedErrorJson } from './messages.ts'

/**
 * One authenticated TCP connection: `call`, `answer`, `failure`, `notify`, `ping`, `pong` frames. Ends exactly once, by either side's
 * close, a socket error, a malformed frame, or silence; then every unanswered call rejects with CONNECTION_LOST.
 */
export interface FramedConnectionSettings {
  readonly clock: Clock
  readonly log: Logger
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
}

type RequestHandler = (method: string, payload: JsonObject) => Promise<JsonValue> | JsonValue

interface OpenCall {
  readonly resolve: (value: JsonValue) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer | undefined
}

/** Bytes that may wait in the socket; beyond it the peer does not read any more. */
const unsentBytesMax = 256 * 1024 * 1024

export class FramedConnection implements RpcConnection {
  readonly peerId: string
  private readonly socket: Socket
  private readonly settings: FramedConnectionSettings
  private readonly calls = new Map<number, OpenCall>()
  private readonly closeCallbacks: ((reason: Error) => void)[] = []
  private nextCallId = 0
  private handler: RequestHandler | undefined = undefined
  /** Requests that came before `onRequest`; bounded by one socket read. */
  private early: JsonObject[] = []
  private closeReason: Error | undefined = undefined
  private lastHeardMs: number
  private pingTimer: Timer

  constructor(socket: Socket, reader: FrameReader, peerId: string, settings: FramedConnectionSettings) {
    this.socket = socket
    this.peerId = peerId
    this.settings = settings
    this.lastHeardMs = settings.clock.monotonicMs()
    socket.setNoDelay(true)
    socket.on('data', (chunk: Uint8Array) => {
      this.lastHeardMs = settings.clock.monotonicMs()
      try {
        reader.push(chunk, message => this.receive(message))
      } catch (error) {
        this.end(error instanceof Error ? error : new FlinkError('PROTOCOL_MISMATCH', 'an rpc frame could not be read'))
      }
    })
    socket.on('error', error => this.end(this.lossOf(error)))
    socket.on('close', () => this.end(this.lossOf(undefined)))
    this.pingTimer = this.schedulePing()
  }

  private lossOf(error: NodeJS.ErrnoException | undefined): FlinkError {
    // EPIPE: what was written met a socket that the other side had closed, before its 'close' came.
    const what = error === undefined || error.code === 'EPIPE' ? 'was closed by the other side' : `failed: ${error.message}`
    return new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} ${what}`, {}, error)
  }

  call(method: string, payload: JsonObject, timeoutMs?: number): Promise<JsonValue> {
    if (this.closeReason !== undefined) return Promise.reject(this.lost(method))
    const id = this.nextCallId++
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.settings.clock.schedule(timeoutMs, () => {
              this.calls.delete(id)
              reject(new FlinkError('TIMEOUT', `${this.peerId} did not answer rpc ${method} within ${timeoutMs} ms`))
            })
      this.calls.set(id, { resolve, reject, timer })
      try {
        this.write({ kind: 'call', id, method, payload })
      } catch (error) {
        timer?.cancel()
        this.calls.delete(id)
        reject(error)
      }
    })
  }

  notify(method: string, payload: JsonObject): void {
    if (this.closeReason === undefined) this.write({ kind: 'notify', method, payload })
  }

  onRequest(handler: RequestHandler): void {
    this.handler = handler
    const early = this.early
    this.early = []
    for (const message of early) this.receive(message)
  }

  onClose(callback: (reason: Error) => void): void {
    if (this.closeReason === undefined) this.closeCallbacks.push(callback)
    else callback(this.closeReason)
  }

  close(reason = 'closed by this side'): void {
    this.end(new FlinkError('CONNECTION_LOST', reason))
  }

  /** One frame; public because frames may follow the welcome in the same chunk of bytes. */
  receive(message: JsonObject): void {
    const { kind, id, method, payload } = message
    if (kind === 'answer' || kind === 'failure') {
      this.settle(Number(id), message)
      return
    }
    if (kind === 'ping') this.write({ kind: 'pong' })
    if (kind === 'ping' || kind === 'pong') return
    if ((kind !== 'call' && kind !== 'notify') || typeof method !== 'string' || payload === null || typeof payload !== 'object') {
      throw new FlinkError('PROTOCOL_MISMATCH', `${this.peerId} sent an rpc frame of unknown kind ${String(kind)}`)
    }
    const handler = this.handler
    if (handler === undefined) {
      this.early.push(message)
      return
    }
    // A JSON object as sent by call or notify; its fields are the handler's to check.
    const answered = invoke(handler, method, payload as JsonObject)
    if (kind === 'notify') {
      answered.catch(error => this.settings.log.warn('rpc notification failed', { peer: this.peerId, method, error: String(error) }))
      return
    }
    answered.then(
      value => this.reply({ kind: 'answer', id: Number(id), value }),
      error => this.reply({ kind: 'failure', id: Number(id), error: asJson(errorToJson(serializeError(error))) }),
    )
  }

  private reply(message: JsonObject): void {
    if (this.closeReason !== undefined) return
    try {
      this.write(message)
    } catch (error) {
      this.write({ kind: 'failure', id: message['id'] ?? -1, error: asJson(errorToJson(serializeError(error))) })
    }
  }

  private settle(id: number, message: JsonObject): void {
    const call = this.calls.get(id)
    // Answers after a timeout find nobody.
    if (call === undefined) return
    this.calls.delete(id)
    call.timer?.cancel()
    if (message['kind'] === 'answer') call.resolve(message['value'] ?? null)
    // Made by errorToJson on the other side.
    else call.reject(deserializeError(errorFromJson(message['error'] as unknown as SerializedErrorJson)))
  }

  private write(message: JsonObject): void {
    this.socket.write(encodeFrame(message))
    if (this.socket.writableLength > unsentBytesMax)
      this.end(new FlinkError('CONNECTION_LOST', `${this.peerId} does not read: ${unsentBytesMax} bytes wait`))
  }

  private schedulePing(): Timer {
    return this.settings.clock.schedule(this.settings.pingIntervalMs, () => {
      if (this.closeReason !== undefined) return
      const silentMs = this.settings.clock.monotonicMs() - this.lastHeardMs
      if (silentMs > this.settings.pingTimeoutMs) {
        this.end(new FlinkError('CONNECTION_LOST', `nothing was heard from ${this.peerId} for ${Math.round(silentMs)} ms`))
        return
      }
      this.write({ kind: 'ping' })
      this.pingTimer = this.schedulePing()
    })
  }

  private lost(method: string): FlinkError {
    return new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} ended before rpc ${method} was answered`, {}, this.closeReason)
  }

  private end(reason: Error): void {
    if (this.closeReason !== undefined) return
    this.closeReason = reason
    this.pingTimer.cancel()
    this.early = []
    this.socket.removeAllListeners('data')
    // What was written before a close still leaves: `shutDown` notices would be lost otherwise.
    this.socket.end()
    this.settings.clock.schedule(1_000, () => this.socket.destroy())
    for (const call of this.calls.values()) {
      call.timer?.cancel()
      call.reject(new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} ended`, {}, reason))
    }
    this.calls.clear()
    for (const callback of this.closeCallbacks.splice(0)) callback(reason)
  }
}

async function invoke(handler: RequestHandler, method: string, payload: JsonObject): Promise<JsonValue> {
  return handler(method, payload)
}
