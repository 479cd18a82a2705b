import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { FlinkJobSpec } from '../../operator/api/flink-job.ts'
import type { Executor } from '../../operator/effects/actions.ts'
import { createLocalExecutor } from '../../operator/effects/local-executor.ts'
import { catalogueLocations, createCatalogue } from '../../runtime/checkpoint/catalogue.ts'
import { openStore } from '../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { newId } from '../../runtime/common/ids.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { buildArtifact } from '../../runtime/planner/artifact.ts'
import { createRestClient } from '../../runtime/rest/client.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { FakeFlinkCluster } from '../support/fake-flink-cluster.ts'
import { KubernetesWorld } from '../support/kubernetes-world.ts'

/** What the controller may rely on, held by the cluster that its crash tests run on and by real processes alike. */
interface Subject {
  readonly executor: Executor
  readonly rest: (address: string) => RestClient
  close(): Promise<void>
}

const script = `
import { DataGeneratorSource, WatermarkStrategy } from 'millrace'
export default env => env.fromSource(new DataGeneratorSource(i => i, { rowsPerSecond: 10 }), WatermarkStrategy.noWatermarks(), 'rows').print()`

const spec: FlinkJobSpec = {
  job: { script, entryClass: 'default', args: [], parallelism: 1, state: 'running', upgradeMode: 'stateless', fallback: 'none' },
  flinkConfiguration: { 'rest.port': '0', 'slot.idle.timeout': '1 s' },
  taskManager: {},
}

function fakeSubject(): Subject {
  const executor = new FakeFlinkCluster()
  executor.looksUntilFinished = undefined
  return { executor, rest: executor.rest, close: async () => {} }
}

async function kubernetesSubject(): Promise<Subject> {
  const world = await KubernetesWorld.start()
  world.cluster.looksUntilFinished = undefined
  const executor = world.executor()
  return { executor, rest: executor.rest, close: () => world[Symbol.asyncDispose]() }
}

function localSubject(): Subject {
  const root = resolve(import.meta.dirname, '../..')
  const directory = mkdtempSync(join(tmpdir(), 'millrace-executor-'))
  const rest = (address: string) =>
    createRestClient({ address, token: undefined, requestTimeoutMs: 10_000, attemptsMax: 3, retryDelayMs: 100, clock: systemClock })
  const executor = createLocalExecutor({
    directory,
    jobName: 'contract',
    launcher: [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'bin/millrace.ts')],
    env: process.env,
    clock: systemClock,
    rest,
    programs: {
      async prepare({ job }) {
        const { bytes } = await buildArtifact({ kind: 'script', text: job.script ?? '', name: 'job.ts', folder: root })
        return {
          bytes,
          jobName: 'contract',
          slotsNeeded: 1,
          slotsPerTaskManager: 1,
          parallelisms: {},
          entry: 'default',
          configuration: {},
          ...noState,
        }
      },
    },
    catalogue: entries => catalogueOf(Configuration.fromObject(entries)),
    isConfigured: () => false,
    note: () => {},
    startTimeoutMs: 60_000,
    stopTimeoutMs: 30_000,
  })
  return {
    executor,
    rest,
    async close() {
      await executor.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Programs of these tests go on from nothing. */
const noState = {
  checkpointDirectory: undefined,
  planState: async () => ({ kind: 'ready', restorePoint: undefined, ignoresUnclaimedState: false, states: [] }) as const,
}

function catalogueOf(configuration: Configuration) {
  const parts = { clock: systemClock, random: systemRandom, log: noLog, access: 'read' } as const
  return createCatalogue(catalogueLocations(configuration), uri => openStore(uri, configuration, parts))
}

const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 60_000, interval: 100 })

describe.each([
  ['the fake cluster', fakeSubject],
  ['pods, played by a stub', kubernetesSubject],
  ['processes of this machine', localSubject],
])('%s', (_name, create) => {
  let subject: Subject | undefined
  afterEach(() => subject?.close())

  test('holds the contract of executors', async () => {
    subject = await create()
    const { executor, rest } = subject
    const jobManager = async () => (await executor.observeCluster()).jobManager.kind
    const taskManagers = async () => (await executor.observeCluster()).taskManagers

    expect(await executor.observeCluster()).toEqual({ jobManager: { kind: 'missing' }, taskManagers: { running: 0, ended: [] } })
    await until(async () => (await executor.observeProgram(spec)).kind).toBe('ready')
    const startTaskManagers = { kind: 'startTaskManagers', spec, replicas: 2 } as const
    await expect(executor.execute(startTaskManagers), 'TaskManagers need to know where their JobManager is').rejects.toMatchObject({
      code: 'CONFLICT',
    })

    await executor.execute({ kind: 'startJobManager', spec })
    await until(jobManager).toBe('ready')
    const first = await executor.observeCluster()
    for (let time = 0; time < 2; time++) await executor.execute(startTaskManagers)
    expect(await taskManagers()).toEqual({ running: 2, ended: [] })

    const client = rest(first.jobManager.kind === 'ready' ? first.jobManager.webAddress : '')
    const jobId = newId(systemRandom)
    await expect(client.job(jobId)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    // The answer of the first one may have been lost.
    for (let time = 0; time < 2; time++) await executor.execute({ kind: 'submitJob', spec, jobId })
    await until(async () => (await client.job(jobId)).state).toBe('RUNNING')
    const running = async () => {
      const { state, vertices } = await client.job(jobId)
      return { state, parallelisms: Object.fromEntries(vertices.map(({ id, parallelism }) => [id, parallelism])) }
    }
    const { parallelisms: before } = await running()
    // The rules ask for another size when the slots for it are there; a job that is RUNNING may still wait for its own.
    await until(async () => (await client.taskManagers()).length).toBe(2)
    for (const parallelism of [2, 1]) {
      const parallelisms = Object.fromEntries(Object.keys(before).map(id => [id, parallelism]))
      // Asked for twice it is still one rescaling.
      for (let time = 0; time < 2; time++) await executor.execute({ kind: 'rescaleJob', jobId, parallelisms, again: false })
      await until(running).toEqual({ state: 'RUNNING', parallelisms })
    }
    await until(async () =>
      (await client.taskManagers()).filter(({ id, slotsNumber, freeSlots }) => id === 'taskmanager-1' && freeSlots < slotsNumber),
    ).toEqual([])
    for (let time = 0; time < 2; time++) await executor.execute({ kind: 'stopTaskManagers', keep: 1 })
    expect(await taskManagers()).toEqual({ running: 1, ended: [] })
    expect((await client.job(jobId)).state).toBe('RUNNING')
    await executor.execute({ kind: 'cancelJob', jobId })
    await until(async () => (await client.job(jobId)).state).toBe('CANCELED')
    const catalogue = await executor.catalogue(spec)
    await until(async () => (await catalogue?.resultOf(jobId))?.state).toBe('CANCELED')
    expect(await catalogue?.knows(jobId)).toBe(true)
    expect(await catalogue?.knows(newId(systemRandom))).toBe(false)
    for (let time = 0; time < 2; time++) await executor.execute({ kind: 'forgetResult', spec, jobId })
    expect(await catalogue?.resultOf(jobId)).toBeUndefined()

    for (let time = 0; time < 2; time++) {
      await executor.execute({ kind: 'stopTaskManagers' })
      expect(await taskManagers()).toEqual({ running: 0, ended: [] })
    }
    for (let time = 0; time < 2; time++) {
      await executor.execute({ kind: 'stopJobManager' })
      expect(await jobManager()).toBe('missing')
    }
  })
})
