import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { endless, SimCluster, type SimVertex, simJobGraph } from '../support/sim-cluster.ts'
import { calmNetwork } from '../support/sim-network.ts'
import { attemptIdOf, FakeSlotHostFactory } from '../support/sim-slot-host.ts'

/** Slot life (seed S4, worked example T2) and the repairs of A4, each on a calm network with one thing going wrong. */
async function cluster(options: { taskManagers?: number; slots?: number; seed?: number } = {}): Promise<SimCluster> {
  const made = new SimCluster({ seed: options.seed ?? 1, taskManagers: options.taskManagers ?? 1, slots: options.slots ?? 2 })
  await made.start()
  await made.ready()
  return made
}

const endlessJob = (name: string, parallelism: number, group?: string) =>
  simJobGraph(name, [{ name: 'work', parallelism, script: endless, ...(group === undefined ? {} : { group }) }])

test('a job whose tasks all finish is FINISHED and its slots are free at once', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(
    simJobGraph('count', [
      { name: 'source', parallelism: 2, splits: 5 },
      { name: 'sink', parallelism: 2 },
    ]),
  )
  await sim.untilState(jobId, 'FINISHED')
  const endedMs = sim.clock.nowMs()
  expect(await sim.clock.runUntil(() => sim.freeSlots === 2, 1_000)).toBe(true)
  expect(sim.clock.nowMs() - endedMs).toBeLessThan(1_000)
  expect(sim.ledger.splits.get(attemptIdOf({ jobId, attempt: 0 }))?.size).toBe(5)
  expect(sim.ledger.deployments.get(attemptIdOf({ jobId, attempt: 0 }))?.map(deployment => deployment.tasks.length)).toEqual([2, 2])
  expect(await sim.jobManager.awaitJobResult(jobId)).toMatchObject({ state: 'FINISHED', failureCause: undefined })
})

test('T2: a second job waits SCHEDULED, and runs at once when the first is cancelled, not after the idle timeout', async () => {
  const sim = await cluster()
  const x = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(x)
  const y = await sim.submit(endlessJob('Y', 2))
  await sim.clock.run(5_000)
  expect(sim.job(y)).toMatchObject({ state: 'RUNNING', taskCounts: { SCHEDULED: 2 }, message: 'needs 2 slots (group default: 2), 0 free' })
  expect(sim.jobManager.cancelJob(x)).toEqual({ kind: 'accepted' })
  const cancelledMs = sim.clock.nowMs()
  await sim.untilRunning(y, 10_000)
  expect(sim.clock.nowMs() - cancelledMs).toBeLessThan(3_000)
  expect(sim.job(x).state).toBe('CANCELED')
  expect(sim.job(y).message).toBeUndefined()
})

test('T2: a lost "slot freed" message is repaired by the next heartbeat', async () => {
  const sim = await cluster()
  const x = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(x)
  sim.network.intercept = method => method === 'slotFreed'
  sim.jobManager.cancelJob(x)
  await sim.untilState(x, 'CANCELED')
  await sim.clock.run(1_000)
  expect(sim.freeSlots).toBe(0)
  expect(await sim.clock.runUntil(() => sim.freeSlots === 2, 10_000)).toBe(true)
})

test('A4: a lost "free slot" message leaves an orphan that the next heartbeat frees', async () => {
  const sim = await cluster()
  const x = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(x)
  sim.network.intercept = method => method === 'freeSlot'
  sim.jobManager.cancelJob(x)
  await sim.untilState(x, 'CANCELED')
  await sim.clock.run(1_000)
  expect(sim.freeSlots).toBe(0)
  expect(await sim.clock.runUntil(() => sim.freeSlots === 2, 15_000)).toBe(true)
})

test('A4: a lost offer is repeated with the next heartbeat', async () => {
  const sim = await cluster()
  let lost = 0
  sim.network.intercept = method => method === 'offerSlots' && lost++ < 2
  const x = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(x, 25_000)
  expect(lost).toBeGreaterThan(2)
})

