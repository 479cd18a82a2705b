import { newestRecordOf } from '../checkpoint/storage/epoch-log.ts'
import type { ManifestHead } from '../checkpoint/storage/manifest.ts'
import type { ObjectStore } from '../checkpoint/storage/object-store.ts'
import type { Logger } from '../common/log.ts'

/**
 * What sinks have committed since a savepoint is committed again by a job that begins with it. That can be seen where the checkpoints of the job that took it
 * lie beside this one's; not where they were removed with it, or lie elsewhere.
 */
export async function warnOfResultsSince(
  store: ObjectStore,
  head: Pick<ManifestHead, 'jobId' | 'checkpointId'>,
  location: string,
  log: Logger,
): Promise<void> {
  const { jobId, checkpointId } = head
  const newest = (await newestRecordOf(store, jobId))?.checkpointId ?? null
  if (newest === null || newest <= checkpointId) return
  log.warn(`${location} is older than what was committed since: results between it and checkpoint ${newest} of job ${jobId} will come again`, {
    checkpointId,
    newest,
  })
}
