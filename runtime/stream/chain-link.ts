import type { NetworkOutput } from '../network/io.ts'
import type { RowLayout } from '../serde/row-layout.ts'
import type { StreamOperator } from './operator.ts'

export interface ChainLimits {
  /** The time slice is over. Reads a clock: asked every `rowsPerClockRead` rows. */
  budgetSpent(): boolean
  /** A power of two; 64 in production, 1 in tests that suspend at every row. */
  readonly rowsPerClockRead: number
  /** Default: users' functions run inside generated loops where they can. False = the interpreter takes all rows. */
  readonly generated?: boolean
  /** For the names of generated functions. */
  readonly jobName?: string
}

export interface ChainLink {
  readonly operator: StreamOperator
  /** For messages and for the names of generated functions. */
  readonly name?: string
  /** Index of the operator that feeds this one; -1 for the head. */
  readonly parent: number
  /** Which output of the parent; undefined = main. */
  readonly parentTag: string | undefined
  readonly networkOutputs: readonly LinkOutput[]
  readonly counters: LinkCounters
  /** Of each input of the operator (the head may have two); undefined where its type has no columnar form. */
  readonly inputLayouts?: readonly (RowLayout | undefined)[]
  /** Of its main output. */
  readonly outputLayout?: RowLayout | undefined
  /** Columns that the readers of its main output read; undefined = all. */
  readonly outputFields?: readonly number[] | undefined
}

export interface LinkOutput {
  readonly tag: string | undefined
  readonly output: NetworkOutput
  /** The consumer works columns: rows of a declared type are put into them for it. */
  readonly wantsFrames?: boolean
}

/** Written by the chain, read by whoever reports metrics. */
export interface LinkCounters {
  recordsIn: number
  recordsOut: number
  /** Of the rows in, those that came in columnar frames and were worked as such. */
  rowsColumnar: number
  /** Of the rows in, those that a generated loop worked. */
  rowsGenerated: number
  /** Of the rows in, those that were made from a frame's, or put into one, for this operator. */
  rowsConverted: number
  /** Of the rows out, those in columnar frames. */
  rowsOutColumnar: number
  /** Of the operator's state in the last snapshot. */
  stateBytes: number
}

export function newLinkCounters(): LinkCounters {
  return { recordsIn: 0, recordsOut: 0, rowsColumnar: 0, rowsGenerated: 0, rowsConverted: 0, rowsOutColumnar: 0, stateBytes: 0 }
}
