import type { JsonObject } from '../../common/json.ts'
import type { TypeInformation, TypeJsonObject } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import { jsonDecoder } from './json-decoder.ts'

/** How the value of a record becomes a row. */
export interface ValueFormat<T> {
  readonly producedType: TypeInformation<T>
  readonly json: JsonObject
  /** Source of a user's function, for the graph hash. */
  readonly functionSource: string | undefined
  readonly schema: DeserializationSchema<T> | undefined
}

/** A user's own way to read a value. Synchronous. */
export interface DeserializationSchema<T> {
  deserialize(value: Uint8Array): T
  readonly producedType?: TypeInformation<T>
}

/** UTF-8; bytes that are none become U+FFFD, as in Java. */
export class SimpleStringSchema implements DeserializationSchema<string> {
  readonly producedType = Types.STRING as TypeInformation<string>

  deserialize(value: Uint8Array): string {
    return Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')
  }
}

export interface JsonFormatOptions {
  /** Records that do not parse are left out and counted in `numRecordsInErrors` instead of failing the job. */
  readonly ignoreParseErrors?: boolean
}

export const stringFormat: ValueFormat<string> = {
  producedType: Types.STRING as TypeInformation<string>,
  json: { kind: 'string' },
  functionSource: undefined,
  schema: undefined,
}

export function jsonFormat<T>(type: TypeInformation<T>, ignoreParseErrors: boolean): ValueFormat<T> {
  // A type that JSON cannot give is refused here, where the program is built.
  jsonDecoder(type.json)
  return {
    producedType: type,
    json: { kind: 'json', type: type.json as TypeJsonObject, ignoreParseErrors },
    functionSource: undefined,
    schema: undefined,
  }
}

export function schemaFormat<T>(schema: DeserializationSchema<T>): ValueFormat<T> {
  return {
    producedType: schema.producedType ?? (Types.GENERIC as TypeInformation<T>),
    json: { kind: 'schema' },
    functionSource: String(schema.deserialize),
    schema,
  }
}
