import { type Code, code, FunctionEmitter } from '../codegen/emit.ts'
import { utf8Text } from '../common/utf8.ts'
import type { FormatField } from './column-type.ts'
import type { FormatOrigin } from './format.ts'
import { integerDigitsOf, longAt, powersOfTen } from './number-text.ts'
import type { RowSink } from './row-sink.ts'

/**
 * What the emitters of record readers share: `function (data, view, from, to, sink)` with the sink's arrays in locals, a position `p`, and numbers
 * read in place. A statement that meets anything unusual leaves the loop by `break record`: the general reader looks at that record.
 */
export type RecordReader = (data: Uint8Array, view: DataView, from: number, to: number, sink: RowSink) => number

export const noCode = code``

const ONES = 0x01010101
const BLANKS = 0x20202020
const HIGH_BITS = 0x80808080 | 0

export abstract class RecordReaderEmitter {
  protected readonly e = new FunctionEmitter()
  protected readonly data = this.e.fresh()
  protected readonly view = this.e.fresh()
  protected readonly from = this.e.fresh()
  protected readonly to = this.e.fresh()
  protected readonly sink = this.e.fresh()
  protected row: Code = noCode
  protected p: Code = noCode
  protected c: Code = noCode
  private readonly fields: readonly FormatField[]
  private readonly arrays: Code[] = []
  private readonly lengths: Code[] = []
  private readonly words: Code[] = []
  private readonly validities: Code[] = []

  constructor(fields: readonly FormatField[]) {
    this.fields = fields
  }

  build(origin: FormatOrigin): RecordReader {
    return this.e.build<RecordReader>(origin, [this.data, this.view, this.from, this.to, this.sink]).run
  }

  /**
   * Moves `p` over bytes that are neither `stop` nor `other`, no control character and ASCII, four at a time, up to the first byte that is; the last
   * few bytes before `to` are left to the loop behind. Subtracting one from a byte that is 0 sets its high bit: a byte equal to the stop is found
   * that way. What it borrows makes only higher bytes look like one, so the lowest mark is right. bench: bench/micro/formats.ts
   */
  protected skipPlain(stop: number, other: number): void {
    const { e, p, to, view } = this
    const word = e.variable(code`0`)
    const is = (byte: number) => code`(${word} ^ ${byte * ONES}) - ${ONES}`
    e.open(code`while (${p} + 4 <= ${to})`)
    e.line(code`${word} = ${view}.getInt32(${p}, true)`)
    e.line(code`${word} = ((${is(stop)} | ${is(other)} | ${word} - ${BLANKS}) & ~${word} | ${word}) & ${HIGH_BITS}`)
    e.open(code`if (${word} !== 0)`)
    e.line(code`${p} += (31 - Math.clz32(${word} & -${word})) >> 3`)
    e.line(code`break`)
    e.close()
    e.line(code`${p} += 4`)
    e.close()
  }

  protected lengthsOf(column: number): Code {
    return this.lengths[column] ?? noCode
  }

  protected loadColumns(): void {
    const { e } = this
    for (const [i, field] of this.fields.entries()) {
      const column = e.define(code`${this.sink}.columns[${i}]`)
      this.arrays.push(e.define(arrayOf(column, field)))
      this.lengths.push(field.kind === 'bytes' ? e.define(code`${column}.lengths`) : noCode)
      this.words.push(field.kind === 'i64' ? e.define(code`${column}.words`) : noCode)
      this.validities.push(e.define(code`${column}.validity`))
    }
  }

  protected setNull(column: number): void {
    this.e.line(code`${this.validities[column] ?? noCode}[${this.row} >> 3] &= ~(1 << (${this.row} & 7))`)
  }

  protected array(column: number): Code {
    return this.arrays[column] ?? noCode
  }

  /** Sign and digits; answers sign, start of the digits, value. Leaves `p` behind them. */
  protected digits(): { negative: Code; start: Code; value: Code } {
    const { e, p, c, data, to } = this
    const negative = e.define(code`${p} < ${to} && ${data}[${p}] === 45`)
    e.line(code`if (${negative}) ${p}++`)
    const start = e.define(p)
    const value = e.variable(code`0`)
    e.line(code`while (${p} < ${to} && (${c} = (${data}[${p}] - 48) >>> 0) <= 9) { ${value} = ${value} * 10 + ${c}; ${p}++ }`)
    e.line(code`if (${p} === ${start} || (${p} - ${start} > 1 && ${data}[${start}] === 48)) break record`)
    return { negative, start, value }
  }

