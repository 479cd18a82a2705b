import { type Code, code } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import { divideHalfUp, fitsPrecision, powerOfTen } from './decimal.ts'
import { compareValues } from './logic.ts'
import {
  asDecimal,
  bigintType,
  decimalType,
  isDecimal,
  isInteger,
  isNumeric,
  isSmallInteger,
  type Value,
  type ValueType,
  withNullable,
} from './value-type.ts'

/**
 * Aggregate functions of SQL. An accumulator is a few typed slots, so that a table of groups is a few typed arrays; `valid` says whether a slot
 * holds a value (SUM of no rows is NULL). NULL arguments are never added: the caller skips them, COUNT(*) apart.
 *
 * - SUM has the argument's type (DECIMAL: 38 digits) and wraps as Java's; AVG of integers is an integer, cut towards zero; AVG of an INT sums in 64 bits.
 * - The emitter's fragments are statements over the slots of one group (`slots[i]`, places that can be assigned) and the value.
 */
export type SlotKind = 'i32' | 'i64' | 'f64' | 'value'

export interface AggregateFunction {
  readonly name: string
  readonly type: ValueType
  readonly slots: readonly Slot[]
  add(slots: Value[], value: Value): void
  merge(slots: Value[], other: readonly Value[]): void
  value(slots: readonly Value[]): Value
  /** undefined: the runtime calls `add`, `merge` and `value` (texts, wide decimals). */
  readonly emit: AggregateFragments | undefined
}

export interface Slot {
  readonly kind: SlotKind
  /** A fresh group's: null in a slot that has a valid flag. */
  readonly initial: Value
}

/** `valid` is the place of the flag of slot 0 (0 or 1), for functions whose initial value is null. */
export interface AggregateFragments {
  readonly hasValid: boolean
  add(slots: readonly Code[], valid: Code, value: Code): Code
  merge(slots: readonly Code[], valid: Code, other: readonly Code[], otherValid: Code): Code
  /** The value where it is not null; `isNull` is the test. */
  value(slots: readonly Code[]): Code
  isNull(slots: readonly Code[], valid: Code): Code
}

export const aggregateNames = ['COUNT', 'SUM', 'SUM0', 'MIN', 'MAX', 'AVG'] as const
export const aggregateDocs: readonly (readonly [syntax: string, doc: string])[] = [
  ['COUNT(*), COUNT(x)', 'rows, or values that are not NULL; BIGINT NOT NULL'],
  ['SUM(x)', 'NULL of no values; integers wrap, DECIMAL(38, s) of decimals'],
  ['SUM0(x)', '0 of no values; what SUM becomes where a count is split'],
  ['MIN(x), MAX(x)', 'of every type that compares'],
  ['AVG(x)', 'of integers an integer, cut towards zero; of DECIMAL(p, s) DECIMAL(38, max(6, s))'],
]

/** `argument` undefined: COUNT(*). Arguments that do not fit, and DISTINCT, are refused by name. */
export function aggregateFunction(name: string, argument: ValueType | undefined, distinct: boolean): AggregateFunction {
  if (distinct) throw new FlinkError('UNSUPPORTED', `${name}(DISTINCT …) is not supported yet`, { name })
  if (name === 'COUNT') return count()
  if (argument !== undefined && (name === 'MIN' || name === 'MAX')) return extreme(name, argument)
  if (argument !== undefined && isNumeric(argument)) {
    if (name === 'SUM' || name === 'SUM0') return sum(name, argument)
    if (name === 'AVG') return average(argument)
  }
  throw new FlinkError('UNSUPPORTED', `aggregate function ${name} of ${argument?.root ?? '*'} is not supported yet`, { name })
}

function count(): AggregateFunction {
  return {
    name: 'COUNT',
    type: withNullable(bigintType, false),
    slots: [{ kind: 'f64', initial: 0 }],
    // Counts stay exact in a double up to 2^53.
    add: slots => (slots[0] = (slots[0] as number) + 1),
    merge: (slots, other) => (slots[0] = (slots[0] as number) + (other[0] as number)),
    value: slots => BigInt(slots[0] as number),
    emit: {
      hasValid: false,
      add: ([n]) => code`${n ?? none}++`,
      merge: ([n], _, [other]) => code`${n ?? none} += ${other ?? none}`,
      value: ([n]) => code`BigInt(${n ?? none})`,
      isNull: () => code`false`,
    },
  }
}

