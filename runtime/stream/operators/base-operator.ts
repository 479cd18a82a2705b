import type { CheckpointBarrier } from '../../network/frame.ts'
import type { KeyedSnapshots } from '../../state/keyed-snapshots.ts'
import type { OperatorIncrement, OperatorListSnapshot } from '../../state/snapshot.ts'
import { MIN_WATERMARK } from '../../time/watermark.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../operator.ts'

/**
 * What all operators share: the watermark is the minimum over active inputs; when it advanced, `advanceEventTime` does the operator's
 * work as a cursor, and only when that is done does the watermark go on to `output`. An operator is idle when all its inputs are.
 */
export abstract class BaseOperator implements StreamOperator {
  // Both are set by `setup`, which precedes every other call.
  protected context!: OperatorContext
  protected output!: OperatorOutput
  /** What timers and users read: already the new watermark while its timers fire. */
  protected currentWatermark = MIN_WATERMARK
  /** Of operators with keyed state: set by their `setup`. */
  protected snapshots: KeyedSnapshots | undefined = undefined
  private forwardedWatermark = MIN_WATERMARK
  private forwardedIdle = false
  private statusAdvancePending = false
  private readonly inputWatermarks: number[]
  private readonly inputIdle: boolean[]

  constructor(inputCount: 1 | 2 = 1) {
    this.inputWatermarks = new Array(inputCount).fill(MIN_WATERMARK)
    this.inputIdle = new Array(inputCount).fill(false)
  }

  setup(context: OperatorContext, output: OperatorOutput): void {
    this.context = context
    this.output = output
  }

  open(): void | Promise<void> {}

  abstract processElement(value: unknown, timestamp: number): void

  processWatermark(timestamp: number, input: number): boolean {
    this.inputWatermarks[input] = timestamp
    // A watermark makes an idle input active again.
    this.inputIdle[input] = false
    return this.advanceToMinimum()
  }

  processStatus(idle: boolean, input: number): void {
    this.inputIdle[input] = idle
    const allIdle = this.inputIdle.every(Boolean)
    if (!allIdle && !this.advanceToMinimum()) {
      // A status is no cursor: the rest of its timers is fired from `processTimers`.
      this.statusAdvancePending = true
      this.context.wake()
    }
    if (allIdle !== this.forwardedIdle) {
      this.forwardedIdle = allIdle
      this.output.emitStatus(allIdle)
    }
  }

  processTimers(nowMs: number): boolean {
    if (this.statusAdvancePending) {
      if (!this.advanceToMinimum()) return false
      this.statusAdvancePending = false
    }
    return this.advanceProcessingTime(nowMs)
  }

  nextTimerMs(): number {
    return this.statusAdvancePending ? Number.NEGATIVE_INFINITY : this.nextProcessingTimeMs()
  }

  endInput(_input: number): boolean {
    return true
  }

  snapshot(barrier: CheckpointBarrier): OperatorIncrement {
    // Users' functions first: they may still write keyed state.
    const lists = this.operatorState(barrier)
    return { keyed: this.snapshots?.snapshot(barrier), lists }
  }

  writeAhead(): boolean {
    return this.snapshots?.writeAhead() ?? false
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.snapshots?.confirm(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.snapshots?.takeBack(checkpointId)
  }

  close(): void | Promise<void> {}

  /** What belongs to no key, at a barrier. */
  protected operatorState(_barrier: CheckpointBarrier): readonly OperatorListSnapshot[] {
    return []
  }

  /** Fires what is due at `watermark`; false = more to do, call again. */
  protected advanceEventTime(_watermark: number): boolean {
    return true
  }

  protected advanceProcessingTime(_nowMs: number): boolean {
    return true
  }

  /** Infinity = no processing-time timer. */
  protected nextProcessingTimeMs(): number {
    return Number.POSITIVE_INFINITY
  }

  private advanceToMinimum(): boolean {
    let minimum = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.inputWatermarks.length; i++)
      if (this.inputIdle[i] === false) minimum = Math.min(minimum, this.inputWatermarks[i] as number)
    if (minimum <= this.forwardedWatermark) return true
    this.currentWatermark = minimum
    if (!this.advanceEventTime(minimum)) return false
    this.forwardedWatermark = minimum
    this.output.emitWatermark(minimum)
    return true
  }
}
