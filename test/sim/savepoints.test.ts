import { expect, test } from 'vitest'
import { decodeManifest, type ManifestHead } from '../../runtime/checkpoint/storage/manifest.ts'
import { newId } from '../../runtime/common/ids.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import type { SavepointRequest } from '../../runtime/rpc/job-manager-gateway.ts'
import { CommittedRows } from '../support/committing-sink.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import type { SimTaskManager } from '../support/sim-cluster.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'
import { buildSums, expectSums, outsides, type SumsJob } from '../support/sums-job.ts'

/**
 * Savepoints on simulated time: a job of running sums is stopped at random times and goes on from its savepoint, at another parallelism and often from another
 * place, while TaskManagers and JobManagers are lost. Whatever way it takes, each result is committed once. So it is for a second job that begins with a
 * savepoint behind which the first one has gone on.
 */
const all = simSeeds(100)
// One costs as much as seven of checkpoints.test.ts.
const seeds = all.slice(0, all.length < 2_000 ? 60 : all.length / 4)
const chunkSize = 30
const TARGET = 'sim://savepoints'

for (let from = 0; from < seeds.length; from += chunkSize) {
  const chunk = seeds.slice(from, from + chunkSize)
  test(`each result is committed once, whatever was stopped and started: seeds ${chunk[0]} to ${chunk.at(-1)}`, { timeout: 300_000 }, async () => {
    const seen = { stopped: 0, copied: 0, moved: 0 }
    await forSeeds(chunk, async seed => {
      const run = await sums(seed)
      for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += run[key]
    })
    // Or nothing of all this was tried.
    if (chunk.length === chunkSize) for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
  })
}

test("a savepoint is the user's: the job restarts from its own checkpoint, whatever has become of the savepoint", async () => {
  const client = { 'execution.checkpointing.interval': '100 ms', 'execution.checkpointing.dir': 'sim://checkpoints', 'parallelism.default': '2' }
  const job: SumsJob = { client, count: 200, rowsPerSecond: 20, outside: outsides['a sink in memory']() }
  const cluster = new EngineCluster({ seed: 1, build: () => buildSums(job), taskManagers: 2, slots: 2, suspendEverywhere: false })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(buildSums(job), { client }))
  await cluster.untilRunning(jobId)
  await cluster.clock.run(1_000)
  cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: TARGET, behind: 'go-on' })
  await cluster.clock.runUntil(() => cluster.jobManager.savepointOperation(jobId, 'a')?.kind === 'completed', 10_000)
  const store = cluster.stores.get(TARGET)
  for (const path of cluster.paths(TARGET)) await store?.remove(path)
  cluster.kill(cluster.taskManagers[0] as SimTaskManager)
  await cluster.untilState(jobId, 'FINISHED')
  expect(cluster.logs.filter(({ message }) => message.includes('is restored from checkpoint'))).toHaveLength(1)
  expectSums(job)
})

test('a trigger that is sent again under its id is the same one, also when it has been carried out and the job has ended behind it', async () => {
  const client = { 'execution.checkpointing.dir': 'sim://checkpoints', 'parallelism.default': '2' }
  const job: SumsJob = { client, count: 200, rowsPerSecond: 20, outside: outsides['a sink in memory']() }
  const cluster = new EngineCluster({ seed: 1, build: () => buildSums(job), taskManagers: 2, slots: 2, suspendEverywhere: false })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(buildSums(job), { client }))
  await cluster.untilRunning(jobId)
  const { jobManager, clock } = cluster
  const savepoints = () => cluster.paths(TARGET).filter(path => path.endsWith('/_metadata'))
  const taken = async (triggerId: string, behind: 'go-on' | 'stop') => {
    // The client has heard nothing while it was being taken, and nothing of its result.
    for (const _ of ['sent', 'again']) expect(jobManager.triggerSavepoint(jobId, { triggerId, targetDirectory: TARGET, behind })).toBe('accepted')
    await clock.runUntil(() => jobManager.savepointOperation(jobId, triggerId)?.kind === 'completed', 30_000)
    const first = jobManager.savepointOperation(jobId, triggerId)
    expect(jobManager.triggerSavepoint(jobId, { triggerId, targetDirectory: TARGET, behind })).toBe('accepted')
    await clock.run(2_000)
    expect([first?.kind, jobManager.savepointOperation(jobId, triggerId)]).toEqual(['completed', first])
  }
  await taken('a', 'go-on')
  expect(savepoints()).toHaveLength(1)
  for (const _ of ['sent', 'again']) jobManager.triggerCheckpoint(jobId, 'a', true)
  await clock.run(2_000)
  expect(jobManager.checkpointStatistics(jobId)?.counts.completed).toBe(2)
  await taken('b', 'stop')
  expect([jobManager.jobDetails(jobId)?.state, savepoints().length]).toEqual(['FINISHED', 2])
})

