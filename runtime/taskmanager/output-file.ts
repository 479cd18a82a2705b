import { mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Bytes that may be on their way to a console that stands still. */
const CONSOLE_LIMIT = 1024 * 1024

/** A stream of the process itself: `console.log` goes there as well. */
export type Console = Pick<NodeJS.WritableStream, 'write'>

export interface OutputFileOptions {
  /** undefined = only the console. */
  readonly path: string | undefined
  readonly console: Console
  /** What goes to the file is seen on the console too; without a file it always is. */
  readonly copies: boolean
}

/** What jobs print: appended in order, one write at a time; the promise is the credit that print sinks wait for. */
export class OutputFile {
  private readonly path: string | undefined
  private readonly console: Console
  private readonly copy: ConsoleCopy | undefined
  private handle: Promise<FileHandle> | undefined
  private tail: Promise<void> = Promise.resolve()

  constructor({ path, console, copies }: OutputFileOptions) {
    this.path = path
    this.console = console
    this.copy = copies && path !== undefined ? new ConsoleCopy(path, console) : undefined
  }

  write(bytes: Uint8Array): Promise<void> {
    this.copy?.write(bytes)
    this.tail = this.tail.then(() => this.append(bytes))
    return this.tail
  }

  async close(): Promise<void> {
    await this.tail.catch(() => {})
    await this.copy?.flush()
    await (await this.handle)?.close()
  }

  private async append(bytes: Uint8Array): Promise<void> {
    const { path } = this
    if (path === undefined) {
      // Resolves when the main thread has passed it on, so a slow terminal is back-pressure.
      await new Promise<void>((resolve, reject) => this.console.write(bytes, error => (error ? reject(error) : resolve())))
      return
    }
    if (this.handle === undefined) {
      mkdirSync(dirname(path), { recursive: true })
      this.handle = open(path, 'a')
    }
    await (await this.handle).appendFile(bytes)
  }
}

/** Never waited for by a job: the file has everything, and what a console that stands still cannot take is left out of it, with a line that says so. */
class ConsoleCopy {
  private readonly path: string
  private readonly console: Console
  private waiting = 0
  private leftOut = 0
  private whenEmpty: (() => void) | undefined

  constructor(path: string, console: Console) {
    this.path = path
    this.console = console
  }

  write(bytes: Uint8Array): void {
    if (this.waiting > 0 && this.waiting + bytes.length > CONSOLE_LIMIT) {
      this.leftOut += bytes.length
      return
    }
    if (this.leftOut > 0) this.pass(Buffer.from(`[${this.leftOut} bytes are only in ${this.path}]\n`))
    this.leftOut = 0
    // Copied: the buffer is the sink's again when the file has it.
    this.pass(Uint8Array.from(bytes))
  }

  /** Answers when the console has taken what waits. */
  flush(): Promise<void> {
    return this.waiting === 0 ? Promise.resolve() : new Promise(resolve => (this.whenEmpty = resolve))
  }

  private pass(bytes: Uint8Array): void {
    this.waiting += bytes.length
    // A console that has gone away fails no job.
    this.console.write(bytes, () => {
      this.waiting -= bytes.length
      if (this.waiting === 0) this.whenEmpty?.()
    })
  }
}
