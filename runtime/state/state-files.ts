import { closeSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { FlinkError } from '../common/errors.ts'

/**
 * Bytes of state that is restored: at hand, or in a file of this machine, of which whoever restores reads some at a time. Memory that a process has never had
 * before is dear (each page of it is an interrupt, on virtual machines two), so a state should not be in memory once more than it has to.
 */
export type StateBytes = Uint8Array | FileBytes

/** Bytes `offset` to `offset + length` of a file that nobody changes, and that stands until all is restored. */
export interface FileBytes {
  readonly file: string
  readonly offset: number
  readonly length: number
}

/** An object as a file. */
export interface ObjectFile {
  readonly path: string
  readonly size: number
  /** CRC-32 of what was just read. */
  readonly crc: number
}

/** Smaller ones are read at once. */
export const FILE_BYTES_MIN = 1 << 20
const CHECK_BYTES = 4 << 20
const WINDOW_BYTES = 1 << 20

/** Reads all of it, and keeps nothing. Errors are those of the file system. */
export async function objectFile(path: string): Promise<ObjectFile> {
  await using file = await open(path, 'r')
  const buffer = Buffer.allocUnsafeSlow(CHECK_BYTES)
  let size = 0
  let crc = 0
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size)
    if (bytesRead === 0) return { path, size, crc }
    crc = crc32(buffer.subarray(0, bytesRead), crc)
    size += bytesRead
  }
}

/** A range of a file, to keep. */
export async function readFileBytes({ file: path, offset, length }: FileBytes): Promise<Uint8Array> {
  await using file = await open(path, 'r')
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at, offset + at)
    if (bytesRead === 0) throw endsEarly(path, offset + at)
    at += bytesRead
  }
  return bytes
}

/** Reads ranges of files in a slot's thread, through one buffer. */
export class StateFiles {
  private readonly files = new Map<string, number>()
  private buffer: Uint8Array = new Uint8Array(0)

  /**
   * Calls `take` with the bytes, in order, in one or several parts, which are gone when it returns. `whole` answers how much of a part it can take: the rest is
   * the beginning of the next one.
   */
  each(bytes: StateBytes, whole: (part: Uint8Array) => number, take: (part: Uint8Array) => void): void {
    if (bytes instanceof Uint8Array) {
      take(bytes)
      return
    }
    const { file, offset, length } = bytes
    let partBytes = WINDOW_BYTES
    for (let at = 0; at < length; ) {
      const part = this.read(file, offset + at, Math.min(length - at, partBytes))
      const taken = at + part.length === length ? part.length : whole(part)
      if (taken > 0) take(part.subarray(0, taken))
      // What it begins with is larger.
      partBytes = taken > 0 ? WINDOW_BYTES : 2 * partBytes
      at += taken
    }
  }

  close(): void {
    for (const file of this.files.values()) closeSync(file)
    this.files.clear()
    this.buffer = new Uint8Array(0)
  }

  private read(path: string, offset: number, length: number): Uint8Array {
    if (this.buffer.length < length) this.buffer = new Uint8Array(Math.max(WINDOW_BYTES, length))
    try {
      let file = this.files.get(path)
      if (file === undefined) this.files.set(path, (file = openSync(path, 'r')))
      for (let at = 0; at < length; ) {
        const count = readSync(file, this.buffer, at, length - at, offset + at)
        if (count === 0) throw endsEarly(path, offset + at)
        at += count
      }
    } catch (error) {
      if (error instanceof FlinkError) throw error
      throw new FlinkError(
        'EXTERNAL_SYSTEM',
        `state cannot be read from ${path}: ${error instanceof Error ? error.message : String(error)}`,
        {},
        error,
      )
    }
    return this.buffer.subarray(0, length)
  }
}

function endsEarly(path: string, at: number): FlinkError {
  return new FlinkError('CORRUPT_CHECKPOINT', `${path} ends at byte ${at}, though it was longer when its checksum was taken`)
}
