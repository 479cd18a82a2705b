import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { JsonObject } from '../../runtime/common/json.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { endless, inStages, SimCluster, type SimTaskManager, type SimVertex, simJobGraph } from '../support/sim-cluster.ts'
import { calmNetwork, type NetworkFaults } from '../support/sim-network.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'
import { attemptIdOf, FakeSlotHostFactory } from '../support/sim-slot-host.ts'

/** Whole control plane under random faults: every run is made from one seed, and a failure names it. */
const seeds = simSeeds(200)
const chunkSize = 50
const terminal = ['FINISHED', 'FAILED', 'CANCELED']
const restartOptions: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '3', 'restart-strategy.fixed-delay.delay': '2 s' },
  { 'restart-strategy.type': 'exponential-delay', 'restart-strategy.exponential-delay.attempts-before-reset-backoff': '6' },
]

describe('control plane under faults', () => {
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`every job ends, no slot is doubled or leaked, no split is lost: seeds ${chunk[0]} to ${chunk.at(-1)}`, { timeout: 120_000 }, () =>
      forSeeds(chunk, simulate),
    )
  }
})

test('a job that lost a TaskManager names it, also where a neighbour lost its data connection before the JobManager noticed', async () => {
  let noticedFirst = 0
  for (let seed = 0; seed < 20; seed++) {
    const cluster = new SimCluster({ seed, taskManagers: 2, slots: 1, faults: { delayMaxMs: 50, dropChance: 0, duplicateChance: 0 } })
    await cluster.start()
    const jobId = await cluster.submit(simJobGraph('wide', [{ name: 'source', parallelism: 2, splits: 1, script: endless }]))
    await cluster.untilRunning(jobId)
    const [lost] = cluster.taskManagers
    if (lost === undefined) throw new Error('a cluster has TaskManagers')
    cluster.kill(lost)
    breakConnections(cluster, jobId, lost)
    await cluster.untilState(jobId, 'FAILED')
    const message = `TaskManager with id ${lost.id} is no longer reachable`
    expect((await cluster.jobManager.awaitJobResult(jobId))?.failureCause?.message).toContain(message)
    const [entry] = cluster.jobManager.exceptions(jobId) ?? []
    expect(entry).toMatchObject({ error: { code: 'TASKMANAGER_LOST' }, taskManagerId: lost.id })
    const [symptom] = entry?.concurrentExceptions ?? []
    if (entry !== undefined && symptom?.error.code === 'CONNECTION_LOST' && symptom.timestampMs < entry.timestampMs) noticedFirst++
  }
  expect(noticedFirst, 'both orders came about').toBeGreaterThan(0)
  expect(noticedFirst, 'both orders came about').toBeLessThan(20)
})

test('the code of a job comes over the control connection, in parts; what is not there, or nobody to ask, is said', async () => {
  const cluster = new SimCluster({ seed: 1, taskManagers: 1, slots: 1, faults: calmNetwork })
  await cluster.start()
  const [{ executor } = { executor: undefined }] = cluster.taskManagers
  const of = (digest: string) => ({ digest, entry: 'default' })
  await expect(executor?.fetchArtifact(of('ab'))).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  await cluster.clock.runUntil(() => executor?.isRegistered === true, 60_000)
  // Two whole parts and a byte.
  const bytes = new Uint8Array(2 * 4 * 2 ** 20 + 1).map((_, n) => n * 7)
  const digest = createHash('sha256').update(bytes).digest('hex')
  await cluster.jobManager.putArtifact(digest, bytes)
  const fetched = executor?.fetchArtifact(of(digest))
  await cluster.clock.run(10_000)
  expect(Buffer.compare(Buffer.from((await fetched) ?? []), bytes)).toBe(0)
  const missing = executor?.fetchArtifact(of('ab'))
  missing?.catch(() => {})
  await cluster.clock.run(10_000)
  await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'code bundle ab does not exist' })
})

