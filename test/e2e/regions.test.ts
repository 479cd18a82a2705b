import { expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { ended, exceptions, type JobDetails, submit } from '../support/jobs.ts'

interface Vertex {
  readonly subtasks: readonly { readonly attempt: number; readonly status: string }[]
}

/** Two pipelines of one job that share nothing but their slots; `bad` throws once, in the middle. Rows carry who printed them. */
const twoPipelines = (mark: string) => `import { DataGeneratorSource, Types, WatermarkStrategy, type StreamExecutionEnvironment } from 'millrace'
import { existsSync, writeFileSync } from 'node:fs'
const mark = ${JSON.stringify(mark)}
export default (env: StreamExecutionEnvironment) => {
  const numbers = (name: string) => env.fromSource(
    new DataGeneratorSource(index => index + 1, { count: 200, rowsPerSecond: 100, type: Types.INT }), WatermarkStrategy.noWatermarks(), name)
  numbers('good').keyBy(n => n % 3).reduce((a, b) => a + b).map(n => 'good ' + n).print()
  numbers('bad').map(n => {
    if (n === 100 && !existsSync(mark)) { writeFileSync(mark, ''); throw new Error('at ' + n) }
    return n
  }).returns(Types.INT).keyBy(n => n % 3).reduce((a, b) => a + b).map(n => 'bad ' + n).print()
}
`

test('a pipeline that throws is restarted alone: the other one, in the same slots, keeps its attempt and its rows', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 1 })
  const path = await cluster.folder.write('two.ts', twoPipelines(`${cluster.folder.path}/has-thrown`))
  const job = await submit(cluster, path, [
    ...['-p', '2', '-D', `execution.checkpointing.dir=file://${cluster.folder.path}/checkpoints`, '-D', 'execution.checkpointing.interval=200 ms'],
    ...[
      '-D',
      'restart-strategy.type=fixed-delay',
      '-D',
      'restart-strategy.fixed-delay.attempts=1',
      '-D',
      'restart-strategy.fixed-delay.delay=100 ms',
    ],
  ])
  await ended(cluster, job, 'FINISHED')
  const details = await cluster.get<JobDetails>(`/jobs/${job}`)
  const attempts = new Map<string, readonly number[]>()
  for (const { id, name } of details.vertices) {
    const { subtasks } = await cluster.get<Vertex>(`/jobs/${job}/vertices/${id}`)
    const pipeline = name.includes('good') ? 'good' : name.includes('bad') ? 'bad' : undefined
    if (pipeline !== undefined) attempts.set(pipeline, subtasks.map(({ attempt }) => attempt)) // biome-ignore format: one line
  }
  expect(Object.fromEntries(attempts)).toEqual({ good: [0, 0], bad: [1, 1] })
  expect((await exceptions(cluster, job)).map(({ stacktrace }) => stacktrace.split('\n')[0])).toEqual([expect.stringContaining('at 100')])
  const printed = (await cluster.printed()).map(line => line.replace(/^\d+> /, ''))
  const last = (name: string) => Math.max(...printed.flatMap(line => (line.startsWith(`${name} `) ? Number(line.slice(name.length + 1)) : [])))
  // The largest sum of three keys; print is no transactional sink, so of the one that failed rows may be there twice.
  const sum = Math.max(
    ...[1, 2, 3].map(key => Array.from({ length: 200 }, (_, i) => i + 1).reduce((all, n) => (n % 3 === key % 3 ? all + n : all), 0)),
  )
  expect([last('good'), last('bad')]).toEqual([sum, sum])
  expect(printed.filter(line => line.startsWith('good '))).toHaveLength(200)
})
