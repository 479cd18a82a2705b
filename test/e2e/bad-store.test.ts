import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { ended, exceptions, goesOn, submit } from '../support/jobs.ts'
import { S3FaultProxy } from '../support/s3-fault-proxy.ts'
import { S3Server } from '../support/s3-server.ts'
import { SmallDisk } from '../support/small-disk.ts'
import { unfinishedParts, writtenLines } from '../support/written-lines.ts'

/**
 * The store of checkpoints is full, read-only or away for a while, as real processes over a real file system and a real S3 server. Minutes of it pass in
 * test/sim/checkpoint-faults.test.ts; each call with each fault is in test/parts/s3/s3-faults.test.ts and test/sim/store-kills.test.ts.
 */
const rows = 3_000

const job = (
  out: string,
) => `import { type Collector, DataGeneratorSource, FileSink, type KeyedProcessContext, OnCheckpointRollingPolicy, type RuntimeContext, SimpleStringEncoder, type StreamExecutionEnvironment, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Count {
  readonly seen = new ValueStateDescriptor('seen', Types.INT)
  private state!: ValueState<number>
  open(context: RuntimeContext) { this.state = context.getState(this.seen) }
  processElement(n: number, context: KeyedProcessContext<number>, out: Collector<string>) {
    this.state.update((this.state.value() ?? 0) + 1)
    out.collect(context.getCurrentKey() + ' ' + this.state.value())
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { count: ${rows}, rowsPerSecond: 200, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').setParallelism(1)
    .keyBy((n: number) => n % 5).process(new Count())
    .sinkTo(FileSink.forRowFormat<string>(${JSON.stringify(`file://${out}`)}, new SimpleStringEncoder<string>()).withRollingPolicy(OnCheckpointRollingPolicy.build()).build())
}
`

/** Each row counted once: `key number`. */
function expectAllOnce(out: string): void {
  const model = Array.from({ length: rows }, (_, n) => `${n % 5} ${Math.floor(n / 5) + 1}`)
  expect(writtenLines(out).sort()).toEqual(model.sort())
  expect(unfinishedParts(out)).toEqual([])
}

interface CheckpointsJson {
  readonly counts: { readonly completed: number; readonly failed: number }
  readonly latest: { readonly failed: { readonly failure_message: string } | null }
}

const moreCheckpoints = async (cluster: Cluster, jobId: string, kind: 'completed' | 'failed', count: number): Promise<CheckpointsJson> => {
  const { counts } = await cluster.get<CheckpointsJson>(`/jobs/${jobId}/checkpoints`)
  return cluster.until(`/jobs/${jobId}/checkpoints`, (now: CheckpointsJson) => (now.counts[kind] >= counts[kind] + count ? now : undefined), 90_000)
}

const restarts = (cluster: Cluster, jobId: string) =>
  cluster.get<readonly { readonly value: string }[]>(`/jobs/${jobId}/metrics?get=numRestarts`).then(([metric]) => Number(metric?.value))

const settings = (entries: Readonly<Record<string, string | number>>) => Object.entries(entries).flatMap(([key, value]) => ['-D', `${key}=${value}`])

const often = {
  'execution.checkpointing.interval': '100 ms',
  'execution.checkpointing.data-inline-threshold': '0',
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': 100,
  'restart-strategy.fixed-delay.delay': '100 ms',
}

const troubles = {
  full: { begin: (disk: SmallDisk) => disk.fill(), end: (disk: SmallDisk) => disk.free(), reason: /ENOSPC: no space left on device/ },
  'read-only': {
    begin: (disk: SmallDisk) => disk.makeReadOnly(),
    end: (disk: SmallDisk) => disk.makeWritable(),
    reason: /EROFS: read-only file system/,
  },
}

test.each(Object.entries(troubles))(
  'a disk that is %s: within the tolerable failures rows go on, checkpoints fail saying why, and are there again with it',
  async (_what, { begin, end, reason }) => {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2 })
    using disk = SmallDisk.mount(join(cluster.folder.path, 'disk'))
    const out = join(cluster.folder.path, 'out')
    const jobId = await submit(cluster, await cluster.folder.write('job.ts', job(out)), [
      '-p',
      '2',
      ...settings({
        ...often,
        'execution.checkpointing.dir': `file://${disk.path}`,
        'execution.checkpointing.tolerable-failed-checkpoints': 1_000_000,
      }),
    ])
    await moreCheckpoints(cluster, jobId, 'completed', 2)

    await begin(disk)
    const { latest } = await moreCheckpoints(cluster, jobId, 'failed', 5)
    expect(latest.failed?.failure_message).toMatch(reason)
    await goesOn(cluster, jobId)

    end(disk)
    await moreCheckpoints(cluster, jobId, 'completed', 2)
    await ended(cluster, jobId, 'FINISHED', 90_000)
    expect(await restarts(cluster, jobId)).toBe(0)
    expectAllOnce(out)
    // Nor is anything left of the checkpoints that failed.
    await cluster.until('/jobs/overview', () => (disk.files().length === 0 ? true : undefined))
  },
)

