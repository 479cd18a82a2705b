import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** One thing that goes wrong around checkpoints, and what becomes of the job: each on a calm network, on simulated time. */
class Case {
  readonly cluster: EngineCluster
  readonly job: Parameters<typeof expectSums>[0]
  readonly jobId = 'b'.repeat(32)

  private constructor(client: Readonly<Record<string, string>>, options: { readonly count: number; readonly taskManagers: number }) {
    const outside = outsides['a sink in memory']()
    this.job = { client, count: options.count, rowsPerSecond: 20, outside }
    this.cluster = new EngineCluster({
      seed: 7,
      build: () => buildSums(this.job),
      taskManagers: options.taskManagers,
      slots: 2,
      jobManager: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 5_000, loadBalanceMode: 'SLOTS' },
      suspendEverywhere: false,
      highAvailability: true,
      sinks: outside.sinks,
    })
  }

  static async start(client: Readonly<Record<string, string>>, options: { count?: number; taskManagers?: number } = {}): Promise<Case> {
    const made = new Case(
      {
        'parallelism.default': '2',
        'execution.checkpointing.interval': '1 s',
        'execution.checkpointing.dir': 'sim://checkpoints',
        'execution.checkpointing.data-inline-threshold': '0',
        ...client,
      },
      { count: options.count ?? 200, taskManagers: options.taskManagers ?? 1 },
    )
    await made.cluster.start()
    await made.cluster.submit(buildJobGraph(buildSums(made.job), { client: made.job.client }), made.jobId)
    return made
  }

  get state() {
    return this.cluster.jobManager.jobDetails(this.jobId)?.state
  }

  get causes(): string {
    const messages: string[] = []
    for (let error = this.cluster.jobManager.exceptions(this.jobId)?.[0]?.error; error !== undefined; error = error.cause)
      messages.push(error.message)
    return messages.join(' | ')
  }

  logged(text: string): number {
    return this.cluster.logs.filter(({ message }) => message.includes(text)).length
  }

  async until(isDone: () => boolean, limitMs = 600_000): Promise<void> {
    if (!(await this.cluster.clock.runUntil(isDone, limitMs))) throw new Error(`not within ${limitMs} ms: the job is ${this.state}: ${this.causes}`)
  }

  async untilCompleted(checkpoints: number): Promise<void> {
    const before = this.logged('completed checkpoint')
    await this.until(() => this.logged('completed checkpoint') >= before + checkpoints)
  }

  async expectFinished(): Promise<void> {
    await this.until(() => this.state === 'FINISHED')
    expectSums(this.job)
  }

  /** Every object of the job in the store, with its bytes. */
  async objects(): Promise<readonly (readonly [string, Uint8Array])[]> {
    const store = this.cluster.stores.get('sim://checkpoints')
    const paths = this.cluster.paths('sim://checkpoints')
    return Promise.all(paths.map(async path => [path, (await store?.read(path)) ?? new Uint8Array()] as const))
  }

  /** Undefined = it is removed. */
  async overwrite(path: string, bytes: Uint8Array | undefined): Promise<void> {
    const store = this.cluster.stores.get('sim://checkpoints')
    await store?.remove(path)
    if (bytes !== undefined) await store?.create(path, bytes)
  }

  loseTaskManager(): void {
    const victim = this.cluster.taskManagers.find(({ alive }) => alive)
    if (victim === undefined) throw new Error('a TaskManager lives')
    this.cluster.kill(victim)
    this.cluster.startTaskManager(`replacement-${this.cluster.taskManagers.length}`)
  }
}

const away = new FlinkError('EXTERNAL_SYSTEM', 'the store does not answer')
const ofCheckpoints = ({ text }: { readonly text: string }) => !text.includes('sim/jobs')

test('a store that is away for minutes: where failures are tolerated the job runs on, and takes checkpoints when it is back', async () => {
  const one = await Case.start({ 'execution.checkpointing.tolerable-failed-checkpoints': '1000' }, { count: 4000 })
  await one.untilCompleted(1)
  one.cluster.storeFault = call => (ofCheckpoints(call) ? away : undefined)
  await one.cluster.clock.run(120_000)
  expect(one.state).toBe('RUNNING')
  expect(one.cluster.job(one.jobId).attempt).toBe(0)
  expect(one.logged('was given up') + one.logged('could not be published')).toBeGreaterThan(0)
  const before = one.logged('completed checkpoint')
  one.cluster.storeFault = () => undefined
  await one.until(() => one.logged('completed checkpoint') > before, 90_000)
  await one.expectFinished()
})

