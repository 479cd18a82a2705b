import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createMemoryStore } from '../../runtime/checkpoint/storage/memory-store.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { CommittedRows } from '../support/committing-sink.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { buildSums, expectSums, outsides } from '../support/sums-job.ts'

/** Savepoints of this version and of earlier ones, kept as they were written: made by test/fixtures/make-savepoint.ts, as it was then. */
const versions = [2, 3]
const URI = 'sim://kept'

interface Committed {
  readonly count: number
  readonly transactions: readonly (readonly [string, readonly string[]])[]
}

async function start(version: number, parallelism: number, change: (name: string, bytes: Buffer) => Uint8Array = (_, bytes) => bytes) {
  const name = `savepoint-${version}`
  const folder = new URL(`../fixtures/${name}`, import.meta.url).pathname
  const { count, transactions } = JSON.parse(readFileSync(join(folder, 'committed.json'), 'utf8')) as Committed
  const committed = new CommittedRows()
  for (const [id, rows] of transactions) committed.commit(id, rows)
  const { rows } = committed
  const client = {
    'parallelism.default': String(parallelism),
    'execution.checkpointing.interval': '500 ms',
    'execution.state-recovery.path': `${URI}/${name}`,
  }
  const job = { client, count, rowsPerSecond: 100, outside: outsides['a sink in memory'](undefined, committed) }
  const cluster = new EngineCluster({ seed: parallelism, build: () => buildSums(job), taskManagers: 3, slots: 2, suspendEverywhere: false })
  const store = createMemoryStore(URI)
  cluster.stores.set(URI, store)
  for (const file of readdirSync(folder)) await store.create(`${name}/${file}`, change(file, readFileSync(join(folder, file))))
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(buildSums(job), { client }))
  await cluster.clock.runUntil(() => ['FINISHED', 'FAILED'].includes(cluster.job(jobId).state), 600_000)
  return { job, rows, result: await cluster.jobManager.awaitJobResult(jobId) }
}

describe.each(versions)('a savepoint of version %d', version => {
  test.each([1, 2, 3, 5])('goes on at parallelism %d: each result once', async parallelism => {
    const { job, rows, result } = await start(version, parallelism)
    expect(result?.failureCause?.message).toBeUndefined()
    expect(rows.length, 'it was taken in the middle').toBeLessThan(job.count)
    expect(rows.length).toBeGreaterThan(0)
    expectSums(job)
  })

  test('of a version that is not known yet is refused by it, and nothing runs', async () => {
    const { job, rows, result } = await start(version, 1, (name, bytes) => {
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
