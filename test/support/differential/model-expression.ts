import { literalValue } from '../../../runtime/table/functions/bind-call.ts'
import { isDecimal, isInteger, isText, LENGTH_MAX, parseValueType, type Value, type ValueType } from '../../../runtime/table/functions/value-type.ts'
import type { Call, Expression } from '../../../runtime/table/plan/expression.ts'

/**
 * Logic, comparisons and arithmetic once more, by nobody's code but this: exact numbers as integers without bounds, wrapped at the end. What the
 * three paths of the engine share, they may have wrong together; this they do not share. Values are as functions see them (value-type.ts).
 */
export const modelledFunctions: ReadonlySet<string> = new Set([
  ...['AND', 'OR', 'NOT', 'IS TRUE', 'IS NOT TRUE', 'IS FALSE', 'IS NOT FALSE', 'IS NULL', 'IS NOT NULL'],
  ...['=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM', 'IN'],
  ...['CASE', 'IF', 'COALESCE', 'IFNULL', '+', '-', '*', '/', '%', 'MOD', 'ABS', 'SIGN', 'CAST', 'TRY_CAST', 'CHAR_LENGTH', '||'],
])

/** The expression, or a value in it, is nothing that the model knows. */
export class Unmodelled extends Error {}

/** What fails the job, by the words the engine begins its message with. */
export class ModelFailure extends Error {}

export function modelValue(expression: Expression, row: readonly Value[]): Value {
  if (expression.kind === 'column') return row[expression.index] ?? null
  if (expression.kind === 'literal') return literalValue(expression)
  const { name, arguments: args } = expression
  const at = (i: number): Value => modelValue(args[i]!, row)
  switch (name) {
    case 'AND':
    case 'OR':
      return logic(name === 'OR', args, row)
    case 'CASE':
    case 'IF': {
      let i = 0
      for (; i + 1 < args.length; i += 2) if (at(i) === true) return at(i + 1)
      return at(i)
    }
    case 'COALESCE':
    case 'IFNULL':
      for (let i = 0; i < args.length; i++) {
        const value = at(i)
        if (value !== null) return value
      }
      return null
    default:
      return strict(
        expression,
        args.map((_, i) => at(i)),
      )
  }
}

function logic(decisive: boolean, args: readonly Expression[], row: readonly Value[]): Value {
  let answer: Value = !decisive
  for (const arg of args) {
    const value = modelValue(arg, row)
    if (value === decisive) return decisive
    if (value === null) answer = null
  }
  return answer
}

function strict(call: Call, values: readonly Value[]): Value {
  if (!modelledFunctions.has(call.name)) return unmodelled()
  const [a, b] = [values[0] ?? null, values[1] ?? null]
  const type = parseValueType(call.type)
  const types = call.arguments.map(arg => parseValueType(arg.type))
  switch (call.name) {
    case 'IS NULL':
      return a === null
    case 'IS NOT NULL':
      return a !== null
    case 'IS TRUE':
      return a === true
    case 'IS NOT TRUE':
      return a !== true
    case 'IS FALSE':
      return a === false
    case 'IS NOT FALSE':
      return a !== false
    case 'IS DISTINCT FROM':
      return !same(a, b)
    case 'IS NOT DISTINCT FROM':
      return same(a, b)
    case 'IN': {
      if (a === null) return null
      if (values.slice(1).some(value => value !== null && order(a, value) === 0)) return true
      return values.includes(null) ? null : false
    }
  }
  if (values.includes(null)) return null
  switch (call.name) {
    case 'NOT':
      return a === false
    case '=':
      return order(a, b) === 0
    case '<>':
      return order(a, b) !== 0
    case '<':
      return order(a, b) < 0
    case '<=':
      return order(a, b) <= 0
    case '>':
      return order(a, b) > 0
    case '>=':
      return order(a, b) >= 0
    case '||':
      return values.join('')
    case 'CHAR_LENGTH':
      return [...String(a)].length
    case 'CAST':
    case 'TRY_CAST':
      return cast(a, types[0]!, type)
    case 'ABS':
      return isInteger(type) ? wrapped(type, big(a) < 0n ? -big(a) : big(a)) : unmodelled()
    case 'SIGN':
      if (type.root === 'DOUBLE') return (a as number) > 0 ? 1 : (a as number) < 0 ? -1 : a
      return isInteger(type) ? wrapped(type, big(a) > 0n ? 1n : big(a) < 0n ? -1n : 0n) : unmodelled()
    case '-':
      if (values.length === 1) return isInteger(type) ? wrapped(type, -big(a)) : type.root === 'DOUBLE' ? -(a as number) : unmodelled()
      return arithmetic(call.name, a, b, types, type)
    case '+':
    case '*':
    case '/':
    case '%':
    case 'MOD':
      return arithmetic(call.name, a, b, types, type)
    default:
      return unmodelled()
  }
}

