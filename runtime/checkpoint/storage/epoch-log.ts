import { type Clock, sleep } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import { hex } from '../../common/ids.ts'
import type { Logger } from '../../common/log.ts'
import type { Random } from '../../common/random.ts'
import { decodeManifest, encodeManifest, type Manifest, type ManifestHead, type ObjectRef } from './manifest.ts'
import type { ObjectStore } from './object-store.ts'
import { decodeRecord, encodeRecord } from './record.ts'

/**
 * Which checkpoint of a job is its newest, and who may add the next one (DESIGN 6, docs/decisions/0015-epochs.md).
 *
 *   <job-id>/shared/<name>          data, written once, listed with length and CRC by the manifests that need it
 *   <job-id>/chk-<id>/_metadata     a manifest; by itself it proves nothing
 *   <job-id>/epochs/<e>             the claim: checkpoint <id> exists, or generation g has taken over from checkpoint <id>; or that one is a savepoint elsewhere
 *   <job-id>/head/<generation>      who was a generation; never removed while the job's folder is there
 *
 * Publishing: objects -> manifest -> claim of epoch e + 1 -> look that nobody has claimed a later one -> acknowledged. All of them are exclusive
 * creates, so that of two JobManagers that both believe they lead only one gets the epoch, and the other one learns that it is old: FENCED. It must end
 * then, and delete nothing.
 *
 * Taking over claims an epoch too, before anything is deployed or committed. What the old leader publishes until then counts (the claim is tried
 * again behind it); what it tries later finds its epoch taken.
 *
 * Invariants:
 * - epoch numbers grow by one and are never used twice: the newest record is never removed, and `head` tells a late generation of a newer one where the
 *   epochs between have been removed;
 * - the newest record alone says from which checkpoint to restore;
 * - a write with an unknown outcome is looked at until it is known, for `unknownOutcomeMs`; then it is OUTCOME_UNKNOWN for the caller too, who must not
 *   take it for a failure: nothing is cleaned up;
 * - what cannot be read is an error, never skipped: a silent step back to an older checkpoint doubles output.
 */
export interface EpochRecord {
  readonly epoch: number
  readonly kind: 'takeover' | 'checkpoint'
  readonly generation: number
  /** Of the log that has claimed it. */
  readonly nonce: string
  /** The newest checkpoint as of this epoch; null = there is none yet. */
  readonly checkpointId: number | null
  /** Where it lies when it is a savepoint, behind which the job was to stop; null = in the job's own folder. */
  readonly savepoint: string | null
}

export interface EpochLogOptions {
  readonly store: ObjectStore
  readonly jobId: string
  /** Of this JobManager: handed out by whoever starts it, each number once. */
  readonly generation: number
  /** What tells this process from another one of that generation: it may let the job go and have it again, under a log of its own each time. Default: there is one log. */
  readonly incarnation?: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** How long an unknown outcome is looked at. */
  readonly unknownOutcomeMs?: number
}

const UNKNOWN_OUTCOME_MS = 60_000
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 5_000

export class EpochLog {
  readonly nonce: string
  private readonly options: EpochLogOptions
  /** The epoch that this process has claimed last; 0 = none, it has not taken over. */
  private epoch = 0
  private newestCheckpoint: number | null = null
  private newestSavepoint: string | null = null
  /** A claim of this process that may or may not be there: until it has taken over again it does not know its own epoch. */
  private claimUnknown = false
  /** What the store has said last, while it is asked again and again. */
  private unanswered: string | undefined

  constructor(options: EpochLogOptions) {
    this.options = options
    this.nonce = hex(options.random.bytes(16))
  }

  /** Why something that was asked of the store has not happened yet; undefined = nothing waits. */
  get waitsFor(): string | undefined {
    return this.unanswered
  }

  /** The id of the checkpoint to restore from; null = a job without one. To be called before anything is done for the job. */
  async takeOver(): Promise<number | null> {
    const { generation, jobId } = this.options
    await this.checkGeneration()
    const head = { generation, nonce: this.options.incarnation ?? this.nonce }
    const found = await this.createKnown(`${jobId}/head/${generation}`, encodeRecord(head))
    if (found !== 'mine') throw this.fenced(`generation ${generation} is another process already`)
    for (;;) {
      const newest = await this.retried(() => newestRecordOf(this.options.store, jobId))
      // Looked at right before the claim of the epoch behind it: whoever takes over in between takes that epoch.
      if (newest !== undefined && newest.generation > generation) throw this.fenced(`generation ${newest.generation} has taken over`)
      const record: EpochRecord = {
        epoch: (newest?.epoch ?? 0) + 1,
        kind: 'takeover',
        generation,
        nonce: this.nonce,
        checkpointId: newest?.checkpointId ?? null,
        savepoint: newest?.savepoint ?? null,
      }
      // The old leader was faster: its checkpoint counts.
      if ((await this.createKnown(this.epochPath(record.epoch), encodeRecord(record))) !== 'mine') continue
      await this.checkNewest(record.epoch)
      this.epoch = record.epoch
      this.claimUnknown = false
      this.newestCheckpoint = record.checkpointId
      this.newestSavepoint = record.savepoint
      return record.checkpointId
    }
  }

