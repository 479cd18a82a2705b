import { describe, expect, test } from 'vitest'
import { type CrashPlan, crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'
import type { FlinkSnapshot, FlinkSnapshotStatus } from '../api/flink-snapshot.ts'
import { KubeError } from '../kube/object-api.ts'
import { flinkSnapshots } from '../kube/resources.ts'

const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const annotation = (value: string) => ({ 'millrace.dev/savepoint': value })
const failed = (job: FlinkJob) => job.status?.conditions.find(({ type }) => type === 'SnapshotFailed')
const HOUR_MS = 3_600_000

/** A job, and its FlinkSnapshots at an API server, brought to their ends by the test as their controller would. */
async function started(change: (before: FlinkJobSpec) => FlinkJobSpec = before => before, crashes?: CrashPlan) {
  const made = world(crashes, change(spec))
  made.cluster.looksUntilFinished = undefined
  const snapshots = async () => (await made.api.list(flinkSnapshots)).items as unknown as readonly FlinkSnapshot[]
  const finish = async (snapshot: FlinkSnapshot, status: Partial<FlinkSnapshotStatus> = {}) => {
    const path = snapshot.spec.savepoint?.path ?? `file:///savepoints/${snapshot.metadata.name}`
    const complete = { state: 'COMPLETED', path, resultTimestamp: new Date(made.now()).toISOString(), conditions: [], ...status } as const
    await made.api.updateStatus({ ...snapshot, status: complete })
  }
  /** As their controller, at once. */
  const finishAll = async () => {
    for (const snapshot of await snapshots()) if (snapshot.status === undefined) await finish(snapshot)
  }
  const first = await made.until(running)
  return { ...made, snapshots, finish, finishAll, first }
}

describe('a savepoint that a person asks for', () => {
  test('by a new value of the annotation is one FlinkSnapshot; its path and time stand in the status, the annotation stays', async () => {
    const { store, pass, snapshots, finish } = await started()
    await store.annotate(annotation('before the release'))
    await pass()
    await pass()
    const [made, ...more] = await snapshots()
    expect(more).toEqual([])
    expect(made).toMatchObject({
      metadata: {
        namespace: 'default',
        name: expect.stringMatching(/^fake-savepoint-[0-9a-z]{10}$/),
        labels: {
          team: 'words',
          'millrace.dev/job': 'fake',
          'millrace.dev/job-uid': 'u',
          'millrace.dev/snapshot-type': 'savepoint',
          'millrace.dev/snapshot-trigger': 'MANUAL',
        },
      },
      spec: { jobReference: { name: 'fake' }, savepoint: { alreadyExists: false, disposeOnDelete: true } },
    })
    expect((await store.read()).status?.lastSavepoint).toBeUndefined()
    if (made !== undefined) await finish(made, { path: 's3://b/1', resultTimestamp: '2026-01-01T00:00:00.000Z' })
    const { status, metadata } = await pass()
    expect(status?.lastSavepoint).toEqual({ time: '2026-01-01T00:00:00.000Z', location: 's3://b/1', trigger: 'MANUAL', name: made?.metadata.name })
    expect(status?.snapshots).toEqual({ annotation: 'before the release', requested: [] })
    expect(metadata.annotations).toMatchObject(annotation('before the release'))
  })

  test('is taken for each new value, one that comes again included, and for none that stays or is removed', async () => {
    const { store, pass, snapshots, finishAll } = await started()
    const taken: number[] = []
    for (const value of ['a', 'b', 'a', 'a', '']) {
      await store.annotate(annotation(value))
      await pass()
      await finishAll()
      await pass()
      taken.push((await snapshots()).length)
    }
    expect(taken).toEqual([1, 2, 3, 3, 4])
  })

  test('values that a new FlinkJob comes with are noted, and take none', async () => {
    const made = world(undefined, { ...spec, job: { ...spec.job, savepointTriggerNonce: 3 } })
    made.cluster.looksUntilFinished = undefined
    await made.store.annotate(annotation('a'))
    const job = await made.until(running)
    expect(job.status?.snapshots).toEqual({ annotation: 'a', nonce: 3, requested: [] })
    expect((await made.api.list(flinkSnapshots)).items).toEqual([])
  })

  test('by a new savepointTriggerNonce too, without touching what runs; taken away it does nothing', async () => {
    const { cluster, pass, edit, snapshots, finishAll } = await started()
    cluster.history.length = 0
    const withNonce = (nonce: number) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, savepointTriggerNonce: nonce } })
    await edit(withNonce(1))
    await pass()
    await pass()
    expect(await snapshots()).toHaveLength(1)
    await finishAll()
    await edit(() => spec)
    await pass()
    const { status } = await pass()
    expect(await snapshots()).toHaveLength(1)
    expect(status).toMatchObject({ lifecycleState: 'STABLE', observedGeneration: 3, snapshots: { nonce: 1 } })
    expect(cluster.history).toEqual([])
  })

  test('that fails says so in a condition, until one is complete', async () => {
    const { store, pass, snapshots, finish, finishAll } = await started()
    await store.annotate(annotation('a'))
    await pass()
    const [made] = await snapshots()
    if (made !== undefined) await finish(made, { state: 'TRIGGER_PENDING', error: 'no room', failures: 1 })
    expect(failed(await pass())).toMatchObject({ status: 'True', reason: 'SavepointError', message: `FlinkSnapshot ${made?.metadata.name}: no room` })
    const { resourceVersion } = (await store.read()).metadata
    await pass()
    expect((await store.read()).metadata.resourceVersion, 'said once').toBe(resourceVersion)
    const [again] = await snapshots()
    if (again !== undefined) await finish(again, { state: 'ABANDONED', error: 'FlinkJob fake is suspended' })
    const abandoned = await pass()
    expect(failed(abandoned)?.message).toMatch(/is suspended$/)
    expect(abandoned.status?.snapshots?.requested).toEqual([])
    await store.annotate(annotation('b'))
    await pass()
    await finishAll()
    expect(failed(await pass())).toBeUndefined()
  })

  test('and whose FlinkSnapshot somebody deletes is not made again', async () => {
    const { store, api, pass, snapshots } = await started()
    await store.annotate(annotation('a'))
    await pass()
    await pass()
    const [made] = await snapshots()
    await api.delete(flinkSnapshots, 'default', made?.metadata.name ?? '')
    const { status } = await pass()
    await pass()
    expect([status?.snapshots?.requested, await snapshots()]).toEqual([[], []])
  })

  test('of a job with the longest name has a name of its own that fits', async () => {
    const { metadata } = await (await started()).store.read()
    const names = new Set<string>()
    for (const name of ['a'.repeat(45), `${'a'.repeat(44)}b`]) {
      const made = await started()
      const read = made.store.read.bind(made.store)
      made.store.read = async () => ({ ...(await read()), metadata: { ...(await read()).metadata, name, uid: `uid of ${name}` } })
      await made.store.annotate(annotation('x'))
      await made.pass()
      for (const snapshot of await made.snapshots()) names.add(snapshot.metadata.name)
    }
    expect(metadata.name).toBe('fake')
    expect(names.size).toBe(2)
    for (const name of names) expect(name).toMatch(/^a{24}-savepoint-[0-9a-z]{10}$/)
  })
})

