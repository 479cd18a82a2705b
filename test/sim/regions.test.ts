import { describe, expect, test } from 'vitest'
import { DataGeneratorSource, StreamExecutionEnvironment, Types, WatermarkStrategy } from '../../runtime/api/index.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import type { StreamGraph } from '../../runtime/graph/stream-graph.ts'
import { CommittedRows, CommittingSink } from '../support/committing-sink.ts'
import { EngineCluster, type EngineClusterOptions } from '../support/engine-cluster.ts'
import { smallStateLimits } from '../support/increments.ts'
import { rescaleAtRandom } from '../support/random-rescale.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'

/** Region fail-over with the whole engine on simulated time: what fails comes back alone, what has nothing to do with it never notices. */
const client = {
  'parallelism.default': '2',
  'execution.checkpointing.interval': '300 ms',
  'execution.checkpointing.dir': 'sim://checkpoints',
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': '100',
  'restart-strategy.fixed-delay.delay': '100 ms',
}

/** Throws once at each of these values. */
class Trap {
  private readonly at: Set<number>

  constructor(at: readonly number[]) {
    this.at = new Set(at)
  }

  pass(value: number): number {
    if (this.at.delete(value)) throw new Error(`trapped at ${value}`)
    return value
  }
}

interface Pipeline {
  readonly name: string
  readonly count: number
  readonly trap: Trap
  readonly committed: CommittedRows
  readonly keyed: boolean
}

const pipeline = (name: string, count: number, trapped: readonly number[], keyed = true): Pipeline => ({
  name,
  count,
  trap: new Trap(trapped),
  committed: new CommittedRows(),
  keyed,
})

/** Numbers through a trap into a transactional sink, with a count per key on the way where it is `keyed`: pipelines of one job that share nothing. */
function program(pipelines: readonly Pipeline[], configuration: Readonly<Record<string, string>>): StreamGraph {
  const env = StreamExecutionEnvironment.createForProgram({ client: configuration })
  for (const { name, count, trap, committed, keyed } of pipelines) {
    const numbers = env
      .fromSource(new DataGeneratorSource(index => index + 1, { count, rowsPerSecond: 100, type: Types.INT }), WatermarkStrategy.noWatermarks(), name)
      .map((value: number) => trap.pass(value))
      .returns(Types.INT)
    const rows = keyed ? numbers.keyBy((value: number) => value % 7).reduce((a: number, b: number) => a + b) : numbers
    rows.sinkTo(new CommittingSink(committed)).name(`${name} sink`)
  }
  return env.getStreamGraph()
}

function clusterFor(
  pipelines: readonly Pipeline[],
  options: Partial<EngineClusterOptions> = {},
  configuration: Readonly<Record<string, string>> = client,
) {
  const build = () => program(pipelines, configuration)
  const cluster = new EngineCluster({ seed: 1, build, taskManagers: 1, slots: 2, suspendEverywhere: false, ...options })
  return { cluster, submit: () => cluster.submit(buildJobGraph(build(), { client: configuration })) }
}

/** Each row once: numbers, or all sums on the way to the last one of each key. */
function expectAll({ count, committed, keyed }: Pipeline): void {
  const rows = committed.rows.map(Number)
  expect(rows.length, 'as many rows as were read').toBe(count)
  if (!keyed) expect([...rows].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  for (let key = 0; keyed && key < 7; key++) {
    let sum = 0
    for (let value = key === 0 ? 7 : key; value <= count; value += 7) sum += value
    if (sum > 0) expect(rows, `the last sum of key ${key}`).toContain(sum)
  }
}

/** Attempt numbers of the subtasks of each vertex, by its name up to the first arrow. */
function attempts(cluster: EngineCluster, jobId: string): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(
    cluster
      .job(jobId)
      .vertices.map(({ id, name }) => [
        name.replace(/^Source: /, '').split(' -> ')[0] ?? '',
        (cluster.jobManager.vertexDetails(jobId, id)?.subtasks ?? []).map(({ attempt }) => attempt),
      ]),
  )
}

async function finish(cluster: EngineCluster, jobId: string): Promise<void> {
  const isDone = () => cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  expect(await cluster.clock.runUntil(isDone, 900_000), `the job ends: ${cluster.job(jobId).state}`).toBe(true)
  expect((await cluster.jobManager.awaitJobResult(jobId))?.failureCause?.message).toBeUndefined()
}

