import { expect, test } from 'vitest'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** Task-local recovery on simulated time: who comes back where he was reads what is there, everybody else the store. */
const recovery = { 'execution.checkpointing.local-backup.enabled': 'true', 'execution.state-recovery.from-local': 'true' }

async function clusterWith(configuration: Readonly<Record<string, string>>) {
  const client = {
    'parallelism.default': '2',
    'execution.checkpointing.interval': '300 ms',
    'execution.checkpointing.dir': 'sim://checkpoints',
    'execution.checkpointing.data-inline-threshold': '0',
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '10',
    'restart-strategy.fixed-delay.delay': '100 ms',
    ...configuration,
  }
  const job = { client, count: 1_000, rowsPerSecond: 100, outside: outsides['a sink in memory']() }
  const cluster = new EngineCluster({
    seed: 5,
    build: () => buildSums(job),
    taskManagers: 3,
    slots: 1,
    suspendEverywhere: false,
    localCopies: true,
  })
  const reads: { readonly node: string; readonly text: string }[] = []
  cluster.onStoreCall = ({ node, text }, phase) => {
    if (phase === 'before' && text.startsWith('read') && text.includes('/shared/')) reads.push({ node, text })
  }
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(buildSums(job), { client }))
  await cluster.untilRunning(jobId)
  await cluster.clock.run(3_000)
  const used = () => [...new Set(cluster.job(jobId).vertices.flatMap(({ id }) => cluster.jobManager.vertexDetails(jobId, id)?.subtasks ?? []).map(({ taskManagerId }) => taskManagerId))].sort() // biome-ignore format: one chain
  const taskManager = (id: string) => {
    const found = cluster.taskManagers.find(candidate => candidate.id === id)
    if (found === undefined) throw new Error(`there is no ${id}`)
    return found
  }
  /** Of two that run tasks the first is lost. */
  const loseOne = async () => {
    const [lost = '', stays = ''] = used()
    cluster.kill(taskManager(lost))
    await cluster.untilState(jobId, 'RESTARTING')
    return { lost, stays, isBack: () => cluster.untilRunning(jobId) }
  }
  const finish = async () => {
    expect(await cluster.clock.runUntil(() => cluster.jobManager.jobResult(jobId)?.kind === 'completed', 900_000)).toBe(true)
    expectSums(job)
    await cluster.clock.run(10_000)
    for (const { id, alive, copies } of cluster.taskManagers) if (alive) expect([...copies.keys()], `nothing is left on ${id}`).toEqual([])
  }
  /** What tasks have read their state from, by TaskManager. */
  const paths = () =>
    cluster.logs
      .filter(({ message }) => message === 'the state of a task was read')
      .map(({ fields }) => [fields['taskManagerId'], Number(fields['localCopies']) > 0, Number(fields['storeObjects']) > 0])
      .sort()
  return { cluster, used, taskManager, reads, loseOne, finish, paths }
}

test('of two TaskManagers one is lost: the tasks of the other one come back where they were and never ask the store', async () => {
  const { cluster, used, taskManager, reads, loseOne, finish, paths } = await clusterWith(recovery)
  const before = used()
  for (const id of before) expect(taskManager(id).copies.size, 'there are copies, and only of the newest checkpoints').toBeGreaterThan(0)
  for (const id of before) expect(taskManager(id).copies.size).toBeLessThan(12)
  const { lost, stays, isBack } = await loseOne()
  await isBack()
  expect(used()).toContain(stays)
  expect(used()).not.toContain(lost)
  const [fresh = ''] = used().filter(id => id !== stays)
  expect([...new Set(reads.map(({ node }) => node))]).toEqual([fresh])
  expect(new Set(paths().map(path => path.join()))).toEqual(new Set([`${stays},true,false`, `${fresh},false,true`]))
  expect(cluster.logs.filter(({ level }) => level === 'warn').map(({ message }) => message)).not.toContain(
    'a local copy of state is damaged; it is read from the store',
  )
  await finish()
})

test('copies that are damaged are read from the store instead, and the log says so', async () => {
  const { cluster, taskManager, reads, loseOne, finish, paths } = await clusterWith(recovery)
  const { stays, isBack } = await loseOne()
  const { copies } = taskManager(stays)
  for (const [path, bytes] of copies) copies.set(path, path.length % 2 === 0 ? bytes.subarray(1) : bytes.map(byte => byte ^ 1))
  await isBack()
  expect(reads.map(({ node }) => node)).toContain(stays)
  expect(paths().map(path => path.join())).toContain(`${stays},false,true`)
  expect(cluster.logs.map(({ message }) => message)).toContain('a local copy of state is damaged; it is read from the store')
  await finish()
})

test.each([
  ['copies are not kept', {}, false],
  ['they are kept, and not to be read', { 'execution.checkpointing.local-backup.enabled': 'true' }, true],
])('where %s the store is read', async (_what, configuration, kept) => {
  const { taskManager, used, reads, loseOne, finish } = await clusterWith(configuration)
  for (const id of used()) expect(taskManager(id).copies.size > 0).toBe(kept)
  const { stays, isBack } = await loseOne()
  await isBack()
  expect(reads.map(({ node }) => node)).toContain(stays)
  await finish()
})
