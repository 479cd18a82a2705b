import { describe, expect, test } from 'vitest'
import { OperatorIncrements, smallStateLimits } from '../../test/support/increments.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { ListStateDescriptor, MapStateDescriptor, type StateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import { defaultSnapshotLimits, type SnapshotLimits } from './keyed-snapshots.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'
import { pageMemory } from './row-pages.ts'
import { StateTtlConfig } from './ttl-config.ts'

const anything = new ValueStateDescriptor('anything')
const text = new ValueStateDescriptor('text', Types.STRING)
const list = new ListStateDescriptor('list', Types.INT)
const map = new MapStateDescriptor('map', Types.STRING, Types.INT)

function backendOf(
  keyType: TypeInformation,
  descriptors: readonly unknown[],
  hotKeysMax: number,
  limits: SnapshotLimits = defaultSnapshotLimits,
): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'subject', keyType, maxParallelism: 4, limits, hotKeysMax })
  for (const descriptor of descriptors) backend.register(descriptor as StateDescriptor)
  return backend
}

/** Keys that are held as objects. */
function hotKeys(backend: KeyedStateBackend): unknown[] {
  const { table } = backend as unknown as { table: { entries: Map<unknown, { key: unknown }> } }
  return [...table.entries.values()].map(({ key }) => key)
}

describe('a key that has left the heap is the same key when it comes again', () => {
  const keysOf: Record<string, readonly [TypeInformation<never>, readonly unknown[]]> = {
    STRING: [Types.STRING as TypeInformation<never>, ['', 'a', 'ab', 'b', 'ä', '\ud800', '\ud801', '\u0000']],
    INT: [Types.INT as TypeInformation<never>, [0, 1, -1, 2 ** 31 - 1]],
    LONG: [Types.LONG as TypeInformation<never>, [0n, 1n, -1n, 2n ** 62n]],
    DOUBLE: [Types.DOUBLE as TypeInformation<never>, [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY]],
    TUPLE: [
      Types.tuple(Types.STRING, Types.INT) as TypeInformation<never>,
      [
        ['a', 1],
        ['a', 2],
        ['a1', null],
      ],
    ],
    GENERIC: [Types.GENERIC as TypeInformation<never>, ['1', 1, 1n, true, 1.5, [1], { a: 1 }, { a: 2, b: 1 }, new Map([['x', 1]])]],
  }
  test.each(Object.keys(keysOf))('%s', name => {
    const [keyType, keys] = keysOf[name] ?? [Types.INT, []]
    const backend = backendOf(keyType as TypeInformation, [text, list], 0)
    for (const [i, key] of keys.entries()) {
      backend.setCurrentKey(key)
      backend.getState(text).update(`value ${i}`)
    }
    expect(hotKeys(backend)).toHaveLength(1)
    expect(backend.keyCount).toBe(keys.length)
    for (const [i, key] of keys.entries()) {
      backend.setCurrentKey(key)
      expect(backend.getState(text).value()).toBe(`value ${i}`)
      expect([...backend.getListState(list).get()]).toEqual([])
    }
    const seen: unknown[] = []
    for (const entry of backend.keys()) seen.push(entry.key)
    expect(seen).toHaveLength(keys.length)
    expect(seen).toEqual(expect.arrayContaining([...keys]))
  })

  // [its type, a spelling, another one of the same key]
  const spellings: Record<string, readonly [TypeInformation<never>, unknown, unknown]> = {
    'a LONG beyond 64 bits is what it wraps to': [Types.LONG as TypeInformation<never>, 2n ** 64n + 5n, 5n],
    '-0 is 0 where no type is declared': [Types.GENERIC as TypeInformation<never>, -0, 0],
    '-0 is 0 as an INT': [Types.INT as TypeInformation<never>, -0, 0],
    '-0 is 0 as a SAFE_LONG': [Types.SAFE_LONG as TypeInformation<never>, -0, 0],
  }
  test.each(Object.keys(spellings))('%s', name => {
    const [type, one, other] = spellings[name] as (typeof spellings)[string]
    const ofSpelling = new MapStateDescriptor('of spelling', type as never, Types.INT)
    for (const hotKeysMax of [0, 100]) {
      const backend = backendOf(type as TypeInformation, [text, ofSpelling], hotKeysMax)
      for (const [key, value] of [
        [one, 'x'],
        [other, 'y'],
      ]) {
        backend.setCurrentKey(key)
        backend.getState(text).update(value as string)
        backend.getMapState(ofSpelling).put(key as never, 1)
        expect([...backend.getMapState(ofSpelling).keys()]).toHaveLength(1)
        backend.setCurrentKey(type === (Types.GENERIC as never) ? 'between' : type === (Types.LONG as never) ? 7n : 7)
        backend.getState(text).update('between')
      }
      expect(backend.keyCount).toBe(2)
      backend.setCurrentKey(one)
      expect(backend.getState(text).value()).toBe('y')
    }
  })

  test('an object with its properties in another order', () => {
    const backend = backendOf(Types.GENERIC as TypeInformation, [text], 0)
    backend.setCurrentKey({ a: 1, b: 2 })
    backend.getState(text).update('x')
    backend.setCurrentKey('another')
    backend.getState(text).update('y')
    backend.setCurrentKey({ b: 2, a: 1 })
    expect(backend.getState(text).value()).toBe('x')
    backend.getState(text).clear()
    backend.setCurrentKey('another')
    expect(backend.keyCount).toBe(1)
  })
})

