import {
  type DayTimeResolution,
  decimalPrecisionMax,
  type LogicalType,
  LogicalTypes,
  lengthMax,
  type RowField,
  withNullability,
} from '../types/logical-type.ts'
import type { Position } from './ast-expression.ts'
import type { TokenCursor } from './token-cursor.ts'

/** A type in a column, a CAST or a type's own text; `NOT NULL` and Flink's postfix `ARRAY` and `MULTISET` included. */
export function parseType(cursor: TokenCursor): LogicalType {
  let type = parseNullability(
    cursor,
    cursor.nested(() => parseTypeName(cursor)),
  )
  for (let depth = 0; ; depth++) {
    cursor.checkChain(depth * 20) // as deep as nesting may be
    if (cursor.isPossible('ARRAY')) type = { kind: 'ARRAY', element: type, nullable: true }
    else if (cursor.isPossible('MULTISET')) type = { kind: 'MULTISET', element: type, nullable: true }
    else return type
    cursor.advance()
    type = parseNullability(cursor, type)
  }
}

function parseNullability(cursor: TokenCursor, type: LogicalType): LogicalType {
  if (cursor.accept('NOT', 'NULL')) return withNullability(type, false)
  cursor.accept('NULL')
  return type
}

const simpleTypes: Readonly<Record<string, LogicalType>> = {
  BOOLEAN: LogicalTypes.BOOLEAN,
  TINYINT: LogicalTypes.TINYINT,
  SMALLINT: LogicalTypes.SMALLINT,
  INT: LogicalTypes.INT,
  INTEGER: LogicalTypes.INT,
  BIGINT: LogicalTypes.BIGINT,
  FLOAT: LogicalTypes.FLOAT,
  DATE: LogicalTypes.DATE,
  STRING: LogicalTypes.STRING,
  BYTES: LogicalTypes.BYTES,
  VARIANT: { kind: 'VARIANT', nullable: true },
}

/** Types that Calcite's grammar knows and Flink has not. */
const foreignTypes = ['BIT', 'BITMAP', 'BLOB', 'CLOB', 'DATETIME', 'NCHAR', 'NCLOB', 'NATIONAL', 'REAL', 'UUID', 'GEOMETRY', 'ANY']

function parseTypeName(cursor: TokenCursor): LogicalType {
  const { token, position } = cursor
  if (token.kind !== 'word') {
    cursor.expecting('a type')
    if (token.kind === 'quoted') return cursor.unsupported(`the type ${token.value}`)
    return cursor.fail()
  }
  const simple = Object.hasOwn(simpleTypes, token.upper) ? simpleTypes[token.upper] : undefined
  if (simple !== undefined) {
    cursor.advance()
    return simple
  }
  switch (token.upper) {
    case 'DOUBLE':
      cursor.advance()
      cursor.accept('PRECISION')
      return LogicalTypes.DOUBLE
    case 'CHAR':
    case 'CHARACTER':
      cursor.advance()
      return cursor.accept('VARYING') ? LogicalTypes.varchar(length(cursor)) : LogicalTypes.char(length(cursor))
    case 'VARCHAR':
      cursor.advance()
      return LogicalTypes.varchar(length(cursor))
    case 'BINARY':
      cursor.advance()
      if (cursor.accept('VARYING')) return { ...LogicalTypes.BYTES, length: length(cursor) }
      return LogicalTypes.binary(length(cursor))
    case 'VARBINARY':
      cursor.advance()
      return { ...LogicalTypes.BYTES, length: length(cursor) }
    case 'DEC':
    case 'DECIMAL':
    case 'NUMERIC':
      cursor.advance()
      return parseDecimal(cursor)
    case 'TIME':
      cursor.advance()
      return parseTime(cursor)
    case 'TIMESTAMP':
      cursor.advance()
      return parseTimestamp(cursor)
    case 'TIMESTAMP_LTZ':
      cursor.advance()
      return LogicalTypes.timestampLtz(fraction(cursor, 6))
    case 'INTERVAL':
      if (!cursor.intervalTypes) break
      cursor.advance()
      return parseIntervalType(cursor)
    case 'ARRAY':
    case 'MULTISET': {
      const kind = token.upper
      cursor.advance()
      const [element] = inAngles(cursor, () => cursor.grammar.type(cursor), 1)
      return element === undefined ? cursor.fail() : { kind, element, nullable: true }
    }
    case 'MAP': {
      if (!cursor.sees(1, '<')) break
      cursor.advance()
      const [key, value] = inAngles(cursor, () => cursor.grammar.type(cursor), 2)
      return key === undefined || value === undefined ? cursor.fail() : LogicalTypes.map(key, value)
    }
    case 'ROW':
      cursor.advance()
      return LogicalTypes.row(parseFields(cursor, position))
    case 'RAW':
      return parseRaw(cursor)
    case 'NULL':
      return cursor.unsupported('the type NULL')
  }
  if (foreignTypes.includes(token.upper)) return cursor.unsupported(`the type ${token.upper}`)
  // Offered to a misspelt name.
  for (const known of [...Object.keys(simpleTypes), 'DOUBLE', 'CHAR', 'VARCHAR', 'DECIMAL', 'TIMESTAMP', 'TIMESTAMP_LTZ', 'ARRAY', 'MAP', 'ROW'])
    cursor.isPossible(known)
  cursor.expecting('a type')
  return cursor.fail()
}

