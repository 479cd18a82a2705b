import fc from 'fast-check'
import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { LocalApiServer } from './local-api-server.ts'
import { KubeError, type KubeObject, type ObjectApi } from './object-api.ts'
import { Reflector } from './reflector.ts'
import { configMaps } from './resources.ts'

const configMap = (name: string, value = ''): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels: { value } },
  data: { value },
})

/** Everything that promises still had to do. */
const settle = () => new Promise<void>(resolve => setImmediate(resolve))

function world(seed = 1, failures = 0) {
  const clock = new SimulatedClock()
  const server = new LocalApiServer({ clock, random: seededRandom(seed) })
  let current = server
  let cutter = new AbortController()
  let failing = failures
  const fail = () => {
    if (failing === 0) return
    failing--
    throw new KubeError('ServiceUnavailable', 'not now')
  }
  const api: Pick<ObjectApi, 'list' | 'watch'> = {
    async list(type, selection) {
      fail()
      return current.list(type, selection)
    },
    async *watch(type, from, signal) {
      fail()
      const cut = cutter.signal
      for await (const event of current.watch(type, from, AbortSignal.any([signal, cut]))) {
        if (cut.aborted) break
        yield event
      }
      if (cut.aborted && !signal.aborted && from.resourceVersion.endsWith('1')) throw new KubeError('Unreachable', 'cut')
    },
  }
  /** What the handlers have seen, put together. */
  const told = new Map<string, KubeObject>()
  const versions: string[] = []
  const reflector = new Reflector({
    api: api as ObjectApi,
    type: configMaps,
    indexed: ['value'],
    clock,
    random: seededRandom(seed),
    log: noLog,
    onChange: (before, after) => {
      const { name } = (after ?? before)?.metadata ?? { name: '' }
      if (after === undefined) told.delete(name)
      else told.set(name, after)
      versions.push(`${name} ${after?.metadata.resourceVersion ?? 'gone'}`)
    },
  })
  const controller = new AbortController()
  const running = reflector.run(controller.signal)
  return {
    clock,
    server,
    reflector,
    told,
    versions,
    cut: () => {
      cutter.abort()
      cutter = new AbortController()
    },
    putBack: (other: LocalApiServer) => {
      current = other
    },
    failNext: (count: number) => {
      failing = count
    },
    /** Until nothing is left to do. */
    async quiet() {
      for (let i = 0; i < 30; i++) {
        await settle()
        clock.advanceBy(60_000)
      }
      await settle()
    },
    async end() {
      controller.abort()
      clock.advanceBy(60_000)
      await running
    },
  }
}

const contents = (objects: Iterable<KubeObject>) =>
  [...objects].map(({ metadata, ...rest }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion} ${JSON.stringify(rest['data'])}`).sort()

type Step =
  | { readonly kind: 'write'; readonly name: string; readonly value: string; readonly seen: 'now' | 'late' | 'never' }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'cut' | 'compact' | 'fail' | 'settle' | 'late' | 'wait' }

const name = fc.constantFrom('a', 'b', 'c')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      name,
      value: fc.constantFrom('1', '2', '3'),
      seen: fc.constantFrom('now', 'late', 'never'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('cut' as const, 'compact' as const, 'fail' as const, 'settle' as const, 'late' as const, 'wait' as const),
    }),
  },
)

test('whatever is written, cut, forgotten or answered late: in the end the cache is what the server has, and handlers were told', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer(), async (steps, seed) => {
      const { clock, server, reflector, told, versions, cut, failNext, quiet, end } = world(seed)
      const late: KubeObject[] = []
      for (const each of steps) {
        if (each.kind === 'write') {
          const answer = await server.apply(configMap(each.name, each.value), 'test')
          if (each.seen === 'now') reflector.seen(answer)
          if (each.seen === 'late') late.push(answer)
        } else if (each.kind === 'delete') await server.delete(configMaps, 'default', each.name).catch(() => {})
        else if (each.kind === 'cut') cut()
        else if (each.kind === 'compact') server.compact()
        else if (each.kind === 'fail') failNext(3)
        else if (each.kind === 'settle') await settle()
        else if (each.kind === 'wait') clock.advanceBy(1_000)
        else for (const answer of late.splice(0)) reflector.seen(answer)
      }
      for (const answer of late) reflector.seen(answer)
      await quiet()
      const { items } = await server.list(configMaps)
      expect(contents(reflector.list())).toEqual(contents(items))
      expect(contents(told.values())).toEqual(contents(items))
      for (const value of ['1', '2', '3'])
        expect(contents(reflector.labelled('value', value))).toEqual(contents(items.filter(({ metadata }) => metadata.labels?.['value'] === value)))
      // Of one object nothing comes twice, and nothing older after something newer.
      for (const wanted of ['a', 'b', 'c']) {
        const own = versions.filter(version => version.startsWith(`${wanted} `) && !version.endsWith('gone')).map(version => Number(version.slice(2)))
        expect(own).toEqual([...new Set(own)].sort((a, b) => a - b))
      }
      await end()
    }),
    { numRuns: 300 },
  )
})

test('an answer is there at once, and its event is no second change', async () => {
  const { server, reflector, versions, quiet, end } = world()
  await quiet()
  const made = await server.create(configMap('a'))
  reflector.seen(made)
  expect(reflector.get('default', 'a')).toBe(made)
  await quiet()
  expect(versions).toEqual([`a ${made.metadata.resourceVersion}`])
  await end()
})

test('a server that was put back counts from there: all are listed anew', async () => {
  const { clock, server, reflector, told, cut, putBack, quiet, end } = world()
  await server.create(configMap('kept', 'old'))
  const backup = (await server.list(configMaps)).items
  await server.apply(configMap('kept', 'new'), 'test')
  await server.create(configMap('later'))
  await quiet()
  expect(reflector.list().length).toBe(2)
  const other = new LocalApiServer({ clock, random: seededRandom(2) })
  other.load(backup)
  putBack(other)
  // The connection goes with the server; the next one ends after some minutes, as all do.
  cut()
  await quiet()
  cut()
  await quiet()
  expect(contents(reflector.list())).toEqual(contents(backup))
  expect(contents(told.values())).toEqual(contents(backup))
  await end()
})

test('nothing ends it but its signal: failures are tried again, and whoever waits for the first list gets it', async () => {
  const { server, reflector, quiet, end } = world(1, 8)
  await server.create(configMap('a'))
  let synced = false
  const waiting = reflector.whenSynced.then(() => {
    synced = true
  })
  await settle()
  expect(synced).toBe(false)
  await quiet()
  await waiting
  expect(reflector.get('default', 'a')).toBeDefined()
  await end()
})
