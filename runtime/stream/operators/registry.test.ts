import { describe, expect, test } from 'vitest'
import { concreteClasses } from '../../../test/support/classes.ts'
import { parallelismPlans, sourceAndSinkCases } from '../../../test/support/source-and-sink-cases.ts'
import { type OperatorCase, runCase, runModes, type ScriptStep, StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { assert } from '../../common/assert.ts'
import { rowLayout } from '../../serde/row-layout.ts'
import { Types } from '../../serde/types.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../../state/descriptors.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from '../../state/state.ts'
import { StateTtlConfig } from '../../state/ttl-config.ts'
import { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows } from '../../time/windows.ts'
import type {
  BroadcastContext,
  BroadcastReadOnlyContext,
  KeyedBroadcastContext,
  KeyedBroadcastOnTimerContext,
  KeyedBroadcastReadOnlyContext,
} from '../broadcast-functions.ts'
import type { FunctionInitializationContext } from '../checkpointed-function.ts'
import type { Collector, KeyedProcessContext, KeySpec, OnTimerContext, ProcessContext, ProcessWindowContext, RuntimeContext } from '../functions.ts'
import { OutputTag } from '../functions.ts'
import type { StreamOperator } from '../operator.ts'
import { aggregationFunction } from './aggregations.ts'
import { BroadcastProcessOperator } from './broadcast-process-operator.ts'
import { CoFlatMapOperator } from './co-flat-map-operator.ts'
import { CoMapOperator } from './co-map-operator.ts'
import { CoProcessOperator } from './co-process-operator.ts'
import { FilterOperator } from './filter-operator.ts'
import { FlatMapOperator } from './flat-map-operator.ts'
import { KeyedAggregateOperator, type KeyedAggregateSpec } from './keyed-aggregate-operator.ts'
import { KeyedProcessOperator } from './keyed-process-operator.ts'
import { MapOperator } from './map-operator.ts'
import { ProcessOperator } from './process-operator.ts'
import { ReduceOperator } from './reduce-operator.ts'
import { SplitOperator } from './split-operator.ts'
import { TimestampsAndWatermarksOperator } from './timestamps-and-watermarks-operator.ts'
import { WindowOperator } from './window-operator.ts'

interface Reading {
  readonly id: string
  readonly at: number
  readonly value: number
}

const readingType = Types.row({ id: Types.STRING, at: Types.SAFE_LONG, value: Types.INT })
const byId: KeySpec = { select: value => (value as Reading).id, type: Types.STRING }
// A composite key takes the way through key bytes.
const byIdAndParity: KeySpec = { select: value => [(value as Reading).id, (value as Reading).value % 2], type: Types.tuple(Types.STRING, Types.INT) }

function readings(count: number, input?: 0 | 1): ScriptStep[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'row' as const,
    value: { id: `s${(i * 7) % 5}`, at: i * 700, value: (i * 37) % 11 },
    timestamp: i * 700,
    ...(input === undefined ? {} : { input }),
  }))
}

/** Rows with watermarks and clock steps between. Watermarks stay behind the rows, so that none is late. */
function timed(count: number, inputs: readonly (0 | 1)[] = [0]): ScriptStep[] {
  const steps: ScriptStep[] = []
  for (const [i, step] of readings(count).entries()) {
    const input = inputs[i % inputs.length] as 0 | 1
    steps.push({ ...step, input } as ScriptStep)
    if (i % 4 === 3) for (const each of inputs) steps.push({ kind: 'watermark', timestamp: i * 700 - 1, input: each })
    if (i % 3 === 2) steps.push({ kind: 'clock', timeMs: i * 500 })
  }
  return steps
}

/** Shared by many rows, never at or before the watermark: a timer that is due at once fires at the next advance, which restores bring forward. */
const coalesced = (at: number) => (Math.floor(at / 5_000) + 1) * 5_000

const alarms = new OutputTag('alarms', Types.STRING)