  /** The digits behind a point, if there is one; answers how many. */
  protected fraction(value: Code): Code {
    const { e, p, c, data, to } = this
    const count = e.variable(code`0`)
    e.open(code`if (${p} < ${to} && ${data}[${p}] === 46)`)
    const first = e.define(code`++${p}`)
    e.line(code`while (${p} < ${to} && (${c} = (${data}[${p}] - 48) >>> 0) <= 9) { ${value} = ${value} * 10 + ${c}; ${p}++ }`)
    e.line(code`${count} = ${p} - ${first}`)
    e.line(code`if (${count} === 0) break record`)
    e.close()
    return count
  }

  protected integer(column: number, field: FormatField): void {
    const { e, p, data, row } = this
    const { negative, start, value } = this.digits()
    const array = this.array(column)
    if (field.root !== 'BIGINT') {
      const max = { TINYINT: 127, SMALLINT: 32_767, INT: 2_147_483_647 }[field.root as string] ?? 0
      e.line(code`if (${p} - ${start} > ${integerDigitsOf(max)} || ${value} > ${max} + (${negative} ? 1 : 0)) break record`)
      e.line(code`${array}[${row}] = ${negative} ? -${value} : ${value}`)
      return
    }
    e.open(code`if (${p} - ${start} <= 15)`)
    this.storeWords(column, negative, value)
    e.otherwise()
    e.line(code`if (!${e.constant(longAt)}(${array}, ${row}, ${data}, ${start}, ${p}, ${negative})) break record`)
    e.close()
  }

  protected storeWords(column: number, negative: Code, value: Code): void {
    const { e, row } = this
    const words = this.words[column] ?? noCode
    const signed = e.define(code`${negative} ? -${value} : ${value}`)
    e.line(code`${words}[${row} * 2] = ${signed}`)
    e.line(code`${words}[${row} * 2 + 1] = ${signed} >= 0 && ${signed} <= 2147483647 ? 0 : Math.floor(${signed} / 4294967296)`)
  }

  protected double(column: number, field: FormatField): void {
    const { e, p, data, row, to } = this
    const { negative, start, value } = this.digits()
    const count = this.fraction(value)
    const result = e.variable(code`0`)
    // Up to 15 digits both parts of the quotient are exact, so it is rounded once.
    e.open(code`if (${p} - ${start} <= 15)`)
    e.line(code`${result} = ${count} === 0 ? ${value} : ${value} / ${e.constant(powersOfTen)}[${count}]`)
    e.otherwise()
    e.line(code`if (${p} - ${start} > 300 || (${p} < ${to} && (${data}[${p}] | 32) === 101)) break record`)
    e.line(code`${result} = Number(${e.constant(utf8Text)}(${data}, ${start}, ${p}))`)
    e.close()
    const signed = code`${negative} ? -${result} : ${result}`
    e.line(code`${this.array(column)}[${row}] = ${field.root === 'FLOAT' ? code`Math.fround(${signed})` : signed}`)
  }

  protected decimal(column: number, field: FormatField): void {
    const { e, p } = this
    const { negative, start, value } = this.digits()
    const count = this.fraction(value)
    const { scale, precision } = field
    e.line(code`if (${count} > ${scale} || ${p} - ${start} + ${scale} - ${count} > 15) break record`)
    const unscaled = e.define(code`${value} * ${e.constant(powersOfTen)}[${scale} - ${count}]`)
    if (precision < 16) e.line(code`if (${unscaled} >= ${10 ** precision}) break record`)
    this.storeWords(column, negative, unscaled)
  }
}

function arrayOf(column: Code, field: FormatField): Code {
  switch (field.kind) {
    case 'bool':
      return code`${column}.bools`
    case 'i32':
      return code`${column}.ints`
    case 'f64':
      return code`${column}.doubles`
    case 'i64':
      return code`${column}.longs`
    case 'bytes':
      return code`${column}.starts`
  }
}
