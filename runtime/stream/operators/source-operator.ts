import { assert } from '../../common/assert.ts'
import { ByteReader, ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import { type DeclaredState, listState } from '../../graph/declared-state.ts'
import type { LocalFrame } from '../../network/columns.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import type { RestoredSnapshot, UnkeyedSnapshot } from '../../state/snapshot.ts'
import type { WatermarkGenerator, WatermarkStrategy } from '../../time/watermark-strategy.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../operator.ts'
import type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../spi/source.ts'
import { userError as userErrorOf } from './user-code.ts'

/**
 * Heads of source tasks. The task calls `pollSource` where others read their gate:
 * 'more' = call again, 'nothing' = call again when woken, 'end' = the input has ended by itself; the task then sends MAX watermark
 * and end. `addSplits` and `noMoreSplits` may come before `open` is done.
 */
export interface SourceHeadOperator extends StreamOperator {
  pollSource(shouldYield: () => boolean): 'more' | 'nothing' | 'end'
  addSplits(splits: readonly SourceSplit[]): void
  noMoreSplits(): void
  /** Where the row emitted last came from, or one of its frame `behind` rows before it; empty = nothing known. */
  describePosition(behind?: number): string
  /** Where requests for another split go; set by the task before `open`. */
  onSplitRequest?: (() => void) | undefined
}

export interface SourceOperatorSpec {
  createReader(context: SourceReaderContext): SourceReader
  readonly watermarkStrategy?: WatermarkStrategy<never> | undefined
}

/**
 * Drives a `SourceReader`. With a strategy, timestamps and watermarks are made here, before any other operator: periodic ones on the
 * processing-time clock, punctuated ones at once. Without, the reader's own are passed on. In batch mode neither: MAX at the end is
 * the only watermark.
 */
export class SourceOperator implements SourceHeadOperator {
  onSplitRequest: (() => void) | undefined
  private readonly spec: SourceOperatorSpec
  private context: OperatorContext | undefined
  private output: OperatorOutput | undefined
  private reader: SourceReader | undefined
  private timestamps: SourceTimestamps | undefined
  private readerOutput: ReaderOutput | undefined
  /** What came before there was a reader; undefined = nothing did. */
  private earlySplits: SourceSplit[] | undefined
  private earlyEnd = false
  private restored = false

  constructor(spec: SourceOperatorSpec) {
    this.spec = spec
  }

  setup(context: OperatorContext, output: OperatorOutput): void {
    this.context = context
    this.output = output
  }

  restore(state: RestoredSnapshot): void {
    this.restored = true
    // Without splits the enumerator has the word: it may have some.
    for (const { name, items } of state.lists) if (name === SPLITS_STATE && items.length > 0) this.addSplits(items.map(decodeSplit))
  }

  open(): void {
    const { context, output } = this
    assert(context !== undefined && output !== undefined, 'setup comes before open')
    const strategy = this.spec.watermarkStrategy
    if (strategy !== undefined) this.timestamps = new SourceTimestamps(strategy, context, output)
    this.readerOutput = new ReaderOutput(output, this.timestamps, context.batch)
    const { subtaskIndex, parallelism, clock, log, io, metrics, options } = context
    const reader = this.spec.createReader({
      subtaskIndex,
      parallelism,
      checkpointing: options.checkpointingEnabled === true,
      restored: this.restored,
      clock,
      log,
      io,
      metrics,
      requestSplit: () => this.onSplitRequest?.(),
      wake: () => context.wake(),
      fail: error => context.fail(error),
    })
    this.reader = reader
    if (this.earlySplits !== undefined) reader.addSplits(this.earlySplits)
    if (this.earlyEnd) reader.noMoreSplits()
    this.earlySplits = undefined
  }

  addSplits(splits: readonly SourceSplit[]): void {
    if (this.reader === undefined) this.earlySplits = [...(this.earlySplits ?? []), ...splits]
    else this.reader.addSplits(splits)
    this.context?.wake()
  }

  noMoreSplits(): void {
    if (this.reader === undefined) this.earlyEnd = true
    else this.reader.noMoreSplits()
    this.context?.wake()
  }

  pollSource(shouldYield: () => boolean): 'more' | 'nothing' | 'end' {
    const { reader, readerOutput } = this
    assert(reader !== undefined && readerOutput !== undefined, 'a source is polled after open')
    readerOutput.shouldYield = shouldYield
    return reader.poll(readerOutput)
  }

  describePosition(behind = 0): string {
    return this.reader?.describePosition(behind) ?? ''
  }

  processElement(): void {
    assert(false, 'a source has no input')
  }

  processWatermark(): boolean {
    return true
  }

  processTimers(nowMs: number): boolean {
    this.timestamps?.onTime(nowMs)
    return true
  }

  nextTimerMs(): number {
    return this.timestamps?.nextMs ?? Number.POSITIVE_INFINITY
  }

  endInput(): boolean {
    return true
  }

  snapshot({ checkpointId }: CheckpointBarrier): UnkeyedSnapshot {
    const splits = this.reader?.snapshotSplits(checkpointId) ?? this.earlySplits ?? []
    return { keyed: undefined, lists: [{ name: SPLITS_STATE, mode: 'split', type: { kind: 'STRING' }, items: splits.map(encodeSplit) }] }
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.reader?.notifyCheckpointComplete?.(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.reader?.notifyCheckpointAborted?.(checkpointId)
  }

  close(): void | Promise<void> {
    return this.reader?.close()
  }
}

/** Timestamps and watermarks of one source subtask. */
class SourceTimestamps {
  /** Epoch ms of the next periodic watermark. */
  nextMs: number
  private readonly assign: ((event: never, previous: number) => number) | undefined
  private readonly generator: WatermarkGenerator<never> | undefined
  private readonly intervalMs: number
  private readonly output: OperatorOutput
  private readonly name: string

  constructor(strategy: WatermarkStrategy<never>, context: OperatorContext, output: OperatorOutput) {
    this.assign = strategy.timestampAssigner
    this.generator = context.batch ? undefined : strategy.createGenerator()
    this.intervalMs = context.options.autoWatermarkIntervalMs
    this.nextMs = this.generator !== undefined && this.intervalMs > 0 ? context.clock.nowMs() + this.intervalMs : Number.POSITIVE_INFINITY
    this.output = output
    this.name = context.operatorName
  }

  timestampOf(value: unknown, previous: number): number {
    if (this.assign === undefined) return previous
    let timestamp: number
    try {
      timestamp = this.assign(value as never, previous)
    } catch (error) {
      throw userError(this.name, 'timestamp assigner', error)
    }
    if (!Number.isFinite(timestamp))
      throw new FlinkError(
        'USER_FUNCTION',
        `operator ${this.name}: the timestamp assigner answered ${String(timestamp)}, expected epoch milliseconds`,
      )
    return timestamp
  }

  /** After the row: a watermark says that nothing this old will follow, so it must not overtake the row that caused it. */
  afterRow(value: unknown, timestamp: number): void {
    if (this.generator === undefined) return
    try {
      this.generator.onEvent(value as never, timestamp, this.output)
    } catch (error) {
      throw userError(this.name, 'watermark generator', error)
    }
  }

  onTime(nowMs: number): void {
    if (nowMs < this.nextMs) return
    this.nextMs = nowMs + this.intervalMs
    try {
      this.generator?.onPeriodicEmit(this.output)
    } catch (error) {
      throw userError(this.name, 'watermark generator', error)
    }
  }
}

class ReaderOutput implements SourceOutput {
  shouldYield: () => boolean = () => true
  private readonly output: OperatorOutput
  private readonly timestamps: SourceTimestamps | undefined
  private readonly passWatermarks: boolean

  constructor(output: OperatorOutput, timestamps: SourceTimestamps | undefined, batch: boolean) {
    this.output = output
    this.timestamps = timestamps
    this.passWatermarks = !batch && timestamps === undefined
  }

  collect(value: unknown, timestamp: number): void {
    const { timestamps } = this
    if (timestamps === undefined) {
      this.output.collect(value, timestamp)
      return
    }
    const assigned = timestamps.timestampOf(value, timestamp)
    this.output.collect(value, assigned)
    timestamps.afterRow(value, assigned)
  }

  get takesFrames(): boolean {
    return this.timestamps === undefined && this.output.takesFrames === true
  }

  collectFrame(frame: LocalFrame): void {
    assert(this.timestamps === undefined, 'a watermark strategy looks at rows: a source of frames has none')
    this.output.collectFrame(frame)
  }

  framesAreDone(): boolean {
    return this.output.framesAreDone?.() ?? false
  }

  emitWatermark(timestamp: number): void {
    if (this.passWatermarks) this.output.emitWatermark(timestamp)
  }

  emitStatus(idle: boolean): void {
    this.output.emitStatus(idle)
  }
}

/** `userError` of user-code.ts for functions that are not the operator's own: `what` names them. */
export function userError(operatorName: string, what: string, error: unknown): unknown {
  return userErrorOf(`${operatorName}, ${what}`, error)
}

const SPLITS_STATE = 'SourceReaderState'

/** For the graph, which knows states without running. */
export const sourceStates: readonly DeclaredState[] = [listState(SPLITS_STATE, 'split', { kind: 'STRING' })]

function encodeSplit(split: SourceSplit): Uint8Array {
  const writer = new ByteWriter()
  writer.string(JSON.stringify(split))
  return writer.copy()
}

function decodeSplit(bytes: Uint8Array): SourceSplit {
  return JSON.parse(new ByteReader(bytes).string()) as SourceSplit
}
