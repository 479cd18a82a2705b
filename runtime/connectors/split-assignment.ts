import type { SourceSplit, SplitEnumeratorContext } from '../stream/spi/source.ts'

/**
 * Hands every reader a list of splits that is known as a whole: each gets its own when it has registered and the list is there,
 * whichever comes last, and then the word that no more will come. Splits of a failed reader wait until it registers again.
 */
export class SplitAssignment {
  private readonly context: SplitEnumeratorContext
  private pending: SourceSplit[][] | undefined
  private readonly readers = new Set<number>()

  constructor(context: SplitEnumeratorContext) {
    this.context = context
  }

  /** One list per reader. */
  assignAll(splits: readonly (readonly SourceSplit[])[]): void {
    this.pending = splits.map(list => [...list])
    for (const subtaskIndex of this.readers) this.hand(subtaskIndex)
  }

  addReader(subtaskIndex: number): void {
    this.readers.add(subtaskIndex)
    if (this.pending !== undefined) this.hand(subtaskIndex)
  }

  addSplitsBack(subtaskIndex: number, splits: readonly SourceSplit[]): void {
    this.readers.delete(subtaskIndex)
    this.pending?.[subtaskIndex]?.push(...splits)
  }

  private hand(subtaskIndex: number): void {
    const splits = this.pending?.[subtaskIndex] ?? []
    if (this.pending !== undefined) this.pending[subtaskIndex] = []
    if (splits.length > 0) this.context.assignSplits(subtaskIndex, splits)
    this.context.signalNoMoreSplits(subtaskIndex)
  }
}
