import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { type JsonDecoder, jsonDecoder } from './json-decoder.ts'
import type { DeserializationSchema } from './value-format.ts'

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
