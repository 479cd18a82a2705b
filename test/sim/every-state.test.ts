import { expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../../runtime/api/index.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import everyState from '../support/every-state-job.ts'
import { expectRedistributed, expectResults, keptUntil } from '../support/every-state-results.ts'
import { MemoryFiles } from '../support/memory-recoverable-writer.ts'

/** State of every kind at other parallelisms, on simulated time; test/e2e/restore.test.ts does it with real processes and stores. */
const count = 1_000
const TARGET = 'sim://savepoints'

class Run {
  readonly files = new MemoryFiles()
  private readonly cluster: EngineCluster
  private jobId = ''

  constructor() {
    this.cluster = new EngineCluster({
      seed: 5,
      build: () => this.build({}),
      taskManagers: 3,
      slots: 2,
      suspendEverywhere: false,
      sinks: { 'file-sink': fileSinkTransport(seededRandom(5), (_path, owner) => this.files.writer(owner)) },
    })
  }

  get lines(): readonly string[] {
    return Object.values(this.files.visible()).flatMap(text => text.split('\n').slice(0, -1))
  }

  private build(client: Readonly<Record<string, string>>) {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    everyState(env, ['--count', String(count), '--rows-per-second', '100', '--out', 'file:///out'])
    return env.getStreamGraph()
  }

  async submit(parallelism: number, entries: Readonly<Record<string, string>> = {}): Promise<void> {
    const client = { 'parallelism.default': String(parallelism), 'execution.checkpointing.dir': 'sim://checkpoints', ...entries }
    if (this.jobId === '') await this.cluster.start()
    this.jobId = await this.cluster.submit(buildJobGraph(this.build(client), { client }))
    await this.cluster.untilRunning(this.jobId)
  }

  /** Some rows, among them such as are kept. */
  async goOn(): Promise<void> {
    await this.cluster.clock.run(1_500)
  }

  async rescale(parallelism: number, attempt: number): Promise<void> {
    const { cluster, jobId } = this
    const bounds = { lowerBound: 1, upperBound: parallelism }
    const sourceAndTimes = { lowerBound: 1, upperBound: 1 }
    const vertices = cluster.job(jobId).vertices
    await cluster.jobManager.rescaleJob(
      jobId,
      Object.fromEntries(vertices.map(({ id, name }) => [id, name.startsWith('Source') ? sourceAndTimes : bounds])),
    )
    await cluster.clock.runUntil(() => cluster.job(jobId).attempt === attempt, 10_000)
    await cluster.untilRunning(jobId)
  }

  async stop(): Promise<string> {
    const { cluster, jobId } = this
    cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: TARGET, behind: 'stop' })
    await this.end()
    const path = cluster.paths(TARGET).find(each => each.endsWith('/_metadata')) ?? ''
    return `${TARGET}/${path.slice(0, path.indexOf('/'))}`
  }

  async end(): Promise<void> {
    const { cluster, jobId } = this
    await cluster.clock.runUntil(() => ['FINISHED', 'FAILED'].includes(cluster.job(jobId).state), 60_000)
    expect((await cluster.jobManager.awaitJobResult(jobId))?.failureCause).toBeUndefined()
  }
}

const title =
  'keyed state goes by key groups, a list is dealt out, a union list goes to all, a broadcast state is copied: in place and from a savepoint'

test(title, { timeout: 60_000 }, async () => {
  const inPlace = new Run()
  const parallelisms = [2, 5, 1, 3]
  for (const [attempt, parallelism] of parallelisms.entries()) {
    if (attempt === 0) await inPlace.submit(parallelism)
    else await inPlace.rescale(parallelism, attempt)
    await inPlace.goOn()
  }
  await inPlace.end()
  expectResults(inPlace.lines, count)
  for (let attempt = 1; attempt < parallelisms.length; attempt++) {
    const [takenAt, parallelism] = parallelisms.slice(attempt - 1) as [number, number]
    expectRedistributed(inPlace.lines, { attempt, parallelism, takenAt, before: keptUntil(inPlace.lines, attempt - 1) })
  }

  for (const parallelism of [1, 2, 3, 5]) {
    const run = new Run()
    await run.submit(2)
    await run.goOn()
    const path = await run.stop()
    const before = keptUntil(run.lines, 0)
    expect(run.lines.length, 'it was taken in the middle').toBeLessThan(count)
    await run.submit(parallelism, { 'execution.state-recovery.path': path })
    await run.end()
    expectResults(run.lines, count)
    expectRedistributed(run.lines, { attempt: 0, parallelism, takenAt: 2, before })
  }
})
