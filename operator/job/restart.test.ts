import { describe, expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

/** Jobs that are started again because the object says so: nonces, edits of jobs that have ended, and where a start begins. */
type Job = FlinkJobSpec['job']
type Crashes = ReadonlyMap<number, 'before' | 'after'>

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const withNonce = (restartNonce: number) => (before: FlinkJobSpec) => ({ ...before, restartNonce })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const ended = (job: FlinkJob) => job.status?.jobManagerDeploymentStatus === 'MISSING' && job.status.upgrade === undefined
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId ?? ''
const changed = { script: 'export default () => 2' }

async function started(fields: Partial<Job> = {}, crashes?: Crashes) {
  const made = world(crashes, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  return { ...made, first: await made.until(running) }
}

async function failed(fields: Partial<Job>, crashes?: Crashes) {
  const made = await started(fields, crashes)
  made.cluster.failure = 'Error: fifty is too much'
  made.cluster.looksUntilFinished = 1
  await made.until(job => ended(job) && job.status?.lifecycleState === 'FAILED')
  made.cluster.failure = undefined
  made.cluster.looksUntilFinished = undefined
  made.cluster.history.length = 0
  return made
}

describe('spec.restartNonce', () => {
  test('with a new value the job is restarted as an edit would, with its state; taken out, nothing happens', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withNonce(1))
    const last = await until(carriedOut)
    expect(cluster.restored).toEqual([undefined, `savepoint of ${jobIdOf(first)}`])
    expect(last.status?.edit).toMatchObject({ class: 'restart', fields: ['spec.restartNonce'] })
    await edit(({ restartNonce: _, ...rest }) => rest)
    expect((await until(carriedOut)).status?.edit?.class).toBe('ignore')
    expect(cluster.restored).toHaveLength(2)
  })
})

describe('a job that has failed', () => {
  test.each([
    ['a new program', withJob(changed)],
    ['a new spec.restartNonce', withNonce(1)],
  ])('runs again with %s, under its id from its newest restore point; its result is forgotten before', async (_, change) => {
    const { cluster, until, edit, first } = await failed({ upgradeMode: 'savepoint' })
    cluster.state.set(jobIdOf(first), 'checkpoint before the failure')
    const endTimeMs = cluster.results.get(jobIdOf(first))?.endTimeMs
    await edit(change)
    const last = await until(carriedOut)
    expect(cluster.history).toEqual(['startJobManager', 'startTaskManagers', 'forgetResult', 'submitJob'])
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, 'checkpoint before the failure'])
    expect(last.status?.restore).toEqual({
      kind: 'checkpoint',
      location: 'checkpoint before the failure',
      checkpointId: 7,
      time: '1970-01-01T00:00:03.000Z',
      reason: 'the job is FAILED, and begins again where its state is',
      forgets: String(endTimeMs),
    })
    expect(last.status?.error).toBeUndefined()
    expect(cluster.violations).toEqual([])
  })

  test('in mode stateless it begins empty, as another job', async () => {
    const { cluster, until, edit, first } = await failed({ upgradeMode: 'stateless' })
    await edit(withNonce(1))
    expect(jobIdOf(await until(carriedOut))).not.toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, undefined])
  })

  test('stays as it is under an edit that touches nothing, and keeps its cause', async () => {
    const { cluster, pass, edit } = await failed({ upgradeMode: 'savepoint' })
    await edit(withJob({ fallback: 'last-state' }))
    await pass()
    const job = await pass()
    expect(job.status).toMatchObject({ lifecycleState: 'FAILED', observedGeneration: 2, edit: { class: 'ignore' } })
    expect(job.status?.error).toMatch(/fifty is too much/)
    expect(cluster.history).toEqual([])
  })

  test('every crash while it is started again ends in one job with its state', async () => {
    const run = async (crashes: Crashes) => {
      const made = await failed({ upgradeMode: 'last-state' }, crashes)
      made.cluster.state.set(jobIdOf(made.first), 'checkpoint before the failure')
      const from = made.steps()
      await made.edit(withJob(changed))
      return { ...made, from, last: await made.until(carriedOut) }
    }
    const plain = await run(new Map())
    for (let at = plain.from; at < plain.steps() + 2; at++)
      for (const side of ['before', 'after'] as const) {
        const { cluster, first, last } = await run(new Map([[at, side]]))
        const about = `${side} ${at}`
        expect(cluster.violations, about).toEqual([])
        expect(jobIdOf(last), about).toBe(jobIdOf(first))
        expect(
          cluster.restored.slice(1).every(from => from === 'checkpoint before the failure'),
          about,
        ).toBe(true)
      }
  })

  test('run again and ended once more while nobody looked, it is not run a third time', async () => {
    const { cluster, until, edit, first } = await failed({ upgradeMode: 'last-state' })
    await edit(withNonce(1))
    await until(() => cluster.restored.length === 2)
    cluster.end(jobIdOf(first), 'FINISHED')
    const result = cluster.results.get(jobIdOf(first))
    if (result !== undefined) cluster.results.set(jobIdOf(first), { ...result, endTimeMs: 9_000 })
    cluster.loseJobManager()
    const job = await until(over => ended(over) && over.status?.jobStatus?.state === 'FINISHED')
    expect(job.status?.lifecycleState).toBe('STABLE')
    expect(cluster.restored).toHaveLength(2)
  })
})

