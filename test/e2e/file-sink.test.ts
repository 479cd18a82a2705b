import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { ended, running, submit, taskManagersOf } from '../support/jobs.ts'

/** The file sink with real processes and files; every step of its protocol is held by runtime/connectors/files/file-sink-crashes.test.ts. */
const job = (
  checkpoints: string,
  out: string,
) => `import { DataGeneratorSource, DefaultRollingPolicy, FileSink, SimpleStringEncoder, Types, WatermarkStrategy } from 'millrace'
import type { StreamExecutionEnvironment } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.enableCheckpointing(200)
  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(checkpoints)})
  const sink = FileSink.forRowFormat<number>(${JSON.stringify(out)}, new SimpleStringEncoder<number>())
    .withBucketAssigner(n => 'bucket-' + (n % 3))
    .withRollingPolicy(DefaultRollingPolicy.builder().withMaxPartSize('2 kb').build())
    .build()
  env.fromSource(new DataGeneratorSource(n => n, { count: 5000, rowsPerSecond: 1000, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
    .rebalance()
    .sinkTo(sink)
}
`

test('each row is in the files once after kill -9 of a TaskManager, and no part is left behind', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const [checkpoints, out] = ['checkpoints', 'out'].map(name => join(cluster.folder.path, name)) as [string, string]
  const path = await cluster.folder.write('rows.ts', job(`file://${checkpoints}`, `file://${out}`))
  const jobId = await submit(cluster, path, ['-p', '2'])
  await running(cluster, jobId)
  const files = () => (existsSync(out) ? readdirSync(out, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()) : [])
  const committed = () => files().filter(({ name }) => name.startsWith('part-'))
  await cluster.until('/jobs/overview', () => (committed().length > 0 ? true : undefined))
  const [lost = ''] = await taskManagersOf(cluster, jobId)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await ended(cluster, jobId, 'FINISHED')
  expect(await cluster.log('jobmanager-0')).toMatch(/is restored from checkpoint \d+/)
  const rows = committed().flatMap(({ parentPath, name }) => {
    const lines = readFileSync(join(parentPath, name), 'utf8').trimEnd().split('\n').map(Number)
    expect(lines.every(row => `bucket-${row % 3}` === parentPath.split('/').at(-1))).toBe(true)
    return lines
  })
  expect(rows.sort((a, b) => a - b)).toEqual(Array.from({ length: 5000 }, (_, row) => row))
  expect(files().length).toBe(committed().length)
})
