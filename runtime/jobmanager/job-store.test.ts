import { describe, expect, test } from 'vitest'
import { createJobResultStore } from '../checkpoint/job-results.ts'
import { createMemoryStore, type MemoryStore } from '../checkpoint/storage/memory-store.ts'
import { systemClock } from '../common/clock.ts'
import { noLog } from '../common/log.ts'
import type { JobSubmission } from '../rpc/job-manager-gateway.ts'
import { createJobStore } from './job-store.ts'

const NOW_S = 1_000
const clock = { ...systemClock, nowMs: () => NOW_S * 1_000 }
const jobId = (digit: string) => digit.repeat(32)
// What is in it is not the store's to know.
const submission = { name: 'words' } as JobSubmission

function jobManager(store: MemoryStore, startId?: string) {
  const results = createJobResultStore(createMemoryStore(), { clock, log: noLog, deleteOnCommit: true })
  return createJobStore(store, 'words', { clock, log: noLog, results, startId })
}

async function submitted(store: MemoryStore, id: string, startId?: string) {
  const jobs = jobManager(store, startId)
  const generation = await jobs.claimGeneration()
  await jobs.recover()
  await jobs.add(jobId(id), submission, new Uint8Array([1]))
  return { jobs, generation }
}
const idsOf = async (jobs: ReturnType<typeof jobManager>) => (await jobs.recover()).map(job => job.jobId)

test('the generation is newer than that of each JobManager before, of another start too, and than one that had no store and took the time', async () => {
  const store = createMemoryStore()
  const claimed = []
  for (const startId of ['a', 'a', 'b', undefined]) claimed.push(await jobManager(store, startId).claimGeneration())
  expect(claimed).toEqual([NOW_S, NOW_S + 1, NOW_S + 2, NOW_S + 3])
})

describe('a start', () => {
  test('goes on with its own jobs, whichever JobManager of it leads', async () => {
    const store = createMemoryStore()
    await submitted(store, '1', 'a')
    const second = jobManager(store, 'a')
    await second.claimGeneration()
    expect(await idsOf(second)).toEqual([jobId('1')])
  })

  test('begins without the jobs of another one, and removes them', async () => {
    const store = createMemoryStore()
    await submitted(store, '1', 'a')
    await submitted(store, '2')
    const { jobs } = await submitted(store, '3', 'b')
    expect(await idsOf(jobs)).toEqual([jobId('3')])
    expect((await store.list('words/starts')).every(path => path.startsWith('words/starts/b/'))).toBe(true)
    // Whose start nobody has named keeps what is its own.
    expect(await idsOf(jobManager(store))).toEqual([jobId('2')])
  })

  test('is not removed by a JobManager of the one before that was asleep', async () => {
    const store = createMemoryStore()
    const old = jobManager(store, 'a')
    await old.claimGeneration()
    const { jobs } = await submitted(store, '2', 'b')
    await old.recover()
    expect(await idsOf(jobs)).toEqual([jobId('2')])
  })
})
