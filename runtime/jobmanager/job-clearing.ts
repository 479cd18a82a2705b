import type { Logger } from '../common/log.ts'
import type { TerminalJobStatus } from '../rpc/job-manager-gateway.ts'
import type { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import type { JobStore } from './job-store.ts'
import type { SourceCoordinators } from './source-coordinators.ts'

export interface JobRemains {
  readonly jobStore: JobStore | undefined
  readonly checkpoints: CheckpointCoordinator | undefined
  readonly sources: SourceCoordinators
  readonly log: Logger
}

/** Removes what is left of a job that has ended. That it has is stored before its checkpoints go: without them it must never be run again. */
export async function clearJob(jobId: string, state: TerminalJobStatus, { jobStore, checkpoints, sources, log }: JobRemains): Promise<void> {
  await sources.close()
  try {
    await jobStore?.recordResult(jobId, state)
  } catch (error) {
    log.error('the result of the job could not be stored: the next JobManager runs it again from its newest checkpoint', { error: String(error) })
    return
  }
  await checkpoints?.close(state)
  try {
    await jobStore?.remove(jobId)
  } catch (error) {
    log.warn('a job that has ended could not be removed from the job store; the next JobManager does it', { error: String(error) })
  }
}
