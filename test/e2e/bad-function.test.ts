import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { ended, exceptions, slotsFree, submit } from '../support/jobs.ts'
import { unfinishedParts, writtenLines } from '../support/written-lines.ts'

/**
 * A function that throws on every tenth record, in front of the transactional file sink, as real processes. The rules of restart strategies are held by
 * runtime/jobmanager/restart-strategy.test.ts, the sink's protocol by runtime/connectors/files/file-sink-crashes.test.ts.
 */
const rows = 60

/** `tenth` is what the function does with such a record. */
const job = (folder: string, tenth: string) => `import { existsSync, writeFileSync } from 'node:fs'
import { type Collector, DataGeneratorSource, FileSink, type KeyedProcessContext, OnCheckpointRollingPolicy, type RuntimeContext, SimpleStringEncoder, type StreamExecutionEnvironment, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Picky {
  readonly seen = new ValueStateDescriptor('seen', Types.INT)
  private state!: ValueState<number>
  open(context: RuntimeContext) { this.state = context.getState(this.seen) }
  processElement(n: number, _context: KeyedProcessContext<number>, out: Collector<string>) {
    this.state.update((this.state.value() ?? 0) + 1)
    if (n % 10 === 0) ${tenth}
    out.collect(n + ' ' + this.state.value())
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.enableCheckpointing(100)
  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(`file://${folder}/checkpoints`)})
  env.fromSource(new DataGeneratorSource(n => n + 1, { count: ${rows}, rowsPerSecond: 100, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').setParallelism(1)
    .keyBy((n: number) => n % 2).process(new Picky()).name('picky')
    .sinkTo(FileSink.forRowFormat<string>(${JSON.stringify(`file://${folder}/out`)}, new SimpleStringEncoder<string>()).withRollingPolicy(OnCheckpointRollingPolicy.build()).build())
}
`

/** What the sink has committed: each number with how many of its parity came until then. */
function committed(folder: string): string[] {
  return writtenLines(join(folder, 'out')).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
}

const model = (last: number) => Array.from({ length: last }, (_, i) => `${i + 1} ${Math.ceil((i + 1) / 2)}`)

const restartsOf = (cluster: Cluster, jobId: string) =>
  cluster.get<readonly { readonly value: string }[]>(`/jobs/${jobId}/metrics?get=numRestarts`).then(([metric]) => Number(metric?.value))

const strategies = {
  'fixed delay': ['restart-strategy.type=fixed-delay', 'restart-strategy.fixed-delay.attempts=3', 'restart-strategy.fixed-delay.delay=50 ms'],
  'exponential delay': [
    'restart-strategy.type=exponential-delay',
    'restart-strategy.exponential-delay.initial-backoff=20 ms',
    'restart-strategy.exponential-delay.max-backoff=100 ms',
    'restart-strategy.exponential-delay.attempts-before-reset-backoff=3',
  ],
}

test.each(Object.entries(strategies))(
  'a function that throws on every tenth record, whenever it comes: with %s the job is restarted as often as that allows, then FAILED with what was thrown and where',
  async (_name, settings) => {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2 })
    const path = await cluster.folder.write('picky.ts', job(cluster.folder.path, "throw new RangeError('no tenth record: ' + n)"))
    const jobId = await submit(cluster, path, ['-p', '2', ...settings.flatMap(setting => ['-D', setting])])
    await ended(cluster, jobId, 'FAILED', 90_000)

    expect(await restartsOf(cluster, jobId)).toBe(3)
    const entries = await exceptions(cluster, jobId)
    expect(entries).toHaveLength(4)
    for (const entry of entries) {
      expect(entry.exceptionName).toBe('FlinkError[USER_FUNCTION]')
      expect(entry.taskName).toMatch(/^picky.* \([12]\/2\) - execution #[0-3]$/)
      const [first, ...stack] = entry.stacktrace.split('\n')
      expect(first).toMatch(
        /^FlinkError: operator picky: no tenth record: 10 \(at record \d+ of frame \d+ from subtask 1 of numbers\) \(picky\.ts:9:29\)$/,
      )
      expect(stack.join('\n')).toMatch(/Caused by: RangeError: no tenth record: 10\n\s+at Picky\.processElement \(.*picky\.ts:9:29\)/)
    }
    expect(await cluster.get(`/jobs/${jobId}/execution-result`)).toMatchObject({
      'job-execution-result': { 'application-status': 'FAILED', 'failure-cause': { 'stack-trace': expect.stringContaining('no tenth record: 10') } },
    })
    // What came before it is there at most once, and nothing from there on.
    const lines = committed(cluster.folder.path)
    expect(lines.filter(line => model(9).includes(line))).toEqual(lines)
    expect(new Set(lines).size).toBe(lines.length)
    await slotsFree(cluster, 2)
  },
)

test('a function that throws on every tenth record when it first comes: each record is in the files of a transactional sink once', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2 })
  const { path: folder } = cluster.folder
  const tenth = `{
      const mark = ${JSON.stringify(folder)} + '/thrown-at-' + n
      if (!existsSync(mark)) { writeFileSync(mark, ''); throw new RangeError('not yet: ' + n) }
    }`
  const path = await cluster.folder.write('picky.ts', job(folder, tenth))
  const jobId = await submit(cluster, path, ['-p', '2', ...strategies['exponential delay'].slice(0, 3).flatMap(setting => ['-D', setting])])
  await ended(cluster, jobId, 'FINISHED', 90_000)

  expect(committed(folder)).toEqual(model(rows))
  const messages = (await exceptions(cluster, jobId)).map(entry => entry.stacktrace.split('\n')[0])
  expect(messages).toEqual([60, 50, 40, 30, 20, 10].map(n => expect.stringContaining(`operator picky: not yet: ${n}`)))
  expect(await restartsOf(cluster, jobId)).toBe(rows / 10)
  // No part that was being written by an attempt that has failed.
  expect(unfinishedParts(join(folder, 'out'))).toEqual([])
})
