import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { runs } from '../support/runs.ts'
import { RESULTS_URI, type StoreCall } from '../support/sim-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/**
 * One job, from its submission to its end, over two JobManagers and a lost TaskManager: and once more for each call of a store that any of these processes
 * makes, with that process killed right before it, and right behind it. So publishing, restoring, taking over, clearing and everything between them is
 * interrupted at each of its steps.
 */
interface Kill {
  readonly at: number
  readonly phase: 'before' | 'after'
}

async function run(kill?: Kill): Promise<{ readonly calls: readonly StoreCall[]; readonly killed: StoreCall | undefined }> {
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
  const job = { client, count: 80, rowsPerSecond: 40, outside }
  const build = () => buildSums(job)
  const cluster = new EngineCluster({
    seed: 4711,
    build,
    taskManagers: 0,
    slots: 2,
    jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000 },
    suspendEverywhere: false,
    highAvailability: true,
    sinks: outside.sinks,
  })
  const calls: StoreCall[] = []
  let killed: StoreCall | undefined
  let replacements = 0
  const loseTaskManager = (id: string) => {
    const victim = cluster.taskManagers.find(taskManager => taskManager.id === id && taskManager.alive)
    if (victim === undefined) return
    cluster.kill(victim)
    cluster.startTaskManager(`replacement-${replacements++}`)
  }
  cluster.onStoreCall = (call, phase) => {
    if (phase === 'before') calls.push(call)
    if (kill === undefined || killed !== undefined || kill.phase !== phase || kill.at !== call.number) return
    killed = call
    const { node } = call
    if (!node.startsWith('jobmanager')) return loseTaskManager(node)
    cluster.network.kill(node)
    cluster.clock.schedule(50, () => void cluster.replaceJobManager())
  }
  // Not awaited: a JobManager may be killed while it starts.
  void cluster.jobManager.start()
  for (const id of ['tm-0', 'tm-1']) cluster.startTaskManager(id)
  await cluster.clock.run(10)
  const jobId = 'a'.repeat(32)
  void cluster.submit(buildJobGraph(build(), { client }), jobId).catch(() => {})
  // The plan without further kills: the JobManager, and later a TaskManager.
  cluster.clock.schedule(1_000, () => void cluster.replaceJobManager())
  cluster.clock.schedule(1_900, () => loseTaskManager(`tm-${random.nextInt(2)}`))
  const state = () => cluster.jobManager.jobDetails(jobId)?.state
  // A client whose submission is not answered submits again.
  cluster.clock.schedule(500, () => {
    if (state() === undefined) void cluster.submit(buildJobGraph(build(), { client }), jobId).catch(() => {})
  })
  const left = () => [
    ...memory('sim://high-availability').filter(path => path.startsWith('sim/jobs')),
    ...memory(RESULTS_URI),
    // What tells an old JobManager that it is old, and data that one was writing when it died.
    ...memory('sim://checkpoints').filter(path => !path.includes('/head/') && !path.includes('/shared/')),
  ]
  const memory = (uri: string) => cluster.paths(uri)
  await cluster.clock.run(2_500)
  await cluster.clock.runUntil(() => outside.rows.length >= job.count && left().length === 0, 60_000)
  const what = kill === undefined ? 'the plan' : `killed ${kill.phase} call ${kill.at}: ${killed?.node} ${killed?.text}`
  // Cleared, it is not known any more; else it has finished.
  expect([undefined, 'FINISHED'], what).toContain(state())
  expect(left(), `${what}: nothing is left behind`).toEqual([])
  try {
    expectSums(job)
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  return { calls, killed }
}

/** `jobmanager create epochs`, `replacement read shared`. */
const nameOf = ({ node, text }: StoreCall) =>
  `${node.replace(/-.*/, '').replace('replacement', 'tm')} ${text
    .replace(/ [0-9a-f]{32}$/, ' result')
    .replace(/[0-9a-f]{32}\/?/, '')
    .replace(/[-/]\d.*/, '')}`

test('killed at every call of a store, each result is committed once, and nothing is left behind', { timeout: 600_000 }, async () => {
  const { calls } = await run()
  const hit = new Set<string>()
  // All of them in `make test`, a few of them in `make check`.
  const count = runs(40) < 40 ? runs(40) : calls.length
  for (let i = 0; i < count; i++) {
    const at = Math.floor((i * calls.length) / count)
    for (const phase of ['before', 'after'] as const) {
      const { killed } = await run({ at, phase })
      if (killed === undefined) throw new Error(`call ${at} of the plan was not met`)
      hit.add(`${phase} ${nameOf(killed)}`)
    }
  }
  if (count < calls.length) return
  for (const point of points) for (const phase of ['before', 'after']) expect([...hit]).toContain(`${phase} ${point}`)
})

/** Publishing, taking over, restoring and clearing: none of their steps may be missing above. */
const points = [
  'jobmanager create sim/jobs/artifact',
  'jobmanager create sim/jobs/submission',
  'jobmanager read sim/jobs/submission',
  'jobmanager read sim/jobs/artifact',
  'jobmanager create result',
  'jobmanager remove sim/jobs/submission',
  'jobmanager remove sim/jobs/artifact',
  'jobmanager remove result',
  'jobmanager create head',
  'jobmanager list head',
  'jobmanager create epochs',
  'jobmanager read epochs',
  'jobmanager list epochs',
  'jobmanager remove epochs',
  'jobmanager create chk',
  'jobmanager read chk',
  'jobmanager remove chk',
  'jobmanager size shared',
  'jobmanager remove shared',
  'tm create shared',
  'tm read shared',
]
