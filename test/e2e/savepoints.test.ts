import { existsSync, readdirSync } from 'node:fs'
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { ended, jobIdOf, running, submit } from '../support/jobs.ts'

/**
 * Savepoints with real processes, by the command line. Sums per key of a sequence are printed; with the job stopped in the middle and gone on with
 * elsewhere, each of them has to be printed once. The protocol is held by test/sim/savepoints.test.ts.
 */
const count = 6_000
const keys = 5
const sumsJob = (
  uid = 'sums',
) => `import { type Collector, DataGeneratorSource, type KeyedProcessContext, type RuntimeContext, type StreamExecutionEnvironment, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class RunningSum {
  readonly sum = new ValueStateDescriptor('sum', Types.INT)
  private state!: ValueState<number>
  open(context: RuntimeContext) { this.state = context.getState(this.sum) }
  processElement(value: number, ctx: KeyedProcessContext<number>, out: Collector<string>) {
    const next = (this.state.value() ?? 0) + 1
    this.state.update(next)
    out.collect(ctx.getCurrentKey() + ' ' + next)
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n + 1, { count: ${count}, rowsPerSecond: 1000, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .keyBy((n: number) => n % ${keys}).process(new RunningSum()).uid('${uid}').print().uid('out')
}
`

async function rows(cluster: Cluster): Promise<readonly string[]> {
  return (await cluster.printed()).map(line => line.replace(/^\d+> /, ''))
}

function expectEachOnce(printed: readonly string[]): void {
  const model = Array.from({ length: keys }, (_, key) => Array.from({ length: count / keys }, (_, i) => `${key} ${i + 1}`)).flat()
  expect(printed.length).toBe(count)
  expect(printed.toSorted()).toEqual(model.toSorted())
}

/** Until some rows have come. */
async function begun(cluster: Cluster, jobId: string, atLeast = 500): Promise<void> {
  await running(cluster, jobId)
  await cluster.until('/jobs/overview', async () => ((await rows(cluster)).length >= atLeast ? true : undefined))
}

function pathOf(stdout: string): string {
  const path = /(?:Path:|stored in) (file:\/\/\S+?)\.?$/m.exec(stdout)?.[1]
  expect(path, stdout).toBeDefined()
  return path ?? ''
}

test('a job is stopped, its savepoint moved, and the job goes on at other parallelisms: each result once', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  let path: string | undefined
  for (const [i, parallelism] of [2, 4, 1].entries()) {
    const started = path === undefined ? [] : ['-s', path]
    const jobId = await submit(cluster, job, ['-p', String(parallelism), ...started])
    await begun(cluster, jobId, 1_000 * (i + 1))
    const stopped = await cluster.run(['stop', '-p', `file://${cluster.folder.path}/savepoints`, jobId])
    expect(stopped.stdout.split('\n').slice(0, 3)).toEqual([
      `Suspending job "${jobId}" with a CANONICAL savepoint.`,
      `Triggering stop-with-savepoint for job ${jobId}.`,
      'Waiting for response...',
    ])
    await ended(cluster, jobId, 'FINISHED')
    const taken = new URL(pathOf(stopped.stdout)).pathname
    expect(taken).toMatch(new RegExp(`/savepoints/savepoint-${jobId.slice(0, 6)}-[0-9a-f]{12}$`))
    path = join(cluster.folder.path, `moved ${i}`)
    await rename(taken, path)
  }
  const last = await cluster.run(['run', '-p', '3', '-s', path ?? '', job])
  expect(last.stdout).toContain('Program execution finished')
  expectEachOnce(await rows(cluster))
})

