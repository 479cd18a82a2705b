import { describe, expect, test } from 'vitest'
import { noLog } from '../../../runtime/common/log.ts'
import { seededRandom } from '../../../runtime/common/random.ts'
import { Crash, type CrashPlan, crashingSteps } from '../../../test/support/crash-plans.ts'
import { KubernetesWorld } from '../../../test/support/kubernetes-world.ts'
import { MemoryStore } from '../../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../../api/flink-job.ts'
import { reconcile } from '../../job/controller.ts'
import { createSnapshotObjects } from '../../job/snapshot-objects.ts'
import type { ObjectApi } from '../../kube/object-api.ts'
import { pods, resourceTypes, statefulSets } from '../../kube/resources.ts'
import { START } from './objects.ts'

const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: { 'execution.checkpointing.dir': 's3://state', 'taskmanager.numberOfTaskSlots': '2' },
  taskManager: {},
}
const withJob = (fields: Partial<FlinkJobSpec['job']>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })

/** Each write to the API server is a step: the operator dies before or after those that are planned, and another one goes on. */
async function started(crashes: CrashPlan = new Map(), isCached = false, of: FlinkJobSpec = spec) {
  const { step, steps } = crashingSteps(crashes)
  const reads: string[] = []
  const read = <T>(what: string, work: () => T): T => {
    reads.push(what)
    return work()
  }
  const counted = (api: ObjectApi): ObjectApi => ({
    get: (type, ...given) => read(type.kind, () => api.get(type, ...given)),
    list: (type, ...given) => read(type.kind, () => api.list(type, ...given)),
    watch: (...given) => api.watch(...given),
    create: (...given) => step(() => api.create(...given)),
    apply: (...given) => step(() => api.apply(...given)),
    updateStatus: (...given) => step(() => api.updateStatus(...given)),
    patchMetadata: (...given) => step(() => api.patchMetadata(...given)),
    delete: (...given) => step(() => api.delete(...given)),
  })
  const world = await KubernetesWorld.start({ through: counted, isCached })
  world.cluster.looksUntilFinished = undefined
  const store = new MemoryStore(of)
  let executor = world.executor()
  let seed = 10
  const pass = async (): Promise<FlinkJob> => {
    const parts = {
      store,
      executor,
      snapshots: createSnapshotObjects(world.server),
      rest: executor.rest,
      clock: world.clock,
      random: seededRandom(seed++),
      log: noLog,
    }
    try {
      const { requeueAfterMs } = await reconcile(parts)
      world.advance(requeueAfterMs)
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      world.advance(1_000)
      executor = world.executor()
    }
    await world.kubelet.step()
    return store.read()
  }
  const until = async (reached: (job: FlinkJob) => boolean | Promise<boolean>) => {
    for (let count = 0; count < 200; count++) {
      const job = await pass()
      if (await reached(job)) return job
    }
    throw new Error(`not reached: ${JSON.stringify((await store.read()).status)}`)
  }
  const edit = async (change: (before: FlinkJobSpec) => FlinkJobSpec) => {
    const job = await store.read()
    await store.writeSpec(job, change(job.spec))
  }
  return {
    world,
    store,
    pass,
    until,
    edit,
    steps,
    reads,
    namesOf: async (type: typeof pods) => (await world.server.list(type, { namespace: 'jobs' })).items.map(({ metadata }) => metadata.name),
  }
}

/** What the spec asks for now is there. */
const running = ({ status, metadata }: FlinkJob) =>
  status?.observedGeneration === metadata.generation &&
  status.jobStatus?.state === 'RUNNING' &&
  status.conditions.find(({ type }) => type === 'Ready')?.status === 'True'

