import { DAY_MS, parseDate, parseTime, parseTimestamp } from '../../common/civil.ts'
import type { Literal } from '../plan/expression.ts'
import type { IntervalLiteral, IntervalUnit, NumberLiteral, TemporalLiteral } from '../sql/ast-expression.ts'
import { notSupportedYet, planError } from './plan-error.ts'

export function literal(value: Literal['value'], type: string): Literal {
  return { kind: 'literal', value, type }
}

export function textLiteral(value: string): Literal {
  return literal(value, `CHAR(${[...value].length}) NOT NULL`)
}

const INT_MAX = 2n ** 31n
const LONG_MAX = 2n ** 63n

export function bindNumber({ text, pos }: NumberLiteral, negative: boolean): Literal {
  const sign = negative ? '-' : ''
  if (/[eE]/.test(text)) return literal(Number(sign + text), 'DOUBLE NOT NULL')
  const [whole = '', fraction] = text.split('.')
  if (fraction !== undefined) {
    const digits = `${whole}${fraction}`.replace(/^0+(?=\d)/, '')
    const precision = Math.max(digits.length, fraction.length, 1)
    if (precision > 38) throw planError(pos, `number ${text} has more than 38 digits`)
    return literal(`${sign}${whole === '' ? '0' : whole}.${fraction === '' ? '0' : fraction}`, `DECIMAL(${precision}, ${fraction.length}) NOT NULL`)
  }
  const value = BigInt(sign + whole)
  if (value >= -INT_MAX && value < INT_MAX) return literal(Number(value), 'INT NOT NULL')
  if (value >= -LONG_MAX && value < LONG_MAX) return literal(value.toString(), 'BIGINT NOT NULL')
  const precision = whole.replace(/^0+/, '').length
  if (precision > 38) throw planError(pos, `number ${text} has more than 38 digits`)
  return literal(value.toString(), `DECIMAL(${precision}, 0) NOT NULL`)
}

export function bindTemporal({ type, text, pos }: TemporalLiteral): Literal {
  const digits = /\.(\d+)/.exec(text)?.[1]?.length ?? 0
  if (digits > 3) throw notSupportedYet(pos, `a time of ${digits} fractional digits`)
  const value = type === 'DATE' ? parseDate(text) : type === 'TIME' ? parseTime(text) : parseTimestamp(text)
  if (value === undefined) throw planError(pos, `'${text}' is no ${type}`)
  return literal(value, `${type === 'DATE' ? 'DATE' : `${type}(${digits})`} NOT NULL`)
}

export const dayTimeInterval = 'INTERVAL DAY TO SECOND(3)'
export const yearMonthInterval = 'INTERVAL YEAR TO MONTH'

const unitSizes: Readonly<Record<IntervalUnit, number>> = {
  YEAR: 12,
  QUARTER: 3,
  MONTH: 1,
  WEEK: 7 * DAY_MS,
  DAY: DAY_MS,
  HOUR: 3_600_000,
  MINUTE: 60_000,
  SECOND: 1000,
}
const ranges: readonly (readonly IntervalUnit[])[] = [
  ['YEAR', 'MONTH'],
  ['DAY', 'HOUR', 'MINUTE', 'SECOND'],
]

export function bindInterval({ text, negative, qualifier, pos }: IntervalLiteral): Literal {
  const { from, to } = qualifier
  const wrong = () => planError(pos, `'${text}' is no INTERVAL ${from}${to === undefined ? '' : ` TO ${to}`}`)
  const range = ranges.find(units => units.includes(from)) ?? [from]
  const units = to === undefined ? [from] : range.slice(range.indexOf(from), range.indexOf(to) + 1)
  const match = /^\s*([+-]?)(.*?)\s*$/s.exec(text)
  const parts = (match?.[2] ?? '').split(/[ :-]/)
  if (parts.length !== units.length) throw wrong()
  let value = 0
  for (const [i, unit] of units.entries()) {
    const part = parts[i]!
    if (!(unit === 'SECOND' ? /^\d+(\.\d{1,9})?$/ : /^\d+$/).test(part)) throw wrong()
    if (unit === 'SECOND') {
      const [whole = '', fraction = ''] = part.split('.')
      value += Number(whole) * 1000 + Number(fraction.slice(0, 3).padEnd(3, '0'))
    } else {
      value += Number(part) * unitSizes[unit]
    }
  }
  const sign = (match?.[1] === '-') !== negative ? -1 : 1
  const months = from === 'YEAR' || from === 'QUARTER' || from === 'MONTH'
  return literal(value === 0 ? 0 : sign * value, `${months ? yearMonthInterval : dayTimeInterval} NOT NULL`)
}