test('XB11: too few slots: the job names number and group, and fails with NoResourceAvailableException after slot.request.timeout', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(
    simJobGraph('wide', [
      { name: 'a', parallelism: 3, script: endless },
      { name: 'b', parallelism: 2, group: 'red', script: endless },
    ]),
  )
  await sim.clock.run(10_000)
  expect(sim.job(jobId)).toMatchObject({ state: 'RUNNING', message: 'needs 3 slots (group default: 1, group red: 2), 0 free', slotsNeeded: 5 })
  expect(sim.logs.some(({ message }) => message === 'job wide needs 3 slots (group default: 1, group red: 2), 0 free')).toBe(true)
  await sim.untilState(jobId, 'FAILED', 291_000)
  const [exception] = sim.jobManager.exceptions(jobId) ?? []
  expect(exception).toMatchObject({ exceptionName: 'NoResourceAvailableException', taskName: undefined })
  expect(exception?.error.message).toBe(
    'could not acquire the slots of the job within slot.request.timeout (300 s): it needs 3 slots (group default: 1, group red: 2), 0 free, 2 in the cluster',
  )
  expect(await sim.clock.runUntil(() => sim.freeSlots === 2, 1_000)).toBe(true)
})

test('a waiting job starts when the missing TaskManager arrives', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(endlessJob('wide', 4))
  await sim.clock.run(100_000)
  expect(sim.job(jobId).taskCounts.SCHEDULED).toBe(4)
  sim.startTaskManager('late')
  await sim.untilRunning(jobId, 5_000)
  const hosts = sim.jobManager.vertexDetails(jobId, sim.job(jobId).vertices[0]?.id ?? '')?.subtasks.map(subtask => subtask.taskManagerId)
  expect(hosts).toEqual(['tm-0', 'tm-0', 'late', 'late'])
})

test('a waiting job survives the loss of a TaskManager on which it holds slots', async () => {
  const sim = await cluster({ taskManagers: 2 })
  const jobId = await sim.submit(endlessJob('wide', 5))
  await sim.clock.run(5_000)
  const [first] = sim.taskManagers
  if (first !== undefined) sim.kill(first)
  await sim.clock.run(5_000)
  expect(sim.job(jobId)).toMatchObject({ state: 'RUNNING', message: 'needs 3 slots (group default: 3), 0 free' })
  sim.startTaskManager('new-1')
  sim.startTaskManager('new-2')
  await sim.untilRunning(jobId, 10_000)
})

test('taskmanager.load-balance.mode SLOTS spreads a job, NONE fills the first TaskManager', async () => {
  for (const [loadBalanceMode, expected] of [
    ['NONE', ['tm-0', 'tm-0']],
    ['SLOTS', ['tm-0', 'tm-1']],
  ] as const) {
    const sim = new SimCluster({ seed: 3, taskManagers: 2, slots: 2, jobManager: { loadBalanceMode } })
    await sim.start()
    await sim.ready()
    const ids = sim.jobManager.taskManagers().map(view => view.id)
    const jobId = await sim.submit(endlessJob('X', 2))
    await sim.untilRunning(jobId)
    const used = sim.jobManager.vertexDetails(jobId, sim.job(jobId).vertices[0]?.id ?? '')?.subtasks.map(subtask => subtask.taskManagerId)
    expect(used?.map(id => `tm-${ids.indexOf(id)}`)).toEqual(expected)
  }
})

test('a killed TaskManager fails its job at once with that reason, and its log line is in the words of Flink', async () => {
  const sim = await cluster({ taskManagers: 2, slots: 1 })
  const jobId = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(jobId)
  const [, victim] = sim.taskManagers
  if (victim !== undefined) sim.kill(victim)
  const killedMs = sim.clock.nowMs()
  await sim.untilState(jobId, 'FAILED', 5_000)
  expect(sim.clock.nowMs() - killedMs).toBeLessThan(2_000)
  const [exception] = sim.jobManager.exceptions(jobId) ?? []
  expect(exception?.error.code).toBe('TASKMANAGER_LOST')
  expect(exception?.error.message).toBe('TaskManager with id tm-1 is no longer reachable: the other process ended.')
  expect(exception).toMatchObject({ taskManagerId: 'tm-1', endpoint: 'tm-1.test:7000' })
  expect(sim.logs.map(entry => entry.message)).toContainEqual(
    expect.stringMatching(/^work \([12]\/2\) \([0-9a-f]{32}\) switched from RUNNING to FAILED on tm-1 @ tm-1\.test \(dataPort=7000\)\.$/),
  )
  expect(await sim.clock.runUntil(() => sim.freeSlots === 1, 2_000)).toBe(true)
})

