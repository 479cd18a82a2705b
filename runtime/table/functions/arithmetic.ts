import { type Code, code, type FunctionEmitter } from '../../codegen/emit.ts'
import { addMonths, DAY_MS, dayOfMs, timeOfMs } from '../../common/civil.ts'
import { decimalToDouble, divideHalfUp, fitsPrecision, powerOfTen, rescale } from './decimal.ts'
import { type Argument, type BoundCall, type Environment, noValue, type Resolution, type ScalarFunction } from './function.ts'
import { toInstant, toLocal } from './time-zone.ts'
import { anyNullable, cappedDecimal, commonType } from './type-rules.ts'
import {
  asDecimal,
  doubleType,
  isApproximate,
  isDecimal,
  isInteger,
  isInterval,
  isNumeric,
  isSmallInteger,
  isTimestamp,
  type TypeRoot,
  type Value,
  type ValueType,
  withNullable,
} from './value-type.ts'

/** + - * / % over numbers, and + - * over dates, times and intervals. Integers wrap as Java's; a decimal without room is NULL, as Flink's. */
type Operator = '+' | '-' | '*' | '/' | '%'

export function wrapInt(root: TypeRoot, value: number): number {
  return root === 'INT' ? value | 0 : root === 'SMALLINT' ? (value << 16) >> 16 : (value << 24) >> 24
}

export function divideInt(a: number, b: number, call: BoundCall): number {
  if (b === 0) noValue(call, 'division by zero')
  return (a / b) | 0
}
export function remainderInt(a: number, b: number, call: BoundCall): number {
  if (b === 0) noValue(call, 'division by zero')
  return (a % b) | 0
}
export function divideLong(a: bigint, b: bigint, call: BoundCall): bigint {
  if (b === 0n) noValue(call, 'division by zero')
  return BigInt.asIntN(64, a / b)
}
export function remainderLong(a: bigint, b: bigint, call: BoundCall): bigint {
  if (b === 0n) noValue(call, 'division by zero')
  return a % b
}

function bindInteger(operator: Operator, { type, args }: BoundCall, call: BoundCall): (a: never, b: never) => Value {
  if (type.root === 'BIGINT' || args[0]?.type.root === 'BIGINT') {
    const long: Record<Operator, (a: bigint, b: bigint) => bigint> = {
      '+': (a, b) => BigInt.asIntN(64, a + b),
      '-': (a, b) => BigInt.asIntN(64, a - b),
      '*': (a, b) => BigInt.asIntN(64, a * b),
      '/': (a, b) => divideLong(a, b, call),
      '%': (a, b) => remainderLong(a, b, call),
    }
    const run = long[operator]
    // The remainder has the type of the divisor, whose values it stays among.
    return type.root === 'BIGINT' ? run : (a, b) => Number(run(a, b))
  }
  const small: Record<Operator, (a: number, b: number) => number> = {
    '+': (a, b) => wrapInt(type.root, a + b),
    '-': (a, b) => wrapInt(type.root, a - b),
    '*': (a, b) => wrapInt(type.root, Math.imul(a, b)),
    '/': (a, b) => wrapInt(type.root, divideInt(a, b, call)),
    '%': (a, b) => wrapInt(type.root, remainderInt(a, b, call)),
  }
  return small[operator]
}

