import { FlinkError, nearestName } from '../common/errors.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'

/** A field as users name it: a tuple's position or a row's field. Both exist for the compiler (below) and while the graph is built. */
export type Field = string | number

/** Positions of a tuple, names of an object; anything for values whose type is unknown. */
export type FieldOf<T> = unknown extends T
  ? Field
  : T extends readonly unknown[]
    ? PositionOf<T>
    : T extends object
      ? Extract<keyof T, string>
      : never

type PositionOf<T extends readonly unknown[]> = number extends T['length']
  ? number
  : Exclude<keyof T, keyof unknown[]> extends infer P
    ? P extends `${infer N extends number}`
      ? N
      : never
    : never

export type FieldValue<T, F> = unknown extends T ? unknown : F extends keyof T ? T[F] : unknown

/** Fields that can be added up. */
export type NumericFieldOf<T> = unknown extends T
  ? Field
  : { [F in FieldOf<T>]: FieldValue<T, F> extends number | bigint | null | undefined ? F : never }[FieldOf<T>]

/** The type of a field; undefined where the stream's type says nothing (GENERIC). Refuses a field that the type does not have. */
export function typeOfField(type: TypeInformation, field: Field, what: string): TypeJson | undefined {
  const json = type.json
  switch (json.kind) {
    case 'GENERIC':
      return undefined
    case 'TUPLE': {
      if (typeof field === 'string') throw invalid(`${what}: ${type} has positions, not names: '${field}' is no field of it`, type, field)
      const found = Number.isInteger(field) ? json.fields[field] : undefined
      if (found === undefined)
        throw invalid(`${what}: position ${field} is outside ${type}, which has ${json.fields.length} fields counted from 0`, type, field)
      return found
    }
    case 'ROW': {
      const names = json.fields.map(each => each.name)
      if (typeof field === 'number')
        throw invalid(`${what}: ${type} has names, not positions: use one of ${names.join(', ')} instead of ${field}`, type, field)
      const found = json.fields.find(each => each.name === field)
      if (found === undefined) {
        const near = nearestName(field, names)
        throw invalid(`${what}: ${type} has no field '${field}'${near === undefined ? '' : `, did you mean '${near}'?`}`, type, field)
      }
      return found.type
    }
    default:
      throw invalid(`${what}: ${type} has no fields, so '${field}' cannot be one; use a function`, type, field)
  }
}

export function checkFieldSyntax(field: unknown, what: string): asserts field is Field {
  if (typeof field === 'string' && field !== '') return
  if (typeof field === 'number' && Number.isInteger(field) && field >= 0) return
  throw new FlinkError(
    'INVALID_PROGRAM',
    `${what} takes a tuple position (0, 1, …), a field name or a function, got ${typeof field === 'string' ? "''" : String(field)}`,
  )
}

/**
 * The field that a function reads and returns unchanged (`o => o.shop`), undefined for any other function. Found by calling it with an
 * object that records; a function that does more with the value than reading one field does not answer the recorded token.
 */
export function fieldReadBy(fn: (value: never) => unknown): Field | undefined {
  const read: { field: string; token: object }[] = []
  const probe = new Proxy(Object.freeze({}), {
    get(_target, property) {
      if (typeof property !== 'string') throw new NotAnAccessor()
      const token = Object.freeze(Object.create(null))
      read.push({ field: property, token })
      return token
    },
    has() {
      throw new NotAnAccessor()
    },
  })
  try {
    // The probe stands for any value: that is the point of it.
    const answer = fn(probe as never)
    const only = read[0]
    if (read.length !== 1 || only === undefined || answer !== only.token) return undefined
    return /^(0|[1-9]\d*)$/.test(only.field) ? Number(only.field) : only.field
  } catch {
    return undefined
  }
}

class NotAnAccessor extends Error {}

function invalid(message: string, type: TypeInformation, field: Field): FlinkError {
  return new FlinkError('INVALID_PROGRAM', message, { type: String(type), field })
}
