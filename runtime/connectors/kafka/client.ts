import { FlinkError } from '../../common/errors.ts'
import {
  type BrokerNode,
  type ClusterMetadata,
  type FetchRequest,
  type FetchResponse,
  fetchApi,
  fetchRequest,
  type IsolationLevel,
  type KafkaApi,
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
} from './protocol.ts'
import {
  type FoundCoordinator,
  findCoordinatorApi,
  findCoordinatorRequest,
  offsetCommitApi,
  offsetCommitRequest,
  offsetFetchApi,
  offsetFetchRequest,
  type PartitionAnswer,
  type PartitionOffset,
  parseFindCoordinator,
  parseOffsetCommit,
  parseOffsetFetch,
} from './protocol-groups.ts'
import { addressText, type BrokerAddress, type KafkaSettings, parseAddress } from './settings.ts'
import type { TopicPartition } from './topic-partition.ts'
import { type Connect, connectToBroker, type KafkaConnection } from './wire.ts'

/**
 * What enumerator, fetcher and sink ask of a cluster. Every call is one attempt with the time limits of the settings; whoever calls repeats it.
 * A rejection names the broker: CONNECTION_REFUSED, CONNECTION_LOST, TIMEOUT (another attempt can help), UNSUPPORTED (it cannot).
 * Codes inside answers are the caller's to read. `test/support/fake-kafka.ts` obeys the same contract.
 */
export interface KafkaClient {
  /**
   * Of any broker that answers: the known ones, then the bootstrap servers; what did not answer last time comes last. After `signal` no further one
   * is asked.
   */
  metadata(topics: readonly string[], signal?: AbortSignal): Promise<ClusterMetadata>
  /** All partitions must have `node` as their leader. */
  listOffsets(node: BrokerNode, partitions: readonly TopicPartition[], spec: OffsetSpec, isolation: IsolationLevel): Promise<readonly ListedOffset[]>
  /** `lane` keeps long polls apart: requests of one connection are answered one after the other. */
  fetch(node: BrokerNode, request: FetchRequest, lane: number): Promise<FetchResponse>
  /** All partitions must have `node` as their leader. Rejected = it is not known whether the records are in the log. */
  produce(node: BrokerNode, request: ProduceRequest, lane: number): Promise<readonly ProducedPartition[]>
  /** At the group's coordinator, which is looked for if it is not known. One answer a partition. */
  commitOffsets(groupId: string, offsets: readonly PartitionOffset[]): Promise<readonly PartitionAnswer[]>
  /** At the coordinator too; -1 where the group has committed none. */
  committedOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<readonly (PartitionAnswer & PartitionOffset)[]>
  /** Brokers that did not answer when they were asked last. */
  unreachable(): readonly string[]
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
  private readonly connections = new Map<string, Opening>()
  /** The last one to fail comes last. */
  private readonly failed = new Set<string>()
  private readonly coordinators = new Map<string, BrokerNode>()
  private closed = false

  constructor(settings: KafkaSettings, connect: Connect) {
    this.settings = settings
    this.connect = connect
    this.bootstrap = settings.bootstrapServers.map(parseAddress)
  }

  async metadata(topics: readonly string[], signal?: AbortSignal): Promise<ClusterMetadata> {
    const body = metadataRequest(topics)
    const failures: unknown[] = []
    const addresses = this.addresses()
    for (const address of addresses) {
      signal?.throwIfAborted()
      try {
        const metadata = parseMetadata(await this.ask(CONTROL_LANE, address, metadataApi, body))
        if (metadata.brokers.length > 0) this.brokers = metadata.brokers
        return metadata
      } catch (error) {
        if (isFinal(error)) throw error
        failures.push(error)
      }
    }
    const [first] = failures
    if (failures.length === 1) throw first
    const brokers = addresses.map(addressText)
    throw new FlinkError('CONNECTION_REFUSED', `none of the kafka brokers ${brokers.join(', ')} answers: ${messageOf(first)}`, { brokers }, first)
  }

  async listOffsets(
    node: BrokerNode,
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
    isolation: IsolationLevel,
  ): Promise<readonly ListedOffset[]> {
    return parseListOffsets(await this.ask(CONTROL_LANE, node, listOffsetsApi, listOffsetsRequest(partitions, spec, isolation)))
  }

  async fetch(node: BrokerNode, request: FetchRequest, lane: number): Promise<FetchResponse> {
    return parseFetch(await this.ask(lane, node, fetchApi, fetchRequest(request)))
  }

  async produce(node: BrokerNode, request: ProduceRequest, lane: number): Promise<readonly ProducedPartition[]> {
    return parseProduce(await this.ask(lane, node, produceApi, produceRequest(request)))
  }

  async commitOffsets(groupId: string, offsets: readonly PartitionOffset[]): Promise<readonly PartitionAnswer[]> {
    return this.atCoordinator(
      groupId,
      async node => parseOffsetCommit(await this.ask(CONTROL_LANE, node, offsetCommitApi, offsetCommitRequest(groupId, offsets))),
      errorCode => offsets.map(({ topic, partition }) => ({ topic, partition, errorCode })),
    )
  }

