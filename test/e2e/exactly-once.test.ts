import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { type JobDetails, submit } from '../support/jobs.ts'
import { type S3Call, S3FaultProxy } from '../support/s3-fault-proxy.ts'
import { S3Server } from '../support/s3-server.ts'
import { writtenLines } from '../support/written-lines.ts'

/**
 * A sequence, sums per key in keyed state, tumbling windows and the transactional file sink, as real processes over a real S3 server. A proxy in front of the
 * server sees each step of publishing, restoring and taking over as a request, and kills (SIGKILL) whoever makes it: before it has an effect, or when it has had
 * it. Every step in its own right is held by test/sim/store-kills.test.ts.
 */
const soak = process.env['SOAK'] === '1'

interface Point {
  readonly name: string
  readonly who: 'jobmanager' | 'taskmanager'
  readonly during: 'checkpoint' | 'takeover' | 'restore' | 'rescale'
  matches(call: S3Call): boolean
}

const path = (pattern: RegExp, operation: S3Call['operation']) => (call: S3Call) => call.operation === operation && pattern.test(call.path)

const steps: readonly Point[] = [
  { name: 'state of a task', who: 'taskmanager', during: 'checkpoint', matches: path(/\/shared\//, 'PutObject') },
  { name: 'the manifest', who: 'jobmanager', during: 'checkpoint', matches: path(/\/chk-\d+\/_metadata/, 'PutObject') },
  { name: 'the claim of a checkpoint', who: 'jobmanager', during: 'checkpoint', matches: path(/\/epochs\/\d+/, 'PutObject') },
  { name: 'looking that nobody claimed more', who: 'jobmanager', during: 'checkpoint', matches: path(/\/epochs/, 'ListObjectsV2') },
  { name: 'removing an old claim', who: 'jobmanager', during: 'checkpoint', matches: path(/\/epochs\/\d+/, 'DeleteObject') },
  { name: 'removing an old manifest', who: 'jobmanager', during: 'checkpoint', matches: path(/\/chk-\d+\/_metadata/, 'DeleteObject') },
  { name: 'the generation', who: 'jobmanager', during: 'takeover', matches: path(/\/generations\/\d+/, 'PutObject') },
  { name: 'the job of the one before', who: 'jobmanager', during: 'takeover', matches: path(/\/submission/, 'GetObject') },
  { name: 'the head', who: 'jobmanager', during: 'takeover', matches: path(/\/head\/\d+/, 'PutObject') },
  { name: 'the claim of a takeover', who: 'jobmanager', during: 'takeover', matches: path(/\/epochs\/\d+/, 'PutObject') },
  { name: 'reading the manifest', who: 'jobmanager', during: 'restore', matches: path(/\/chk-\d+\/_metadata/, 'GetObject') },
  { name: 'reading state', who: 'taskmanager', during: 'restore', matches: path(/\/shared\//, 'GetObject') },
]

const rows = soak ? 120_000 : 4_000
const rowsPerSecond = 200

const job = (
  out: string,
) => `import { type Collector, DataGeneratorSource, FileSink, type KeyedProcessContext, OnCheckpointRollingPolicy, type ProcessWindowContext, type RuntimeContext, SimpleStringEncoder, type StreamExecutionEnvironment, TumblingEventTimeWindows, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
type Row = { key: number; n: number; total: number }
class Total {
  readonly total = new ValueStateDescriptor('total', Types.INT)
  private state!: ValueState<number>
  open(context: RuntimeContext) { this.state = context.getState(this.total) }
  processElement(n: number, _ctx: KeyedProcessContext<number>, out: Collector<Row>) {
    const total = (this.state.value() ?? 0) + 1
    this.state.update(total)
    out.collect({ key: n % 5, n, total })
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { count: ${rows}, rowsPerSecond: ${rowsPerSecond}, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers').setParallelism(1)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(n => n * 10)).uid('times').setParallelism(1)
    .keyBy((n: number) => n % 5).process(new Total()).uid('totals')
    .keyBy((row: Row) => row.key)
    .window(TumblingEventTimeWindows.of('1 s'))
    .process({
      process(key: number, ctx: ProcessWindowContext, elements: Iterable<Row>, out: Collector<string>) {
        const all = [...elements]
        out.collect([key, ctx.window().getStart(), all.length, Math.max(...all.map(row => row.total))].join(' '))
      },
    }).uid('windows')
    .sinkTo(FileSink.forRowFormat<string>(${JSON.stringify(out)}, new SimpleStringEncoder<string>()).withRollingPolicy(OnCheckpointRollingPolicy.build()).build()).uid('files')
}
`

/** Each key has a fifth of the numbers; a window of a second has 100 of them, 20 of each key, and the total is how many of the key came until its end. */
function model(): string[] {
  const lines: string[] = []
  for (let start = 0; start < rows * 10; start += 1000) {
    for (let key = 0; key < 5; key++) {
      const end = Math.min(rows, (start + 1000) / 10)
      const count = Array.from({ length: end - start / 10 }, (_, i) => start / 10 + i).filter(n => n % 5 === key).length
      const total = Math.ceil((end - key) / 5)
      if (count > 0) lines.push([key, start, count, total].join(' '))
    }
  }
  return lines
}

test('killed at each step of publishing, taking over and restoring: each result is there once', { timeout: soak ? 900_000 : 240_000 }, async () => {
  const server = await S3Server.start()
  server.createBucket('state')
  const proxy = await S3FaultProxy.start(server.endpoint)
  try {
    await using cluster = await startCluster({
      taskManagers: 1,
      slots: 4,
      configuration: {
        ...server.configuration(proxy.endpoint).toObject(),
        'execution.checkpointing.interval': '300 ms',
        'execution.checkpointing.dir': 's3://state/checkpoints',
        'execution.checkpointing.data-inline-threshold': '0',
        'high-availability.type': 'filesystem',
        'high-availability.storageDir': 's3://state/ha',
        'restart-strategy.type': 'fixed-delay',
        'restart-strategy.fixed-delay.attempts': '1000',
        'restart-strategy.fixed-delay.delay': '100 ms',
        'heartbeat.interval': '500 ms',
        'heartbeat.timeout': '5 s',
      },
    })
    const drill = new Drill(cluster, proxy)
    const out = join(cluster.folder.path, 'out')
    const jobId = await submit(cluster, await cluster.folder.write('job.ts', job(`file://${out}`)), ['-p', '2'])
    await drill.checkpointDone()
    const endMs = Date.now() + (soak ? 600_000 : 0)
    do {
      for (const point of steps)
        for (const phase of soak || point.during !== 'takeover' ? (['before', 'after'] as const) : (['after'] as const))
          await drill.kill(point, phase)
    } while (Date.now() < endMs)
    await cluster.until(`/jobs/${jobId}`, ({ state }: JobDetails) => (state === 'FINISHED' ? true : undefined), 120_000)
    expect(drill.kills.filter(kill => kill.includes('checkpoint')).length).toBeGreaterThanOrEqual(10)
    expect(drill.kills.filter(kill => kill.includes('restore')).length).toBeGreaterThanOrEqual(4)
    expect(writtenLines(out).toSorted()).toEqual(model().sort())
  } finally {
    await proxy.stop()
    await server.stop()
  }
})

/** Kills processes at points, one after the other, and puts new ones in their places. */
class Drill {
  readonly kills: string[] = []
  private readonly cluster: Cluster
  private readonly proxy: S3FaultProxy
  private taskManagers = 0

  constructor(cluster: Cluster, proxy: S3FaultProxy) {
    this.cluster = cluster
    this.proxy = proxy
  }

  startTaskManager(): void {
    this.cluster.startTaskManager(`tm-${++this.taskManagers}`, 4)
  }

  async kill(point: Point, phase: 'before' | 'after'): Promise<void> {
    const hit = Promise.withResolvers<void>()
    let armed = true
    const strike = () => {
      this.end(point.who)
      hit.resolve()
    }
    this.proxy.onHang = strike
    this.proxy.rule = call => {
      if (!armed || !point.matches(call)) return undefined
      armed = false
      this.kills.push(`${point.during}: ${phase} ${point.name}`)
      if (phase === 'after') return 'hang-after'
      strike()
      return 'reset'
    }
    // What brings the point about: a lost JobManager is taken over from, lost tasks are restored.
    if (point.during === 'takeover') {
      this.end('jobmanager')
      void this.cluster.startJobManager().catch(() => {})
    } else if (point.during === 'restore') {
      this.end('taskmanager')
      this.startTaskManager()
    }
    await hit.promise
    this.proxy.rule = () => undefined
    if (point.who === 'jobmanager') await this.cluster.startJobManager()
    else this.startTaskManager()
    await this.checkpointDone()
  }

  /** One that is claimed from now on. */
  async checkpointDone(): Promise<void> {
    const seen = this.proxy.log.length
    for (;;) {
      const manifest = this.proxy.log.findIndex((line, at) => at >= seen && /PutObject .*\/chk-\d+\/_metadata/.test(line))
      if (manifest >= 0 && this.proxy.log.some((line, at) => at > manifest && /ListObjectsV2/.test(line))) return
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  private end(kind: 'jobmanager' | 'taskmanager'): void {
    for (const { pid, command } of this.cluster.processes()) {
      if ((kind === 'jobmanager' ? /run\/jobmanager-/ : /run\/(tm|taskmanager)-/).test(command)) process.kill(pid, 'SIGKILL')
    }
  }
}
