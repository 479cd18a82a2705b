import { describe, expect, test } from 'vitest'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import type { JsonObject } from '../../common/json.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import type { FetcherSink } from '../../stream/spi/io-host.ts'
import { PIECE_SIZE_BYTES } from './batch-cutter.ts'
import type { KafkaClient } from './client.ts'
import { KafkaFetcher } from './kafka-fetcher.ts'
import { RecordBatchReader } from './record-batch.ts'
import { parseProperties } from './settings.ts'

/** Takes what it has credit for, and says what came in which order. */
class Sink implements FetcherSink {
  readonly values: string[] = []
  readonly events: { readonly what: string; readonly data: JsonObject }[] = []
  credit = Number.POSITIVE_INFINITY
  private waiting: (() => void)[] = []
  private watchers: (() => void)[] = []

  async write(tag: number, position: number, bytes: Uint8Array): Promise<void> {
    while (this.credit <= 0) await new Promise<void>(resolve => this.waiting.push(resolve))
    this.credit--
    const reader = new RecordBatchReader(true)
    reader.feed(bytes.slice())
    let first = true
    while (reader.next()) {
      if (first) expect(position).toBe(reader.offset)
      first = false
      this.values.push(`${tag}:${reader.offset} ${reader.data.toString('utf8', reader.valueStart, reader.valueEnd)}`)
    }
    this.changed()
  }

  async block(): Promise<Uint8Array> {
    return new Uint8Array(0)
  }

  async writeBlock(): Promise<void> {}

  async event(what: string, data: JsonObject): Promise<void> {
    this.events.push({ what, data })
    this.changed()
  }

  grant(count: number): void {
    this.credit += count
    for (const wake of this.waiting.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>(resolve => this.watchers.push(resolve))
  }

  private changed(): void {
    for (const wake of this.watchers.splice(0)) wake()
  }
}

function setUp(kafka: FakeKafka, properties: Readonly<Record<string, string>> = {}, client: KafkaClient = kafka.client()) {
  const { settings } = parseProperties(new Map([['bootstrap.servers', 'a:1'], ...Object.entries(properties)]))
  const clock = new SimulatedClock()
  const abort = new AbortController()
  const logged: LogEntry[] = []
  const sink = new Sink()
  const context = {
    clock,
    log: createLogger(entry => logged.push(entry)),
    signal: abort.signal,
    taskManager: { id: 'tm', stdout: () => {}, stderr: () => {} },
  }
  const fetcher = new KafkaFetcher(settings, { offsetReset: settings.offsetReset ?? 'earliest', subtaskIndex: 3 }, sink, context, client)
  const add = (tag: number, topic: string, partition: number, startingOffset = 0, stoppingOffset: number | null = null) =>
    fetcher.command('split', { tag, topic, partition, startingOffset, stoppingOffset })
  const close = async () => {
    abort.abort(new Error('closed'))
    await fetcher.close()
  }
  return { fetcher, sink, clock, logged, add, close }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve()
}

describe('Kafka fetcher', () => {
  test('reads the partitions of all leaders, each in order', async () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('t', 3)
    for (let partition = 0; partition < 3; partition++) for (let i = 0; i < 3; i++) kafka.produce('t', partition, [`a${i}`, `b${i}`])
    const { sink, add, close } = setUp(kafka)
    for (let partition = 0; partition < 3; partition++) add(partition, 't', partition)
    await sink.until(() => sink.values.length === 18)
    for (let partition = 0; partition < 3; partition++)
      expect(sink.values.filter(value => value.startsWith(`${partition}:`))).toEqual(
        ['0 a0', '1 b0', '2 a1', '3 b1', '4 a2', '5 b2'].map(text => `${partition}:${text}`),
      )
    expect(kafka.metadataCount).toBe(1)
    await close()
  })

  test('without credit it holds one answer beside the one it hands over, and asks no further', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    for (let i = 0; i < 10; i++) kafka.produce('t', 0, [`v${i}`])
    // Every answer holds one batch.
    const { sink, add, close } = setUp(kafka, { 'max.partition.fetch.bytes': '1' })
    sink.credit = 0
    add(0, 't', 0)
    await settle()
    expect(kafka.fetchCount).toBe(2)
    sink.grant(1)
    await settle()
    expect([kafka.fetchCount, sink.values]).toEqual([3, ['0:0 v0']])
    sink.grant(100)
    await sink.until(() => sink.values.length === 10)
    await close()
  })

