import { describe, expect, test } from 'vitest'
import {
  type Collector,
  type DataStream,
  OutputTag,
  type SingleOutputStreamOperator,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  Types,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../bin/api.ts'
import type { StreamGraph, StreamNode } from '../graph/stream-graph.ts'

const newEnvironment = () => StreamExecutionEnvironment.createForProgram({})
const pair = Types.tuple(Types.STRING, Types.INT)
const order = Types.row({ shop: Types.STRING, amount: Types.DOUBLE, note: Types.STRING })
const someOrders = [{ shop: 'a', amount: 1.5, note: '' }]

function graphOf(build: (env: StreamExecutionEnvironment) => unknown): StreamGraph {
  const env = newEnvironment()
  build(env)
  return env.getStreamGraph()
}

function nodeNamed(graph: StreamGraph, name: string): StreamNode {
  const found = graph.nodes.find(node => node.name === name)
  if (found === undefined) throw new Error(`no node ${name} among ${graph.nodes.map(node => node.name)}`)
  return found
}

function partitionersOf(graph: StreamGraph, name: string): string[] {
  return nodeNamed(graph, name).inputs.map(edge => edge.partitioner.kind)
}

describe('types while the graph is built', () => {
  test('sources declare them, filter and keyed aggregations keep them, functions make them GENERIC until returns', () => {
    const graph = graphOf(env =>
      env
        .fromElements('a b')
        .flatMap(line => line.split(' '))
        .map(word => [word, 1])
        .returns(pair)
        .filter(() => true)
        .keyBy(0)
        .sum(1)
        .print(),
    )
    expect(graph.nodes.map(node => `${node.name}: ${node.outputType}`)).toEqual([
      'Collection Source: GENERIC',
      'Flat Map: GENERIC',
      'Map: TUPLE<STRING, INT>',
      'Filter: TUPLE<STRING, INT>',
      'Keyed Aggregation: TUPLE<STRING, INT>',
      'Print to Std. Out: VOID',
    ])
  })

  test('returns after the stream was used is refused', () => {
    const mapped = newEnvironment()
      .fromElements(1)
      .map(x => x)
    mapped.print()
    expect(() => mapped.returns(Types.INT)).toThrow("operator 'Map': returns must stand before the stream is used")
  })

  test('union of two declared types names both', () => {
    const env = newEnvironment()
    const strings = env.fromCollection(['a'], Types.STRING)
    const numbers = env.fromCollection([1], Types.INT)
    expect(() => strings.union(numbers as unknown as DataStream<string>)).toThrow(/one type, got STRING and INT/)
  })

  test('union with an undeclared type is undeclared', () => {
    const env = newEnvironment()
    expect(`${env.fromCollection(['a'], Types.STRING).union(env.fromElements('b')).getType()}`).toBe('GENERIC')
    expect(
      `${env
        .fromCollection(['a'], Types.STRING)
        .union(env.fromCollection(['b'], Types.STRING))
        .getType()}`,
    ).toBe('STRING')
  })
})

describe('keyBy', () => {
  const keyTypeOf = <T>(build: (env: StreamExecutionEnvironment) => DataStream<T>) => {
    const graph = graphOf(env => build(env).print())
    const partitioner = nodeNamed(graph, 'Print to Std. Out').inputs[0]?.partitioner
    return `${partitioner?.kind} ${partitioner?.key?.type} ${partitioner?.key?.description}`
  }
  const tuples = (env: StreamExecutionEnvironment) => env.fromCollection<[string, number]>([['a', 1]], pair)
  const orders = (env: StreamExecutionEnvironment) => env.fromCollection(someOrders, order)

  test('takes a position, a name, several of them or a function', () => {
    expect(keyTypeOf(env => tuples(env).keyBy(0))).toBe('HASH STRING position 0')
    expect(keyTypeOf(env => orders(env).keyBy('amount'))).toBe('HASH DOUBLE field amount')
    expect(keyTypeOf(env => orders(env).keyBy('shop', 'amount'))).toBe('HASH TUPLE<STRING, DOUBLE> field shop, field amount')
    expect(keyTypeOf(env => orders(env).keyBy(o => o.shop.length))).toMatch(/^HASH GENERIC .*o\.shop\.length/)
    expect(keyTypeOf(env => orders(env).keyBy(o => o.shop.length, Types.INT))).toMatch(/^HASH INT /)
  })

  test('a function that only reads a field has the type of that field', () => {
    expect(keyTypeOf(env => orders(env).keyBy(o => o.shop))).toMatch(/^HASH STRING /)
    expect(keyTypeOf(env => tuples(env).keyBy(t => t[1]))).toMatch(/^HASH INT /)
  })

  test('a field that the declared type does not have is refused, naming the type', () => {
    const env = newEnvironment()
    // @ts-expect-error the compiler refuses it too
    expect(() => tuples(env).keyBy(2)).toThrow('keyBy: position 2 is outside TUPLE<STRING, INT>, which has 2 fields counted from 0')
    // @ts-expect-error the compiler refuses it too
    expect(() => orders(env).keyBy('shopp')).toThrow("has no field 'shopp', did you mean 'shop'?")
    // @ts-expect-error the compiler refuses it too
    expect(() => orders(env).keyBy(0)).toThrow('has names, not positions')
    expect(() => env.fromCollection(['a'], Types.STRING).keyBy('length' as never)).toThrow('STRING has no fields')
  })

  test('a row without the key field fails instead of sharing the key undefined', () => {
    const graph = graphOf(env => env.fromElements<Record<string, unknown>>({}).keyBy('shop').print())
    const select = nodeNamed(graph, 'Print to Std. Out').inputs[0]?.partitioner.key?.select as (value: unknown) => unknown
    expect(select({ shop: 'a' })).toBe('a')
    expect(() => select({})).toThrow('keyBy: a row has no field shop')
  })
})

describe('aggregations', () => {
  const keyed = () => newEnvironment().fromCollection(someOrders, order).keyBy('shop')

  test('a field that is not numeric, or not there, is refused by sum', () => {
    // @ts-expect-error the compiler refuses it too
    expect(() => keyed().sum('note')).toThrow(/STRING is not a numeric type/)
    // @ts-expect-error the compiler refuses it too
    expect(() => keyed().sum('amounts')).toThrow(/no field 'amounts', did you mean 'amount'/)
  })

  test('a function that reads a field stands for it; any other one is only for minBy and maxBy', () => {
    const options = <T>(build: (s: ReturnType<typeof keyed>) => SingleOutputStreamOperator<T>) =>
      graphOf(env => build(env.fromCollection(someOrders, order).keyBy('shop')).print()).nodes[1]?.definition
    expect(options(s => s.sum(o => o.amount))?.options).toEqual({ aggregation: 'sum', field: 'amount' })
    expect(options(s => s.maxBy(o => o.amount * 2))?.functions.map(fn => fn.role)).toContain('maxBy')
    expect(() => keyed().sum(o => o.amount * 2)).toThrow(/only reads one field/)
  })
})

describe('the shape of the graph', () => {
  test('every partitioner stands on the edge to the next operator', () => {
    const graph = graphOf(env => {
      const source = env.fromElements(1)
      source
        .rebalance()
        .map(x => x)
        .name('rebalance')
      source
        .rescale()
        .map(x => x)
        .name('rescale')
      source
        .shuffle()
        .map(x => x)
        .name('shuffle')
      source
        .broadcast()
        .map(x => x)
        .name('broadcast')
      source
        .global()
        .map(x => x)
        .name('global')
      source
        .forward()
        .map(x => x)
        .name('forward')
      source
        .partitionCustom(
          (key: number, count) => key % count,
          x => x,
        )
        .map(x => x)
        .name('custom')
      source.map(x => x).name('default')
    })
    for (const name of ['rebalance', 'rescale', 'shuffle', 'broadcast', 'global', 'forward', 'custom'])
      expect(partitionersOf(graph, name)).toEqual([name.toUpperCase()])
    expect(nodeNamed(graph, 'forward').inputs[0]?.partitioner.explicit).toBe(true)
    expect(nodeNamed(graph, 'default').inputs[0]?.partitioner).toEqual({ kind: 'FORWARD', explicit: false })
    expect(nodeNamed(graph, 'custom').inputs[0]?.partitioner.partition?.(7, 4)).toBe(3)
  })

  test('a stream united with itself is two edges, united with others one for each', () => {
    const graph = graphOf(env => {
      const [a, b] = [env.fromElements(1), env.fromElements(2)]
      a.union(a, b).map(x => x)
    })
    expect(nodeNamed(graph, 'Map').inputs.map(edge => [edge.source, edge.input])).toEqual([
      [1, 0],
      [1, 0],
      [2, 0],
    ])
  })

  test('connect joins exactly two, of any types, with a function for each', () => {
    const env = newEnvironment()
    const [a, b] = [env.fromElements(1), env.fromElements('x')]
    a.connect(b).map(
      x => x + 1,
      y => y.length,
    )
    a.connect(b).flatMap(
      (x, out: Collector<string>) => out.collect(String(x)),
      (y, out) => out.collect(y),
    )
    const graph = env.getStreamGraph()
    expect(nodeNamed(graph, 'Co-Map').inputs.map(edge => edge.input)).toEqual([0, 1])
    expect(nodeNamed(graph, 'Co-Flat Map').inputs.map(edge => edge.input)).toEqual([0, 1])
    expect(() => (a.connect as (...streams: unknown[]) => unknown).call(a, b, b)).toThrow(/connect joins exactly two streams, got 3/)
    expect(() => (a.connect as () => unknown).call(a)).toThrow(/connect joins exactly two streams, got 1/)
  })

  test('connected streams keyed by different types are refused', () => {
    const env = newEnvironment()
    const a = env.fromCollection([1], Types.INT).keyBy(x => x, Types.INT)
    const b = env.fromCollection(['x'], Types.STRING).keyBy(x => x, Types.STRING)
    const fn = { processElement1() {}, processElement2() {} }
    expect(() => a.connect(b).process(fn)).toThrow(/keyed by two types: INT and STRING/)
    expect(() => a.connect(env.fromElements(1)).process(fn)).toThrow(/both of them keyed/)
  })

  test('a window is one keyed operator with its span among the options', () => {
    const graph = graphOf(env => env.fromCollection(someOrders, order).keyBy('shop').window(TumblingEventTimeWindows.of('1 min')).sum('amount'))
    const window = nodeNamed(graph, 'Window(TumblingEventTimeWindows(60000))')
    expect(window.definition.options).toEqual({
      aggregation: 'sum',
      field: 'amount',
      window: { timeDomain: 'EVENT_TIME', sizeMs: 60_000, offsetMs: 0 },
    })
    expect(`${window.outputType}`).toBe(`${order}`)
  })

  test('settings of an operator', () => {
    const graph = graphOf(env =>
      env
        .fromElements(1)
        .map(x => x)
        .name('mine')
        .uid('u')
        .setParallelism(3)
        .setMaxParallelism(16)
        .slotSharingGroup('g')
        .startNewChain()
        .print()
        .disableChaining()
        .setParallelism(1),
    )
    expect(nodeNamed(graph, 'mine')).toMatchObject({ uid: 'u', parallelism: 3, maxParallelism: 16, slotSharingGroup: 'g', chaining: 'head' })
    expect(nodeNamed(graph, 'Print to Std. Out')).toMatchObject({ chaining: 'never', parallelism: 1 })
  })

  test('impossible settings are refused where they are written', () => {
    const env = newEnvironment()
    const mapped = env.fromElements(1).map(x => x)
    expect(() => mapped.setParallelism(0)).toThrow("operator 'Map': parallelism is a whole number from 1 to 32768, got 0")
    expect(() => mapped.setMaxParallelism(40_000)).toThrow('got 40000')
    expect(() => env.fromElements(1).setParallelism(2)).toThrow('The parallelism of non parallel operator must be 1.')
    expect(() => mapped.uid('')).toThrow('uid takes a text that is not empty')
    mapped.uid('same')
    env.fromElements(2).uid('same').print()
    expect(() => env.getStreamGraph()).toThrow("uid 'same' is given to two operators: 'Map' and 'Collection Source'")
  })

  test('a stream of another environment is refused', () => {
    const [a, b] = [newEnvironment().fromElements(1), newEnvironment().fromElements(1)]
    expect(() => a.union(b).print()).toThrow('reads a stream of another environment')
  })
})

describe('split and select', () => {
  const scores = () => newEnvironment().fromElements(80, 59)
  const tagsOf = (graph: StreamGraph) => [...nodeNamed(graph, 'Split').sideOutputs.keys()]

  test('each selection is one side output; a row with two selected names comes out once', () => {
    const graph = graphOf(env => {
      const split = env.fromElements(6).split(x => (x % 2 === 0 ? ['even', 'small'] : ['odd']))
      split.select('even').print()
      split.select('small', 'even').print()
    })
    expect(tagsOf(graph)).toEqual(['even', '["even","small"]'])
    expect(nodeNamed(graph, 'Split').definition.type).toBe('split')
  })

  test('an unknown name fails while the graph is built', () => {
    const split = scores().split(x => (x > 60 ? ['good'] : ['bad']))
    // @ts-expect-error the compiler refuses it too
    expect(() => split.select('goood')).toThrow("the split has no name 'goood', it has 'bad', 'good'; did you mean 'good'?")
    expect(() =>
      scores()
        .split<string>(x => [String(x)], ['80', '59'])
        .select('81'),
    ).toThrow("the split has no name '81'")
  })

  test('names that a selector computes are not guessed', () => {
    expect(() =>
      scores()
        .split<string>(x => (x > 60 ? ['good'] : [String(x)]))
        .select('59'),
    ).not.toThrow()
    expect(() =>
      scores()
        .split<string>(x => {
          const names = ['a']
          if (x > 60) names.push('b')
          return names
        })
        .select('b'),
    ).not.toThrow()
  })
})

describe('side outputs', () => {
  test('may be read several times, but not as another type', () => {
    const processed = newEnvironment()
      .fromElements(1)
      .process<number>((x, _context, out) => out.collect(x))
    processed.getSideOutput(new OutputTag('late', Types.STRING)).print()
    processed.getSideOutput(new OutputTag('late', Types.STRING)).print()
    expect(() => processed.getSideOutput(new OutputTag('late', Types.INT))).toThrow("side output 'late' has type STRING and is read as INT")
  })
})

describe("users' functions", () => {
  test('an async function is refused where it is written', () => {
    const stream = newEnvironment().fromElements(1)
    expect(() => stream.map(async x => x)).toThrow(/map takes a synchronous function, got an async one/)
    expect(() => stream.keyBy(async x => x)).toThrow(/keyBy takes a synchronous function/)
    expect(() => stream.keyBy(x => x).process({ processElement() {}, async onTimer() {} })).toThrow(/process: onTimer takes a synchronous function/)
    expect(() => stream.map({ async open() {}, map: (x: number) => x })).not.toThrow()
    expect(() => stream.addSink(async () => {})).not.toThrow()
  })

  test('what is no function is refused with what was expected', () => {
    const stream = newEnvironment().fromElements(1)
    expect(() => stream.map(undefined as never)).toThrow(/map is missing/)
    expect(() => stream.filter({} as never)).toThrow(/filter is missing/)
    expect(() => stream.assignTimestampsAndWatermarks({} as never)).toThrow(/takes a WatermarkStrategy/)
  })

  test('their source and declared states are part of the definition', () => {
    class Counter {
      private readonly count = new ValueStateDescriptor('count', Types.INT)
      processElement(_value: number, _context: unknown, out: Collector<string>) {
        out.collect(this.count.name)
      }
    }
    const graph = graphOf(env =>
      env
        .fromElements(1)
        .keyBy(x => x)
        .process(new Counter()),
    )
    const { functions, states } = nodeNamed(graph, 'KeyedProcess').definition
    expect(states[0]).toEqual({ name: 'count', kind: 'value', type: { kind: 'INT' }, namespace: { kind: 'VOID' } })
    expect(states.slice(1).map(({ name, builtIn }) => [name, builtIn])).toEqual([
      ['_timers/event-time', true],
      ['_timers/processing-time', true],
    ])
    expect(functions.find(fn => fn.role === 'process')?.source).toContain('class Counter')
    expect(functions.find(fn => fn.role === 'key')?.source).toMatch(/x\)? => x/)
  })

  test('keyed state without keys is refused while the graph is built', () => {
    const fn = { count: new ValueStateDescriptor('count', Types.INT), map: (x: number) => x }
    expect(() => newEnvironment().fromElements(1).map(fn)).toThrow(/state 'count' .* needs keyBy/)
  })

  test('a strategy adds the watermark operator with its bound', () => {
    const graph = graphOf(env =>
      env
        .fromElements({ ts: 1 })
        .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness<{ ts: number }>('5 s').withTimestampAssigner(e => e.ts)),
    )
    const { options, functions } = nodeNamed(graph, 'Timestamps/Watermarks').definition
    expect(options).toEqual({ kind: 'bounded', boundMs: 5_000 })
    expect(functions.map(fn => fn.role)).toEqual(['timestampAssigner'])
  })
})

