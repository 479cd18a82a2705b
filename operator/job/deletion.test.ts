import { describe, expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

type Crashes = ReadonlyMap<number, 'before' | 'after'>
type Policy = NonNullable<FlinkJobSpec['deletionPolicy']>

const withPolicy = (deletionPolicy: Policy) => (before: FlinkJobSpec) => ({ ...before, deletionPolicy })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const deleted = (job: FlinkJob) => job.status?.lifecycleState === 'DELETED'
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId ?? ''
const blocked = (job: FlinkJob) => job.status?.conditions.find(({ type }) => type === 'DeletionBlocked')?.message

async function started(deletionPolicy: Policy, crashes?: Crashes) {
  const made = world(crashes, { ...spec, job: { ...spec.job, upgradeMode: 'savepoint' }, deletionPolicy, deletionTimeoutMs: 60_000 })
  made.cluster.looksUntilFinished = undefined
  const first = await made.until(running)
  made.cluster.history.length = 0
  const markDeleted = async () => made.store.markDeleted(await made.store.read(), made.now())
  return { ...made, first, markDeleted }
}

describe('deletionPolicy Keep', () => {
  test('the JobManager ends first, under the job: what is at the store stays', async () => {
    const { cluster, until, markDeleted, first } = await started('Keep')
    await markDeleted()
    const job = await until(deleted)
    expect(cluster.history).toEqual(['stopJobManager', 'stopTaskManagers'])
    expect(cluster.state.get(jobIdOf(first))).toBe(`checkpoint of ${jobIdOf(first)}`)
    expect(job.status).toMatchObject({ jobStatus: { state: 'SUSPENDED' }, jobManagerDeploymentStatus: 'MISSING' })
    expect(job.status?.conditions.slice(0, 3)).toMatchObject([
      { type: 'Ready', status: 'False' },
      { type: 'Running', status: 'False' },
      { type: 'Progressing', status: 'False' },
    ])
    expect(cluster.violations).toEqual([])
  })
})

describe('deletionPolicy Savepoint', () => {
  test('the job is stopped with a savepoint, which the status names', async () => {
    const { cluster, until, markDeleted, first } = await started('Savepoint')
    await markDeleted()
    const job = await until(deleted)
    expect(cluster.history).toEqual(['stopJob', 'stopTaskManagers', 'stopJobManager'])
    expect(job.status?.deletion).toMatchObject({ savepointPath: `savepoint of ${jobIdOf(first)}` })
    expect(job.status?.deletion?.notice).toBeUndefined()
  })

  test('one that fails is taken again until deletionTimeout, the condition says why; then what is at the store has to do', async () => {
    const { cluster, until, markDeleted, advance } = await started('Savepoint')
    cluster.savepointFailure = 'Exception: the store is away'
    await markDeleted()
    const waiting = await until(job => job.status?.deletion?.failures === 1)
    expect(blocked(waiting)).toBe('the savepoint before the deletion could not be taken: Exception: the store is away')
    expect(waiting.status?.conditions[0]).toMatchObject({ type: 'Ready', message: blocked(waiting) })
    advance(10_000)
    await until(job => job.status?.deletion?.failures === 2)
    advance(60_000)
    const job = await until(deleted)
    expect(job.status?.deletion?.notice).toBe(
      'no savepoint was taken, what is at the store stays: the savepoint before the deletion could not be taken: Exception: the store is away',
    )
    expect(blocked(job)).toBeUndefined()
    expect(cluster.history.filter(action => action === 'stopJob')).toHaveLength(2)
    expect([cluster.jobManager, cluster.taskManagers, cluster.violations]).toEqual(['missing', 0, []])
  })

  test('of a job that does not run it waits, says so, and is ended by the annotation', async () => {
    const { cluster, store, pass, until, markDeleted } = await started('Savepoint')
    for (const job of cluster.jobs.values()) job.state = 'RESTARTING'
    await markDeleted()
    const waiting = await until(job => blocked(job) !== undefined)
    expect(blocked(waiting)).toBe('a savepoint needs a job that is RUNNING, this one is RESTARTING')
    await pass()
    expect(cluster.history).toEqual([])
    await store.annotate({ 'millrace.dev/force-delete': 'true' })
    const job = await until(deleted)
    expect(job.status?.deletion?.notice).toMatch(/what is at the store stays: a savepoint needs a job that is RUNNING/)
  })

  test('lost with its JobManager: one that was complete is found at the store, else the newest checkpoint stays', async () => {
    for (const isComplete of [true, false]) {
      const { cluster, until, markDeleted, first } = await started('Savepoint')
      await markDeleted()
      await until(() => cluster.operations.size === 1)
      cluster.loseJobManager()
      if (isComplete) cluster.state.set(jobIdOf(first), 'savepoint that nobody was told of')
      const job = await until(deleted)
      expect(job.status?.deletion?.savepointPath).toBe(isComplete ? 'savepoint that nobody was told of' : undefined)
      expect(job.status?.deletion?.notice).toBe(
        isComplete ? undefined : 'no savepoint was taken, what is at the store stays: jobmanager-0 ended with exit code 1',
      )
      expect(cluster.restored).toHaveLength(1)
    }
  })

  test('the savepoint of an edit that is being carried out is the one before the deletion', async () => {
    const { cluster, until, edit, markDeleted } = await started('Savepoint')
    await edit(before => ({ ...before, job: { ...before.job, script: 'export default () => 2' } }))
    await until(() => cluster.operations.size === 1)
    await markDeleted()
    const job = await until(deleted)
    expect(cluster.operations.size).toBe(1)
    expect(job.status?.deletion?.savepointPath).toMatch(/^savepoint of/)
    expect(cluster.restored).toHaveLength(1)
  })

  test('changed to Keep while it waits, it ends at once', async () => {
    const { cluster, until, edit, markDeleted } = await started('Savepoint')
    cluster.savepointFailure = 'Exception: the store is away'
    await markDeleted()
    await until(job => job.status?.deletion?.failures === 1)
    await edit(withPolicy('Keep'))
    await until(deleted)
    expect(cluster.jobManager).toBe('missing')
  })
})

describe('deletionPolicy Delete', () => {
  test('the job is cancelled, its processes end, then all that is at the store under its id goes', async () => {
    const { cluster, until, markDeleted, first } = await started('Delete')
    cluster.state.set(jobIdOf(first), 'checkpoint')
    await markDeleted()
    const job = await until(deleted)
    expect(cluster.history).toEqual(['cancelJob', 'stopTaskManagers', 'stopJobManager', 'removeState'])
    expect([cluster.state.size, cluster.results.size, cluster.submittedIds.size]).toEqual([0, 0, 0])
    expect(job.status?.jobStatus?.state).toBe('CANCELED')
  })

  test('a job that does not end when cancelled is ended with its processes', async () => {
    const { cluster, pass, until, markDeleted, advance } = await started('Delete')
    await markDeleted()
    await pass()
    for (const job of cluster.jobs.values()) job.state = 'CANCELLING'
    advance(120_000)
    const job = await until(deleted)
    expect(job.status?.jobStatus?.state).toBe('SUSPENDED')
    expect(cluster.jobManager).toBe('missing')
  })

  test('a store that cannot be written holds it, by name, until it can, or the annotation says otherwise', async () => {
    for (const isMended of [true, false]) {
      const { cluster, store, pass, until, markDeleted } = await started('Delete')
      await markDeleted()
      await until(job => job.status?.deletion?.step === 'REMOVING')
      cluster.storeFailure = 'the bucket does not answer'
      const waiting = await until(job => blocked(job) !== undefined)
      expect(blocked(waiting)).toMatch(/the bucket does not answer/)
      const { resourceVersion } = (await pass()).metadata
      await pass()
      expect((await pass()).metadata.resourceVersion).toBe(resourceVersion)
      expect(deleted(await pass())).toBe(false)
      if (isMended) cluster.storeFailure = undefined
      else await store.annotate({ 'millrace.dev/force-delete': 'true' })
      const job = await until(deleted)
      expect(job.status?.deletion?.notice).toBe(isMended ? undefined : 'checkpoints of the job may be left at the store')
      expect(blocked(job)).toBeUndefined()
    }
  })

  test('of a job that rests, or has ended, goes the same way', async () => {
    const { cluster, store, until, edit, now } = await started('Delete')
    await edit(before => ({ ...before, job: { ...before.job, state: 'suspended' } }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    expect(cluster.state.size).toBe(1)
    await store.markDeleted(await store.read(), now())
    await until(deleted)
    expect(cluster.state.size).toBe(0)
  })
})

test('made suspended and deleted, or deleted before it was seen, nothing was there and nothing holds it', async () => {
  for (const state of ['suspended', 'running'] as const) {
    const { cluster, store, pass, until, now } = world(undefined, { ...spec, job: { ...spec.job, state }, deletionPolicy: 'Delete' })
    if (state === 'suspended') await pass()
    await store.markDeleted(await store.read(), now())
    await until(deleted)
    expect(cluster.history).toEqual([])
  }
})

test('what is gone stays gone: nothing is written or asked any more', async () => {
  const { cluster, pass, until, markDeleted } = await started('Delete')
  await markDeleted()
  const { resourceVersion } = (await until(deleted)).metadata
  const reads = cluster.catalogueReads
  for (let i = 0; i < 5; i++) expect((await pass()).metadata.resourceVersion).toBe(resourceVersion)
  expect(cluster.catalogueReads).toBe(reads)
})

test.each(['Savepoint', 'Keep', 'Delete'] as const)(
  'every crash, and every two crashes, in a deletion with policy %s end with nothing left',
  async policy => {
    const run = async (crashes: Crashes) => {
      const made = await started(policy, crashes)
      const from = made.steps()
      await made.markDeleted()
      return { ...made, from, job: await made.until(deleted, 300) }
    }
    const plain = await run(new Map())
    const sides = ['before', 'after'] as const
    for (let at = plain.from; at < plain.steps() + 2; at++)
      for (const side of sides)
        for (let then = at + 1; then < plain.steps() + 4; then++)
          for (const other of sides) {
            const crashes = new Map([
              [at, side],
              [then, other],
            ])
            const { cluster, job, first } = await run(crashes)
            const about = JSON.stringify([...crashes])
            expect([cluster.jobManager, cluster.taskManagers, cluster.violations], about).toEqual(['missing', 0, []])
            expect(cluster.restored, about).toHaveLength(1)
            expect(cluster.state.get(jobIdOf(first)), about).toBe(
              { Savepoint: `savepoint of ${jobIdOf(first)}`, Keep: `checkpoint of ${jobIdOf(first)}`, Delete: undefined }[policy],
            )
            if (policy === 'Savepoint') expect(job.status?.deletion?.savepointPath, about).toBe(`savepoint of ${jobIdOf(first)}`)
          }
  },
)