test('a disk that stays full: past the tolerable failures a job without restarts is FAILED and says why, one with restarts comes back when there is room', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 4 })
  using disk = SmallDisk.mount(join(cluster.folder.path, 'disk'))
  const start = async (name: string, more: Readonly<Record<string, string | number>>) =>
    submit(cluster, await cluster.folder.write(`${name}.ts`, job(join(cluster.folder.path, name))), [
      '-p',
      '2',
      ...settings({
        ...often,
        'execution.checkpointing.dir': `file://${disk.path}`,
        'execution.checkpointing.tolerable-failed-checkpoints': 2,
        ...more,
      }),
    ])
  const [final, patient] = [await start('final', { 'restart-strategy.type': 'none' }), await start('patient', {})]
  await moreCheckpoints(cluster, final, 'completed', 1)
  await moreCheckpoints(cluster, patient, 'completed', 1)

  disk.fill()
  await ended(cluster, final, 'FAILED', 90_000)
  for (const jobId of [final, patient]) {
    await cluster.until(`/jobs/${jobId}/exceptions`, ({ exceptionHistory }: { exceptionHistory: { entries: unknown[] } }) => {
      // The other one has the room that its checkpoints took, and then that of its own older ones.
      disk.fillAgain()
      return exceptionHistory.entries.length > 0 ? true : undefined
    })
    const first = (await exceptions(cluster, jobId)).at(-1)
    expect(first?.stacktrace).toMatch(/^FlinkError: Exceeded checkpoint tolerable failure threshold\. 3 in a row failed/)
    expect(first?.stacktrace).toMatch(/ENOSPC: no space left on device/)
  }

  disk.free()
  await ended(cluster, patient, 'FINISHED', 90_000)
  expect(await restarts(cluster, patient)).toBeGreaterThan(0)
  expectAllOnce(join(cluster.folder.path, 'patient'))
})

test('an S3 server that hangs, is gone and comes back: within the tolerable failures rows go on, and checkpoints are there again with it', async () => {
  const server = await S3Server.start()
  server.createBucket('state')
  const proxy = await S3FaultProxy.start(server.endpoint)
  try {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { ...server.configuration(proxy.endpoint).toObject() } })
    const out = join(cluster.folder.path, 'out')
    const jobId = await submit(cluster, await cluster.folder.write('job.ts', job(out)), [
      '-p',
      '2',
      ...settings({
        ...often,
        'execution.checkpointing.dir': 's3://state/checkpoints',
        'execution.checkpointing.timeout': '1 s',
        'execution.checkpointing.tolerable-failed-checkpoints': 1_000_000,
      }),
    ])
    await moreCheckpoints(cluster, jobId, 'completed', 2)

    proxy.rule = ({ path, operation }) => (operation === 'PutObject' && path.includes('/shared/') ? 'hang' : undefined)
    const { latest } = await moreCheckpoints(cluster, jobId, 'failed', 1)
    expect(latest.failed?.failure_message).toBe('it took longer than execution.checkpointing.timeout')
    await goesOn(cluster, jobId)
    await server.goAway()
    proxy.rule = () => undefined
    await moreCheckpoints(cluster, jobId, 'failed', 2)
    await goesOn(cluster, jobId)

    await server.comeBack()
    await moreCheckpoints(cluster, jobId, 'completed', 2)
    await ended(cluster, jobId, 'FINISHED', 90_000)
    expect(await restarts(cluster, jobId)).toBe(0)
    expectAllOnce(out)
    await cluster.until('/jobs/overview', () => (server.objects('state').length === 0 ? true : undefined))
  } finally {
    await proxy.stop()
    await server.stop()
  }
})

test('an S3 server that stays away: past the tolerable failures the job restarts saying why, and goes on when it is back', async () => {
  const server = await S3Server.start()
  server.createBucket('state')
  try {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { ...server.configuration().toObject() } })
    const out = join(cluster.folder.path, 'out')
    const jobId = await submit(cluster, await cluster.folder.write('job.ts', job(out)), [
      '-p',
      '2',
      ...settings({ ...often, 'execution.checkpointing.dir': 's3://state/checkpoints', 'execution.checkpointing.tolerable-failed-checkpoints': 1 }),
    ])
    await moreCheckpoints(cluster, jobId, 'completed', 2)
    await server.goAway()
    const entry = await cluster.until(
      `/jobs/${jobId}/exceptions`,
      ({ exceptionHistory: { entries } }: { exceptionHistory: { entries: { stacktrace: string }[] } }) => entries.at(-1)?.stacktrace,
      90_000,
    )
    expect(entry).toMatch(/^FlinkError: Exceeded checkpoint tolerable failure threshold\. 2 in a row failed/)
    expect(entry).toMatch(/ECONNREFUSED/)
    await server.comeBack()
    await ended(cluster, jobId, 'FINISHED', 90_000)
    expectAllOnce(out)
  } finally {
    await server.stop()
  }
})
