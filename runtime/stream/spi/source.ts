import type { Clock } from '../../common/clock.ts'
import type { JsonObject } from '../../common/json.ts'
import type { Logger } from '../../common/log.ts'
import type { LocalFrame } from '../../network/columns.ts'
import type { IoHost } from './io-host.ts'

/**
 * Sources in three parts: a `SplitEnumerator` on the JobManager hands out splits; a `SourceReader` in each slot turns splits into
 * rows; what it needs from outside comes through `IoHost`. A split is pure JSON with its id and its position, so it can be
 * checkpointed and moved.
 */
export interface SourceSplit extends JsonObject {
  readonly splitId: string
}

/** Sync half, in a slot, one thread. */
export interface SourceReader {
  /** First those of the reader's snapshot, if it is restored. None = the enumerator has none for it at the moment. */
  addSplits(splits: readonly SourceSplit[]): void
  /** No split will be added any more: when the present ones are done, so is the source (if bounded). */
  noMoreSplits(): void
  /**
   * Emits rows until `output.shouldYield()`, or until there is nothing now. 'more' = call again at once, 'nothing' = call again
   * when woken, 'end' = never again. Position is kept so that `snapshotSplits` right after says where to go on.
   */
  poll(output: SourceOutput): 'more' | 'nothing' | 'end'
  /** Splits with positions behind the last emitted row, at the barrier of a checkpoint. */
  snapshotSplits(checkpointId: number): readonly SourceSplit[]
  notifyCheckpointComplete?(checkpointId: number): void
  notifyCheckpointAborted?(checkpointId: number): void
  /**
   * Where the row emitted last came from, for error messages: `topic orders, partition 2, offset 41`. A reader that emits frames is asked for
   * a row that was `behind` rows before the last one, of the same frame.
   */
  describePosition(behind?: number): string
  close(): void | Promise<void>
}

export interface SourceOutput {
  collect(value: unknown, timestamp: number): void
  /** Whether frames are of use: readers of rows with a columnar form may then emit those instead. */
  readonly takesFrames?: boolean
  /** Sources of tables: watermarks of such rows are the business of an operator behind. */
  collectFrame(frame: LocalFrame): void
  /** As of an operator's output. */
  framesAreDone?(): boolean
  emitWatermark(timestamp: number): void
  emitStatus(idle: boolean): void
  /** Asked before every row. */
  shouldYield(): boolean
}

export interface SourceReaderContext {
  readonly subtaskIndex: number
  readonly parallelism: number
  /** Whether the job takes checkpoints. */
  readonly checkpointing: boolean
  /** Whether the first splits come from a snapshot of this source. */
  readonly restored: boolean
  readonly clock: Clock
  readonly log: Logger
  readonly io: IoHost
  /** Asks for another split (sources that hand out lazily). */
  requestSplit(): void
  wake(): void
  fail(error: unknown): void
  metrics: import('../operator.ts').OperatorMetrics
}

/**
 * On the JobManager, async, one per source operator; never runs user code. Knows nothing of slots, only of reader indices.
 *
 * What it has handed out belongs to the readers' snapshots, the rest to its own: after a restore it hands out that rest and nothing else,
 * whatever the parallelism is then.
 */
export interface SplitEnumerator {
  /** Resolves when the first splits are known; what goes on beside the reading goes on until `close`. */
  start(): Promise<void> | void
  addReader(subtaskIndex: number): void
  handleSplitRequest(subtaskIndex: number): void
  /** Splits of a failed reader come back. */
  addSplitsBack(subtaskIndex: number, splits: readonly SourceSplit[]): void
  /** Synchronous, when a checkpoint is triggered: from then on no split goes out before every reader has its barrier. */
  snapshot(): JsonObject
  /** After the context's signal has aborted. */
  close(): Promise<void> | void
}

export interface SplitEnumeratorContext {
  readonly parallelism: number
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
  /** Shown as the operator's on the JobManager. */
  readonly metrics: Pick<import('../operator.ts').OperatorMetrics, 'counter' | 'gauge'>
  /** No splits = there are none for this reader at the moment: it need not hold up the others' watermarks. */
  assignSplits(subtaskIndex: number, splits: readonly SourceSplit[]): void
  signalNoMoreSplits(subtaskIndex: number): void
  /** Fails the job: only for what can never work (a topic that does not exist at start-up of a bounded source, a vanished file). */
  fail(error: unknown): void
}

export type SplitEnumeratorFactory = (options: JsonObject, context: SplitEnumeratorContext, restored: JsonObject | undefined) => SplitEnumerator

/** What the JobGraph says of a source: `enumerator` names a factory in the registry that bin/jobmanager wires. */
export interface SourceDescription extends JsonObject {
  readonly enumerator: string
  readonly options: JsonObject
  readonly bounded: boolean
}
