import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlinkJobStatus } from '../../../operator/api/flink-job.ts'
import type { FlinkSnapshot } from '../../../operator/api/flink-snapshot.ts'
import { createSnapshotObjects } from '../../../operator/job/snapshot-objects.ts'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { isReason, type KubeObject } from '../../../operator/kube/object-api.ts'
import { events, flinkJobs, flinkSnapshots } from '../../../operator/kube/resources.ts'
import { EventRecorder } from '../../../operator/manager/events.ts'
import { reconcileSnapshot } from '../../../operator/snapshot/controller.ts'
import { createSnapshotStore } from '../../../operator/snapshot/object-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { spec as jobSpec, world } from '../../support/operator-world.ts'
import { FakeSnapshotting, runningJob } from '../../support/snapshot-world.ts'

/** FlinkSnapshots at a real kube-apiserver: what it makes of the objects and statuses that the controllers write. The job is a fake. */
let plane: KubeControlPlane
let api: KubeApi
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
  api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock: systemClock, random: systemRandom })
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
})

function controllerOf(name: string, flink: FakeSnapshotting) {
  const store = createSnapshotStore(api, 'default', name)
  const jobs = { get: async (_namespace: string, job: string) => runningJob(job), list: async () => [runningJob('job')] }
  const parts = { store, jobs, rest: flink.rest, catalogue: flink.catalogue, clock: systemClock, random: systemRandom, log: noLog }
  return { store, pass: () => reconcileSnapshot(parts) }
}

test('a FlinkSnapshot as people write it is taken, at rest it is not written again, and deleted it goes with its files', async () => {
  const flink = new FakeSnapshotting()
  const { store, pass } = controllerOf('plain', flink)
  const manifest = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkSnapshot', metadata: { name: 'plain', namespace: 'default' } }
  await api.create({ ...manifest, spec: { jobReference: { name: 'job' }, savepoint: {} } })
  expect((await store.read())?.spec).toMatchObject({ savepoint: { alreadyExists: false, disposeOnDelete: true }, backoffLimit: -1 })
  for (let i = 0; i < 6; i++) await pass()
  const taken = await store.read()
  expect(taken).toMatchObject({ metadata: { finalizers: ['millrace.dev/snapshot'] }, status: { state: 'COMPLETED', observedGeneration: 1 } })
  expect(taken?.status?.conditions.map(({ type, status }) => `${type} ${status}`)).toEqual(['Ready True', 'Progressing False', 'Failed False'])
  await pass()
  expect((await store.read())?.metadata.resourceVersion).toBe(taken?.metadata.resourceVersion)
  expect(await plane.kubectl(['get', 'flinksnapshots', 'plain'])).toMatch(new RegExp(`plain +job +COMPLETED +${taken?.status?.path}`))

  await api.delete(flinkSnapshots, 'default', 'plain')
  expect((await store.read())?.metadata.deletionTimestamp).toBeDefined()
  await pass()
  expect(await store.read()).toBeUndefined()
  expect([flink.taken.length, flink.disposed]).toEqual([1, [taken?.status?.path]])
})

test('those that a FlinkJob asks for are made once and found by its uid; the statuses of both come back as they were written', async () => {
  const { store, until, pass, api: local, cluster } = world(undefined, { ...jobSpec, snapshots: { intervalMs: 3_600_000, retain: 2 } })
  cluster.looksUntilFinished = undefined
  await until(job => job.status?.lifecycleState === 'STABLE')
  await store.annotate({ 'millrace.dev/savepoint': '1' })
  const asked = await pass()
  await pass()
  const [made] = (await local.list(flinkSnapshots)).items as unknown as readonly FlinkSnapshot[]
  if (made === undefined) throw new Error('no FlinkSnapshot was made')
  const { name, namespace, labels } = made.metadata
  const objects = createSnapshotObjects(api)
  for (let i = 0; i < 2; i++)
    await objects.execute({
      kind: 'createSnapshot',
      snapshot: { ...made, metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) } },
    })
  const [found, ...more] = await objects.list(asked)
  expect([found?.metadata.name, more]).toEqual([name, []])
  expect(found?.spec).toEqual(made.spec)

  if (found === undefined) return
  await local.updateStatus({
    ...made,
    status: { state: 'FAILED', error: 'no room', failures: 3, resultTimestamp: '2026-01-01T00:00:00Z', conditions: [] },
  })
  const failed = await pass()
  expect(failed.status?.snapshots?.failure).toMatchObject({ message: 'no room' })
  const done = { name, location: 's3://b/1', time: '2026-01-01T00:00:00Z', trigger: 'MANUAL' } as const
  const requested = [{ name, trigger: 'UPGRADE', path: 's3://b/1', created: true } as const]
  const status: FlinkJobStatus = { ...(failed.status as FlinkJobStatus), lastSavepoint: done }
  const whole = { ...status, snapshots: { ...status.snapshots, nonce: 3, requested } }
  const object: KubeObject = { ...failed, metadata: { name: 'job', namespace: 'default' }, spec: { job: { sql: 'SELECT 1' } } }
  const written = await api.updateStatus({ ...(await api.create(object)), status: whole })
  expect(written.status).toEqual(whole)
  expect((await api.get(flinkJobs, 'default', 'job')).status).toEqual(whole)

  await objects.execute({
    kind: 'deleteSnapshot',
    snapshot: { ...found, metadata: { ...found.metadata, uid: '00000000-0000-0000-0000-000000000000' } },
  })
  expect(await objects.list(asked), 'another one of the name').toHaveLength(1)
  for (let i = 0; i < 2; i++) await objects.execute({ kind: 'deleteSnapshot', snapshot: found })
  await expect(api.get(flinkSnapshots, 'default', name)).rejects.toSatisfy(error => isReason(error, 'NotFound'))
})

test('events of it are written, counted when they come again, and shown by kubectl', async () => {
  const recorder = new EventRecorder({ api, clock: systemClock, log: noLog, identity: 'operator-0' })
  const snapshot = (status: object): KubeObject => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkSnapshot',
    metadata: { name: 'told', namespace: 'default', uid: '00000000-0000-0000-0000-000000000001', resourceVersion: '1' },
    status: { conditions: [], ...status },
  })
  const [pending, failing] = [snapshot({ state: 'TRIGGER_PENDING' }), snapshot({ state: 'TRIGGER_PENDING', error: `x${'\u00e9'.repeat(2_000)}` })]
  for (let i = 0; i < 3; i++) recorder.observe(pending, failing)
  recorder.observe(failing, snapshot({ state: 'COMPLETED', path: 's3://b/1' }))
  await recorder.flushed()
  const told = (await api.list(events, { namespace: 'default' })).items.filter(({ metadata }) => metadata.name.startsWith('told.'))
  expect(told.map(event => [event['reason'], event['type'], (event['series'] as { readonly count: number } | undefined)?.count]).sort()).toEqual([
    ['SnapshotCompleted', 'Normal', undefined],
    ['SnapshotError', 'Warning', 3],
  ])
  expect(await plane.kubectl(['get', 'events', '--field-selector', 'involvedObject.name=told'])).toContain('s3://b/1')
})
