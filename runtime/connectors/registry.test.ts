import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { concreteClasses } from '../../test/support/classes.ts'
import type { ConnectorHarness } from '../../test/support/connector-harness.ts'
import { FakeKafka } from '../../test/support/fake-kafka.ts'
import { readRestoring } from '../../test/support/restored-source.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { parallelismPlans, sourceAndSinkCases } from '../../test/support/source-and-sink-cases.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { builtInConnectorsOfEngine } from './built-in.ts'
import { kafkaEnumerator } from './kafka/kafka-enumerator.ts'
import { KafkaSource } from './kafka/kafka-source.ts'
import { OffsetsInitializer } from './kafka/offsets-initializer.ts'
import { connectorRegistry, enumeratorRegistry } from './registry.ts'

/**
 * Every part of every connector, restored after every row: enumerators, readers, fetchers and transports. Readers and sinks of tables are in
 * runtime/table/runtime/registry.test.ts.
 */
const folder = mkdtempSync(join(tmpdir(), 'millrace-registry-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const textsOf = (harness: ConnectorHarness) => harness.values().map(String)
const numbers = Array.from({ length: 11 }, (_, i) => `${i}`)

interface ConnectorCase {
  readonly title: string
  readonly covers: readonly string[]
  readonly expected: readonly string[]
  run(parallelisms: readonly number[]): Promise<readonly string[]>
}

const cases: readonly ConnectorCase[] = [
  {
    title: 'collection',
    covers: ['enumerator static', 'IndexReader'],
    expected: numbers,
    run: plan => readRestoring(builtInConnectorsOfEngine.collection(numbers, Types.STRING as TypeInformation, undefined), plan, { textsOf }),
  },
  {
    title: 'sequence',
    covers: ['enumerator sequence', 'IndexReader'],
    expected: numbers,
    run: plan => readRestoring(builtInConnectorsOfEngine.sequence('0', '10', Types.LONG as TypeInformation, undefined), plan, { textsOf }),
  },
  {
    title: 'data generator',
    covers: ['enumerator strided', 'IndexReader'],
    expected: numbers,
    run: plan => {
      const generator = builtInConnectorsOfEngine.datagen(index => index, { count: 11, rowsPerSecond: undefined }, Types.GENERIC, undefined)
      return readRestoring(generator, plan, { textsOf })
    },
  },
  {
    title: 'folder of text files',
    covers: ['enumerator file', 'fetcher file', 'LineReader'],
    expected: numbers,
    run: plan => {
      for (const [i, line] of numbers.entries()) writeFileSync(join(folder, `${i % 3}.txt`), `${line}\n`, { flag: i < 3 ? 'w' : 'a' })
      return readRestoring(builtInConnectorsOfEngine.textFile(folder, { loop: false, linesPerSecond: undefined }, undefined), plan, { textsOf })
    },
  },
  {
    // What the server has sent it never sends again, in Flink neither: here it sends a line for each connection.
    title: 'socket',
    covers: ['enumerator static', 'fetcher socket', 'LineReader'],
    expected: numbers,
    run: async plan => {
      const left = [...numbers]
      const server = createServer(socket => {
        socket.on('error', () => {})
        const line = left.shift()
        if (line === undefined) socket.end()
        else socket.write(`${line}\n`)
      })
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const socket = builtInConnectorsOfEngine.socket({ host: '127.0.0.1', port, delimiter: '\n', retriesMax: 0 }, undefined)
      try {
        return await readRestoring(socket, plan, { textsOf })
      } finally {
        server.close()
      }
    },
  },
  {
    title: 'topic of Kafka',
    covers: ['enumerator kafka', 'fetcher kafka', 'KafkaReader'],
    expected: numbers,
    run: plan => {
      const kafka = new FakeKafka()
      kafka.createTopic('t', 3)
      for (const [i, value] of numbers.entries()) kafka.produce('t', i % 3, [value])
      const source = KafkaSource.builder()
        .setBootstrapServers('a:1')
        .setTopics('t')
        .setGroupId('g')
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setValueFormat('string')
        .build()
      return readRestoring(source.define(undefined), plan, {
        textsOf,
        registry: kafka.registry(),
        clock: new SimulatedClock(),
        checkpointingEnabled: true,
        enumerator: (options, context, restored) => kafkaEnumerator(options, context, restored, () => kafka.client()),
      })
    },
  },
]

/** Async halves of sinks that are restored elsewhere, or have nothing to be restored. */
const transports: Readonly<Record<string, string>> = {
  print: 'its lines are out before the barrier: TransportSinkOperator in runtime/stream/operators/registry.test.ts',
  'file-sink': 'FileSinkOperator in runtime/stream/operators/registry.test.ts',
  kafka: 'KafkaTableSinkOperator in runtime/table/runtime/registry.test.ts',
  file: 'writeAsText takes no part in checkpoints, as in Flink: a restart begins the file anew',
}

describe('every source gives each row once', () => {
  for (const { title, run, expected } of cases)
    for (const [plan, parallelisms] of Object.entries(parallelismPlans))
      test(`${title}: ${plan}`, async () => {
        expect([...(await run(parallelisms))].sort()).toEqual([...expected].sort())
      })
})

test('no part of a connector is missing here', () => {
  const ofTables = concreteClasses('SourceReader', 'runtime/table')
  const readers = concreteClasses('SourceReader').filter(name => !ofTables.includes(name))
  const { fetchers, sinks } = connectorRegistry
  expect(readers.length).toBeGreaterThan(2)
  expect([...new Set(cases.flatMap(({ covers }) => covers))].sort()).toEqual(
    [
      ...readers,
      ...Object.keys(fetchers).map(name => `fetcher ${name}`),
      ...Object.keys(enumeratorRegistry).map(name => `enumerator ${name}`),
    ].sort(),
  )
  expect(Object.keys(transports).sort()).toEqual(Object.keys(sinks).sort())
  expect(sourceAndSinkCases.map(({ covers }) => covers)).toEqual(expect.arrayContaining(['TransportSinkOperator', 'FileSinkOperator']))
})