test('a job that fails while the next try of an upgrade’s savepoint is waited for is started again with the edit', async () => {
  const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
  cluster.savepointFailure = 'Exception: the store is away'
  await edit(withJob(changed))
  await until(job => job.status?.upgrade?.failures === 1)
  cluster.state.set(jobIdOf(first), 'checkpoint before the failure')
  cluster.end(jobIdOf(first), 'FAILED', 'Error: too much')
  await until(carriedOut, 300)
  expect(cluster.restored).toEqual([undefined, 'checkpoint before the failure'])
})

test('a job that has finished runs again with a new spec.restartNonce, and only then', async () => {
  const { cluster, pass, until, edit, first } = await started({ upgradeMode: 'savepoint' })
  cluster.looksUntilFinished = 1
  await until(job => ended(job) && job.status?.jobStatus?.state === 'FINISHED')
  for (let i = 0; i < 5; i++) await pass()
  expect(cluster.restored).toHaveLength(1)
  cluster.looksUntilFinished = undefined
  await edit(withNonce(1))
  expect(jobIdOf(await until(carriedOut))).toBe(jobIdOf(first))
  expect(cluster.restored).toHaveLength(2)
})

test('a first deployment that failed is tried again with an edit, from the path that the edit names', async () => {
  const { cluster, until, edit } = world(undefined, withJob({ upgradeMode: 'savepoint', initialSavepointPath: 'file:///first' })(spec))
  cluster.looksUntilFinished = undefined
  await until(() => cluster.jobManager === 'starting')
  cluster.jobManager = 'ended'
  await until(job => ended(job) && job.status?.lifecycleState === 'FAILED')
  await edit(withJob({ ...changed, initialSavepointPath: 'file:///second' }))
  await until(carriedOut)
  expect(cluster.restored).toEqual(['file:///second'])
})

test('a program that could not be planned at first is planned again with an edit', async () => {
  const { cluster, until, edit } = world(undefined, withJob({ script: 'broken' })(spec))
  cluster.looksUntilFinished = undefined
  cluster.invalidPrograms.set('broken', 'job.yaml:7:3: no such table')
  await until(job => job.status?.lifecycleState === 'FAILED')
  await edit(withJob(changed))
  expect((await until(carriedOut)).status?.error).toBeUndefined()
})

