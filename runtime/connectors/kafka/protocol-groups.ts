import { type KafkaApi, readByTopic, writeByTopic } from './protocol.ts'
import { ProtocolReader, ProtocolWriter } from './protocol-io.ts'
import type { TopicPartition } from './topic-partition.ts'

/** The requests about offsets that a consumer group has committed. No member ever joins: groups are only where offsets are kept. */
export const findCoordinatorApi: KafkaApi = { name: 'FindCoordinator', key: 10, version: 3, flexible: true }
export const offsetCommitApi: KafkaApi = { name: 'OffsetCommit', key: 8, version: 8, flexible: true }

export const offsetFetchApi: KafkaApi = { name: 'OffsetFetch', key: 9, version: 7, flexible: true }

export interface FoundCoordinator {
  readonly errorCode: number
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export interface PartitionOffset extends TopicPartition {
  /** Next one to read. */
  readonly offset: number
}

export interface PartitionAnswer extends TopicPartition {
  readonly errorCode: number
}

export function findCoordinatorRequest(groupId: string): Buffer {
  return new ProtocolWriter().string(groupId).int8(GROUP).tags().take()
}

const GROUP = 0

export function parseFindCoordinator(bytes: Buffer): FoundCoordinator {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  const errorCode = input.int16()
  input.nullableString() // error message
  return { errorCode, nodeId: input.int32(), host: input.string(), port: input.int32() }
}

export function offsetCommitRequest(groupId: string, offsets: readonly PartitionOffset[]): Buffer {
  const out = new ProtocolWriter()
  // Generation -1, no member: as a consumer that assigns its partitions itself.
  out.string(groupId).int32(-1).string('').nullString()
  writeByTopic(out, offsets, ({ partition, offset }) => out.int32(partition).int64(BigInt(offset)).int32(-1).string('').tags())
  return out.tags().take()
}

export function offsetFetchRequest(groupId: string, partitions: readonly TopicPartition[]): Buffer {
  const out = new ProtocolWriter()
  out.string(groupId)
  writeByTopic(out, partitions, ({ partition }) => out.int32(partition))
  // Also offsets that an open transaction may still change: they are a start like others.
  return out.int8(0).tags().take()
}

/** Offset -1 = the group has committed none. */
export function parseOffsetFetch(bytes: Buffer): { readonly errorCode: number; readonly partitions: (PartitionAnswer & PartitionOffset)[] } {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  const partitions = readByTopic(input, topic => {
    const partition = input.int32()
    const offset = input.offset()
    input.int32() // leader epoch
    input.nullableString() // metadata
    return { topic, partition, offset, errorCode: input.int16() }
  })
  return { errorCode: input.int16(), partitions }
}

export function parseOffsetCommit(bytes: Buffer): PartitionAnswer[] {
  const input = new ProtocolReader(bytes)
  input.int32() // throttle time
  return readByTopic(input, topic => ({ topic, partition: input.int32(), errorCode: input.int16() }))
}
