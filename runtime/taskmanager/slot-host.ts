import type { OperatorHandover, RestoredOperator } from '../checkpoint/task-state.ts'
import type { SerializedError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { SourceSplit } from '../stream/spi/source.ts'

/**
 * What runs in a slot for one job, from the first deployment until no task runs any more. Two hosts from the first day: a worker thread
 * (`worker-slot-host.ts`) and an in-process one (`in-process-slot-hosts.ts`, for tests and simulation). The TaskExecutor knows only this; nothing in
 * the engine knows which.
 *
 * Commands go in, events come out, both in order; after `exited` nothing more comes. A deployment that reaches a host on its way out is not taken up:
 * no event is ever heard of it.
 */
export interface SlotHost {
  /** Builds and starts the tasks, beside those of earlier deployments. Answers through events: each task INITIALIZING -> RUNNING, or FAILED. */
  deploy(deployment: SlotDeployment, wiring: SlotWiring, restored: RestoredTasks): void
  /** Stops reading, closes operators; each of these tasks answers CANCELED. Escalation (30 s, terminate) is the TaskExecutor's. */
  cancel(executionIds: readonly string[]): void
  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void
  noMoreSplits(executionId: string, operatorId: string): void
  /** In order with `addSplits`: what is added behind it is no part of the checkpoint. */
  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void
  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void
  /** What came with a checkpoint's state is not read any more (`SegmentMemory`). */
  returnMemory(buffers: readonly SharedArrayBuffer[]): void
  /** Ends the host at once, whatever user code does. */
  terminate(): Promise<void>
  /** Counters of all tasks now; cheap (shared memory). */
  metrics(): readonly TaskMetricsSnapshot[]
}

/** Medium of every channel that leaves the slot, made by the TaskManager before deploying: opaque, structured-clonable data. */
export interface SlotWiring {
  readonly channels: Readonly<Record<string, unknown>>
  readonly io: unknown
}

/** What tasks of a deployment begin with, by execution id; the others begin empty. */
export type RestoredTasks = ReadonlyMap<string, RestoredTask>

export interface RestoredTask {
  /** It has nothing to do any more: it ends at once, and says so to those behind it. */
  readonly finished: boolean
  readonly operators: readonly RestoredOperator[]
}

export type CheckpointOutcome = 'complete' | 'aborted'

export type TaskState = 'CREATED' | 'SCHEDULED' | 'DEPLOYING' | 'INITIALIZING' | 'RUNNING' | 'FINISHED' | 'CANCELING' | 'CANCELED' | 'FAILED'

export type SlotEvent =
  | { readonly kind: 'task-state'; readonly executionId: string; readonly state: TaskState; readonly error: SerializedError | undefined }
  | { readonly kind: 'split-request'; readonly executionId: string; readonly operatorId: string }
  | {
      readonly kind: 'checkpoint-ack'
      readonly executionId: string
      readonly checkpointId: number
      /** Savepoints: the folder that the state is written to. */
      readonly location: string | undefined
      readonly operators: readonly OperatorHandover<Uint8Array>[]
    }
  /** The task has come to its end, and waits for a checkpoint that contains its last results. */
  | { readonly kind: 'awaits-checkpoint'; readonly executionId: string }
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields: JsonObject }
  /** The host is gone: undefined error = ended in order. */
  | { readonly kind: 'exited'; readonly error: SerializedError | undefined }

export interface TaskMetricsSnapshot {
  readonly executionId: string
  /** Flink's names: numRecordsIn, numRecordsOut, numBytesIn, numBytesOut, numBuffersOut, busyTimeMsPerSecond, …; watermarks as numbers. */
  readonly task: Readonly<Record<string, number>>
  /** operatorId -> name -> value: numRecordsIn, numRecordsOut, rowsInterpreted, rowsColumnar, rowsConverted, rowsGenerated, valuesNotSent, stateEntries, stateBytes, users' counters. */
  readonly operators: Readonly<Record<string, Readonly<Record<string, number>>>>
}
