import {
  type DecimalType,
  decimalPrecisionMax,
  type LogicalType,
  LogicalTypes,
  type RowField,
  sameKind,
  type TypeKind,
  withNullability,
} from './logical-type.ts'
import { asDecimal, integerKinds, isApproximateNumeric, isBinary, isCharacter, isInteger, isNumeric } from './type-families.ts'

/**
 * The type that the values of all `types` fit into, as CASE, COALESCE, VALUES and set operations need it; undefined when there is none. Held to
 * Flink's findCommonType where it merges values; what Flink also answers there for date arithmetic (DATE with INT, TIMESTAMP with INTERVAL) is
 * none of this function's business, and DATE with TIMESTAMP is TIMESTAMP here as in Flink's planner.
 */
export function commonType(types: readonly LogicalType[]): LogicalType | undefined {
  const nullable = types.some(type => type.nullable)
  const [first, ...rest] = types.filter(type => type.kind !== 'NULL')
  if (first === undefined) return types[0]
  let result: LogicalType | undefined = withNullability(first, nullable)
  for (const type of rest) result = result === undefined ? undefined : commonOfTwo(result, type)
  return result === undefined ? undefined : withNullability(result, nullable)
}

/** But for the outermost nullability. */
function commonOfTwo(a: LogicalType, b: LogicalType): LogicalType | undefined {
  if (sameKind(a, b)) return a
  if (isNumeric(a) && isNumeric(b)) return commonNumber(a, b)
  if ('length' in a && 'length' in b) {
    const length = Math.max(a.length, b.length)
    if (isCharacter(a) && isCharacter(b)) return LogicalTypes.varchar(length)
    return isBinary(a) && isBinary(b) ? { kind: 'VARBINARY', length, nullable: true } : undefined
  }
  return commonTime(a, b) ?? commonInterval(a, b) ?? commonComposite(a, b)
}

function commonNumber(a: LogicalType, b: LogicalType): LogicalType {
  if (a.kind === 'DOUBLE' || b.kind === 'DOUBLE') return LogicalTypes.DOUBLE
  // Flink's rule is not symmetric: a FLOAT before a DECIMAL becomes DOUBLE, after it it stays FLOAT.
  if (isApproximateNumeric(a) || isApproximateNumeric(b)) return a.kind === 'FLOAT' && b.kind === 'DECIMAL' ? LogicalTypes.DOUBLE : LogicalTypes.FLOAT
  if (isInteger(a) && isInteger(b)) return rank(a) >= rank(b) ? a : b
  const [x, y] = [asDecimal(a), asDecimal(b)]
  return x === undefined || y === undefined ? LogicalTypes.DOUBLE : commonDecimal(x, y)
}

const kinds: readonly TypeKind[] = integerKinds

function rank(type: LogicalType): number {
  return kinds.indexOf(type.kind)
}

/** Digits before and after the point of both; above 38 in all, digits after the point go. */
function commonDecimal(a: DecimalType, b: DecimalType): DecimalType {
  const whole = Math.max(a.precision - a.scale, b.precision - b.scale)
  const scale = Math.max(a.scale, b.scale)
  return LogicalTypes.decimal(Math.min(decimalPrecisionMax, whole + scale), scale)
}

function commonTime(a: LogicalType, b: LogicalType): LogicalType | undefined {
  if (a.kind === 'DATE' && (b.kind === 'TIMESTAMP' || b.kind === 'TIMESTAMP_LTZ')) return b
  if (b.kind === 'DATE' && (a.kind === 'TIMESTAMP' || a.kind === 'TIMESTAMP_LTZ')) return a
  if (a.kind === 'TIME' && b.kind === 'TIME') return LogicalTypes.time(Math.max(a.precision, b.precision))
  const timestamps = (a.kind === 'TIMESTAMP' || a.kind === 'TIMESTAMP_LTZ') && (b.kind === 'TIMESTAMP' || b.kind === 'TIMESTAMP_LTZ')
  if (!timestamps) return undefined
  const precision = Math.max(a.precision, b.precision)
  return a.kind === 'TIMESTAMP' && b.kind === 'TIMESTAMP' ? LogicalTypes.timestamp(precision) : LogicalTypes.timestampLtz(precision)
}

const unitsFromLargest = ['DAY', 'HOUR', 'MINUTE', 'SECOND']

/** From the larger of the first units to the smaller of the last. */
function commonInterval(a: LogicalType, b: LogicalType): LogicalType | undefined {
  if (a.kind === 'INTERVAL_YEAR_MONTH' && b.kind === 'INTERVAL_YEAR_MONTH')
    return { ...a, resolution: 'YEAR TO MONTH', yearPrecision: Math.max(a.yearPrecision, b.yearPrecision) }
  if (a.kind !== 'INTERVAL_DAY_TIME' || b.kind !== 'INTERVAL_DAY_TIME') return undefined
  const units = [...a.resolution.split(' TO '), ...b.resolution.split(' TO ')].map(unit => unitsFromLargest.indexOf(unit))
  const first = unitsFromLargest[Math.min(...units)]
  const last = unitsFromLargest[Math.max(...units)]
  const resolution = (first === last ? first : `${first} TO ${last}`) as typeof a.resolution // both are units, in order
  const dayPrecision = Math.max(a.dayPrecision, b.dayPrecision)
  return { ...a, resolution, dayPrecision, fractionalPrecision: Math.max(a.fractionalPrecision, b.fractionalPrecision) }
}

function commonComposite(a: LogicalType, b: LogicalType): LogicalType | undefined {
  if ((a.kind === 'ARRAY' && b.kind === 'ARRAY') || (a.kind === 'MULTISET' && b.kind === 'MULTISET')) {
    const element = commonType([a.element, b.element])
    return element === undefined ? undefined : { ...a, element }
  }
  if (a.kind === 'MAP' && b.kind === 'MAP') {
    const [key, value] = [commonType([a.key, b.key]), commonType([a.value, b.value])]
    return key === undefined || value === undefined ? undefined : LogicalTypes.map(key, value)
  }
  if (a.kind !== 'ROW' || b.kind !== 'ROW' || a.fields.length !== b.fields.length) return undefined
  const fields: RowField[] = []
  for (const [i, field] of a.fields.entries()) {
    const other = b.fields[i]
    const type = other === undefined ? undefined : commonType([field.type, other.type])
    if (type === undefined) return undefined
    fields.push({ name: field.name, type })
  }
  return LogicalTypes.row(fields)
}
