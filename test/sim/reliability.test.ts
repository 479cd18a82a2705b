import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import type { SimTaskManager } from '../support/sim-cluster.ts'
import { buildSums, expectSums, type Outside, outsides, type SumsJob } from '../support/sums-job.ts'

/** Bugs that others had and that no other test is about; docs/items/reliability.md says which test holds which. */
const CHECKPOINTS = 'sim://checkpoints'
const SAVEPOINTS = 'sim://savepoints'
const HIGH_AVAILABILITY = 'sim://high-availability'

class Jobs {
  readonly cluster: EngineCluster
  private readonly jobs = new Map<string, SumsJob>()

  constructor(sinks: Outside['sinks'] = {}) {
    this.cluster = new EngineCluster({
      seed: 11,
      build: ({ jobId }) => buildSums(this.job(jobId)),
      taskManagers: 2,
      slots: 2,
      jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 },
      suspendEverywhere: false,
      highAvailability: true,
      sinks,
    })
  }

  job(jobId: string): SumsJob {
    const job = this.jobs.get(jobId)
    if (job === undefined) throw new Error(`job ${jobId} is not known`)
    return job
  }

  /** The id is one digit, 32 times. 200 rows in ten seconds. */
  async submit(digit: string, entries: Readonly<Record<string, string>> = {}, outside: Outside = outsides['a sink in memory']()): Promise<string> {
    const jobId = digit.repeat(32)
    const client = {
      'parallelism.default': '2',
      'execution.checkpointing.interval': '500 ms',
      'execution.checkpointing.dir': CHECKPOINTS,
      'execution.checkpointing.data-inline-threshold': '0',
      ...entries,
    }
    this.jobs.set(jobId, { client, count: 200, rowsPerSecond: 20, outside })
    await this.cluster.submit(buildJobGraph(buildSums(this.job(jobId)), { client }), jobId)
    await this.cluster.untilRunning(jobId)
    return jobId
  }

  async stop(jobId: string): Promise<string> {
    const { cluster } = this
    cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: SAVEPOINTS, behind: 'stop' })
    await cluster.untilState(jobId, 'FINISHED')
    const path = cluster.paths(SAVEPOINTS).find(each => each.endsWith('_metadata')) ?? ''
    return `${SAVEPOINTS}/${path.slice(0, path.indexOf('/'))}`
  }

  loseTaskManager(): void {
    const victim = this.cluster.taskManagers.find(({ alive }) => alive) as SimTaskManager
    this.cluster.kill(victim)
    this.cluster.startTaskManager(`replacement-${this.cluster.taskManagers.length}`)
  }

  logged(text: string): number {
    return this.cluster.logs.filter(({ message }) => message.includes(text)).length
  }

  async expectFinished(jobId: string): Promise<void> {
    await this.cluster.untilState(jobId, 'FINISHED', 120_000)
    expectSums(this.job(jobId))
  }
}

test('two jobs with one folder for their checkpoints: the end of one takes nothing of the other (FLINK-6535, FLINK-29109)', async () => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const [first, second] = [await jobs.submit('a'), await jobs.submit('b')]
  await jobs.cluster.clock.run(2_000)
  jobs.cluster.jobManager.cancelJob(first)
  await jobs.cluster.untilState(first, 'CANCELED')
  await jobs.cluster.clock.run(500)
  expect(jobs.cluster.paths(CHECKPOINTS).filter(path => path.startsWith(first) && !path.includes('/head/'))).toEqual([])
  jobs.loseTaskManager()
  jobs.loseTaskManager()
  await jobs.expectFinished(second)
  expect(jobs.logged('is restored from checkpoint')).toBeGreaterThan(0)
})

