import { FlinkError } from '../common/errors.ts'
import { canonicalJson, type JsonValue } from '../common/json.ts'
import { ColumnsSerializer } from './columns-type.ts'
import { ListSerializer, MapSerializer, RowSerializer, tupleSerializer } from './composites.ts'
import { genericSerializer } from './generic-codec.ts'
import { primitiveSerializers } from './primitives.ts'
import { rowLayout } from './row-layout.ts'
import { TtlSerializer, type TtlValue } from './ttl-type.ts'
import type { ColumnField, PrimitiveKind, TypeInformation, TypeJson, TypeSerializer } from './type-information.ts'

/**
 * The room of types and bytes. `Types` is what users write; `typeFromJson` remakes a type that travelled; `key.ts` makes key bytes and
 * hashes of keys, `key-groups.ts` assigns them; `generic-codec.ts` encodes values without a declared type.
 *
 * 1. A serializer either writes a whole value or throws UNSUPPORTED_VALUE with the path of what does not fit (the writer then holds a
 *    partial value: its owner sets `length` back). It never converts: a number is no LONG, a numeric string no INT.
 * 2. A reader either returns a value of the type or throws CORRUPT_FRAME; it allocates nothing ahead of the bytes that fill it.
 * 3. Types hold no state: one serves all channels and states of a thread. Their JSON is pure data, nothing inferred from values.
 */

class Type<T> implements TypeInformation<T> {
  readonly json: TypeJson
  readonly serializer: TypeSerializer<T>
  private readonly text: string

