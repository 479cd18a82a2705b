import type { Clock, Timer } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject, JsonValue } from '../common/json.ts'
import type { RpcConnection } from './connection.ts'
import { checkPayload } from './messages.ts'

/**
 * A connection with typed methods and, on top of plain calls, calls that arrive exactly once and in order for as long as the
 * connection lives, whatever the transport drops, doubles or reorders.
 *
 * 1. The sender numbers ordered calls 0, 1, 2, … and sends at once, without waiting for the one before.
 * 2. The receiver runs number n only after n-1 was started; a later one waits in a bounded buffer, an earlier one gets the answer
 *    that was given the first time. It starts handlers in order; a handler that must stay in order does its work synchronously.
 * 3. A call that is not answered within `retryMs` is sent again, until it is answered or the connection closes.
 * 4. Each message says up to where answers have arrived (`settled`), so that the receiver forgets what nobody will ask again.
 */
export type MethodTable = Record<string, { payload: JsonObject; answer: JsonValue }>

export interface LinkOptions {
  readonly clock: Clock
  /** How long a call waits for its answer. */
  readonly timeoutMs?: number
  /** Pause before an unanswered ordered call is sent again. */
  readonly retryMs?: number
}

/** Ordered calls that may be unanswered at once; more means that the peer is stuck, and the connection is given up. */
const unansweredMax = 20_000

export class RpcLink<Outgoing extends MethodTable> {
  readonly connection: RpcConnection
  private readonly clock: Clock
  private readonly timeoutMs: number
  private readonly retryMs: number
  private handler: (method: string, payload: JsonObject) => Promise<JsonValue> | JsonValue = method => {
    throw new FlinkError('PROTOCOL_MISMATCH', `rpc method ${method} is not served yet`)
  }
  /** Ordered calls that wait to be sent again; ended early when the connection closes. */
  private readonly pauses = new Map<Timer, () => void>()
  private closed = false

  private nextToSend = 0
  private readonly unsettled = new Set<number>()

  private nextToRun = 0
  private readonly waiting = new Map<number, { method: string; payload: JsonObject; start: (answer: Promise<JsonValue>) => void }>()
  private readonly answers = new Map<number, Promise<JsonValue>>()

  constructor(connection: RpcConnection, options: LinkOptions) {
    this.connection = connection
    this.clock = options.clock
    this.timeoutMs = options.timeoutMs ?? 10_000
    this.retryMs = options.retryMs ?? 1_000
    connection.onClose(() => this.end())
    connection.onRequest((method, payload) => {
      if (method === 'inOrder') return this.receiveInOrder(payload)
      checkPayload(method, payload)
      return this.handler(method, payload)
    })
  }

  get peerId(): string {
    return this.connection.peerId
  }

  get isClosed(): boolean {
    return this.closed
  }

  serve(handler: (method: string, payload: JsonObject) => Promise<JsonValue> | JsonValue): void {
    this.handler = handler
  }

  async call<M extends keyof Outgoing & string>(
    method: M,
    payload: Outgoing[M]['payload'],
    timeoutMs = this.timeoutMs,
  ): Promise<Outgoing[M]['answer']> {
    return this.connection.call(method, payload, timeoutMs)
  }

  notify<M extends keyof Outgoing & string>(method: M, payload: Outgoing[M]['payload']): void {
    if (!this.closed) this.connection.notify(method, payload)
  }

  /** Resolves or rejects with the handler's answer; rejects with CONNECTION_LOST when the connection ends first. */
  async callInOrder<M extends keyof Outgoing & string>(method: M, payload: Outgoing[M]['payload']): Promise<Outgoing[M]['answer']> {
    if (this.closed) throw new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} is closed`)
    if (this.unsettled.size >= unansweredMax) {
      this.connection.close(`${this.unsettled.size} calls to ${this.peerId} are unanswered`)
      throw new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} was given up with ${this.unsettled.size} unanswered calls`)
    }
    const sequence = this.nextToSend++
    this.unsettled.add(sequence)
    try {
      return await this.sendUntilAnswered(sequence, method, payload)
    } finally {
      this.unsettled.delete(sequence)
    }
  }

  private async sendUntilAnswered(sequence: number, method: string, payload: JsonObject): Promise<JsonValue> {
    for (;;) {
      try {
        return await this.connection.call('inOrder', { sequence, settled: this.settledBelow(), method, payload }, this.timeoutMs)
      } catch (error) {
        if (this.closed || !(error instanceof FlinkError) || error.code !== 'TIMEOUT') throw error
      }
      await this.pause()
      if (this.closed) throw new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} closed before ${method} was answered`)
    }
  }

  /** Every number below it has been answered. Sets keep insertion order, and numbers are inserted growing. */
  private settledBelow(): number {
    for (const sequence of this.unsettled) return sequence
    return this.nextToSend
  }

  private pause(): Promise<void> {
    return new Promise(resolve => {
      const timer = this.clock.schedule(this.retryMs, () => {
        this.pauses.delete(timer)
        resolve()
      })
      this.pauses.set(timer, resolve)
    })
  }

  private receiveInOrder(envelope: JsonObject): Promise<JsonValue> {
    const { sequence, settled, method, payload } = envelope
    if (
      typeof sequence !== 'number' ||
      typeof settled !== 'number' ||
      typeof method !== 'string' ||
      payload === null ||
      typeof payload !== 'object'
    ) {
      throw new FlinkError('PROTOCOL_MISMATCH', 'an ordered rpc call lacks its sequence number, method or payload')
    }
    for (const number of this.answers.keys()) {
      if (number >= settled || number >= this.nextToRun) break
      this.answers.delete(number)
    }
    const known = this.answers.get(sequence)
    if (known !== undefined) return known
    // Settled and forgotten: a copy that the network held back. Nobody reads this answer.
    if (sequence < this.nextToRun) return Promise.resolve(null)
    if (this.waiting.size >= unansweredMax)
      throw new FlinkError('PROTOCOL_MISMATCH', `more than ${unansweredMax} ordered calls wait for an earlier one`)
    const answer = new Promise<JsonValue>(resolve => {
      // A JSON object, as checked above; arrays are no payload of ours and fail in checkPayload.
      this.waiting.set(sequence, { method, payload: payload as JsonObject, start: resolve })
    })
    answer.catch(() => {})
    this.answers.set(sequence, answer)
    this.runWaiting()
    return answer
  }

  private runWaiting(): void {
    for (;;) {
      const next = this.waiting.get(this.nextToRun)
      if (next === undefined || this.closed) return
      this.waiting.delete(this.nextToRun++)
      next.start(this.run(next.method, next.payload))
    }
  }

  /** Runs the handler synchronously up to its first await, so that handlers start in order. */
  private async run(method: string, payload: JsonObject): Promise<JsonValue> {
    checkPayload(method, payload)
    return this.handler(method, payload)
  }

  private end(): void {
    this.closed = true
    for (const [timer, resume] of this.pauses) {
      timer.cancel()
      resume()
    }
    this.pauses.clear()
    this.waiting.clear()
    this.answers.clear()
  }
}
