import { describe, expect, test } from 'vitest'
import { type HarnessOptions, StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { FlinkError } from '../../common/errors.ts'
import { Types } from '../../serde/types.ts'
import { ValueStateDescriptor } from '../../state/descriptors.ts'
import { type Collector, normaliseFilter, normaliseMap, OutputTag, type ProcessContext, type RuntimeContext } from '../functions.ts'
import type { StreamOperator } from '../operator.ts'
import { CoMapOperator } from './co-map-operator.ts'
import { FilterOperator } from './filter-operator.ts'
import { FlatMapOperator } from './flat-map-operator.ts'
import { KeyedProcessOperator } from './keyed-process-operator.ts'
import { MapOperator } from './map-operator.ts'
import { ProcessOperator } from './process-operator.ts'
import { ReduceOperator } from './reduce-operator.ts'
import { SplitOperator } from './split-operator.ts'

const byValue = { select: (value: unknown) => value, type: Types.GENERIC }

const opened = (operator: StreamOperator, options: HarnessOptions = {}) => new StreamOperatorHarness(operator, options).open()

async function failure(action: () => unknown): Promise<FlinkError> {
  try {
    await action()
  } catch (error) {
    expect(error).toBeInstanceOf(FlinkError)
    return error as FlinkError
  }
  throw new Error('expected a failure')
}

describe('filter, split and connect', () => {
  test('a filter object and a filter lambda give the same rows', async () => {
    const lines = ['apache flink', 'spark', 'flink sql']
    const object = { word: 'flink', filter: (line: string) => line.includes('flink') }
    for (const fn of [normaliseFilter(object), normaliseFilter((line: string) => line.includes('flink'))]) {
      const harness = await opened(new FilterOperator(fn))
      for (const line of lines) harness.row(line)
      expect(harness.values()).toEqual(['apache flink', 'flink sql'])
    }
  })

  const scores: [string, number][] = [
    ['a', 80],
    ['b', 59],
    ['c', 60],
  ]

  test('split sends each row to the side outputs that its selector names', async () => {
    const harness = await opened(new SplitOperator(([, score]: [string, number]) => (score > 60 ? ['good'] : ['bad'])))
    for (const score of scores) harness.row(score)
    expect([harness.side('good'), harness.side('bad'), harness.values()]).toEqual([
      [['a', 80]],
      [
        ['b', 59],
        ['c', 60],
      ],
      [],
    ])
  })

  test('connected streams keep a function for each input', async () => {
    const harness = await opened(
      new CoMapOperator({
        map1: ([id]: [string, number]) => [id, '成绩异常优秀,奖励大红花一枚'],
        map2: ([id]: [string, number]) => [id, '成绩异常糟糕,没有任何奖励'],
      }),
    )
    harness.row(scores[0], Number.NaN, 0)
    harness.row(scores[1], Number.NaN, 1)
    expect(harness.values()).toEqual([
      ['a', '成绩异常优秀,奖励大红花一枚'],
      ['b', '成绩异常糟糕,没有任何奖励'],
    ])
  })

  test('rows keep their timestamps', async () => {
    const harness = await opened(
      new FlatMapOperator({ flatMap: (word: string, out: Collector<string>) => [...word].map(letter => out.collect(letter)) } as never),
    )
    harness.row('ab', 7)
    expect(harness.rows.map(({ value, timestamp }) => [value, timestamp])).toEqual([
      ['a', 7],
      ['b', 7],
    ])
  })
})

describe('what a user function throws', () => {
  test('names the operator and keeps the cause', async () => {
    const cause = new TypeError("cannot read 'x'")
    const harness = await opened(
      new MapOperator({
        map: () => {
          throw cause
        },
      }),
      { name: 'parse' },
    )
    const error = await failure(() => harness.row(1))
    expect([error.code, error.message, error.cause]).toEqual(['USER_FUNCTION', "operator parse: cannot read 'x'", cause])
  })

  test('is reported once when it comes through the collector of an operator above', async () => {
    const below = await opened(
      new MapOperator({
        map: () => {
          throw new Error('boom')
        },
      }),
      { name: 'below' },
    )
    const above = await opened(new FlatMapOperator({ flatMap: (value: unknown, out: Collector<unknown>) => out.collect(value) }), {
      name: 'above',
      next: below,
    })
    expect((await failure(() => above.row(1))).message).toBe('operator below: boom')
  })

  test('includes what is no Error, and what open or the key selector throw', async () => {
    const throwing = (what: unknown) => () => {
      throw what
    }
    const text = await opened(new MapOperator({ map: throwing('just text') }), { name: 'm' })
    expect((await failure(() => text.row(1))).message).toBe('operator m: just text')
    expect((await failure(() => opened(new MapOperator({ map: value => value, open: throwing(new Error('no file')) }), { name: 'm' }))).message).toBe(
      'operator m: no file',
    )
    const rejecting = { map: (value: unknown) => value, open: async () => throwing(new Error('no broker'))() }
    expect((await failure(() => opened(new MapOperator(rejecting), { name: 'm' }))).message).toBe('operator m: no broker')
    const keyed = await opened(
      new KeyedProcessOperator({ select: row => (row as { a: { b: string } }).a.b, type: Types.STRING }, { processElement: () => {} }),
      { name: 'k' },
    )
    expect((await failure(() => keyed.row({}))).message).toContain("operator k: Cannot read properties of undefined (reading 'b')")
  })

  test('a key that is null is refused', async () => {
    const harness = await opened(new KeyedProcessOperator(byValue, { processElement: () => {} }), { name: 'k' })
    expect((await failure(() => harness.row(null))).message).toBe('operator k: the key of a record is null; a key must not be null')
  })
})

describe('a promise', () => {
  const operators: [string, StreamOperator][] = [
    ['map', new MapOperator({ map: async (value: unknown) => value })],
    ['filter', new FilterOperator({ filter: (async () => true) as never })],
    ['flatMap', new FlatMapOperator({ flatMap: async () => {} })],
    ['map1', new CoMapOperator({ map1: async () => 1, map2: () => 1 })],
    ['processElement', new ProcessOperator({ processElement: async () => {} })],
    ['processElement', new KeyedProcessOperator(byValue, { processElement: async () => {} })],
    ['the selector of split', new SplitOperator((async () => []) as never)],
  ]
  test.each(operators)('from %s fails on the first record with advice', async (what, operator) => {
    const harness = await opened(operator, { name: 'lookup' })
    const error = await failure(() => harness.row(1))
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.message).toContain(`operator lookup: ${what} returned a promise`)
    expect(error.message).toContain('AsyncDataStream')
  })

  test('from reduce fails on the second record of a key', async () => {
    const harness = await opened(
      new ReduceOperator({ select: () => 'k', type: Types.STRING }, { reduce: async () => 1 } as never, Types.INT, { finalOnly: false }),
    )
    harness.row(1)
    expect((await failure(() => harness.row(2))).message).toContain('reduce returned a promise')
  })

  test('that rejects does not end the process', async () => {
    const harness = await opened(new MapOperator({ map: () => Promise.reject(new Error('later')) }))
    await failure(() => harness.row(1))
    await new Promise(resolve => setImmediate(resolve))
  })
})

