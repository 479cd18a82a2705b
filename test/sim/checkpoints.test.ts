import { describe, expect, test } from 'vitest'
import {
  type Collector,
  DataGeneratorSource,
  type KeyedProcessContext,
  type RuntimeContext,
  StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import { decodeBody } from '../../runtime/checkpoint/checkpoint-body.ts'
import { readManifest } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { assert } from '../../runtime/common/assert.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { CommittedRows, CommittingSink } from '../support/committing-sink.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { smallStateLimits } from '../support/increments.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'

/**
 * Exactly once, on simulated time: a sequence, a sum per key in keyed state, and a transactional sink, while TaskManagers are lost. What was committed is
 * compared with a model: each running sum once, whatever happened in between.
 */
const seeds = simSeeds(100)
const chunkSize = 25
const keyCount = 7

describe('checkpoints on a simulated cluster', () => {
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`each result is committed once: seeds ${chunk[0]} to ${chunk.at(-1)}`, { timeout: 300_000 }, async () => {
      let restored = 0
      await forSeeds(chunk, async seed => {
        restored += await runningSums(seed)
      })
      // Or nothing of all this was tried.
      if (chunk.length === chunkSize) expect(restored).toBeGreaterThan(0)
    })
  }
})

test('bases are written while a job runs: chains of segments stay short', async () => {
  for (const rowsPerSecond of [20, 2_000]) {
    const client = {
      'execution.checkpointing.interval': '100 ms',
      'execution.checkpointing.dir': 'sim://checkpoints',
      'execution.checkpointing.data-inline-threshold': '0',
    }
    const build = () => {
      const env = StreamExecutionEnvironment.createForProgram({ client })
      env
        .fromSource(
          new DataGeneratorSource(index => index + 1, { count: 20 * rowsPerSecond, rowsPerSecond, type: Types.INT }),
          WatermarkStrategy.noWatermarks(),
          'numbers',
        )
        .keyBy((value: number) => value % keyCount)
        .process(new RunningSum())
        .sinkTo(new CommittingSink(new CommittedRows()))
      return env.getStreamGraph()
    }
    const cluster = new EngineCluster({
      seed: 1,
      build,
      taskManagers: 1,
      slots: 1,
      faults: { delayMaxMs: 1, dropChance: 0, duplicateChance: 0 },
      suspendEverywhere: false,
      snapshotLimits: smallStateLimits,
    })
    await cluster.start()
    const jobId = await cluster.submit(buildJobGraph(build(), { client }))
    let newest = 0
    let longest = 0
    for (let seconds = 0; seconds < 15; seconds++) {
      await cluster.clock.run(1_000)
      const store = cluster.stores.get('sim://checkpoints')
      assert(store !== undefined, 'the job has a store')
      const ids = (await store.list(jobId)).flatMap(path => /chk-(\d+)\/_metadata$/.exec(path)?.[1] ?? []).map(Number)
      newest = Math.max(newest, ...ids)
      const body = newest === 0 ? undefined : decodeBody((await readManifest(store, jobId, newest)).body)
      for (const { state } of body?.tasks ?? [])
        for (const { snapshot } of state === 'finished' ? [] : state.operators)
          for (const segments of snapshot.keyed?.keyGroups.values() ?? []) longest = Math.max(longest, segments.length)
    }
    expect(newest).toBeGreaterThan(80)
    expect(longest).toBeGreaterThan(1)
    expect(longest).toBeLessThanOrEqual(5 * smallStateLimits.segmentsMax)
  }
})

class RunningSum {
  readonly sum = new ValueStateDescriptor('sum', Types.LONG)

  private state!: ValueState<bigint>

  open(context: RuntimeContext): void {
    this.state = context.getState(this.sum)
  }

  processElement(value: number, _ctx: KeyedProcessContext<number>, out: Collector<[number, number]>): void {
    const next = (this.state.value() ?? 0n) + BigInt(value)
    this.state.update(next)
    out.collect([value % keyCount, Number(next)])
  }
}

/** How often it was restored. */
async function runningSums(seed: number): Promise<number> {
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
  const outside = new CommittedRows()
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    env
      .fromSource(new DataGeneratorSource(index => index + 1, { count, rowsPerSecond, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
      .keyBy((value: number) => value % keyCount)
      .process(new RunningSum())
      .sinkTo(new CommittingSink(outside))
    return env.getStreamGraph()
  }
  const cluster = new EngineCluster({
    seed,
    build,
    taskManagers: 2 + random.nextInt(2),
    slots: 2,
    faults: { delayMaxMs: 1 + random.nextInt(100), dropChance: random.next() * 0.05, duplicateChance: random.next() * 0.1 },
    jobManager: { loadBalanceMode: 'SLOTS', heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 20_000 },
    suspendEverywhere: true,
    snapshotLimits: random.nextInt(3) === 0 ? undefined : smallStateLimits,
  })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  const isDone = () => cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  let next = 0
  const loseOne = () => {
    const alive = cluster.taskManagers.filter(taskManager => taskManager.alive)
    const victim = alive[random.nextInt(alive.length)]
    if (victim === undefined) return
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${next++}`)
  }
  const running = () => cluster.job(jobId).taskCounts.RUNNING > 0
  for (let losses = random.nextInt(4); losses > 0; losses--) {
    await cluster.clock.runUntil(() => running() || isDone(), 600_000)
    await cluster.clock.run(random.next() * (losses === 1 ? 10_000 : 3_000))
    if (!isDone()) loseOne()
  }
  const ended = await cluster.clock.runUntil(isDone, 900_000)
  expect(ended, `the job ends: ${cluster.job(jobId).state} ${JSON.stringify(cluster.job(jobId).taskCounts)}`).toBe(true)
  const result = await cluster.jobManager.awaitJobResult(jobId)
  expect(result?.failureCause?.message).toBeUndefined()
  expect(result?.state).toBe('FINISHED')
  // Of a key the rows come in any order of several subtasks; what a sum is made of depends on it, but not the last one, nor their number.
  const byKey = Map.groupBy(
    outside.rows.map(row => JSON.parse(row) as [number, number]),
    ([key]) => key,
  )
  for (let key = 0; key < keyCount; key++) {
    const values = Array.from({ length: count }, (_, i) => i + 1).filter(value => value % keyCount === key)
    const sums = (byKey.get(key) ?? []).map(([, sum]) => sum)
    expect(sums.length, `results of key ${key}`).toBe(values.length)
    expect(new Set(sums).size, `different results of key ${key}`).toBe(values.length)
    expect(Math.max(...sums), `last sum of key ${key}`).toBe(values.reduce((a, b) => a + b, 0))
  }
  await cluster.clock.run(120_000)
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
  expect(await cluster.stores.get('sim://checkpoints')?.list(jobId), 'nothing is left of the checkpoints').toEqual([])
  return cluster.logs.filter(({ message }) => message.includes('is restored from checkpoint')).length
}
