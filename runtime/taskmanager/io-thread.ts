import type { MessagePort } from 'node:worker_threads'
import type { S3Settings } from '../checkpoint/storage/s3-options.ts'
import { systemClock } from '../common/clock.ts'
import { type SerializedError, serializeError } from '../common/errors.ts'
import { createLogger, type LogLevel } from '../common/log.ts'
import { createTlsSockets } from '../common/tls-sockets.ts'
import { createTcpNetwork } from '../network/data-socket.ts'
import { SharedDoorbell, SharedHostDoorbell } from '../network/doorbell.ts'
import { ExchangeClient, type ExchangePeer } from '../network/exchange-client.ts'
import { type ExchangeScope, scopeKey } from '../network/exchange-scope.ts'
import { startExchangeServer } from '../network/exchange-server.ts'
import { PageBudget } from '../network/page-pool.ts'
import { createResultFiles } from '../network/result-files.ts'
import { ResultStore } from '../network/result-store.ts'
import type { ResultSize } from '../network/task-result.ts'
import type { ConnectorRegistry } from '../stream/spi/io-host.ts'
import { attachConsumer, attachProducer, type ChannelMedium } from './channel-medium.ts'
import { startIoWorker } from './io-worker.ts'
import { OutputFile } from './output-file.ts'

/**
 * The I/O worker's thread: connectors' async halves, the TCP exchange, blocking results, and the TaskManager's output files. Main posts `IoCommand`s and gets
 * `IoReply`s; slots talk to it over message ports of their own and over rings.
 */
export interface IoThreadData {
  readonly taskManagerId: string
  /** One per slot, then this worker's. */
  readonly doorbells: readonly SharedArrayBuffer[]
  readonly dataHost: string
  readonly dataPort: number
  readonly token: string
  /** Folder of this process's certificate; undefined = plain sockets. */
  readonly certificates: string | undefined
  readonly requestTimeoutMs: number
  /** undefined = the process's own stdout (`-t local`). */
  readonly stdoutPath: string | undefined
  /** What jobs print to stderr; undefined = the process's own. */
  readonly stderrPath: string | undefined
  /** What goes to these files is copied to the process's own streams. */
  readonly copiesOutput: boolean
  readonly pageBudget: SharedArrayBuffer
  /** For blocking results. */
  readonly resultMemoryBytes: number
  readonly resultDirectories: readonly string[]
  readonly s3: S3Settings
}

export type IoCommand =
  | { readonly kind: 'attach'; readonly slotIndex: number; readonly port: MessagePort }
  | { readonly kind: 'serve'; readonly scope: ExchangeScope; readonly medium: ChannelMedium }
  | { readonly kind: 'fetch'; readonly scope: ExchangeScope; readonly peer: ExchangePeer; readonly medium: ChannelMedium }
  | { readonly kind: 'release'; readonly scope: ExchangeScope; readonly orderly: boolean }
  | { readonly kind: 'store'; readonly scope: ExchangeScope; readonly executionId: string; readonly medium: ChannelMedium }
  | { readonly kind: 'feed'; readonly scope: ExchangeScope; readonly medium: ChannelMedium }
  | { readonly kind: 'finish-result'; readonly executionId: string }
  | { readonly kind: 'release-results'; readonly executionIds: readonly string[] }
  | { readonly kind: 'close' }

export type IoReply =
  | { readonly kind: 'listening'; readonly dataPort: number }
  | { readonly kind: 'released'; readonly scope: ExchangeScope }
  | { readonly kind: 'result-finished'; readonly executionId: string; readonly size: ResultSize }
  | { readonly kind: 'result-failed'; readonly executionId: string; readonly error: SerializedError }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly kind: 'failed'; readonly error: SerializedError }
  | { readonly kind: 'closed' }

