import type { LocalFrame } from './columns.ts'
import type { ControlElement, ObjectFrame } from './frame.ts'

/**
 * Contracts between a task and the two things it exchanges rows with. Implemented in this room (`record-writer.ts`,
 * `input-gate.ts`); the chain (stream) writes to `NetworkOutput`, the task (taskmanager) reads from `InputGate`.
 */
export interface NetworkOutput {
  /** Writes one row. Never blocks: beyond capacity it goes to the bounded spill and `isFull` turns true. */
  collect(value: unknown, timestamp: number): void
  /**
   * Writes the rows of a frame, in order with those of `collect`. The frame is not changed, and may be passed on as it is: false. True = its rows have
   * been copied or encoded, and nobody reads its arrays any more.
   */
  collectFrame(frame: LocalFrame): boolean
  /** Watermark, status, barrier or end to every channel, behind all rows collected so far. */
  emit(control: ControlElement): void
  /** True while anything waits in the spill of any channel. A field read: it is asked before every row. */
  isFull(): boolean
  /** Moves spilled elements on as far as credits go; true when nothing waits. Rows not yet in a sealed frame stay. */
  drain(): boolean
  /** Seals and sends the rows collected so far (buffer timeout, control, input ran empty). */
  flush(): void
  close(): void
}

/** What a gate yields. `input` is 0 or 1 (the logical input of the head operator); watermarks are already the minimum over the input's channels. */
export type GateElement =
  | {
      readonly kind: 'frame'
      readonly input: number
      readonly channel: number
      readonly sequence: number
      readonly frame: ObjectFrame | LocalFrame
    }
  | { readonly kind: 'control'; readonly input: number; readonly control: ControlElement }

export interface InputGate {
  /**
   * Round-robin over channels that are not blocked by alignment. A barrier is yielded once, when it has arrived on every channel that
   * has not ended; `end` is yielded once per logical input, when all its channels have ended; undefined = nothing to read now.
   */
  poll(): GateElement | undefined
  /** Every input has ended, and nothing is left to poll. */
  readonly isFinished: boolean
  /** The checkpoint was given up: channels that wait for its barrier flow again. */
  abortCheckpoint(checkpointId: number): void
  close(): void
}