const none = code`undefined`

/** Adds in the type of a sum: wraps as Java's. */
function adder(type: ValueType): (a: Value, b: Value) => Value {
  if (type.root === 'BIGINT') return (a, b) => BigInt.asIntN(64, (a as bigint) + (b as bigint))
  if (isDecimal(type)) return (a, b) => (a as bigint) + (b as bigint)
  if (type.root === 'FLOAT') return (a, b) => Math.fround((a as number) + (b as number))
  if (type.root === 'DOUBLE') return (a, b) => (a as number) + (b as number)
  const shift = type.root === 'INT' ? 0 : type.root === 'SMALLINT' ? 16 : 24
  return (a, b) => (((a as number) + (b as number)) << shift) >> shift
}

function addCode(type: ValueType, a: Code, b: Code): Code {
  if (type.root === 'BIGINT') return code`BigInt.asIntN(64, ${a} + ${b})`
  if (type.root === 'DOUBLE' || isDecimal(type)) return code`${a} + ${b}`
  if (type.root === 'FLOAT') return code`Math.fround(${a} + ${b})`
  const shift = type.root === 'INT' ? 0 : type.root === 'SMALLINT' ? 16 : 24
  return code`((${a} + ${b}) << ${shift}) >> ${shift}`
}

function sum(name: 'SUM' | 'SUM0', argument: ValueType): AggregateFunction {
  const type = withNullable(isDecimal(argument) ? decimalType(38, argument.scale) : argument, name === 'SUM')
  const zero: Value = type.root === 'BIGINT' || isDecimal(type) ? 0n : 0
  const initial = name === 'SUM' ? null : zero
  const add = adder(type)
  const into = (slots: Value[], value: Value) => (slots[0] = slots[0] === null || slots[0] === undefined ? value : add(slots[0], value))
  // The sum of many decimals needs more than 64 bits.
  const kind: SlotKind = isDecimal(type) ? 'value' : type.root === 'BIGINT' ? 'i64' : isSmallInteger(type) ? 'i32' : 'f64'
  return {
    name,
    type,
    slots: [{ kind, initial }],
    add: into,
    merge: (slots, [other]) => {
      if (other !== null && other !== undefined) into(slots, other)
    },
    value: ([total]) => (isDecimal(type) && typeof total === 'bigint' && !fitsPrecision(total, 38) ? null : (total ?? null)),
    emit:
      kind === 'value'
        ? undefined
        : {
            hasValid: name === 'SUM',
            // A fresh slot is 0, so that no branch is needed; the flag alone says that something was added.
            add: ([slot], valid, value) => fold(slot, valid, addCode(type, slot ?? none, value), name === 'SUM'),
            merge: ([slot], valid, [other], otherValid) =>
              name === 'SUM'
                ? code`if (${otherValid} === 1) { ${fold(slot, valid, addCode(type, slot ?? none, other ?? none), true)} }`
                : fold(slot, valid, addCode(type, slot ?? none, other ?? none), false),
            value: ([slot]) => slot ?? none,
            isNull: (_, valid) => (name === 'SUM' ? code`${valid} === 0` : code`false`),
          },
  }
}

function fold(slot: Code | undefined, valid: Code, value: Code, flags: boolean): Code {
  return flags ? code`${slot ?? none} = ${value}; ${valid} = 1` : code`${slot ?? none} = ${value}`
}

