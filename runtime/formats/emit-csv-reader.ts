import { code, SOURCE_SIZE_MAX } from '../codegen/emit.ts'
import type { FormatField } from './column-type.ts'
import type { CsvOptions } from './csv-options.ts'
import { type RecordReader, RecordReaderEmitter } from './emit-record-reader.ts'
import type { FormatOrigin, Framing } from './format.ts'
import { quotedTimestamp } from './number-text.ts'
import { isUtf8 } from './utf8.ts'

/**
 * A reader of CSV records without quotes, escapes, comments and blanks around numbers: values are read in place, columns that nobody wants are
 * passed over. It takes records from `from` on while they are like that, and answers the start of the first one that is not.
 *
 * Invariant: what it takes, CsvReader takes with the same values.
 */
export type CsvLineReader = RecordReader

/** Undefined where only the general reader will do: a null literal may stand in any column, and very wide tables. */
export function emitCsvReader(
  fields: readonly FormatField[],
  projected: readonly number[],
  options: CsvOptions,
  framing: Framing,
  origin: FormatOrigin,
): CsvLineReader | undefined {
  const wanted = projected.map(index => fields[index]!)
  if (new Set(projected).size < projected.length || options.nullLiteral !== undefined) return undefined
  if (options.delimiter === 45 || options.delimiter === 46 || (options.delimiter >= 48 && options.delimiter <= 57)) return undefined
  const general = ['BYTES', 'TIME', 'DATE']
  if (wanted.some(field => general.includes(field.root) || (field.root === 'DECIMAL' && field.kind !== 'i64'))) return undefined
  const emitter = new CsvReaderEmitter(wanted, fields, projected, options, framing)
  return emitter.emit() ? emitter.build(origin) : undefined
}

class CsvReaderEmitter extends RecordReaderEmitter {
  private readonly table: readonly FormatField[]
  private readonly projected: readonly number[]
  private readonly options: CsvOptions
  private readonly framing: Framing

  constructor(wanted: readonly FormatField[], table: readonly FormatField[], projected: readonly number[], options: CsvOptions, framing: Framing) {
    super(wanted)
    this.table = table
    this.projected = projected
    this.options = options
    this.framing = framing
  }

  emit(): boolean {
    const { e, to, data } = this
    this.loadColumns()
    const at = e.variable(code`${this.from}`)
    this.row = e.variable(code`${this.sink}.count`)
    const capacity = e.define(code`${this.sink}.capacity`)
    this.p = e.variable(code`0`)
    this.c = e.variable(code`0`)
    const { p, row } = this
    e.open(code`record: while (${row} < ${capacity} && ${at} < ${to})`)
    e.line(code`${p} = ${at}`)
    // A comment, or the mark of a file's beginning.
    e.line(code`if (${data}[${p}] === 35 || ${data}[${p}] === 0xef) break record`)
    for (let i = 0; i < this.table.length; i++) {
      if (i > 0) {
        e.line(code`if (${p} >= ${to} || ${data}[${p}] !== ${this.options.delimiter}) break record`)
        e.line(code`${p}++`)
      }
      const target = this.projected.indexOf(i)
      if (target < 0) this.cell()
      else this.value(target, this.table[i])
      if (e.size > SOURCE_SIZE_MAX) return false
    }
    this.end()
    e.line(code`${at} = ${p}`)
    e.line(code`${row}++`)
    e.close()
    e.line(code`${this.sink}.count = ${row}`)
    e.line(code`return ${at}`)
    return e.size <= SOURCE_SIZE_MAX
  }

  private end(): void {
    const { e, p, to, data } = this
    if (this.framing === 'message') {
      e.line(code`if (${p} !== ${to}) break record`)
      return
    }
    e.open(code`if (${p} < ${to})`)
    e.line(code`if (${data}[${p}] === 13) ${p}++`)
    e.line(code`if (${p} >= ${to} || ${data}[${p}] !== 10) break record`)
    e.line(code`${p}++`)
    e.close()
  }

  /** A plain value; answers where it begins. */
  private cell() {
    const { e, p, c, data, to, options } = this
    const start = e.define(p)
    const bits = e.variable(code`0`)
    this.skipPlain(options.delimiter, Math.max(0, options.escaping))
    // In front of a first blank a comment may stand, behind it a quote does not count.
    e.open(code`while (${p} < ${to} && (${c} = ${data}[${p}]) !== ${options.delimiter} && ${c} !== 10 && ${c} !== 13)`)
    if (options.escaping >= 0) e.line(code`if (${c} === ${options.escaping}) break record`)
    e.line(code`${bits} |= ${c}`)
    e.line(code`${p}++`)
    e.close()
    if (options.quote >= 0) e.line(code`if (${p} > ${start} && ${data}[${start}] === ${options.quote}) break record`)
    if (options.comments) e.line(code`if (${data}[${start}] === 32) break record`)
    e.line(code`if (${bits} > 127 && !${e.constant(isUtf8)}(${data}, ${start}, ${p})) break record`)
    return start
  }

  private value(column: number, field: FormatField | undefined): void {
    const { e, p, row, data, to } = this
    switch (field?.root) {
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
        this.decimal(column, field)
        break
      case 'BOOLEAN':
        e.open(code`if (${p} + 4 <= ${to} && ${this.view}.getInt32(${p}, true) === ${0x65757274})`)
        e.line(code`${this.array(column)}[${row}] = 1`)
        e.line(code`${p} += 4`)
        e.otherwise()
        e.line(code`if (${p} + 5 > ${to} || ${this.view}.getInt32(${p}, true) !== ${0x736c6166} || ${data}[${p} + 4] !== 101) break record`)
        e.line(code`${this.array(column)}[${row}] = 0`)
        e.line(code`${p} += 5`)
        e.close()
        break
      case 'TIMESTAMP':
      case 'TIMESTAMP_LTZ': {
        const start = this.cell()
        const zulu = e.constant(field.root === 'TIMESTAMP_LTZ')
        const time = e.define(code`${e.constant(quotedTimestamp)}(${data}, ${start}, ${p}, false, ${zulu})`)
        e.line(code`if (${time} !== ${time}) break record`)
        e.line(code`${this.array(column)}[${row}] = ${time}`)
        break
      }
      default: {
        const start = this.cell()
        e.line(code`${this.array(column)}[${row}] = ${start}`)
        e.line(code`${this.lengthsOf(column)}[${row}] = ${p} - ${start}`)
      }
    }
  }
}