describe('the savepoint of an upgrade', () => {
  test.each(['an edit', 'a suspension'])('by %s is recorded as one that is there, without an owner that would take it along', async what => {
    const { cluster, until, edit, snapshots, finishAll, pass } = await started(before => ({
      ...before,
      job: { ...before.job, upgradeMode: 'savepoint' },
    }))
    await edit(before => ({
      ...before,
      job: { ...before.job, ...(what === 'an edit' ? { script: 'export default () => 2' } : { state: 'suspended' }) },
    }))
    const path = (await until(job => job.status?.jobStatus?.upgradeSavepointPath !== undefined)).status?.jobStatus?.upgradeSavepointPath
    await until(job => (what === 'an edit' ? running(job) : job.status?.lifecycleState === 'SUSPENDED'))
    const [recorded, ...more] = await snapshots()
    expect(more).toEqual([])
    expect(recorded).toMatchObject({
      metadata: { labels: { 'millrace.dev/snapshot-trigger': 'UPGRADE' } },
      spec: { savepoint: { path, alreadyExists: true, disposeOnDelete: true } },
    })
    expect(recorded?.metadata).not.toHaveProperty('ownerReferences')
    await finishAll()
    expect((await pass()).status?.lastSavepoint).toMatchObject({ location: path, trigger: 'UPGRADE' })
    expect(cluster.violations).toEqual([])
  })
})

