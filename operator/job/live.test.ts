import { describe, expect, test } from 'vitest'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { KubeObject } from '../kube/object-api.ts'

const job = (level: string | undefined, labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name: 'job', namespace: 'default', labels },
  spec: {
    job: { script: 'export default () => 1', upgradeMode: 'savepoint' },
    flinkConfiguration: { 'pipeline.name': 'job', ...(level === undefined ? {} : { 'env.log.level': level }) },
  },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'
const carriedOut = (level: string) => (found: FlinkJob | undefined) => running(found) && found?.status?.live === JSON.stringify({ level })

describe('an edit of how much is logged', () => {
  test('is carried out beside the job: its class is said, nothing is stopped or started, and then nothing is written', async () => {
    const world = new ManagerWorld()
    world.start()
    await world.apply(job(undefined))
    await world.until(running)
    const cluster = world.clusterOf('job')
    const before = [...cluster.history]
    await world.apply(job('DEBUG'))
    const found = await world.until(carriedOut('DEBUG'))
    expect(found?.status).toMatchObject({
      observedGeneration: 2,
      edit: { generation: 2, class: 'live', fields: ['spec.flinkConfiguration["env.log.level"]'] },
    })
    expect(cluster.history).toEqual([...before, 'applyLive'])
    expect(cluster.live.map(({ flinkConfiguration }) => flinkConfiguration['env.log.level'])).toEqual(['DEBUG'])
    await world.apply(job(undefined))
    await world.until(current => running(current) && current?.status?.live === undefined && current?.status?.observedGeneration === 3)
    expect(cluster.history).toEqual([...before, 'applyLive', 'applyLive'])
    await world.clock.run(1_000)
    const { writes } = world
    await world.clock.run(20_000)
    expect(world.writes).toBe(writes)
    expect(cluster.restored).toHaveLength(1)
    world.kill()
  })

  test.each(['crash-before', 'crash-after', 'lost', 'error'] as const)('%s at any call: it is carried out all the same', async fault => {
    const story = async (plan: ReadonlyMap<number, typeof fault>) => {
      const world = new ManagerWorld(plan)
      world.start()
      await world.apply(job(undefined))
      await world.until(running)
      await world.apply(job('DEBUG'))
      await world.until(carriedOut('DEBUG'))
      const { live, history, violations } = world.clusterOf('job')
      expect([live.at(-1)?.flinkConfiguration['env.log.level'], violations]).toEqual(['DEBUG', []])
      expect(history.filter(kind => kind.startsWith('stop'))).toEqual([])
      world.kill()
      return world.calls
    }
    const calls = await story(new Map())
    for (let at = 0; at < calls; at += 3) await story(new Map([[at, fault]]))
  })

  test('labels and annotations restart nothing', async () => {
    const world = new ManagerWorld()
    world.start()
    await world.apply(job(undefined))
    await world.until(running)
    const before = [...world.clusterOf('job').history]
    await world.apply(job(undefined, { team: 'words' }))
    await world.annotate({ note: 'mine' })
    await world.clock.run(20_000)
    expect(world.clusterOf('job').history).toEqual(before)
    expect((await world.job())?.status).toMatchObject({ observedGeneration: 1, lifecycleState: 'STABLE' })
    world.kill()
  })
})
