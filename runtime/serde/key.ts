import { ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { type ColumnLayout, columnLayout, heldRow } from './columns-type.ts'
import { GenericWriter, writeSorted } from './generic-codec.ts'
import { primitiveSerializers, toInt, toSafeLong } from './primitives.ts'
import type { TypeInformation, TypeJson, TypeSerializer } from './type-information.ts'
import { mismatch, propertyStep, within } from './unsupported-value.ts'

/**
 * What makes two keys the same key (`keyBytes`) and where a key goes (`javaHash`). The partitioner, keyed state, savepoints and
 * queries all use these two, so they cannot disagree. docs/decisions/0002-key-hash.md has the table.
 *
 * 1. `keyBytes(t, a)` equals `keyBytes(t, b)` exactly when a and b are the same key of type t; then their hashes are equal too.
 * 2. Bytes and hashes are the same in every process and version: they decide where state is found after a restore.
 * 3. They are defined on the declared type alone: a LONG 5n and an INT 5 hash alike as Java's do, a key of undeclared type by rules of ours.
 */
const scratch = new ByteWriter(256)

/** A copy that the caller owns. */
export function keyBytes(type: TypeInformation, value: unknown): Uint8Array {
  scratch.reset()
  writeKey(type, value, scratch)
  return scratch.copy()
}

/** The same bytes, appended: for state tables that keep a writer of their own and allocate nothing. */
export function writeKey(type: TypeInformation, value: unknown, out: ByteWriter): void {
  if (value === null || value === undefined) throw nullKey(type, value)
  writeCanonical(type.json, value, out)
}

/** Java's `hashCode()` of the key as Flink would hold it; an int32. */
export function javaHash(type: TypeInformation, value: unknown): number {
  if (value === null || value === undefined) throw nullKey(type, value)
  return hashOf(type.json, value)
}

function nullKey(type: TypeInformation, value: unknown): FlinkError {
  return new FlinkError('UNSUPPORTED_VALUE', `a key of type ${type} is ${value}: records cannot be keyed by a missing value`)
}

const canonicalGeneric = new GenericWriter(true)

function writeCanonical(type: TypeJson, value: unknown, out: ByteWriter): void {
  switch (type.kind) {
    case 'GENERIC':
      canonicalGeneric.write(value, out)
      break
    case 'TUPLE': {
      const array = asArray(value, `TUPLE of ${type.fields.length}`)
      if (array.length !== type.fields.length) throw mismatch(`TUPLE of ${type.fields.length}`, value)
      for (let i = 0; i < array.length; i++) writeNullable(type.fields[i]!, array[i], `[${i}]`, out) // equally long
      break
    }
    case 'ROW': {
      const row = asRow(value)
      for (const field of type.fields) writeNullable(field.type, row[field.name], propertyStep(field.name), out)
      break
    }
    case 'COLUMNS': {
      const columns = layoutsOf(type)
      const row = heldRow(columns, value)
      for (let i = 0; i < row.length; i++) writeNullable({ kind: columns[i]!.held }, row[i], `[${i}]`, out) // equally long
      break
    }
    case 'LIST': {
      const array = asArray(value, 'LIST')
      out.varint(array.length)
      for (let i = 0; i < array.length; i++) writeNullable(type.element, array[i], `[${i}]`, out)
      break
    }
    case 'MAP': {
      const map = asMap(value)
      out.varint(map.size)
      const entries: Uint8Array[] = []
      for (const [key, element] of map) {
        const entry = new ByteWriter(64)
        writeNullable(type.key, key, '.key', entry)
        writeNullable(type.value, element, '.value', entry)
        entries.push(entry.subarray())
      }
      writeSorted(entries, out)
      break
    }
    case 'TTL':
      throw mismatch('TTL', value)
    default: {
      // Primitive encodings are canonical themselves: one NaN, no -0 in integers, one spelling of a string.
      const serializer: TypeSerializer<unknown> = primitiveSerializers[type.kind]
      serializer.write(value, out)
    }
  }
}

/** A flag before the value, not a bitmap in front of all: unlike on the wire nobody reads these bytes back, and this needs no second pass. */
function writeNullable(type: TypeJson, value: unknown, step: string, out: ByteWriter): void {
  if (value === null || value === undefined) {
    out.u8(0)
    return
  }
  out.u8(1)
  try {
    writeCanonical(type, value, out)
  } catch (error) {
    throw within(error, step)
  }
}

function hashOf(type: TypeJson, value: unknown): number {
  switch (type.kind) {
    case 'STRING':
      if (typeof value !== 'string') throw mismatch('STRING', value)
      return hashString(value)
    case 'INT':
      return toInt('INT', value)
    case 'SHORT':
      return (toInt('SHORT', value) << 16) >> 16
    case 'BYTE':
      return (toInt('BYTE', value) << 24) >> 24
    case 'LONG':
      if (typeof value !== 'bigint') throw mismatch('LONG', value)
      return hashLong(value)
    case 'SAFE_LONG':
      return hashSafeLong(toSafeLong(value))
    case 'BOOLEAN':
      if (typeof value !== 'boolean') throw mismatch('BOOLEAN', value)
      return hashBoolean(value)
    case 'DOUBLE':
      if (typeof value !== 'number') throw mismatch('DOUBLE', value)
      return hashDouble(value)
    case 'FLOAT':
      if (typeof value !== 'number') throw mismatch('FLOAT', value)
      return hashFloat(value)
    case 'DATE':
      if (!(value instanceof Date)) throw mismatch('DATE', value)
      return hashDate(value)
    case 'BYTES':
      if (!(value instanceof Uint8Array)) throw mismatch('BYTES', value)
      return hashBytes(value, value.length)
    case 'VOID':
    case 'TTL':
      throw mismatch(type.kind, value)
    case 'TUPLE': {
      const array = asArray(value, `TUPLE of ${type.fields.length}`)
      if (array.length !== type.fields.length) throw mismatch(`TUPLE of ${type.fields.length}`, value)
      let hash = 0
      for (let i = 0; i < array.length; i++) hash = (Math.imul(hash, 31) + hashNullable(type.fields[i]!, array[i], `[${i}]`)) | 0 // equally long
      return hash
    }
    case 'ROW': {
      const row = asRow(value)
      let hash = 0
      for (const field of type.fields) hash = (Math.imul(hash, 31) + hashNullable(field.type, row[field.name], propertyStep(field.name))) | 0
      return hash
    }
    case 'COLUMNS': {
      const columns = layoutsOf(type)
      const row = heldRow(columns, value)
      let hash = 0
      for (let i = 0; i < row.length; i++) hash = (Math.imul(hash, 31) + hashNullable({ kind: columns[i]!.held }, row[i], `[${i}]`)) | 0 // equally long
      return hash
    }
    case 'LIST': {
      const array = asArray(value, 'LIST')
      let hash = 1
      for (let i = 0; i < array.length; i++) hash = (Math.imul(hash, 31) + hashNullable(type.element, array[i], `[${i}]`)) | 0
      return hash
    }
    case 'MAP': {
      let hash = 0
      for (const [key, element] of asMap(value))
        hash = (hash + (hashNullable(type.key, key, '.key') ^ hashNullable(type.value, element, '.value'))) | 0
      return hash
    }
    case 'GENERIC':
      return hashGeneric(value)
  }
}

/** Rows as keys are for tests and tools; SQL's operators hash columns (runtime/network/columns-hash.ts). */
function layoutsOf(type: Extract<TypeJson, { kind: 'COLUMNS' }>): ColumnLayout[] {
  return type.fields.map(field => columnLayout(field.type))
}

function hashNullable(type: TypeJson, value: unknown, step: string): number {
  if (value === null || value === undefined) return 0
  try {
    return hashOf(type, value)
  } catch (error) {
    throw within(error, step)
  }
}

/** Undeclared keys: numbers as the narrowest Java type that holds them, objects and arrays as Java hashes a byte[] of their key bytes. */
function hashGeneric(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return hashString(value)
    case 'number':
      if (Number.isSafeInteger(value)) return hashInteger(value)
      return hashDouble(value)
    case 'boolean':
      return hashBoolean(value)
    case 'bigint':
      if (BigInt.asIntN(64, value) === value) return hashLong(value)
      break
    default:
      if (value instanceof Date) return hashDate(value)
  }
  scratch.reset()
  canonicalGeneric.write(value, scratch)
  return hashBytes(scratch.bytes, scratch.length)
}

