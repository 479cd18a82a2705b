import type { ColumnKind } from '../network/columns.ts'
import type { FormatField } from './column-type.ts'
import type { CsvOptions } from './csv-options.ts'
import { CsvReader, isComment } from './csv-reader.ts'
import { type CsvLineReader, emitCsvReader } from './emit-csv-reader.ts'
import type { DecoderSettings, RecordDecoder } from './format.ts'
import { lastLineEnd } from './json-decoder.ts'
import { markLength } from './json-reader.ts'
import type { RowSink } from './row-sink.ts'

/** CSV records into rows: plain ones by the generated reader, the first that has quotes, escapes or anything unusual by the general one. */
export class CsvDecoder implements RecordDecoder {
  readonly kinds: readonly ColumnKind[]
  recordStart = 0
  recordsRead = 0
  skipped = 0
  slowRecords = 0
  private readonly reader: CsvReader
  private readonly fast: CsvLineReader | undefined
  private readonly options: CsvOptions
  private readonly lines: boolean
  private viewed: Uint8Array | undefined
  private view: DataView = new DataView(new ArrayBuffer(0))

  constructor(fields: readonly FormatField[], projected: readonly number[], options: CsvOptions, settings: DecoderSettings) {
    const wanted = projected.map(index => fields[index]!)
    this.kinds = wanted.map(field => field.kind)
    this.reader = new CsvReader(wanted, fields.length, projected, options)
    this.options = options
    this.lines = settings.framing === 'lines'
    this.fast = settings.generated === false ? undefined : emitCsvReader(fields, projected, options, settings.framing, settings.origin)
  }

  decode(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    sink.begin(data)
    this.recordsRead = 0
    let at = from
    let more = at < to || !this.lines
    while (more && !sink.isFull) {
      at = this.fast === undefined ? at : this.readFast(this.fast, data, at, to, sink)
      if ((at < to || (!this.lines && this.recordsRead === 0)) && !sink.isFull) at = this.readSlow(data, at, to, sink)
      more = at < to
    }
    return at
  }

  /** Quoted and escaped values may hold line feeds, so where there are such the records are walked, as the general reader reads them. */
  completeEnd(data: Uint8Array, from: number, to: number): number {
    const { quote, delimiter, escaping, comments } = this.options
    if (!isIn(data, quote, from, to) && !isIn(data, escaping, from, to)) return lastLineEnd(data, from, to)
    let end = from
    let quoted = false
    // A quote opens a value where one begins, and right behind a closing one, with which it is one doubled quote.
    let opensAt = from
    for (let at = from; at < to; at++) {
      if (at === end) {
        opensAt = at + markLength(data, at, to)
        if (comments && isComment(data, opensAt, to)) {
          const next = data.indexOf(LF, at) + 1
          if (next === 0 || next > to) return end
          end = next
          at = next - 1
          continue
        }
      }
      const byte = data[at]!
      if (byte === escaping) {
        at++
      } else if (byte === quote) {
        if (quoted) opensAt = at + 1
        if (quoted || at === opensAt) quoted = !quoted
      } else if (!quoted) {
        if (byte === delimiter) opensAt = at + 1
        else if (byte === LF) end = at + 1
      }
    }
    return end
  }

  private readFast(read: CsvLineReader, data: Uint8Array, from: number, to: number, sink: RowSink): number {
    const before = sink.count
    if (this.viewed !== data) {
      this.viewed = data
      this.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    }
    const next = read(data, this.view, from, to, sink)
    this.recordsRead += sink.count - before
    if (!sink.isFull) sink.resetRow()
    return next
  }

  private readSlow(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    this.recordStart = from
    this.recordsRead++
    this.slowRecords++
    const error = this.reader.read(data, from, to, this.lines, sink)
    if (error !== undefined) {
      sink.resetRow()
      if (!this.options.ignoreParseErrors) throw error
      this.skipped++
    }
    return this.lines ? this.reader.next : to
  }
}

/** `byte` negative: there is none. */
function isIn(data: Uint8Array, byte: number, from: number, to: number): boolean {
  const at = byte < 0 ? -1 : data.indexOf(byte, from)
  return at >= 0 && at < to
}

const LF = 10
