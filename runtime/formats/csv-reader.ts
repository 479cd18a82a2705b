import { FlinkError } from '../common/errors.ts'
import { utf8Text } from '../common/utf8.ts'
import type { FormatField } from './column-type.ts'
import type { CsvOptions } from './csv-options.ts'
import { putCsvValue } from './csv-values.ts'
import { markLength } from './json-reader.ts'
import type { RowSink } from './row-sink.ts'
import { isUtf8 } from './utf8.ts'

/**
 * The general reader of CSV records (RFC 4180, blanks behind a closing quote allowed, a quote inside a value that does not begin with one is a
 * character like others). With the framing of lines a quoted value may hold line ends, so the reader itself finds where a record ends.
 */
export class CsvReader {
  /** Behind the record read last, and its line end. */
  next = 0
  /** The record read last was a comment. */
  comment = false
  private readonly fieldCount: number
  private readonly options: CsvOptions
  /** For each column of the table where it goes, -1 = nobody wants it. */
  private readonly targets: Int32Array
  private readonly fields: readonly FormatField[]
  private cellFrom = 0
  private cellTo = 0
  /** The cell has characters to unescape. */
  private cellEscaped = false
  private cellQuoted = false
  private problem = ''
  private problemAt = 0

  constructor(fields: readonly FormatField[], fieldCount: number, projected: readonly number[], options: CsvOptions) {
    this.fields = fields
    this.fieldCount = fieldCount
    this.options = options
    this.targets = new Int32Array(fieldCount).fill(-1)
    for (const [i, column] of projected.entries()) this.targets[column] = i
  }

  /** Reads the record at `from` into the sink's row, undefined when that went well. `lines`: a line feed outside quotes ends it, else `to` does. */
  read(data: Uint8Array, from: number, to: number, lines: boolean, sink: RowSink): FlinkError | undefined {
    const { fieldCount, options } = this
    let at = from + markLength(data, from, to)
    this.comment = options.comments && isComment(data, at, to)
    if (this.comment) {
      this.next = lineEnd(data, at, to)
      return lines ? undefined : malformed('a message holds a comment only', from)
    }
    if (!lines && at === to) return malformed('the record is empty', from)
    sink.resetRow()
    for (let i = 0; ; i++) {
      const end = this.cell(data, at, to, lines)
      if (end < 0) {
        this.next = lines ? lineEnd(data, this.problemAt, to) : to
        return malformed(this.problem, this.problemAt)
      }
      const last = end >= to || data[end] !== options.delimiter
      const error = i < fieldCount ? this.put(data, i, sink) : this.surplus(at, last)
      if (error !== undefined) {
        this.next = lines ? this.recordEnd(data, end, to) : to
        return error
      }
      if (last) return this.end(data, end, to, lines, i + 1, from, sink)
      at = end + 1
    }
  }

  /** One empty value too many is a delimiter at the end of the line. */
  private surplus(at: number, last: boolean): FlinkError | undefined {
    return last && this.cellFrom === this.cellTo && !this.cellQuoted ? undefined : malformed(`the record has more than ${this.fieldCount} values`, at)
  }

  private end(data: Uint8Array, at: number, to: number, lines: boolean, count: number, from: number, sink: RowSink): FlinkError | undefined {
    this.next = lines ? lineEnd(data, at, to) : to
    for (let i = count; i < this.fieldCount; i++) {
      if (!this.options.ignoreParseErrors) return malformed(`the record has ${count} values, not ${this.fieldCount}`, from)
      const target = this.targets[i]!
      if (target >= 0) sink.columns[target]!.setNull(sink.count)
    }
    sink.count++
    return undefined
  }

  private recordEnd(data: Uint8Array, from: number, to: number): number {
    let at = from
    while (at < to && data[at] === this.options.delimiter) {
      at = this.cell(data, at + 1, to, true)
      if (at < 0) return lineEnd(data, this.problemAt, to)
    }
    return lineEnd(data, at, to)
  }

  /** The cell at `from`; answers the delimiter or line end behind it, -1 = malformed. */
  private cell(data: Uint8Array, from: number, to: number, lines: boolean): number {
    const { quote } = this.options
    this.cellEscaped = false
    this.cellQuoted = from < to && data[from] === quote
    return this.cellQuoted ? this.quoted(data, from + 1, to, lines) : this.plain(data, from, to, lines)
  }

