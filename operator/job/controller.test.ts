import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { KubeError } from '../kube/object-api.ts'

const lifecycle = (job: FlinkJob) => job.status?.lifecycleState
const ended = (job: FlinkJob) =>
  job.status?.jobManagerDeploymentStatus === 'MISSING' && ['FINISHED', 'FAILED'].includes(job.status.jobStatus?.state ?? '')

test('a job is deployed, reported, and its processes end with it', async () => {
  const { cluster, store, until } = world()
  const job = await until(ended)
  expect(store.seen).toEqual(['UPGRADING RECONCILING', 'DEPLOYED CREATED', 'STABLE RUNNING', 'STABLE FINISHED'])
  expect(cluster.history).toEqual(['startJobManager', 'startTaskManagers', 'submitJob', 'stopTaskManagers', 'stopJobManager'])
  expect(job.status).toMatchObject({ observedGeneration: 1, taskManager: { replicas: 2 }, jobStatus: { state: 'FINISHED' } })
  expect(job.status?.reconciliationStatus?.lastStableSpec).toBe(JSON.stringify(spec))
  expect(job.status?.error).toBeUndefined()
})

test('every crash, and every two crashes, between observing, saving and acting end in one job and no process', async () => {
  const plain = world()
  await plain.until(ended)
  const plans = crashPlans(0, plain.steps())
  expect(plans.length).toBeGreaterThan(300)
  for (const plan of plans) {
    const { cluster, until } = world(plan)
    const job = await until(ended)
    const about = JSON.stringify([...plan])
    expect(job.status?.jobStatus?.state, about).toBe('FINISHED')
    expect(lifecycle(job), about).toBe('STABLE')
    expect([...cluster.submittedIds], about).toEqual([job.status?.jobStatus?.jobId])
    expect(cluster.violations, about).toEqual([])
    expect(cluster.jobManager, about).toBe('missing')
    expect(cluster.taskManagers, about).toBe(0)
  }
})

test('a failed job tells its cause and where, and its processes end', async () => {
  const { cluster, until } = world()
  cluster.failure = 'Error: fifty is too much\n    at map (job.ts:3:5)'
  const job = await until(ended)
  expect(lifecycle(job)).toBe('FAILED')
  expect(job.status?.error).toBe('in Map (1/1): Error: fifty is too much\n    at map (job.ts:3:5)')
  expect(job.status?.conditions.find(({ type }) => type === 'Running')).toMatchObject({ status: 'False', reason: 'Failed' })
})

test('a job that has failed goes on to say why, whatever a later look meets with', async () => {
  const { cluster, pass, until } = world()
  cluster.failure = 'Error: fifty is too much'
  const failed = await until(job => lifecycle(job) === 'FAILED')
  const before = failed.status?.error
  expect(before).toContain('fifty is too much')
  cluster.restFailure = new FlinkError('EXTERNAL_SYSTEM', 'the JobManager answered 500')
  await expect(pass()).rejects.toThrow('answered 500')
  cluster.restFailure = undefined
  expect((await until(ended)).status?.error).toBe(before)
})

test('a program that cannot be planned starts nothing', async () => {
  const { cluster, until } = world()
  cluster.program = { kind: 'invalid', message: 'job module x.ts does not compile' }
  const job = await until(failed => lifecycle(failed) === 'FAILED')
  expect(job.status?.error).toBe('job module x.ts does not compile')
  expect(cluster.history).toEqual([])
})

test('a JobManager that ends before it was ready fails the first deployment with what its log says', async () => {
  const { cluster, until } = world()
  await until(() => cluster.jobManager === 'starting')
  cluster.jobManager = 'ended'
  const job = await until(failed => lifecycle(failed) === 'FAILED' && failed.status?.jobManagerDeploymentStatus === 'MISSING')
  expect(job.status?.error).toBe('jobmanager-0 ended with exit code 1')
  expect(cluster.taskManagers).toBe(0)
})

test.each(['startJobManager', 'startTaskManagers'])('a Conflict that %s meets with is no refusal: it is tried again', async kind => {
  const { cluster, until } = world()
  cluster.looksUntilFinished = undefined
  const execute = cluster.execute.bind(cluster)
  let conflicts = 3
  cluster.execute = async action => {
    if (action.kind === kind && conflicts-- > 0) throw new KubeError('Conflict', 'the object has been modified')
    await execute(action)
  }
  await until(job => job.status?.jobStatus?.state === 'RUNNING')
  expect(cluster.violations).toEqual([])
})

