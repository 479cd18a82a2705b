import { describe, expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'
import type { PlannedState, StatePlan } from '../effects/actions.ts'

type Job = FlinkJobSpec['job']
type Crashes = ReadonlyMap<number, 'before' | 'after'>

const withJob = (fields: Partial<Job>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const running = (job: FlinkJob) => job.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (job: FlinkJob) => running(job) && job.status?.reconciliationStatus?.lastReconciledSpec === JSON.stringify(job.spec)
const planning = (job: FlinkJob) => job.status?.conditions.find(({ type }) => type === 'Planning')
const changed = { script: 'changed' }

const kept: PlannedState = { operator: 'Count', uid: 'count', name: 'count', outcome: 'kept' }
const incompatible: PlannedState = { ...kept, outcome: 'incompatible', why: 'was INT and is declared as STRING; its type cannot change' }
const dropped: PlannedState = { operator: 'Old', uid: 'old', name: 'sum', outcome: 'dropped' }
const plan = (...states: PlannedState[]): StatePlan => ({ kind: 'ready', restorePoint: 'chk-7', ignoresUnclaimedState: false, states })

async function started(crashes?: Crashes, fields: Partial<Job> = { upgradeMode: 'savepoint' }) {
  const made = world(crashes, withJob(fields)(spec))
  made.cluster.looksUntilFinished = undefined
  await made.until(running)
  made.cluster.history.length = 0
  return made
}

describe('an edit that the state does not fit', () => {
  test('is refused before the job is touched: which state of which uid, and why; mended, it is carried out', async () => {
    const { cluster, pass, until, edit } = await started()
    cluster.statePlans.set('changed', plan(kept, incompatible))
    await edit(withJob(changed))
    const refused = await until(job => job.status?.refused !== undefined)
    const why =
      "the edit is not carried out: state 'count' of operator 'Count' (uid 'count') cannot be restored: was INT and is declared as STRING; its type cannot change"
    expect(refused.status).toMatchObject({
      observedGeneration: 2,
      jobStatus: { state: 'RUNNING' },
      edit: { generation: 2, class: 'restart' },
      plan: { generation: 2, verdict: 'incompatible', restorePoint: 'chk-7', states: [{ outcome: 'incompatible' }, { outcome: 'kept' }] },
      refused: { generation: 2, message: why },
      error: `${why}; the job goes on as it was`,
    })
    expect(planning(refused)).toMatchObject({ status: 'False', reason: 'Incompatible', observedGeneration: 2 })
    const { resourceVersion } = (await pass()).metadata
    expect(running(await pass())).toBe(true)
    // It is asked once, and written once.
    expect((await pass()).metadata.resourceVersion).toBe(resourceVersion)
    expect([cluster.history, cluster.planned.length]).toEqual([[], 1])
    await edit(withJob({ script: 'mended' }))
    expect((await until(carriedOut)).status).toMatchObject({ plan: { generation: 3, verdict: 'compatible' } })
    expect(cluster.restored).toHaveLength(2)
  })

  test('taken back, is forgotten', async () => {
    const { cluster, until, edit } = await started()
    cluster.statePlans.set('changed', plan(incompatible))
    await edit(withJob(changed))
    await until(job => job.status?.refused !== undefined)
    await edit(withJob({ script: spec.job.script ?? '' }))
    const job = await until(carriedOut)
    expect([job.status?.error, job.status?.observedGeneration]).toEqual([undefined, 3])
    expect(cluster.history).toEqual([])
  })

  test('in mode stateless takes none of it over, and is not asked about', async () => {
    const { cluster, until, edit } = await started(undefined, { upgradeMode: 'stateless' })
    cluster.statePlans.set('changed', plan(incompatible))
    await edit(withJob(changed))
    await until(carriedOut)
    expect(cluster.planned).toEqual([])
  })

  test('of a job that rests keeps it at rest, with its state', async () => {
    const { cluster, until, edit } = await started()
    await edit(withJob({ state: 'suspended' }))
    await until(job => job.status?.lifecycleState === 'SUSPENDED')
    cluster.statePlans.set('changed', plan(incompatible))
    await edit(withJob({ state: 'running', ...changed }))
    const refused = await until(job => job.status?.refused !== undefined)
    expect(refused.status).toMatchObject({ lifecycleState: 'SUSPENDED', plan: { verdict: 'incompatible' } })
    cluster.history.length = 0
    await edit(withJob({ script: spec.job.script ?? '' }))
    await until(carriedOut)
    expect(cluster.restored).toHaveLength(2)
  })
})

test('while the plan is made the job is looked after, in lifecycle UPGRADING and with condition Planning', async () => {
  const { cluster, until, edit, pass } = await started()
  cluster.statePlans.set('changed', { kind: 'pending' })
  await edit(withJob(changed))
  const job = await until(waiting => waiting.status?.plan !== undefined)
  expect(job.status).toMatchObject({ lifecycleState: 'UPGRADING', edit: { generation: 2 }, plan: { verdict: 'pending' } })
  expect(planning(job)).toMatchObject({ status: 'True', reason: 'Planning' })
  cluster.taskManagers = 1
  await until(() => cluster.taskManagers === 2)
  expect((await pass()).status).toMatchObject({ lifecycleState: 'UPGRADING', jobStatus: { state: 'RUNNING' } })
  expect(cluster.history).toEqual(['startTaskManagers'])
  cluster.statePlans.delete('changed')
  await until(carriedOut)
})

test('a plan that cannot be made keeps the edit waiting, and is made again; approved, the edit does not wait for it', async () => {
  const { cluster, store, until, edit } = await started()
  cluster.statePlans.set('changed', { kind: 'failed', message: 'the store is away' })
  await edit(withJob(changed))
  const waiting = await until(job => job.status?.plan?.verdict === 'unknown' && running(job))
  expect(waiting.status?.error).toBe('the edit waits, the job goes on as it was: what becomes of its state could not be planned: the store is away')
  expect(waiting.status?.refused).toBeUndefined()
  expect(planning(waiting)).toMatchObject({ status: 'False', reason: 'Unknown', message: 'the store is away' })
  cluster.statePlans.set('changed', plan(kept))
  await until(carriedOut)

  cluster.statePlans.set('again', { kind: 'failed', message: 'the store is away' })
  await edit(withJob({ script: 'again' }))
  await until(job => job.status?.plan?.verdict === 'unknown')
  await store.annotate({ 'millrace.dev/approve-plan': '3' })
  await until(carriedOut)
  // Nothing is known of what may be dropped.
  expect(cluster.dropping.at(-1)).toBeUndefined()
})

describe('millrace.dev/approve-plan', () => {
  test('lets state be dropped by the start of that generation only', async () => {
    const { cluster, store, until, edit } = await started()
    cluster.statePlans.set('changed', plan(kept, dropped))
    await edit(withJob(changed))
    const refused = await until(job => job.status?.refused !== undefined)
    expect(refused.status?.error).toBe(
      `the edit is not carried out: state 'sum' of operator 'Old' (uid 'old') has no place in the new program; it is dropped with spec.job.allowNonRestoredState, or with the annotation millrace.dev/approve-plan: "2"; the job goes on as it was`,
    )
    await store.annotate({ 'millrace.dev/approve-plan': '1' })
    expect((await until(running)).status?.refused?.generation).toBe(2)
    expect(cluster.history).toEqual([])
    await store.annotate({ 'millrace.dev/approve-plan': '2' })
    const job = await until(carriedOut)
    expect(job.status).toMatchObject({ plan: { generation: 2, approved: true, verdict: 'incompatible' } })
    expect(job.status?.refused).toBeUndefined()
    expect(cluster.dropping).toEqual([undefined, true])
    cluster.statePlans.set('third', plan(dropped))
    await edit(withJob({ script: 'third' }))
    await until(later => later.status?.refused?.generation === 3)
    expect(cluster.restored).toHaveLength(2)
  })

  test('does not help against another type: that state cannot be dropped by itself', async () => {
    const { cluster, store, until, edit } = await started()
    cluster.statePlans.set('changed', plan(incompatible, dropped))
    await store.annotate({ 'millrace.dev/approve-plan': '2' })
    await edit(withJob(changed))
    const refused = await until(job => job.status?.refused !== undefined)
    expect(refused.status?.refused?.message).toMatch(/approve-plan: "2" does not help: state is dropped whole/)
    expect(cluster.history).toEqual([])
  })
})

test('state that only the savepoint of the upgrade has shown is found before the new program starts: what ran before runs again, with it', async () => {
  const { cluster, until, edit, store } = await started()
  await edit(withJob(changed))
  await until(job => job.status?.upgrade?.step === 'RELEASING')
  cluster.statePlans.set('changed', plan(incompatible))
  const before = (await store.read()).status?.reconciliationStatus?.lastReconciledSpec
  const job = await until(again => running(again) && again.status?.refused !== undefined)
  expect(job.status?.refused).toMatchObject({ generation: 2, message: expect.stringContaining("state 'count'") })
  expect(job.status?.reconciliationStatus?.lastReconciledSpec).toBe(before)
  expect(cluster.restored.at(-1)).toBe(`savepoint of ${job.status?.jobStatus?.jobId}`)
})

test('of a job that rested, what only the look before its start has shown leaves it at rest', async () => {
  const { cluster, until, edit } = await started()
  await edit(withJob({ state: 'suspended' }))
  await until(job => job.status?.lifecycleState === 'SUSPENDED')
  await edit(withJob({ state: 'running', ...changed }))
  await until(job => job.status?.upgrade !== undefined)
  cluster.statePlans.set('changed', plan(incompatible))
  const job = await until(again => again.status?.refused !== undefined)
  expect(job.status).toMatchObject({ lifecycleState: 'SUSPENDED', jobStatus: { state: 'SUSPENDED' } })
  await edit(withJob({ state: 'running', script: 'mended' }))
  await until(carriedOut)
  expect(cluster.restored).toHaveLength(2)
})

test.each(['refused', 'approved'])('every crash around a plan that is %s ends the same', async how => {
  const run = async (crashes: Crashes) => {
    const made = world(crashes, withJob({ upgradeMode: 'savepoint' })(spec))
    made.cluster.looksUntilFinished = undefined
    await made.until(running)
    made.cluster.statePlans.set('changed', plan(kept, dropped))
    const from = made.steps()
    if (how === 'approved') await made.store.annotate({ 'millrace.dev/approve-plan': '2' })
    await made.edit(withJob(changed))
    await made.until(how === 'approved' ? carriedOut : job => running(job) && job.status?.refused !== undefined)
    return { ...made, from }
  }
  const plain = await run(new Map())
  for (let at = plain.from; at < plain.steps() + 2; at++)
    for (const side of ['before', 'after'] as const) {
      const { cluster } = await run(new Map([[at, side]]))
      const about = `${at} ${side}`
      expect(cluster.violations, about).toEqual([])
      expect(cluster.dropping, about).toEqual(how === 'approved' ? [undefined, true] : [undefined])
    }
})
