import { SegmentChains } from './segment-chains.ts'
import type { StateStorage } from './state-storage.ts'
import type { ObjectRef } from './storage/manifest.ts'
import { type OperatorHandover, type OperatorState, objectsOf, type StatePlace, type TaskState } from './task-state.ts'

/** Writes what one execution hands over at its barriers, one after the other, and answers all of its state as places. */
export class TaskStateWriter {
  private readonly executionId: string
  private readonly storage: StateStorage
  private readonly chains: SegmentChains<StatePlace>

  constructor(executionId: string, storage: StateStorage, restored: readonly OperatorState<StatePlace>[]) {
    this.executionId = executionId
    this.storage = storage
    this.chains = new SegmentChains(restored)
  }

  /** `location`: of a savepoint. Rejects when it could not be written, or stands behind something that could not. */
  async write(checkpointId: number, handedOver: readonly OperatorHandover<Uint8Array>[], location: string | undefined): Promise<TaskState> {
    this.chains.check(handedOver)
    // A savepoint has nothing to do with what later checkpoints stand behind.
    const isStandalone = location !== undefined || handedOver.every(({ snapshot: { keyed } }) => keyed === undefined || keyed.standalone)
    const placed = await this.storage.write(checkpointId, this.executionId, handedOver, isStandalone ? 0 : this.inlineBytes(), location)
    const operators = placed.map(({ operatorId, snapshot }) => ({ operatorId, snapshot: this.chains.of(operatorId).add(snapshot) }))
    const isLast = handedOver.every(({ snapshot: { keyed } }) => keyed === undefined || (keyed.standalone && keyed.kept.length === 0))
    if (location !== undefined || isLast) return { operators, kept: [] }
    const needed = new Set(objectsOf(operators).map(({ name }) => name))
    const kept = new Map<string, ObjectRef>()
    for (const { blob } of this.chains.pieces()) if (blob.kind === 'object' && !needed.has(blob.ref.name)) kept.set(blob.ref.name, blob.ref)
    return { operators, kept: [...kept.values()] }
  }

  /** What is carried along already, with every checkpoint. */
  private inlineBytes(): number {
    const inline = new Set<Uint8Array>()
    for (const { blob } of this.chains.pieces()) if (blob.kind === 'inline') inline.add(blob.bytes)
    let size = 0
    for (const bytes of inline) size += bytes.length
    return size
  }
}