function emitInteger(operator: Operator, call: BoundCall, a: Code, b: Code, emitter: FunctionEmitter): Code | undefined {
  const site = () => emitter.constant(call)
  const long = call.type.root === 'BIGINT' || call.args[0]?.type.root === 'BIGINT'
  const divisor = call.args[1]?.literal
  // By a constant: no zero to look for, and V8 keeps what `asIntN` cuts in a register.
  if (long && (operator === '/' || operator === '%') && typeof divisor === 'bigint' && divisor !== 0n) {
    const result = operator === '/' ? code`BigInt.asIntN(64, ${a} / ${divisor})` : code`BigInt.asIntN(64, ${a} % ${divisor})`
    return call.type.root === 'BIGINT' ? result : code`Number(${result})`
  }
  if (call.type.root === 'BIGINT')
    switch (operator) {
      case '+':
        return code`BigInt.asIntN(64, ${a} + ${b})`
      case '-':
        return code`BigInt.asIntN(64, ${a} - ${b})`
      case '*':
        return code`BigInt.asIntN(64, ${a} * ${b})`
      case '/':
        return code`${emitter.constant(divideLong)}(${a}, ${b}, ${site()})`
      case '%':
        return code`${emitter.constant(remainderLong)}(${a}, ${b}, ${site()})`
    }
  if (call.args[0]?.type.root === 'BIGINT') return undefined
  const raw = {
    '+': () => code`${a} + ${b}`,
    '-': () => code`${a} - ${b}`,
    '*': () => code`Math.imul(${a}, ${b})`,
    '/': () => code`${emitter.constant(divideInt)}(${a}, ${b}, ${site()})`,
    '%': () => code`${emitter.constant(remainderInt)}(${a}, ${b}, ${site()})`,
  }[operator]()
  const shift = { INT: 0, SMALLINT: 16, TINYINT: 24 }[call.type.root as string] ?? 0
  return shift === 0 ? code`((${raw}) | 0)` : code`((${raw}) << ${shift} >> ${shift})`
}

const approximate: Record<Operator, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
}

function bindDecimal(operator: Operator, call: BoundCall): (a: bigint, b: bigint) => Value {
  const { precision, scale } = call.type
  const [s1, s2] = [call.args[0]?.type.scale ?? 0, call.args[1]?.type.scale ?? 0]
  const wide = Math.max(s1, s2)
  const exact: Record<Operator, (a: bigint, b: bigint) => bigint> = {
    '+': (a, b) => rescale(rescale(a, s1, wide) + rescale(b, s2, wide), wide, scale),
    '-': (a, b) => rescale(rescale(a, s1, wide) - rescale(b, s2, wide), wide, scale),
    '*': (a, b) => rescale(a * b, s1 + s2, scale),
    '/': (a, b) => {
      if (b === 0n) noValue(call, 'division by zero')
      const shift = scale + s2 - s1
      return shift >= 0 ? divideHalfUp(a * powerOfTen(shift), b) : divideHalfUp(a, b * powerOfTen(-shift))
    },
    '%': (a, b) => {
      if (b === 0n) noValue(call, 'division by zero')
      return rescale(rescale(a, s1, wide) % rescale(b, s2, wide), wide, scale)
    },
  }
  const run = exact[operator]
  return (a, b) => {
    const value = run(a, b)
    return fitsPrecision(value, precision) ? value : null
  }
}

/** Where the result's type has room for every result, so that there is nothing to look at: sums and products whose type was not capped. */
function emitDecimal(operator: Operator, { type, args }: BoundCall, a: Code, b: Code): Code | undefined {
  const [x, y] = args.map(arg => arg.type)
  if (x === undefined || y === undefined) return undefined
  const uncapped = operator === '+' || operator === '-' || operator === '*' ? decimalSize(operator, x, y) : undefined
  if (uncapped === undefined || uncapped.precision > type.precision || uncapped.scale !== type.scale) return undefined
  if (operator === '*') return code`(${a} * ${b})`
  const scaled = (value: Code, from: number) => (from === type.scale ? value : code`${value} * ${powerOfTen(type.scale - from)}`)
  return operator === '+' ? code`(${scaled(a, x.scale)} + ${scaled(b, y.scale)})` : code`(${scaled(a, x.scale)} - ${scaled(b, y.scale)})`
}

function decimalResult(operator: Operator, a: ValueType, b: ValueType): ValueType {
  const { precision, scale } = decimalSize(operator, a, b)
  return cappedDecimal(precision, scale)
}

