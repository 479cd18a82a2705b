import { expect, test } from 'vitest'
import { smallStateLimits } from '../../test/support/increments.ts'
import { assert } from '../common/assert.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { seededRandom } from '../common/random.ts'
import { Types } from '../serde/types.ts'
import { ValueStateDescriptor } from '../state/descriptors.ts'
import { KeyedStateBackend } from '../state/keyed-state-backend.ts'
import { StateStorage, takesIncrements } from './state-storage.ts'
import { objectName } from './storage/epoch-log.ts'
import { createMemoryStore } from './storage/memory-store.ts'
import type { ObjectStore } from './storage/object-store.ts'
import { objectsOf, sizeOf, type TaskState, taskStateFromJson, taskStateToJson, writtenSize } from './task-state.ts'
import { TaskStateWriter } from './task-state-writer.ts'

const inlineMaxBytes = 60
const configuration = Configuration.fromObject({
  'execution.checkpointing.interval': '1 s',
  'execution.checkpointing.dir': 'sim://checkpoints',
  'execution.checkpointing.data-inline-threshold': `${inlineMaxBytes} b`,
})
const count = new ValueStateDescriptor('count', Types.INT)

function newBackend(): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'counts', keyType: Types.INT, maxParallelism: 4, limits: smallStateLimits })
  backend.register(count)
  return backend
}

/** What is left when everything that no checkpoint names has been cleaned up. */
async function cleanUp(store: ObjectStore, checkpointId: number, state: TaskState): Promise<void> {
  const needed = new Set([...objectsOf(state.operators), ...state.kept].map(({ name }) => name))
  for (const path of await store.list('job/shared')) {
    const name = path.slice('job/shared/'.length)
    if (Number.parseInt(name, 10) <= checkpointId && !needed.has(name)) await store.remove(path)
  }
}

test('each checkpoint that was written is restored from what clean-up leaves, whatever could not be written before', async () => {
  let declined = 0
  let written = 0
  let keptMax = 0
  for (let seed = 0; seed < 100; seed++) {
    const random = seededRandom(seed)
    const memory = createMemoryStore('sim://checkpoints')
    const store: ObjectStore = {
      ...memory,
      create: (path, bytes) =>
        random.nextInt(6) === 0 ? Promise.reject(new FlinkError('EXTERNAL_SYSTEM', 'the store is away')) : memory.create(path, bytes),
    }
    const storage = new StateStorage('job', configuration, async () => store)
    let writer = new TaskStateWriter('first', storage, [])
    let backend = newBackend()
    const model = new Map<number, number>()
    for (let id = 1; id < 40; id++) {
      for (let changes = random.nextInt(5); changes > 0; changes--) {
        const key = random.nextInt(30)
        backend.setCurrentKey(key)
        backend.getState(count).update(random.nextInt(5) === 0 ? null : id)
        if (backend.getState(count).value() === null) model.delete(key)
        else model.set(key, id)
        backend.snapshots.writeAhead()
      }
      const keyed = backend.snapshots.snapshot({ checkpointId: id, type: 'checkpoint' })
      const expected = [...model].sort(([a], [b]) => a - b)
      let state: TaskState
      try {
        state = taskStateFromJson(taskStateToJson(await writer.write(id, [{ operatorId: 'a', snapshot: { keyed, lists: [] } }], undefined)))
      } catch (error) {
        expect((error as FlinkError).code).toBe('EXTERNAL_SYSTEM')
        backend.snapshots.takeBack(id)
        declined++
        continue
      }
      written++
      keptMax = Math.max(keptMax, state.kept.length)
      backend.snapshots.confirm(id)
      await cleanUp(store, id, state)
      const inline = new Set(
        state.operators.flatMap(({ snapshot }) =>
          [...(snapshot.keyed?.keyGroups.values() ?? [])].flat().flatMap(({ blob }) => (blob.kind === 'inline' ? [blob.bytes] : [])),
        ),
      )
      expect([...inline].reduce((sum, bytes) => sum + bytes.length, 0)).toBeLessThanOrEqual(inlineMaxBytes)
      const [operator] = await storage.read(state, undefined)
      assert(operator?.snapshot.keyed !== undefined, 'there is keyed state')
      const copy = newBackend()
      copy.snapshots.restore(operator.snapshot.keyed)
      const seen = Array.from({ length: 30 }, (_, key) => {
        copy.setCurrentKey(key)
        return [key, copy.getState(count).value()] as const
      }).filter(([, value]) => value !== null)
      expect(seen, `seed ${seed}, checkpoint ${id}`).toEqual(expected)
      if (random.nextInt(10) > 0) continue
      // Another attempt goes on from here, behind the places of the one before.
      backend = newBackend()
      backend.snapshots.restore(operator.snapshot.keyed)
      writer = new TaskStateWriter(`attempt-${id}`, storage, state.operators)
    }
  }
  expect([declined > 100, written > 2_000, keptMax > 0]).toEqual([true, true, true])
})

