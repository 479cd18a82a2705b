import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fullSpec } from '../../../test/support/kubernetes-cluster.ts'
import { KubernetesWorld } from '../../../test/support/kubernetes-world.ts'
import { ready } from '../../../test/support/pods-of-cluster.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import { KubeError } from '../../kube/object-api.ts'
import { configMaps, ingresses, pods, resourceTypes, statefulSets } from '../../kube/resources.ts'
import type { Executor } from '../actions.ts'

const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: { 'execution.checkpointing.dir': 's3://state' },
  taskManager: {},
}
const changed: FlinkJobSpec = { ...spec, job: { ...spec.job, args: ['changed'] } }

let world: KubernetesWorld
let executor: ReturnType<KubernetesWorld['executor']>
beforeEach(async () => {
  world = await KubernetesWorld.start()
  executor = world.executor()
})
afterEach(() => world[Symbol.asyncDispose]())

const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 10_000, interval: 2 })
const namesOf = async (type: typeof pods) => (await world.api.list(type, { namespace: 'jobs' })).items.map(({ metadata }) => metadata.name)
const cluster = () => executor.observeCluster()
const problems = async (from: Executor = executor) => (await from.observeCluster()).problems?.map(({ reason }) => reason) ?? []

async function started(replicas = 2): Promise<void> {
  await executor.execute({ kind: 'startJobManager', spec })
  await until(async () => (await cluster()).jobManager.kind).toBe('ready')
  await executor.execute({ kind: 'startTaskManagers', spec, replicas })
  await until(async () => world.cluster.taskManagers).toBe(replicas)
}

