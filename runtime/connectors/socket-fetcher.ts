import { createConnection, type Socket } from 'node:net'
import { sleep, withDeadline } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { FetcherSink, IoContext, SourceFetcher } from '../stream/spi/io-host.ts'
import { reportError } from './port-events.ts'

/**
 * Async half of socket text: connects, hands on bytes as they come (a read waits for credit, and with it the sender), says
 * `disconnected` when a connection has ended and `finished` when the input has.
 *
 * `retriesMax` connections are tried again, one second apart, after the server closed or was not there; -1 = for ever. A server that was
 * there once and then stays away ends the input; one that never answered is an error.
 */
export function socketFetcher(_options: JsonObject, sink: FetcherSink, context: IoContext): SourceFetcher {
  let reading: Promise<void> = Promise.resolve()
  return {
    command(what, data) {
      if (what !== 'split') throw new FlinkError('INTERNAL', `the socket fetcher does not know the command ${what}`)
      const tag = Number(data['tag'])
      const target = { host: String(data['host']), port: Number(data['port']), retriesMax: Number(data['retriesMax']) }
      reading = reading.then(async () => {
        try {
          await readSocket(target, tag, sink, context)
          await sink.event('finished', { tag })
        } catch (error) {
          if (!context.signal.aborted) await reportError(sink, tag, error)
        }
      })
    },
    close: () => reading,
  }
}

interface Target {
  readonly host: string
  readonly port: number
  readonly retriesMax: number
}

async function readSocket(target: Target, tag: number, sink: FetcherSink, { clock, log, signal }: IoContext): Promise<void> {
  const address = `${target.host}:${target.port}`
  let everConnected = false
  let position = 0
  for (let attempt = 0; ; attempt++) {
    let failure: FlinkError | undefined
    try {
      const socket = await connect(target, address, { clock, signal })
      everConnected = true
      try {
        for await (const chunk of socket as AsyncIterable<Uint8Array>) {
          await sink.write(tag, position, chunk)
          position += chunk.length
        }
      } finally {
        socket.destroy()
      }
    } catch (error) {
      if (signal.aborted) throw error
      failure =
        error instanceof FlinkError ? error : new FlinkError('CONNECTION_LOST', `connection to socket ${address} failed: ${codeOf(error)}`, {}, error)
    }
    if (everConnected) await sink.event('disconnected', { tag })
    if (target.retriesMax >= 0 && attempt >= target.retriesMax) {
      if (failure === undefined || (everConnected && failure.code === 'CONNECTION_REFUSED')) return
      throw failure
    }
    log.warn('socket source reconnects', { address, attempt: attempt + 1, reason: failure?.message ?? 'closed by the server' })
    await sleep(clock, RETRY_DELAY_MS, signal)
  }
}

async function connect({ host, port }: Target, address: string, { clock, signal }: Pick<IoContext, 'clock' | 'signal'>): Promise<Socket> {
  signal.throwIfAborted()
  const socket = createConnection({ host, port })
  const onAbort = () => socket.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', onAbort))
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', error =>
      reject(new FlinkError('CONNECTION_REFUSED', `cannot connect to socket ${address}: ${codeOf(error)}`, { host, port }, error)),
    )
    socket.once('close', () => reject(new FlinkError('CONNECTION_REFUSED', `cannot connect to socket ${address}: closed`, { host, port })))
  })
  try {
    await withDeadline(
      clock,
      CONNECT_TIMEOUT_MS,
      connected,
      () => new FlinkError('CONNECTION_REFUSED', `cannot connect to socket ${address}: no answer in ${CONNECT_TIMEOUT_MS} ms`),
    )
  } catch (error) {
    socket.destroy()
    throw error
  }
  return socket
}

function codeOf(error: unknown): string {
  // A host name with several addresses fails with one error for all of them.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  return (first as NodeJS.ErrnoException).code ?? String(first)
}

const RETRY_DELAY_MS = 1_000
const CONNECT_TIMEOUT_MS = 30_000
