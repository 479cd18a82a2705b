import { describe, expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { type CrashPlan, crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

type Job = FlinkJobSpec['job']

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId
const changed = { script: 'export default () => 2' }

async function started(fields: Partial<Job>, crashes?: CrashPlan) {
  const made = world(crashes, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  return { ...made, first: await made.until(running) }
}

describe('an edit of the program', () => {
  test('in mode savepoint: stopped with a savepoint, started again under its id, which goes on from there', async () => {
    const { cluster, store, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    store.seen.length = 0
    cluster.history.length = 0
    await edit(withJob(changed))
    const last = await until(carriedOut)
    expect(cluster.history).toEqual(['stopJob', 'stopTaskManagers', 'stopJobManager', 'startJobManager', 'startTaskManagers', 'submitJob'])
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, `savepoint of ${jobIdOf(first)}`])
    expect(last.status).toMatchObject({
      observedGeneration: 2,
      edit: { generation: 2, class: 'restart', fields: ['spec.job.script'] },
      jobStatus: { upgradeSavepointPath: `savepoint of ${jobIdOf(first)}` },
    })
    expect(last.status?.upgrade).toBeUndefined()
    expect(store.seen).toEqual(['UPGRADING RUNNING', 'UPGRADING FINISHED', 'UPGRADING RECONCILING', 'DEPLOYED CREATED', 'STABLE RUNNING'])
    expect(cluster.violations).toEqual([])
  })

  test('in mode last-state: the JobManager ends first, under the job; it goes on from its newest checkpoint', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'last-state' })
    cluster.history.length = 0
    await edit(withJob(changed))
    const last = await until(carriedOut)
    expect(cluster.history).toEqual(['stopJobManager', 'stopTaskManagers', 'startJobManager', 'startTaskManagers', 'submitJob'])
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`])
    expect(cluster.violations).toEqual([])
  })

  test('in mode stateless: cancelled, and another job begins empty, whatever it first began with', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'stateless', initialSavepointPath: 'file:///first' })
    expect(cluster.restored).toEqual(['file:///first'])
    cluster.history.length = 0
    await edit(withJob(changed))
    const last = await until(carriedOut)
    expect(cluster.history).toEqual(['cancelJob', 'stopTaskManagers', 'stopJobManager', 'startJobManager', 'startTaskManagers', 'submitJob'])
    expect(jobIdOf(last)).not.toBe(jobIdOf(first))
    expect(cluster.restored).toEqual(['file:///first', undefined])
    expect(last.status?.edit?.class).toBe('state-loss')
  })

  test.each([
    ['stateless', ['cancelJob', 'stopTaskManagers', 'stopJobManager']],
    ['savepoint', ['stopJob', 'stopTaskManagers', 'stopJobManager']],
  ] as const)('in mode %s of a job whose answer is lost once: it is stopped as any other', async (upgradeMode, stopped) => {
    const { cluster, pass, until, edit } = await started({ upgradeMode, fallback: 'stateless' })
    cluster.history.length = 0
    cluster.restFailure = new FlinkError('CONNECTION_LOST', 'the connection broke')
    await edit(withJob({ ...changed, upgradeMode, fallback: 'stateless' }))
    for (let i = 0; i < 3; i++) await pass()
    cluster.restFailure = undefined
    await until(carriedOut)
    expect(cluster.history.slice(0, 3)).toEqual(stopped)
    expect(cluster.violations).toEqual([])
  })

  test('with a fall-back of a job whose JobManager never answers: it falls back after a minute', async () => {
    const { cluster, until, edit, advance, pass } = await started({ upgradeMode: 'savepoint', fallback: 'last-state' })
    cluster.restFailure = new FlinkError('TIMEOUT', 'no answer')
    await edit(withJob(changed))
    await until(job => job.status?.upgrade?.step === 'STOPPING')
    advance(61_000)
    await pass()
    await until(job => job.status?.upgrade?.mode === 'last-state' || job.status?.upgrade === undefined)
    cluster.restFailure = undefined
    expect((await until(carriedOut)).status?.restore).toMatchObject({ kind: 'checkpoint', reason: expect.stringContaining('does not answer') })
    expect(cluster.violations).toEqual([])
  })

  test('that cannot be planned leaves the job alone and says why; mended, it is carried out', async () => {
    const { cluster, pass, until, edit } = await started({ upgradeMode: 'savepoint' })
    cluster.history.length = 0
    cluster.invalidPrograms.set('broken', 'job.yaml:7:3: no such table')
    await edit(withJob({ script: 'broken' }))
    const refused = await pass()
    expect(refused.status?.error).toBe('the edit is not carried out, the job goes on as it was: job.yaml:7:3: no such table')
    expect(refused.status).toMatchObject({ lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } })
    await pass()
    expect(cluster.history).toEqual([])
    await edit(withJob(changed))
    expect((await until(carriedOut)).status?.error).toBeUndefined()
  })

  test.each(['savepoint', 'last-state', 'stateless'] as const)(
    'in mode %s that cannot be planned any more once the job is stopped: what ran before runs again',
    async upgradeMode => {
      const { cluster, until, edit, first } = await started({ upgradeMode })
      await edit(withJob({ script: 'broken' }))
      await until(job => job.status?.upgrade?.step === 'RELEASING')
      cluster.invalidPrograms.set('broken', 'no such table')
      const job = await until(again => running(again) && again.status?.refused !== undefined)
      expect(job.status?.reconciliationStatus?.lastReconciledSpec).toBe(JSON.stringify(first.spec))
      const from = { savepoint: 'savepoint of ', 'last-state': 'checkpoint of ', stateless: undefined }[upgradeMode]
      expect(cluster.restored).toEqual([undefined, from === undefined ? undefined : `${from}${jobIdOf(first)}`])
      expect(cluster.violations).toEqual([])
    },
  )

  test('taken back in time does nothing but count', async () => {
    const { cluster, pass, edit } = await started({ upgradeMode: 'savepoint' })
    cluster.history.length = 0
    cluster.invalidPrograms.set('broken', 'no')
    await edit(withJob({ script: 'broken' }))
    await pass()
    await edit(withJob({ script: spec.job.script ?? '' }))
    const job = await pass()
    expect(job.status).toMatchObject({ observedGeneration: 3, lifecycleState: 'STABLE' })
    expect(cluster.history).toEqual([])
  })

  test('while another one is carried out waits for its turn', async () => {
    const { cluster, pass, until, edit, first } = await started({ upgradeMode: 'savepoint' })
    await edit(withJob(changed))
    await until(job => job.status?.upgrade?.step === 'RELEASING')
    await edit(withJob({ script: 'export default () => 3' }))
    await pass()
    const last = await until(job => carriedOut(job) && job.spec.job.script === 'export default () => 3')
    expect(cluster.restored).toHaveLength(3)
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.violations).toEqual([])
  })
})

test('an edit of how later edits are carried out touches nothing that runs', async () => {
  const { cluster, until, edit } = await started({ upgradeMode: 'stateless' })
  cluster.history.length = 0
  await edit(withJob({ upgradeMode: 'savepoint', fallback: 'last-state' }))
  const job = await until(carriedOut)
  expect(job.status).toMatchObject({ observedGeneration: 2, edit: { class: 'ignore', fields: ['spec.job.fallback', 'spec.job.upgradeMode'] } })
  expect(cluster.history).toEqual([])
})

describe('a savepoint that fails', () => {
  test('without a fall-back: the job goes on, it is tried again, later each time, and given up in the end', async () => {
    const { cluster, pass, until, edit, advance } = await started({ upgradeMode: 'savepoint' })
    cluster.savepointFailure = 'Exception: the store is away'
    cluster.history.length = 0
    await edit(withJob(changed))
    const waiting = await until(job => job.status?.upgrade?.failures === 1)
    expect(waiting.status?.error).toBe(
      'the savepoint for the upgrade could not be taken: Exception: the store is away; the job goes on, and it is tried again in 10 s',
    )
    expect(waiting.status?.jobStatus?.state).toBe('RUNNING')
    // Meanwhile it is looked after as any job.
    cluster.taskManagers = 1
    await until(() => cluster.taskManagers === 2)
    expect(cluster.history).toEqual(['stopJob', 'startTaskManagers'])
    for (const seconds of [10, 20, 40, 80]) {
      await until(job => job.status?.error?.endsWith(`in ${seconds} s`) === true)
      advance(seconds * 1_000)
    }
    const given = await until(job => job.status?.refused !== undefined && running(job))
    expect(cluster.history.filter(action => action === 'stopJob')).toHaveLength(5)
    const { length } = cluster.history
    expect(given.status?.error).toMatch(/could not be taken: Exception: the store is away; the job goes on as it was$/)
    expect(given.status?.upgrade).toBeUndefined()
    await pass()
    expect(cluster.history).toHaveLength(length)
    cluster.savepointFailure = undefined
    await edit(withJob({ script: 'export default () => 3' }))
    await until(carriedOut)
    expect(cluster.restored).toHaveLength(2)
  })

  test('with a fall-back to last-state: the newest checkpoint, and the status says why', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'savepoint', fallback: 'last-state' })
    cluster.savepointFailure = 'Exception: the store is away'
    await edit(withJob(changed))
    const fallen = await until(job => job.status?.upgrade?.mode === 'last-state')
    expect(fallen.status?.upgrade?.reason).toBe(
      'the savepoint for the upgrade could not be taken: Exception: the store is away; spec.job.fallback is last-state',
    )
    await until(carriedOut)
    expect(cluster.restored.at(-1)).toBe(`checkpoint of ${jobIdOf(first)}`)
  })

  test('that cannot be asked for, since the job does not run, waits, or falls back', async () => {
    const { cluster, pass, until, edit } = await started({ upgradeMode: 'savepoint' })
    for (const job of cluster.jobs.values()) job.state = 'RESTARTING'
    cluster.history.length = 0
    await edit(withJob(changed))
    expect((await pass()).status?.error).toBe(
      'the edit waits: a savepoint needs a job that is RUNNING, this one is RESTARTING, and spec.job.fallback is none',
    )
    expect(cluster.history).toEqual([])
    await edit(withJob({ fallback: 'last-state' }))
    expect((await until(job => job.status?.upgrade !== undefined)).status?.upgrade).toMatchObject({
      mode: 'last-state',
      reason: 'the job is RESTARTING, which allows no savepoint, and spec.job.fallback is last-state',
    })
  })
})

describe('suspended and resumed', () => {
  test.each([
    ['savepoint', 'stopJob', 'savepoint'],
    ['last-state', 'stopJobManager', 'checkpoint'],
  ] as const)('in mode %s: no process is left, and it goes on from where it was', async (upgradeMode, firstAction, from) => {
    const { cluster, until, edit, first } = await started({ upgradeMode })
    cluster.history.length = 0
    await edit(withJob({ state: 'suspended' }))
    const resting = await until(job => job.status?.lifecycleState === 'SUSPENDED')
    expect(cluster.history[0]).toBe(firstAction)
    expect([cluster.jobManager, cluster.taskManagers]).toEqual(['missing', 0])
    expect(resting.status).toMatchObject({ observedGeneration: 2, jobStatus: { state: 'SUSPENDED' }, jobManagerDeploymentStatus: 'MISSING' })
    expect(resting.status?.conditions.slice(0, 2)).toMatchObject([
      { type: 'Ready', status: 'True', reason: 'Suspended' },
      { type: 'Running', status: 'False', reason: 'Suspended' },
    ])
    await edit(withJob({ state: 'running' }))
    const last = await until(carriedOut)
    expect(jobIdOf(last)).toBe(jobIdOf(first))
    expect(cluster.restored.at(-1)).toBe(`${from} of ${jobIdOf(first)}`)
  })

  test('a stateless job keeps its state while it rests, and gives it up when it runs again', async () => {
    const { cluster, until, edit, first } = await started({ upgradeMode: 'stateless' })
    await edit(withJob({ state: 'suspended' }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    await edit(withJob({ state: 'running' }))
    expect(jobIdOf(await until(carriedOut))).not.toBe(jobIdOf(first))
    expect(cluster.restored).toEqual([undefined, undefined])
  })

  test('made suspended, nothing is started until it is to run', async () => {
    const { cluster, pass, until, edit } = world(
      undefined,
      withJob({ state: 'suspended', upgradeMode: 'savepoint', initialSavepointPath: 'file:///s' })(spec),
    )
    cluster.looksUntilFinished = undefined
    expect((await pass()).status).toMatchObject({ lifecycleState: 'SUSPENDED', observedGeneration: 1 })
    await pass()
    expect(cluster.history).toEqual([])
    await edit(withJob({ state: 'running' }))
    await until(carriedOut)
    expect(cluster.restored).toEqual(['file:///s'])
  })
})

test('a job that comes to its own end while it is to be stopped is not started again', async () => {
  const { cluster, until, edit } = await started({ upgradeMode: 'savepoint' })
  await edit(withJob(changed))
  await until(job => job.status?.upgrade?.step === 'STOPPING')
  for (const job of cluster.jobs.values()) job.state = 'FINISHED'
  const ended = await until(job => job.status?.jobManagerDeploymentStatus === 'MISSING')
  expect(ended.status).toMatchObject({ jobStatus: { state: 'FINISHED' } })
  expect(cluster.restored).toHaveLength(1)
})

test('a job that ends between the look at its savepoint and the look at itself is not taken for one that has come to its own end', async () => {
  const { cluster, pass, until, edit, first } = await started({ upgradeMode: 'savepoint' })
  await edit(withJob(changed))
  await until(() => cluster.operations.size === 1)
  for (const job of cluster.jobs.values()) job.state = 'FINISHED'
  // The first look at the operation finds it in progress.
  expect((await pass()).status?.upgrade).toMatchObject({ step: 'STOPPING' })
  await until(carriedOut)
  expect(cluster.restored).toEqual([undefined, `savepoint of ${jobIdOf(first)}`])
})

test.each(['none', 'last-state'] as const)(
  'a job that ends by itself while its savepoint fails is not started again, with fallback %s',
  async fallback => {
    const { cluster, until, edit } = await started({ upgradeMode: 'savepoint', fallback })
    cluster.savepointFailure = 'Exception: the job has finished'
    await edit(withJob(changed))
    await until(() => cluster.operations.size === 1)
    for (const job of cluster.jobs.values()) job.state = 'FINISHED'
    const ended = await until(job => job.status?.jobManagerDeploymentStatus === 'MISSING')
    expect(ended.status).toMatchObject({ jobStatus: { state: 'FINISHED' } })
    expect(cluster.restored).toHaveLength(1)
  },
)

test.each(['STOPPING', 'RELEASING'])('deleted while an upgrade is at %s, nothing is left', async step => {
  const { cluster, store, until, edit, now } = await started({ upgradeMode: 'savepoint' })
  await edit(withJob(changed))
  await until(job => job.status?.upgrade?.step === step)
  await store.markDeleted(await store.read(), now())
  await until(job => job.status?.lifecycleState === 'DELETED')
  expect([cluster.jobManager, cluster.taskManagers, cluster.violations]).toEqual(['missing', 0, []])
  expect(cluster.restored).toHaveLength(1)
})

test.each(['savepoint', 'last-state', 'stateless'] as const)(
  'every crash, and every two crashes, in an upgrade in mode %s end in one job with its state',
  async upgradeMode => {
    const run = async (crashes: CrashPlan) => {
      const made = world(crashes, withJob({ upgradeMode })(spec))
      made.cluster.looksUntilFinished = undefined
      const first = await made.until(running)
      const from = made.steps()
      await made.edit(withJob(changed))
      return { ...made, first, from, last: await made.until(carriedOut) }
    }
    const plain = await run(new Map())
    for (const crashes of crashPlans(plain.from, plain.steps())) {
      const { cluster, first, last } = await run(crashes)
      const about = JSON.stringify([...crashes])
      expect(cluster.violations, about).toEqual([])
      expect(jobIdOf(last) === jobIdOf(first), about).toBe(upgradeMode !== 'stateless')
      expect(cluster.restored.at(-1), about).toBe(
        upgradeMode === 'stateless' ? undefined : `${upgradeMode === 'savepoint' ? 'savepoint' : 'checkpoint'} of ${jobIdOf(first)}`,
      )
    }
  },
)
