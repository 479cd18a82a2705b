import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import { KubeError, type KubeObject } from '../kube/object-api.ts'
import { events } from '../kube/resources.ts'
import { EventRecorder } from './events.ts'

interface ToldEvent {
  readonly type: string
  readonly reason: string
  readonly note: string
  readonly series?: { readonly count: number }
  readonly regarding: object
}

function recorderAt(api = new LocalApiServer({ clock: new SimulatedClock(), random: seededRandom(1) })) {
  const clock = new SimulatedClock()
  const recorder = new EventRecorder({ api, clock, log: noLog, identity: 'operator-0' })
  const told = async () => {
    await recorder.flushed()
    return (await api.list(events)).items as unknown as readonly (KubeObject & ToldEvent)[]
  }
  return { api, clock, recorder, told, texts: async () => (await told()).map(({ reason, note }) => `${reason}: ${note}`).sort() }
}

/** A FlinkJob as its watchers see it, pass by pass. */
async function followed(changes: readonly ((made: ReturnType<typeof world>) => Promise<unknown>)[]) {
  const made = world(undefined, { ...spec, job: { ...spec.job, upgradeMode: 'savepoint' } })
  made.cluster.looksUntilFinished = undefined
  const at = recorderAt()
  let before: FlinkJob = await made.store.read()
  const see = (after: FlinkJob) => {
    at.recorder.observe(asObject(before), asObject(after))
    before = after
    return after
  }
  const steady = ({ status }: FlinkJob) => status?.upgrade === undefined && ['STABLE', 'SUSPENDED', 'DELETED'].includes(status?.lifecycleState ?? '')
  for (const change of [async () => {}, ...changes]) {
    await change(made)
    await made.until(job => steady(see(job)) && see(job).status?.observedGeneration === job.metadata.generation)
    for (let i = 0; i < 3; i++) see(await made.pass())
  }
  return { ...made, ...at }
}

const asObject = (job: FlinkJob) => job as unknown as KubeObject

test('a job that is deployed, upgraded and suspended tells each step once, however many passes it takes', async () => {
  const { told, store } = await followed([
    ({ edit }) => edit(before => ({ ...before, job: { ...before.job, script: 'export default () => 2' } })),
    ({ edit }) => edit(before => ({ ...before, job: { ...before.job, state: 'suspended' } })),
  ])
  const all = await told()
  const reasons = all.map(({ reason }) => reason)
  for (const reason of ['SpecChanged', 'Upgrading', 'JobStatusChanged', 'Submit', 'Suspended']) expect(reasons, reason).toContain(reason)
  expect(all.filter(({ reason }) => reason === 'Suspended')).toHaveLength(1)
  expect(
    all
      .filter(({ reason }) => reason === 'SpecChanged')
      .map(({ note }) => note)
      .sort(),
  ).toEqual(['generation 2 (restart): spec.job.script', expect.stringMatching(/^generation 3 \(restart\): .*spec\.job\.state/)])
  expect(all.every(({ type }) => type === 'Normal')).toBe(true)
  expect(all[0]).toMatchObject({
    reportingController: 'millrace.dev/operator',
    reportingInstance: 'operator-0',
    regarding: { kind: 'FlinkJob', name: 'fake', namespace: 'default', uid: (await store.read()).metadata.uid },
  })
})

test('what happens again is one event that is counted', async () => {
  const { recorder, told } = recorderAt()
  const job = (state: string): KubeObject => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name: 'a', namespace: 'default', uid: 'u' },
    status: { lifecycleState: 'STABLE', jobManagerDeploymentStatus: 'READY', jobStatus: { jobId: 'j', jobName: 'a', state }, conditions: [] },
  })
  const states = ['CREATED', 'RUNNING', 'RESTARTING', 'RUNNING', 'RUNNING', 'RESTARTING', 'RUNNING', 'FAILED']
  for (const [index, state] of states.entries()) recorder.observe(index === 0 ? undefined : job(states[index - 1] ?? ''), job(state))
  const counted = (await told()).map(({ type, note, series }) => `${type} ${note} ${series?.count ?? 1}`).sort()
  expect(counted).toEqual(['Normal job j is RESTARTING 2', 'Normal job j is RUNNING 3', 'Warning job j is FAILED 1'])
})

test('a FlinkSnapshot tells its end, and what holds its deletion', async () => {
  const { recorder, texts } = recorderAt()
  const snapshot = (status?: object): KubeObject => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkSnapshot',
    metadata: { name: 's', namespace: 'default', uid: 'u' },
    ...(status === undefined ? {} : { status: { conditions: [], ...status } }),
  })
  const failing = snapshot({ state: 'TRIGGER_PENDING', error: 'no room', failures: 1 })
  const complete = snapshot({ state: 'COMPLETED', path: 's3://b/1' })
  const held = snapshot({
    state: 'COMPLETED',
    path: 's3://b/1',
    conditions: [{ type: 'DeletionBlocked', message: 'FlinkJob other would go on from it' }],
  })
  recorder.observe(snapshot(), failing)
  recorder.observe(failing, complete)
  recorder.observe(complete, held)
  recorder.observe(held, undefined)
  expect(await texts()).toEqual(['CleanupFailed: FlinkJob other would go on from it', 'SnapshotCompleted: s3://b/1', 'SnapshotError: no room'])
})

test('an event that cannot be written holds nothing up, and what is told later is written', async () => {
  const { api, recorder, texts } = recorderAt()
  const session = (lifecycleState: string): KubeObject => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkSession',
    metadata: { name: 's', namespace: 'default', uid: 'u' },
    status: { lifecycleState, jobManagerDeploymentStatus: 'READY', conditions: [] },
  })
  const create = api.create.bind(api)
  api.create = () => Promise.reject(new KubeError('Forbidden', 'the namespace is being terminated'))
  recorder.observe(session('CREATED'), session('DEPLOYED'))
  await recorder.flushed()
  api.create = create
  recorder.observe(session('DEPLOYED'), session('STABLE'))
  expect(await texts()).toEqual(['LifecycleStateChanged: STABLE'])
})