test('a stopped TaskManager is noticed by its missing heartbeats; thawed, it registers anew with clean slots', async () => {
  const sim = await cluster({ taskManagers: 1, slots: 1 })
  const jobId = await sim.submit(endlessJob('X', 1))
  await sim.untilRunning(jobId)
  sim.network.freeze('tm-0')
  await sim.clock.run(45_000)
  expect(sim.job(jobId).state).toBe('RUNNING')
  await sim.untilState(jobId, 'FAILED', 30_000)
  expect(sim.jobManager.exceptions(jobId)?.[0]?.error.message).toBe('The heartbeat of TaskManager with id tm-0 timed out.')
  sim.network.thaw('tm-0')
  expect(await sim.clock.runUntil(() => sim.freeSlots === 1, 60_000)).toBe(true)
  expect(sim.ledger.violations).toEqual([])
})

test('a TaskManager whose connection breaks cancels its tasks and comes back', async () => {
  const sim = await cluster({ taskManagers: 1, slots: 2 })
  const jobId = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(jobId)
  sim.network.cut('tm-0')
  await sim.untilState(jobId, 'FAILED', 5_000)
  expect(await sim.clock.runUntil(() => sim.freeSlots === 2, 5_000)).toBe(true)
  const again = await sim.submit(endlessJob('Y', 2))
  await sim.untilRunning(again, 5_000)
})

test('a task that ignores cancel loses its host after task.cancellation.interval, and its neighbours go on', async () => {
  const sim = await cluster()
  const stuck = await sim.submit(simJobGraph('stuck', [{ name: 'loop', parallelism: 1, script: { ...endless, stuck: true } }]))
  const neighbour = await sim.submit(endlessJob('neighbour', 1))
  await sim.untilRunning(stuck)
  await sim.untilRunning(neighbour)
  sim.jobManager.cancelJob(stuck)
  await sim.clock.run(29_000)
  expect(sim.job(stuck).state).toBe('CANCELLING')
  await sim.untilState(stuck, 'CANCELED', 2_000)
  expect(sim.job(neighbour).taskCounts.RUNNING).toBe(1)
  expect(sim.fatal).toEqual([])
})

test('a host that cannot even be terminated ends its TaskManager after task.cancellation.timeout', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(simJobGraph('stuck', [{ name: 'loop', parallelism: 1, script: { ...endless, stuck: true } }]))
  await sim.untilRunning(jobId)
  const hosts = sim.taskManagers[0]?.hosts
  if (hosts instanceof FakeSlotHostFactory) for (const host of hosts.live.values()) host.terminate = () => new Promise(() => {})
  sim.jobManager.cancelJob(jobId)
  await sim.clock.run(179_000)
  expect(sim.fatal).toEqual([])
  await sim.clock.run(2_000)
  expect(sim.fatal[0]?.error.message).toMatch(/did not end within task\.cancellation\.timeout \(180000 ms\)/)
})

test('a host that does not end after its tasks have finished ends its TaskManager too: the slot would be held for ever', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(simJobGraph('short', [{ name: 'one', parallelism: 1, script: { finishAfterMs: 5_000 } }]))
  await sim.untilRunning(jobId)
  const hosts = sim.taskManagers[0]?.hosts
  if (hosts instanceof FakeSlotHostFactory) for (const host of hosts.live.values()) host.terminate = () => new Promise(() => {})
  await sim.untilState(jobId, 'FINISHED')
  await sim.clock.run(190_000)
  expect(sim.fatal).toHaveLength(1)
})

