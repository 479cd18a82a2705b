import { FlinkError } from '../common/errors.ts'
import { utf8Text } from '../common/utf8.ts'
import type { ColumnKind } from '../network/columns.ts'
import type { FormatField } from './column-type.ts'
import type { DecoderSettings, FormatOptions, RecordDecoder } from './format.ts'
import { lastLineEnd, lineAt } from './json-decoder.ts'
import { FormatOptionReader } from './options.ts'
import type { RowSink } from './row-sink.ts'
import { isUtf8, utf8Encoder } from './utf8.ts'

/** The record as it is: one column of texts or bytes. Bytes of a text that are not UTF-8 become U+FFFD, as in Flink. */
export class RawDecoder implements RecordDecoder {
  readonly kinds: readonly ColumnKind[]
  recordStart = 0
  recordsRead = 0
  readonly skipped = 0
  readonly slowRecords = 0
  private readonly field: FormatField | undefined
  private readonly settings: DecoderSettings

  constructor(fields: readonly FormatField[], wanted: readonly FormatField[], settings: DecoderSettings) {
    checkRawFields(fields)
    this.kinds = wanted.map(field => field.kind)
    this.field = wanted[0]
    this.settings = settings
  }

  decode(data: Uint8Array, from: number, to: number, sink: RowSink): number {
    sink.begin(data)
    this.recordsRead = 0
    let at = from
    let more = at < to || this.settings.framing === 'message'
    while (more && !sink.isFull) {
      const [lineEnd, next] = this.settings.framing === 'message' ? [to, to] : lineAt(data, at, to)
      const end = this.settings.framing === 'lines' && lineEnd > at && data[lineEnd - 1] === 13 ? lineEnd - 1 : lineEnd
      this.recordStart = at
      this.recordsRead++
      if (this.field !== undefined) this.put(this.field, data, at, end, sink)
      sink.count++
      at = next
      more = at < to
    }
    return at
  }

  completeEnd(data: Uint8Array, from: number, to: number): number {
    return lastLineEnd(data, from, to)
  }

  private put(field: FormatField, data: Uint8Array, from: number, to: number, sink: RowSink): void {
    const column = sink.columns[0]!
    const row = sink.count
    if (field.root === 'STRING' && !isUtf8(data, from, to)) {
      column.setAside(row, utf8Encoder.encode(utf8Text(data, from, to)))
      return
    }
    column.starts[row] = from
    column.lengths[row] = to - from
  }
}

export function checkRawFields(fields: readonly FormatField[]): void {
  const [field] = fields
  if (fields.length !== 1 || field === undefined)
    throw new FlinkError('INVALID_CONFIGURATION', `format raw needs exactly one column, the table has ${fields.length}`)
  if (field.root !== 'STRING' && field.root !== 'BYTES')
    throw new FlinkError('UNSUPPORTED', `format raw does not read or write column ${field.name} of type ${field.typeText}, only STRING and BYTES`)
}

export function checkRawOptions(options: FormatOptions): void {
  const reader = new FormatOptionReader('raw', options)
  const charset = reader.text('charset') ?? 'UTF-8'
  if (charset.toUpperCase() !== 'UTF-8') throw new FlinkError('UNSUPPORTED', `option raw.charset ${charset} is not supported, only UTF-8`)
  reader.choice('endianness', ['big-endian', 'little-endian'], 'big-endian')
  reader.end()
}
