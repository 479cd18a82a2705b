import { existsSync, readdirSync } from 'node:fs'
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, type CommandResult, startCluster } from '../support/cluster.ts'
import { ended, jobIdOf, running, submit } from '../support/jobs.ts'

/**
 * Savepoints with real processes, by the command line. Sums per key of a sequence are printed; with the job stopped in the middle and gone on with
 * elsewhere, each of them has to be printed once. The protocol is held by test/sim/savepoints.test.ts.
 */
const count = 6_000
const keys = 5
/** Rows a second; by default so few that the job is still running when it is stopped, however slow the machine. */
const fast = '5000'
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
export default (env: StreamExecutionEnvironment, args: string[]) => {
  env.fromSource(new DataGeneratorSource(n => n + 1, { count: ${count}, rowsPerSecond: Number(args[0] ?? 200), type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
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
async function begun(cluster: Cluster, jobId: string, atLeast = 200): Promise<void> {
  await running(cluster, jobId)
  await cluster.until('/jobs/overview', async () => ((await rows(cluster)).length >= atLeast ? true : undefined))
}

function pathOf({ stdout, stderr }: CommandResult): string {
  const path = /(?:Path:|stored in) (file:\/\/\S+?)\.?$/m.exec(stdout)?.[1]
  expect(path, stdout + stderr).toBeDefined()
  return path ?? ''
}

test('a job is stopped, its savepoint moved, and the job goes on at other parallelisms: each result once', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  let path: string | undefined
  for (const [i, parallelism] of [2, 4, 1].entries()) {
    const started = path === undefined ? [] : ['-s', path]
    const jobId = await submit(cluster, job, ['-p', String(parallelism), ...started])
    await begun(cluster, jobId, 300 * (i + 1))
    const stopped = await cluster.run(['stop', '-p', `file://${cluster.folder.path}/savepoints`, jobId])
    expect(stopped.stdout.split('\n').slice(0, 3)).toEqual([
      `Suspending job "${jobId}" with a CANONICAL savepoint.`,
      `Triggering stop-with-savepoint for job ${jobId}.`,
      'Waiting for response...',
    ])
    await ended(cluster, jobId, 'FINISHED')
    const taken = new URL(pathOf(stopped)).pathname
    expect(taken).toMatch(new RegExp(`/savepoints/savepoint-${jobId.slice(0, 6)}-[0-9a-f]{12}$`))
    path = join(cluster.folder.path, `moved ${i}`)
    await rename(taken, path)
  }
  const last = await cluster.run(['run', '-p', '3', '-s', path ?? '', job, fast])
  expect(last.stdout).toContain('Program execution finished')
  expectEachOnce(await rows(cluster))
})

test('savepoint, checkpoint, cancel -s and dispose', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { 'execution.checkpointing.savepoint-dir': '/tmp' } })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  const directory = join(cluster.folder.path, 'savepoints')
  const jobId = await submit(cluster, job, ['-p', '2', '-D', `execution.checkpointing.savepoint-dir=file://${directory}`])
  await begun(cluster, jobId)
  const taken = pathOf(await cluster.run(['savepoint', jobId]))
  expect(readdirSync(new URL(taken).pathname)).toContain('_metadata')
  expect((await cluster.run(['checkpoint', jobId])).stdout).toContain(`Checkpoint 2 for job ${jobId} completed.`)
  const statistics = await cluster.until(`/jobs/${jobId}/checkpoints`, (view: { counts: object; latest: { savepoint: object } }) => view)
  expect(statistics).toMatchObject({ counts: { completed: 2 }, latest: { savepoint: { id: 1, external_path: taken }, completed: { id: 2 } } })
  const cancelled = await cluster.run(['cancel', '-s', `file://${directory}`, jobId])
  const second = pathOf(cancelled)
  await ended(cluster, jobId, 'CANCELED')
  // The first is not touched by a job that begins with it, or by anything but its disposal.
  const resumed = jobIdOf(await cluster.run(['run', '-s', taken, '-p', '1', job, fast]))
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
  const path = pathOf(await cluster.run(['stop', '-p', directory, suspended]))
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
  const path = new URL(pathOf(await cluster.run(['stop', '-p', cluster.folder.path, jobId]))).pathname
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

test('state show and state plan say what a savepoint holds, and what of it a changed job would take up; run does what the plan has said', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2 })
  const job = await cluster.folder.write('sums.ts', sumsJob())
  const jobId = await submit(cluster, job, ['-p', '2'])
  await begun(cluster, jobId)
  const path = pathOf(await cluster.run(['stop', '-p', cluster.folder.path, jobId]))

  const shown = await cluster.run(['state', 'show', path])
  expect(shown.stdout).toContain(`Savepoint ${path}\n  job:        ${jobId}\n`)
  expect(shown.stdout).toMatch(/^'KeyedProcess' \(uid 'sums', id [0-9a-f]{32}\): keyedProcess, parallelism 2 of 128, keyed by GENERIC, \d+ bytes$/m)
  expect(shown.stdout).toContain('\n  sum: ValueState<INT>\n')
  const { operators } = JSON.parse((await cluster.run(['state', 'show', '--json', path])).stdout) as { operators: { uid: string }[] }
  expect(operators.map(({ uid }) => uid)).toEqual(['numbers', 'sums', 'out'])

  const plan = (file: string, ...options: string[]) => cluster.run(['state', 'plan', ...options, path, file])
  const same = await plan(job)
  expect([same.code, same.stdout]).toEqual([0, expect.stringContaining('The job can be started with it.')])
  expect(same.stdout).toMatch(/^ {2}kept {10}sum: ValueState<INT>$/m)

  const renamed = await cluster.folder.write('renamed.ts', sumsJob('totals'))
  const lost = await plan(renamed)
  expect([lost.code, lost.stdout]).toEqual([1, expect.stringContaining("with .uid('sums') that one would have its state.")])
  const refused = await cluster.run(['run', '-s', path, renamed])
  expect([refused.code, refused.stdout + refused.stderr]).toEqual([1, expect.stringContaining('Cannot map checkpoint/savepoint state for operator')])
  expect((await plan(renamed, '-n')).code).toBe(0)

  const changed = await cluster.folder.write('changed.ts', sumsJob().replace("('sum', Types.INT)", "('sum', Types.LONG)"))
  const wrong = await plan(changed, '-n')
  expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining('was ValueState<INT> and is declared as ValueState<LONG>')])

  // A state is dropped and one is added; timers, which share the dropped one's bytes, are kept.
  const other = await cluster.folder.write(
    'other.ts',
    sumsJob()
      .replace("('sum', Types.INT)", "('count', Types.LONG)")
      .replace('ValueState<number>', 'ValueState<bigint>')
      .replace('?? 0) + 1', '?? 0n) + 1n'),
  )
  const { verdicts } = (({ operators: plans }: { operators: { uid: string; states: { name: string; verdict: string }[] }[] }) => ({
    verdicts: plans.find(({ uid }) => uid === 'sums')?.states.map(({ name, verdict }) => `${name} ${verdict}`),
  }))(JSON.parse((await plan(other, '-n', '--json')).stdout))
  expect(verdicts).toEqual(['count new', '_timers/event-time kept', '_timers/processing-time kept', 'sum dropped'])
  const before = (await rows(cluster)).length
  const run = await cluster.run(['run', '-n', '-s', path, other, fast])
  expect([run.code, run.stdout]).toEqual([0, expect.stringContaining('Program execution finished')])
  const after = (await rows(cluster)).slice(before)
  // The source has gone on, the sums have begun anew.
  expect(after.length).toBe(count - before)
  expect(after).toContain('0 1')
})
