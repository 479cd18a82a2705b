import type { ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { utf8Text } from '../common/utf8.ts'
import type { Column, ColumnarFrame } from '../network/columns.ts'
import { type FormatField, formatField } from './column-type.ts'
import { type CsvOptions, csvOptions } from './csv-options.ts'
import { jsonWriterOptions } from './decoders.ts'
import { emitCsvWriter, emitJsonWriter, type JsonWriterOptions, type RecordWriter } from './emit-record-writer.ts'
import type { EncoderSettings, FormatColumn, FormatOptions, Framing, RecordEncoder } from './format.ts'
import { FormatOptionReader } from './options.ts'
import { checkRawFields, checkRawOptions } from './raw-decoder.ts'
import { utf8Encoder } from './utf8.ts'
import {
  base64Text,
  dateText,
  doubleText,
  keyBytes,
  strippedDecimal,
  timeText,
  writeAscii,
  writeInteger,
  writeJsonString,
  writePiece,
  writeTimestamp,
} from './write-values.ts'

/**
 * Rows into records, value by value in the forms of Flink's formats. JSON and CSV are written by a function made for the schema
 * (emit-record-writer.ts); the interpreter here writes the same, for comparison and for tables too wide for one function.
 */
export function createEncoder(format: string, columns: readonly FormatColumn[], options: FormatOptions, settings: EncoderSettings): RecordEncoder {
  const fields = columns.map(column => formatField(format, column))
  const { framing, origin, generated = true } = settings
  switch (format) {
    case 'json': {
      const read = jsonOptions(options)
      const write = generated ? emitJsonWriter(fields, read, framing, origin) : undefined
      return write === undefined ? jsonEncoder(fields, read, framing) : generatedEncoder(fields, write)
    }
    case 'csv': {
      const read = csvOptions(options)
      const write = generated ? emitCsvWriter(fields, read, framing, origin) : undefined
      return write === undefined ? csvEncoder(fields, read, framing) : generatedEncoder(fields, write)
    }
    case 'raw':
      checkRawOptions(options)
      checkRawFields(fields)
      return rawEncoder(framing)
    default:
      throw new FlinkError('UNSUPPORTED', `format ${format} is not supported; there are json, csv and raw`, { format })
  }
}

function generatedEncoder(fields: readonly FormatField[], write: RecordWriter): RecordEncoder {
  // A sink of messages asks for the rows of a frame one by one. A frame keeps its arrays for as long as it is itself.
  let current: ColumnarFrame | undefined
  let words: readonly Int32Array[] = []
  return {
    encode(frame, from, to, writer) {
      const { columns } = frame
      if (frame !== current) {
        for (let i = 0; i < fields.length; i++) if (columns[i]!.kind !== fields[i]!.kind) throw wrongColumn(fields[i]!, columns[i]!)
        words = wordsOf(frame)
        current = frame
      }
      write(columns, words, from, to, writer)
    },
  }
}

function jsonOptions(options: FormatOptions): JsonWriterOptions {
  const reader = new FormatOptionReader('json', options)
  reader.flag('fail-on-missing-field', false)
  reader.flag('ignore-parse-errors', false)
  const iso = reader.choice('timestamp-format.standard', ['SQL', 'ISO-8601'], 'SQL') === 'ISO-8601'
  const writerOptions = jsonWriterOptions(reader)
  reader.end()
  return { iso, ...writerOptions }
}

function jsonEncoder(fields: readonly FormatField[], { iso, ignoreNullFields, plainDecimals }: JsonWriterOptions, framing: Framing): RecordEncoder {
  const firstKeys = fields.map(field => keyBytes(field.name, '{'))
  const keys = fields.map(field => keyBytes(field.name, ','))
  return {
    encode(frame, from, to, writer) {
      const words = wordsOf(frame)
      for (let row = from; row < to; row++) {
        let first = true
        for (let i = 0; i < fields.length; i++) {
          const column = frame.columns[i]!
          const valid = isValid(column, row)
          if (!valid && ignoreNullFields) continue
          writePiece(writer, first ? firstKeys[i]! : keys[i]!)
          first = false
          if (valid) writeJsonValue(writer, fields[i]!, column, words[i]!, row, iso, plainDecimals)
          else writeAscii(writer, 'null')
        }
        if (first) writer.u8(OPEN_BRACE)
        writer.u8(CLOSE_BRACE)
        if (framing === 'lines') writer.u8(LF)
      }
    },
  }
}

function writeJsonValue(writer: ByteWriter, field: FormatField, column: Column, words: Int32Array, row: number, iso: boolean, plain: boolean): void {
  switch (field.root) {
    case 'STRING': {
      if (column.kind !== 'bytes') throw wrongColumn(field, column)
      const start = column.starts[row]!
      writeJsonString(writer, column.data, start, start + column.lengths[row]!)
      return
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      if (column.kind !== 'f64') throw wrongColumn(field, column)
      writer.u8(QUOTE)
      writeTimestamp(writer, column.values[row]!, iso ? CAPITAL_T : BLANK, field.root === 'TIMESTAMP_LTZ')
      writer.u8(QUOTE)
      return
    case 'BYTES':
    case 'DATE':
    case 'TIME':
      writer.u8(QUOTE)
      writeAscii(writer, plainText(field, column, row))
      writer.u8(QUOTE)
      return
    case 'FLOAT':
    case 'DOUBLE': {
      if (column.kind !== 'f64') throw wrongColumn(field, column)
      const text = doubleText(column.values[row]!, field.root === 'FLOAT')
      // What is no number for JSON is a text.
      writeAscii(writer, Number.isFinite(column.values[row]) ? text : `"${text}"`)
      return
    }
    default:
      writeNumber(writer, field, column, words, row, plain)
  }
}

/** BOOLEAN, the integers and DECIMAL: the same in all formats. */
function writeNumber(writer: ByteWriter, field: FormatField, column: Column, words: Int32Array, row: number, plain: boolean): void {
  if (field.root === 'DECIMAL') {
    const unscaled =
      column.kind === 'i64'
        ? column.values[row]!
        : column.kind === 'bytes'
          ? BigInt(utf8Text(column.data, column.starts[row]!, column.starts[row]! + column.lengths[row]!))
          : 0n
    writeAscii(writer, strippedDecimal(unscaled, field.scale, plain))
  } else if (column.kind === 'i64') {
    // Through its words: a bigint is made only where no double holds the value.
    const high = words[row * 2 + 1]!
    if (high >= -HIGH_MAX && high < HIGH_MAX) writeInteger(writer, high * 4_294_967_296 + (words[row * 2]! >>> 0))
    else writeAscii(writer, column.values[row]!.toString())
  } else if (column.kind === 'i32') {
    writeInteger(writer, column.values[row]!)
  } else if (column.kind === 'bool') {
    writeAscii(writer, column.values[row] === 1 ? 'true' : 'false')
  } else {
    throw wrongColumn(field, column)
  }
}

function plainText(field: FormatField, column: Column, row: number): string {
  if (column.kind === 'bytes') return base64Text(column.data, column.starts[row]!, column.starts[row]! + column.lengths[row]!)
  if (column.kind === 'i32') return field.root === 'DATE' ? dateText(column.values[row]!) : timeText(column.values[row]!)
  throw wrongColumn(field, column)
}

/** Texts up to this length are looked through for characters to quote, longer ones are quoted, as Flink's writer does. */
const QUOTE_CHECK_MAX = 24

function csvEncoder(fields: readonly FormatField[], options: CsvOptions, framing: Framing): RecordEncoder {
  const nullText = options.nullLiteral ?? new Uint8Array(0)
  // Every character up to the greatest one with a meaning makes quotes: the blank of a timestamp always does.
  const safeMin = Math.max(options.delimiter, options.quote, CR, options.escaping) + 1
  const writeText = (writer: ByteWriter, data: Uint8Array, from: number, to: number) => {
    if (options.quote >= 0 && needsQuotes(data, from, to, safeMin)) writeQuoted(writer, data, from, to, options)
    else copyBytes(writer, data, from, to)
  }
  const writeValue = (writer: ByteWriter, field: FormatField, column: Column, words: Int32Array, row: number) => {
    switch (field.root) {
      case 'STRING': {
        if (column.kind !== 'bytes') throw wrongColumn(field, column)
        const start = column.starts[row]!
        writeText(writer, column.data, start, start + column.lengths[row]!)
        return
      }
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ':
        if (column.kind !== 'f64') throw wrongColumn(field, column)
        if (options.quote >= 0) writer.u8(options.quote)
        writeTimestamp(writer, column.values[row]!, BLANK, field.root === 'TIMESTAMP_LTZ')
        if (options.quote >= 0) writer.u8(options.quote)
        return
      case 'BYTES':
      case 'DATE':
      case 'TIME': {
        const text = utf8Encoder.encode(plainText(field, column, row))
        writeText(writer, text, 0, text.length)
        return
      }
      case 'FLOAT':
      case 'DOUBLE':
        if (column.kind !== 'f64') throw wrongColumn(field, column)
        writeAscii(writer, doubleText(column.values[row]!, field.root === 'FLOAT'))
        return
      default:
        writeNumber(writer, field, column, words, row, options.plainDecimals)
    }
  }
  return {
    encode(frame, from, to, writer) {
      const words = wordsOf(frame)
      for (let row = from; row < to; row++) {
        for (let i = 0; i < fields.length; i++) {
          if (i > 0) writer.u8(options.delimiter)
          const column = frame.columns[i]!
          if (isValid(column, row)) writeValue(writer, fields[i]!, column, words[i]!, row)
          else writePiece(writer, nullText)
        }
        if (framing === 'lines') writer.u8(LF)
      }
    },
  }
}

function needsQuotes(data: Uint8Array, from: number, to: number, safeMin: number): boolean {
  let units = 0
  for (let at = from; at < to; at++) {
    const byte = data[at]!
    if (byte < safeMin || byte === BACKSLASH) return true
    // UTF-16 code units: none for a byte that goes on a character, two for a character of four bytes.
    if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1
  }
  return units > QUOTE_CHECK_MAX
}

function writeQuoted(writer: ByteWriter, data: Uint8Array, from: number, to: number, options: CsvOptions): void {
  let out = writer.reserve((to - from) * 2 + 2)
  const { bytes } = writer
  bytes[out++] = options.quote
  for (let at = from; at < to; at++) {
    const byte = data[at]!
    if (byte === options.quote || byte === options.escaping) bytes[out++] = byte
    bytes[out++] = byte
  }
  bytes[out++] = options.quote
  writer.length = out
}

function rawEncoder(framing: Framing): RecordEncoder {
  return {
    encode(frame: ColumnarFrame, from, to, writer) {
      const column = frame.columns[0]!
      if (column.kind !== 'bytes') throw new FlinkError('UNSUPPORTED_VALUE', `format raw got a column of kind ${column.kind}`)
      for (let row = from; row < to; row++) {
        // A null is written as nothing.
        if (isValid(column, row)) copyBytes(writer, column.data, column.starts[row]!, column.starts[row]! + column.lengths[row]!)
        if (framing === 'lines') writer.u8(LF)
      }
    },
  }
}

function copyBytes(writer: ByteWriter, data: Uint8Array, from: number, to: number): void {
  const start = writer.reserve(to - from)
  const { bytes } = writer
  for (let i = 0; i < to - from; i++) bytes[start + i] = data[from + i]!
}

function wordsOf(frame: ColumnarFrame): Int32Array[] {
  return frame.columns.map(column =>
    column.kind === 'i64' ? new Int32Array(column.values.buffer, column.values.byteOffset, column.values.length * 2) : noWords,
  )
}

function isValid(column: Column, row: number): boolean {
  const { validity } = column
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0
}

function wrongColumn(field: FormatField, column: Column): FlinkError {
  return new FlinkError('UNSUPPORTED_VALUE', `column ${field.name} of type ${field.typeText} came as a column of kind ${column.kind}`)
}

/** 2^53 is this many times 2^32. */
const HIGH_MAX = 2_097_152
const noWords = new Int32Array(0)
const LF = 10
const CR = 13
const QUOTE = 34
const BLANK = 32
const CAPITAL_T = 84
const BACKSLASH = 92
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
