import { type SourceOutput, type SourceReader, type SourceReaderContext, type SourceSplit, type SplitSource, Types } from 'millrace'
import { mix } from '../generate/hash.ts'

/**
 * Rows (key, index) of the state benches, as `bench/flink/PacedRows.java` makes them: indices below `keys` as fast as they are taken, each with the key of its
 * index; from there on chance keys at `rowsPerSecond` by the clock. The clock of a split is in its position: what was not made while a job was down is
 * made up for as fast as it goes, as with a log that others write to.
 */
export interface PacedRowsOptions {
  readonly keys: number
  readonly rows: number
  readonly rowsPerSecond: number
}

/** More than subtasks, so that each subtask has rows at any parallelism; indices go round over them. */
export const PACED_SPLITS = 4
const PAUSE_MS = 5
/** Rows of one split before the next has its turn. */
const TURN = 256

interface PacedSplit extends SourceSplit {
  readonly next: number
  /** Epoch ms at which the steady part began; 0 = not yet. */
  readonly startMs: number
}

export function pacedRows(options: PacedRowsOptions): SplitSource<readonly [number, number]> {
  return {
    boundedness: 'BOUNDED',
    producedType: Types.tuple(Types.INT, Types.INT),
    createSplits: () => Array.from({ length: PACED_SPLITS }, (_, index) => ({ splitId: String(index), next: index, startMs: 0 })),
    createReader: context => new PacedReader(options, context),
  }
}

class PacedReader implements SourceReader {
  private readonly options: PacedRowsOptions
  private readonly context: SourceReaderContext
  private readonly splits: { readonly splitId: string; next: number; startMs: number }[] = []
  private allAssigned = false
  private timer: { cancel(): void } | undefined

  constructor(options: PacedRowsOptions, context: SourceReaderContext) {
    this.options = options
    this.context = context
  }

  addSplits(splits: readonly SourceSplit[]): void {
    // This reader's own.
    for (const { splitId, next, startMs } of splits as readonly PacedSplit[]) this.splits.push({ splitId, next, startMs })
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    const { keys, rows, rowsPerSecond } = this.options
    const nowMs = this.context.clock.nowMs()
    let left = 0
    let due = false
    for (const split of this.splits) {
      if (split.startMs === 0 && split.next >= keys) split.startMs = nowMs
      const paced = split.startMs === 0 ? keys : keys + Math.floor(((nowMs - split.startMs) * rowsPerSecond) / 1000)
      const end = Math.min(rows, paced)
      const turnEnd = Math.min(end, split.next + TURN * PACED_SPLITS)
      let next = split.next
      while (next < turnEnd && !output.shouldYield()) {
        output.collect([next < keys ? next : (mix(next) >>> 1) % keys, next], Number.NaN)
        next += PACED_SPLITS
      }
      split.next = next
      if (next < end || (next >= keys && split.startMs === 0)) due = true
      if (next < rows) left++
    }
    if (due) return 'more'
    if (left === 0 && this.allAssigned) return 'end'
    this.timer ??= this.context.clock.schedule(PAUSE_MS, () => {
      this.timer = undefined
      this.context.wake()
    })
    return 'nothing'
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits.map(split => ({ ...split }))
  }

  describePosition(): string {
    return `paced rows, splits ${this.splits.map(({ splitId, next }) => `${splitId} at ${next}`).join(', ')}`
  }

  close(): void {
    this.timer?.cancel()
  }
}
