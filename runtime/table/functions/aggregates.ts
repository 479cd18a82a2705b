import { type Code, code, type FunctionEmitter } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import { divideHalfUp, fitsPrecision, powerOfTen } from './decimal.ts'
import { compareBytes, compareText } from './logic.ts'
import {
  bigintType,
  columnKindOfValue,
  decimalType,
  doubleType,
  isBinary,
  isDecimal,
  isInteger,
  isNumeric,
  isSmallInteger,
  isText,
  type TypeRoot,
  typeText,
  type Value,
  type ValueType,
  withNullable,
} from './value-type.ts'

/**
 * Aggregate functions of SQL. An accumulator is a few typed slots, so that a table of groups is a few typed arrays; each slot is also one column
 * of what a local aggregation sends and a snapshot holds. NULL arguments are never added: the caller skips them.
 *
 * Each function twice: `add`, `merge` and `value` over the slots' values are the interpreter, `emit` writes the same statements over the slots'
 * arrays into a generated loop (runtime/accumulators.ts). Tests hold them equal.
 *
 * As Flink's: SUM has the argument's type and wraps as Java's; AVG of integers sums in 64 bits and is cut towards zero; SUM of a DECIMAL is a
 * DECIMAL(38, s), and a sum without room there is NULL, from which the next value begins anew; AVG of a DECIMAL stays NULL then.
 */
export interface AggregateFunction {
  readonly name: string
  readonly type: ValueType
  readonly slots: readonly Slot[]
  add(slots: Value[], value: Value): void
  /** `other` is the slots of another accumulator; its slots that are null hold nothing. */
  merge(slots: Value[], other: readonly Value[]): void
  value(slots: readonly Value[]): Value
  readonly emit: AggregateEmitter
}

/**
 * `count`: a double, as rows of a table stay below 2^53, and a BIGINT as column; `decimal`: a bigint of any size; `text`: bytes. The last two are
 * plain arrays that hold undefined for null, the others typed arrays with a flag per group where the slot may be null.
 */
export type SlotKind = 'count' | 'bool' | 'i32' | 'i64' | 'f64' | 'decimal' | 'text'

export interface Slot {
  readonly kind: SlotKind
  /** A fresh group's: null in a slot that may be null, else zero. */
  readonly initial: Value
  readonly type: ValueType
}

/** Where the slot of one group stands in generated code: places that can be assigned. */
export interface Place {
  readonly value: Code
  /** 0 or 1; only of typed slots that may be null. */
  readonly valid: Code
}

/** A value in generated code that is not null: as functions see it, or the bytes of a text. */
export type Given =
  | { readonly kind: 'value'; readonly value: Code }
  | { readonly kind: 'bytes'; readonly data: Code; readonly start: Code; readonly length: Code }

export interface AggregateEmitter {
  add(emitter: FunctionEmitter, places: readonly Place[], given: Given | undefined): void
  /** Adds slot `index` of another accumulator, where that is not null. */
  merge(emitter: FunctionEmitter, place: Place, given: Given, index: number): void
  /** A slot that is null there becomes null here; else it adds nothing. */
  readonly nullStays: boolean
  /** undefined: the result is slot 0. */
  readonly value: ((emitter: FunctionEmitter, places: readonly Place[]) => { readonly value: Code; readonly isNull: Code }) | undefined
}

export const aggregateNames = ['COUNT', 'SUM', 'MIN', 'MAX', 'AVG'] as const
export const aggregateDocs: readonly (readonly [syntax: string, doc: string])[] = [
  ['COUNT(*), COUNT(x)', 'rows, or values that are not NULL; BIGINT NOT NULL'],
  ['SUM(x)', 'NULL of no values; integers wrap, DECIMAL(38, s) of decimals'],
  ['MIN(x), MAX(x)', 'of every type that compares'],
  ['AVG(x)', 'of integers an integer, cut towards zero; of DECIMAL(p, s) DECIMAL(38, max(6, s))'],
]