describe('programs', () => {
  test('are planned in a pod, whose answer stays when it goes: a new operator knows it without another pod', async () => {
    expect(await executor.observeProgram(spec)).toEqual({ kind: 'pending' })
    await until(() => executor.observeProgram(spec)).toEqual({
      kind: 'ready',
      jobName: 'fake',
      slotsNeeded: 3,
      slotsPerTaskManager: 2,
      parallelisms: { source: 3, sink: 3 },
    })
    await until(() => namesOf(pods)).toEqual([])
    expect(await world.executor().observeProgram(spec)).toEqual({
      kind: 'ready',
      jobName: 'fake',
      slotsNeeded: 3,
      slotsPerTaskManager: 2,
      parallelisms: { source: 3, sink: 3 },
    })
    expect(await namesOf(pods)).toEqual([])
  })

  test('that are refused say why, for as long as they are not changed', async () => {
    world.answers.set('changed', { kind: 'invalid', message: 'job.ts:3:5: expected ;' })
    await until(() => executor.observeProgram(changed)).toEqual({ kind: 'invalid', message: 'job.ts:3:5: expected ;' })
    await until(() => executor.observeProgram(spec)).toMatchObject({ kind: 'ready' })
    expect(await world.executor().observeProgram(changed)).toEqual({ kind: 'invalid', message: 'job.ts:3:5: expected ;' })
  })

  test('without memory to be planned in are refused, with the field that gives it', async () => {
    world.fates.set('words-plan', { kind: 'ends', exitCode: 137, message: '', reason: 'OOMKilled' })
    await until(() => executor.observeProgram(spec)).toEqual({ kind: 'invalid', message: expect.stringContaining('spec.jobManager.resources') })
  })

  test('whose planner ends without an answer are planned again after a while, and it is a problem until then', async () => {
    world.fates.set('words-plan', { kind: 'ends', exitCode: 1, message: 'the store did not answer' })
    await until(() => problems()).toEqual([])
    await until(async () => [await executor.observeProgram(spec), await problems()]).toEqual([{ kind: 'pending' }, ['PlannerFailed']])
    world.fates.clear()
    world.advance(11_000)
    await until(() => executor.observeProgram(spec)).toMatchObject({ kind: 'ready' })
  })

  test('what a program says of where its state lies is what the catalogue is opened with', async () => {
    world.answers.set('', { ...ready, configuration: { 'execution.checkpointing.dir': 's3://of-the-program' } })
    await until(() => executor.catalogue(spec)).toBeDefined()
    expect(world.catalogueOptions.at(-1)).toEqual({
      'execution.checkpointing.dir': 's3://of-the-program',
      'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    })
  })

  test('what becomes of the state is planned by a pod as well, anew on another occasion', async () => {
    const states = [{ operator: 'sum', name: 'count', outcome: 'incompatible', why: 'another type' }]
    world.answers.set('--stateOf abc', {
      ...ready,
      statePlan: { kind: 'ready', restorePoint: 's3://state/chk-1', ignoresUnclaimedState: false, states },
    })
    const question = { jobId: 'abc', before: spec, after: changed, occasion: 'generation 2' }
    await until(() => executor.observeStatePlan(question)).toEqual({
      kind: 'ready',
      restorePoint: 's3://state/chk-1',
      ignoresUnclaimedState: false,
      states,
    })
    await until(() => namesOf(pods)).toEqual([])
    expect(await executor.observeStatePlan({ ...question, occasion: 'behind the stop' })).toEqual({ kind: 'pending' })
  })

  test('a place for checkpoints that is another one after an edit would leave the state behind', async () => {
    world.answers.set('changed', { ...ready, checkpointDirectory: 's3://elsewhere' })
    world.cluster.state.set('abc', 'checkpoint of abc')
    await until(() => executor.observeStatePlan({ jobId: 'abc', before: spec, after: changed, occasion: '' })).toMatchObject({
      restorePoint: 'checkpoint of abc',
      states: [{ outcome: 'incompatible', why: expect.stringContaining('s3://elsewhere') }],
    })
  })
})

test('what is there already is not written again: every action is repeated without a change', async () => {
  await started()
  const versions = async () =>
    (await Promise.all(resourceTypes.map(type => world.api.list(type)))).flatMap(({ items }) =>
      items.map(({ kind, metadata }) => [kind, metadata.name, metadata.resourceVersion]),
    )
  const before = await versions()
  await executor.execute({ kind: 'startJobManager', spec })
  await world.executor().execute({ kind: 'startTaskManagers', spec, replicas: 2 })
  await executor.execute({ kind: 'startTaskManagers', spec, replicas: 1 })
  await executor.execute({ kind: 'stopTaskManagers', keep: 2 })
  await cluster()
  expect(await versions()).toEqual(before)
})

test('TaskManagers past the first n are stopped; more are started again', async () => {
  await started(3)
  await executor.execute({ kind: 'stopTaskManagers', keep: 1 })
  expect([(await cluster()).taskManagers.running, await namesOf(pods)]).toEqual([1, ['words-jm-0', 'words-tm-0']])
  await executor.execute({ kind: 'startTaskManagers', spec, replicas: 2 })
  await until(() => namesOf(pods)).toEqual(['words-jm-0', 'words-tm-0', 'words-tm-1'])
})

describe('pods', () => {
  test('an image that does not come: the JobManager starts, and why it takes long is said; then it is ready', async () => {
    const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image' }
    world.fates.set('words-jm', { kind: 'stuck', status: { containerStatuses: [{ name: 'main', image: 'example/millrace:1', state: { waiting } }] } })
    await executor.execute({ kind: 'startJobManager', spec })
    await until(async () => [(await cluster()).jobManager.kind, await problems()]).toEqual(['starting', ['ImagePullBackOff']])
    world.fates.clear()
    await world.kubelet.step()
    await until(async () => [(await cluster()).jobManager.kind, await problems()]).toEqual(['ready', []])
  })

  test('no node, and no room in a quota, are said for the TaskManagers that they concern', async () => {
    world.fates.set('words-tm-1', { kind: 'unschedulable', message: '0/3 nodes are available: 3 Insufficient memory.' })
    world.podsMax = 3
    await executor.execute({ kind: 'startJobManager', spec })
    await until(async () => (await cluster()).jobManager.kind).toBe('ready')
    await executor.execute({ kind: 'startTaskManagers', spec, replicas: 3 })
    await until(() => namesOf(pods)).toHaveLength(3)
    await until(() => problems()).toContain('Unschedulable')
    // A set that was made just now is not complained about.
    world.advance(6_000)
    await until(async () => (await cluster()).problems?.map(({ process, reason }) => [process, reason])).toEqual([
      ['taskmanager', 'FailedCreate'],
      ['taskmanager-1', 'Unschedulable'],
    ])
    expect((await cluster()).taskManagers.running).toBe(3)
  })

  test('those that do not end are named, and the stop is not over', async () => {
    await started()
    world.fates.set('words-tm-1', { kind: 'node-lost' })
    await expect(executor.execute({ kind: 'stopTaskManagers' })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('words-tm-1 in namespace jobs'),
    })
    expect((await cluster()).taskManagers.running).toBe(1)
    world.fates.clear()
    await world.kubelet.step()
    await executor.execute({ kind: 'stopTaskManagers' })
    expect((await cluster()).taskManagers.running).toBe(0)
  })

  test('a TaskManager on a lost node counts no more after a while, and its name goes to another one', async () => {
    await started()
    world.fates.set('words-tm-1', { kind: 'node-lost' })
    await world.api.delete(pods, 'jobs', 'words-tm-1')
    expect((await cluster()).taskManagers.running).toBe(2)
    world.advance(100_000)
    expect([(await cluster()).taskManagers.running, await problems()]).toEqual([1, ['NodeLost']])
    await executor.execute({ kind: 'startTaskManagers', spec, replicas: 2 })
    world.fates.clear()
    await world.kubelet.step()
    await until(async () => [(await cluster()).taskManagers.running, world.cluster.taskManagers, await problems()]).toEqual([2, 2, []])
  })

  test('a JobManager on a lost node has ended, and another one can be started', async () => {
    await started(1)
    world.fates.set('words-jm-0', { kind: 'node-lost' })
    await world.api.delete(pods, 'jobs', 'words-jm-0')
    await until(async () => (await cluster()).jobManager.kind).toBe('starting')
    world.advance(100_000)
    expect((await cluster()).jobManager).toEqual({ kind: 'ended', message: expect.stringContaining('node node-1 does not answer') })
    await executor.execute({ kind: 'stopJobManager' })
    expect((await cluster()).jobManager.kind).toBe('missing')
    world.fates.clear()
    await executor.execute({ kind: 'startJobManager', spec })
    await until(async () => (await cluster()).jobManager.kind).toBe('ready')
  })
})

test('what has one of our names and is somebody else’s is neither taken over nor deleted, and named', async () => {
  const foreign = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'words-jm', namespace: 'jobs' },
    spec: { replicas: 0, selector: {}, template: {} },
  }
  const made = await world.api.create(foreign)
  expect(await cluster()).toMatchObject({
    jobManager: { kind: 'starting' },
    problems: [{ process: 'jobmanager', reason: 'NameTaken', message: expect.stringContaining('StatefulSet jobs/words-jm is there already') }],
  })
  await expect(executor.execute({ kind: 'startJobManager', spec })).rejects.toMatchObject({
    code: 'EXTERNAL_SYSTEM',
    message: expect.stringContaining('nobody controls it'),
  })
  await executor.execute({ kind: 'stopJobManager' })
  expect(await world.api.get(statefulSets, 'jobs', 'words-jm')).toEqual(made)
})