  /** Where the newest checkpoint lies, when it is a savepoint. */
  get savepoint(): string | null {
    return this.newestSavepoint
  }

  /**
   * Makes a checkpoint whose objects are written exist. CONFLICT: the id is taken by a manifest of somebody else (one that a fenced JobManager has left);
   * the next id will do.
   */
  async publish(checkpoint: Omit<ManifestHead, 'jobId' | 'generation' | 'nonce' | 'objectsFolder'>, body: Uint8Array): Promise<void> {
    const { jobId, generation } = this.options
    const { checkpointId } = checkpoint
    await this.checkMayClaim(checkpointId)
    await this.checkObjects(checkpoint.objects)
    await this.writeManifest({ head: { ...checkpoint, jobId, generation, nonce: this.nonce, objectsFolder: 'shared' }, body })
    await this.claim(checkpointId, null)
  }

  /** A savepoint that is whole becomes the job's newest checkpoint: sinks commit what is in it. */
  async claimSavepoint(checkpointId: number, location: string): Promise<void> {
    await this.checkMayClaim(checkpointId)
    await this.claim(checkpointId, location)
  }

  private async checkMayClaim(checkpointId: number): Promise<void> {
    this.checkLeads()
    if (this.newestCheckpoint !== null && checkpointId <= this.newestCheckpoint)
      throw new FlinkError(
        'INTERNAL',
        `job ${this.options.jobId}: checkpoint ${checkpointId} is published behind checkpoint ${this.newestCheckpoint}`,
      )
    await this.checkGeneration()
  }

  private async claim(checkpointId: number, savepoint: string | null): Promise<void> {
    const { generation } = this.options
    const record: EpochRecord = { epoch: this.epoch + 1, kind: 'checkpoint', generation, nonce: this.nonce, checkpointId, savepoint }
    this.claimUnknown = true
    if ((await this.createKnown(this.epochPath(record.epoch), encodeRecord(record))) !== 'mine')
      throw this.fenced(`epoch ${record.epoch} was claimed by another process`)
    this.epoch = record.epoch
    await this.checkNewest(record.epoch)
    await this.checkGeneration()
    this.claimUnknown = false
    this.newestCheckpoint = checkpointId
    this.newestSavepoint = savepoint
  }

  /**
   * Removes checkpoints that are not in `retained`, older ones than the newest only, and what nobody needs any more: claims first, then manifests, then
   * data. Stops before data when a manifest cannot be read.
   */
  async cleanUp(retained: readonly number[]): Promise<void> {
    const { store, jobId } = this.options
    const { epoch, newestCheckpoint } = this
    this.checkLeads()
    await this.checkNewest(epoch)
    await this.checkGeneration()
    if (newestCheckpoint === null) return
    const kept = new Set([...retained, newestCheckpoint])
    for (const path of await store.list(`${jobId}/epochs`)) {
      const number = numberOf(path)
      if (number >= epoch) continue
      const record = await readRecord(store, path)
      if (record?.kind === 'takeover' || (record !== undefined && !kept.has(record.checkpointId ?? -1))) await store.remove(path)
    }
    const needed = new Set<string>()
    const data: string[] = []
    for (const path of await store.list(jobId)) {
      if (path.startsWith(`${jobId}/shared/`)) data.push(path)
      const id = checkpointIdOf(path, jobId)
      // A later one than the newest is being written.
      if (id === undefined || id > newestCheckpoint) continue
      if (!kept.has(id)) await store.remove(path)
      else for (const { name } of (await this.readKept(id)).head.objects) needed.add(name)
    }
    for (const path of data) {
      const name = path.slice(`${jobId}/shared/`.length)
      if (!needed.has(name) && objectCheckpointOf(name) <= newestCheckpoint) await store.remove(path)
    }
  }

  /** FENCED where a later JobManager has begun to take the job over: this one has nothing to say about it any more. */
  async confirmLead(): Promise<void> {
    await this.checkGeneration()
  }

  /** It has taken over, and knows nothing of another one. */
  get leads(): boolean {
    return this.epoch > 0
  }

