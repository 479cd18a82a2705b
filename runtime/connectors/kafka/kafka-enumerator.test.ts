import { describe, expect, test } from 'vitest'
import { RecordingEnumeratorContext } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { buildBatch } from '../../../test/support/kafka-batches.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import type { JsonObject } from '../../common/json.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import type { SplitEnumeratorContext } from '../../stream/spi/source.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { type KafkaSplit, ownerOf } from './kafka-split.ts'
import { parseProperties, settingsJson } from './settings.ts'
import type { StartingOffsets } from './starting-offsets.ts'

class Context extends RecordingEnumeratorContext {
  readonly simulated = new SimulatedClock()
  readonly logged: LogEntry[] = []
  readonly abort = new AbortController()
  override readonly clock = this.simulated as unknown as RecordingEnumeratorContext['clock']
  override readonly log = createLogger(entry => this.logged.push(entry))
  override readonly signal = this.abort.signal
}

interface Given {
  readonly topics?: readonly string[]
  readonly startingOffsets?: StartingOffsets
  readonly bounded?: boolean
  readonly ignoredProperties?: readonly string[]
  readonly parallelism?: number
  readonly properties?: Readonly<Record<string, string>>
  readonly restored?: JsonObject
  /** Readers are the test's to add. */
  readonly withoutReaders?: boolean
}

function setUp(kafka: FakeKafka, given: Given = {}) {
  const { topics = ['words'], startingOffsets = 'earliest', bounded = false, ignoredProperties = [], parallelism = 2 } = given
  const { settings } = parseProperties(new Map([['bootstrap.servers', 'a:1,b:2'], ...Object.entries(given.properties ?? {})]))
  const context = new Context(parallelism)
  const options = { topics, startingOffsets, bounded, settings: settingsJson(settings), ignoredProperties }
  const enumerator = kafkaEnumerator(
    JSON.parse(JSON.stringify(options)) as typeof options,
    context as SplitEnumeratorContext,
    given.restored === undefined ? undefined : (JSON.parse(JSON.stringify(given.restored)) as JsonObject),
    () => kafka.client(),
  )
  if (given.withoutReaders !== true) for (let i = 0; i < parallelism; i++) enumerator.addReader(i)
  return { context, enumerator }
}

