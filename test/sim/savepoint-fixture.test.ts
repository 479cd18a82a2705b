import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createMemoryStore } from '../../runtime/checkpoint/storage/memory-store.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { CommittedRows } from '../support/committing-sink.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** A savepoint of an earlier version, kept as it was written: made by test/fixtures/make-savepoint.ts. */
const folder = new URL('../fixtures/savepoint-2', import.meta.url).pathname
const URI = 'sim://kept'

async function start(parallelism: number, change: (name: string, bytes: Buffer) => Uint8Array = (_, bytes) => bytes) {
  const { count, rows } = JSON.parse(readFileSync(join(folder, 'committed.json'), 'utf8')) as { count: number; rows: string[] }
  const committed = new CommittedRows()
  committed.commit('before', rows)
  const client = {
    'parallelism.default': String(parallelism),
    'execution.checkpointing.interval': '500 ms',
    'execution.state-recovery.path': `${URI}/savepoint-2`,
  }
  const job = { client, count, rowsPerSecond: 100, outside: outsides['a sink in memory'](undefined, committed) }
  const cluster = new EngineCluster({ seed: parallelism, build: () => buildSums(job), taskManagers: 3, slots: 2, suspendEverywhere: false })
  const store = createMemoryStore(URI)
  cluster.stores.set(URI, store)
  for (const name of readdirSync(folder)) await store.create(`savepoint-2/${name}`, change(name, readFileSync(join(folder, name))))
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(buildSums(job), { client }))
  await cluster.clock.runUntil(() => ['FINISHED', 'FAILED'].includes(cluster.job(jobId).state), 600_000)
  return { job, rows, result: await cluster.jobManager.awaitJobResult(jobId) }
}

describe('a savepoint of version 2', () => {
  test.each([1, 2, 3, 5])('goes on at parallelism %d: each result once', async parallelism => {
    const { job, rows, result } = await start(parallelism)
    expect(result?.failureCause?.message).toBeUndefined()
    expect(rows.length, 'it was taken in the middle').toBeLessThan(job.count)
    expect(rows.length).toBeGreaterThan(0)
    expectSums(job)
  })

  test('of a version that is not known yet is refused by it, and nothing runs', async () => {
    const { job, rows, result } = await start(1, (name, bytes) => {
      if (name === '_metadata') bytes.writeUInt32BE(7, 4)
      return bytes
    })
    expect(result?.failureCause).toMatchObject({
      code: 'CORRUPT_CHECKPOINT',
      message: expect.stringContaining('it has format version 7, this Millrace reads '),
    })
    expect(job.outside.rows).toEqual(rows)
  })
})