/** Without a length CHAR(1), VARCHAR(1), as in the standard. */
function length(cursor: TokenCursor): number {
  if (!cursor.acceptSymbol('(')) return 1
  const at = cursor.position
  const value = cursor.integer('a length', lengthMax)
  if (value === 0) throw cursor.error('a length is at least 1', {}, at)
  cursor.expectSymbol(')')
  return value
}

function fraction(cursor: TokenCursor, otherwise: number): number {
  if (!cursor.acceptSymbol('(')) return otherwise
  const value = cursor.integer('a precision', 9)
  cursor.expectSymbol(')')
  return value
}

function parseDecimal(cursor: TokenCursor): LogicalType {
  if (!cursor.acceptSymbol('(')) return LogicalTypes.decimal(10, 0)
  const at = cursor.position
  const precision = cursor.integer('a precision', decimalPrecisionMax)
  if (precision === 0) throw cursor.error('the precision of a DECIMAL is at least 1', {}, at)
  const scale = cursor.acceptSymbol(',') ? cursor.integer('a scale', precision) : 0
  cursor.expectSymbol(')')
  return LogicalTypes.decimal(precision, scale)
}

function parseTime(cursor: TokenCursor): LogicalType {
  const type = LogicalTypes.time(fraction(cursor, 0))
  if (cursor.accept('WITHOUT')) cursor.expect('TIME', 'ZONE')
  else if (cursor.isPossible('WITH')) cursor.unsupported('the type TIME WITH TIME ZONE')
  return type
}

function parseTimestamp(cursor: TokenCursor): LogicalType {
  const precision = fraction(cursor, 6)
  if (cursor.accept('WITHOUT')) cursor.expect('TIME', 'ZONE')
  else if (cursor.isPossible('WITH') && !cursor.sees(0, 'WITH', '(')) {
    if (!cursor.sees(1, 'LOCAL')) return cursor.unsupported('the type TIMESTAMP WITH TIME ZONE')
    cursor.expect('WITH', 'LOCAL', 'TIME', 'ZONE')
    return LogicalTypes.timestampLtz(precision)
  }
  return LogicalTypes.timestamp(precision)
}

const dayTimeUnits = ['DAY', 'HOUR', 'MINUTE', 'SECOND'] as const

function parseIntervalType(cursor: TokenCursor): LogicalType {
  const first = cursor.expectOneOf(['YEAR', 'MONTH', ...dayTimeUnits])
  if (first === 'MONTH' || first === 'YEAR') {
    const yearPrecision = first === 'YEAR' ? precisionOf(cursor, 2, 1, 4) : 2
    const toMonth = first === 'YEAR' && cursor.accept('TO')
    if (toMonth) cursor.expect('MONTH')
    return { kind: 'INTERVAL_YEAR_MONTH', resolution: toMonth ? 'YEAR TO MONTH' : first, yearPrecision, nullable: true }
  }
  const dayPrecision = first === 'DAY' ? precisionOf(cursor, 2, 1, 6) : 2
  const last = first !== 'SECOND' && cursor.accept('TO') ? cursor.expectOneOf(dayTimeUnits.slice(dayTimeUnits.indexOf(first) + 1)) : first
  const fractionalPrecision = last === 'SECOND' ? precisionOf(cursor, 6, 0, 9) : 6
  const resolution = (first === last ? first : `${first} TO ${last}`) as DayTimeResolution // `last` comes after `first`
  return { kind: 'INTERVAL_DAY_TIME', resolution, dayPrecision, fractionalPrecision, nullable: true }
}

function precisionOf(cursor: TokenCursor, otherwise: number, min: number, max: number): number {
  if (!cursor.acceptSymbol('(')) return otherwise
  const at = cursor.position
  const value = cursor.integer('a precision', max)
  if (value < min) throw cursor.error(`a precision is at least ${min}`, {}, at)
  cursor.expectSymbol(')')
  return value
}

function inAngles(cursor: TokenCursor, item: () => LogicalType, count: number): readonly LogicalType[] {
  cursor.expectSymbol('<')
  const items: LogicalType[] = []
  for (let i = 0; i < count; i++) {
    if (i > 0) cursor.expectSymbol(',')
    items.push(item())
  }
  cursor.expectSymbol('>')
  return items
}

function parseFields(cursor: TokenCursor, at: Position): readonly RowField[] {
  // Flink also takes ROW(a INT, b STRING); `<>` is a row without fields.
  if (cursor.acceptSymbol('<>')) return []
  const close = cursor.acceptSymbol('(') ? ')' : '>'
  if (close === '>') cursor.expectSymbol('<')
  if (cursor.acceptSymbol(close)) return []
  const fields = cursor.commaSeparated((): RowField => {
    const { text: name } = cursor.name('a field name')
    const type = cursor.grammar.type(cursor)
    return cursor.token.kind === 'string' ? { name, type, comment: cursor.advance().value } : { name, type }
  })
  cursor.expectSymbol(close)
  const names = new Set<string>()
  for (const { name } of fields) {
    if (names.has(name)) throw cursor.error(`the field ${name} stands twice in a ROW type`, {}, at)
    names.add(name)
  }
  return fields
}

function parseRaw(cursor: TokenCursor): LogicalType {
  cursor.advance()
  cursor.expectSymbol('(')
  const className = cursor.string('a class name')
  cursor.expectSymbol(',')
  const snapshot = cursor.string('a serializer snapshot')
  cursor.expectSymbol(')')
  return { kind: 'RAW', className, snapshot, nullable: true }
}
