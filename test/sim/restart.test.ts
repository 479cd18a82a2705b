import { expect, test } from 'vitest'
import { type ErrorCode, FlinkError } from '../../runtime/common/errors.ts'
import { endless, SimCluster, type SimVertex, simJobGraph } from '../support/sim-cluster.ts'
import { attemptIdOf, FakeSlotHostFactory } from '../support/sim-slot-host.ts'

/** Jobs that fail and come back, each on a calm network with one thing going wrong; control-plane.test.ts has everything at once. */
async function cluster(options: { taskManagers?: number; slots?: number } = {}): Promise<SimCluster> {
  const made = new SimCluster({ seed: 1, taskManagers: options.taskManagers ?? 1, slots: options.slots ?? 2 })
  await made.start()
  await made.ready()
  return made
}

const fixedDelay = (attempts: number, delay = '5 s') => ({
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': String(attempts),
  'restart-strategy.fixed-delay.delay': delay,
})

const submit = (sim: SimCluster, vertices: readonly SimVertex[], configuration: Readonly<Record<string, string>>) =>
  sim.submit({ ...simJobGraph('job', vertices), configuration })

const allocations = (sim: SimCluster, jobId: string, attempt: number) =>
  (sim.ledger.deployments.get(attemptIdOf({ jobId, attempt })) ?? []).map(({ allocationId }) => allocationId).sort()

function failAll(sim: SimCluster, jobId: string, code: ErrorCode): void {
  for (const { hosts } of sim.taskManagers) {
    if (hosts instanceof FakeSlotHostFactory) for (const host of hosts.live.values()) host.fail(jobId, new FlinkError(code, 'as the test wants it'))
  }
}

test('a job that loses a TaskManager goes on in the slots that are left, after the delay, and reads its input anew', async () => {
  const sim = await cluster({ taskManagers: 2 })
  const vertices = [
    { name: 'source', parallelism: 2, splits: 4, script: endless },
    { name: 'work', parallelism: 2, script: endless },
  ]
  const jobId = await submit(sim, vertices, fixedDelay(1))
  await sim.untilRunning(jobId)
  await sim.clock.run(10_000)
  const [first] = sim.taskManagers
  if (first === undefined) throw new Error('a cluster has TaskManagers')
  sim.kill(first)
  await sim.untilState(jobId, 'RESTARTING')
  const failedMs = sim.clock.nowMs()
  await sim.untilState(jobId, 'RUNNING')
  expect(sim.clock.nowMs() - failedMs).toBeGreaterThanOrEqual(5_000)
  await sim.untilRunning(jobId, 10_000)
  expect(sim.job(jobId)).toMatchObject({ attempt: 1, restartStrategy: 'Restart with fixed delay (5000 ms). #1 restart attempts.' })
  for (const { id } of sim.job(jobId).vertices) {
    for (const subtask of sim.jobManager.vertexDetails(jobId, id)?.subtasks ?? [])
      expect(subtask).toMatchObject({ attempt: 1, status: 'RUNNING', taskManagerId: 'tm-1' })
  }
  await sim.clock.run(10_000)
  for (const attempt of [0, 1]) expect(sim.ledger.splits.get(attemptIdOf({ jobId, attempt }))?.size, `attempt ${attempt}`).toBe(4)
  const entries = sim.jobManager.exceptions(jobId) ?? []
  expect(entries.map(({ error }) => error.code)).toEqual(['TASKMANAGER_LOST'])
  expect(sim.jobManager.jobResult(jobId)).toEqual({ kind: 'in-progress' })
})

test('a job that fails again and again keeps its slots, and is FAILED with the last failure when the strategy says so', async () => {
  const sim = await cluster()
  const vertices = [
    { name: 'source', parallelism: 2, splits: 2, script: endless },
    { name: 'work', parallelism: 2, script: { failSubtask: 0, failAfterMs: 1_000 } },
  ]
  const jobId = await submit(sim, vertices, fixedDelay(2))
  await sim.untilState(jobId, 'FAILED')
  expect(sim.job(jobId).attempt).toBe(2)
  const exceptions = sim.jobManager.exceptions(jobId) ?? []
  expect(exceptions.map(({ taskName }) => taskName)).toEqual([2, 1, 0].map(attempt => `work (1/2) - execution #${attempt}`))
  const failedMs = exceptions.map(({ timestampMs }) => timestampMs).reverse()
  for (const [i, later] of failedMs.slice(1).entries()) expect(later - (failedMs[i] ?? 0)).toBeGreaterThanOrEqual(6_000)
  expect(allocations(sim, jobId, 0)).toHaveLength(2)
  expect(allocations(sim, jobId, 1)).toEqual(allocations(sim, jobId, 0))
  expect(allocations(sim, jobId, 2)).toEqual(allocations(sim, jobId, 0))
  expect((await sim.jobManager.awaitJobResult(jobId))?.failureCause?.message).toBe('the script says fail')
  await sim.clock.run(1_000)
  expect(sim.freeSlots).toBe(2)
  expect(sim.ledger.violations).toEqual([])
})

