import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimClock } from '../../test/support/sim-clock.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import { KubeError, type KubeObject } from '../kube/object-api.ts'
import { configMaps, flinkJobs } from '../kube/resources.ts'
import { type Controller, Manager, type ManagerOptions } from './manager.ts'
import { fenced } from './pass.ts'

const job = (name: string, metadata: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name, namespace: 'default', ...metadata },
  spec: { job: { sql: 'SELECT 1' } },
})

async function world(reconcile: Controller['reconcile'], options: Partial<ManagerOptions> = {}) {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  const controller: Controller = {
    type: flinkJobs,
    related: [{ type: configMaps, keysOf: ({ metadata }) => [{ namespace: metadata.namespace, name: metadata.labels?.['job'] ?? '' }] }],
    reconcile,
  }
  const manager = new Manager({ api: server, clock, random: seededRandom(2), log: noLog, controllers: [controller], ...options })
  const stopping = new AbortController()
  const ended = manager.run(stopping.signal)
  await clock.run(10)
  return {
    clock,
    server,
    manager,
    async end() {
      stopping.abort()
      await clock.run(10)
      await ended
    },
  }
}

test('a change of an object, or of one that concerns it, makes a pass; what a pass answers makes the next one', async () => {
  const passes: string[] = []
  const { clock, server, end } = await world(async ({ name }, caches) => {
    passes.push(`${name} ${caches.get(flinkJobs, 'default', name) === undefined ? 'gone' : 'there'}`)
    return name === 'again' ? 100 : undefined
  })
  const made = await server.create(job('a'))
  await clock.run(10)
  expect(passes).toEqual(['a there'])
  await server.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'default', labels: { job: 'a' } } })
  await server.patchMetadata(made, { labels: { x: 'y' } })
  await clock.run(10)
  expect(passes.length).toBeGreaterThanOrEqual(2)
  await server.delete(flinkJobs, 'default', 'a')
  await clock.run(10)
  expect(passes.at(-1)).toBe('a gone')
  passes.length = 0
  await server.create(job('again'))
  await clock.run(1_050)
  expect(passes.length).toBe(11)
  await end()
})

test('nothing is done before everything was seen; what was there before gets its pass', async () => {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  for (let n = 0; n < 20; n++) await server.create(job(`job-${n}`))
  const seen: number[] = []
  const manager = new Manager({
    api: server,
    clock,
    random: seededRandom(2),
    log: noLog,
    controllers: [
      {
        type: flinkJobs,
        async reconcile(_key, caches) {
          seen.push(caches.list(flinkJobs).length)
          return undefined
        },
      },
    ],
  })
  const stopping = new AbortController()
  const ended = manager.run(stopping.signal)
  await clock.run(10)
  expect(seen).toEqual(Array.from({ length: 20 }, () => 20))
  stopping.abort()
  await ended
})

test('one object has one pass at a time, and others do not wait for it', async () => {
  let running = 0
  let most = 0
  const gate = Promise.withResolvers<void>()
  const passes: string[] = []
  const { clock, server, end } = await world(async ({ name }) => {
    passes.push(name)
    if (name !== 'slow') return undefined
    most = Math.max(most, ++running)
    await gate.promise
    running--
    return undefined
  })
  const slow = await server.create(job('slow'))
  await clock.run(10)
  await server.patchMetadata(slow, { labels: { x: 'y' } })
  await server.create(job('fast'))
  await clock.run(10)
  expect([passes, most]).toEqual([['slow', 'fast'], 1])
  gate.resolve()
  await clock.run(10)
  expect([passes, most]).toEqual([['slow', 'fast', 'slow'], 1])
  await end()
})

test('a pass that fails is made again, later each time, whatever was thrown; the others go on', async () => {
  const times: number[] = []
  const { clock, server, end } = await world(async ({ name }) => {
    if (name === 'good') return undefined
    times.push(clock.monotonicMs())
    if (times.length < 6) throw times.length % 2 === 0 ? new KubeError('Conflict', 'older') : new Error('a bug')
    return undefined
  })
  await server.create(job('bad'))
  await clock.run(10_000)
  expect(times.length).toBe(6)
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  expect(gaps).toEqual([...gaps].sort((a, b) => a - b))
  await end()
})

test('a pass that hangs is abandoned: its worker goes on, its object gets another one, and what it does later is refused', async () => {
  const gate = Promise.withResolvers<void>()
  const passes: string[] = []
  let late: Promise<unknown> | undefined
  const failures: (string | undefined)[] = []
  const observer = {
    added() {},
    taken() {},
    retried() {},
    passed: (_kind: string, _ms: number, failure: string | undefined) => failures.push(failure),
  }
  const { clock, server, end } = await world(
    async ({ name, namespace }, caches) => {
      passes.push(name)
      if (passes.filter(each => each === 'hangs').length !== 1 || name !== 'hangs') return undefined
      const found = caches.get(flinkJobs, namespace, name)
      await gate.promise
      late = Promise.resolve().then(() => found && fenced(server).patchMetadata(found, { labels: { written: 'late' } }))
      await late
      return undefined
    },
    { workers: 1, passDeadlineMs: 60_000, observer },
  )
  await server.create(job('hangs'))
  await clock.run(10)
  await server.create(job('waits'))
  await clock.run(59_000)
  expect(passes).toEqual(['hangs'])
  await clock.run(2_000)
  expect(passes).toEqual(['hangs', 'waits', 'hangs'])
  expect(failures).toEqual(['TIMEOUT', undefined, undefined])
  gate.resolve()
  await clock.run(10)
  await expect(late).rejects.toMatchObject({ code: 'TIMEOUT' })
  expect((await server.get(flinkJobs, 'default', 'hangs')).metadata.labels).toBeUndefined()
  // What is not of a pass is not refused.
  await fenced(server).delete(flinkJobs, 'default', 'waits')
  await end()
})

test('all objects are looked at once more every ten minutes', async () => {
  const passes: string[] = []
  const { clock, server, end } = await world(async ({ name }) => {
    passes.push(name)
    return undefined
  })
  await server.create(job('a'))
  await clock.run(1_900_000)
  expect(passes.length).toBe(4)
  await end()
})

test('namespaces and labels: others are not even seen', async () => {
  const passes: string[] = []
  const { clock, server, manager, end } = await world(
    async ({ namespace, name }) => {
      passes.push(`${namespace}/${name}`)
      return undefined
    },
    { namespaces: ['default', 'team'], labels: { managed: 'yes' } },
  )
  for (const namespace of ['default', 'team', 'other'])
    for (const managed of ['yes', 'no']) await server.create(job(`job-${managed}`, { namespace, labels: { managed } }))
  await server.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'other', labels: { job: 'job-yes' } } })
  await clock.run(100)
  expect(passes.sort()).toEqual(['default/job-yes', 'team/job-yes'])
  expect(manager.list(flinkJobs).length).toBe(2)
  await end()
})
