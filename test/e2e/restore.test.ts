import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { expectRedistributed, expectResults, keptUntil } from '../support/every-state-results.ts'
import { ended, running, submit } from '../support/jobs.ts'
import { S3Server } from '../support/s3-server.ts'
import { writtenLines } from '../support/written-lines.ts'

/** Real processes over real stores: a savepoint of a job with state of every kind, and what goes on from it. */
const program = new URL('../support/every-state-job.ts', import.meta.url).pathname
const count = 2_000

/** What the job has written in the middle of its numbers, and the savepoint behind which it was stopped. */
async function stopped(cluster: Cluster, store: string) {
  const out = join(cluster.folder.path, `before-${store.slice(0, 2)}`)
  const checkpoints = ['-D', 'execution.checkpointing.interval=100 ms', '-D', `execution.checkpointing.dir=${store}/checkpoints`]
  const jobId = await submit(cluster, program, ['-p', '2', ...checkpoints], argumentsOf(out, 500))
  await running(cluster, jobId)
  await cluster.until('/jobs/overview', () => (keptUntil(writtenLines(out), 0).length > 10 ? true : undefined))
  const { stdout, stderr } = await cluster.run(['stop', '-p', `${store}/savepoints`, jobId])
  const path = /Path: (\S+)$/m.exec(stdout)?.[1] ?? ''
  expect(path, stdout + stderr).toContain(`${store}/savepoints/savepoint-`)
  await ended(cluster, jobId, 'FINISHED')
  return { path, lines: writtenLines(out) }
}

const argumentsOf = (out: string, rowsPerSecond: number) => [
  '--count',
  String(count),
  '--rows-per-second',
  String(rowsPerSecond),
  '--out',
  `file://${out}`,
]

test('from file:// and s3://, at parallelism 1, 2, 3 and 5 from a savepoint taken at 2: the same results', async () => {
  const server = await S3Server.start()
  server.createBucket('state')
  try {
    const configuration = { ...server.configuration().toObject(), 'execution.checkpointing.data-inline-threshold': '0' }
    await using cluster = await startCluster({ taskManagers: 2, slots: 3, configuration })
    for (const store of [`file://${cluster.folder.path}`, 's3://state']) {
      const { path, lines } = await stopped(cluster, store)
      const before = keptUntil(lines, 0)
      expect(before.length, 'it was taken in the middle').toBeLessThan(count / 20)
      for (const parallelism of [1, 2, 3, 5]) {
        const out = join(cluster.folder.path, `out-${store.slice(0, 2)}-${parallelism}`)
        const run = await cluster.run(['run', '-p', String(parallelism), '-s', path, program, ...argumentsOf(out, 20_000)])
        expect([run.code, run.stdout]).toEqual([0, expect.stringContaining('Program execution finished')])
        expectResults([...lines, ...writtenLines(out)], count)
        expectRedistributed(writtenLines(out), { attempt: 0, parallelism, takenAt: 2, before })
      }
    }
  } finally {
    await server.stop()
  }
})
