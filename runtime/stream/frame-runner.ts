import { assert } from '../common/assert.ts'
import type { LocalFrame } from '../network/columns.ts'
import { objectRowsOf } from '../network/columns-rows.ts'
import type { ObjectFrame } from '../network/frame.ts'
import type { RowLayout } from '../serde/row-layout.ts'
import type { LinkCounters } from './chain-link.ts'
import type { StreamOperator } from './operator.ts'

/**
 * Works the rows of a frame for one operator of the chain and those behind it, and can stop between two of them: an operator may emit
 * any number of rows for one, and outputs are bounded. The chain keeps what is left (`offer` of chain.ts) and comes back when it can.
 */
export interface FrameRunner {
  /** Works rows from `from` on, at least one, until the end or until the chain wants it to stop; answers the row where to go on. */
  run(frame: ObjectFrame | LocalFrame, from: number): number
}

/** What a runner asks of its chain. */
export interface RunnerHost {
  isFull(): boolean
  /** Watermarks, ends and rest rows that wait to be worked off. A runner stops when there are more than when it began. */
  visitCount(): number
  budgetSpent(): boolean
  /** Rows between two looks at the clock, minus one. */
  readonly clockMask: number
  /**
   * Something threw at these rows, both counted, of a frame that link `parent` emitted (-1 = it came from the gate). Called from the inside out:
   * only a frame of the chain's input says where its rows come from.
   */
  failedAt(parent: number, first: number, last: number, length: number): void
}

/** The interpreter of a chained operator without a columnar form: rows are made of the frame, and counted. */
export class RowsRunner implements FrameRunner {
  private readonly host: RunnerHost
  private readonly parent: number
  private readonly operator: StreamOperator
  private readonly layout: RowLayout
  private readonly counters: LinkCounters
  /** Rows of the frame that this runner is in the middle of. */
  private current: { readonly frame: LocalFrame; readonly rows: readonly unknown[] } | undefined = undefined

  constructor(host: RunnerHost, parent: number, operator: StreamOperator, layout: RowLayout, counters: LinkCounters) {
    this.host = host
    this.parent = parent
    this.operator = operator
    this.layout = layout
    this.counters = counters
  }

  run(frame: ObjectFrame | LocalFrame, from: number): number {
    assert(frame.kind === 'columnar', 'rows come to operators one by one')
    const { host, operator, counters } = this
    const rows = this.rowsOf(frame)
    const { timestamps } = frame
    const visits = host.visitCount()
    let row = from
    try {
      while (row < rows.length) {
        counters.recordsIn++
        operator.processElement(rows[row], timestamps === undefined ? Number.NaN : timestamps[row]!)
        row++
        if (host.isFull() || host.visitCount() > visits) break
        if ((row & host.clockMask) === host.clockMask && host.budgetSpent()) break
      }
    } catch (error) {
      host.failedAt(this.parent, row, row, rows.length)
      throw error
    }
    if (row === rows.length) this.current = undefined
    return row
  }

  private rowsOf(frame: LocalFrame): readonly unknown[] {
    if (this.current?.frame !== frame) {
      this.current = { frame, rows: objectRowsOf(frame, this.layout) }
      this.counters.rowsConverted += frame.length
    }
    return this.current.rows
  }
}
