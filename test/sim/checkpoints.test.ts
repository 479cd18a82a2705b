import { describe, expect, test } from 'vitest'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { smallStateLimits } from '../support/increments.ts'
import { rescaleAtRandom } from '../support/random-rescale.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'
import { buildSums, expectSums, type Outside, outsides } from '../support/sums-job.ts'

/**
 * Exactly once, on simulated time: a sequence, a sum per key in keyed state, and a transactional sink, while TaskManagers are lost. What was committed is
 * compared with a model: each running sum once, whatever happened in between.
 */
const all = simSeeds(100)
// They are long for `make check`.
const seeds = all.length < 2_000 ? all.slice(0, 50) : all
const chunkSize = 25

describe.each(Object.keys(outsides) as (keyof typeof outsides)[])('checkpoints on a simulated cluster, into %s', name => {
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`each result is committed once: seeds ${chunk[0]} to ${chunk.at(-1)}`, { timeout: 300_000 }, async () => {
      let restored = 0
      await forSeeds(chunk, async seed => {
        restored += await runningSums(seed, outsides[name])
      })
      // Or nothing of all this was tried.
      if (chunk.length === chunkSize) expect(restored).toBeGreaterThan(0)
    })
  }
})

/** How often it was restored. */
async function runningSums(seed: number, createOutside: (random: Random) => Outside): Promise<number> {
  const random = seededRandom(seed * 31 + 7)
  const parallelism = 1 + random.nextInt(3)
  const count = 50 + random.nextInt(400)
  const client = {
    'parallelism.default': String(parallelism),
    'pipeline.operator-chaining.enabled': String(random.nextInt(2) === 0),
    'execution.checkpointing.interval': `${100 + random.nextInt(1_000)} ms`,
    'execution.checkpointing.dir': 'sim://checkpoints',
    'execution.checkpointing.data-inline-threshold': random.nextInt(2) === 0 ? '0' : '20kb',
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '100',
    'restart-strategy.fixed-delay.delay': '100 ms',
  }
  // Some seconds of work: checkpoints come in between, and losses hit at any time.
  const rowsPerSecond = count / (2 + random.next() * 8)
  const highAvailability = random.nextInt(2) === 0
  const outside = createOutside(random)
  const job = { client, count, rowsPerSecond, outside }
  const build = () => buildSums(job, cluster.clock)
  const cluster = new EngineCluster({
    seed,
    build,
    taskManagers: 2 + random.nextInt(2),
    slots: 2,
    faults: { delayMaxMs: 1 + random.nextInt(100), dropChance: random.next() * 0.05, duplicateChance: random.next() * 0.1 },
    jobManager: { loadBalanceMode: 'SLOTS', heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 20_000 },
    suspendEverywhere: true,
    highAvailability,
    sinks: outside.sinks,
    snapshotLimits: random.nextInt(3) === 0 ? undefined : smallStateLimits,
    hotKeysMax: random.nextInt(3) === 0 ? undefined : 2,
  })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  const store = () => cluster.stores.get('sim://high-availability')
  let cleared = false
  let paused = false
  const isDone = () => cleared || cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  let next = 0
  const lose = async () => {
    if (random.nextInt(3) === 0) {
      await rescaleAtRandom(cluster, jobId, random)
      return
    }
    const kind = highAvailability ? random.nextInt(3) : 0
    if (kind > 0) {
      paused ||= kind === 2
      await cluster.replaceJobManager(kind === 2 ? random.next() * 30_000 : undefined)
      // It may have ended, and nobody knows it any more.
      cleared = cluster.jobManager.jobDetails(jobId) === undefined
      if (cleared) expect(await store()?.list(`sim/jobs/${jobId}`)).toEqual([])
      return
    }
    const alive = cluster.taskManagers.filter(taskManager => taskManager.alive)
    const victim = alive[random.nextInt(alive.length)]
    if (victim === undefined) return
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${next++}`)
  }
  const running = () => cluster.job(jobId).taskCounts.RUNNING > 0
  for (let losses = random.nextInt(4); losses > 0; losses--) {
    await cluster.clock.runUntil(() => isDone() || running(), 600_000)
    await cluster.clock.run(random.next() * (losses === 1 ? 10_000 : 3_000))
    if (!isDone()) await lose()
  }
  const ended = await cluster.clock.runUntil(isDone, 900_000)
  expect(ended, `the job ends: ${cluster.jobManager.jobDetails(jobId)?.state}`).toBe(true)
  if (!cleared) {
    const result = await cluster.jobManager.awaitJobResult(jobId)
    expect(result?.failureCause?.message).toBeUndefined()
    expect(result?.state).toBe('FINISHED')
  }
  expectSums(job)
  await cluster.clock.run(120_000)
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
  // The newest head stays for old JobManagers that may still sleep; what such a one was writing when it fell asleep stays too.
  const left = (await cluster.stores.get('sim://checkpoints')?.list(jobId)) ?? []
  if (cluster.generation === 1) expect(left, 'nothing is left of the checkpoints').toEqual([])
  else if (!paused)
    expect(
      left.filter(path => !path.startsWith(`${jobId}/head/`)),
      'nothing is left of the checkpoints',
    ).toEqual([])
  return cluster.logs.filter(({ message }) => message.includes('is restored from checkpoint')).length
}
