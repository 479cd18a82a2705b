import { describe, expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../test/support/stream-operator-harness.ts'
import { wholeKeyedSnapshot } from '../../test/support/whole-snapshot.ts'
import { assert } from '../common/assert.ts'
import { rowLayout } from '../serde/row-layout.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { aggregationFunction } from '../stream/operators/aggregations.ts'
import { KeyedAggregateOperator } from '../stream/operators/keyed-aggregate-operator.ts'
import { ReduceOperator } from '../stream/operators/reduce-operator.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'
import { OperatorStateBackend } from './operator-state-backend.ts'
import type { ListState, MapState, ReducingState, ValueState } from './state.ts'
import { StateTtlConfig } from './ttl-config.ts'

const order = Types.row({ shop: Types.STRING, amount: Types.INT })

function backendOf(descriptor: object) {
  const backend = new KeyedStateBackend({ owner: 'orders', keyType: Types.STRING, maxParallelism: 8, nowMs: () => 0 })
  backend.register(descriptor as StateDescriptor)
  backend.setCurrentKey('a')
  return { backend, state: backend.declared(descriptor as StateDescriptor) as unknown }
}

/** What was saved under one descriptor, read under another. */
function restored(before: object, fill: (state: never) => void, after: object) {
  const from = backendOf(before)
  fill(from.state as never)
  const snapshot = wholeKeyedSnapshot(from.backend)
  const { backend, state } = backendOf(after)
  backend.snapshots.restore(snapshot)
  backend.setCurrentKey('a')
  return state as never
}

describe('a type that is declared later', () => {
  const sum = (a: number, b: number) => a + b
  const count = { createAccumulator: () => 0, add: (_: unknown, n: number) => n + 1, getResult: (n: number) => n }

  test('takes over what fits it, of every kind of state', () => {
    const value = restored(
      new ValueStateDescriptor('s'),
      (s: ValueState<unknown>) => s.update({ shop: 'x', amount: 1 }),
      new ValueStateDescriptor('s', order),
    )
    expect((value as ValueState<unknown>).value()).toEqual({ shop: 'x', amount: 1 })
    const list = restored(new ListStateDescriptor('s'), (s: ListState<unknown>) => s.addAll([1, 2]), new ListStateDescriptor('s', Types.INT))
    expect([...(list as ListState<number>).get()]).toEqual([1, 2])
    const map = restored(
      new MapStateDescriptor('s'),
      (s: MapState<unknown, unknown>) => s.put('k', 2n),
      new MapStateDescriptor('s', Types.STRING, Types.LONG),
    )
    expect((map as MapState<string, bigint>).get('k')).toBe(2n)
    const keyed = new MapStateDescriptor('s', Types.tuple(Types.STRING, Types.INT), Types.DOUBLE)
    const composite = restored(new MapStateDescriptor('s'), (s: MapState<unknown, unknown>) => s.put(['k', 1], null), keyed)
    expect([...(composite as MapState<unknown, unknown>).entries()]).toEqual([[['k', 1], null]])
    const reducing = restored(
      new ReducingStateDescriptor('s', sum),
      (s: ReducingState<number>) => s.add(3),
      new ReducingStateDescriptor('s', sum, Types.INT),
    )
    expect((reducing as ReducingState<number>).get()).toBe(3)
    const aggregating = restored(
      new AggregatingStateDescriptor('s', count),
      (s: ReducingState<number>) => s.add(3),
      new AggregatingStateDescriptor('s', count, Types.INT),
    )
    expect((aggregating as ReducingState<number>).get()).toBe(1)
  })

  test('in a part of it only, and with time-to-live', () => {
    const inside = restored(
      new ValueStateDescriptor('s', Types.tuple(Types.STRING, Types.GENERIC)),
      (s: ValueState<unknown>) => s.update(['x', [1, 2]]),
      new ValueStateDescriptor('s', Types.tuple(Types.STRING, Types.list(Types.INT))),
    )
    expect((inside as ValueState<unknown>).value()).toEqual(['x', [1, 2]])
    const expiring = [new ListStateDescriptor('s'), new ListStateDescriptor('s', Types.INT)] as const
    for (const descriptor of expiring) descriptor.enableTimeToLive(StateTtlConfig.newBuilder('1 h').build())
    expect([...(restored(expiring[0], (s: ListState<unknown>) => s.add(5), expiring[1]) as ListState<number>).get()]).toEqual([5])
    expect(() => restored(expiring[0], (s: ListState<unknown>) => s.add('x'), expiring[1])).toThrow('key "a" is not of it: value[0]')
  })

  test.each([
    ['another kind of value', Types.INT, 'five', 'value cannot be written as INT: it is a string'],
    ['a number out of range, which would wrap', Types.INT, 5e9, 'value is no INT: of the number 5000000000 something would get lost'],
    ['a number that would be rounded', Types.FLOAT, 0.1, 'value is no FLOAT: of the number 0.1 something would get lost'],
    ['a field inside', order, { shop: 'x', amount: 'much' }, 'value.amount cannot be written as INT: it is a string'],
    ['a field that was not declared', order, { shop: 'x', amount: 1, note: 'n' }, 'something would get lost'],
  ])('refuses %s, naming operator, state, key and place', (_, type, value, message) => {
    const restore = () =>
      restored(
        new ValueStateDescriptor('last'),
        (s: ValueState<unknown>) => s.update(value),
        new ValueStateDescriptor('last', type as TypeInformation),
      )
    expect(restore).toThrow(
      'operator orders: state last has been given a type since the snapshot, and what the snapshot has of key "a" is not of it: ',
    )
    expect(restore).toThrow(message)
  })

  test('names the element of a list, and the entry of a map', () => {
    expect(() =>
      restored(new ListStateDescriptor('s'), (s: ListState<unknown>) => s.addAll([1, 2, 'x']), new ListStateDescriptor('s', Types.INT)),
    ).toThrow('value[2] cannot be written as INT')
    const map = new MapStateDescriptor('s', Types.STRING, Types.INT)
    expect(() => restored(new MapStateDescriptor('s'), (s: MapState<unknown, unknown>) => s.put('k', 'x'), map)).toThrow(
      'value.get("k") cannot be written as INT',
    )
    expect(() => restored(new MapStateDescriptor('s'), (s: MapState<unknown, unknown>) => s.put(1, 1), map)).toThrow(
      "value's key 0 cannot be written as STRING",
    )
  })

  test('a declared type is not changed by declaring another, nor taken back', () => {
    const change =
      (before: TypeInformation, after: TypeInformation, value: unknown = 1) =>
      () =>
        restored(new ValueStateDescriptor('s', before), (s: ValueState<unknown>) => s.update(value), new ValueStateDescriptor('s', after))
    expect(change(Types.INT, Types.DOUBLE)).toThrow('state s is declared as value of {"kind":"DOUBLE"}, the snapshot has value of {"kind":"INT"}')
    expect(change(Types.INT, Types.GENERIC)).toThrow('the snapshot has value of {"kind":"INT"}')
    expect(change(Types.tuple(Types.GENERIC), Types.tuple(Types.INT, Types.INT), [1])).toThrow('the snapshot has value of')
  })

  test('operator state: lists by element, broadcast state by entry', () => {
    const from = new OperatorStateBackend('source')
    from.getListState(new ListStateDescriptor('offsets')).addAll([1, 2])
    from.getBroadcastState(new MapStateDescriptor('rules')).put('k', 1)
    const into = new OperatorStateBackend('source')
    into.restore(from.snapshot())
    expect([...into.getListState(new ListStateDescriptor('offsets', Types.INT)).get()]).toEqual([1, 2])
    expect(into.getBroadcastState(new MapStateDescriptor('rules', Types.STRING, Types.INT)).get('k')).toBe(1)
    const wrong = new OperatorStateBackend('source')
    wrong.restore(from.snapshot())
    expect(() => wrong.getListState(new ListStateDescriptor('offsets', Types.STRING))).toThrow(
      'operator source: operator state offsets has been given a type since the snapshot, and element 0 of the snapshot is not of it',
    )
  })

  test('of the rows of a rolling aggregation: its typed table takes over what was kept without', async () => {
    const layout = rowLayout(order.json)
    assert(layout !== undefined, 'both fields are primitive')
    const key = { select: (row: unknown) => (row as { shop: string }).shop, type: Types.STRING }
    const before = await new StreamOperatorHarness(
      new ReduceOperator(key, aggregationFunction('sum', 'amount', Types.GENERIC), Types.GENERIC, { finalOnly: false }),
    ).open()
    before.row({ shop: 'x', amount: 3 })
    const after = new KeyedAggregateOperator({ kind: 'sum', field: 1, key, keyColumns: [0], type: order as never, layout }, { finalOnly: false })
    const harness = await new StreamOperatorHarness(after, { outputLayout: layout }).open(before.snapshot())
    harness.row({ shop: 'x', amount: 4 })
    expect(harness.values()).toEqual([{ shop: 'x', amount: 7 }])
  })
})

describe('a schema', () => {
  test.each([
    [new ValueStateDescriptor('s'), true],
    [new ListStateDescriptor('s', Types.tuple(Types.INT, Types.GENERIC)), true],
    [new MapStateDescriptor('s', Types.STRING), true],
    [new MapStateDescriptor('s', Types.STRING, order), undefined],
    [new ValueStateDescriptor('s', Types.row({ a: Types.list(Types.INT) })), undefined],
  ])('says whether values are untyped: %o', (descriptor, untyped) => {
    expect(wholeKeyedSnapshot(backendOf(descriptor).backend).schemas[0]?.untyped).toBe(untyped)
  })

  test('what is no type is refused', () => {
    expect(() => new ValueStateDescriptor('s', 'INT' as never)).toThrow('state s: its type is not one of Types')
  })
})
