import { describe, expect, test } from 'vitest'
import { type CrashPlan, crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'
import { statusProblem } from './lost-status-core.ts'

type Job = FlinkJobSpec['job']

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId ?? ''

async function started(fields: Partial<Job> = { upgradeMode: 'savepoint' }, crashes?: CrashPlan) {
  const made = world(crashes, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  return { ...made, first: await made.until(running) }
}

test('the job id stands in an annotation before it stands in the status', async () => {
  const { store, until } = world()
  await until(job => job.status?.jobStatus !== undefined)
  const { metadata, status } = await store.read()
  expect(metadata.annotations).toEqual({ 'millrace.dev/job-id': status?.jobStatus?.jobId })
})

const edits: readonly (readonly [string, (status: NonNullable<FlinkJob['status']>) => unknown])[] = [
  ['removed', () => undefined],
  ['emptied', () => ({})],
  ['with a lifecycle that is none', status => ({ ...status, lifecycleState: 'FINE' })],
  ['SUSPENDED, with a spec that runs', status => ({ ...status, lifecycleState: 'SUSPENDED' })],
  ['DELETED, and nobody has deleted it', status => ({ ...status, lifecycleState: 'DELETED' })],
  ['without its job', ({ jobStatus: _, ...status }) => status],
  ['with a job id that is none', status => ({ ...status, jobStatus: { ...status.jobStatus, jobId: 'mine' } })],
  ['with the id of another job', status => ({ ...status, jobStatus: { ...status.jobStatus, jobId: 'a'.repeat(32) } })],
  ['with a spec that is none', status => ({ ...status, reconciliationStatus: { ...status.reconciliationStatus, lastReconciledSpec: '{' } })],
]

describe('a status', () => {
  test.each(edits)('%s while a job runs: it goes on under its id, from its newest checkpoint', async (_, change) => {
    const { cluster, store, until, first } = await started()
    await store.replaceStatus(first.status === undefined ? undefined : change(first.status))
    const last = await until(job => carriedOut(job) && cluster.restored.length === 2)
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect([...cluster.submittedIds]).toEqual([jobIdOf(first)])
    expect(cluster.restored).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`])
    expect(last.status?.restore?.reason).toMatch(/; the job is started again where its state is$/)
    expect(cluster.violations).toEqual([])
  })

  test.each(edits.filter(([name]) => !name.startsWith('SUSPENDED')))(
    '%s while a job rests: it rests, and goes on where it was',
    async (_, change) => {
      const { cluster, store, until, edit, first } = await started()
      await edit(withJob({ state: 'suspended' }))
      const resting = await until(job => job.status?.lifecycleState === 'SUSPENDED')
      await store.replaceStatus(resting.status === undefined ? undefined : change(resting.status))
      await until(job => job.status?.lifecycleState === 'SUSPENDED' && jobIdOf(job) === jobIdOf(first) && job.status.upgrade === undefined)
      expect(cluster.restored).toHaveLength(1)
      await edit(withJob({ state: 'running' }))
      expect(jobIdOf(await until(carriedOut))).toBe(jobIdOf(first))
      expect(cluster.restored.at(-1)).toBe(`savepoint of ${jobIdOf(first)}`)
    },
  )

  test.each(['FINISHED', 'FAILED'])('removed when a job has %s: it is not run again', async state => {
    const { cluster, store, pass, until, first } = await started()
    cluster.failure = state === 'FAILED' ? 'Error: fifty is too much' : undefined
    cluster.looksUntilFinished = 1
    await until(job => job.status?.jobStatus?.state === state && job.status.jobManagerDeploymentStatus === 'MISSING')
    await store.replaceStatus(undefined)
    const rebuilt = await until(job => job.status?.jobStatus?.state === state)
    expect(rebuilt.status?.error).toBe(cluster.failure)
    for (let i = 0; i < 5; i++) await pass()
    expect([jobIdOf(await store.read()), cluster.restored.length]).toEqual([jobIdOf(first), 1])
  })

  test('removed with its annotation: the job that the JobManager runs is found there', async () => {
    const { cluster, store, until, first } = await started()
    await store.replaceStatus({})
    await store.annotate({ 'millrace.dev/job-id': '' })
    const last = await until(job => carriedOut(job) && cluster.restored.length === 2)
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(last.metadata.annotations?.['millrace.dev/job-id']).toBe(jobIdOf(first))
  })

  test('removed while the store cannot be read: nothing is started before it can', async () => {
    const { cluster, store, pass, until, edit } = await started()
    await edit(withJob({ state: 'suspended' }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    await edit(withJob({ state: 'running' }))
    await store.replaceStatus(undefined)
    cluster.storeFailure = 'the bucket does not answer'
    expect((await pass()).status?.error).toBe(
      'the object has no status any more; it waits until the store of the job can be read: the bucket does not answer',
    )
    for (let i = 0; i < 5; i++) await pass()
    expect(cluster.restored).toHaveLength(1)
    cluster.storeFailure = undefined
    await until(carriedOut)
    expect(cluster.restored).toHaveLength(2)
  })

  test('that says FINISHED of a job that its JobManager runs is put right, and nothing happens to the job', async () => {
    const { cluster, store, until, first } = await started()
    cluster.history.length = 0
    await store.replaceStatus({ ...first.status, jobStatus: { ...first.status?.jobStatus, state: 'FINISHED' } })
    await until(running)
    expect(cluster.history).toEqual([])
  })

  test('removed of a job that is to be deleted: its state goes all the same', async () => {
    const { cluster, store, until, now } = await started()
    const job = await store.read()
    await store.writeSpec(job, { ...job.spec, deletionPolicy: 'Delete' })
    await store.markDeleted(job, now())
    await store.replaceStatus(undefined)
    await until(gone => gone.status?.lifecycleState === 'DELETED')
    expect([cluster.state.size, cluster.submittedIds.size, cluster.jobManager]).toEqual([0, 0, 'missing'])
  })

  test('with an annotation that somebody has made up: the status counts, and the annotation is put right', async () => {
    const { cluster, store, pass, first } = await started()
    await store.annotate({ 'millrace.dev/job-id': 'b'.repeat(32) })
    await pass()
    expect((await store.read()).metadata.annotations?.['millrace.dev/job-id']).toBe(jobIdOf(first))
    expect(cluster.restored).toHaveLength(1)
  })
})

test.each(['savepoint', 'last-state', 'stateless'] as const)(
  'no status of an upgrade in mode %s is doubted, whatever crashes; and removed at any moment of it, the job is one and has its state',
  async upgradeMode => {
    const upgraded = async (removedAt: number | undefined, crashes?: CrashPlan) => {
      const made = await started({ upgradeMode }, crashes)
      const from = made.steps()
      await made.edit(withJob({ script: 'export default () => 2' }))
      let passes = 0
      const problems: (string | undefined)[] = []
      const last = await made.until(job => {
        if (job.status !== undefined) problems.push(statusProblem(job, job.status))
        if (carriedOut(job) && passes > (removedAt ?? -1)) return true
        if (passes++ === removedAt) void made.store.replaceStatus(undefined)
        return false
      }, 300)
      return { ...made, last, passes, from, problems: problems.filter(problem => problem !== undefined) }
    }
    const plain = await upgraded(undefined)
    for (const crashes of crashPlans(plain.from, plain.steps()).filter(plan => plan.size === 1)) {
      const { cluster, problems } = await upgraded(undefined, crashes)
      expect([problems, cluster.violations], JSON.stringify([...crashes])).toEqual([[], []])
    }
    for (let removedAt = 0; removedAt < plain.passes; removedAt++) {
      const { cluster, last, first } = await upgraded(removedAt)
      const about = `removed behind pass ${removedAt}`
      expect(cluster.violations, about).toEqual([])
      expect(cluster.jobs.size, about).toBe(1)
      expect([...cluster.jobs.keys()], about).toEqual([jobIdOf(last)])
      // Of a stateless one it may be the job before, with its state.
      if (upgradeMode !== 'stateless') expect([jobIdOf(last), cluster.restored.at(-1) !== undefined], about).toEqual([jobIdOf(first), true])
    }
  },
)
