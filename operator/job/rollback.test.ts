import { describe, expect, test } from 'vitest'
import { spec, world } from '../../test/support/operator-world.ts'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'

type Crashes = ReadonlyMap<number, 'before' | 'after'>

const withJob = (fields: Partial<FlinkJobSpec['job']>) => (before: FlinkJobSpec) => ({ ...before, job: { ...before.job, ...fields } })
const lifecycle = (job: FlinkJob) => job.status?.lifecycleState
const stable = (job: FlinkJob) => lifecycle(job) === 'STABLE' && job.status?.jobStatus?.state === 'RUNNING'
const rolledBack = (job: FlinkJob) => lifecycle(job) === 'ROLLED_BACK' && job.status?.jobStatus?.state === 'RUNNING'
const condition = (job: FlinkJob, type: string) => job.status?.conditions.find(other => other.type === type)
const jobIdOf = (job: FlinkJob) => job.status?.jobStatus?.jobId
const bad = withJob({ script: 'bad' })

const rollback = { enabled: true, deadline: '5 min' }

async function started(upgradeMode: FlinkJobSpec['job']['upgradeMode'] = 'savepoint', crashes?: Crashes) {
  const made = world(crashes, { ...withJob({ upgradeMode })(spec), rollback })
  made.cluster.looksUntilFinished = undefined
  const first = await made.until(stable)
  made.cluster.history.length = 0
  return { ...made, first }
}

type World = Awaited<ReturnType<typeof started>>

/** The job of the changed spec runs, and no checkpoint of it completes. */
async function edited(made: World) {
  made.cluster.progress.checkpointMs = undefined
  await made.edit(bad)
  return made.until(job => lifecycle(job) === 'DEPLOYED' && job.status?.jobStatus?.state === 'RUNNING')
}

describe('a changed spec', () => {
  test('is stable when it is RUNNING and has completed a checkpoint: nothing is rolled back afterwards', async () => {
    const made = await started()
    const trial = await edited(made)
    expect(trial.status?.trial).toMatchObject({ generation: 2, losesState: false })
    expect(trial.status?.reconciliationStatus?.lastStableSpec).toBe(JSON.stringify(made.first.spec))
    made.advance(200_000)
    const waiting = await made.pass()
    expect(lifecycle(waiting)).toBe('DEPLOYED')
    expect(condition(waiting, 'Progressing')).toMatchObject({
      status: 'True',
      message: 'generation 2 is on trial: the job is RUNNING, and has to complete a checkpoint',
    })
    made.cluster.progress.checkpoint(made.now())
    const job = await made.until(stable)
    expect(job.status?.trial).toBeUndefined()
    expect(job.status?.reconciliationStatus?.lastStableSpec).toBe(JSON.stringify(job.spec))
    made.advance(600_000)
    expect(stable(await made.pass())).toBe(true)
  })

  test('that takes no checkpoints is stable when it is RUNNING', async () => {
    const made = await started()
    made.cluster.progress.checkpointIntervalMs = null
    await made.edit(bad)
    expect((await made.until(stable)).status?.observedGeneration).toBe(2)
  })

  test('without spec.rollback is not on trial', async () => {
    const made = world(undefined, withJob({ upgradeMode: 'savepoint' })(spec))
    made.cluster.looksUntilFinished = undefined
    await made.until(stable)
    await made.edit(bad)
    expect((await made.until(job => stable(job) && job.status?.observedGeneration === 2)).status?.trial).toBeUndefined()
  })
})

