import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlinkJobSpec } from '../../../operator/api/flink-job.ts'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { pods, resourceTypes } from '../../../operator/kube/resources.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { fullSpec } from '../../support/kubernetes-cluster.ts'
import { KubernetesWorld } from '../../support/kubernetes-world.ts'

/** The Kubernetes executor on a real kube-apiserver. What makes pods of StatefulSets, and runs them, is played by StubKubelet. */
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

const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 30_000, interval: 20 })

test('a cluster is planned, started, rescaled, asked and stopped; repeated, an action writes nothing', async () => {
  const bind = async ({ metadata: { name, namespace } }: { metadata: { name: string; namespace: string } }) => {
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target: { apiVersion: 'v1', kind: 'Node', name: 'node-1' } }
    await plane.call('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, binding)
  }
  await using world = await KubernetesWorld.start({ server: api, kubelet: { bind, collectsGarbage: true } })
  world.cluster.looksUntilFinished = undefined
  const executor = world.executor()
  const spec: FlinkJobSpec = { ...fullSpec, flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2' } }
  const cluster = () => executor.observeCluster()
  const podNames = async () => (await api.list(pods, { namespace: 'jobs' })).items.map(({ metadata }) => metadata.name)

  await until(async () => (await executor.observeProgram(spec)).kind).toBe('ready')
  await until(podNames).toEqual([])
  await executor.execute({ kind: 'startJobManager', spec })
  await until(async () => (await cluster()).jobManager).toEqual({ kind: 'ready', webAddress: 'http://words-rest.jobs.svc:8081' })
  await executor.execute({ kind: 'startTaskManagers', spec, replicas: 3 })
  await until(podNames).toEqual(['words-jm-0', 'words-tm-0', 'words-tm-1', 'words-tm-2'])

  await executor.execute({ kind: 'stopTaskManagers', keep: 1 })
  expect([await podNames(), (await cluster()).taskManagers.running]).toEqual([['words-jm-0', 'words-tm-0'], 1])
  await executor.execute({ kind: 'startTaskManagers', spec, replicas: 2 })
  await until(podNames).toEqual(['words-jm-0', 'words-tm-0', 'words-tm-1'])

  const versions = async () => {
    const lists = await Promise.all(resourceTypes.map(type => api.list(type, { namespace: 'jobs' })))
    return lists.flatMap(({ items }) => items.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`))
  }
  await until(async () => world.cluster.taskManagers).toBe(2)
  const before = await versions()
  await executor.execute({ kind: 'startJobManager', spec })
  await executor.execute({ kind: 'startTaskManagers', spec, replicas: 2 })
  expect(await versions()).toEqual(before)

  const jobId = 'a'.repeat(32)
  for (let time = 0; time < 2; time++) await executor.execute({ kind: 'submitJob', spec, jobId })
  const rest = executor.rest('http://words-rest.jobs.svc:8081')
  await until(async () => (await rest.job(jobId)).state).toBe('RUNNING')
  await executor.execute({ kind: 'cancelJob', jobId })
  await until(async () => (await rest.job(jobId)).state).toBe('CANCELED')

  world.fates.set('words-tm-0', { kind: 'node-lost' })
  await expect(executor.execute({ kind: 'stopTaskManagers' })).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('words-tm-0'),
  })
  // Its grace and a minute more: it is lost, and its name is let go by force.
  world.advance(100_000)
  await executor.execute({ kind: 'stopTaskManagers' })
  await executor.execute({ kind: 'stopJobManager' })
  expect([await podNames(), await cluster()]).toEqual([[], { jobManager: { kind: 'missing' }, taskManagers: { running: 0, ended: [] } }])
  expect(world.cluster.violations).toEqual([])
})