test('deployed, upgraded with a savepoint, suspended, resumed and deleted: the same rules, by objects', async () => {
  const { world, store, until, edit, namesOf } = await started()
  await using _ = world
  const first = await until(running)
  const jobId = first.status?.jobStatus?.jobId ?? ''
  expect(first.status).toMatchObject({ taskManager: { replicas: 2 }, clusterInfo: { 'web-address': 'http://words-rest.jobs.svc:8081' } })
  expect(await namesOf(pods)).toEqual(['words-jm-0', 'words-tm-0', 'words-tm-1'])

  await edit(withJob({ script: 'export default () => 1' }))
  const second = await until(running)
  expect(second.status?.jobStatus).toMatchObject({ jobId, upgradeSavepointPath: `savepoint of ${jobId}` })

  await edit(withJob({ state: 'suspended' }))
  await until(({ status }) => status?.lifecycleState === 'SUSPENDED')
  expect(await namesOf(pods)).toEqual([])
  await edit(withJob({ state: 'running' }))
  await until(running)

  await store.markDeleted(await store.read(), world.clock.nowMs())
  await until(({ status }) => status?.lifecycleState === 'DELETED')
  expect(await namesOf(pods)).toEqual([])
  expect(world.cluster.violations).toEqual([])
  expect(world.cluster.restored).toEqual([undefined, `savepoint of ${jobId}`, `savepoint 2 of ${jobId}`])
  // The finalizer of the FlinkJob goes then, and the object with it.
  const { kind, name, namespace } = world.owner
  await world.server.delete(resourceTypes.find(type => type.kind === kind) ?? pods, namespace, name)
  await expect.poll(async () => (await Promise.all(resourceTypes.map(namesOf))).flat(), { interval: 2 }).toEqual([])
})

describe('with pods and StatefulSets from caches', () => {
  test('a pass of a job that runs, or rests, asks the API server nothing', async () => {
    const { world, pass, until, edit, reads, steps } = await started(new Map(), true)
    await using _ = world
    const idle = async () => {
      for (let count = 0; count < 5; count++) await pass()
      const before = [reads.length, steps()]
      for (let count = 0; count < 20; count++) await pass()
      expect([reads.length, steps()], reads.slice(before[0]).join()).toEqual(before)
    }
    await until(running)
    await idle()
    await edit(withJob({ state: 'suspended' }))
    await until(({ status }) => status?.lifecycleState === 'SUSPENDED')
    await idle()
    // That nothing is there is asked once more now and then.
    world.advance(60_000)
    const before = reads.length
    await pass()
    expect(reads.slice(before).sort()).toEqual(['Pod', 'StatefulSet', 'StatefulSet'])
  })

  test('that show what was there before each step: the same jobs are run', async () => {
    const { world, store, pass, until, edit, namesOf } = await started(new Map(), true)
    await using _ = world
    /** Passes on what was seen before; then it is seen. */
    const blindly = async (change: () => Promise<unknown>) => {
      world.hold()
      await change()
      for (let count = 0; count < 30; count++) await pass()
      world.release()
    }
    await blindly(async () => {})
    const first = await until(running)
    const jobId = first.status?.jobStatus?.jobId
    await blindly(() => edit(withJob({ script: 'export default () => 1' })))
    await until(running)
    await blindly(() => edit(withJob({ state: 'suspended' })))
    await until(({ status }) => status?.lifecycleState === 'SUSPENDED')
    await blindly(() => edit(withJob({ state: 'running' })))
    await until(running)
    await blindly(async () => store.markDeleted(await store.read(), world.clock.nowMs()))
    await until(({ status }) => status?.lifecycleState === 'DELETED')
    expect(await namesOf(pods)).toEqual([])
    expect(world.cluster.violations).toEqual([])
    expect(world.cluster.restored).toEqual([undefined, `savepoint of ${jobId}`, `savepoint 2 of ${jobId}`])
  })
})

test('a job at rest costs no write', async () => {
  const { world, store, pass, until, steps } = await started()
  await using _ = world
  await until(running)
  for (let count = 0; count < 5; count++) await pass()
  const before = [steps(), (await store.read()).metadata.resourceVersion]
  for (let count = 0; count < 20; count++) await pass()
  expect([steps(), (await store.read()).metadata.resourceVersion]).toEqual(before)
})

test('a JobManager whose node is lost is started again elsewhere, and the job goes on from its newest checkpoint', async () => {
  const { world, pass, until } = await started()
  await using _ = world
  const { status } = await until(running)
  const jobId = status?.jobStatus?.jobId
  world.fates.set('words-jm-0', { kind: 'node-lost' })
  world.cluster.loseJobManager('missing')
  await world.server.delete(pods, 'jobs', 'words-jm-0')
  await pass()
  world.advance(100_000)
  const lost = await until(job => job.status?.recovery !== undefined)
  expect(lost.status?.conditions.find(({ type }) => type === 'Degraded')).toMatchObject({
    status: 'True',
    message: expect.stringContaining('node node-1 does not answer'),
  })
  // What is started now is on another node.
  world.fates.clear()
  await until(job => running(job) && world.cluster.restored.length === 2)
  expect([world.cluster.restored, world.cluster.violations]).toEqual([[undefined, `checkpoint of ${jobId}`], []])
})

