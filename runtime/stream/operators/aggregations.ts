import { FlinkError } from '../../common/errors.ts'
import type { TypeInformation, TypeJson } from '../../serde/type-information.ts'
import type { ReduceFunction } from '../functions.ts'

export type AggregationKind = 'sum' | 'min' | 'max' | 'minBy' | 'maxBy'

/**
 * sum, min, max, minBy, maxBy as reduce functions. sum, min and max keep the other fields of the key's first row and replace only the
 * aggregated one; minBy and maxBy keep the whole row, the first one on ties. `field` is a position in a tuple, a name in a row, or
 * undefined when the value itself is aggregated. What can be known of the field is checked here, while the graph is built; fields
 * of GENERIC values are checked when they come.
 */
export function aggregationFunction(kind: AggregationKind, field: string | number | undefined, type: TypeInformation): AggregationFunction {
  const fieldType = typeOfField(kind, field, type)
  const reduceFunction = reducer(kind, field, type, fieldType)
  if (fieldType.kind !== 'GENERIC') return reduceFunction
  // A key of one row never comes to `reduce`: a field that is not there would pass unseen.
  return {
    ...reduceFunction,
    checkFirst: value => {
      const first = fieldOf(value, field, kind)
      if (kind === 'sum') adder(fieldType)?.(first, first)
    },
  }
}

export interface AggregationFunction extends ReduceFunction<unknown> {
  /** Throws when the first row of a key has no such field, or none that can be summed. */
  readonly checkFirst?: (value: unknown) => void
}

function reducer(kind: AggregationKind, field: string | number | undefined, type: TypeInformation, fieldType: TypeJson): ReduceFunction<unknown> {
  if (kind === 'sum') {
    const add = adder(fieldType)
    if (add === undefined) throw new FlinkError('INVALID_PROGRAM', `sum of ${describe(field, type)}: ${fieldType.kind} is not a numeric type`)
    return { reduce: (a, b) => withField(a, field, add(fieldOf(a, field, kind), fieldOf(b, field, kind))) }
  }
  if (!comparable.has(fieldType.kind))
    throw new FlinkError('INVALID_PROGRAM', `${kind} of ${describe(field, type)}: values of ${fieldType.kind} have no order`)
  const wanted = kind === 'min' || kind === 'minBy' ? -1 : 1
  if (kind === 'min' || kind === 'max')
    return {
      reduce: (a, b) => {
        const candidate = fieldOf(b, field, kind)
        return compare(candidate, fieldOf(a, field, kind)) === wanted ? withField(a, field, candidate) : a
      },
    }
  return { reduce: (a, b) => (compare(fieldOf(b, field, kind), fieldOf(a, field, kind)) === wanted ? b : a) }
}

const comparable: ReadonlySet<TypeJson['kind']> = new Set([
  'STRING',
  'BOOLEAN',
  'BYTE',
  'SHORT',
  'INT',
  'LONG',
  'SAFE_LONG',
  'FLOAT',
  'DOUBLE',
  'DATE',
  'GENERIC',
] as const)

function typeOfField(kind: AggregationKind, field: string | number | undefined, type: TypeInformation): TypeJson {
  const json = type.json
  if (field === undefined) {
    if (json.kind === 'TUPLE' || json.kind === 'ROW') throw new FlinkError('INVALID_PROGRAM', `${kind} of ${type} needs a field`)
    return json
  }
  if (json.kind === 'GENERIC') return json
  if (json.kind === 'TUPLE') {
    const position = Number(field)
    const found = json.fields[position]
    if (typeof field === 'string' || found === undefined)
      throw new FlinkError('INVALID_PROGRAM', `${kind}: ${type} has no field ${field}; its positions are 0 to ${json.fields.length - 1}`)
    return found
  }
  if (json.kind === 'ROW') {
    const found = typeof field === 'number' ? undefined : json.fields.find(candidate => candidate.name === field)
    if (found === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `${kind}: ${type} has no field ${field}; its fields are ${json.fields.map(candidate => candidate.name).join(', ')}`,
      )
    return found.type
  }
  throw new FlinkError('INVALID_PROGRAM', `${kind}: values of ${type} have no fields, so that there is no field ${field}`)
}

/** Java's arithmetic: integers wrap, SAFE_LONG refuses to leave the safe range instead. */
function adder(type: TypeJson): ((a: unknown, b: unknown) => unknown) | undefined {
  switch (type.kind) {
    case 'BYTE':
      return (a, b) => (((a as number) + (b as number)) << 24) >> 24
    case 'SHORT':
      return (a, b) => (((a as number) + (b as number)) << 16) >> 16
    case 'INT':
      return (a, b) => ((a as number) + (b as number)) | 0
    case 'LONG':
      return (a, b) => BigInt.asIntN(64, (a as bigint) + (b as bigint))
    case 'SAFE_LONG':
      return (a, b) => {
        const sum = (a as number) + (b as number)
        if (!Number.isSafeInteger(sum))
          throw new FlinkError('UNSUPPORTED_VALUE', `a sum of SAFE_LONG left the safe range of integers: ${a} + ${b}; use LONG`)
        return sum
      }
    case 'FLOAT':
      return (a, b) => Math.fround((a as number) + (b as number))
    case 'DOUBLE':
      return (a, b) => (a as number) + (b as number)
    case 'GENERIC':
      return (a, b) => {
        if ((typeof a === 'number' && typeof b === 'number') || (typeof a === 'bigint' && typeof b === 'bigint')) return (a as number) + (b as number)
        // Plain errors here and below: the operator that runs this names itself in front of them.
        throw new TypeError(`sum: cannot add ${typeof a} and ${typeof b}`)
      }
    default:
      return undefined
  }
}

/** Java's order: NaN is above every number, -0 below 0, false below true. Answers -1, 0 or 1. */
function compare(a: unknown, b: unknown): number {
  if (a instanceof Date && b instanceof Date) return compare(a.getTime(), b.getTime())
  if ((a as number) < (b as number)) return -1
  if ((a as number) > (b as number)) return 1
  if (typeof a !== 'number' || typeof b !== 'number') return 0
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  if (a === 0 && b === 0) return Number(Object.is(b, -0)) - Number(Object.is(a, -0))
  return 0
}

function fieldOf(row: unknown, field: string | number | undefined, kind: AggregationKind): unknown {
  if (field === undefined) return row
  const value = (row as Record<string | number, unknown>)[field]
  if (value === null || value === undefined) throw new TypeError(`${kind}: field ${field} of a record is ${value}`)
  return value
}

/** A copy with one field changed: `row` may have been handed to others already. */
function withField(row: unknown, field: string | number | undefined, value: unknown): unknown {
  if (field === undefined) return value
  if (Array.isArray(row)) {
    const copy = row.slice()
    copy[field as number] = value
    return copy
  }
  const prototype = Object.getPrototypeOf(row)
  const copy: Record<string | number, unknown> =
    prototype === Object.prototype ? { ...(row as object) } : Object.assign(Object.create(prototype), row)
  copy[field] = value
  return copy
}

function describe(field: string | number | undefined, type: TypeInformation): string {
  return field === undefined ? String(type) : `field ${field} of ${type}`
}
