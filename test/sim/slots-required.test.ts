import { expect, test } from 'vitest'
import { endless, SimCluster, simJobGraph } from '../support/sim-cluster.ts'

/** What the operator adds TaskManagers by. */
test('the slots that jobs ask for and nobody has are counted over all jobs, until they are there or not wanted any more', async () => {
  const cluster = new SimCluster({ seed: 1, taskManagers: 1, slots: 2, jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 } })
  const required = () => cluster.jobManager.overview().slotsRequired
  await cluster.start()
  await cluster.ready()
  expect(required()).toBe(0)
  const configuration = { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '10' }
  const graph = { ...simJobGraph('three', [{ name: 'a', parallelism: 3, script: endless }]), configuration }
  const [first, second] = [await cluster.submit(graph), await cluster.submit(graph)]
  await cluster.clock.run(1_000)
  expect(required()).toBe(4)
  cluster.startTaskManager('tm-more')
  await cluster.clock.run(5_000)
  expect(required()).toBe(2)
  await cluster.untilRunning(first)
  cluster.jobManager.cancelJob(second)
  await cluster.clock.run(5_000)
  expect(required()).toBe(0)
  const victim = cluster.taskManagers[0]
  if (victim === undefined) throw new Error('there is a TaskManager')
  cluster.kill(victim)
  expect(await cluster.clock.runUntil(() => required() === 1, 60_000), 'asked for again when they are lost').toBe(true)
})
