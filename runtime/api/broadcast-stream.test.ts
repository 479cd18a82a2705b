import { describe, expect, test } from 'vitest'
import { ListStateDescriptor, MapStateDescriptor, StateTtlConfig, StreamExecutionEnvironment, Types, ValueStateDescriptor } from '../../bin/api.ts'
import { buildJobGraph } from '../graph/job-graph-builder.ts'
import type { StreamGraph, StreamNode } from '../graph/stream-graph.ts'

const newEnvironment = () => StreamExecutionEnvironment.createForProgram({})

describe('broadcast state', () => {
  test('a stream connected with a broadcast one: the second input goes to every subtask and brings its states', () => {
    const rules = new MapStateDescriptor('rules', Types.STRING, Types.INT)
    const fn = { rules, count: new ValueStateDescriptor('count', Types.INT), processElement() {}, processBroadcastElement() {} }
    const env = newEnvironment()
    const names = env.fromElements('a')
    const broadcast = env.fromElements(1).broadcast(rules)
    names.connect(broadcast).process({ processElement() {}, processBroadcastElement() {} })
    names
      .keyBy(name => name)
      .connect(broadcast)
      .process(fn)
    const graph: StreamGraph = env.getStreamGraph()
    const [plain, keyed] = graph.nodes.slice(-2) as [StreamNode, StreamNode]
    expect([plain.name, keyed.name]).toEqual(['Co-Process-Broadcast', 'Co-Process-Broadcast-Keyed'])
    expect(plain.inputs.map(({ partitioner }) => partitioner.kind)).toEqual(['FORWARD', 'BROADCAST'])
    expect(keyed.inputs.map(({ partitioner }) => partitioner.kind)).toEqual(['HASH', 'BROADCAST'])
    expect(keyed.definition.states.filter(({ builtIn }) => builtIn !== true)).toEqual([
      { name: 'rules', kind: 'broadcast', type: { kind: 'MAP', key: { kind: 'STRING' }, value: { kind: 'INT' } }, namespace: null },
      { name: 'count', kind: 'value', type: { kind: 'INT' }, namespace: { kind: 'VOID' } },
    ])
    expect(() => buildJobGraph({ ...graph, runtimeMode: 'BATCH' })).toThrow(
      "operator 'Co-Process-Broadcast': broadcast state is not supported in batch mode yet",
    )
  })

  test('broadcast states are maps without time-to-live, each by a name of its own', () => {
    const numbers = newEnvironment().fromElements(1)
    const rules = new MapStateDescriptor('rules', Types.STRING, Types.INT)
    expect(() => numbers.broadcast(new ValueStateDescriptor('last', Types.INT) as never)).toThrow('argument 1 is none')
    expect(() => numbers.broadcast(rules, rules)).toThrow("broadcast: two states are named 'rules'")
    const expiring = new MapStateDescriptor('recent', Types.STRING, Types.INT)
    expiring.enableTimeToLive(StateTtlConfig.newBuilder('1 h').build())
    expect(() => numbers.broadcast(expiring)).toThrow('broadcast state recent: only keyed state can have time-to-live')
  })

  test("a function with timers needs a keyed stream, in Flink's words", () => {
    const numbers = newEnvironment().fromElements(1)
    const rules = new MapStateDescriptor('rules', Types.STRING, Types.INT)
    const fn = { processElement() {}, processBroadcastElement() {}, onTimer() {} }
    expect(() => numbers.connect(numbers.broadcast(rules)).process(fn)).toThrow('A KeyedBroadcastProcessFunction can only be used on a keyed stream.')
    expect(() => numbers.connect(numbers.broadcast(rules)).process({ processElement() {} } as never)).toThrow('processBroadcastElement is missing')
  })
})

describe('functions that take part in checkpoints', () => {
  test('states of a function on a stream without keys may be operator state, which initializeState gets', () => {
    const numbers = newEnvironment().fromElements(1)
    const fn = { held: new ListStateDescriptor('held', Types.INT), map: (x: number) => x }
    expect(() => numbers.map(fn)).toThrow('keyed state needs keyBy before it')
    expect(() => numbers.map({ ...fn, initializeState() {} })).not.toThrow()
    const co = { held: fn.held, map1: (x: number) => x, map2: (x: number) => x }
    expect(() => numbers.connect(numbers).map(co)).toThrow('with keyed state needs both of them keyed')
    expect(() => numbers.connect(numbers).map({ ...co, initializeState() {} })).not.toThrow()
  })

  test('snapshotState cannot be async; what may wait can', () => {
    const numbers = newEnvironment().fromElements(1)
    expect(() => numbers.map({ map: (x: number) => x, snapshotState: async () => {} } as never)).toThrow(
      'map: snapshotState takes a synchronous function',
    )
    expect(() => numbers.map({ map: x => x, initializeState: async () => {}, notifyCheckpointComplete: async () => {} })).not.toThrow()
  })
})