function extreme(name: 'MIN' | 'MAX', argument: ValueType): AggregateFunction {
  const sign = name === 'MIN' ? -1 : 1
  const into = (slots: Value[], value: Value) => {
    const current = slots[0]
    if (current === null || current === undefined || compareValues(argument, value, current) * sign > 0) slots[0] = value
  }
  const kind: SlotKind =
    argument.root === 'BIGINT' || (isDecimal(argument) && argument.precision <= 18)
      ? 'i64'
      : ['TINYINT', 'SMALLINT', 'INT', 'DATE', 'TIME', 'INTERVAL_MONTHS'].includes(argument.root)
        ? 'i32'
        : ['FLOAT', 'DOUBLE', 'TIMESTAMP', 'TIMESTAMP_LTZ', 'INTERVAL_MS'].includes(argument.root)
          ? 'f64'
          : 'value'
  const better = (value: Code, slot: Code) => (name === 'MIN' ? code`${value} < ${slot}` : code`${value} > ${slot}`)
  const keep = (slot: Code, valid: Code, value: Code) => code`if (${valid} === 0 || ${better(value, slot)}) { ${slot} = ${value}; ${valid} = 1 }`
  return {
    name,
    type: withNullable(argument, true),
    slots: [{ kind, initial: null }],
    add: into,
    merge: (slots, [other]) => {
      if (other !== null && other !== undefined) into(slots, other)
    },
    value: ([best]) => best ?? null,
    emit:
      kind === 'value'
        ? undefined
        : {
            hasValid: true,
            add: ([slot], valid, value) => keep(slot ?? none, valid, value),
            merge: ([slot], valid, [other], otherValid) => code`if (${otherValid} === 1) { ${keep(slot ?? none, valid, other ?? none)} }`,
            value: ([slot]) => slot ?? none,
            isNull: (_, valid) => code`${valid} === 0`,
          },
  }
}

function average(argument: ValueType): AggregateFunction {
  const exact = isInteger(argument)
  const wide = asDecimal(argument)
  const type = withNullable(isDecimal(argument) ? decimalType(38, Math.max(6, argument.scale)) : argument, true)
  const value = (total: Value, n: number): Value => {
    if (n === 0) return null
    if (exact) {
      const quotient = (total as bigint) / BigInt(n)
      return argument.root === 'BIGINT' ? quotient : Number(quotient)
    }
    if (!isDecimal(argument)) return argument.root === 'FLOAT' ? Math.fround((total as number) / n) : (total as number) / n
    const answer = divideHalfUp((total as bigint) * powerOfTen(type.scale - argument.scale), BigInt(n))
    return fitsPrecision(answer, 38) ? answer : null
  }
  const start: Value = wide === undefined ? 0 : 0n
  const add: (total: Value, one: Value) => Value = exact
    ? (total, one) => BigInt.asIntN(64, (total as bigint) + BigInt(one as number))
    : wide === undefined
      ? (total, one) => (total as number) + (one as number)
      : (total, one) => (total as bigint) + (one as bigint)
  const small = isSmallInteger(argument)
  return {
    name: 'AVG',
    type,
    slots: [
      { kind: isDecimal(argument) ? 'value' : exact ? 'i64' : 'f64', initial: start },
      { kind: 'f64', initial: 0 },
    ],
    add: (slots, one) => {
      slots[0] = add(slots[0] ?? start, one)
      slots[1] = (slots[1] as number) + 1
    },
    merge: (slots, [total, n]) => {
      slots[0] = add(slots[0] ?? start, total ?? start)
      slots[1] = (slots[1] as number) + (n as number)
    },
    value: ([total, n]) => value(total ?? start, n as number),
    emit: isDecimal(argument)
      ? undefined
      : {
          hasValid: false,
          add: ([total, n], _, one) =>
            exact
              ? code`${total ?? none} = BigInt.asIntN(64, ${total ?? none} + ${small ? code`BigInt(${one})` : one}); ${n ?? none}++`
              : code`${total ?? none} += ${one}; ${n ?? none}++`,
          merge: ([total, n], _, [otherTotal, otherN]) =>
            code`${total ?? none} = ${exact ? code`BigInt.asIntN(64, ${total ?? none} + ${otherTotal ?? none})` : code`${total ?? none} + ${otherTotal ?? none}`}; ${n ?? none} += ${otherN ?? none}`,
          value: ([total, n]) => {
            if (!exact)
              return argument.root === 'FLOAT' ? code`Math.fround(${total ?? none} / ${n ?? none})` : code`(${total ?? none} / ${n ?? none})`
            return small ? code`Number(${total ?? none} / BigInt(${n ?? none}))` : code`(${total ?? none} / BigInt(${n ?? none}))`
          },
          isNull: ([, n]) => code`${n ?? none} === 0`,
        },
  }
}
