import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { readString, writeString } from './string-codec.ts'
import type { PrimitiveKind, TypeSerializer } from './type-information.ts'
import { mismatch } from './unsupported-value.ts'

/** Writes NaN with one bit pattern: JS does not say which payload it keeps, and equal values must give equal key bytes. */
export function writeDouble(value: number, out: ByteWriter): void {
  const at = out.reserve(8)
  // biome-ignore lint/suspicious/noSelfCompare: the cheapest test for NaN
  if (value === value) {
    out.view.setFloat64(at, value, true)
  } else {
    out.view.setUint32(at, 0, true)
    out.view.setUint32(at + 4, 0x7ff80000, true)
  }
}

function corrupt(what: string): FlinkError {
  return new FlinkError('CORRUPT_FRAME', what)
}

/** Any integer is taken and wraps as Java's narrowing does; a fraction is data that would be lost and is refused. */
export function toInt(declared: string, value: unknown): number {
  if (typeof value === 'number') {
    const int = value | 0
    if (int === value || Number.isInteger(value)) return int
  }
  throw mismatch(declared, value)
}

export function toSafeLong(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw mismatch('SAFE_LONG', value)
  return (value as number) + 0 // checked above; -0 becomes 0, as Java's long has only one
}

const string: TypeSerializer<string> = {
  write(value, out) {
    if (typeof value !== 'string') throw mismatch('STRING', value)
    writeString(value, out)
  },
  read: readString,
}

const boolean: TypeSerializer<boolean> = {
  write(value, out) {
    if (typeof value !== 'boolean') throw mismatch('BOOLEAN', value)
    out.u8(value ? 1 : 0)
  },
  read(input) {
    const byte = input.u8()
    if (byte > 1) throw corrupt('an encoded boolean is neither 0 nor 1')
    return byte === 1
  },
}

const byte: TypeSerializer<number> = {
  write: (value, out) => out.u8(toInt('BYTE', value)),
  read: input => (input.u8() << 24) >> 24,
}

const short: TypeSerializer<number> = {
  write: (value, out) => out.u16(toInt('SHORT', value)),
  read: input => (input.u16() << 16) >> 16,
}

const int: TypeSerializer<number> = {
  write: (value, out) => out.i32(toInt('INT', value)),
  read: input => input.i32(),
}

const long: TypeSerializer<bigint> = {
  write(value, out) {
    if (typeof value !== 'bigint') throw mismatch('LONG', value)
    out.i64(value)
  },
  read: input => input.i64(),
}

const safeLong: TypeSerializer<number> = {
  write: (value, out) => out.f64(toSafeLong(value)),
  read(input) {
    const value = input.f64()
    if (!Number.isSafeInteger(value)) throw corrupt('an encoded SAFE_LONG is not an integer up to 2^53-1')
    return value
  },
}

const float: TypeSerializer<number> = {
  write(value, out) {
    if (typeof value !== 'number') throw mismatch('FLOAT', value)
    // biome-ignore lint/suspicious/noSelfCompare: the cheapest test for NaN
    if (value === value) out.f32(value)
    else out.u32(0x7fc00000)
  },
  read: input => input.f32(),
}

const double: TypeSerializer<number> = {
  write(value, out) {
    if (typeof value !== 'number') throw mismatch('DOUBLE', value)
    writeDouble(value, out)
  },
  read: input => input.f64(),
}

const date: TypeSerializer<Date> = {
  write(value, out) {
    if (!(value instanceof Date)) throw mismatch('DATE', value)
    writeDouble(value.getTime(), out)
  },
  read: readDate,
}

/** An invalid Date (NaN) is a value like others; a time that no Date can hold was never written. */
export function readDate(input: ByteReader): Date {
  const time = input.f64()
  const value = new Date(time)
  if (!Object.is(value.getTime(), time)) throw corrupt('an encoded date is out of range')
  return value
}

const bytes: TypeSerializer<Uint8Array> = {
  write(value, out) {
    if (!(value instanceof Uint8Array)) throw mismatch('BYTES', value)
    out.varint(value.length)
    out.raw(value)
  },
  read: input => input.raw(input.varint()),
}

const nothing: TypeSerializer<null> = {
  write(value, out) {
    if (value !== null && value !== undefined) throw mismatch('VOID', value)
    out.u8(0)
  },
  read(input) {
    if (input.u8() !== 0) throw corrupt('an encoded VOID is not 0')
    return null
  },
}

/**
 * One serializer a kind; they hold no state and serve every channel of a thread. Every value takes at least one byte: that is what
 * lets readers bound a count by the bytes left.
 */
export const primitiveSerializers = {
  STRING: string,
  BOOLEAN: boolean,
  BYTE: byte,
  SHORT: short,
  INT: int,
  LONG: long,
  SAFE_LONG: safeLong,
  FLOAT: float,
  DOUBLE: double,
  DATE: date,
  BYTES: bytes,
  VOID: nothing,
} as const satisfies Record<PrimitiveKind, TypeSerializer<unknown>>