test('one that nothing is set for fails at once', async () => {
  const sim = await cluster()
  const jobId = await submit(sim, [{ name: 'work', parallelism: 1, script: { failSubtask: 0 } }], {})
  await sim.untilState(jobId, 'FAILED')
  expect(sim.job(jobId)).toMatchObject({ attempt: 0, restartStrategy: 'Restart deactivated.' })
})

test.each([
  ['USER_FUNCTION', 'RESTARTING'],
  ['OUT_OF_MEMORY', 'RESTARTING'],
  ['GRAPH_MISMATCH', 'FAILED'],
  ['UNSUPPORTED_VALUE', 'FAILED'],
] as const)('%s makes it %s: what would fail again the same way is not tried again', async (code, state) => {
  const sim = await cluster()
  const jobId = await submit(sim, [{ name: 'work', parallelism: 2, script: endless }], fixedDelay(5))
  await sim.untilRunning(jobId)
  failAll(sim, jobId, code)
  await sim.untilState(jobId, state)
  expect(sim.jobManager.exceptions(jobId)?.[0]?.error.code).toBe(code)
})

test('where the last tasks of an attempt end by the loss of their TaskManager, the next attempt does not ask for its slots', async () => {
  const sim = await cluster({ taskManagers: 2, slots: 2 })
  // Two slots of the first, one of the second; one of the second is free.
  const vertices = [
    { name: 'source', parallelism: 3, splits: 3, script: endless },
    { name: 'work', parallelism: 3, script: endless },
  ]
  const jobId = await submit(sim, vertices, fixedDelay(1, '1 s'))
  await sim.untilRunning(jobId)
  const [frozen, other] = sim.taskManagers
  if (frozen === undefined || other === undefined) throw new Error('a cluster has two TaskManagers')
  sim.network.freeze(frozen.id)
  if (other.hosts instanceof FakeSlotHostFactory)
    for (const host of other.hosts.live.values()) host.fail(jobId, new FlinkError('USER_FUNCTION', 'as the test wants it'))
  await sim.untilState(jobId, 'RESTARTING')
  await sim.clock.run(10_000)
  // The delay is over, and the tasks that nobody hears of are not.
  expect(sim.job(jobId)).toMatchObject({ state: 'RESTARTING', attempt: 0 })
  await sim.untilState(jobId, 'RUNNING')
  await sim.clock.run(10_000)
  expect(sim.job(jobId)).toMatchObject({ state: 'RUNNING', attempt: 1, message: 'needs 1 slot (group default: 1), 0 free' })
  sim.startTaskManager('tm-next')
  await sim.untilRunning(jobId, 60_000)
  expect(sim.job(jobId).attempt).toBe(1)
})

test('while it waits for its delay, or for slots, it can be cancelled at once', async () => {
  const sim = await cluster()
  const waiting = await submit(sim, [{ name: 'work', parallelism: 1, script: { failSubtask: 0 } }], fixedDelay(5, '10 min'))
  await sim.untilState(waiting, 'RESTARTING')
  await sim.clock.run(60_000)
  expect(sim.job(waiting).state).toBe('RESTARTING')
  expect(sim.jobManager.cancelJob(waiting)).toEqual({ kind: 'accepted' })
  expect(sim.job(waiting).state).toBe('CANCELED')
  await sim.clock.run(1_200_000)
  expect(sim.job(waiting)).toMatchObject({ state: 'CANCELED', attempt: 0 })
  expect(sim.freeSlots).toBe(2)
})

test('where no slot is left it waits for a TaskManager, says what it needs, and goes on in it', async () => {
  const sim = await cluster()
  const jobId = await submit(sim, [{ name: 'work', parallelism: 2, script: endless }], fixedDelay(3))
  await sim.untilRunning(jobId)
  const [only] = sim.taskManagers
  if (only === undefined) throw new Error('a cluster has TaskManagers')
  sim.kill(only)
  await sim.untilState(jobId, 'RESTARTING')
  await sim.untilState(jobId, 'RUNNING')
  await sim.clock.run(20_000)
  expect(sim.job(jobId)).toMatchObject({
    state: 'RUNNING',
    attempt: 1,
    taskCounts: { SCHEDULED: 2 },
    message: 'needs 2 slots (group default: 2), 0 free',
  })
  sim.startTaskManager('tm-next')
  await sim.untilRunning(jobId, 60_000)
  expect(sim.job(jobId).attempt).toBe(1)
})

test('a job whose tasks had partly finished begins with all of them again', async () => {
  const sim = await cluster()
  const vertices = [
    { name: 'short', parallelism: 1, script: { finishAfterMs: 500 } },
    { name: 'long', parallelism: 1, script: { finishAfterMs: 20_000 } },
  ]
  const jobId = await submit(sim, vertices, fixedDelay(1))
  await sim.clock.runUntil(() => sim.job(jobId).taskCounts.FINISHED === 1, 60_000)
  failAll(sim, jobId, 'USER_FUNCTION')
  await sim.untilState(jobId, 'RESTARTING')
  await sim.untilState(jobId, 'FINISHED')
  expect(sim.job(jobId)).toMatchObject({ attempt: 1, taskCounts: { FINISHED: 2 } })
  expect(await sim.jobManager.awaitJobResult(jobId)).toMatchObject({ state: 'FINISHED', failureCause: undefined })
})
