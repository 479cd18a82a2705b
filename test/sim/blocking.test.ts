import { describe, expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../../runtime/api/index.ts'
import { sleep } from '../../runtime/common/clock.ts'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { slotsRequired } from '../../runtime/graph/slot-assignment.ts'
import { InProcessSlotHosts } from '../../runtime/taskmanager/in-process-slot-hosts.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { MemoryResultFiles } from '../support/memory-result-files.ts'
import { inStages, SimCluster, simJobGraph } from '../support/sim-cluster.ts'
import { calmNetwork } from '../support/sim-network.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'
import { FakeSlotHostFactory } from '../support/sim-slot-host.ts'

/**
 * Batch jobs in stages on simulated time: the whole engine, blocking results in little memory and on a slow disk, just as many slots as one stage needs,
 * and TaskManagers that are lost at any time, also between their stages.
 */
const all = simSeeds(100)
const seeds = all.slice(0, all.length < 2_000 ? 100 : all.length / 4)
const chunkSize = 25
const words = ['hello', 'world', 'flink', 'scala', 'stream', 'job']

describe('batch jobs on a simulated cluster', () => {
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`results are those of the whole input, and nothing of them is left: seeds ${chunk[0]} to ${chunk.at(-1)}`, {
      timeout: 120_000,
    }, async () => {
      const seen = { memory: 0, disk: 0, restarts: 0 }
      await forSeeds(chunk, seed => countOfCounts(seed, seen))
      // Or some of all this was not tried.
      if (chunk.length === chunkSize) for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
    })
  }
})

async function countOfCounts(seed: number, seen: { memory: number; disk: number; restarts: number }): Promise<void> {
  const random = seededRandom(seed * 17 + 3)
  const parallelism = 1 + random.nextInt(3)
  const lines = Array.from({ length: 20 + random.nextInt(200) }, () =>
    Array.from({ length: random.nextInt(6) }, () => `${words[random.nextInt(words.length)]}${random.nextInt(30)}`).join(' '),
  )
  const client = {
    'parallelism.default': String(parallelism),
    'execution.runtime-mode': 'BATCH',
    // Is said to be of no use, and waited for by nobody.
    'execution.checkpointing.interval': '1 s',
    'pipeline.operator-chaining.enabled': String(random.nextInt(2) === 0),
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '100',
    'restart-strategy.fixed-delay.delay': '1 s',
  }
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    const counts = env
      .fromCollection(lines)
      .rebalance()
      .flatMap(splitWords)
      .slotSharingGroup('red')
      .keyBy((pair: [string, number]) => pair[0])
      .reduce(add)
      .slotSharingGroup('blue')
    const ofCounts = counts.map((pair: [string, number]): [string, number] => [`${pair[1]} times`, 1])
    counts
      .union(ofCounts.keyBy((pair: [string, number]) => pair[0]).reduce(add))
      .print()
      .slotSharingGroup('red')
    return env.getStreamGraph()
  }
  const graph = buildJobGraph(build(), { client })
  const slots = slotsRequired(graph)
  expect(slots).toBeLessThan(slotsRequired({ ...graph, scheduling: 'eager' }))
  const memoryLimit = random.nextInt(3) === 0 ? 100_000 : random.nextInt(2_000)
  const cluster = new EngineCluster({
    seed,
    build,
    taskManagers: slots,
    slots: 1,
    faults: { delayMaxMs: 1 + random.nextInt(200), dropChance: random.next() * 0.1, duplicateChance: random.next() * 0.1 },
    jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 20_000 },
    suspendEverywhere: seed % 2 === 0,
    results: (clock, ofDisk) => {
      const files = new MemoryResultFiles()
      files.before = () => sleep(clock, ofDisk.next() * 50)
      return { memoryLimit, files }
    },
  })
  await cluster.start()
  const jobId = await cluster.submit(graph)
  const isDone = () => cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  for (let losses = random.nextInt(3); losses > 0; losses--) await lose(cluster, jobId, random, isDone)
  expect(await cluster.clock.runUntil(isDone, 900_000), `the job ends: ${cluster.job(jobId).state}`).toBe(true)
  expect((await cluster.jobManager.awaitJobResult(jobId))?.state).toBe('FINISHED')

  const printed = cluster.printed.text
    .split('\n')
    .filter(line => line !== '')
    .map(line => line.replace(/^\d+> /, ''))
  const { attempt } = cluster.job(jobId)
  // An attempt that was lost may have printed some of it, and never anything else.
  expect((attempt === 0 ? printed : [...new Set(printed)]).sort()).toEqual(expectedLines(lines, attempt > 0))
  seen.restarts += attempt
  cluster.network.faults = calmNetwork
  await cluster.clock.run(120_000)
  for (const { alive, hosts } of cluster.taskManagers) {
    if (!(hosts instanceof InProcessSlotHosts)) continue
    const { results, memoryUsed, stored } = hosts.resultUsage
    seen.memory += stored.memoryBytes
    seen.disk += stored.diskBytes
    if (alive) expect({ results, memoryUsed }).toEqual({ results: 0, memoryUsed: 0 })
  }
  for (const [i, files] of cluster.resultFiles.entries()) if (cluster.taskManagers[i]?.alive === true) expect([...files.files.keys()]).toEqual([])
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
  expect(cluster.logs.some(({ message }) => message.startsWith('Disabled Checkpointing.'))).toBe(true)
}