describe('a changed spec that is not stable within the deadline', () => {
  test('is rolled back to the last stable one, from what it had begun with; the object keeps it, and the status says why', async () => {
    const made = await started()
    const { cluster, first, until, pass, advance, store } = made
    await edited(made)
    cluster.state.set(jobIdOf(first) ?? '', 'savepoint before')
    store.seen.length = 0
    advance(300_001)
    const job = await until(rolledBack)
    expect(store.seen).toEqual(['ROLLING_BACK RUNNING', 'ROLLING_BACK RECONCILING', 'ROLLING_BACK CREATED', 'ROLLED_BACK RUNNING'])
    expect(job.spec.job.script).toBe('bad')
    const reason = 'it was not stable within 5 min, the job is RUNNING'
    expect(job.status).toMatchObject({
      observedGeneration: 2,
      rollback: { generation: 2, reason },
      refused: { generation: 2, message: `generation 2 was rolled back to the last stable spec: ${reason}` },
      error: `generation 2 was rolled back to the last stable spec: ${reason}; the job goes on as it was`,
      reconciliationStatus: { lastReconciledSpec: JSON.stringify(first.spec), lastStableSpec: JSON.stringify(first.spec) },
    })
    expect(jobIdOf(job)).toBe(jobIdOf(first))
    expect(condition(job, 'Ready')).toMatchObject({ status: 'False', reason: 'RolledBack', message: expect.stringContaining(reason) })
    expect(cluster.restored).toHaveLength(3)
    expect(cluster.violations).toEqual([])
    await pass()
    const { resourceVersion } = (await pass()).metadata
    advance(600_000)
    expect((await pass()).metadata.resourceVersion).toBe(resourceVersion)
  })

  test('a new edit leaves the roll-back', async () => {
    const made = await started()
    await edited(made)
    made.advance(300_001)
    await made.until(rolledBack)
    await made.edit(withJob({ script: 'good' }))
    made.cluster.progress.checkpoint(made.now())
    const job = await made.until(after => stable(after) && after.status?.observedGeneration === 3)
    expect([job.status?.rollback, job.status?.refused, job.status?.error]).toEqual([undefined, undefined, undefined])
  })

  test('taken back, the roll-back is what was asked for', async () => {
    const made = await started()
    await edited(made)
    made.advance(300_001)
    await made.until(rolledBack)
    await made.edit(() => made.first.spec)
    const job = await made.until(stable)
    expect([job.status?.rollback, job.status?.refused, job.status?.observedGeneration]).toEqual([undefined, undefined, 3])
    expect(made.cluster.restored).toHaveLength(3)
  })
})

test('a changed spec whose job has FAILED is rolled back at once, with its cause', async () => {
  const made = await started()
  await edited(made)
  made.cluster.failure = 'Error: no such topic'
  made.cluster.end(jobIdOf(made.first) ?? '', 'FAILED')
  const job = await made.until(rolledBack)
  expect(job.status?.rollback?.reason).toMatch(/Error: no such topic/)
  expect(jobIdOf(job)).toBe(jobIdOf(made.first))
  expect(made.cluster.violations).toEqual([])
})

test('a changed spec that is refused when it is submitted is rolled back', async () => {
  const made = await started()
  await made.edit(bad)
  made.cluster.refusedPrograms.set('bad', 'no such operator')
  const job = await made.until(rolledBack)
  expect(job.status?.rollback?.reason).toBe('no such operator')
})

test('in mode stateless it begins empty again, as yet another job', async () => {
  const made = await started('stateless')
  await edited(made)
  made.advance(300_001)
  const job = await made.until(rolledBack)
  expect(made.cluster.restored).toEqual([undefined, undefined, undefined])
  expect(made.cluster.submittedIds.size).toBe(3)
  expect(jobIdOf(job)).not.toBe(jobIdOf(made.first))
})

test('where the edit has given up the state that the stable spec is to keep, nothing is rolled back, and the status says so', async () => {
  const made = await started()
  made.cluster.progress.checkpointMs = undefined
  await made.edit(withJob({ script: 'bad', upgradeMode: 'stateless' }))
  await made.until(job => job.status?.trial !== undefined && job.status.jobStatus?.state === 'RUNNING')
  made.advance(300_001)
  const job = await made.until(after => after.status?.rollback !== undefined && after.status.error !== undefined)
  expect(job.status?.error).toMatch(
    /^generation 2 has failed and is not rolled back: the edit has given up the state that the last stable spec would go on with; it failed: /,
  )
  expect(made.cluster.restored).toHaveLength(2)
})

test('what it was restarted for is the reason, also when that is seen only as the deadline is over', async () => {
  const made = await started()
  await edited(made)
  made.advance(300_001)
  made.cluster.progress.restart(made.now(), 'Error: no price')
  const job = await made.until(rolledBack)
  expect(job.status?.rollback?.reason).toBe('it was not stable within 5 min, the job is RUNNING: restarted once, the last time for Error: no price')
})

