import { FlinkError } from '../common/errors.ts'
import { decodeUtf8 } from '../common/utf8.ts'

/** The largest record that may travel (`RECORD_SIZE_MAX` of the network room, which this room does not import). */
export const LINE_SIZE_MAX_BYTES = 16 * 1024 * 1024

/**
 * Cuts a stream of byte chunks into lines. A line may span any number of chunks, up to the largest record size; with the delimiter
 * LF a CR before it is dropped. Bytes are decoded a block of whole lines at a time, never line by line: the decoder's fixed cost per
 * call is larger than a line.
 *
 * `offset` is the position, in the caller's bytes, behind the line answered last, so that reading can start again there.
 */
export class LineDecoder {
  /** Lines answered since the last `restart`. */
  lineCount = 0
  private readonly delimiter: string
  private readonly delimiterBytes: Uint8Array
  private readonly lineFeed: boolean
  private readonly lineSizeMax: number
  private text = ''
  private textPosition = 0
  private block: Uint8Array = noBytes
  private blockOffset = 0
  private linesOfBlock = 0
  private carry: Uint8Array[] = []
  private carrySize = 0

  constructor(delimiter = '\n', lineSizeMax = LINE_SIZE_MAX_BYTES) {
    this.delimiter = delimiter
    this.delimiterBytes = encoder.encode(delimiter)
    this.lineFeed = delimiter === '\n'
    this.lineSizeMax = lineSizeMax
  }

  /** Begins a new stream of bytes at `offset`. */
  restart(offset: number): void {
    this.text = ''
    this.textPosition = 0
    this.block = noBytes
    this.blockOffset = offset
    this.linesOfBlock = 0
    this.carry = []
    this.carrySize = 0
    this.lineCount = 0
  }

  /** Only when `next` has answered undefined. The bytes must not change until the next call, but for the end of the stream. */
  feed(bytes: Uint8Array): void {
    const consumed = this.block.length
    this.blockOffset += consumed
    this.block = noBytes
    this.text = ''
    this.textPosition = 0
    this.linesOfBlock = 0
    // A delimiter of several bytes may lie across the border of two chunks; with one byte it is enough to search the new chunk.
    const joined = this.delimiterBytes.length > 1 && this.carrySize > 0 ? this.takeCarry(bytes) : bytes
    const end = lastEnd(joined, this.delimiterBytes)
    if (end === 0) {
      this.keep(joined)
      return
    }
    const whole = this.carrySize > 0 ? this.takeCarry(joined.subarray(0, end)) : joined.subarray(0, end)
    this.block = whole
    this.text = decodeUtf8(whole, 0, whole.length)
    if (end < joined.length) this.keep(joined.subarray(end))
  }

  next(): string | undefined {
    const from = this.textPosition
    if (from >= this.text.length) return undefined
    const at = this.text.indexOf(this.delimiter, from)
    // Whole lines only were decoded, so the delimiter is there; a lone surrogate or an invalid byte never becomes one.
    if (at < 0) return undefined
    this.textPosition = at + this.delimiter.length
    this.linesOfBlock++
    this.lineCount++
    const end = this.lineFeed && at > from && this.text.charCodeAt(at - 1) === CR ? at - 1 : at
    return this.text.slice(from, end)
  }

  /** Up to `max` lines; undefined when there is none. They are of one block, so that `offsetBefore` can find each. */
  nextLines(max: number): string[] | undefined {
    if (this.textPosition >= this.text.length) return undefined
    const lines: string[] = []
    for (let line = this.next(); line !== undefined; line = lines.length < max ? this.next() : undefined) lines.push(line)
    return lines.length === 0 ? undefined : lines
  }

  /** The stream has ended: the rest without a delimiter is the last line. */
  finish(): string | undefined {
    this.blockOffset += this.block.length + this.carrySize
    this.block = noBytes
    this.text = ''
    this.textPosition = 0
    this.linesOfBlock = 0
    if (this.carrySize === 0) return undefined
    const carried = this.takeCarry(noBytes)
    const line = decodeUtf8(carried, 0, carried.length)
    this.lineCount++
    return this.lineFeed && line.endsWith('\r') ? line.slice(0, -1) : line
  }

  /** Counted only when asked (a snapshot, an error): per line it would cost more than the line. */
  get offset(): number {
    if (this.textPosition >= this.text.length) return this.blockOffset + this.block.length
    return this.offsetBefore(0)
  }

  /** Behind the line that was answered `behind` lines before the last one, of the same block. */
  offsetBefore(behind: number): number {
    let at = 0
    for (let i = 0; i < this.linesOfBlock - behind; i++) at = indexOfBytes(this.block, this.delimiterBytes, at) + this.delimiterBytes.length
    return this.blockOffset + at
  }

  private keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.carry.push(bytes.slice())
    this.carrySize += bytes.length
    if (this.carrySize > this.lineSizeMax)
      throw new FlinkError('RECORD_TOO_LARGE', `a line of more than ${this.lineSizeMax} bytes is refused`, {
        offset: this.blockOffset + this.block.length,
      })
  }

  private takeCarry(last: Uint8Array): Uint8Array {
    const all = new Uint8Array(this.carrySize + last.length)
    let at = 0
    for (const part of this.carry) {
      all.set(part, at)
      at += part.length
    }
    all.set(last, at)
    this.carry = []
    this.carrySize = 0
    return all
  }
}

const CR = 13
const noBytes = new Uint8Array(0)
const encoder = new TextEncoder()

/** Offset behind the last delimiter, 0 = none. */
function lastEnd(bytes: Uint8Array, delimiter: Uint8Array): number {
  if (delimiter.length === 1) return bytes.lastIndexOf(delimiter[0]!) + 1
  // Forwards, because delimiters must not overlap: 'aa' in 'aaa' ends at 2.
  let end = 0
  for (let at = indexOfBytes(bytes, delimiter, 0); at >= 0; at = indexOfBytes(bytes, delimiter, end)) end = at + delimiter.length
  return end
}

function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  const first = wanted[0]!
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1
    while (i < wanted.length && bytes[at + i] === wanted[i]) i++
    if (i === wanted.length) return at
  }
  return -1
}