const waitingFor = (waiting: object, more: object = {}) => ({
  kind: 'stuck' as const,
  status: { containerStatuses: [{ name: 'main', image: 'example/millrace:1', state: { waiting }, ...more }] },
})
const lastState = { terminated: { exitCode: 1, reason: 'Error', message: 'no such option' } }

test.each([
  ['Unschedulable', { kind: 'unschedulable' as const, message: '3 Insufficient cpu.' }, 'waits for a node: Unschedulable: 3 Insufficient cpu.'],
  [
    'ImagePullBackOff',
    waitingFor({ reason: 'ImagePullBackOff', message: 'not found' }),
    'has no image example/millrace:1: ImagePullBackOff: not found',
  ],
  [
    'CrashLoopBackOff',
    waitingFor({ reason: 'CrashLoopBackOff' }, { restartCount: 3, lastState }),
    '3 times so far: it ended with exit code 1; it said last:\nno such option',
  ],
])('%s of a pod is named in the conditions, in words, while it keeps the job from having its TaskManagers', async (reason, fate, words) => {
  const { world, until } = await started()
  await using _ = world
  world.fates.set('words-tm-1', fate)
  const degraded = ({ status }: FlinkJob) => status?.conditions.find(({ type }) => type === 'Degraded')
  const job = await until(found => degraded(found)?.status === 'True')
  expect(degraded(job)).toMatchObject({ reason, message: expect.stringContaining('taskmanager-1 (pod words-tm-1) ') })
  expect(degraded(job)?.message).toContain(words)
  world.fates.clear()
  await until(found => running(found) && degraded(found)?.status === 'False')
})

describe('an operator that dies at any write is followed by one that does the same', () => {
  test('deployed, upgraded with a savepoint, and deleted: one job, its state, nothing left', async () => {
    const run = async (crashes: CrashPlan, isCached: boolean) => {
      const { world, store, until, edit, steps, namesOf } = await started(crashes, isCached)
      await using _ = world
      const first = await until(running)
      await edit(withJob({ script: 'export default () => 1' }))
      const second = await until(running)
      await store.markDeleted(await store.read(), world.clock.nowMs())
      await until(({ status }) => status?.lifecycleState === 'DELETED')
      const jobId = first.status?.jobStatus?.jobId
      expect(
        [second.status?.jobStatus?.jobId, world.cluster.restored.at(-1), world.cluster.violations, await namesOf(pods)],
        JSON.stringify([...crashes]),
      ).toEqual([jobId, `savepoint of ${jobId}`, [], []])
      return steps()
    }
    const steps = await run(new Map(), false)
    expect(steps).toBeGreaterThan(20)
    for (let at = 0; at < steps; at++) for (const side of ['before', 'after'] as const) await run(new Map([[at, side]]), at % 2 === 0)
  }, 60_000)

  test('with JobManagers that stand by, edited from a checkpoint: another start, which pods that are made later have as well', async () => {
    const configuration = { ...spec.flinkConfiguration, 'high-availability.storageDir': 's3://ha' }
    const standby = { ...withJob({ upgradeMode: 'last-state' })(spec), jobManager: { replicas: 2 }, flinkConfiguration: configuration }
    const run = async (crashes: CrashPlan, isCached: boolean) => {
      const { world, until, edit, steps } = await started(crashes, isCached, standby)
      await using _ = world
      world.fates.set('words-jm-1', { kind: 'stuck', status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] } })
      /** By the StatefulSet that they were seen in. */
      const starts = new Map<string, Set<string>>()
      const noted = async (reached: boolean) => {
        for (const { metadata } of (await world.server.list(statefulSets)).items) {
          const start = metadata.annotations?.[START]
          if (start !== undefined) starts.set(metadata.uid ?? '', (starts.get(metadata.uid ?? '') ?? new Set()).add(start))
        }
        return reached
      }
      const first = await until(job => noted(running(job)))
      await edit(withJob({ script: 'export default () => 1' }))
      await until(job => noted(running(job)))
      const seen = [...starts.values()].map(each => [...each])
      expect([seen.map(each => each.length), new Set(seen.flat()).size], JSON.stringify([...crashes])).toEqual([[1, 1], 2])
      const jobId = first.status?.jobStatus?.jobId
      expect([world.cluster.restored.at(-1), world.cluster.violations], JSON.stringify([...crashes])).toEqual([`checkpoint of ${jobId}`, []])
      return steps()
    }
    const steps = await run(new Map(), false)
    for (let at = 0; at < steps; at++) for (const side of ['before', 'after'] as const) await run(new Map([[at, side]]), at % 2 === 0)
  }, 60_000)
})
