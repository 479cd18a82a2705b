import { expect, test } from 'vitest'
import { ConnectorHarness, operatorOf } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { wholeSnapshot } from '../../../test/support/whole-snapshot.ts'
import type { KafkaEnumeratorOptions } from '../../connectors/kafka/kafka-split.ts'
import { settingsFromJson } from '../../connectors/kafka/settings.ts'
import type { ScanNode } from '../plan/physical.ts'
import { kafkaTableSource } from './kafka-table-reader.ts'
import { scanDefinition } from './scan-definition.ts'

const options = {
  topic: 't',
  'properties.bootstrap.servers': 'a:1',
  'properties.group.id': 'g',
  format: 'csv',
  'scan.startup.mode': 'earliest-offset',
}
const node: ScanNode = {
  kind: 'scan',
  table: 't',
  connector: 'kafka',
  options,
  physical: [{ name: 'n', type: 'INT' }],
  paths: [['n']],
  projected: [0],
  schema: [{ name: 'n', type: 'INT' }],
}

test('a table in checkpoints: restored where its frames ended, committed when the checkpoint completes', async () => {
  const kafka = new FakeKafka()
  kafka.createTopic('t', 1)
  kafka.produce('t', 0, ['1', '2', '3', '4'])
  const definition = scanDefinition(node, { timeZone: 'UTC', codegen: true, columnar: true })
  const begin = () =>
    new ConnectorHarness(operatorOf(definition), { registry: kafka.registry(), clock: new SimulatedClock(), checkpointingEnabled: true })
  const numbers = (harness: ConnectorHarness) =>
    harness.frames.flatMap(({ columns }) => columns.flatMap(column => ('values' in column ? [...(column.values as Int32Array)] : [])))
  const first = await begin().open([{ splitId: 't-0', topic: 't', partition: 0, startingOffset: 0, stoppingOffset: null }], true)
  await first.run(() => numbers(first).length >= 4)
  const state = first.operator.snapshot({ checkpointId: 5, timestampMs: 0, type: 'checkpoint' })
  kafka.produce('t', 0, ['5'])
  await first.run(() => numbers(first).length >= 5)
  expect(kafka.committed.size).toBe(0)
  first.operator.notifyCheckpointComplete?.(5)
  await first.close()
  expect(kafka.committedOffsets('g', 't')).toEqual({ 0: 4 })
  const second = begin()
  second.operator.restore?.(wholeSnapshot(state))
  await second.open([], true)
  await second.run(() => numbers(second).length >= 1)
  second.operator.snapshot({ checkpointId: 6, timestampMs: 0, type: 'checkpoint' })
  second.operator.notifyCheckpointAborted?.(6)
  second.operator.notifyCheckpointComplete?.(6)
  await second.close()
  expect(numbers(second)).toEqual([5])
  expect(kafka.committedOffsets('g', 't')).toEqual({ 0: 4 })
})

test.each<readonly [string, Readonly<Record<string, string>>, number]>([
  ['default', {}, 300_000],
  ['the option of the table', { 'scan.topic-partition-discovery.interval': '30 s' }, 30_000],
  ['switched off', { 'scan.topic-partition-discovery.interval': '0 s' }, 0],
  ['the property', { 'properties.partition.discovery.interval.ms': '7000' }, 7_000],
  [
    'the option wins over the property, as in Flink',
    { 'scan.topic-partition-discovery.interval': '2 min', 'properties.partition.discovery.interval.ms': '7000' },
    120_000,
  ],
])('interval of discovery: %s', (_name, given, expected) => {
  const { source } = kafkaTableSource({ ...options, ...given })
  // Written by KafkaSource.
  expect(settingsFromJson((source.options as KafkaEnumeratorOptions).settings).discoveryIntervalMs).toBe(expected)
})

test.each<readonly [string, Readonly<Record<string, string>>, unknown]>([
  ['without a mode: where the group stands, which fails where it has none', {}, { kind: 'committed', reset: 'none' }],
  ['group-offsets', { 'scan.startup.mode': 'group-offsets', 'properties.auto.offset.reset': 'earliest' }, { kind: 'committed', reset: 'earliest' }],
  ['earliest-offset', { 'scan.startup.mode': 'earliest-offset' }, 'earliest'],
  ['latest-offset', { 'scan.startup.mode': 'latest-offset' }, 'latest'],
  ['timestamp', { 'scan.startup.mode': 'timestamp', 'scan.startup.timestamp-millis': '1234' }, { kind: 'timestamp', timestampMs: 1234 }],
  [
    'specific-offsets',
    { 'scan.startup.mode': 'specific-offsets', 'scan.startup.specific-offsets': 'partition:0,offset:42;partition:11,offset:300' },
    { kind: 'specific', offsets: { 't-0': 42, 't-11': 300 }, reset: 'earliest' },
  ],
])('where a table starts: %s', (_name, given, expected) => {
  const { 'scan.startup.mode': _mode, ...rest } = options
  expect(kafkaTableSource({ ...rest, ...given }).source.options['startingOffsets']).toEqual(expected)
})