test('a key that was written in one spelling and is cleared in another, shorter one leaves what can be restored', () => {
  const start = () => backendOf(Types.GENERIC as TypeInformation, [text], 0, { ...smallStateLimits, segmentsMax: 64 })
  const incrementsOf = ({ snapshots }: KeyedStateBackend) =>
    new OperatorIncrements({
      snapshot: barrier => ({ keyed: snapshots.snapshot(barrier), lists: [] }),
      restore: ({ keyed }) => snapshots.restore(keyed as NonNullable<typeof keyed>),
    })
  const backend = start()
  const increments = incrementsOf(backend)
  for (const key of ['first', [-0], 'last']) {
    backend.setCurrentKey(key)
    backend.getState(text).update('x'.repeat(200))
  }
  increments.snapshot()
  backend.snapshots.confirm(increments.checkpointId)
  backend.setCurrentKey([0])
  expect(backend.getState(text).value()).toHaveLength(200)
  backend.getState(text).clear()
  const restored = start()
  incrementsOf(restored).restore(increments.snapshot())
  const keys = [...restored.keys()].map(({ key }) => key)
  expect(keys).toHaveLength(2)
  expect(keys).toEqual(expect.arrayContaining(['first', 'last']))
})

test('keys that are used often stay, the others leave, and no more stay than there is room for', () => {
  const backend = backendOf(Types.INT as TypeInformation, [text], 10)
  for (let key = 0; key < 10_000; key++) {
    for (const each of [key % 5, 100 + key]) {
      backend.setCurrentKey(each)
      const count = Number(backend.getState(text).value() ?? 0)
      backend.getState(text).update(String(count + 1))
    }
    expect(hotKeys(backend).length).toBeLessThanOrEqual(20)
  }
  expect(hotKeys(backend)).toEqual(expect.arrayContaining([0, 1, 2, 3, 4]))
  for (let key = 0; key < 5; key++) {
    backend.setCurrentKey(key)
    expect(backend.getState(text).value()).toBe('2000')
  }
  expect(backend.keyCount).toBe(10_005)
})

test('a key that holds much stays, because every access would read and write all of it', () => {
  const backend = backendOf(Types.INT as TypeInformation, [map, text], 1)
  backend.setCurrentKey(1)
  for (let i = 0; i < 1_000; i++) backend.getMapState(map).put(`entry ${i}`, i)
  for (let key = 2; key < 100; key++) {
    backend.setCurrentKey(key)
    backend.getState(text).update('small')
  }
  expect(hotKeys(backend)).toContain(1)
  backend.setCurrentKey(1)
  for (let i = 10; i < 1_000; i++) backend.getMapState(map).remove(`entry ${i}`)
  backend.snapshots.snapshot({ checkpointId: 1, type: 'checkpoint' })
  for (let key = 2; key < 100; key++) backend.setCurrentKey(key)
  expect(hotKeys(backend)).not.toContain(1)
  backend.setCurrentKey(1)
  expect([...backend.getMapState(map).keys()]).toHaveLength(10)
})

test('a value that cannot be written stays as it is, until a checkpoint is to have it', () => {
  const backend = backendOf(Types.INT as TypeInformation, [anything], 1)
  const held = () => 'a function'
  backend.setCurrentKey(1)
  backend.getState(anything).update(held)
  for (let key = 2; key < 100; key++) {
    backend.setCurrentKey(key)
    backend.getState(anything).update(key)
  }
  backend.setCurrentKey(1)
  expect(backend.getState(anything).value()).toBe(held)
  expect(() => backend.snapshots.snapshot({ checkpointId: 1, type: 'checkpoint' })).toThrow(/operator subject: state anything: .*function/)
  backend.getState(anything).update('text')
  expect(backend.snapshots.snapshot({ checkpointId: 2, type: 'checkpoint' })?.written.size).toBe(1)
})

test('what was written beside a value that cannot be written is known to be there: it can be cleared', () => {
  const backend = backendOf(Types.INT as TypeInformation, [text, anything], 1)
  const writeOthers = () => {
    for (let key = 2; key < 20; key++) {
      backend.setCurrentKey(key)
      backend.getState(text).update('other')
    }
  }
  backend.setCurrentKey(1)
  backend.getState(text).update('x')
  backend.getState(anything).update(() => 'a function')
  writeOthers()
  backend.setCurrentKey(1)
  backend.getState(text).clear()
  backend.getState(anything).clear()
  writeOthers()
  expect(backend.keyCount).toBe(18)
  backend.setCurrentKey(1)
  expect(backend.getState(text).value()).toBeNull()
  expect(backend.keyCount).toBe(18)
  backend.snapshots.snapshot({ checkpointId: 1, type: 'checkpoint' })
  expect([...backend.keys()].map(({ key }) => key)).not.toContain(1)
  expect(backend.keyCount).toBe(18)
})

