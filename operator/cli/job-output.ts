import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { NamedOutputFile } from '../effects/local-executors.ts'
import { OutputTail } from '../effects/output-tail.ts'
import type { Terminal } from './terminal.ts'

/** Passes what TaskManagers' output files get on to the terminal: at short intervals, and on demand. */
export class JobOutput {
  private readonly terminal: Terminal
  private readonly clock: Clock
  private readonly files: () => readonly NamedOutputFile[]
  private readonly tails = new Map<string, OutputTail>()
  /** That have ever printed: of several each line says whose it is. */
  private readonly jobs = new Set<string>()
  private readonly stopping = new AbortController()
  private following: Promise<void> = Promise.resolve()
  /** Reads go one after another: two at once would show pieces in the wrong order. */
  private reading: Promise<void> = Promise.resolve()

  constructor(terminal: Terminal, clock: Clock, files: () => readonly NamedOutputFile[]) {
    this.terminal = terminal
    this.clock = clock
    this.files = files
  }

  start(): void {
    this.following = this.follow()
  }

  /** Everything that the files hold now. */
  drain(last = false): Promise<void> {
    this.reading = this.reading.then(() => this.readAll(last))
    return this.reading
  }

  /** The rest, after those who write have ended. */
  async stop(): Promise<void> {
    this.stopping.abort()
    await this.following
    await this.drain(true)
  }

  private async follow(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.drain()
      await sleep(this.clock, INTERVAL_MS, this.stopping.signal).catch(() => {})
    }
  }

  private async readAll(last: boolean): Promise<void> {
    const files = this.files()
    for (const { job } of files) this.jobs.add(job)
    for (const { job, id, path, stream } of files) {
      const tail = this.tails.get(path) ?? new OutputTail(path)
      this.tails.set(path, tail)
      for (let text = await tail.read(last); text !== ''; text = await tail.read(last)) {
        const shown = this.jobs.size > 1 ? prefixed(`${job} | `, text) : text
        if (stream === 'stdout') await this.terminal.print(`${job} ${id}`, shown)
        else this.terminal.printError(shown)
      }
    }
  }
}

const INTERVAL_MS = 100

/** The form feed that begins a page stays in front. */
function prefixed(prefix: string, text: string): string {
  return text
    .split(/(?<=\n)/)
    .map(line => (line.startsWith('\f') ? `\f${prefix}${line.slice(1)}` : `${prefix}${line}`))
    .join('')
}
