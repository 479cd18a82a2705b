import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { KafkaClient } from '../../runtime/connectors/kafka/client.ts'
import { isRetriable, UNKNOWN_TOPIC_OR_PARTITION } from '../../runtime/connectors/kafka/error-codes.ts'
import type { BrokerNode, FetchRequest } from '../../runtime/connectors/kafka/protocol.ts'
import { RecordBatchReader } from '../../runtime/connectors/kafka/record-batch.ts'
import { RecordBatchBuilder } from '../../runtime/connectors/kafka/record-batch-builder.ts'

/** What enumerator, fetcher and sink rely on: held by the real client with a real broker, and by the fake that stands in for both. */
export interface KafkaUnderTest {
  client(): KafkaClient
  createTopic(topic: string, partitions: number): unknown
  produce(topic: string, partition: number, values: readonly string[]): unknown
  deleteRecords(topic: string, partition: number, before: number): unknown
  /** What a group has committed, by partition. */
  committedOffsets(groupId: string, topic: string): unknown
}

export function kafkaClientContract(kafka: () => KafkaUnderTest): void {
  let topicCount = 0
  const setUp = async (partitions: number) => {
    const topic = `contract-${++topicCount}`
    await kafka().createTopic(topic, partitions)
    const client = kafka().client()
    const { brokers, topics } = await client.metadata([topic])
    const leaderOf = (partition: number): BrokerNode => {
      const leader = topics[0]?.partitions.find(candidate => candidate.partition === partition)?.leader
      const node = brokers.find(broker => broker.nodeId === leader)
      if (node === undefined) throw new Error(`partition ${partition} has no leader`)
      return node
    }
    return { topic, client, leaderOf }
  }
  const request = (topic: string, partition: number, offset: number, change: Partial<FetchRequest> = {}): FetchRequest => ({
    maxWaitMs: 5_000,
    minBytes: 1,
    maxBytes: 1_000_000,
    maxPartitionBytes: 1_000_000,
    isolation: 'read_uncommitted',
    partitions: [{ topic, partition, offset }],
    ...change,
  })

  test('metadata names partitions and leaders, and a missing topic by its code', async () => {
    const { topic, client } = await setUp(3)
    const { brokers, topics } = await client.metadata([topic, 'contract-missing'])
    expect(
      topics
        .find(each => each.topic === topic)
        ?.partitions.map(each => each.partition)
        .sort(),
    ).toEqual([0, 1, 2])
    expect(topics.find(each => each.topic === 'contract-missing')?.errorCode).toBe(3)
    expect(brokers.length).toBeGreaterThan(0)
    client.close()
  })

  test('offsets: earliest is where the log begins, latest is behind its last record', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    await kafka().produce(topic, 0, ['a', 'b', 'c'])
    await kafka().produce(topic, 0, ['d'])
    await kafka().deleteRecords(topic, 0, 2)
    const offset = async (spec: 'earliest' | 'latest') =>
      (await client.listOffsets(leaderOf(0), [{ topic, partition: 0 }], spec, 'read_uncommitted'))[0]
    expect(await offset('earliest')).toEqual({ topic, partition: 0, errorCode: 0, offset: 2 })
    expect(await offset('latest')).toEqual({ topic, partition: 0, errorCode: 0, offset: 4 })
    client.close()
  })

  test('offsets by time: the first record that is as late; -1 behind the last one', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    await kafka().produce(topic, 0, ['a'])
    const offset = async (timestampMs: number) =>
      (await client.listOffsets(leaderOf(0), [{ topic, partition: 0 }], timestampMs, 'read_uncommitted'))[0]?.offset
    expect([await offset(0), await offset(4_000_000_000_000)]).toEqual([0, -1])
    client.close()
  })

  test('a fetch answers whole batches from the one that holds the offset on', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    await kafka().produce(topic, 0, ['a', 'b', 'c'])
    await kafka().produce(topic, 0, ['d'])
    const { partitions } = await client.fetch(leaderOf(0), request(topic, 0, 1), 1)
    expect(partitions[0]?.errorCode).toBe(0)
    expect(valuesOf(partitions[0]?.records)).toEqual(['0 a', '1 b', '2 c', '3 d'])
    client.close()
  })

  test('the first batch comes whole, however small the limit', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    await kafka().produce(topic, 0, ['x'.repeat(5_000)])
    await kafka().produce(topic, 0, ['y'.repeat(5_000)])
    const { partitions } = await client.fetch(leaderOf(0), request(topic, 0, 0, { maxPartitionBytes: 10, maxBytes: 10 }), 1)
    const records = partitions[0]?.records ?? Buffer.alloc(0)
    expect(records.length).toBeGreaterThanOrEqual(5_000)
    expect(records.length).toBeLessThan(10_000)
    client.close()
  })

  test('a fetch at the end waits, and is answered by what is written then', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    const fetching = client.fetch(leaderOf(0), request(topic, 0, 0), 1)
    await kafka().produce(topic, 0, ['late'])
    const { partitions } = await fetching
    expect(valuesOf(partitions[0]?.records)).toEqual(['0 late'])
    client.close()
  })

  test('an offset outside the log is answered by its code', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    await kafka().produce(topic, 0, ['a'])
    const { partitions } = await client.fetch(leaderOf(0), request(topic, 0, 7), 1)
    expect(partitions[0]).toMatchObject({ topic, partition: 0, errorCode: 1 })
    client.close()
  })

  test('batches that are produced are in the log, one behind the other, and a partition that is not there is answered by its code', async () => {
    const { topic, client, leaderOf } = await setUp(2)
    const batch = (...values: string[]) => {
      const builder = new RecordBatchBuilder(1_000, 16)
      for (const value of values) {
        const bytes = new TextEncoder().encode(`key${value}`)
        builder.append(1_005, bytes, 0, 3, 3, bytes.length)
      }
      return builder.build('gzip')
    }
    const produce = (partition: number, records: Buffer) =>
      client.produce(leaderOf(0), { acks: -1, timeoutMs: 5_000, partitions: [{ topic, partition, records }] }, 1)
    expect(await produce(0, batch('a', '', 'c'))).toEqual([{ topic, partition: 0, errorCode: 0, baseOffset: 0, errorMessage: undefined }])
    expect(await produce(0, batch('d'))).toEqual([{ topic, partition: 0, errorCode: 0, baseOffset: 3, errorMessage: undefined }])
    expect(await produce(7, batch('e'))).toMatchObject([{ topic, partition: 7, errorCode: 3 }])
    const { partitions } = await client.fetch(leaderOf(0), request(topic, 0, 0), 2)
    expect(valuesOf(partitions[0]?.records)).toEqual(['0 a', '1 ', '2 c', '3 d'])
    client.close()
  })

  test('offsets that are committed are the group’s, those of other partitions stay; a partition that is not there is answered by its code', async () => {
    const { topic, client } = await setUp(2)
    const groupId = `group-of-${topic}`
    const commit = async (...offsets: readonly (readonly [partition: number, offset: number])[]) => {
      const wanted = offsets.map(([partition, offset]) => ({ topic, partition, offset }))
      // The coordinator of a new group may still have to be made.
      for (;;) {
        const answers = await client.commitOffsets(groupId, wanted)
        if (!answers.some(({ errorCode }) => isRetriable(errorCode) && errorCode !== UNKNOWN_TOPIC_OR_PARTITION)) return answers
      }
    }
    expect(await commit([0, 3], [1, 5])).toEqual([0, 1].map(partition => ({ topic, partition, errorCode: 0 })))
    expect(await commit([1, 7])).toEqual([{ topic, partition: 1, errorCode: 0 }])
    expect(await kafka().committedOffsets(groupId, topic)).toEqual({ 0: 3, 1: 7 })
    expect(await commit([0, 2])).toEqual([{ topic, partition: 0, errorCode: 0 }])
    expect(await kafka().committedOffsets(groupId, topic)).toEqual({ 0: 2, 1: 7 })
    const read = [0, 1, 2].map(partition => ({ topic, partition }))
    expect(await client.committedOffsets(groupId, read)).toEqual([2, 7, -1].map((offset, partition) => ({ topic, partition, offset, errorCode: 0 })))
    expect(await commit([9, 1])).toEqual([{ topic, partition: 9, errorCode: UNKNOWN_TOPIC_OR_PARTITION }])
    expect(client.unreachable()).toEqual([])
    client.close()
  })

  test('closing a lane ends its long poll and no other', async () => {
    const { topic, client, leaderOf } = await setUp(1)
    const first = client.fetch(leaderOf(0), request(topic, 0, 0), 1).catch((error: unknown) => error)
    const second = client.fetch(leaderOf(0), request(topic, 0, 0), 2)
    // Both are under way before the lane is closed.
    await client.metadata([topic])
    client.closeLane(1)
    const failure = await first
    expect(failure).toBeInstanceOf(FlinkError)
    expect((failure as FlinkError).code).toBe('CONNECTION_LOST')
    await kafka().produce(topic, 0, ['a'])
    expect(valuesOf((await second).partitions[0]?.records)).toEqual(['0 a'])
    client.close()
  })
}

function valuesOf(records: Buffer | undefined): string[] {
  const reader = new RecordBatchReader(true)
  reader.feed(records ?? Buffer.alloc(0))
  const values: string[] = []
  while (reader.next()) values.push(`${reader.offset} ${reader.data.toString('utf8', reader.valueStart, reader.valueEnd)}`)
  return values
}
