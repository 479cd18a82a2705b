import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { KubeError, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { events } from '../kube/resources.ts'
import { createEventRecorder } from './event-recorder.ts'

const job = (fields: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name: 'job', namespace: 'default' },
  spec: { job: { script: 'export default () => 1', upgradeMode: 'savepoint', ...fields } },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'

async function told(world: ManagerWorld) {
  const { items } = await world.server.list(events)
  return items
    .toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    .map(({ type, reason, note }) => `${type} ${reason}: ${note}`.replaceAll(/[0-9a-f]{32}/g, 'ID'))
}

test('each transition is an event, once; what stays as it is is none', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  await world.apply(job({ script: 'export default () => 2' }))
  await world.until(found => running(found) && found?.status?.observedGeneration === 2 && found.status.upgrade === undefined)
  await world.annotate({ 'millrace.dev/savepoint': '1' })
  await world.until(found => found?.status?.lastSavepoint?.trigger === 'MANUAL')
  await world.apply(job({ script: 'export default () => 2', state: 'suspended' }))
  await world.until(found => found?.status?.lifecycleState === 'SUSPENDED')
  await world.clock.run(3_600_000)
  const seen = (await told(world)).filter(each => !each.includes('JobStatusChanged') && !each.includes('Snapshot'))
  expect(seen.map(each => each.replaceAll(/job-(upgrade|savepoint)-\w+/g, 'job-$1-HASH'))).toEqual([
    'Normal Submit: job ID is submitted, from the beginning',
    'Normal SpecChanged: generation 2 (spec.job.script) is carried out in mode savepoint: spec.job.upgradeMode is savepoint',
    'Normal SavepointCompleted: job-upgrade-HASH (UPGRADE) lies at savepoint of ID',
    'Normal Submit: job ID is submitted, from savepoint of ID',
    'Normal SavepointCompleted: job-savepoint-HASH (MANUAL) lies at savepoint of ID',
    'Normal SpecChanged: generation 3 (spec.job.state) is carried out in mode savepoint: spec.job.upgradeMode is savepoint',
    'Normal Suspended: the job rests at savepoint of ID',
  ])
  const { items } = await world.server.list(events)
  const found = await world.job()
  expect(items[0]).toMatchObject({
    regarding: { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', name: 'job', namespace: 'default', uid: found?.metadata.uid },
    reportingController: 'millrace.dev/operator',
    eventTime: expect.stringMatching(/\.\d{6}Z$/),
  })
})

test('a lost JobManager and a spec that does not hold are warnings; what happens again is counted in the event that is there', async () => {
  const world = new ManagerWorld()
  world.start()
  await world.apply(job())
  await world.until(running)
  for (let time = 0; time < 2; time++) {
    world.clusterOf('job').loseJobManager()
    await world.until(found => !running(found))
    await world.until(running)
    await world.clock.run(1_200_000)
  }
  const { items } = await world.server.list(events)
  const missing = items.filter(({ reason }) => reason === 'Missing')
  expect(missing.length).toBe(1)
  expect(missing[0]).toMatchObject({ type: 'Warning', series: { count: 2, lastObservedTime: expect.stringMatching(/\.\d{6}Z$/) } })
  await world.apply({ ...job(), spec: { job: { script: 'export default () => 1' }, flinkConfiguration: { 'no.such': '1' } } })
  await world.clock.run(10_000)
  expect((await told(world)).at(-1)).toMatch(/^Warning ValidationError: the spec of generation 2 is invalid, and is not carried out: .*no\.such/)
})

test('an event that cannot be written is in nobody’s way', async () => {
  const api = {
    create: async () => {
      throw new KubeError('Forbidden', 'the namespace is being terminated')
    },
  } as unknown as ObjectApi
  const recorder = createEventRecorder({ api, instance: 'test', clock: { nowMs: () => 0 }, log: noLog })
  await recorder.record(job(), [{ type: 'Normal', reason: 'Submit', note: 'n' }])
})
