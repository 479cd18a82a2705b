import type { ByteReader } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { GENERIC_CODEC_VERSION, GENERIC_DEPTH_MAX, genericTags as tags, typedArrayKinds } from './generic-format.ts'
import { readDate } from './primitives.ts'
import { readString } from './string-codec.ts'

/**
 * Reads what `GenericWriter` wrote. Bytes that it cannot have written end in CORRUPT_FRAME: an unknown version or tag, a count beyond the
 * bytes left, nesting beyond the limit, a key of a Map that occurs twice. Nothing is allocated ahead of the bytes that fill it.
 */
export function readGeneric(input: ByteReader): unknown {
  const version = input.u8()
  if (version !== GENERIC_CODEC_VERSION) throw corrupt(`has version ${version}, this build reads ${GENERIC_CODEC_VERSION}`)
  return readValue(input, 0)
}

function readValue(input: ByteReader, depth: number): unknown {
  const tag = input.u8()
  switch (tag) {
    case tags.STRING:
      return readString(input)
    case tags.INT8:
      return (input.u8() << 24) >> 24
    case tags.INT32:
      return input.i32()
    case tags.DOUBLE:
      return input.f64()
    case tags.OBJECT:
      return readProperties({}, input, depth)
    case tags.NULL_PROTOTYPE_OBJECT:
      return readProperties(Object.create(null), input, depth)
    case tags.ARRAY:
      return readArray(input, depth)
    case tags.NULL:
      return null
    case tags.UNDEFINED:
      return undefined
    case tags.FALSE:
      return false
    case tags.TRUE:
      return true
    case tags.BIGINT64:
      return input.i64()
    case tags.POSITIVE_BIGINT:
      return readMagnitude(input)
    case tags.NEGATIVE_BIGINT:
      return -readMagnitude(input)
    case tags.MAP:
      return readMap(input, depth)
    case tags.SET:
      return readSet(input, depth)
    case tags.DATE:
      return readDate(input)
    case tags.BYTES:
      return input.raw(input.varint())
    case tags.ARRAY_BUFFER:
      return input.raw(input.varint()).buffer
    case tags.TYPED_ARRAY:
      return readTypedArray(input)
    default:
      throw corrupt(`has the unknown tag ${tag}`)
  }
}

function readCount(input: ByteReader, depth: number, elementBytesMin: number): number {
  if (depth >= GENERIC_DEPTH_MAX) throw corrupt(`is more than ${GENERIC_DEPTH_MAX} levels deep`)
  const count = input.varint()
  if (count * elementBytesMin > input.remaining) throw corrupt(`says ${count} elements, ${input.remaining} bytes are left`)
  return count
}

function readProperties(object: Record<string, unknown>, input: ByteReader, depth: number): Record<string, unknown> {
  const count = readCount(input, depth, 2)
  for (let i = 0; i < count; i++) {
    const key = readKey(input)
    const value = readValue(input, depth + 1)
    // Assigning to `__proto__` would change the prototype instead of adding a property.
    if (key === '__proto__') Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
    else object[key] = value
  }
  return object
}

const KEY_BYTES_MAX = 32
/** The property names seen last, by a hash of a few of their bytes: a stream repeats its names, and a name that is not made anew is stored much faster. */
const recentKeys: string[] = new Array<string>(256).fill('')

function readKey(input: ByteReader): string {
  const bytes = input.bytes
  const from = input.position
  const length = input.remaining > 0 ? bytes[from]! : 0 // one byte is left at least
  if (length === 0 || length > KEY_BYTES_MAX || length >= input.remaining) return readString(input)
  const start = from + 1
  // The three bytes lie inside: length is at least 1 and at most what is left.
  const slot = (length + bytes[start]! * 5 + bytes[start + (length >> 1)]! * 17 + bytes[start + length - 1]! * 3) & 255
  const recent = recentKeys[slot]! // the mask keeps it inside
  if (recent.length === length) {
    let i = 0
    while (i < length && recent.charCodeAt(i) === bytes[start + i]) i++
    if (i === length) {
      input.position = start + length
      return recent
    }
  }
  const key = readString(input)
  // Only then is one character one byte, as the comparison takes it.
  if (key.length === length) recentKeys[slot] = key
  return key
}

function readArray(input: ByteReader, depth: number): unknown[] {
  const count = readCount(input, depth, 1)
  const array: unknown[] = []
  for (let i = 0; i < count; i++) array.push(readValue(input, depth + 1))
  return array
}

function readMap(input: ByteReader, depth: number): Map<unknown, unknown> {
  const count = readCount(input, depth, 2)
  const map = new Map<unknown, unknown>()
  for (let i = 0; i < count; i++) {
    const key = readValue(input, depth + 1)
    map.set(key, readValue(input, depth + 1))
  }
  if (map.size !== count) throw corrupt('has a map with a key twice')
  return map
}

function readSet(input: ByteReader, depth: number): Set<unknown> {
  const count = readCount(input, depth, 1)
  const set = new Set<unknown>()
  for (let i = 0; i < count; i++) set.add(readValue(input, depth + 1))
  if (set.size !== count) throw corrupt('has a set with an element twice')
  return set
}

function readMagnitude(input: ByteReader): bigint {
  const bytes = input.raw(input.varint())
  if (bytes.length < 8 || bytes[0] === 0) throw corrupt('has a bigint that is longer than it needs to be')
  return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`)
}

function readTypedArray(input: ByteReader): ArrayBufferView {
  const kind = typedArrayKinds[input.u8()]
  if (kind === undefined) throw corrupt('has a typed array of an unknown kind')
  const bytes = input.raw(input.varint())
  if (bytes.length % kind.BYTES_PER_ELEMENT !== 0) throw corrupt('has a typed array that ends inside an element')
  return new kind(bytes.buffer)
}

function corrupt(what: string): FlinkError {
  return new FlinkError('CORRUPT_FRAME', `a generic value ${what}`)
}
