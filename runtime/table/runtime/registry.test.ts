import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { concreteClasses } from '../../../test/support/classes.ts'
import type { ConnectorHarness } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { readRestoring } from '../../../test/support/restored-source.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { parallelismPlans, runFileSink, runSink, type SourceOrSinkCase } from '../../../test/support/source-and-sink-cases.ts'
import { type OperatorCase, type RecordedRow, runCase, runModes, type ScriptStep } from '../../../test/support/stream-operator-harness.ts'
import { kafkaEnumerator } from '../../connectors/kafka/kafka-enumerator.ts'
import { ColumnsKeyHasher } from '../../network/columns-hash.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { StreamOperator } from '../../stream/operator.ts'
import { aggregateFunction } from '../functions/aggregates.ts'
import { parseValueType, typeText, withNullable } from '../functions/value-type.ts'
import type { Expression } from '../plan/expression.ts'
import type { AggregateCall, ScanNode, WindowSpec } from '../plan/physical.ts'
import { accumulatorTypes } from './accumulators.ts'
import { CalcOperator, TableWatermarkOperator } from './calc-operator.ts'
import { FileTableSinkOperator } from './file-table-sink.ts'
import { KafkaTableSinkOperator } from './kafka-table-sink.ts'
import { LocalWindowAggregateOperator } from './local-window-aggregate-operator.ts'
import { RowCalcOperator } from './rows/row-calc-operator.ts'
import { RowWatermarkOperator } from './rows/row-watermark-operator.ts'
import { RowLocalWindowAggregateOperator, RowWindowAggregateOperator } from './rows/row-window-aggregate-operator.ts'
import { scanDefinition } from './scan-definition.ts'
import { BlackholeOperator, TableSinkOperator } from './sink-operators.ts'
import { SqlWatermarkOperator } from './watermark-operator.ts'
import { WindowAggregateOperator } from './window-aggregate-operator.ts'

/** The operators, sources and sinks of SQL, restored after every row: what runtime/stream/operators/registry.test.ts is to those of the DataStream API. */
const settings = { timeZone: 'UTC', codegen: true, columnar: true }

const types = ['STRING', 'INT', 'TIMESTAMP(3)']
const layouts = types.map(columnLayout)
const column = (index: number): Expression => ({ kind: 'column', index, type: types[index]! })
const aggregate = (name: string, argument: number, type: string): AggregateCall => ({
  name,
  argument,
  distinct: false,
  filter: -1,
  inputType: argument < 0 ? 'INT' : types[argument]!,
  type,
})
const aggregates = [aggregate('COUNT', -1, 'BIGINT NOT NULL'), aggregate('SUM', 1, 'INT')]
const window: WindowSpec = { kind: 'HOP', size: 4_000, slide: 2_000, offset: 0 }
const node = { keys: [0], aggregates, rowtime: 2, merges: false, windowColumns: ['window_start', 'window_end'] as const, window }
const resultLayouts = [
  'STRING',
  ...aggregates.map(({ name, inputType }) => typeText(withNullable(aggregateFunction(name, parseValueType(inputType)).type, true))),
  'TIMESTAMP(3)',
  'TIMESTAMP(3)',
].map(columnLayout)
const partialLayouts = ['STRING', ...aggregates.flatMap(accumulatorTypes), 'TIMESTAMP(3)'].map(columnLayout)

const hasher = new ColumnsKeyHasher(layouts, [0])
const keyGroup = (row: unknown, maxParallelism: number) => hasher.keyGroupOfRow(row as readonly unknown[], maxParallelism)

const script: readonly ScriptStep[] = Array.from({ length: 40 }, (_, i): ScriptStep[] => {
  const row: ScriptStep = { kind: 'row', value: [i % 7 === 0 ? null : `k${(i * 3) % 5}`, (i * 37) % 11, i * 500] }
  return i % 4 === 3 ? [row, { kind: 'watermark', timestamp: i * 500 - 1 }] : [row]
}).flat()

/** Counts and sums of a key and slice, which may come in several parts. */
function mergePartials(rows: readonly RecordedRow[]): readonly RecordedRow[] {
  const merged = new Map<string, RecordedRow>()
  for (const row of rows) {
    const [key, count, sum, ...rest] = row.value as [unknown, bigint, number, ...unknown[]]
    const id = JSON.stringify([key, rest.at(-1)])
    const [, countBefore, sumBefore] = (merged.get(id)?.value ?? [key, 0n, 0]) as [unknown, bigint, number]
    merged.set(id, { ...row, value: [key, countBefore + count, sumBefore + sum, rest.at(-1)] })
  }
  return [...merged.values()]
}

