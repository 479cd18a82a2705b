import { type Code, code } from '../../codegen/emit.ts'
import { DAY_MS, dateText, dayOfMs, parseDate, parseTime, parseTimestamp, timeOfMs, timestampText, timeText } from '../../common/civil.ts'
import { FlinkError } from '../../common/errors.ts'
import { wrapInt } from './arithmetic.ts'
import { decimalOfDouble, decimalText, decimalToDouble, fitsPrecision, parseDecimal, rescale } from './decimal.ts'
import { type BoundCall, type Environment, noValue, type ScalarFunction } from './function.ts'
import { doubleText, floatText } from './number-text.ts'
import { codePointCount } from './strings.ts'
import { toInstant, toLocal } from './time-zone.ts'
import {
  asDecimal,
  isApproximate,
  isBinary,
  isDecimal,
  isInteger,
  isInterval,
  isNumeric,
  isText,
  isTimestamp,
  LENGTH_MAX,
  type Value,
  type ValueType,
} from './value-type.ts'

/**
 * CAST and TRY_CAST by Flink's rules: numbers narrow as Java's (integers wrap, doubles stop at the ends, NaN is 0), a decimal without room is NULL, a
 * text that does not parse fails (TRY_CAST: NULL). The target stands in the call's type.
 */
export type CastFunction = (value: never) => Value

export function castFunction(from: ValueType, to: ValueType, call: BoundCall, environment: Environment): CastFunction | undefined {
  if (from.root === 'NULL') return () => null
  if (isText(from)) return castText(to, call, environment)
  if (isText(to)) {
    const text = textOf(from, environment)
    return text && ((value: never) => fitText(text(value), to))
  }
  if (isBinary(to)) return isBinary(from) ? (value: Uint8Array) => fitBytes(value, to) : undefined
  if (to.root === 'BOOLEAN') return castBoolean(from)
  if (isNumeric(to)) return castNumber(from, to)
  return castTime(from, to, environment)
}

export function isCastable(from: ValueType, to: ValueType): boolean {
  const dummy: BoundCall = { name: 'CAST', position: '', text: '', type: to, args: [{ type: from }] }
  return castFunction(from, to, dummy, { timeZone: { id: 'UTC', offsetAt: () => 0 }, frameTimeMs: 0 }) !== undefined
}

/** Nothing to do at run time: same values in both types. */
export function isSameRepresentation(from: ValueType, to: ValueType): boolean {
  if (from.root !== to.root) {
    const order = ['TINYINT', 'SMALLINT', 'INT']
    if (from.root === 'FLOAT' && to.root === 'DOUBLE') return true
    if (from.root === 'CHAR' && to.root === 'VARCHAR') return to.precision >= from.precision
    return order.includes(from.root) && order.includes(to.root) && order.indexOf(to.root) > order.indexOf(from.root)
  }
  if (isDecimal(from)) return from.scale === to.scale && to.precision >= from.precision
  if (from.root === 'VARCHAR' || from.root === 'VARBINARY') return to.precision >= from.precision
  return from.precision === to.precision || isInterval(from)
}

function castText(to: ValueType, call: BoundCall, environment: Environment): CastFunction | undefined {
  if (isText(to)) return (text: string) => fitText(text, to)
  if (isBinary(to)) return (text: string) => fitBytes(new TextEncoder().encode(text), to)
  const fail = (text: string, why: string): never => noValue(call, `for input string '${text}': ${why}`)
  if (to.root === 'BOOLEAN') return (text: string) => booleans.get(text.trim().toLowerCase()) ?? noValue(call, `cannot parse '${text}' as BOOLEAN`)
  if (isInteger(to)) return (text: string) => integerOfText(text, to, fail)
  if (isApproximate(to)) {
    return (text: string) => {
      const trimmed = text.trim()
      const value = javaDouble.test(trimmed) ? Number(trimmed.replace(/[dDfF]$/, '')) : trimmed === 'NaN' ? Number.NaN : Number.NaN
      if (Number.isNaN(value) && trimmed !== 'NaN') return fail(text, trimmed === '' ? 'input is empty' : 'invalid character found')
      return to.root === 'FLOAT' ? Math.fround(value) : value
    }
  }
  if (isDecimal(to)) {
    return (text: string) => {
      const value = parseDecimal(text.trim(), to.scale)
      if (value === undefined) return fail(text, text.trim() === '' ? 'input is empty' : 'invalid character found')
      return fitsPrecision(value, to.precision) ? value : fail(text, 'overflow')
    }
  }
  const invalid = (text: string): never => noValue(call, `cannot parse '${text}' as ${to.root}`)
  if (to.root === 'DATE') {
    return (text: string) => {
      const trimmed = text.trim()
      const at = trimmed.indexOf(' ')
      return parseDate(at < 0 ? trimmed : trimmed.slice(0, at)) ?? invalid(text)
    }
  }
  if (to.root === 'TIME') {
    return (text: string) => {
      const ms = parseTime(text.trim())
      return ms === undefined ? invalid(text) : cutFraction(ms, to.precision)
    }
  }
  if (!isTimestamp(to)) return undefined
  return (text: string) => {
    const ms = parseTimestamp(text.trim())
    if (ms === undefined) return invalid(text)
    const cut = cutFraction(ms, to.precision)
    return to.root === 'TIMESTAMP_LTZ' ? toInstant(environment.timeZone, cut) : cut
  }
}

