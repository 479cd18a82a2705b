import { describe, expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { objectApiContract } from '../../test/support/object-api-contract.ts'
import { SimClock } from '../../test/support/sim-clock.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { LocalApiServer } from './local-api-server.ts'
import { KubeError, type KubeObject } from './object-api.ts'
import { configMaps, events } from './resources.ts'

describe('the contract of API servers', () => {
  const server = new LocalApiServer({ clock: systemClock, random: seededRandom(1) })
  objectApiContract(() => ({ api: server, collectGarbage: () => server.collectGarbage(), compact: async () => server.compact() }))
})

const configMap = (name: string, data: Readonly<Record<string, string>> = {}, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...metadata },
  data,
})

test('a write that could not be made durable has not happened', async () => {
  let fails = false
  const persist = async () => {
    if (fails) throw new Error('the disk is full')
  }
  const server = new LocalApiServer({ clock: systemClock, random: seededRandom(1), persist })
  const made = await server.create(configMap('a', { a: '1' }))
  fails = true
  await expect(server.apply(configMap('a', { a: '2' }), 'one')).rejects.toThrow('the disk is full')
  await expect(server.delete(configMaps, 'default', 'a')).rejects.toThrow('the disk is full')
  expect(await server.get(configMaps, 'default', 'a')).toEqual(made)
  fails = false
  expect((await server.apply(configMap('a', { a: '2' }), 'one'))['data']).toEqual({ a: '2' })
})

test('what was persisted is there in the next one, with its identity, and versions go on', async () => {
  const kept = new Map<string, KubeObject>()
  const persist = async ({ object, isRemoved }: { readonly object: KubeObject; readonly isRemoved: boolean }) => {
    if (isRemoved) kept.delete(object.metadata.name)
    else kept.set(object.metadata.name, object)
  }
  const first = new LocalApiServer({ clock: systemClock, random: seededRandom(1), persist })
  await first.create(configMap('a'))
  await first.create(configMap('b'))
  await first.delete(configMaps, 'default', 'a')
  const second = new LocalApiServer({ clock: systemClock, random: seededRandom(2), persist })
  second.load([...kept.values()])
  const { items } = await second.list(configMaps)
  expect(items).toEqual((await first.list(configMaps)).items)
  const next = await second.create(configMap('c'))
  expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(Number(items[0]?.metadata.resourceVersion))
})

test('what `admit` refuses is not written, and what it fills in is', async () => {
  const admit = (object: KubeObject, before: KubeObject | undefined) => {
    if (object.metadata.name === 'bad') throw new KubeError('Invalid', 'no')
    return { ...object, data: { before: String(before !== undefined) } }
  }
  const server = new LocalApiServer({ clock: systemClock, random: seededRandom(1), admit })
  await expect(server.create(configMap('bad'))).rejects.toMatchObject({ reason: 'Invalid' })
  expect((await server.create(configMap('good')))['data']).toEqual({ before: 'false' })
  expect((await server.apply(configMap('good', { x: '1' }), 'one'))['data']).toEqual({ before: 'true' })
})

/** What is persisted, as files would keep it. */
function disk() {
  const kept = new Map<string, string>()
  return {
    isFull: false,
    async persist({ object, isRemoved }: { readonly object: KubeObject; readonly isRemoved: boolean }) {
      if (this.isFull) throw new Error('the disk is full')
      if (isRemoved) kept.delete(object.metadata.name)
      else kept.set(object.metadata.name, JSON.stringify(object))
    },
    objects: () => [...kept.values()].map(text => JSON.parse(text) as KubeObject),
  }
}

test('what was applied before a restart and is applied no more is gone after it', async () => {
  const files = disk()
  const options = { clock: systemClock, random: seededRandom(1), persist: files.persist.bind(files) }
  const first = new LocalApiServer(options)
  await first.apply(configMap('a', { x: '1', y: '2' }), 'up')
  await first.apply(configMap('a', { z: '3' }), 'other')
  const second = new LocalApiServer(options)
  second.load(files.objects())
  expect(await second.get(configMaps, 'default', 'a')).toEqual(await first.get(configMaps, 'default', 'a'))
  expect((await second.apply(configMap('a', { x: '1' }), 'up'))['data']).toEqual({ x: '1', z: '3' })
})

describe('what has no owner', () => {
  const owned = { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: 'nobody' }] }
  const names = async (server: LocalApiServer) => (await server.list(configMaps)).items.map(({ metadata }) => metadata.name)
  /** Until what the clock has begun is done. */
  const settled = (server: LocalApiServer) => server.patchMetadata(configMap('none'), {}).catch(() => {})

  test('goes a moment after it was made, not at once', async () => {
    const clock = new SimulatedClock()
    const server = new LocalApiServer({ clock, random: seededRandom(1) })
    await server.create(configMap('a', {}, owned))
    expect(await names(server)).toEqual(['a'])
    clock.advanceBy(1)
    await settled(server)
    expect(await names(server)).toEqual([])
  })

  test('goes after a restart, when it was left behind by a crash, and when the disk has room again', async () => {
    const clock = new SimulatedClock()
    const files = disk()
    const server = new LocalApiServer({ clock, random: seededRandom(1), persist: files.persist.bind(files) })
    server.load([configMap('a', {}, { ...owned, uid: '1', resourceVersion: '5' })])
    files.isFull = true
    clock.advanceBy(1)
    await settled(server)
    expect(await names(server)).toEqual(['a'])
    files.isFull = false
    clock.advanceBy(1_000)
    await settled(server)
    expect(await names(server)).toEqual([])
  })
})

test('of what has happened only the last is kept: who is too far behind is told', async () => {
  const server = new LocalApiServer({ clock: systemClock, random: seededRandom(1), historyMax: 3 })
  const versions: string[] = []
  for (let value = 0; value < 10; value++)
    versions.push((await server.apply(configMap('a', { value: String(value) }), 'one')).metadata.resourceVersion as string)
  const seen = async (from: string) => {
    const values: unknown[] = []
    const controller = new AbortController()
    for await (const event of server.watch(configMaps, { resourceVersion: from }, controller.signal)) {
      if (event.type === 'BOOKMARK') continue
      values.push((event.object['data'] as { readonly value: string }).value)
      if (event.object.metadata.resourceVersion === versions.at(-1)) controller.abort()
    }
    return values
  }
  expect(await seen(versions[6] as string)).toEqual(['7', '8', '9'])
  await expect(seen(versions[0] as string)).rejects.toMatchObject({ reason: 'Expired' })
})

test('an event goes an hour after it was first told', async () => {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  const event = { apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name: 'e', namespace: 'default' }, reason: 'Submit' }
  await server.create(event)
  await server.create(configMap('a'))
  await clock.run(3_599_000)
  expect((await server.list(events)).items.length).toBe(1)
  await clock.run(2_000)
  expect((await server.list(events)).items).toEqual([])
  expect((await server.list(configMaps)).items.length).toBe(1)
})
