import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { KafkaSource, OffsetsInitializer, SimpleStringSchema, StreamExecutionEnvironment, Types, WatermarkStrategy } from '../../../bin/api.ts'
import type { JsonObject } from '../../common/json.ts'
import { missingPackage } from './kafka-package.ts'
import type { KafkaSourceBuilder } from './kafka-source.ts'
import { parseProducerProperties, producerProperties } from './producer-settings.ts'
import { kafkaProperties, parseAddress, parseProperties } from './settings.ts'

const builder = () =>
  KafkaSource.builder().setBootstrapServers('a:9092').setTopics('words').setStartingOffsets(OffsetsInitializer.earliest()).setValueFormat('string')
const settingsOf = <T>(source: KafkaSource<T>) => source.define(undefined).options['settings'] as JsonObject

describe('KafkaSource.builder', () => {
  test('what a program says travels in the options: JSON, with numbers parsed', () => {
    const source = KafkaSource.builder()
      .setBootstrapServers('a:9092, [::1]:9093')
      .setTopics('words', 'orders', 'words')
      .setGroupId('g')
      .setClientIdPrefix('c')
      .setStartingOffsets(OffsetsInitializer.latest())
      .setBounded(OffsetsInitializer.latest())
      .setValueFormat('json', Types.row({ n: Types.LONG }), { ignoreParseErrors: true })
      .setProperty('fetch.max.wait.ms', 50)
      .setProperties({ 'isolation.level': 'read_committed', 'key.deserializer': 'org.apache.kafka.common.serialization.StringDeserializer' })
      .build()
    const definition = source.define(WatermarkStrategy.forMonotonousTimestamps())
    expect(JSON.parse(JSON.stringify(definition.source))).toEqual({
      enumerator: 'kafka',
      bounded: true,
      options: {
        topics: ['words', 'orders'],
        startingOffsets: 'latest',
        bounded: true,
        ignoredProperties: ['key.deserializer'],
        settings: {
          bootstrapServers: ['a:9092', '[::1]:9093'],
          groupId: 'g',
          clientId: 'c',
          requestTimeoutMs: 30_000,
          defaultApiTimeoutMs: 60_000,
          connectTimeoutMs: 10_000,
          retryBackoffMs: 100,
          retryBackoffMaxMs: 1_000,
          fetchMinBytes: 1,
          fetchMaxWaitMs: 50,
          fetchMaxBytes: 52_428_800,
          maxPartitionFetchBytes: 1_048_576,
          isolation: 'read_committed',
          checkCrcs: true,
          offsetReset: null,
          discoveryIntervalMs: 300_000,
          commitOnCheckpoint: true,
          autoCommit: true,
          autoCommitIntervalMs: 5_000,
        },
      },
    })
    expect(definition.options).toMatchObject({
      format: { kind: 'json', ignoreParseErrors: true, type: { kind: 'ROW', fields: [{ name: 'n', type: { kind: 'LONG' } }] } },
      watermarks: { kind: 'monotonous', boundMs: 0 },
    })
    expect(source.boundedness).toBe('BOUNDED')
    expect(source.producedType.toString()).toBe('ROW<n LONG>')
  })

  test('a graph takes it; without a bound it is no batch job', () => {
    const env = StreamExecutionEnvironment.createForProgram({ client: { 'execution.runtime-mode': 'BATCH' } })
    env.fromSource(builder().build(), WatermarkStrategy.noWatermarks<string>(), 'words').print()
    expect(() => env.getStreamGraph()).toThrow("source 'words' is unbounded")
  })

  test('the same program gives the same definition; an own schema’s source is part of it', () => {
    const define = () =>
      builder()
        .setValueOnlyDeserializer({ deserialize: bytes => bytes.length })
        .build()
        .define(undefined)
    expect(JSON.stringify(define())).toBe(JSON.stringify(define()))
    expect(define().functions).toEqual([{ role: 'deserialize', source: expect.stringContaining('bytes.length') }])
    expect(builder().setValueOnlyDeserializer(new SimpleStringSchema()).build().define(undefined).functions).toEqual([])
  })

  test.each<[string, string, (source: KafkaSourceBuilder<string>) => unknown, RegExp]>([
    ['no topics', 'INVALID_PROGRAM', () => KafkaSource.builder().setBootstrapServers('a:1').build(), /no topics are set/],
    ['no servers', 'INVALID_PROGRAM', () => KafkaSource.builder().setTopics('t').build(), /no bootstrap servers are set/],
    [
      'no format',
      'INVALID_PROGRAM',
      () => KafkaSource.builder().setBootstrapServers('a:1').setTopics('t').setStartingOffsets(OffsetsInitializer.earliest()).build(),
      /nothing says how values are read/,
    ],
    [
      'no starting offsets',
      'INVALID_PROGRAM',
      () => KafkaSource.builder().setBootstrapServers('a:1').setTopics('t').setGroupId('g').setValueFormat('string').build(),
      /no starting offsets are set: call setStartingOffsets/,
    ],
    [
      'a server without a port',
      'INVALID_PROGRAM',
      source => source.setBootstrapServers('a').build(),
      /kafka bootstrap server 'a': expected host:port/,
    ],
    ['csv', 'UNSUPPORTED', source => source.setValueFormat('csv' as 'string'), /value format 'csv' is not supported yet/],
    [
      'a bound other than latest',
      'UNSUPPORTED',
      source => source.setBounded(OffsetsInitializer.earliest()),
      /setBounded takes OffsetsInitializer.latest\(\)/,
    ],
    [
      'offsets that are none',
      'INVALID_PROGRAM',
      source => source.setStartingOffsets('earliest' as unknown as OffsetsInitializer),
      /setStartingOffsets takes/,
    ],
    ['a time that is none', 'INVALID_PROGRAM', () => OffsetsInitializer.timestamp(1.5), /expected epoch milliseconds, got 1.5/],
    [
      'committed offsets of no group',
      'INVALID_PROGRAM',
      source => source.setStartingOffsets(OffsetsInitializer.committedOffsets()).build(),
      /committed offsets are those of a group: call setGroupId/,
    ],
    [
      'a reset that is none',
      'INVALID_PROGRAM',
      () => OffsetsInitializer.committedOffsets('NONE' as 'none'),
      /expected earliest, latest or none, got 'NONE'/,
    ],
    [
      'offsets below zero',
      'INVALID_PROGRAM',
      () => OffsetsInitializer.offsets([{ topic: 't', partition: 2, offset: -1 }]),
      /topic t, partition 2: -1 is no offset/,
    ],
    [
      'a topic pattern',
      'UNSUPPORTED',
      source => (source as unknown as { setTopicPattern(pattern: string): unknown }).setTopicPattern('t.*'),
      /KafkaSource.setTopicPattern: topics by pattern are not supported yet/,
    ],
    [
      'a deserializer of records',
      'UNSUPPORTED',
      source => (source as unknown as { setDeserializer(it: unknown): unknown }).setDeserializer({}),
      /KafkaSource.setDeserializer/,
    ],
    [
      'a map with keys that are no texts',
      'INVALID_PROGRAM',
      source => source.setValueFormat('json', Types.map(Types.INT, Types.INT)),
      /a JSON object has text keys/,
    ],
    [
      'a misspelt property',
      'INVALID_PROGRAM',
      source => source.setProperty('fetch.max.byte', 1).build(),
      /kafka property fetch.max.byte is not known; did you mean fetch.max.bytes\?/,
    ],
    [
      'a number that is none',
      'INVALID_PROGRAM',
      source => source.setProperty('fetch.min.bytes', '1 kb').build(),
      /kafka property fetch.min.bytes: expected a whole number from 0 to 2147483647, got '1 kb'/,
    ],
    [
      'a wrong choice',
      'INVALID_PROGRAM',
      source => source.setProperty('isolation.level', 'serializable').build(),
      /expected read_uncommitted, read_committed, got 'serializable'/,
    ],
    [
      'a long poll longer than a request',
      'INVALID_PROGRAM',
      source => source.setProperty('request.timeout.ms', 500).build(),
      /fetch.max.wait.ms \(500\) must be below request.timeout.ms \(500\)/,
    ],
    [
      'encryption',
      'UNSUPPORTED',
      source => source.setProperty('security.protocol', 'SASL_SSL').build(),
      /security.protocol=SASL_SSL is not supported: only PLAINTEXT/,
    ],
    [
      'any ssl property',
      'UNSUPPORTED',
      source => source.setProperty('ssl.key.password', 'x').build(),
      /ssl.key.password is not supported: only PLAINTEXT/,
    ],
    [
      'commits without a group',
      'INVALID_PROGRAM',
      source => source.setProperty('commit.offsets.on.checkpoint', true).build(),
      /commit.offsets.on.checkpoint=true needs group.id/,
    ],
    [
      'an interval that is none',
      'INVALID_PROGRAM',
      source => source.setProperty('partition.discovery.interval.ms', '5 min').build(),
      /partition.discovery.interval.ms: expected a whole number/,
    ],
  ])('refuses %s', (_name, code, build, message) => {
    let thrown: unknown
    try {
      build(builder())
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('properties that say what is true anyway pass; aliases yield to the names themselves', () => {
    const source = builder()
      .setProperties({
        'enable.auto.commit': false,
        'security.protocol': 'PLAINTEXT',
        'partition.discovery.interval.ms': -1,
        'client.id.prefix': 'p',
        'reconnect.backoff.ms': 7,
        'reconnect.backoff.max.ms': 9,
      })
      .build()
    expect(settingsOf(source)).toMatchObject({ clientId: 'p', retryBackoffMs: 7, retryBackoffMaxMs: 9, autoCommit: false, discoveryIntervalMs: 0 })
    expect(settingsOf(builder().setProperties({ 'client.id': 'c', 'client.id.prefix': 'p', 'retry.backoff.ms': 5_000 }).build())).toMatchObject({
      clientId: 'c',
      retryBackoffMs: 5_000,
      retryBackoffMaxMs: 5_000,
    })
  })

  test('every kind of property is treated as the page says', () => {
    const page = readFileSync(new URL('../../../docs/kafka.md', import.meta.url), 'utf8')
    const rows = [...page.matchAll(/^\| `([^`]+)` \| (honoured|no effect|refused) \| (.*) \|$/gm)].map(([, key, treatment, note]) => [
      key,
      treatment,
      note,
    ])
    const expected = [...Object.entries(kafkaProperties), ...Object.entries(producerProperties)].map(([key, { treatment, note, accepted }]) => [
      key,
      treatment,
      accepted === undefined || accepted.length === 0 ? note : `${note}; ${accepted.map(value => `\`${value}\``).join(' and ')} is taken`,
    ])
    expect(rows).toEqual(expected)
    const consumerValues: Readonly<Record<string, string>> = {
      'bootstrap.servers': 'a:1',
      'isolation.level': 'read_committed',
      'check.crcs': 'false',
      'auto.offset.reset': 'none',
      'request.timeout.ms': '777',
      'enable.auto.commit': 'false',
      'commit.offsets.on.checkpoint': 'false',
    }
    for (const [key, { treatment }] of Object.entries(kafkaProperties)) {
      const properties = new Map([
        ['bootstrap.servers', 'a:1'],
        [key, consumerValues[key] ?? '77'],
      ])
      if (treatment === 'refused') expect(() => parseProperties(properties)).toThrow(`kafka property ${key}=77 is not supported`)
      else expect(parseProperties(properties).ignored).toEqual(treatment === 'no effect' ? [key] : [])
    }
    const given: Readonly<Record<string, string>> = { acks: '1', 'compression.type': 'zstd' }
    for (const [key, { treatment }] of Object.entries(producerProperties)) {
      const properties = new Map([
        ['bootstrap.servers', 'a:1'],
        [key, given[key] ?? '77'],
      ])
      if (treatment === 'refused') expect(() => parseProducerProperties(properties)).toThrow(`kafka property ${key}=77 is not supported`)
      else expect(parseProducerProperties(properties).ignored).toEqual(treatment === 'no effect' ? [key] : [])
    }
    // A table that is read and written gives all of them to both.
    expect(
      parseProducerProperties(
        new Map([
          ['bootstrap.servers', 'a:1'],
          ['group.id', 'g'],
          ['fetch.min.bytes', '1'],
        ]),
      ).ignored,
    ).toEqual(['group.id', 'fetch.min.bytes'])
  })

  test('a missing package is named with how to get it', () => {
    const error = missingPackage(Object.assign(new Error("Cannot find package '@platformatic/kafka'"), { code: 'ERR_MODULE_NOT_FOUND' }))
    expect(error).toMatchObject({
      code: 'UNSUPPORTED',
      message: "the package @platformatic/kafka is not installed: Kafka sources need it (npm install '@platformatic/kafka')",
    })
  })

  test('addresses', () => {
    expect(parseAddress('[::1]:9092')).toEqual({ host: '::1', port: 9092 })
    for (const text of ['', ':1', 'a:', 'a:0', 'a:70000', 'a b:1', '::1:9092']) expect(() => parseAddress(text)).toThrow('expected host:port')
  })
})
