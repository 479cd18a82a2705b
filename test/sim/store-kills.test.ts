import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { runs } from '../support/runs.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/**
 * One job, from its submission to its end, over two JobManagers and a lost TaskManager: and once more for each call of a store that any of these processes
 * makes, with that process killed right before it, and right behind it. So publishing, restoring, taking over, clearing and everything between them is
 * interrupted at each of its steps.
 */
interface Call {
  readonly node: string
  readonly text: string
}

interface Kill {
  readonly at: number
  readonly phase: 'before' | 'after'
}

async function run(kill?: Kill): Promise<{ readonly calls: readonly Call[]; readonly killed: Call | undefined }> {
  const random = seededRandom(4711)
  const outside = outsides['a sink in memory']()
  const client = {
    'parallelism.default': '2',
    'execution.checkpointing.interval': '400 ms',
    'execution.checkpointing.dir': 'sim://checkpoints',
    'execution.checkpointing.data-inline-threshold': '0',
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '100',
    'restart-strategy.fixed-delay.delay': '100 ms',
  }
  const job = { client, count: 200, rowsPerSecond: 60, outside }
  const build = () => buildSums(job)
  const cluster = new EngineCluster({
    seed: 4711,
    build,
    taskManagers: 2,
    slots: 2,
    jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 },
    suspendEverywhere: false,
    highAvailability: true,
    sinks: outside.sinks,
  })
  const calls: Call[] = []
  let killed: Call | undefined
  let replacements = 0
  const loseTaskManager = (id: string) => {
    const victim = cluster.taskManagers.find(taskManager => taskManager.id === id && taskManager.alive)
    if (victim === undefined) return
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${replacements++}`)
  }
  cluster.onStoreCall = (node, text, phase) => {
    const at = calls.length - (phase === 'after' ? 1 : 0)
    if (phase === 'before') calls.push({ node, text })
    if (kill === undefined || killed !== undefined || kill.phase !== phase || kill.at !== at) return
    killed = { node, text }
    if (!node.startsWith('jobmanager')) return loseTaskManager(node)
    cluster.network.kill(node)
    cluster.clock.schedule(50, () => void cluster.replaceJobManager())
  }
  await cluster.start()
  const jobId = 'a'.repeat(32)
  const submission = cluster.submit(buildJobGraph(build(), { client }), jobId).catch(() => {})
  // The plan without further kills: the JobManager, and later a TaskManager.
  cluster.clock.schedule(1_500, () => void cluster.replaceJobManager())
  cluster.clock.schedule(3_500, () => loseTaskManager(`tm-${random.nextInt(2)}`))
  const state = () => cluster.jobManager.jobDetails(jobId)?.state
  // A client whose submission is not answered submits again.
  cluster.clock.schedule(1_000, () => {
    if (state() === undefined) void cluster.submit(buildJobGraph(build(), { client }), jobId).catch(() => {})
  })
  await cluster.clock.run(60_000)
  void submission
  const what = kill === undefined ? 'the plan' : `killed ${kill.phase} call ${kill.at}: ${killed?.node} ${killed?.text}`
  // Cleared, it is not known any more; else it has finished.
  expect([undefined, 'FINISHED'], what).toContain(state())
  try {
    expectSums(job)
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  const ofJob = [...((await cluster.stores.get('sim://high-availability')?.list('sim/jobs')) ?? [])]
  expect(ofJob, `${what}: nothing is left in the job store`).toEqual([])
  const checkpoints = (await cluster.stores.get('sim://checkpoints')?.list(jobId)) ?? []
  expect(
    checkpoints.filter(path => !path.includes('/head/') && !path.includes('/shared/')),
    `${what}: no manifest and no claim is left`,
  ).toEqual([])
  return { calls, killed }
}

const nameOf = ({ node, text }: Call) => `${node.replace(/-.*/, '')} ${text.replace(/[0-9a-f]{32}\/?/, '').replace(/-?\d.*/, '')}`

test('killed at every call of a store, each result is committed once, and nothing is left behind', { timeout: 600_000 }, async () => {
  const { calls } = await run()
  const hit = new Set<string>()
  const stride = Math.max(1, Math.floor(calls.length / runs(calls.length)))
  for (let at = 0; at < calls.length; at += stride) {
    for (const phase of ['before', 'after'] as const) {
      const { killed } = await run({ at, phase })
      if (killed !== undefined) hit.add(`${phase} ${nameOf(killed)}`)
    }
  }
  if (stride > 1) return
  for (const phase of ['before', 'after']) {
    for (const point of points) expect([...hit], `${phase} ${point} was met`).toContain(`${phase} ${point}`)
  }
})

const points = ['see']
