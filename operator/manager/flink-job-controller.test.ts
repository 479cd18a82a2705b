import { expect, test } from 'vitest'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { controllerRevisions, flinkJobs } from '../kube/resources.ts'

const job = (fields: object = {}, spec: object = {}, name = 'job'): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name, namespace: 'default' },
  spec: { job: { script: 'export default () => 1', upgradeMode: 'savepoint', ...fields }, ...spec },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'
const carriedOut = (generation: number) => (found: FlinkJob | undefined) =>
  running(found) && found?.status?.observedGeneration === generation && found.status.upgrade === undefined
const condition = (found: FlinkJob | undefined, type: string) => found?.status?.conditions.find(each => each.type === type)
const changed = { script: 'export default () => 2' }

test('deployed: the finalizer first, specs as revisions of their own, and then not one write', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  const found = await world.until(running)
  expect(found?.metadata).toMatchObject({ finalizers: ['millrace.dev/cleanup'] })
  const { lastReconciledSpec, lastStableSpec } = found?.status?.reconciliationStatus ?? {}
  expect(lastReconciledSpec).toMatch(/^job-[0-9a-f]{10}$/)
  expect(lastStableSpec).toBe(lastReconciledSpec)
  const { items } = await world.server.list(controllerRevisions)
  expect(items.map(({ metadata }) => metadata.name)).toEqual([lastReconciledSpec])
  expect(items[0]).toMatchObject({
    data: { job: { script: 'export default () => 1' } },
    metadata: { ownerReferences: [{ uid: found?.metadata.uid, controller: true }] },
  })
  expect(world.trace.indexOf('patchMetadata FlinkJob')).toBeLessThan(world.trace.indexOf('updateStatus FlinkJob'))
  await world.clock.run(60_000)
  const { writes } = world
  await world.clock.run(3_600_000)
  expect(world.writes).toBe(writes)
  expect(world.clusterOf('job').violations).toEqual([])
})

test('what the processes of a job need and does not last is kept while its JobManager is up, and not when it is suspended', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  expect([...world.kept]).toEqual(['FlinkJob job'])
  world.kept.clear()
  await world.clock.run(60_000)
  expect([...world.kept]).toEqual(['FlinkJob job'])
  await world.apply(job({ state: 'suspended' }))
  await world.until(found => found?.status?.lifecycleState === 'SUSPENDED')
  world.kept.clear()
  await world.clock.run(60_000)
  expect([...world.kept]).toEqual([])
})

test('an edit is carried out; revisions that nothing names any more go', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  const before = await world.until(running)
  await world.apply(job(changed))
  const after = await world.until(carriedOut(2))
  expect(after?.status?.jobStatus?.jobId).toBe(before?.status?.jobStatus?.jobId)
  await world.clock.run(10_000)
  const { items } = await world.server.list(controllerRevisions)
  expect(items.map(({ metadata }) => metadata.name)).toEqual([after?.status?.reconciliationStatus?.lastReconciledSpec])
  expect(world.clusterOf('job').restored).toEqual([undefined, expect.stringMatching(/^savepoint of /)])
})

test('deleted: everything ends, then the finalizer goes and the object with it', async () => {
  const world = new ManagerWorld()
  world.start()
  const made = job()
  await world.apply(made)
  await world.until(running)
  await world.remove(made)
  await world.until(found => found === undefined)
  await world.server.collectGarbage()
  const { jobManager, taskManagers, violations } = world.clusterOf('job')
  expect([jobManager, taskManagers, violations]).toEqual(['missing', 0, []])
  expect((await world.server.list(controllerRevisions)).items).toEqual([])
})

test('deleted and made again as it was, its specs are its own: what the old one has left goes without them', async () => {
  const world = new ManagerWorld()
  world.start()
  const made = job()
  await world.apply(made)
  const before = await world.until(running)
  await world.remove(made)
  await world.until(found => found === undefined)
  // Nothing of the old one is collected yet.
  await world.apply(made)
  const after = await world.until(running)
  const specOf = (found: FlinkJob | undefined) => found?.status?.reconciliationStatus?.lastReconciledSpec
  expect(specOf(after)).not.toBe(specOf(before))
  await world.clock.run(10_000)
  const { items } = await world.server.list(controllerRevisions)
  expect(items.map(({ metadata }) => metadata.name)).toEqual([specOf(after)])
})

test('deleted before its first pass nothing is started', async () => {
  const world = new ManagerWorld()
  const made = job()
  await world.apply(made)
  await world.remove(made)
  world.start()
  await world.clock.run(10_000)
  expect(world.clusterOf('job').history).toEqual([])
})

