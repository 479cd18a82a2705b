import { expect, test } from 'vitest'
import { type Catalogue, createCatalogue } from '../../runtime/checkpoint/catalogue.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { RESULTS_URI, SimCluster, type StoreCall, simJobGraph } from '../support/sim-cluster.ts'
import { folderOf } from '../support/store-folder.ts'
import { buildSums, expectSums, outsides, type SumsJob } from '../support/sums-job.ts'

/** How a job has ended is known for good where results are kept, whoever dies when; and it is known before what it could be run again from is removed. */
const CHECKPOINTS = 'sim://checkpoints'
const SAVEPOINTS = 'sim://savepoints'
const jobId = 'a'.repeat(32)
const quick = { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 }

function sumsCluster(highAvailability: boolean, more: Readonly<Record<string, string>> = {}, count = 40) {
  const outside = outsides['a sink in memory']()
  const client = {
    'parallelism.default': '1',
    'execution.checkpointing.interval': '300 ms',
    'execution.checkpointing.dir': CHECKPOINTS,
    'execution.checkpointing.data-inline-threshold': '0',
    ...more,
  }
  const job: SumsJob = { client, count, rowsPerSecond: 40, outside }
  const cluster = new EngineCluster({
    seed: 11,
    build: () => buildSums(job),
    taskManagers: 1,
    slots: 1,
    jobManager: quick,
    suspendEverywhere: false,
    highAvailability,
    jobResults: 'kept',
    sinks: outside.sinks,
  })
  return { cluster, job, submit: () => cluster.submit(buildJobGraph(buildSums(job), { client }), jobId) }
}

/** What the operator reads, past all that can happen to calls of the cluster's own. */
function catalogueOf({ stores }: SimCluster): Catalogue {
  const open = async (uri: string) => {
    const [root, store] = [...stores].find(([known]) => uri === known || uri.startsWith(`${known}/`)) ?? []
    if (store === undefined) throw new Error(`nobody has opened ${uri}`)
    return root === uri ? store : folderOf(store, uri)
  }
  return createCatalogue({ checkpoints: CHECKPOINTS, results: RESULTS_URI }, open)
}

const refused = {
  code: 'CONFLICT',
  message: expect.stringMatching(/^Job has already been submitted\. Job a{32} \(.*\) was globally terminated: it has FINISHED at 20/),
}

/** A job to its end, with its JobManager killed around a call of a store, and submitted again to the one behind it until it is refused. */
async function runToTheEnd(
  highAvailability: boolean,
  kill?: { readonly at: number; readonly phase: 'before' | 'after' },
): Promise<readonly StoreCall[]> {
  const { cluster, job, submit } = sumsCluster(highAvailability)
  const calls: StoreCall[] = []
  let what = 'the plan'
  const hasResult = () => cluster.paths(RESULTS_URI).includes(jobId)
  const hasClaims = () => cluster.paths(CHECKPOINTS).some(path => path.startsWith(`${jobId}/epochs/`))
  let hadClaims = false
  let killed = false
  let replaced: Promise<void> | undefined
  cluster.onStoreCall = (call, phase) => {
    if (phase === 'before') calls.push(call)
    hadClaims ||= hasClaims()
    expect(!hadClaims || hasClaims() || hasResult(), `${what}: ${call.text}: what the job could go on from is there, or how it has ended`).toBe(true)
    if (kill === undefined || killed || kill.phase !== phase || kill.at !== call.number || !call.node.startsWith('jobmanager')) return
    killed = true
    what = `killed ${phase} ${call.text}`
    cluster.network.kill(call.node)
    cluster.clock.schedule(50, () => {
      replaced = cluster.replaceJobManager()
    })
  }
  await cluster.start()
  void submit().catch(() => {})
  const isKilled = () => killed && replaced !== undefined
  await cluster.clock.runUntil(() => (kill === undefined ? hasResult() && !hasClaims() : isKilled()), 30_000)
  await cluster.clock.run(5_000)
  if (kill !== undefined) {
    expect(killed, `call ${kill.at} of the plan was met`).toBe(true)
    await replaced
    // Who has heard nothing submits again; who is told that it has ended has heard it.
    const again = await submit().then(
      () => 'accepted',
      (error: unknown) => error,
    )
    if (hasResult())
      expect([again === 'accepted' ? cluster.job(jobId).state : again], what).toEqual([
        again === 'accepted' ? 'FINISHED' : expect.objectContaining(refused),
      ])
    await cluster.clock.runUntil(hasResult, 60_000)
    await cluster.clock.run(2_000)
  }
  const result = await catalogueOf(cluster).resultOf(jobId)
  expect(result, what).toMatchObject({ jobId, name: expect.any(String), state: 'FINISHED', failureCause: null, savepoint: null })
  expect((result?.endTimeMs ?? 0) - (result?.startTimeMs ?? 0), what).toBe(result?.netRuntimeMs)
  expectSums(job)
  // One that remembers nothing itself.
  await cluster.replaceJobManager()
  await expect(submit(), what).rejects.toMatchObject(refused)
  if (highAvailability)
    expect(
      cluster.paths('sim://high-availability').filter(path => path.startsWith('sim/jobs')),
      what,
    ).toEqual([])
  return calls
}