  private plain(data: Uint8Array, from: number, to: number, lines: boolean): number {
    const { delimiter, escaping } = this.options
    let bits = 0
    let at = from
    for (; at < to; at++) {
      const byte = data[at]!
      if (byte === delimiter) break
      if (byte === LF && lines) break
      if (byte === CR && isLineEnd(data, at, to, lines)) break
      if (byte === LF || byte === CR) return this.fail('a line end stands in a value without quotes', at)
      if (byte === escaping) {
        this.cellEscaped = true
        at++
        if (at >= to) return this.fail('an escape ends early', at)
      }
      bits |= data[at]!
    }
    return this.found(data, from, at, at, bits)
  }

  private quoted(data: Uint8Array, from: number, to: number, lines: boolean): number {
    const { quote, escaping, delimiter } = this.options
    let bits = 0
    let at = from
    for (; at < to; at++) {
      const byte = data[at]!
      if (byte === quote) {
        if (at + 1 >= to || data[at + 1] !== quote) break
        this.cellEscaped = true
        at++
      } else if (byte === escaping) {
        this.cellEscaped = true
        at++
      }
      bits |= byte
    }
    if (at >= to) return this.fail('a closing quote is missing', from - 1)
    const cellTo = at
    at++
    while (at < to && data[at] === 32 && delimiter !== 32) at++
    if (at < to && data[at] !== delimiter && !(data[at] === LF && lines) && !isLineEnd(data, at, to, lines))
      return this.fail('something stands behind a closing quote', at)
    return this.found(data, from, cellTo, at, bits)
  }

  private found(data: Uint8Array, from: number, to: number, end: number, bits: number): number {
    if (bits > 127 && !isUtf8(data, from, to)) return this.fail('a value is not UTF-8', from)
    this.cellFrom = from
    this.cellTo = to
    return end
  }

  private fail(problem: string, at: number): number {
    this.problem = problem
    this.problemAt = at
    return -1
  }

  private put(data: Uint8Array, index: number, sink: RowSink): FlinkError | undefined {
    const target = this.targets[index]!
    if (target < 0) return undefined
    const column = sink.columns[target]!
    const field = this.fields[target]!
    const { cellEscaped: aside, options } = this
    const source = aside ? this.unescaped(data, this.cellFrom, this.cellTo) : data
    const from = aside ? 0 : this.cellFrom
    const to = aside ? source.length : this.cellTo
    if (options.nullLiteral !== undefined && sameBytes(source, from, to, options.nullLiteral)) {
      column.setNull(sink.count)
      return undefined
    }
    if (putCsvValue(field, column, sink.count, source, from, to, aside)) return undefined
    if (options.ignoreParseErrors) {
      column.setNull(sink.count)
      return undefined
    }
    const shown = JSON.stringify(utf8Text(source, from, Math.min(to, from + 40)))
    return new FlinkError('MALFORMED_RECORD', `csv record: column ${field.name} of type ${field.typeText} cannot be ${shown}`, {
      column: field.name,
      offset: this.cellFrom,
      kind: 'value',
    })
  }

  private unescaped(data: Uint8Array, from: number, to: number): Uint8Array {
    const { quote, escaping } = this.options
    const bytes = new Uint8Array(to - from)
    let out = 0
    for (let at = from; at < to; at++) {
      const byte = data[at]!
      if (byte === escaping) {
        const what = data[++at]!
        bytes[out++] = what === 48 ? 0 : what === 110 ? LF : what === 114 ? CR : what === 116 ? 9 : what
      } else {
        if (byte === quote && this.cellQuoted) at++
        bytes[out++] = byte
      }
    }
    return bytes.subarray(0, out)
  }
}

function malformed(problem: string, offset: number): FlinkError {
  return new FlinkError('MALFORMED_RECORD', `csv record does not parse: ${problem}`, { offset, kind: 'syntax' })
}

export function isComment(data: Uint8Array, from: number, to: number): boolean {
  let at = from
  while (at < to && data[at] === 32) at++
  return at < to && data[at] === 35
}

/** A CR that belongs to the line's end. */
function isLineEnd(data: Uint8Array, at: number, to: number, lines: boolean): boolean {
  if (data[at] === LF && !lines) return at + 1 === to
  return data[at] === CR && (at + 1 === to || (data[at + 1] === LF && (lines || at + 2 === to)))
}

/** Behind the next line feed. */
function lineEnd(data: Uint8Array, from: number, to: number): number {
  const at = data.indexOf(LF, from)
  return at < 0 || at >= to ? to : at + 1
}

function sameBytes(data: Uint8Array, from: number, to: number, wanted: Uint8Array): boolean {
  if (to - from !== wanted.length) return false
  for (let i = 0; i < wanted.length; i++) if (data[from + i] !== wanted[i]) return false
  return true
}

const LF = 10
const CR = 13
