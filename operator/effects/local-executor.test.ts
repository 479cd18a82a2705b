import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { FlinkJobSpec } from '../api/flink-job.ts'
import { createLocalExecutor, type LocalExecutor, type LocalExecutorOptions } from './local-executor.ts'

/** Stands for the JobManager and the TaskManager: writes its record with what it was told, or ends as told by `END_WITH`. */
const stub = `
const { renameSync, writeFileSync } = require('node:fs')
const [kind, , , record, ...rest] = process.argv.slice(1)
const properties = rest.filter(arg => arg !== '-D')
const failure = (process.env.END_WITH ?? '').split('|')
if (failure[0] !== '' && properties.includes(failure[0])) {
  console.error(failure[1])
  process.exit(1)
}
writeFileSync(record + '.part', JSON.stringify({ webAddress: properties.join(' '), rpcHost: 'h', rpcPort: 7 }))
renameSync(record + '.part', record)
process.stdin.on('end', () => process.exit(0)).resume()
`

const spec: FlinkJobSpec = {
  job: { script: 'export default 1', entryClass: 'default', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
}

const noState = {
  checkpointDirectory: undefined,
  planState: async () => ({ kind: 'ready', restorePoint: undefined, ignoresUnclaimedState: false, states: [] }) as const,
}

let directory: string
let executor: LocalExecutor | undefined
const notes: string[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  notes.length = 0
})
afterEach(async () => {
  await executor?.close()
  rmSync(directory, { recursive: true, force: true })
})

function create(options: Partial<LocalExecutorOptions> = {}, endWith = ''): LocalExecutor {
  executor = createLocalExecutor({
    directory,
    jobName: 'test',
    launcher: [process.execPath, '-e', stub],
    env: { ...process.env, END_WITH: endWith },
    clock: systemClock,
    rest: () => {
      throw new Error('nobody is asked')
    },
    programs: {
      prepare: async () => ({
        bytes: new Uint8Array(),
        jobName: 'test',
        slotsNeeded: 1,
        slotsPerTaskManager: 1,
        parallelisms: {},
        entry: 'default',
        configuration: {},
        ...noState,
      }),
    },
    catalogue: () => {
      throw new Error('nobody is asked')
    },
    isConfigured: () => false,
    note: text => notes.push(text),
    startTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    ...options,
  })
  return executor
}

async function settled(executor: LocalExecutor) {
  const look = async () => (await executor.observeCluster()).jobManager
  await expect.poll(async () => (await look()).kind, { timeout: 15_000 }).not.toBe('starting')
  return look()
}

test('a port that is taken between the look and the start is given up for another one', async () => {
  const local = create({}, 'rest.port=8081|port 8081 on 127.0.0.1 is in use')
  for (let i = 0; i < 2; i++) {
    await local.execute({ kind: 'startJobManager', spec })
    if ((await settled(local)).kind === 'ready') break
  }
  expect(await settled(local)).toMatchObject({ kind: 'ready', webAddress: expect.stringContaining('rest.port=0') })
  expect(notes).toEqual(['port 8081 is taken, the JobManager takes another one'])
})

test('a port of the manifest is taken as it is, and its failure is told with the end of the log', async () => {
  const local = create({}, 'rest.port=8081|port 8081 on 127.0.0.1 is in use')
  await local.execute({ kind: 'startJobManager', spec: { ...spec, flinkConfiguration: { 'rest.port': '8081' } } })
  const jobManager = await settled(local)
  expect(jobManager).toMatchObject({
    kind: 'ended',
    message: expect.stringMatching(/^jobmanager-0 ended with exit code 1; .*\n {2}port 8081 on 127\.0\.0\.1 is in use$/s),
  })
})

test('what config.yaml sets is not chosen here', async () => {
  const configured = ['rest.port', 'jobmanager.rpc.port', 'execution.checkpointing.dir', 'execution.checkpointing.externalized-checkpoint-retention']
  const local = create({ isConfigured: key => configured.includes(key) })
  await local.execute({ kind: 'startJobManager', spec })
  const jobManager = await settled(local)
  expect(jobManager).toMatchObject({
    kind: 'ready',
    webAddress: expect.stringMatching(
      /^env\.log\.level-file=\S+\/run\/log-level jobmanager\.rpc\.address=127\.0\.0\.1 execution\.checkpointing\.savepoint-dir=file:\/\/\S+\/state\/savepoints job-result-store\.storage-path=file:\/\/\S+\/state\/results job-result-store\.delete-on-commit=false$/,
    ),
  })
})

test('TaskManagers learn where their JobManager is, and one that ends by itself is told apart from one that never came up', async () => {
  const local = create({}, 'taskmanager.resource-id=taskmanager-1|out of luck')
  await local.execute({ kind: 'startJobManager', spec })
  await settled(local)
  await local.execute({ kind: 'startTaskManagers', spec, replicas: 2 })
  await expect
    .poll(async () => (await local.observeCluster()).taskManagers, { timeout: 15_000 })
    .toMatchObject({
      running: 1,
      ended: [{ wasReady: false, message: expect.stringMatching(/^taskmanager-1 ended with exit code 1; .*out of luck$/s) }],
    })
  expect(local.outputs().map(({ id, stream, path }) => [id, stream, basename(path)])).toEqual(
    ['taskmanager-0', 'taskmanager-1'].flatMap(id => [
      [id, 'stdout', `${id}.out`],
      [id, 'stderr', `${id}.err`],
    ]),
  )
})

test('a program that cannot be prepared is told by its message, whatever was thrown', async () => {
  const local = create({ programs: { prepare: () => Promise.reject(new FlinkError('INVALID_PROGRAM', 'does not compile')) } })
  expect(await local.observeProgram(spec)).toEqual({ kind: 'pending' })
  await expect.poll(() => local.observeProgram(spec)).toEqual({ kind: 'invalid', message: 'does not compile' })
})

test('state that lies where the edited job would not look for it is planned as lost, not found missing by the job', async () => {
  const states = [{ operator: 'Count', name: 'count', outcome: 'kept' }] as const
  const places = new Map([
    ['before', 's3://bucket/a'],
    ['after', 's3://bucket/b'],
  ])
  const local = create({
    programs: {
      prepare: async ({ job: { script = '' } }) => ({
        bytes: new Uint8Array(),
        jobName: script,
        slotsNeeded: 1,
        slotsPerTaskManager: 1,
        parallelisms: {},
        entry: 'default',
        configuration: {},
        checkpointDirectory: places.get(script),
        planState: async () => ({ kind: 'ready', restorePoint: `${places.get(script)}/chk-1`, ignoresUnclaimedState: true, states }),
      }),
    },
  })
  const scripted = (script: string): FlinkJobSpec => ({ ...spec, job: { ...spec.job, script } })
  const look = (after: string) => local.observeStatePlan({ jobId: 'j', before: scripted('before'), after: scripted(after), occasion: '2' })
  expect(await look('before')).toEqual({ kind: 'pending' })
  await expect.poll(() => look('before')).toMatchObject({ restorePoint: 's3://bucket/a/chk-1', states })
  await expect.poll(() => look('after')).toMatchObject({ restorePoint: 's3://bucket/a/chk-1' })
  expect(await look('after')).toMatchObject({
    states: [
      { outcome: 'incompatible', why: expect.stringMatching(/^it lies in s3:\/\/bucket\/a, and the edited job looks for it in s3:\/\/bucket\/b: /) },
    ],
  })
})
