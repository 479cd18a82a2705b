import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { SourceTransfer } from '../stream/spi/io-host.ts'
import type { SourceOutput, SourceReaderContext, SourceSplit } from '../stream/spi/source.ts'
import type { FileSplit } from './file-enumerator.ts'
import { LineDecoder } from './line-decoder.ts'
import { RateLimiter } from './rate-limiter.ts'
import { SplitReader } from './split-reader.ts'

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

export class LineReader<S extends SourceSplit> extends SplitReader<S> {
  private readonly kind: LineSourceKind<S>
  private readonly limiter: RateLimiter | undefined
  private readonly decoder: LineDecoder
  /** What is left of the last bytes; the port's, which is not polled before they are decoded. */
  private undecoded: Uint8Array = noBytes
  private current: S | undefined
  /** The unterminated last line of a split, until it may be emitted, and where it begins. */
  private lastLine: string | undefined
  private lastLineOffset = 0

  constructor(kind: LineSourceKind<S>, context: SourceReaderContext) {
    super(context.io.openSource(kind.fetcher, {}, kind.transfer))
    this.kind = kind
    this.decoder = new LineDecoder(kind.delimiter)
    this.limiter =
      kind.linesPerSecond === undefined ? undefined : new RateLimiter(context.clock, kind.linesPerSecond / context.parallelism, () => context.wake())
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    const allowed = this.limiter === undefined ? Number.POSITIVE_INFINITY : this.limiter.available()
    if (allowed === 0) return 'nothing'
    return this.emit(output, allowed)
  }

  describePosition(behind = 0): string {
    return this.current === undefined
      ? ''
      : this.kind.describe(this.current, this.decoder.lineCount - behind, behind === 0 ? this.offset() : this.decoder.offsetBefore(behind))
  }

  override close(): void {
    this.limiter?.close()
    super.close()
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

  protected override read(): 'more' | 'nothing' | 'end' {
    if (this.undecoded.length === 0) return super.read()
    this.decode()
    return 'more'
  }

  protected begin(split: S, position: number): void {
    this.current = split
    this.decoder.restart(position)
  }

  protected feed(bytes: Uint8Array): void {
    this.undecoded = bytes
    this.decode()
  }

  protected endBytes(): void {
    this.lastLineOffset = this.decoder.offset
    this.lastLine = this.decoder.finish()
  }

  protected resumed(split: S): S {
    return this.kind.at(split, this.offset())
  }

  protected override done(split: S): void {
    if (this.kind.loop) this.ask(this.kind.fromStart(split))
  }

  private decode(): void {
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
