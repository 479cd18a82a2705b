import { describe, expect, test } from 'vitest'
import { ConnectorHarness } from '../../../test/support/connector-harness.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import type { SourceReader, SourceReaderContext, SourceSplit } from '../spi/source.ts'
import { SourceOperator } from './source-operator.ts'

/** Emits the numbers of its splits {splitId, rows}. */
class ListReader implements SourceReader {
  readonly splits: SourceSplit[] = []
  closed = 0
  private ended = false
  private readonly context: SourceReaderContext
  private readonly emitWatermarks: boolean
  constructor(context: SourceReaderContext, emitWatermarks = false) {
    this.context = context
    this.emitWatermarks = emitWatermarks
  }
  addSplits(splits: readonly SourceSplit[]): void {
    this.splits.push(...splits)
  }
  noMoreSplits(): void {
    this.ended = true
  }
  poll(output: Parameters<SourceReader['poll']>[0]): 'more' | 'nothing' | 'end' {
    for (;;) {
      const first = this.splits[0]
      if (first === undefined) {
        if (!this.ended) this.context.requestSplit()
        return this.ended ? 'end' : 'nothing'
      }
      const rows = first['rows'] as number[]
      while (rows.length > 0) {
        if (output.shouldYield()) return 'more'
        const row = rows[0]!
        this.splits[0] = { ...first, rows: rows.splice(1) }
        output.collect(row, Number.NaN)
        if (this.emitWatermarks) output.emitWatermark(row)
        return 'more'
      }
      this.splits.shift()
    }
  }
  snapshotSplits(): readonly SourceSplit[] {
    return this.splits
  }
  describePosition(): string {
    return 'somewhere'
  }
  close(): void {
    this.closed++
  }
}

const split = (splitId: string, rows: number[]): SourceSplit => ({ splitId, rows })
const none = undefined

describe('source operator', () => {
  test('splits that come before open reach the reader, and its requests go out', async () => {
    let requests = 0
    const operator = new SourceOperator({ createReader: context => new ListReader(context) })
    operator.onSplitRequest = () => void requests++
    const harness = new ConnectorHarness(operator)
    operator.addSplits([split('a', [1, 2])])
    await harness.open([], true)
    await harness.run(() => requests > 0)
    expect(harness.values()).toEqual([1, 2])
    expect(operator.describePosition()).toBe('somewhere')
    operator.noMoreSplits()
    expect(harness.poll()).toBe('end')
    await harness.close()
  })

  test('timestamps are assigned and periodic watermarks come on the clock', async () => {
    const clock = new SimulatedClock()
    const strategy = WatermarkStrategy.forBoundedOutOfOrderness<number>(5).withTimestampAssigner(
      (row: number) => row * 10,
    ) as WatermarkStrategy<never>
    const operator = new SourceOperator({ createReader: context => new ListReader(context), watermarkStrategy: strategy })
    const harness = new ConnectorHarness(operator, { clock, autoWatermarkIntervalMs: 200 })
    await harness.open([split('a', [3, 1, 2])])
    harness.rowsPerPoll = 3
    harness.poll()
    harness.poll()
    expect(harness.watermarks).toEqual([])
    expect(operator.nextTimerMs()).toBe(200)
    clock.advanceTo(200)
    operator.processTimers(200)
    expect(harness.watermarks).toEqual([30 - 5 - 1])
    expect(operator.nextTimerMs()).toBe(400)
    await harness.run()
    expect(harness.rows).toEqual([3, 1, 2].map(value => ({ value, timestamp: value * 10 })))
    await harness.close()
  })

  test('a punctuated watermark follows its row at once', async () => {
    const strategy = WatermarkStrategy.forGenerator<number>(() => ({
      onEvent: (row, _timestamp, output) => output.emitWatermark(row),
      onPeriodicEmit() {},
    })) as WatermarkStrategy<never>
    const harness = new ConnectorHarness(new SourceOperator({ createReader: context => new ListReader(context), watermarkStrategy: strategy }))
    await harness.open([split('a', [7])])
    await harness.run()
    expect([harness.values(), harness.watermarks]).toEqual([[7], [7]])
    await harness.close()
  })

  test.each([
    ['without a strategy the watermarks of the reader are passed on', none, false, [1, 2]],
    ['with one they are not', WatermarkStrategy.noWatermarks<never>(), false, []],
    ['in batch mode there are none before the end', none, true, []],
  ] as const)('%s', async (_title, watermarkStrategy, batch, expected) => {
    const harness = new ConnectorHarness(new SourceOperator({ createReader: context => new ListReader(context, true), watermarkStrategy }), { batch })
    await harness.open([split('a', [1, 2])])
    await harness.run()
    expect(harness.watermarks).toEqual(expected)
    await harness.close()
  })

  test('in batch mode no watermark timer is set', async () => {
    const operator = new SourceOperator({
      createReader: context => new ListReader(context),
      watermarkStrategy: WatermarkStrategy.forMonotonousTimestamps<never>(),
    })
    const harness = new ConnectorHarness(operator, { batch: true })
    await harness.open()
    expect(operator.nextTimerMs()).toBe(Number.POSITIVE_INFINITY)
    await harness.close()
  })

  test('an assigner that throws or answers no number is the user function that failed', async () => {
    for (const assigner of [
      () => {
        throw new Error('no field ts')
      },
      () => undefined as unknown as number,
    ]) {
      const watermarkStrategy = WatermarkStrategy.forMonotonousTimestamps<never>().withTimestampAssigner(assigner) as WatermarkStrategy<never>
      const harness = new ConnectorHarness(new SourceOperator({ createReader: context => new ListReader(context), watermarkStrategy }))
      await harness.open([split('a', [1])])
      await expect(harness.run()).rejects.toMatchObject({ code: 'USER_FUNCTION', message: expect.stringContaining('timestamp assigner') })
      await harness.close()
    }
  })

  test('a snapshot after any row restores to the rows that follow', async () => {
    for (let taken = 0; taken <= 3; taken++) {
      const first = new ConnectorHarness(new SourceOperator({ createReader: context => new ListReader(context) }))
      await first.open([split('a', [1, 2]), split('b', [3])])
      for (let i = 0; i < taken; i++) first.poll()
      const snapshot = first.snapshot()
      const second = new ConnectorHarness(new SourceOperator({ createReader: context => new ListReader(context) }))
      second.operator.restore?.(snapshot)
      await second.open()
      await second.run()
      expect([...first.values(), ...second.values()]).toEqual([1, 2, 3])
      await first.close()
      await second.close()
    }
  })
})
