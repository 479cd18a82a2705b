import { describe, expect, test } from 'vitest'
import { type HarnessOptions, StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import { TimestampsAndWatermarksOperator } from './timestamps-and-watermarks-operator.ts'

const opened = (strategy: WatermarkStrategy<never>, options: HarnessOptions = {}) =>
  new StreamOperatorHarness(new TimestampsAndWatermarksOperator(strategy), options).open()

test('a watermark comes at the next tick of the interval and none between', async () => {
  // XE12
  const strategy = WatermarkStrategy.forBoundedOutOfOrderness<number>(2_000).withTimestampAssigner((seconds: number) => seconds * 1_000)
  const harness = await opened(strategy, { autoWatermarkIntervalMs: 5_000 })
  harness.row(1547718199)
  expect(harness.rows).toEqual([{ tag: undefined, value: 1547718199, timestamp: 1547718199000 }])
  harness.advanceTo(4_999)
  expect(harness.watermarks).toEqual([])
  harness.advanceTo(5_000)
  expect(harness.watermarks).toEqual([1547718196999])
  harness.row(1547718190)
  harness.advanceTo(20_000)
  expect(harness.watermarks).toEqual([1547718196999])
})

test('a punctuated watermark follows its record at once, a lower one is ignored', async () => {
  // XE13
  const strategy = WatermarkStrategy.forGenerator<[string, number]>(() => ({
    onEvent: ([id], timestamp, output) => {
      if (id === 'sensor_1') output.emitWatermark(timestamp - 60_000)
    },
    onPeriodicEmit: () => {},
  })).withTimestampAssigner(([, time]: [string, number]) => time)
  const harness = await opened(strategy)
  const after = [
    ['sensor_1', 100_000],
    ['sensor_2', 200_000],
    ['sensor_1', 90_000],
  ].map(row => {
    harness.row(row)
    return [...harness.watermarks]
  })
  expect(after).toEqual([[40_000], [40_000], [40_000]])
})

describe('other watermarks', () => {
  test('from upstream end here, except the last one', async () => {
    const harness = await opened(WatermarkStrategy.noWatermarks())
    harness.watermark(5)
    expect(harness.watermarks).toEqual([])
    harness.end()
    expect(harness.watermarks).toEqual([Number.POSITIVE_INFINITY])
  })

  test('do not come in batch mode, nor with the interval off, until the end', async () => {
    for (const options of [{ batch: true }, { autoWatermarkIntervalMs: 0 }]) {
      const harness = await opened(WatermarkStrategy.forMonotonousTimestamps(), options)
      harness.row('x', 10)
      harness.advanceTo(10_000)
      expect(harness.watermarks).toEqual([])
      harness.end()
      expect(harness.watermarks).toEqual([Number.POSITIVE_INFINITY])
    }
  })
})

describe('timestamps', () => {
  test('stay as they are without an assigner; records without one do not count', async () => {
    const harness = await opened(WatermarkStrategy.forMonotonousTimestamps())
    harness.row('x', 10)
    harness.row('y')
    harness.advanceBy(200)
    expect([harness.rows.map(row => row.timestamp), harness.watermarks]).toEqual([[10, Number.NaN], [9]])
  })

  test('may be bigints; anything else is refused and an assigner that throws is named', async () => {
    const strategy = WatermarkStrategy.noWatermarks<{ ts: unknown }>().withTimestampAssigner((row: { ts: unknown }) => row.ts as number)
    const harness = await opened(strategy, { name: 'assign' })
    harness.row({ ts: 12n })
    expect(harness.rows[0]?.timestamp).toBe(12)
    expect(() => harness.row({ ts: '12' })).toThrow('operator assign: the timestamp assigner answered 12 instead of milliseconds')
    expect(() => harness.row(null)).toThrow("operator assign: Cannot read properties of null (reading 'ts')")
  })

  test('the assigner sees the timestamp that the record had', async () => {
    const harness = await opened(WatermarkStrategy.noWatermarks<string>().withTimestampAssigner((_: string, previous) => previous + 1))
    harness.row('x', 41)
    expect(harness.rows[0]?.timestamp).toBe(42)
  })
})
