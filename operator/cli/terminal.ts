/**
 * What a person sees of `up`: what the job prints on stdout, what `up` says on stderr, where the job's own stderr comes too.
 *
 * A printed line that begins with a form feed begins a page. On a terminal a new page takes the place of the one before it, as long as
 * nothing else was shown in between; into a file or a pipe pages follow each other and the form feed is left out.
 */
export interface TerminalStreams {
  /** Resolves when more may be written: a slow reader slows us down. */
  readonly write: (text: string) => Promise<void>
  readonly writeError: (text: string) => void
  readonly isTerminal: boolean
  readonly columns: () => number
}

const FORM_FEED = '\f'

export class Terminal {
  private readonly streams: TerminalStreams
  /** Rows that the page at the bottom takes; undefined when something else stands there. */
  private pageRows: number | undefined
  private pageSource: string | undefined

  constructor(streams: TerminalStreams) {
    this.streams = streams
  }

  say(text: string): void {
    this.pageRows = undefined
    this.streams.writeError(`${text}\n`)
  }

  /** Whole lines that the job has printed to stderr. */
  printError(text: string): void {
    this.pageRows = undefined
    this.streams.writeError(text)
  }

  /** `text` is whole lines that `source` has printed. */
  async print(source: string, text: string): Promise<void> {
    if (text === '') return
    let out = ''
    for (const line of text.split(/(?<=\n)/)) {
      if (line.startsWith(FORM_FEED)) {
        if (this.streams.isTerminal && this.pageRows !== undefined && this.pageSource === source) out += `\x1b[${this.pageRows}A\r\x1b[J`
        this.pageRows = 0
        this.pageSource = source
      } else if (this.pageSource !== source) {
        this.pageRows = undefined
      }
      const visible = line.startsWith(FORM_FEED) ? line.slice(FORM_FEED.length) : line
      if (this.pageRows !== undefined) this.pageRows += Math.max(1, Math.ceil((visible.length - 1) / Math.max(1, this.streams.columns())))
      out += visible
    }
    await this.streams.write(out)
  }
}