test.each(['NO_CLAIM', 'CLAIM'] as const)('%s: what a job was started with', async claimMode => {
  const committed = new CommittedRows()
  const client = { 'execution.checkpointing.interval': '100 ms', 'execution.checkpointing.dir': 'sim://checkpoints', 'parallelism.default': '2' }
  const jobOf = (entries: Readonly<Record<string, string>>): SumsJob => ({
    client: { ...client, ...entries },
    count: 100,
    rowsPerSecond: 20,
    outside: outsides['a sink in memory'](undefined, committed),
  })
  let job = jobOf({ 'execution.checkpointing.data-inline-threshold': '0' })
  const cluster = new EngineCluster({ seed: 1, build: () => buildSums(job), taskManagers: 2, slots: 2, suspendEverywhere: false })
  await cluster.start()
  const first = await cluster.submit(buildJobGraph(buildSums(job), { client: job.client }))
  await cluster.untilRunning(first)
  await cluster.clock.run(1_000)
  cluster.jobManager.triggerSavepoint(first, { triggerId: 'a', targetDirectory: TARGET, behind: 'stop' })
  await cluster.untilState(first, 'FINISHED')
  const taken = cluster.paths(TARGET)
  expect(taken.length).toBeGreaterThan(1)
  job = jobOf({
    'execution.state-recovery.path': `${TARGET}/${taken[0]?.slice(0, taken[0].indexOf('/'))}`,
    'execution.state-recovery.claim-mode': claimMode,
  })
  const second = await cluster.submit(buildJobGraph(buildSums(job), { client: job.client }))
  await cluster.untilRunning(second)
  // It restarts from it as long as it has no checkpoint of its own.
  expect(cluster.paths(TARGET)).toEqual(taken)
  await cluster.clock.run(1_000)
  expect(cluster.paths(TARGET), 'behind a checkpoint of its own').toEqual(claimMode === 'CLAIM' ? [] : taken)
  await cluster.untilState(second, 'FINISHED')
  expect(cluster.paths(TARGET), 'at its end').toEqual(claimMode === 'CLAIM' ? [] : taken)
  expectSums(job)
})

