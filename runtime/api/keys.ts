import { FlinkError } from '../common/errors.ts'
import type { KeySelectorSpec } from '../graph/stream-graph.ts'
import { rowLayout } from '../serde/row-layout.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'
import { Types, typeFromJson } from '../serde/types.ts'
import type { KeySpec } from '../stream/functions.ts'
import type { Field } from './fields.ts'
import { checkFieldSyntax, fieldReadBy, typeOfField } from './fields.ts'
import { refuseAsync } from './user-functions.ts'

/** A resolved key: `spec` for operators, `selector` for HASH edges; `source` is the user's function text, if there is one. */
export interface ResolvedKey {
  readonly spec: KeySpec
  readonly selector: KeySelectorSpec
  readonly source: string | undefined
}

export type KeySelector<T, K> = ((value: T) => K) | { getKey(value: T): K }

/**
 * The arguments of `keyBy`: one field, several fields (the key is the tuple of them), or a function with the key's type.
 * A function that only reads a field (`o => o.shop`) takes that field's declared type; any other one is GENERIC unless a type is given.
 */
export function resolveKey(type: TypeInformation, args: readonly unknown[]): ResolvedKey {
  const [first, second] = args
  if (args.length === 0) throw new FlinkError('INVALID_PROGRAM', 'keyBy needs a position, a field name or a function')
  if (typeof first === 'function') return keyByFunction(type, first as (value: unknown) => unknown, first.toString(), keyTypeArgument(args, second))
  if (isKeySelectorObject(first)) return keyByFunction(type, value => first.getKey(value), first.getKey.toString(), keyTypeArgument(args, second))
  const fields = args.map(field => {
    checkFieldSyntax(field, 'keyBy')
    return { field, json: typeOfField(type, field, 'keyBy') }
  })
  const [only] = fields
  const columns = columnsOf(
    type,
    fields.map(({ field }) => field),
  )
  if (fields.length === 1 && only !== undefined) return keyByField(only.field, toType(only.json), columns)
  const keyType = Types.tuple(...fields.map(each => toType(each.json))) as TypeInformation
  const names = fields.map(each => each.field)
  return resolved(compositeSelector(names), keyType, names.map(describeField).join(', '), undefined, columns)
}

function keyByField(field: Field, keyType: TypeInformation, columns: readonly number[] | undefined): ResolvedKey {
  return resolved(fieldSelector(field), keyType, describeField(field), undefined, columns)
}

/** Indices of fields in a type that has a columnar form. */
function columnsOf({ json }: TypeInformation, fields: readonly Field[]): readonly number[] | undefined {
  if (rowLayout(json) === undefined) return undefined
  return fields.map(field => (json.kind === 'ROW' ? json.fields.findIndex(({ name }) => name === field) : (field as number)))
}

function keyByFunction(
  type: TypeInformation,
  select: (value: unknown) => unknown,
  source: string,
  keyType: TypeInformation | undefined,
): ResolvedKey {
  refuseAsync('keyBy', select)
  const field = keyType === undefined ? accessedField(type, select) : undefined
  if (field === undefined) return resolved(select, keyType ?? Types.GENERIC, source, source, undefined)
  return resolved(select, toType(typeOfField(type, field, 'keyBy')), source, source, columnsOf(type, [field]))
}

function accessedField(type: TypeInformation, select: (value: never) => unknown): Field | undefined {
  return type.json.kind === 'ROW' || type.json.kind === 'TUPLE' ? fieldReadBy(select) : undefined
}

function resolved(
  select: (value: unknown) => unknown,
  type: TypeInformation,
  description: string,
  source: string | undefined,
  columns: readonly number[] | undefined,
): ResolvedKey {
  const byFields = source === undefined
  const selector = { select: select as (value: never) => unknown, type, description, ...(columns === undefined ? {} : { columns, byFields }) }
  return { spec: { select, type }, selector, source }
}

// A row without the field would give the key `undefined`, and all such rows would silently share one group.
function fieldSelector(field: Field): (value: unknown) => unknown {
  return value => {
    const key = (value as Record<Field, unknown>)[field]
    if (key === undefined) throw missingKey(field)
    return key
  }
}

function compositeSelector(fields: readonly Field[]): (value: unknown) => unknown {
  return value => {
    const key: unknown[] = []
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!
      const part = (value as Record<Field, unknown>)[field]
      if (part === undefined) throw missingKey(field)
      key.push(part)
    }
    return key
  }
}

function missingKey(field: Field): FlinkError {
  return new FlinkError('USER_FUNCTION', `keyBy: a row has no ${describeField(field)}`)
}

function describeField(field: Field): string {
  return typeof field === 'number' ? `position ${field}` : `field ${field}`
}

function keyTypeArgument(args: readonly unknown[], second: unknown): TypeInformation | undefined {
  if (args.length === 1 || second === undefined) return undefined
  if (args.length === 2 && typeof second === 'object' && second !== null && 'json' in second) return second as TypeInformation
  throw new FlinkError('INVALID_PROGRAM', 'keyBy with a function takes one function and, optionally, the type of the key (one of Types)')
}

function isKeySelectorObject(value: unknown): value is { getKey(value: unknown): unknown } {
  return typeof value === 'object' && value !== null && typeof (value as { getKey?: unknown }).getKey === 'function'
}

function toType(json: TypeJson | undefined): TypeInformation {
  return json === undefined ? Types.GENERIC : typeFromJson(json)
}
