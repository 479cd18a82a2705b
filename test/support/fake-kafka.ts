import { FlinkError } from '../../runtime/common/errors.ts'
import type { KafkaClient } from '../../runtime/connectors/kafka/client.ts'
import { KafkaFetcher, type KafkaFetcherOptions } from '../../runtime/connectors/kafka/kafka-fetcher.ts'
import { KafkaSink, type KafkaSinkOptions } from '../../runtime/connectors/kafka/kafka-sink.ts'
import type {
  BrokerNode,
  ClusterMetadata,
  FetchRequest,
  FetchResponse,
  ListedOffset,
  OffsetSpec,
  ProducedPartition,
} from '../../runtime/connectors/kafka/protocol.ts'
import { batchSize, RecordBatchReader, readBatchHeader } from '../../runtime/connectors/kafka/record-batch.ts'
import { settingsFromJson } from '../../runtime/connectors/kafka/settings.ts'
import type { TopicPartition } from '../../runtime/connectors/kafka/topic-partition.ts'
import type { ConnectorRegistry } from '../../runtime/stream/spi/io-host.ts'
import { buildBatch } from './kafka-batches.ts'

/**
 * A Kafka cluster in memory that keeps the rules of `KafkaClient`: leaders, brokers that are down, long polls, cut last batches. Held to
 * the same contract test as the real client and broker (`kafka-client-contract.ts`).
 */
interface FakePartition {
  leader: number
  logStart: number
  end: number
  batches: Buffer[]
}

const NOT_LEADER = 6
const OUT_OF_RANGE = 1
const UNKNOWN_TOPIC = 3

export class FakeKafka {
  readonly nodes: readonly BrokerNode[]
  readonly down = new Set<number>()
  fetchCount = 0
  produceCount = 0
  /** Error codes to answer, in order, instead of taking a batch. */
  readonly refusals: number[] = []
  /** Brokers that take requests about metadata, offsets and groups, and never answer. */
  readonly silent = new Set<number>()
  /** Offsets that groups have committed: `group topic-partition` -> offset. */
  readonly committed = new Map<string, number>()
  commitCount = 0
  /** Error codes to answer, in order, instead of taking a commit. */
  readonly commitRefusals: number[] = []
  /** Takes the batches and loses the answer, so often. */
  lostAnswers = 0
  metadataCount = 0
  private readonly topics = new Map<string, FakePartition[]>()
  private waiters: (() => void)[] = []
  private pollsEnded = 0

  constructor(brokerCount = 1) {
    this.nodes = Array.from({ length: brokerCount }, (_, i) => ({ nodeId: i + 1, host: '127.0.0.1', port: 9092 + i }))
  }

  /** Also with more partitions than before. */
  createTopic(topic: string, partitions: number): void {
    const existing = this.topics.get(topic) ?? []
    this.topics.set(
      topic,
      Array.from(
        { length: partitions },
        (_, i): FakePartition => existing[i] ?? { leader: (i % this.nodes.length) + 1, logStart: 0, end: 0, batches: [] },
      ),
    )
  }

  deleteTopic(topic: string): void {
    this.topics.delete(topic)
    this.wakeAll()
  }

  produce(topic: string, partition: number, values: readonly (string | null)[]): void {
    const log = this.partition(topic, partition)
    this.append(topic, partition, buildBatch({ baseOffset: log.end, records: values.map(value => ({ value })) }))
  }

  append(topic: string, partition: number, batch: Buffer): void {
    const log = this.partition(topic, partition)
    log.batches.push(batch)
    log.end = readBatchHeader(batch, 0).lastOffset + 1
    this.wakeAll()
  }

  /** -1 = none. */
  setLeader(topic: string, partition: number, nodeId: number): void {
    this.partition(topic, partition).leader = nodeId
    this.wakeAll()
  }

  deleteRecords(topic: string, partition: number, before: number): void {
    this.partition(topic, partition).logStart = before
  }

  setDown(nodeId: number, down: boolean): void {
    if (down) this.down.add(nodeId)
    else this.down.delete(nodeId)
    this.wakeAll()
  }

  /** The longest wait of a fetch is over: those that have nothing to say answer that. */
  endPolls(): void {
    this.pollsEnded++
    this.wakeAll()
  }

  setSilent(nodeId: number, silent: boolean): void {
    if (silent) this.silent.add(nodeId)
    else this.silent.delete(nodeId)
    this.wakeAll()
  }