export async function startIoThread(port: MessagePort, data: IoThreadData, registry: ConnectorRegistry): Promise<void> {
  const post = (reply: IoReply) => port.postMessage(reply)
  const log = createLogger(({ level, message, fields }) =>
    post({ kind: 'log', level, message, fields: JSON.parse(JSON.stringify(fields)) as Record<string, unknown> }),
  )
  const ownIndex = data.doorbells.length - 1
  const ownBuffer = data.doorbells[ownIndex]
  if (ownBuffer === undefined) throw new Error('the I/O worker has no doorbell')
  const bell = new SharedHostDoorbell(ownBuffer)
  const { token, requestTimeoutMs, taskManagerId } = data
  const served = new ServedChannels()
  const results = new ResultStore({ memoryLimit: data.resultMemoryBytes, files: createResultFiles(data.resultDirectories), log })
  const network = createTcpNetwork(data.certificates === undefined ? undefined : createTlsSockets(data.certificates, log))
  const server = await startExchangeServer({
    network,
    clock: systemClock,
    log,
    host: data.dataHost,
    port: data.dataPort,
    token,
    requestTimeoutMs,
    onChannelGone: (scope, channelId) => served.gone(scope, channelId),
    openResult: (channelId, onReady) => results.open(channelId, onReady),
  })
  const client = new ExchangeClient({ network, clock: systemClock, log, token, taskManagerId, requestTimeoutMs })
  const stdout = new OutputFile({ path: data.stdoutPath, console: process.stdout, copies: data.copiesOutput })
  const stderr = new OutputFile({ path: data.stderrPath, console: process.stderr, copies: data.copiesOutput })
  const worker = startIoWorker({
    registry,
    clock: systemClock,
    log,
    taskManager: { id: taskManagerId, stdout: bytes => stdout.write(bytes), stderr: bytes => stderr.write(bytes) },
    s3: data.s3,
    bell,
    pages: new PageBudget(data.pageBudget),
    others: [{ wake: () => void server.pump() }, { wake: () => void client.pump() }, { wake: () => results.pump() }],
  })

  const handle = async (command: IoCommand): Promise<void> => {
    switch (command.kind) {
      case 'attach': {
        const slotBell = data.doorbells[command.slotIndex]
        if (slotBell !== undefined) worker.attach(command.port, new SharedDoorbell(slotBell))
        return
      }
      case 'serve':
        served.add(command.scope, command.medium.ring.channelId)
        return server.register(command.scope, command.medium.ring, attachConsumer(command.medium, ownIndex, data.doorbells))
      case 'fetch':
        return client.request(command.scope, command.peer, command.medium.ring, attachProducer(command.medium, ownIndex, data.doorbells))
      case 'store': {
        const { scope, executionId, medium } = command
        return results.accept(scope, executionId, medium.ring, attachConsumer(medium, ownIndex, data.doorbells))
      }
      case 'feed':
        return results.feed(command.scope, command.medium.ring, attachProducer(command.medium, ownIndex, data.doorbells))
      case 'finish-result': {
        const { executionId } = command
        return results.finish(executionId).then(
          size => post({ kind: 'result-finished', executionId, size }),
          error => post({ kind: 'result-failed', executionId, error: serializeError(error) }),
        )
      }
      case 'release-results':
        return results.release(command.executionIds)
      case 'release':
        client.release(command.scope)
        results.detach(command.scope)
        for (const channelId of served.channels(command.scope)) server.endServing(command.scope, channelId, command.orderly)
        return served.whenGone(command.scope, () => {
          server.release(command.scope)
          post({ kind: 'released', scope: command.scope })
        })
      case 'close':
        client.close()
        await server.close()
        await results.close()
        await worker.close()
        await Promise.all([stdout.close(), stderr.close()])
        return post({ kind: 'closed' })
    }
  }
  port.on('message', (command: IoCommand) => void handle(command).catch(error => post({ kind: 'failed', error: serializeError(error) })))
  post({ kind: 'listening', dataPort: server.port })
}

/** Channels that this worker sends from, per attempt of a region, until no socket reads their pages any more. */
class ServedChannels {
  private readonly scopes = new Map<string, { readonly channels: Set<string>; onGone: (() => void) | undefined }>()

  add(scope: ExchangeScope, channelId: string): void {
    const key = scopeKey(scope)
    const entry = this.scopes.get(key) ?? { channels: new Set<string>(), onGone: undefined }
    this.scopes.set(key, entry)
    entry.channels.add(channelId)
  }

  channels(scope: ExchangeScope): readonly string[] {
    return [...(this.scopes.get(scopeKey(scope))?.channels ?? [])]
  }

  gone(scope: ExchangeScope, channelId: string): void {
    const key = scopeKey(scope)
    const entry = this.scopes.get(key)
    entry?.channels.delete(channelId)
    if (entry === undefined || entry.channels.size > 0) return
    this.scopes.delete(key)
    entry.onGone?.()
  }

  whenGone(scope: ExchangeScope, callback: () => void): void {
    const entry = this.scopes.get(scopeKey(scope))
    if (entry === undefined) callback()
    else entry.onGone = callback
  }
}
