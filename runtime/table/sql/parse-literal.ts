import type { Expression, IntervalQualifier, IntervalUnit, Position, TimeUnit } from './ast-expression.ts'
import { timeUnits } from './ast-expression.ts'
import type { TokenCursor } from './token-cursor.ts'

const temporalPatterns = {
  DATE: /^(\d{1,4})-(\d{1,2})-(\d{1,2})$/,
  TIME: /^()()()(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?$/,
  TIMESTAMP: /^(\d{1,4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?)?$/,
} as const

/** DATE '2024-02-29', TIME '12:00:00', TIMESTAMP '2024-02-29 12:00:00.123': a text that is none is an error here, not at run time. */
export function parseTemporalLiteral(cursor: TokenCursor, type: 'DATE' | 'TIME' | 'TIMESTAMP'): Expression {
  const pos = cursor.position
  cursor.advance()
  const at = cursor.position
  const text = cursor.string(`a ${type} in quotes`)
  if (!isTemporal(type, text)) {
    const pattern = { DATE: 'yyyy-MM-dd', TIME: 'HH:mm:ss', TIMESTAMP: 'yyyy-MM-dd HH:mm:ss' }[type]
    throw cursor.error(`'${text}' is no ${type}`, { expected: [pattern] }, at)
  }
  return { kind: 'temporal', pos, type, text }
}

function isTemporal(type: keyof typeof temporalPatterns, text: string): boolean {
  const match = temporalPatterns[type].exec(text.trim())
  if (match === null) return false
  const [, year, month, day, hour, minute, second] = match
  if (type !== 'TIME') {
    const date = new Date(Date.UTC(2000, Number(month) - 1, Number(day)))
    date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
    if (date.getUTCFullYear() !== Number(year) || date.getUTCMonth() + 1 !== Number(month) || date.getUTCDate() !== Number(day)) return false
  }
  return Number(hour ?? 0) < 24 && Number(minute ?? 0) < 60 && Number(second ?? 0) < 60
}

export function parseIntervalLiteral(cursor: TokenCursor): Expression {
  const pos = cursor.position
  cursor.advance()
  const negative = cursor.sees(0, '-')
  if (negative || cursor.sees(0, '+')) cursor.advance()
  const at = cursor.position
  if (cursor.token.kind !== 'string' && cursor.token.kind !== 'end') {
    if (cursor.token.kind === 'number' || cursor.sees(0, '(') || cursor.isName()) cursor.unsupported('an INTERVAL whose amount is no string', at)
  }
  const text = cursor.string("an amount in quotes, as '1'")
  const qualifier = parseIntervalQualifier(cursor)
  if (!isInterval(qualifier, text)) throw cursor.error(`'${text}' is no interval of ${qualifierName(qualifier)}`, {}, at)
  return { kind: 'interval', pos, negative, text, qualifier }
}

const intervalUnits: readonly IntervalUnit[] = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND']
const ends: Readonly<Record<IntervalUnit, readonly IntervalUnit[]>> = {
  YEAR: ['MONTH'],
  QUARTER: [],
  MONTH: [],
  WEEK: [],
  DAY: ['HOUR', 'MINUTE', 'SECOND'],
  HOUR: ['MINUTE', 'SECOND'],
  MINUTE: ['SECOND'],
  SECOND: [],
}

export function parseIntervalQualifier(cursor: TokenCursor): IntervalQualifier {
  const from = intervalUnit(cursor, intervalUnits)
  let precision: number | undefined
  let fraction: number | undefined
  if (cursor.acceptSymbol('(')) {
    precision = cursor.integer('a precision', 10)
    if (from === 'SECOND' && cursor.acceptSymbol(',')) fraction = cursor.integer('a precision', 9)
    cursor.expectSymbol(')')
  }
  if (ends[from].length === 0 || !cursor.accept('TO')) return { from, to: undefined, precision, fraction }
  const to = intervalUnit(cursor, ends[from])
  if (to === 'SECOND' && cursor.acceptSymbol('(')) {
    fraction = cursor.integer('a precision', 9)
    cursor.expectSymbol(')')
  }
  return { from, to, precision, fraction }
}

function intervalUnit(cursor: TokenCursor, units: readonly IntervalUnit[]): IntervalUnit {
  const found = units.find(unit => cursor.isWord(unit) || cursor.isPossible(`${unit}S`))
  if (found === undefined) return cursor.fail()
  cursor.advance()
  return found
}

const number = String.raw`\d+`
const seconds = String.raw`\d+(?:\.\d+)?`
const dayTimeParts: readonly IntervalUnit[] = ['DAY', 'HOUR', 'MINUTE', 'SECOND']
const separators: Readonly<Record<string, string>> = { HOUR: '\\s+', MINUTE: ':', SECOND: ':' }

function isInterval(qualifier: IntervalQualifier, text: string): boolean {
  const { from, to } = qualifier
  let pattern = from === 'SECOND' ? seconds : number
  if (to === 'MONTH') pattern += `-${number}`
  else if (to !== undefined)
    for (const unit of dayTimeParts.slice(dayTimeParts.indexOf(from) + 1, dayTimeParts.indexOf(to) + 1))
      pattern += `${separators[unit]}${unit === 'SECOND' ? seconds : number}`
  return new RegExp(`^\\s*[+-]?${pattern}\\s*$`).test(text)
}

export function qualifierName(qualifier: IntervalQualifier): string {
  const { from, to, precision, fraction } = qualifier
  const inSeconds = fraction === undefined ? '' : `(${fraction})`
  const leading = precision === undefined ? '' : from === 'SECOND' && fraction !== undefined ? `(${precision}, ${fraction})` : `(${precision})`
  return to === undefined ? `${from}${leading}` : `${from}${leading} TO ${to}${inSeconds}`
}

const unitNames = new Map<string, TimeUnit>(timeUnits.map(unit => [unit, unit]))
for (const unit of ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND'] as const) {
  unitNames.set(`SQL_TSI_${unit}`, unit)
  unitNames.set(`${unit}S`, unit)
}
unitNames.set('SQL_TSI_FRAC_SECOND', 'NANOSECOND').set('SQL_TSI_MICROSECOND', 'MICROSECOND').set('FRAC_SECOND', 'NANOSECOND')

/** DAY, HOUR, … where a function takes a unit. */
export function parseTimeUnit(cursor: TokenCursor): Expression {
  const pos: Position = cursor.position
  const unit = cursor.token.kind === 'word' ? unitNames.get(cursor.token.upper) : undefined
  if (unit === undefined) {
    for (const known of timeUnits) cursor.isPossible(known)
    cursor.expecting('a time unit')
    return cursor.fail()
  }
  cursor.advance()
  return { kind: 'unit', pos, unit }
}
