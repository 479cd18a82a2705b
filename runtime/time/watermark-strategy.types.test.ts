import { expect, test } from 'vitest'
import { WatermarkStrategy } from './watermark-strategy.ts'

interface Source<T> {
  read(): T
}
declare function fromSource<T>(source: Source<T>, strategy: WatermarkStrategy<T>): Source<T>
declare const orders: Source<{ shop: string; ts: number }>

/** Never called: it must compile, as users write it. */
export function program(): void {
  fromSource(
    orders,
    WatermarkStrategy.forBoundedOutOfOrderness('5 s').withTimestampAssigner(order => order.ts),
  )
  fromSource(orders, WatermarkStrategy.noWatermarks())
  const shared = WatermarkStrategy.noWatermarks()
  fromSource(orders, shared)
  // @ts-expect-error a field that rows do not have
  fromSource(
    orders,
    WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner(order => order.tz),
  )
}

test('a strategy without assigner keeps the timestamps that records have', () => {
  expect(WatermarkStrategy.noWatermarks().timestampAssigner).toBeUndefined()
})
