import { type Code, code, join, SOURCE_SIZE_MAX } from '../codegen/emit.ts'
import type { FormatField } from './column-type.ts'
import { type RecordReader, RecordReaderEmitter } from './emit-record-reader.ts'
import type { FormatOrigin, Framing } from './format.ts'
import type { JsonReader } from './json-reader.ts'
import { BACKSLASH, INTEGER, NULL, QUOTE, STRING } from './json-scan.ts'
import { type JsonTemplate, NO_VALUE, SKIPPED } from './json-template.ts'
import { quotedDate, quotedTimestamp, shortIntegerEnd, textEnd } from './number-text.ts'
import { millisecondTimestamp } from './time-text.ts'

/**
 * A reader of records of one look, made of a template: keys are compared four bytes at a time, values read in place. It takes records from `from`
 * on while they fit and answers the start of the first one that does not (or `to`, or where the sink is full); rows it took are counted in the sink,
 * what a half-read record left in the sink's row is the caller's to reset.
 *
 * Invariant: what it takes, JsonReader takes with the same values (json-decoder.test.ts).
 */
export type JsonTemplateReader = RecordReader

/** Undefined when the function would be too large. */
export function emitJsonReader(template: JsonTemplate, reader: JsonReader, framing: Framing, origin: FormatOrigin): JsonTemplateReader | undefined {
  const emitter = new JsonReaderEmitter(reader, framing)
  if (!emitter.emit(template)) return undefined
  return emitter.build(origin)
}

class JsonReaderEmitter extends RecordReaderEmitter {
  private readonly reader: JsonReader
  private readonly framing: Framing

  constructor(reader: JsonReader, framing: Framing) {
    super(reader.fields)
    this.reader = reader
    this.framing = framing
  }

  emit(template: JsonTemplate): boolean {
    const { e, to } = this
    this.loadColumns()
    const at = e.variable(code`${this.from}`)
    this.row = e.variable(code`${this.sink}.count`)
    const capacity = e.define(code`${this.sink}.capacity`)
    this.p = e.variable(code`0`)
    this.c = e.variable(code`0`)
    e.open(code`record: while (${this.row} < ${capacity} && ${at} < ${to})`)
    e.line(code`${this.p} = ${at}`)
    // Values that are read by the general reader go to the sink's row.
    e.line(code`${this.sink}.count = ${this.row}`)
    for (const part of template.parts) {
      this.literal(part.literal)
      if (part.column === SKIPPED) this.skip(part.kind)
      else if (part.column !== NO_VALUE) this.value(part.column)
      if (e.size > SOURCE_SIZE_MAX) return false
    }
    this.end()
    for (const column of template.missing) this.setNull(column)
    e.line(code`${at} = ${this.p}`)
    e.line(code`${this.row}++`)
    e.close()
    e.line(code`${this.sink}.count = ${this.row}`)
    e.line(code`return ${at}`)
    return e.size <= SOURCE_SIZE_MAX
  }

  private literal(bytes: Uint8Array): void {
    const { e, p, view, data, to } = this
    const { length } = bytes
    if (length === 0) return
    const words = new DataView(bytes.buffer, bytes.byteOffset, length)
    const checks = [code`${p} + ${length} <= ${to}`]
    if (length < 4) {
      for (let i = 0; i < length; i++) checks.push(code`${data}[${p} + ${i}] === ${bytes[i] ?? 0}`)
    } else {
      for (let i = 0; i + 4 <= length; i += 4) checks.push(code`${view}.getInt32(${p} + ${i}, true) === ${words.getInt32(i, true)}`)
      if (length % 4 !== 0) checks.push(code`${view}.getInt32(${p} + ${length - 4}, true) === ${words.getInt32(length - 4, true)}`)
    }
    e.line(code`if (!(${join(checks, ' && ')})) break record`)
    e.line(code`${p} += ${length}`)
  }

  private end(): void {
    const { e, p, to, data } = this
    if (this.framing === 'message') {
      e.line(code`if (${p} !== ${to}) break record`)
      return
    }
    e.open(code`if (${p} < ${to})`)
    e.line(code`if (${data}[${p}] !== 10) break record`)
    e.line(code`${p}++`)
    e.close()
  }

  /** Scans the value by the general scanner; nothing that spans lines. */
  private skip(kind: number): void {
    const { e, p, data, to } = this
    const scanner = e.constant(this.reader.scanner)
    if (kind === STRING) {
      e.line(code`if (${p} >= ${to} || ${data}[${p}] !== ${QUOTE}) break record`)
      const opening = e.define(p)
      e.line(code`${p}++`)
      this.skipPlain(QUOTE, BACKSLASH)
      const end = this.closingQuote()
      e.open(code`if (${end} >= 0)`)
      e.line(code`${p} = ${end} + 1`)
      e.otherwise()
      e.line(code`${p} = ${opening}`)
      this.scan(scanner)
      e.close()
    } else if (kind === NULL) {
      e.open(code`if (${p} + 4 <= ${to} && ${this.view}.getInt32(${p}, true) === ${NULL_WORD})`)
      e.line(code`${p} += 4`)
      e.otherwise()
      this.scan(scanner)
      e.close()
    } else if (kind === INTEGER) {
      const short = e.define(code`${e.constant(shortIntegerEnd)}(${data}, ${p}, ${to})`)
      e.open(code`if (${short} >= 0)`)
      e.line(code`${p} = ${short}`)
      e.otherwise()
      this.scan(scanner)
      e.close()
    } else {
      this.scan(scanner)
    }
  }

