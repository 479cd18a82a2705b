import { expect, test } from 'vitest'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import type { FlinkJob, FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import { editOf } from '../job/diff.ts'
import { initialStatus } from '../job/input.ts'
import { KubeError, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { controllerRevisions, typeOf } from '../kube/resources.ts'
import type { Caches } from './caches.ts'
import { createReferences, ofReferences } from './references.ts'

const meta = (name: string) => ({ name, namespace: 'default' })
const configMap = (data: Readonly<Record<string, string>>, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { ...meta('programs'), ...more },
  data,
})
const job = (key = 'job.ts', fields: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: meta('job'),
  spec: { job: { configMapRef: { name: 'programs', key }, upgradeMode: 'savepoint', ...fields } },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'
const upgraded = (before: FlinkJob | undefined) => (found: FlinkJob | undefined) =>
  running(found) && found?.status?.upgrade === undefined && intended(found) !== intended(before)
const intended = (found: FlinkJob | undefined) => found?.status?.reconciliationStatus?.lastReconciledSpec
const ready = (found: FlinkJob | undefined) => found?.status?.conditions.find(({ type }) => type === 'Ready')
const programs = async (world: ManagerWorld) =>
  (await world.server.list(controllerRevisions)).items.map(({ data }) => (data as { readonly job: object }).job)

test('a program in a ConfigMap runs as if it stood in the spec; an edit of it is a restart with the state, without another generation', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(configMap({ 'job.ts': 'export default () => 1' }))
  await world.apply(job())
  const before = await world.until(running)
  expect(await programs(world)).toMatchObject([{ script: 'export default () => 1' }])
  await world.apply(configMap({ 'job.ts': 'export default () => 2' }))
  const after = await world.until(upgraded(before))
  expect(after?.status?.edit).toMatchObject({ generation: 1, class: 'restart', fields: ['spec.job.script'] })
  expect(after?.status?.jobStatus?.jobId).toBe(before?.status?.jobStatus?.jobId)
  expect(world.clusterOf('job').restored).toEqual([undefined, expect.stringMatching(/^savepoint of /)])
  await world.clock.run(10_000)
  expect(await programs(world)).toMatchObject([{ script: 'export default () => 2' }])
  expect(world.clusterOf('job').violations).toEqual([])
})

test('a key that ends in .sql is a SQL script', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(configMap({ 'job.sql': 'SELECT 1' }))
  await world.apply(job('job.sql'))
  await world.until(running)
  expect(await programs(world)).toMatchObject([{ sql: 'SELECT 1' }])
})

test('a ConfigMap that changes without its text, by labels or another key, changes nothing', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(configMap({ 'job.ts': 'export default () => 1' }))
  await world.apply(job())
  const before = await world.until(running)
  await world.clock.run(60_000)
  const { writes } = world
  await world.server.apply(configMap({ 'job.ts': 'export default () => 1', other: 'text' }, { labels: { team: 'a' } }), 'person')
  await world.clock.run(60_000)
  expect(world.writes).toBe(writes)
  expect(intended(await world.until(running))).toBe(intended(before))
})

test('a ConfigMap that is not there, or has no such key, is named and nothing is started; there, it is picked up', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  const missing = await world.until(found => ready(found)?.status === 'False')
  expect(ready(missing)).toMatchObject({
    reason: 'InvalidSpec',
    message: expect.stringContaining('there is no ConfigMap programs in namespace default'),
  })
  await world.apply(configMap({ 'other.ts': 'export default () => 1' }))
  await world.until(found => ready(found)?.message?.includes('ConfigMap programs has no text under the key job.ts') === true)
  expect(world.clusterOf('job').jobManager).toBe('missing')
  await world.apply(configMap({ 'job.ts': 'export default () => 1' }))
  await world.until(running)
})

test('a ConfigMap that goes leaves its job alone, also when the operator begins anew; another one in its place is an edit', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(configMap({ 'job.ts': 'export default () => 1' }))
  await world.apply(job())
  const before = await world.until(running)
  await world.remove(configMap({}))
  const left = await world.until(found => ready(found)?.message?.includes('there is no ConfigMap programs') === true)
  expect([left?.status?.jobStatus?.state, intended(left)]).toEqual(['RUNNING', intended(before)])
  world.kill()
  await world.apply(configMap({ 'job.ts': 'export default () => 2' }))
  world.start()
  const after = await world.until(upgraded(before))
  expect(after?.status?.jobStatus?.jobId).toBe(before?.status?.jobStatus?.jobId)
  expect(ready(after)?.status).toBe('True')
})

