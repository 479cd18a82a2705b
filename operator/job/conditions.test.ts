import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

type Job = FlinkJobSpec['job']

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const condition = (job: FlinkJob, type: string) => job.status?.conditions.find(found => found.type === type)
const shown = (job: FlinkJob) =>
  (job.status?.conditions ?? []).map(({ type, status, reason }) => `${status === 'True' ? type : type.toLowerCase()} ${reason}`).join(', ')
const running = (job: FlinkJob) => condition(job, 'Ready')?.status === 'True' && condition(job, 'Running')?.status === 'True'

async function started(fields: Partial<Job> = { upgradeMode: 'savepoint' }) {
  const made = world(undefined, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  return { ...made, first: await made.until(running) }
}

/** Each combination once, in the order in which they came. */
async function seen(pass: () => Promise<FlinkJob>, until: (job: FlinkJob) => boolean): Promise<string[]> {
  const combinations: string[] = []
  for (let i = 0; i < 100; i++) {
    const job = await pass()
    if (combinations.at(-1) !== shown(job)) combinations.push(shown(job))
    if (until(job)) return combinations
  }
  throw new Error(`not reached: ${combinations.join('\n')}`)
}

test('each pass of a job says what is there, what is being done and what is wrong', async () => {
  const { cluster, pass, edit } = world(undefined, withJob({ upgradeMode: 'savepoint' })(spec))
  cluster.looksUntilFinished = undefined
  expect(await seen(pass, running)).toEqual([
    'ready Progressing, running Deploying, Progressing Deploying, degraded AsExpected',
    'Ready Running, Running Running, progressing AtRest, degraded AsExpected',
  ])
  cluster.loseJobManager()
  expect(await seen(pass, running)).toEqual([
    'ready Progressing, running Deploying, Progressing Recovering, Degraded JobManagerLost',
    'ready Progressing, running Deploying, Progressing Deploying, degraded AsExpected',
    'Ready Running, Running Running, progressing AtRest, degraded AsExpected',
  ])
  await edit(withJob({ state: 'suspended' }))
  const resting = await seen(pass, job => condition(job, 'Ready')?.reason === 'Suspended')
  expect(resting[0]).toBe('ready Progressing, Running Running, Progressing Upgrading, degraded AsExpected')
  expect(resting.at(-1)).toBe('Ready Suspended, running Suspended, progressing AtRest, degraded AsExpected')
})

test('Ready has a message for the column of kubectl get: what is missing', async () => {
  const { cluster, pass, until, edit } = await started()
  const messages = new Set<string>()
  await edit(withJob({ script: 'export default () => 2' }))
  await until(job => {
    messages.add(condition(job, 'Ready')?.message ?? '')
    return running(job) && job.status?.observedGeneration === 2
  })
  expect([...messages]).toEqual(
    expect.arrayContaining([
      'generation 2: the job is stopped with a savepoint',
      'generation 2: what ran before ends',
      'the JobManager starts',
      'the job is RUNNING',
    ]),
  )
  cluster.invalidPrograms.set('broken', 'job.yaml:7:3: no such table')
  await edit(withJob({ script: 'broken' }))
  const refused = await pass()
  // It was seen, and what runs is not what the spec says; the job itself is well.
  expect(refused.status).toMatchObject({ observedGeneration: 3, edit: { generation: 3, class: 'restart' } })
  expect(condition(refused, 'Ready')).toMatchObject({
    status: 'False',
    reason: 'EditPending',
    message: 'the edit is not carried out, the job goes on as it was: job.yaml:7:3: no such table',
    observedGeneration: 3,
  })
  expect(shown(refused)).toMatch(/Running Running, progressing AtRest, degraded AsExpected/)
})

test('a program that cannot be planned at the first start says where, and the generation was seen', async () => {
  const { cluster, until } = world()
  cluster.program = { kind: 'invalid', message: 'job.yaml:7:3: does not compile' }
  const job = await until(failed => condition(failed, 'Ready')?.reason === 'Failed')
  expect(condition(job, 'Degraded')).toMatchObject({ status: 'True', reason: 'Failed', message: 'job.yaml:7:3: does not compile' })
  expect(job.status?.observedGeneration).toBe(1)
})

test('the time of a condition is that of its last change of status', async () => {
  const { cluster, pass, until, advance, first } = await started()
  const since = condition(first, 'Running')?.lastTransitionTime
  advance(60_000)
  for (const job of cluster.jobs.values()) job.state = 'RESTARTING'
  const restarting = await pass()
  expect(condition(restarting, 'Running')?.lastTransitionTime).not.toBe(since)
  expect(condition(restarting, 'Degraded')?.lastTransitionTime).toBe(condition(first, 'Degraded')?.lastTransitionTime)
  for (const job of cluster.jobs.values()) job.state = 'RUNNING'
  advance(60_000)
  const again = await until(running)
  expect(condition(again, 'Running')?.lastTransitionTime).not.toBe(condition(restarting, 'Running')?.lastTransitionTime)
})

test('a pass in which somebody answers otherwise than expected is written down too, once', async () => {
  const { cluster, store, pass, until } = await started()
  cluster.restFailure = new FlinkError('UNAUTHENTICATED', 'the JobManager does not take the token')
  await expect(pass()).rejects.toThrow('does not take the token')
  const job = await store.read()
  expect(condition(job, 'Degraded')).toMatchObject({ status: 'True', message: 'the JobManager does not take the token' })
  await expect(pass()).rejects.toThrow('does not take the token')
  expect((await store.read()).metadata.resourceVersion).toBe(job.metadata.resourceVersion)
  cluster.restFailure = undefined
  expect(condition(await until(running), 'Degraded')?.status).toBe('False')
})

test('what is wrong with the processes is said while it lasts, also of a job that runs', async () => {
  const { cluster, pass } = await started()
  cluster.problems = [
    { process: 'taskmanager-1', reason: 'Unschedulable', message: 'taskmanager-1 waits for a node' },
    { process: 'taskmanager-2', reason: 'OOMKilled', message: 'taskmanager-2 needed more memory than its limit' },
  ]
  const during = await pass()
  expect(condition(during, 'Degraded')).toMatchObject({
    status: 'True',
    reason: 'Unschedulable',
    message: 'taskmanager-1 waits for a node\ntaskmanager-2 needed more memory than its limit',
  })
  expect(condition(during, 'Ready')).toMatchObject({ status: 'True' })
  expect(during.status?.problems).toEqual(cluster.problems)
  cluster.problems = []
  const after = await pass()
  expect([condition(after, 'Degraded')?.reason, after.status?.problems]).toEqual(['AsExpected', undefined])
})

test('why no checkpoint is completed is said while it lasts', async () => {
  const { cluster, pass } = await started()
  cluster.checkpointProblem = 'the checkpoint store does not answer: connect ECONNREFUSED'
  const during = await pass()
  expect(condition(during, 'Degraded')).toMatchObject({ status: 'True', reason: 'CheckpointsFailing', message: cluster.checkpointProblem })
  expect(condition(during, 'Ready')).toMatchObject({ status: 'True' })
  cluster.checkpointProblem = undefined
  expect(condition(await pass(), 'Degraded')?.reason).toBe('AsExpected')
})

test('a deployment that waits for a pod says what for', async () => {
  const { cluster, pass, until } = world(undefined, spec)
  cluster.problems = [{ process: 'jobmanager', reason: 'ImagePullBackOff', message: 'jobmanager has no image example/millrace:1' }]
  await until(job => job.status?.lifecycleState === 'UPGRADING')
  expect(condition(await pass(), 'Ready')).toMatchObject({
    status: 'False',
    reason: 'Progressing',
    message: 'jobmanager has no image example/millrace:1',
  })
})
