import type { EndedJob, JobResultStore } from '../checkpoint/job-results.ts'
import { serializeError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { CompletedJob } from '../rpc/job-manager-gateway.ts'
import type { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import type { JobStore } from './job-store.ts'
import type { SourceCoordinators } from './source-coordinators.ts'

export interface JobRemains {
  readonly jobStore: JobStore | undefined
  readonly results: JobResultStore | undefined
  readonly checkpoints: CheckpointCoordinator | undefined
  readonly sources: SourceCoordinators
  readonly log: Logger
}

/** Removes what is left of a job that has ended. That it has is stored before its checkpoints go: without them it must never be run again. */
export async function clearJob(job: EndedJob, { jobStore, results, checkpoints, sources, log }: JobRemains): Promise<void> {
  await sources.close()
  try {
    // Of a job that another one goes on with nobody must read that it has ended.
    if (results !== undefined) await checkpoints?.confirmLead()
    // One that rests may be started again, but not by the next JobManager of a highly available cluster, which goes by the results.
    const rests = jobStore === undefined && checkpoints?.restsAfter(job) === true
    if (!rests) await results?.record(job)
  } catch (error) {
    if (serializeError(error).code === 'FENCED') log.warn('another jobmanager leads the job, which is left to it', { error: String(error) })
    else
      log.error('the result of the job could not be stored: the next JobManager runs it again from its newest checkpoint', { error: String(error) })
    return
  }
  await checkpoints?.close(job)
  try {
    await removeStored(job.jobId, { jobStore, results })
  } catch (error) {
    log.warn('a job that has ended could not be removed from the job store; the next JobManager does it', { error: String(error) })
  }
}

/** The job is done with: nothing needs its result to know that, unless results are kept. */
export async function removeStored(jobId: string, { jobStore, results }: Pick<JobRemains, 'jobStore' | 'results'>): Promise<void> {
  if (jobStore !== undefined) await jobStore.remove(jobId)
  else await results?.commit(jobId)
}

export function endedJob({ jobId, name, state, startTimeMs, endTimeMs, failureCause }: CompletedJob, savepoint: string | null): EndedJob {
  const netRuntimeMs = Math.max(0, endTimeMs - startTimeMs)
  return { jobId, name, state, startTimeMs, endTimeMs, netRuntimeMs, failureCause: failureCause?.message ?? null, savepoint }
}
