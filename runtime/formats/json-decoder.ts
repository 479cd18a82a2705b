import type { FlinkError } from '../common/errors.ts'
import type { ColumnKind } from '../network/columns.ts'
import type { FormatField } from './column-type.ts'
import { emitJsonReader, type JsonTemplateReader } from './emit-json-reader.ts'
import type { DecoderSettings, RecordDecoder } from './format.ts'
import { JsonReader, type JsonReadOptions } from './json-reader.ts'
import { JsonScanner } from './json-scan.ts'
import { learnTemplate } from './json-template.ts'
import type { RowSink } from './row-sink.ts'

/**
 * JSON records into rows: the reader generated for what records looked like so far takes as many as it can, the next record goes to the other
 * generated readers and at last to the general one. Looks are learned from records that only the general reader took: the first ones at once, later
 * ones when enough went that way, so that data without any order compiles ever more rarely.
 */
const READERS_MAX = 4
const LEARN_AFTER = 256
const LEARN_AFTER_MAX = 2 ** 24

interface Look {
  readonly signature: string
  /** Undefined: too large to generate, kept so that it is not tried again. */
  readonly read: JsonTemplateReader | undefined
  rows: number
}

export class JsonDecoder implements RecordDecoder {
  readonly kinds: readonly ColumnKind[]
  recordStart = 0
  recordsRead = 0
  skipped = 0
  slowRecords = 0
  private readonly reader: JsonReader
  private readonly settings: DecoderSettings
  private readonly looks: Look[] = []
  private current = 0
  private slowSinceLearned = 0
  private learnAfter = 1
  private viewed: Uint8Array | undefined
  private view: DataView = new DataView(new ArrayBuffer(0))

  constructor(fields: readonly FormatField[], options: JsonReadOptions, settings: DecoderSettings) {
    this.kinds = fields.map(field => field.kind)
    this.reader = new JsonReader(fields, options, new JsonScanner())
    this.settings = settings
  }

  decode(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    this.begin(data, to, sink)
    let at = from
    // A message is a record even when it is empty.
    let more = at < to || this.settings.framing === 'message'
    while (more && !sink.isFull) {
      const next = this.readFast(data, at, to, sink)
      at = next > at ? next : this.readSlow(data, at, to, sink)
      more = at < to
    }
    return at
  }

  completeEnd(data: Uint8Array, from: number, to: number): number {
    return lastLineEnd(data, from, to)
  }

  private begin(data: Uint8Array, to: number, sink: RowSink): void {
    sink.begin(data)
    this.recordsRead = 0
    if (this.viewed !== data) {
      this.viewed = data
      this.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    }
    const { scanner } = this.reader
    scanner.data = data
    scanner.to = to
  }

  /** Answers `from` when no generated reader takes the record there. */
  private readFast(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    const { looks } = this
    for (let i = 0; i < looks.length; i++) {
      const look = looks[this.current]!
      if (look.read !== undefined) {
        const before = sink.count
        const next = look.read(data, this.view, from, to, sink)
        const rows = sink.count - before
        look.rows += rows
        this.recordsRead += rows
        // A record read half may have left nulls.
        if (!sink.isFull) sink.resetRow()
        if (rows > 0) {
          // It would stop at the same record again.
          if (next < to && !sink.isFull) this.advance()
          return next
        }
      }
      this.advance()
    }
    return from
  }

  private advance(): void {
    this.current = this.current + 1 === this.looks.length ? 0 : this.current + 1
  }

  private readSlow(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    const [end, next] = this.settings.framing === 'message' ? [to, to] : lineAt(data, from, to)
    this.recordStart = from
    // Nothing is no record, as in Flink; blanks are a malformed one.
    if (from === end || (end < next && end - from === 1 && data[from] === CR)) return next
    this.recordsRead++
    this.slowRecords++
    const error = this.reader.read(data, from, end, sink)
    if (error !== undefined) this.refuse(error, sink)
    else if (this.settings.generated !== false) this.learn(data, from, end)
    return next
  }

  private refuse(error: FlinkError, sink: RowSink): void {
    sink.resetRow()
    if (!this.reader.options.ignoreParseErrors) throw error
    this.skipped++
  }

  private learn(data: Uint8Array, from: number, to: number): void {
    const { looks, reader } = this
    if (++this.slowSinceLearned < this.learnAfter) return
    this.slowSinceLearned = 0
    const template = learnTemplate(data, from, to, reader.tree, reader.fields.length)
    if (template === undefined || looks.some(look => look.signature === template.signature)) {
      this.learnAfter = Math.min(LEARN_AFTER_MAX, this.learnAfter * 2)
      return
    }
    const { framing, origin } = this.settings
    const look: Look = { signature: template.signature, read: emitJsonReader(template, reader, framing, origin), rows: 0 }
    if (looks.length < READERS_MAX) looks.push(look)
    else looks[rarest(looks)] = look
    if (looks.length === READERS_MAX) this.learnAfter = Math.min(LEARN_AFTER_MAX, Math.max(LEARN_AFTER, this.learnAfter * 2))
  }
}

function rarest(looks: readonly Look[]): number {
  let found = 0
  for (let i = 1; i < looks.length; i++) if (looks[i]!.rows < looks[found]!.rows) found = i
  for (const look of looks) look.rows = Math.floor(look.rows / 2)
  return found
}

/** End of the line's bytes, and where the next line begins. */
export function lineAt(data: Uint8Array, from: number, to: number): [number, number] {
  const at = data.indexOf(LF, from)
  return at < 0 || at >= to ? [to, to] : [at, at + 1]
}

export function lastLineEnd(data: Uint8Array, from: number, to: number): number {
  for (let at = to - 1; at >= from; at--) if (data[at] === LF) return at + 1
  return from
}

const LF = 10
const CR = 13
