import { type FileHandle, open } from 'node:fs/promises'

/** Follows a file that others append to: whole lines, in bounded pieces. */
export class OutputTail {
  private readonly path: string
  private offset = 0
  /** The beginning of a line whose end has not been written yet. */
  private rest: Buffer<ArrayBufferLike> = Buffer.alloc(0)

  constructor(path: string) {
    this.path = path
  }

  /** What was added since, as lines with their line feeds; '' when there is nothing. `last` also answers a line that was never ended. */
  async read(last = false): Promise<string> {
    const added = await this.next()
    const bytes = this.rest.length === 0 ? added : Buffer.concat([this.rest, added])
    const end = last && added.length === 0 ? bytes.length : bytes.lastIndexOf(LINE_FEED) + 1
    this.rest = bytes.subarray(end)
    // A line without an end is passed on in pieces: what is kept has a bound.
    if (this.rest.length > PIECE_BYTES) {
      this.rest = Buffer.alloc(0)
      return bytes.toString('utf8')
    }
    return bytes.toString('utf8', 0, end)
  }

  private async next(): Promise<Buffer<ArrayBufferLike>> {
    let file: FileHandle
    try {
      file = await open(this.path, 'r')
    } catch {
      return Buffer.alloc(0)
    }
    try {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES, this.offset)
      this.offset += bytesRead
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }
}

const PIECE_BYTES = 256 * 1024
const LINE_FEED = 10
