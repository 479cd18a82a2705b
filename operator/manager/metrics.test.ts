import { expect, test } from 'vitest'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { OperatorMetrics } from './metrics.ts'
import { serveProbes } from './probe-server.ts'

const job = (name: string, script: string): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name, namespace: 'default' },
  spec: { job: { script, upgradeMode: 'savepoint' } },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'

test('what passes, waits, fails and runs is counted, and served with the probes', async () => {
  let now = 0
  const metrics = new OperatorMetrics({ nowMs: () => now }, ['FlinkJob', 'FlinkSnapshot'])
  const world = new ManagerWorld(new Map([[6, 'error']]), {
    observer: metrics,
    onChange: (type, before, after) => {
      now = world.clock.nowMs()
      metrics.observe(type, before, after)
    },
  })
  const server = await serveProbes({ host: '127.0.0.1', port: 0, registry: metrics.registry, isReady: () => world.manager?.isSynced === true })
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  expect((await get('/readyz')).status).toBe(503)
  world.start()
  metrics.attach(world.manager)
  for (const name of ['one', 'two']) await world.apply(job(name, `export default () => '${name}'`))
  for (const name of ['one', 'two']) await world.until(running, name)
  await world.apply(job('one', 'export default () => 2'))
  await world.until(found => running(found) && found?.status?.observedGeneration === 2 && found.status.upgrade === undefined, 'one')
  expect(await get('/readyz')).toEqual({ status: 200, text: 'ok\n' })
  expect((await get('/healthz')).status).toBe(200)
  expect((await get('/')).status).toBe(404)
  const { status, text } = await get('/metrics')
  expect(status).toBe(200)
  const value = (pattern: string) => Number(new RegExp(`^millrace_operator_${pattern} (\\S+)$`, 'm').exec(text)?.[1])
  expect(value('jobs\\{lifecycle_state="STABLE"\\}')).toBe(2)
  expect(value('job_states\\{state="RUNNING"\\}')).toBe(2)
  expect(value('workqueue_depth\\{kind="FlinkJob"\\}')).toBe(0)
  expect(value('workqueue_adds_total\\{kind="FlinkJob"\\}')).toBeGreaterThan(10)
  expect(value('workqueue_retries_total\\{kind="FlinkJob"\\}')).toBe(1)
  expect(value('reconcile_errors_total\\{kind="FlinkJob",code="\\w+"\\}')).toBe(1)
  expect(value('reconcile_duration_seconds_count\\{kind="FlinkJob"\\}')).toBeGreaterThan(10)
  expect(value('time_to_stable_seconds_count')).toBe(3)
  expect(value('leader')).toBe(1)
  world.kill()
  await server.close()
})