describe("names of Flink's that are not there", () => {
  test.each([
    ['groupBy', /use keyBy/],
    ['timeWindow', /TumblingEventTimeWindows/],
    ['countWindow', /not supported yet/],
    ['iterate', /not supported/],
  ])('%s answers with advice', (name, advice) => {
    const stream = newEnvironment().fromElements(1) as unknown as Record<string, () => unknown>
    expect(() => stream[name]?.()).toThrow(advice)
  })
})

/** Held by the compiler: what an editor knows of a row's fields. */
test('lambdas keep tuples, overloads and names in the types', () => {
  const lines = newEnvironment().fromElements('a b')
  const counts: SingleOutputStreamOperator<[string, number]> = lines.flatMap((line, out: Collector<[string, number]>) => out.collect([line, 1]))
  const words: SingleOutputStreamOperator<string> = lines.flatMap(line => line.split(' '))
  const fromPairs: SingleOutputStreamOperator<[string, number]> = newEnvironment().fromCollection([['a', 1]], pair)
  const alsoPairs: SingleOutputStreamOperator<[string, number]> = newEnvironment().fromElements(['a', 1], ['b', 2])
  expect([fromPairs, alsoPairs].map(stream => `${stream.getType()}`)).toEqual(['TUPLE<STRING, INT>', 'GENERIC'])
  const pairs = words.map(word => [word, 1])
  const rows = words.map(word => ({ word, n: 1 }))
  pairs.keyBy(0).sum(1)
  rows.keyBy('word').sum('n')
  // @ts-expect-error position 0 is a text
  pairs.keyBy(0).sum(0)
  // @ts-expect-error a tuple of two
  pairs.keyBy(2)
  // @ts-expect-error no such field
  rows.keyBy('x')
  // @ts-expect-error a text
  rows.keyBy('word').sum('word')
  rows
    .keyBy(row => row.word)
    .window(TumblingEventTimeWindows.of('1 s'))
    .aggregate({ createAccumulator: () => 0, add: (row, sum) => sum + row.n, getResult: sum => sum, merge: (a, b) => a + b })
    .map(sum => sum.toFixed(1))
  expect(`${counts.getType()}`).toBe('GENERIC')
})
