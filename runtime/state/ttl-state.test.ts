import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { OperatorIncrements, smallStateLimits } from '../../test/support/increments.ts'
import { runs } from '../../test/support/runs.ts'
import { wholeKeyedSnapshot } from '../../test/support/whole-snapshot.ts'
import { Types } from '../serde/types.ts'
import {
  AggregatingStateDescriptor,
  describeState,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import type { SnapshotLimits } from './keyed-snapshots.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'
import { StateTtlConfig, type StateTtlConfigBuilder } from './ttl-config.ts'

const ttlMs = 1_000
const maxParallelism = 8

function incrementsOf({ snapshots }: KeyedStateBackend): OperatorIncrements {
  return new OperatorIncrements({
    snapshot: barrier => ({ keyed: snapshots.snapshot(barrier), lists: [] }),
    restore: ({ keyed }) => {
      if (keyed !== undefined) snapshots.restore(keyed)
    },
    writeAhead: () => snapshots.writeAhead(),
    notifyCheckpointComplete: checkpointId => snapshots.confirm(checkpointId),
    notifyCheckpointAborted: checkpointId => snapshots.takeBack(checkpointId),
  })
}

/** Every kind with one configuration, on a clock that the test moves. */
class Expiring {
  nowMs = 10_000
  readonly config: StateTtlConfig
  readonly value = new ValueStateDescriptor('value', Types.INT)
  readonly list = new ListStateDescriptor('list', Types.INT)
  readonly map = new MapStateDescriptor('map', Types.STRING, Types.INT)
  readonly sum = new ReducingStateDescriptor<number>('sum', (a, b) => a + b, Types.INT)
  readonly mean = new AggregatingStateDescriptor<number, readonly [number, number], number>(
    'mean',
    { createAccumulator: () => [0, 0], add: (value, [sum, count]) => [sum + value, count + 1], getResult: ([sum, count]) => sum / count },
    Types.tuple(Types.DOUBLE, Types.INT) as never,
  )
  backend: KeyedStateBackend
  increments: OperatorIncrements
  private readonly limits: SnapshotLimits | undefined

  constructor(configure: (builder: StateTtlConfigBuilder) => StateTtlConfigBuilder, limits?: SnapshotLimits) {
    this.limits = limits
    this.config = configure(StateTtlConfig.newBuilder(ttlMs)).build()
    for (const descriptor of this.descriptors) descriptor.enableTimeToLive(this.config)
    this.backend = this.start()
    this.increments = incrementsOf(this.backend)
  }

  get descriptors(): StateDescriptor[] {
    return [this.value, this.list, this.map, this.sum, this.mean] as never as StateDescriptor[]
  }

  start(): KeyedStateBackend {
    const backend = new KeyedStateBackend({ owner: 'sessions', keyType: Types.STRING, maxParallelism, limits: this.limits, nowMs: () => this.nowMs })
    for (const descriptor of this.descriptors) backend.register(descriptor)
    return backend
  }

  restart(): void {
    const snapshot = this.increments.snapshot()
    this.backend = this.start()
    this.increments = incrementsOf(this.backend)
    this.increments.restore(snapshot)
  }

  /** Some of a base, then a barrier, whose checkpoint completes or is given up. */
  checkpoint(completes: boolean): void {
    const { operator } = this.increments
    operator.writeAhead?.()
    this.increments.handOver(completes)
    if (completes) operator.notifyCheckpointComplete?.(this.increments.checkpointId)
    else operator.notifyCheckpointAborted?.(this.increments.checkpointId)
  }

  /** All states of a key, read once. */
  read(key: string) {
    this.backend.setCurrentKey(key)
    return {
      value: this.backend.getState(this.value).value(),
      list: [...this.backend.getListState(this.list).get()],
      map: [...this.backend.getMapState(this.map).entries()].sort(),
      sum: this.backend.getReducingState(this.sum).get(),
      mean: this.backend.getAggregatingState(this.mean).get(),
    }
  }

  write(key: string, value: number): void {
    this.backend.setCurrentKey(key)
    this.backend.getState(this.value).update(value)
    this.backend.getListState(this.list).add(value)
    this.backend.getMapState(this.map).put(`k${value}`, value)
    this.backend.getReducingState(this.sum).add(value)
    this.backend.getAggregatingState(this.mean).add(value)
  }
}

const nothing = { value: null, list: [], map: [], sum: null, mean: null }
const noBackground = (builder: StateTtlConfigBuilder) => builder.disableCleanupInBackground()

describe('defaults', () => {
  test('are those of StateTtlConfig.newBuilder in Flink', () => {
    expect(StateTtlConfig.newBuilder('1 min').build()).toMatchObject({
      ttlMs: 60_000,
      updateType: 'OnCreateAndWrite',
      stateVisibility: 'NeverReturnExpired',
      cleanupInFullSnapshot: false,
      incrementalCleanup: { keysPerStep: 5, everyRecord: false },
    })
    expect(StateTtlConfig.newBuilder(5).disableCleanupInBackground().build().incrementalCleanup).toBeUndefined()
    expect(StateTtlConfig.newBuilder(5).disableCleanupInBackground().cleanupIncrementally(2, true).build().incrementalCleanup).toEqual({
      keysPerStep: 2,
      everyRecord: true,
    })
  })

  test('a disabled configuration is none', () => {
    const descriptor = new ValueStateDescriptor('last', Types.INT)
    descriptor.enableTimeToLive(StateTtlConfig.newBuilder(5).setUpdateType(StateTtlConfig.UpdateType.Disabled).build())
    expect(describeState(descriptor as StateDescriptor)).toBe('ValueState<INT>')
  })

  test.each([
    ['a ttl of 0', () => StateTtlConfig.newBuilder(0), 'TTL is expected to be positive'],
    ['RocksDB by name', () => StateTtlConfig.newBuilder(1).cleanupInRocksdbCompactFilter(), 'there is no RocksDB state backend yet'],
    [
      'an unknown update type',
      () => StateTtlConfig.newBuilder(1).setUpdateType('OnRead' as never),
      'setUpdateType takes Disabled or OnCreateAndWrite',
    ],
    ['no keys', () => StateTtlConfig.newBuilder(1).cleanupIncrementally(0, false), 'takes a number of keys from 1, got 0'],
    ['something else', () => new ValueStateDescriptor('last', Types.INT).enableTimeToLive({} as never), 'state last: enableTimeToLive takes'],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

describe('values expire', () => {
  test('at last write plus ttl, not before', () => {
    const states = new Expiring(noBackground)
    states.write('a', 3)
    states.nowMs += ttlMs - 1
    expect(states.read('a')).toEqual({ value: 3, list: [3], map: [['k3', 3]], sum: 3, mean: 3 })
    states.nowMs += 1
    expect(states.read('a')).toEqual(nothing)
    expect(states.backend.keyCount, 'reading has removed them').toBe(0)
  })

  test('lists by element, maps by entry; the others live on with each write', () => {
    const states = new Expiring(noBackground)
    states.write('a', 1)
    states.nowMs += 600
    states.write('a', 2)
    states.nowMs += 600
    expect(states.read('a')).toEqual({ value: 2, list: [2], map: [['k2', 2]], sum: 3, mean: 1.5 })
  })

  test('what has expired is not combined with', () => {
    const states = new Expiring(noBackground)
    states.write('a', 1)
    states.nowMs += ttlMs
    states.write('a', 5)
    expect(states.read('a')).toMatchObject({ sum: 5, mean: 5 })
  })

  test('with OnReadAndWrite a read makes them young again', () => {
    const states = new Expiring(builder => noBackground(builder).setUpdateType('OnReadAndWrite'))
    states.write('a', 1)
    const seen = { value: 1, list: [1], map: [['k1', 1]], sum: 1, mean: 1 }
    for (let read = 0; read < 5; read++) {
      states.nowMs += ttlMs - 1
      expect(states.read('a')).toEqual(seen)
    }
    states.nowMs += ttlMs
    expect(states.read('a')).toEqual(nothing)
  })

  test('with ReturnExpiredIfNotCleanedUp they are read once more, which removes them', () => {
    const states = new Expiring(builder => noBackground(builder).setStateVisibility('ReturnExpiredIfNotCleanedUp'))
    states.write('a', 1)
    states.nowMs += 5 * ttlMs
    expect(states.read('a')).toEqual({ value: 1, list: [1], map: [['k1', 1]], sum: 1, mean: 1 })
    expect(states.read('a')).toEqual(nothing)
  })

  test('a map that holds null keeps the entry', () => {
    const states = new Expiring(noBackground)
    states.backend.setCurrentKey('a')
    const map = states.backend.getMapState(states.map)
    map.put('x', null as never)
    states.restart()
    states.backend.setCurrentKey('a')
    const restored = states.backend.getMapState(states.map)
    expect([restored.contains('x'), restored.get('x'), restored.isEmpty()]).toEqual([true, null, false])
    states.nowMs += ttlMs
    expect([restored.isEmpty(), restored.contains('x')]).toEqual([true, false])
  })

  test('with the time of the last access, which a checkpoint keeps', () => {
    const states = new Expiring(noBackground)
    states.write('a', 1)
    states.nowMs += 600
    states.restart()
    states.nowMs += 399
    expect(states.read('a')).toEqual({ value: 1, list: [1], map: [['k1', 1]], sum: 1, mean: 1 })
    states.nowMs += 1
    expect(states.read('a')).toEqual(nothing)
  })

  test.each([true, false])('with cleanupFullSnapshot a base holds nothing that has expired, else all of it: %s', cleans => {
    const states = new Expiring(builder => (cleans ? noBackground(builder).cleanupFullSnapshot() : noBackground(builder)), smallStateLimits)
    for (let key = 0; key < 50; key++) states.write(`old ${key}`, 1)
    states.checkpoint(true)
    states.nowMs += ttlMs
    // Until the base that is begun is written.
    for (let checkpoint = 0; checkpoint < 1_000; checkpoint++) {
      states.write('new', checkpoint)
      states.checkpoint(true)
    }
    states.restart()
    expect(states.backend.keyCount).toBe(cleans ? 1 : 51)
  })

  test('below each window of its own', () => {
    const states = new Expiring(builder => noBackground(builder).cleanupFullSnapshot())
    const descriptor = new ValueStateDescriptor('of the window', Types.INT)
    descriptor.enableTimeToLive(states.config)
    const below = states.backend.register(descriptor as StateDescriptor, Types.SAFE_LONG as never)
    const seen = states.backend.declared(descriptor as StateDescriptor, Types.SAFE_LONG as never) as unknown as {
      value(): unknown
      update(value: number): void
    }
    states.backend.setCurrentKey('a')
    for (const window of [0, 1_000, 2_000]) {
      below.setNamespace(window)
      seen.update(window)
      states.nowMs += 400
    }
    wholeKeyedSnapshot(states.backend)
    states.backend.setCurrentKey('a')
    const left = [0, 1_000, 2_000].map(window => {
      below.setNamespace(window)
      return below.read() === undefined ? 'gone' : seen.value()
    })
    expect(left).toEqual(['gone', 1_000, 2_000])
  })
})

describe('clean-up', () => {
  test('looks at so many keys for each access, in turn', () => {
    const states = new Expiring(builder => builder.cleanupIncrementally(2, false))
    const value = states.backend.getState(states.value)
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      states.backend.setCurrentKey(key)
      value.update(1)
    }
    states.nowMs += ttlMs
    states.backend.setCurrentKey('other')
    const left = () => [...states.backend.keys()].map(entry => entry.key)
    // Where the turn stands after the writes is not the matter: two an access, and after enough of them nothing is left.
    const counts = [left().length]
    for (let access = 0; access < 4; access++) {
      expect(value.value()).toBeNull()
      counts.push(left().length)
    }
    for (const [i, count] of counts.slice(1).entries()) expect((counts[i] as number) - count).toBeLessThanOrEqual(2)
    expect(counts.at(-1)).toBe(0)
    states.backend.setCurrentKey('other')
    value.update(7)
    expect(value.value(), 'the current key is the one that was current').toBe(7)
  })

  test('for every record, whether it touches the state or not', () => {
    const states = new Expiring(builder => builder.cleanupIncrementally(1, true))
    states.write('a', 1)
    states.write('b', 1)
    states.nowMs += ttlMs
    for (let record = 0; record < 10; record++) states.backend.setCurrentKey('other')
    expect(states.backend.keyCount).toBe(0)
  })

  test('without it, and with none in background, what nobody reads stays', () => {
    const states = new Expiring(noBackground)
    states.write('a', 1)
    states.nowMs += 10 * ttlMs
    for (let record = 0; record < 10; record++) {
      states.write('other', record)
      states.read('other')
    }
    states.restart()
    expect(states.backend.keyCount).toBe(2)
  })

  test('of full snapshots: what has expired is in none, what has not is', () => {
    const states = new Expiring(builder => noBackground(builder).cleanupFullSnapshot())
    states.write('old', 1)
    states.write('both', 1)
    states.nowMs += 600
    states.write('both', 2)
    states.nowMs += 600
    states.restart()
    // The clock back: what a read could still show is what the snapshot had.
    states.nowMs -= 1_200
    expect(states.read('old')).toEqual(nothing)
    expect(states.read('both')).toEqual({ value: 2, list: [2], map: [['k2', 2]], sum: 3, mean: 1.5 })
  })
})

describe('turned on or off for state that exists', () => {
  test.each([
    ['on', false, true],
    ['off', true, false],
  ])('%s: refused, as a changed type', (how, before, after) => {
    const backendOf = (expires: boolean) => {
      const descriptor = new MapStateDescriptor('seen', Types.STRING, Types.INT)
      if (expires) descriptor.enableTimeToLive(StateTtlConfig.newBuilder(5).build())
      const backend = new KeyedStateBackend({ owner: 'sessions', keyType: Types.STRING, maxParallelism, nowMs: () => 0 })
      backend.register(descriptor as StateDescriptor)
      return { backend, state: backend.getMapState(descriptor) }
    }
    const { backend, state } = backendOf(before)
    backend.setCurrentKey('a')
    state.put('x', 1)
    const snapshot = wholeKeyedSnapshot(backend)
    expect(() => backendOf(after).backend.snapshots.restore(snapshot)).toThrow(`time-to-live was turned ${how}`)
    expect(() => backendOf(before).backend.snapshots.restore(snapshot)).not.toThrow()
  })
})

/** What Flink documents, one value at a time: written or read at `at`, gone at `at + ttl`. Nothing is cleaned up behind the model's back. */
describe('any sequence of operations', () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 700 }) }),
    fc.record({
      kind: fc.constantFrom('value', 'list', 'map', 'sum' as const),
      key: fc.constantFrom('a', 'b'),
      value: fc.integer({ min: 0, max: 4 }),
    }),
    fc.record({ kind: fc.constantFrom('read', 'restart' as const), key: fc.constantFrom('a', 'b') }),
    fc.record({ kind: fc.constant('checkpoint' as const), completes: fc.boolean() }),
  )
  test.each(['OnCreateAndWrite', 'OnReadAndWrite'] as const)(
    'with %s and NeverReturnExpired reads what the model reads, whatever is cleaned up',
    updateType => {
      fc.assert(
        fc.property(
          fc.array(operation, { maxLength: 60 }),
          fc.nat({ max: 3 }),
          fc.constantFrom(undefined, smallStateLimits),
          (operations, cleanup, limits) => {
            const states = new Expiring(builder => {
              builder.setUpdateType(updateType)
              if (cleanup === 0) builder.disableCleanupInBackground()
              if (cleanup >= 2) builder.cleanupFullSnapshot().cleanupIncrementally(cleanup - 1, cleanup === 3)
              return builder
            }, limits)
            const cells = new Map<string, { value: number; at: number }[]>()
            const alive = (name: string) => (cells.get(name) ?? []).filter(({ at }) => at + ttlMs > states.nowMs)
            const seen = (name: string) => {
              const values = alive(name)
              if (updateType === 'OnReadAndWrite') for (const cell of values) cell.at = states.nowMs
              cells.set(name, values)
              return values.map(({ value }) => value)
            }
            for (const each of operations) {
              const cell = () => ({ value: (each as { value: number }).value, at: states.nowMs })
              if (each.kind === 'pass') {
                states.nowMs += each.ms
                continue
              }
              if (each.kind === 'restart') {
                states.restart()
                continue
              }
              if (each.kind === 'checkpoint') {
                states.checkpoint(each.completes)
                continue
              }
              const { backend } = states
              backend.setCurrentKey(each.key)
              if (each.kind === 'value') {
                backend.getState(states.value).update(each.value)
                cells.set(`${each.key} value`, [cell()])
              } else if (each.kind === 'list') {
                backend.getListState(states.list).add(each.value)
                cells.set(`${each.key} list`, [...(cells.get(`${each.key} list`) ?? []), cell()])
              } else if (each.kind === 'map') {
                backend.getMapState(states.map).put(`k${each.value}`, each.value)
                cells.set(`${each.key} map k${each.value}`, [cell()])
              } else if (each.kind === 'sum') {
                const before = alive(`${each.key} sum`)[0]?.value ?? 0
                backend.getReducingState(states.sum).add(each.value)
                cells.set(`${each.key} sum`, [{ value: before + each.value, at: states.nowMs }])
              } else {
                expect(states.read(each.key)).toMatchObject({
                  value: seen(`${each.key} value`)[0] ?? null,
                  list: seen(`${each.key} list`),
                  map: [0, 1, 2, 3, 4].flatMap(entry => seen(`${each.key} map k${entry}`).map(value => [`k${entry}`, value])),
                  sum: seen(`${each.key} sum`)[0] ?? null,
                })
              }
            }
          },
        ),
        { numRuns: runs(300) },
      )
    },
  )
})
