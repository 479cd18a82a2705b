import { FlinkError } from '../../../common/errors.ts'
import { columnLayout, unscaledOf } from '../../../serde/columns-type.ts'
import { isBinary, isDecimal, isText, parseValueType, type ValueType } from '../../functions/value-type.ts'
import type { AggregateCall } from '../../plan/physical.ts'

/**
 * An aggregate as a fold over plain values, in the row form. A partial result is a list of values: what `accumulatorTypes` of the call says,
 * because that is what travels from a local aggregation to the global one.
 */
export interface RowAggregate {
  readonly empty: Partial
  /** Of one value of the argument, which is not NULL (COUNT(*): anything). */
  of(value: unknown): Partial
  merge(a: Partial, b: Partial): Partial
  result(partial: Partial): unknown
}

export type Partial = readonly unknown[]

export function rowAggregate(call: AggregateCall): RowAggregate {
  switch (call.name) {
    case 'COUNT':
      return { empty: [0n], of: () => [1n], merge: ([a], [b]) => [(a as bigint) + (b as bigint)], result: ([count]) => count }
    case 'SUM':
    case 'SUM0': {
      const add = adder(parseValueType(call.type))
      // The sum of nothing is NULL; 0 is where additions begin, so the sum of -0 alone is 0.
      const zero = columnLayout(call.type).kind === 'i64' ? 0n : 0
      const none = call.name === 'SUM0' ? zero : null
      return {
        empty: [none],
        of: value => [add(zero, value)],
        merge: ([a], [b]) => [a === null ? b : b === null ? a : add(a, b)],
        result: ([sum]) => sum,
      }
    }
    case 'MIN':
    case 'MAX': {
      const compare = comparator(parseValueType(call.inputType))
      const beyond = call.name === 'MAX' ? 1 : -1
      // A later value replaces only when it is strictly beyond, which NaN never is.
      return {
        empty: [null],
        of: value => [value],
        merge: ([a], [b]) => [a === null || (b !== null && compare(b, a) === beyond) ? b : a],
        result: ([value]) => value,
      }
    }
    case 'AVG': {
      const type = parseValueType(call.type)
      const exact = type.root !== 'FLOAT' && type.root !== 'DOUBLE'
      const add = adder(parseValueType(exact ? 'BIGINT' : 'DOUBLE'))
      return {
        empty: [exact ? 0n : 0, 0n],
        of: value => [exact ? BigInt(value as number | bigint) : add(0, value), 1n],
        merge: ([a, m], [b, n]) => [add(a, b), (m as bigint) + (n as bigint)],
        result: ([sum, count]) => (count === 0n ? null : average(type, sum, count as bigint)),
      }
    }
    default:
      throw new FlinkError('UNSUPPORTED', `aggregate function ${call.name} is not supported over rows (table.exec.columnar: false)`)
  }
}

/** Addition as the type has it: integers wrap. */
function adder({ root }: ValueType): (a: unknown, b: unknown) => unknown {
  // Values follow the type; TypeScript cannot know.
  switch (root) {
    case 'BIGINT':
      return (a, b) => BigInt.asIntN(64, (a as bigint) + (b as bigint))
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT': {
      const bits = { TINYINT: 8, SMALLINT: 16, INT: 32 }[root]
      return (a, b) => Number(BigInt.asIntN(bits, BigInt(a as number) + BigInt(b as number)))
    }
    case 'FLOAT':
      return (a, b) => Math.fround((a as number) + (b as number))
    case 'DOUBLE':
      return (a, b) => (a as number) + (b as number)
    default:
      throw new FlinkError('UNSUPPORTED', `SUM and AVG over ${root} are not supported over rows (table.exec.columnar: false)`)
  }
}

function average({ root }: ValueType, sum: unknown, count: bigint): unknown {
  if (root === 'DOUBLE') return (sum as number) / Number(count)
  if (root === 'FLOAT') return Math.fround((sum as number) / Number(count))
  const quotient = (sum as bigint) / count
  return root === 'BIGINT' ? quotient : Number(BigInt.asIntN({ TINYINT: 8, SMALLINT: 16 }[root as string] ?? 32, quotient))
}

/** Order of two values of a type that are not NULL; texts by their UTF-8 bytes, which is code point order. */
function comparator(type: ValueType): (a: unknown, b: unknown) => number {
  if (isDecimal(type)) return (a, b) => sign(unscaledOf(String(a), type.scale), unscaledOf(String(b), type.scale))
  if (isText(type)) return (a, b) => Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
  if (isBinary(type)) return (a, b) => Buffer.compare(a as Uint8Array, b as Uint8Array)
  return (a, b) => sign(a as number, b as number)
}

function sign<T extends number | bigint>(a: T, b: T): number {
  return a > b ? 1 : a < b ? -1 : 0
}
