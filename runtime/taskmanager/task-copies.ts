import type { TaskRestore } from '../checkpoint/checkpoint-body.ts'
import type { StateCopies } from '../checkpoint/state-storage.ts'
import type { ObjectRef } from '../checkpoint/storage/manifest.ts'
import { objectsOf, type TaskState } from '../checkpoint/task-state.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { StateBytes } from '../state/state-files.ts'
import type { CopyOwner, LocalCopies } from './local-copies.ts'

export interface CopyUses {
  readonly writes: boolean
  readonly reads: boolean
  /** The slot is still the job's: what is written behind its release would stay for ever. */
  isHeld(): boolean
}

/** The local copies of one deployment's tasks, by their executions. */
export class TaskCopies implements StateCopies {
  private readonly copies: LocalCopies
  private readonly jobId: string
  private readonly owners: ReadonlyMap<string, CopyOwner>
  private readonly uses: CopyUses

  constructor(copies: LocalCopies, { jobId, allocationId, tasks }: SlotDeployment, uses: CopyUses) {
    this.copies = copies
    this.jobId = jobId
    this.owners = new Map(
      tasks.map(({ executionId, vertex, subtaskIndex }) => [executionId, { jobId, allocationId, subtask: `${vertex.id}/${subtaskIndex}` }]),
    )
    this.uses = uses
  }

  begin(executionId: string, { checkpointId, location, state }: TaskRestore): void {
    const owner = this.ownerOf(executionId)
    if (owner !== undefined) this.copies.begin(owner, checkpointId, location === null ? objectsOf(state.operators).map(({ name }) => name) : [])
  }

  put(executionId: string, checkpointId: number, name: string, bytes: Uint8Array): void {
    const owner = this.ownerOf(executionId)
    if (this.uses.writes && owner !== undefined) this.copies.put(owner, checkpointId, name, bytes)
  }

  async get(ref: ObjectRef): Promise<StateBytes | undefined> {
    return this.uses.reads ? this.copies.get(this.jobId, ref) : undefined
  }

  taken(executionId: string, checkpointId: number, { operators, kept }: TaskState): void {
    const owner = this.ownerOf(executionId)
    if (owner !== undefined) this.copies.taken(owner, checkpointId, [...objectsOf(operators), ...kept].map(({ name }) => name)) // biome-ignore format: one call
  }

  completed(executionId: string, checkpointId: number): void {
    const owner = this.ownerOf(executionId)
    if (owner !== undefined) this.copies.completed(owner, checkpointId)
  }

  private ownerOf(executionId: string): CopyOwner | undefined {
    return this.uses.isHeld() ? this.owners.get(executionId) : undefined
  }
}