  test('a leader that changes: goes on at the new one, nothing lost, nothing twice', async () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('t', 1)
    kafka.produce('t', 0, ['a', 'b'])
    const { sink, clock, logged, add, close } = setUp(kafka)
    add(0, 't', 0)
    await sink.until(() => sink.values.length === 2)
    for (let round = 0; round < 5; round++) {
      kafka.setLeader('t', 0, (round % 2) + 1 === 1 ? 2 : 1)
      kafka.produce('t', 0, [`c${round}`])
      await settle()
      clock.advanceBy(1_000)
      await sink.until(() => sink.values.length === 3 + round)
    }
    expect(sink.values).toEqual(['0:0 a', '0:1 b', '0:2 c0', '0:3 c1', '0:4 c2', '0:5 c3', '0:6 c4'])
    expect(logged[0]).toMatchObject({
      level: 'warn',
      message: 'kafka partitions cannot be read at the moment, trying again',
      fields: { reason: 'topic t, partition 0: broker 127.0.0.1:9092 answered NOT_LEADER_OR_FOLLOWER' },
    })
    await close()
  })

  test('what a partition’s old leader answered is handed over before what its new one does', async () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('t', 1)
    const large = (name: string) => name.padEnd(PIECE_SIZE_BYTES, 'x')
    kafka.produce('t', 0, [large('a')])
    kafka.produce('t', 0, [large('b')])
    const { sink, clock, add, close } = setUp(kafka)
    sink.credit = 0
    add(0, 't', 0)
    await settle()
    kafka.produce('t', 0, [large('c')])
    kafka.setLeader('t', 0, 2)
    await settle()
    clock.advanceBy(1_000)
    await settle()
    for (let i = 0; i < 3; i++) {
      sink.grant(1)
      await settle()
    }
    expect(sink.values.map(value => value.slice(0, 5))).toEqual(['0:0 a', '0:1 b', '0:2 c'])
    await close()
  })

  test('after a good answer the next pause is a short one again', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    const { sink, clock, add, close } = setUp(kafka)
    add(0, 't', 0)
    await settle()
    const pauses: number[] = []
    for (let round = 0; round < 2; round++) {
      kafka.setDown(1, true)
      await settle()
      for (let i = 0; i < 3; i++) {
        const due = clock.nextDueMs() ?? 0
        pauses.push(due - clock.nowMs())
        clock.advanceTo(due)
        await settle()
      }
      kafka.setDown(1, false)
      kafka.produce('t', 0, ['v'])
      clock.advanceTo(clock.nextDueMs() ?? 0)
      await sink.until(() => sink.values.length === round + 1)
      await settle()
    }
    expect(pauses).toEqual([100, 200, 400, 100, 200, 400])
    await close()
  })

  test('a broker that is lost: its partitions wait with back-off, those of others go on', async () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('t', 2)
    const { sink, clock, add, close } = setUp(kafka)
    add(0, 't', 0)
    add(1, 't', 1)
    await settle()
    kafka.setDown(2, true)
    await settle()
    const askedBefore = kafka.metadataCount
    for (let i = 0; i < 10; i++) {
      clock.advanceBy(1_000)
      await settle()
    }
    expect(kafka.metadataCount - askedBefore).toBeLessThanOrEqual(11)
    kafka.produce('t', 0, ['alive'])
    await sink.until(() => sink.values.length === 1)
    kafka.setDown(2, false)
    kafka.produce('t', 1, ['back'])
    clock.advanceBy(1_000)
    await sink.until(() => sink.values.length === 2)
    expect(sink.values).toEqual(['0:0 alive', '1:0 back'])
    await close()
  })

  test('a bounded split is not read beyond the batch that holds its end, and then asks no more', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    kafka.produce('t', 0, ['a', 'b'])
    kafka.produce('t', 0, ['c', 'd'])
    kafka.produce('t', 0, ['e'])
    const { sink, add, close } = setUp(kafka)
    add(7, 't', 0, 1, 3)
    await sink.until(() => sink.values.length === 4)
    await settle()
    expect(sink.values.map(value => value.split(' ')[1])).toEqual(['a', 'b', 'c', 'd'])
    expect(kafka.fetchCount).toBe(1)
    await close()
  })

  test('an offset that the log no longer has is skipped with a warning; with auto.offset.reset none it fails, naming partition and broker', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    kafka.produce('t', 0, ['a', 'b'])
    kafka.produce('t', 0, ['c'])
    kafka.deleteRecords('t', 0, 2)
    const lenient = setUp(kafka)
    lenient.add(0, 't', 0, 1)
    await settle()
    lenient.clock.advanceBy(1_000)
    await lenient.sink.until(() => lenient.sink.values.length === 1)
    expect(lenient.sink.values).toEqual(['0:2 c'])
    expect(lenient.sink.events).toEqual([{ what: 'skipped', data: { tag: 0, position: 2 } }])
    expect(lenient.logged.find(entry => entry.message === 'kafka offset out of range, reset')?.fields).toEqual({
      topic: 't',
      partition: 0,
      from: 1,
      to: 2,
      reset: 'earliest',
    })
    await lenient.close()

    const strict = setUp(kafka, { 'auto.offset.reset': 'none' })
    strict.add(0, 't', 0, 1)
    await strict.sink.until(() => strict.sink.events.length === 1)
    expect(strict.sink.events[0]).toEqual({
      what: 'error',
      data: {
        tag: -1,
        code: 'EXTERNAL_SYSTEM',
        message: 'topic t, partition 0 has no offset 1 any more, and auto.offset.reset is none (kafka broker 127.0.0.1:9092)',
      },
    })
    await strict.close()
  })

  test('an answer that cannot be mended fails once, with topic, partition and broker', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    const client: KafkaClient = {
      ...kafka.client(),
      fetch: async () => ({
        errorCode: 0,
        partitions: [{ topic: 't', partition: 0, errorCode: 29, highWatermark: 0, abortedTransactions: [], records: Buffer.alloc(0) }],
      }),
    }
    const { sink, add, close } = setUp(kafka, {}, client)
    add(0, 't', 0)
    await sink.until(() => sink.events.length === 1)
    expect(sink.events[0]?.data['message']).toBe(
      'topic t, partition 0 cannot be read at offset 0: kafka broker 127.0.0.1:9092 answered TOPIC_AUTHORIZATION_FAILED',
    )
    await settle()
    expect(sink.events.length).toBe(1)
    await close()
  })

  test('closing ends a long poll and a pause, and reports nothing', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('t', 1)
    const polling = setUp(kafka)
    polling.add(0, 't', 0)
    await settle()
    await polling.close()
    kafka.setDown(1, true)
    const pausing = setUp(kafka)
    pausing.add(0, 't', 0)
    await settle()
    await pausing.close()
    expect([...polling.sink.events, ...pausing.sink.events]).toEqual([])
  })
})
