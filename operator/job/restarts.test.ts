import { expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'

const loop = (job: FlinkJob) => job.status?.conditions.find(({ type }) => type === 'RestartLoop')
const time = (ms: number) => new Date(ms).toISOString()

async function started() {
  const made = world(new Map(), spec)
  made.cluster.looksUntilFinished = undefined
  await made.until(job => job.status?.lifecycleState === 'STABLE')
  const fail = (trace: string) => {
    made.advance(5_000)
    made.cluster.progress.restart(made.now(), trace)
    return made.pass()
  }
  return { ...made, fail }
}

const trace =
  'TaskError: the task has failed\n    at run (task.ts:1:1)\nCaused by: Error: broker kafka-1:9092 does not answer\n    at read (source.ts:2:2)'

test('three restarts with no completed checkpoint between are a loop: cause, place, number and start; the next checkpoint ends it', async () => {
  const { cluster, fail, pass, now, advance } = await started()
  expect(loop(await fail(trace))?.status).toBe('False')
  const first = cluster.progress.restartedMs
  expect(loop(await fail(trace))?.status).toBe('False')
  const third = await fail(trace)
  expect(third.status?.restarts).toMatchObject({ count: 3, since: time(first), last: time(cluster.progress.restartedMs), where: 'Map (1/1)' })
  expect(loop(third)).toMatchObject({
    status: 'True',
    message: `restarted 3 times since ${time(first)} without a completed checkpoint between, the last time for a failure in Map (1/1): Error: broker kafka-1:9092 does not answer`,
  })
  const since = loop(third)?.lastTransitionTime
  const fourth = await fail('Error: another one')
  expect(loop(fourth)).toMatchObject({
    status: 'True',
    lastTransitionTime: since,
    message: expect.stringMatching(/^restarted 4 times .*: Error: another one$/),
  })
  advance(1_000)
  cluster.progress.checkpoint(now())
  const over = await pass()
  expect(loop(over)).toMatchObject({ status: 'False', reason: 'NoRestartLoop', lastTransitionTime: expect.not.stringMatching(since ?? '') })
  // From here on it is not asked about any more, and nothing is written.
  await pass()
  const { asked } = cluster.progress
  const { resourceVersion } = (await pass()).metadata
  expect([(await pass()).metadata.resourceVersion, cluster.progress.asked]).toEqual([resourceVersion, asked])
  expect(loop(await fail(trace))?.status).toBe('False')
})

test('a checkpoint between two restarts begins the count anew', async () => {
  const { cluster, fail, now } = await started()
  await fail(trace)
  cluster.progress.checkpoint(now() + 1)
  await fail(trace)
  expect((await fail(trace)).status?.restarts?.count).toBe(2)
})

test('restarts that nobody looked between are counted one by one', async () => {
  const { cluster, pass, now } = await started()
  for (const ms of [1, 2, 3]) cluster.progress.restart(now() + ms, trace)
  expect(loop(await pass())?.status).toBe('True')
})

test('a job that takes no checkpoints has got over it when it has run for ten minutes', async () => {
  const { cluster, fail, pass, advance } = await started()
  cluster.progress.checkpointIntervalMs = null
  for (let i = 0; i < 3; i++) await fail(trace)
  advance(590_000)
  expect(loop(await pass())?.status).toBe('True')
  advance(20_000)
  expect(loop(await pass())?.status).toBe('False')
})

test('a job that was never restarted is not asked about it', async () => {
  const { cluster, pass } = await started()
  await pass()
  expect(cluster.progress.asked).toBe(0)
})
