import { describe, expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

type Job = FlinkJobSpec['job']

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const recovered = (count: number) => (job: FlinkJob) =>
  running(job) && job.status?.recovery?.step === 'DONE' && job.status.recovery.count === count && job.status.error === undefined
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId ?? ''
const changed = { script: 'export default () => 2' }

async function started(fields: Partial<Job> = {}, crashes?: ReadonlyMap<number, 'before' | 'after'>) {
  const made = world(crashes, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  return { ...made, first: await made.until(running) }
}

describe('a JobManager that is lost', () => {
  test.each(['ended', 'missing'] as const)('(%s): the job goes on under its id from its newest checkpoint, and the status says why', async kind => {
    const { cluster, until, first } = await started({ upgradeMode: 'savepoint' })
    cluster.history.length = 0
    cluster.loseJobManager(kind)
    const last = await until(recovered(1))
    const why = kind === 'ended' ? 'jobmanager-0 ended with exit code 1' : 'the JobManager is gone'
    expect(cluster.history).toEqual(['stopTaskManagers', 'stopJobManager', 'startJobManager', 'startTaskManagers', 'submitJob'])
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`])
    expect(last.status).toMatchObject({
      restore: { kind: 'checkpoint', location: `checkpoint of ${jobIdOf(first)}`, checkpointId: 7, reason: why },
      recovery: { count: 1, reason: why },
    })
    expect(cluster.violations).toEqual([])
  })

  test('again and again: it is started later each time, up to five minutes', async () => {
    const { cluster, pass, until, advance, now } = await started()
    const waits: number[] = []
    for (let count = 1; count <= 8; count++) {
      cluster.loseJobManager()
      const lostMs = now()
      const started = cluster.history.length
      await until(() => {
        const isStarted = cluster.history.slice(started).includes('startJobManager')
        if (!isStarted) advance(500)
        return isStarted
      }, 2_000)
      waits.push(Math.floor((now() - lostMs) / 10_000) * 10)
      await until(recovered(count))
    }
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 300, 300])
    advance(700_000)
    await pass()
    cluster.loseJobManager()
    await until(recovered(1))
  })

  test('lost once more before it was ready: the next start waits, and nothing is doubled', async () => {
    const { cluster, until } = await started()
    cluster.loseJobManager()
    await until(() => cluster.jobManager === 'starting')
    cluster.jobManager = 'ended'
    const waiting = await until(job => job.status?.recovery?.count === 2)
    expect(waiting.status).toMatchObject({
      lifecycleState: 'UPGRADING',
      jobManagerDeploymentStatus: 'ERROR',
      error: 'jobmanager-0 ended with exit code 1',
    })
    await until(recovered(2), 200)
    expect(cluster.violations).toEqual([])
  })

  test('that came back by itself and has forgotten the job gets it again, and keeps its TaskManagers', async () => {
    const { cluster, until, first } = await started()
    cluster.loseJobManager()
    cluster.jobManager = 'ready'
    cluster.history.length = 0
    await until(recovered(1))
    expect(cluster.history).toEqual(['submitJob'])
    expect(cluster.restored.at(-1)).toBe(`checkpoint of ${jobIdOf(first)}`)
  })

  test.each(['FINISHED', 'FAILED', 'CANCELED'] as const)(
    'with a job that has %s while nobody looked: it has, and is not started again',
    async state => {
      const { cluster, until, first } = await started({ upgradeMode: 'last-state' })
      cluster.end(jobIdOf(first), state, state === 'FAILED' ? 'Error: too much' : null)
      cluster.loseJobManager()
      const ended = await until(job => job.status?.jobStatus?.state === state && job.status.jobManagerDeploymentStatus === 'MISSING')
      expect(ended.status).toMatchObject({
        lifecycleState: state === 'FAILED' ? 'FAILED' : 'STABLE',
        jobStatus: { startTime: '1000', updateTime: '2000' },
      })
      expect(ended.status?.error).toBe(state === 'FAILED' ? 'Error: too much' : undefined)
      expect(cluster.restored).toHaveLength(1)
      expect(cluster.taskManagers).toBe(0)
    },
  )

  test('whose store cannot be read is not started before it can, and the status says why', async () => {
    const { cluster, pass, until } = await started({ upgradeMode: 'last-state' })
    cluster.storeFailure = 'the bucket does not answer'
    cluster.loseJobManager()
    expect((await pass()).status?.error).toBe(
      'jobmanager-0 ended with exit code 1; the job is started again as soon as its store can be read: the bucket does not answer',
    )
    for (let i = 0; i < 5; i++) await pass()
    expect(cluster.restored).toHaveLength(1)
    cluster.storeFailure = undefined
    await until(recovered(1))
  })

  test('with nothing at the store of a job that began from a savepoint: it is not started empty; when it is back, it goes on', async () => {
    const { cluster, pass, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob(changed))
    await until(carriedOut)
    cluster.loseJobManager()
    cluster.state.clear()
    expect((await pass()).status?.error).toMatch(
      /^jobmanager-0 ended with exit code 1; it is not started without its state: nothing is left of savepoint of .*; bring it back, name a savepoint/,
    )
    for (let i = 0; i < 5; i++) await pass()
    expect(cluster.restored).toHaveLength(2)
    cluster.state.set(jobIdOf(first), 'checkpoint of old')
    await until(recovered(1))
    expect(cluster.restored.at(-1)).toBe('checkpoint of old')
  })

  test('with a store that knows nothing of a job that has run: in mode last-state it waits, in mode stateless it begins empty', async () => {
    for (const upgradeMode of ['last-state', 'stateless'] as const) {
      const { cluster, pass, until } = await started({ upgradeMode })
      cluster.loseJobManager()
      cluster.state.clear()
      cluster.submittedIds.clear()
      if (upgradeMode === 'stateless') {
        await until(recovered(1))
        expect(cluster.restored).toEqual([undefined, undefined])
      } else {
        expect((await pass()).status?.error).toMatch(/the store knows nothing of job [0-9a-f]{32}, which has run/)
        expect(cluster.restored).toHaveLength(1)
      }
    }
  })

  test('before the first checkpoint of a job that began from a path: it begins from there again', async () => {
    const { cluster, until } = await started({ upgradeMode: 'savepoint', initialSavepointPath: 'file:///first' })
    cluster.loseJobManager()
    cluster.state.clear()
    const last = await until(recovered(1))
    expect(cluster.restored).toEqual(['file:///first', 'file:///first'])
    expect(last.status?.restore).toMatchObject({ kind: 'path', location: 'file:///first' })
  })

  test('the store is asked nothing while a job runs, rests or has ended', async () => {
    const { cluster, pass, until, edit } = await started({ upgradeMode: 'savepoint' })
    const idle = async () => {
      await pass()
      const before = cluster.catalogueReads
      for (let i = 0; i < 5; i++) await pass()
      return cluster.catalogueReads - before
    }
    expect(await idle()).toBe(0)
    await edit(withJob({ state: 'suspended' }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    expect(await idle()).toBe(0)
    await edit(withJob({ state: 'running' }))
    cluster.looksUntilFinished = 1
    await until(job => job.status?.jobStatus?.state === 'FINISHED')
    expect(await idle()).toBe(0)
  })
})

describe('a JobManager that is lost while the savepoint of an edit is taken', () => {
  test('the job is started again as it was, and the edit is carried out then', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob(changed))
    await until(() => cluster.operations.size === 1)
    cluster.loseJobManager()
    const between = await until(job => job.status?.recovery?.step === 'DONE')
    expect(between.status?.reconciliationStatus?.lastReconciledSpec).toBe(JSON.stringify(first.spec))
    expect(between.status?.upgrade?.step).toBe('STOPPING')
    const last = await until(carriedOut)
    expect(last.status?.refused).toBeUndefined()
    expect(cluster.restored).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`, `savepoint of ${jobIdOf(first)}`])
    expect(jobIdOf(last)).toBe(jobIdOf(first))
  })

  test('when it was complete: the edited job goes on from it', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob(changed))
    await until(() => cluster.operations.size === 1)
    cluster.loseJobManager()
    cluster.state.set(jobIdOf(first), 'savepoint that nobody was told of')
    const last = await until(carriedOut)
    expect(cluster.restored).toEqual([undefined, 'savepoint that nobody was told of'])
    expect(last.status?.jobStatus?.upgradeSavepointPath).toBe('savepoint that nobody was told of')
    expect(last.status?.restore).toMatchObject({ kind: 'savepoint', location: 'savepoint that nobody was told of' })
  })

  test('with a job that had finished by then: it has, and the edit is named as too late', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob(changed))
    await until(() => cluster.operations.size === 1)
    cluster.end(jobIdOf(first), 'FINISHED')
    cluster.loseJobManager()
    const ended = await until(job => job.status?.jobManagerDeploymentStatus === 'MISSING' && job.status.jobStatus?.state === 'FINISHED')
    expect(ended.status?.refused).toEqual({ generation: 2, message: 'the job has FINISHED before the edit was carried out' })
    expect(ended.status?.upgrade).toBeUndefined()
    expect(cluster.restored).toHaveLength(1)
  })
})

