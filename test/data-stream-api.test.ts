import { describe, expect, test } from 'vitest'
import {
  type Collector,
  DataGeneratorSource,
  type KeyedBroadcastContext,
  type KeyedBroadcastReadOnlyContext,
  type ListState,
  ListStateDescriptor,
  MapStateDescriptor,
  ParameterTool,
  type RuntimeContext,
  type SourceOutput,
  type StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../bin/api.ts'
import { finishInProcess, runInProcess } from './support/in-process-job.ts'

/** What users' functions meet when a job really runs: shapes that the API accepts, and mistakes that only rows can show. */
async function lines(program: (env: StreamExecutionEnvironment) => unknown, options: Parameters<typeof finishInProcess>[1] = {}) {
  const { stdout } = await finishInProcess(program, options)
  return stdout.trimEnd().split('\n')
}

/** How many rows of its key it has seen, with each row. */
class Counting {
  private readonly descriptor = new ValueStateDescriptor('seen', Types.INT)
  private seen: ValueState<number> | undefined

  open(context: RuntimeContext) {
    this.seen = context.getState(this.descriptor)
  }

  map(value: string): string {
    const count = (this.seen?.value() ?? 0) + 1
    this.seen?.update(count)
    return `${value} ${count}`
  }
}

describe('functions', () => {
  test('a rich map on a keyed stream keeps state of each key', async () => {
    const printed = await lines(env =>
      env
        .fromElements('a', 'b', 'a', 'a', 'b')
        .keyBy(x => x)
        .map(new Counting())
        .print(),
    )
    expect(printed).toEqual(['a 1', 'b 1', 'a 2', 'a 3', 'b 2'])
  })

  test('flatMap takes arrays, generators and a collector alike', async () => {
    const words = ['a', 'b', 'c']
    const shapes: ((env: StreamExecutionEnvironment) => unknown)[] = [
      env =>
        env
          .fromElements('a b', 'c')
          .flatMap(line => line.split(' '))
          .print(),
      env =>
        env
          .fromElements('a b', 'c')
          .flatMap(function* (line) {
            yield* line.split(' ')
          })
          .print(),
      env =>
        env
          .fromElements('a b', 'c')
          .flatMap((line, out: Collector<string>) => line.split(' ').forEach(word => void out.collect(word)))
          .print(),
    ]
    for (const shape of shapes) expect(await lines(shape)).toEqual(words)
  })

  test.each<[string, (env: StreamExecutionEnvironment) => unknown, RegExp]>([
    [
      'a flatMap that forgot its collector',
      env =>
        env
          .fromElements('a')
          .flatMap(((_line: string) => undefined) as never)
          .print(),
      /with one parameter must return an array .* got undefined/,
    ],
    [
      'a map that returns a promise',
      env =>
        env
          .fromElements('a')
          .map(x => Promise.resolve(x))
          .print(),
      /map returned a promise/,
    ],
    [
      'a row without its key field',
      env =>
        env
          .fromElements<Record<string, string>>({ shop: 'a' }, {})
          .keyBy('shop')
          .map(x => x)
          .print(),
      /a row has no field shop/,
    ],
  ])('%s fails the job with advice', async (_what, program, message) => {
    const { state, error } = await runInProcess(program)
    expect(state).toBe('FAILED')
    expect(error?.message).toMatch(message)
  })
})

describe('split', () => {
  test('a row with two names that are selected together comes out once', async () => {
    const printed = await lines(env => {
      const split = env.fromSequence(1, 6).split(x => [x % 2 === 0 ? 'even' : 'odd', ...(x > 3 ? ['large'] : [])])
      split.select('even', 'large').print('both')
      split.select('large').print('large')
    })
    expect(printed.filter(line => line.startsWith('both')).sort()).toEqual(['both> 2', 'both> 4', 'both> 5', 'both> 6'])
    expect(printed.filter(line => line.startsWith('large')).sort()).toEqual(['large> 4', 'large> 5', 'large> 6'])
  })
})

describe('own sources', () => {
  test('of splits: each split is read once, over all subtasks', async () => {
    const source = {
      boundedness: 'BOUNDED' as const,
      producedType: Types.STRING,
      createSplits: () => ['a', 'b', 'c'].map(splitId => ({ splitId })),
      createReader: () => {
        const splits: { splitId: string }[] = []
        let ended = false
        return {
          addSplits: (more: readonly { splitId: string }[]) => void splits.push(...more),
          noMoreSplits: () => {
            ended = true
          },
          poll(output: SourceOutput) {
            for (let split = splits.shift(); split !== undefined; split = splits.shift()) output.collect(split.splitId, Number.NaN)
            return ended ? ('end' as const) : ('nothing' as const)
          },
          snapshotSplits: () => splits,
          describePosition: () => 'own source',
          close() {},
        }
      },
    }
    const printed = await lines(
      env =>
        env
          .fromSource(source, WatermarkStrategy.noWatermarks(), 'own')
          .map(x => x)
          .print(),
      { parallelism: 2 },
    )
    expect(printed.map(line => line.replace(/^\d> /, '')).sort()).toEqual(['a', 'b', 'c'])
  })

  test('of rows by their index', async () => {
    const source = new DataGeneratorSource(i => i * i, { count: 4, type: Types.INT })
    expect(await lines(env => env.fromSource(source, WatermarkStrategy.noWatermarks(), 'squares').print())).toEqual(['0', '1', '4', '9'])
  })
})

test('job parameters reach functions', async () => {
  let brokers: unknown
  await lines(env => {
    env.getConfig().setGlobalJobParameters(ParameterTool.fromArgs(['--brokers', 'a:1,b:2']))
    env
      .fromElements('x')
      .map({
        open(context: RuntimeContext) {
          brokers = context.getGlobalJobParameters()['brokers']
        },
        map: (x: string) => x,
      })
      .print()
  })
  expect(brokers).toBe('a:1,b:2')
})

/** Rows wait for the factor, however the two inputs are interleaved; then all of them, of all keys, come out times it. */
class Multiplying {
  readonly waiting = new ListStateDescriptor('waiting', Types.INT)
  private state!: ListState<number>

  open(context: RuntimeContext) {
    this.state = context.getListState(this.waiting)
  }

  processElement(value: number, context: KeyedBroadcastReadOnlyContext<number>, out: Collector<number>) {
    const factor = context.getBroadcastState(factors).get('factor')
    if (factor === null) this.state.add(value)
    else out.collect(value * factor)
  }

  processBroadcastElement(factor: number, context: KeyedBroadcastContext<number>, out: Collector<number>) {
    context.getBroadcastState(factors).put('factor', factor)
    context.applyToKeyedState(this.waiting, (_key, state) => {
      for (const value of state.get()) out.collect(value * factor)
      state.clear()
    })
  }
}

const factors = new MapStateDescriptor('factors', Types.STRING, Types.INT)

describe('broadcast state', () => {
  test.each([1, 2, 3])('reaches the keys of every one of %i subtasks', async parallelism => {
    for (const seed of [1, 2, 3]) {
      const printed = await lines(
        env =>
          env
            .fromSequence(1, 40)
            .keyBy(value => value % 7)
            .connect(env.fromElements(10).broadcast(factors))
            .process(new Multiplying())
            .print(),
        { parallelism, seed, suspendEverywhere: true },
      )
      // Several subtasks put their number in front.
      const values = printed.map(line => Number(line.replace(/^\d+> /, '')))
      expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => (i + 1) * 10))
    }
  })
})