test('what was refused of one text does not stand in the way of the next one, under the same generation', () => {
  const spec = (script: string) => ({ job: { configMapRef: { name: 'programs', key: 'job.ts' }, script } }) as unknown as FlinkJobSpec
  const noted = ofReferences(initialStatus, spec('one'))
  const refused = { ...noted, refused: { generation: 1, message: 'no' }, plan: { generation: 1, verdict: 'incompatible' as const, states: [] } }
  expect(ofReferences(refused, spec('one'))).toEqual(refused)
  const next = ofReferences(refused, spec('two'))
  expect([next.refused, next.plan]).toEqual([undefined, undefined])
  const upgrade = { generation: 1 } as unknown as NonNullable<FlinkJobStatus['upgrade']>
  expect(ofReferences({ ...refused, upgrade }, spec('two'))).toEqual({ ...refused, upgrade })
})

test('pods read ConfigMaps and Secrets: another version of one is an edit, one that comes or goes is none, and what is in them is nowhere', async () => {
  const world = new ManagerWorld()
  const references = createReferences(world.server, cachesOf(world), world.clock)
  const template = {
    spec: {
      containers: [
        {
          envFrom: [{ secretRef: { name: 'env' } }, { configMapRef: { name: 'settings' } }],
          env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'key', key: 'a' } } }],
        },
      ],
      volumes: [{ secret: { secretName: 'files' } }, { projected: { sources: [{ secret: { name: 'part' } }, { configMap: { name: 'other' } }] } }],
    },
  }
  const spec = { job: { script: 'x', state: 'running', upgradeMode: 'savepoint' }, taskManager: {}, podTemplate: template } as unknown as FlinkJobSpec
  const secret = (value: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: meta('files'), stringData: { value } })
  const resolve = async (before: FlinkJobSpec | undefined) => {
    // Secrets are looked at once a minute.
    await world.clock.run(60_000)
    const found = await references.resolve('default', spec, before)
    if (!('spec' in found)) throw new Error(found.invalid)
    return found.spec
  }
  const nothing = await resolve(undefined)
  expect(nothing.references).toBeUndefined()
  for (const name of ['env', 'key', 'part']) await world.apply({ ...secret('hidden'), metadata: meta(name) })
  for (const name of ['settings', 'other']) await world.apply({ ...configMap({ a: 'hidden' }), metadata: meta(name) })
  await world.apply(secret('hidden'))
  const first = await resolve(nothing)
  expect(Object.keys(first.references ?? {})).toEqual([
    'ConfigMap other',
    'ConfigMap settings',
    'Secret env',
    'Secret files',
    'Secret key',
    'Secret part',
  ])
  expect(JSON.stringify(first.references)).not.toContain('hidden')
  expect(editOf(nothing, first)?.class).toBe('ignore')
  await world.apply(secret('changed'))
  const second = await resolve(first)
  expect(editOf(first, second)).toEqual({ class: 'restart', fields: ['spec.references["Secret files"]'] })
  await world.remove(secret(''))
  expect(editOf(second, await resolve(second))).toBeUndefined()
  await world.apply(secret('changed'))
  expect(editOf(second, await resolve(second))?.class).toBe('restart')
})

/** Caches that have seen all, without a manager. */
function cachesOf(world: ManagerWorld): Caches {
  const objects = new Map<string, KubeObject>()
  const { apply, remove } = world
  world.apply = async object => {
    const made = await apply.call(world, object)
    objects.set(`${object.kind} ${object.metadata.name}`, await world.server.get(typeOf(object), 'default', object.metadata.name))
    return made
  }
  world.remove = async object => {
    await remove.call(world, object)
    objects.delete(`${object.kind} ${object.metadata.name}`)
  }
  return { get: ({ kind }, _namespace, name) => objects.get(`${kind} ${name}`), list: () => [], labelled: () => [], seen: () => {} }
}

test('a Secret that the operator may not read is a problem of the spec that names it, until it may', async () => {
  const world = new ManagerWorld()
  let mayRead = false
  const get: ObjectApi['get'] = async (type, namespace, name) => {
    if (type.plural === 'secrets' && !mayRead) throw new KubeError('Forbidden', 'secrets "key" is forbidden')
    return world.server.get(type, namespace, name)
  }
  const references = createReferences(Object.assign(Object.create(world.server) as ObjectApi, { get }), cachesOf(world), world.clock)
  const template = { spec: { containers: [{ name: 'main', envFrom: [{ secretRef: { name: 'key' } }] }] } }
  const spec = { job: { script: 'x' }, taskManager: {}, podTemplate: template } as unknown as FlinkJobSpec
  expect(await references.resolve('default', spec, undefined)).toEqual({
    invalid: 'spec names Secret key in namespace default, which the operator may not read: secrets "key" is forbidden',
  })
  mayRead = true
  await world.apply({ apiVersion: 'v1', kind: 'Secret', metadata: meta('key'), data: {} })
  expect(await references.resolve('default', spec, undefined)).toMatchObject({
    spec: { references: { 'Secret key': expect.any(String) as unknown } },
  })
})
