import { expect, test } from 'vitest'
import { KafkaSource, OffsetsInitializer, StreamExecutionEnvironment, WatermarkStrategy } from '../../bin/api.ts'
import { optionTables } from '../../bin/option-tables.ts'
import type { JsonObject } from '../../runtime/common/json.ts'
import type { OperatorDefinition } from '../../runtime/graph/stream-graph.ts'
import { sqlProgram } from '../../runtime/table/index.ts'
import { kafkaTableSink } from '../../runtime/table/runtime/kafka-table-sink.ts'
import { parseManifest } from './manifest.ts'

/** `spec.kafka` from the manifest down to what the sources and sinks of the job work with. */
const kafka = 'kafka: { partitionDiscoveryInterval: 1 min, defaultApiTimeout: 90 s, requestTimeout: 20 s, maxBlock: 5 s }'
const manifest = (fields: string) =>
  parseManifest(
    `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata: { name: words }\nspec:\n  job: { module: job.ts }\n${fields}`,
    'job.yaml',
    optionTables,
  )

function configurationOf(fields: string): Readonly<Record<string, string>> {
  const parsed = manifest(fields)
  if (parsed.kind !== 'valid') throw new Error(parsed.problems.join('\n'))
  return parsed.job.spec.flinkConfiguration
}

const wanted = { discoveryIntervalMs: 60_000, defaultApiTimeoutMs: 90_000, requestTimeoutMs: 20_000 }
const byDefault = { discoveryIntervalMs: 300_000, defaultApiTimeoutMs: 60_000, requestTimeoutMs: 30_000 }

function enumeratorSettings(definition: OperatorDefinition | undefined) {
  return (definition?.source?.options as JsonObject | undefined)?.['settings']
}

function sourceSettings(configuration: Readonly<Record<string, string>>, properties: Readonly<Record<string, string>> = {}) {
  const env = StreamExecutionEnvironment.createForProgram({ configuration })
  const source = KafkaSource.builder()
    .setBootstrapServers('a:9092')
    .setTopics('words')
    .setStartingOffsets(OffsetsInitializer.earliest())
    .setValueFormat('string')
    .setProperties(properties)
    .build()
  env.fromSource(source, WatermarkStrategy.noWatermarks(), 'words').print()
  const { definition } = env.getStreamGraph().nodes[0] ?? {}
  return [definition?.options['settings'], enumeratorSettings(definition)]
}

test('a source of a program: enumerator and readers; what it sets itself wins', () => {
  const configuration = configurationOf(`  ${kafka}\n`)
  expect(sourceSettings(configuration)).toMatchObject([wanted, wanted])
  const own = { ...wanted, requestTimeoutMs: 7_000 }
  expect(sourceSettings(configuration, { 'request.timeout.ms': '7000' })).toMatchObject([own, own])
  expect(sourceSettings(configurationOf(''))).toMatchObject([byDefault, byDefault])
})

test('tables that are read and written', () => {
  const table = (name: string, more: string) => `CREATE TABLE ${name} (a INT) WITH ('connector' = 'kafka', 'topic' = '${name}', 'format' = 'json',
    'properties.bootstrap.servers' = 'a:9092'${more});\n`
  const script = (more: string) =>
    `${table('t', `, 'scan.startup.mode' = 'earliest-offset'${more}`)}${table('u', more)}INSERT INTO u SELECT a FROM t;`
  const settings = (more: string) => {
    const env = StreamExecutionEnvironment.createForProgram({ configuration: configurationOf(`  ${kafka}\n`) })
    sqlProgram(script(more), 'test.sql')(env, [])
    const { nodes } = env.getStreamGraph()
    const sink = nodes.at(-1)?.definition?.options as unknown as {
      readonly options: JsonObject
      readonly schema: Parameters<typeof kafkaTableSink>[1]
    }
    const { transport } = kafkaTableSink(sink.options, sink.schema)
    return [enumeratorSettings(nodes[0]?.definition), transport.settings, transport.producer]
  }
  expect(settings('')).toMatchObject([wanted, { requestTimeoutMs: 20_000 }, { blockMaxMs: 5_000 }])
  expect(settings(", 'properties.request.timeout.ms' = '7000'")).toMatchObject([
    { ...wanted, requestTimeoutMs: 7_000 },
    { requestTimeoutMs: 7_000 },
    { blockMaxMs: 5_000 },
  ])
})

test('another value of the same under flinkConfiguration is refused, the same one is not', () => {
  const both = (value: string) => manifest(`  ${kafka}\n  flinkConfiguration: { kafka.request-timeout: ${value} }\n`)
  expect(both('20 s').kind).toBe('valid')
  expect(both('21 s')).toMatchObject({
    problems: [
      expect.stringContaining(
        'spec.flinkConfiguration["kafka.request-timeout"]: is "21 s", but spec.kafka.requestTimeout is "20 s": remove one of them',
      ),
    ],
  })
})