test('a TaskManager that shuts down in order fails the jobs on it, also where other tasks run elsewhere', async () => {
  const sim = await cluster({ taskManagers: 2, slots: 1 })
  const jobId = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(jobId)
  void sim.taskManagers[1]?.executor.close()
  await sim.untilState(jobId, 'FAILED', 5_000)
  expect(sim.jobManager.exceptions(jobId)?.[0]?.error.message).toBe('TaskManager with id tm-1 gave the task up: it is shutting down.')
  expect(await sim.clock.runUntil(() => sim.freeSlots === 1 && sim.jobManager.overview().taskManagers === 1, 5_000)).toBe(true)
})

test('a failing task fails its job with the task named; the others are cancelled first', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(simJobGraph('bad', [{ name: 'map', parallelism: 2, script: { ...endless, failSubtask: 1 } }]))
  await sim.untilState(jobId, 'FAILED', 60_000)
  const { timestamps, taskCounts } = sim.job(jobId)
  expect(taskCounts).toMatchObject({ FAILED: 1, CANCELED: 1 })
  expect(timestamps.FAILING).toBeGreaterThan(timestamps.RUNNING)
  expect(timestamps.FAILED).toBeGreaterThan(timestamps.FAILING)
  expect(sim.jobManager.exceptions(jobId)?.[0]).toMatchObject({
    taskName: 'map (2/2) - execution #0',
    taskManagerId: 'tm-0',
    error: { code: 'USER_FUNCTION' },
  })
  expect(await sim.jobManager.awaitJobResult(jobId)).toMatchObject({ state: 'FAILED', failureCause: { message: 'the script says fail' } })
})

test('submitting is idempotent by job id; another program under the same id is refused', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(endlessJob('X', 1))
  expect(await sim.submit(endlessJob('X', 1), jobId)).toBe(jobId)
  expect(sim.jobManager.listJobs()).toHaveLength(1)
  await expect(sim.submit(endlessJob('X', 2), jobId)).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('cancelling answers for unknown and for ended jobs', async () => {
  const sim = await cluster()
  expect(sim.jobManager.cancelJob('0'.repeat(32))).toEqual({ kind: 'not-found' })
  const jobId = await sim.submit(simJobGraph('short', [{ name: 'one', parallelism: 1 }]))
  await sim.untilState(jobId, 'FINISHED')
  expect(sim.jobManager.cancelJob(jobId)).toEqual({ kind: 'already-terminal', state: 'FINISHED' })
})

test('an ended job is forgotten after completed-application-store.expiration-time', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(simJobGraph('short', [{ name: 'one', parallelism: 1 }]))
  await sim.untilState(jobId, 'FINISHED')
  await sim.clock.run(3_599_000)
  expect(sim.jobManager.jobResult(jobId)).toMatchObject({ kind: 'completed' })
  await sim.clock.run(2_000)
  expect(sim.jobManager.jobResult(jobId)).toBeUndefined()
})

test('jobs that need what is not built are refused by name when they are submitted', async () => {
  const sim = await cluster()
  const graph = simJobGraph('x', [
    { name: 'a', parallelism: 1, splits: 1 },
    { name: 'b', parallelism: 1 },
  ])
  await expect(sim.submit({ ...graph, edges: graph.edges.map(edge => ({ ...edge, exchange: 'blocking' as const })) })).rejects.toThrow(
    /blocking exchange, which jobs that are not in batch mode cannot have/,
  )
  const other = new SimCluster({ seed: 1, taskManagers: 1, slots: 1, enumerators: {} })
  await expect(other.submit(graph)).rejects.toThrow('this jobmanager has no source fake')
})

test('an enumerator that throws fails its job, not the JobManager', async () => {
  const sim = new SimCluster({
    seed: 1,
    taskManagers: 1,
    slots: 1,
    enumerators: {
      fake: () => {
        throw new Error('no such topic')
      },
    },
  })
  await sim.start()
  await sim.ready()
  const jobId = await sim.submit(simJobGraph('x', [{ name: 'a', parallelism: 1, splits: 1 }]))
  await sim.untilState(jobId, 'FAILED', 5_000)
  expect(sim.jobManager.exceptions(jobId)?.[0]?.error.message).toBe('no such topic')
  expect(sim.freeSlots).toBe(1)
})