test('the memory of rows is counted until the backend is closed', () => {
  const before = pageMemory.bytes
  const backend = backendOf(Types.INT as TypeInformation, [text], 1)
  for (let key = 0; key < 1_000; key++) {
    backend.setCurrentKey(key)
    backend.getState(text).update('x'.repeat(1_000))
  }
  expect(pageMemory.bytes - before).toBeGreaterThan(999_000)
  expect(pageMemory.bytes - before).toBeLessThan(1_500_000)
  backend.close()
  expect(pageMemory.bytes).toBe(before)
})

test('all keys are visited once, wherever they are, and what a visit changes stays', () => {
  const backend = backendOf(Types.INT as TypeInformation, [text, list], 3)
  for (let key = 0; key < 50; key++) {
    backend.setCurrentKey(key)
    if (key % 3 > 0) backend.getState(text).update(`text ${key}`)
    if (key % 3 < 2) backend.getListState(list).add(key)
  }
  const visited: unknown[] = []
  for (const entry of backend.keys())
    backend.visit(entry, () => {
      visited.push(backend.currentKey)
      if ((entry.key as number) % 2 === 0) {
        backend.getState(text).clear()
        backend.getListState(list).clear()
      } else backend.getState(text).update('visited')
    })
  expect(visited.sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 50 }, (_, i) => i))
  expect(backend.keyCount).toBe(25)
  for (let key = 0; key < 50; key++) {
    backend.setCurrentKey(key)
    expect(backend.getState(text).value(), `key ${key}`).toBe(key % 2 === 0 ? null : 'visited')
  }
})

test('a key whose visit clears and writes it again is visited once', () => {
  const backend = backendOf(Types.INT as TypeInformation, [text], 100)
  for (let key = 0; key < 3; key++) {
    backend.setCurrentKey(key)
    backend.getState(text).update('before')
  }
  const visited: unknown[] = []
  for (const entry of backend.keys()) {
    visited.push(entry.key)
    backend.visit(entry, () => {
      backend.getState(text).clear()
      backend.getState(text).update('after')
    })
    if (visited.length > 3) break
  }
  expect(visited).toEqual([0, 1, 2])
})

test('keys that go and come between hot and cold while all are visited are visited once, as they are by then', () => {
  const backend = backendOf(Types.INT as TypeInformation, [text], 10)
  const write = (key: number, value: string) => {
    backend.setCurrentKey(key)
    backend.getState(text).update(value)
  }
  for (let key = 0; key < 40; key++) write(key, 'before')
  const visited: [number, unknown][] = []
  let others = 1_000
  for (const entry of backend.keys()) {
    const key = entry.key as number
    if (key >= 1_000) continue
    backend.visit(entry, () => visited.push([key, backend.getState(text).value()]))
    if (visited.length === 3) for (let each = 0; each < 40; each++) write(each, 'then')
    for (let i = 0; i < 5; i++) write(others++, 'other')
  }
  visited.sort(([a], [b]) => a - b)
  expect(visited.map(([key]) => key)).toEqual(Array.from({ length: 40 }, (_, key) => key))
  expect(visited.filter(([, value]) => value === 'before')).toHaveLength(3)
})

describe('with values that expire', () => {
  const ttlMs = 1_000
  const expiring = new ValueStateDescriptor('expiring', Types.STRING)
  expiring.enableTimeToLive(StateTtlConfig.newBuilder(ttlMs).cleanupIncrementally(1, false).build())
  const clock = { nowMs: 0 }
  const start = (hotKeysMax: number) => {
    const backend = new KeyedStateBackend({
      owner: 'subject',
      keyType: Types.INT as TypeInformation,
      maxParallelism: 4,
      hotKeysMax,
      nowMs: () => clock.nowMs,
    })
    for (const descriptor of [expiring, text]) backend.register(descriptor as StateDescriptor)
    return backend
  }

  test('clean-up comes to the cold keys, though every record brings another hot one', () => {
    const backend = start(10)
    const write = (key: number) => {
      backend.setCurrentKey(key)
      backend.getState(expiring).update('x')
    }
    for (let key = 0; key < 100; key++) write(key)
    clock.nowMs += ttlMs
    for (let key = 100; key < 500; key++) write(key)
    expect(backend.keyCount).toBe(400)
  })

  test('what a visit of a cold key has written stays when the clean-up visits another one meanwhile', () => {
    const backend = start(1)
    for (let key = 0; key < 20; key++) {
      backend.setCurrentKey(key)
      backend.getState(text).update('before')
      backend.getState(expiring).update('x')
    }
    backend.unsetCurrentKey()
    for (const entry of backend.keys())
      backend.visit(entry, () => {
        backend.getState(text).update('after')
        expect(backend.getState(expiring).value()).toBe('x')
        expect(backend.getState(text).value()).toBe('after')
      })
    for (let key = 0; key < 20; key++) {
      backend.setCurrentKey(key)
      expect(backend.getState(text).value(), `key ${key}`).toBe('after')
    }
    expect(backend.keyCount).toBe(20)
  })
})
