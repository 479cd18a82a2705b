import { assert } from '../common/assert.ts'
import type { JsonObject } from '../common/json.ts'
import type { SourcePort } from '../stream/spi/io-host.ts'
import type { SourceOutput, SourceReader, SourceSplit } from '../stream/spi/source.ts'
import { errorOfEvent } from './port-events.ts'

/**
 * Sync half of a source whose fetcher reads splits one behind the other: the queue of splits in front of it. A split is asked for when it is added. It is
 * the current one from its first bytes on, and stays in the queue, for snapshots, until all that was read of it has been emitted. What becomes of the
 * bytes is the subclass's.
 */
export abstract class SplitReader<S extends SourceSplit> implements SourceReader {
  private readonly port: SourcePort
  /** Asked of the fetcher and not finished, in its order. */
  private readonly splits: { readonly tag: number; readonly split: S }[] = []
  private nextTag = 0
  private currentTag = -1
  private allAssigned = false
  /** The fetcher has finished the first split. */
  private firstEnded = false

  constructor(port: SourcePort) {
    this.port = port
  }

  abstract poll(output: SourceOutput): 'more' | 'nothing' | 'end'
  abstract describePosition(behind?: number): string

  /** The first bytes of a split come next; they are those at `position`. */
  protected abstract begin(split: S, position: number): void
  protected abstract feed(bytes: Uint8Array): void
  /** There are no more bytes of the split that has begun last. */
  protected abstract endBytes(): void
  /** The current split as it goes on behind what has been emitted. */
  protected abstract resumed(split: S): S
  /** All of the split has been emitted. */
  protected done(_split: S): void {}

  addSplits(splits: readonly SourceSplit[]): void {
    // The enumerator's are of the reader's kind.
    for (const split of splits) this.ask(split as S)
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits.map(({ tag, split }) => (tag === this.currentTag ? this.resumed(split) : split))
  }

  close(): void {
    this.port.close()
  }

  /** The one that is read, or will be next. */
  protected get firstSplit(): S | undefined {
    return this.splits[0]?.split
  }

  protected ask(split: S): void {
    const tag = this.nextTag++
    this.splits.push({ tag, split })
    this.port.send('split', { ...split, tag })
  }

  /** Takes the next element of the fetcher; everything taken before has been emitted. */
  protected read(): 'more' | 'nothing' | 'end' {
    if (this.firstEnded) this.dropFirst()
    if (this.splits.length === 0 && this.allAssigned) return 'end'
    const element = this.port.poll()
    if (element === undefined) return 'nothing'
    if (element.kind === 'raw') {
      if (element.tag !== this.currentTag) {
        this.currentTag = element.tag
        this.begin(this.firstOf(element.tag), element.position)
      }
      this.feed(element.bytes)
    } else if (element.kind === 'event') {
      if (element.what === 'error') throw errorOfEvent(element.data)
      if (element.what === 'disconnected') this.endBytes()
      else if (element.what === 'finished') this.finish(Number((JSON.parse(element.data) as JsonObject)['tag']))
    }
    return 'more'
  }

  /** A split without bytes has never begun. */
  private finish(tag: number): void {
    this.firstOf(tag)
    if (tag === this.currentTag) this.endBytes()
    this.firstEnded = true
  }

  private firstOf(tag: number): S {
    const first = this.splits[0]
    assert(first?.tag === tag, 'a fetcher reads and finishes splits in the order asked for')
    return first.split
  }

  private dropFirst(): void {
    const ended = this.splits.shift()
    this.firstEnded = false
    if (ended !== undefined) this.done(ended.split)
  }
}
