import { FlinkError } from '../../common/errors.ts'
import {
  type BrokerNode,
  type ClusterMetadata,
  type FetchRequest,
  type FetchResponse,
  fetchApi,
  fetchRequest,
  type IsolationLevel,
  type ListedOffset,
  listOffsetsApi,
  listOffsetsRequest,
  metadataApi,
  metadataRequest,
  type OffsetSpec,
  type ProducedPartition,
  type ProduceRequest,
  parseFetch,
  parseListOffsets,
  parseMetadata,
  parseProduce,
  produceApi,
  produceRequest,
  type TopicPartition,
} from './protocol.ts'
import { addressText, type BrokerAddress, type KafkaSettings, parseAddress } from './settings.ts'
import { type Connect, connectToBroker, type KafkaConnection } from './wire.ts'

/**
 * What enumerator, fetcher and sink ask of a cluster. Every call is one attempt with the time limits of the settings; whoever calls repeats it.
 * A rejection names the broker: CONNECTION_REFUSED, CONNECTION_LOST, TIMEOUT (another attempt can help), UNSUPPORTED (it cannot).
 * Codes inside answers are the caller's to read. `test/support/fake-kafka.ts` obeys the same contract.
 */
export interface KafkaClient {
  /** Of any broker that answers: the known ones, then the bootstrap servers. */
  metadata(topics: readonly string[]): Promise<ClusterMetadata>
  /** All partitions must have `node` as their leader. */
  listOffsets(node: BrokerNode, partitions: readonly TopicPartition[], spec: OffsetSpec, isolation: IsolationLevel): Promise<readonly ListedOffset[]>
  /** `lane` keeps long polls apart: requests of one connection are answered one after the other. */
  fetch(node: BrokerNode, request: FetchRequest, lane: number): Promise<FetchResponse>
  /** All partitions must have `node` as their leader. Rejected = it is not known whether the records are in the log. */
  produce(node: BrokerNode, request: ProduceRequest, lane: number): Promise<readonly ProducedPartition[]>
  /** Ends the connections of a lane that is not used any more. */
  closeLane(lane: number): void
  close(): void
}

export function createKafkaClient(settings: KafkaSettings, connect: Connect = connectToBroker): KafkaClient {
  return new WireClient(settings, connect)
}

/** Lane of metadata and offsets. */
const CONTROL_LANE = 0

class WireClient implements KafkaClient {
  private readonly settings: KafkaSettings
  private readonly connect: Connect
  private readonly bootstrap: readonly BrokerAddress[]
  private brokers: readonly BrokerNode[] = []
  /** One per lane and broker, also while it is being opened. */
  private readonly connections = new Map<string, Promise<KafkaConnection>>()
  private closed = false

  constructor(settings: KafkaSettings, connect: Connect) {
    this.settings = settings
    this.connect = connect
    this.bootstrap = settings.bootstrapServers.map(parseAddress)
  }

  async metadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const body = metadataRequest(topics)
    const tried = new Set<string>()
    const failures: unknown[] = []
    for (const address of [...this.brokers, ...this.bootstrap]) {
      if (tried.has(addressText(address))) continue
      tried.add(addressText(address))
      try {
        const connection = await this.connection(CONTROL_LANE, address)
        const metadata = parseMetadata(await connection.request(metadataApi, body))
        if (metadata.brokers.length > 0) this.brokers = metadata.brokers
        return metadata
      } catch (error) {
        if (error instanceof FlinkError && error.code === 'UNSUPPORTED') throw error
        failures.push(error)
      }
    }
    const [first] = failures
    if (failures.length === 1) throw first
    throw new FlinkError(
      'CONNECTION_REFUSED',
      `none of the kafka brokers ${[...tried].join(', ')} answers: ${messageOf(first)}`,
      { brokers: [...tried] },
      first,
    )
  }

  async listOffsets(
    node: BrokerNode,
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
    isolation: IsolationLevel,
  ): Promise<readonly ListedOffset[]> {
    const connection = await this.connection(CONTROL_LANE, node)
    return parseListOffsets(await connection.request(listOffsetsApi, listOffsetsRequest(partitions, spec, isolation)))
  }

  async fetch(node: BrokerNode, request: FetchRequest, lane: number): Promise<FetchResponse> {
    const connection = await this.connection(lane, node)
    return parseFetch(await connection.request(fetchApi, fetchRequest(request)))
  }

  async produce(node: BrokerNode, request: ProduceRequest, lane: number): Promise<readonly ProducedPartition[]> {
    const connection = await this.connection(lane, node)
    return parseProduce(await connection.request(produceApi, produceRequest(request)))
  }

  closeLane(lane: number): void {
    for (const [key, connection] of this.connections) {
      if (!key.startsWith(`${lane} `)) continue
      this.connections.delete(key)
      closeWhenOpen(connection)
    }
  }

  close(): void {
    this.closed = true
    for (const connection of this.connections.values()) closeWhenOpen(connection)
    this.connections.clear()
  }

  private async connection(lane: number, address: BrokerAddress): Promise<KafkaConnection> {
    if (this.closed) throw new FlinkError('CANCELLED', 'the kafka client is closed')
    const key = `${lane} ${addressText(address)}`
    const known = this.connections.get(key)
    if (known !== undefined) {
      const connection = await known
      if (!connection.closed) return connection
      if (this.connections.get(key) === known) this.connections.delete(key)
      return this.connection(lane, address)
    }
    const { clientId, connectTimeoutMs, requestTimeoutMs } = this.settings
    const opening = this.connect(address, { clientId, connectTimeoutMs, requestTimeoutMs })
    this.connections.set(key, opening)
    try {
      return await opening
    } catch (error) {
      if (this.connections.get(key) === opening) this.connections.delete(key)
      throw error
    }
  }
}

function closeWhenOpen(connection: Promise<KafkaConnection>): void {
  connection.then(
    opened => opened.close(),
    () => {},
  )
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
