import { expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { Types } from '../../serde/types.ts'
import { CoMapOperator } from './co-map-operator.ts'
import { KeyedProcessOperator } from './keyed-process-operator.ts'

const coMap = () => new StreamOperatorHarness(new CoMapOperator({ map1: value => value, map2: value => value })).open()

test('a watermark goes on when it raises the minimum over inputs', async () => {
  const harness = await coMap()
  harness.watermark(100, 0)
  expect(harness.watermarks).toEqual([])
  harness.watermark(50, 1)
  harness.watermark(200, 0)
  harness.watermark(150, 1)
  expect(harness.watermarks).toEqual([50, 150])
})

test('an ended input does not hold back the watermark of the other', async () => {
  const harness = await coMap()
  harness.watermark(Number.POSITIVE_INFINITY, 1)
  expect(harness.operator.endInput(1)).toBe(true)
  harness.watermark(10, 0)
  expect(harness.watermarks).toEqual([10])
})

test('an idle input does not hold back the watermark, and the operator is idle when all inputs are', async () => {
  const harness = await coMap()
  harness.watermark(100, 0)
  harness.operator.processStatus?.(true, 1)
  expect([harness.watermarks, harness.statuses]).toEqual([[100], []])
  harness.operator.processStatus?.(true, 0)
  harness.operator.processStatus?.(false, 1)
  expect([harness.watermarks, harness.statuses]).toEqual([[100], [true, false]])
})

test('a watermark leaves only when its timers have fired, however often the cursor has to stop', async () => {
  const order: unknown[] = []
  let yields = 0
  const fn = {
    processElement: (_: unknown, context: { timerService(): { registerEventTimeTimer(time: number): void } }) =>
      context.timerService().registerEventTimeTimer(10),
    onTimer: (_: number, context: { getCurrentKey(): unknown }) => void order.push(context.getCurrentKey()),
  }
  const operator = new KeyedProcessOperator({ select: value => value, type: Types.INT }, fn)
  const harness = await new StreamOperatorHarness(operator, { shouldYield: () => ++yields % 2 === 1 }).open()
  for (const key of [1, 2, 3]) harness.row(key)
  const answers: boolean[] = []
  for (let call = 0; call < 10 && answers.at(-1) !== true; call++) {
    answers.push(operator.processWatermark(10, 0))
    if (answers.at(-1) === false) expect(harness.watermarks).toEqual([])
  }
  expect(order).toEqual([1, 2, 3])
  expect(answers.filter(answer => !answer).length).toBeGreaterThan(2)
  expect(harness.watermarks).toEqual([10])
})
