import { type Clock, sleep } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { ObjectStore } from './storage/object-store.ts'
import { decodeRecord, encodeRecord } from './storage/record.ts'

/**
 * How jobs have ended (`job-result-store.*`), one object a job, named by its id. It is written when a job has ended for good, before anything is removed that the
 * job could be run again from: whoever finds it must not run the job.
 */
export interface EndedJob {
  readonly jobId: string
  readonly name: string
  readonly state: 'FINISHED' | 'FAILED' | 'CANCELED'
  readonly startTimeMs: number
  readonly endTimeMs: number
  readonly netRuntimeMs: number
  /** In words; null unless it has FAILED. */
  readonly failureCause: string | null
  /** Behind which it was stopped, and can be started again; null = it ended otherwise. */
  readonly savepoint: string | null
}

export interface JobResultStore {
  /** They outlive everything else of their jobs: one that is not there any more was to be forgotten. */
  readonly keepsResults: boolean
  /** Durable when it answers. The first one of a job counts. */
  record(job: EndedJob): Promise<void>
  resultOf(jobId: string): Promise<EndedJob | undefined>
  /** Everything else of the job is gone: the result goes as well, unless results are kept. */
  commit(jobId: string): Promise<void>
}

/** How long a write that concerns one job is tried again. */
const RETRY_MS = 60_000

export function createJobResultStore(
  store: ObjectStore,
  { clock, log, deleteOnCommit }: { readonly clock: Clock; readonly log: Logger; readonly deleteOnCommit: boolean },
): JobResultStore {
  return {
    keepsResults: !deleteOnCommit,
    record: job => createRetried(store, job.jobId, encodeRecord(job), { clock, log }),
    resultOf: jobId => readJobResult(store, jobId),
    async commit(jobId) {
      if (deleteOnCommit) await store.remove(jobId)
    },
  }
}

/** Until it is known to be there: whoever has created it. */
export async function createRetried(
  store: ObjectStore,
  path: string,
  bytes: Uint8Array,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<void> {
  const endMs = clock.monotonicMs() + RETRY_MS
  for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 5_000)) {
    try {
      await store.create(path, bytes)
      return
    } catch (error) {
      if (clock.monotonicMs() + delayMs > endMs) throw error
      log.warn('a store answered with an error, trying again', { uri: store.uri, path, reason: String(error) })
      await sleep(clock, delayMs)
    }
  }
}

/** Undefined = it has not ended, or nobody has kept how. */
export async function readJobResult(store: ObjectStore, jobId: string): Promise<EndedJob | undefined> {
  const bytes = await store.read(jobId)
  if (bytes === undefined) return undefined
  const place = `${jobId} of ${store.uri}`
  // Written by `record`: the checksum says so.
  const job = decodeRecord(bytes, place) as unknown as EndedJob
  if (job.jobId !== jobId) throw new FlinkError('CORRUPT_CHECKPOINT', `${place} is the result of job ${job.jobId}`)
  return job
}

/** `it FAILED at 2026-..: the cause`. */
export function endText({ state, endTimeMs, failureCause }: EndedJob): string {
  return `it ${state === 'FINISHED' ? 'has' : 'was'} ${state} at ${new Date(endTimeMs).toISOString()}${failureCause === null ? '' : `: ${failureCause}`}`
}
