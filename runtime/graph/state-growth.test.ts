import { expect, test } from 'vitest'
import {
  type Collector,
  MapStateDescriptor,
  type RuntimeContext,
  StateTtlConfig,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  Types,
  ValueStateDescriptor,
} from '../../bin/api.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { planText } from './plan-text.ts'

class Keeping {
  readonly last = new ValueStateDescriptor('last', Types.INT)
  open(context: RuntimeContext): void {
    context.getState(this.last).value()
  }
  map(value: number): number {
    return value
  }
}

class Expiring extends Keeping {
  constructor() {
    super()
    this.last.enableTimeToLive(StateTtlConfig.newBuilder('1 h').build())
  }
}

class Clearing extends Keeping {
  override map(value: number): number {
    if (value < 0) this.forget({ clear: () => {} })
    return value
  }
  private forget(state: { clear(): void }): void {
    state.clear()
  }
}

const rules = new MapStateDescriptor('rules', Types.STRING, Types.INT)
const warned = (build: (env: StreamExecutionEnvironment) => unknown, mode: 'STREAMING' | 'BATCH' = 'STREAMING') => {
  const env = StreamExecutionEnvironment.createForProgram({ client: { 'execution.runtime-mode': mode } })
  build(env)
  const graph = env.getStreamGraph()
  return planText(buildJobGraph(graph), graph)
    .split('\n')
    .filter(line => line.includes('warning: '))
    .map(line => line.trim())
}
const numbers = (env: StreamExecutionEnvironment) => env.fromCollection([1], Types.INT).keyBy(x => x, Types.INT)

test('info warns of state that never shrinks', () => {
  const everyKey = 'warning: its state never shrinks: it keeps a value for every key that it has seen (docs/state.md)'
  expect(warned(env => numbers(env).reduce((a, b) => a + b))).toEqual([everyKey])
  for (const method of ['sum', 'min', 'max', 'minBy', 'maxBy'] as const)
    expect(
      warned(env =>
        env
          .fromCollection([['a', 1]], Types.tuple(Types.STRING, Types.INT))
          .keyBy(0)
          [method](1 as never),
      ),
    ).toEqual([everyKey])
  expect(warned(env => numbers(env).map(new Keeping()))).toEqual([
    "warning: state 'last' never shrinks: it has no TTL, and its function never clears it (docs/state.md)",
  ])
})

test('and not of state that expires, is cleared, is a window or broadcast, or of a batch job', () => {
  expect(warned(env => numbers(env).map(new Expiring()))).toEqual([])
  expect(warned(env => numbers(env).map(new Clearing()))).toEqual([])
  expect(
    warned(env =>
      numbers(env)
        .window(TumblingEventTimeWindows.of('1 s'))
        .reduce((a, b) => a + b),
    ),
  ).toEqual([])
  expect(warned(env => numbers(env).reduce((a, b) => a + b), 'BATCH')).toEqual([])
  const fn = { rules, processElement: (_: number, _context: unknown, _out: Collector<number>) => {}, processBroadcastElement() {} }
  expect(warned(env => env.fromElements(1).connect(env.fromElements(2).broadcast(rules)).process(fn))).toEqual([])
})