test('figures of running tasks and the last ones of ended tasks are summed per vertex', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(simJobGraph('count', [{ name: 'source', parallelism: 2, splits: 7 }]))
  await sim.untilState(jobId, 'FINISHED')
  expect(sim.job(jobId).vertices[0]?.metrics).toMatchObject({ writeRecords: 7, complete: true })
})

test('an orderly shut-down cancels the jobs and tells the TaskManagers', async () => {
  const sim = await cluster()
  const jobId = await sim.submit(endlessJob('X', 2))
  await sim.untilRunning(jobId)
  let down = false
  void sim.jobManager.shutDown('SIGTERM').then(() => {
    down = true
  })
  expect(await sim.clock.runUntil(() => down, 12_000)).toBe(true)
  expect(sim.job(jobId).state).toBe('CANCELED')
  await sim.clock.run(500)
  expect(sim.taskManagers[0]?.executor.isRegistered).toBe(false)
  expect(await sim.jobManager.taskManagerStdout('tm-0')).toBeUndefined()
})

test('the tail of a stdout file comes through the connection', async () => {
  const sim = await cluster()
  let text: string | undefined
  void sim.jobManager.taskManagerStdout('tm-0').then(answer => {
    text = answer
  })
  await sim.clock.run(100)
  expect(text).toBe('stdout of tm-0.test')
})

test('a lost TaskManager fails exactly the jobs that run on it, and the slots of the others are free again: 100 seeds', async () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = seededRandom(seed)
    const sim = new SimCluster({ seed, taskManagers: 3, slots: 2, faults: { delayMaxMs: 200, dropChance: 0.1, duplicateChance: 0.2 } })
    await sim.start()
    await sim.ready()
    const vertices = (): SimVertex[] => [{ name: 'work', parallelism: 1 + random.nextInt(2), script: endless }]
    const jobs = [
      await sim.submit(simJobGraph('a', vertices())),
      await sim.submit(simJobGraph('b', vertices())),
      await sim.submit(simJobGraph('c', vertices())),
    ]
    for (const jobId of jobs) await sim.untilRunning(jobId)
    const victim = sim.taskManagers[random.nextInt(3)]
    const usedBy = (jobId: string) =>
      sim.job(jobId).vertices.flatMap(({ id }) => sim.jobManager.vertexDetails(jobId, id)?.subtasks.map(task => task.taskManagerId) ?? [])
    const hit = jobs.filter(jobId => usedBy(jobId).includes(victim?.id ?? ''))
    if (victim !== undefined) sim.kill(victim)
    sim.network.faults = calmNetwork
    await sim.clock.run(60_000)
    for (const jobId of jobs) expect(sim.job(jobId).state, `seed ${seed}`).toBe(hit.includes(jobId) ? 'FAILED' : 'RUNNING')
    for (const jobId of hit)
      expect(sim.jobManager.exceptions(jobId)?.[0]?.error.message).toContain(`TaskManager with id ${victim?.id} is no longer reachable`)
    const survivors = jobs.filter(jobId => !hit.includes(jobId)).reduce((sum, jobId) => sum + sim.job(jobId).slotsNeeded, 0)
    expect(sim.freeSlots, `seed ${seed}`).toBe(4 - survivors)
  }
})

test('one seed gives the same run twice', async () => {
  const run = async () => {
    const sim = new SimCluster({ seed: 42, taskManagers: 2, slots: 2, faults: { delayMaxMs: 500, dropChance: 0.2, duplicateChance: 0.2 } })
    await sim.start()
    await sim.submit(simJobGraph('a', [{ name: 'source', parallelism: 3, splits: 9 }]))
    await sim.clock.run(120_000)
    return sim.logs
  }
  expect(await run()).toEqual(await run())
})
