import { describe, expect, test } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { KubeObject } from '../../operator/kube/object-api.ts'
import { type CallFault, callFaults, ManagerWorld } from '../support/manager-world.ts'

/**
 * Everything that the operator asks of the API server, a cluster or its REST goes wrong in each way, one call after the other, and the end is the same: on simulated time,
 * with a fake cluster that notes what would be wrong for good.
 */
const job = (fields: object = {}, spec: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name: 'job', namespace: 'default' },
  spec: { job: { script: 'export default () => 1', upgradeMode: 'savepoint', ...fields }, ...spec },
})
const running = (found: FlinkJob | undefined) => found?.status?.lifecycleState === 'STABLE' && found.status.jobStatus?.state === 'RUNNING'
const carriedOut = (generation: number) => (found: FlinkJob | undefined) =>
  running(found) && found?.status?.observedGeneration === generation && found.status.upgrade === undefined
const changed = { script: 'export default () => 2' }

/** What a person does to a job, and what has to have come of it. */
interface Story {
  readonly name: string
  readonly steps: readonly ((world: ManagerWorld) => Promise<unknown>)[]
  readonly end: (found: FlinkJob | undefined) => boolean
  /** Of each start of the job, whether it begins with state. */
  readonly starts: readonly boolean[]
}

const apply = (object: KubeObject) => (world: ManagerWorld) => world.apply(object)
const until = (reached: (found: FlinkJob | undefined) => boolean) => (world: ManagerWorld) => world.until(reached)
const stories: readonly Story[] = [
  { name: 'deployed', steps: [apply(job())], end: running, starts: [false] },
  { name: 'upgraded with a savepoint', steps: [apply(job()), until(running), apply(job(changed))], end: carriedOut(2), starts: [false, true] },
  {
    name: 'upgraded from its last state',
    steps: [apply(job({ upgradeMode: 'last-state' })), until(running), apply(job({ ...changed, upgradeMode: 'last-state' }))],
    end: carriedOut(2),
    starts: [false, true],
  },
  {
    name: 'suspended and resumed',
    steps: [
      apply(job()),
      until(running),
      apply(job({ state: 'suspended' })),
      until(found => found?.status?.lifecycleState === 'SUSPENDED'),
      apply(job()),
    ],
    end: carriedOut(3),
    starts: [false, true],
  },
  {
    name: 'recovered without its JobManager',
    steps: [
      apply(job({}, { flinkConfiguration: { 'execution.checkpointing.interval': '1 s' } })),
      until(running),
      async world => world.clusterOf('job').loseJobManager(),
      until(found => !running(found)),
    ],
    end: running,
    starts: [false, true],
  },
  {
    name: 'asked for a savepoint',
    steps: [apply(job()), until(running), world => world.annotate({ 'millrace.dev/savepoint': '1' })],
    end: found => found?.status?.lastSavepoint !== undefined,
    starts: [false],
  },
  { name: 'deleted', steps: [apply(job()), until(running), world => world.remove(job())], end: found => found === undefined, starts: [false] },
]

/** In the inner loop some of the calls, others for each fault. */
const stride = Number(process.env['SEEDS'] || 2_000) < 1_000 ? 5 : 1

async function tell({ steps, end, starts }: Story, plan: ReadonlyMap<number, CallFault>) {
  const world = new ManagerWorld(plan)
  world.start()
  for (const step of steps) await step(world)
  await world.until(end)
  const { calls } = world
  const cluster = world.clusterOf('job')
  const where = `${[...plan].join()} ${world.trace[[...plan.keys()][0] ?? 0]}`
  expect(cluster.violations, where).toEqual([])
  expect(
    cluster.restored.map(from => from !== undefined),
    where,
  ).toEqual(starts)
  expect(cluster.submittedIds.size, where).toBeLessThanOrEqual(1)
  // Until it is quiet, then idle.
  await world.clock.run(5_000)
  const { writes } = world
  await world.clock.run(10_000)
  world.kill()
  expect(world.writes, where).toBe(writes)
  return calls
}

describe('with more than one operator, or one that sees late', () => {
  test.each(stories)('$name by two operators at once', async ({ steps, end, starts }) => {
    const world = new ManagerWorld()
    world.start()
    world.start()
    for (const step of steps) await step(world)
    await world.until(end)
    const cluster = world.clusterOf('job')
    expect(cluster.violations).toEqual([])
    expect(cluster.restored.map(from => from !== undefined)).toEqual(starts)
    await world.clock.run(30_000)
    expect(end(await world.job())).toBe(true)
  })

  test.each(stories)('$name, the clock of the machine set wrong again and again', async ({ steps, end, starts }) => {
    const world = new ManagerWorld()
    world.start()
    let jumps = 0
    for (const step of steps) {
      world.clock.jump([3_600_000, -7_200_000, 86_400_000, -90_000_000][jumps++ % 4] ?? 0)
      await step(world)
    }
    await world.until(end)
    expect(world.clusterOf('job').violations).toEqual([])
    expect(world.clusterOf('job').restored.map(from => from !== undefined)).toEqual(starts)
  })
})

describe.each(stories)('$name, with the operator killed at each call and each call going wrong', story => {
  // Some hundred runs of a story each, on whatever else the machine does.
  test.each(callFaults)('%s', { timeout: 120_000 }, async fault => {
    const calls = await tell(story, new Map())
    expect(calls).toBeGreaterThan(10)
    for (let at = callFaults.indexOf(fault) % stride; at < calls; at += stride) await tell(story, new Map([[at, fault]]))
  })
})