test('a TaskManager that never becomes ready fails the deployment instead of letting the job wait', async () => {
  const { cluster, pass, until } = world()
  await until(() => cluster.jobManager === 'starting')
  await pass()
  cluster.endedTaskManagers = [{ message: 'taskmanager-0 ended with exit code 1', wasReady: false }]
  cluster.taskManagers = 1
  const job = await until(failed => lifecycle(failed) === 'FAILED')
  expect(job.status?.error).toBe('taskmanager-0 ended with exit code 1')
})

test('a TaskManager that is lost while the job runs is named and replaced; one that never becomes ready is not started again and again', async () => {
  const { cluster, pass, until } = world()
  cluster.looksUntilFinished = undefined
  await until(job => job.status?.jobStatus?.state === 'RUNNING')
  const started = () => cluster.history.filter(action => action === 'startTaskManagers').length
  expect(started()).toBe(1)
  cluster.endedTaskManagers = [{ message: 'taskmanager-1 was killed by SIGKILL', wasReady: true }]
  cluster.taskManagers = 1
  expect((await pass()).status?.error).toBe('taskmanager-1 was killed by SIGKILL')
  expect([started(), cluster.taskManagers]).toEqual([2, 2])
  cluster.endedTaskManagers = []
  expect((await until(job => job.status?.error === undefined)).status?.jobStatus?.state).toBe('RUNNING')
  cluster.endedTaskManagers = [{ message: 'taskmanager-1 ended with exit code 1', wasReady: false }]
  cluster.taskManagers = 1
  await pass()
  await pass()
  expect(started()).toBe(2)
})

test('a status is written only when it says something new', async () => {
  const { cluster, store, pass, until } = world()
  cluster.looksUntilFinished = undefined
  await until(job => job.status?.jobStatus?.state === 'RUNNING')
  await pass()
  const { resourceVersion } = (await store.read()).metadata
  await pass()
  await pass()
  expect((await store.read()).metadata.resourceVersion).toBe(resourceVersion)
})

test('what is to be done stands in the status before it is done: job id, generation and where the job goes on from', async () => {
  const { cluster, store, until, edit } = world()
  cluster.looksUntilFinished = undefined
  const before: unknown[] = []
  const execute = cluster.execute.bind(cluster)
  cluster.execute = async action => {
    const { status } = await store.read()
    const spec = status?.reconciliationStatus?.lastReconciledSpec
    if (action.kind === 'submitJob') {
      expect(action.jobId).toBe(status?.jobStatus?.jobId)
      expect(JSON.stringify(action.spec)).toBe(spec)
    }
    if (action.kind.startsWith('start'))
      before.push([action.kind, status?.observedGeneration, status?.restore?.kind, status?.reconciliationStatus?.state])
    await execute(action)
  }
  await until(job => job.status?.jobStatus?.state === 'RUNNING')
  await edit(old => ({ ...old, job: { ...old.job, upgradeMode: 'last-state', script: 'export default () => 2' } }))
  await until(job => job.status?.observedGeneration === 2 && job.status.jobStatus?.state === 'RUNNING' && lifecycle(job) === 'STABLE')
  expect(before).toEqual([
    ['startJobManager', 1, 'none', 'UPGRADING'],
    ['startTaskManagers', 1, 'none', 'UPGRADING'],
    ['startJobManager', 2, 'checkpoint', 'UPGRADING'],
    ['startTaskManagers', 2, 'checkpoint', 'UPGRADING'],
  ])
})

test('nothing is done when somebody has written the object since it was read: its status carries the version', async () => {
  const { cluster, store, pass, until } = world()
  cluster.looksUntilFinished = undefined
  const observeCluster = cluster.observeCluster.bind(cluster)
  cluster.observeCluster = async () => {
    await store.annotate({ somebody: 'was here' })
    return observeCluster()
  }
  for (let i = 0; i < 3; i++) await expect(pass()).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(cluster.history).toEqual([])
  cluster.observeCluster = observeCluster
  await until(job => job.status?.jobStatus?.state === 'RUNNING')
})