async function simulate(seed: number): Promise<void> {
  const random = seededRandom(seed * 7 + 1)
  const faults: NetworkFaults = {
    delayMaxMs: 1 + random.nextInt(2_000),
    dropChance: random.nextInt(3) === 0 ? 0 : random.next() * 0.3,
    duplicateChance: random.next() * 0.3,
  }
  const cluster = new SimCluster({
    seed,
    taskManagers: 1 + random.nextInt(4),
    slots: 1 + random.nextInt(4),
    faults,
    jobManager: {
      loadBalanceMode: random.nextInt(2) === 0 ? 'NONE' : 'SLOTS',
      slotRequestTimeoutMs: random.nextInt(3) === 0 ? 40_000 : 300_000,
    },
  })
  await cluster.start()
  const jobs: string[] = []
  const restarting = new Set<string>()
  const lostWhileDeployed: { jobId: string; taskManagerId: string }[] = []
  for (let i = 1 + random.nextInt(4); i > 0; i--) {
    const configuration = restartOptions[random.nextInt(restartOptions.length)] ?? {}
    const graph = simJobGraph(`job-${i}`, randomVertices(random))
    const jobId = await cluster.submit({ ...(random.nextInt(3) === 0 ? inStages(graph) : graph), configuration })
    jobs.push(jobId)
    if (configuration['restart-strategy.type'] !== undefined) restarting.add(jobId)
    if (random.nextInt(3) === 0) cluster.clock.schedule(random.next() * 60_000, () => cluster.jobManager.cancelJob(jobId))
  }
  for (const taskManager of [...cluster.taskManagers]) planTrouble(cluster, taskManager, random, lostWhileDeployed)

  // Then the network calms down, and everything must end.
  await cluster.clock.run(90_000)
  cluster.network.faults = calmNetwork
  for (const { id } of cluster.taskManagers) cluster.network.thaw(id)
  await cluster.clock.run(120_000)
  // Whatever runs without end has had its time.
  for (const jobId of jobs) cluster.jobManager.cancelJob(jobId)
  const ended = await cluster.clock.runUntil(() => jobs.every(jobId => terminal.includes(cluster.job(jobId).state)), 600_000)
  expect(ended, `jobs end: ${jobs.map(jobId => cluster.job(jobId).state)}`).toBe(true)
  for (const { jobId, taskManagerId } of lostWhileDeployed) {
    const entries = cluster.jobManager.exceptions(jobId) ?? []
    const entry = restarting.has(jobId) ? entries.find(({ error }) => error.message.includes(taskManagerId)) : entries.at(-1)
    if (restarting.has(jobId)) expect(cluster.job(jobId).attempt, 'a job that lost a TaskManager is restarted').toBeGreaterThan(0)
    else expect(cluster.job(jobId).state, 'a job that lost a TaskManager fails').toBe('FAILED')
    expect(entry?.error.code).toBe('TASKMANAGER_LOST')
    expect(entry?.error.message).toContain(taskManagerId)
  }

  await cluster.clock.run(300_000)
  const alive = cluster.taskManagers.filter(taskManager => taskManager.alive)
  expect(cluster.ledger.violations).toEqual([])
  expect(cluster.fatal.filter(({ taskManagerId }) => alive.some(({ id }) => id === taskManagerId))).toEqual([])
  expect(cluster.jobManager.overview()).toMatchObject({ taskManagers: alive.length, jobsRunning: 0 })
  expect(cluster.freeSlots, 'all slots of the living are free').toBe(cluster.jobManager.overview().slotsTotal)
  for (const { hosts } of alive) {
    if (!(hosts instanceof FakeSlotHostFactory)) continue
    expect(hosts.live.size, 'no host is left').toBe(0)
    expect(hosts.wired.size, 'no channel is left').toBe(0)
    expect(hosts.results.size, 'no blocking result is left').toBe(0)
  }
  for (const jobId of jobs) {
    checkSplits(cluster, jobId)
    checkSlots(cluster, jobId)
  }
}

/** A reader never gets a split twice, and a finished job has read every one. */
function checkSplits(cluster: SimCluster, jobId: string): void {
  const { attempt, jobGraph } = cluster.job(jobId)
  const attempts = Array.from(
    { length: attempt + 1 },
    (_, i) => cluster.ledger.splits.get(attemptIdOf({ jobId, attempt: i })) ?? new Map<string, number>(),
  )
  const inParts = attempt > 0 && hasRegions(jobGraph)
  if (!inParts)
    for (const [i, splits] of attempts.entries())
      for (const [splitId, count] of splits) expect(count, `${splitId} was handed out once in attempt ${i}`).toBe(1)
  const seen = inParts ? new Set(attempts.flatMap(splits => [...splits.keys()])) : (attempts.at(-1) ?? new Map<string, number>())
  const source = jobGraph['vertices'] as readonly { operators: readonly { source?: { options: { splits: number } } }[] }[]
  const splits = source[0]?.operators[0]?.source?.options.splits
  if (splits !== undefined && cluster.job(jobId).state === 'FINISHED') expect(seen.size, 'all splits were read').toBe(splits)
}

