import { expect, test } from 'vitest'
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
import { newestRecordOf } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import type { StreamGraph } from '../../runtime/graph/stream-graph.ts'
import { CommittedRows, CommittingSink } from '../support/committing-sink.ts'
import { EngineCluster, type EngineClusterOptions } from '../support/engine-cluster.ts'

/**
 * A program that is started under the id of a job that has checkpoints, by a JobManager that knows nothing of it: it goes on from the newest one, and is held
 * to the same rules as one that is started from a savepoint (decision 0025).
 */
const CHECKPOINTS = 'sim://checkpoints'
const jobId = 'a'.repeat(32)
const keyCount = 5
const count = 400

interface Variant {
  readonly name?: string
  readonly type?: typeof Types.LONG | typeof Types.STRING
  readonly uid?: string
  /** A second operator with state. */
  readonly seen?: boolean
  readonly client?: Readonly<Record<string, string>>
}

class RunningSum {
  readonly sum: ValueStateDescriptor<unknown>
  private state!: ValueState<unknown>

  constructor({ name = 'sum', type = Types.LONG }: Variant) {
    this.sum = new ValueStateDescriptor<unknown>(name, type as typeof Types.STRING)
  }

  open(context: RuntimeContext): void {
    this.state = context.getState(this.sum)
  }

  processElement(value: number, _ctx: KeyedProcessContext<number>, out: Collector<[number, number]>): void {
    const next = BigInt((this.state.value() as bigint | null) ?? 0n) + BigInt(value)
    this.state.update(next)
    out.collect([value % keyCount, Number(next)])
  }
}

class Seen {
  readonly seen = new ValueStateDescriptor('seen', Types.INT)
  private state!: ValueState<number>

  open(context: RuntimeContext): void {
    this.state = context.getState(this.seen)
  }

  processElement(row: [number, number], _ctx: KeyedProcessContext<number>, out: Collector<[number, number]>): void {
    this.state.update((this.state.value() ?? 0) + 1)
    out.collect(row)
  }
}

function start(seed = 5, options: Partial<EngineClusterOptions> = {}) {
  const committed = new CommittedRows()
  let variant: Variant = {}
  const clientOf = ({ client }: Variant) => ({
    'parallelism.default': '2',
    'execution.checkpointing.interval': '300 ms',
    'execution.checkpointing.dir': CHECKPOINTS,
    'execution.checkpointing.data-inline-threshold': '0',
    ...client,
  })
  const build = (): StreamGraph => {
    const env = StreamExecutionEnvironment.createForProgram({ client: clientOf(variant) })
    const numbers = new DataGeneratorSource(index => index + 1, { count, rowsPerSecond: 40, type: Types.INT })
    const sums = env
      .fromSource(numbers, WatermarkStrategy.noWatermarks(), 'numbers')
      .uid('numbers')
      .keyBy((value: number) => value % keyCount)
      .process(new RunningSum(variant))
      .uid(variant.uid ?? 'sum')
    const rows =
      variant.seen === true
        ? sums
            .keyBy(([key]) => key)
            .process(new Seen())
            .uid('seen')
        : sums
    rows.sinkTo(new CommittingSink(committed)).uid('out')
    return env.getStreamGraph()
  }
  const cluster = new EngineCluster({
    ...options,
    seed,
    build,
    taskManagers: 2,
    slots: 2,
    jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 },
    suspendEverywhere: false,
  })
  const submit = (next: Variant) => {
    variant = next
    return cluster.submit(buildJobGraph(build(), { client: clientOf(next) }), jobId)
  }
  return { cluster, submit, committed }
}

/** A job with a checkpoint, whose JobManager is lost with all that it knew; then the other program under its id. */
async function startedAnew(first: Variant, second: Variant) {
  const { cluster, submit, committed } = start()
  await cluster.start()
  await submit(first)
  await cluster.untilRunning(jobId)
  const completed = () => cluster.jobManager.checkpointStatistics(jobId)?.counts.completed ?? 0
  expect(await cluster.clock.runUntil(() => completed() >= 2, 10_000)).toBe(true)
  await cluster.replaceJobManager()
  await cluster.ready()
  expect(cluster.jobManager.jobDetails(jobId)).toBeUndefined()
  await submit(second)
  return { cluster, submit, committed }
}

function expectSums({ rows }: CommittedRows): void {
  const results = rows.map(row => JSON.parse(row) as [number, number])
  expect(results).toHaveLength(count)
  for (let key = 0; key < keyCount; key++) {
    const values = Array.from({ length: count }, (_, i) => i + 1).filter(value => value % keyCount === key)
    expect(Math.max(...results.filter(([k]) => k === key).map(([, sum]) => sum)), `key ${key}`).toBe(values.reduce((a, b) => a + b, 0))
  }
}