test('the savepoint that deletionPolicy Savepoint takes is recorded too', async () => {
  const { store, until, now, snapshots } = await started(before => ({ ...before, deletionPolicy: 'Savepoint', deletionTimeoutMs: 60_000 }))
  await store.markDeleted(await store.read(), now())
  const { status } = await until(job => job.status?.lifecycleState === 'DELETED')
  expect(status?.deletion?.savepointPath).toMatch(/^savepoint of/)
  expect((await snapshots()).map(({ spec: { savepoint } }) => savepoint)).toEqual([
    { path: status?.deletion?.savepointPath, alreadyExists: true, disposeOnDelete: true },
  ])
})

test('a FlinkJob is not gone before the savepoint of its suspension has its object', async () => {
  const { store, api, pass, until, edit, now, snapshots } = await started(before => ({ ...before, job: { ...before.job, upgradeMode: 'savepoint' } }))
  const create = api.create.bind(api)
  api.create = () => Promise.reject(new KubeError('ServiceUnavailable', 'not now'))
  await edit(before => ({ ...before, job: { ...before.job, state: 'suspended' } }))
  await until(job => job.status?.lifecycleState === 'SUSPENDED')
  await store.markDeleted(await store.read(), now())
  for (let i = 0; i < 5; i++) expect((await pass()).status?.lifecycleState).toBe('DELETING')
  api.create = create
  await until(job => job.status?.lifecycleState === 'DELETED')
  expect((await snapshots()).map(({ spec: { savepoint } }) => savepoint?.alreadyExists)).toEqual([true])
})

