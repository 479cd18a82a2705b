import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { optionTables } from '../../../bin/option-tables.ts'
import type { FlinkJob } from '../../../operator/api/flink-job.ts'
import type { FlinkSession } from '../../../operator/api/flink-session.ts'
import { createKubernetesExecutors } from '../../../operator/effects/kubernetes/kubernetes-executors.ts'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { configMaps, flinkJobs, flinkSessions, pods, secrets, services } from '../../../operator/kube/resources.ts'
import { flinkJobController } from '../../../operator/manager/flink-job-controller.ts'
import { flinkSessionController } from '../../../operator/manager/flink-session-controller.ts'
import { Manager } from '../../../operator/manager/manager.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import type { RestClient } from '../../../runtime/rest/types.ts'
import { FakeSessionCluster } from '../../support/fake-session-cluster.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { StubKubelet, type StubPod } from '../../support/stub-kubelet.ts'

/** FlinkJobs on a FlinkSession on a real kube-apiserver. StubKubelet plays what makes pods and runs them; what would run in them is a FakeSessionCluster. */
let plane: KubeControlPlane
let api: KubeApi
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
  await plane.kubectl(['create', 'namespace', 'jobs'])
  api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock: systemClock, random: systemRandom })
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
})

const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 60_000, interval: 50 })
const places = { 'execution.checkpointing.dir': 's3://state/checkpoints', 'execution.checkpointing.savepoint-dir': 's3://state/savepoints' }
const object = (kind: string, name: string, spec: object): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind,
  metadata: { name, namespace: 'jobs' },
  spec,
})
const session = () =>
  object('FlinkSession', 'shared', {
    flinkConfiguration: places,
    image: 'example/session:1',
    maxTaskManagers: 3,
    idleTimeout: '200 ms',
    deletionTimeout: '200 ms',
  })
const job = (name: string, script = 'export default () => 1') =>
  object('FlinkJob', name, { sessionName: 'shared', job: { script, upgradeMode: 'savepoint' }, flinkConfiguration: { 'pipeline.name': name } })

/** The JobManager of the session, to those who have its token: uploads are jars once a pod has said so. */
class SessionRest {
  readonly cluster = new FakeSessionCluster()
  readonly jars = new Set<string>()
  readonly runs: { readonly jarId: string; readonly flinkConfiguration: unknown }[] = []
  uploads = 0

  rest(address: string, token: string): RestClient {
    if (address !== 'http://shared-rest.jobs.svc:8081' || !/^[0-9a-f]{64}$/.test(token))
      throw new Error(`${address} is asked with the token '${token}'`)
    return {
      ...this.cluster.rest(address),
      runJar: async (jarId: string, { jobId = '', flinkConfiguration }: { jobId?: string; flinkConfiguration?: unknown }) => {
        if (!this.jars.has(jarId)) throw new FlinkError('NOT_FOUND', `jar ${jarId} does not exist`)
        this.cluster.submit(jobId)
        this.runs.push({ jarId, flinkConfiguration })
        return jobId
      },
      deleteJar: async (jarId: string) => void this.jars.delete(jarId),
    }
  }

  fateOf({ name, component, object: pod }: StubPod) {
    const ends = (answer: object) => ({ kind: 'ends', exitCode: 0, message: JSON.stringify(answer) }) as const
    if (component === 'uploader') {
      const jarId = `jar-${name}`
      if (pod.status === undefined || (pod.status as { phase?: string }).phase !== 'Succeeded') {
        this.jars.add(jarId)
        this.uploads++
      }
      return ends({ kind: 'uploaded', jarId })
    }
    if (component !== 'planner') return { kind: 'runs' } as const
    const ready = { kind: 'ready', jobName: 'fake', slotsNeeded: 1, slotsPerTaskManager: 1, parallelisms: { source: 1 }, configuration: {} }
    const { containers } = pod.spec as { readonly containers: readonly { readonly args: readonly string[] }[] }
    const isOfState = containers[0]?.args.includes('--stateOf') === true
    return ends(isOfState ? { ...ready, statePlan: { kind: 'ready', ignoresUnclaimedState: false, states: [] } } : ready)
  }

  run(running: readonly StubPod[]): void {
    const { cluster } = this
    const count = (component: string) => running.filter(pod => pod.component === component).length
    if (count('jobmanager') > 1) cluster.violations.push('a second JobManager')
    if (count('jobmanager') === 1 && cluster.jobManager === 'missing') cluster.jobManager = 'ready'
    if (count('jobmanager') === 0 && cluster.jobManager !== 'missing') cluster.loseJobManager('missing')
    cluster.taskManagers = count('taskmanager')
  }
}