const operators: readonly OperatorCase[] = [
  {
    covers: 'CalcOperator',
    title: 'projection',
    create: () => new CalcOperator(types, null, [column(1), column(0)], settings),
    inputColumns: layouts,
    outputColumns: ['INT', 'STRING'].map(columnLayout),
    script,
  },
  {
    covers: 'RowCalcOperator',
    title: 'projection, a row at a time',
    create: () => new RowCalcOperator(types, null, [column(1), column(0)], settings),
    script,
  },
  {
    covers: 'TableWatermarkOperator',
    title: 'WATERMARK FOR',
    create: () => new TableWatermarkOperator(2, types, column(2), settings),
    inputColumns: layouts,
    outputColumns: layouts,
    script,
  },
  {
    covers: 'SqlWatermarkOperator',
    title: 'WATERMARK FOR of what a function says',
    create: () => new SqlWatermarkOperator(2, frame => frame.columns[2] as never),
    inputColumns: layouts,
    outputColumns: layouts,
    script,
  },
  {
    covers: 'RowWatermarkOperator',
    title: 'WATERMARK FOR, a row at a time',
    create: () => new RowWatermarkOperator(2, types, column(2), settings),
    script,
  },
  {
    covers: 'LocalWindowAggregateOperator',
    title: 'windows before the exchange: nothing is kept over a barrier',
    create: () => new LocalWindowAggregateOperator(node, types, true),
    inputColumns: layouts,
    outputColumns: partialLayouts,
    script,
    merge: mergePartials,
  },
  {
    covers: 'RowLocalWindowAggregateOperator',
    title: 'windows before the exchange, a row at a time',
    create: () => new RowLocalWindowAggregateOperator(node),
    script,
  },
  ...[true, false].map(
    (generated): OperatorCase => ({
      covers: 'WindowAggregateOperator',
      title: generated ? 'windows' : 'windows, interpreted',
      create: () => new WindowAggregateOperator(node, types, generated),
      inputColumns: layouts,
      outputColumns: resultLayouts,
      keyGroup,
      script,
    }),
  ),
  {
    covers: 'RowWindowAggregateOperator',
    title: 'windows, a row at a time',
    create: () => new RowWindowAggregateOperator(node, types),
    keyGroup,
    script,
  },
]

/** The text of each row of one column. */
const textsOf = (harness: ConnectorHarness) => harness.frames.flatMap(frame => rowsOf(frame, [columnLayout('INT')]).map(String))
const numbers = Array.from({ length: 11 }, (_, i) => `${i}`)

const scan = (connector: string, options: Readonly<Record<string, string>>): ScanNode => ({
  kind: 'scan',
  table: 't',
  connector,
  options,
  physical: [{ name: 'n', type: 'INT' }],
  paths: [['n']],
  projected: [0],
  schema: [{ name: 'n', type: 'INT' }],
})