const javaDouble = /^[+-]?(Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?)$/

const booleans = new Map<string, boolean>([
  ...['t', 'true', 'y', 'yes', '1'].map((text): [string, boolean] => [text, true]),
  ...['f', 'false', 'n', 'no', '0'].map((text): [string, boolean] => [text, false]),
])

const integerBits: Record<string, number> = { TINYINT: 8, SMALLINT: 16, INT: 32, BIGINT: 64 }

function integerOfText(text: string, to: ValueType, fail: (text: string, why: string) => never): Value {
  // Digits after a point are read and dropped.
  const match = /^([+-]?\d+)(?:\.\d*)?$/.exec(text.trim())
  if (match === null) return fail(text, text.trim() === '' ? 'input is empty' : 'invalid character found')
  const value = BigInt(match[1]?.replace('+', '') ?? '')
  if (BigInt.asIntN(integerBits[to.root] ?? 64, value) !== value) return fail(text, 'overflow')
  return to.root === 'BIGINT' ? value : Number(value)
}

function textOf(from: ValueType, environment: Environment): ((value: never) => string) | undefined {
  switch (from.root) {
    case 'BOOLEAN':
      return (value: boolean) => (value ? 'TRUE' : 'FALSE')
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
      return (value: number | bigint) => value.toString()
    case 'FLOAT':
      return floatText
    case 'DOUBLE':
      return doubleText
    case 'DECIMAL':
      return (value: bigint) => decimalText(value, from.scale)
    case 'DATE':
      return dateText
    case 'TIME':
      return (value: number) => timeText(value, from.precision)
    case 'TIMESTAMP':
      return (value: number) => timestampText(value, from.precision)
    case 'TIMESTAMP_LTZ':
      return (value: number) => timestampText(toLocal(environment.timeZone, value), from.precision)
    case 'INTERVAL_MS':
      return (value: number) => {
        const ms = Math.abs(value)
        return `${value < 0 ? '-' : '+'}${Math.floor(ms / DAY_MS)} ${timeText(ms % DAY_MS, 3)}`
      }
    case 'INTERVAL_MONTHS':
      return (value: number) => `${value < 0 ? '-' : '+'}${Math.floor(Math.abs(value) / 12)}-${String(Math.abs(value) % 12).padStart(2, '0')}`
    case 'BINARY':
    case 'VARBINARY':
      return (value: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(value)
    default:
      return undefined
  }
}

function fitText(text: string, { root, precision }: ValueType): string {
  if (precision === LENGTH_MAX || (root === 'VARCHAR' && text.length <= precision)) return text
  const count = codePointCount(text)
  if (count > precision) return text.length === count ? text.slice(0, precision) : [...text].slice(0, precision).join('')
  return root === 'CHAR' ? text + ' '.repeat(precision - count) : text
}

function fitBytes(bytes: Uint8Array, { root, precision }: ValueType): Uint8Array {
  if (bytes.length > precision) return bytes.subarray(0, precision)
  if (root === 'VARBINARY' || bytes.length === precision) return bytes
  const padded = new Uint8Array(precision)
  padded.set(bytes)
  return padded
}

function castBoolean(from: ValueType): CastFunction | undefined {
  if (from.root === 'BOOLEAN') return (value: boolean) => value
  if (!isNumeric(from)) return undefined
  return from.root === 'BIGINT' || isDecimal(from) ? (value: bigint) => value !== 0n : (value: number) => value !== 0
}

/** Between exact numbers, where every value has room or is cut by its bits: no call, and nothing to look at. */
function emitExactCast(from: ValueType, to: ValueType, value: Code): Code | undefined {
  const integers = isInteger(from) && isInteger(to)
  if (integers && to.root === 'BIGINT') return from.root === 'BIGINT' ? value : code`BigInt.asIntN(64, BigInt(${value}))`
  if (integers && to.root === 'INT') return from.root === 'BIGINT' ? code`Number(BigInt.asIntN(32, ${value}))` : value
  if (to.root === 'DOUBLE' && isInteger(from)) return from.root === 'BIGINT' ? code`Number(${value})` : value
  const decimal = isDecimal(to) ? asDecimal(from) : undefined
  if (decimal === undefined || isApproximate(from)) return undefined
  const added = to.scale - decimal.scale
  if (added < 0 || to.precision - to.scale < decimal.precision - decimal.scale) return undefined
  const unscaled = isDecimal(from) || from.root === 'BIGINT' ? value : code`BigInt(${value})`
  return added === 0 ? unscaled : code`(${unscaled} * ${10n ** BigInt(added)})`
}

function castNumber(from: ValueType, to: ValueType): CastFunction | undefined {
  if (from.root === 'BOOLEAN') {
    const one = isDecimal(to) ? 10n ** BigInt(to.scale) : 1n
    if (isDecimal(to) || to.root === 'BIGINT') return (value: boolean) => (value ? one : 0n)
    return (value: boolean) => (value ? 1 : 0)
  }
  if (!isNumeric(from)) return undefined
  if (isDecimal(to)) {
    const bounded = (value: bigint | undefined) => (value === undefined || !fitsPrecision(value, to.precision) ? null : value)
    if (isApproximate(from)) return (value: number) => bounded(decimalOfDouble(value, to.scale))
    if (isDecimal(from)) return (value: bigint) => bounded(rescale(value, from.scale, to.scale))
    return (value: number | bigint) => bounded(rescale(BigInt(value), 0, to.scale))
  }
  if (isApproximate(to)) {
    const round = to.root === 'FLOAT' ? Math.fround : (value: number) => value
    if (isDecimal(from)) return (value: bigint) => round(decimalToDouble(value, from.scale))
    return (value: number | bigint) => round(Number(value))
  }
  if (to.root === 'BIGINT') {
    if (isDecimal(from)) return (value: bigint) => BigInt.asIntN(64, value / 10n ** BigInt(from.scale))
    return isApproximate(from) ? doubleToLong : (value: number | bigint) => BigInt(value)
  }
  if (isDecimal(from)) return (value: bigint) => wrapInt(to.root, Number(BigInt.asIntN(32, value / 10n ** BigInt(from.scale))))
  if (from.root === 'BIGINT') return (value: bigint) => wrapInt(to.root, Number(BigInt.asIntN(32, value)))
  return isApproximate(from) ? (value: number) => wrapInt(to.root, doubleToInt(value)) : (value: number) => wrapInt(to.root, value)
}

export function doubleToInt(value: number): number {
  return value >= 2_147_483_647 ? 2_147_483_647 : value <= -2_147_483_648 ? -2_147_483_648 : value | 0
}

export function doubleToLong(value: number): bigint {
  if (Number.isNaN(value)) return 0n
  return value >= 2 ** 63 ? 2n ** 63n - 1n : value <= -(2 ** 63) ? -(2n ** 63n) : BigInt(Math.trunc(value))
}

function cutFraction(ms: number, precision: number): number {
  const unit = precision >= 3 ? 1 : 10 ** (3 - precision)
  return Math.floor(ms / unit) * unit
}

function castTime(from: ValueType, to: ValueType, { timeZone }: Environment): CastFunction | undefined {
  if (isInterval(from) || isInterval(to)) return from.root === to.root ? (value: number) => value : undefined
  if (from.root === to.root)
    return from.root === 'DATE' || from.precision <= to.precision ? (value: number) => value : (value: number) => cutFraction(value, to.precision)
  const local: ((value: number) => number) | undefined =
    from.root === 'DATE'
      ? value => value * DAY_MS
      : from.root === 'TIMESTAMP'
        ? value => value
        : from.root === 'TIMESTAMP_LTZ'
          ? value => toLocal(timeZone, value)
          : undefined
  if (local === undefined) return undefined
  switch (to.root) {
    case 'DATE':
      return (value: number) => dayOfMs(local(value))
    case 'TIME':
      return from.root === 'DATE' ? undefined : (value: number) => cutFraction(timeOfMs(local(value)), to.precision)
    case 'TIMESTAMP':
      return (value: number) => cutFraction(local(value), to.precision)
    case 'TIMESTAMP_LTZ':
      return (value: number) => toInstant(timeZone, cutFraction(local(value), to.precision))
    default:
      return undefined
  }
}

function cast(name: 'CAST' | 'TRY_CAST', doc: string): ScalarFunction {
  return {
    name,
    syntax: `${name}(x AS type)`,
    doc,
    nulls: 'strict',
    answersNull: true,
    throws: name === 'CAST',
    // The type is the planner's: it stands in the SQL. See isCastable.
    resolve: () => undefined,
    emit: ({ args, type }, [value]) => (args[0] === undefined || value === undefined ? undefined : emitExactCast(args[0].type, type, value)),
    bind: (call, environment) => {
      const from = call.args[0]?.type
      const run = from && castFunction(from, call.type, call, environment)
      if (run === undefined)
        throw new FlinkError('UNSUPPORTED', `${call.text} at ${call.position}: this cast is not possible`, { position: call.position })
      if (name === 'CAST') return run
      return (value: never) => {
        try {
          return run(value)
        } catch {
          return null
        }
      }
    },
  }
}

export const castFunctions: readonly ScalarFunction[] = [
  cast('CAST', 'integers wrap, a decimal without room is NULL, a text that does not parse fails'),
  cast('TRY_CAST', 'NULL where CAST fails'),
]
