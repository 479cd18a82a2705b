import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { counted, counting, UpHome } from '../support/up.ts'

/** Edits of a manifest under `millrace up`, with real processes: what the job prints shows whether its state has come along. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const options = (mode: string, more = '') => `    upgradeMode: ${mode}\n${more}  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n`
const stable = (name: string, generation: number) =>
  expect
    .poll(() => home.status(name), { timeout: 60_000 })
    .toMatchObject({ observedGeneration: generation, lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } })

test('in mode savepoint an edited program goes on under its id with the state of the one before, each row once', async () => {
  const path = home.manifest('upgraded', counting('a'), options('savepoint'))
  const { prints, says, stdout, stderr, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  const { jobId } = home.status('upgraded')?.jobStatus ?? {}
  home.manifest('upgraded', counting('b'), options('savepoint'))
  await prints(/b \d+ \d+\n/)
  await stable('upgraded', 2)
  const status = home.status('upgraded')
  expect(status?.jobStatus?.jobId).toBe(jobId)
  expect(status?.jobStatus?.upgradeSavepointPath).toMatch(/^file:.*savepoint-/)
  expect(status?.edit).toMatchObject({ generation: 2, class: 'restart', fields: ['spec.job.script'] })
  await says(/STABLE -> UPGRADING\n/)
  const [before, after] = [counted(stdout(), 'a'), counted(stdout(), 'b')]
  expect([before.length, after.length].every(length => length > 0)).toBe(true)
  expect([...before, ...after]).toEqual(Array.from({ length: before.length + after.length }, (_, n) => [n, n + 1]))
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})

test('in mode last-state an edited program goes on from the newest checkpoint', async () => {
  const path = home.manifest('lasting', counting('a'), options('last-state'))
  const { prints, stdout, child, exit } = home.run(path)
  await prints(/a 8 9\n/)
  home.manifest('lasting', counting('b'), options('last-state'))
  await prints(/b \d+ \d+\n/)
  await stable('lasting', 2)
  const [[first, count] = [0, 0]] = counted(stdout(), 'b')
  expect(count).toBe(first + 1)
  // From a checkpoint, not from the beginning, and nothing is left out.
  expect(first).toBeGreaterThan(0)
  expect(first).toBeLessThanOrEqual(counted(stdout(), 'a').length)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('in mode stateless it begins anew, as another job', async () => {
  const path = home.manifest('fresh', counting('a'), options('stateless'))
  const { prints, stdout, child, exit } = home.run(path)
  await prints(/a 3 4\n/)
  const { jobId } = home.status('fresh')?.jobStatus ?? {}
  home.manifest('fresh', counting('b'), options('stateless'))
  await prints(/b 2 3\n/)
  expect(counted(stdout(), 'b')[0]).toEqual([0, 1])
  await stable('fresh', 2)
  expect(home.status('fresh')?.jobStatus?.jobId).not.toBe(jobId)
  expect(home.status('fresh')?.edit?.class).toBe('state-loss')
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a program that does not compile leaves the job running, and says where', async () => {
  const path = home.manifest('broken', counting('a'), options('savepoint'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 3 4\n/)
  const processes = home.clusterProcesses().map(line => line.split(' ')[0])
  home.manifest('broken', `${counting('b')}\n}`, options('savepoint'))
  await says(/the edit is not carried out, the job goes on as it was: .*broken\.yaml:\d+:\d+/s)
  const seen = counted(stdout(), 'a').length
  await prints(new RegExp(`a ${seen + 5} `))
  expect(home.clusterProcesses().map(line => line.split(' ')[0])).toEqual(processes)
  home.manifest('broken', counting('c'), options('savepoint'))
  await prints(/c \d+ \d+\n/)
  expect(counted(stdout(), 'c')[0]).toEqual([counted(stdout(), 'a').length, counted(stdout(), 'a').length + 1])
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a program that the state does not fit is refused before the job is touched, and a mended one goes on with it', async () => {
  const path = home.manifest('typed', counting('a'), options('savepoint'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  const processes = home.clusterProcesses().map(line => line.split(' ')[0])
  home.manifest('typed', counting('b', 'STRING'), options('savepoint'))
  await says(/the edit is not carried out: state 'count' of operator '.*' \(uid 'count'\) cannot be restored: was .*; the job goes on as it was/)
  const status = home.status('typed')
  expect(status).toMatchObject({
    observedGeneration: 2,
    jobStatus: { state: 'RUNNING' },
    plan: { generation: 2, verdict: 'incompatible' },
    refused: { generation: 2 },
  })
  expect(status?.plan?.restorePoint).toMatch(/\/chk-\d+$/)
  expect(status?.plan?.states).toContainEqual(expect.objectContaining({ uid: 'numbers', outcome: 'kept' }))
  expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Planning', status: 'False', reason: 'Incompatible' }))
  const seen = counted(stdout(), 'a').length
  await prints(new RegExp(`a ${seen + 5} `))
  expect(home.clusterProcesses().map(line => line.split(' ')[0])).toEqual(processes)
  // Under another name it begins empty, and the old one is dropped: allowed by the spec.
  home.manifest('typed', counting('c', 'STRING', 'text'), options('savepoint', '    allowNonRestoredState: true\n'))
  await prints(/c \d+ 1\n/)
  await stable('typed', 3)
  const plan = home.status('typed')?.plan
  expect(plan).toMatchObject({ generation: 3, verdict: 'compatible', restorePoint: home.status('typed')?.jobStatus?.upgradeSavepointPath })
  expect(plan?.states.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual(expect.arrayContaining(['count dropped', 'text new']))
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a program without a place for a state is refused until its generation is approved: the state is dropped then', async () => {
  const path = home.manifest('approved', counting('a'), options('savepoint'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  home.manifest('approved', counting('b', 'INT', 'other'), options('savepoint'))
  await says(/state 'count' of operator '.*' \(uid 'count'\) has no place in the new program.*approve-plan: "2"; the job goes on as it was/)
  const seen = counted(stdout(), 'a').length
  await prints(new RegExp(`a ${seen + 3} `))
  await home.millrace('annotate', 'fj', 'approved', 'millrace.dev/approve-plan=2')
  await prints(/b \d+ 1\n/)
  await stable('approved', 2)
  expect(home.status('approved')?.plan).toMatchObject({ generation: 2, verdict: 'incompatible', approved: true })
  // The positions of the source are kept: nothing is read twice, nothing left out.
  expect(counted(stdout(), 'b')[0]?.[0]).toBe(counted(stdout(), 'a').length)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a changed program that fails again and again is rolled back: the stable one goes on with its state, each row once', async () => {
  const strategy = '  restartStrategy:\n    type: fixed-delay\n    attempts: 100000\n    delay: 100 ms\n'
  const spec = (deadline: string) => `${options('savepoint')}${strategy}  rollback:\n    deadline: ${deadline}\n`
  const path = home.manifest('back', counting('a'), spec('20 s'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  const { jobId } = home.status('back')?.jobStatus ?? {}
  home.manifest('back', counting('b').replace('const count =', "throw new Error('no price'); const count ="), spec('20 s'))
  await says(/UPGRADING -> DEPLOYED\n/)
  const seen = counted(stdout(), 'a').length
  await says(/ROLLING_BACK -> ROLLED_BACK\n/)
  await prints(new RegExp(`a ${seen + 5} ${seen + 6}\n`))
  const status = home.status('back')
  expect(status).toMatchObject({
    observedGeneration: 2,
    lifecycleState: 'ROLLED_BACK',
    jobStatus: { jobId, state: 'RUNNING' },
    rollback: { generation: 2 },
  })
  expect(status?.rollback?.reason).toMatch(/^it was not stable within 20 s, .*no price/)
  const all = counted(stdout(), 'a')
  expect(all).toEqual(all.map((_, n) => [n, n + 1]))
  home.manifest('back', counting('c'), spec('60 s'))
  await prints(/c \d+ \d+\n/)
  await stable('back', 3)
  expect(home.status('back')?.rollback).toBeUndefined()
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('suspended, no process is left; resumed, it goes on where it was', async () => {
  const path = home.manifest('resting', counting('a'), options('savepoint'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 4 5\n/)
  home.manifest('resting', counting('a'), options('savepoint', '    state: suspended\n'))
  await says(/UPGRADING -> SUSPENDED\n/)
  expect(home.clusterProcesses()).toEqual([])
  expect(home.status('resting')).toMatchObject({ observedGeneration: 2, jobManagerDeploymentStatus: 'MISSING', jobStatus: { state: 'SUSPENDED' } })
  const seen = counted(stdout(), 'a').length
  home.manifest('resting', counting('a'), options('savepoint'))
  await prints(new RegExp(`a ${seen + 3} ${seen + 4}\n`))
  await stable('resting', 3)
  const all = counted(stdout(), 'a')
  expect(all.length).toBeGreaterThan(seen + 3)
  expect(all).toEqual(all.map((_, n) => [n, n + 1]))
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('rescaled 1 -> 3 -> 1 by edits of the parallelism: the same job in the same processes, with one TaskManager a slot', async () => {
  const sized = (parallelism: number) => `${options('savepoint', `    parallelism: ${parallelism}\n`)}    slot.idle.timeout: 1 s\n`
  const path = home.manifest('sized', counting('a'), sized(1))
  const { prints, says, stdout, stderr, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  const { jobId, parallelism } = home.status('sized')?.jobStatus ?? {}
  expect(parallelism).toBe(1)
  const before = home.clusterProcesses()
  expect(before.filter(line => line.includes(' taskmanager '))).toHaveLength(1)

  home.manifest('sized', counting('a'), sized(3))
  await says(/STABLE -> UPGRADING\n(.*\n)*.* -> STABLE\n/)
  await stable('sized', 2)
  expect(home.status('sized')).toMatchObject({
    jobStatus: { jobId, parallelism: 3 },
    edit: { generation: 2, class: 'rescale', fields: ['spec.job.parallelism'] },
    taskManager: { replicas: 3 },
  })
  expect(home.clusterProcesses().filter(line => line.includes(' taskmanager '))).toHaveLength(3)
  expect(home.clusterProcesses(), 'nothing was restarted').toEqual(expect.arrayContaining(before))
  const atThree = counted(stdout(), 'a').length
  await expect.poll(() => counted(stdout(), 'a').length, { timeout: 60_000 }).toBeGreaterThan(atThree + 5)

  home.manifest('sized', counting('a'), sized(1))
  await expect.poll(() => home.status('sized')?.observedGeneration, { timeout: 60_000 }).toBe(3)
  await stable('sized', 3)
  await expect.poll(() => home.clusterProcesses(), { timeout: 60_000 }).toEqual(before)
  expect(home.status('sized')?.jobStatus).toMatchObject({ jobId, parallelism: 1, state: 'RUNNING' })
  const atOne = counted(stdout(), 'a').length
  await expect.poll(() => counted(stdout(), 'a').length, { timeout: 60_000 }).toBeGreaterThan(atOne + 5)
  // print() repeats what came behind a checkpoint; the counts are as many as the numbers all the same, each counted once.
  const counts = new Map(counted(stdout(), 'a').map(([n, count]) => [count, n]))
  expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: counts.size }, (_, i) => i + 1))
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
})

test('its JobManager killed, the job goes on under its id from its newest checkpoint; how it ended is found at the store', async () => {
  const path = home.manifest('killed', counting('a'), options('last-state'))
  const { prints, says, stdout, child, exit } = home.run(path)
  await prints(/a 8 9\n/)
  const { jobId } = home.status('killed')?.jobStatus ?? {}
  const jobManager = home.clusterProcesses().find(line => line.includes(' jobmanager '))
  process.kill(Number(jobManager?.split(' ')[0]), 'SIGKILL')
  await says(/killed: jobmanager-0 .*SIGKILL/)
  await says(/STABLE -> UPGRADING\n(.*\n)*.* UPGRADING -> /)
  await stable('killed', 1)
  expect(home.status('killed')).toMatchObject({ jobStatus: { jobId }, restore: { kind: 'checkpoint' }, recovery: { count: 1, step: 'DONE' } })
  const seen = counted(stdout(), 'a').length
  await expect.poll(() => counted(stdout(), 'a').length, { timeout: 60_000 }).toBeGreaterThan(seen + 3)
  // What was printed behind the checkpoint is printed again; the count goes with the number all the same.
  expect(counted(stdout(), 'a').filter(([n, count]) => count !== n + 1)).toEqual([])
  expect(counted(stdout(), 'a').filter(([n]) => n === 0)).toHaveLength(1)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a savepoint path where nothing lies: nothing is started, and the path is named; a new restartNonce restarts a job with its state', async () => {
  const nowhere = home.run(home.manifest('nowhere', counting('a'), options('savepoint', '    initialSavepointPath: file:///nowhere/savepoint-1\n')))
  expect(await nowhere.exit).toBe(1)
  expect(nowhere.stderr()).toMatch(
    /FlinkJob default\/nowhere: spec\.job\.initialSavepointPath file:\/\/\/nowhere\/savepoint-1 is nothing that a job can begin with/,
  )
  expect(home.status('nowhere')).toMatchObject({ lifecycleState: 'FAILED', jobManagerDeploymentStatus: 'MISSING' })

  const nonce = (value: number) => `${options('savepoint')}  restartNonce: ${value}\n`
  const { prints, stdout, child, exit } = home.run(home.manifest('again', counting('a'), nonce(1)))
  await prints(/a 3 4\n/)
  home.manifest('again', counting('a'), nonce(2))
  await stable('again', 2)
  const seen = counted(stdout(), 'a').length
  await prints(new RegExp(`a ${seen + 2} ${seen + 3}\n`))
  expect(counted(stdout(), 'a')).toEqual(counted(stdout(), 'a').map((_, n) => [n, n + 1]))
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test.each(['Savepoint', 'Keep', 'Delete'])('stopped with deletionPolicy %s, the state is what the policy says', async policy => {
  const name = `policy-${policy.toLowerCase()}`
  const { prints, child, exit, stderr } = home.run(home.manifest(name, counting('a'), `${options('savepoint')}  deletionPolicy: ${policy}\n`))
  await prints(/a 8 9\n/)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
  const status = home.status(name)
  expect(status?.lifecycleState).toBe('DELETED')
  const state = join(home.directory, 'up/default', name, 'cluster/state')
  const files = (folder: string) => (existsSync(join(state, folder)) ? readdirSync(join(state, folder), { recursive: true, encoding: 'utf8' }) : [])
  const savepoint = status?.deletion?.savepointPath
  expect([savepoint !== undefined, files('savepoints').some(file => file.endsWith('_metadata'))]).toEqual(
    policy === 'Savepoint' ? [true, true] : [false, false],
  )
  expect(files('checkpoints').some(file => file.includes('/epochs/') && !file.endsWith('.part'))).toBe(policy !== 'Delete')
})