async function lose(cluster: EngineCluster, jobId: string, random: Random, isDone: () => boolean): Promise<void> {
  const finished = () => cluster.job(jobId).taskCounts.FINISHED
  const wanted = random.nextInt(cluster.job(jobId).tasksTotal)
  await cluster.clock.runUntil(() => isDone() || finished() >= wanted, 900_000)
  await cluster.clock.run(random.next() * 200)
  const alive = cluster.taskManagers.filter(taskManager => taskManager.alive)
  const victim = alive[random.nextInt(alive.length)]
  if (isDone() || victim === undefined) return
  cluster.kill(victim)
  cluster.startTaskManager(`${victim.id}-again`)
}

/** Two TaskManagers of one slot, and a job that has come to its third stage, which runs in one of them for half a minute. */
async function inThirdStage() {
  const sim = new SimCluster({ seed: 5, taskManagers: 2, slots: 1 })
  await sim.start()
  const graph = simJobGraph('three stages', [
    { name: 'source', parallelism: 2, splits: 4 },
    { name: 'written', parallelism: 2 },
    { name: 'reading', parallelism: 1, script: { finishAfterMs: 30_000 } },
  ])
  const restarting = { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '1' }
  const jobId = await sim.submit({ ...inStages(graph), configuration: restarting })
  const subtasks = (vertex: number) => sim.jobManager.vertexDetails(jobId, graph.vertices[vertex]?.id ?? '')?.subtasks ?? []
  await sim.clock.runUntil(() => subtasks(2)[0]?.status === 'RUNNING', 60_000)
  const results = () =>
    sim.taskManagers.filter(({ alive }) => alive).flatMap(({ hosts }) => (hosts instanceof FakeSlotHostFactory ? [...hosts.results.keys()] : []))
  return { sim, jobId, subtasks, results }
}

test('a result is released when its last reader has finished, the last ones with the job', async () => {
  const { sim, jobId, subtasks, results } = await inThirdStage()
  expect(results().sort()).toEqual(
    subtasks(1)
      .map(({ executionId }) => executionId)
      .sort(),
  )
  await sim.untilState(jobId, 'FINISHED')
  await sim.clock.run(1_000)
  expect(results()).toEqual([])
  expect(sim.ledger.violations).toEqual([])
})

test('of a lost TaskManager only what it held is made again, and what reads it', async () => {
  const sim = new SimCluster({ seed: 7, taskManagers: 2, slots: 1 })
  await sim.start()
  const graph = simJobGraph('two stages', [
    { name: 'written', parallelism: 2, splits: 4 },
    { name: 'reading', parallelism: 1, script: { finishAfterMs: 30_000 } },
  ])
  const restarting = { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '1' }
  const jobId = await sim.submit({ ...inStages(graph), configuration: restarting })
  const subtasks = (vertex: number) => sim.jobManager.vertexDetails(jobId, graph.vertices[vertex]?.id ?? '')?.subtasks ?? []
  await sim.clock.runUntil(() => subtasks(1)[0]?.status === 'RUNNING', 60_000)
  const kept = subtasks(0).find(({ taskManagerId }) => taskManagerId === subtasks(1)[0]?.taskManagerId)
  const idle = sim.taskManagers.find(({ id }) => id !== kept?.taskManagerId)
  if (idle === undefined) throw new Error('one of two TaskManagers runs nothing')
  sim.kill(idle)
  sim.startTaskManager('another')
  await sim.untilState(jobId, 'FINISHED')
  expect(subtasks(0).map(({ executionId, attempt }) => [executionId === kept?.executionId, attempt])).toEqual(
    subtasks(0).map(({ subtaskIndex }) => (subtaskIndex === kept?.subtaskIndex ? [true, 0] : [false, 1])),
  )
  expect(subtasks(1)[0]?.attempt).toBe(1)
  expect(sim.ledger.violations).toEqual([])
})

test('with its JobManager a TaskManager loses all use for the results that it holds', async () => {
  const { sim, results } = await inThirdStage()
  expect(results().length).toBe(2)
  await sim.replaceJobManager()
  await sim.clock.run(1_000)
  expect(results()).toEqual([])
})

test('a TaskManager that holds only results is lost: the job begins anew, and names it', async () => {
  const { sim, jobId, subtasks } = await inThirdStage()
  const reading = () => subtasks(2)[0]
  const idle = sim.taskManagers.find(({ id }) => id !== reading()?.taskManagerId)
  if (idle === undefined) throw new Error('one of two TaskManagers runs nothing')
  sim.kill(idle)
  sim.startTaskManager('another')
  await sim.untilState(jobId, 'FINISHED')
  expect(sim.job(jobId).attempt).toBe(1)
  const [entry] = sim.jobManager.exceptions(jobId) ?? []
  expect(entry).toMatchObject({ error: { code: 'TASKMANAGER_LOST' }, taskManagerId: idle.id })
  expect(entry?.error.message).toContain(idle.id)
  expect(sim.ledger.violations).toEqual([])
})

function expectedLines(lines: readonly string[], distinct: boolean): string[] {
  const counts = countsOf(lines.flatMap(line => line.split(/\s+/)).filter(word => word !== ''))
  const ofCounts = countsOf([...counts.values()].map(count => `${count} times`))
  const expected = [...counts, ...ofCounts].map(([word, count]) => `(${word},${count})`)
  return (distinct ? [...new Set(expected)] : expected).sort()
}

function countsOf(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

function add(a: [string, number], b: [string, number]): [string, number] {
  return [a[0], a[1] + b[1]]
}

function splitWords(line: string, out: { collect(value: [string, number]): void }): void {
  for (const word of line.split(/\s+/)) if (word !== '') out.collect([word, 1])
}
