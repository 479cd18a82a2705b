import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { FileSplit } from '../../connectors/file-enumerator.ts'
import { SplitReader } from '../../connectors/split-reader.ts'
import { createDecoder } from '../../formats/decoders.ts'
import type { RecordDecoder } from '../../formats/format.ts'
import { RowSink } from '../../formats/row-sink.ts'
import type { SourceOutput, SourceReaderContext, SourceSplit } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'

/**
 * Sync half of a filesystem table: the text file source's fetcher and splits (whole lines of a byte range), its chunks decoded straight into
 * columns. A line that a chunk's border cuts is kept and put before the next chunk.
 */
export class FileTableReader extends SplitReader<FileSplit> {
  private readonly node: ScanNode
  private readonly decoder: RecordDecoder
  private readonly sink: RowSink
  /** What is decoded next: `page[at..end)`; then, up to `filled`, what has no end yet. */
  private page: Uint8Array = noBytes
  private at = 0
  private end = 0
  private filled = 0
  /** Nobody reads a frame once it was emitted: pages and arrays are used again. undefined = not asked yet. */
  private reuse: boolean | undefined
  /** Offset in the file of `page[0]`, and records read before `page[at]` in this range. */
  private pageOffset = 0
  private records = 0

  constructor(
    node: ScanNode,
    settings: { readonly job: string; readonly vertex: string; readonly generated: boolean },
    context: SourceReaderContext,
  ) {
    super(context.io.openSource('file', {}, 'blocks'))
    this.node = node
    const { physical, paths, projected, options } = node
    const columns = physical.map(({ name, type }, i) => ({ name, type, path: paths[i]! }))
    this.decoder = createDecoder(String(options['format']), columns, projected, textOptions(options), {
      framing: 'lines',
      origin: { job: settings.job, vertex: settings.vertex },
      generated: settings.generated,
    })
    this.sink = new RowSink(this.decoder.kinds)
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    if (this.reuse === undefined) {
      this.reuse = output.framesAreDone?.() ?? false
      if (this.reuse) this.sink.reuseArrays()
    }
    while (!output.shouldYield()) {
      if (this.at < this.end) {
        this.decode(output)
        continue
      }
      const read = this.read()
      if (read !== 'more') {
        this.emit(output)
        return read
      }
    }
    return 'more'
  }

  override snapshotSplits(): readonly SourceSplit[] {
    assert(this.sink.count === 0, 'a reader is asked for its splits between polls')
    return super.snapshotSplits()
  }

  describePosition(): string {
    const first = this.firstSplit
    if (first === undefined) return ''
    return first.start === 0 && first.position <= 0
      ? `file ${first.path}, line ${this.records}`
      : `file ${first.path}, line before byte ${this.pageOffset + this.at}`
  }

  private decode(output: SourceOutput): void {
    const { decoder, sink } = this
    try {
      this.at = decoder.decode(this.page, this.at, this.end, sink)
      this.records += decoder.recordsRead
    } catch (error) {
      throw this.located(error)
    }
    // A frame never outlives its poll: positions are those of what was emitted.
    this.emit(output)
  }

  private emit(output: SourceOutput): void {
    if (this.sink.count === 0) return
    const { length, columns } = this.sink.finish()
    output.collectFrame({ kind: 'columnar', length, columns, timestamps: undefined, rowKinds: undefined })
  }

  protected begin(_split: FileSplit, position: number): void {
    this.at = 0
    this.end = 0
    this.filled = 0
    this.pageOffset = position
    this.records = 0
  }

  /** The bytes go back to the fetcher at the next poll: frames that may be read longer, and lines that are not whole yet, need a copy. */
  protected feed(bytes: Uint8Array): void {
    const { decoder } = this
    const left = this.page.subarray(this.end, this.filled)
    this.pageOffset += this.end
    this.at = 0
    this.filled = left.length + bytes.length
    this.end = left.length === 0 && this.reuse === true ? decoder.completeEnd(bytes, 0, bytes.length) : 0
    if (this.end === bytes.length) {
      this.page = bytes
    } else {
      this.page = new Uint8Array(this.filled)
      this.page.set(left)
      this.page.set(bytes, left.length)
      this.end = decoder.completeEnd(this.page, 0, this.filled)
    }
    if (this.filled - this.end > LINE_SIZE_MAX_BYTES)
      throw new FlinkError('RECORD_TOO_LARGE', `a line of more than ${LINE_SIZE_MAX_BYTES} bytes is refused (after ${this.describePosition()})`)
  }

  /** What is left without a line feed is the last record. */
  protected endBytes(): void {
    this.end = this.filled
  }

  protected resumed(split: FileSplit): FileSplit {
    return { ...split, position: this.pageOffset + this.at }
  }

  private located(error: unknown): unknown {
    if (!(error instanceof FlinkError) || error.code !== 'MALFORMED_RECORD') return error
    const { decoder } = this
    this.records += decoder.recordsRead
    const split = this.firstSplit
    const place =
      split !== undefined && split.start === 0 && split.position <= 0
        ? `line ${this.records}`
        : `the line at byte ${this.pageOffset + decoder.recordStart}`
    return new FlinkError(
      'MALFORMED_RECORD',
      `table ${this.node.table}, file ${split?.path ?? ''}, ${place}: ${error.message}`,
      { ...error.detail, path: split?.path },
      error,
    )
  }
}

const noBytes = new Uint8Array(0)
const LINE_SIZE_MAX_BYTES = 16 * 1024 * 1024

export function textOptions(options: JsonObject): Record<string, string> {
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [key, String(value)]))
}