/** Every state kind, both kinds of timers, side output. */
class EverythingFunction {
  readonly count = new ValueStateDescriptor('count', Types.INT)
  readonly seen = new ListStateDescriptor('seen', Types.INT)
  readonly last = new MapStateDescriptor('last', Types.INT, Types.SAFE_LONG)
  readonly sum = new ReducingStateDescriptor<number>('sum', (a, b) => a + b, Types.INT)
  readonly mean = new AggregatingStateDescriptor<number, [number, number], number>(
    'mean',
    { createAccumulator: () => [0, 0], add: (value, [sum, count]) => [sum + value, count + 1], getResult: ([sum, count]) => sum / count },
    Types.tuple(Types.DOUBLE, Types.INT) as never,
  )
  private states!: {
    count: ValueState<number>
    seen: ListState<number>
    last: MapState<number, number>
    sum: ReducingState<number>
    mean: AggregatingState<number, number>
  }

  open(context: RuntimeContext): void {
    this.states = {
      count: context.getState(this.count),
      seen: context.getListState(this.seen),
      last: context.getMapState(this.last),
      sum: context.getReducingState(this.sum),
      mean: context.getAggregatingState(this.mean),
    }
  }

  processElement(reading: Reading, context: KeyedProcessContext<unknown>, out: Collector<unknown>): void {
    const { count, seen, last, sum, mean } = this.states
    count.update((count.value() ?? 0) + 1)
    seen.add(reading.value)
    last.put(reading.value, reading.at)
    sum.add(reading.value)
    mean.add(reading.value)
    context.timerService().registerEventTimeTimer(reading.at + 2_000)
    context.timerService().registerEventTimeTimer(coalesced(reading.at))
    context.timerService().registerProcessingTimeTimer(context.timerService().currentProcessingTime() + 1_200)
    if (reading.value > 8) context.output(alarms, `${reading.id} ${reading.value}`)
    out.collect([reading.id, count.value(), [...seen.get()], [...last.entries()], sum.get(), mean.get()])
  }

  processElement1(reading: Reading, context: KeyedProcessContext<unknown>, out: Collector<unknown>): void {
    this.processElement(reading, context, out)
  }

  processElement2(reading: Reading, context: KeyedProcessContext<unknown>, out: Collector<unknown>): void {
    this.states.seen.add(-1 - reading.value)
    context.timerService().deleteEventTimeTimer(coalesced(reading.at))
    out.collect([reading.id, 'second'])
  }

  onTimer(timestamp: number, context: OnTimerContext<unknown>, out: Collector<unknown>): void {
    out.collect([String(context.getCurrentKey()).split(',')[0], 'timer', timestamp, context.timeDomain(), this.states.count.value()])
    if (context.timeDomain() === 'PROCESSING_TIME') this.states.seen.clear()
  }
}

const rules = new MapStateDescriptor('rules', Types.INT, Types.tuple(Types.STRING, Types.SAFE_LONG))

/** Rows read rules and count; rules come from the other input, and every fourth one begins the counts of all keys anew. */
class RuledFunction {
  readonly rules = rules
  readonly count = new ValueStateDescriptor('count', Types.INT)
  private state: ValueState<number> | undefined

  open(context: RuntimeContext): void {
    try {
      this.state = context.getState(this.count)
    } catch {
      // Without keys.
    }
  }

  processElement(
    reading: Reading,
    context: BroadcastReadOnlyContext & Partial<KeyedBroadcastReadOnlyContext<string>>,
    out: Collector<unknown>,
  ): void {
    const count = this.state === undefined ? 0 : (this.state.value() ?? 0) + 1
    this.state?.update(count)
    if (this.state !== undefined) context.timerService?.().registerEventTimeTimer(coalesced(reading.at))
    out.collect([reading.id, count, context.getBroadcastState(rules).get(reading.value % 3)])
  }

  processBroadcastElement(rule: Reading, context: BroadcastContext & Partial<KeyedBroadcastContext<string>>): void {
    context.getBroadcastState(rules).put(rule.value % 3, [rule.id, rule.at])
    if (rule.value === 4) context.getBroadcastState(rules).remove(1)
    if (rule.value === 8 && this.state !== undefined) context.applyToKeyedState?.(this.count, (_key, state) => state.update(100))
  }