test('jobs on a session: its pods on demand, programs by uploader pods, an upgrade, and a deletion that has them rest', async () => {
  const world = new SessionRest()
  const bind = async ({ metadata: { name, namespace } }: KubeObject) => {
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target: { apiVersion: 'v1', kind: 'Node', name: 'node-1' } }
    await plane.call('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, binding)
  }
  await using _kubelet = new StubKubelet({
    api,
    fate: pod => world.fateOf(pod),
    onRunning: async running => world.run(running),
    bind,
    collectsGarbage: true,
  })
  const [clock, random, log] = [systemClock, systemRandom, noLog]
  const executors = createKubernetesExecutors({
    api,
    settings: { image: 'example/millrace:1', hash: text => createHash('sha256').update(text).digest('hex') },
    clock,
    random,
    rest: (address, token) => world.rest(address, token),
    catalogue: () => world.cluster.catalogue(),
    stopTimeoutMs: 10_000,
    plannerDeadlineS: 60,
  })
  const manager = new Manager({
    api,
    clock,
    random,
    log,
    controllers: [
      flinkJobController({ api, executors, optionTables, platform: 'kubernetes', rest: of => executors.restOf(of), clock, random, log }),
      flinkSessionController({
        api,
        executors: executors.sessions,
        optionTables,
        platform: 'kubernetes',
        rest: of => executors.sessions.restOf(of),
        clock,
        log,
      }),
    ],
  })
  const stopping = new AbortController()
  const running = manager.run(stopping.signal)
  const statusOf = async (name: string) => (await api.get(flinkJobs, 'jobs', name)).status as FlinkJob['status']
  const sessionStatus = async () => (await api.get(flinkSessions, 'jobs', 'shared')).status as FlinkSession['status']
  const podsOf = async (label: string) =>
    (await api.list(pods, { namespace: 'jobs' })).items
      .filter(({ metadata }) => metadata.labels?.[label] !== undefined)
      .map(({ metadata }) => metadata.name)
  const runs = { lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } }
  try {
    await api.apply(job('one'), 'test')
    await until(() => statusOf('one')).toMatchObject({ problems: [{ process: 'session', reason: 'SessionNotFound' }] })
    await api.apply(session(), 'test')
    await until(() => statusOf('one')).toMatchObject(runs)
    await api.apply(job('two'), 'test')
    await until(() => statusOf('two')).toMatchObject(runs)
    await until(sessionStatus).toMatchObject({ lifecycleState: 'STABLE', taskManager: { replicas: 2 }, jobs: ['jobs/one', 'jobs/two'] })
    expect(await podsOf('millrace.dev/session')).toEqual(['shared-jm-0', 'shared-tm-0', 'shared-tm-1'])
    // Programs are planned and uploaded; nothing of that is left, and no job has a Secret of its own.
    await until(() => podsOf('millrace.dev/job')).toEqual([])
    expect((await api.list(secrets, { namespace: 'jobs' })).items.map(({ metadata }) => metadata.name).sort()).toEqual([
      'shared-ca',
      'shared-jm-tls',
      'shared-tm-tls',
      'shared-token',
    ])
    expect(world.runs.map(({ flinkConfiguration }) => flinkConfiguration)).toEqual([{ 'pipeline.name': 'one' }, { 'pipeline.name': 'two' }])

    await api.apply(job('one', 'export default () => 2'), 'test')
    await until(() => statusOf('one')).toMatchObject({ ...runs, observedGeneration: 2 })
    expect(world.cluster.starts).toEqual([false, false, true])

    await api.delete(flinkJobs, 'jobs', 'two')
    await until(sessionStatus).toMatchObject({ taskManager: { replicas: 1 }, jobs: ['jobs/one'] })
    await until(() => podsOf('millrace.dev/session')).toEqual(['shared-jm-0', 'shared-tm-0'])

    await api.delete(flinkSessions, 'jobs', 'shared')
    await until(() => statusOf('one')).toMatchObject({ lifecycleState: 'SUSPENDED', restore: { kind: 'savepoint' } })
    await until(async () => (await api.list(flinkSessions, { namespace: 'jobs' })).items).toEqual([])
    expect(await podsOf('millrace.dev/session')).toEqual([])

    // What the garbage collector does, of which there is none here.
    for (const type of [secrets, services, configMaps])
      for (const { metadata } of (await api.list(type, { namespace: 'jobs', labels: { 'millrace.dev/session': 'shared' } })).items)
        await api.delete(type, 'jobs', metadata.name)
    await api.apply(session(), 'test')
    await until(() => statusOf('one')).toMatchObject(runs)
    expect(world.cluster.starts).toEqual([false, false, true, true])
    expect(world.cluster.violations).toEqual([])
  } finally {
    stopping.abort()
    await running
  }
})