test.each([
  ['with high availability', true],
  ['without', false],
])(
  'killed between any two steps from its last checkpoint on, a job is never run again once it has ended: %s',
  { timeout: 300_000 },
  async (_, highAvailability) => {
    const calls = await runToTheEnd(highAvailability)
    const recorded = calls.findIndex(({ text }) => text === `create ${jobId}`)
    const cleared = calls.findIndex(({ text }, at) => at > recorded && text === `read ${jobId}`)
    const steps = calls.slice(recorded - 12, cleared).filter(({ node }) => node === 'jobmanager-1')
    expect(steps.some(({ text }) => text.startsWith(`remove ${jobId}/epochs/`))).toBe(true)
    expect(steps.some(({ text }) => text === 'remove sim/jobs/'.concat(jobId, '/submission'))).toBe(highAvailability)
    for (const { number } of steps) for (const phase of ['before', 'after'] as const) await runToTheEnd(highAvailability, { at: number, phase })
  },
)

test('a JobManager that slept while another one has taken the job over says nothing of how it has ended', async () => {
  const { cluster, job, submit } = sumsCluster(false, { 'restart-strategy.type': 'none' }, 800)
  await cluster.start()
  await submit()
  await cluster.untilRunning(jobId)
  await cluster.clock.runUntil(() => cluster.paths(CHECKPOINTS).some(path => path.endsWith('_metadata')), 10_000)
  const old = cluster.jobManager
  await cluster.replaceJobManager(3_000)
  await cluster.ready()
  await submit()
  await cluster.clock.runUntil(() => old.jobDetails(jobId)?.state === 'FAILED', 60_000)
  await cluster.clock.run(1_000)
  expect([old.jobDetails(jobId)?.state, cluster.job(jobId).state]).toEqual(['FAILED', 'RUNNING'])
  expect(await catalogueOf(cluster).resultOf(jobId)).toBeUndefined()
  await cluster.untilState(jobId, 'FINISHED', 60_000)
  await cluster.clock.run(10_000)
  expect(await catalogueOf(cluster).resultOf(jobId)).toMatchObject({ state: 'FINISHED' })
  expectSums(job)
})

test.each([
  ['the next JobManager', true],
  ['the same one', false],
])(
  'a job that was stopped has ended, and its result names the savepoint; forgotten, it goes on from there under its id at %s',
  async (_, isReplaced) => {
    const { cluster, job, submit } = sumsCluster(true)
    await cluster.start()
    await submit()
    await cluster.untilRunning(jobId)
    cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: SAVEPOINTS, behind: 'stop' })
    await cluster.untilState(jobId, 'FINISHED')
    await cluster.clock.run(2_000)
    const catalogue = catalogueOf(cluster)
    const { savepoint = null } = (await catalogue.resultOf(jobId)) ?? {}
    expect(savepoint).toMatch(/^sim:\/\/savepoints\/savepoint-aaaaaa-[0-9a-f]{12}$/)
    if (isReplaced) {
      await cluster.replaceJobManager()
      await cluster.ready()
      await expect(submit()).rejects.toMatchObject(refused)
    } else {
      // It remembers, and takes this for one that was sent twice.
      await submit()
      expect(cluster.job(jobId).state).toBe('FINISHED')
    }
    await catalogue.forgetResult(jobId)
    const client = { ...job.client, 'execution.state-recovery.path': savepoint ?? '' }
    await cluster.submit(buildJobGraph(buildSums({ ...job, client }), { client }), jobId)
    expect(cluster.job(jobId).state).not.toBe('FINISHED')
    await cluster.untilState(jobId, 'FINISHED', 60_000)
    expectSums(job)
  },
)

