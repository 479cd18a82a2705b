import { describe, expect, test } from 'vitest'
import { ConnectorHarness } from '../../../test/support/connector-harness.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { sleep } from '../../common/clock.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import type { SourceContext, SourceFunction } from '../functions.ts'
import { FunctionSourceOperator, type FunctionSourceOptions } from './function-source-operator.ts'

function harness<T>(fn: SourceFunction<T>, options: FunctionSourceOptions & { batch?: boolean; clock?: SimulatedClock } = {}): ConnectorHarness {
  return new ConnectorHarness(new FunctionSourceOperator(fn as SourceFunction<never>, options), {
    batch: options.batch ?? false,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  })
}

const turn = () => new Promise(resolve => setImmediate(resolve))

/** Box and Muller. */
function gaussian(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}

/** The sensor source of the seed (S0:308): ten sensors move every 100 ms and share one timestamp. */
class MySensorSource implements SourceFunction<{ id: string; timestamp: number; temperature: number }> {
  private running = true
  private readonly clock: SimulatedClock
  constructor(clock: SimulatedClock) {
    this.clock = clock
  }
  async run(ctx: SourceContext<{ id: string; timestamp: number; temperature: number }>): Promise<void> {
    const random = seededRandom(7)
    const temperatures = new Map(Array.from({ length: 10 }, (_, i) => [`sensor_${i + 1}`, 65 + 20 * gaussian(random)]))
    while (this.running) {
      const timestamp = this.clock.nowMs()
      for (const [id, temperature] of temperatures) {
        const moved = temperature + gaussian(random)
        temperatures.set(id, moved)
        await ctx.collect({ id, timestamp, temperature: moved })
      }
      await sleep(this.clock, 100)
    }
  }
  cancel(): void {
    this.running = false
  }
}

describe('own source', () => {
  test('the sensor source emits ten readings every 100 ms that share a timestamp, and cancel ends it', async () => {
    const clock = new SimulatedClock(1_000)
    const source = harness(new MySensorSource(clock), { clock })
    await source.open()
    for (let i = 0; i < 5; i++) {
      expect(source.poll()).not.toBe('end')
      await turn()
      source.poll()
      clock.advanceBy(100)
      await turn()
    }
    source.poll()
    const rows = source.values() as { id: string; timestamp: number; temperature: number }[]
    expect(rows.length % 10).toBe(0)
    expect(rows.length).toBeGreaterThanOrEqual(50)
    expect(rows.slice(10, 20).map(row => row.id)).toEqual(Array.from({ length: 10 }, (_, i) => `sensor_${i + 1}`))
    for (let i = 0; i < rows.length; i += 10) expect(new Set(rows.slice(i, i + 10).map(row => row.timestamp)).size).toBe(1)
    for (let i = 1; i < rows.length; i++) expect(rows[i]!.timestamp).toBeGreaterThanOrEqual(rows[i - 1]!.timestamp)
    const closing = source.close()
    clock.advanceBy(100)
    await closing
    const count = source.rows.length
    clock.advanceBy(1_000)
    expect(source.rows.length).toBe(count)
  })

  test('a run that returns at once is a bounded source, in order with timestamps and watermarks', async () => {
    const source = harness<string>({
      run(ctx) {
        ctx.collectWithTimestamp('a', 5)
        ctx.emitWatermark(4)
        ctx.collect('b')
        ctx.markAsTemporarilyIdle()
        ctx.collect('c')
      },
      cancel() {},
    })
    await source.open()
    await source.run()
    expect(source.rows).toEqual([
      { value: 'a', timestamp: 5 },
      { value: 'b', timestamp: Number.NaN },
      { value: 'c', timestamp: Number.NaN },
    ])
    expect(source.watermarks).toEqual([4])
    expect(source.statuses).toEqual([true, false])
    await source.close()
  })

  test('in batch mode its watermarks are held back', async () => {
    const source = harness<string>({ run: ctx => ctx.emitWatermark(4), cancel() {} }, { batch: true })
    await source.open()
    await source.run()
    expect(source.watermarks).toEqual([])
    await source.close()
  })

  test('a source that awaits collect is never further ahead than the high mark', async () => {
    let collected = 0
    const source = harness<number>(
      {
        async run(ctx) {
          for (; collected < 1_000; collected++) await ctx.collect(collected)
        },
        cancel() {},
      },
      { bufferHighMark: 16 },
    )
    source.rowsPerPoll = 1
    await source.open()
    let ahead = 0
    await source.run(() => {
      ahead = Math.max(ahead, collected - source.rows.length)
      return false
    })
    expect(source.values()).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    expect(ahead).toBeLessThanOrEqual(17)
    await source.close()
  })

  test('one that never awaits gets an error that says what to do', async () => {
    const source = harness<number>(
      {
        run(ctx) {
          for (let i = 0; ; i++) ctx.collect(i)
        },
        cancel() {},
      },
      { bufferSizeMax: 100 },
    )
    await source.open()
    expect(() => source.poll()).toThrow(/collected 100 rows without waiting: await the promise that collect returns/)
    await source.close()
  })

  test('what run throws fails the task with the operator named', async () => {
    const source = harness<number>({
      async run(ctx) {
        await ctx.collect(1)
        throw new TypeError('broken')
      },
      cancel() {},
    })
    await source.open()
    await expect(source.run()).rejects.toMatchObject({ code: 'USER_FUNCTION', message: expect.stringMatching(/connector under test.*broken/) })
    await source.close()
  })

  test('cancel is called once, lets go whoever waits in collect, and what is thrown afterwards is ignored', async () => {
    let cancelled = 0
    let closed = 0
    const source = harness<number>(
      {
        async run(ctx) {
          for (let i = 0; ; i++) await ctx.collect(i)
        },
        cancel() {
          cancelled++
        },
        close() {
          closed++
        },
      },
      { bufferHighMark: 4 },
    )
    await source.open()
    source.rowsPerPoll = 0
    source.poll()
    await turn()
    await source.close()
    expect([cancelled, closed, source.failure]).toEqual([1, 1, undefined])
  })

  test('a run that never ends after cancel is given up at the deadline', async () => {
    const clock = new SimulatedClock()
    const source = harness<number>({ run: () => new Promise(() => {}), cancel() {} }, { clock, cancelTimeoutMs: 500 })
    await source.open()
    source.poll()
    const closing = source.close()
    await turn()
    clock.advanceBy(500)
    await closing
  })

  test('cancel is not called for a run that has ended', async () => {
    let cancelled = 0
    const source = harness<number>({
      run() {},
      cancel() {
        cancelled++
      },
    })
    await source.open()
    await source.run()
    await source.close()
    expect(cancelled).toBe(0)
  })
})
