import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { oracle, startCluster } from '../support/cluster.ts'
import { KafkaBroker } from '../support/kafka-broker.ts'

/** Word count over the lines of the licence texts in a topic of 4 partitions that was written before the start. */
const licences = '/usr/share/common-licenses'
let broker: KafkaBroker
let expected: string[]

beforeAll(async () => {
  let text = ''
  for (const name of (await readdir(licences)).sort()) text += `${await readFile(join(licences, name), 'utf8')}\n`
  const counted = await oracle("LC_ALL=C tr -s '[:space:]' '\\n' | grep -v '^$' | LC_ALL=C sort | LC_ALL=C uniq -c", text)
  expected = counted
    .trimEnd()
    .split('\n')
    .map(line => line.trim())
    .sort()
  broker = await KafkaBroker.start()
  await broker.createTopic('licences', 4)
  const lines = text.split('\n')
  for (let partition = 0; partition < 4; partition++) {
    await broker.produce(
      'licences',
      partition,
      lines.filter((_, i) => i % 4 === partition),
    )
  }
})

afterAll(async () => {
  await broker?.close()
})

test('word count from a Kafka topic of 4 partitions equals coreutils at parallelism 1, 2 and 4, with two TaskManagers', {
  timeout: 180_000,
}, async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const job = await cluster.folder.write(
    'job.ts',
    `import { type Collector, KafkaSource, OffsetsInitializer, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const source = KafkaSource.builder().setBootstrapServers(args[0]).setTopics('licences')
    .setStartingOffsets(OffsetsInitializer.earliest()).setBounded(OffsetsInitializer.latest()).setValueFormat('string').build()
  env.fromSource(source, WatermarkStrategy.noWatermarks(), 'licences')
    .flatMap((line, out: Collector<[string, number]>) => {
      for (const word of line.split(/\\s+/)) if (word !== '') out.collect([word, 1])
    })
    .returns(Types.tuple(Types.STRING, Types.INT)).keyBy(0).sum(1).print()
}
`,
  )
  const offsets = new Map<string, number>()
  for (const [parallelism, chaining] of [
    [1, true],
    [2, false],
    [4, true],
  ] as const) {
    const result = await cluster.run([
      'run',
      '-p',
      String(parallelism),
      '-D',
      `pipeline.operator-chaining.enabled=${chaining}`,
      job,
      broker.bootstrapServers,
    ])
    expect(result.code, result.stderr).toBe(0)
    const counts = new Map<string, number>()
    for (const [name, text] of await cluster.stdout()) {
      for (const line of text.slice(offsets.get(name) ?? 0).split('\n')) {
        const match = /^(?:\d+> )?\((.*),(\d+)\)$/.exec(line)
        if (match !== null) counts.set(match[1] ?? '', Math.max(counts.get(match[1] ?? '') ?? 0, Number(match[2])))
      }
      offsets.set(name, text.length)
    }
    expect([...counts].map(([word, count]) => `${count} ${word}`).sort(), `parallelism ${parallelism}, chaining ${chaining}`).toEqual(expected)
  }
})