  /**
   * The job has ended, and nobody will restore it: all of its folder goes, what points before what is pointed at, and the newest pointer last of those.
   * But where another JobManager has led before, the newest head stays: an old one that still sleeps would otherwise find a job without checkpoints, and
   * run it from its beginning.
   */
  async discard(): Promise<void> {
    const { store, jobId } = this.options
    this.checkLeads()
    await this.checkNewest(this.epoch)
    await this.checkGeneration()
    const epochs = [...(await store.list(`${jobId}/epochs`))].sort((a, b) => numberOf(a) - numberOf(b))
    const heads = await store.list(`${jobId}/head`)
    const pointers = new Set([...epochs, ...heads])
    const rest = (await store.list(jobId)).filter(path => !pointers.has(path))
    const oldHeads = heads.filter(path => numberOf(path) !== this.options.generation)
    for (const path of [...epochs, ...rest, ...oldHeads]) await store.remove(path)
    if (oldHeads.length === 0) for (const path of heads) await store.remove(path)
    this.epoch = 0
  }

  private async readKept(checkpointId: number): Promise<Manifest> {
    try {
      return await readManifest(this.options.store, this.options.jobId, checkpointId)
    } catch (error) {
      // An old leader finds the new one's clean-up, not damage.
      await this.checkGeneration()
      throw error
    }
  }

  private checkLeads(): void {
    const { jobId, store } = this.options
    if (this.epoch === 0) throw new FlinkError('INTERNAL', `job ${jobId} was not taken over`)
    if (this.claimUnknown)
      throw new FlinkError(
        'OUTCOME_UNKNOWN',
        `job ${jobId}: whether its last checkpoint was claimed at ${store.uri} is not known; it has to be taken over again`,
      )
  }

  private async writeManifest(manifest: Manifest): Promise<void> {
    const { jobId, checkpointId } = manifest.head
    let whose: 'mine' | 'other'
    try {
      whose = await this.createKnown(manifestPath(jobId, checkpointId), encodeManifest(manifest))
    } catch (error) {
      if (!(error instanceof FlinkError) || error.code !== 'OUTCOME_UNKNOWN') throw error
      // Wherever it is now: without a claim it proves nothing, so the checkpoint has just failed.
      throw new FlinkError('EXTERNAL_SYSTEM', `job ${jobId}: the manifest of checkpoint ${checkpointId} could not be written`, {}, error)
    }
    if (whose !== 'mine') throw new FlinkError('CONFLICT', `job ${jobId}: checkpoint ${checkpointId} was written by another process`)
  }

  /** That whoever restores will find what the manifest names: its length; the CRC is looked at by who reads it. */
  private async checkObjects(objects: readonly ObjectRef[]): Promise<void> {
    const { store, jobId } = this.options
    for (const { name, size } of objects) {
      const found = await store.size(`${jobId}/shared/${name}`)
      if (found === size) continue
      // Of an old leader's checkpoints somebody else has removed what nobody needs any more.
      await this.checkGeneration()
      throw new FlinkError(
        'CORRUPT_CHECKPOINT',
        `object ${name} of job ${jobId} has ${found === undefined ? 'gone' : `${found} bytes`}, ${size} were written`,
      )
    }
  }

  private async checkNewest(epoch: number): Promise<void> {
    const paths = await this.retried(() => this.options.store.list(`${this.options.jobId}/epochs`))
    const newest = Math.max(0, ...paths.map(numberOf))
    if (newest > epoch) throw this.fenced(`epoch ${newest} is claimed, the newest one of this process is ${epoch}`)
  }

  private async checkGeneration(): Promise<void> {
    const paths = await this.retried(() => this.options.store.list(`${this.options.jobId}/head`))
    const newest = Math.max(0, ...paths.map(numberOf))
    if (newest > this.options.generation) throw this.fenced(`generation ${newest} has taken over`)
  }

  /** `mine` also where an earlier try of this process got through. */
  private async createKnown(path: string, bytes: Uint8Array): Promise<'mine' | 'other'> {
    return this.retried(async () => {
      if ((await this.options.store.create(path, bytes)) === 'created') return 'mine'
      const found = await this.options.store.read(path)
      // Removed meanwhile: by somebody who may, so it is not ours.
      return found !== undefined && Buffer.compare(found, bytes) === 0 ? 'mine' : 'other'
    })
  }

