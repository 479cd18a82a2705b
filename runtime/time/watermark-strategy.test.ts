import { expect, test } from 'vitest'
import { formatWatermark, MAX_WATERMARK, MIN_WATERMARK } from './watermark.ts'
import { WatermarkStrategy } from './watermark-strategy.ts'

interface Source<T> {
  read(): T
}

/** Stands for `env.fromSource`: the strategy is typed by the source's rows. */
function fromSource<T>(_source: Source<T>, strategy: WatermarkStrategy<T>): WatermarkStrategy<T> {
  return strategy
}

const orders: Source<{ shop: string; ts: number }> = { read: () => ({ shop: 'a', ts: 1 }) }

function emitted(strategy: WatermarkStrategy<unknown>, timestamps: readonly number[]): number[] {
  const generator = strategy.createGenerator()
  return timestamps.map(timestamp => {
    const seen: number[] = []
    const output = { emitWatermark: (watermark: number) => void seen.push(watermark) }
    generator.onEvent(undefined, timestamp, output)
    generator.onPeriodicEmit(output)
    return seen[0] ?? Number.NaN
  })
}

test('a bounded watermark is the largest timestamp minus the bound minus one', () => {
  expect(emitted(WatermarkStrategy.forBoundedOutOfOrderness('2 s'), [1000, 4000, 5000, 2000])).toEqual([-1001, 1999, 2999, 2999])
})

test('an ascending watermark is the largest timestamp minus one', () => {
  expect(emitted(WatermarkStrategy.forMonotonousTimestamps(), [1000, 4000])).toEqual([999, 3999])
})

test('there is no watermark before the first record', () => {
  const seen: number[] = []
  WatermarkStrategy.forBoundedOutOfOrderness(2000)
    .createGenerator()
    .onPeriodicEmit({ emitWatermark: watermark => void seen.push(watermark) })
  expect(seen.filter(watermark => watermark > MIN_WATERMARK)).toEqual([])
})

test('an assigner is typed by the rows of its source', () => {
  const strategy = fromSource(
    orders,
    WatermarkStrategy.forBoundedOutOfOrderness('5 s').withTimestampAssigner(order => order.ts),
  )
  expect(strategy.timestampAssigner?.({ shop: 'a', ts: 7 }, Number.NaN)).toBe(7)
  const none = WatermarkStrategy.noWatermarks()
  expect(fromSource(orders, none).timestampAssigner).toBeUndefined()
})

test('with… answers a new strategy', () => {
  const shared = WatermarkStrategy.forMonotonousTimestamps<{ ts: number }>()
  shared.withTimestampAssigner(row => row.ts)
  expect(shared.timestampAssigner).toBeUndefined()
})

test('what is not built is refused by name', () => {
  expect(() => WatermarkStrategy.noWatermarks().withIdleness('1 min')).toThrow('WatermarkStrategy.withIdleness is not supported yet')
})

test('a generator without its methods is refused', () => {
  expect(() => WatermarkStrategy.forGenerator(() => ({}) as never).createGenerator()).toThrow('onEvent and onPeriodicEmit')
})

test('watermarks print as the longs of Flink', () => {
  expect([MIN_WATERMARK, 10_999, MAX_WATERMARK].map(formatWatermark)).toEqual(['-9223372036854775808', '10999', '9223372036854775807'])
})
