import { describe, expect, test } from 'vitest'
import { type HarnessOptions, StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { Types } from '../../serde/types.ts'
import { ValueStateDescriptor } from '../../state/descriptors.ts'
import { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows } from '../../time/windows.ts'
import type { Collector, ProcessWindowContext } from '../functions.ts'
import { aggregationFunction } from './aggregations.ts'
import { TimestampsAndWatermarksOperator } from './timestamps-and-watermarks-operator.ts'
import { WindowOperator, type WindowOperatorOptions } from './window-operator.ts'

const second = 1_000
const oneKey = { select: () => 'all', type: Types.STRING }
const byFirst = { select: (value: unknown) => (value as unknown[])[0], type: Types.STRING }
const pair = Types.tuple(Types.STRING, Types.INT)

const listing = {
  process: (_key: unknown, context: ProcessWindowContext, elements: Iterable<unknown>, out: Collector<unknown>) =>
    out.collect([context.window().getStart(), [...elements], context.currentWatermark()]),
}

function windowOf(options: Partial<WindowOperatorOptions>, harnessOptions: HarnessOptions = {}) {
  const operator = new WindowOperator({
    key: oneKey,
    assigner: TumblingEventTimeWindows.of('5 s'),
    function: { elements: true },
    processWindow: listing,
    valueType: Types.INT,
    ...options,
  })
  return new StreamOperatorHarness(operator, { name: 'window', ...harnessOptions }).open()
}

/** Seconds in, a watermark after every record. */
async function picture(seconds: readonly number[], boundMs: number) {
  const window = await windowOf({})
  const strategy = WatermarkStrategy.forGenerator<number>(() => {
    let max = Number.NEGATIVE_INFINITY
    return {
      onEvent: (_event, timestamp, output) => {
        max = Math.max(max, timestamp)
        output.emitWatermark(max - boundMs - 1)
      },
      onPeriodicEmit: () => {},
    }
  }).withTimestampAssigner((value: number) => value * second)
  const assigner = await new StreamOperatorHarness(new TimestampsAndWatermarksOperator(strategy), { next: window }).open()
  const firedAfter: [number, unknown][] = []
  const watermarkAfter: [number, number][] = []
  let [fired, watermarks] = [0, 0]
  for (const value of seconds) {
    assigner.row(value)
    for (; fired < window.values().length; fired++) firedAfter.push([value, (window.values()[fired] as unknown[])[1]])
    for (; watermarks < assigner.watermarks.length; watermarks++) watermarkAfter.push([value, assigner.watermarks[watermarks] as number])
  }
  assigner.end()
  const atEnd = window
    .values()
    .slice(fired)
    .map(row => (row as unknown[])[1])
  return { firedAfter, watermarkAfter, atEnd, lateCount: window.counters.get('numLateRecordsDropped') ?? 0 }
}

describe('the watermark pictures', () => {
  test('ordered, no bound', async () => {
    // XE10
    const { firedAfter, atEnd } = await picture(
      Array.from({ length: 15 }, (_, i) => i + 1),
      0,
    )
    expect(firedAfter).toEqual([
      [5, [1, 2, 3, 4]],
      [10, [5, 6, 7, 8, 9]],
      [15, [10, 11, 12, 13, 14]],
    ])
    expect(atEnd).toEqual([[15]])
  })

  test('unordered, two seconds bound', async () => {
    // XE11
    const { firedAfter, watermarkAfter, atEnd, lateCount } = await picture([1, 4, 5, 2, 3, 7, 6, 9, 11, 8, 10, 12, 13, 14, 16, 15], 2 * second)
    expect(firedAfter).toEqual([
      [7, [1, 4, 2, 3]],
      [12, [5, 7, 6, 9, 8]],
    ])
    expect(atEnd).toEqual([
      [11, 10, 12, 13, 14],
      [16, 15],
    ])
    expect(lateCount).toBe(0)
    expect(watermarkAfter).toEqual([
      [1, -1001],
      [4, 1999],
      [5, 2999],
      [7, 4999],
      [9, 6999],
      [11, 8999],
      [12, 9999],
      [13, 10999],
      [14, 11999],
      [16, 13999],
    ])
  })
})

test('a window fires when the watermark reaches its last timestamp, not before', async () => {
  const harness = await windowOf({ valueType: Types.INT })
  harness.row(1, 0)
  harness.row(2, 4_999)
  harness.row(3, 5_000)
  harness.watermark(4_998)
  expect(harness.values()).toEqual([])
  harness.watermark(4_999)
  expect(harness.rows).toEqual([{ tag: undefined, value: [0, [1, 2], 4_999], timestamp: 4_999 }])
})

test('rows before the epoch fall into windows that start at or before them', async () => {
  const harness = await windowOf({})
  harness.row(1, -7_000)
  harness.row(2, -5_000)
  harness.row(3, 3_000)
  harness.end()
  expect(harness.values().map(row => (row as unknown[]).slice(0, 2))).toEqual([
    [-10_000, [1]],
    [-5_000, [2]],
    [0, [3]],
  ])
})

test('a row whose window has fired is dropped and counted, one whose window is open still counts', async () => {
  const harness = await windowOf({})
  harness.row(1, 6_000)
  harness.watermark(4_999)
  harness.row(2, 4_999)
  harness.row(3, 5_000)
  harness.end()
  expect(harness.values().map(row => (row as unknown[])[1])).toEqual([[1, 3]])
  expect(harness.counters.get('numLateRecordsDropped')).toBe(1)
})

describe('window functions', () => {
  test('reduce alone emits the reduced row of each key', async () => {
    const harness = await windowOf({
      key: byFirst,
      function: { reduce: aggregationFunction('sum', 1, pair) },
      processWindow: undefined,
      valueType: pair,
    })
    for (const [key, value, time] of [
      ['a', 1, 0],
      ['b', 10, 1],
      ['a', 2, 2],
      ['a', 4, 5_000],
    ] as const)
      harness.row([key, value], time)
    harness.end()
    expect(harness.rows.map(({ value, timestamp }) => [value, timestamp])).toEqual([
      [['a', 3], 4_999],
      [['b', 10], 4_999],
      [['a', 4], 9_999],
    ])
  })

  test('aggregate gives its result to the process window function', async () => {
    const mean = {
      createAccumulator: () => [0, 0],
      add: (value: number, [sum, count]: [number, number]) => [sum + value, count + 1],
      getResult: ([sum, count]: [number, number]) => sum / count,
      merge: () => null,
    }
    const harness = await windowOf({ function: { aggregate: mean as never }, accumulatorType: Types.list(Types.DOUBLE) })
    for (const value of [1, 2, 6]) harness.row(value, value)
    harness.watermark(4_999)
    expect(harness.values()).toEqual([[0, [3], 4_999]])
  })

  test('an accumulator that add forgot to return is named', async () => {
    const harness = await windowOf({
      function: { aggregate: { createAccumulator: () => [], add: () => {}, getResult: () => 1, merge: () => [] } as never },
      accumulatorType: Types.GENERIC,
    })
    expect(() => harness.row(1, 1)).toThrow('operator window: add of the aggregate function returned undefined')
  })

  test('a window keeps its own state apart from that of its key, and clear comes once per window', async () => {
    const seen: unknown[] = []
    const fn = {
      count: new ValueStateDescriptor('count', Types.INT),
      process(_key: unknown, context: ProcessWindowContext) {
        const [ofWindow, ofKey] = [context.windowState().getState(this.count), context.globalState().getState(this.count)]
        ofWindow.update((ofWindow.value() ?? 0) + 1)
        ofKey.update((ofKey.value() ?? 0) + 1)
        seen.push([context.window().getStart(), ofWindow.value(), ofKey.value()])
      },
      clear(context: ProcessWindowContext) {
        context.windowState().getState(this.count).clear()
        seen.push(`clear ${context.window().getEnd()}`)
      },
    }
    const harness = await windowOf({ processWindow: fn })
    for (const time of [1_000, 2_000, 6_000]) harness.row(1, time)
    harness.end()
    expect(seen).toEqual([[0, 1, 1], 'clear 5000', [5_000, 1, 2], 'clear 10000'])
  })

  test('an aggregate without the type of its accumulator is refused', async () => {
    await expect(async () => windowOf({ function: { aggregate: {} as never } })).rejects.toThrow('needs the type of its accumulator')
  })
})

test('a fired window leaves no state and no timer behind', async () => {
  const harness = await windowOf({ key: byFirst, valueType: pair })
  for (let i = 0; i < 100; i++) harness.row([`k${i % 10}`, i], i * 100)
  harness.watermark(1e9)
  expect(harness.snapshot().keyed?.keyGroups.size).toBe(0)
})

test('processing-time windows fire by the clock and stay silent at the end of the input', async () => {
  const harness = await windowOf({ assigner: TumblingProcessingTimeWindows.of('1 s') })
  harness.advanceTo(200)
  harness.row(1)
  harness.row(2, 99_999)
  expect(harness.wakeCount).toBe(1)
  harness.advanceTo(998)
  expect(harness.values()).toEqual([])
  harness.advanceTo(999)
  expect(harness.values().map(row => (row as unknown[]).slice(0, 2))).toEqual([[0, [1, 2]]])
  harness.row(3)
  harness.end()
  expect(harness.values()).toHaveLength(1)
})

test('an event-time window refuses rows without a timestamp', async () => {
  const harness = await windowOf({})
  expect(() => harness.row(1)).toThrow('operator window: a record has no timestamp; call assignTimestampsAndWatermarks before the window')
})

describe('behind a restore', () => {
  const first = TumblingEventTimeWindows.of('5 s')

  test.each([1, 3])('a row is late for what has fired before, though no watermark has come yet (FLINK-36663), in %i subtasks', async parallelism => {
    const window = await windowOf({ assigner: first })
    window.row(1, 1_000)
    window.row(6, 6_000)
    window.watermark(5_500)
    expect(window.values()).toEqual([[0, [1], 5_500]])
    const parts = redistribute([window.snapshot()], parallelism, 128)
    const subtasks = await Promise.all(
      parts.map(async part => {
        const operator = new WindowOperator({
          key: oneKey,
          assigner: first,
          function: { elements: true },
          processWindow: listing,
          valueType: Types.INT,
        })
        return new StreamOperatorHarness(operator, { name: 'window' }).open(part)
      }),
    )
    const owner = subtasks.find((_, i) => (parts[i]?.keyed?.keyGroups.size ?? 0) > 0) as StreamOperatorHarness
    owner.row(2, 2_000)
    // The sources begin their watermarks anew, below the one of the checkpoint.
    owner.watermark(4_000)
    owner.row(3, 3_000)
    owner.row(7, 7_000)
    expect(owner.values()).toEqual([])
    expect(owner.counters.get('numLateRecordsDropped')).toBe(2)
    owner.watermark(10_000)
    expect(owner.values()).toEqual([[5_000, [6, 7], 10_000]])
  })

  test('what was at the end of its input knows of nothing late', async () => {
    const window = await windowOf({ assigner: first })
    window.row(1, 1_000)
    window.end()
    const again = new WindowOperator({ key: oneKey, assigner: first, function: { elements: true }, processWindow: listing, valueType: Types.INT })
    const restored = await new StreamOperatorHarness(again).open(window.snapshot())
    restored.row(2, 2_000)
    restored.end()
    expect(restored.values()).toEqual([[0, [2], Number.POSITIVE_INFINITY]])
  })
})