/** `argument` undefined: COUNT(*). Arguments that do not fit are refused by name. */
export function aggregateFunction(name: string, argument: ValueType | undefined): AggregateFunction {
  if (name === 'COUNT') return count()
  if (argument !== undefined) {
    if ((name === 'MIN' || name === 'MAX') && argument.root !== 'NULL' && !isBinary(argument)) return extreme(name, argument)
    if (name === 'SUM' && isNumeric(argument)) return sum(argument)
    if (name === 'AVG' && isNumeric(argument)) return average(argument)
  }
  throw new FlinkError('UNSUPPORTED', `aggregate function ${name} of ${argument === undefined ? '*' : typeText(argument)} is not supported yet`, {
    name,
  })
}

const countSlot: Slot = { kind: 'count', initial: 0n, type: withNullable(bigintType, false) }

function count(): AggregateFunction {
  return {
    name: 'COUNT',
    type: countSlot.type,
    slots: [countSlot],
    add: slots => (slots[0] = (slots[0] as bigint) + 1n),
    merge: (slots, other) => (slots[0] = (slots[0] as bigint) + (other[0] as bigint)),
    value: slots => slots[0] as bigint,
    emit: {
      add: (emitter, places) => emitter.line(code`${place(places, 0).value}++`),
      merge: (emitter, { value }, given) => emitter.line(code`${value} += ${givenValue(given)}`),
      nullStays: false,
      value: undefined,
    },
  }
}

function sum(argument: ValueType): AggregateFunction {
  const type = withNullable(isDecimal(argument) ? decimalType(38, argument.scale) : argument, true)
  const into = (slots: Value[], value: Value) => (slots[0] = slots[0] === null ? value : plus(type, slots[0] as Value, value))
  return {
    name: 'SUM',
    type,
    slots: [{ kind: slotKind(type), initial: null, type }],
    add: into,
    merge: (slots, [other]) => {
      if (other !== null) into(slots, other as Value)
    },
    value: ([total]) => total as Value,
    emit: {
      add: (emitter, places, given) => emitSum(emitter, type, place(places, 0), givenValue(given)),
      merge: (emitter, own, given) => emitSum(emitter, type, own, givenValue(given)),
      nullStays: false,
      value: undefined,
    },
  }
}

/** A fresh typed slot is 0, so that no branch is needed; the flag alone says that something was added. */
function emitSum(emitter: FunctionEmitter, type: ValueType, { value, valid }: Place, given: Code): void {
  if (isDecimal(type)) emitter.line(code`${value} = ${emitter.constant(addDecimal)}(${value}, ${given})`)
  else {
    emitter.line(code`${value} = ${plusCode(type, value, given)}`)
    emitter.line(code`${valid} = 1`)
  }
}

/** undefined is null: what nothing was added to yet, and what had no room. */
function addDecimal(total: bigint | undefined, value: bigint): bigint | undefined {
  if (total === undefined) return value
  const next = total + value
  return fitsPrecision(next, 38) ? next : undefined
}

const shifts: Partial<Record<TypeRoot, number>> = { INT: 0, SMALLINT: 16, TINYINT: 24 }

/** Adds in the type of a sum: wraps as Java's; null where a decimal has no room. */
function plus(type: ValueType, a: Value, b: Value): Value {
  const shift = shifts[type.root]
  if (shift !== undefined) return (((a as number) + (b as number)) << shift) >> shift
  if (type.root === 'BIGINT') return BigInt.asIntN(64, (a as bigint) + (b as bigint))
  if (isDecimal(type)) return addDecimal(a as bigint, b as bigint) ?? null
  return type.root === 'FLOAT' ? Math.fround((a as number) + (b as number)) : (a as number) + (b as number)
}

function plusCode(type: ValueType, a: Code, b: Code): Code {
  const shift = shifts[type.root]
  if (shift !== undefined) return shift === 0 ? code`(${a} + ${b}) | 0` : code`((${a} + ${b}) << ${shift}) >> ${shift}`
  if (type.root === 'BIGINT') return code`BigInt.asIntN(64, ${a} + ${b})`
  return type.root === 'FLOAT' ? code`Math.fround(${a} + ${b})` : code`${a} + ${b}`
}