function arithmetic(name: string, a: Value, b: Value, types: readonly ValueType[], type: ValueType): Value {
  if (isInteger(type) && types.every(isInteger)) {
    const [x, y] = [big(a), big(b)]
    if (name === '+') return wrapped(type, x + y)
    if (name === '-') return wrapped(type, x - y)
    if (name === '*') return wrapped(type, x * y)
    if (y === 0n) throw new ModelFailure('division by zero')
    return wrapped(type, name === '/' ? x / y : x % y)
  }
  if (type.root === 'DOUBLE' || type.root === 'FLOAT') {
    const [x, y] = [a as number, b as number]
    const value = name === '+' ? x + y : name === '-' ? x - y : name === '*' ? x * y : name === '/' ? x / y : unmodelled()
    return type.root === 'FLOAT' ? Math.fround(value) : value
  }
  if (isDecimal(type) && types.every(isDecimal)) {
    const [s, t] = [types[0]!.scale, types[1]!.scale]
    const scale = Math.max(s, t)
    const [x, y] = [big(a) * 10n ** BigInt(scale - s), big(b) * 10n ** BigInt(scale - t)]
    if (name === '+') return fitted(type, x + y, scale)
    if (name === '-') return fitted(type, x - y, scale)
    if (name === '*') return fitted(type, big(a) * big(b), s + t)
  }
  return unmodelled()
}

function cast(value: Value, from: ValueType, to: ValueType): Value {
  if (isInteger(from) && isInteger(to)) return wrapped(to, big(value))
  if (isInteger(from) && to.root === 'DOUBLE') return Number(value)
  if (isInteger(from) && to.root === 'BOOLEAN') return big(value) !== 0n
  if (from.root === 'BOOLEAN' && isInteger(to)) return wrapped(to, value === true ? 1n : 0n)
  if (isInteger(from) && to.root === 'VARCHAR' && to.precision === LENGTH_MAX) return String(value)
  if ((from.root === 'DOUBLE' || from.root === 'FLOAT') && isInteger(to)) return truncated(value as number, to)
  if ((isInteger(from) || isDecimal(from)) && isDecimal(to)) return fitted(to, big(value), isDecimal(from) ? from.scale : 0)
  if (from.root === 'FLOAT' && to.root === 'DOUBLE') return value
  if (isText(from) && to.root === 'VARCHAR' && to.precision >= from.precision) return value
  return from.root === to.root && from.precision === to.precision && from.scale === to.scale ? value : unmodelled()
}

/** As Java does it: towards zero, held at the ends of the type (of INT for the smaller ones, which then wrap), NaN is 0. */
function truncated(value: number, to: ValueType): Value {
  if (Number.isNaN(value)) return wrapped(to, 0n)
  const end = to.root === 'BIGINT' ? 2n ** 63n : 2n ** 31n
  if (value >= Number(end)) return wrapped(to, end - 1n)
  return wrapped(to, value <= -Number(end) ? -end : BigInt(Math.trunc(value)))
}

/** A number of `scale` digits behind the point as a DECIMAL: rounded half away from zero, NULL without room. */
function fitted(type: ValueType, unscaled: bigint, scale: number): Value {
  let value = unscaled
  if (type.scale >= scale) value *= 10n ** BigInt(type.scale - scale)
  else {
    const unit = 10n ** BigInt(scale - type.scale)
    const magnitude = ((value < 0n ? -value : value) * 2n + unit) / (unit * 2n)
    value = value < 0n ? -magnitude : magnitude
  }
  return String(value).replace('-', '').length > type.precision && value !== 0n ? null : value
}

function wrapped({ root }: ValueType, value: bigint): Value {
  const bits = { TINYINT: 8, SMALLINT: 16, INT: 32, BIGINT: 64 }[root as string]!
  const cut = BigInt.asIntN(bits, value)
  return root === 'BIGINT' ? cut : Number(cut)
}

function big(value: Value): bigint {
  return BigInt(value as number | bigint)
}

/** -1, 0, 1; NaN where one of them is NaN, which has no place in the order. Texts by code point. */
export function order(a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') {
    const [x, y] = [Array.from(a), Array.from(b)]
    for (let i = 0; i < Math.min(x.length, y.length); i++) {
      const difference = x[i]!.codePointAt(0)! - y[i]!.codePointAt(0)!
      if (difference !== 0) return Math.sign(difference)
    }
    return Math.sign(x.length - y.length)
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.NaN
  return a! < b! ? -1 : a! > b! ? 1 : 0
}

function same(a: Value, b: Value): boolean {
  return a === null || b === null ? a === b : order(a, b) === 0
}

function unmodelled(): never {
  throw new Unmodelled()
}