test('a job that is submitted again while it runs keeps what its next JobManager needs, whoever submits what (FLINK-11846)', async () => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const jobId = await jobs.submit('a')
  await jobs.cluster.clock.run(1_000)
  const kept = jobs.cluster.paths(HIGH_AVAILABILITY)
  await jobs.cluster.submit(buildJobGraph(buildSums(jobs.job(jobId)), { client: jobs.job(jobId).client }), jobId)
  const other = buildJobGraph(buildSums(jobs.job(jobId)), { client: { ...jobs.job(jobId).client, 'parallelism.default': '1' } })
  await expect(jobs.cluster.submit(other, jobId)).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(jobs.cluster.paths(HIGH_AVAILABILITY)).toEqual(kept)
  await jobs.cluster.replaceJobManager()
  await jobs.expectFinished(jobId)
})

test('a job that is cancelled while it is being stored is not found by the next JobManager', async () => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const store = jobs.cluster.stores.get(HIGH_AVAILABILITY)
  if (store === undefined) throw new Error('no high availability')
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { create } = store
  Object.assign(store, {
    create: async (path: string, bytes: Uint8Array) => {
      if (path.endsWith('/submission')) {
        reached.resolve()
        await goOn.promise
      }
      return create.call(store, path, bytes)
    },
  })
  // It never comes to run.
  const submitting = expect(jobs.submit('a')).rejects.toThrow('"CANCELED":4')
  await reached.promise
  const jobId = 'a'.repeat(32)
  expect(jobs.cluster.jobManager.cancelJob(jobId)).toEqual({ kind: 'accepted' })
  await jobs.cluster.clock.run(1_000)
  goOn.resolve()
  await submitting
  expect(jobs.cluster.paths(HIGH_AVAILABILITY).filter(path => path.includes(jobId))).toEqual([])
})

test.each(['submission', 'artifact'])('a job whose %s is damaged is told of and left as it is; the others go on (FLINK-9097)', async name => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const [first, second] = [await jobs.submit('a'), await jobs.submit('b')]
  await jobs.cluster.clock.run(1_000)
  const store = jobs.cluster.stores.get(HIGH_AVAILABILITY)
  const path = `sim/jobs/${first}/${name}`
  const bytes = await store?.read(path)
  await store?.remove(path)
  if (name === 'submission') await store?.create(path, (bytes ?? new Uint8Array()).subarray(1))
  const kept = (paths: readonly string[]) => paths.filter(each => each.includes(first))
  const before = kept([...jobs.cluster.paths(HIGH_AVAILABILITY), ...jobs.cluster.paths(CHECKPOINTS)])
  await jobs.cluster.replaceJobManager()
  await jobs.expectFinished(second)
  expect(jobs.cluster.jobManager.jobDetails(first)).toBeUndefined()
  expect(jobs.cluster.logs.filter(({ message }) => message === 'a job could not be recovered')).toMatchObject([{ fields: { jobId: first } }])
  expect(kept([...jobs.cluster.paths(HIGH_AVAILABILITY), ...jobs.cluster.paths(CHECKPOINTS)])).toEqual(expect.arrayContaining(before))
})

test('what a job was started with is not needed behind its first own checkpoint (FLINK-21351, FLINK-26985)', async () => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const outside = outsides['a sink in memory']()
  const path = await jobs.stop(await stoppable(jobs, outside))
  const next = await jobs.submit('b', { 'execution.state-recovery.path': path }, outside)
  const completed = jobs.logged('completed checkpoint')
  await jobs.cluster.clock.runUntil(() => jobs.logged('completed checkpoint') > completed, 60_000)
  const store = jobs.cluster.stores.get(SAVEPOINTS)
  for (const each of jobs.cluster.paths(SAVEPOINTS)) await store?.remove(each)
  jobs.loseTaskManager()
  jobs.loseTaskManager()
  await jobs.expectFinished(next)
})

test('a savepoint that is older than what was committed since: what comes again is committed again, and nothing is left out (iceberg#10892)', async () => {
  const outside = outsides['the file sink'](seededRandom(11))
  const jobs = new Jobs(outside.sinks)
  await jobs.cluster.start()
  // Of one subtask each sum comes out the same, however often.
  const one = { 'parallelism.default': '1' }
  const path = await jobs.stop(await stoppable(jobs, outside, one))
  const before = outside.rows
  expect(before.length).toBeGreaterThan(0)
  await jobs.expectFinished(await jobs.submit('b', { ...one, 'execution.state-recovery.path': path }, outside))
  const after = outside.rows.filter(row => !before.includes(row))
  await jobs.cluster.untilState(await jobs.submit('c', { ...one, 'execution.state-recovery.path': path }, outside), 'FINISHED')
  expect(outside.rows.toSorted()).toEqual([...before, ...after, ...after].toSorted())
})

