import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

/**
 * Everything at once: edits, nonces, lost JobManagers, a store that is away, removed statuses and operators that die, in an order that a seed draws. When it is quiet
 * again there is one job, as the object says, with its state.
 */
type Job = FlinkJobSpec['job']

const SEEDS = 150
const EVENTS = 12
const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const isReady = ({ metadata, status }: FlinkJob) =>
  status?.observedGeneration === metadata.generation && status.conditions.find(({ type }) => type === 'Ready')?.status === 'True'

test.each(['savepoint', 'last-state'] as const)('in mode %s a job gets through whatever comes, and keeps its state', async upgradeMode => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = seededRandom(seed)
    const below = (n: number) => (random.bytes(2).reduce((value, byte) => value * 256 + byte, 0) % n) as number
    const crashes = new Map(Array.from({ length: 6 }, () => [20 + below(150), below(2) === 0 ? 'before' : 'after'] as const))
    const { cluster, store, pass, until, edit, advance, now } = world(crashes, withJob({ upgradeMode })(spec))
    cluster.looksUntilFinished = undefined
    const first = await until(isReady)
    const jobId = first.status?.jobStatus?.jobId ?? ''
    const events: readonly (readonly [string, () => unknown])[] = [
      ['edit', () => edit(withJob({ script: `export default () => ${below(1_000)}` }))],
      ['suspend', () => edit(withJob({ state: 'suspended' }))],
      ['resume', () => edit(withJob({ state: 'running' }))],
      ['restart', () => edit(before => ({ ...before, restartNonce: below(1_000) }))],
      ['lose JobManager', () => cluster.loseJobManager(below(2) === 0 ? 'ended' : 'missing')],
      ['store away', () => (cluster.storeFailure = 'away')],
      ['store back', () => (cluster.storeFailure = undefined)],
      ['savepoints fail', () => (cluster.savepointFailure = 'Exception: no')],
      ['savepoints succeed', () => (cluster.savepointFailure = undefined)],
      ['status removed', () => store.replaceStatus(undefined)],
      ['rescale', () => edit(withJob({ parallelism: 1 + below(4) }))],
      [
        'fail',
        () => {
          if (cluster.jobs.get(jobId)?.state !== 'RUNNING') return
          cluster.state.set(jobId, `checkpoint of ${jobId}`)
          cluster.end(jobId, 'FAILED', 'Error: too much')
        },
      ],
      ['time', () => advance(below(100_000))],
    ]
    const told: string[] = []
    for (let i = 0; i < EVENTS; i++) {
      const [name, act] = events[below(events.length)] ?? ['', () => {}]
      told.push(name)
      await act()
      for (let passes = below(8); passes > 0; passes--) await pass()
    }
    cluster.storeFailure = undefined
    cluster.savepointFailure = undefined
    // What was given up meanwhile is asked for once more.
    // A job that had failed when its status was lost needs to be asked for behind that.
    for (const restartNonce of [10_000, 10_001]) {
      await edit(before => ({ ...withJob({ state: 'running' })(before), restartNonce }))
      for (let passes = 0; passes < 30; passes++) await pass()
    }
    const about = `seed ${seed}: ${told.join(', ')}`
    let last: FlinkJob | undefined
    for (let i = 0; i < 3_000 && last === undefined; i++) {
      const job = await pass()
      if (isReady(job)) last = job
    }
    expect(last === undefined ? (await store.read()).status : undefined, about).toBeUndefined()
    expect(last?.status?.jobStatus, about).toMatchObject({ jobId, state: 'RUNNING' })
    expect(last?.status?.reconciliationStatus?.lastReconciledSpec, about).toBe(JSON.stringify(last?.spec))
    expect(cluster.violations, about).toEqual([])
    expect([...cluster.submittedIds], about).toEqual([jobId])
    expect(
      cluster.restored.slice(1).every(from => from !== undefined),
      `${about}: ${cluster.restored}`,
    ).toBe(true)

    const current = await store.read()
    await store.writeSpec(current, { ...current.spec, deletionPolicy: (['Savepoint', 'Keep', 'Delete'] as const)[seed % 3] ?? 'Keep' })
    await store.markDeleted(await store.read(), now())
    await until(job => job.status?.lifecycleState === 'DELETED', 1_000)
    expect([cluster.jobManager, cluster.taskManagers, cluster.violations], about).toEqual(['missing', 0, []])
  }
})
