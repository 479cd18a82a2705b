import { expect, test } from 'vitest'
import {
  type Collector,
  DataGeneratorSource,
  type KeyedProcessContext,
  type OnTimerContext,
  type RuntimeContext,
  StreamExecutionEnvironment,
  Types,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { CommittedRows, CommittingSink } from '../support/committing-sink.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { forSeeds } from '../support/sim-seeds.ts'

/**
 * Timers of both kinds through checkpoints, on simulated time: a TaskManager is lost, the job is away for ten seconds, and behind the restore the timers
 * that came due meanwhile fire first, each once in what is committed.
 */
const count = 120
const keyCount = 8
const timerDelayMs = 2_000
const downMs = 10_000

interface Call {
  readonly attempt: number
  readonly subtask: number
  readonly what: 'row' | 'timer'
  readonly time: number
  readonly nowMs: number
}

class TwoTimers {
  private readonly calls: Call[]
  private attempt = 0
  private subtask = 0

  constructor(calls: Call[]) {
    this.calls = calls
  }

  open(context: RuntimeContext): void {
    this.attempt = context.getAttemptNumber()
    this.subtask = context.getIndexOfThisSubtask()
  }

  processElement(value: number, context: KeyedProcessContext<number>): void {
    const nowMs = context.timerService().currentProcessingTime()
    this.calls.push({ attempt: this.attempt, subtask: this.subtask, what: 'row', time: value, nowMs })
    // A time of its own for each row, which tells whose timer it is.
    context.timerService().registerProcessingTimeTimer(Math.floor(nowMs) + timerDelayMs + value / 1_000)
    context.timerService().registerEventTimeTimer(value * 10 + 5)
  }

  onTimer(time: number, context: OnTimerContext<number>, out: Collector<string>): void {
    const nowMs = context.timerService().currentProcessingTime()
    if (context.timeDomain() === 'EVENT_TIME') {
      expect(context.timerService().currentWatermark()).toBeGreaterThanOrEqual(time)
      out.collect(`event ${time}`)
      return
    }
    this.calls.push({ attempt: this.attempt, subtask: this.subtask, what: 'timer', time, nowMs })
    out.collect(`processing ${Math.round((time % 1) * 1_000)}`)
  }
}

async function timersOf(seed: number): Promise<number> {
  const random = seededRandom(seed * 17 + 3)
  const client = {
    'parallelism.default': String(1 + random.nextInt(3)),
    'execution.checkpointing.interval': `${200 + random.nextInt(500)} ms`,
    'execution.checkpointing.dir': 'sim://checkpoints',
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '10',
    'restart-strategy.fixed-delay.delay': `${downMs} ms`,
  }
  const calls: Call[] = []
  const committed = new CommittedRows()
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    const watermarks = WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(value => value * 10)
    env
      .fromSource(new DataGeneratorSource(index => index + 1, { count, rowsPerSecond: 20, type: Types.INT }), watermarks, 'numbers')
      .keyBy((value: number) => value % keyCount)
      .process(new TwoTimers(calls))
      .sinkTo(new CommittingSink(committed))
    return env.getStreamGraph()
  }
  const cluster = new EngineCluster({
    seed,
    build,
    taskManagers: 3,
    slots: 2,
    faults: { delayMaxMs: 1 + random.nextInt(20), dropChance: 0, duplicateChance: 0 },
    jobManager: { loadBalanceMode: 'SLOTS', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 2_000 },
    suspendEverywhere: true,
  })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  await cluster.clock.runUntil(() => cluster.job(jobId).taskCounts.RUNNING > 0, 600_000)
  await cluster.clock.run(1_500 + random.next() * 3_000)
  const [victim] = cluster.taskManagers.filter(taskManager => taskManager.alive)
  if (victim !== undefined) cluster.kill(victim)
  cluster.startTaskManager('replacement')
  const result = cluster.jobManager.awaitJobResult(jobId)
  expect(await cluster.clock.runUntil(() => cluster.jobManager.jobResult(jobId)?.kind === 'completed', 900_000)).toBe(true)
  expect((await result)?.failureCause?.message).toBeUndefined()

  // Of each subtask of the second attempt: what was overdue when it began, before its first row, in order of time.
  let overdueCount = 0
  const second = calls.filter(({ attempt }) => attempt > 0)
  for (const own of Map.groupBy(second, ({ subtask }) => subtask).values()) {
    const began = own[0]?.nowMs ?? 0
    const overdue = own.filter(({ what, time }) => what === 'timer' && time <= began)
    overdueCount += overdue.length
    expect(own.slice(0, overdue.length)).toEqual(overdue)
    const times = overdue.map(({ time }) => time)
    expect(times).toEqual([...times].sort((a, b) => a - b))
  }
  // In what others see every timer has fired once; those of the clock that were due behind the end of the input have not.
  const rows = committed.rows.map(row => JSON.parse(row) as string)
  expect(new Set(rows).size, 'once each').toBe(rows.length)
  const events = rows.filter(row => row.startsWith('event'))
  expect(events.sort()).toEqual(Array.from({ length: count }, (_, i) => `event ${(i + 1) * 10 + 5}`).sort())
  const fired = new Set(rows.filter(row => row.startsWith('processing')))
  // 40 rows in 2 s: the others' timers came due while there was still input. Two of three seconds are left for delays.
  for (let value = 1; value <= count - 60; value++) expect(fired, `timer of row ${value}`).toContain(`processing ${value}`)
  return overdueCount
}

test('what came due while the job was away fires first, in order of time, once each; event time waits for the watermark', async () => {
  let overdue = 0
  await forSeeds([1, 2, 3, 4, 5, 6, 7, 8], async seed => {
    overdue += await timersOf(seed)
  })
  expect(overdue).toBeGreaterThan(20)
})