const folder = mkdtempSync(join(tmpdir(), 'millrace-registry-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface ScanCase {
  readonly title: string
  readonly covers: readonly string[]
  run(parallelisms: readonly number[]): Promise<readonly string[]>
}

const scans: readonly ScanCase[] = [
  {
    title: 'VALUES',
    covers: ['TableSourceOperator', 'ValuesReader'],
    run: plan => readRestoring(scanDefinition({ ...scan('values', {}), rows: numbers.map(n => [Number(n)]) }, settings), plan, { textsOf }),
  },
  {
    title: 'datagen',
    covers: ['TableSourceOperator', 'DatagenReader'],
    run: plan => {
      const options = { 'rows-per-second': '1', 'fields.n.kind': 'sequence', 'fields.n.start': '0', 'fields.n.end': '10' }
      // Of each reader the first row comes at once.
      return readRestoring(scanDefinition(scan('datagen', options), settings), plan, { textsOf, clock: new SimulatedClock() })
    },
  },
  {
    title: 'filesystem',
    covers: ['TableSourceOperator', 'FileTableReader'],
    run: plan => {
      for (const [i, line] of numbers.entries()) writeFileSync(join(folder, `${i}.csv`), `${line}\n`)
      return readRestoring(scanDefinition(scan('filesystem', { path: folder, format: 'csv' }), settings), plan, { textsOf })
    },
  },
  {
    title: 'kafka',
    covers: ['TableSourceOperator', 'KafkaTableReader'],
    run: plan => {
      const kafka = new FakeKafka()
      kafka.createTopic('t', 3)
      for (const [i, value] of numbers.entries()) kafka.produce('t', i % 3, [value])
      const options = {
        topic: 't',
        'properties.bootstrap.servers': 'a:1',
        'properties.group.id': 'g',
        format: 'csv',
        'scan.startup.mode': 'earliest-offset',
        'scan.bounded.mode': 'latest-offset',
      }
      return readRestoring(scanDefinition(scan('kafka', options), settings), plan, {
        textsOf,
        registry: kafka.registry(),
        clock: new SimulatedClock(),
        checkpointingEnabled: true,
        enumerator: (given, context, restored) => kafkaEnumerator(given, context, restored, () => kafka.client()),
      })
    },
  },
]

const table = { table: 't', schema: [{ name: 's', type: 'STRING' }] }
const rows = Array.from({ length: 9 }, (_, row) => `row ${row}`)
const give = (operator: StreamOperator, row: number) => operator.processFrame?.(frameOf([[`row ${row}`]], [columnLayout('STRING')]))
const firstText = (frame: Parameters<typeof rowsOf>[0], row: number) => String(rowsOf(frame, [columnLayout('STRING')])[row])

const sinks: readonly (SourceOrSinkCase & { readonly expected: readonly string[] })[] = [
  {
    covers: 'TableSinkOperator',
    title: 'print',
    state: 'none: the batch that has begun is handed over before the barrier',
    expected: rows,
    run: plan =>
      runSink(
        plan,
        () =>
          new TableSinkOperator({ type: 'print', options: {} }, table, (frame, from, to, writer) => {
            for (let row = from; row < to; row++) writer.raw(Buffer.from(`${firstText(frame, row)}\n`))
          }),
        harnesses => harnesses.flatMap(({ stdout }) => stdout.split('\n').filter(line => line !== '')),
        { give },
      ),
  },
  {
    covers: 'FileTableSinkOperator',
    title: 'filesystem',
    state: 'as the transactional file sink',
    expected: rows.map(row => `{"s":"${row}"}`),
    run: plan => runFileSink(plan, () => new FileTableSinkOperator({ ...table, options: { path: '/out', format: 'json' } }, settings), give),
  },
  {
    covers: 'KafkaTableSinkOperator',
    title: 'kafka',
    state: 'none: the barrier waits until the brokers have acknowledged every row before it',
    expected: rows.map(row => `{"s":"${row}"}`),
    run: plan => {
      const kafka = new FakeKafka()
      kafka.createTopic('t', 1)
      const options = { topic: 't', 'properties.bootstrap.servers': 'a:1', format: 'json' }
      return runSink(
        plan,
        () => new KafkaTableSinkOperator({ ...table, options }, settings),
        () => kafka.values('t', 0).map(String),
        { give, registry: kafka.registry(), clock: new SimulatedClock(), checkpointingEnabled: true },
      )
    },
  },
  {
    covers: 'BlackholeOperator',
    title: 'blackhole',
    state: 'none',
    expected: [],
    run: plan =>
      runSink(
        plan,
        () => new BlackholeOperator(table),
        harnesses => harnesses.flatMap(harness => harness.values().map(String)),
        { give },
      ),
  },
]

describe('every operator of SQL gives the same rows', () => {
  for (const operator of operators)
    for (const mode of runModes.slice(1))
      test(`${operator.title}: ${mode}`, async () => {
        const expected = await runCase(operator, 'at once')
        expect(expected.size).toBeGreaterThan(0)
        for (let seed = 0; seed < (mode === 'restored from increments of which some are lost' ? 10 : 1); seed++)
          expect(await runCase(operator, mode, seed)).toEqual(expected)
      })
})

describe('every source of a table gives, and every sink takes, each row once', () => {
  for (const [plan, parallelisms] of Object.entries(parallelismPlans)) {
    for (const { title, run } of scans)
      test(`${title}: ${plan}`, async () => {
        expect(await run(parallelisms)).toEqual([...numbers].sort())
      })
    for (const { title, state, expected, run } of sinks)
      test(`${title} (state: ${state}): ${plan}`, async () => {
        expect(await run(parallelisms)).toEqual(expected)
      })
  }
})

test('no operator and no reader of SQL is missing here', () => {
  const classes = [...concreteClasses('StreamOperator', 'runtime/table'), ...concreteClasses('SourceReader', 'runtime/table')]
  expect(classes.length).toBeGreaterThan(14)
  const covered = [...operators.map(({ covers }) => covers), ...sinks.map(({ covers }) => covers), ...scans.flatMap(({ covers }) => covers)]
  expect([...new Set(covered)].sort()).toEqual(classes.sort())
})