test.each<[string, Variant, Variant]>([
  ['the same program', {}, {}],
  ['an operator more', {}, { seen: true }],
  ['another parallelism', {}, { client: { 'parallelism.default': '1' } }],
  ['a higher parallelism', { client: { 'parallelism.default': '1' } }, { client: { 'parallelism.default': '2' } }],
  ['an operator less, which is allowed', { seen: true }, { client: { 'execution.state-recovery.ignore-unclaimed-state': 'true' } }],
])('%s goes on from the newest checkpoint under its id: each result once', async (_, first, second) => {
  const { cluster, committed } = await startedAnew(first, second)
  await cluster.untilState(jobId, 'FINISHED', 120_000)
  expect(cluster.logs.some(({ message }) => /is restored from checkpoint \d+/.test(message))).toBe(true)
  expectSums(committed)
})

test.each<[string, Variant, Variant, string | RegExp]>([
  [
    'an operator less',
    { seen: true },
    {},
    'to the new program, because the operator is not available in the new program. If you want to allow to skip this',
  ],
  ['another uid', {}, { uid: 'total' }, 'It looks like'],
  ['another state', {}, { name: 'total' }, "does not declare 'sum' any more, of which there is state"],
  ['another type', {}, { type: Types.STRING }, "State 'sum' of operator"],
  [
    'another type, whatever may be lost',
    {},
    { type: Types.STRING, client: { 'execution.state-recovery.ignore-unclaimed-state': 'true' } },
    "State 'sum' of operator",
  ],
  ['another max parallelism', {}, { client: { 'pipeline.max-parallelism': '64' } }, 'has max parallelism 64, its state was taken with 128'],
])('%s is refused before anything of it runs, and the old program goes on from the same checkpoint', async (_, first, second, message) => {
  const { cluster, submit, committed } = await startedAnew(first, second)
  const store = cluster.stores.get(CHECKPOINTS)
  if (store === undefined) throw new Error('there are no checkpoints')
  const { checkpointId } = (await newestRecordOf(store, jobId)) ?? {}
  const rows = committed.rows.length
  await cluster.untilState(jobId, 'FAILED', 60_000)
  const result = cluster.jobManager.jobResult(jobId)
  const cause = result?.kind === 'completed' ? result.failureCause : undefined
  expect(cause).toMatchObject({
    code: 'INVALID_PROGRAM',
    message: expect.stringMatching(/^Failed to rollback to checkpoint\/savepoint sim:\/\/checkpoints\/a{32}\/chk-\d+\. /),
  })
  expect(cause?.message).toContain(message)
  await cluster.clock.run(5_000)
  expect([committed.rows.length, (await newestRecordOf(store, jobId))?.checkpointId]).toEqual([rows, checkpointId])
  await cluster.replaceJobManager()
  await cluster.ready()
  await submit(first)
  await cluster.untilState(jobId, 'FINISHED', 120_000)
  expectSums(committed)
})

/** A job of a session: its JobManager lets it go and has it again. */
test.each([1, 2, 3, 4, 5, 6])(
  'released by its JobManager and submitted there again, it goes on from its newest checkpoint: each result once (seed %d)',
  async seed => {
    const { cluster, submit, committed } = start(seed)
    await cluster.start()
    await submit({})
    await cluster.untilRunning(jobId)
    for (let round = 0; round < 3; round++) {
      const { jobManager } = cluster
      const completed = () => jobManager.checkpointStatistics(jobId)?.counts.completed ?? 0
      expect(await cluster.clock.runUntil(() => completed() >= 1 + (round % 2), 10_000)).toBe(true)
      await cluster.clock.run(seed * 37 * (round + 1))
      expect(jobManager.releaseJob(jobId)).toBe('accepted')
      await expect(submit({ seen: true })).rejects.toThrow('is being released, and can be submitted again behind that')
      expect(await cluster.clock.runUntil(() => jobManager.jobDetails(jobId) === undefined, 60_000)).toBe(true)
      expect(jobManager.releaseJob(jobId)).toBe('not-found')
      expect(await cluster.clock.runUntil(() => jobManager.overview().slotsAvailable === 4, 10_000)).toBe(true)
      await submit({})
      await cluster.untilRunning(jobId)
    }
    await cluster.untilState(jobId, 'FINISHED', 120_000)
    expect(cluster.logs.filter(({ message }) => /is restored from checkpoint \d+/.test(message)).length).toBeGreaterThanOrEqual(3)
    expectSums(committed)
    // How it has ended is at the store, where there is one for that; here nothing is remembered of it.
    expect(cluster.jobManager.releaseJob(jobId)).toBe('accepted')
    expect(await cluster.clock.runUntil(() => cluster.jobManager.jobDetails(jobId) === undefined, 60_000)).toBe(true)
  },
)

test('a released job is none of the next JobManager, highly available or not', async () => {
  const { cluster, submit } = start(7, { highAvailability: true })
  await cluster.start()
  await submit({})
  await cluster.untilRunning(jobId)
  expect(cluster.jobManager.releaseJob(jobId)).toBe('accepted')
  expect(await cluster.clock.runUntil(() => cluster.jobManager.jobDetails(jobId) === undefined, 60_000)).toBe(true)
  await cluster.replaceJobManager()
  await cluster.ready()
  await cluster.clock.run(10_000)
  expect(cluster.jobManager.jobDetails(jobId)).toBeUndefined()
})