test.each(['before', 'after'] as const)(
  'a job that rests behind a savepoint keeps it as its newest claim, also when the next JobManager has to clear it: killed %s any step',
  async phase => {
    const client = { 'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION' }
    const rest = async (at?: number) => {
      const { cluster, submit } = sumsCluster(true, client)
      const calls: StoreCall[] = []
      let killed: StoreCall | undefined
      await cluster.start()
      await submit()
      await cluster.untilRunning(jobId)
      cluster.onStoreCall = (call, when) => {
        if (when === 'before') calls.push(call)
        if (when !== phase || call.number !== at || killed !== undefined) return
        killed = call
        cluster.network.kill(call.node)
        cluster.clock.schedule(50, () => void cluster.replaceJobManager())
      }
      cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: SAVEPOINTS, behind: 'stop' })
      await cluster.clock.runUntil(() => (at === undefined ? calls.some(({ text }) => text === `create ${jobId}`) : killed !== undefined), 10_000)
      await cluster.clock.run(10_000)
      if (at !== undefined) expect(killed, `call ${at}`).toBeDefined()
      const what = `killed ${phase} ${killed?.text}`
      const result = await catalogueOf(cluster).resultOf(jobId)
      expect(result?.savepoint, what).toMatch(/^sim:\/\/savepoints\//)
      expect(await catalogueOf(cluster).newest(jobId), what).toMatchObject({ kind: 'savepoint', location: result?.savepoint })
      return calls
    }
    const calls = await rest()
    const recorded = calls.findIndex(({ text }) => text === `create ${jobId}`)
    const steps = calls.slice(recorded).filter(({ node }) => node === 'jobmanager-1')
    expect(steps.length).toBeGreaterThan(3)
    for (const { number } of steps.slice(phase === 'before' ? 1 : 0)) await rest(number)
  },
)

test('where checkpoints are retained, a job that was stopped rests: it has no result, and goes on from its savepoint when it is submitted again', async () => {
  const { cluster, job, submit } = sumsCluster(false, { 'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION' })
  await cluster.start()
  await submit()
  await cluster.untilRunning(jobId)
  cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: SAVEPOINTS, behind: 'stop' })
  await cluster.untilState(jobId, 'FINISHED')
  await cluster.clock.run(2_000)
  const catalogue = catalogueOf(cluster)
  expect(await catalogue.resultOf(jobId)).toBeUndefined()
  expect(await catalogue.newest(jobId)).toMatchObject({
    kind: 'savepoint',
    location: expect.stringMatching(/^sim:\/\/savepoints\/savepoint-aaaaaa-/),
  })
  await cluster.replaceJobManager()
  await cluster.ready()
  await submit()
  await cluster.untilState(jobId, 'FINISHED', 60_000)
  await cluster.clock.run(2_000)
  expectSums(job)
  // By its own end this time.
  expect(await catalogue.resultOf(jobId)).toMatchObject({ state: 'FINISHED', savepoint: null })
  await cluster.replaceJobManager()
  await expect(submit()).rejects.toMatchObject(refused)
})

test('the end of a cluster is not the end of its jobs: they are suspended, and the next one goes on with them', async () => {
  const { cluster, job, submit } = sumsCluster(false)
  await cluster.start()
  await submit()
  await cluster.untilRunning(jobId)
  await cluster.clock.runUntil(() => cluster.paths(CHECKPOINTS).some(path => path.endsWith('_metadata')), 10_000)
  const old = cluster.jobManager
  void old.shutDown('SIGTERM')
  await cluster.clock.runUntil(() => old.jobDetails(jobId)?.state === 'SUSPENDED', 10_000)
  await cluster.clock.run(12_000)
  expect([old.jobDetails(jobId)?.state, await catalogueOf(cluster).resultOf(jobId)]).toEqual(['SUSPENDED', undefined])
  await cluster.replaceJobManager()
  cluster.startTaskManager('tm-next')
  await submit()
  await cluster.untilState(jobId, 'FINISHED', 60_000)
  expectSums(job)
})

test('a job that has failed or was cancelled is not run again either: its result has the cause, in words', async () => {
  const cluster = new SimCluster({ seed: 3, taskManagers: 1, slots: 2, jobResults: 'kept', jobManager: quick })
  await cluster.start()
  const [failing, endless] = ['f'.repeat(32), 'e'.repeat(32)]
  const failed = simJobGraph('failing', [{ name: 'a', parallelism: 1, script: { failSubtask: 0 } }])
  const cancelled = simJobGraph('endless', [{ name: 'a', parallelism: 1, script: { finishAfterMs: null } }])
  await cluster.submit(failed, failing)
  await cluster.submit(cancelled, endless)
  await cluster.untilState(failing, 'FAILED')
  cluster.jobManager.cancelJob(endless)
  await cluster.untilState(endless, 'CANCELED')
  await cluster.clock.run(1_000)
  const cause = cluster.jobManager.jobResult(failing)
  const message = cause?.kind === 'completed' ? cause.failureCause?.message : undefined
  expect(message).toEqual(expect.stringMatching(/./))
  const catalogue = catalogueOf(cluster)
  expect([await catalogue.resultOf(failing), await catalogue.resultOf(endless)]).toMatchObject([
    { name: 'failing', state: 'FAILED', failureCause: message },
    { name: 'endless', state: 'CANCELED', failureCause: null },
  ])
  await cluster.replaceJobManager()
  await expect(cluster.submit(failed, failing)).rejects.toThrow(`was globally terminated: it was FAILED at `)
  await expect(cluster.submit(failed, failing)).rejects.toThrow(`: ${message}`)
  await expect(cluster.submit(cancelled, endless)).rejects.toThrow('was globally terminated: it was CANCELED at ')
})
