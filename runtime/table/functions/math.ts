import { code } from '../../codegen/emit.ts'
import { wrapInt } from './arithmetic.ts'
import { decimalText, divideHalfUp, fitsPrecision, parseDecimal, powerOfTen, rescale } from './decimal.ts'
import type { BoundCall, ScalarFunction } from './function.ts'
import { accept, anyNullable } from './type-rules.ts'
import {
  asDecimal,
  decimalType,
  doubleType,
  intType,
  isApproximate,
  isDecimal,
  isInteger,
  isNumeric,
  isSmallInteger,
  type Value,
  type ValueType,
  withNullable,
} from './value-type.ts'

/** Functions of doubles take every number; ABS, SIGN, CEIL, FLOOR, ROUND, TRUNCATE keep exact ones exact. */

const ofDoubles =
  (count: number, optional = 0): ScalarFunction['resolve'] =>
  args => {
    const resolved = accept(
      doubleType,
      Array.from({ length: count }, () => isNumeric),
      optional,
    )(args)
    return resolved && { type: resolved.type, args: args.map(({ type }) => withNullable(doubleType, type.nullable)) }
  }

function ofDouble(name: string, run: (a: number) => number, doc = ''): ScalarFunction {
  return { name, syntax: `${name}(x)`, doc: doc || 'over doubles', nulls: 'strict', resolve: ofDoubles(1), bind: () => run }
}

const sameAs: ScalarFunction['resolve'] = args => {
  const [a] = args
  return args.length === 1 && a !== undefined && isNumeric(a.type) ? { type: a.type, args: [a.type] } : undefined
}

/** FLOOR and CEIL without a unit; with one they are temporal.ts's. */
export function resolveRounding(args: Parameters<ScalarFunction['resolve']>[0]): ReturnType<ScalarFunction['resolve']> {
  const [a] = args
  if (args.length !== 1 || a === undefined || !isNumeric(a.type)) return undefined
  return { type: isDecimal(a.type) ? withNullable(decimalType(a.type.precision, 0), a.type.nullable) : a.type, args: [a.type] }
}

export function bindRounding(name: 'FLOOR' | 'CEIL', { args }: BoundCall): (a: never) => Value {
  const type = args[0]?.type ?? doubleType
  if (isApproximate(type)) return name === 'FLOOR' ? Math.floor : Math.ceil
  if (!isDecimal(type)) return (a: number | bigint) => a
  const unit = powerOfTen(type.scale)
  return (a: bigint) => {
    const whole = a / unit
    const exact = whole * unit === a
    return exact ? whole : name === 'FLOOR' ? (a < 0n ? whole - 1n : whole) : a < 0n ? whole : whole + 1n
  }
}

/** ROUND and TRUNCATE: the number of digits is an optional INT; a decimal's scale shrinks to it where it is a literal. */
function roundTo(name: 'ROUND' | 'TRUNCATE', doc: string): ScalarFunction {
  return {
    name,
    syntax: `${name}(x[, digits])`,
    doc,
    nulls: 'strict',
    answersNull: true,
    resolve: args => {
      const [x, digits] = args
      if (x === undefined || args.length > 2 || !isNumeric(x.type) || (digits !== undefined && !isInteger(digits.type))) return undefined
      const type = isDecimal(x.type) ? roundedType(x.type, digits === undefined ? 0 : digits.literal) : x.type
      return {
        type: withNullable(type, anyNullable(args)),
        args: [x.type, ...(digits === undefined ? [] : [withNullable(intType, digits.type.nullable)])],
      }
    },
    bind: ({ args, type }) => {
      const from = args[0]?.type ?? doubleType
      const shift = name === 'ROUND' ? divideHalfUp : (a: bigint, b: bigint) => a / b
      const rounded = (unscaled: bigint, scale: number, digits: number): bigint => {
        if (digits >= scale) return unscaled
        // Beyond every digit that there can be.
        if (scale - digits > 400) return 0n
        const unit = powerOfTen(scale - digits)
        return shift(unscaled, unit) * unit
      }
      if (isDecimal(from))
        return (a: bigint, digits = 0) => {
          const value = rescale(rounded(a, from.scale, digits), from.scale, type.scale)
          return fitsPrecision(value, type.precision) ? value : null
        }
      if (isSmallInteger(from)) return (a: number, digits = 0) => wrapInt(from.root, Number(BigInt.asIntN(32, rounded(BigInt(a), 0, digits))))
      if (isInteger(from)) return (a: bigint, digits = 0) => BigInt.asIntN(64, rounded(a, 0, digits))
      return (a: number, digits = 0) => {
        if (!Number.isFinite(a)) return a
        if (digits > 340) return a
        const scale = Math.max(0, digits)
        const exact = parseDecimal(String(a), 340)
        if (exact === undefined) return a
        const value = Number(decimalText(rescale(rounded(exact, 340, digits), 340, scale), scale))
        return from.root === 'FLOAT' ? Math.fround(value) : value
      }
    },
  }
}