  constructor(json: TypeJson, serializer: TypeSerializer<T>, text: string) {
    this.json = json
    this.serializer = serializer
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

export const Types = {
  STRING: primitive<string>('STRING'),
  BOOLEAN: primitive<boolean>('BOOLEAN'),
  BYTE: primitive<number>('BYTE'),
  SHORT: primitive<number>('SHORT'),
  INT: primitive<number>('INT'),
  /** A bigint that wraps at 64 bits as Java's long. */
  LONG: primitive<bigint>('LONG'),
  /** A Java long held in a number: an integer up to 2^53-1 on either side, an error beyond. */
  SAFE_LONG: primitive<number>('SAFE_LONG'),
  FLOAT: primitive<number>('FLOAT'),
  DOUBLE: primitive<number>('DOUBLE'),
  DATE: primitive<Date>('DATE'),
  BYTES: primitive<Uint8Array>('BYTES'),
  VOID: primitive<null>('VOID'),
  GENERIC: generic(),
  tuple: tupleType,
  row: rowType,
  list: listType,
  map: mapType,
  POJO: pojoType,
  /** Rows of SQL: see columns-type.ts. */
  columns: columnsType,
} as const

export type RowFieldTypes = Readonly<Record<string, TypeInformation>>
/** The JS type of a type's values: `ValueOf<typeof Types.STRING>` is string. */
export type ValueOf<T> = T extends TypeInformation<infer V> ? V : never
type TupleValues<T extends readonly TypeInformation[]> = { -readonly [I in keyof T]: ValueOf<T[I]> }
type RowValues<F extends RowFieldTypes> = { -readonly [K in keyof F]: ValueOf<F[K]> }
/** A class whose fields are declared in a static property: `static types = { shop: Types.STRING }`. */
export type PojoClass = (abstract new (...args: never[]) => unknown) & { readonly types?: RowFieldTypes }

function primitive<T>(kind: PrimitiveKind): TypeInformation<T> {
  const serializer: TypeSerializer<unknown> = primitiveSerializers[kind]
  return new Type<T>({ kind }, serializer as TypeSerializer<T>, kind) // callers name the T of the kind, see Types
}

function generic(): TypeInformation {
  return new Type<unknown>({ kind: 'GENERIC' }, genericSerializer, 'GENERIC')
}

function tupleType<const T extends readonly TypeInformation[]>(...fields: T): TypeInformation<TupleValues<T>> {
  fields.forEach((field, i) => {
    checkType(field, `field ${i} of a tuple`)
  })
  const json: TypeJson = { kind: 'TUPLE', fields: fields.map(field => field.json) }
  const serializer: TypeSerializer<unknown> = tupleSerializer(
    fields.map(field => field.serializer),
    columnKinds(json),
  )
  // The fields' serializers give the values that TupleValues says.
  return new Type(json, serializer as TypeSerializer<TupleValues<T>>, `TUPLE<${fields.join(', ')}>`)
}

function rowType<const F extends RowFieldTypes>(fields: F): TypeInformation<RowValues<F>> {
  const entries = Object.entries(fields)
  for (const [name, type] of entries) {
    if (name === '__proto__') throw new FlinkError('INVALID_PROGRAM', 'a row cannot have a field named __proto__')
    // JS moves such properties to the front: the declared order would not be the order of the fields.
    if (/^(0|[1-9]\d{0,9})$/.test(name))
      throw new FlinkError('INVALID_PROGRAM', `a row cannot have the number ${name} as a field's name; a tuple has positions`)
    checkType(type, `field ${name} of a row`)
  }
  const json: TypeJson = { kind: 'ROW', fields: entries.map(([name, type]) => ({ name, type: type.json })) }
  const serializer: TypeSerializer<unknown> = new RowSerializer(
    entries.map(([name, type]) => ({ name, serializer: type.serializer })),
    columnKinds(json),
  )
  return new Type(
    json,
    serializer as TypeSerializer<RowValues<F>>, // the fields' serializers give the values that RowValues says
    `ROW<${entries.map(([name, type]) => `${name} ${type}`).join(', ')}>`,
  )
}

function columnKinds(type: TypeJson): readonly string[] | undefined {
  return rowLayout(type)?.columns.map(({ kind }) => kind)
}

function columnsType(fields: readonly ColumnField[]): TypeInformation<readonly unknown[]> {
  const plain = fields.map(({ name, type }) => ({ name, type }))
  return new Type(
    { kind: 'COLUMNS', fields: plain },
    new ColumnsSerializer(plain),
    `ROW<${plain.map(({ name, type }) => `${name} ${type}`).join(', ')}>`,
  )
}

function listType<T>(element: TypeInformation<T>): TypeInformation<T[]> {
  checkType(element, 'the element of a list')
  const serializer: TypeSerializer<unknown> = new ListSerializer(element.serializer)
  return new Type({ kind: 'LIST', element: element.json }, serializer as TypeSerializer<T[]>, `LIST<${element}>`) // its elements are read by T's serializer
}

function mapType<K, V>(key: TypeInformation<K>, value: TypeInformation<V>): TypeInformation<Map<K, V>> {
  checkType(key, 'the key of a map')
  checkType(value, 'the value of a map')
  const serializer: TypeSerializer<unknown> = new MapSerializer(key.serializer, value.serializer)
  return new Type({ kind: 'MAP', key: key.json, value: value.json }, serializer as TypeSerializer<Map<K, V>>, `MAP<${key}, ${value}>`) // read by K's and V's serializers
}

/** Flink reads a POJO's fields by reflection; TypeScript's field types do not exist at run time, so they are declared: here or as `static types`. */
function pojoType<const F extends RowFieldTypes>(fields: F): TypeInformation<RowValues<F>>
function pojoType<const F extends RowFieldTypes>(pojo: PojoClass, fields: F): TypeInformation<RowValues<F>>
function pojoType<C extends PojoClass>(pojo: C): TypeInformation<C extends { readonly types: infer F extends RowFieldTypes } ? RowValues<F> : never>
function pojoType(pojo: PojoClass | RowFieldTypes, declared?: RowFieldTypes): TypeInformation<Record<string, unknown>> {
  if (typeof pojo !== 'function') return rowType(pojo as RowFieldTypes) // the overloads leave nothing else
  const fields = declared ?? (pojo as PojoClass).types // the overloads leave nothing else
  if (fields === undefined) {
    throw new FlinkError(
      'INVALID_PROGRAM',
      `the class ${pojo.name} does not say the types of its fields: pass them, or give it "static types = { field: Types.STRING, … }"`,
    )
  }
  return rowType(fields)
}

/** What a state with time-to-live stores for each value of `type`; not among `Types`, because no user's value has it. */
export function ttlType<T>(type: TypeInformation<T>): TypeInformation<TtlValue<T>> {
  return new Type({ kind: 'TTL', value: type.json }, new TtlSerializer(type.serializer), `TTL<${type}>`)
}

/** By shape, not by class: a bundled job may bring a copy of this module of its own. */
function checkType(type: unknown, where: string): void {
  const candidate = type as Partial<TypeInformation> | null | undefined // what is not an object has no such members
  if (candidate?.json === undefined || candidate.serializer === undefined) throw new FlinkError('INVALID_PROGRAM', `${where} is not a type of Types`)
}

/** Equal to the type whose `json` this was. */
export function typeFromJson(json: TypeJson): TypeInformation {
  switch (json.kind) {
    case 'TUPLE':
      return tupleType(...json.fields.map(typeFromJson))
    case 'ROW':
      return rowType(Object.fromEntries(json.fields.map(field => [field.name, typeFromJson(field.type)])))
    case 'COLUMNS':
      return columnsType(json.fields)
    case 'LIST':
      return listType(typeFromJson(json.element))
    case 'MAP':
      return mapType(typeFromJson(json.key), typeFromJson(json.value))
    case 'TTL':
      return ttlType(typeFromJson(json.value))
    case 'GENERIC':
      return Types.GENERIC
    default: {
      const known: Partial<Record<string, TypeInformation>> = primitives
      const type = Object.hasOwn(primitives, json.kind) ? known[json.kind] : undefined
      if (type === undefined) throw new FlinkError('UNSUPPORTED', `the type kind ${JSON.stringify(json.kind)} is not known to this build`)
      return type
    }
  }
}

const primitives: Record<PrimitiveKind, TypeInformation> = {
  STRING: Types.STRING,
  BOOLEAN: Types.BOOLEAN,
  BYTE: Types.BYTE,
  SHORT: Types.SHORT,
  INT: Types.INT,
  LONG: Types.LONG,
  SAFE_LONG: Types.SAFE_LONG,
  FLOAT: Types.FLOAT,
  DOUBLE: Types.DOUBLE,
  DATE: Types.DATE,
  BYTES: Types.BYTES,
  VOID: Types.VOID,
}

/** Same kinds, same fields in the same order under the same names. */
export function typesEqual(a: TypeInformation, b: TypeInformation): boolean {
  return a === b || typeJsonText(a) === typeJsonText(b)
}

function typeJsonText(type: TypeInformation): string {
  return canonicalJson(type.json as JsonValue) // every TypeJson is JSON
}