test('a job that has finished by itself when a last-state upgrade has ended its JobManager is not run again', async () => {
  const { cluster, until, edit, first } = await started({ upgradeMode: 'last-state' })
  await edit(withJob(changed))
  await until(job => job.status?.upgrade?.step === 'RELEASING')
  cluster.end(jobIdOf(first), 'FINISHED')
  const ended = await until(job => job.status?.jobStatus?.state === 'FINISHED' && job.status.upgrade === undefined)
  expect(ended.status?.refused?.message).toBe('the job has FINISHED before the edit was carried out')
  expect(cluster.restored).toHaveLength(1)
})

test.each(['savepoint', 'last-state'] as const)(
  'lost at any moment of an upgrade in mode %s, with a crash of the operator at any step: one job under its id, which has lost nothing',
  async upgradeMode => {
    const run = async (lostAt: number, crashes: ReadonlyMap<number, 'before' | 'after'>) => {
      const made = world(crashes, withJob({ upgradeMode })(spec))
      const { cluster } = made
      cluster.looksUntilFinished = undefined
      const first = await made.until(running)
      const from = made.steps()
      await made.edit(withJob(changed))
      let passes = 0
      const last = await made.until(job => {
        if (carriedOut(job) && passes > lostAt) return true
        if (passes++ === lostAt) cluster.loseJobManager()
        return false
      }, 300)
      return { ...made, first, from, last, passes }
    }
    const plain = await run(0, new Map())
    for (let lostAt = 0; lostAt < plain.passes; lostAt++) {
      for (let at = plain.from - 1; at < plain.steps() + 4; at++) {
        for (const side of ['before', 'after'] as const) {
          const { cluster, first, last } = await run(lostAt, new Map([[at, side]]))
          const about = `lost before pass ${lostAt}, crash ${side} step ${at}`
          expect(cluster.violations, about).toEqual([])
          expect(jobIdOf(last), about).toBe(jobIdOf(first))
          expect([...cluster.submittedIds], about).toEqual([jobIdOf(first)])
          expect(
            cluster.restored.slice(1).every(from => from !== undefined),
            `${about}: ${cluster.restored}`,
          ).toBe(true)
          expect(last.status?.refused, about).toBeUndefined()
        }
      }
    }
  },
)
