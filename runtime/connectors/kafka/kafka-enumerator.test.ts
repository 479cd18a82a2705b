import { describe, expect, test } from 'vitest'
import { RecordingEnumeratorContext } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import type { SplitEnumeratorContext } from '../../stream/spi/source.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { type KafkaSplit, ownerOf } from './kafka-split.ts'
import { parseProperties, settingsJson } from './settings.ts'

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
  readonly startingOffsets?: 'earliest' | 'latest'
  readonly bounded?: boolean
  readonly ignoredProperties?: readonly string[]
  readonly parallelism?: number
}

function setUp(kafka: FakeKafka, given: Given = {}) {
  const { topics = ['words'], startingOffsets = 'earliest', bounded = false, ignoredProperties = [], parallelism = 2 } = given
  const { settings } = parseProperties(new Map([['bootstrap.servers', 'a:1,b:2']]))
  const context = new Context(parallelism)
  const options = { topics, startingOffsets, bounded, settings: settingsJson(settings), ignoredProperties }
  const enumerator = kafkaEnumerator(JSON.parse(JSON.stringify(options)) as typeof options, context as SplitEnumeratorContext, undefined, () =>
    kafka.client(),
  )
  for (let i = 0; i < parallelism; i++) enumerator.addReader(i)
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

  test('after default.api.timeout.ms the job fails, naming brokers, time and reason', async () => {
    const kafka = new FakeKafka()
    kafka.createTopic('words', 1)
    kafka.setDown(1, true)
    const { context, enumerator } = setUp(kafka)
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
})
