import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../bin/api.ts'
import filterFunction from '../examples/filter-function.ts'
import revenue from '../examples/revenue.ts'
import rollingAggregations from '../examples/rolling-aggregations.ts'
import selfCleaningAlert, { SelfCleaningTemperatureAlert } from '../examples/self-cleaning-alert.ts'
import sensorSource from '../examples/sensor-source.ts'
import sideOutput from '../examples/side-output.ts'
import splitConnectUnion from '../examples/split-connect-union.ts'
import wordCount from '../examples/word-count.ts'
import { buildJobGraph } from '../runtime/graph/job-graph-builder.ts'
import { Types } from '../runtime/serde/types.ts'
import { KeyedProcessOperator } from '../runtime/stream/operators/keyed-process-operator.ts'
import { finishInProcess } from './support/in-process-job.ts'
import { StreamOperatorHarness } from './support/stream-operator-harness.ts'

/** Lines of a run, those of one `print(id)` in their order. Expected values: seed-details.md, the worked examples XE1 to XE6 and XE23. */
async function linesOf(program: Parameters<typeof finishInProcess>[0], options: Parameters<typeof finishInProcess>[1] = {}) {
  const { stdout } = await finishInProcess(program, options)
  const lines = stdout.trimEnd().split('\n')
  return { lines, of: (id: string) => lines.filter(line => line.startsWith(`${id}> `)).map(line => line.slice(id.length + 2)) }
}

test('word count in batch mode prints each final count once', async () => {
  const { lines } = await linesOf(env => wordCount(env, []), { batch: true })
  expect(lines.sort()).toEqual(['(flink,1)', '(hello,3)', '(scala,1)', '(world,1)'])
})

test('word count in streaming mode prints a count each time it grows', async () => {
  const { lines } = await linesOf(env => wordCount(env, []))
  expect(lines.filter(line => line.startsWith('(hello'))).toEqual(['(hello,1)', '(hello,2)', '(hello,3)'])
  expect(lines).toHaveLength(6)
})

describe('rolling aggregations', () => {
  test('min and max keep the other fields of the first row, minBy and maxBy the whole row, the first one on ties', async () => {
    const { of } = await linesOf(rollingAggregations)
    expect(of('min')).toEqual(['(s1,1,35.8)', '(s1,1,32.0)', '(s1,1,32.0)', '(s1,1,32.0)'])
    expect(of('max')).toEqual(['(s1,1,35.8)', '(s1,1,35.8)', '(s1,1,36.2)', '(s1,1,36.2)'])
    expect(of('minBy')).toEqual(['(s1,1,35.8)', '(s1,2,32.0)', '(s1,2,32.0)', '(s1,2,32.0)'])
    expect(of('maxBy')).toEqual(['(s1,1,35.8)', '(s1,1,35.8)', '(s1,3,36.2)', '(s1,3,36.2)'])
    expect(of('reduce')).toEqual(['(s1,1,35.8)', '(s1,2,32.0)', '(s1,3,32.0)', '(s1,4,32.0)'])
  })
})

test('split, select, connect and union', async () => {
  const { of } = await linesOf(splitConnectUnion)
  expect(of('good')).toEqual(['(a,80)'])
  expect(of('bad')).toEqual(['(b,59)', '(c,60)'])
  expect(of('all').sort()).toEqual(['(a,80)', '(b,59)', '(c,60)'])
  expect(of('connected').sort()).toEqual(['(a,成绩异常优秀,奖励大红花一枚)', '(b,成绩异常糟糕,没有任何奖励)', '(c,成绩异常糟糕,没有任何奖励)'])
  expect(of('union').sort()).toEqual(['(a,80)', '(b,59)', '(c,60)'])
})

describe('self-cleaning alerts', () => {
  test('a jump is one against the last reading, unless that is an hour old', async () => {
    const { of } = await linesOf(selfCleaningAlert, { parallelism: 1 })
    expect(of('alert')).toEqual(['(s1,24,2.5)', '(s2,22,-3)'])
  })

  test('nothing is kept of a sensor that has said nothing for an hour, in a checkpoint either', async () => {
    const key = { select: (reading: unknown) => (reading as { sensor: string }).sensor, type: Types.STRING }
    const harness = await new StreamOperatorHarness(new KeyedProcessOperator(key, new SelfCleaningTemperatureAlert(1.7) as never)).open()
    for (const at of [0, 1_000, 2_000]) harness.row({ sensor: 's1', at, celsius: 20 }, at)
    // A key and its only timer.
    expect(harness.operator.stateEntries?.()).toBe(2)
    harness.watermark(2_000 + 3_600_000 - 1)
    expect(harness.operator.stateEntries?.()).toBe(2)
    harness.watermark(2_000 + 3_600_000)
    expect(harness.operator.stateEntries?.()).toBe(0)
    expect(harness.snapshot().keyed?.keyGroups.size).toBe(0)
  })
})

test('a function object and a lambda filter alike', async () => {
  const { of } = await linesOf(filterFunction)
  expect(of('object')).toEqual(['apache flink', 'flink sql'])
  expect(of('lambda')).toEqual(['apache flink', 'flink sql'])
})

test('side output beside the main one', async () => {
  const { of } = await linesOf(sideOutput)
  expect(of('main')).toEqual(['1', '2'])
  expect(of('side')).toEqual(['side-output: 1', 'side-output: 2'])
})

test('ten sensors in rounds, each with one row a round', async () => {
  const { lines } = await linesOf(env => sensorSource(env, ['--rounds', '2']))
  expect(lines).toHaveLength(20)
  for (let i = 1; i <= 10; i++) expect(lines.filter(line => new RegExp(`sensor_${i}\\b`).test(line))).toHaveLength(2)
})

test('tumbling windows of event time hold each minute once', async () => {
  const { of } = await linesOf(env => revenue(env, ['--orders', '120']))
  const expected = new Map<string, number>()
  for (let i = 0; i < 120; i++) {
    if (i % 7 === 0) continue
    const key = `${Math.floor((1_700_000_040_000 + i * 1_000) / 60_000)} shop ${i % 3}`
    expected.set(key, (expected.get(key) ?? 0) + (i % 10) + 0.5)
  }
  expect(of('revenue')).toHaveLength(expected.size)
  const amounts = of('revenue').map(line => Number(/\d+\.\d+/.exec(line)?.[0]))
  expect(amounts.sort((a, b) => a - b)).toEqual([...expected.values()].sort((a, b) => a - b))
})

test('every example builds a graph', async () => {
  const argumentsOf: Record<string, string[]> = {
    'kafka-revenue.ts': ['--brokers', 'localhost:9092'],
    'socket-word-count.ts': ['--host', 'localhost', '--port', '7777'],
  }
  const folder = new URL('../examples/', import.meta.url)
  const modules = readdirSync(folder).filter(name => name.endsWith('.ts'))
  expect(modules.length).toBeGreaterThan(5)
  for (const name of modules) {
    const { default: program } = (await import(new URL(name, folder).href)) as {
      default: (env: StreamExecutionEnvironment, args: string[]) => unknown
    }
    const env = StreamExecutionEnvironment.createForProgram({})
    await program(env, argumentsOf[name] ?? [])
    expect(buildJobGraph(env.getStreamGraph()).vertices.length, name).toBeGreaterThan(0)
  }
})