describe('spec.job.initialSavepointPath', () => {
  const from = (initialSavepointPath: string, savepointRedeployNonce?: number) =>
    withJob({ initialSavepointPath, ...(savepointRedeployNonce === undefined ? {} : { savepointRedeployNonce }) })

  test('a path where nothing lies: nothing is started, and the status names the path and the job', async () => {
    const { cluster, until, edit } = world(undefined, from('file:///nowhere')(spec))
    cluster.looksUntilFinished = undefined
    cluster.emptyPaths.add('file:///nowhere')
    const refused = await until(job => job.status?.lifecycleState === 'FAILED')
    expect(refused.status?.conditions.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      message:
        'FlinkJob default/fake: spec.job.initialSavepointPath file:///nowhere is nothing that a job can begin with: there is no savepoint at file:///nowhere',
    })
    expect(cluster.history).toEqual([])
    await edit(from('file:///first'))
    await until(carriedOut)
    expect(cluster.restored).toEqual(['file:///first'])
  })

  test('a store that does not answer is asked again', async () => {
    const { cluster, pass, until } = world(undefined, from('file:///first')(spec))
    cluster.looksUntilFinished = undefined
    cluster.storeFailure = 'the bucket does not answer'
    expect((await pass()).status?.error).toMatch(/cannot be read, it is tried again: the bucket does not answer$/)
    cluster.storeFailure = undefined
    await until(carriedOut)
    expect(cluster.restored).toEqual(['file:///first'])
  })

  test('with a new savepointRedeployNonce the job begins anew from there, as another job, whatever its mode', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(from('file:///other', 1))
    const last = await until(carriedOut)
    expect(jobIdOf(last)).not.toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, 'file:///other'])
    expect(last.status?.edit?.class).toBe('state-loss')
    // Lost before its first checkpoint, it begins there again.
    cluster.loseJobManager()
    cluster.state.clear()
    await until(job => carriedOut(job) && job.status?.recovery?.step === 'DONE')
    expect(cluster.restored.at(-1)).toBe('file:///other')
    await edit(withJob({ initialSavepointPath: 'file:///third' }))
    expect((await until(carriedOut)).status?.edit?.class).toBe('ignore')
  })

  test('with a new nonce and a path where nothing lies, the job goes on as it was', async () => {
    const { cluster, pass, until, edit } = await started({ upgradeMode: 'savepoint' })
    cluster.emptyPaths.add('file:///nowhere')
    cluster.history.length = 0
    await edit(from('file:///nowhere', 1))
    expect((await pass()).status).toMatchObject({
      lifecycleState: 'STABLE',
      observedGeneration: 2,
      error: expect.stringMatching(
        /^the edit is not carried out, the job goes on as it was: FlinkJob default\/fake: spec.job.initialSavepointPath file:\/\/\/nowhere/,
      ),
    })
    expect(cluster.history).toEqual([])
    await edit(from('file:///other', 1))
    await until(carriedOut)
    expect(cluster.restored.at(-1)).toBe('file:///other')
  })

  test('of a job that rests it counts when it runs again', async () => {
    const { cluster, until, edit } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob({ state: 'suspended' }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    await edit(from('file:///other', 1))
    await until(job => job.status?.lifecycleState === 'SUSPENDED' && job.status.observedGeneration === 3)
    await edit(withJob({ state: 'running' }))
    await until(carriedOut)
    expect(cluster.restored).toEqual([undefined, 'file:///other'])
  })

  test('every crash while a job begins anew from a path ends in one job from there', async () => {
    const run = async (crashes: Crashes) => {
      const made = await started({ upgradeMode: 'last-state' }, crashes)
      const at = made.steps()
      await made.edit(from('file:///other', 1))
      return { ...made, at, last: await made.until(carriedOut) }
    }
    const plain = await run(new Map())
    for (let at = plain.at; at < plain.steps() + 2; at++)
      for (const side of ['before', 'after'] as const) {
        const { cluster, first, last } = await run(new Map([[at, side]]))
        expect(cluster.violations, `${side} ${at}`).toEqual([])
        expect(cluster.restored, `${side} ${at}`).toEqual([undefined, 'file:///other'])
        expect(jobIdOf(last), `${side} ${at}`).not.toBe(jobIdOf(first))
      }
  })
})