test('a store that is away for minutes: where none is tolerated the job fails and comes back with it', async () => {
  const one = await Case.start({ 'execution.checkpointing.data-inline-threshold': '0' })
  await one.untilCompleted(2)
  one.cluster.storeFault = call => (ofCheckpoints(call) ? away : undefined)
  await one.until(() => one.state === 'RESTARTING')
  expect(one.causes).toMatch(/Exceeded checkpoint tolerable failure threshold.*the store does not answer/)
  await one.cluster.clock.run(180_000)
  expect(one.state).toBe('RESTARTING')
  one.cluster.storeFault = () => undefined
  await one.expectFinished()
})

test('a store that refuses to be written to: the job fails with the reason when its strategy has given up, and what is there stays', async () => {
  const one = await Case.start({
    'restart-strategy.type': 'none',
    'execution.checkpointing.tolerable-failed-checkpoints': '2',
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
  })
  await one.untilCompleted(2)
  one.cluster.storeFault = ({ text }) =>
    ofCheckpoints({ text }) && text.startsWith('create') ? new FlinkError('EXTERNAL_SYSTEM', 'no space left on device') : undefined
  await one.until(() => one.state === 'FAILED')
  expect(one.causes).toMatch(/Exceeded checkpoint tolerable failure threshold. 3 in a row failed.*no space left on device/)
  expect((await one.objects()).some(([path]) => path.includes('/chk-'))).toBe(true)
})

test.each([
  ['a manifest cut short', '_metadata', (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1)],
  ['a manifest with a flipped bit', '_metadata', flipped],
  ['an empty manifest', '_metadata', () => new Uint8Array()],
  ['a manifest that is gone', '_metadata', () => undefined],
  ['data cut short', '/shared/', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1)],
  ['data with a flipped bit', '/shared/', flipped],
  ['data that is gone', '/shared/', () => undefined],
  ['a claim with a flipped bit', '/epochs/', flipped],
] as const)('%s: the job fails, names it, never goes back to an older one, and removes nothing', async (_what, part, damage) => {
  const one = await Case.start({
    'execution.checkpointing.num-retained': '3',
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
  })
  await one.untilCompleted(3)
  const objects = (await one.objects()).filter(([path]) => path.includes(part))
  for (const [path, bytes] of objects) await one.overwrite(path, damage(bytes))
  const paths = one.cluster.paths('sim://checkpoints').length
  one.loseTaskManager()
  await one.until(() => one.state === 'FAILED')
  expect(one.causes).toMatch(/_metadata|object \d|epochs\/\d/)
  expect(one.cluster.paths('sim://checkpoints').length).toBeGreaterThanOrEqual(paths)
  // What was committed until then is right, as far as it goes.
  expect(new Set(one.job.outside.rows).size).toBe(one.job.outside.rows.length)
})

test('a TaskManager that stands still is given up and waited out: when it goes on, nothing of what it does is seen', async () => {
  const one = await Case.start(
    { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '10' },
    { taskManagers: 3, count: 1000 },
  )
  await one.untilCompleted(2)
  const vertices = one.cluster.job(one.jobId).vertices.map(({ id }) => one.cluster.jobManager.vertexDetails(one.jobId, id))
  const asleep = [...new Set(vertices.flatMap(vertex => vertex?.subtasks.map(({ taskManagerId }) => taskManagerId) ?? []))]
  expect(asleep.length).toBeGreaterThan(0)
  for (const id of asleep) one.cluster.network.freeze(String(id))
  await one.until(() => one.state === 'RESTARTING')
  one.cluster.startTaskManager('tm-3')
  await one.untilCompleted(2)
  for (const id of asleep) one.cluster.network.thaw(String(id))
  await one.expectFinished()
})

test('a JobManager that stands still for less than the heartbeat timeout goes on; checkpoints that expired meanwhile are given up', async () => {
  const one = await Case.start({ 'execution.checkpointing.timeout': '2 s', 'execution.checkpointing.tolerable-failed-checkpoints': '5' })
  await one.untilCompleted(2)
  one.cluster.network.freeze('jobmanager-1')
  await one.cluster.clock.run(4_000)
  one.cluster.network.thaw('jobmanager-1')
  await one.expectFinished()
})

test('a JobManager that was replaced while it stood still is told that it is old, and removes nothing', async () => {
  const one = await Case.start({ 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '10' }, { count: 600 })
  await one.untilCompleted(2)
  await one.cluster.replaceJobManager(12_000)
  await one.untilCompleted(2)
  await one.until(() => one.cluster.fenced.length > 0, 60_000)
  expect(one.cluster.fenced).toMatchObject([
    { generation: 1, error: { code: 'FENCED', message: expect.stringContaining('generation 2 has taken over') } },
  ])
  await one.expectFinished()
})

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  const at = copy.length >> 1
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