function roundedType(type: ValueType, digits: Value | undefined): ValueType {
  if (typeof digits !== 'number' || digits >= type.scale) return type
  return digits < 0 ? decimalType(Math.min(38, 1 + type.precision - type.scale), 0) : decimalType(1 + type.precision - type.scale + digits, digits)
}

export const mathFunctions: readonly ScalarFunction[] = [
  {
    name: 'ABS',
    syntax: 'ABS(x)',
    doc: 'the smallest integer of a type stays negative, as in Java',
    nulls: 'strict',
    resolve: sameAs,
    bind: ({ type }) => {
      if (type.root === 'BIGINT') return (a: bigint) => BigInt.asIntN(64, a < 0n ? -a : a)
      if (isDecimal(type)) return (a: bigint) => (a < 0n ? -a : a)
      return isSmallInteger(type) ? (a: number) => wrapInt(type.root, Math.abs(a)) : Math.abs
    },
    emit: ({ type }, [a]) => (a !== undefined && isApproximate(type) ? code`Math.abs(${a})` : undefined),
  },
  {
    name: 'SIGN',
    syntax: 'SIGN(x)',
    doc: '-1, 0 or 1 in the type of x',
    nulls: 'strict',
    resolve: sameAs,
    bind: ({ type }) => {
      if (type.root === 'BIGINT') return (a: bigint) => (a > 0n ? 1n : a < 0n ? -1n : 0n)
      const one = asDecimal(type) !== undefined && isDecimal(type) ? powerOfTen(type.scale) : 1n
      return isDecimal(type) ? (a: bigint) => (a > 0n ? one : a < 0n ? -one : 0n) : Math.sign
    },
  },
  { name: 'POWER', syntax: 'POWER(x, y)', doc: 'over doubles', nulls: 'strict', resolve: ofDoubles(2), bind: () => javaPower },
  ofDouble('SQRT', Math.sqrt),
  ofDouble('EXP', Math.exp),
  ofDouble('LN', Math.log),
  ofDouble('LOG10', Math.log10),
  ofDouble('LOG2', Math.log2),
  {
    name: 'LOG',
    syntax: 'LOG([base, ]x)',
    doc: 'natural without a base',
    nulls: 'strict',
    resolve: ofDoubles(2, 1),
    bind: ({ args }) => (args.length === 1 ? Math.log : (base: number, x: number) => Math.log(x) / Math.log(base)),
  },
  ofDouble('SIN', Math.sin),
  ofDouble('COS', Math.cos),
  ofDouble('TAN', Math.tan),
  ofDouble('ASIN', Math.asin),
  ofDouble('ACOS', Math.acos),
  ofDouble('ATAN', Math.atan),
  { name: 'ATAN2', syntax: 'ATAN2(y, x)', doc: 'over doubles', nulls: 'strict', resolve: ofDoubles(2), bind: () => Math.atan2 },
  ofDouble('DEGREES', x => (x * 180) / Math.PI),
  ofDouble('RADIANS', x => (x / 180) * Math.PI),
  ...(
    [
      ['PI', Math.PI],
      ['E', Math.E],
    ] as const
  ).map(
    ([name, value]): ScalarFunction => ({
      name,
      syntax: `${name}()`,
      doc: '',
      nulls: 'strict',
      resolve: args => (args.length === 0 ? { type: withNullable(doubleType, false), args: [] } : undefined),
      bind: () => () => value,
    }),
  ),
  roundTo('ROUND', 'half away from zero'),
  roundTo('TRUNCATE', 'towards zero'),
]

/** Java's pow: 1 to the power of NaN is NaN in both; nothing differs but the name. */
function javaPower(x: number, y: number): number {
  return x ** y
}
