import { expect } from 'vitest'
import type { KafkaBroker } from './kafka-broker.ts'

/**
 * A topic that gets numbers for as long as a test wants, and a job that counts them by key and writes each count. Exactly once is seen from what it has written alone: of a key that n numbers have
 * come with, the counts are 1 to n, each once.
 */
export const KEYS = 8
const PARTITIONS = 4
const BATCH = 20
const PAUSE_MS = 100

export class NumbersInKafka {
  readonly topic: string
  private readonly broker: KafkaBroker
  private count = 0
  private isStopping = false
  private producing: Promise<void> = Promise.resolve()

  private constructor(broker: KafkaBroker, topic: string) {
    this.broker = broker
    this.topic = topic
  }

  static async start(broker: KafkaBroker, topic: string): Promise<NumbersInKafka> {
    await broker.createTopic(topic, PARTITIONS)
    const numbers = new NumbersInKafka(broker, topic)
    numbers.producing = numbers.produce()
    return numbers
  }

  /** How many came in all. */
  async stop(): Promise<number> {
    this.isStopping = true
    await this.producing
    return this.count
  }

  private async produce(): Promise<void> {
    for (let partition = 0; !this.isStopping; partition = (partition + 1) % PARTITIONS) {
      const values = Array.from({ length: BATCH }, (_, i) => JSON.stringify({ n: this.count + i }))
      await this.broker.produce(this.topic, partition, values)
      this.count += BATCH
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  }
}

/** Writes `<version>:<key>:<count>`. */
export function countingScript(version: string, brokers: string, topic: string, out: string): string {
  return `import { FileSink, KafkaSource, OffsetsInitializer, OnCheckpointRollingPolicy, SimpleStringEncoder, Types, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Count {
  count = new ValueStateDescriptor('count', Types.INT)
  open(context) { this.state = context.getState(this.count) }
  processElement({ n }, _context, out) {
    const count = (this.state.value() ?? 0) + 1
    this.state.update(count)
    out.collect(\`${version}:\${n % ${KEYS}}:\${count}\`)
  }
}
export default env => {
  const source = KafkaSource.builder().setBootstrapServers('${brokers}').setTopics('${topic}').setStartingOffsets(OffsetsInitializer.earliest())
    .setValueFormat('json', Types.row({ n: Types.SAFE_LONG })).build()
  const sink = FileSink.forRowFormat('${out}', new SimpleStringEncoder()).withRollingPolicy(OnCheckpointRollingPolicy.build()).build()
  env.fromSource(source, WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers').keyBy(row => row.n % ${KEYS}).process(new Count()).uid('count').sinkTo(sink).uid('files')
}
`
}

/** Of `<version>:<key>:<count>`: how many by version. Rejects what was counted twice or not at all, of all numbers or of those that were counted so far. */
export function countedOnce(lines: readonly string[], total?: number): Readonly<Record<string, number>> {
  const counts = new Map<string, number[]>()
  const versions: Record<string, number> = {}
  for (const line of lines) {
    const [version = '', key = '', count = ''] = line.split(':')
    counts.set(key, [...(counts.get(key) ?? []), Number(count)])
    versions[version] = (versions[version] ?? 0) + 1
  }
  for (let key = 0; key < KEYS; key++) {
    const sorted = (counts.get(String(key)) ?? []).sort((a, b) => a - b)
    const ofKey = total === undefined ? sorted.length : Math.floor((total - key + KEYS - 1) / KEYS)
    expect(sorted, `counts of key ${key}`).toEqual(Array.from({ length: ofKey }, (_, i) => i + 1))
  }
  return versions
}