  onTimer(timestamp: number, context: KeyedBroadcastOnTimerContext<string>, out: Collector<unknown>): void {
    out.collect([context.getCurrentKey(), 'timer', timestamp, [...context.getBroadcastState(rules).immutableEntries()].sort()])
  }
}

const firstField = (row: { value: unknown }) => (row.value as unknown[])[0]
/** Event-time timers of different keys fire in no order that a user may rely on; within a key they must. */
const idOf = (row: { value: unknown }) =>
  Array.isArray(row.value) ? row.value[0] : typeof row.value === 'string' ? row.value.split(' ')[0] : (row.value as Reading).id

const windowed = (key: KeySpec, fn: ConstructorParameters<typeof WindowOperator>[0]['function'], processing = false, size = '2 s') =>
  new WindowOperator({
    key,
    assigner: processing ? TumblingProcessingTimeWindows.of('1 s') : TumblingEventTimeWindows.of(size, 300),
    function: fn,
    processWindow: {
      process(windowKey: unknown, context: ProcessWindowContext, elements: Iterable<unknown>, out: Collector<unknown>) {
        out.collect([String(windowKey).split(',')[0], context.window().getStart(), context.window().getEnd(), [...elements]])
      },
    } as never,
    valueType: readingType,
    accumulatorType: Types.INT,
  })

const readingLayout = rowLayout(readingType.json)
assert(readingLayout !== undefined, 'all fields are primitive')
const typedSum: KeyedAggregateSpec = { kind: 'sum', field: 2, key: byId, keyColumns: [0], type: readingType as never, layout: readingLayout }