test('millrace.dev/paused: nothing is done until it goes, deletion neither, and Paused says so', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  await world.annotate({ 'millrace.dev/paused': 'true' })
  await world.apply(job(changed))
  const paused = await world.until(found => condition(found, 'Paused')?.status === 'True')
  expect(condition(paused, 'Paused')?.message).toContain('millrace.dev/paused')
  const { length } = world.clusterOf('job').history
  await world.clock.run(600_000)
  expect(world.clusterOf('job').history.length).toBe(length)
  await world.annotate({ 'millrace.dev/paused': null })
  const after = await world.until(carriedOut(2))
  expect(condition(after, 'Paused')).toBeUndefined()
})

test('a spec that does not hold: what was carried out goes on, Ready names the field; mended it is carried out', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  const { length } = world.clusterOf('job').history
  await world.apply(job({}, { flinkConfiguration: { 'no.such.option': '1' } }))
  const invalid = await world.until(found => condition(found, 'Ready')?.reason === 'InvalidSpec')
  expect(condition(invalid, 'Ready')).toMatchObject({
    status: 'False',
    message: expect.stringMatching(/^the spec of generation 2 is invalid.*spec\.flinkConfiguration\["no\.such\.option"\]: unknown option/),
    observedGeneration: 2,
  })
  expect(invalid?.status).toMatchObject({ lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } })
  await world.clock.run(60_000)
  expect(world.clusterOf('job').history.length).toBe(length)
  await world.apply(job(changed))
  expect(condition(await world.until(carriedOut(3)), 'Ready')?.status).toBe('True')
})

test('a first spec that does not hold starts nothing; mended, the job starts', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job({}, { flinkConfiguration: { 'no.such.option': '1' } }))
  const invalid = await world.until(found => condition(found, 'Ready')?.reason === 'InvalidSpec')
  expect(invalid?.status).toMatchObject({ lifecycleState: 'FAILED', observedGeneration: 1 })
  expect(world.clusterOf('job').history).toEqual([])
  await world.apply(job())
  await world.until(carriedOut(2))
})

test('adoption: another operator leaves what runs alone, and goes on with what was begun', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  const before = await world.until(running)
  const { length } = world.clusterOf('job').history
  world.kill()
  world.start()
  await world.clock.run(60_000)
  expect(world.clusterOf('job').history.length).toBe(length)
  await world.apply(job(changed))
  await world.until(found => found?.status?.upgrade !== undefined)
  world.kill()
  await world.clock.run(60_000)
  world.start()
  const after = await world.until(carriedOut(2))
  expect(after?.status?.jobStatus?.jobId).toBe(before?.status?.jobStatus?.jobId)
  expect(world.clusterOf('job').violations).toEqual([])
})

test('a status that somebody has emptied loses no job', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job({ upgradeMode: 'last-state' }))
  const before = await world.until(running)
  const object = await world.server.get(flinkJobs, 'default', 'job')
  await world.server.updateStatus({ ...object, status: { lifecycleState: 'NONSENSE' } })
  const after = await world.until(running)
  expect(world.clusterOf('job').violations).toEqual([])
  expect(after?.status?.jobStatus?.jobId).toBe(before?.status?.jobStatus?.jobId)
})

test('a job that runs as it should is asked for once in ten seconds where that is enough, and an edit is seen at once', async () => {
  const world = new ManagerWorld(new Map(), { quietLookMs: 10_000 })
  world.start()
  await world.apply(job())
  await world.until(running)
  await world.clock.run(20_000)
  const { restCalls, writes } = world
  await world.clock.run(500_000)
  expect(world.restCalls - restCalls).toBeLessThanOrEqual(50)
  expect(world.writes).toBe(writes)
  const before = world.clock.monotonicMs()
  await world.apply(job(changed))
  await world.until(found => found?.status?.upgrade !== undefined)
  expect(world.clock.monotonicMs() - before).toBeLessThan(1_000)
  await world.until(carriedOut(2))
})

test('labels and annotations of a job that runs are no edit: nothing is stopped, started or written', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  await world.clock.run(60_000)
  const { writes } = world
  const labelled = job()
  await world.apply({ ...labelled, metadata: { ...labelled.metadata, labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } } })
  await world.clock.run(60_000)
  expect(world.writes).toBe(writes)
  expect(await world.until(running)).toMatchObject({
    metadata: { generation: 1, labels: { team: 'a' } },
    status: { jobStatus: { state: 'RUNNING' } },
  })
  expect(world.clusterOf('job').restored).toEqual([undefined])
})
