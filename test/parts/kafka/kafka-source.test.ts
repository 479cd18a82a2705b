import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KafkaSource, type KafkaSourceBuilder, OffsetsInitializer, SimpleStringSchema, Types, WatermarkStrategy } from '../../../bin/api.ts'
import { createLogger, type LogEntry } from '../../../runtime/common/log.ts'
import { kafkaEnumerator } from '../../../runtime/connectors/kafka/kafka-enumerator.ts'
import type { SourceDescription, SourceSplit } from '../../../runtime/stream/spi/source.ts'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../support/connector-harness.ts'
import { finishInProcess, runInProcess } from '../../support/in-process-job.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'

/** Against a real broker; what is expected was written by kafkajs or by Kafka's own producer. */
let broker: KafkaBroker
beforeAll(async () => {
  broker = await KafkaBroker.start()
})
afterAll(async () => {
  await broker?.close()
})

let topicCount = 0
async function newTopic(partitions: number, config?: Readonly<Record<string, string>>): Promise<string> {
  const topic = `topic-${++topicCount}`
  await broker.createTopic(topic, partitions, config)
  return topic
}

function builder(topic: string, at: KafkaBroker = broker): KafkaSourceBuilder<string> {
  return KafkaSource.builder()
    .setBootstrapServers(at.bootstrapServers)
    .setTopics(topic)
    .setStartingOffsets(OffsetsInitializer.earliest())
    .setValueFormat('string')
}

function boundedSource(topic: string): KafkaSource<string> {
  return builder(topic).setBounded(OffsetsInitializer.latest()).build()
}

async function enumerate<T>(source: KafkaSource<T>, parallelism = 1, log?: (entry: LogEntry) => void): Promise<RecordingEnumeratorContext> {
  const context = new RecordingEnumeratorContext(parallelism)
  const description = source.define(undefined).source as SourceDescription
  const enumerator = kafkaEnumerator(description.options, log === undefined ? context : Object.assign(context, { log: createLogger(log) }))
  for (let i = 0; i < parallelism; i++) enumerator.addReader(i)
  await enumerator.start()
  await enumerator.close()
  return context
}

async function open<T>(source: KafkaSource<T>, splits?: readonly SourceSplit[]): Promise<ConnectorHarness> {
  const assigned = splits ?? (await enumerate(source)).assigned[0] ?? []
  return new ConnectorHarness(operatorOf(source.define(undefined))).open(assigned)
}

async function readAll<T>(source: KafkaSource<T>): Promise<ConnectorHarness> {
  const harness = await open(source)
  await harness.run()
  await harness.close()
  return harness
}

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