describe('periodic snapshots', () => {
  const every =
    (intervalMs: number, retain = 2) =>
    (before: FlinkJobSpec) => ({ ...before, snapshots: { intervalMs, retain } })

  test('are taken an interval apart, each once, whatever restarts the controller', async () => {
    const { pass, advance, now, snapshots, finishAll } = await started(every(HOUR_MS, 100))
    await pass()
    const begun = now()
    const counts: number[] = []
    for (let hours = 0; hours < 4; hours++) {
      advance(HOUR_MS / 2)
      await pass()
      await pass()
      await finishAll()
      await pass()
      counts.push((await snapshots()).length)
    }
    expect(counts).toEqual([0, 1, 1, 2])
    expect(now() - begun).toBeLessThan(2 * HOUR_MS + 60_000)
    const [first] = await snapshots()
    expect(first?.metadata).toMatchObject({
      name: expect.stringMatching(/^fake-periodic-/),
      labels: { 'millrace.dev/snapshot-trigger': 'PERIODIC' },
      annotations: { 'millrace.dev/scheduled': expect.any(String) },
    })
  })

  test('go by a cron expression in UTC', async () => {
    const { pass, advance, snapshots, finishAll, now } = await started(before => ({ ...before, snapshots: { cron: '30 6 * * *', retain: 10 } }))
    await pass()
    const due: string[] = []
    for (let day = 0; day < 3; day++) {
      advance(Date.UTC(1970, 0, 1 + day, 6, 29, 59) - now())
      await pass()
      expect(await snapshots()).toHaveLength(day)
      advance(Date.UTC(1970, 0, 1 + day, 6, 30) - now())
      await pass()
      await finishAll()
      due.push(...(await snapshots()).map(({ metadata }) => metadata.annotations?.['millrace.dev/scheduled']?.slice(0, 16) ?? '').slice(-1))
    }
    expect(await snapshots()).toHaveLength(3)
    expect(due.every(time => time.endsWith('06:30'))).toBe(true)
  })

  test('that were missed are taken once, and none while one is under way, the job does not run or is upgraded', async () => {
    const { cluster, pass, until, edit, advance, snapshots, finishAll } = await started(every(HOUR_MS, 100))
    await pass()
    advance(10 * HOUR_MS)
    await pass()
    await pass()
    expect(await snapshots()).toHaveLength(1)
    advance(10 * HOUR_MS)
    await pass()
    expect(await snapshots(), 'one is under way').toHaveLength(1)
    await finishAll()
    await pass()
    await pass()
    expect(await snapshots()).toHaveLength(2)
    await finishAll()
    for (const job of cluster.jobs.values()) job.state = 'RESTARTING'
    advance(10 * HOUR_MS)
    await pass()
    expect(await snapshots(), 'the job restarts').toHaveLength(2)
    for (const job of cluster.jobs.values()) job.state = 'RUNNING'
    await edit(before => ({ ...before, job: { ...before.job, upgradeMode: 'savepoint', script: 'export default () => 2' } }))
    await until(job => job.status?.upgrade !== undefined)
    const during = (await snapshots()).filter(({ status }) => status === undefined).length
    advance(10 * HOUR_MS)
    await pass()
    expect((await snapshots()).filter(({ status }) => status === undefined).length, 'it is upgraded').toBe(during)
  })

  test('go on by what there is of them, should the status be lost', async () => {
    const { store, pass, advance, now, snapshots, finishAll, first } = await started(every(HOUR_MS, 100))
    await pass()
    advance(HOUR_MS)
    await pass()
    await finishAll()
    await pass()
    const job = await store.read()
    const { snapshots: _, ...status } = job.status ??
      first.status ?? { lifecycleState: 'STABLE', jobManagerDeploymentStatus: 'READY', conditions: [] }
    await store.writeStatus(job, status)
    const lostAt = now()
    advance(HOUR_MS - 60_000)
    await pass()
    await pass()
    expect(await snapshots()).toHaveLength(1)
    advance(60_000)
    await pass()
    await pass()
    expect(await snapshots()).toHaveLength(2)
    expect(now() - lostAt).toBeLessThan(HOUR_MS + 60_000)
  })

  test('beyond `retain` are deleted, the oldest first, and stay listed until their files are gone', async () => {
    const { api, pass, advance, snapshots, finishAll } = await started(every(HOUR_MS, 2))
    await pass()
    const made: string[] = []
    for (let i = 0; i < 5; i++) {
      advance(HOUR_MS)
      await pass()
      // As their controller does before anything else.
      for (const snapshot of await snapshots())
        if (snapshot.metadata.finalizers === undefined) await api.patchMetadata({ ...snapshot }, { finalizers: ['millrace.dev/snapshot'] })
      await finishAll()
      made.push(...(await snapshots()).map(({ metadata }) => metadata.name).filter(name => !made.includes(name)))
      await pass()
      await pass()
    }
    const deleted = (await snapshots()).filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata }) => metadata.name)
    expect(deleted.sort()).toEqual(made.slice(0, 3).sort())
    expect(await snapshots()).toHaveLength(5)
    for (const snapshot of await snapshots())
      if (snapshot.metadata.deletionTimestamp !== undefined) await api.patchMetadata({ ...snapshot }, { finalizers: [] })
    expect((await snapshots()).map(({ metadata }) => metadata.name).sort()).toEqual(made.slice(3).sort())
  })

  test('a job that rests or goes keeps them', async () => {
    const { store, pass, until, advance, now, snapshots, finishAll } = await started(every(HOUR_MS, 1))
    await pass()
    advance(HOUR_MS)
    await pass()
    await finishAll()
    await store.markDeleted(await store.read(), now())
    await until(job => job.status?.lifecycleState === 'DELETED')
    expect((await snapshots()).filter(({ metadata }) => metadata.deletionTimestamp === undefined)).toHaveLength(1)
  })
})

test('every crash, and every two crashes, while a savepoint is asked for end in one FlinkSnapshot and one result', async () => {
  const run = async (crashes: CrashPlan) => {
    const made = await started(undefined, crashes)
    const from = made.steps()
    await made.store.annotate(annotation('a'))
    for (let i = 0; i < 3; i++) await made.pass()
    await made.finishAll()
    const last = await made.until(job => job.status?.lastSavepoint !== undefined)
    return { ...made, from, last }
  }
  const plain = await run(new Map())
  const plans = crashPlans(plain.from, plain.steps())
  expect(plans.length).toBeGreaterThan(30)
  for (const plan of plans) {
    const { last, snapshots } = await run(plan)
    const names = (await snapshots()).map(({ metadata }) => metadata.name)
    expect(names, JSON.stringify([...plan])).toEqual([last.status?.lastSavepoint?.name])
  }
})
