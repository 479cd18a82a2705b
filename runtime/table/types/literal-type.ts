import type {
  BooleanLiteral,
  BytesLiteral,
  IntervalLiteral,
  NullLiteral,
  NumberLiteral,
  StringLiteral,
  TemporalLiteral,
} from '../sql/ast-expression.ts'
import { decimalPrecisionMax, type LogicalType, LogicalTypes, notNull } from './logical-type.ts'

export type Literal = NullLiteral | BooleanLiteral | NumberLiteral | StringLiteral | BytesLiteral | TemporalLiteral | IntervalLiteral

/**
 * The type that Flink gives a literal; undefined for a whole number beyond BIGINT and a number with
 * more digits than a DECIMAL holds. All but NULL and UNKNOWN are NOT NULL.
 */
export function typeOfLiteral(literal: Literal): LogicalType | undefined {
  switch (literal.kind) {
    case 'null':
      return LogicalTypes.NULL
    case 'boolean':
      return literal.value === undefined ? LogicalTypes.BOOLEAN : notNull(LogicalTypes.BOOLEAN)
    case 'number':
      return typeOfNumber(literal.text)
    case 'string':
      return notNull(LogicalTypes.char(literal.value.length))
    case 'bytes':
      return notNull(LogicalTypes.binary(literal.hex.length / 2))
    case 'temporal':
      return notNull(typeOfTemporal(literal))
    case 'interval':
      return notNull(
        ['YEAR', 'QUARTER', 'MONTH'].includes(literal.qualifier.from)
          ? { kind: 'INTERVAL_YEAR_MONTH', resolution: 'MONTH', yearPrecision: 2, nullable: true }
          : { kind: 'INTERVAL_DAY_TIME', resolution: 'SECOND', dayPrecision: 2, fractionalPrecision: 3, nullable: true },
      )
  }
}

const intMax = 2_147_483_647n
const bigintMax = 9_223_372_036_854_775_807n

function typeOfNumber(text: string): LogicalType | undefined {
  if (/[eE]/.test(text)) return notNull(LogicalTypes.DOUBLE)
  const [whole = '', fraction = ''] = text.split('.')
  if (fraction !== '') {
    // Leading zeros count: 0.908 is DECIMAL(4, 3).
    const precision = whole.length + fraction.length
    return precision > decimalPrecisionMax ? undefined : notNull(LogicalTypes.decimal(precision, fraction.length))
  }
  const value = BigInt(whole)
  if (value <= intMax) return notNull(LogicalTypes.INT)
  return value <= bigintMax ? notNull(LogicalTypes.BIGINT) : undefined
}

function typeOfTemporal(literal: TemporalLiteral): LogicalType {
  const digits = literal.text.split('.')[1]?.length ?? 0
  if (literal.type === 'DATE') return LogicalTypes.DATE
  return literal.type === 'TIME' ? LogicalTypes.time(digits) : LogicalTypes.timestamp(digits)
}
