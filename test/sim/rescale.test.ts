import { describe, expect, test } from 'vitest'
import { assert } from '../../runtime/common/assert.ts'
import type { FlinkError } from '../../runtime/common/errors.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** A running job at other parallelisms, by PUT resource-requirements; test/sim/checkpoints.test.ts does it at random times, among losses. */
const jobId = 'e'.repeat(32)

async function start(client: Readonly<Record<string, string>>, count = 400) {
  const outside = outsides['a sink in memory']()
  const job = {
    client: {
      'parallelism.default': '2',
      'execution.checkpointing.interval': '1 min',
      'execution.checkpointing.dir': 'sim://checkpoints',
      'execution.checkpointing.data-inline-threshold': '0',
      ...client,
    },
    count,
    rowsPerSecond: 40,
    outside,
  }
  const cluster = new EngineCluster({
    seed: 3,
    build: () => buildSums(job),
    taskManagers: 2,
    slots: 2,
    suspendEverywhere: false,
    highAvailability: true,
    sinks: outside.sinks,
  })
  await cluster.start()
  await cluster.submit(buildJobGraph(buildSums(job), { client: job.client }), jobId)
  await cluster.untilRunning(jobId)
  await cluster.clock.run(2_000)
  const to = (upperBound: number, lowerBound = 1) => Object.fromEntries(cluster.job(jobId).vertices.map(({ id }) => [id, { lowerBound, upperBound }]))
  const parallelisms = () => cluster.job(jobId).vertices.map(({ parallelism }) => parallelism)
  const rescaled = async (attempt: number) => {
    if (!(await cluster.clock.runUntil(() => cluster.job(jobId).attempt === attempt, 10_000))) throw new Error('the job was not restarted')
    await cluster.untilRunning(jobId, 10_000)
  }
  return { cluster, job, to, parallelisms, rescaled }
}

describe('a job that runs', () => {
  test('goes on at other parallelisms from a checkpoint taken for it, up, down and up; each result is committed once', async () => {
    const { cluster, job, to, parallelisms, rescaled } = await start({})
    const before = [...job.outside.rows]
    for (const [attempt, parallelism] of [4, 1, 3].entries()) {
      expect(await cluster.jobManager.rescaleJob(jobId, to(parallelism))).toBe(true)
      expect(cluster.jobManager.resourceRequirements(jobId)).toEqual(to(parallelism))
      await rescaled(attempt + 1)
      expect(parallelisms()).toEqual(parallelisms().map(() => parallelism))
      await cluster.clock.run(1_000)
    }
    expect(job.outside.rows.length).toBeGreaterThan(before.length)
    expect(cluster.logs.filter(({ message }) => message.startsWith('completed checkpoint')).length).toBe(3)
    await cluster.untilState(jobId, 'FINISHED')
    expectSums(job)
  })

  test('fifty times in a row: each result is committed once', { timeout: 60_000 }, async () => {
    const { cluster, job, to } = await start({}, 2_000)
    // Readers without splits end at once.
    const runs = (attempt: number) => {
      const { attempt: now, taskCounts, tasksTotal } = cluster.job(jobId)
      return now === attempt && taskCounts.RUNNING + taskCounts.FINISHED === tasksTotal
    }
    for (let attempt = 1; attempt <= 50; attempt++) {
      expect(await cluster.jobManager.rescaleJob(jobId, to([4, 1, 3, 2][attempt % 4] ?? 1))).toBe(true)
      expect(await cluster.clock.runUntil(() => runs(attempt), 10_000), `attempt ${attempt}`).toBe(true)
    }
    expect(job.outside.rows.length).toBeLessThan(job.count)
    await cluster.untilState(jobId, 'FINISHED')
    expectSums(job)
  })

  test('takes as many as there are slots for, and stays so over another JobManager', async () => {
    const { cluster, job, to, parallelisms, rescaled } = await start({})
    await cluster.jobManager.rescaleJob(jobId, to(7, 2))
    await rescaled(1)
    expect(parallelisms()[0]).toBe(4)
    await cluster.replaceJobManager()
    await cluster.untilRunning(jobId)
    expect([parallelisms()[0], cluster.jobManager.resourceRequirements(jobId)]).toEqual([4, to(7, 2)])
    await cluster.jobManager.rescaleJob(jobId, to(3))
    await rescaled(1)
    await cluster.replaceJobManager()
    await cluster.untilRunning(jobId)
    expect(parallelisms()[0]).toBe(3)
    await cluster.untilState(jobId, 'FINISHED')
    expectSums(job)
  })

  test('whose TaskManager is lost before the checkpoint is there goes on from the one before, at the new parallelisms', async () => {
    const { cluster, job, to, parallelisms, rescaled } = await start({
      'execution.checkpointing.interval': '500 ms',
      'restart-strategy.type': 'fixed-delay',
    })
    await cluster.jobManager.rescaleJob(jobId, to(1))
    const [victim] = cluster.taskManagers
    assert(victim !== undefined, 'there are two')
    cluster.kill(victim)
    await rescaled(1)
    expect(parallelisms()).toEqual(parallelisms().map(() => 1))
    expect(cluster.logs.filter(({ message }) => message.includes('is restarted with other parallelisms')).length).toBe(1)
    await cluster.untilState(jobId, 'FINISHED')
    expectSums(job)
  })

  test.each([
    [
      'as a batch job',
      { 'execution.runtime-mode': 'BATCH', 'execution.batch-shuffle-mode': 'ALL_EXCHANGES_PIPELINED' },
      4,
      1,
      'UNSUPPORTED',
      'it cannot be rescaled without losing its state',
    ],
    ['with fewer slots than its lower bounds', {}, 7, 5, 'CONFLICT', 'there are 4 slots for it, fewer than its lower bounds need'],
    ['above its max parallelism', {}, 200, 1, 'INVALID_ARGUMENT', 'expected 1 <= lowerBound <= upperBound <= 128 (its max parallelism)'],
  ] as const)('is left alone %s, and the answer says why', async (_what, client, upper, lower, code, message) => {
    const { cluster, to, parallelisms } = await start(client)
    const error = await cluster.jobManager.rescaleJob(jobId, to(upper, lower)).catch((thrown: FlinkError) => thrown)
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) })
    await cluster.clock.run(2_000)
    expect([cluster.job(jobId).attempt, cluster.job(jobId).state, parallelisms()[0]]).toEqual([0, 'RUNNING', 2])
  })
})
