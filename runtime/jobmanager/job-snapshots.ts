import { deserializeError, FlinkError, type SerializedError } from '../common/errors.ts'
import type { SavepointRequest } from '../rpc/job-manager-gateway.ts'
import type { CheckpointCoordinator } from './checkpoint-coordinator.ts'

/** Answers the id of a checkpoint that was taken now. */
export async function takeCheckpoint(checkpoints: CheckpointCoordinator, full: boolean): Promise<number> {
  const end = await checkpoints.requestCheckpoint(full)
  if (end.kind === 'completed') return end.id
  throw new FlinkError('EXTERNAL_SYSTEM', `the checkpoint was not completed: it was ${end.why}`, {}, causeOf(end.error))
}

export interface SavepointJob {
  readonly jobId: string
  cancel(): void
  /** Its end, or its next failure, whichever comes first. */
  whenStopped(): Promise<SerializedError | 'finished' | undefined>
}

/** Answers where it is: when it is there, or when the job has ended behind it. */
export async function takeSavepoint(
  checkpoints: CheckpointCoordinator,
  targetDirectory: string,
  behind: SavepointRequest['behind'],
  job: SavepointJob,
): Promise<string> {
  switch (behind) {
    case 'go-on':
      return checkpoints.requestSavepoint('savepoint', targetDirectory)
    case 'cancel': {
      const location = await checkpoints.requestSavepoint('savepoint', targetDirectory)
      job.cancel()
      return location
    }
    case 'stop':
    case 'drain': {
      const stopped = job.whenStopped()
      const location = await checkpoints.requestSavepoint(behind === 'stop' ? 'savepoint-terminate' : 'savepoint-drain', targetDirectory)
      const end = await stopped
      if (end === 'finished') return location
      throw new FlinkError(
        'EXTERNAL_SYSTEM',
        `A savepoint has been created at: ${location}, but the corresponding job ${job.jobId} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint.`,
        {},
        causeOf(end),
      )
    }
  }
}

function causeOf(error: SerializedError | undefined): FlinkError | undefined {
  return error === undefined ? undefined : deserializeError(error)
}
