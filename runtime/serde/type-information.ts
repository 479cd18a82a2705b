import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { JsonObject } from '../common/json.ts'

/**
 * What the engine knows about the values on an edge or in a state. The JS type follows the declared type, never the data:
 * INT/SHORT/BYTE -> number (wrapping as Java's), LONG -> bigint, SAFE_LONG -> number (an integer beyond 2^53-1 is an error),
 * FLOAT/DOUBLE -> number, STRING -> string, BOOLEAN -> boolean, tuple -> array, row/POJO -> plain object, GENERIC -> any value that
 * the generic codec takes. `null` and `undefined` inside a row or tuple are null fields.
 */
export interface TypeInformation<T = unknown> {
  /** Pure data; `typeFromJson` makes an equal TypeInformation of it. Equal types have equal canonical JSON. */
  readonly json: TypeJson
  readonly serializer: TypeSerializer<T>
  /** As shown in plans and errors: `STRING`, `ROW<shop STRING, amount DOUBLE>`, `TUPLE<STRING, INT>`, `GENERIC`. */
  toString(): string
}

export interface TypeSerializer<T> {
  write(value: T, out: ByteWriter): void
  read(input: ByteReader): T
  /** Kinds of the columns that a columnar frame of this type has; absent = the type has no columnar form. */
  readonly columnKinds?: readonly string[] | undefined
}

export type PrimitiveKind = 'STRING' | 'BOOLEAN' | 'BYTE' | 'SHORT' | 'INT' | 'LONG' | 'SAFE_LONG' | 'FLOAT' | 'DOUBLE' | 'DATE' | 'BYTES' | 'VOID'

/** `type` is Flink's SQL type text: `DECIMAL(10, 2) NOT NULL`. */
export interface ColumnField {
  readonly name: string
  readonly type: string
}

export type TypeJson =
  | { readonly kind: PrimitiveKind }
  | { readonly kind: 'GENERIC' }
  | { readonly kind: 'TUPLE'; readonly fields: readonly TypeJson[] }
  | { readonly kind: 'ROW'; readonly fields: readonly { readonly name: string; readonly type: TypeJson }[] }
  | { readonly kind: 'COLUMNS'; readonly fields: readonly ColumnField[] }
  | { readonly kind: 'LIST'; readonly element: TypeJson }
  | { readonly kind: 'MAP'; readonly key: TypeJson; readonly value: TypeJson }
  | { readonly kind: 'TTL'; readonly value: TypeJson }

export type TypeJsonObject = TypeJson & JsonObject