function hashInteger(value: number): number {
  const int = value | 0
  return int === value ? int : hashSafeLong(value)
}

function hashString(value: string): number {
  let hash = 0
  for (let i = 0; i < value.length; i++) hash = (Math.imul(hash, 31) + value.charCodeAt(i)) | 0
  return hash
}

function hashBoolean(value: boolean): number {
  return value ? 1231 : 1237
}

const bits = new DataView(new ArrayBuffer(8))

function hashLong(value: bigint): number {
  bits.setBigInt64(0, value)
  return bits.getInt32(0) ^ bits.getInt32(4)
}

/** Java's hash of a long without making a bigint of it: high word xor low word of the two's complement. */
function hashSafeLong(value: number): number {
  return Math.floor(value / 2 ** 32) ^ (value | 0)
}

function hashDouble(value: number): number {
  if (Number.isNaN(value)) return 0x7ff80000
  bits.setFloat64(0, value)
  return bits.getInt32(0) ^ bits.getInt32(4)
}

function hashFloat(value: number): number {
  if (Number.isNaN(value)) return 0x7fc00000
  bits.setFloat32(0, value)
  return bits.getInt32(0)
}

function hashDate(value: Date): number {
  const time = value.getTime()
  return Number.isNaN(time) ? hashDouble(time) : hashSafeLong(time)
}

function hashBytes(bytes: Uint8Array, length: number): number {
  let hash = 1
  for (let i = 0; i < length; i++) hash = (Math.imul(hash, 31) + ((bytes[i]! << 24) >> 24)) | 0 // i < length
  return hash
}

function asArray(value: unknown, declared: string): readonly unknown[] {
  if (!Array.isArray(value)) throw mismatch(declared, value)
  return value
}

function asRow(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch('ROW', value)
  return value as Readonly<Record<string, unknown>>
}

function asMap(value: unknown): ReadonlyMap<unknown, unknown> {
  if (!(value instanceof Map)) throw mismatch('MAP', value)
  return value
}
