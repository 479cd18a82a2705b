import { describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import type { SourceDescription } from '../../stream/spi/source.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { KafkaSource } from './kafka-source.ts'
import { OffsetsInitializer } from './offsets-initializer.ts'

/**
 * All three parts over a cluster whose leaders move and whose brokers come and go while it is read, with tasks that suspend anywhere and
 * are restored from their snapshots. One seed decides everything.
 */
const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1)
const BROKERS = 3
const PARTITIONS = 5

function fill(kafka: FakeKafka, random: Random): string[] {
  const written: string[] = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const batchCount = random.nextInt(8)
    for (let batch = 0; batch < batchCount; batch++) {
      const values = Array.from({ length: 1 + random.nextInt(6) }, (_, i) => `${partition}-${batch}-${i}`)
      kafka.produce('t', partition, values)
      written.push(...values)
    }
  }
  return written
}

function disturb(kafka: FakeKafka, random: Random): void {
  const node = 1 + random.nextInt(BROKERS)
  const partition = random.nextInt(PARTITIONS)
  switch (random.nextInt(4)) {
    case 0:
      kafka.setLeader('t', partition, node)
      break
    case 1:
      kafka.setLeader('t', partition, -1)
      break
    case 2:
      kafka.setDown(node, true)
      break
    case 3:
      kafka.setDown(node, false)
  }
}

function calm(kafka: FakeKafka): void {
  for (const { nodeId } of kafka.nodes) kafka.setDown(nodeId, false)
  for (let partition = 0; partition < PARTITIONS; partition++) kafka.setLeader('t', partition, 1 + (partition % BROKERS))
}

const nextTurn = () => new Promise<void>(resolve => setImmediate(resolve))

async function readSubtask(
  kafka: FakeKafka,
  source: KafkaSource<string>,
  context: RecordingEnumeratorContext,
  subtaskIndex: number,
  random: Random,
): Promise<unknown[]> {
  const values: unknown[] = []
  const clock = new SimulatedClock()
  const registry = kafka.registry()
  const definition = source.define(undefined)
  let harness = await new ConnectorHarness(operatorOf(definition), { clock, registry, subtaskIndex, parallelism: context.parallelism }).open(
    context.assigned[subtaskIndex] ?? [],
  )
  for (let turn = 0; turn < 5_000; turn++) {
    if (turn < 60 && random.nextInt(4) === 0) disturb(kafka, random)
    if (turn === 60) calm(kafka)
    harness.rowsPerPoll = 1 + random.nextInt(5)
    const why = harness.poll()
    if (why === 'end') {
      await harness.close()
      return [...values, ...harness.values()]
    }
    if (turn < 60 && random.nextInt(15) === 0) {
      const state = harness.snapshot(turn)
      await harness.close()
      values.push(...harness.values())
      harness = new ConnectorHarness(operatorOf(definition), { clock, registry, subtaskIndex, parallelism: context.parallelism })
      harness.operator.restore?.(state)
      await harness.open()
    }
    await nextTurn()
    clock.advanceBy(random.nextInt(400))
  }
  throw new Error('the source did not end')
}

describe('Kafka source, simulated', () => {
  test.each(SEEDS)('seed %i: every record once, in the order of its partition', async seed => {
    const random = seededRandom(seed)
    const kafka = new FakeKafka(BROKERS)
    kafka.createTopic('t', PARTITIONS)
    const written = fill(kafka, random)
    const source = KafkaSource.builder()
      .setBootstrapServers('a:1')
      .setTopics('t')
      .setStartingOffsets(OffsetsInitializer.earliest())
      .setBounded(OffsetsInitializer.latest())
      .setValueFormat('string')
      .setProperty('max.partition.fetch.bytes', 50 + random.nextInt(400))
      .build()
    const context = new RecordingEnumeratorContext(1 + random.nextInt(3))
    const description = source.define(undefined).source as SourceDescription
    const enumerator = kafkaEnumerator(description.options, context, undefined, () => kafka.client())
    for (let i = 0; i < context.parallelism; i++) enumerator.addReader(i)
    await enumerator.start()
    // Behind the end of a bounded source.
    kafka.produce('t', 0, ['beyond'])
    const read: unknown[] = []
    for (let i = 0; i < context.parallelism; i++) read.push(...(await readSubtask(kafka, source, context, i, random)))
    expect([...read].sort()).toEqual([...written].sort())
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = (value: unknown) => String(value).startsWith(`${partition}-`)
      expect(read.filter(own)).toEqual(written.filter(own))
    }
  })
})
