import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { Crash, type CrashPlan, crashPlans } from '../../test/support/crash-plans.ts'
import { spec, world } from '../../test/support/operator-world.ts'
import { FakeSnapshotting } from '../../test/support/snapshot-world.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { FlinkSnapshot } from '../api/flink-snapshot.ts'
import { flinkSnapshots } from '../kube/resources.ts'
import { reconcileSnapshot, type SnapshotParts } from '../snapshot/controller.ts'
import { createSnapshotStore } from '../snapshot/object-store.ts'

/** A FlinkJob and its FlinkSnapshots with both controllers, which crash together, at one API server and over one JobManager. */
function both(crashes: CrashPlan) {
  const job = world(crashes, { ...spec, job: { ...spec.job, upgradeMode: 'savepoint' } })
  const { cluster, store, api, step, now } = job
  cluster.looksUntilFinished = undefined
  const flink = new FakeSnapshotting()
  let seed = 1_000

  /** Snapshots and upgrades are triggered under ids of one kind. */
  const rest = (): RestClient => {
    const [ofSnapshots, ofJob] = [flink.rest(), cluster.rest()]
    return {
      ...ofSnapshots,
      triggerSavepoint: (jobId, request) => step(() => ofSnapshots.triggerSavepoint(jobId, request)),
      operation: async (type, jobId, triggerId) => {
        try {
          return await ofSnapshots.operation(type, jobId, triggerId)
        } catch (error) {
          if (error instanceof FlinkError && error.code === 'NOT_FOUND') return ofJob.operation(type, jobId, triggerId)
          throw error
        }
      },
    }
  }

  const snapshots = async () => (await api.list(flinkSnapshots)).items as unknown as readonly FlinkSnapshot[]

  const pass = async (): Promise<FlinkJob> => {
    const seen = await job.pass()
    for (const { metadata } of await snapshots()) {
      const objects = createSnapshotStore(api, metadata.namespace, metadata.name)
      const parts: SnapshotParts = {
        store: {
          read: () => objects.read(),
          writeStatus: (snapshot, status) => step(() => objects.writeStatus(snapshot, status)),
          writeFinalizers: (snapshot, finalizers) => step(() => objects.writeFinalizers(snapshot, finalizers)),
        },
        jobs: { get: () => store.read(), list: async () => [await store.read()] },
        rest,
        catalogue: {
          snapshotAt: async location => ({ kind: 'savepoint', location, jobId: 'a', timestampMs: now() }),
          disposeSavepoint: location => step(() => flink.catalogue.disposeSavepoint(location)),
        },
        clock: { nowMs: now },
        random: seededRandom(seed++),
        log: noLog,
      }
      await reconcileSnapshot(parts).catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error
      })
    }
    job.advance(200)
    return seen
  }
  const until = async (reached: (job: FlinkJob) => boolean | Promise<boolean>) => {
    for (let i = 0; i < 300; i++) if (await reached(await pass())) return
    throw new Error(`not reached: ${JSON.stringify([(await store.read()).status, (await snapshots()).map(({ status }) => status)])}`)
  }
  return { ...job, flink, snapshots, until }
}

const running = ({ status, spec: wanted }: FlinkJob) =>
  status?.lifecycleState === 'STABLE' &&
  status.jobStatus?.state === 'RUNNING' &&
  status.reconciliationStatus?.lastReconciledSpec === JSON.stringify(wanted)

/** A savepoint is asked for, then the job is upgraded, then somebody deletes all FlinkSnapshots. */
async function story(crashes: CrashPlan) {
  const made = both(crashes)
  const { api, store, snapshots, until, edit } = made
  await until(running)
  const from = made.steps()
  await store.annotate({ 'millrace.dev/savepoint': '1' })
  await until(({ status }) => status?.lastSavepoint?.trigger === 'MANUAL')
  const manual = (await store.read()).status?.lastSavepoint?.location
  await edit(before => ({ ...before, job: { ...before.job, script: 'export default () => 2' } }))
  await until(job => running(job) && job.status?.lastSavepoint?.trigger === 'UPGRADE')
  for (const { metadata } of await snapshots()) await api.delete(flinkSnapshots, metadata.namespace, metadata.name)
  await until(async () => (await snapshots()).every(({ status }) => status?.conditions.some(({ type }) => type === 'DeletionBlocked')))
  return { ...made, from, manual, left: await snapshots(), last: await store.read() }
}

test('every crash, and many pairs of crashes, of both controllers: one savepoint for each that was asked for, and the one that the job goes on from is never removed', async () => {
  const plain = await story(new Map())
  // Of those with two crashes every tenth: there are some thousands.
  const plans = crashPlans(plain.from, plain.steps()).filter((plan, n) => plan.size === 1 || n % 10 === 0)
  expect(plans.length).toBeGreaterThan(300)
  for (const plan of [new Map(), ...plans]) {
    const { cluster, flink, manual, left, last } = await story(plan)
    const about = JSON.stringify([...plan])
    expect([flink.taken.length, flink.disposed, cluster.violations], about).toEqual([1, [manual], []])
    const path = last.status?.jobStatus?.upgradeSavepointPath
    expect(
      left.map(({ spec: { savepoint } }) => savepoint?.path),
      about,
    ).toEqual([path])
    expect(cluster.restored.at(-1), about).toBe(path)
  }
})