test('an Ingress goes with the next start when the spec asks for none any more', async () => {
  await executor.execute({ kind: 'startJobManager', spec: { ...spec, ingress: fullSpec.ingress ?? { template: 'x' } } })
  expect(await namesOf(ingresses)).toEqual(['words-rest'])
  await executor.execute({ kind: 'startJobManager', spec })
  expect(await namesOf(ingresses)).toEqual([])
})

test('programs and options of before go once the job is submitted; all goes with the FlinkJob', async () => {
  await until(() => executor.observeProgram(spec)).toMatchObject({ kind: 'ready' })
  await started(1)
  await executor.execute({ kind: 'submitJob', spec, jobId: 'a'.repeat(32) })
  const first = await namesOf(configMaps)
  await executor.execute({ kind: 'cancelJob', jobId: 'a'.repeat(32) })
  for (const kind of ['stopTaskManagers', 'stopJobManager'] as const) await executor.execute({ kind })
  executor = world.executor()
  const other = { ...spec, flinkConfiguration: { 'pipeline.name': 'other' }, job: { ...spec.job, script: 'export default () => 1' } }
  await until(() => executor.observeProgram(other)).toMatchObject({ kind: 'ready' })
  await executor.execute({ kind: 'startJobManager', spec: other })
  await until(async () => (await cluster()).jobManager.kind).toBe('ready')
  world.cluster.jobs.clear()
  await executor.execute({ kind: 'submitJob', spec: other, jobId: 'b'.repeat(32) })
  const second = await namesOf(configMaps)
  expect([first.length, second.length, second.filter(name => first.includes(name))]).toEqual([4, 4, ['words-log']])
  const { kind, name, namespace } = world.owner
  await world.api.delete(resourceTypes.find(type => type.kind === kind) ?? pods, namespace, name)
  await until(async () => (await Promise.all(resourceTypes.map(type => namesOf(type)))).flat()).toEqual([])
})

