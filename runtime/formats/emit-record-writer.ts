import { type Code, code, FunctionEmitter, SOURCE_SIZE_MAX } from '../codegen/emit.ts'
import type { ByteWriter } from '../common/bytes.ts'
import type { Column } from '../network/columns.ts'
import type { FormatField } from './column-type.ts'
import type { CsvOptions } from './csv-options.ts'
import type { FormatOrigin, Framing } from './format.ts'
import {
  DECIMAL_ROOM,
  DOUBLE_ROOM,
  INTEGER_ROOM,
  putBase64,
  putCsvText,
  putDate,
  putDecimal,
  putDouble,
  putFloat,
  putInt,
  putLong,
  putPlain,
  putTime,
  putTimestamp,
  TIME_ROOM,
} from './put-values.ts'
import { utf8Encoder } from './utf8.ts'
import { base64Text, keyBytes, strippedDecimalOfText, writeEscaped } from './write-values.ts'

/**
 * Writers of JSON and CSV records made for one schema: `function (columns, words, from, to, writer)` with the columns' arrays in
 * locals; `words` are columns of longs as pairs of ints, since a view costs more than a short record.
 *
 * - Bytes that are known when the function is made (keys, separators, quotes) are gathered over the borders of columns and stored four at a time.
 * - Room is asked for once a row, for everything but texts, and again with each text: nothing that is put looks at the end of the buffer.
 *
 * Invariant: what it writes, the interpreted writer (encoders.ts) writes.
 */
export type RecordWriter = (columns: readonly Column[], words: readonly Int32Array[], from: number, to: number, writer: ByteWriter) => void

export interface JsonWriterOptions {
  readonly iso: boolean
  readonly ignoreNullFields: boolean
  readonly plainDecimals: boolean
}

/** Undefined for tables so wide that one function would not be optimised. */
export function emitJsonWriter(fields: readonly FormatField[], options: JsonWriterOptions, framing: Framing, origin: FormatOrigin) {
  return new JsonWriterEmitter(fields, options, framing).build(origin)
}

export function emitCsvWriter(fields: readonly FormatField[], options: CsvOptions, framing: Framing, origin: FormatOrigin) {
  return new CsvWriterEmitter(fields, options, framing).build(origin)
}

abstract class RecordWriterEmitter {
  protected readonly e = new FunctionEmitter()
  protected readonly fields: readonly FormatField[]
  protected readonly framing: Framing
  protected readonly writer = this.e.fresh()
  protected readonly columns = this.e.fresh()
  protected readonly words = this.e.fresh()
  protected readonly from = this.e.fresh()
  protected readonly to = this.e.fresh()
  protected row: Code = code``
  protected out: Code = code``
  protected bytes: Code = code``
  private view: Code = code``
  private readonly arrays: ColumnCodes[] = []
  /** Bytes known by now that are not written yet. */
  private pending: number[] = []

  constructor(fields: readonly FormatField[], framing: Framing) {
    this.fields = fields
    this.framing = framing
  }

  /** Everything of a row but its texts. */
  protected abstract rowRoom(): number
  protected abstract writeRow(): void

  build(origin: FormatOrigin): RecordWriter | undefined {
    const { e } = this
    for (const [i, field] of this.fields.entries()) this.arrays.push(this.loadColumn(i, field))
    this.out = e.variable(code`${this.writer}.length`)
    this.bytes = e.variable(code`${this.writer}.bytes`)
    this.view = e.variable(code`${this.writer}.view`)
    this.row = e.variable(this.from)
    e.open(code`for (; ${this.row} < ${this.to}; ${this.row}++)`)
    this.ensure(code`${this.room}`)
    this.writeRow()
    if (this.framing === 'lines') this.put(LF)
    this.flush()
    e.close()
    e.line(code`${this.writer}.length = ${this.out}`)
    if (e.size > SOURCE_SIZE_MAX) return undefined
    return e.build<RecordWriter>(origin, [this.columns, this.words, this.from, this.to, this.writer]).run
  }

