import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clusterInput, fullSpec } from '../../../test/support/kubernetes-cluster.ts'
import { KubernetesWorld } from '../../../test/support/kubernetes-world.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject, ResourceType } from '../../kube/object-api.ts'
import { configMaps, leases, pods, resourceTypes, roleBindings, roles, serviceAccounts, statefulSets } from '../../kube/resources.ts'
import { jobManagerObjects, optionsOf, plannerObjects, START, taskManagerObjects, uploaderObjects } from './objects.ts'
import { standbyObjects } from './standby-objects.ts'

const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'last-state', fallback: 'none' },
  flinkConfiguration: { 'execution.checkpointing.dir': 's3://state', 'high-availability.storageDir': 's3://ha' },
  jobManager: { replicas: 2 },
  taskManager: {},
}
const { jobManager: _standby, ...alone } = spec

interface Pod {
  readonly serviceAccountName?: string
  readonly automountServiceAccountToken: boolean
  readonly volumes: readonly { readonly name: string; readonly projected?: { readonly sources: readonly object[] } }[]
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
}
interface Container {
  readonly name: string
  readonly args: readonly string[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  readonly startupProbe?: object
  readonly readinessProbe?: object
  readonly livenessProbe?: object
}

const podOf = (objects: readonly KubeObject[]): Pod => {
  const { kind, spec } = objects.find(each => each.kind === 'StatefulSet' || each.kind === 'Pod') ?? { kind: '', spec: undefined }
  return kind === 'Pod' ? (spec as Pod) : (spec as { readonly template: { readonly spec: Pod } }).template.spec
}
const jobManagerOf = (of: FlinkJobSpec) =>
  podOf(jobManagerObjects({ ...clusterInput(of), ...(of.jobManager?.replicas === 2 ? { startId: 'abc' } : {}) }))
/** Containers that can read a token of the API server. */
const tokensIn = ({ volumes, containers, initContainers = [] }: Pod) => {
  const withToken = volumes
    .filter(({ projected }) => projected?.sources.some(source => Object.hasOwn(source, 'serviceAccountToken')))
    .map(({ name }) => name)
  return [...initContainers, ...containers]
    .filter(({ volumeMounts = [] }) => volumeMounts.some(({ name }) => withToken.includes(name)))
    .map(({ name }) => name)
}

test('a token of the API server is in the container of a JobManager that stands by, and nowhere else: not where its program is bundled, nor in any other pod', () => {
  for (const of of [spec, { ...fullSpec, jobManager: { ...fullSpec.jobManager, replicas: 2 } }]) {
    expect(tokensIn(jobManagerOf(of))).toEqual(['main'])
    const input = clusterInput(of)
    const others = [
      jobManagerOf({ ...of, jobManager: {} }),
      podOf(taskManagerObjects(input, 2)),
      podOf(plannerObjects(input, 120)),
      podOf(uploaderObjects(input, 'http://shared-rest.jobs.svc:8081', 120)),
    ]
    for (const pod of others) expect([tokensIn(pod), pod.automountServiceAccountToken]).toEqual([[], false])
    for (const pod of others) expect(pod.serviceAccountName).toBe(of.serviceAccount)
    // Nor by Kubernetes itself, into each container.
    expect(jobManagerOf(of).automountServiceAccountToken).toBe(false)
  }
  const [main] = jobManagerOf(spec).containers
  expect(main?.volumeMounts).toContainEqual({ name: 'account', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true })
})

describe('the Role', () => {
  test('is for reading and patching the Lease of this cluster, and is given to an account of its JobManagers alone', () => {
    const { owner } = clusterInput(spec)
    const lease = `${optionsOf({ owner, spec })['high-availability.cluster-id']}-leader`
    expect(lease).toBe('jobs.words-leader')
    expect(standbyObjects(owner, spec)).toMatchObject([
      { kind: 'ServiceAccount', metadata: { name: 'words-jm' }, automountServiceAccountToken: false },
      {
        kind: 'Role',
        metadata: { name: 'words-jm' },
        rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [lease], verbs: ['get', 'patch'] }],
      },
      {
        kind: 'RoleBinding',
        metadata: { name: 'words-jm' },
        roleRef: { kind: 'Role', name: 'words-jm' },
        subjects: [{ kind: 'ServiceAccount', name: 'words-jm', namespace: 'jobs' }],
      },
    ])
    expect(jobManagerOf(spec).serviceAccountName).toBe('words-jm')
  })

