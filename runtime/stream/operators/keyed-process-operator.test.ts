import { describe, expect, test } from 'vitest'
import { type HarnessOptions, StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { keyGroupOf, subtaskOfKeyGroup } from '../../serde/key-groups.ts'
import { Types } from '../../serde/types.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import { formatWatermark } from '../../time/watermark.ts'
import { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import { type Collector, type KeyedProcessContext, type KeyedProcessFunction, type OnTimerContext, OutputTag } from '../functions.ts'
import { KeyedProcessOperator } from './keyed-process-operator.ts'
import { TimestampsAndWatermarksOperator } from './timestamps-and-watermarks-operator.ts'

type Context = KeyedProcessContext<string>

const byFirst = { select: (value: unknown) => (value as unknown[])[0], type: Types.STRING }

function opened(fn: KeyedProcessFunction<string, never, unknown>, options: HarnessOptions = {}) {
  return new StreamOperatorHarness(new KeyedProcessOperator(byFirst, fn as KeyedProcessFunction<unknown, unknown, unknown>), options).open()
}

/** Rows are [key, what to do with the timer service, time]. */
const timerFunction = {
  processElement: ([, method, time]: [string, keyof ReturnType<Context['timerService']>, number], context: Context) =>
    void context.timerService()[method](time),
  onTimer: (timestamp: number, context: OnTimerContext<string>, out: Collector<unknown>) =>
    out.collect([context.getCurrentKey(), timestamp, context.timeDomain()]),
}

describe('timers', () => {
  test('of one key and time fire once, of other keys on their own, deleted ones never', async () => {
    const harness = await opened(timerFunction as never)
    for (const key of ['a', 'a', 'b']) harness.row([key, 'registerEventTimeTimer', 1_000])
    harness.row(['c', 'registerEventTimeTimer', 1_000])
    harness.row(['c', 'deleteEventTimeTimer', 1_000])
    harness.row(['c', 'deleteEventTimeTimer', 999])
    harness.watermark(999)
    expect(harness.values()).toEqual([])
    harness.watermark(1_000)
    expect(harness.values()).toEqual([
      ['a', 1_000, 'EVENT_TIME'],
      ['b', 1_000, 'EVENT_TIME'],
    ])
    harness.watermark(5_000)
    expect(harness.values()).toHaveLength(2)
  })

  test('that coalesce to a time already past fire at the next watermark', async () => {
    const fn = {
      processElement: ([, time]: [string, number], context: Context) =>
        context.timerService().registerEventTimeTimer(Math.floor(time / 1_000) * 1_000),
      onTimer: timerFunction.onTimer,
    }
    const harness = await opened(fn as never)
    harness.watermark(1_200)
    harness.row(['a', 1_234])
    harness.row(['a', 1_999])
    expect(harness.values()).toEqual([])
    harness.watermark(1_201)
    expect(harness.values()).toEqual([['a', 1_000, 'EVENT_TIME']])
  })

  test('fire in ascending time, and those that callbacks add up to the watermark fire with it', async () => {
    const fn = {
      processElement: ([, time]: [string, number], context: Context) => context.timerService().registerEventTimeTimer(time),
      onTimer: (timestamp: number, context: OnTimerContext<string>, out: Collector<unknown>) => {
        out.collect(timestamp)
        if (timestamp < 50) context.timerService().registerEventTimeTimer(timestamp + 15)
      },
    }
    const harness = await opened(fn as never)
    for (const time of [30, 10, 20]) harness.row(['a', time])
    harness.watermark(45)
    expect(harness.values()).toEqual([10, 20, 25, 30, 35, 40, 45])
  })

  test('of the processing-time clock fire at their time, not before, and not at the end of the input', async () => {
    // XE17
    const fn = {
      processElement: (_: unknown, context: Context, out: Collector<unknown>) => {
        const now = context.timerService().currentProcessingTime()
        out.collect(`数据到达,到达时间:${now}`)
        context.timerService().registerProcessingTimeTimer(now + 10_000)
      },
      onTimer: (timestamp: number, _: unknown, out: Collector<unknown>) => out.collect(`定时器触发,触发时间:${timestamp}`),
    }
    const harness = await opened(fn as never)
    harness.row(['a'], 5)
    expect(harness.wakeCount).toBe(1)
    harness.advanceTo(9_999)
    expect(harness.values()).toEqual(['数据到达,到达时间:0'])
    harness.advanceTo(10_000)
    expect(harness.values()).toEqual(['数据到达,到达时间:0', '定时器触发,触发时间:10000'])
    expect(harness.rows.map(row => row.timestamp)).toEqual([5, Number.NaN])
    harness.row(['a'])
    harness.end()
    expect(harness.values()).toHaveLength(3)
  })

  test('take the bigints of LONG fields, and refuse what is no time', async () => {
    const harness = await opened(timerFunction as never, { name: 'alarm' })
    harness.row(['a', 'registerEventTimeTimer', 10n])
    harness.watermark(10)
    expect(harness.values()).toEqual([['a', 10, 'EVENT_TIME']])
    expect(() => harness.row(['a', 'registerEventTimeTimer', undefined])).toThrow("a timer's time must be a number of milliseconds, got undefined")
  })
})

test('the timer of a record fires when the watermark reaches it, the last ones at the end of the input', async () => {
  // XE18: ascending timestamps, 200 ms between watermarks, a timer 10 s behind each record, pauses of 5 s.
  const lines: string[] = []
  const fn = {
    processElement: (_: unknown, context: Context) => {
      lines.push(`${context.timestamp()} / ${formatWatermark(context.timerService().currentWatermark())}`)
      context.timerService().registerEventTimeTimer((context.timestamp() ?? Number.NaN) + 10_000)
    },
    onTimer: (timestamp: number, context: OnTimerContext<string>) =>
      void lines.push(`fired ${timestamp} / ${formatWatermark(context.timerService().currentWatermark())}`),
  }
  const timers = await opened(fn as never)
  const strategy = WatermarkStrategy.forMonotonousTimestamps<[string, number]>().withTimestampAssigner(([, time]: [string, number]) => time)
  const assigner = await new StreamOperatorHarness(new TimestampsAndWatermarksOperator(strategy), {
    next: timers,
    autoWatermarkIntervalMs: 200,
  }).open()
  for (const time of [1_000, 11_000, 11_001]) {
    assigner.row(['key', time])
    assigner.advanceBy(time === 11_001 ? 200 : 5_000)
  }
  expect(lines).toEqual(['1000 / -9223372036854775808', '11000 / 999', '11001 / 10999', 'fired 11000 / 11000'])
  assigner.advanceBy(5_000)
  assigner.end()
  expect(lines.slice(4)).toEqual(['fired 21000 / 9223372036854775807', 'fired 21001 / 9223372036854775807'])
})

describe('the context', () => {
  const tag = new OutputTag<string>('side')

  test('knows key, timestamp and domain, of the timer in onTimer', async () => {
    const seen: unknown[] = []
    const fn = {
      processElement: (_: unknown, context: Context) => {
        seen.push([context.getCurrentKey(), context.timestamp()])
        context.timerService().registerEventTimeTimer(20)
        context.timerService().registerProcessingTimeTimer(30)
      },
      onTimer: (_: number, context: OnTimerContext<string>) => {
        seen.push([context.getCurrentKey(), context.timestamp(), context.timeDomain()])
        context.output(tag, 'x')
      },
    }
    const harness = await opened(fn as never)
    harness.row(['a'])
    harness.row(['b'], 7)
    harness.watermark(20)
    harness.advanceTo(30)
    expect(seen).toEqual([
      ['a', null],
      ['b', 7],
      ['a', 20, 'EVENT_TIME'],
      ['b', 20, 'EVENT_TIME'],
      ['a', 30, 'PROCESSING_TIME'],
      ['b', 30, 'PROCESSING_TIME'],
    ])
    expect(harness.rows.map(row => [row.tag, row.timestamp])).toEqual([
      ['side', 20],
      ['side', 20],
      ['side', Number.NaN],
      ['side', Number.NaN],
    ])
  })

  test('has no time domain outside of onTimer', async () => {
    const harness = await opened({ processElement: (_: unknown, context: OnTimerContext<string>) => void context.timeDomain() } as never)
    expect(() => harness.row(['a'])).toThrow('timeDomain() exists only in onTimer')
  })
})

describe('timers behind a restore', () => {
  /** Of several times a key; every third is deleted again. */
  const keys = Array.from({ length: 12 }, (_, i) => `k${i}`)
  const timesOf = (i: number) => [100 + i * 10, 900 - i * 10, 5_000 + i]

  test.each([
    [1, 1],
    [1, 3],
    [3, 2],
    [2, 5],
  ])('%i subtasks restored as %i: what is overdue fires at once, once each, in order of time; event time waits', async (before, after) => {
    const maxParallelism = 16
    const ownerOf = (key: string, parallelism: number) =>
      subtaskOfKeyGroup(keyGroupOf(Types.STRING, key, maxParallelism), maxParallelism, parallelism)
    const start = (parallelism: number, parts: readonly (OperatorSnapshot | undefined)[]) =>
      Promise.all(
        Array.from({ length: parallelism }, (_, subtaskIndex) => {
          const operator = new KeyedProcessOperator(byFirst, timerFunction as never)
          return new StreamOperatorHarness(operator, { subtaskIndex, parallelism, maxParallelism }).open(parts[subtaskIndex])
        }),
      )
    const old = await start(before, [])
    for (const [i, key] of keys.entries()) {
      const subtask = old[ownerOf(key, before)] as StreamOperatorHarness
      // Registered twice is registered once.
      for (const method of ['registerProcessingTimeTimer', 'registerEventTimeTimer'] as const)
        for (const time of [...timesOf(i), ...timesOf(i)]) subtask.row([key, method, time])
      if (i % 3 === 0) subtask.row([key, 'deleteProcessingTimeTimer', timesOf(i)[0]])
    }
    const snapshots = old.map(subtask => {
      subtask.advanceTo(50)
      return subtask.snapshot()
    })
    const subtasks = await start(after, redistribute(snapshots, after, maxParallelism))
    const fired: unknown[][] = []
    for (const [subtaskIndex, subtask] of subtasks.entries()) {
      const own = keys.map((key, i) => ({ key, i })).filter(({ key }) => ownerOf(key, after) === subtaskIndex)
      // The job was away for a second.
      subtask.clock.advanceTo(1_050)
      expect(subtask.operator.nextTimerMs?.()).toBe(Math.min(Number.POSITIVE_INFINITY, ...own.flatMap(({ i }) => overdue(i))))
      subtask.fireTimers()
      const values = subtask.values() as [string, number, string][]
      expect(values.map(([, time]) => time)).toEqual(own.flatMap(({ i }) => overdue(i)).sort((a, b) => a - b))
      expect(values.every(([, , domain]) => domain === 'PROCESSING_TIME')).toBe(true)
      subtask.fireTimers()
      expect(subtask.values(), 'once each').toHaveLength(values.length)
      subtask.watermark(950)
      fired.push(...(subtask.values().slice(values.length) as unknown[][]))
    }
    expect(fired.sort()).toEqual(
      keys
        .flatMap((key, i) =>
          timesOf(i)
            .filter(time => time <= 950)
            .map(time => [key, time, 'EVENT_TIME']),
        )
        .sort(),
    )
    function overdue(i: number): number[] {
      return timesOf(i).filter((time, which) => time <= 1_050 && !(i % 3 === 0 && which === 0))
    }
  })
})