/** Digits that every result fits, however many. */
function decimalSize(operator: Operator, a: ValueType, b: ValueType): { readonly precision: number; readonly scale: number } {
  const [p1, s1, p2, s2] = [a.precision, a.scale, b.precision, b.scale]
  const scale = Math.max(s1, s2)
  switch (operator) {
    case '+':
    case '-':
      return { precision: Math.max(p1 - s1, p2 - s2) + scale + 1, scale }
    case '*':
      return { precision: p1 + p2 + 1, scale: s1 + s2 }
    case '/': {
      const quotient = Math.max(6, s1 + p2 + 1)
      return { precision: p1 - s1 + s2 + quotient, scale: quotient }
    }
    case '%':
      return { precision: Math.min(p1 - s1, p2 - s2) + scale, scale }
  }
}

function resolveNumbers(operator: Operator, args: readonly Argument[]): Resolution | undefined {
  const [a, b] = args.map(arg => arg.type)
  if (a === undefined || b === undefined) return undefined
  const nullable = anyNullable(args)
  const both = (type: ValueType): ValueType[] => [withNullable(type, a.nullable), withNullable(type, b.nullable)]
  if (isInteger(a) && isInteger(b)) {
    const type = commonType([a, b]) ?? a
    // MOD has the type of its second argument.
    return { type: withNullable(operator === '%' ? b : type, nullable), args: both(type) }
  }
  if (isApproximate(a) || isApproximate(b)) {
    if (operator === '%') return undefined
    const type =
      a.root === 'FLOAT' && b.root === 'FLOAT'
        ? a
        : a.root === 'FLOAT' && isInteger(b)
          ? a
          : b.root === 'FLOAT' && isInteger(a)
            ? b
            : commonType([a, b])
    return { type: withNullable(type ?? doubleType, nullable), args: both(type ?? doubleType) }
  }
  const [x, y] = [asDecimal(a), asDecimal(b)]
  if (x === undefined || y === undefined) return undefined
  return { type: withNullable(decimalResult(operator, x, y), nullable), args: [x, y] }
}

function resolveTimes(operator: Operator, args: readonly Argument[]): Resolution | undefined {
  const [a, b] = args.map(arg => arg.type)
  if (a === undefined || b === undefined) return undefined
  const as = (type: ValueType): Resolution => ({ type: withNullable(type, anyNullable(args)), args: [a, b] })
  if (operator === '*') {
    if (isInterval(a) && (isInteger(b) || isDecimal(b))) return isSmallInteger(b) || b.root === 'BIGINT' ? as(a) : undefined
    return isInterval(b) && isSmallInteger(a) ? as(b) : undefined
  }
  if (operator !== '+' && operator !== '-') return undefined
  if (isInterval(a) && isInterval(b)) return a.root === b.root ? as(a) : undefined
  const [time, interval] = isInterval(b) ? [a, b] : operator === '+' ? [b, a] : [undefined, undefined]
  if (time === undefined || interval === undefined || !isInterval(interval)) return undefined
  if (isTimestamp(time) || time.root === 'DATE' || (time.root === 'TIME' && interval.root === 'INTERVAL_MS')) return as(time)
  return undefined
}

/** `time` plus months or milliseconds, by its type. LTZ counts months on local clocks. */
export function addInterval(type: ValueType, interval: TypeRoot, time: number, amount: number, environment: Environment): number {
  if (interval === 'INTERVAL_MONTHS') {
    if (type.root === 'DATE') return addMonths(time, amount)
    const local = type.root === 'TIMESTAMP_LTZ' ? toLocal(environment.timeZone, time) : time
    const moved = addMonths(dayOfMs(local), amount) * DAY_MS + timeOfMs(local)
    return type.root === 'TIMESTAMP_LTZ' ? toInstant(environment.timeZone, moved) : moved
  }
  if (type.root === 'DATE') return time + Math.trunc(amount / DAY_MS)
  return type.root === 'TIME' ? timeOfMs(time + amount) : time + amount
}