const cases: readonly OperatorCase[] = [
  { covers: 'MapOperator', title: 'map', create: () => new MapOperator({ map: (reading: Reading) => reading.value * 2 }), script: readings(9) },
  {
    covers: 'MapOperator',
    title: 'map with keyed state',
    create: () => new MapOperator(new CountingMap(), byId),
    keys: [byId],
    script: readings(20),
    orderBy: firstField,
  },
  {
    covers: 'FilterOperator',
    title: 'filter',
    create: () => new FilterOperator({ filter: (reading: Reading) => reading.value > 4 }),
    script: readings(9),
  },
  {
    covers: 'FlatMapOperator',
    title: 'flatMap',
    create: () =>
      new FlatMapOperator({
        flatMap: (reading: Reading, out: Collector<unknown>) => {
          for (const n of [1, 2]) out.collect([reading.at, n])
        },
      }),
    script: readings(9),
    orderBy: firstField,
  },
  {
    covers: 'ReduceOperator',
    title: 'rolling sum',
    create: () => new ReduceOperator(byId, aggregationFunction('sum', 'value', readingType), readingType, { finalOnly: false }),
    keys: [byId],
    script: readings(30),
    orderBy: idOf,
  },
  {
    covers: 'ReduceOperator',
    title: 'final maximum of composite keys in batch mode',
    create: () => new ReduceOperator(byIdAndParity, aggregationFunction('maxBy', 'value', readingType), readingType, { finalOnly: true }),
    keys: [byIdAndParity],
    batch: true,
    script: readings(30),
  },
  {
    covers: 'KeyedAggregateOperator',
    title: 'rolling sum in a typed table',
    outputLayout: readingLayout,
    create: () => new KeyedAggregateOperator(typedSum, { finalOnly: false }),
    keys: [byId],
    script: readings(30),
    orderBy: idOf,
  },
  {
    covers: 'KeyedAggregateOperator',
    title: 'rolling sum in a typed table, interpreted',
    outputLayout: readingLayout,
    create: () => new KeyedAggregateOperator(typedSum, { finalOnly: false, generated: false }),
    keys: [byId],
    script: readings(30),
    orderBy: idOf,
  },
  {
    covers: 'KeyedAggregateOperator',
    title: 'final maximum in batch mode in a typed table',
    outputLayout: readingLayout,
    create: () => new KeyedAggregateOperator({ ...typedSum, kind: 'maxBy' }, { finalOnly: true }),
    keys: [byId],
    batch: true,
    script: readings(30),
  },
  {
    covers: 'ProcessOperator',
    title: 'process with side output',
    create: () =>
      new ProcessOperator({
        processElement: (reading: Reading, context: ProcessContext, out: Collector<unknown>) => {
          if (reading.value > 5) context.output(alarms, reading.id)
          out.collect([reading.at, context.timestamp()])
        },
      }),
    script: readings(9),
  },
  {
    covers: 'KeyedProcessOperator',
    title: 'keyed process with every state kind and timers',
    create: () => new KeyedProcessOperator(byId, new EverythingFunction()),
    keys: [byId],
    script: timed(40),
    orderBy: idOf,
  },
  {
    covers: 'KeyedProcessOperator',
    title: 'keyed process with composite keys',
    create: () => new KeyedProcessOperator(byIdAndParity, new EverythingFunction()),
    keys: [byIdAndParity],
    script: timed(40),
    orderBy: row => row.tag ?? [firstField(row), (row.value as unknown[])[1] === 'timer' ? row.value : 'row'],
  },
  {
    covers: 'CoMapOperator',
    title: 'co-map',
    create: () => new CoMapOperator({ map1: (reading: Reading) => reading.id, map2: (reading: Reading) => reading.value }),
    inputCount: 2,
    script: [...readings(5, 0), ...readings(5, 1)],
  },
  {
    covers: 'CoFlatMapOperator',
    title: 'co-flatMap',
    create: () =>
      new CoFlatMapOperator({
        flatMap1: (reading: Reading, out: Collector<unknown>) => out.collect(reading.id),
        flatMap2: (reading: Reading, out: Collector<unknown>) => reading.value > 3 && out.collect(reading.value),
      } as never),
    inputCount: 2,
    script: [...readings(5, 0), ...readings(5, 1)],
  },
  {
    covers: 'CoProcessOperator',
    title: 'keyed co-process: both inputs share state and timers',
    create: () => new CoProcessOperator(new EverythingFunction(), [byId, byId]),
    keys: [byId, byId],
    inputCount: 2,
    script: timed(40, [0, 1]),
    orderBy: idOf,
  },
  {
    covers: 'BroadcastProcessOperator',
    title: 'rows against broadcast rules',
    create: () => new BroadcastProcessOperator(new RuledFunction() as never, [rules as never]),
    inputCount: 2,
    broadcastInput: 1,
    script: timed(40, [0, 1]),
  },
  {
    covers: 'BroadcastProcessOperator',
    title: 'keyed rows and timers against broadcast rules',
    create: () => new BroadcastProcessOperator(new RuledFunction() as never, [rules as never], byId),
    keys: [byId],
    inputCount: 2,
    broadcastInput: 1,
    script: timed(40, [0, 1]),
    orderBy: idOf,
  },
  {
    covers: 'KeyedProcessOperator',
    title: 'keyed process with states that expire',
    create: () => new KeyedProcessOperator(byId, new ExpiringFunction()),
    keys: [byId],
    script: timed(40),
    orderBy: idOf,
  },
  {
    covers: 'CoFlatMapOperator',
    title: 'co-flatMap with operator state',
    create: () => new CoFlatMapOperator(new BufferingFunction() as never),
    inputCount: 2,
    broadcastInput: 1,
    script: [...readings(20, 0), ...readings(1, 1)],
    orderBy: firstField,
  },
  {
    covers: 'WindowOperator',
    title: 'event-time windows with reduce',
    create: () => windowed(byId, { reduce: aggregationFunction('sum', 'value', readingType) }),
    keys: [byId],
    script: timed(40),
    orderBy: idOf,
  },
  {
    covers: 'WindowOperator',
    title: 'event-time windows with aggregate and composite keys',
    create: () =>
      windowed(byIdAndParity, {
        aggregate: {
          createAccumulator: () => 0,
          add: (_: never, count: number) => count + 1,
          getResult: (count: number) => count,
          merge: (a: number, b: number) => a + b,
        } as never,
      }),
    keys: [byIdAndParity],
    script: timed(40),
  },
  {
    covers: 'WindowOperator',
    title: 'event-time windows that keep many elements, one list changed in place',
    create: () => windowed(byId, { elements: true }, false, '20 s'),
    keys: [byId],
    script: timed(60),
    orderBy: idOf,
  },
  {
    covers: 'WindowOperator',
    title: 'processing-time windows that keep their elements',
    create: () => windowed(byId, { elements: true }, true),
    keys: [byId],
    // Ends on the clock: windows that are open at the end of the input do not fire.
    script: [...timed(40), { kind: 'clock', timeMs: 60_000 }],
    orderBy: idOf,
  },
  {
    covers: 'TimestampsAndWatermarksOperator',
    title: 'timestamps',
    create: () =>
      new TimestampsAndWatermarksOperator(
        WatermarkStrategy.forMonotonousTimestamps<Reading>().withTimestampAssigner((reading: Reading) => reading.at + 1),
      ),
    script: readings(9).map((step): ScriptStep => ({ ...step, timestamp: Number.NaN }) as ScriptStep),
  },
  {
    covers: 'SplitOperator',
    title: 'split',
    create: () => new SplitOperator((reading: Reading) => [reading.value > 5 ? 'high' : 'low', 'all']),
    script: readings(9),
  },
]