  private get room(): number {
    // Bytes are stored four at a time, so up to three more than there are.
    return this.rowRoom() + this.fields.length * VALUE_ROOM + 8
  }

  private loadColumn(index: number, field: FormatField): ColumnCodes {
    const { e } = this
    const column = e.define(code`${this.columns}[${index}]`)
    const validity = e.define(code`${column}.validity`)
    if (field.kind === 'bytes')
      return {
        validity,
        values: e.define(code`${column}.data`),
        starts: e.define(code`${column}.starts`),
        lengths: e.define(code`${column}.lengths`),
      }
    const values = e.define(field.kind === 'i64' ? code`${this.words}[${index}]` : code`${column}.values`)
    return { validity, values, starts: values, lengths: values }
  }

  protected put(...bytes: readonly number[]): void {
    this.pending.push(...bytes)
  }

  protected putAll(bytes: Uint8Array): void {
    this.pending.push(...bytes)
  }

  protected flush(): void {
    const { e, out, bytes, pending } = this
    this.pending = []
    if (pending.length === 0) return
    if (pending.length <= 2) {
      for (const byte of pending) e.line(code`${bytes}[${out}++] = ${byte}`)
      return
    }
    for (let i = 0; i < pending.length; i += 4) {
      const word = pending[i]! | ((pending[i + 1] ?? 0) << 8) | ((pending[i + 2] ?? 0) << 16) | ((pending[i + 3] ?? 0) << 24)
      e.line(code`${this.view}.setInt32(${out} + ${i}, ${word}, true)`)
    }
    e.line(code`${out} += ${pending.length}`)
  }

  protected isNull(column: number): Code {
    const { validity } = this.codes(column)
    return code`${validity} !== undefined && (${validity}[${this.row} >> 3] & (1 << (${this.row} & 7))) === 0`
  }

  protected codes(column: number): ColumnCodes {
    return this.arrays[column]!
  }

  /** Room for `count` bytes from `out` on. */
  protected ensure(count: Code): void {
    const { e, out, bytes, writer } = this
    e.open(code`if (${out} + ${count} > ${bytes}.length)`)
    e.line(code`${writer}.length = ${out}`)
    e.line(code`${writer}.reserve(${count})`)
    e.line(code`${bytes} = ${writer}.bytes`)
    e.line(code`${this.view} = ${writer}.view`)
    e.close()
  }

  /** Bounds of a text, with room for `factor` times its bytes and the rest of the row. */
  protected text(column: number, factor: number): { data: Code; start: Code; end: Code } {
    const { e } = this
    this.flush()
    const { values, starts, lengths } = this.codes(column)
    const start = e.define(code`${starts}[${this.row}]`)
    const end = e.define(code`${start} + ${lengths}[${this.row}]`)
    this.ensure(code`(${end} - ${start}) * ${factor} + ${this.room}`)
    return { data: values, start, end }
  }

  /** After a call that wrote by `writer` itself. */
  protected writtenBySelf(back: number): void {
    const { e } = this
    e.line(code`${this.out} = ${this.writer}.length - ${back}`)
    e.line(code`${this.bytes} = ${this.writer}.bytes`)
    e.line(code`${this.view} = ${this.writer}.view`)
    this.ensure(code`${this.room}`)
  }

  protected call(put: (bytes: Uint8Array, at: number, ...args: never[]) => number, ...args: readonly Code[]): void {
    const { e, out, bytes } = this
    this.flush()
    const list = args.reduce((before, arg) => code`${before}, ${arg}`, code`${bytes}, ${out}`)
    e.line(code`${out} = ${e.constant(put)}(${list})`)
  }