  client(): KafkaClient {
    const closedLanes = new Set<number>()
    let closed = false
    const failed = new Set<string>()
    /** Waits for ever at a broker that is silent, or until the client is closed. */
    const answered = async (node: BrokerNode) => {
      while (this.silent.has(node.nodeId) && !closed) await new Promise<void>(resolve => this.waiters.push(resolve))
      const address = `${node.host}:${node.port}`
      failed.add(address)
      reach(node)
      failed.delete(address)
    }
    const reach = (node: BrokerNode) => {
      if (closed) throw new FlinkError('CANCELLED', 'the kafka client is closed')
      if (this.down.has(node.nodeId)) throw new FlinkError('CONNECTION_REFUSED', `kafka broker ${node.host}:${node.port} does not answer: it is down`)
    }
    return {
      metadata: async topics => {
        await Promise.resolve()
        this.metadataCount++
        const up = this.nodes.find(node => !this.down.has(node.nodeId))
        await answered(up ?? this.nodes[0]!)
        return this.metadata(topics)
      },
      listOffsets: async (node, partitions, spec) => {
        await Promise.resolve()
        await answered(node)
        return partitions.map(partition => this.listOffset(node, partition, spec))
      },
      fetch: async (node, request, lane) => {
        await Promise.resolve()
        this.fetchCount++
        const { pollsEnded } = this
        for (;;) {
          reach(node)
          if (closedLanes.has(lane))
            throw new FlinkError('CONNECTION_LOST', `the connection to kafka broker ${node.host}:${node.port} was lost during Fetch`)
          const response = this.read(node, request)
          if (response !== undefined) return response
          if (this.pollsEnded > pollsEnded) return { errorCode: 0, partitions: [] }
          await new Promise<void>(resolve => this.waiters.push(resolve))
        }
      },
      produce: async (node, request, lane) => {
        await Promise.resolve()
        this.produceCount++
        reach(node)
        const answers = request.partitions.map(each => this.take(node, each))
        if (closedLanes.has(lane) || this.lostAnswers > 0) {
          this.lostAnswers--
          throw new FlinkError('CONNECTION_LOST', `the connection to kafka broker ${node.host}:${node.port} was lost during Produce`)
        }
        return answers
      },
      commitOffsets: async (groupId, offsets) => {
        await Promise.resolve()
        this.commitCount++
        await answered(this.nodes[0]!)
        const refusal = this.commitRefusals.shift() ?? 0
        return offsets.map(({ topic, partition, offset }) => {
          const errorCode = refusal !== 0 || this.topics.get(topic)?.[partition] !== undefined ? refusal : UNKNOWN_TOPIC
          if (errorCode === 0) this.committed.set(`${groupId} ${topic}-${partition}`, offset)
          return { topic, partition, errorCode }
        })
      },
      committedOffsets: async (groupId, partitions) => {
        await Promise.resolve()
        await answered(this.nodes[0]!)
        return partitions.map(({ topic, partition }) => ({
          topic,
          partition,
          offset: this.committed.get(`${groupId} ${topic}-${partition}`) ?? -1,
          errorCode: 0,
        }))
      },
      unreachable: () => [...failed],
      closeLane: lane => {
        closedLanes.add(lane)
        this.wakeAll()
      },
      close: () => {
        closed = true
        this.wakeAll()
      },
    }
  }

  committedOffsets(groupId: string, topic: string): Record<string, number> {
    const prefix = `${groupId} ${topic}-`
    return Object.fromEntries(
      [...this.committed].filter(([key]) => key.startsWith(prefix)).map(([key, offset]) => [key.slice(prefix.length), offset]),
    )
  }

  /** The Kafka source's async half, reading from here. */
  registry(): ConnectorRegistry {
    return {
      fetchers: {
        kafka: (options, sink, context) => {
          // Written by KafkaReader.
          const given = options as KafkaFetcherOptions
          return new KafkaFetcher(settingsFromJson(given.settings), given, sink, context, this.client())
        },
      },
      sinks: {
        kafka: (options, context) => {
          // Written by KafkaTableSinkOperator.
          const { settings, ...given } = options as KafkaSinkOptions & { readonly subtaskIndex: number }
          return new KafkaSink(given, settingsFromJson(settings), context, this.client())
        },
      },
    }
  }

