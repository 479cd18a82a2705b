import { describe, expect, test } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { FlinkSession } from '../../operator/api/flink-session.ts'
import type { KubeObject } from '../../operator/kube/object-api.ts'
import { flinkSessions } from '../../operator/kube/resources.ts'
import { type CallFault, ManagerWorld } from '../support/manager-world.ts'

/**
 * FlinkJobs on a FlinkSession on simulated time: what a person does to either, and everything that the operator asks of the API server or of the session going wrong in each
 * way, one call after the other. The end is the same.
 */
const object = (kind: string, name: string, spec: object): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind,
  metadata: { name, namespace: 'default' },
  spec,
})
const job = (fields: object = {}) =>
  object('FlinkJob', 'job', { sessionName: 'shared', job: { script: 'export default () => 1', upgradeMode: 'savepoint', ...fields } })
const session = (fields: object = {}) => object('FlinkSession', 'shared', { idleTimeout: '1 s', deletionTimeout: '2 s', ...fields })

const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'
const carriedOut = (generation: number) => (found: FlinkJob | undefined) =>
  running(found) && found?.status?.observedGeneration === generation && found.status.upgrade === undefined
const suspended = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'SUSPENDED'
const recovered = (found: FlinkJob | undefined) => found?.status?.recovery !== undefined
const restored = (kind: string) => (found: FlinkJob | undefined) => found?.status?.restore?.kind === kind
const changed = { script: 'export default () => 2' }

async function sessionOf({ server }: ManagerWorld): Promise<FlinkSession | undefined> {
  return (await server.get(flinkSessions, 'default', 'shared').catch(() => undefined)) as unknown as FlinkSession | undefined
}

async function untilSession(world: ManagerWorld, reached: (found: FlinkSession | undefined) => boolean): Promise<void> {
  for (let n = 0; !reached(await sessionOf(world)); n++) {
    if (n > 20_000) throw new Error(`not reached: ${JSON.stringify(await sessionOf(world))}`)
    await world.clock.run(50)
  }
}

interface Story {
  readonly name: string
  readonly steps: readonly ((world: ManagerWorld) => Promise<unknown>)[]
  readonly end: (found: FlinkJob | undefined) => boolean
  /** Of each start of the job, whether it begins with state. */
  readonly starts: readonly boolean[]
  /** How many TaskManagers there are in the end. */
  readonly taskManagers: number
}

const apply = (wanted: KubeObject) => (world: ManagerWorld) => world.apply(wanted)
const until = (reached: (found: FlinkJob | undefined) => boolean) => (world: ManagerWorld) => world.until(reached)
const begun = [apply(session()), apply(job()), until(running)]

const stories: readonly Story[] = [
  { name: 'a job before its session', steps: [apply(job()), apply(session())], end: running, starts: [false], taskManagers: 1 },
  { name: 'an upgrade with a savepoint', steps: [...begun, apply(job(changed))], end: carriedOut(2), starts: [false, true], taskManagers: 1 },
  {
    name: 'an upgrade from the last state',
    steps: [apply(session()), apply(job({ upgradeMode: 'last-state' })), until(running), apply(job({ ...changed, upgradeMode: 'last-state' }))],
    end: carriedOut(2),
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'suspended and resumed',
    steps: [...begun, apply(job({ state: 'suspended' })), until(suspended), apply(job())],
    end: carriedOut(3),
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a lost JobManager',
    steps: [...begun, async world => world.session.loseJobManager('ended'), until(recovered)],
    end: running,
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a restart of the session',
    steps: [...begun, apply(session({ restartNonce: 1 })), until(restored('savepoint'))],
    end: running,
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a restart of the session under a job that upgrades from its last state',
    steps: [apply(session()), apply(job({ upgradeMode: 'last-state' })), until(running), apply(session({ restartNonce: 1 })), until(recovered)],
    end: running,
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a session that is deleted, and there again',
    steps: [
      ...begun,
      world => world.remove(session()),
      until(suspended),
      world => untilSession(world, found => found === undefined),
      apply(session()),
    ],
    end: running,
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a lost JobManager under a session that is deleted, and there again',
    steps: [
      ...begun,
      world => world.remove(session()),
      world => untilSession(world, found => found?.status?.lifecycleState === 'DELETING'),
      async world => world.session.loseJobManager('ended'),
      until(suspended),
      world => untilSession(world, found => found === undefined),
      apply(session()),
    ],
    end: running,
    starts: [false, true],
    taskManagers: 1,
  },
  {
    name: 'a deleted job',
    steps: [...begun, world => world.remove(job()), until(found => found === undefined)],
    end: found => found === undefined,
    starts: [false],
    taskManagers: 0,
  },
]

