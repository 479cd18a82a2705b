import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { ChannelElement, ChannelReader, ChannelWriter } from '../network/frame.ts'
import type { ConnectorRegistry, FetcherSink, IoContext, SinkTransport, SourceFetcher } from '../stream/spi/io-host.ts'
import type { BlockWriter } from './io-blocks.ts'

/**
 * Hosts the async halves of connectors: fetchers of sources and transports of sinks, each over a pair of channels to its slot.
 *
 * - Source port: bytes and events go out as far as credit goes; a fetcher waits in `write` meanwhile. Commands come in.
 * - Sink port: bytes and commands come in, one at a time: the next is taken when the transport is done with the last. Events go out.
 * - Whoever rings this host's doorbell makes it call `wake`; nothing here polls.
 * - What goes wrong in an async half becomes an `error` event on its port {code, message, tag}; the slot fails the task with it.
 * - `close` of a port aborts its signal, lets go whoever waits in `write`, and awaits the connector's own close.
 */
export interface IoRuntimeOptions {
  readonly registry: ConnectorRegistry
  readonly clock: Clock
  readonly log: Logger
  readonly taskManager: IoContext['taskManager']
  readonly s3?: IoContext['s3']
}

export interface IoPort {
  close(): Promise<void>
}

export class IoRuntime {
  private readonly options: IoRuntimeOptions
  private readonly ports = new Set<SourceHalf | SinkHalf>()

  constructor(options: IoRuntimeOptions) {
    this.options = options
  }

  /** With `blocks`, bytes go there and references to them through `out`. */
  openSource(type: string, options: JsonObject, out: ChannelWriter, commands: ChannelReader, blocks?: BlockWriter): IoPort {
    const half = new SourceHalf(type, options, out, commands, this.options, blocks)
    return this.add(half)
  }

  openSink(type: string, options: JsonObject, input: ChannelReader, events: ChannelWriter): IoPort {
    const half = new SinkHalf(type, options, input, events, this.options)
    return this.add(half)
  }

  /** Credit came back or something arrived on some port. */
  wake(): void {
    for (const port of this.ports) port.pump()
  }

  /** True when `wake` would find something: asked before the host sleeps. */
  hasWork(): boolean {
    for (const port of this.ports) if (port.hasWork()) return true
    return false
  }

  get portCount(): number {
    return this.ports.size
  }

  /** Also waits for ports that are closing already. */
  async close(): Promise<void> {
    await Promise.all([...this.ports].map(port => this.closeHalf(port)))
  }

  private add(half: SourceHalf | SinkHalf): IoPort {
    this.ports.add(half)
    half.pump()
    return { close: () => this.closeHalf(half) }
  }

  private async closeHalf(half: SourceHalf | SinkHalf): Promise<void> {
    half.closing ??= half.close()
    try {
      await half.closing
    } finally {
      this.ports.delete(half)
    }
  }
}

/** What waits for credit towards the slot. Writers wait with it, so it holds one element per `write` or `event` that is awaited. */
class Outbox {
  private readonly out: ChannelWriter
  private waiting: { readonly element: ChannelElement; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = []
  private closed = false

  constructor(out: ChannelWriter) {
    this.out = out
  }

  send(element: ChannelElement): Promise<void> {
    if (this.closed) return Promise.reject(portClosed())
    if (this.waiting.length === 0 && this.out.offer(element)) return Promise.resolve()
    return new Promise((resolve, reject) => this.waiting.push({ element, resolve, reject }))
  }

  pump(): void {
    // A frame of several pages may be half written; nothing behind it is taken before its rest is out.
    if (!this.out.flush()) return
    let sent = 0
    while (sent < this.waiting.length && this.out.offer(this.waiting[sent]!.element)) this.waiting[sent++]!.resolve()
    if (sent > 0) this.waiting = this.waiting.slice(sent)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    for (const { reject } of this.waiting) reject(portClosed())
    this.waiting = []
    this.out.close()
  }
}

/** What a fetcher reads into where bytes are handed over as they are: memory of its own each time. */
class FreshMemory {
  private taken: Uint8Array = noBytes

  async take(): Promise<Uint8Array> {
    this.taken = new Uint8Array(FRESH_SIZE)
    return this.taken
  }

  publish(from: number, to: number): Uint8Array {
    return this.taken.subarray(from, to)
  }

  pump(): void {}

  close(): void {}
}

const noBytes = new Uint8Array(0)
/** Two pages of the ring that they go through. */
const FRESH_SIZE = 64 * 1024

/** The port's blocks: waited for until the slot has given one back. */
class Blocks {
  private readonly writer: BlockWriter
  private waiting: { readonly resolve: (block: Uint8Array) => void; readonly reject: (error: unknown) => void } | undefined
  private closed = false

  constructor(writer: BlockWriter) {
    this.writer = writer
  }

  take(): Promise<Uint8Array> {
    if (this.closed) return Promise.reject(portClosed())
    const block = this.writer.tryTake()
    if (block !== undefined) return Promise.resolve(block)
    assert(this.waiting === undefined, 'a fetcher fills one block at a time')
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
    })
  }

  publish(from: number, to: number): Uint8Array {
    return this.writer.publish(from, to)
  }

  pump(): void {
    if (this.waiting === undefined) return
    const block = this.writer.tryTake()
    if (block === undefined) return
    this.waiting.resolve(block)
    this.waiting = undefined
  }

  close(): void {
    this.closed = true
    this.waiting?.reject(portClosed())
    this.waiting = undefined
  }
}

class SourceHalf {
  closing: Promise<void> | undefined
  private readonly abort = new AbortController()
  private readonly outbox: Outbox
  private readonly commands: ChannelReader
  private readonly fetcher: SourceFetcher | undefined
  private readonly memory: Blocks | FreshMemory

