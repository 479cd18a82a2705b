import type { ByteWriter } from '../common/bytes.ts'
import type { ColumnarFrame, ColumnKind } from '../network/columns.ts'
import type { RowSink } from './row-sink.ts'

/**
 * Formats: bytes of records into columns and back. A frame at a time, no value is made that a column does not hold.
 *
 * Reading:
 * 1. `createDecoder(format, columns, projected, options)` checks the options and compiles what can be; problems are FlinkErrors of the user's.
 * 2. The caller makes a `RowSink` of the decoder's `kinds` and hands pages of whole records: with the framing `lines` those of
 *    `completeEnd` (and at the end of the input the rest, whatever it is), with `message` one record a call.
 * 3. `decode` answers how far it came: at `to`, or earlier because the sink is full. Then the caller takes the frame (`sink.finish()`) and calls
 *    again from there. The position answered is always a border of records.
 *    With `message` the sink must not be full when a message is handed in: an empty one could not be told from one not read.
 * 4. A page belongs to the frames made of it: see row-sink.ts.
 * 5. A record that does not parse throws MALFORMED_RECORD with `detail.offset` (in the page) and `detail.column`; `recordStart` and `recordsRead`
 *    say where it stands, and the rows before it are in the sink. The caller adds the file and line or topic, partition and offset. With
 *    `ignore-parse-errors` it is left out and counted in `skipped` (JSON leaves only a value that does not convert null, as Flink does).
 *
 * Writing: `createEncoder` then `encode` appends records, each with a line feed behind it where the framing is `lines`.
 */
export interface FormatColumn {
  readonly name: string
  /** Flink's type text. */
  readonly type: string
  /** JSON only: where the value stands when not at the key `name`, keys from the outermost object in. */
  readonly path?: readonly string[]
}

export type Framing = 'lines' | 'message'

export interface RecordDecoder {
  /** Kinds of the projected columns, in the order of the projection: what the sink is made with. */
  readonly kinds: readonly ColumnKind[]
  /** Where the record read last begins, in the page. */
  readonly recordStart: number
  /** Records of the last call, also those skipped. */
  readonly recordsRead: number
  /** Records left out since the decoder was made. */
  readonly skipped: number
  /** Records that the generated code did not take, since the decoder was made. */
  readonly slowRecords: number
  decode(data: Uint8Array, from: number, to: number, sink: RowSink): number
  /** Behind the last record of `[from, to)` that surely ends there; `from` where none does. `from` is a border of records. */
  completeEnd(data: Uint8Array, from: number, to: number): number
}

export interface RecordEncoder {
  /** Rows `[from, to)`. */
  encode(frame: ColumnarFrame, from: number, to: number, writer: ByteWriter): void
}

export interface EncoderSettings {
  readonly framing: Framing
  readonly origin: FormatOrigin
  /** Off for tests and comparison: every value by the interpreter. */
  readonly generated?: boolean
}

/** Options of a table as written: keys with the format's prefix (`json.ignore-parse-errors`). */
export type FormatOptions = Readonly<Record<string, string>>

export interface FormatOrigin {
  readonly job: string
  readonly vertex: string
}

export interface DecoderSettings {
  readonly framing: Framing
  readonly origin: FormatOrigin
  /** Off for tests and comparison: every record by the general parser. */
  readonly generated?: boolean
}
