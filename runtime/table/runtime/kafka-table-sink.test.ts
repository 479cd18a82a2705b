import { expect, test } from 'vitest'
import { ConnectorHarness } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import { KafkaTableSinkOperator, kafkaTableSink } from './kafka-table-sink.ts'

const base = { topic: 't', 'properties.bootstrap.servers': 'a:1', format: 'csv' }
const schema = [
  { name: 'n', type: 'INT' },
  { name: 'k_s', type: 'STRING' },
]

function frame(numbers: readonly number[]): ColumnarFrame {
  return {
    kind: 'columnar',
    length: numbers.length,
    columns: [{ kind: 'i32', values: Int32Array.from(numbers), validity: undefined }],
    timestamps: undefined,
    rowKinds: undefined,
  }
}

function harness(kafka: FakeKafka, options: Record<string, string>) {
  const clock = new SimulatedClock()
  const node = { table: 't', schema: schema.slice(0, 1), options: { ...base, ...options } }
  const operator = new KafkaTableSinkOperator(node, { timeZone: 'UTC', codegen: true, columnar: true })
  const sink = new ConnectorHarness(operator, {
    clock,
    registry: kafka.registry(),
  })
  return { sink, operator, clock }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
}

test('a barrier waits until the brokers have acknowledged every row before it, and the end of the input likewise', async () => {
  const kafka = new FakeKafka(1)
  kafka.createTopic('t', 1)
  const { sink, operator, clock } = harness(kafka, {})
  await sink.open()
  operator.processFrame(frame([1, 2, 3]))
  await sink.until(() => operator.prepareSnapshotPreBarrier())
  expect(kafka.values('t', 0)).toEqual(['1', '2', '3'])
  kafka.setDown(1, true)
  operator.processFrame(frame([4]))
  for (let i = 0; i < 5; i++) {
    expect(operator.prepareSnapshotPreBarrier()).toBe(false)
    clock.advanceBy(1_000)
    await settle()
  }
  kafka.setDown(1, false)
  clock.advanceBy(1_000)
  await sink.until(() => operator.prepareSnapshotPreBarrier())
  expect(kafka.values('t', 0)).toEqual(['1', '2', '3', '4'])
  operator.processFrame(frame([5]))
  await sink.until(() => operator.endInput())
  expect(kafka.values('t', 0)).toEqual(['1', '2', '3', '4', '5'])
  await sink.close()
})

test('with the guarantee none a barrier does not wait, and the end of the input still does', async () => {
  const kafka = new FakeKafka(1)
  kafka.createTopic('t', 1)
  const { sink, operator, clock } = harness(kafka, { 'sink.delivery-guarantee': 'none' })
  await sink.open()
  await settle()
  kafka.setDown(1, true)
  operator.processFrame(frame([1]))
  expect(operator.prepareSnapshotPreBarrier()).toBe(true)
  expect(operator.endInput()).toBe(false)
  await settle()
  expect(kafka.values('t', 0)).toEqual([])
  kafka.setDown(1, false)
  clock.advanceBy(1_000)
  await sink.until(() => operator.endInput())
  expect(kafka.values('t', 0)).toEqual(['1'])
  await sink.close()
})

test('rows of one frame leave in pieces, whatever their sizes, and arrive in order', async () => {
  const kafka = new FakeKafka(1)
  kafka.createTopic('t', 1)
  const { sink, operator } = harness(kafka, {})
  await sink.open()
  const numbers = Array.from({ length: 20_000 }, (_, i) => i - 10_000)
  for (let at = 0; at < numbers.length; at += 2_000) operator.processFrame(frame(numbers.slice(at, at + 2_000)))
  await sink.until(() => operator.endInput())
  expect(kafka.values('t', 0)).toEqual(numbers.map(String))
  await sink.close()
})

test.each<[Record<string, string>, string]>([
  [{ topic: 'a;b' }, "option 'topic' is 'a;b': a table that is written has one topic"],
  [{ 'key.format': 'json' }, "option 'key.format' needs 'key.fields'"],
  [{ 'key.fields': 'n' }, "option 'key.fields' needs 'key.format'"],
  [{ 'key.format': 'json', 'key.fields': 'n;m' }, "option 'key.fields' names 'm', which is no column of the table; there are n, k_s"],
  [{ 'key.fields-prefix': 'k_' }, "option 'key.fields-prefix' needs 'key.format' and 'key.fields'"],
  [
    { 'key.format': 'json', 'key.fields': 'k_s', 'key.fields-prefix': 'k_' },
    "option 'key.fields-prefix' needs 'value.fields-include' = 'EXCEPT_KEY'",
  ],
  [
    { 'key.format': 'json', 'key.fields': 'n', 'key.fields-prefix': 'k_', 'value.fields-include': 'EXCEPT_KEY' },
    "option 'key.fields' names 'n', which does not begin with 'key.fields-prefix', 'k_'",
  ],
  [{ 'value.fields-include': 'EXCEPT_KEY' }, "'value.fields-include' = 'EXCEPT_KEY' needs 'key.format' and 'key.fields'"],
  [
    { 'key.format': 'raw', 'key.fields': 'k_s', 'sink.partitioner': 'round-robin' },
    "'sink.partitioner' = 'round-robin' is for records without a key, but 'key.fields' is given",
  ],
  [{ format: 'raw' }, 'raw'],
  [{ 'csv.quote-character': '""' }, 'option csv.quote-character is one ASCII character, not "\\"\\""'],
  [{ 'properties.ack': 'all' }, 'kafka property ack is not known; did you mean acks?'],
  [{ 'properties.acks': '0' }, "kafka property acks: expected all, -1 or 1, got '0'"],
  [{ 'properties.compression.type': 'lz4' }, "kafka property compression.type: expected none, gzip or zstd, got 'lz4'"],
  [{ 'properties.transactional.id': 'x' }, 'kafka property transactional.id=x is not supported: delivery is at least once'],
  [{ 'properties.enable.idempotence': 'true' }, 'kafka property enable.idempotence=true is not supported'],
  [{ 'properties.security.protocol': 'SSL' }, 'kafka property security.protocol=SSL is not supported'],
])('%j is refused by name', (options, message) => {
  expect(() => kafkaTableSink({ ...base, ...options }, schema)).toThrow(message)
})
