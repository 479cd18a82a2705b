import { FlinkError } from '../../common/errors.ts'
import { loadKafkaPackage, rootMessage } from './kafka-package.ts'
import { apiVersionsApi, fetchApi, type KafkaApi, listOffsetsApi, metadataApi, parseApiVersions, produceApi } from './protocol.ts'
import { findCoordinatorApi, offsetCommitApi, offsetFetchApi } from './protocol-groups.ts'
import type { BrokerAddress } from './settings.ts'
import { addressText } from './settings.ts'

/**
 * Connections to brokers, by the `Connection` of @platformatic/kafka: framing, correlation and time limits are its own; what is sent and
 * how answers are read is ours, because its decoders turn every record into objects in the I/O worker and refuse a cut last batch.
 * The package is loaded with the first connection, so only threads that read Kafka pay for it.
 */
export interface KafkaConnection {
  readonly address: string
  readonly closed: boolean
  /** Answers the body of the response. Rejects with CONNECTION_LOST or TIMEOUT, naming the broker. */
  request(api: KafkaApi, body: Uint8Array): Promise<Buffer>
  close(): void
}

export interface ConnectOptions {
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
}

/** `signal` ends the attempt, also while nobody answers. */
export type Connect = (broker: BrokerAddress, options: ConnectOptions, signal: AbortSignal) => Promise<KafkaConnection>

export const connectToBroker: Connect = async (broker, { clientId, connectTimeoutMs, requestTimeoutMs }, signal) => {
  const { Connection, TimeoutError, Writer } = await loadKafkaPackage()
  const address = addressText(broker)
  const connection = new Connection(clientId, { connectTimeout: connectTimeoutMs, requestTimeout: requestTimeoutMs })
  let closed = false
  // Without a listener an emitter's error would end the process; requests in flight learn of it by their own rejection.
  connection.on('error', () => {
    closed = true
  })
  connection.on('close', () => {
    closed = true
  })
  // `close` of a connection that is being opened waits until it is.
  const abort = () => connection.socket?.destroy(new Error('the attempt was given up'))
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    await connection.connect(broker.host, broker.port)
  } catch (error) {
    if (signal.aborted) throw new FlinkError('CONNECTION_LOST', `the connection to kafka broker ${address} was given up`, { broker: address }, error)
    throw new FlinkError('CONNECTION_REFUSED', `kafka broker ${address} does not answer: ${rootMessage(error)}`, { broker: address }, error)
  }
  const opened: KafkaConnection = {
    address,
    get closed() {
      return closed
    },
    request: (api, body) =>
      new Promise((resolve, reject) => {
        const fail = (error: Error) => {
          reject(
            error instanceof TimeoutError
              ? new FlinkError(
                  'TIMEOUT',
                  `kafka broker ${address} did not answer ${api.name} within ${requestTimeoutMs} ms`,
                  { broker: address },
                  error,
                )
              : new FlinkError(
                  'CONNECTION_LOST',
                  `the connection to kafka broker ${address} was lost during ${api.name}: ${rootMessage(error)}`,
                  { broker: address },
                  error,
                ),
          )
        }
        connection.send(
          api.key,
          api.version,
          () => Writer.create().append(Buffer.from(body)),
          (_correlationId, _key, _version, reader) => reader.buffer.slice(reader.position),
          api.flexible,
          api.flexible,
          (error: Error | null, answer?: Buffer) =>
            error !== null || answer === undefined ? fail(error ?? new Error('no answer')) : resolve(answer),
        )
      }),
    close() {
      if (closed) return
      closed = true
      void connection.close().catch(() => {})
    },
  }
  try {
    await checkVersions(opened)
  } catch (error) {
    opened.close()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return opened
}

/** Kafka 2.7 is the first with all of these versions. */
const neededApis: readonly KafkaApi[] = [metadataApi, listOffsetsApi, fetchApi, produceApi, findCoordinatorApi, offsetCommitApi, offsetFetchApi]

async function checkVersions(connection: KafkaConnection): Promise<void> {
  const { ranges } = parseApiVersions(await connection.request(apiVersionsApi, new Uint8Array(0)))
  for (const { name, key, version } of neededApis) {
    const range = ranges.find(candidate => candidate.key === key)
    if (range === undefined || version < range.min || version > range.max)
      throw new FlinkError(
        'UNSUPPORTED',
        `kafka broker ${connection.address} does not speak ${name} version ${version}, which brokers from 2.7 on do`,
        { range },
      )
  }
}
