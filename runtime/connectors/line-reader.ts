import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { SourcePort, SourceTransfer } from '../stream/spi/io-host.ts'
import type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../stream/spi/source.ts'
import type { FileSplit } from './file-enumerator.ts'
import { LineDecoder } from './line-decoder.ts'
import { errorOfEvent } from './port-events.ts'
import { RateLimiter } from './rate-limiter.ts'

/**
 * Sync half of every source of lines: takes the fetcher's bytes split by split, cuts them into lines and emits them as strings. What
 * differs between files and sockets is a `LineSourceKind`.
 */
export interface LineSourceKind<S extends SourceSplit> {
  readonly fetcher: string
  readonly transfer: SourceTransfer
  readonly delimiter: string
  readonly linesPerSecond: number | undefined
  /** Read the splits again and again. */
  readonly loop: boolean
  /** Split as it goes on behind the line that ended at `offset`. */
  at(split: S, offset: number): S
  /** Split as it begins again when the source loops. */
  fromStart(split: S): S
  describe(split: S, line: number, offset: number): string
}

/** Lines of a frame. */
const FRAME_ROWS = 256
/** Decoded at once. A line may be a view of the whole text, and so keep it alive: not more than this. */
const PIECE_SIZE_BYTES = 64 * 1024
const noBytes = new Uint8Array(0)

export class LineReader<S extends SourceSplit> implements SourceReader {
  private readonly kind: LineSourceKind<S>
  private readonly port: SourcePort
  private readonly limiter: RateLimiter | undefined
  private readonly decoder: LineDecoder
  /** Asked of the fetcher and not finished, in its order; the first one is being read once `currentTag` says so. */
  private readonly splits: { tag: number; split: S }[] = []
  /** What is left of the last bytes; the port's, which is not polled before they are decoded. */
  private undecoded: Uint8Array = noBytes
  private nextTag = 0
  private currentTag = -1
  private current: S | undefined
  /** The unterminated last line of a split, until it may be emitted, and where it begins. */
  private lastLine: string | undefined
  private lastLineOffset = 0
  private allAssigned = false
  /** The fetcher has finished the first split. */
  private firstEnded = false

  constructor(kind: LineSourceKind<S>, context: SourceReaderContext) {
    this.kind = kind
    this.port = context.io.openSource(kind.fetcher, {}, kind.transfer)
    this.decoder = new LineDecoder(kind.delimiter)
    this.limiter =
      kind.linesPerSecond === undefined ? undefined : new RateLimiter(context.clock, kind.linesPerSecond / context.parallelism, () => context.wake())
  }

  addSplits(splits: readonly SourceSplit[]): void {
    for (const split of splits) this.ask(split as S)
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    const allowed = this.limiter === undefined ? Number.POSITIVE_INFINITY : this.limiter.available()
    if (allowed === 0) return 'nothing'
    return this.emit(output, allowed)
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits.map(({ tag, split }) => (tag === this.currentTag ? this.kind.at(split, this.offset()) : split))
  }

  describePosition(behind = 0): string {
    return this.current === undefined
      ? ''
      : this.kind.describe(this.current, this.decoder.lineCount - behind, behind === 0 ? this.offset() : this.decoder.offsetBefore(behind))
  }

  close(): void {
    this.limiter?.close()
    this.port.close()
  }

  private emit(output: SourceOutput, allowed: number): 'more' | 'nothing' | 'end' {
    let emitted = 0
    let why: 'more' | 'nothing' | 'end' = 'more'
    while (emitted < allowed && !output.shouldYield()) {
      const lines = output.takesFrames === true ? this.decoder.nextLines(Math.min(FRAME_ROWS, allowed - emitted)) : undefined
      if (lines !== undefined) {
        emitted += lines.length
        const column = { kind: 'text', values: lines, validity: undefined } as const
        output.collectFrame({ kind: 'columnar', length: lines.length, columns: [column], timestamps: undefined, rowKinds: undefined })
        continue
      }
      const line = this.decoder.next() ?? this.takeLastLine()
      if (line !== undefined) {
        emitted++
        output.collect(line, Number.NaN)
        continue
      }
      const read = this.read()
      if (read === 'more') continue
      why = read
      break
    }
    this.limiter?.take(emitted)
    return why
  }