class CountingMap {
  readonly count = new ValueStateDescriptor('count', Types.LONG)
  private state!: ValueState<bigint>

  open(context: RuntimeContext): void {
    this.state = context.getState(this.count)
  }

  map(reading: Reading): unknown {
    this.state.update((this.state.value() ?? 0n) + 1n)
    return [reading.id, this.state.value()]
  }
}

/** Time passes between the rows of a key; what it reads is what is younger than two seconds. */
class ExpiringFunction {
  readonly last = new ValueStateDescriptor('last', Types.INT)
  readonly seen = new ListStateDescriptor('seen', Types.INT)
  readonly byValue = new MapStateDescriptor('by value', Types.INT, Types.SAFE_LONG)
  readonly sum = new ReducingStateDescriptor<number>('sum', (a, b) => a + b, Types.INT)
  private states!: { last: ValueState<number>; seen: ListState<number>; byValue: MapState<number, number>; sum: ReducingState<number> }

  constructor() {
    const often = StateTtlConfig.newBuilder('2 s').cleanupFullSnapshot().cleanupIncrementally(1, true).build()
    for (const descriptor of [this.last, this.seen, this.byValue, this.sum]) descriptor.enableTimeToLive(often)
  }

  open(context: RuntimeContext): void {
    this.states = {
      last: context.getState(this.last),
      seen: context.getListState(this.seen),
      byValue: context.getMapState(this.byValue),
      sum: context.getReducingState(this.sum),
    }
  }

  processElement(reading: Reading, _context: unknown, out: Collector<unknown>): void {
    const { last, seen, byValue, sum } = this.states
    out.collect([reading.id, last.value(), [...seen.get()], [...byValue.entries()], sum.get()])
    last.update(reading.value)
    seen.add(reading.value)
    byValue.put(reading.value, reading.at)
    sum.add(reading.value)
  }
}

/** Rows are held, wherever they are dealt to, until a row of the other input calls up those of every subtask. */
class BufferingFunction {
  readonly held = new ListStateDescriptor('held', readingType)
  private state!: ListState<Reading>

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.held as ListStateDescriptor<Reading>)
  }

  flatMap1(reading: Reading): void {
    this.state.add(reading)
  }

  flatMap2(_call: Reading, out: Collector<unknown>): void {
    for (const { at, value } of this.state.get()) out.collect([at, value])
    this.state.clear()
  }
}

