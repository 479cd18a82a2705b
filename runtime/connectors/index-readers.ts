import type { LocalColumn, LocalFrame } from '../network/columns.ts'
import type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../stream/spi/source.ts'
import type { SequenceSplit, StridedSplit } from './enumerators.ts'
import { RateLimiter } from './rate-limiter.ts'

/** Rows of a frame: enough that what a frame costs is little for a row, few enough that they stay in the cache. */
const FRAME_ROWS = 1024

/**
 * Readers whose rows are a function of an index: collections, sequences, generated data. What differs is a cursor: how a split becomes
 * the next row and how it is written down again.
 */
export interface IndexCursor {
  /** False = the split is at its end. */
  hasNext(): boolean
  next(): unknown
  split(): SourceSplit
  /** The row `behind` rows before the last one. */
  describe(behind: number): string
  /** The next rows, at most `max`, as a frame; absent where rows have no columnar form. Only called when there is one. */
  nextFrame?(max: number): LocalFrame
}

export interface IndexReaderSpec {
  readonly rowsPerSecond: number | undefined
  cursor(split: SourceSplit): IndexCursor
}

export class IndexReader implements SourceReader {
  private readonly spec: IndexReaderSpec
  private readonly limiter: RateLimiter | undefined
  /** In turn, a poll each: one without end must not hold back another that a restore at a lower parallelism gave this reader. */
  private readonly cursors: IndexCursor[] = []
  private allAssigned = false
  /** Of the row emitted last: it may be described when its split has ended. */
  private last: IndexCursor | undefined

  constructor(spec: IndexReaderSpec, context: SourceReaderContext) {
    this.spec = spec
    this.limiter =
      spec.rowsPerSecond === undefined ? undefined : new RateLimiter(context.clock, spec.rowsPerSecond / context.parallelism, () => context.wake())
  }

  addSplits(splits: readonly SourceSplit[]): void {
    for (const split of splits) this.cursors.push(this.spec.cursor(split))
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    for (;;) {
      const cursor = this.cursors[0]
      if (cursor === undefined) return this.allAssigned ? 'end' : 'nothing'
      // The end is noticed without waiting for the next row's turn.
      if (!cursor.hasNext()) {
        this.cursors.shift()
        continue
      }
      const allowed = this.limiter === undefined ? Number.POSITIVE_INFINITY : this.limiter.available()
      if (allowed === 0) return 'nothing'
      this.cursors.push(...this.cursors.splice(0, 1))
      if (!this.emit(cursor, output, allowed)) return 'more'
    }
  }

  /** False when it was asked to stop. */
  private emit(cursor: IndexCursor, output: SourceOutput, allowed: number): boolean {
    this.last = cursor
    const framed = cursor.nextFrame !== undefined && output.takesFrames === true
    let emitted = 0
    while (emitted < allowed && cursor.hasNext() && !output.shouldYield()) {
      if (framed && cursor.nextFrame !== undefined) {
        const frame = cursor.nextFrame(Math.min(FRAME_ROWS, allowed - emitted))
        emitted += frame.length
        output.collectFrame(frame)
      } else {
        emitted++
        output.collect(cursor.next(), Number.NaN)
      }
    }
    this.limiter?.take(emitted)
    return emitted >= allowed || !cursor.hasNext()
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.cursors.filter(cursor => cursor.hasNext()).map(cursor => cursor.split())
  }

  describePosition(behind = 0): string {
    return this.last?.describe(behind) ?? ''
  }

  close(): void {
    this.limiter?.close()
  }
}

export function collectionCursor(values: readonly unknown[], split: SourceSplit): IndexCursor {
  let next = Number(split['next'])
  return {
    hasNext: () => next < values.length,
    next: () => values[next++],
    split: () => ({ ...split, next }),
    describe: behind => `element ${next - behind} of the collection`,
  }
}

/** `asNumber`: rows are numbers (SAFE_LONG), else bigints (LONG). */
export function sequenceCursor(asNumber: boolean, split: SourceSplit): IndexCursor {
  return asNumber ? numberCursor(split as SequenceSplit) : bigintCursor(split as SequenceSplit)
}

function numberCursor(split: SequenceSplit): IndexCursor {
  let next = Number(split.next)
  const to = Number(split.to)
  return {
    hasNext: () => next <= to,
    next: () => next++,
    split: () => ({ ...split, next: String(next) }),
    describe: behind => `number ${next - 1 - behind} of the sequence`,
    nextFrame: max => {
      const values = new Float64Array(Math.min(max, to - next + 1))
      for (let i = 0; i < values.length; i++) values[i] = next++
      return frameOfOne({ kind: 'f64', values, validity: undefined })
    },
  }
}

function frameOfOne(column: LocalColumn & { readonly values: { readonly length: number } }): LocalFrame {
  return { kind: 'columnar', length: column.values.length, columns: [column], timestamps: undefined, rowKinds: undefined }
}

function bigintCursor(split: SequenceSplit): IndexCursor {
  let next = BigInt(split.next)
  const to = BigInt(split.to)
  return {
    hasNext: () => next <= to,
    next: () => next++,
    split: () => ({ ...split, next: String(next) }),
    describe: behind => `number ${next - 1n - BigInt(behind)} of the sequence`,
  }
}

export function generatorCursor(generate: (index: number) => unknown, split: SourceSplit): IndexCursor {
  const { step, count, next: first } = split as StridedSplit
  let next = first
  const end = count ?? Number.POSITIVE_INFINITY
  return {
    hasNext: () => next < end,
    next: () => {
      const row = generate(next)
      next += step
      return row
    },
    split: () => ({ ...split, next }),
    describe: behind => `index ${next - step * (1 + behind)} of the generator`,
  }
}