describe('life of a function', () => {
  test('open sees the runtime context, close comes once and also after a failed open', async () => {
    const calls: unknown[] = []
    const fn = {
      map: (value: unknown) => value,
      open: (context: RuntimeContext) => {
        calls.push([
          context.getTaskName(),
          context.getIndexOfThisSubtask(),
          context.getNumberOfParallelSubtasks(),
          context.getMaxNumberOfParallelSubtasks(),
          context.getAttemptNumber(),
          context.getJobName(),
        ])
        throw new Error('half way')
      },
      close: () => void calls.push('close'),
    }
    const harness = new StreamOperatorHarness(new MapOperator(fn), { name: 'Map', subtaskIndex: 1, parallelism: 4 })
    await failure(() => harness.open())
    await harness.close()
    await harness.close()
    expect(calls).toEqual([['Map', 1, 4, 128, 0, 'harness'], 'close'])
  })

  test('a function that was never opened is not closed', async () => {
    let closed = 0
    await new StreamOperatorHarness(new MapOperator({ map: value => value, close: () => void closed++ })).close()
    expect(closed).toBe(0)
  })

  test('keyed state on a stream without keys is refused', async () => {
    const count = new ValueStateDescriptor('count', Types.INT)
    const fn = { count, map: (value: unknown) => value, open: (context: RuntimeContext) => void context.getState(count) }
    expect((await failure(() => opened(new MapOperator(fn)))).message).toContain(
      "Keyed state can only be used on a 'keyed stream', i.e., after a 'keyBy()' operation. There, make its descriptor a field of the function object.",
    )
  })

  test('connected streams with keys of different types are refused', () => {
    const keys = [byValue, { select: (value: unknown) => value, type: Types.INT }] as const
    expect(() => new StreamOperatorHarness(new CoMapOperator({ map1: value => value, map2: value => value }, keys), { name: 'c' })).toThrow(
      'operator c: its inputs are keyed by GENERIC and by INT',
    )
  })

  test('an undeclared state is refused', async () => {
    const fn = {
      map: (value: unknown) => value,
      open: (context: RuntimeContext) => void context.getState(new ValueStateDescriptor('hidden', Types.INT)),
    }
    expect((await failure(() => opened(new MapOperator(fn, byValue), { name: 'm' }))).message).toContain('operator m: state hidden is not declared')
  })
})

describe('ProcessFunction without keys', () => {
  const alarms = new OutputTag<string>('freezing-alarms')

  test('writes side outputs beside the main output', async () => {
    // XE15
    const harness = await opened(
      new ProcessOperator({
        processElement: ([id, temperature]: [string, number], context: ProcessContext, out: Collector<unknown>) => {
          if (temperature < 32) context.output(alarms, `Freezing Alarm for ${id}`)
          out.collect(id)
        },
      }),
    )
    for (const reading of [
      ['s1', 31.9],
      ['s1', 32.0],
      ['s2', -5],
    ])
      harness.row(reading)
    expect([harness.values(), harness.side('freezing-alarms')]).toEqual([
      ['s1', 's1', 's2'],
      ['Freezing Alarm for s1', 'Freezing Alarm for s2'],
    ])
  })

  test('may ask for the time but not set or delete timers', async () => {
    const seen: unknown[] = []
    const harness = await opened(
      new ProcessOperator({
        processElement: (action: keyof ReturnType<ProcessContext['timerService']>, context: ProcessContext) =>
          void seen.push(context.timestamp(), context.timerService()[action](1)),
      }),
    )
    harness.advanceTo(5_000)
    harness.row('currentProcessingTime')
    harness.watermark(1_999)
    harness.row('currentWatermark', 7)
    expect(seen).toEqual([null, 5_000, 7, 1_999])
    for (const domain of ['EventTime', 'ProcessingTime']) {
      expect((await failure(() => harness.row(`register${domain}Timer`))).message).toBe('Setting timers is only supported on a keyed streams.')
      expect((await failure(() => harness.row(`delete${domain}Timer`))).message).toBe('Deleting timers is only supported on a keyed streams.')
    }
  })
})

test('what is no function at all is refused while the graph is built', () => {
  expect(() => normaliseMap({ maps: () => 1 } as never)).toThrow('map function: expected a function or an object with map; map is missing')
})
