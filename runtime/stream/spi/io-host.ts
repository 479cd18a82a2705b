import type { JsonObject } from '../../common/json.ts'
import type { ChannelElement } from '../../network/frame.ts'

/**
 * How the sync half of a connector (in a slot) reaches its async half (in the I/O worker). Both directions are bounded channels with
 * credits; nothing here waits. `type` names the async half in the registry that bin/ wires ('file', 'socket', 'print', 'kafka', …).
 * The owning task is woken when something arrives or credit comes back.
 */
export interface IoHost {
  openSource(type: string, options: JsonObject, transfer?: SourceTransfer): SourcePort
  openSink(type: string, options: JsonObject): SinkPort
}

/**
 * How a fetcher's bytes reach the slot: through the ring, each element the slot's own; or as `blocks` of shared memory, for readers of bulk
 * bytes that copy what they keep: such bytes are valid until the next `poll`.
 */
export type SourceTransfer = 'ring' | 'blocks'

export interface SourcePort {
  /** RawFrames of splits; events of the connector: `finished` {tag}, `error` {tag, message, code}, others are the connector's own. */
  poll(): ChannelElement | undefined
  /** A command to the async half (add a split, commit offsets). Small and rare: queued without bound on purpose, counted. */
  send(what: string, data: JsonObject): void
  close(): void
}

export interface SinkPort {
  /** False = no credit now; offer again when woken. The bytes are copied before it returns true. */
  offer(bytes: Uint8Array, tag?: number): boolean
  /** A command to the async half, in order with the bytes offered before; false = no credit now. */
  send(what: string, data: JsonObject): boolean
  /** Events from the async half: `finished` after an `end` command was carried out, `error`. */
  poll(): ChannelElement | undefined
  close(): void
}

/** Async half of a source. Created in the I/O worker (or in process, in tests and simulation). */
export interface SourceFetcher {
  command(what: string, data: JsonObject): void
  close(): Promise<void>
}

export interface FetcherSink {
  /** Resolves when the bytes were taken: at most one credit's worth is in flight, so a fetcher that awaits is bounded. Bytes are copied. Rejects after close. */
  write(tag: number, position: number, bytes: Uint8Array): Promise<void>
  /** Memory to read into, the fetcher's until `writeBlock`. Resolves when there is some; rejects after close. */
  block(): Promise<Uint8Array>
  /** Hands over bytes `from..to` of the block asked for last. */
  writeBlock(tag: number, position: number, from: number, to: number): Promise<void>
  event(what: string, data: JsonObject): Promise<void>
}

export type FetcherFactory = (options: JsonObject, sink: FetcherSink, context: IoContext) => SourceFetcher

/** Async half of a sink. Calls come one at a time: the next one waits for the promise. */
export interface SinkTransport {
  write(bytes: Uint8Array, tag: number): Promise<void> | void
  command(what: string, data: JsonObject, reply: (what: string, data: JsonObject) => void): Promise<void> | void
  close(): Promise<void>
}

export type SinkTransportFactory = (options: JsonObject, context: IoContext) => SinkTransport

export interface IoContext {
  readonly clock: import('../../common/clock.ts').Clock
  readonly log: import('../../common/log.ts').Logger
  /** Aborts when the task ends or the host closes. */
  readonly signal: AbortSignal
  /** `s3.*` of this process, secrets among them, which no job's graph carries; undefined = what the SDK finds. */
  readonly s3?: import('../../checkpoint/storage/s3-options.ts').S3Settings | undefined
  /** Folder of this TaskManager for stdout and the like. */
  readonly taskManager: {
    readonly id: string
    readonly stdout: (bytes: Uint8Array) => Promise<void> | void
    readonly stderr: (bytes: Uint8Array) => Promise<void> | void
  }
}

export interface ConnectorRegistry {
  readonly fetchers: Readonly<Record<string, FetcherFactory>>
  readonly sinks: Readonly<Record<string, SinkTransportFactory>>
}
