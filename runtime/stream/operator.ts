import type { Clock } from '../common/clock.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { LocalFrame } from '../network/columns.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { SnapshotLimits } from '../state/keyed-snapshots.ts'
import type { OwnStateBackend } from '../state/own-backend.ts'
import type { OperatorIncrement, RestoredSnapshot } from '../state/snapshot.ts'
import type { GeneratedStep } from './generated/step.ts'
import type { IoHost } from './spi/io-host.ts'

/**
 * A stream operator: the interpreter's form, one row at a time inside a chain that runs a frame at a time. Operators never wait and
 * never look at capacity themselves, except in cursors (below).
 *
 * Protocol, all calls from the slot's one thread:
 * 1. `setup` (fields, output, states), `restore` (once, only when there is a snapshot), `open` (users' functions; may be async).
 * 2. `processElement` / `processElement2` for rows. Results go to `output`. A throw fails the task.
 *    Where the input's type has a columnar form, an operator with `processFrame` gets whole frames, and rows that come are made frames for it; one without
 *    gets rows made of frames. What one frame emits is bounded, about one frame per output: it is taken as a whole, capacity is looked at before.
 *    Nobody writes to a frame: others may read it too.
 * 3. `processWatermark`, `processTimers`, `endInput` are cursors: they do work until it is done (true) or `context.shouldYield()` says
 *    so (false), and are called again with the same argument until they answer true. Only then does the chain pass the watermark on.
 * 4. `snapshot` between two rows, never while a cursor is unfinished.
 * 5. An operator that commits (`commitsOnCheckpoint`) has its last results in the first snapshot behind the end of its input; the task waits for that
 *    checkpoint to be complete, and then until `commitsDone`.
 * 6. `close` exactly once, also after a failure and when `open` failed half way.
 */
export interface StreamOperator {
  setup(context: OperatorContext, output: OperatorOutput): void
  restore?(state: RestoredSnapshot): void
  open(): void | Promise<void>
  processElement(value: unknown, timestamp: number): void
  processElement2?(value: unknown, timestamp: number): void
  processFrame?(frame: LocalFrame): void
  processFrame2?(frame: LocalFrame): void
  /** What it is to generated code; undefined or absent = it has to be called row by row. */
  generatedStep?(): GeneratedStep | undefined
  /**
   * What becomes of a frame's arrays when `processFrame` has returned: `passed` = only who got them from this operator's output may read them,
   * `done` = nobody does. Absent = they may be kept. Whoever made them writes into them again where all of its readers are done.
   */
  readonly frameUse?: 'passed' | 'done'
  /**
   * `input` is 0 or 1; `timestamp` is greater than the input's last. An operator passes a watermark on by `output.emitWatermark` when its
   * cursor is done; `BaseOperator` does it with the minimum over inputs.
   */
  processWatermark(timestamp: number, input: number): boolean
  /** An input became idle or active again. Default: idle when all inputs are. */
  processStatus?(idle: boolean, input: number): void
  /** Called at the start of every slice of the task, also while it is blocked: take what the async half sent, retry what it refused. */
  pollAsyncHalf?(): void
  /** Fires what is due on the processing-time clock. */
  processTimers?(nowMs: number): boolean
  /** When `processTimers` wants to be called next, epoch ms; undefined or Infinity = never. */
  nextTimerMs?(): number
  /** The input has ended (after its MAX watermark). True when all flushing is done; false also while async work is in flight. */
  endInput(input: number): boolean
  /** What must be out before a barrier passes (an async sink's flights). A cursor like `endInput`; absent = nothing to do. */
  prepareSnapshotPreBarrier?(): boolean
  snapshot(barrier: CheckpointBarrier): OperatorIncrement
  /** Between two rows, also while a cursor is unfinished: some of what the snapshots to come will need. True = there is more, call again when idle. */
  writeAhead?(): boolean
  /** What it was given is only for others to see when the checkpoint that contains it is complete. */
  readonly commitsOnCheckpoint?: boolean
  /** A cursor: nothing that `notifyCheckpointComplete` began is under way any more. */
  commitsDone?(): boolean
  notifyCheckpointComplete?(checkpointId: number): void
  notifyCheckpointAborted?(checkpointId: number): void
  /** Keys that have state, timers, elements of lists: what the gauge of that name shows. Absent = it keeps none. */
  stateEntries?(): number
  close(): void | Promise<void>
}

/** Where an operator's results go: to the next operators of the chain and to the network outputs, in the order of the graph. */
export interface OperatorOutput {
  /** NaN timestamp = none. */
  collect(value: unknown, timestamp: number): void
  /** Everybody who reads the main output works columns: it is worth making frames for it. */
  readonly takesFrames?: boolean
  /**
   * Only where the operator's output type has a columnar form. True = nobody reads the frame's arrays any more, they may be used for the next one;
   * otherwise the frame is not written to afterwards.
   */
  collectFrame(frame: LocalFrame): boolean
  /** True where nobody reads a frame's arrays any more once `collectFrame` has returned: they may be written to again. Absent = false. */
  framesAreDone?(): boolean
  sideOutput(tagId: string, value: unknown, timestamp: number): void
  /** For operators that make watermarks (assigners, sources): leaves before the next row. Lower than the last one = ignored. */
  emitWatermark(timestamp: number): void
  emitStatus(idle: boolean): void
}

export interface OperatorContext {
  readonly jobId: string
  readonly jobName: string
  readonly operatorId: string
  readonly operatorName: string
  /** `Source: words -> Flat Map (2/4)#0` */
  readonly taskNameWithSubtasks: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  readonly attempt: number
  readonly batch: boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly io: IoHost
  /** Job parameters from configuration (`pipeline.global-job-parameters`), for `getRuntimeContext()`. */
  readonly jobParameters: JsonObject
  readonly options: OperatorTaskOptions
  readonly metrics: OperatorMetrics
  /** True when the output is full, the budget is spent or control waits: a cursor must return false now. */
  shouldYield(): boolean
  /** Asks the scheduler to run this task again soon (async work finished, a timer was registered earlier than `nextTimerMs`). Thread-local. */
  wake(): void
  /** While the count is positive the task reads no further rows (own async sinks at their in-flight bound). Pair with `unblock`. */
  block(): void
  unblock(): void
  /** Fails the task from outside a call (rejected promise of a user's async function). */
  fail(error: unknown): void
}

export interface OperatorTaskOptions {
  /** `pipeline.auto-watermark-interval`, ms; 0 = off. */
  readonly autoWatermarkIntervalMs: number
  /** False = no checkpoint will ever be taken: what would wait for one is done at the end of the input. */
  readonly checkpointingEnabled: boolean
  /** When snapshots of keyed state are whole; undefined = always. */
  readonly snapshotLimits: SnapshotLimits | undefined
  /** Keys of a keyed operator that are held as objects; absent = the default of the state's backend. */
  readonly hotKeysMax?: number | undefined
  /** From `env.setStateBackend`; undefined = the heap. */
  readonly stateBackend?: OwnStateBackend | undefined
}

/** Counters of one operator; plain numbers in shared memory behind methods. */
export interface OperatorMetrics {
  recordsIn(count: number): void
  recordsOut(count: number): void
  counter(name: string): { inc(count?: number): void; readonly value: number }
  gauge(name: string, read: () => number): void
}