  /** BOOLEAN, integers and DECIMAL are the same in both formats. */
  protected number(column: number, field: FormatField, plain: boolean): void {
    const { e, row } = this
    const { values } = this.codes(column)
    switch (field.root) {
      case 'BOOLEAN':
        this.flush()
        e.open(code`if (${values}[${row}] === 1)`)
        this.putAll(ascii('true'))
        this.flush()
        e.otherwise()
        this.putAll(ascii('false'))
        this.flush()
        e.close()
        return
      case 'DECIMAL':
        if (field.kind === 'bytes') {
          const { data, start, end } = this.text(column, 1)
          e.line(code`${this.writer}.length = ${this.out}`)
          e.line(code`${e.constant(strippedDecimalOfText)}(${this.writer}, ${data}, ${start}, ${end}, ${field.scale}, ${e.constant(plain)})`)
          this.writtenBySelf(0)
          return
        }
        this.call(putDecimal, code`${values}[${row} * 2]`, code`${values}[${row} * 2 + 1]`, code`${field.scale}`, e.constant(plain))
        return
      case 'BIGINT':
        this.call(putLong, code`${values}[${row} * 2]`, code`${values}[${row} * 2 + 1]`)
        return
      default:
        this.call(putInt, code`${values}[${row}]`)
    }
  }

  protected double(column: number, field: FormatField): void {
    this.call(field.root === 'FLOAT' ? putFloat : putDouble, code`${this.codes(column).values}[${this.row}]`)
  }

  protected timestamp(column: number, field: FormatField, separator: number): void {
    this.call(putTimestamp, code`${this.codes(column).values}[${this.row}]`, code`${separator}`)
    if (field.root === 'TIMESTAMP_LTZ') this.put(CAPITAL_Z)
  }
}

interface ColumnCodes {
  readonly validity: Code
  /** Longs by their words, texts and bytes as the data that `starts` and `lengths` point into. */
  readonly values: Code
  readonly starts: Code
  readonly lengths: Code
}

class JsonWriterEmitter extends RecordWriterEmitter {
  private readonly options: JsonWriterOptions

  constructor(fields: readonly FormatField[], options: JsonWriterOptions, framing: Framing) {
    super(fields, framing)
    this.options = options
  }

  protected rowRoom(): number {
    return this.fields.reduce((sum, { name }) => sum + keyBytes(name, ',').length + 8, 4)
  }

  protected writeRow(): void {
    const { e } = this
    const first = this.options.ignoreNullFields ? e.variable(code`true`) : undefined
    for (const [i, field] of this.fields.entries()) {
      const key = keyBytes(field.name, '')
      if (first === undefined) {
        this.put(i === 0 ? OPEN_BRACE : COMMA)
        this.putAll(key)
        this.flush()
        e.open(code`if (${this.isNull(i)})`)
        this.putAll(ascii('null'))
        this.flush()
        e.otherwise()
      } else {
        this.flush()
        e.open(code`if (!(${this.isNull(i)}))`)
        e.line(code`${this.bytes}[${this.out}++] = ${first} ? ${OPEN_BRACE} : ${COMMA}`)
        e.line(code`${first} = false`)
        this.putAll(key)
      }
      this.value(i, field)
      this.flush()
      e.close()
    }
    if (first !== undefined) e.line(code`if (${first}) ${this.bytes}[${this.out}++] = ${OPEN_BRACE}`)
    else if (this.fields.length === 0) this.put(OPEN_BRACE)
    this.put(CLOSE_BRACE)
  }

  private value(column: number, field: FormatField): void {
    const { e } = this
    switch (field.root) {
      case 'STRING': {
        this.put(QUOTE)
        const { data, start, end } = this.text(column, 1)
        const count = e.define(code`${e.constant(putPlain)}(${this.bytes}, ${this.out}, ${data}, ${start}, ${end})`)
        e.line(code`${this.out} += ${count}`)
        e.open(code`if (${start} + ${count} < ${end})`)
        e.line(code`${this.writer}.length = ${this.out}`)
        e.line(code`${e.constant(writeEscaped)}(${this.writer}, ${data}, ${start} + ${count}, ${end})`)
        // The closing quote stands there already, and is put again with what follows.
        this.writtenBySelf(1)
        e.close()
        this.put(QUOTE)
        return
      }
      case 'BYTES': {
        this.put(QUOTE)
        const { data, start, end } = this.text(column, 2)
        this.call(putBase64, data, start, end)
        this.put(QUOTE)
        return
      }
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ':
        this.put(QUOTE)
        this.timestamp(column, field, this.options.iso ? CAPITAL_T : BLANK)
        this.put(QUOTE)
        return
      case 'DATE':
      case 'TIME':
        this.put(QUOTE)
        this.call(field.root === 'DATE' ? putDate : putTime, code`${this.codes(column).values}[${this.row}]`)
        this.put(QUOTE)
        return
      case 'FLOAT':
      case 'DOUBLE': {
        this.flush()
        // What is no number for JSON is a text.
        const finite = e.define(code`Number.isFinite(${this.codes(column).values}[${this.row}])`)
        e.line(code`if (!${finite}) ${this.bytes}[${this.out}++] = ${QUOTE}`)
        this.double(column, field)
        e.line(code`if (!${finite}) ${this.bytes}[${this.out}++] = ${QUOTE}`)
        return
      }
      default:
        this.number(column, field, this.options.plainDecimals)
    }
  }
}

