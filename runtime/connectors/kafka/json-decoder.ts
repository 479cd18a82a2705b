import { FlinkError } from '../../common/errors.ts'
import type { TypeJson } from '../../serde/type-information.ts'

/**
 * JSON text to values of a declared type. The JS type follows the declaration: what does not fit is an error with the path of the field
 * (the caller adds topic, partition and offset), never a silent conversion. docs/kafka.md holds the table.
 *
 * LONG is exact over its 64 bits: `JSON.parse` rounds integers beyond 2^53, so a text with a number that long is parsed with the source
 * text of its numbers at hand. That is several times slower, hence only for texts that have 16 digits in a row.
 */
export type JsonDecoder = (text: string) => unknown

export function jsonDecoder(type: TypeJson): JsonDecoder {
  const convert = converterOf(type, '')
  const exact = holdsLong(type)
  return text =>
    convert(exact && SIXTEEN_DIGITS.test(text) ? JSON.parse(text, exactIntegers as (key: string, value: unknown) => unknown) : JSON.parse(text), '')
}

/** What `JsonDecoder` throws for a value that is JSON but not of the type. */
export class JsonMismatch extends Error {
  override name = 'JsonMismatch'
}

const SIXTEEN_DIGITS = /\d{16}/

/** Integers that a number does not hold exactly become bigints. */
function exactIntegers(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const { source } = context
  return source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value
}

/** `path` is where the value stands, for messages. */
type Converter = (value: unknown, path: string) => unknown

function converterOf(type: TypeJson, at: string): Converter {
  switch (type.kind) {
    case 'STRING':
      return (value, path) => (typeof value === 'string' ? value : mismatch(path, 'STRING', value))
    case 'BOOLEAN':
      return (value, path) => (typeof value === 'boolean' ? value : mismatch(path, 'BOOLEAN', value))
    case 'BYTE':
      return integer('BYTE', -128, 127)
    case 'SHORT':
      return integer('SHORT', -32_768, 32_767)
    case 'INT':
      return integer('INT', -2_147_483_648, 2_147_483_647)
    case 'SAFE_LONG':
      return integer('SAFE_LONG', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    case 'LONG':
      return toLong
    case 'FLOAT':
      return (value, path) => Math.fround(toDouble(value, path, 'FLOAT'))
    case 'DOUBLE':
      return (value, path) => toDouble(value, path, 'DOUBLE')
    case 'DATE':
      return toDate
    case 'BYTES':
      return toBytes
    case 'VOID':
      return (value, path) => (value === null ? null : mismatch(path, 'VOID', value))
    case 'GENERIC':
      return plain
    case 'LIST':
      return toList(converterOf(type.element, `${at}[]`))
    case 'MAP':
      if (type.key.kind !== 'STRING')
        throw new FlinkError(
          'INVALID_PROGRAM',
          `a JSON object has text keys: the map${at === '' ? '' : ` at ${at}`} is declared with keys of ${type.key.kind}`,
        )
      return toMap(converterOf(type.value, `${at}{}`))
    case 'TUPLE':
      return toTuple(type.fields.map((field, i) => converterOf(field, `${at}[${i}]`)))
    case 'ROW':
      return toRow(type.fields.map(field => ({ name: field.name, convert: converterOf(field.type, `${at}.${field.name}`) })))
    default:
      // A kind that was added after this decoder: named where the program is built.
      throw new FlinkError('UNSUPPORTED', `JSON cannot be read as ${(type as TypeJson).kind}${at === '' ? '' : ` (at ${at})`}`)
  }
}

function integer(kind: string, min: number, max: number): Converter {
  return (value, path) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) return mismatch(path, kind, value)
    if (value < min || value > max) return mismatch(path, kind, value, `, which lies outside ${min}..${max}`)
    return value + 0 // -0 becomes 0: an integer has only one
  }
}