describe('Kafka source', () => {
  test.each([1, 2, 4, 6])('4 partitions written before the start are read once each at parallelism %i, and the job ends', async parallelism => {
    const topic = await newTopic(4)
    const written: string[] = []
    for (let partition = 0; partition < 4; partition++) {
      for (let batch = 0; batch < 3; batch++) {
        const values = numbered(`p${partition}b${batch}`, 250)
        written.push(...values)
        await broker.produce(topic, partition, values)
      }
    }
    const { stdout, metrics } = await finishInProcess(
      env => void env.fromSource(boundedSource(topic), WatermarkStrategy.noWatermarks<string>(), 'kafka').print(),
      { parallelism, chaining: false },
    )
    const read = stdout
      .trimEnd()
      .split('\n')
      .map(line => line.replace(/^\d+> /, ''))
    expect(read.sort()).toEqual(written.sort())
    expect(metrics.length).toBeGreaterThan(0)
  })

  test('order within a partition and the records’ times are kept', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, ['a', 'b'], { timestamp: 1_700_000_000_123 })
    await broker.produce(topic, 0, ['c'], { timestamp: 1_600_000_000_000 })
    const { rows } = await readAll(boundedSource(topic))
    expect(rows).toEqual([
      { value: 'a', timestamp: 1_700_000_000_123 },
      { value: 'b', timestamp: 1_700_000_000_123 },
      { value: 'c', timestamp: 1_600_000_000_000 },
    ])
  })

  test('a topic with LogAppendTime gives the broker’s times', async () => {
    const topic = await newTopic(1, { 'message.timestamp.type': 'LogAppendTime' })
    const beforeMs = Date.now()
    await broker.produce(topic, 0, ['a'], { timestamp: 1_000 })
    const { rows } = await readAll(boundedSource(topic))
    expect(rows[0]?.timestamp).toBeGreaterThanOrEqual(beforeMs)
  })

  test('latest reads only what is written after the start was fixed, earliest everything', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, ['before'])
    const latest = builder(topic).setStartingOffsets(OffsetsInitializer.latest()).build()
    const { assigned } = await enumerate(latest)
    expect(assigned[0]).toEqual([{ splitId: `${topic}-0`, topic, partition: 0, startingOffset: 1, stoppingOffset: null }])
    await broker.produce(topic, 0, ['after'])
    const fromLatest = await open(latest, assigned[0])
    await fromLatest.run(() => fromLatest.rows.length >= 1)
    const fromEarliest = await open(builder(topic).build())
    await fromEarliest.run(() => fromEarliest.rows.length >= 2)
    await broker.produce(topic, 0, ['later'])
    await fromLatest.run(() => fromLatest.rows.length >= 2)
    expect(fromLatest.values()).toEqual(['after', 'later'])
    expect(fromEarliest.values()).toEqual(['before', 'after'])
    await fromLatest.close()
    await fromEarliest.close()
  })

  test('a bounded source ends where the topic ended at the start, whatever is written later', async () => {
    const topic = await newTopic(2)
    await broker.produce(topic, 0, ['in'])
    const source = boundedSource(topic)
    const { assigned } = await enumerate(source)
    await broker.produce(topic, 0, ['out'])
    await broker.produce(topic, 1, ['out'])
    const harness = await open(source, assigned[0])
    await harness.run()
    expect(harness.values()).toEqual(['in'])
    await harness.close()
  })

  test('a position in the middle of a batch goes on behind it', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, numbered('r', 100))
    const source = boundedSource(topic)
    const first = await open(source)
    first.rowsPerPoll = 42
    await first.run(() => first.rows.length >= 42)
    const state = first.snapshot()
    await first.close()
    const second = new ConnectorHarness(operatorOf(source.define(undefined)))
    second.operator.restore?.(state)
    await second.open()
    await second.run()
    await second.close()
    expect([...first.values(), ...second.values()]).toEqual(numbered('r', 100))
  })

  test('a broker that is down at the start is waited for, with a visible reason', async () => {
    const own = await KafkaBroker.start()
    try {
      await own.createTopic('words', 2)
      await own.stop()
      let warned = (_entry: LogEntry) => {}
      const firstWarning = new Promise<LogEntry>(resolve => (warned = resolve))
      const enumerating = enumerate(builder('words', own).build(), 1, entry => {
        if (entry.level === 'warn') warned(entry)
      })
      const warning = await firstWarning
      expect(warning.message).toBe('cannot list partitions of kafka topics words yet, trying again')
      expect(warning.fields['reason']).toContain(`kafka broker ${own.bootstrapServers} does not answer: connect ECONNREFUSED`)
      await own.start()
      const { assigned, failure } = await enumerating
      expect(failure).toBeUndefined()
      expect(assigned[0]?.map(split => split.splitId).sort()).toEqual(['words-0', 'words-1'])
    } finally {
      await own.close()
    }
  })

  test('after default.api.timeout.ms a start without brokers fails and names them', async () => {
    const down = await KafkaBroker.reserve()
    const source = builder('words', down).setBounded(OffsetsInitializer.latest()).setProperty('default.api.timeout.ms', 400).build()
    const result = await runInProcess(env => void env.fromSource(source, WatermarkStrategy.noWatermarks<string>(), 'kafka').print())
    await down.close()
    expect(result.state).toBe('FAILED')
    expect(result.error?.message).toMatch(
      new RegExp(
        `partitions of kafka topics words could not be listed at brokers ${down.bootstrapServers} within \\d+ ms \\(default.api.timeout.ms\\).*ECONNREFUSED`,
      ),
    )
  })

  test('missing topics fail the job by name, and are not created by asking', async () => {
    const topic = await newTopic(1)
    const source = KafkaSource.builder()
      .setBootstrapServers(broker.bootstrapServers)
      .setTopics(topic, 'no-such-topic', 'nor-this')
      .setStartingOffsets(OffsetsInitializer.earliest())
      .setValueOnlyDeserializer(new SimpleStringSchema())
      .build()
    for (let attempt = 0; attempt < 2; attempt++) {
      const { failure } = await enumerate(source)
      expect(failure).toMatchObject({
        code: 'NOT_FOUND',
        message: `kafka topics no-such-topic, nor-this do not exist at kafka brokers ${broker.bootstrapServers}`,
      })
    }
  })

  test('a function that throws is reported with the record it was given', async () => {
    const topic = await newTopic(2)
    await broker.produce(topic, 1, ['1', '2', 'three', '4'])
    const result = await runInProcess(env => {
      env
        .fromSource(boundedSource(topic), WatermarkStrategy.noWatermarks<string>(), 'kafka')
        .map((value: string) => {
          if (value === 'three') throw new Error('not a number')
          return Number(value)
        })
        .print()
    })
    expect(result.error?.message).toMatch(new RegExp(`not a number.*topic ${topic}, partition 1, offset 2`))
  })

  test('JSON by declared type, with exact 64-bit numbers', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, [
      '{"id": 9007199254740993, "shop": "é", "amount": 1.5, "more": true}',
      '{"amount": 2, "id": -9223372036854775808}',
    ])
    const source = builder(topic)
      .setBounded(OffsetsInitializer.latest())
      .setValueFormat('json', Types.row({ id: Types.LONG, shop: Types.STRING, amount: Types.DOUBLE }))
      .build()
    const { rows } = await readAll(source)
    expect(rows.map(row => row.value)).toEqual([
      { id: 9007199254740993n, shop: 'é', amount: 1.5 },
      { id: -9223372036854775808n, shop: null, amount: 2 },
    ])
  })

  test('a malformed JSON record fails the job with topic, partition and offset; or is left out and counted', async () => {
    const topic = await newTopic(2)
    await broker.produce(topic, 1, ['{"n": 1}', '{"n": 2}', '{"n": ', '{"n": "x"}', '{"n": 5}'])
    const json = (ignoreParseErrors: boolean) =>
      builder(topic)
        .setBounded(OffsetsInitializer.latest())
        .setValueFormat('json', Types.row({ n: Types.INT }), { ignoreParseErrors })
        .build()
    const failed = await runInProcess(env => void env.fromSource(json(false), WatermarkStrategy.noWatermarks(), 'kafka').print())
    expect(failed.state).toBe('FAILED')
    expect(failed.error?.message).toContain(`topic ${topic}, partition 1, offset 2: the record's value does not parse`)
    expect(JSON.stringify(failed.error)).toContain('MALFORMED_RECORD')
    const passed = await finishInProcess(env => void env.fromSource(json(true), WatermarkStrategy.noWatermarks(), 'kafka').print(), {
      chaining: false,
    })
    expect(passed.stdout.trimEnd().split('\n').length).toBe(3)
    expect(JSON.stringify(passed.metrics)).toMatch(/numRecordsInErrors[^}]*2/)
  })

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('batches that Kafka’s own producer compressed by %s', async compression => {
    const topic = await newTopic(1)
    const lines = numbered('compressible compressible compressible', 5_000)
    await broker.produceByJava(topic, lines, compression)
    expect((await readAll(boundedSource(topic))).values()).toEqual(lines)
  })

  test('gzip by kafkajs, records without a value, empty values, and values larger than a fetch', async () => {
    const topic = await newTopic(1)
    const large = 'x'.repeat(300_000)
    await broker.produce(topic, 0, ['a', null, '', large], { gzip: true })
    await broker.produce(topic, 0, [large, 'z'])
    const source = builder(topic)
      .setBounded(OffsetsInitializer.latest())
      .setProperties({ 'max.partition.fetch.bytes': 1_000, 'fetch.max.bytes': 1_000 })
      .build()
    expect((await readAll(source)).values()).toEqual(['a', '', large, large, 'z'])
  })

  test('a topic that ends in a transaction: read_committed leaves out what was aborted, and the bounded end is reached', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, ['plain'])
    await broker.transact(topic, 0, ['aborted-1', 'aborted-2'], 'abort')
    await broker.transact(topic, 0, ['committed'], 'commit')
    await broker.transact(topic, 0, ['aborted-3'], 'abort')
    const committed = builder(topic).setBounded(OffsetsInitializer.latest()).setProperty('isolation.level', 'read_committed').build()
    expect((await readAll(committed)).values()).toEqual(['plain', 'committed'])
    expect((await readAll(boundedSource(topic))).values()).toEqual(['plain', 'aborted-1', 'aborted-2', 'committed', 'aborted-3'])
  })

  test('offsets that the log no longer has: reset as the starting offsets say, or failed by auto.offset.reset none', async () => {
    const topic = await newTopic(1)
    await broker.produce(topic, 0, numbered('r', 10))
    const source = boundedSource(topic)
    const strict = builder(topic).setBounded(OffsetsInitializer.latest()).setProperty('auto.offset.reset', 'none').build()
    const { assigned } = await enumerate(source)
    await broker.deleteRecords(topic, 0, 6)
    const harness = await open(source, assigned[0])
    await harness.run()
    await harness.close()
    expect(harness.values()).toEqual(['r-6', 'r-7', 'r-8', 'r-9'])
    const failing = await open(strict, assigned[0])
    await expect(failing.run()).rejects.toThrow(/partition 0 has no offset 0 any more, and auto.offset.reset is none/)
    await failing.close()
  })

  test('many records through back-pressure: none lost, none doubled', async () => {
    const topic = await newTopic(3)
    const written: string[] = []
    for (let round = 0; round < 5; round++) {
      for (let partition = 0; partition < 3; partition++) {
        const values = numbered(`${partition}-${round}`, 4_000)
        written.push(...values)
        await broker.produce(topic, partition, values)
      }
    }
    const { stdout } = await finishInProcess(
      env =>
        void env
          .fromSource(boundedSource(topic), WatermarkStrategy.noWatermarks<string>(), 'kafka')
          .rebalance()
          .map((value: string) => value)
          .print(),
      {
        parallelism: 2,
        channelCapacity: 1,
        deadlineMs: 60_000,
      },
    )
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map(line => line.replace(/^\d+> /, ''))
        .sort(),
    ).toEqual(written.sort())
  })

  test('a broker that goes and comes back: reading goes on where it was', async () => {
    const own = await KafkaBroker.start()
    try {
      await own.createTopic('words', 1)
      await own.produce('words', 0, ['a', 'b'])
      const harness = await open(builder('words', own).build())
      await harness.run(() => harness.rows.length >= 2)
      await own.stop()
      await own.start()
      await own.produce('words', 0, ['c'])
      await harness.run(() => harness.rows.length >= 3)
      expect(harness.values()).toEqual(['a', 'b', 'c'])
      await harness.close()
    } finally {
      await own.close()
    }
  })
})
