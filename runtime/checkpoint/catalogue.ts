import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { isId } from '../common/ids.ts'
import { jobResultLocation } from './ha-options.ts'
import { type EndedJob, readJobResult } from './job-results.ts'
import { type FolderOpener, readSnapshot, readSnapshotHead, removeSavepoint } from './savepoint.ts'
import { storageSettings } from './state-storage.ts'
import { type EpochRecord, newestRecordOf, readManifest, recordsOf } from './storage/epoch-log.ts'
import { stateBytes } from './storage/manifest.ts'
import type { ObjectStore } from './storage/object-store.ts'

/**
 * What there is of a job at the store, whether or not a JobManager lives that knows it: what it can be started from, and how it has ended. The operator's only
 * door to this room.
 *
 * It reads and claims nothing: what it says was true when it was read, and a JobManager that lives may have gone on since. What cannot be read is
 * CORRUPT_CHECKPOINT and names the file; nothing older is offered in its place, for that would double what has been committed since.
 */
export interface Catalogue {
  /** What the job goes on from under its id; undefined = nobody has completed a checkpoint of it. */
  newest(jobId: string): Promise<RestorePoint | undefined>
  /** Whether a JobManager has ever begun with it at this store; false for one whose folder was removed, and where nothing outlives a JobManager. */
  knows(jobId: string): Promise<boolean>
  /** All that can be started from, the newest first. */
  retained(jobId: string): Promise<readonly RestorePoint[]>
  /** Undefined = it has not ended, or how it has is not stored (`job-result-store.*`). */
  resultOf(jobId: string): Promise<EndedJob | undefined>
  /** The job is to run again under its id, which is refused as long as it has ended: whoever decides that has noted down before that it was decided. */
  forgetResult(jobId: string): Promise<void>
  /** The savepoint, or the checkpoint that a job has left, at a path, with all that belongs to it: INVALID_ARGUMENT where there is none. */
  snapshotAt(location: string): Promise<SnapshotAtPath>
  /** Removes all that lies under the id of a job that nobody runs: checkpoints, claims, its result. Savepoints lie elsewhere, and stay. Done again, it goes on. */
  removeJob(jobId: string): Promise<void>
  /** Removes a savepoint's own files; that it is gone is no error, that the path is no savepoint's is INVALID_ARGUMENT. */
  disposeSavepoint(location: string): Promise<void>
}

export interface RestorePoint {
  readonly checkpointId: number
  /** `savepoint`: one behind which the job was to stop. */
  readonly kind: 'checkpoint' | 'savepoint'
  /** As in `run -s`, and `execution.state-recovery.path`. */
  readonly location: string
  /** When it was triggered. */
  readonly timestampMs: number
  /** Of its state. Checkpoints share files: together they take less. */
  readonly sizeBytes: number
  /** Of the JobManager that took it. */
  readonly generation: number
  /** Of the claim that makes it count; grows with each checkpoint and each takeover. */
  readonly epoch: number
}

export interface SnapshotAtPath {
  readonly kind: 'checkpoint' | 'savepoint'
  /** Of the folder with its manifest. */
  readonly location: string
  readonly jobId: string
  readonly timestampMs: number
}

/** Undefined = kept nowhere that outlives a JobManager. */
export interface CatalogueLocations {
  readonly checkpoints: string | undefined
  readonly results: string | undefined
}

export type { EndedJob, FolderOpener }

/** Where a job with this configuration, on a cluster with it, leaves what is looked for. */
export function catalogueLocations(configuration: Configuration): CatalogueLocations {
  return { checkpoints: storageSettings(configuration).directory, results: jobResultLocation(configuration) }
}

