import type { JsonObject } from '../common/json.ts'
import type { SourceSplit, SplitEnumerator, SplitEnumeratorContext } from '../stream/spi/source.ts'

/**
 * Splits on their way to readers: each reader gets its own when it has registered and they are known, whichever comes last. Until all that
 * there will ever be are known (`complete`), a reader for which there are none is told so once; then it learns that no more will come.
 * Splits of a failed reader wait until it registers again. What waits here is what an enumerator has to put into its snapshot.
 */
export class SplitAssignment<S extends SourceSplit = SourceSplit> {
  private readonly context: SplitEnumeratorContext
  private readonly waiting: S[][]
  private readonly readers = new Set<number>()
  private known = false
  private complete = false

  constructor(context: SplitEnumeratorContext) {
    this.context = context
    this.waiting = Array.from({ length: context.parallelism }, () => [])
  }

  /** One list per reader. `complete`: there will be no others. */
  assign(splits: readonly (readonly S[])[], complete: boolean): void {
    for (const [subtaskIndex, own] of splits.entries()) this.waiting[subtaskIndex]?.push(...own)
    const news = !this.known || (complete && !this.complete)
    this.known = true
    this.complete ||= complete
    for (const subtaskIndex of this.readers) this.hand(subtaskIndex, news)
  }

  addReader(subtaskIndex: number): void {
    this.readers.add(subtaskIndex)
    this.hand(subtaskIndex, true)
  }

  addSplitsBack(subtaskIndex: number, splits: readonly SourceSplit[]): void {
    this.readers.delete(subtaskIndex)
    // A reader has the splits of its own enumerator.
    this.waiting[subtaskIndex]?.push(...(splits as readonly S[]))
  }

  /** By reader. */
  notAssigned(): readonly (readonly S[])[] {
    return this.waiting.map(own => [...own])
  }

  /** `news`: there is something to say even without splits. */
  private hand(subtaskIndex: number, news: boolean): void {
    const splits = this.waiting[subtaskIndex]?.splice(0) ?? []
    const tell = news && this.known
    if (splits.length > 0 || (tell && !this.complete)) this.context.assignSplits(subtaskIndex, splits)
    if (tell && this.complete) this.context.signalNoMoreSplits(subtaskIndex)
  }
}

interface ListState extends JsonObject {
  /** By reader; null = the list has not been made yet. */
  readonly notAssigned: readonly (readonly SourceSplit[])[] | null
}

/**
 * Enumerator of a source whose splits are listed once, for all readers; its state is what of the list has not been handed out. A restored one lists
 * nothing: at the parallelism of the snapshot every reader gets what was meant for it, else they get the rest in turn.
 */
export function listingEnumerator(
  context: SplitEnumeratorContext,
  restored: JsonObject | undefined,
  list: (parallelism: number) => readonly (readonly SourceSplit[])[] | Promise<readonly (readonly SourceSplit[])[]>,
): SplitEnumerator {
  const assignment = new SplitAssignment(context)
  // Written by `snapshot` below.
  const rest = (restored as ListState | undefined)?.notAssigned ?? null
  let listed = rest !== null
  if (rest !== null) assignment.assign(sharedOut(rest, context.parallelism), true)
  return {
    async start() {
      if (listed) return
      try {
        assignment.assign(await list(context.parallelism), true)
        listed = true
      } catch (error) {
        context.fail(error)
      }
    },
    addReader: subtaskIndex => assignment.addReader(subtaskIndex),
    handleSplitRequest: () => {},
    addSplitsBack: (subtaskIndex, splits) => assignment.addSplitsBack(subtaskIndex, splits),
    snapshot: (): ListState => ({ notAssigned: listed ? assignment.notAssigned() : null }),
    close: () => {},
  }
}

function sharedOut(lists: readonly (readonly SourceSplit[])[], parallelism: number): readonly (readonly SourceSplit[])[] {
  return lists.length === parallelism ? lists : roundRobin(lists.flat(), parallelism)
}

export function roundRobin(splits: readonly SourceSplit[], parallelism: number): SourceSplit[][] {
  const readers: SourceSplit[][] = Array.from({ length: parallelism }, () => [])
  for (const [i, split] of splits.entries()) readers[i % parallelism]?.push(split)
  return readers
}
