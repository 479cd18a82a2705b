import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { ended, type JobDetails, jobIdOf, submit } from '../support/jobs.ts'
import { type S3Call, S3FaultProxy } from '../support/s3-fault-proxy.ts'
import { S3Server } from '../support/s3-server.ts'
import { writtenLines } from '../support/written-lines.ts'

/**
 * A sequence, sums per key in keyed state, tumbling windows and the transactional file sink, as real processes over a real S3 server. A proxy in front of the
 * server sees each step of publishing, restoring and taking over as a request, and kills (SIGKILL) whoever makes it: before it has an effect, or when it has had
 * it. In between the job is rescaled, in place and by savepoints. Every step in its own right is held by test/sim/store-kills.test.ts.
 */
const soak = process.env['SOAK'] === '1'

interface Point {
  readonly name: string
  readonly who: 'jobmanager' | 'taskmanager'
  readonly during: 'checkpoint' | 'takeover' | 'restore' | 'rescale'
  /** What the JobManager must have logged before the point counts, since it was asked to rescale. */
  readonly behind?: string
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

const rescaling: readonly Point[] = [
  { name: 'state of a task', who: 'taskmanager', during: 'rescale', behind: 'is to be rescaled', matches: path(/\/shared\//, 'PutObject') },
  {
    name: 'the claim of its checkpoint',
    who: 'jobmanager',
    during: 'rescale',
    behind: 'is to be rescaled',
    matches: path(/\/epochs\/\d+/, 'PutObject'),
  },
  {
    name: 'reading state at the new parallelism',
    who: 'taskmanager',
    during: 'rescale',
    behind: 'is restarted with other parallelisms',
    matches: path(/\/shared\//, 'GetObject'),
  },
]

// Enough for the ten minutes and the last round.
const rows = soak ? 150_000 : 6_000
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

test('killed at each step of publishing, taking over and restoring: each result is there once', { timeout: soak ? 1_800_000 : 240_000 }, async () => {
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
    const file = await cluster.folder.write('job.ts', job(`file://${out}`))
    let jobId = await submit(cluster, file, ['-p', '2'])
    await drill.checkpointDone()
    const phasesOf = (point: Point) => (soak || point.during !== 'takeover' ? (['before', 'after'] as const) : (['after'] as const))
    const killAt = async (points: readonly Point[]) => {
      for (const point of points) for (const phase of phasesOf(point)) await drill.kill(point, phase)
    }
    const movedBySavepoint = async (parallelism: number) => {
      const stopped = await cluster.run(['stop', '-p', 's3://state/savepoints', jobId])
      const taken = /s3:\/\/\S+?(?=\.?$)/m.exec(stopped.stdout.split('completed').at(-1) ?? '')?.[0]
      expect(taken, stopped.stdout + stopped.stderr).toBeDefined()
      await ended(cluster, jobId, 'FINISHED')
      jobId = jobIdOf(await cluster.run(['run', '-d', '-p', String(parallelism), '-s', taken ?? '', file]))
      await drill.checkpointDone()
    }
    const endMs = Date.now() + (soak ? 600_000 : 0)
    do {
      await killAt(steps.slice(0, steps.length / 2))
      await drill.rescaled(jobId, 3)
      for (const [i, point] of rescaling.entries()) await drill.kill(point, i === 1 ? 'before' : 'after', () => drill.rescale(jobId, 2 + (i % 3)))
      await movedBySavepoint(3)
      await killAt(steps.slice(steps.length / 2))
      await movedBySavepoint(1)
    } while (Date.now() < endMs)
    await cluster.until(`/jobs/${jobId}`, ({ state }: JobDetails) => (state === 'FINISHED' ? true : undefined), soak ? 900_000 : 120_000)
    console.info(drill.kills.join('\n'))
    const killedDuring = (what: Point['during']) => drill.kills.filter(kill => kill.startsWith(what)).length
    expect(killedDuring('checkpoint')).toBeGreaterThanOrEqual(10)
    expect(killedDuring('restore')).toBeGreaterThanOrEqual(soak ? 5 : 4)
    expect(killedDuring('takeover')).toBeGreaterThanOrEqual(4)
    expect(killedDuring('rescale')).toBeGreaterThanOrEqual(3)
    expect(writtenLines(out).sort()).toEqual(model().sort())
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

  /** `bringAbout` is what leads to the point, where it does not come by itself. */
  async kill(point: Point, phase: 'before' | 'after', bringAbout: () => Promise<void> = async () => {}): Promise<void> {
    const { behind } = point
    const seen = behind === undefined ? 0 : this.logged(behind)
    const hit = Promise.withResolvers<void>()
    let armed = true
    const strike = () => {
      this.end(point.who)
      hit.resolve()
    }
    this.proxy.onHang = strike
    this.proxy.rule = call => {
      if (!armed || !point.matches(call) || (behind !== undefined && this.logged(behind) === seen)) return undefined
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
    await bringAbout()
    await hit.promise
    this.proxy.rule = () => undefined
    if (point.who === 'jobmanager') await this.cluster.startJobManager()
    else this.startTaskManager()
    await this.checkpointDone()
  }

  /** Asks for this parallelism of all but the source, which has one in the program; the answer comes before it is done. */
  async rescale(jobId: string, parallelism: number): Promise<void> {
    const url = `/jobs/${jobId}/resource-requirements`
    const { vertices } = await this.cluster.get<JobDetails>(`/jobs/${jobId}`)
    const wanted = vertices.map(({ id, name }) => [
      id,
      { parallelism: { lowerBound: 1, upperBound: name.startsWith('Source: numbers') ? 1 : parallelism } },
    ])
    const answer = await fetch(`${this.cluster.address}${url}`, { method: 'PUT', body: JSON.stringify(Object.fromEntries(wanted)) })
    expect(answer.status, await answer.text()).toBe(200)
  }

  /** In place, to its end. */
  async rescaled(jobId: string, parallelism: number): Promise<void> {
    await this.rescale(jobId, parallelism)
    await this.cluster.until(`/jobs/${jobId}`, ({ vertices }: JobDetails) =>
      vertices.some(vertex => vertex.parallelism === parallelism) && vertices.every(vertex => vertex.status === 'RUNNING') ? true : undefined,
    )
    await this.checkpointDone()
  }

  /** How often the JobManagers have. */
  private logged(text: string): number {
    return readFileSync(join(this.cluster.folder.path, 'cluster/log/jobmanager-0.log'), 'utf8').split(text).length - 1
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