/** `open` for reading: nothing is made at these places. */
export function createCatalogue({ checkpoints, results }: CatalogueLocations, open: FolderOpener): Catalogue {
  const opened = new Map<string, Promise<ObjectStore>>()
  const storeAt = (uri: string): Promise<ObjectStore> => {
    const store = opened.get(uri) ?? open(uri)
    opened.set(uri, store)
    store.catch(() => opened.delete(uri))
    return store
  }
  return {
    async newest(jobId) {
      checkId(jobId)
      if (checkpoints === undefined) return undefined
      const store = await storeAt(checkpoints)
      for (;;) {
        const record = await newestRecordOf(store, jobId)
        if (record === undefined) return undefined
        try {
          return await pointOf(store, jobId, record, open)
        } catch (error) {
          // Overtaken by a later one, it may have been removed while it was read.
          if ((await newestRecordOf(store, jobId))?.epoch === record.epoch) throw error
        }
      }
    },

    async knows(jobId) {
      checkId(jobId)
      return checkpoints !== undefined && (await (await storeAt(checkpoints)).list(`${jobId}/epochs`)).length > 0
    },

    async retained(jobId) {
      checkId(jobId)
      if (checkpoints === undefined) return []
      const store = await storeAt(checkpoints)
      // A takeover repeats what it has found: the last claim of each.
      const records = new Map((await recordsOf(store, jobId)).map(record => [record.checkpointId, record]))
      const points: RestorePoint[] = []
      for (const record of records.values()) {
        try {
          const point = await pointOf(store, jobId, record, open)
          if (point !== undefined) points.push(point)
        } catch (error) {
          // Claims are removed first.
          if ((await recordsOf(store, jobId)).some(({ epoch }) => epoch === record.epoch)) throw error
        }
      }
      return points.sort((a, b) => b.epoch - a.epoch)
    },

    async resultOf(jobId) {
      checkId(jobId)
      return results === undefined ? undefined : readJobResult(await storeAt(results), jobId)
    },

    async forgetResult(jobId) {
      checkId(jobId)
      if (results !== undefined) await (await storeAt(results)).remove(jobId)
    },

    async snapshotAt(path) {
      const { location, isSavepoint, head } = await readSnapshot(path, open)
      return { kind: isSavepoint ? 'savepoint' : 'checkpoint', location, jobId: head.jobId, timestampMs: head.timestampMs }
    },

    async removeJob(jobId) {
      checkId(jobId)
      if (results !== undefined) await (await storeAt(results)).remove(jobId)
      if (checkpoints === undefined) return
      const store = await storeAt(checkpoints)
      const epochs = (await store.list(`${jobId}/epochs`)).toSorted((a, b) => numberOf(a) - numberOf(b))
      const newest = epochs.at(-1)
      // The newest claim last: until then the job is known, and nothing older can be taken for its newest.
      for (const path of await store.list(jobId)) if (path !== newest) await store.remove(path)
      if (newest !== undefined) await store.remove(newest)
    },

    disposeSavepoint: location => removeSavepoint(location, open),
  }
}

async function pointOf(store: ObjectStore, jobId: string, record: EpochRecord, open: FolderOpener): Promise<RestorePoint | undefined> {
  const { checkpointId, savepoint, epoch } = record
  if (checkpointId === null) return undefined
  if (savepoint === null) {
    const manifest = await readManifest(store, jobId, checkpointId)
    const { timestampMs, generation } = manifest.head
    const location = `${store.uri}/${jobId}/chk-${checkpointId}`
    return { checkpointId, kind: 'checkpoint', location, timestampMs, sizeBytes: stateBytes(manifest), generation, epoch }
  }
  try {
    const { head, sizeBytes } = await readSnapshotHead(savepoint, open)
    return { checkpointId, kind: 'savepoint', location: savepoint, timestampMs: head.timestampMs, sizeBytes, generation: head.generation, epoch }
  } catch (error) {
    // Whoever was to stop behind it has claimed it: that it is gone is damage.
    if (!(error instanceof FlinkError) || error.code !== 'INVALID_ARGUMENT') throw error
    throw new FlinkError('CORRUPT_CHECKPOINT', `${jobId}/epochs/${epoch} of ${store.uri} claims a savepoint: ${error.message}`, {}, error)
  }
}

function numberOf(path: string): number {
  return Number(path.slice(path.lastIndexOf('/') + 1))
}

function checkId(jobId: string): void {
  if (!isId(jobId)) throw new FlinkError('INVALID_ARGUMENT', `job id ${JSON.stringify(jobId)} is not 32 lower-case hex digits`)
}
