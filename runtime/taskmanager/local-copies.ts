import { damageOf, findObject } from '../checkpoint/found-object.ts'
import type { ObjectRef } from '../checkpoint/storage/manifest.ts'
import type { Logger } from '../common/log.ts'
import type { StateBytes } from '../state/state-files.ts'
import type { CopyFiles } from './copy-files.ts'

/**
 * Copies of what the tasks of this TaskManager have written to the store of checkpoints (Flink's task-local recovery): who begins again here reads them
 * instead. Objects are immutable and their names are used once, so a copy is as good as the object, or it is damaged and the object is read.
 *
 * 1. `put` beside each object that is written to the store. Nobody waits for it; that it fails costs only the copy.
 * 2. `taken`: the state of a task in a checkpoint stands behind these objects. `completed`: what only older checkpoints stand behind goes.
 * 3. `begin`: a task begins with these, and none of its earlier attempt's other ones is needed.
 * 4. `release`: the slot is not the job's any more; no copy outlives that, so none outlives the job.
 */
export interface CopyOwner {
  readonly jobId: string
  readonly allocationId: string
  /** Of the job, whatever its attempt. */
  readonly subtask: string
}

interface Need {
  readonly owner: CopyOwner
  /** Names of objects, by the checkpoint whose state they are. */
  readonly byCheckpoint: Map<number, Set<string>>
}

export class LocalCopies {
  private readonly files: CopyFiles
  private readonly log: Logger
  /** By path; true when it is written. */
  private readonly copies = new Map<string, Promise<boolean>>()
  private readonly needs = new Map<string, Need>()

  constructor(files: CopyFiles, log: Logger) {
    this.files = files
    this.log = log
  }

  begin(owner: CopyOwner, checkpointId: number, names: readonly string[]): void {
    this.needs.set(keyOf(owner), { owner, byCheckpoint: new Map([[checkpointId, new Set(names)]]) })
    this.sweep()
  }

  put(owner: CopyOwner, checkpointId: number, name: string, bytes: Uint8Array): void {
    this.taken(owner, checkpointId, [name])
    const path = pathOf(owner.jobId, name)
    const written = this.files.write(path, bytes).then(
      () => true,
      (error: unknown) => {
        this.log.warn('a local copy of state could not be written; the store has it', { path, error: String(error) })
        return false
      },
    )
    this.copies.set(path, written)
  }

  taken(owner: CopyOwner, checkpointId: number, names: readonly string[]): void {
    const { byCheckpoint } = this.needs.get(keyOf(owner)) ?? { byCheckpoint: new Map<number, Set<string>>() }
    byCheckpoint.set(checkpointId, new Set([...(byCheckpoint.get(checkpointId) ?? []), ...names]))
    this.needs.set(keyOf(owner), { owner, byCheckpoint })
  }

  completed(owner: CopyOwner, checkpointId: number): void {
    const need = this.needs.get(keyOf(owner))
    // Not its own: a checkpoint that it was not a part of.
    if (need?.byCheckpoint.has(checkpointId) !== true) return
    for (const id of need.byCheckpoint.keys()) if (id < checkpointId) need.byCheckpoint.delete(id)
    this.sweep()
  }

  /** Undefined = there is no copy, or none that is whole. */
  async get(jobId: string, ref: ObjectRef): Promise<StateBytes | undefined> {
    const path = pathOf(jobId, ref.name)
    if ((await this.copies.get(path)) !== true) return undefined
    try {
      const found = await findObject(ref, this.files, path)
      if (found === undefined || damageOf(ref, found) === undefined) return found?.bytes
      this.log.warn('a local copy of state is damaged; it is read from the store', { path, bytes: found.bytes.length, written: ref.size })
    } catch (error) {
      this.log.warn('a local copy of state could not be read; it is read from the store', { path, error: String(error) })
    }
    return undefined
  }

  release(allocationId: string): void {
    for (const [key, { owner }] of this.needs) if (owner.allocationId === allocationId) this.needs.delete(key)
    this.sweep()
  }

  private sweep(): void {
    const needed = new Set<string>()
    for (const { owner, byCheckpoint } of this.needs.values())
      for (const names of byCheckpoint.values()) for (const name of names) needed.add(pathOf(owner.jobId, name))
    for (const [path, written] of this.copies) {
      if (needed.has(path)) continue
      this.copies.delete(path)
      void written
        .then(() => this.files.remove(path))
        .catch((error: unknown) => this.log.warn('a local copy of state could not be removed', { path, error: String(error) }))
    }
  }
}

function keyOf({ jobId, allocationId, subtask }: CopyOwner): string {
  return `${jobId}/${allocationId}/${subtask}`
}

function pathOf(jobId: string, name: string): string {
  return `${jobId}/${name}`
}
