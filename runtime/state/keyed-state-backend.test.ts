import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { wholeKeyedSnapshot } from '../../test/support/whole-snapshot.ts'
import { keyGroupOf, keyGroupRange } from '../serde/key-groups.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'

const maxParallelism = 32

function backendOf(keyType: TypeInformation, ...descriptors: StateDescriptor[]): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'counts', keyType, maxParallelism })
  for (const descriptor of descriptors) backend.register(descriptor)
  return backend
}

const count = new ValueStateDescriptor('count', Types.INT)
const names = new ListStateDescriptor('names', Types.STRING)
const byShop = new MapStateDescriptor('by shop', Types.STRING, Types.INT)
const byPoint = new MapStateDescriptor('by point', Types.tuple(Types.INT, Types.INT), Types.INT)
const total = new ReducingStateDescriptor<number>('total', (a, b) => a + b, Types.INT)
const mean = new AggregatingStateDescriptor<number, number[], number>(
  'mean',
  {
    createAccumulator: () => [0, 0],
    add: (value, [sum, n]) => [(sum as number) + value, (n as number) + 1],
    getResult: ([sum, n]) => (sum as number) / (n as number),
  },
  Types.list(Types.DOUBLE),
)

describe('what a state answers', () => {
  test('an empty value is null, an empty list or map iterates nothing', () => {
    const backend = backendOf(Types.STRING, count as never, names as never, byShop as never, total as never, mean as never)
    backend.setCurrentKey('a')
    expect(backend.getState(count).value()).toBeNull()
    expect([...backend.getListState(names).get()]).toEqual([])
    expect([...backend.getMapState(byShop).entries()]).toEqual([])
    expect([backend.getMapState(byShop).get('x'), backend.getMapState(byShop).isEmpty()]).toEqual([null, true])
    expect([backend.getReducingState(total).get(), backend.getAggregatingState(mean).get()]).toEqual([null, null])
    expect(backend.keyCount).toBe(0)
  })

  test('states of different keys are apart', () => {
    const backend = backendOf(Types.STRING, count as never)
    const state = backend.getState(count)
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const) {
      backend.setCurrentKey(key)
      state.update(value)
    }
    backend.setCurrentKey('b')
    expect(state.value()).toBe(2)
    backend.setCurrentKey('a')
    expect(state.value()).toBe(3)
  })

  test('lists add, replace and clear', () => {
    const backend = backendOf(Types.STRING, names as never)
    const state = backend.getListState(names)
    backend.setCurrentKey('a')
    state.add('x')
    state.addAll(['y', 'z'])
    expect([...state.get()]).toEqual(['x', 'y', 'z'])
    state.addAll(state.get())
    expect([...state.get()]).toHaveLength(6)
    state.update(['only'])
    expect([...state.get()]).toEqual(['only'])
    state.update([])
    expect(backend.keyCount).toBe(0)
  })

  test('maps take composite keys by value', () => {
    const backend = backendOf(Types.INT, byPoint as never)
    const state = backend.getMapState(byPoint)
    backend.setCurrentKey(1)
    state.put([1, 2], 3)
    state.putAll([
      [[1, 2], 4],
      [[5, 6], 7],
    ])
    expect([state.get([1, 2]), state.contains([5, 6]), [...state.keys()], [...state.values()], [...state.entries()]]).toEqual([
      4,
      true,
      [
        [1, 2],
        [5, 6],
      ],
      [4, 7],
      [
        [[1, 2], 4],
        [[5, 6], 7],
      ],
    ])
    state.remove([1, 2])
    state.remove([5, 6])
    expect([state.isEmpty(), backend.keyCount]).toEqual([true, 0])
  })

  test('reducing and aggregating states combine', () => {
    const backend = backendOf(Types.STRING, total as never, mean as never)
    backend.setCurrentKey('a')
    for (const value of [1, 2, 6]) {
      backend.getReducingState(total).add(value)
      backend.getAggregatingState(mean).add(value)
    }
    expect([backend.getReducingState(total).get(), backend.getAggregatingState(mean).get()]).toEqual([9, 3])
  })

  test('a key whose last state is cleared costs nothing', () => {
    const backend = backendOf(Types.STRING, count as never, names as never)
    backend.setCurrentKey('a')
    backend.getState(count).update(1)
    backend.getListState(names).add('x')
    backend.getState(count).update(null)
    expect(backend.keyCount).toBe(1)
    backend.getListState(names).clear()
    expect(backend.keyCount).toBe(0)
    backend.getState(count).update(5)
    expect(backend.getState(count).value()).toBe(5)
  })

  test('namespaces of one key are apart and go one by one', () => {
    const backend = new KeyedStateBackend({ owner: 'windows', keyType: Types.STRING, maxParallelism })
    const state = backend.register(count as never, Types.SAFE_LONG)
    backend.setCurrentKey('a')
    for (const window of [0, 1000]) {
      state.setNamespace(window)
      state.write(window + 1)
    }
    state.setNamespace(0)
    expect(state.read()).toBe(1)
    state.clear()
    expect([state.read(), backend.keyCount]).toEqual([undefined, 1])
    state.setNamespace(1000)
    expect(state.read()).toBe(1001)
    state.clear()
    expect(backend.keyCount).toBe(0)
  })
})

