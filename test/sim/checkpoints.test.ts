import { describe, expect, test } from 'vitest'
import {
  type Collector,
  DataGeneratorSource,
  type DataStream,
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  type KeyedProcessContext,
  type ListState,
  ListStateDescriptor,
  type RuntimeContext,
  type SourceContext,
  StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import { FileSink } from '../../runtime/connectors/files/file-sink.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import { DefaultRollingPolicy, OnCheckpointRollingPolicy } from '../../runtime/connectors/files/rolling-policies.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { CommittedRows, CommittingSink } from '../support/committing-sink.ts'
import { EngineCluster, type EngineClusterOptions } from '../support/engine-cluster.ts'
import { MemoryFiles } from '../support/memory-recoverable-writer.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'

/**
 * Exactly once, on simulated time: a sequence, a sum per key in keyed state, and a transactional sink, while TaskManagers are lost. What was committed is
 * compared with a model: each running sum once, whatever happened in between.
 */
const all = simSeeds(100)
// They are long for `make check`.
const seeds = all.length < 2_000 ? all.slice(0, 50) : all
const chunkSize = 25
const keyCount = 7

/** What others can see of a job's results: a text a row. */
interface Outside {
  readonly rows: readonly string[]
  write(results: DataStream<[number, number]>): void
  /** Default: the data generator. */
  read?(env: StreamExecutionEnvironment, count: number, rowsPerSecond: number, clock: Clock): DataStream<number>
  readonly sinks: NonNullable<EngineClusterOptions['sinks']>
}

const outsides = {
  'a sink in memory': (): Outside => {
    const committed = new CommittedRows()
    return {
      get rows() {
        return committed.rows
      },
      write: results => void results.sinkTo(new CommittingSink(committed)),
      sinks: {},
    }
  },
  "a user's own functions, from end to end": (): Outside => {
    const committed = new CommittedRows()
    return {
      get rows() {
        return committed.rows
      },
      read: (env, count, rowsPerSecond, clock) => env.addSource(new OwnNumbers(count, rowsPerSecond, clock), 'numbers', Types.INT),
      write: results => void results.addSink(new OwnCommits(committed)),
      sinks: {},
    }
  },
  'the file sink': (random: Random): Outside => {
    const files = new MemoryFiles()
    const bySize = DefaultRollingPolicy.builder()
      .withMaxPartSize(1 + random.nextInt(500))
      .build()
    const policy = [OnCheckpointRollingPolicy.build(), DefaultRollingPolicy.builder().build(), bySize][random.nextInt(3)] as DefaultRollingPolicy
    return {
      get rows() {
        return Object.values(files.visible()).flatMap(text => text.split('\n').slice(0, -1))
      },
      write: results =>
        void results.sinkTo(
          FileSink.forRowFormat('/out', (row, stream) => stream.write(`${JSON.stringify(row)}\n`))
            .withBucketAssigner(row => `key-${(row as [number, number])[0]}`)
            .withRollingPolicy(policy)
            .build(),
        ),
      sinks: { 'file-sink': fileSinkTransport(random, (_path, owner) => files.writer(owner)) },
    }
  },
}

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

/** Every subtask emits its share of 1 to `count`; where it stands is operator state. */
class OwnNumbers {
  readonly next = new ListStateDescriptor('next', Types.INT)
  private readonly count: number
  private readonly rowsPerSecond: number
  private readonly clock: Clock
  private state!: ListState<number>
  private index = -1
  private step = 1
  private cancelled = false

  constructor(count: number, rowsPerSecond: number, clock: Clock) {
    this.count = count
    this.rowsPerSecond = rowsPerSecond
    this.clock = clock
  }

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.next)
    for (const index of this.state.get()) this.index = index
  }

  open(context: RuntimeContext): void {
    this.step = context.getNumberOfParallelSubtasks()
    if (this.index < 0) this.index = context.getIndexOfThisSubtask()
  }

  async run(context: SourceContext<number>): Promise<void> {
    while (this.index < this.count && !this.cancelled) {
      const room = context.collect(this.index + 1)
      this.index += this.step
      await room
      // Bursts: some rows come without waiting in between.
      if (this.index % 3 === 0) await new Promise<void>(resolve => void this.clock.schedule((3_000 * this.step) / this.rowsPerSecond, resolve))
    }
  }

  cancel(): void {
    this.cancelled = true
  }

  snapshotState(): void {
    this.state.update([this.index])
  }
}

/** Rows of a checkpoint are a transaction, which is state from the barrier on until the checkpoint is complete. */
class OwnCommits {
  readonly transactions = new ListStateDescriptor('transactions', Types.STRING)
  private readonly outside: CommittedRows
  private state!: ListState<string>
  private pending: { readonly id: string; readonly checkpointId: number; readonly rows: readonly string[] }[] = []
  private rows: string[] = []
  private owner = ''

  constructor(outside: CommittedRows) {
    this.outside = outside
  }

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.transactions)
    // They are in a checkpoint that is complete.
    for (const transaction of this.state.get()) {
      const { id, rows } = JSON.parse(transaction) as (typeof this.pending)[number]
      this.outside.commit(id, rows)
    }
  }

  open(context: RuntimeContext): void {
    this.owner = `${context.getIndexOfThisSubtask()}/${context.getAttemptNumber()}`
  }

  async invoke(row: unknown): Promise<void> {
    this.rows.push(JSON.stringify(row))
  }

  snapshotState(context: FunctionSnapshotContext): void {
    const checkpointId = context.getCheckpointId()
    if (this.rows.length > 0) this.pending.push({ id: `${this.owner}/${checkpointId}`, checkpointId, rows: this.rows })
    this.rows = []
    this.state.update(this.pending.map(transaction => JSON.stringify(transaction)))
  }

  async notifyCheckpointComplete(checkpointId: number): Promise<void> {
    const done = this.pending.filter(transaction => transaction.checkpointId <= checkpointId)
    this.pending = this.pending.filter(transaction => transaction.checkpointId > checkpointId)
    await Promise.resolve()
    for (const { id, rows } of done) this.outside.commit(id, rows)
  }
}

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
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    const numbers =
      outside.read?.(env, count, rowsPerSecond, cluster.clock) ??
      env.fromSource(
        new DataGeneratorSource(index => index + 1, { count, rowsPerSecond, type: Types.INT }),
        WatermarkStrategy.noWatermarks(),
        'numbers',
      )
    outside.write(numbers.keyBy((value: number) => value % keyCount).process(new RunningSum()))
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
    highAvailability,
    sinks: outside.sinks,
  })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  const store = () => cluster.stores.get('sim://high-availability')
  let cleared = false
  let paused = false
  const isDone = () => cleared || cluster.jobManager.jobResult(jobId)?.kind === 'completed'
  let next = 0
  const lose = async () => {
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
