import { afterAll, beforeAll, expect, test } from 'vitest'
import { KafkaSource, type KafkaSourceBuilder, OffsetsInitializer } from '../../../bin/api.ts'
import type { JsonObject } from '../../../runtime/common/json.ts'
import { createLogger, type LogEntry } from '../../../runtime/common/log.ts'
import { kafkaEnumerator } from '../../../runtime/connectors/kafka/kafka-enumerator.ts'
import type { OperatorSnapshot } from '../../../runtime/state/snapshot.ts'
import type { SourceDescription, SourceSplit, SplitEnumerator } from '../../../runtime/stream/spi/source.ts'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../support/connector-harness.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { wholeSnapshot } from '../../support/whole-snapshot.ts'

/** One reader and its enumerator, with a real broker: offsets in checkpoints, commits, and partitions that are made while it reads. */
let broker: KafkaBroker
beforeAll(async () => {
  broker = await KafkaBroker.start()
})
afterAll(async () => {
  await broker?.close()
})

function builder(topic: string, at: KafkaBroker = broker): KafkaSourceBuilder<string> {
  return KafkaSource.builder()
    .setBootstrapServers(at.bootstrapServers)
    .setTopics(topic)
    .setGroupId(`group-${topic}`)
    .setStartingOffsets(OffsetsInitializer.latest())
    .setValueFormat('string')
    .setProperty('partition.discovery.interval.ms', 200)
}

interface Checkpoint {
  readonly enumerator: JsonObject
  readonly operator: OperatorSnapshot
}

class Reading {
  readonly harness: ConnectorHarness
  readonly logged: LogEntry[]
  readonly started: Promise<void> | void
  private readonly context: RecordingEnumeratorContext
  private readonly enumerator: SplitEnumerator

  private constructor(source: KafkaSource<string>, restored: Checkpoint | undefined, harness: ConnectorHarness, logged: LogEntry[]) {
    this.harness = harness
    this.logged = logged
    this.context = Object.assign(new RecordingEnumeratorContext(1), {
      log: createLogger(entry => logged.push(entry)),
      assignSplits: (_subtaskIndex: number, splits: readonly SourceSplit[]) => harness.source.addSplits(splits),
    })
    const { options } = source.define(undefined).source as SourceDescription
    this.enumerator = kafkaEnumerator(options, this.context, restored?.enumerator)
    this.enumerator.addReader(0)
    this.started = this.enumerator.start()
  }

  static async begin(source: KafkaSource<string>, restored?: Checkpoint): Promise<Reading> {
    const harness = new ConnectorHarness(operatorOf(source.define(undefined)), { checkpointingEnabled: true })
    if (restored !== undefined) harness.operator.restore?.(restored.operator)
    await harness.open([], true)
    return new Reading(source, restored, harness, [])
  }

  async read(count: number): Promise<unknown[]> {
    await this.harness.run(() => this.harness.rows.length >= count)
    return this.harness.values()
  }

  checkpoint(id: number): Checkpoint {
    const enumerator = JSON.parse(JSON.stringify(this.enumerator.snapshot())) as JsonObject
    return { enumerator, operator: wholeSnapshot(this.harness.operator.snapshot({ checkpointId: id, timestampMs: 0, type: 'checkpoint' })) }
  }

  async end(): Promise<void> {
    expect(this.context.failure).toBeUndefined()
    await this.enumerator.close()
    await this.harness.close()
  }
}

test('partitions that are made while the source reads are read from their beginning, without a restart', async () => {
  await broker.createTopic('growing', 1)
  await broker.produce('growing', 0, ['before the start'])
  const reading = await Reading.begin(builder('growing').build())
  await reading.started
  await broker.produce('growing', 0, ['a'])
  expect(await reading.read(1)).toEqual(['a'])
  await broker.createPartitions('growing', 3)
  await broker.produce('growing', 2, ['b', 'c'])
  await broker.produce('growing', 1, ['d'])
  expect((await reading.read(4)).sort()).toEqual(['a', 'b', 'c', 'd'])
  expect(reading.logged.flatMap(({ message }) => (message.startsWith('Discovered new') ? message : [])).join()).toMatch(/growing-1.*growing-2/)
  await reading.end()
})

test('offsets of a complete checkpoint are committed under the group; a restore goes on where the checkpoint stood, whatever is committed', async () => {
  await broker.createTopic('orders', 2)
  const source = builder('orders').build()
  const first = await Reading.begin(source)
  await first.started
  await broker.produce('orders', 0, ['a0', 'a1'])
  await broker.produce('orders', 1, ['b0'])
  await first.read(3)
  const checkpoint = first.checkpoint(1)
  await broker.produce('orders', 0, ['a2'])
  await first.read(4)
  first.harness.operator.notifyCheckpointComplete?.(1)
  await expect.poll(() => broker.committedOffsets('group-orders', 'orders'), { timeout: 20_000 }).toEqual({ 0: 2, 1: 1 })
  first.checkpoint(2)
  first.harness.operator.notifyCheckpointComplete?.(2)
  // Its port closes behind the commit, which is made all the same.
  await first.end()
  expect(await broker.committedOffsets('group-orders', 'orders')).toEqual({ 0: 3, 1: 1 })
  await broker.createPartitions('orders', 3)
  await broker.produce('orders', 2, ['c0'])
  const second = await Reading.begin(source, checkpoint)
  expect((await second.read(2)).sort()).toEqual(['a2', 'c0'])
  await second.end()
})

test('a broker that goes while the source reads is waited for and found again, and with it what is new; each discovery that fails is shown', async () => {
  const own = await KafkaBroker.start()
  try {
    await own.createTopic('words', 1)
    const source = builder('words', own).setProperty('default.api.timeout.ms', 2_000).build()
    const first = await Reading.begin(source)
    await first.started
    await own.produce('words', 0, ['a'])
    await first.read(1)
    await own.stop()
    const failed = () => first.logged.filter(({ message }) => message === 'kafka partition discovery failed, trying again')
    await expect.poll(() => failed().length, { timeout: 30_000 }).toBeGreaterThan(0)
    expect(failed()[0]?.fields['reason']).toMatch(/within \d+ ms \(default\.api\.timeout\.ms\)/)
    await own.start()
    await own.createPartitions('words', 2)
    await own.produce('words', 1, ['b'])
    await own.produce('words', 0, ['c'])
    expect((await first.read(3)).sort()).toEqual(['a', 'b', 'c'])
    await first.end()
  } finally {
    await own.close()
  }
})