describe('refusals', () => {
  test('an undeclared state', () => {
    expect(() => backendOf(Types.STRING).getState(count)).toThrow(
      'operator counts: state count is not declared; make its descriptor a field of the function object',
    )
  })

  test('one name for two kinds or types names both', () => {
    const backend = backendOf(Types.STRING, count as never)
    expect(() => backend.register(new ListStateDescriptor('count', Types.INT) as never)).toThrow(
      'state count is declared both as ValueState<INT> and as ListState<INT>',
    )
    expect(() => backend.getState(new ValueStateDescriptor('count', Types.LONG))).toThrow(
      'declared as ValueState<INT> and asked for as ValueState<LONG>',
    )
  })

  test('state outside of a record or timer', () => {
    expect(() =>
      backendOf(Types.STRING, count as never)
        .getState(count)
        .value(),
    ).toThrow('no key is set')
  })

  test('a result that a function forgot to return', () => {
    const forgetful = new ReducingStateDescriptor<number>('sum', (() => {}) as never, Types.INT)
    const backend = backendOf(Types.STRING, forgetful as never)
    backend.setCurrentKey('a')
    backend.getReducingState(forgetful).add(1)
    expect(() => backend.getReducingState(forgetful).add(1)).toThrow('state sum: undefined cannot be stored')
  })

  test('a value that its type cannot encode names operator and state', () => {
    const backend = backendOf(Types.STRING, count as never)
    backend.setCurrentKey('a')
    backend.getState(count).update('seven' as never)
    expect(() => wholeKeyedSnapshot(backend)).toThrow('operator counts: state count: ')
  })

  test('a snapshot with other keys, another type, or a state that is gone', () => {
    const source = backendOf(Types.STRING, count as never)
    source.setCurrentKey('a')
    source.getState(count).update(1)
    const snapshot = wholeKeyedSnapshot(source)
    const into =
      (keyType: TypeInformation, ...descriptors: StateDescriptor[]) =>
      () =>
        backendOf(keyType, ...descriptors).snapshots.restore(snapshot)
    expect(into(Types.INT, count as never)).toThrow('its keys are {"kind":"INT"}, the keys in the snapshot are {"kind":"STRING"}')
    expect(into(Types.STRING, new ValueStateDescriptor('count', Types.LONG) as never)).toThrow(
      'state count is declared as value of {"kind":"LONG"}, the snapshot has value of {"kind":"INT"}',
    )
    expect(into(Types.STRING)).toThrow('the snapshot has the state count (value), which is not declared any more')
  })
})

