import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import { type JsonDecoder, jsonDecoder } from './json-decoder.ts'

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

/** One of a subtask. `decode` throws what is wrong with the value; the reader adds where it stands. */
export interface ValueDecoder {
  decode(data: Buffer, start: number, end: number): unknown
  readonly ignoreParseErrors: boolean
  /** True where a failure is the record's; else it is the user's function's. */
  readonly builtIn: boolean
}

export function valueDecoder(format: JsonObject, schema: DeserializationSchema<unknown> | undefined): ValueDecoder {
  switch (format['kind']) {
    case 'string':
      return { decode: (data, start, end) => data.toString('utf8', start, end), ignoreParseErrors: false, builtIn: true }
    case 'json': {
      // Written by jsonFormat; JSON keeps no types.
      const decode: JsonDecoder = jsonDecoder(format['type'] as unknown as TypeJson)
      return {
        decode: (data, start, end) => decode(data.toString('utf8', start, end)),
        ignoreParseErrors: format['ignoreParseErrors'] === true,
        builtIn: true,
      }
    }
    case 'schema': {
      if (schema === undefined) throw new FlinkError('INTERNAL', 'a kafka source with an own schema was built without it')
      // A copy: the user may keep the bytes, and the frame is used again.
      return { decode: (data, start, end) => schema.deserialize(new Uint8Array(data.subarray(start, end))), ignoreParseErrors: false, builtIn: false }
    }
  }
  throw new FlinkError('UNSUPPORTED', `the kafka value format ${String(format['kind'])} is not known to this build`)
}
