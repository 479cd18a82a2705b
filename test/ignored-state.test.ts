import { expect, test } from 'vitest'
import type { TypeInformation } from '../runtime/serde/type-information.ts'
import { Types } from '../runtime/serde/types.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type StateDescriptor,
  ValueStateDescriptor,
} from '../runtime/state/descriptors.ts'
import { KeyedStateBackend } from '../runtime/state/keyed-state-backend.ts'
import type { KeyedSnapshot, StateSchema } from '../runtime/state/snapshot.ts'
import { TimerQueue } from '../runtime/time/timer-queue.ts'
import { wholeSnapshot } from './support/whole-snapshot.ts'

const count = new ValueStateDescriptor('count', Types.INT)

function backendOf(...descriptors: StateDescriptor[]): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'counts', keyType: Types.STRING, maxParallelism: 32 })
  for (const descriptor of descriptors) backend.register(descriptor)
  return backend
}

test('a state that is allowed to be lost is read past, whatever its kind; the others are whole', () => {
  const window = Types.SAFE_LONG as TypeInformation
  const lost: readonly StateDescriptor[] = [
    new ValueStateDescriptor('value', Types.STRING),
    new ListStateDescriptor('list', Types.row({ a: Types.INT })),
    new MapStateDescriptor('map', Types.STRING, Types.GENERIC),
    new ReducingStateDescriptor('reducing', (a: number, b: number) => a + b, Types.INT),
    new AggregatingStateDescriptor(
      'aggregating',
      { createAccumulator: () => [0], add: (value: number, [sum = 0]) => [sum + value], getResult: ([sum]) => sum },
      Types.GENERIC,
    ),
  ] as unknown as readonly StateDescriptor[]
  const source = backendOf(count as never, ...lost)
  const ofWindow = source.register(new ValueStateDescriptor('of a window', Types.INT) as never, window)
  const timers = new TimerQueue('timers', Types.STRING as TypeInformation, key => key, window)
  source.registerPart(timers)
  for (const key of ['a', 'b', 'c']) {
    source.setCurrentKey(key)
    source.getState(count).update(key.charCodeAt(0))
    source.getState(lost[0] as never).update('x')
    source.getListState(lost[1] as never).update([{ a: 1 }, { a: 2 }] as never)
    source.getMapState(lost[2] as never).put('k' as never, { any: ['thing'] } as never)
    source.getReducingState(lost[3] as never).add(3 as never)
    source.getAggregatingState(lost[4] as never).add(4 as never)
    ofWindow.setNamespace(10)
    ofWindow.write(7)
    timers.register(5, key, 10)
  }
  const keyed = source.snapshots.snapshot({ checkpointId: 1, type: 'savepoint' })
  const snapshot = wholeSnapshot({ keyed, lists: [] }).keyed as KeyedSnapshot
  const kept = backendOf(count as never)
  const schemas = snapshot.schemas.map((schema): StateSchema => (schema.name === 'count' ? schema : { ...schema, ignored: true }))
  kept.snapshots.restore({ ...snapshot, schemas })
  for (const key of ['a', 'b', 'c']) {
    kept.setCurrentKey(key)
    expect(kept.getState(count).value()).toBe(key.charCodeAt(0))
  }
  expect(kept.snapshots.snapshot({ checkpointId: 2, type: 'checkpoint' })?.schemas.map(({ name }) => name)).toEqual(['count'])
})
