import type { ListStateDescriptor, MapStateDescriptor } from '../state/descriptors.ts'
import type { BroadcastState, OperatorListState } from '../state/state.ts'
import type { KeyedStateStore } from './functions.ts'

/**
 * How users' functions take part in checkpoints, in Flink's words. Any function object may have any of these methods. Order of a function's life:
 * `initializeState` (whether restored or not), `open`, rows, `snapshotState` at each barrier, a notification later, `close`.
 */
export interface CheckpointedFunction {
  /** The place to get operator state, restored where there is something to restore. */
  initializeState(context: FunctionInitializationContext): void | Promise<void>
  /** Between two rows: what the states hold when it returns is in the checkpoint. It must not wait. */
  snapshotState(context: FunctionSnapshotContext): void
}

/**
 * A notification may be lost when a task fails, and one checkpoint's stands for those before it. What is asynchronous is not waited for by rows; a promise
 * that is rejected fails the task.
 */
export interface CheckpointListener {
  notifyCheckpointComplete(checkpointId: number): void | Promise<void>
  notifyCheckpointAborted?(checkpointId: number): void | Promise<void>
}

export interface FunctionInitializationContext {
  /** The operator was part of the checkpoint that the job is restored from. */
  isRestored(): boolean
  getOperatorStateStore(): OperatorStateStore
  /** Handles only: no key is set yet. On a keyed stream, of states that are fields of the function object. */
  getKeyedStateStore(): KeyedStateStore
}

export interface FunctionSnapshotContext {
  getCheckpointId(): number
  getCheckpointTimestamp(): number
}

/** State of a subtask. With another parallelism a list is dealt out anew; a union list goes whole to everybody; a broadcast state is the same everywhere. */
export interface OperatorStateStore {
  getListState<T>(descriptor: ListStateDescriptor<T>): OperatorListState<T>
  getUnionListState<T>(descriptor: ListStateDescriptor<T>): OperatorListState<T>
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V>
}