/** What finished ran in exactly the slots of its plan: per stage and group the largest parallelism, each subtask once. */
function checkSlots(cluster: SimCluster, jobId: string): void {
  const { state, attempt, jobGraph, slotsNeeded, tasksTotal } = cluster.job(jobId)
  if (state !== 'FINISHED') return
  const isLazy = jobGraph['scheduling'] === 'lazy-from-sources'
  if (attempt > 0 && hasRegions(jobGraph)) return
  const deployments = cluster.ledger.deployments.get(attemptIdOf({ jobId, attempt })) ?? []
  const stages = isLazy ? [...Map.groupBy(deployments, ({ tasks }) => tasks[0]?.vertex.id).values()] : [deployments]
  expect(Math.max(...stages.map(stage => new Set(stage.map(({ allocationId }) => allocationId)).size)), 'slots taken').toBe(slotsNeeded)
  const subtasks = deployments.flatMap(deployment => deployment.tasks.map(task => `${task.vertex.id}/${task.subtaskIndex}`))
  expect(subtasks.length).toBe(tasksTotal)
  expect(new Set(subtasks).size).toBe(subtasks.length)
}

/** Parts of it run anew on their own, each counting its own attempts. */
function hasRegions(jobGraph: JsonObject): boolean {
  return jobGraph['scheduling'] === 'lazy-from-sources' || (jobGraph['vertices'] as readonly unknown[]).length === 1
}

function randomVertices(random: ReturnType<typeof seededRandom>): SimVertex[] {
  return Array.from({ length: 1 + random.nextInt(3) }, (_, index) => ({
    name: `vertex-${index}`,
    parallelism: 1 + random.nextInt(4),
    ...(random.nextInt(4) === 0 ? { group: 'red' } : {}),
    ...(index === 0 ? { splits: random.nextInt(8) } : {}),
    script: {
      ...(random.nextInt(5) === 0 ? endless : { finishAfterMs: random.nextInt(20_000) }),
      failSubtask: random.nextInt(6) === 0 ? 0 : null,
      failAfterMs: random.nextInt(5_000),
      stuck: random.nextInt(8) === 0,
    },
  }))
}

/** The tasks that exchange records with it notice that it has closed its sockets. */
function breakConnections(cluster: SimCluster, jobId: string, taskManager: SimTaskManager): void {
  const error = new FlinkError('CONNECTION_LOST', `connection to TaskManager ${taskManager.id} was lost: the peer closed it`)
  for (const { hosts } of cluster.taskManagers.filter(other => other.alive && other !== taskManager)) {
    if (hosts instanceof FakeSlotHostFactory) for (const host of hosts.live.values()) host.fail(jobId, error)
  }
}

function planTrouble(
  cluster: SimCluster,
  taskManager: SimTaskManager,
  random: ReturnType<typeof seededRandom>,
  lost: { jobId: string; taskManagerId: string }[],
): void {
  const kind = random.nextInt(8)
  const atMs = 500 + random.next() * 60_000
  cluster.clock.schedule(atMs, () => {
    if (kind === 0) {
      for (const { jobId, state, taskCounts } of cluster.jobManager.listJobs()) {
        // Only where every task still runs is it certain that nothing else ends the job first.
        if (state !== 'RUNNING' || taskCounts.RUNNING === 0) continue
        const here = cluster.job(jobId).vertices.flatMap(({ id }) => cluster.jobManager.vertexDetails(jobId, id)?.subtasks ?? [])
        const endsItself = here.every(subtask => !(subtask.taskManagerId === taskManager.id && subtask.status === 'RUNNING'))
        if (!endsItself && here.every(subtask => subtask.status === 'RUNNING') && cluster.network.faults.delayMaxMs < 100)
          lost.push({ jobId, taskManagerId: taskManager.id })
        // The neighbours may notice before the JobManager does.
        if (!endsItself) breakConnections(cluster, jobId, taskManager)
      }
      cluster.kill(taskManager)
      if (random.nextInt(2) === 0) cluster.clock.schedule(random.next() * 30_000, () => cluster.startTaskManager(`${taskManager.id}-replacement`))
    }
    if (kind === 1) cluster.network.freeze(taskManager.id)
    if (kind === 2) cluster.network.cut(taskManager.id)
  })
}