  async committedOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<readonly (PartitionAnswer & PartitionOffset)[]> {
    const refused = (errorCode: number) => partitions.map(({ topic, partition }) => ({ topic, partition, offset: -1, errorCode }))
    return this.atCoordinator(
      groupId,
      async node => {
        const answer = parseOffsetFetch(await this.ask(CONTROL_LANE, node, offsetFetchApi, offsetFetchRequest(groupId, partitions)))
        return answer.errorCode === 0 ? answer.partitions : refused(answer.errorCode)
      },
      refused,
    )
  }

  unreachable(): readonly string[] {
    const known = new Set(this.addresses().map(addressText))
    return [...this.failed].filter(address => known.has(address))
  }

  closeLane(lane: number): void {
    for (const [key, connection] of this.connections) {
      if (!key.startsWith(`${lane} `)) continue
      this.connections.delete(key)
      giveUp(connection)
    }
  }

  close(): void {
    this.closed = true
    for (const connection of this.connections.values()) giveUp(connection)
    this.connections.clear()
  }

  private async atCoordinator<T extends PartitionAnswer>(
    groupId: string,
    request: (node: BrokerNode) => Promise<readonly T[]>,
    refused: (errorCode: number) => readonly T[],
  ): Promise<readonly T[]> {
    let node = this.coordinators.get(groupId)
    try {
      if (node === undefined) {
        const found = await this.findCoordinator(groupId)
        if (found.errorCode !== 0) return refused(found.errorCode)
        node = found
        this.coordinators.set(groupId, node)
      }
      const answers = await request(node)
      // It may have moved: asked for again.
      if (answers.some(({ errorCode }) => errorCode !== 0)) this.coordinators.delete(groupId)
      return answers
    } catch (error) {
      this.coordinators.delete(groupId)
      throw error
    }
  }

  /** Any broker knows who a group's coordinator is. */
  private async findCoordinator(groupId: string): Promise<FoundCoordinator> {
    let failure: unknown
    for (const address of this.addresses()) {
      try {
        return parseFindCoordinator(await this.ask(CONTROL_LANE, address, findCoordinatorApi, findCoordinatorRequest(groupId)))
      } catch (error) {
        if (isFinal(error)) throw error
        failure ??= error
      }
    }
    throw failure
  }

  /** Each once. */
  private addresses(): BrokerAddress[] {
    const byText = new Map([...this.brokers, ...this.bootstrap].map(address => [addressText(address), address]))
    const failed = [...this.failed]
    return [...byText].sort(([a], [b]) => failed.indexOf(a) - failed.indexOf(b)).map(([, address]) => address)
  }

  private async ask(lane: number, address: BrokerAddress, api: KafkaApi, body: Buffer): Promise<Buffer> {
    const text = addressText(address)
    try {
      const answer = await (await this.connection(lane, address)).request(api, body)
      this.failed.delete(text)
      return answer
    } catch (error) {
      // Other lanes end when whoever uses them does.
      if (lane === CONTROL_LANE && !this.closed) {
        this.failed.delete(text)
        this.failed.add(text)
      }
      throw error
    }
  }

  private async connection(lane: number, address: BrokerAddress): Promise<KafkaConnection> {
    if (this.closed) throw new FlinkError('CANCELLED', 'the kafka client is closed')
    const key = `${lane} ${addressText(address)}`
    const known = this.connections.get(key)
    if (known !== undefined) {
      const connection = await known.connection
      if (!connection.closed) return connection
      if (this.connections.get(key) === known) this.connections.delete(key)
      return this.connection(lane, address)
    }
    const { clientId, connectTimeoutMs, requestTimeoutMs } = this.settings
    const abort = new AbortController()
    const opening = { connection: this.connect(address, { clientId, connectTimeoutMs, requestTimeoutMs }, abort.signal), abort }
    this.connections.set(key, opening)
    try {
      return await opening.connection
    } catch (error) {
      if (this.connections.get(key) === opening) this.connections.delete(key)
      throw error
    }
  }
}

/** Another broker would not answer better. */
function isFinal(error: unknown): boolean {
  return error instanceof FlinkError && (error.code === 'UNSUPPORTED' || error.code === 'CANCELLED')
}

interface Opening {
  readonly connection: Promise<KafkaConnection>
  readonly abort: AbortController
}

function giveUp({ connection, abort }: Opening): void {
  abort.abort()
  connection.then(
    opened => opened.close(),
    () => {},
  )
}

/** Whether another attempt cannot help. */
export function isPermanent(error: unknown): boolean {
  return !(error instanceof FlinkError) || !(error.code === 'CONNECTION_REFUSED' || error.code === 'CONNECTION_LOST' || error.code === 'TIMEOUT')
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