  /** Of a string whose plain beginning was skipped; -1 where it goes on otherwise. Found at once in nearly all: then no other byte is looked at. */
  private closingQuote(): Code {
    const { e, p, data, to } = this
    return e.define(code`${p} < ${to} && ${data}[${p}] === ${QUOTE} ? ${p} : ${e.constant(textEnd)}(${data}, ${p}, ${to})`)
  }

  private scan(scanner: Code): void {
    const { e, p } = this
    const start = e.define(p)
    e.line(code`${p} = ${scanner}.value(${p}, 1)`)
    e.line(code`if (${p} < 0) break record`)
    this.withinLine(start)
  }

  /** The scanner goes up to the end of the page: what it took must not span lines. */
  private withinLine(start: Code): void {
    const { e, p, data } = this
    if (this.framing === 'lines') e.line(code`if (${e.constant(hasLineFeed)}(${data}, ${start}, ${p})) break record`)
  }

  private value(column: number): void {
    const { e, p, view, to } = this
    const field = this.reader.fields[column]
    if (field === undefined) return
    e.open(code`if (${p} + 4 <= ${to} && ${view}.getInt32(${p}, true) === ${NULL_WORD})`)
    e.line(code`${p} += 4`)
    this.setNull(column)
    e.otherwise()
    switch (field.root) {
      case 'TINYINT':
      case 'SMALLINT':
      case 'INT':
      case 'BIGINT':
        this.integer(column, field)
        break
      case 'FLOAT':
      case 'DOUBLE':
        this.double(column, field)
        break
      case 'DECIMAL':
        if (field.kind === 'i64') this.decimal(column, field)
        else this.general(column)
        break
      case 'BOOLEAN':
        this.boolean(column)
        break
      case 'STRING':
        this.text(column)
        break
      case 'DATE':
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ':
        this.time(column, field)
        break
      case 'TIME':
      case 'BYTES':
        this.general(column)
        break
    }
    e.close()
  }

  private general(column: number): void {
    const { e, p } = this
    const start = e.define(p)
    e.line(code`${p} = ${e.constant(this.reader)}.readValue(${column}, ${p}, ${this.sink})`)
    e.line(code`if (${p} < 0) break record`)
    this.withinLine(start)
  }

  private boolean(column: number): void {
    const { e, p, to, view, row } = this
    const array = this.array(column)
    e.line(code`if (${p} + 5 > ${to}) break record`)
    e.open(code`if (${view}.getInt32(${p}, true) === ${TRUE_WORD})`)
    e.line(code`${p} += 4`)
    e.line(code`${array}[${row}] = 1`)
    e.otherwise()
    e.line(code`if (${view}.getInt32(${p} + 1, true) !== ${ALSE_WORD} || ${this.data}[${p}] !== 102) break record`)
    e.line(code`${p} += 5`)
    e.line(code`${array}[${row}] = 0`)
    e.close()
  }

  private time(column: number, field: FormatField): void {
    const { e, p, data, to } = this
    const iso = this.reader.options.timestampStandard === 'ISO-8601'
    const zulu = field.root === 'TIMESTAMP_LTZ'
    e.line(code`if (${p} >= ${to} || ${data}[${p}] !== ${QUOTE}) break record`)
    const time = e.variable(code`NaN`)
    const store = code`${this.array(column)}[${this.row}] = ${time}`
    const usual = field.root === 'TIMESTAMP' && !iso
    if (usual) {
      e.line(
        code`if (${p} + 25 <= ${to} && ${data}[${p} + 24] === ${QUOTE}) ${time} = ${e.constant(millisecondTimestamp)}(${data}, ${this.view}, ${p} + 1)`,
      )
      e.open(code`if (${time} === ${time})`)
      e.line(store)
      e.line(code`${p} += 25`)
      e.otherwise()
    }
    const end = e.define(code`${e.constant(textEnd)}(${data}, ${p} + 1, ${to})`)
    e.line(code`if (${end} < 0) break record`)
    if (field.root === 'DATE') e.line(code`${time} = ${e.constant(quotedDate)}(${data}, ${p} + 1, ${end})`)
    else e.line(code`${time} = ${e.constant(quotedTimestamp)}(${data}, ${p} + 1, ${end}, ${e.constant(iso)}, ${e.constant(zulu)})`)
    e.line(code`if (${time} !== ${time}) break record`)
    e.line(store)
    e.line(code`${p} = ${end} + 1`)
    if (usual) e.close()
  }

  private text(column: number): void {
    const { e, p, data, to, row } = this
    e.line(code`if (${p} >= ${to} || ${data}[${p}] !== ${QUOTE}) break record`)
    const start = e.define(code`++${p}`)
    this.skipPlain(QUOTE, BACKSLASH)
    const end = this.closingQuote()
    e.open(code`if (${end} >= 0)`)
    e.line(code`${this.array(column)}[${row}] = ${start}`)
    e.line(code`${this.lengthsOf(column)}[${row}] = ${end} - ${start}`)
    e.line(code`${p} = ${end} + 1`)
    e.otherwise()
    e.line(code`${p} = ${start} - 1`)
    this.general(column)
    e.close()
  }
}

function hasLineFeed(data: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (data[at] === 10) return true
  return false
}

function wordOf(text: string): number {
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16) | (text.charCodeAt(3) << 24)
}

const NULL_WORD = wordOf('null')
const TRUE_WORD = wordOf('true')
const ALSE_WORD = wordOf('alse')
