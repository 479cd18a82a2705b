import { describe, expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { crashPlans } from '../../test/support/crash-plans.ts'
import { runningJob, snapshotFinalizer, snapshotWorld } from '../../test/support/snapshot-world.ts'
import type { FlinkSnapshot, FlinkSnapshotSpec } from '../api/flink-snapshot.ts'

const savepoint: FlinkSnapshotSpec = {
  jobReference: { name: 'job' },
  savepoint: { alreadyExists: false, disposeOnDelete: true },
  backoffLimit: -1,
}
const existing = (path: string): FlinkSnapshotSpec => ({ savepoint: { path, alreadyExists: true, disposeOnDelete: true }, backoffLimit: -1 })
const is = (state: string) => (snapshot: FlinkSnapshot | undefined) => snapshot?.status?.state === state
const isGone = (snapshot: FlinkSnapshot | undefined) => snapshot === undefined
const condition = (snapshot: FlinkSnapshot | undefined, type: string) => snapshot?.status?.conditions.find(found => found.type === type)

describe('a savepoint', () => {
  test('is taken once, under an id that was saved before, and its path is in the status', async () => {
    const { flink, store, until } = snapshotWorld(savepoint)
    const taken = await until(is('COMPLETED'))
    expect(store.seen).toEqual(['TRIGGER_PENDING', 'IN_PROGRESS', 'COMPLETED'])
    expect(flink.taken).toEqual([taken?.status?.triggerId])
    expect(taken?.metadata.finalizers).toEqual([snapshotFinalizer])
    expect(taken?.status).toMatchObject({ observedGeneration: 1, path: `file:///savepoints/${taken?.status?.triggerId}`, jobId: 'a'.repeat(32) })
    expect(taken?.status?.resultTimestamp).toBeDefined()
    expect(condition(taken, 'Ready')).toMatchObject({ status: 'True', message: `it lies at ${taken?.status?.path}` })
    expect(condition(taken, 'Progressing')).toMatchObject({ status: 'False' })
  })

  test('goes where spec.savepoint.path says', async () => {
    const { until } = snapshotWorld({ ...savepoint, savepoint: { path: 's3://b/here', alreadyExists: false, disposeOnDelete: true } })
    expect((await until(is('COMPLETED')))?.status?.path).toMatch(/^s3:\/\/b\/here\//)
  })

  test('at its end is looked at without a write', async () => {
    const { store, pass, until } = snapshotWorld(savepoint)
    await until(is('COMPLETED'))
    const { writes } = store
    await pass()
    await pass()
    expect(store.writes).toBe(writes)
  })

  test('waits for a FlinkJob that is missing, not deployed or being upgraded, and says so without writing again and again', async () => {
    const { flink, store, jobs, pass, until } = snapshotWorld(savepoint)
    jobs.clear()
    await pass()
    await pass()
    expect(condition(await pass(), 'Progressing')).toMatchObject({ status: 'True', message: 'it waits: there is no FlinkJob job' })
    const { writes } = store
    await pass()
    expect(store.writes).toBe(writes)
    const jobStatus = { jobId: 'a'.repeat(32), jobName: 'job', state: 'RESTARTING' }
    jobs.set('job', runningJob('job', { jobStatus }))
    expect(condition(await pass(), 'Progressing')?.message).toBe('it waits: FlinkJob job is RESTARTING, a snapshot needs one that is RUNNING')
    jobs.set('job', runningJob('job', { lifecycleState: 'UPGRADING' }))
    expect(condition(await pass(), 'Progressing')?.message).toBe('it waits: FlinkJob job is being upgraded')
    expect(flink.taken).toEqual([])
    jobs.set('job', runningJob('job'))
    await until(is('COMPLETED'))
  })

  test('of a job that has ended, rests or is deleted is ABANDONED, and says why', async () => {
    const ended = runningJob('job', { jobStatus: { jobId: 'a'.repeat(32), jobName: 'job', state: 'FINISHED' } })
    const suspended = runningJob('job', { lifecycleState: 'SUSPENDED' })
    const running = runningJob('job')
    const deleted = { ...running, metadata: { ...running.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
    for (const [job, error] of [
      [ended, 'FlinkJob job is FINISHED'],
      [suspended, 'FlinkJob job is suspended'],
      [deleted, 'FlinkJob job is being deleted'],
    ] as const) {
      const { flink, jobs, until } = snapshotWorld(savepoint)
      jobs.set('job', job)
      const abandoned = await until(is('ABANDONED'))
      expect(abandoned?.status?.error).toBe(error)
      expect(condition(abandoned, 'Failed')).toMatchObject({ status: 'True', reason: 'Abandoned', message: error })
      expect(flink.taken).toEqual([])
    }
  })

  test('whose job ends meanwhile is COMPLETED when it was taken, and ABANDONED when nobody can tell any more', async () => {
    for (const [reachable, state] of [
      [true, 'COMPLETED'],
      [false, 'ABANDONED'],
    ] as const) {
      const { flink, jobs, until } = snapshotWorld(savepoint)
      await until(is('IN_PROGRESS'))
      jobs.set('job', runningJob('job', { jobStatus: { jobId: 'a'.repeat(32), jobName: 'job', state: 'CANCELED' } }))
      flink.reachable = reachable
      await until(is(state))
    }
  })

  test('of a job that has begun anew under another id is ABANDONED', async () => {
    const { flink, jobs, until } = snapshotWorld(savepoint)
    await until(is('IN_PROGRESS'))
    flink.operations.clear()
    jobs.set('job', runningJob('job', { jobStatus: { jobId: 'b'.repeat(32), jobName: 'job', state: 'RUNNING' } }))
    expect((await until(is('ABANDONED')))?.status?.error).toBe(`FlinkJob job has begun anew as job ${'b'.repeat(32)}`)
  })

  test('that the JobManager forgot with its process is asked for again under the same id', async () => {
    const { flink, until } = snapshotWorld(savepoint)
    flink.looksPerOperation = 3
    const before = await until(is('IN_PROGRESS'))
    flink.operations.clear()
    const after = await until(is('COMPLETED'))
    expect(after?.status?.triggerId).toBe(before?.status?.triggerId)
  })

  test('whose JobManager does not answer waits, without a failure', async () => {
    const { flink, pass, until } = snapshotWorld(savepoint)
    flink.reachable = false
    await until(is('IN_PROGRESS'))
    const waiting = await pass()
    expect(waiting?.status).toMatchObject({ state: 'IN_PROGRESS' })
    expect(condition(waiting, 'Progressing')?.message).toBe('it waits for its answer: its JobManager does not answer')
    expect(waiting?.status?.failures).toBeUndefined()
    flink.reachable = true
    await until(is('COMPLETED'))
    expect(flink.taken).toHaveLength(1)
  })
})

describe('a try that fails', () => {
  test.each([
    [0, 1],
    [2, 3],
  ])('with backoffLimit %i: FAILED after %i', async (backoffLimit, tries) => {
    const { flink, until } = snapshotWorld({ ...savepoint, backoffLimit })
    flink.failure = 'Exception: no room'
    const failed = await until(is('FAILED'))
    expect(failed?.status).toMatchObject({ failures: tries, error: 'Exception: no room' })
    expect(condition(failed, 'Failed')).toMatchObject({ status: 'True', reason: 'Failed', message: 'Exception: no room' })
    expect(new Set(flink.taken).size).toBe(tries)
  })

  test('without a limit is repeated for ever, each time later, up to ten minutes', async () => {
    const { flink, pass, now, until } = snapshotWorld(savepoint)
    flink.failure = 'Exception: no room'
    const delays: number[] = []
    for (let failures = 1; failures <= 9; failures++) {
      const failed = await until(snapshot => snapshot?.status?.failures === failures)
      expect(failed?.status?.state).toBe('TRIGGER_PENDING')
      // The pass that saw the failure has let the clock run to the next try.
      delays.push(Math.round((Date.parse(failed?.status?.retryAt ?? '') - Date.parse(failed?.status?.triggerTimestamp ?? '')) / 1_000))
      expect(now()).toBe(Date.parse(failed?.status?.retryAt ?? ''))
    }
    expect(delays.map(seconds => Math.floor(seconds / 10) * 10)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600])
    flink.failure = undefined
    await pass()
    expect((await until(is('COMPLETED')))?.status?.error).toBeUndefined()
  })

  test('since the JobManager refuses it counts too', async () => {
    const { flink, until } = snapshotWorld({ ...savepoint, backoffLimit: 0 })
    flink.refusal = new FlinkError('INVALID_ARGUMENT', 'there is no place for savepoints: set execution.checkpointing.savepoint-dir')
    expect((await until(is('FAILED')))?.status?.error).toMatch(/set execution\.checkpointing\.savepoint-dir/)
  })
})

describe('a savepoint that exists already', () => {
  test('is COMPLETED once it was found at the store, and nothing is taken', async () => {
    const { flink, until } = snapshotWorld(existing('file:///old'))
    flink.savepoints.add('file:///old')
    const found = await until(is('COMPLETED'))
    expect(found?.status).toMatchObject({ path: 'file:///old', resultTimestamp: '1970-01-01T00:00:05.000Z' })
    expect(flink.taken).toEqual([])
  })

  test('is looked for again, later each time, where there is none, and never removed then', async () => {
    const { flink, remove, until } = snapshotWorld(existing('file:///old'))
    const missing = await until(snapshot => snapshot?.status?.failures === 2)
    expect(missing?.status).toMatchObject({ state: 'TRIGGER_PENDING', error: 'file:///old is no snapshot' })
    flink.savepoints.add('file:///old')
    remove()
    await until(isGone)
    expect([...flink.savepoints]).toEqual(['file:///old'])
  })

  test('must not be a checkpoint', async () => {
    const { flink, until } = snapshotWorld({ ...existing('file:///c/chk-3'), backoffLimit: 0 })
    flink.savepoints.add('file:///c/chk-3')
    expect((await until(is('FAILED')))?.status?.error).toBe('file:///c/chk-3 is a checkpoint, which belongs to its job, and no savepoint')
  })
})

test('a checkpoint is triggered, its path is in the status, and it stays when the object goes', async () => {
  const { flink, remove, until } = snapshotWorld({ jobReference: { name: 'job' }, checkpoint: {}, backoffLimit: -1 })
  expect((await until(is('COMPLETED')))?.status?.path).toBe(`file:///checkpoints/${'a'.repeat(32)}/chk-7`)
  remove()
  await until(isGone)
  expect(flink.disposed).toEqual([])
})

describe('a deleted FlinkSnapshot', () => {
  test('takes its files with it, though no job is there any more', async () => {
    const { flink, jobs, remove, until } = snapshotWorld(savepoint)
    const taken = await until(is('COMPLETED'))
    jobs.clear()
    flink.reachable = false
    remove()
    await until(isGone)
    expect(flink.disposed).toEqual([taken?.status?.path])
  })

  test('leaves them where disposeOnDelete is false', async () => {
    const { flink, remove, until } = snapshotWorld({ ...savepoint, savepoint: { alreadyExists: false, disposeOnDelete: false } })
    await until(is('COMPLETED'))
    remove()
    await until(isGone)
    expect([flink.disposed.length, flink.savepoints.size]).toEqual([0, 1])
  })

  test('before anything was done goes at once', async () => {
    const { flink, store, remove, until } = snapshotWorld(savepoint)
    const first = await store.read()
    if (first !== undefined) await store.writeFinalizers(first, [snapshotFinalizer])
    remove()
    await until(isGone)
    expect(flink.taken).toEqual([])
  })

  test('that is being taken waits for the answer, and removes what came of it', async () => {
    const { flink, pass, remove, until } = snapshotWorld(savepoint)
    flink.looksPerOperation = 3
    await until(is('IN_PROGRESS'))
    remove()
    expect(condition(await pass(), 'DeletionBlocked')).toMatchObject({ status: 'True', reason: 'InProgress' })
    await until(isGone)
    expect([flink.taken.length, flink.disposed.length, flink.savepoints.size]).toEqual([1, 1, 0])
  })

  test('whose answer never comes ends after its time, or at once when the job is gone', async () => {
    const { flink, jobs, pass, remove, until, now } = snapshotWorld(savepoint)
    await until(is('IN_PROGRESS'))
    flink.reachable = false
    const deletedAt = now()
    remove()
    await pass()
    await until(snapshot => isGone(snapshot) || now() - deletedAt >= 500_000)
    expect(condition(await pass(), 'DeletionBlocked')?.reason).toBe('InProgress')
    await until(isGone)
    expect(jobs.size).toBe(1)

    const other = snapshotWorld(savepoint)
    await other.until(is('IN_PROGRESS'))
    other.flink.reachable = false
    other.jobs.clear()
    other.remove()
    expect(await other.pass()).toBeUndefined()
  })

  test('stays as long as its files cannot be removed, and says so; it goes when they can', async () => {
    const { flink, pass, remove, until } = snapshotWorld(savepoint)
    await until(is('COMPLETED'))
    flink.storeFailure = 'the store is away'
    remove()
    await pass()
    const held = await until(snapshot => snapshot?.status?.disposal?.failures === 3)
    expect(condition(held, 'DeletionBlocked')).toMatchObject({
      reason: 'DisposalFailed',
      message: 'its files cannot be removed, it is tried again later: the store is away',
    })
    expect(held?.status?.state).toBe('COMPLETED')
    flink.storeFailure = undefined
    await until(isGone)
    expect(flink.savepoints.size).toBe(0)
  })

  test('goes at once when somebody forces it', async () => {
    const { flink, store, remove, pass, until } = snapshotWorld(savepoint)
    await until(is('COMPLETED'))
    flink.storeFailure = 'the store is away'
    remove()
    await pass()
    store.annotate({ 'millrace.dev/force-delete': 'true' })
    expect(await pass()).toBeUndefined()
    expect(flink.savepoints.size).toBe(1)
  })

  const other = runningJob('other')
  const jobStatus = { jobId: 'c'.repeat(32), jobName: 'other', state: 'SUSPENDED' }
  const restore = { kind: 'savepoint', reason: 'an edit' } as const
  const deletion = { step: 'RELEASING', triggerId: 't', since: '2026-01-01T00:00:00Z' } as const
  test.each([
    ['status.jobStatus.upgradeSavepointPath', (path: string) => runningJob('other', { jobStatus: { ...jobStatus, upgradeSavepointPath: path } })],
    ['status.restore.location', (path: string) => runningJob('other', { restore: { ...restore, location: path } })],
    ['status.deletion.savepointPath', (path: string) => runningJob('other', { deletion: { ...deletion, savepointPath: path } })],
    [
      'spec.job.initialSavepointPath',
      (path: string) => ({ ...other, spec: { ...other.spec, job: { ...other.spec.job, initialSavepointPath: `${path}/_metadata` } } }),
    ],
  ])('that a FlinkJob names in %s is not removed', async (_field, naming) => {
    const { flink, jobs, pass, remove, until } = snapshotWorld(savepoint)
    const path = (await until(is('COMPLETED')))?.status?.path ?? ''
    jobs.set('other', naming(path))
    remove()
    expect(condition(await pass(), 'DeletionBlocked')).toMatchObject({ reason: 'RestorePoint', message: 'FlinkJob other would go on from it' })
    await pass()
    expect(flink.disposed).toEqual([])
    jobs.delete('other')
    await until(isGone)
    expect(flink.disposed).toEqual([path])
  })
})

test('every crash, and every two crashes, end in one savepoint and, deleted, in none', async () => {
  const run = async (plan: ReadonlyMap<number, 'before' | 'after'>) => {
    const made = snapshotWorld(savepoint, plan)
    const taken = await made.until(is('COMPLETED'))
    const savepoints = made.flink.savepoints.size
    made.remove()
    await made.until(isGone)
    return { ...made, taken, savepoints }
  }
  const plans = crashPlans(0, (await run(new Map())).steps())
  expect(plans.length).toBeGreaterThan(100)
  for (const plan of plans) {
    const { flink, savepoints } = await run(plan)
    const about = JSON.stringify([...plan])
    expect([flink.taken.length, savepoints, flink.disposed.length, flink.savepoints.size], about).toEqual([1, 1, 1, 0])
  }
})

test('every crash, and every two crashes, of one that is deleted while it is taken leave nothing at the store', async () => {
  const run = async (plan: ReadonlyMap<number, 'before' | 'after'>) => {
    const made = snapshotWorld(savepoint, plan)
    made.flink.looksPerOperation = 3
    await made.until(is('IN_PROGRESS'))
    made.remove()
    await made.until(isGone)
    return made
  }
  for (const plan of crashPlans(0, (await run(new Map())).steps())) {
    const { flink } = await run(plan)
    expect([flink.taken.length <= 1, flink.savepoints.size], JSON.stringify([...plan])).toEqual([true, 0])
  }
})