test('what stands behind a segment that could not be written is refused, by the name of the segment', async () => {
  const store = createMemoryStore('sim://checkpoints')
  let away = false
  const storage = new StateStorage('job', configuration, async () => ({
    ...store,
    create: (path, bytes) => (away ? Promise.reject(new FlinkError('EXTERNAL_SYSTEM', 'the store is away')) : store.create(path, bytes)),
  }))
  const writer = new TaskStateWriter('first', storage, [])
  const backend = newBackend()
  const checkpoint = (id: number) => {
    for (let key = 0; key < 20; key++) {
      backend.setCurrentKey(key)
      backend.getState(count).update(id)
    }
    const keyed = backend.snapshots.snapshot({ checkpointId: id, type: 'checkpoint' })
    return writer.write(id, [{ operatorId: 'a', snapshot: { keyed, lists: [] } }], undefined)
  }
  await checkpoint(1)
  away = true
  await expect(checkpoint(2)).rejects.toThrow('the store is away')
  away = false
  await expect(checkpoint(3)).rejects.toThrow('the state of operator a stands behind segment 2, which could not be written')
  expect(await store.list('job/shared')).toHaveLength(1)
  backend.snapshots.takeBack(2)
  expect(sizeOf((await checkpoint(4)).operators)).toBeGreaterThan(0)
})

test('what a checkpoint has written is its own object and what its manifest carries, not what it stands behind', async () => {
  const store = createMemoryStore('sim://checkpoints')
  const writer = new TaskStateWriter('first', new StateStorage('job', configuration, async () => store), [])
  const range = (bytes: Uint8Array) => new Map([[0, bytes]])
  const take = (id: number, chain: readonly string[], kept: readonly string[], bytes: number) => {
    const written = new Map([[String(id), range(new Uint8Array(bytes))]])
    const keyed = { keyType: Types.INT.json, schemas: [], written, chain, chainBytes: 0, kept, standalone: false }
    return writer.write(id, [{ operatorId: 'a', snapshot: { keyed, lists: [] } }], undefined)
  }
  const sizes = (state: TaskState, id: number) => [sizeOf(state.operators), writtenSize(state, objectName(id, 'first'))]
  expect(sizes(await take(1, ['1'], [], 100_000), 1)).toEqual([100_000, 100_000])
  expect(sizes(await take(2, ['1', '2'], [], 60_000), 2)).toEqual([160_000, 60_000])
  expect(sizes(await take(3, ['1', '2'], ['3'], 50_000), 3), 'a piece of a base').toEqual([160_000, 50_000])
  const carried = await take(4, ['1', '2', '4'], ['3'], 40)
  expect(sizes(carried, 4)).toEqual([160_040, 40])
  expect(sizes(await take(5, ['1', '2', '4', '5'], ['3'], 70_000), 5), 'carried again').toEqual([230_040, 70_040])
})

test('savepoints and full checkpoints have their own object; the checkpoint behind them stands behind those before, which a full one keeps', async () => {
  const store = createMemoryStore('sim://checkpoints')
  const writer = new TaskStateWriter('first', new StateStorage('job', configuration, async () => store), [])
  const backend = newBackend()
  const take = async (checkpointId: number, type: string) => {
    for (let key = 0; key < 20; key += checkpointId) {
      backend.setCurrentKey(key)
      backend.getState(count).update(checkpointId)
    }
    const keyed = backend.snapshots.snapshot({ checkpointId, type })
    const { operators, kept } = await writer.write(checkpointId, [{ operatorId: 'a', snapshot: { keyed, lists: [] } }], undefined)
    if (type !== 'savepoint') backend.snapshots.confirm(checkpointId)
    backend.snapshots.writeAhead()
    return [
      objectsOf(operators)
        .map(({ name }) => name)
        .sort(),
      kept.map(({ name }) => name),
    ]
  }
  expect(await take(1, 'checkpoint')).toEqual([['1-first'], []])
  expect(await take(2, 'checkpoint')).toEqual([['1-first', '2-first'], []])
  expect(await take(3, 'checkpoint')).toEqual([['1-first', '2-first', '3-first'], []])
  expect(await take(4, 'savepoint')).toEqual([['4-first'], []])
  expect(await take(5, 'checkpoint')).toEqual([['1-first', '2-first', '3-first', '5-first'], []])
  const [own, kept = []] = await take(6, 'full-checkpoint')
  expect(own).toEqual(['6-first'])
  const [next = []] = await take(7, 'checkpoint')
  expect(next.filter(name => !kept.includes(name))).toEqual(['7-first'])
})

test('where manifests carry the state, and where it is switched off, every checkpoint is whole', () => {
  const of = (settings: Record<string, string>) =>
    takesIncrements(Configuration.fromObject({ 'execution.checkpointing.interval': '1 s', ...settings }))
  const directory = { 'execution.checkpointing.dir': 'file:///checkpoints' }
  expect(of(directory)).toBe(true)
  expect(of({ ...directory, 'execution.checkpointing.incremental': 'false' })).toBe(false)
  expect(of({ ...directory, 'execution.checkpointing.storage': 'jobmanager' })).toBe(false)
  expect(of({})).toBe(false)
  expect(of({ ...directory, 'execution.checkpointing.interval': '0' })).toBe(false)
})