/** Lets everything that waits for promises only come to rest. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

describe('Kafka enumerator', () => {
  test('every partition goes to the subtask that Flink gives it, with numeric offsets', async () => {
    const kafka = new FakeKafka(3)
    kafka.createTopic('words', 4)
    for (let partition = 0; partition < 4; partition++)
      kafka.produce(
        'words',
        partition,
        Array.from({ length: partition + 1 }, () => 'x'),
      )
    kafka.deleteRecords('words', 3, 2)
    const { context, enumerator } = setUp(kafka, { bounded: true, parallelism: 3 })
    await enumerator.start()
    // Java: (("words".hashCode() * 31) & 0x7FFFFFFF) % 3 is 2.
    expect(
      context.assigned.map(splits => (splits as KafkaSplit[]).map(split => [split.partition, split.startingOffset, split.stoppingOffset])),
    ).toEqual([
      [[1, 0, 2]],
      [[2, 0, 3]],
      [
        [0, 0, 1],
        [3, 2, 4],
      ],
    ])
    expect([...context.ended]).toEqual([0, 1, 2])
  })

  test.each([
    ['words', '0 0 0 0 0 1 0 1 0 1 2 0 1 2 0 3 0 1 2 3 5 6 0 1 2'],
    ['orders', '0 0 0 0 0 1 0 1 0 1 0 1 2 0 1 3 0 1 2 3 3 4 5 6 0'],
    ['a-very-long-topic-name-whose-hash-overflows', '0 0 0 0 0 1 0 1 0 1 1 2 0 1 2 3 0 1 2 3 3 4 5 6 0'],
    ['ünïcode', '0 0 0 0 0 0 1 0 1 0 2 0 1 2 0 2 3 0 1 2 5 6 0 1 2'],
    ['topic-1', '0 0 0 0 0 1 0 1 0 1 1 2 0 1 2 1 2 3 0 1 2 3 4 5 6'],
  ])('owners of %s are those that Java computes, at parallelism 1, 2, 3, 4, 7 for partitions 0 to 4', (topic, expected) => {
    const owners = [1, 2, 3, 4, 7].flatMap(parallelism => [0, 1, 2, 3, 4].map(partition => ownerOf({ topic, partition }, parallelism)))
    expect(owners.join(' ')).toBe(expected)
  })

  test('latest starts behind what is there now, whenever the reader comes', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.produce('words', 0, ['a', 'b'])
    const { context, enumerator } = setUp(kafka, { startingOffsets: 'latest', parallelism: 1 })
    await enumerator.start()
    kafka.produce('words', 0, ['c'])
    expect(context.assigned[0]).toEqual([{ splitId: 'words-0', topic: 'words', partition: 0, startingOffset: 2, stoppingOffset: null }])
  })

  test('brokers that are down are asked again, with longer pauses, until they answer; the reason is logged, and not each time', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.setDown(1, true)
    const { context, enumerator } = setUp(kafka)
    const started = enumerator.start()
    const pauses: number[] = []
    for (let i = 0; i < 8; i++) {
      await settle()
      const beforeMs = context.simulated.monotonicMs()
      const due = Math.min(context.simulated.nextDueMs() ?? 0, beforeMs + 5_000)
      context.simulated.advanceTo(due)
      pauses.push(due - beforeMs)
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000])
    kafka.setDown(1, false)
    await settle()
    context.simulated.advanceBy(1_000)
    await started
    expect(context.failure).toBeUndefined()
    expect(context.assigned.flat().length).toBe(1)
    expect(context.logged.map(entry => [entry.level, entry.message, entry.fields['reason']])).toEqual([
      ['warn', 'cannot list partitions of kafka topics words yet, trying again', 'kafka broker 127.0.0.1:9092 does not answer: it is down'],
    ])
  })

  test('after default.api.timeout.ms a bounded source fails, naming brokers, time and reason', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.setDown(1, true)
    const { context, enumerator } = setUp(kafka, { bounded: true })
    const started = enumerator.start()
    for (let i = 0; i < 80 && context.failure === undefined; i++) {
      await settle()
      context.simulated.advanceTo(context.simulated.nextDueMs() ?? 0)
    }
    await started
    expect(context.failure).toMatchObject({ code: 'TIMEOUT' })
    expect((context.failure as Error).message).toMatch(
      /^the partitions of kafka topics words could not be listed at brokers a:1, b:2 within 60000 ms \(default\.api\.timeout\.ms\): kafka broker 127\.0\.0\.1:9092 does not answer: it is down$/,
    )
  })

  test('a partition without a leader is waited for', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 2)
    kafka.setLeader('words', 1, -1)
    const { context, enumerator } = setUp(kafka)
    const started = enumerator.start()
    await settle()
    expect(context.logged[0]?.fields['reason']).toBe('topic words, partition 1 has no leader')
    kafka.setLeader('words', 1, 1)
    context.simulated.advanceBy(100)
    await started
    expect(context.assigned.flat().length).toBe(2)
  })

  test('a topic that does not exist fails at once', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const { context, enumerator } = setUp(kafka, { topics: ['words', 'wrods'] })
    await enumerator.start()
    expect(context.failure).toMatchObject({ code: 'NOT_FOUND', message: 'kafka topic wrods does not exist at kafka brokers a:1, b:2' })
    expect(context.assigned.flat()).toEqual([])
  })

  test('a cancelled job does not wait for its brokers, and its own end is no failure', async () => {
    const kafka = new FakeKafka()
    kafka.setDown(1, true)
    const { context, enumerator } = setUp(kafka)
    const started = enumerator.start()
    await settle()
    context.abort.abort(new Error('cancelled'))
    await started
    expect(context.failure).toBeUndefined()
  })

  test('properties without effect are named once, in one warning', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const { context, enumerator } = setUp(kafka, { ignoredProperties: ['key.deserializer', 'version'] })
    await enumerator.start()
    expect(context.logged).toEqual([
      { level: 'warn', message: 'kafka properties without effect here', fields: { properties: ['key.deserializer', 'version'] } },
    ])
  })

  test('splits of a failed reader wait until it registers again', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const { context, enumerator } = setUp(kafka, { parallelism: 1 })
    await enumerator.start()
    const split = context.assigned[0]?.[0]
    enumerator.addSplitsBack(0, split === undefined ? [] : [{ ...split, startingOffset: 5 }])
    expect(context.assigned[0]?.length).toBe(1)
    enumerator.addReader(0)
    expect(context.assigned[0]?.[1]).toMatchObject({ startingOffset: 5 })
  })

  test('a bounded source that is restored asks no broker: it ends where it would have', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 2)
    kafka.produce('words', 0, ['a'])
    const first = setUp(kafka, { bounded: true, withoutReaders: true, parallelism: 2 })
    await first.enumerator.start()
    first.enumerator.addReader(ownerOf({ topic: 'words', partition: 0 }, 2))
    kafka.createTopic('words', 3)
    const askedBefore = kafka.metadataCount
    const { context, enumerator } = setUp(kafka, { bounded: true, restored: first.enumerator.snapshot(), parallelism: 1 })
    await enumerator.start()
    expect(context.assigned[0]).toEqual([{ splitId: 'words-1', topic: 'words', partition: 1, startingOffset: 0, stoppingOffset: 0 }])
    expect([...context.ended]).toEqual([0])
    expect(kafka.metadataCount).toBe(askedBefore)
  })
})

describe('where a source without a snapshot starts', () => {
  const topic = () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('words', 3)
    // Ten records a partition, one a millisecond from 1,000 on, each a batch.
    for (let partition = 0; partition < 3; partition++)
      for (let i = 0; i < 10; i++)
        kafka.append('words', partition, buildBatch({ baseOffset: i, records: [{ value: 'x' }], baseTimestamp: 1_000 + i }))
    kafka.createTopic('words', 4)
    kafka.committed.set('g words-0', 4)
    kafka.committed.set('g words-1', 0)
    return kafka
  }
  const group = { 'group.id': 'g' }

  test.each<readonly [string, StartingOffsets, Readonly<Record<string, string>>, readonly number[]]>([
    ['committed, else earliest', { kind: 'committed', reset: 'earliest' }, group, [4, 0, 0, 0]],
    ['committed, else latest', { kind: 'committed', reset: 'latest' }, group, [4, 0, 10, 0]],
    ['a time; without a record so late, the end', { kind: 'timestamp', timestampMs: 1_007 }, {}, [7, 7, 7, 0]],
    ['a time behind everything', { kind: 'timestamp', timestampMs: 9_000 }, {}, [10, 10, 10, 0]],
    [
      'given offsets, else committed, else reset',
      { kind: 'specific', offsets: { 'words-1': 6, 'words-3': 0 }, reset: 'latest' },
      group,
      [4, 6, 10, 0],
    ],
    ['given offsets, without a group else reset', { kind: 'specific', offsets: { 'words-1': 6 }, reset: 'earliest' }, {}, [0, 6, 0, 0]],
  ])('%s', async (_name, startingOffsets, properties, expected) => {
    const { context, enumerator } = setUp(topic(), { startingOffsets, properties, parallelism: 1 })
    await enumerator.start()
    expect(context.failure).toBeUndefined()
    const splits = [...(context.assigned[0] as KafkaSplit[])].sort((a, b) => a.partition - b.partition)
    expect(splits.map(({ startingOffset }) => startingOffset)).toEqual(expected)
    await enumerator.close()
  })

  test('a partition that the group has committed nothing of fails the job where nothing else is said', async () => {
    const { context, enumerator } = setUp(topic(), { startingOffsets: { kind: 'committed', reset: 'none' }, properties: group })
    await enumerator.start()
    expect(context.failure).toMatchObject({
      code: 'NOT_FOUND',
      message: 'group g has committed no offset of kafka topic words, partition 2, and auto.offset.reset is none',
    })
  })

  test('a restore looks at none of it: neither at the group nor at a time, and what is new begins at its earliest offset', async () => {
    for (const startingOffsets of [
      { kind: 'committed', reset: 'none' },
      { kind: 'timestamp', timestampMs: 9_000 },
    ] as const) {
      const kafka = topic()
      const restored = { known: ['words-0', 'words-1', 'words-2'], notAssigned: [] }
      kafka.append('words', 3, buildBatch({ baseOffset: 0, records: [{ value: 'new' }] }))
      const { context, enumerator } = setUp(kafka, { startingOffsets, properties: group, restored, parallelism: 1 })
      await enumerator.start()
      expect(context.assigned[0]).toEqual([{ splitId: 'words-3', topic: 'words', partition: 3, startingOffset: 0, stoppingOffset: null }])
      await enumerator.close()
    }
  })
})

describe('Kafka partition discovery', () => {
  /** Lets the clock run, in steps, with everything that waits for promises at rest between them. */
  async function advance(context: Context, spanMs: number): Promise<void> {
    const untilMs = context.simulated.monotonicMs() + spanMs
    for (;;) {
      await settle()
      const dueMs = context.simulated.nextDueMs()
      if (dueMs === undefined || dueMs > untilMs) break
      context.simulated.advanceTo(dueMs)
    }
    context.simulated.advanceTo(untilMs)
    await settle()
  }
  const offsetsOf = (context: Context) =>
    Object.fromEntries(context.assigned.flat().map(split => [split.splitId, (split as KafkaSplit).startingOffset]))
  const messages = (context: Context, level: string) => context.logged.filter(entry => entry.level === level).map(entry => entry.message)

  test('every interval after a pass that succeeded; new partitions begin at their earliest offset, whatever the starting offsets are', async () => {
    const kafka = new FakeKafka(2)
    kafka.createTopic('words', 2)
    kafka.produce('words', 0, ['old'])
    const { context, enumerator } = setUp(kafka, { startingOffsets: 'latest', properties: { 'partition.discovery.interval.ms': '7000' } })
    await enumerator.start()
    kafka.createTopic('words', 4)
    kafka.produce('words', 3, ['a', 'b'])
    kafka.deleteRecords('words', 3, 1)
    await advance(context, 6_999)
    expect([kafka.metadataCount, offsetsOf(context)]).toEqual([1, { 'words-0': 1, 'words-1': 0 }])
    await advance(context, 1)
    expect([kafka.metadataCount, offsetsOf(context)]).toEqual([2, { 'words-0': 1, 'words-1': 0, 'words-2': 0, 'words-3': 1 }])
    await advance(context, 21_000)
    expect([kafka.metadataCount, Object.keys(offsetsOf(context)).length]).toEqual([5, 4])
    expect(messages(context, 'info')).toEqual(['Discovered new partitions: [words-2, words-3]'])
    expect(context.assigned.flat().length).toBe(4)
    expect(context.assigned.map(splits => splits.map(({ splitId }) => splitId))).toEqual(
      [0, 1].map(reader =>
        [0, 1, 2, 3].filter(partition => ownerOf({ topic: 'words', partition }, 2) === reader).map(partition => `words-${partition}`),
      ),
    )
    // More may come: no reader is told that none will.
    expect(context.ended.size).toBe(0)
    await enumerator.close()
  })

  test('default 5 minutes; switched off by 0 or less, and where the source is bounded', async () => {
    const counts: number[] = []
    for (const given of [{}, { properties: { 'partition.discovery.interval.ms': '-1' } }, { bounded: true }]) {
      const kafka = new FakeKafka()
      kafka.createTopic('words', 1)
      const { context, enumerator } = setUp(kafka, given)
      await enumerator.start()
      await advance(context, 299_999)
      counts.push(kafka.metadataCount)
      await advance(context, 1)
      counts.push(kafka.metadataCount, context.ended.size, context.simulated.pendingCount)
      await enumerator.close()
    }
    expect(counts).toEqual([1, 2, 0, 1, 1, 1, 2, 0, 1, 1, 2, 0])
  })

  test('a pass that fails is counted, shown and repeated with back-off, and never fails the job; the readers keep what they have', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const { context, enumerator } = setUp(kafka, {
      properties: { 'partition.discovery.interval.ms': '1000', 'default.api.timeout.ms': '20000' },
    })
    await enumerator.start()
    kafka.createTopic('words', 2)
    kafka.setDown(1, true)
    await advance(context, 60_000)
    expect(context.failure).toBeUndefined()
    const failed = context.logged.filter(entry => entry.message === 'kafka partition discovery failed, trying again')
    expect(failed.map(entry => entry.fields)).toEqual(
      [1, 2].map(failures => ({
        failures,
        reason:
          'the partitions of kafka topics words could not be listed at brokers a:1, b:2 within 20000 ms (default.api.timeout.ms): kafka broker 127.0.0.1:9092 does not answer: it is down',
      })),
    )
    expect(context.metrics.values()).toEqual({ partitionDiscoveryFailures: 2, lastPartitionDiscoveryAgeMs: 60_000, unreachableBrokers: 1 })
    // One attempt a second, that is retry.backoff.max.ms, and not one each millisecond.
    expect(kafka.metadataCount).toBeLessThan(75)
    kafka.setDown(1, false)
    await advance(context, 1_000)
    expect(Object.keys(offsetsOf(context)).sort()).toEqual(['words-0', 'words-1'])
    expect(context.metrics.values()).toMatchObject({ partitionDiscoveryFailures: 2, unreachableBrokers: 0 })
    expect(context.metrics.values()['lastPartitionDiscoveryAgeMs']).toBeLessThanOrEqual(1_000)
    await enumerator.close()
  })

  test('default.api.timeout.ms bounds a pass over brokers that take requests and never answer, at the start too, where the source waits', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.setSilent(1, true)
    const { context, enumerator } = setUp(kafka, { properties: { 'default.api.timeout.ms': '1500' } })
    const started = enumerator.start()
    await advance(context, 1_499)
    expect(messages(context, 'warn')).toEqual([])
    await advance(context, 1)
    expect(context.logged.map(entry => [entry.level, entry.message, entry.fields['reason']])).toEqual([
      [
        'warn',
        'kafka partition discovery failed, trying again',
        'the partitions of kafka topics words could not be listed at brokers a:1, b:2 within 1500 ms (default.api.timeout.ms): an answer is still outstanding',
      ],
    ])
    await advance(context, 60_000)
    expect([context.failure, context.assigned.flat()]).toEqual([undefined, []])
    kafka.setSilent(1, false)
    await advance(context, 2_500)
    await started
    expect(context.assigned.flat().length).toBe(1)
    await enumerator.close()
  })

  test('a new partition without a leader is waited for; the known ones need none', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const { context, enumerator } = setUp(kafka, { properties: { 'partition.discovery.interval.ms': '1000' } })
    await enumerator.start()
    kafka.createTopic('words', 2)
    kafka.setLeader('words', 0, -1)
    kafka.setLeader('words', 1, -1)
    await advance(context, 5_000)
    expect(Object.keys(offsetsOf(context))).toEqual(['words-0'])
    kafka.setLeader('words', 1, 1)
    await advance(context, 1_000)
    expect(Object.keys(offsetsOf(context)).sort()).toEqual(['words-0', 'words-1'])
    await enumerator.close()
  })

  test('partitions that are gone are named once, in Flink’s words; other topics’ new ones are found all the same', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 2)
    kafka.createTopic('more', 1)
    const { context, enumerator } = setUp(kafka, { topics: ['words', 'more'], properties: { 'partition.discovery.interval.ms': '1000' } })
    await enumerator.start()
    kafka.deleteTopic('words')
    kafka.createTopic('more', 2)
    await advance(context, 5_000)
    expect(messages(context, 'warn')).toEqual(['Discovered removed partitions: [words-0, words-1]'])
    expect(Object.keys(offsetsOf(context)).sort()).toEqual(['more-0', 'more-1', 'words-0', 'words-1'])
    expect(context.failure).toBeUndefined()
    await enumerator.close()
  })

  test('a restored enumerator hands out what no reader had, as it was, and what is new, from its beginning; nothing that it handed out before', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 3)
    for (let partition = 0; partition < 3; partition++) kafka.produce('words', partition, ['a', 'b'])
    const first = setUp(kafka, { startingOffsets: 'latest', parallelism: 3, withoutReaders: true })
    await first.enumerator.start()
    first.enumerator.addReader(ownerOf({ topic: 'words', partition: 1 }, 3))
    const snapshot = first.enumerator.snapshot()
    await first.enumerator.close()
    kafka.createTopic('words', 4)
    for (let partition = 0; partition < 4; partition++) kafka.produce('words', partition, ['c'])
    kafka.setDown(1, true)
    const { context, enumerator } = setUp(kafka, { startingOffsets: 'latest', parallelism: 2, restored: snapshot })
    // Before any broker has answered: `latest` is where it was then.
    expect(offsetsOf(context)).toEqual({ 'words-0': 2, 'words-2': 2 })
    const started = enumerator.start()
    await advance(context, 10_000)
    kafka.setDown(1, false)
    await advance(context, 1_000)
    await started
    expect(offsetsOf(context)).toEqual({ 'words-0': 2, 'words-2': 2, 'words-3': 0 })
    await enumerator.close()
  })

  test('a snapshot before the first pass holds nothing: the restored one begins as the first would have', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.produce('words', 0, ['a'])
    kafka.setDown(1, true)
    const first = setUp(kafka, { startingOffsets: 'latest' })
    void first.enumerator.start()
    await settle()
    const snapshot = first.enumerator.snapshot()
    await first.enumerator.close()
    kafka.setDown(1, false)
    const { context, enumerator } = setUp(kafka, { startingOffsets: 'latest', restored: snapshot })
    await enumerator.start()
    expect(offsetsOf(context)).toEqual({ 'words-0': 1 })
    await enumerator.close()
  })

  test('closing wakes a pass that sleeps, pauses or waits for an answer, joins it, and leaves no timer', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    const sleeping = setUp(kafka)
    await sleeping.enumerator.start()
    kafka.setDown(1, true)
    const pausing = setUp(kafka)
    void pausing.enumerator.start()
    await settle()
    kafka.setDown(1, false)
    kafka.setSilent(1, true)
    const waiting = setUp(kafka)
    void waiting.enumerator.start()
    await settle()
    for (const { context, enumerator } of [sleeping, pausing, waiting]) {
      expect(context.simulated.pendingCount).toBeGreaterThan(0)
      await enumerator.close()
      await settle()
      expect([context.simulated.pendingCount, context.failure]).toEqual([0, undefined])
    }
  })
})
