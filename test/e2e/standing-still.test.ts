import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster, TestFolder } from '../support/cluster.ts'
import { goesOn, type JobDetails, running, submit, taskManagersOf } from '../support/jobs.ts'

/** Processes that stand still (SIGSTOP) and go on (SIGCONT), as a machine under pressure does it: with results that are counted in files. */
const count = 6_000
const job = (
  checkpoints: string,
  out: string,
) => `import { DataGeneratorSource, FileSink, OnCheckpointRollingPolicy, SimpleStringEncoder, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.enableCheckpointing(200)
  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(checkpoints)}).setTolerableCheckpointFailureNumber(100)
  const sink = FileSink.forRowFormat<number>(${JSON.stringify(out)}, new SimpleStringEncoder<number>()).withRollingPolicy(OnCheckpointRollingPolicy.build()).build()
  env.fromSource(new DataGeneratorSource(n => n, { count: ${count}, rowsPerSecond: 400, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').rebalance().sinkTo(sink)
}
`
const quick = {
  'heartbeat.interval': '200 ms',
  'heartbeat.timeout': '2 s',
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': '100',
  'restart-strategy.fixed-delay.delay': '100 ms',
}

const finished = (cluster: Cluster, jobId: string) =>
  cluster.until(`/jobs/${jobId}`, ({ state }: JobDetails) => (state === 'FINISHED' ? true : undefined), 90_000)

function expectEachRowOnce(out: string): void {
  const rows = (existsSync(out) ? readdirSync(out, { recursive: true, withFileTypes: true }) : [])
    .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
    .flatMap(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8').trimEnd().split('\n').map(Number))
  expect(rows.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, row) => row))
}

test('TaskManager and JobManager stand still for a while, shorter and longer than the heartbeat timeout: each row is in the files once', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2, configuration: quick })
  const [checkpoints, out] = ['checkpoints', 'out'].map(name => join(cluster.folder.path, name)) as [string, string]
  const jobId = await submit(cluster, await cluster.folder.write('rows.ts', job(`file://${checkpoints}`, `file://${out}`)), ['-p', '2'])
  await running(cluster, jobId)
  const jobManager = cluster.pidOf('run/jobmanager-0.json')
  process.kill(jobManager, 'SIGSTOP')
  await new Promise(resolve => setTimeout(resolve, 800))
  process.kill(jobManager, 'SIGCONT')
  await goesOn(cluster, jobId)
  const [first = ''] = await taskManagersOf(cluster, jobId)
  const asleep = cluster.pidOf(`run/${first}.json`)
  process.kill(asleep, 'SIGSTOP')
  await cluster.until(`/jobs/${jobId}/metrics?get=numRestarts`, (answer: readonly { readonly value: string }[]) =>
    Number(answer[0]?.value) > 0 ? true : undefined,
  )
  await running(cluster, jobId)
  await goesOn(cluster, jobId)
  process.kill(asleep, 'SIGCONT')
  await finished(cluster, jobId)
  expectEachRowOnce(out)
})

test('two JobManagers that both believe they lead: the one that slept meanwhile learns that it is old, ends, and takes nothing with it', async () => {
  await using folder = await TestFolder.create()
  const [checkpoints, out] = ['checkpoints', 'out'].map(name => join(folder.path, name)) as [string, string]
  await using cluster = await startCluster({
    taskManagers: 1,
    slots: 2,
    configuration: { ...quick, 'high-availability.type': 'filesystem', 'high-availability.storageDir': `file://${folder.path}/ha` },
  })
  const jobId = await submit(cluster, await cluster.folder.write('rows.ts', job(`file://${checkpoints}`, `file://${out}`)), ['-p', '2'])
  await running(cluster, jobId)
  const hasCheckpoint = () => existsSync(join(checkpoints, jobId)) && readdirSync(join(checkpoints, jobId)).some(name => name.startsWith('chk-'))
  await cluster.until('/jobs/overview', () => (hasCheckpoint() ? true : undefined))
  const old = cluster.pidOf('run/jobmanager-0.json')
  process.kill(old, 'SIGSTOP')
  const rival = await cluster.startRival(2)
  // While tasks of both run: those of the old one until its TaskManager has missed it.
  await running(rival, jobId)
  await goesOn(rival, jobId)
  process.kill(old, 'SIGCONT')
  await rival.until('/jobs/overview', () => (cluster.processes().some(({ pid }) => pid === old) ? undefined : true), 60_000)
  expect(await cluster.log('jobmanager-0')).toMatch(
    /generation \d+ does not lead any more: generation \d+ has taken over; this jobmanager ends and removes nothing/,
  )
  await finished(rival, jobId)
  expectEachRowOnce(out)
})