test('what is live reaches a cluster that runs: the level of its log, its Ingress; its sets stay as they are', async () => {
  await until(() => executor.observeProgram(spec)).toMatchObject({ kind: 'ready' })
  await started(1)
  const versions = async () =>
    (await world.api.list(statefulSets, { namespace: 'jobs' })).items.map(({ metadata }) => [metadata.name, metadata.generation])
  const before = await versions()
  const level = async () => (await world.api.get(configMaps, 'jobs', 'words-log'))['data']
  expect(await level()).toEqual({ level: '' })
  const ingress = { template: '{{name}}.example.com' }
  await executor.execute({
    kind: 'applyLive',
    spec: { ...spec, ingress, flinkConfiguration: { ...spec.flinkConfiguration, 'env.log.level': 'DEBUG' } },
  })
  expect(await level()).toEqual({ level: 'DEBUG' })
  expect((await namesOf(ingresses)).length).toBe(1)
  const { ingress: _, ...without } = spec
  for (let time = 0; time < 2; time++) await executor.execute({ kind: 'applyLive', spec: without })
  expect([await level(), await namesOf(ingresses), await versions()]).toEqual([{ level: '' }, [], before])
})

test('a deletion that meets with a Conflict, and has not happened, is not waited for: it is tried again', async () => {
  let conflicts = 1
  await using other = await KubernetesWorld.start({
    through: api => ({
      ...api,
      get: (...given) => api.get(...given),
      list: (...given) => api.list(...given),
      watch: (...given) => api.watch(...given),
      create: (...given) => api.create(...given),
      apply: (...given) => api.apply(...given),
      updateStatus: (...given) => api.updateStatus(...given),
      patchMetadata: (...given) => api.patchMetadata(...given),
      delete: async (...given) => {
        if (given[0] === statefulSets && conflicts-- > 0) throw new KubeError('Conflict', 'the object has been modified')
        return api.delete(...given)
      },
    }),
  })
  const of = other.executor()
  await until(() => of.observeProgram(spec)).toMatchObject({ kind: 'ready' })
  await of.execute({ kind: 'startJobManager', spec })
  await until(async () => (await of.observeCluster()).jobManager.kind).toBe('ready')
  await expect(of.execute({ kind: 'stopJobManager' })).rejects.toMatchObject({ reason: 'Conflict' })
  await of.execute({ kind: 'stopJobManager' })
  expect((await of.observeCluster()).jobManager.kind).toBe('missing')
})