describe('every operator gives the same rows', () => {
  for (const testCase of cases)
    for (const mode of runModes.slice(1))
      test(`${testCase.title}: ${mode}`, async () => {
        const expected = await runCase(testCase, 'at once')
        expect(expected.size).toBeGreaterThan(0)
        for (let seed = 0; seed < (mode === 'restored from increments of which some are lost' ? 20 : 1); seed++)
          expect(await runCase(testCase, mode, seed)).toEqual(expected)
      })
})

describe('every source gives, and every sink takes, each row once', () => {
  const expected: Readonly<Record<string, readonly string[]>> = {
    SourceOperator: ['a 0', 'a 1', 'a 2', 'a 3', 'a 4', 'b 0', 'd 0', 'd 1', 'd 2', 'e 0', 'e 1', 'e 2', 'e 3'],
    FunctionSourceOperator: ['0', '1', '2', '3', '4'],
    SinkFunctionOperator: Array.from({ length: 9 }, (_, row) => `row ${row}`),
    FileSinkOperator: Array.from({ length: 9 }, (_, row) => `row ${row}`),
    TransportSinkOperator: Array.from({ length: 9 }, (_, row) => `row ${row}`),
  }
  for (const { covers, title, state, run } of sourceAndSinkCases)
    for (const [plan, parallelisms] of Object.entries(parallelismPlans))
      test(`${title} (state: ${state}): ${plan}`, async () => {
        expect(await run(parallelisms)).toEqual(expected[covers])
      })
})

// Those of SQL are in runtime/table/runtime/registry.test.ts.
test('no operator class is missing here', () => {
  const ofTables = concreteClasses('StreamOperator', 'runtime/table')
  const classes = concreteClasses('StreamOperator').filter(name => !ofTables.includes(name))
  expect(classes.length).toBeGreaterThan(14)
  expect([...new Set([...cases, ...sourceAndSinkCases].map(({ covers }) => covers))].sort()).toEqual(classes)
})

describe('typed tables', () => {
  const reduced = (kind: KeyedAggregateSpec['kind'], finalOnly: boolean): OperatorCase => ({
    covers: 'ReduceOperator',
    title: kind,
    create: () => new ReduceOperator(byId, aggregationFunction(kind, 'value', readingType), readingType, { finalOnly }),
    keys: [byId],
    batch: finalOnly,
    script: readings(60),
    orderBy: idOf,
  })
  const kinds = ['sum', 'min', 'max', 'minBy', 'maxBy'] as const
  test.each(kinds.flatMap(kind => [true, false].flatMap(generated => [true, false].map(finalOnly => ({ kind, generated, finalOnly })))))(
    '$kind gives what the reduce gives: generated $generated, batch $finalOnly',
    async ({ kind, generated, finalOnly }) => {
      const typed = {
        ...reduced(kind, finalOnly),
        create: () => new KeyedAggregateOperator({ ...typedSum, kind }, { finalOnly, generated }),
        outputLayout: readingLayout,
      }
      const expected = await runCase(reduced(kind, finalOnly), 'at once')
      expect(expected.size).toBe(5)
      expect(await runCase(typed, 'at once')).toEqual(expected)
    },
  )

  test.each([true, false])('snapshots of the two restore each other: typed first %s', async typedFirst => {
    const typed = () => new KeyedAggregateOperator(typedSum, { finalOnly: false })
    const plain = () => reduced('sum', false).create()
    const run = async (first: () => StreamOperator, second: () => StreamOperator) => {
      const [a, b] = [first, second].map(create => new StreamOperatorHarness(create(), { outputLayout: readingLayout }))
      assert(a !== undefined && b !== undefined, 'two were made')
      await a.open()
      for (const step of readings(20)) if (step.kind === 'row') a.row(step.value, step.timestamp ?? Number.NaN)
      await b.open(a.snapshot())
      for (const step of readings(20)) if (step.kind === 'row') b.row(step.value, step.timestamp ?? Number.NaN)
      return b.values()
    }
    const expected = await run(plain, plain)
    expect(expected).toHaveLength(20)
    expect(await run(typedFirst ? typed : plain, typedFirst ? plain : typed)).toEqual(expected)
  })
})
