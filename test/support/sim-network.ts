import type { Clock, Timer } from '../../runtime/common/clock.ts'
import { deserializeError, FlinkError, serializeError } from '../../runtime/common/errors.ts'
import type { JsonObject, JsonValue } from '../../runtime/common/json.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RpcConnection, RpcServer, RpcTransport } from '../../runtime/rpc/connection.ts'
import { errorFromJson, errorToJson } from '../../runtime/rpc/messages.ts'

/** What may happen to a message. Delays are drawn per message, so messages overtake each other. */
export interface NetworkFaults {
  readonly delayMaxMs: number
  readonly dropChance: number
  readonly duplicateChance: number
}

export const calmNetwork: NetworkFaults = { delayMaxMs: 2, dropChance: 0, duplicateChance: 0 }

type ListenOptions = Parameters<RpcTransport['listen']>[0]
type Handler = (method: string, payload: JsonObject) => Promise<JsonValue> | JsonValue

/**
 * RpcTransport over simulated wires. It is ruder than TCP: calls, answers and notifications are dropped, doubled and reordered one by
 * one. Payloads are copied as JSON, so nothing is shared between the two sides.
 */
export class SimNetwork {
  faults: NetworkFaults = calmNetwork
  readonly clock: Clock
  readonly random: Random
  private readonly servers = new Map<string, { readonly options: ListenOptions; readonly node: string }>()
  private readonly connections = new Set<SimConnection>()
  private readonly dead = new Set<string>()
  private readonly frozen = new Set<string>()
  /** Messages by method, for tests that look for a certain one. Answer true to lose it. */
  intercept: (method: string, from: string) => boolean = () => false
  sentCount = 0

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
  }

  transport(node: string): RpcTransport {
    return {
      listen: async options => this.listen(node, options),
      connect: options => this.connect(node, options),
    }
  }

  /** The process is gone: its sockets close, nothing of it is heard again. */
  kill(node: string): void {
    this.dead.add(node)
    this.unlisten(node)
    for (const connection of this.connections) {
      if (connection.node !== node) continue
      connection.other?.closeLater('the other process ended')
      connection.end(new FlinkError('CONNECTION_LOST', 'this process was killed'))
    }
  }

  /** Its address is another's from now on. */
  unlisten(node: string): void {
    for (const [address, server] of this.servers) if (server.node === node) this.servers.delete(address)
  }

  /** Nothing passes in either direction, and nobody is told: a stopped process, a pulled cable. */
  freeze(node: string): void {
    this.frozen.add(node)
  }

  thaw(node: string): void {
    this.frozen.delete(node)
  }

  /** When the node does something again; never, once it is dead. */
  async untilAlive(node: string): Promise<void> {
    while (this.isCutOff(node)) await new Promise<void>(resolve => void (this.dead.has(node) || this.clock.schedule(100, resolve)))
  }

  /** Connections of the node break; both sides notice after a while, not at the same time. */
  cut(node: string): void {
    for (const connection of this.connections) {
      if (connection.node !== node) continue
      connection.closeLater('connection reset')
      connection.other?.closeLater('connection reset')
    }
  }

  isCutOff(node: string): boolean {
    return this.dead.has(node) || this.frozen.has(node)
  }

  delayMs(): number {
    return this.random.next() * this.faults.delayMaxMs
  }

  forget(connection: SimConnection): void {
    this.connections.delete(connection)
  }

  /** Delivers `deliver` zero, one or two times, later. */
  carry(from: string, to: string, method: string, deliver: () => void): void {
    this.sentCount++
    if (this.isCutOff(from) || this.isCutOff(to) || this.intercept(method, from)) return
    const copies = this.random.next() < this.faults.dropChance ? 0 : this.random.next() < this.faults.duplicateChance ? 2 : 1
    for (let i = 0; i < copies; i++) {
      this.clock.schedule(this.delayMs(), () => {
        if (!this.isCutOff(to)) deliver()
      })
    }
  }

  private listen(node: string, options: ListenOptions): RpcServer {
    const address = `${options.host}:${options.port}`
    if (this.servers.has(address)) throw new FlinkError('PORT_IN_USE', `port ${options.port} on ${options.host} is taken`)
    this.servers.set(address, { options, node })
    return { host: options.host, port: options.port, close: async () => void this.servers.delete(address) }
  }

  private connect(node: string, options: Parameters<RpcTransport['connect']>[0]): Promise<RpcConnection> {
    return new Promise((resolve, reject) => {
      if (this.dead.has(node)) return
      const timeout = this.clock.schedule(options.timeoutMs, () => reject(new FlinkError('TIMEOUT', 'connecting took too long')))
      this.clock.schedule(this.delayMs() + 1, () => {
        const server = this.servers.get(`${options.host}:${options.port}`)
        if (this.isCutOff(node) || (server !== undefined && this.isCutOff(server.node))) return
        timeout.cancel()
        if (server === undefined) return reject(new FlinkError('CONNECTION_REFUSED', `nobody listens at ${options.host}:${options.port}`))
        if (server.options.token !== options.token) return reject(new FlinkError('UNAUTHENTICATED', 'the token of the rpc hello is missing or wrong'))
        const client = new SimConnection(this, node, server.node)
        const accepted = new SimConnection(this, server.node, options.id)
        client.other = accepted
        accepted.other = client
        this.connections.add(client)
        this.connections.add(accepted)
        server.options.onConnection(accepted)
        resolve(client)
      })
    })
  }
}

