import { expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { HealthCheck } from '../api/operator-options.ts'

type Crashes = ReadonlyMap<number, 'before' | 'after'>

const stable = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId
const check: HealthCheck = { restartsThreshold: 3, restartsWindowMs: 120_000, checkpointProgress: true }

async function started(healthCheck: HealthCheck | null = check, crashes?: Crashes) {
  const made = world(crashes, { ...spec, ...(healthCheck === null ? {} : { healthCheck }) })
  made.cluster.looksUntilFinished = undefined
  const first = await made.until(stable)
  // A job that has just been started has been looked at once.
  await made.pass()
  made.cluster.history.length = 0
  const fail = async (times: number, everyMs = 1_000) => {
    for (let i = 0; i < times; i++) {
      made.advance(everyMs)
      made.cluster.progress.restart(made.now(), 'Error: no price')
      await made.pass()
    }
    return made.pass()
  }
  return { ...made, first, fail }
}

test('a job that restarts more often than the threshold within the window goes on under its id on a new JobManager, and the status says why', async () => {
  const { cluster, fail, until, first } = await started()
  expect(stable(await fail(3))).toBe(true)
  expect(cluster.history).toEqual([])
  await fail(1)
  cluster.progress.restartedMs = 0
  const job = await until(after => stable(after) && after.status?.recovery !== undefined)
  expect(cluster.history).toEqual(['stopJobManager', 'stopTaskManagers', 'stopJobManager', 'startJobManager', 'startTaskManagers', 'submitJob'])
  expect(jobIdOf(job)).toBe(jobIdOf(first))
  expect(cluster.restored).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`])
  const reason = expect.stringMatching(/^the job is not healthy: it has restarted 4 times since .*, 3 within 120 s are allowed$/)
  expect(job.status?.recovery).toMatchObject({ count: 1, reason })
  expect(job.status?.restore).toMatchObject({ reason })
  expect(cluster.violations).toEqual([])
})

test('the same restarts over a longer time are healthy', async () => {
  const { cluster, fail } = await started({ ...check, checkpointProgress: false })
  await fail(8, 70_000)
  expect(cluster.history).toEqual([])
})

test('a job that completes no checkpoint within the window is not healthy: interval or timeout, times the tolerable failures and two', async () => {
  const { cluster, pass, until, advance, now } = await started()
  advance(100_000)
  cluster.progress.checkpoint(now())
  const known = now()
  advance(100_000)
  expect(stable(await pass())).toBe(true)
  advance(19_000)
  expect(stable(await pass())).toBe(true)
  advance(10_000)
  await until(after => after.status?.health?.unhealthy !== undefined)
  cluster.progress.checkpoint(now())
  const job = await until(after => stable(after) && after.status?.recovery !== undefined)
  expect(job.status?.recovery?.reason).toBe(
    `the job is not healthy: no checkpoint was completed since ${new Date(known).toISOString()}, one within 120 s is expected`,
  )
})

test.each([
  ['a longer window', { ...check, checkpointWindowMs: 3_600_000 }],
  ['checkpoint progress switched off', { ...check, checkpointProgress: false }],
  ['no health check', null],
])('with %s it goes on without checkpoints', async (_, healthCheck) => {
  const { cluster, pass, advance } = await started(healthCheck)
  advance(1_000_000)
  await pass()
  await pass()
  expect(cluster.history).toEqual([])
})

test('a job that takes no checkpoints is not asked for them', async () => {
  const made = world(undefined, { ...spec, healthCheck: check })
  made.cluster.looksUntilFinished = undefined
  made.cluster.progress.checkpointIntervalMs = null
  await made.until(stable)
  await made.pass()
  const { asked } = made.cluster.progress
  made.advance(10_000_000)
  expect(stable(await made.pass())).toBe(true)
  expect(made.cluster.progress.asked).toBe(asked)
})

test('a healthy job is not asked, and nothing is written, but once a window', async () => {
  const { cluster, pass, advance, now } = await started()
  const { resourceVersion } = (await pass()).metadata
  const { asked } = cluster.progress
  advance(60_000)
  cluster.progress.checkpoint(now())
  expect([(await pass()).metadata.resourceVersion, cluster.progress.asked]).toEqual([resourceVersion, asked])
})

test('every crash while an unhealthy job is started again ends in one job with its state', async () => {
  const run = async (crashes: Crashes) => {
    const made = await started(check, crashes)
    const from = made.steps()
    await made.fail(4)
    made.cluster.progress.restartedMs = 0
    return { ...made, from, last: await made.until(job => stable(job) && job.status?.recovery?.step === 'DONE') }
  }
  const plain = await run(new Map())
  for (let at = plain.from; at < plain.steps() + 2; at++)
    for (const side of ['before', 'after'] as const) {
      const { cluster, first, last } = await run(new Map([[at, side]]))
      const about = `${at} ${side}`
      expect(cluster.violations, about).toEqual([])
      expect(jobIdOf(last), about).toBe(jobIdOf(first))
      expect(cluster.restored, about).toEqual([undefined, `checkpoint of ${jobIdOf(first)}`])
    }
})