function bindTimes(operator: Operator, { type, args }: BoundCall, environment: Environment): (a: number, b: number) => Value {
  const [a, b] = args.map(arg => arg.type)
  if (operator === '*') return type.root === 'INTERVAL_MONTHS' ? (x, y) => Math.imul(x, Number(y)) : (x, y) => Number(x) * Number(y)
  const sign = operator === '-' ? -1 : 1
  if (isInterval(type)) return (x, y) => x + sign * y
  const interval = a !== undefined && isInterval(a) ? a : b
  const root = interval?.root ?? 'INTERVAL_MS'
  return interval === a ? (x, y) => addInterval(type, root, y, x, environment) : (x, y) => addInterval(type, root, x, sign * y, environment)
}

const isTimeCall = ({ args }: BoundCall): boolean => args.some(({ type }) => isInterval(type))

function arithmetic(name: string, operator: Operator, doc: string): ScalarFunction {
  return {
    name,
    syntax: name === 'MOD' ? 'MOD(a, b)' : `a ${name} b`,
    doc,
    nulls: 'strict',
    answersNull: true,
    throws: operator === '/' || operator === '%',
    resolve: args => {
      if (operator === '-' && args.length === 1) return resolveNegation(args)
      if (args.length !== 2) return undefined
      return args.every(({ type }) => isNumeric(type)) ? resolveNumbers(operator, args) : resolveTimes(operator, args)
    },
    bind: (call, environment) => {
      if (call.args.length === 1) return bindNegation(call)
      if (isTimeCall(call)) return bindTimes(operator, call, environment)
      if (isDecimal(call.type)) return bindDecimal(operator, call)
      if (isApproximate(call.type)) {
        const run = approximate[operator]
        return call.type.root === 'FLOAT' ? (a: number, b: number) => Math.fround(run(a, b)) : run
      }
      return bindInteger(operator, call, call)
    },
    emit: (call, [a, b], emitter) => {
      if (a === undefined || b === undefined) return undefined
      if (isDecimal(call.type)) return emitDecimal(operator, call, a, b)
      if (isTimeCall(call)) {
        // What needs no calendar: instants and intervals of milliseconds.
        const plain = call.args.every(({ type }) => isTimestamp(type) || type.root === 'INTERVAL_MS') && operator !== '*'
        return plain ? (operator === '+' ? code`(${a} + ${b})` : code`(${a} - ${b})`) : undefined
      }
      if (isInteger(call.type)) return emitInteger(operator, call, a, b, emitter)
      const raw = { '+': code`${a} + ${b}`, '-': code`${a} - ${b}`, '*': code`${a} * ${b}`, '/': code`${a} / ${b}`, '%': code`${a} % ${b}` }[operator]
      return call.type.root === 'FLOAT' ? code`Math.fround(${raw})` : code`(${raw})`
    },
  }
}

function resolveNegation(args: readonly Argument[]): Resolution | undefined {
  const [a] = args
  return a !== undefined && (isNumeric(a.type) || isInterval(a.type)) ? { type: a.type, args: [a.type] } : undefined
}

function bindNegation({ type }: BoundCall): (a: never) => Value {
  if (type.root === 'BIGINT') return (a: bigint) => BigInt.asIntN(64, -a)
  if (isDecimal(type)) return (a: bigint) => -a
  if (isSmallInteger(type)) return (a: number) => wrapInt(type.root, -a)
  return (a: number) => -a
}

export const arithmeticFunctions: readonly ScalarFunction[] = [
  arithmetic('+', '+', 'integers wrap, decimals are exact (NULL without room); also dates, times and intervals'),
  arithmetic('-', '-', 'also the sign, and dates, times and intervals'),
  arithmetic('*', '*', 'also an interval and an integer'),
  arithmetic('/', '/', 'of integers an integer; division by zero of exact numbers fails'),
  arithmetic('%', '%', 'the sign is that of the first'),
  arithmetic('MOD', '%', 'the sign is that of the first, the type that of the second'),
]

/** For functions over doubles: what an exact number becomes. */
export function toDouble(type: ValueType, value: Value): number {
  return isDecimal(type) ? decimalToDouble(value as bigint, type.scale) : Number(value)
}