describe('a pipeline that fails', () => {
  test('is restarted alone: the other one in the same slots keeps its attempt, and nothing of either is lost or doubled', async () => {
    const bad = pipeline('bad', 400, [150])
    const good = pipeline('good', 400, [])
    const { cluster, submit } = clusterFor([bad, good])
    await cluster.start()
    const jobId = await submit()
    await cluster.untilState(jobId, 'RESTARTING')
    const goodTasks = () => cluster.job(jobId).vertices.filter(({ name }) => /^(Source: good|Reduce)/.test(name))
    // While the tasks of the other one end, wait for their delay and begin anew.
    const before = goodTasks().at(0)?.taskCounts.RUNNING
    await cluster.untilState(jobId, 'RUNNING')
    expect([before, goodTasks().at(0)?.taskCounts.RUNNING]).toEqual([2, 2])
    await finish(cluster, jobId)
    const byVertex = cluster.job(jobId).vertices.map(({ id }) => cluster.jobManager.vertexDetails(jobId, id)?.subtasks.map(({ attempt }) => attempt))
    expect(byVertex).toEqual([[1, 1], [0, 0], [1, 1], [0, 0]]) // biome-ignore format: two pipelines of two vertices
    expect(cluster.job(jobId).attempt).toBe(1)
    expect(cluster.logs.filter(({ message }) => message.includes('is restored from checkpoint'))).toHaveLength(1)
    expectAll(bad)
    expectAll(good)
  })

  test('takes the other one with it where jobmanager.execution.failover-strategy is full', async () => {
    const bad = pipeline('bad', 300, [150])
    const good = pipeline('good', 300, [])
    const { cluster, submit } = clusterFor([bad, good], {}, { ...client, 'jobmanager.execution.failover-strategy': 'full' })
    await cluster.start()
    const jobId = await submit()
    await finish(cluster, jobId)
    expect(Object.values(attempts(cluster, jobId)).flat()).toEqual([1, 1, 1, 1, 1, 1])
    expectAll(bad)
    expectAll(good)
  })

  test('gets what it had been handed back before any checkpoint: its enumerator goes on for the readers that run', async () => {
    // Without a shuffle each subtask is a region; the generator deals its numbers to both readers.
    const numbers = pipeline('numbers', 200, [2], false)
    const { cluster, submit } = clusterFor([numbers])
    await cluster.start()
    const jobId = await submit()
    await finish(cluster, jobId)
    expect(attempts(cluster, jobId)).toEqual({ numbers: [0, 1] })
    expectAll(numbers)
  })
})

test('tasks whose TaskManager is lost are restarted where they have nothing to do with the others; the others stay where they are', async () => {
  const numbers = pipeline('numbers', 1_000, [], false)
  const { cluster, submit } = clusterFor([numbers], { taskManagers: 3, slots: 1 })
  await cluster.start()
  const jobId = await submit()
  await cluster.untilRunning(jobId)
  await cluster.clock.run(2_000)
  const places = () => {
    const id = cluster.job(jobId).vertices[0]?.id ?? ''
    return (cluster.jobManager.vertexDetails(jobId, id)?.subtasks ?? []).map(({ taskManagerId }) => taskManagerId)
  }
  const before = places()
  const victim = cluster.taskManagers.find(({ id }) => id === before[0])
  if (victim === undefined) throw new Error('tasks run in TaskManagers')
  cluster.kill(victim)
  await cluster.untilState(jobId, 'RESTARTING')
  await cluster.untilRunning(jobId)
  expect(attempts(cluster, jobId)).toEqual({ numbers: [1, 0] })
  expect(places()[1]).toBe(before[1])
  expect(before).not.toContain(places()[0])
  await finish(cluster, jobId)
  expectAll(numbers)
})

test('one that fails while another one waits for its delay begins a restart of its own, and the job runs when both are over', async () => {
  const first = pipeline('first', 300, [100])
  const second = pipeline('second', 300, [120])
  const third = pipeline('third', 300, [])
  const { cluster, submit } = clusterFor([first, second, third], {}, { ...client, 'restart-strategy.fixed-delay.delay': '5 s' })
  await cluster.start()
  const jobId = await submit()
  await finish(cluster, jobId)
  expect(cluster.job(jobId).attempt).toBe(2)
  const states = cluster.logs.flatMap(({ message }) => /^Job .* switched from state \w+ to (\w+)\.$/.exec(message)?.[1] ?? [])
  expect(states).toEqual(['CREATED', 'RUNNING', 'RESTARTING', 'RUNNING', 'FINISHED'])
  for (const each of [first, second, third]) expectAll(each)
})