  constructor(
    type: string,
    options: JsonObject,
    out: ChannelWriter,
    commands: ChannelReader,
    host: IoRuntimeOptions,
    blocks: BlockWriter | undefined,
  ) {
    this.outbox = new Outbox(out)
    this.commands = commands
    this.memory = blocks === undefined ? new FreshMemory() : new Blocks(blocks)
    const { outbox, memory } = this
    const sink: FetcherSink = {
      write: (tag, position, bytes) => {
        assert(memory instanceof FreshMemory, 'a port with blocks carries blocks')
        return outbox.send({ kind: 'raw', tag, position, bytes: bytes.slice() })
      },
      block: () => memory.take(),
      writeBlock: (tag, position, from, to) => outbox.send({ kind: 'raw', tag, position, bytes: memory.publish(from, to) }),
      event: (what, data) => this.outbox.send({ kind: 'event', what, data: JSON.stringify(data) }),
    }
    const factory = host.registry.fetchers[type]
    if (factory === undefined) {
      this.report(new FlinkError('INTERNAL', `the I/O worker has no source of kind ${type}`))
      return
    }
    try {
      this.fetcher = factory(options, sink, contextOf(host, this.abort.signal))
    } catch (error) {
      this.report(error)
    }
  }

  pump(): void {
    if (this.closing !== undefined) return
    this.outbox.pump()
    this.memory.pump()
    this.takeCommands()
  }

  hasWork(): boolean {
    return this.commands.queued > 0
  }

  /** Commands that the slot gave before it closed still reach the fetcher: offsets of a last checkpoint are committed. */
  async close(): Promise<void> {
    this.takeCommands()
    this.abort.abort(portClosed())
    this.outbox.close()
    this.memory.close()
    this.commands.close()
    await this.fetcher?.close()
  }

  private takeCommands(): void {
    for (let command = this.commands.poll(); command !== undefined; command = this.commands.poll()) {
      assert(command.kind === 'event', 'a source port takes only commands')
      try {
        this.fetcher?.command(command.what, JSON.parse(command.data) as JsonObject)
      } catch (error) {
        this.report(error)
      }
    }
  }

  private report(error: unknown): void {
    void this.outbox.send(errorElement(error)).catch(ignoreClosed)
  }
}

class SinkHalf {
  closing: Promise<void> | undefined
  private readonly abort = new AbortController()
  private readonly outbox: Outbox
  private readonly input: ChannelReader
  private readonly transport: SinkTransport | undefined
  private busy = false
  private failed = false
  private closed = false
  private idle: Promise<void> = Promise.resolve()

  constructor(type: string, options: JsonObject, input: ChannelReader, events: ChannelWriter, host: IoRuntimeOptions) {
    this.outbox = new Outbox(events)
    this.input = input
    const factory = host.registry.sinks[type]
    if (factory === undefined) {
      this.fail(new FlinkError('INTERNAL', `the I/O worker has no sink of kind ${type}`))
      return
    }
    try {
      this.transport = factory(options, contextOf(host, this.abort.signal))
    } catch (error) {
      this.fail(error)
    }
  }

  pump(): void {
    this.outbox.pump()
    if (!this.busy && !this.closed) this.idle = this.work()
  }

  hasWork(): boolean {
    return !this.busy && this.input.queued > 0
  }

  /** What the slot had handed over is still carried out: a cancelled job's last printed lines are not lost. */
  async close(): Promise<void> {
    this.abort.abort(portClosed())
    // The transport's calls never overlap, its close included.
    while (this.busy) await this.idle
    await this.work()
    this.closed = true
    this.outbox.close()
    this.input.close()
    await this.transport?.close()
  }

  /** Synchronous as long as the transport is: a batch that was taken at once frees its credit at once. */
  private async work(): Promise<void> {
    this.busy = true
    try {
      for (let element = this.input.poll(); element !== undefined; element = this.input.poll()) {
        // After a failure the rest is taken and dropped, so that the slot is not stuck behind it.
        if (this.failed) continue
        const done = this.take(element)
        if (done !== undefined) await done
        if (this.closed) return
      }
    } catch (error) {
      this.fail(error)
    } finally {
      this.busy = false
    }
    if (this.failed && !this.closed && this.input.queued > 0) this.pump()
  }

  private take(element: ChannelElement): Promise<void> | void {
    assert(this.transport !== undefined, 'a sink that could not be made has failed')
    if (element.kind === 'raw') return this.transport.write(element.bytes, element.tag)
    assert(element.kind === 'event', 'a sink port takes bytes and commands')
    const reply = (what: string, data: JsonObject) => {
      void this.outbox.send({ kind: 'event', what, data: JSON.stringify(data) }).catch(ignoreClosed)
    }
    return this.transport.command(element.what, JSON.parse(element.data) as JsonObject, reply)
  }

  private fail(error: unknown): void {
    if (this.failed || this.closed) return
    this.failed = true
    void this.outbox.send(errorElement(error)).catch(ignoreClosed)
  }
}

function contextOf(host: IoRuntimeOptions, signal: AbortSignal): IoContext {
  return { clock: host.clock, log: host.log, signal, taskManager: host.taskManager, s3: host.s3 }
}

function errorElement(error: unknown): ChannelElement {
  const code = error instanceof FlinkError ? error.code : 'EXTERNAL_SYSTEM'
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'event', what: 'error', data: JSON.stringify({ tag: -1, code, message }) }
}

function portClosed(): FlinkError {
  return new FlinkError('CANCELLED', 'the port of the connector is closed')
}

/** Nobody is left to tell. */
function ignoreClosed(): void {}