class CsvWriterEmitter extends RecordWriterEmitter {
  private readonly options: CsvOptions

  constructor(fields: readonly FormatField[], options: CsvOptions, framing: Framing) {
    super(fields, framing)
    this.options = options
  }

  protected rowRoom(): number {
    return this.fields.length * ((this.options.nullLiteral?.length ?? 0) + 4)
  }

  protected writeRow(): void {
    const { e } = this
    for (const [i, field] of this.fields.entries()) {
      if (i > 0) this.put(this.options.delimiter)
      this.flush()
      if (this.options.nullLiteral === undefined || this.options.nullLiteral.length === 0) {
        e.open(code`if (!(${this.isNull(i)}))`)
      } else {
        e.open(code`if (${this.isNull(i)})`)
        this.putAll(this.options.nullLiteral)
        this.flush()
        e.otherwise()
      }
      this.value(i, field)
      this.flush()
      e.close()
    }
  }

  private value(column: number, field: FormatField): void {
    const { e, options, row } = this
    const quote = () => {
      if (options.quote >= 0) this.put(options.quote)
    }
    switch (field.root) {
      case 'STRING': {
        const { data, start, end } = this.text(column, 2)
        this.csvText(data, start, end)
        return
      }
      case 'BYTES': {
        const { data, start, end } = this.text(column, 3)
        const text = e.define(code`${e.constant(base64Bytes)}(${data}, ${start}, ${end})`)
        this.csvText(text, code`0`, code`${text}.length`)
        return
      }
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ':
        quote()
        this.timestamp(column, field, BLANK)
        quote()
        return
      case 'DATE':
      case 'TIME': {
        this.flush()
        const scratch = e.constant(new Uint8Array(TIME_ROOM))
        const put = e.constant(field.root === 'DATE' ? putDate : putTime)
        const end = e.define(code`${put}(${scratch}, 0, ${this.codes(column).values}[${row}])`)
        this.csvText(scratch, code`0`, end)
        return
      }
      case 'FLOAT':
      case 'DOUBLE':
        this.double(column, field)
        return
      default:
        this.number(column, field, options.plainDecimals)
    }
  }

  private csvText(data: Code, start: Code, end: Code): void {
    const { delimiter, quote, escaping } = this.options
    const safeMin = Math.max(delimiter, quote, CR, escaping) + 1
    this.call(putCsvText, data, start, end, code`${safeMin}`, code`${quote}`, code`${escaping}`)
  }
}

function base64Bytes(data: Uint8Array, from: number, to: number): Uint8Array {
  return utf8Encoder.encode(base64Text(data, from, to))
}

function ascii(text: string): Uint8Array {
  return utf8Encoder.encode(text)
}

/** The largest value that is no text, with quotes; texts in quotes of CSV that are made aside (times) twice. */
const VALUE_ROOM = Math.max(INTEGER_ROOM, DECIMAL_ROOM, DOUBLE_ROOM, TIME_ROOM) * 2 + 4

const LF = 10
const CR = 13
const QUOTE = 34
const BLANK = 32
const COMMA = 44
const CAPITAL_T = 84
const CAPITAL_Z = 90
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