describe('the state of the failed spec', () => {
  const kept = { operator: 'Count', uid: 'count', name: 'count' } as const
  const planned = (made: World, script: string, outcome: 'dropped' | 'incompatible', ignoresUnclaimedState = false) =>
    made.cluster.statePlans.set(script, { kind: 'ready', restorePoint: 'chk', ignoresUnclaimedState, states: [{ ...kept, outcome }] })

  test('that only it has a place for is dropped', async () => {
    const made = await started()
    await edited(made)
    planned(made, spec.job.script ?? '', 'dropped')
    made.advance(300_001)
    await made.until(rolledBack)
    expect(made.cluster.dropping).toEqual([undefined, undefined, true])
  })

  test('that the stable spec cannot read is not left behind: the failed one runs again, and the status says why', async () => {
    const made = await started()
    await edited(made)
    planned(made, spec.job.script ?? '', 'incompatible')
    made.advance(300_001)
    const job = await made.until(after => after.status?.rollback?.failure !== undefined && after.status.jobStatus?.state === 'RUNNING')
    expect(job.status?.reconciliationStatus?.lastReconciledSpec).toBe(JSON.stringify(job.spec))
    expect((await made.until(after => after.status?.error !== undefined)).status?.error).toMatch(
      /^generation 2 has failed and is not rolled back: state 'count' of operator 'Count'/,
    )
    const { restored } = made.cluster
    made.advance(600_000)
    await made.pass()
    expect(restored).toHaveLength(3)
  })

  test('that it had dropped, and has gone on without since, keeps the stable spec from going on', async () => {
    const made = await started()
    planned(made, 'bad', 'dropped', true)
    await edited(made)
    made.advance(300_001)
    // Killed as the last-state stop does it, a checkpoint of the failed spec is the newest.
    const job = await made.until(after => after.status?.rollback?.failure !== undefined)
    expect(job.status?.rollback?.failure).toBe("state 'count' of operator 'Count' was dropped by generation 2, which has completed checkpoints since")
  })
})

test('deleted while it is rolled back, nothing is left', async () => {
  const made = await started()
  await edited(made)
  made.advance(300_001)
  await made.until(job => job.status?.upgrade?.back !== undefined)
  await made.store.markDeleted(await made.store.read(), made.now())
  await made.until(job => lifecycle(job) === 'DELETED')
  expect([made.cluster.jobManager, made.cluster.taskManagers, made.cluster.violations]).toEqual(['missing', 0, []])
})

test('every crash in the roll-back of a job that has FAILED ends in one job of the stable spec with its state', async () => {
  const run = async (crashes: Crashes) => {
    const made = await started('savepoint', crashes)
    await edited(made)
    const from = made.steps()
    made.cluster.end(jobIdOf(made.first) ?? '', 'FAILED')
    return { ...made, from, last: await made.until(rolledBack) }
  }
  const plain = await run(new Map())
  for (let at = plain.from; at < plain.steps() + 2; at++)
    for (const side of ['before', 'after'] as const) {
      const { cluster, first, last } = await run(new Map([[at, side]]))
      const about = `${at} ${side}`
      expect(cluster.violations, about).toEqual([])
      expect(jobIdOf(last), about).toBe(jobIdOf(first))
      expect(cluster.restored.at(-1), about).toBe(`savepoint of ${jobIdOf(first)}`)
    }
})

test('a changed spec whose JobManager does not get up is rolled back', async () => {
  const made = await started()
  await made.edit(bad)
  await made.until(job => job.status?.trial !== undefined)
  for (let i = 0; i < 40 && (await made.store.read()).status?.rollback === undefined; i++) {
    await made.pass()
    if (made.cluster.jobManager === 'starting' || made.cluster.jobManager === 'ready') made.cluster.loseJobManager('ended')
    made.advance(10_000)
  }
  const job = await made.until(rolledBack)
  expect(job.status?.rollback?.reason).toMatch(/^it was not stable within 5 min, .*: jobmanager-0 ended with exit code 1/)
  expect(made.cluster.restored.at(-1)).toBe(`savepoint of ${jobIdOf(made.first)}`)
  expect(made.cluster.violations).toEqual([])
})

test('every crash, and every two crashes, in a roll-back end in one job of the stable spec with its state', async () => {
  const run = async (crashes: Crashes) => {
    const made = await started('savepoint', crashes)
    await edited(made)
    const from = made.steps()
    made.advance(300_001)
    return { ...made, from, last: await made.until(rolledBack) }
  }
  const plain = await run(new Map())
  const sides = ['before', 'after'] as const
  for (let at = plain.from; at < plain.steps() + 2; at++)
    for (const side of sides)
      for (const other of [undefined, ...sides])
        for (let then = at + 1; then < (other === undefined ? at + 2 : plain.steps() + 4); then++) {
          const crashes = new Map([[at, side], ...(other === undefined ? [] : [[then, other] as const])])
          const { cluster, first, last } = await run(crashes)
          const about = JSON.stringify([...crashes])
          expect(cluster.violations, about).toEqual([])
          expect(jobIdOf(last), about).toBe(jobIdOf(first))
          expect(last.status?.reconciliationStatus?.lastReconciledSpec, about).toBe(JSON.stringify(first.spec))
          expect(cluster.restored.at(-1), about).toBe(`checkpoint of ${jobIdOf(first)}`)
        }
})