const all = simSeeds(15)
// Half a second each.
const seeds = all.slice(0, Math.max(15, all.length / 20))
const chunkSize = 100
for (let from = 0; from < seeds.length; from += chunkSize) {
  const chunk = seeds.slice(from, from + chunkSize)
  const title = `whatever fails of a job of several regions, each result is committed once: seeds ${chunk[0]} to ${chunk.at(-1)}`
  test(title, { timeout: 300_000 }, async () => {
    let partial = 0
    await forSeeds(chunk, async seed => {
      partial += await randomFailures(seed)
    })
    // Or nothing of all this was tried.
    if (chunk.length >= 15) expect(partial).toBeGreaterThan(3)
  })
}

/** How often a part of the job was restarted. */
async function randomFailures(seed: number): Promise<number> {
  const random = seededRandom(seed * 37 + 11)
  const pipelines = Array.from({ length: 1 + random.nextInt(3) }, (_, i) => {
    const count = 50 + random.nextInt(300)
    const trapped = Array.from({ length: random.nextInt(3) }, () => 1 + random.nextInt(count))
    return pipeline(`p${i}`, count, trapped, random.nextInt(3) > 0)
  })
  const configuration = {
    ...client,
    'parallelism.default': String(1 + random.nextInt(3)),
    'pipeline.operator-chaining.enabled': String(random.nextInt(2) === 0),
    'execution.checkpointing.interval': `${50 + random.nextInt(500)} ms`,
    'execution.checkpointing.data-inline-threshold': random.nextInt(2) === 0 ? '0' : '20kb',
    'execution.checkpointing.local-backup.enabled': String(random.nextInt(3) > 0),
    'execution.state-recovery.from-local': 'true',
  }
  const { cluster, submit } = clusterFor(
    pipelines,
    {
      localCopies: true,
      seed,
      taskManagers: 2,
      slots: 2,
      faults: { delayMaxMs: 1 + random.nextInt(100), dropChance: random.next() * 0.05, duplicateChance: random.next() * 0.1 },
      jobManager: { loadBalanceMode: 'SLOTS', heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 20_000 },
      suspendEverywhere: random.nextInt(2) === 0,
      highAvailability: true,
      snapshotLimits: random.nextInt(2) === 0 ? undefined : smallStateLimits,
    },
    configuration,
  )
  await cluster.start()
  const jobId = await submit()
  const isDone = () => cluster.jobManager.jobDetails(jobId) === undefined || cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  for (let losses = random.nextInt(3); losses > 0; losses--) {
    await cluster.clock.run(random.next() * 4_000)
    if (isDone()) break
    const alive = cluster.taskManagers.filter(taskManager => taskManager.alive)
    const victim = alive[random.nextInt(alive.length)]
    const kind = random.nextInt(6)
    if (kind > 3) await rescaleAtRandom(cluster, jobId, random)
    else if (kind === 0) await cluster.replaceJobManager(undefined)
    else if (kind === 1) cluster.jobManager.triggerCheckpoint(jobId, `trigger-${losses}`, false)
    else if (victim !== undefined) {
      cluster.kill(victim)
      cluster.startTaskManager(`replacement-${losses}`)
    }
  }
  expect(await cluster.clock.runUntil(isDone, 900_000), `the job ends: ${cluster.jobManager.jobDetails(jobId)?.state}`).toBe(true)
  for (const each of pipelines) expectAll(each)
  await cluster.clock.run(120_000)
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
  for (const { alive, copies } of cluster.taskManagers) if (alive) expect(copies.size, 'no local copy is left').toBe(0)
  return cluster.logs.filter(({ message }) => /^\d+ tasks of job .* are restarted$/.test(message)).length
}

test('what fails while the job is to stop with a savepoint restarts all of it: others may have seen their end', async () => {
  const numbers = pipeline('numbers', 1_000, [], false)
  const { cluster, submit } = clusterFor([numbers], { taskManagers: 3, slots: 1 })
  await cluster.start()
  const jobId = await submit()
  await cluster.untilRunning(jobId)
  await cluster.clock.run(2_000)
  cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'stop', targetDirectory: 'sim://savepoints', behind: 'stop' })
  expect(await cluster.clock.runUntil(() => cluster.logs.some(({ message }) => message.startsWith('triggering savepoint-terminate')), 10_000)).toBe(
    true,
  )
  const [first] = cluster.taskManagers
  if (first === undefined) throw new Error('a cluster has TaskManagers')
  cluster.kill(first)
  await cluster.untilState(jobId, 'RESTARTING')
  await cluster.untilRunning(jobId)
  expect(attempts(cluster, jobId)).toEqual({ numbers: [1, 1] })
  await finish(cluster, jobId)
  expectAll(numbers)
})
