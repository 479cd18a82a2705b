import { createRetried, type EndedJob, type JobResultStore } from '../checkpoint/job-results.ts'
import type { ObjectStore } from '../checkpoint/storage/object-store.ts'
import { decodeRecord, encodeRecord } from '../checkpoint/storage/record.ts'
import type { Clock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { isId } from '../common/ids.ts'
import type { Logger } from '../common/log.ts'
import type { JobSubmission, ResourceRequirements } from '../rpc/job-manager-gateway.ts'

/**
 * What a JobManager that comes back finds of the jobs of the one before (`high-availability.storageDir`):
 *
 *   <cluster-id>/generations/<g>           each JobManager's own, so that the next one is newer whatever its clock says; and newer by the clock than one that had no store
 *   <cluster-id>/jobs/<job-id>/artifact    the code bundle
 *   <cluster-id>/jobs/<job-id>/submission  JSON; there is a job when this is there
 *   <cluster-id>/jobs/<job-id>/size-<n>    what it was rescaled to; the largest n counts
 *
 * With a start-id jobs lie below <cluster-id>/starts/<start-id>/jobs. Who starts a cluster anew may mean other programs for the same jobs: what was submitted to JobManagers of
 * another start is removed and not recovered. Generations are counted over all starts, for they fence the checkpoints of a job, which lie under its id whoever starts it.
 *
 * A job is stored before its submission is answered. When it has ended its result is stored first (checkpoint/job-results.ts), then its checkpoints are removed,
 * then `submission`, its result unless results are kept, and the others: wherever the process dies in between, the next one either runs the job from its
 * newest checkpoint or finishes clearing.
 */
export interface JobStore {
  /** One that no JobManager of this cluster has had. */
  claimGeneration(): Promise<number>
  add(jobId: string, submission: JobSubmission, artifact: Uint8Array): Promise<void>
  /** One after the other. */
  setSize(jobId: string, size: JobSize): Promise<void>
  /** Everything of it is done. */
  remove(jobId: string): Promise<void>
  /** A job that is damaged is told of and left as it is; it does not keep the others from going on. */
  recover(): Promise<readonly RecoveredJob[]>
}

/** What was asked for, and what came of it with the slots of that time: the next JobManager begins before its TaskManagers are there. */
export interface JobSize {
  readonly requirements: ResourceRequirements
  /** By vertex id. */
  readonly parallelisms: Readonly<Record<string, number>>
}

export interface RecoveredJob {
  readonly jobId: string
  readonly submission: JobSubmission
  readonly artifact: Uint8Array
  /** Undefined = it was never rescaled. */
  readonly size: JobSize | undefined
  /** It has ended, and is to be cleared. */
  readonly result: EndedJob | undefined
}

interface JobStoreParts {
  readonly clock: Clock
  readonly log: Logger
  readonly results: JobResultStore
  /** Jobs of other starts are not gone on with. */
  readonly startId?: string | undefined
}

export function createJobStore(store: ObjectStore, clusterId: string, parts: JobStoreParts): JobStore {
  const { clock, log, results, startId } = parts
  const starts = `${clusterId}/starts`
  const jobs = startId === undefined ? `${clusterId}/jobs` : `${starts}/${startId}/jobs`
  const folderOf = (jobId: string) => `${jobs}/${jobId}`
  let claimed: number | undefined

  const generations = async () => (await store.list(`${clusterId}/generations`)).map(path => Number(path.slice(path.lastIndexOf('/') + 1)))

  /** Listed before it is asked who is the newest: what a newer JobManager has added since is not among them, however long this one slept in between. */
  async function removeOtherStarts(): Promise<void> {
    if (startId === undefined) return
    const others = (await store.list(starts)).filter(path => !path.startsWith(`${starts}/${startId}/`))
    if (others.length === 0 || Math.max(...(await generations())) !== claimed) return
    log.info('jobs of another start are removed', { files: others.length })
    for (const path of others) await store.remove(path)
  }

  /** The bytes of a name are the same whoever writes them. */
  const put = (path: string, bytes: Uint8Array) => createRetried(store, path, bytes, parts)

  async function read(path: string): Promise<Uint8Array> {
    const bytes = await store.read(path)
    if (bytes === undefined) throw new FlinkError('CORRUPT_CHECKPOINT', `${path} of ${store.uri} is missing`)
    return bytes
  }

  async function recoverJob(jobId: string, present: ReadonlySet<string>): Promise<RecoveredJob> {
    const record = async (name: string) => decodeRecord(await read(`${folderOf(jobId)}/${name}`), `${folderOf(jobId)}/${name}`)
    const newest = Math.max(0, ...[...present].flatMap(name => sizeNumber(name) ?? []))
    return {
      jobId,
      // Written by `add`.
      submission: (await record('submission')) as unknown as JobSubmission,
      artifact: await read(`${folderOf(jobId)}/artifact`),
      size: newest === 0 ? undefined : ((await record(`size-${newest}`)) as unknown as JobSize),
      result: await results.resultOf(jobId),
    }
  }

  return {
    async claimGeneration() {
      for (;;) {
        const taken = await generations()
        // A job may have run before under a JobManager without a store, whose generation is the time.
        const generation = Math.max(Math.floor(clock.nowMs() / 1_000), Math.max(0, ...taken) + 1)
        if ((await store.create(`${clusterId}/generations/${generation}`, new Uint8Array(0))) !== 'created') continue
        // The newest one stays: it is what the next one counts from.
        for (const older of taken) await store.remove(`${clusterId}/generations/${older}`)
        claimed = generation
        return generation
      }
    },

    async add(jobId, submission, artifact) {
      const folder = folderOf(jobId)
      await put(`${folder}/artifact`, artifact)
      await put(`${folder}/submission`, encodeRecord({ ...submission, jobId }))
    },

    async setSize(jobId, size) {
      const folder = folderOf(jobId)
      const older = (await store.list(folder)).flatMap(path => sizeNumber(path) ?? [])
      await put(`${folder}/size-${Math.max(0, ...older) + 1}`, encodeRecord({ ...size }))
      for (const number of older) await store.remove(`${folder}/size-${number}`)
    },

    async remove(jobId) {
      const folder = folderOf(jobId)
      await store.remove(`${folder}/submission`)
      await results.commit(jobId)
      for (const path of await store.list(folder)) await store.remove(path)
    },

    async recover() {
      await removeOtherStarts()
      const names = new Map<string, Set<string>>()
      for (const path of await store.list(jobs)) {
        const [jobId = '', name = ''] = path.slice(`${jobs}/`.length).split('/')
        if (isId(jobId)) names.set(jobId, (names.get(jobId) ?? new Set()).add(name))
      }
      const recovered: RecoveredJob[] = []
      for (const [jobId, present] of names) {
        const folder = folderOf(jobId)
        if (!present.has('submission')) {
          // Never answered, or cleared but for this.
          await results.commit(jobId)
          for (const name of present) await store.remove(`${folder}/${name}`)
          continue
        }
        try {
          recovered.push(await recoverJob(jobId, present))
        } catch (error) {
          // Anything else may be better the next time: the JobManager does not begin without these jobs.
          if (!(error instanceof FlinkError && error.code === 'CORRUPT_CHECKPOINT')) throw error
          log.error('a job could not be recovered', { jobId, error: error.message })
        }
      }
      return recovered
    },
  }
}

function sizeNumber(path: string): number | undefined {
  const number = /size-(\d+)$/.exec(path)?.[1]
  return number === undefined ? undefined : Number(number)
}