function extreme(name: 'MIN' | 'MAX', argument: ValueType): AggregateFunction {
  const type = withNullable(argument, true)
  const kind = slotKind(type)
  // A later value replaces only what it is strictly beyond, so NaN neither replaces nor is replaced, as in Flink.
  const isBeyond = (value: Value, best: Value): boolean => {
    const [a, b] = [value as number, best as number]
    if (kind === 'text') return name === 'MIN' ? compareText(value as string, best as string) < 0 : compareText(value as string, best as string) > 0
    return name === 'MIN' ? a < b : a > b
  }
  const into = (slots: Value[], value: Value) => {
    if (slots[0] === null || isBeyond(value, slots[0] as Value)) slots[0] = value
  }
  const emitInto = (emitter: FunctionEmitter, { value, valid }: Place, given: Given) => {
    if (given.kind === 'bytes') {
      const keep = emitter.constant(name === 'MIN' ? lesserBytes : greaterBytes)
      emitter.line(code`${value} = ${keep}(${value}, ${given.data}, ${given.start}, ${given.length})`)
      return
    }
    const isNull = kind === 'decimal' ? code`${value} === undefined` : code`${valid} === 0`
    const one = emitter.define(given.value)
    emitter.open(code`if (${isNull} || ${one} ${name === 'MIN' ? code`<` : code`>`} ${value})`)
    emitter.line(code`${value} = ${one}`)
    if (kind !== 'decimal') emitter.line(code`${valid} = 1`)
    emitter.close()
  }
  return {
    name,
    type,
    slots: [{ kind, initial: null, type }],
    add: into,
    merge: (slots, [other]) => {
      if (other !== null) into(slots, other as Value)
    },
    value: ([best]) => best as Value,
    emit: {
      add: (emitter, places, given) => {
        if (given !== undefined) emitInto(emitter, place(places, 0), given)
      },
      merge: emitInto,
      nullStays: false,
      value: undefined,
    },
  }
}

/** UTF-8 order is code point order, which is Flink's. A value that is kept is copied: the frame's page is not ours. */
function lesserBytes(best: Uint8Array | undefined, data: Uint8Array, start: number, length: number): Uint8Array {
  const value = data.subarray(start, start + length)
  return best === undefined || compareBytes(value, best) < 0 ? value.slice() : best
}

function greaterBytes(best: Uint8Array | undefined, data: Uint8Array, start: number, length: number): Uint8Array {
  const value = data.subarray(start, start + length)
  return best === undefined || compareBytes(value, best) > 0 ? value.slice() : best
}

function average(argument: ValueType): AggregateFunction {
  if (isDecimal(argument)) return decimalAverage(argument)
  const type = withNullable(argument, true)
  const exact = isInteger(argument)
  const small = isSmallInteger(argument)
  const sumSlot: Slot = exact
    ? { kind: 'i64', initial: 0n, type: withNullable(bigintType, false) }
    : { kind: 'f64', initial: 0, type: withNullable(doubleType, false) }
  const add = (slots: Value[], total: Value, n: bigint) => {
    slots[0] = plus(sumSlot.type, slots[0] as Value, total)
    slots[1] = (slots[1] as bigint) + n
  }
  return {
    name: 'AVG',
    type,
    slots: [sumSlot, countSlot],
    add: (slots, value) => add(slots, exact ? BigInt(value as number | bigint) : value, 1n),
    merge: (slots, [total, n]) => add(slots, total as Value, n as bigint),
    value: ([total, n]) => {
      if (n === 0n) return null
      if (exact) return small ? narrowed(type, (total as bigint) / (n as bigint)) : (total as bigint) / (n as bigint)
      const quotient = (total as number) / Number(n)
      return argument.root === 'FLOAT' ? Math.fround(quotient) : quotient
    },
    emit: {
      add: (emitter, places, given) => {
        const [total, n] = [place(places, 0).value, place(places, 1).value]
        emitter.line(code`${total} = ${plusCode(sumSlot.type, total, small ? code`BigInt(${givenValue(given)})` : givenValue(given))}`)
        emitter.line(code`${n}++`)
      },
      merge: (emitter, { value }, given, index) =>
        emitter.line(index === 0 ? code`${value} = ${plusCode(sumSlot.type, value, givenValue(given))}` : code`${value} += ${givenValue(given)}`),
      nullStays: false,
      value: (emitter, places) => {
        const [total, n] = [place(places, 0).value, place(places, 1).value]
        const isNull = code`${n} === 0`
        if (!exact) return { isNull, value: argument.root === 'FLOAT' ? code`Math.fround(${total} / ${n})` : code`${total} / ${n}` }
        const quotient = code`(${total} / BigInt(${n}))`
        return { isNull, value: small ? code`${emitter.constant(narrowed)}(${emitter.constant(type)}, ${quotient})` : quotient }
      },
    },
  }
}