  /** Values of a partition in their order; null = the record has none. */
  values(topic: string, partition: number): (string | null)[] {
    const reader = new RecordBatchReader(true)
    const values: (string | null)[] = []
    for (const batch of this.partition(topic, partition).batches) {
      reader.feed(batch)
      while (reader.next()) values.push(reader.valueStart < 0 ? null : reader.data.toString('utf8', reader.valueStart, reader.valueEnd))
    }
    return values
  }

  private take(node: BrokerNode, { topic, partition, records }: TopicPartition & { readonly records: Buffer }): ProducedPartition {
    const log = this.topics.get(topic)?.[partition]
    const answer = (errorCode: number, baseOffset = -1): ProducedPartition => ({ topic, partition, errorCode, baseOffset, errorMessage: undefined })
    if (log === undefined) return answer(UNKNOWN_TOPIC)
    if (log.leader !== node.nodeId) return answer(NOT_LEADER)
    const refusal = this.refusals.shift()
    if (refusal !== undefined && refusal !== 0) return answer(refusal)
    const batch = Buffer.from(records)
    const baseOffset = log.end
    // Outside of what the checksum covers: the broker's to give.
    batch.writeBigInt64BE(BigInt(baseOffset), 0)
    this.append(topic, partition, batch)
    return answer(0, baseOffset)
  }

  private metadata(topics: readonly string[]): ClusterMetadata {
    return {
      brokers: this.nodes.filter(node => !this.down.has(node.nodeId)),
      topics: topics.map(topic => {
        const partitions = this.topics.get(topic)
        if (partitions === undefined) return { topic, errorCode: UNKNOWN_TOPIC, partitions: [] }
        return {
          topic,
          errorCode: 0,
          partitions: partitions.map(({ leader }, partition) => ({
            partition,
            errorCode: leader < 0 ? 5 : 0,
            leader: this.down.has(leader) ? -1 : leader,
          })),
        }
      }),
    }
  }

  private listOffset(node: BrokerNode, { topic, partition }: TopicPartition, spec: OffsetSpec): ListedOffset {
    const log = this.topics.get(topic)?.[partition]
    if (log === undefined) return { topic, partition, errorCode: UNKNOWN_TOPIC, offset: -1 }
    if (log.leader !== node.nodeId) return { topic, partition, errorCode: NOT_LEADER, offset: -1 }
    return { topic, partition, errorCode: 0, offset: spec === 'earliest' ? log.logStart : spec === 'latest' ? log.end : offsetOfTime(log, spec) }
  }

  /** undefined = nothing to say yet: the poll waits. */
  private read(node: BrokerNode, request: FetchRequest): FetchResponse | undefined {
    const partitions = request.partitions.map(({ topic, partition, offset }) => {
      const log = this.topics.get(topic)?.[partition]
      const answer = (errorCode: number, records: Buffer) => ({
        topic,
        partition,
        errorCode,
        highWatermark: log?.end ?? -1,
        abortedTransactions: [],
        records,
      })
      if (log === undefined) return answer(UNKNOWN_TOPIC, noBytes)
      if (log.leader !== node.nodeId) return answer(NOT_LEADER, noBytes)
      if (offset < log.logStart || offset > log.end) return answer(OUT_OF_RANGE, noBytes)
      return answer(
        0,
        cutAt(
          log.batches.filter(batch => readBatchHeader(batch, 0).lastOffset >= offset),
          request.maxPartitionBytes,
        ),
      )
    })
    return partitions.some(({ errorCode, records }) => errorCode !== 0 || records.length > 0) ? { errorCode: 0, partitions } : undefined
  }

  private partition(topic: string, partition: number): FakePartition {
    const found = this.topics.get(topic)?.[partition]
    if (found === undefined) throw new Error(`no topic ${topic} with partition ${partition}`)
    return found
  }

  private wakeAll(): void {
    for (const wake of this.waiters.splice(0)) wake()
  }
}

const noBytes = Buffer.alloc(0)

function offsetOfTime({ batches, logStart }: FakePartition, timestampMs: number): number {
  const reader = new RecordBatchReader(true)
  for (const batch of batches) {
    reader.feed(batch)
    while (reader.next()) if (reader.offset >= logStart && reader.timestamp >= timestampMs) return reader.offset
  }
  return -1
}

/** The first batch whole, whatever its size; the last one cut where the bytes end. */
function cutAt(batches: readonly Buffer[], maxBytes: number): Buffer {
  const all = Buffer.concat(batches)
  return all.subarray(0, Math.max(batchSize(all, 0) ?? 0, maxBytes))
}
