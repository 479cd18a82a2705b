import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FlinkError } from '../common/errors.ts'

/** Where results lie that find no room in memory: a file per task, appended to while the task runs, read at will afterwards. */
export interface ResultFiles {
  /** Made with its first bytes. */
  file(name: string): ResultFile
}

export interface ResultFile {
  /** For errors. */
  readonly path: string
  /** Behind all that was appended before; one call at a time. */
  append(parts: readonly Uint8Array[]): Promise<void>
  read(position: number, length: number): Promise<Uint8Array>
  remove(): Promise<void>
}

/** Files dealt out to the folders in turn. */
export function createResultFiles(directories: readonly string[]): ResultFiles {
  let next = 0
  return {
    file(name) {
      const directory = directories[next++ % directories.length] ?? ''
      return new DiskFile(directory, name)
    },
  }
}

class DiskFile implements ResultFile {
  readonly path: string
  private readonly directory: string
  private opened: ReturnType<typeof open> | undefined = undefined
  private length = 0

  constructor(directory: string, name: string) {
    this.directory = directory
    this.path = join(directory, name)
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    this.opened ??= this.open()
    const handle = await this.opened
    const bytes = Buffer.concat(parts)
    // A disk that runs full takes the first part of the bytes; it says why when the rest is tried.
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, this.length)
      this.length += bytesWritten
      at += bytesWritten
    }
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    const handle = await this.opened
    if (handle === undefined) throw new FlinkError('EXTERNAL_SYSTEM', 'it was never written')
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(bytes, at, length - at, position + at)
      if (bytesRead === 0) throw new FlinkError('EXTERNAL_SYSTEM', `it ends at ${position + at}, before ${position + length}`)
      at += bytesRead
    }
    return bytes
  }

  async remove(): Promise<void> {
    // It may never have been opened, or not be openable.
    const handle = await this.opened?.catch(() => undefined)
    await handle?.close()
    if (this.opened !== undefined) await rm(this.path, { force: true })
  }

  private async open() {
    await mkdir(this.directory, { recursive: true })
    return open(this.path, 'wx+')
  }
}
