import { expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import type { ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { SqlWatermarkOperator } from './watermark-operator.ts'

const layouts = [columnLayout('TIMESTAMP(3)')]
const frame = (...times: number[]) =>
  frameOf(
    times.map(time => [time]),
    layouts,
  )
const timesOf = (frames: readonly ColumnarFrame[]) => frames.map(each => rowsOf(each, layouts).map(([time]) => time))

/** WATERMARK FOR ts AS ts. */
function operator(autoWatermarkIntervalMs: number): Promise<StreamOperatorHarness> {
  const watermark = new SqlWatermarkOperator(0, each => each.columns[0] as Float64Column)
  return new StreamOperatorHarness(watermark, { autoWatermarkIntervalMs }).open()
}

test('one watermark leaves behind a frame of which no row is late: the last that was due, not the greatest', async () => {
  const harness = await operator(10)
  harness.operator.processFrame!(frame(5, 15, 20))
  expect(timesOf(harness.frames)).toEqual([[5, 15, 20]])
  // 15 was due; 20 is not more than 10 beyond it.
  expect(harness.watermarks).toEqual([15])
  harness.operator.processFrame!(frame(18, 26))
  expect(harness.watermarks).toEqual([15, 26])
})

test('a row that is late for a watermark inside its frame comes after it: rows behind the cut wait until the watermark has been passed on', async () => {
  const harness = await operator(0)
  harness.operator.processFrame!(frame(10, 30, 20, 31, 40))
  expect(timesOf(harness.frames)).toEqual([[10, 30]])
  expect(harness.watermarks).toEqual([30])
  // A second frame does not overtake what waits of the first.
  harness.operator.processFrame!(frame(50))
  expect(harness.frames.length).toBe(1)
  harness.fireTimers()
  expect(timesOf(harness.frames)).toEqual([[10, 30], [20, 31, 40], [50]])
  expect(harness.watermarks).toEqual([30, 40, 50])
})

test('what waits is not changed when the arrays of its frame are written again', async () => {
  const harness = await operator(0)
  const given = frame(10, 30, 20, 31)
  harness.operator.processFrame!(given)
  ;(given.columns[0] as { values: Float64Array }).values.fill(0)
  harness.fireTimers()
  expect(timesOf(harness.frames.slice(1))).toEqual([[20, 31]])
  expect(harness.watermarks).toEqual([30, 31])
})

test('the end of the input leaves nothing waiting', async () => {
  const harness = await operator(0)
  harness.operator.processFrame!(frame(30, 20, 40, 25))
  harness.end()
  expect(timesOf(harness.frames)).toEqual([[30], [20, 40], [25]])
  expect(harness.watermarks).toEqual([30, 40, Number.POSITIVE_INFINITY])
})