  /** Takes the next element of the fetcher; everything taken before has been emitted. */
  private read(): 'more' | 'nothing' | 'end' {
    if (this.firstEnded) this.dropFirst()
    if (this.undecoded.length > 0) {
      this.feed()
      return 'more'
    }
    if (this.splits.length === 0 && this.allAssigned) return 'end'
    const element = this.port.poll()
    if (element === undefined) return 'nothing'
    if (element.kind === 'raw') {
      if (element.tag !== this.currentTag) this.begin(element.tag, element.position)
      this.undecoded = element.bytes
      this.feed()
    } else if (element.kind === 'event') {
      if (element.what === 'error') throw errorOfEvent(element.data)
      if (element.what === 'disconnected') this.endLine()
      else if (element.what === 'finished') this.finish(Number((JSON.parse(element.data) as JsonObject)['tag']))
    }
    return 'more'
  }

  private feed(): void {
    const bytes = this.undecoded.subarray(0, PIECE_SIZE_BYTES)
    this.undecoded = this.undecoded.subarray(bytes.length)
    try {
      this.decoder.feed(bytes)
    } catch (error) {
      throw error instanceof FlinkError
        ? new FlinkError(error.code, `${error.message} (after ${this.describePosition()})`, error.detail, error)
        : error
    }
  }

  private ask(split: S): void {
    const tag = this.nextTag++
    this.splits.push({ tag, split })
    this.port.send('split', { ...split, tag })
  }

  private begin(tag: number, position: number): void {
    const first = this.splits[0]
    assert(first?.tag === tag, 'a fetcher reads splits in the order asked for')
    this.currentTag = tag
    this.current = first.split
    this.decoder.restart(position)
  }

  /** The split stays the first one, for snapshots, until its last line is out. */
  private finish(tag: number): void {
    assert(this.splits[0]?.tag === tag, 'a fetcher finishes splits in the order asked for')
    if (this.currentTag === tag) this.endLine()
    this.firstEnded = true
  }

  private dropFirst(): void {
    const ended = this.splits.shift()
    this.firstEnded = false
    if (ended !== undefined && this.kind.loop) this.ask(this.kind.fromStart(ended.split))
  }

  private endLine(): void {
    this.lastLineOffset = this.decoder.offset
    this.lastLine = this.decoder.finish()
  }

  private takeLastLine(): string | undefined {
    const line = this.lastLine
    this.lastLine = undefined
    return line
  }

  private offset(): number {
    return this.lastLine === undefined ? this.decoder.offset : this.lastLineOffset
  }
}

export function textFileKind(options: JsonObject): LineSourceKind<FileSplit> {
  const rate = options['linesPerSecond']
  return {
    fetcher: 'file',
    transfer: 'blocks',
    delimiter: '\n',
    linesPerSecond: typeof rate === 'number' ? rate : undefined,
    loop: options['loop'] === true,
    at: (split, position) => ({ ...split, position }),
    fromStart: split => ({ ...split, position: -1 }),
    // A range in the middle of a file does not know how many lines lie before it.
    describe: (split, line, offset) =>
      split.start === 0 && split.position <= 0 ? `file ${split.path}, line ${line}` : `file ${split.path}, line before byte ${offset}`,
  }
}

export function socketKind(options: JsonObject): LineSourceKind<SourceSplit> {
  return {
    fetcher: 'socket',
    transfer: 'ring',
    delimiter: String(options['delimiter']),
    linesPerSecond: undefined,
    loop: false,
    // What a socket has sent is gone: after a restore the source starts with what comes then.
    at: split => split,
    fromStart: split => split,
    describe: (split, line) => `socket ${String(split['host'])}:${String(split['port'])}, line ${line}`,
  }
}