/** A sum that wrapped may have a quotient outside of the type: cut as Java's cast cuts. */
function narrowed(type: ValueType, quotient: bigint): number {
  const shift = shifts[type.root] ?? 0
  return (Number(BigInt.asIntN(32, quotient)) << shift) >> shift
}

/** The sum begins at 0 and a sum without room stays NULL; so does a quotient without room. */
function decimalAverage(argument: ValueType): AggregateFunction {
  const type = withNullable(decimalType(38, Math.max(6, argument.scale)), true)
  const zeros = powerOfTen(type.scale - argument.scale)
  const quotient = (total: bigint, n: bigint): bigint | undefined => {
    const answer = divideHalfUp(total * zeros, n)
    return fitsPrecision(answer, 38) ? answer : undefined
  }
  const addKept = (total: bigint | undefined, value: bigint): bigint | undefined => (total === undefined ? undefined : addDecimal(total, value))
  const divided = (total: bigint | undefined, n: number): bigint | undefined =>
    total === undefined || n === 0 ? undefined : quotient(total, BigInt(n))
  const add = (slots: Value[], total: Value, n: bigint) => {
    slots[0] = slots[0] === null || total === null ? null : (addDecimal(slots[0] as bigint, total as bigint) ?? null)
    slots[1] = (slots[1] as bigint) + n
  }
  return {
    name: 'AVG',
    type,
    slots: [{ kind: 'decimal', initial: 0n, type: decimalType(38, argument.scale) }, countSlot],
    add: (slots, value) => add(slots, value, 1n),
    merge: (slots, [total, n]) => add(slots, total as Value, n as bigint),
    value: ([total, n]) => (total === null || n === 0n ? null : (quotient(total as bigint, n as bigint) ?? null)),
    emit: {
      add: (emitter, places, given) => {
        const total = place(places, 0).value
        emitter.line(code`${total} = ${emitter.constant(addKept)}(${total}, ${givenValue(given)})`)
        emitter.line(code`${place(places, 1).value}++`)
      },
      merge: (emitter, { value }, given, index) =>
        emitter.line(
          index === 0 ? code`${value} = ${emitter.constant(addKept)}(${value}, ${givenValue(given)})` : code`${value} += ${givenValue(given)}`,
        ),
      nullStays: true,
      value: (emitter, places) => {
        const answer = emitter.define(code`${emitter.constant(divided)}(${place(places, 0).value}, ${place(places, 1).value})`)
        return { value: answer, isNull: code`${answer} === undefined` }
      },
    },
  }
}

function slotKind(type: ValueType): SlotKind {
  if (isText(type)) return 'text'
  // Sums of many decimals need more than 64 bits.
  const kind = isDecimal(type) && type.precision > 18 ? 'decimal' : columnKindOfValue(type)
  return kind === 'bytes' ? 'text' : kind
}

function place(places: readonly Place[], index: number): Place {
  return places[index] as Place // a function is given a place for each of its slots
}

function givenValue(given: Given | undefined): Code {
  if (given?.kind !== 'value') throw new FlinkError('INTERNAL', 'a function over numbers is given a value')
  return given.value
}
