import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { JobOutputFile } from '../effects/local-executor.ts'
import { OutputTail } from '../effects/output-tail.ts'
import type { Terminal } from './terminal.ts'

/** Passes what TaskManagers' output files get on to the terminal: at short intervals, and on demand. */
export class JobOutput {
  private readonly terminal: Terminal
  private readonly clock: Clock
  private readonly files: () => readonly JobOutputFile[]
  private readonly tails = new Map<string, OutputTail>()
  private readonly stopping = new AbortController()
  private following: Promise<void> = Promise.resolve()
  /** Reads go one after another: two at once would show pieces in the wrong order. */
  private reading: Promise<void> = Promise.resolve()

  constructor(terminal: Terminal, clock: Clock, files: () => readonly JobOutputFile[]) {
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
    for (const { id, path, stream } of this.files()) {
      const tail = this.tails.get(path) ?? new OutputTail(path)
      this.tails.set(path, tail)
      for (let text = await tail.read(last); text !== ''; text = await tail.read(last)) {
        if (stream === 'stdout') await this.terminal.print(id, text)
        else this.terminal.printError(text)
      }
    }
  }
}

const INTERVAL_MS = 100
