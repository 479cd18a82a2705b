import type { Argument, Resolution, ScalarFunction } from './function.ts'
import {
  asDecimal,
  decimalType,
  doubleType,
  isApproximate,
  isBinary,
  isInteger,
  isNumeric,
  isText,
  isTimestamp,
  type ValueType,
  valueType,
  withNullable,
} from './value-type.ts'

/** Flink's rules for result types, shared by the functions' `resolve`. */
export const DECIMAL_DIGITS_MAX = 38
const integerOrder = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT']

export const anyNullable = (args: readonly Argument[]): boolean => args.some(({ type }) => type.nullable || type.root === 'NULL')

/** Too many digits: those before the point are kept, of those behind it at least 6. */
export function cappedDecimal(precision: number, scale: number): ValueType {
  if (precision <= DECIMAL_DIGITS_MAX) return decimalType(precision, scale)
  const whole = precision - scale
  return decimalType(DECIMAL_DIGITS_MAX, Math.max(DECIMAL_DIGITS_MAX - whole, Math.min(scale, 6)))
}

/** The type that holds the values of all of them (CASE, COALESCE, =); undefined when there is none. */
export function commonType(types: readonly ValueType[]): ValueType | undefined {
  const nullable = types.some(type => type.nullable || type.root === 'NULL')
  const [first, ...rest] = types.filter(({ root }) => root !== 'NULL')
  if (first === undefined) return types[0]
  let result: ValueType | undefined = first
  for (const type of rest) if (result !== undefined) result = commonOfTwo(result, type)
  return result === undefined ? undefined : withNullable(result, nullable)
}

function commonOfTwo(a: ValueType, b: ValueType): ValueType | undefined {
  if (isNumeric(a) && isNumeric(b)) return commonNumber(a, b)
  if (isText(a) && isText(b))
    return a.root === 'CHAR' && b.root === 'CHAR' && a.precision === b.precision ? a : valueType('VARCHAR', true, Math.max(a.precision, b.precision))
  if (isBinary(a) && isBinary(b))
    return a.root === b.root && a.precision === b.precision ? a : valueType('VARBINARY', true, Math.max(a.precision, b.precision))
  if (a.root === b.root) return { ...a, precision: Math.max(a.precision, b.precision) }
  if (isTimestamp(a) && isTimestamp(b)) return valueType('TIMESTAMP_LTZ', true, Math.max(a.precision, b.precision))
  if (isTimestamp(a) && b.root === 'DATE') return a
  if (isTimestamp(b) && a.root === 'DATE') return b
  return undefined
}

function commonNumber(a: ValueType, b: ValueType): ValueType {
  if (isApproximate(a) || isApproximate(b)) {
    if (a.root === 'FLOAT' && b.root === 'FLOAT') return a
    return doubleType
  }
  if (isInteger(a) && isInteger(b)) return integerOrder.indexOf(a.root) >= integerOrder.indexOf(b.root) ? a : b
  const [x, y] = [asDecimal(a), asDecimal(b)]
  if (x === undefined || y === undefined) return doubleType
  const scale = Math.max(x.scale, y.scale)
  return decimalType(Math.min(DECIMAL_DIGITS_MAX, Math.max(x.precision - x.scale, y.precision - y.scale) + scale), scale)
}

/** The type of both sides of a comparison: a text beside a date or time is read as one. */
export function comparisonType(a: ValueType, b: ValueType): ValueType | undefined {
  // CASE brings a DATE and a TIMESTAMP together; comparisons refuse them.
  if ((a.root === 'DATE') !== (b.root === 'DATE') && (isTimestamp(a) || isTimestamp(b))) return undefined
  const common = commonType([a, b])
  if (common !== undefined) return common
  if (isText(a) && (b.root === 'DATE' || b.root === 'TIME' || isTimestamp(b))) return b
  if (isText(b) && (a.root === 'DATE' || a.root === 'TIME' || isTimestamp(a))) return a
  return undefined
}

/** Result `type` when there are as many arguments as `expected` says and each fits; the arguments are cast to nothing. */
export function accept(type: ValueType, expected: readonly ((type: ValueType) => boolean)[], optional = 0): ScalarFunction['resolve'] {
  return args => {
    if (args.length > expected.length || args.length < expected.length - optional) return undefined
    if (!args.every((arg, i) => arg.type.root === 'NULL' || expected[i]?.(arg.type) === true)) return undefined
    return resolution(withNullable(type, anyNullable(args)), args)
  }
}

export function resolution(type: ValueType, args: readonly Argument[]): Resolution {
  return { type, args: args.map(arg => arg.type) }
}

export const isAny = (): boolean => true
export const isBooleanType = ({ root }: ValueType): boolean => root === 'BOOLEAN'