async function sums(seed: number) {
  const random = seededRandom(seed * 131 + 17)
  const pick = <T>(of: readonly T[]): T => of[random.nextInt(of.length)] as T
  const count = 50 + random.nextInt(400)
  const committed = new CommittedRows()
  const kind = seed % 3 === 0 ? "a user's own functions, from end to end" : 'a sink in memory'
  const clientOf = (path: string | undefined): Record<string, string> => ({
    'parallelism.default': String(pick([1, 2, 3, 5])),
    'pipeline.operator-chaining.enabled': String(random.nextInt(2) === 0),
    // Or only at the end.
    'execution.checkpointing.interval': random.nextInt(4) === 0 ? '1 h' : `${100 + random.nextInt(1_000)} ms`,
    'execution.checkpointing.dir': 'sim://checkpoints',
    'execution.checkpointing.mode': pick(['EXACTLY_ONCE', 'EXACTLY_ONCE', 'AT_LEAST_ONCE']),
    'execution.checkpointing.data-inline-threshold': random.nextInt(2) === 0 ? '0' : '20kb',
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '100',
    'restart-strategy.fixed-delay.delay': '100 ms',
    ...(path === undefined ? {} : { 'execution.state-recovery.path': path, 'execution.state-recovery.claim-mode': pick(['NO_CLAIM', 'CLAIM']) }),
  })
  // A row counts twice after a loss where barriers are not aligned; but a savepoint is.
  const noLosses = (client: Readonly<Record<string, string>>) => client['execution.checkpointing.mode'] === 'AT_LEAST_ONCE'
  const jobOf = (path: string | undefined, rows: CommittedRows): SumsJob => ({
    client: clientOf(path),
    count,
    rowsPerSecond: count / (4 + random.next() * 12),
    outside: outsides[kind](undefined, rows),
  })
  let job = jobOf(undefined, committed)
  const cluster = new EngineCluster({
    seed,
    build: () => buildSums(job, cluster.clock),
    taskManagers: 3,
    slots: 2,
    faults: { delayMaxMs: 1 + random.nextInt(100), dropChance: random.next() * 0.05, duplicateChance: random.next() * 0.1 },
    jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 20_000 },
    suspendEverywhere: true,
    highAvailability: true,
  })
  await cluster.start()
  const submit = () => cluster.submit(buildJobGraph(buildSums(job, cluster.clock), { client: job.client }))
  let jobId = await submit()
  const stateOf = () => cluster.jobManager.jobDetails(jobId)?.state
  // Forgotten: it has ended, and the JobManager that knew it is gone.
  const isDone = () => stateOf() === undefined || stateOf() === 'FINISHED'
  const running = () => isDone() || cluster.job(jobId).taskCounts.RUNNING === cluster.job(jobId).tasksTotal
  let replacements = 0
  const lose = async () => {
    if (random.nextInt(2) === 0) return cluster.replaceJobManager()
    const victim = pick(cluster.taskManagers.filter(taskManager => taskManager.alive))
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${replacements++}`)
  }
  const operate = async (behind: SavepointRequest['behind']): Promise<string | undefined> => {
    const triggerId = newId(random)
    cluster.jobManager.triggerSavepoint(jobId, { triggerId, targetDirectory: TARGET, behind })
    const operation = () => cluster.jobManager.savepointOperation(jobId, triggerId)
    if (random.nextInt(3) === 0 && !noLosses(job.client)) {
      await cluster.clock.run(random.next() * 1_000)
      await lose()
    }
    // Another JobManager does not know of it.
    expect(await cluster.clock.runUntil(() => operation()?.kind !== 'in-progress', 900_000), 'the savepoint ends').toBe(true)
    const result = operation()
    return result?.kind === 'completed' ? result.value.location : undefined
  }
  /** Somewhere in the middle, so that the job goes on from its newest checkpoint. */
  const loseSometimes = async () => {
    if (random.nextInt(2) === 0 || noLosses(job.client)) return
    expect(await cluster.clock.runUntil(running, 600_000), 'the job runs').toBe(true)
    await cluster.clock.run(random.next() * 5_000)
    if (stateOf() === 'RUNNING') await lose()
  }
  const result = { stopped: 0, copied: 0, moved: 0 }
  const copies: { readonly location: string; readonly rows: CommittedRows }[] = []
  for (let stops = 1 + random.nextInt(3); stops > 0; ) {
    await loseSometimes()
    expect(await cluster.clock.runUntil(running, 600_000), 'the job runs').toBe(true)
    await cluster.clock.run(random.next() * 3_000)
    if (stateOf() !== 'RUNNING') {
      if (isDone()) break
      continue
    }
    const stop = random.nextInt(3) > 0
    let location = await operate(stop ? pick(['stop', 'stop', 'drain']) : 'go-on')
    // Stopped, but nobody has heard of it.
    if (stop && location === undefined && isDone() && committed.rows.length < count) location = await savepointOf(cluster, jobId)
    if (location === undefined) {
      stops--
      continue
    }
    if (!stop) {
      result.copied++
      const rows = committed.upTo((await headOf(cluster, location)).checkpointId)
      copies.push({ location: await moved(cluster, location, `copy-${result.copied}`), rows })
      stops--
      continue
    }
    expect(await cluster.clock.runUntil(isDone, 60_000), 'the job has ended').toBe(true)
    result.stopped++
    stops--
    if (random.nextInt(2) === 0) {
      location = await moved(cluster, location, `moved-${result.stopped}`)
      result.moved++
    }
    job = jobOf(location, committed)
    jobId = await submit()
  }
  await loseSometimes()
  expect(await cluster.clock.runUntil(isDone, 900_000), `the job ends: ${stateOf()}`).toBe(true)
  expectSums(job)
  for (const { location, rows } of copies.slice(0, 1)) {
    job = jobOf(location, rows)
    jobId = await submit()
    expect(await cluster.clock.runUntil(isDone, 900_000), `the copy ends: ${stateOf()}`).toBe(true)
    expectSums(job)
  }
  await cluster.clock.run(120_000)
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
  return result
}

async function headOf(cluster: EngineCluster, location: string): Promise<ManifestHead> {
  const bytes = await cluster.stores.get(TARGET)?.read(`${location.slice(TARGET.length + 1)}/_metadata`)
  return decodeManifest(bytes ?? new Uint8Array(), location).head
}

async function savepointOf(cluster: EngineCluster, jobId: string): Promise<string | undefined> {
  const locations = cluster.paths(TARGET).filter(path => path.endsWith('/_metadata') && path.startsWith('savepoint-'))
  const heads = await Promise.all(
    locations.map(async path => {
      const location = `${TARGET}/${path.slice(0, path.indexOf('/'))}`
      return { location, head: await headOf(cluster, location) }
    }),
  )
  const own = heads.filter(({ head }) => head.jobId === jobId).toSorted((a, b) => b.head.checkpointId - a.head.checkpointId)
  return own[0]?.location
}

/** As with `mv`: what is there stands under another name. */
async function moved(cluster: EngineCluster, location: string, name: string): Promise<string> {
  const store = cluster.stores.get(TARGET)
  const folder = location.slice(TARGET.length + 1)
  for (const path of (await store?.list(folder)) ?? []) {
    await store?.create(`${name}/${path.slice(folder.length + 1)}`, (await store.read(path)) ?? new Uint8Array())
    await store?.remove(path)
  }
  return `${TARGET}/${name}`
}