const stride = Number(process.env['SEEDS'] || 2_000) < 1_000 ? 7 : 1
const faults: readonly CallFault[] = ['crash-before', 'crash-after', 'lost', 'conflict', 'throttled', 'error', 'hang']

async function tell({ steps, end, starts, taskManagers }: Story, plan: ReadonlyMap<number, CallFault>): Promise<number> {
  const world = new ManagerWorld(plan)
  world.start()
  for (const step of steps) await step(world)
  await world.until(end)
  await untilSession(world, found => found?.status?.lifecycleState === 'STABLE' && found.status.taskManager?.replicas === taskManagers)
  const { calls, session: cluster } = world
  // What was decided may still be on its way.
  for (let n = 0; cluster.taskManagers !== taskManagers && n < 1_000; n++) await world.clock.run(100)
  const where = `${[...plan].join()} ${world.trace[[...plan.keys()][0] ?? 0]}`
  expect(cluster.violations, where).toEqual([])
  expect(cluster.starts, where).toEqual(starts)
  expect(cluster.taskManagers, where).toBe(taskManagers)
  // Until it is quiet, then idle.
  await world.clock.run(5_000)
  const { writes } = world
  await world.clock.run(10_000)
  world.kill()
  expect(world.writes, where).toBe(writes)
  return calls
}

describe.each(stories)('$name, with the operator killed at each call and each call going wrong', story => {
  // Some hundred runs of a story each, on whatever else the machine does.
  test.each(faults)('%s', { timeout: 120_000 }, async fault => {
    const calls = await tell(story, new Map())
    expect(calls).toBeGreaterThan(10)
    for (let at = faults.indexOf(fault) % stride; at < calls; at += stride) await tell(story, new Map([[at, fault]]))
  })
})

test('a session that does not exist: its job says so, and nothing is started', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  const found = await world.until(
    ({ status } = {} as FlinkJob) => status?.conditions.some(({ type, status: value }) => type === 'Degraded' && value === 'True') === true,
  )
  expect(found?.status?.conditions).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ type: 'Ready', status: 'False', message: 'FlinkSession shared does not exist in this namespace' }),
      expect.objectContaining({ type: 'Degraded', reason: 'SessionNotFound', message: 'FlinkSession shared does not exist in this namespace' }),
    ]),
  )
  await world.clock.run(60_000)
  expect([world.session.history, world.session.starts]).toEqual([[], []])
  world.kill()
})

test('a deletion waits for a job that cannot be suspended, names it, and ends when it is forced', async () => {
  const world = new ManagerWorld()
  world.start()
  for (const step of begun) await step(world)
  // It waits for a slot, which allows no savepoint.
  world.session.isShort = true
  for (const known of world.session.jobs.values()) known.state = 'CREATED'
  await world.remove(session())
  const blocked = (found: FlinkSession | undefined) => found?.status?.conditions.find(({ type }) => type === 'DeletionBlocked')
  await untilSession(world, found => blocked(found)?.reason === 'JobsExist')
  expect(blocked(await sessionOf(world))?.message).toMatch(/^waits for its jobs to be deleted or to end: default\/job \(/)
  await untilSession(world, found => blocked(found)?.reason === 'JobsNotSuspended')
  await world.clock.run(600_000)
  expect(blocked(await sessionOf(world))).toMatchObject({ status: 'True', message: expect.stringContaining('it waits for default/job (CREATED)') })
  const { resourceVersion: _, ...metadata } = (await world.server.get(flinkSessions, 'default', 'shared')).metadata
  await world.server.patchMetadata({ ...session(), metadata }, { annotations: { 'millrace.dev/force-delete': 'true' } })
  await untilSession(world, found => found === undefined)
  expect([world.session.jobManager, world.session.taskManagers, world.session.violations]).toEqual(['missing', 0, []])
  // It goes on as soon as there is a session again.
  world.session.isShort = false
  await world.apply(session())
  await world.until(running)
  world.kill()
})

test('a deletion that waits still gives its jobs the slots that they need to be suspended', async () => {
  const world = new ManagerWorld()
  world.start()
  for (const step of begun) await step(world)
  world.session.taskManagers = 0
  for (const known of world.session.jobs.values()) known.state = 'CREATED'
  await world.remove(session())
  await untilSession(world, found => found === undefined)
  expect((await world.job())?.status).toMatchObject({ lifecycleState: 'SUSPENDED', restore: { kind: 'savepoint' } })
  expect(world.session.savepoints).toHaveLength(1)
  world.kill()
})