export class SimConnection implements RpcConnection {
  readonly peerId: string
  readonly node: string
  other: SimConnection | undefined = undefined
  private readonly network: SimNetwork
  private handler: Handler | undefined = undefined
  private closeReason: Error | undefined = undefined
  private readonly closeCallbacks: ((reason: Error) => void)[] = []
  private readonly calls = new Map<number, { resolve: (value: JsonValue) => void; reject: (error: Error) => void; timer: Timer | undefined }>()
  private nextCallId = 0

  constructor(network: SimNetwork, node: string, peerId: string) {
    this.network = network
    this.node = node
    this.peerId = peerId
  }

  call(method: string, payload: JsonObject, timeoutMs?: number): Promise<JsonValue> {
    if (this.closeReason !== undefined) return Promise.reject(new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} is closed`))
    const id = this.nextCallId++
    const text = JSON.stringify(payload)
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.network.clock.schedule(timeoutMs, () => {
              this.calls.delete(id)
              reject(new FlinkError('TIMEOUT', `${this.peerId} did not answer rpc ${method} within ${timeoutMs} ms`))
            })
      this.calls.set(id, { resolve, reject, timer })
      const { other } = this
      this.network.carry(this.node, this.peerId, method, () => other?.receive(method, text, answer => this.settle(id, answer)))
    })
  }

  notify(method: string, payload: JsonObject): void {
    if (this.closeReason !== undefined) return
    const text = JSON.stringify(payload)
    const { other } = this
    this.network.carry(this.node, this.peerId, method, () => other?.receive(method, text, () => {}))
  }

  onRequest(handler: Handler): void {
    this.handler = handler
  }

  onClose(callback: (reason: Error) => void): void {
    if (this.closeReason === undefined) this.closeCallbacks.push(callback)
    else callback(this.closeReason)
  }

  close(reason = 'closed by this side'): void {
    if (this.closeReason !== undefined) return
    if (!this.network.isCutOff(this.node) && !this.network.isCutOff(this.peerId)) this.other?.closeLater(reason)
    this.end(new FlinkError('CONNECTION_LOST', reason))
  }

  closeLater(reason: string): void {
    this.network.clock.schedule(this.network.delayMs(), () => this.end(new FlinkError('CONNECTION_LOST', reason)))
  }

  end(reason: Error): void {
    if (this.closeReason !== undefined) return
    this.closeReason = reason
    this.network.forget(this)
    for (const call of this.calls.values()) {
      call.timer?.cancel()
      call.reject(new FlinkError('CONNECTION_LOST', `connection to ${this.peerId} ended`, {}, reason))
    }
    this.calls.clear()
    for (const callback of this.closeCallbacks.splice(0)) callback(reason)
  }

  private receive(method: string, text: string, answer: (text: string) => void): void {
    const { handler } = this
    if (this.closeReason !== undefined || handler === undefined) return
    const reply = (value: JsonValue) => {
      if (this.closeReason !== undefined) return
      const encoded = JSON.stringify(value)
      this.network.carry(this.node, this.peerId, `${method}:answer`, () => answer(encoded))
    }
    const run = async () => handler(method, JSON.parse(text))
    run().then(
      value => reply({ value }),
      error => reply({ error: errorToJson(serializeError(error)) }),
    )
  }

  private settle(id: number, text: string): void {
    const call = this.calls.get(id)
    if (call === undefined) return
    this.calls.delete(id)
    call.timer?.cancel()
    const answer = JSON.parse(text)
    if (answer.error !== undefined) call.reject(deserializeError(errorFromJson(answer.error)))
    else call.resolve(answer.value)
  }
}
