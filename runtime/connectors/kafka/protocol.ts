import { ProtocolReader, ProtocolWriter } from './protocol-io.ts'
import type { TopicPartition } from './topic-partition.ts'

/**
 * The requests that source and sink need, each in one version that brokers from 2.7 to 4.x speak, so that nothing has to be negotiated;
 * what a broker speaks is only checked, once per connection. Fetch answers its records as they are on the wire: decoding is the slot's.
 */
export interface KafkaApi {
  readonly name: string
  readonly key: number
  readonly version: number
  /** Flexible versions have tagged fields in their headers. */
  readonly flexible: boolean
}

export const apiVersionsApi: KafkaApi = { name: 'ApiVersions', key: 18, version: 0, flexible: false }
export const metadataApi: KafkaApi = { name: 'Metadata', key: 3, version: 9, flexible: true }
export const listOffsetsApi: KafkaApi = { name: 'ListOffsets', key: 2, version: 6, flexible: true }
export const fetchApi: KafkaApi = { name: 'Fetch', key: 1, version: 12, flexible: true }

export const produceApi: KafkaApi = { name: 'Produce', key: 0, version: 8, flexible: false }

export interface VersionRange {
  readonly key: number
  readonly min: number
  readonly max: number
}

export function parseApiVersions(bytes: Buffer): { errorCode: number; ranges: VersionRange[] } {
  const input = new ProtocolReader(bytes)
  const errorCode = input.int16()
  const ranges: VersionRange[] = []
  for (let count = input.int32(); count > 0; count--) ranges.push({ key: input.int16(), min: input.int16(), max: input.int16() })
  return { errorCode, ranges }
}

export interface BrokerNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export interface TopicMetadata {
  readonly topic: string
  readonly errorCode: number
  /** `leader` -1 = none at the moment. */
  readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly leader: number }[]
}

export interface ClusterMetadata {
  readonly brokers: readonly BrokerNode[]
  readonly topics: readonly TopicMetadata[]
}

export function metadataRequest(topics: readonly string[]): Buffer {
  const out = new ProtocolWriter()
  out.array(topics, topic => out.string(topic).tags())
  // Reading a topic must never create it, whatever the broker's settings.
  return out.int8(0).int8(0).int8(0).tags().take()
}

export function parseMetadata(bytes: Buffer): ClusterMetadata {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  const brokers = input.array(() => {
    const node = { nodeId: input.int32(), host: input.string(), port: input.int32() }
    input.nullableString() // rack
    input.tags()
    return node
  })
  input.nullableString() // cluster id
  input.int32() // controller
  const topics = input.array(() => {
    const errorCode = input.int16()
    const topic = input.string()
    input.int8() // internal
    const partitions = input.array(() => {
      const partition = { errorCode: input.int16(), partition: input.int32(), leader: input.int32() }
      input.int32() // leader epoch
      for (let replicas = 0; replicas < 3; replicas++) input.array(() => input.int32())
      input.tags()
      return partition
    })
    input.int32() // authorized operations
    input.tags()
    return { topic, errorCode, partitions }
  })
  return { brokers, topics }
}

/** A number = the first record of this time (epoch ms) or a later one; the answer is -1 where there is none. */
export type OffsetSpec = 'earliest' | 'latest' | number
export type IsolationLevel = 'read_uncommitted' | 'read_committed'

export interface ListedOffset extends TopicPartition {
  readonly errorCode: number
  readonly offset: number
}

export function listOffsetsRequest(partitions: readonly TopicPartition[], spec: OffsetSpec, isolation: IsolationLevel): Buffer {
  const timestamp = spec === 'earliest' ? -2n : spec === 'latest' ? -1n : BigInt(spec)
  const out = new ProtocolWriter()
  out.int32(-1).int8(isolationByte(isolation))
  writeByTopic(out, partitions, ({ partition }) => out.int32(partition).int32(-1).int64(timestamp).tags())
  return out.tags().take()
}

export function parseListOffsets(bytes: Buffer): ListedOffset[] {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  return readByTopic(input, topic => {
    const partition = input.int32()
    const errorCode = input.int16()
    input.int64() // timestamp
    const offset = input.offset()
    input.int32() // leader epoch
    return { topic, partition, errorCode, offset }
  })
}

export interface FetchRequest {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
  readonly isolation: IsolationLevel
  readonly partitions: readonly (TopicPartition & { readonly offset: number })[]
}

