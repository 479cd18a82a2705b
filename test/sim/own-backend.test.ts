import { expect, test } from 'vitest'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { finishInProcess } from '../support/in-process-job.ts'
import { smallStateLimits } from '../support/increments.ts'
import { countWords } from '../support/keyed-words.ts'
import { mapStateBackend } from '../support/map-state-backend.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** A job whose keyed state is in a backend of the program's own, on simulated time. */
const jobId = 'c'.repeat(32)

async function start(backend: ReturnType<typeof mapStateBackend>, client: Readonly<Record<string, string>>) {
  const outside = outsides['a sink in memory']()
  const job = {
    client: {
      'parallelism.default': '2',
      'execution.checkpointing.interval': '1 s',
      'execution.checkpointing.dir': 'sim://checkpoints',
      'execution.checkpointing.data-inline-threshold': '0',
      ...client,
    },
    count: 400,
    rowsPerSecond: 20,
    outside,
    stateBackend: backend,
  }
  const cluster = new EngineCluster({
    seed: 3,
    build: () => buildSums(job),
    taskManagers: 1,
    slots: 2,
    suspendEverywhere: false,
    highAvailability: true,
    snapshotLimits: smallStateLimits,
    sinks: outside.sinks,
  })
  await cluster.start()
  await cluster.submit(buildJobGraph(buildSums(job), { client: job.client }), jobId)
  const until = (isDone: () => boolean) => cluster.clock.runUntil(isDone, 600_000)
  return { cluster, job, until, state: () => cluster.jobManager.jobDetails(jobId)?.state }
}

test.each([true, false])('checkpoints of it are restored when a TaskManager is lost, each result once: incremental %s', async incremental => {
  let open = 0
  let closed = 0
  const backend = mapStateBackend(
    store => {
      open++
      return {
        close: () => {
          closed++
          store.close()
        },
      }
    },
    { incremental },
  )
  const { cluster, job, until, state } = await start(backend, {})
  const completed = () => cluster.logs.filter(({ message }) => message.includes('completed checkpoint')).length
  for (const count of [3, 9, 15]) {
    expect(await until(() => completed() >= count)).toBe(true)
    const victim = cluster.taskManagers.find(({ alive }) => alive)
    if (victim === undefined) throw new Error('a TaskManager lives')
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${count}`)
  }
  expect(await until(() => state() === 'FINISHED')).toBe(true)
  expectSums(job)
  expect(cluster.logs.filter(({ message }) => message.includes('is restored from checkpoint')).length).toBeGreaterThanOrEqual(3)
  expect(open).toBe(8)
  // A process that was killed closes nothing.
  expect(closed).toBeGreaterThanOrEqual(2)
})

test('one that cannot take snapshots is refused with checkpoints, by its name, and runs without', async () => {
  const refused = await start(
    mapStateBackend(() => ({}), { snapshots: false }),
    { 'restart-strategy.type': 'none' },
  )
  expect(await refused.until(() => refused.state() === 'FAILED')).toBe(true)
  const error = refused.cluster.jobManager.exceptions(jobId)?.[0]?.error.message
  expect(error).toMatch(/operator KeyedProcess: state backend maps says that it cannot take snapshots, and the job is to take checkpoints/)

  const { stdout } = await finishInProcess(
    env => {
      env.setStateBackend(mapStateBackend(() => ({}), { snapshots: false }))
      countWords(env)
    },
    { batch: false },
  )
  expect(stdout.trim().split('\n').sort()).toEqual(['a 1', 'a 2', 'b 1'])
})