  test('is given to the account that the spec names, and none is made', () => {
    const of = { ...spec, serviceAccount: 'runner' }
    const objects = standbyObjects(clusterInput(of).owner, of)
    expect(objects.map(({ kind }) => kind)).toEqual(['Role', 'RoleBinding'])
    expect(objects[1]).toMatchObject({ subjects: [{ kind: 'ServiceAccount', name: 'runner', namespace: 'jobs' }] })
    expect(jobManagerOf(of).serviceAccountName).toBe('runner')
  })

  test('is there for nobody who has no one standing by', () => {
    expect(standbyObjects(clusterInput(alone).owner, alone)).toEqual([])
  })
})

test('who stands by is not killed for not listening, and gets no requests: only readiness is asked', () => {
  const probes = ({ startupProbe, readinessProbe, livenessProbe }: Container) =>
    [startupProbe, readinessProbe, livenessProbe].map(probe => probe !== undefined)
  expect(jobManagerOf(spec).containers.map(probes)).toEqual([[false, true, false]])
  expect(jobManagerOf(alone).containers.map(probes)).toEqual([[true, true, true]])
})

describe('on an API server', () => {
  let world: KubernetesWorld
  let executor: ReturnType<KubernetesWorld['executor']>
  beforeEach(async () => {
    world = await KubernetesWorld.start()
    executor = world.executor()
    world.fates.set('words-jm-1', standsBy)
  })
  afterEach(() => world[Symbol.asyncDispose]())

  const standsBy = {
    kind: 'stuck' as const,
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }],
      containerStatuses: [{ name: 'main', ready: false, state: { running: {} } }],
    },
  }
  const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 10_000, interval: 2 })
  const namesOf = async (type: ResourceType) => (await world.api.list(type, { namespace: 'jobs' })).items.map(({ metadata }) => metadata.name)
  const cluster = () => executor.observeCluster()
  const start = (of: FlinkJobSpec = spec) => executor.execute({ kind: 'startJobManager', spec: of })
  const startIn = async () => {
    const { metadata, spec: set } = await world.api.get(statefulSets, 'jobs', 'words-jm')
    const [main] = (set as { readonly template: { readonly spec: Pod } }).template.spec.containers
    return {
      annotation: metadata.annotations?.[START],
      argument: main?.args.find(each => each.startsWith('high-availability.start-id='))?.split('=')[1],
    }
  }
  const ready = () => until(async () => (await cluster()).jobManager.kind).toBe('ready')

  test('two pods, their account, Role and Lease, all of the FlinkJob: they go with it', async () => {
    await start()
    await ready()
    expect(await namesOf(pods)).toEqual(['words-jm-0', 'words-jm-1'])
    const made = [serviceAccounts, roles, roleBindings, leases]
    expect(await Promise.all(made.map(namesOf))).toEqual([['words-jm'], ['words-jm'], ['words-jm'], ['jobs.words-leader']])
    const { kind, name, namespace } = world.owner
    await world.api.delete(resourceTypes.find(type => type.kind === kind) ?? pods, namespace, name)
    await until(async () => (await Promise.all(resourceTypes.map(namesOf))).flat()).toEqual([])
  })

  test('options that the operator says reach the processes, and where its state is looked for', async () => {
    await until(() => executor.observeProgram(spec)).toMatchObject({ kind: 'ready' })
    await start()
    const ours = { 'high-availability.type': 'kubernetes', 'high-availability.cluster-id': 'jobs.words' }
    const configurations = (await world.api.list(configMaps, { namespace: 'jobs' })).items.filter(({ metadata }) =>
      metadata.name.startsWith('words-config-'),
    )
    expect(configurations.map(map => JSON.parse((map['data'] as Record<string, string>)['config.yaml'] ?? ''))).toEqual([
      expect.objectContaining(ours),
    ])
    await executor.catalogue(spec)
    expect(world.catalogueOptions.at(-1)).toMatchObject(ours)
  })

  test('a pod that stands by is no problem; when the other one is lost nothing is missing or has ended, and the one that takes over is found ready', async () => {
    await start()
    await ready()
    expect((await cluster()).problems).toBeUndefined()
    world.fates.set('words-jm-0', standsBy)
    await world.kubelet.step()
    await until(cluster).toMatchObject({ jobManager: { kind: 'starting' } })
    expect((await cluster()).problems).toBeUndefined()
    world.fates.delete('words-jm-1')
    await world.kubelet.step()
    await ready()
    expect((await cluster()).problems).toBeUndefined()
  })

  test('a start is repeated as the same one, by another operator too; after a stop it is another', async () => {
    await start()
    const first = await startIn()
    expect(first).toEqual({ annotation: expect.stringMatching(/^[0-9a-f]{16}$/), argument: first.annotation })
    const { metadata } = await world.api.get(statefulSets, 'jobs', 'words-jm')
    executor = world.executor()
    await start()
    expect(await startIn()).toEqual(first)
    expect((await world.api.get(statefulSets, 'jobs', 'words-jm')).metadata.resourceVersion).toBe(metadata.resourceVersion)
    await executor.execute({ kind: 'stopJobManager' })
    await start()
    const second = await startIn()
    expect(second.annotation).toBe(second.argument)
    expect(second.annotation).not.toBe(first.annotation)
  })

  test('a pod on a lost node gives its name to one that stands by, while the other leads', async () => {
    await start()
    await ready()
    const uidOf = async () =>
      (await world.api.list(pods, { namespace: 'jobs' })).items.find(({ metadata }) => metadata.name === 'words-jm-1')?.metadata.uid
    const before = await uidOf()
    world.fates.set('words-jm-1', { kind: 'node-lost' })
    await world.api.delete(pods, 'jobs', 'words-jm-1')
    world.advance(100_000)
    // Seen on its way out first, then for too long.
    for (let look = 0; look < 2; look++) {
      expect((await cluster()).jobManager.kind).toBe('ready')
      await executor.keep?.(spec)
      world.advance(100_000)
    }
    // Its node has said nothing.
    await until(async () => [undefined, before].includes(await uidOf())).toBe(false)
    expect((await cluster()).problems).toBeUndefined()
  })

  test('a Lease that somebody has removed is made again once nobody can lead', async () => {
    await start()
    await ready()
    await world.api.delete(leases, 'jobs', 'jobs.words-leader')
    world.fates.set('words-jm-0', standsBy)
    await world.kubelet.step()
    await until(async () => (await cluster()).jobManager.kind).toBe('starting')
    await executor.keep?.(spec)
    expect(await namesOf(leases)).toEqual(['jobs.words-leader'])
  })

  test('an account, Role or Lease of that name that is somebody else’s is not taken over, and named', async () => {
    await world.api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'words-jm', namespace: 'jobs' } })
    await expect(start()).rejects.toThrow('ServiceAccount jobs/words-jm is there already, and not of FlinkJob words')
    expect(await namesOf(statefulSets)).toEqual([])
  })

  test('a cluster without a standby asks for none of it', async () => {
    await start(alone)
    await ready()
    expect(await Promise.all([serviceAccounts, roles, roleBindings, leases].map(namesOf))).toEqual([[], [], [], []])
    expect(await startIn()).toEqual({ annotation: undefined, argument: undefined })
  })
})