  /**
   * Once a claim may be on its way, giving up would be a guess. So whatever the store answers is tried again, with every create being the same bytes:
   * the second one says `exists`, and whose it is can be read.
   */
  private async retried<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await this.untilKnown(act)
    } finally {
      this.unanswered = undefined
    }
  }

  private async untilKnown<T>(act: () => Promise<T>): Promise<T> {
    const { clock, log, jobId, store, unknownOutcomeMs = UNKNOWN_OUTCOME_MS } = this.options
    const endMs = clock.monotonicMs() + unknownOutcomeMs
    let unknown = false
    for (let delayMs = RETRY_MS_MIN; ; delayMs = Math.min(2 * delayMs, RETRY_MS_MAX)) {
      try {
        return await act()
      } catch (error) {
        if (!(error instanceof FlinkError) || (error.code !== 'OUTCOME_UNKNOWN' && error.code !== 'EXTERNAL_SYSTEM' && error.code !== 'TIMEOUT'))
          throw error
        unknown ||= error.code === 'OUTCOME_UNKNOWN'
        if (clock.monotonicMs() + delayMs > endMs) {
          if (!unknown) throw error
          throw new FlinkError(
            'OUTCOME_UNKNOWN',
            `job ${jobId}: whether a write to ${store.uri} has happened is still unknown after ${unknownOutcomeMs} ms`,
            {},
            error,
          )
        }
        this.unanswered = error.message
        log.warn('checkpoint storage answered with an error, trying again', { uri: store.uri, jobId, reason: error.message })
        await sleep(clock, delayMs)
      }
    }
  }

  private epochPath(epoch: number): string {
    return `${this.options.jobId}/epochs/${epoch}`
  }

  private fenced(why: string): FlinkError {
    const { jobId, generation } = this.options
    return new FlinkError('FENCED', `job ${jobId}: generation ${generation} does not lead any more: ${why}`)
  }
}

/** What a restore reads, and anybody may: undefined where no process has ever taken over the job. */
export async function newestRecordOf(store: ObjectStore, jobId: string): Promise<EpochRecord | undefined> {
  for (;;) {
    const paths = await store.list(`${jobId}/epochs`)
    if (paths.length === 0) return undefined
    const newest = paths.reduce((a, b) => (numberOf(a) > numberOf(b) ? a : b))
    const record = await readRecord(store, newest)
    // Only older ones are ever removed: there is a newer one now.
    if (record !== undefined) return record
  }
}

/** All claims, oldest first. What is removed while they are read is left out. */
export async function recordsOf(store: ObjectStore, jobId: string): Promise<readonly EpochRecord[]> {
  const records: EpochRecord[] = []
  for (const path of await store.list(`${jobId}/epochs`)) {
    const record = await readRecord(store, path)
    if (record !== undefined) records.push(record)
  }
  return records.sort((a, b) => a.epoch - b.epoch)
}

/** All that has to be there to restore: the manifest, and every object it names with its length. */
export async function readManifest(store: ObjectStore, jobId: string, checkpointId: number): Promise<Manifest> {
  const path = manifestPath(jobId, checkpointId)
  const bytes = await store.read(path)
  if (bytes === undefined) throw new FlinkError('CORRUPT_CHECKPOINT', `${path} of ${store.uri} is claimed, but not there`)
  const manifest = decodeManifest(bytes, `${path} of ${store.uri}`)
  const { head } = manifest
  if (head.jobId !== jobId || head.checkpointId !== checkpointId)
    throw new FlinkError('CORRUPT_CHECKPOINT', `${path} of ${store.uri} is checkpoint ${head.checkpointId} of job ${head.jobId}`)
  return manifest
}

/** Names of data begin with the checkpoint that wrote them, so that clean-up does not touch what is being written. */
export function objectName(checkpointId: number, rest: string): string {
  return `${checkpointId}-${rest}`
}

function objectCheckpointOf(name: string): number {
  const id = /^(\d+)-/.exec(name)?.[1]
  return id === undefined ? Number.POSITIVE_INFINITY : Number(id)
}

async function readRecord(store: ObjectStore, path: string): Promise<EpochRecord | undefined> {
  const bytes = await store.read(path)
  if (bytes === undefined) return undefined
  const corrupt = (why: string) => new FlinkError('CORRUPT_CHECKPOINT', `${path} of ${store.uri} cannot be read: ${why}`)
  const record: Partial<EpochRecord> = decodeRecord(bytes, `${path} of ${store.uri}`)
  const { epoch, kind, generation, nonce, checkpointId, savepoint } = record
  if (epoch !== numberOf(path)) throw corrupt(`it is the record of epoch ${epoch}`)
  if (
    (kind !== 'takeover' && kind !== 'checkpoint') ||
    typeof generation !== 'number' ||
    typeof nonce !== 'string' ||
    checkpointId === undefined ||
    savepoint === undefined
  )
    throw corrupt('a field is missing')
  return { epoch, kind, generation, nonce, checkpointId, savepoint }
}

function manifestPath(jobId: string, checkpointId: number): string {
  return `${jobId}/chk-${checkpointId}/_metadata`
}

function checkpointIdOf(path: string, jobId: string): number | undefined {
  const match = /^chk-(\d+)\/_metadata$/.exec(path.slice(jobId.length + 1))
  return match === null ? undefined : Number(match[1])
}

function numberOf(path: string): number {
  return Number(path.slice(path.lastIndexOf('/') + 1))
}