/** Also an integer in a text: producers in JavaScript write 64-bit numbers so. */
function toLong(value: unknown, path: string): bigint {
  let long: bigint
  if (typeof value === 'bigint') long = value
  else if (typeof value === 'number' && Number.isSafeInteger(value)) long = BigInt(value)
  else if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) long = BigInt(value)
  else return mismatch(path, 'LONG', value)
  return BigInt.asIntN(64, long) === long ? long : mismatch(path, 'LONG', value, ', which does not fit 64 bits')
}

function toDouble(value: unknown, path: string, kind: string): number {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' ? Number(value) : mismatch(path, kind, value)
}

/** ISO 8601 text, or epoch milliseconds. */
function toDate(value: unknown, path: string): Date {
  const date = typeof value === 'number' || (typeof value === 'string' && /^[+-]?\d{4,6}-\d\d-\d\d/.test(value)) ? new Date(value) : undefined
  return date === undefined || Number.isNaN(date.getTime()) ? mismatch(path, 'DATE', value) : date
}

function toBytes(value: unknown, path: string): Uint8Array {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 !== 0) return mismatch(path, 'BYTES (base64)', value)
  return new Uint8Array(Buffer.from(value, 'base64'))
}

/** As `JSON.parse` answers: the exact integers of other fields' sake become numbers again. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
  return value
}

function toList(convert: Converter): Converter {
  return (value, path) => {
    if (!Array.isArray(value)) return mismatch(path, 'LIST', value)
    const list: unknown[] = []
    for (let i = 0; i < value.length; i++) list.push(value[i] === null ? null : convert(value[i], `${path}[${i}]`))
    return list
  }
}

function toMap(convert: Converter): Converter {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return mismatch(path, 'MAP', value)
    const map = new Map<string, unknown>()
    for (const [key, each] of Object.entries(value)) map.set(key, each === null ? null : convert(each, `${path}.${key}`))
    return map
  }
}

function toTuple(converters: readonly Converter[]): Converter {
  return (value, path) => {
    if (!Array.isArray(value) || value.length !== converters.length) return mismatch(path, `TUPLE of ${converters.length}`, value)
    return converters.map((convert, i) => (value[i] === null ? null : convert(value[i], `${path}[${i}]`)))
  }
}

/** Fields that the object lacks are null, fields that the row lacks are dropped, as Flink's JSON format does by default. */
function toRow(fields: readonly { readonly name: string; readonly convert: Converter }[]): Converter {
  // Copied for each row: all rows get one hidden class at once.
  const template: Readonly<Record<string, unknown>> = Object.fromEntries(fields.map(({ name }) => [name, null]))
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return mismatch(path, 'ROW', value)
    const object = value as Readonly<Record<string, unknown>>
    const row: Record<string, unknown> = { ...template }
    for (let i = 0; i < fields.length; i++) {
      const { name, convert } = fields[i]! // i < fields.length
      // Own fields only: `constructor` is no field of a row that does not have it.
      const field = Object.hasOwn(object, name) ? object[name] : null
      if (field !== null) row[name] = convert(field, path === '' ? name : `${path}.${name}`)
    }
    return row
  }
}

function mismatch(path: string, expected: string, value: unknown, why = ''): never {
  const where = path === '' ? 'the value' : `field ${path}`
  throw new JsonMismatch(`${where}: expected ${expected}, got ${shown(value)}${why}`)
}

function shown(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object') return 'an object'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return `${typeof value === 'bigint' ? 'number' : typeof value} ${text.length > 40 ? `${text.slice(0, 40)}…` : text}`
}

function holdsLong(type: TypeJson): boolean {
  switch (type.kind) {
    case 'LONG':
      return true
    case 'TUPLE':
      return type.fields.some(holdsLong)
    case 'ROW':
      return type.fields.some(field => holdsLong(field.type))
    case 'LIST':
      return holdsLong(type.element)
    case 'MAP':
      return holdsLong(type.value)
    default:
      return false
  }
}
