import { expect, test } from 'vitest'
import type { FlinkSession, FlinkSessionSpec } from '../api/flink-session.ts'
import type { Action, ObservedCluster } from '../effects/actions.ts'
import { decideSession } from './decide.ts'
import type { ObservedSession, SessionJob, SessionLoad } from './input.ts'

const spec: FlinkSessionSpec = {
  cluster: { flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2' } },
  slotsPerTaskManager: 2,
  minTaskManagers: 0,
  maxTaskManagers: 3,
  idleTimeoutMs: 60_000,
  deletionTimeoutMs: 300_000,
  deletionPolicy: 'Wait',
}
const idle: SessionLoad = { slotsRequired: 0, slotsTotal: 0, busyUpTo: 0 }

/** A session in a world that does what it is told, a pass at a time. */
class World {
  nowMs = 0
  session: FlinkSession
  jobManager: ObservedCluster['jobManager'] = { kind: 'missing' }
  taskManagers = 0
  load: SessionLoad | undefined = idle
  jobs: readonly SessionJob[] = []
  writes = 0
  readonly acted: Action['kind'][] = []

  constructor(overrides: Partial<FlinkSessionSpec> = {}) {
    const metadata = { name: 'shared', namespace: 'default', generation: 1, resourceVersion: '1', uid: 'u' }
    this.session = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkSession', metadata, spec: { ...spec, ...overrides } }
  }

  pass(): FlinkSession {
    const observed: ObservedSession = {
      cluster: { jobManager: this.jobManager, taskManagers: { running: this.taskManagers, ended: [] } },
      load: this.jobManager.kind === 'ready' ? this.load : undefined,
      jobs: this.jobs,
    }
    const { status, actions, requeueAfterMs } = decideSession({ session: this.session, observed, nowMs: this.nowMs })
    if (JSON.stringify(status) !== JSON.stringify(this.session.status)) this.writes++
    this.session = { ...this.session, status }
    for (const action of actions) this.act(action)
    this.nowMs += requeueAfterMs
    return this.session
  }

  private act(action: Action): void {
    this.acted.push(action.kind)
    if (action.kind === 'startJobManager') this.jobManager = { kind: 'ready', webAddress: 'http://session' }
    else if (action.kind === 'stopJobManager') this.jobManager = { kind: 'missing' }
    else if (action.kind === 'startTaskManagers') this.taskManagers = action.replicas
    else if (action.kind === 'stopTaskManagers') this.taskManagers = action.keep ?? 0
    if (this.load !== undefined) this.load = { ...this.load, slotsTotal: this.taskManagers * this.session.spec.slotsPerTaskManager }
  }

  until(reached: (session: FlinkSession) => boolean): FlinkSession {
    for (let i = 0; i < 1_000; i++) {
      const session = this.pass()
      if (reached(session)) return session
    }
    throw new Error(`not reached: ${JSON.stringify(this.session.status)}`)
  }

  stable(): FlinkSession {
    return this.until(({ status }) => status?.lifecycleState === 'STABLE')
  }

  edit(change: Partial<FlinkSessionSpec>): void {
    const { metadata } = this.session
    this.session = { ...this.session, spec: { ...this.session.spec, ...change }, metadata: { ...metadata, generation: metadata.generation + 1 } }
  }

  delete(annotations: Readonly<Record<string, string>> = {}): void {
    this.session = { ...this.session, metadata: { ...this.session.metadata, annotations, deletionTimestamp: new Date(this.nowMs).toISOString() } }
  }

  condition(type: string) {
    return this.session.status?.conditions.find(condition => condition.type === type)
  }
}

test('deployed with the TaskManagers that are always there; then nothing is written', () => {
  const world = new World({ minTaskManagers: 2 })
  const { status } = world.until(({ status }) => status?.lifecycleState === 'STABLE' && status.taskManager?.replicas === 2)
  expect(status).toMatchObject({ observedGeneration: 1, jobManagerDeploymentStatus: 'READY', clusterInfo: { 'web-address': 'http://session' } })
  expect(world.condition('Ready')).toMatchObject({ status: 'True', message: 'takes jobs, with 2 TaskManagers' })
  const { writes } = world
  for (let i = 0; i < 100; i++) world.pass()
  expect(world.writes).toBe(writes)
  expect(world.acted).toEqual(['startJobManager', 'startTaskManagers'])
})

test('seed-XB50: short of slots it adds TaskManagers up to the maximum, and names what is missing beyond', () => {
  const world = new World()
  world.stable()
  world.load = { slotsRequired: 3, slotsTotal: 0, busyUpTo: 0 }
  world.until(({ status }) => status?.taskManager?.replicas === 2)
  // They are on their way: nothing more is asked for.
  world.load = { slotsRequired: 3, slotsTotal: 0, busyUpTo: 0 }
  world.pass()
  expect(world.taskManagers).toBe(2)
  world.load = { slotsRequired: 2, slotsTotal: 4, busyUpTo: 2 }
  world.pass()
  expect(world.condition('Degraded')).toMatchObject({ status: 'False' })
  world.load = { slotsRequired: 5, slotsTotal: 4, busyUpTo: 2 }
  world.pass()
  world.load = { slotsRequired: 3, slotsTotal: 6, busyUpTo: 3 }
  world.pass()
  expect(world.taskManagers).toBe(3)
  expect(world.condition('Degraded')).toMatchObject({
    reason: 'ShortOfSlots',
    message: 'jobs wait for 3 more slots, and there are maxTaskManagers (3) TaskManagers already',
  })
  world.load = { slotsRequired: 0, slotsTotal: 6, busyUpTo: 3 }
  world.pass()
  expect(world.condition('Degraded')).toMatchObject({ status: 'False' })
})

test('seed-XB50: TaskManagers without work go after idleTimeout, those below one that works stay', () => {
  const world = new World({ minTaskManagers: 1 })
  world.stable()
  world.load = { slotsRequired: 4, slotsTotal: 2, busyUpTo: 1 }
  world.until(() => world.taskManagers === 3)
  world.load = { slotsRequired: 0, slotsTotal: 6, busyUpTo: 2 }
  const since = world.nowMs
  world.until(() => world.taskManagers === 2)
  expect(world.nowMs - since).toBeGreaterThanOrEqual(60_000)
  world.load = { slotsRequired: 0, slotsTotal: 4, busyUpTo: 0 }
  world.pass()
  // Work comes back in time.
  world.load = { slotsRequired: 0, slotsTotal: 4, busyUpTo: 2 }
  world.nowMs += 50_000
  world.pass()
  world.load = { slotsRequired: 0, slotsTotal: 4, busyUpTo: 0 }
  world.nowMs += 20_000
  world.pass()
  expect(world.taskManagers).toBe(2)
  world.until(() => world.taskManagers === 1)
  for (let i = 0; i < 200; i++) world.pass()
  expect(world.taskManagers).toBe(1)
})

test('a JobManager that cannot be asked changes nothing', () => {
  const world = new World()
  world.stable()
  world.load = { slotsRequired: 2, slotsTotal: 0, busyUpTo: 0 }
  world.until(() => world.taskManagers === 1)
  world.load = undefined
  for (let i = 0; i < 100; i++) world.pass()
  expect(world.taskManagers).toBe(1)
})

test('a changed cluster part restarts it, JobManager first; numbers of TaskManagers do not', () => {
  const world = new World({ minTaskManagers: 1 })
  world.until(() => world.taskManagers === 1)
  world.edit({ minTaskManagers: 2, idleTimeoutMs: 1_000 })
  world.until(() => world.taskManagers === 2)
  expect(world.acted).toEqual(['startJobManager', 'startTaskManagers', 'startTaskManagers'])
  world.edit({ cluster: { flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2', 'rest.port': '8082' } } })
  world.pass()
  expect(world.session.status).toMatchObject({ lifecycleState: 'UPGRADING', restart: { reason: 'the cluster part of the spec has changed' } })
  world.until(({ status }) => status?.lifecycleState === 'STABLE' && status.observedGeneration === 3)
  expect(world.acted.slice(3)).toEqual(['stopJobManager', 'stopTaskManagers', 'startJobManager', 'startTaskManagers'])
})

test('before a restart for an edit jobs that upgrade by savepoint come to rest with one, by name; an edit that is taken back, or a lost JobManager, ends the wait', () => {
  const world = new World()
  world.stable()
  const job = { name: 'default/job', isAtRest: false, needsSavepoint: true, message: 'RUNNING' }
  world.jobs = [job, { ...job, name: 'default/other', needsSavepoint: false }]
  const before = world.session.spec
  const edited = { cluster: { flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2', 'rest.port': '8082' } } }
  world.edit(edited)
  for (let i = 0; i < 5; i++) world.pass()
  expect(world.session.status).toMatchObject({ lifecycleState: 'UPGRADING', jobManagerDeploymentStatus: 'READY' })
  expect(world.condition('Ready')?.message).toBe(
    'the cluster part of the spec has changed: the cluster is restarted when these jobs rest with a savepoint: default/job',
  )
  expect(world.acted).toEqual(['startJobManager'])
  world.edit(before)
  expect(world.stable().status?.waits).toBeUndefined()
  expect(world.acted).toEqual(['startJobManager'])

  world.edit(edited)
  world.pass()
  world.jobs = world.jobs.map(each => ({ ...each, isAtRest: true, needsSavepoint: false }))
  world.until(({ status }) => status?.lifecycleState === 'STABLE' && status.observedGeneration === 4)
  expect(world.acted).toEqual(['startJobManager', 'stopJobManager', 'startJobManager'])

  world.jobs = [job]
  world.edit(before)
  world.pass()
  world.jobManager = { kind: 'ended', message: 'gone' }
  world.until(({ status }) => status?.lifecycleState === 'STABLE' && status.observedGeneration === 5)
  expect(world.session.status?.waits).toBeUndefined()
})

test('a JobManager that ends is started again, later each time; one that lasts is forgiven', () => {
  const world = new World()
  world.stable()
  const waits: number[] = []
  for (let i = 0; i < 3; i++) {
    world.jobManager = { kind: 'ended', message: 'jobmanager-0 ended with exit code 1' }
    const since = world.nowMs
    world.pass()
    expect(world.condition('Degraded')).toMatchObject({ reason: 'JobManagerLost', message: 'jobmanager-0 ended with exit code 1' })
    world.stable()
    waits.push(Math.round((world.nowMs - since) / 10_000))
  }
  expect(waits).toEqual([0, 1, 2])
  world.nowMs += 600_000
  world.pass()
  expect(world.session.status?.lost).toBeUndefined()
  expect(world.condition('Degraded')).toMatchObject({ status: 'False' })
})

const running: SessionJob = { name: 'default/words', isAtRest: false, needsSavepoint: false, message: 'RUNNING' }

test('deletion waits for the jobs, has them suspended after deletionTimeout, and ends when they rest', () => {
  const world = new World({ minTaskManagers: 1 })
  world.jobs = [running]
  world.until(() => world.taskManagers === 1)
  world.delete()
  world.pass()
  expect(world.condition('DeletionBlocked')).toMatchObject({
    status: 'True',
    reason: 'JobsExist',
    message: expect.stringContaining('default/words (RUNNING)'),
  })
  expect(world.session.status?.evicting).toBeUndefined()
  world.until(({ status }) => status?.evicting === true)
  expect(world.nowMs).toBeGreaterThanOrEqual(300_000)
  expect(world.condition('DeletionBlocked')).toMatchObject({ reason: 'JobsNotSuspended', message: expect.stringContaining('default/words') })
  for (let i = 0; i < 50; i++) world.pass()
  expect(world.taskManagers).toBe(1)
  world.jobs = [{ ...running, isAtRest: true }]
  world.until(({ status }) => status?.lifecycleState === 'DELETED')
  expect(world.acted.slice(-2)).toEqual(['stopJobManager', 'stopTaskManagers'])
  expect(world.condition('DeletionBlocked')).toBeUndefined()
})

test.each<[string, (world: World) => void]>([
  ['ends', world => (world.jobManager = { kind: 'ended', message: 'jobmanager-0 ended with exit code 1' })],
  ['is being restarted', world => world.edit({ cluster: { flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '4' } } })],
])('a JobManager that %s under a session that is deleted is not started again: its jobs see that it is gone', (_name, lose) => {
  const world = new World({ minTaskManagers: 1 })
  world.jobs = [running]
  world.until(() => world.taskManagers === 1)
  lose(world)
  world.pass()
  world.delete()
  const { status } = world.until(({ status }) => status?.jobManagerDeploymentStatus === 'MISSING')
  expect(status).toMatchObject({ lifecycleState: 'DELETING', blocked: expect.stringContaining('default/words (RUNNING)') })
  expect([status?.clusterInfo, status?.restart, world.taskManagers]).toEqual([undefined, undefined, 0])
  expect(world.condition('Degraded')).toMatchObject({ status: 'True', message: expect.stringContaining('is not started again') })
  world.jobs = [{ ...running, isAtRest: true }]
  world.until(({ status }) => status?.lifecycleState === 'DELETED')
  expect(world.acted.filter(kind => kind === 'startJobManager')).toHaveLength(1)
})

test.each([
  ['deletionPolicy: Delete', { deletionPolicy: 'Delete' as const }, {}],
  ['the annotation', {}, { 'millrace.dev/force-delete': 'true' }],
])('deletion does not wait with %s', (_name, overrides, annotations) => {
  const world = new World(overrides)
  world.jobs = [running]
  world.stable()
  world.delete(annotations)
  world.until(({ status }) => status?.lifecycleState === 'DELETED')
  expect(world.nowMs).toBeLessThan(10_000)
})