export interface FetchedPartition extends TopicPartition {
  readonly errorCode: number
  readonly highWatermark: number
  readonly abortedTransactions: readonly AbortedTransaction[]
  /** Record batches as they are in the log; the last one may be cut. */
  readonly records: Buffer
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface FetchResponse {
  readonly errorCode: number
  readonly partitions: readonly FetchedPartition[]
}

export function fetchRequest(request: FetchRequest): Buffer {
  const out = new ProtocolWriter()
  out.int32(-1).int32(request.maxWaitMs).int32(request.minBytes).int32(request.maxBytes).int8(isolationByte(request.isolation))
  // No fetch session: which partitions are asked for follows the credit, so it changes with every request.
  out.int32(0).int32(-1)
  writeByTopic(out, request.partitions, ({ partition, offset }) =>
    out.int32(partition).int32(-1).int64(BigInt(offset)).int32(-1).int64(-1n).int32(request.maxPartitionBytes).tags(),
  )
  return out
    .array([], () => {})
    .string('')
    .tags()
    .take()
}

export function parseFetch(bytes: Buffer): FetchResponse {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  const errorCode = input.int16()
  input.int32() // session
  const partitions = readByTopic(input, topic => {
    const partition = input.int32()
    const partitionError = input.int16()
    const highWatermark = input.offset()
    input.int64() // last stable offset
    input.int64() // log start offset
    const abortedTransactions = input.array(() => {
      const aborted = { producerId: input.int64(), firstOffset: input.offset() }
      input.tags()
      return aborted
    })
    input.int32() // preferred read replica: none, since no rack is sent
    const records = input.nullableBytes() ?? noBytes
    return { topic, partition, errorCode: partitionError, highWatermark, abortedTransactions, records }
  })
  return { errorCode, partitions }
}

export interface ProduceRequest {
  /** 1 = the leader has it, -1 = all in-sync replicas have it. */
  readonly acks: 1 | -1
  readonly timeoutMs: number
  /** One record batch each. */
  readonly partitions: readonly (TopicPartition & { readonly records: Buffer })[]
}

export interface ProducedPartition extends TopicPartition {
  readonly errorCode: number
  readonly baseOffset: number
  readonly errorMessage: string | undefined
}

export function produceRequest(request: ProduceRequest): Buffer {
  const out = new ProtocolWriter()
  out.int16(-1).int16(request.acks).int32(request.timeoutMs)
  out.fixedArray(byTopic(request.partitions), ([topic, list]) => {
    out.fixedString(topic).fixedArray(list, ({ partition, records }) => out.int32(partition).fixedBytes(records))
  })
  return out.take()
}

export function parseProduce(bytes: Buffer): ProducedPartition[] {
  const input = new ProtocolReader(bytes)
  const topics = input.fixedArray(() => {
    const topic = input.fixedString() ?? ''
    return input.fixedArray(() => {
      const partition = input.int32()
      const errorCode = input.int16()
      const baseOffset = input.offset()
      input.int64() // log append time
      input.int64() // log start offset
      const messages = input.fixedArray(() => {
        input.int32() // index in the batch
        return input.fixedString()
      })
      const errorMessage = input.fixedString() ?? messages.find(message => message !== undefined)
      return { topic, partition, errorCode, baseOffset, errorMessage }
    })
  })
  return topics.flat()
}

const noBytes = Buffer.alloc(0)

function isolationByte(isolation: IsolationLevel): number {
  return isolation === 'read_committed' ? 1 : 0
}

/** Partitions by topic, as most requests list them. `write` also ends a partition, with tags where it has them. */
export function writeByTopic<T extends TopicPartition>(out: ProtocolWriter, partitions: readonly T[], write: (partition: T) => unknown): void {
  out.array(byTopic(partitions), ([topic, list]) => void out.string(topic).array(list, write).tags())
}

/** Partitions by topic, as most answers list them, each with tags behind what `read` takes. */
export function readByTopic<T>(input: ProtocolReader, read: (topic: string) => T): T[] {
  const topics = input.array(() => {
    const topic = input.string()
    const partitions = input.array(() => {
      const partition = read(topic)
      input.tags()
      return partition
    })
    input.tags()
    return partitions
  })
  return topics.flat()
}

function byTopic<T extends TopicPartition>(partitions: readonly T[]): [string, T[]][] {
  return [...Map.groupBy(partitions, ({ topic }) => topic)]
}