test('savepoint, checkpoint, cancel -s and dispose', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { 'execution.checkpointing.savepoint-dir': '/tmp' } })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  const directory = join(cluster.folder.path, 'savepoints')
  const jobId = await submit(cluster, job, ['-p', '2', '-D', `execution.checkpointing.savepoint-dir=file://${directory}`])
  await begun(cluster, jobId)
  const taken = pathOf((await cluster.run(['savepoint', jobId])).stdout)
  expect(readdirSync(new URL(taken).pathname)).toContain('_metadata')
  expect((await cluster.run(['checkpoint', jobId])).stdout).toContain(`Checkpoint 2 for job ${jobId} completed.`)
  const statistics = await cluster.until(`/jobs/${jobId}/checkpoints`, (view: { counts: object; latest: { savepoint: object } }) => view)
  expect(statistics).toMatchObject({ counts: { completed: 2 }, latest: { savepoint: { id: 1, external_path: taken }, completed: { id: 2 } } })
  const cancelled = await cluster.run(['cancel', '-s', `file://${directory}`, jobId])
  const second = pathOf(cancelled.stdout)
  await ended(cluster, jobId, 'CANCELED')
  // The first is not touched by a job that begins with it, or by anything but its disposal.
  const resumed = jobIdOf(await cluster.run(['run', '-s', taken, '-p', '1', job]))
  await ended(cluster, resumed, 'FINISHED')
  const disposed = await cluster.run(['savepoint', '-d', taken])
  expect(disposed.stdout).toBe(`Disposing savepoint '${taken}'.\nWaiting for response...\nSavepoint '${taken}' disposed.\n`)
  expect(existsSync(new URL(taken).pathname)).toBe(false)
  expect(existsSync(new URL(second).pathname)).toBe(true)
  const again = await cluster.run(['savepoint', '-d', taken])
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('there is no savepoint at')])
})

test('stop --drain ends the inputs first: windows that are open give their results', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 1 })
  const job = await cluster.folder.write(
    'windows.ts',
    `import { DataGeneratorSource, type StreamExecutionEnvironment, TumblingEventTimeWindows, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { count: 1e9, rowsPerSecond: 500, type: Types.INT }), WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner(n => n), 'numbers')
    .map((n: number): [number, number] => [n % 2, 1]).returns(Types.tuple(Types.INT, Types.INT))
    .keyBy(0).window(TumblingEventTimeWindows.of('1 d')).sum(1).print()
}
`,
  )
  const directory = `file://${cluster.folder.path}/savepoints`
  const suspended = await submit(cluster, job, ['-p', '2'])
  await running(cluster, suspended)
  const path = pathOf((await cluster.run(['stop', '-p', directory, suspended])).stdout)
  await ended(cluster, suspended, 'FINISHED')
  expect(await rows(cluster), 'no window has fired').toEqual([])
  const drained = jobIdOf(await cluster.run(['run', '-d', '-p', '2', '-s', path, job]))
  await running(cluster, drained)
  const { stdout } = await cluster.run(['stop', '--drain', '-p', directory, drained])
  expect(stdout).toContain(`Draining job "${drained}" with a CANONICAL savepoint.`)
  await ended(cluster, drained, 'FINISHED')
  const printed = await rows(cluster)
  expect(printed.map(row => row.slice(0, 2)).toSorted()).toEqual(['(0', '(1'])
})

test('a path that leads to no savepoint, or to one that was cut or changed, is refused before anything runs', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2 })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  const jobId = await submit(cluster, job, ['-p', '2', '-D', 'execution.checkpointing.data-inline-threshold=0'])
  await begun(cluster, jobId)
  const path = new URL(pathOf((await cluster.run(['stop', '-p', cluster.folder.path, jobId])).stdout)).pathname
  const before = await rows(cluster)
  const refused = async (from: string): Promise<string> => {
    const { code, stdout, stderr } = await cluster.run(['run', '-s', from, job])
    expect(code, stdout).toBe(1)
    return stdout + stderr
  }
  expect(await refused(`${path}/../nowhere`)).toContain('"." and ".." are not allowed')
  expect(await refused('hdfs://host/savepoint')).toContain('there is no store for hdfs://')
  expect(await refused('savepoint-1')).toContain('expected an absolute path')
  expect(await refused(`${path}-not`)).toContain('there is no savepoint at')
  expect(existsSync(`${path}-not`), 'looking for it leaves nothing behind').toBe(false)
  const object = join(path, readdirSync(path).find(name => name !== '_metadata') ?? '')
  const bytes = await readFile(object)
  await truncate(object, bytes.length - 1)
  expect(await refused(path)).toContain(`has ${bytes.length - 1} bytes, ${bytes.length} were written`)
  const changed = Uint8Array.from(bytes)
  changed[0] = (changed[0] ?? 0) ^ 1
  await writeFile(object, changed)
  expect(await refused(path)).toContain('has a wrong checksum: it was changed')
  await writeFile(object, bytes)
  await appendFile(join(path, '_metadata'), 'x')
  expect(await refused(path)).toContain('its checksum is wrong: it was cut short or changed')
  expect(await rows(cluster)).toEqual(before)
})
