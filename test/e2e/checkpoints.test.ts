import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster, TestFolder } from '../support/cluster.ts'
import { ended, running, submit, taskManagersOf } from '../support/jobs.ts'
import { runningSumsJob } from '../support/running-sums.ts'

/** Checkpoints with real processes; the protocol is held by test/sim/checkpoints.test.ts. */
const count = 5_000
const sumsJob = (directory: string) =>
  runningSumsJob({
    count,
    rowsPerSecond: 1_000,
    settings: `env.enableCheckpointing(200)\n  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(directory)})`,
  })

test('state survives kill -9 of a TaskManager: sums go on from the newest checkpoint, and nothing is left of it at the end', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const directory = join(cluster.folder.path, 'checkpoints')
  const path = await cluster.folder.write('sums.ts', sumsJob(`file://${directory}`))
  const job = await submit(cluster, path, ['-p', '2'])
  await running(cluster, job)
  await hasCheckpoint(cluster, job)
  const [lost = ''] = await taskManagersOf(cluster, job)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await ended(cluster, job, 'FINISHED')
  await expectSums(cluster)
  expect(await cluster.log('jobmanager-0')).toMatch(/is restored from checkpoint \d+/)
  // What is removed is removed behind the answer that the job has finished.
  await cluster.until('/jobs/overview', () => (existsSync(join(directory, job)) ? undefined : true))
})

/** Printing is at least once, so the sums may stand there twice; the last one of each key tells whether each number was added once. */
async function expectSums(cluster: Cluster): Promise<void> {
  const lines = (await cluster.printed()).map(line => line.replace(/^\d+> /, ''))
  for (let key = 0; key < 5; key++) {
    const sums = lines.filter(line => line.startsWith(`${key} `)).map(line => Number(line.slice(2)))
    const model = Array.from({ length: count }, (_, i) => i + 1).filter(n => n % 5 === key)
    expect(Math.max(...sums), `key ${key}`).toBe(model.reduce((a, b) => a + b, 0))
  }
}

test('a job survives kill -9 of its JobManager: the next one at the same address goes on with it, under its id', async () => {
  await using folder = await TestFolder.create()
  await using cluster = await startCluster({
    taskManagers: 1,
    slots: 2,
    configuration: { 'high-availability.type': 'filesystem', 'high-availability.storageDir': `file://${folder.path}/ha` },
  })
  const directory = join(cluster.folder.path, 'checkpoints')
  const path = await cluster.folder.write('sums.ts', sumsJob(`file://${directory}`))
  const job = await submit(cluster, path, ['-p', '2'])
  await running(cluster, job)
  await hasCheckpoint(cluster, job)
  process.kill(cluster.pidOf('run/jobmanager-0.json'), 'SIGKILL')
  await cluster.startJobManager()
  await ended(cluster, job, 'FINISHED')
  await expectSums(cluster)
  const log = await cluster.log('jobmanager-0')
  expect(log).toMatch(/is recovered[\s\S]*is restored from checkpoint \d+/)
  // Nothing but what tells an old JobManager that it is old.
  const left = () => readdirSync(folder.path, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  await cluster.until('/jobs/overview', () => (left().length === 1 ? true : undefined))
  const generation = [...log.matchAll(/ generation=(\d+)/g)].at(-1)?.[1]
  expect(left().map(entry => entry.name)).toEqual([generation])
})

/** One that is claimed: before that a JobManager that is killed has left nothing to go on from. */
async function hasCheckpoint(cluster: Cluster, job: string): Promise<void> {
  await cluster.until(`/jobs/${job}/checkpoints`, ({ counts }: { readonly counts: { readonly completed: number } }) =>
    counts.completed > 0 ? true : undefined,
  )
}
const keyCount = 20_000
const roundCount = 10
/** Some 4 MB of state, a fifth of it changed at each checkpoint. */
const largeJob = (
  directory: string,
) => `import { type Collector, DataGeneratorSource, type KeyedProcessContext, type RuntimeContext, type StreamExecutionEnvironment, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Rounds {
  readonly rounds = new ValueStateDescriptor('rounds', Types.STRING)
  private state!: ValueState<string>
  open(context: RuntimeContext) { this.state = context.getState(this.rounds) }
  processElement(value: number, ctx: KeyedProcessContext<number>, out: Collector<string>) {
    const next = Number(this.state.value() ?? 0) + 1
    this.state.update(String(next).padStart(200, '0'))
    if (next >= ${roundCount}) out.collect(ctx.getCurrentKey() + ' ' + next)
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.enableCheckpointing(200)
  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(directory)})
  env.fromSource(new DataGeneratorSource(n => n, { count: ${keyCount * roundCount}, rowsPerSecond: ${keyCount}, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
    .keyBy((n: number) => n % ${keyCount}).process(new Rounds()).print()
}
`

test('state of some megabytes is restored from changes that stand behind one another: each key has counted each of its rows once', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const directory = join(cluster.folder.path, 'checkpoints')
  const path = await cluster.folder.write('rounds.ts', largeJob(`file://${directory}`))
  const job = await submit(cluster, path, ['-p', '2'])
  await running(cluster, job)
  const shared = join(directory, job, 'shared')
  // A newest checkpoint that needs what earlier ones of both subtasks have written.
  const isChained = () => existsSync(shared) && readdirSync(shared).filter(name => !name.startsWith('.')).length >= 6
  await cluster.until('/jobs/overview', () => (isChained() ? true : undefined))
  const [lost = ''] = await taskManagersOf(cluster, job)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await ended(cluster, job, 'FINISHED')
  const lines = new Set((await cluster.printed()).map(line => line.replace(/^\d+> /, '')))
  expect([...lines].sort()).toEqual(Array.from({ length: keyCount }, (_, key) => `${key} ${roundCount}`).sort())
  // Behind the answer that the job has finished.
  await cluster.until('/jobs/overview', () => (existsSync(join(directory, job)) ? undefined : true))
})