test('a savepoint behind which its job went on: whoever begins with it is warned that results come again; with the newest checkpoint nobody is', async () => {
  const jobs = new Jobs()
  const { cluster } = jobs
  await cluster.start()
  const first = await jobs.submit('a', { 'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION' })
  await cluster.clock.run(1_000)
  cluster.jobManager.triggerSavepoint(first, { triggerId: 'a', targetDirectory: SAVEPOINTS, behind: 'go-on' })
  await cluster.clock.run(2_000)
  cluster.jobManager.cancelJob(first)
  await cluster.untilState(first, 'CANCELED')
  const path = cluster.paths(SAVEPOINTS).find(each => each.endsWith('_metadata')) ?? ''
  await cluster.untilState(
    await jobs.submit('b', { 'execution.state-recovery.path': `${SAVEPOINTS}/${path.slice(0, path.indexOf('/'))}` }),
    'FINISHED',
  )
  expect(jobs.logged(`of job ${first} will come again`)).toBe(1)
  const newest = cluster.paths(CHECKPOINTS).find(each => each.startsWith(`${first}/chk-`) && each.endsWith('_metadata')) ?? ''
  const third = await jobs.submit('c', { 'execution.state-recovery.path': `${CHECKPOINTS}/${newest.slice(0, newest.lastIndexOf('/'))}` })
  await cluster.untilState(third, 'FINISHED')
  expect(jobs.logged('will come again')).toBe(1)
})

test.each([
  ['an hour ahead', () => 3_600_000],
  ['an hour back', () => -3_600_000],
  ['half a second back', () => -500],
  ['to and fro', (n: number) => (n % 2 === 0 ? 3_600_000 : -3_600_000)],
] as const)('a clock that is set %s every second: nobody is lost, checkpoints go on, each result is committed once', async (_, jumpMs) => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const jobId = await jobs.submit('a')
  for (let n = 0; n < 8; n++) {
    jobs.cluster.clock.jump(jumpMs(n))
    await jobs.cluster.clock.run(1_000)
  }
  expect(jobs.logged('completed checkpoint')).toBeGreaterThan(8)
  expect(jobs.cluster.job(jobId).attempt).toBe(0)
  await jobs.expectFinished(jobId)
})

test('a store that removes nothing for a while: checkpoints go on, and what was left is removed later (arroyo: clean-up that fails)', async () => {
  const jobs = new Jobs()
  await jobs.cluster.start()
  const jobId = await jobs.submit('a')
  jobs.cluster.storeFault = ({ text }) => (text.startsWith('remove') ? new FlinkError('EXTERNAL_SYSTEM', 'slow down') : undefined)
  await jobs.cluster.clock.run(5_000)
  expect(jobs.logged('completed checkpoint')).toBeGreaterThan(8)
  expect(jobs.cluster.job(jobId).attempt).toBe(0)
  const manifests = () => jobs.cluster.paths(CHECKPOINTS).filter(path => path.endsWith('_metadata')).length
  expect(manifests()).toBeGreaterThan(8)
  jobs.cluster.storeFault = () => undefined
  await jobs.cluster.clock.run(2_000)
  expect(manifests()).toBeLessThanOrEqual(2)
  await jobs.expectFinished(jobId)
})

/** A job that has committed some rows. */
async function stoppable(jobs: Jobs, outside: Outside, entries: Readonly<Record<string, string>> = {}): Promise<string> {
  const jobId = await jobs.submit('a', entries, outside)
  await jobs.cluster.clock.runUntil(() => outside.rows.length > 0, 60_000)
  return jobId
}