describe('keys', () => {
  test.each([
    ['INT wraps', Types.INT, 5, 5 + 2 ** 32, true],
    ['-0 is another double than 0', Types.DOUBLE, 0, -0, false],
    ['NaN is itself', Types.DOUBLE, Number.NaN, Number.NaN, true],
    ['tuples compare by value', Types.tuple(Types.STRING, Types.INT), ['a', 1], ['a', 1], true],
    ['rows compare by value', Types.row({ a: Types.STRING }), { a: 'x' }, { a: 'x' }, true],
    ['generic numbers are no strings', Types.GENERIC, 1, '1', false],
    ['longs compare by value', Types.LONG, 2n ** 60n, 2n ** 60n, true],
  ] as const)('%s', (_, type, first, second, same) => {
    const backend = backendOf(type as TypeInformation, count as never)
    backend.setCurrentKey(first)
    backend.getState(count).update(1)
    backend.setCurrentKey(second)
    expect(backend.getState(count).value()).toBe(same ? 1 : null)
  })
})

describe('snapshot and restore', () => {
  const keys: readonly [string, TypeInformation, fc.Arbitrary<unknown>][] = [
    ['strings', Types.STRING, fc.string()],
    ['ints', Types.INT, fc.integer()],
    ['longs', Types.LONG, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
    ['tuples', Types.tuple(Types.STRING, Types.BOOLEAN), fc.tuple(fc.string(), fc.boolean())],
  ]
  const write = fc.record({ count: fc.integer(), name: fc.string(), shop: fc.string(), clear: fc.boolean() })

  test.each(keys)('of %s keys, at any parallelism, holds the same states', (_, keyType, key) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, write), { maxLength: 40 }), fc.integer({ min: 1, max: maxParallelism }), (writes, parallelism) => {
        const declared = [count, names, byShop, total] as never as StateDescriptor[]
        const source = backendOf(keyType, ...declared)
        for (const [currentKey, values] of writes) {
          source.setCurrentKey(currentKey)
          if (values.clear) source.getState(count).clear()
          else source.getState(count).update(values.count)
          source.getListState(names).add(values.name)
          source.getMapState(byShop).put(values.shop, values.count)
          source.getReducingState(total).add(values.count)
        }
        const snapshot = wholeKeyedSnapshot(source)
        const copies = Array.from({ length: parallelism }, (_unused, subtask) => {
          const { startKeyGroup, endKeyGroup } = keyGroupRange(maxParallelism, parallelism, subtask)
          const copy = new KeyedStateBackend({ owner: 'counts', keyType, maxParallelism })
          for (const descriptor of declared) copy.register(descriptor)
          copy.snapshots.restore({
            ...snapshot,
            keyGroups: new Map([...snapshot.keyGroups].filter(([group]) => group >= startKeyGroup && group <= endKeyGroup)),
          })
          return copy
        })
        expect(copies.reduce((sum, copy) => sum + copy.keyCount, 0)).toBe(source.keyCount)
        const see = (backend: KeyedStateBackend, currentKey: unknown) => {
          backend.setCurrentKey(currentKey)
          return [backend.getState(count).value(), [...backend.getListState(names).get()], [...backend.getMapState(byShop).entries()]]
        }
        for (const [currentKey] of writes) {
          const group = keyGroupOf(keyType, currentKey, maxParallelism)
          const owner = copies[Math.floor((group * parallelism) / maxParallelism)] as KeyedStateBackend
          expect(see(owner, currentKey)).toEqual(see(source, currentKey))
        }
      }),
      { numRuns: 40 },
    )
  })

  test('keeps null map values and does not depend on later changes', () => {
    const backend = backendOf(Types.STRING, byShop as never, names as never)
    backend.setCurrentKey('a')
    backend.getMapState(byShop).put('x', null as never)
    backend.getListState(names).add('one')
    const snapshot = wholeKeyedSnapshot(backend)
    backend.getListState(names).add('two')
    const copy = backendOf(Types.STRING, byShop as never, names as never)
    copy.snapshots.restore(snapshot)
    copy.setCurrentKey('a')
    expect([copy.getMapState(byShop).contains('x'), copy.getMapState(byShop).get('x'), [...copy.getListState(names).get()]]).toEqual([
      true,
      null,
      ['one'],
    ])
  })
})
