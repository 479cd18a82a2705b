import { describe, expect, test } from 'vitest'
import { type CrashPlan, crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const sized =
  (parallelism: number, replicas?: number, fields: Partial<FlinkJobSpec['job']> = {}) =>
  (before: FlinkJobSpec): FlinkJobSpec => ({
    ...before,
    job: { ...before.job, ...fields, parallelism },
    taskManager: replicas === undefined ? {} : { replicas },
  })

/** Two slots a TaskManager. */
async function started(
  parallelism: number,
  replicas?: number,
  crashes?: CrashPlan,
  fields: Partial<FlinkJobSpec['job']> = { upgradeMode: 'savepoint' },
) {
  const made = world(crashes, sized(parallelism, replicas, fields)(spec))
  made.cluster.looksUntilFinished = undefined
  const first = await made.until(running)
  made.cluster.history.length = 0
  return { ...made, first }
}

describe('an edit of the parallelism', () => {
  test('grows: TaskManagers first, then the job, under its id, in its processes', async () => {
    const { cluster, store, until, edit, first } = await started(1)
    expect(first.status).toMatchObject({ jobStatus: { parallelism: 1 }, taskManager: { replicas: 1 } })
    store.seen.length = 0
    await edit(sized(5))
    const seen = await until(job => job.status?.rescale !== undefined)
    expect(cluster.history, 'what it is stands in the status before anything is done').toEqual([])
    expect(seen.status).toMatchObject({
      edit: { generation: 2, class: 'rescale', fields: ['spec.job.parallelism'] },
      rescale: { generation: 2, from: 1, to: 5, taskManagers: { from: 1, to: 3 }, step: 'STARTING' },
    })
    expect(seen.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Progressing', status: 'True', reason: 'Rescaling', message: 'generation 2: 3 TaskManagers are to be there' }),
    )
    const last = await until(carriedOut)
    expect([...new Set(cluster.history)]).toEqual(['startTaskManagers', 'rescaleJob'])
    expect(cluster.rescales).toEqual([5])
    expect(last.status?.jobStatus).toMatchObject({ jobId: first.status?.jobStatus?.jobId, parallelism: 5 })
    expect(last.status?.taskManager?.replicas).toBe(3)
    expect(last.status?.rescale).toBeUndefined()
    expect(cluster.restored).toEqual([undefined])
    expect(store.seen).toEqual(['UPGRADING RUNNING', 'UPGRADING RESTARTING', 'DEPLOYED RUNNING', 'STABLE RUNNING'])
    expect(cluster.violations).toEqual([])
  })

  test('where the slots suffice, starts nothing', async () => {
    const { cluster, until, edit } = await started(1)
    await edit(sized(2))
    await until(carriedOut)
    expect([...new Set(cluster.history)]).toEqual(['rescaleJob'])
    expect(cluster.taskManagers).toBe(1)
  })

  test('shrinks: the job first, then its TaskManagers, those that it has no slots of', async () => {
    const { cluster, until, edit } = await started(5)
    await edit(sized(1))
    cluster.usedTaskManagers = ['taskmanager-2']
    const kept = await until(carriedOut)
    expect(kept.status?.taskManager?.replicas).toBe(1)
    for (let pass = 0; pass < 5; pass++) await until(() => true)
    expect([cluster.taskManagers, cluster.history.includes('stopTaskManagers')]).toEqual([3, false])
    cluster.usedTaskManagers = undefined
    await until(() => cluster.taskManagers === 1)
    expect(cluster.history.at(-1)).toBe('stopTaskManagers')
    expect(cluster.violations).toEqual([])
  })

  test('in mode stateless keeps the state all the same', async () => {
    const { cluster, until, edit, first } = await started(1, undefined, undefined, { upgradeMode: 'stateless' })
    await edit(sized(3))
    expect((await until(carriedOut)).status?.jobStatus?.jobId).toBe(first.status?.jobStatus?.jobId)
    expect(cluster.restored).toEqual([undefined])
  })

  test('beside another edit is a restart', async () => {
    const { cluster, until, edit } = await started(1)
    await edit(sized(3, undefined, { script: 'export default () => 2' }))
    const last = await until(carriedOut)
    expect(last.status?.edit).toMatchObject({ class: 'restart', fields: ['spec.job.parallelism', 'spec.job.script'] })
    expect(cluster.rescales).toEqual([])
    expect(cluster.restored).toHaveLength(2)
  })
})

describe('what cannot be done in place is a restart, and the status says why', () => {
  test('operators that are chained in another way', async () => {
    const { cluster, until, edit, first } = await started(1)
    cluster.otherVertices.set(3, ['source', 'map', 'sink'])
    await edit(sized(3))
    const upgrading = await until(job => job.status?.upgrade !== undefined)
    expect(upgrading.status).toMatchObject({
      edit: { class: 'restart' },
      upgrade: { mode: 'savepoint', reason: 'spec.job.upgradeMode is savepoint; its operators are chained in another way with this parallelism' },
    })
    await until(carriedOut)
    expect(cluster.restored).toEqual([undefined, `savepoint of ${first.status?.jobStatus?.jobId}`])
  })

  test('a JobManager that refuses', async () => {
    const { cluster, until, edit, first } = await started(1)
    cluster.rescaleRefusal = 'job fake is a batch job'
    await edit(sized(3))
    expect((await until(job => job.status?.upgrade !== undefined)).status).toMatchObject({
      edit: { generation: 2, class: 'restart' },
      upgrade: { reason: 'spec.job.upgradeMode is savepoint; it cannot be rescaled in place: job fake is a batch job' },
    })
    const last = await until(carriedOut)
    expect(last.status?.rescale).toBeUndefined()
    expect(cluster.restored).toEqual([undefined, `savepoint of ${first.status?.jobStatus?.jobId}`])
    expect(cluster.violations).toEqual([])
  })

  test('a job that does not run', async () => {
    const { cluster, until, edit } = await started(1, undefined, undefined, { upgradeMode: 'last-state' })
    for (const job of cluster.jobs.values()) job.state = 'FAILING'
    await edit(sized(3))
    expect((await until(job => job.status?.upgrade !== undefined)).status?.upgrade?.reason).toBe(
      'spec.job.upgradeMode is last-state; the job is FAILING',
    )
  })
})

test('fewer TaskManagers than the job has slots of: it is left alone, and the status says so', async () => {
  const { cluster, pass, until, edit } = await started(5, 3)
  await edit(sized(5, 2))
  const refused = await pass()
  expect(refused.status).toMatchObject({
    lifecycleState: 'STABLE',
    edit: { generation: 2, class: 'rescale' },
    error: 'the edit is not carried out, the job goes on as it was: it needs 5 slots, and spec.taskManager.replicas is 2, of 2 slots each',
  })
  expect(cluster.history).toEqual([])
  await edit(sized(4, 2))
  expect((await until(carriedOut)).status?.error).toBeUndefined()
  await until(() => cluster.taskManagers === 2)
})

test('more TaskManagers: a live edit, the job is not touched', async () => {
  const { cluster, until, edit } = await started(2, 1)
  await edit(sized(2, 3))
  const last = await until(carriedOut)
  expect(last.status?.edit).toMatchObject({ class: 'live', fields: ['spec.taskManager.replicas'] })
  expect([cluster.history, cluster.taskManagers, cluster.rescales]).toEqual([['startTaskManagers'], 3, []])
})

test('a checkpoint that is aborted moves nothing: it is asked for again', async () => {
  const { cluster, until, edit, advance } = await started(1)
  cluster.rescaleLooks = undefined
  await edit(sized(2))
  await until(() => cluster.rescales.length === 1)
  await until(() => cluster.history.length > 5)
  expect(cluster.rescales).toEqual([2])
  cluster.rescaleLooks = 1
  advance(31_000)
  await until(carriedOut)
  expect(cluster.rescales).toEqual([2, 2])
})

describe('while it is done', () => {
  test('an edit that takes it back before the job was told leaves what was', async () => {
    const { cluster, until, edit } = await started(1)
    await edit(sized(5))
    await until(job => job.status?.rescale !== undefined)
    await edit(sized(1))
    const last = await until(carriedOut)
    expect(last.status).toMatchObject({ observedGeneration: 3, taskManager: { replicas: 1 } })
    expect(cluster.rescales).toEqual([])
  })

  test('a newer size follows it', async () => {
    const { cluster, until, edit } = await started(1)
    cluster.rescaleLooks = undefined
    await edit(sized(5))
    await until(() => cluster.rescales.length === 1)
    cluster.rescaleLooks = 1
    await edit(sized(2))
    const last = await until(job => carriedOut(job) && cluster.taskManagers === 1)
    expect(last.status?.jobStatus?.parallelism).toBe(2)
    expect(cluster.rescales).toEqual([5, 2])
    expect(cluster.violations).toEqual([])
  })

  test.each(['STARTING', 'RESCALING'])('its JobManager is lost at %s: it is recovered first', async step => {
    const { cluster, until, edit, first } = await started(1)
    await edit(sized(5))
    await until(job => job.status?.rescale?.step === step)
    cluster.loseJobManager()
    const last = await until(carriedOut)
    expect(last.status?.jobStatus).toMatchObject({ jobId: first.status?.jobStatus?.jobId, parallelism: 5 })
    expect(cluster.restored).toEqual([undefined, `checkpoint of ${first.status?.jobStatus?.jobId}`])
    expect(cluster.violations).toEqual([])
  })

  test('the job comes to its own end: it is not run again', async () => {
    const { cluster, until, edit } = await started(1)
    await edit(sized(5))
    const { status } = await until(job => job.status?.rescale !== undefined)
    cluster.end(status?.jobStatus?.jobId ?? '', 'FINISHED')
    const last = await until(job => job.status?.jobManagerDeploymentStatus === 'MISSING')
    expect(last.status).toMatchObject({
      jobStatus: { state: 'FINISHED' },
      refused: { generation: 2, message: 'the job has FINISHED before the edit was carried out' },
    })
    expect(cluster.restored).toHaveLength(1)
  })
})

test.each([
  ['larger', 1, 5],
  ['smaller', 5, 1],
])('every crash, and every two crashes, on the way to a %s size end in one job with that size, never started anew', async (_, from, to) => {
  const run = async (crashes: CrashPlan) => {
    const made = world(crashes, sized(from, undefined, { upgradeMode: 'savepoint' })(spec))
    made.cluster.looksUntilFinished = undefined
    const first = await made.until(running)
    const begun = made.steps()
    await made.edit(sized(to))
    const last = await made.until(job => carriedOut(job) && made.cluster.taskManagers === Math.ceil(to / 2))
    return { ...made, first, begun, last }
  }
  const plain = await run(new Map())
  for (const crashes of crashPlans(plain.begun, plain.steps())) {
    const { cluster, first, last } = await run(crashes)
    const about = JSON.stringify([...crashes])
    expect(cluster.violations, about).toEqual([])
    expect(cluster.restored, about).toEqual([undefined])
    expect(last.status?.jobStatus, about).toMatchObject({ jobId: first.status?.jobStatus?.jobId, parallelism: to })
    expect(cluster.rescales, about).toEqual([to])
  }
})

describe('seed-XB11: a shortage of slots', () => {
  test('asks for TaskManagers where the manifest leaves their number open', async () => {
    const { cluster, until } = await started(3)
    cluster.slotsRequired = 3
    for (const job of cluster.jobs.values()) job.message = 'needs 3 slots (group default: 3), 0 free'
    const last = await until(() => cluster.taskManagers > 2)
    expect(last.status?.taskManager?.replicas).toBe(4)
    expect(cluster.taskManagers).toBe(4)
  })

  test('and never for more than it says', async () => {
    const { cluster, pass, now, advance } = await started(3, 2)
    cluster.slotsRequired = 3
    for (const job of cluster.jobs.values()) job.message = 'needs 3 slots (group default: 3), 0 free'
    advance(now() + 60_000)
    const last = await pass()
    expect(last.status?.error).toBe('needs 3 slots (group default: 3), 0 free')
    await pass()
    expect([cluster.taskManagers, cluster.history]).toEqual([2, []])
  })
})
