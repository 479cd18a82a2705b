import { ByteWriter } from '../common/bytes.ts'
import { mapStep } from './composites.ts'
import { GENERIC_CODEC_VERSION, GENERIC_DEPTH_MAX, GENERIC_KEY_VERSION, genericTags as tags, typedArrayKinds } from './generic-format.ts'
import { readGeneric } from './generic-reader.ts'
import { writeDouble } from './primitives.ts'
import { writeString } from './string-codec.ts'
import type { TypeSerializer } from './type-information.ts'
import { mismatch, propertyStep, UnsupportedValueError, within } from './unsupported-value.ts'

/**
 * The codec of undeclared values (docs/decisions/0003-generic-codec.md). A value is the version byte, then a tag and its content,
 * recursively; `generic-format.ts` lists the tags, `generic-reader.ts` reads them.
 *
 * 1. What is taken comes back equal: null and undefined, -0, NaN, bigints of any size, lone surrogates, objects with hostile keys or without
 *    a prototype, Map, Set, Date, typed arrays. Holes in arrays come back as undefined; a Buffer as a Uint8Array; what hangs on an array
 *    beside its elements (the `index` of a regular expression's match) does not travel.
 * 2. What is not taken is refused with its path, never dropped: functions, symbols, symbol keys, class instances, promises, cycles,
 *    nesting beyond GENERIC_DEPTH_MAX. An object that occurs twice is written twice.
 * 3. `canonical` gives equal bytes for equal keys: properties, Map and Set entries are sorted, -0 is 0, a missing prototype does not count.
 */
export class GenericWriter {
  private readonly canonical: boolean
  /** The containers around the value being written, by depth: a container that meets itself here is a cycle. */
  private readonly ancestors: (object | undefined)[] = []

  constructor(canonical: boolean) {
    this.canonical = canonical
  }

  write(value: unknown, out: ByteWriter): void {
    out.u8(this.canonical ? GENERIC_KEY_VERSION : GENERIC_CODEC_VERSION)
    this.writeValue(value, out, 0)
  }

  private writeValue(value: unknown, out: ByteWriter, depth: number): void {
    switch (typeof value) {
      case 'string':
        out.u8(tags.STRING)
        writeString(value, out)
        break
      case 'number':
        this.writeNumber(value, out)
        break
      case 'object':
        if (value === null) out.u8(tags.NULL)
        else this.writeObject(value, out, depth)
        break
      case 'boolean':
        out.u8(value ? tags.TRUE : tags.FALSE)
        break
      case 'undefined':
        out.u8(tags.UNDEFINED)
        break
      case 'bigint':
        writeBigint(value, out)
        break
      default:
        throw mismatch('GENERIC', value)
    }
  }

  private writeNumber(value: number, out: ByteWriter): void {
    const int = value | 0
    if (int !== value || (int === 0 && !this.canonical && Object.is(value, -0))) {
      out.u8(tags.DOUBLE)
      writeDouble(value, out)
    } else if (int >= -128 && int < 128) {
      out.u8(tags.INT8)
      out.u8(int)
    } else {
      out.u8(tags.INT32)
      out.i32(int)
    }
  }

  private writeObject(value: object, out: ByteWriter, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      this.enter(value, depth)
      out.u8(prototype === null && !this.canonical ? tags.NULL_PROTOTYPE_OBJECT : tags.OBJECT)
      this.writeProperties(value, out, depth)
      this.ancestors[depth] = undefined
    } else if (prototype === Array.prototype) {
      this.enter(value, depth)
      this.writeArray(value as readonly unknown[], out, depth) // only arrays have this prototype
      this.ancestors[depth] = undefined
    } else if (prototype === Date.prototype) {
      out.u8(tags.DATE)
      writeDouble((value as Date).getTime(), out)
    } else if (prototype === Map.prototype) {
      this.enter(value, depth)
      this.writeMap(value as ReadonlyMap<unknown, unknown>, out, depth) // checked by its prototype
      this.ancestors[depth] = undefined
    } else if (prototype === Set.prototype) {
      this.enter(value, depth)
      this.writeSet(value as ReadonlySet<unknown>, out, depth) // checked by its prototype
      this.ancestors[depth] = undefined
    } else if (!writeBinary(value, out)) {
      throw mismatch('GENERIC', value)
    }
  }

  private enter(value: object, depth: number): void {
    if (depth >= GENERIC_DEPTH_MAX)
      throw new UnsupportedValueError(`cannot be written as GENERIC: it lies more than ${GENERIC_DEPTH_MAX} levels deep`)
    for (let i = 0; i < depth; i++) {
      if (this.ancestors[i] === value) throw new UnsupportedValueError(`cannot be written as GENERIC: it is cyclic, an object that contains itself`)
    }
    this.ancestors[depth] = value
  }

  private writeProperties(value: object, out: ByteWriter, depth: number): void {
    if (Object.getOwnPropertySymbols(value).length > 0) throw new UnsupportedValueError('cannot be written as GENERIC: it has a symbol as key')
    const keys = Object.keys(value)
    if (this.canonical) keys.sort()
    out.varint(keys.length)
    let i = 0
    try {
      for (; i < keys.length; i++) {
        const key = keys[i]! // i < keys.length
        writeString(key, out)
        this.writeValue((value as Record<string, unknown>)[key], out, depth + 1)
      }
    } catch (error) {
      throw within(error, propertyStep(keys[i]!)) // i stands where the write threw
    }
  }

  private writeArray(value: readonly unknown[], out: ByteWriter, depth: number): void {
    out.u8(tags.ARRAY)
    out.varint(value.length)
    let i = 0
    try {
      for (; i < value.length; i++) this.writeValue(value[i], out, depth + 1)
    } catch (error) {
      throw within(error, `[${i}]`)
    }
  }

  private writeMap(map: ReadonlyMap<unknown, unknown>, out: ByteWriter, depth: number): void {
    out.u8(tags.MAP)
    out.varint(map.size)
    const entries: Uint8Array[] = []
    for (const [key, value] of map) {
      const entry = this.canonical ? new ByteWriter(64) : out
      let step = '.key'
      try {
        this.writeValue(key, entry, depth + 1)
        step = mapStep(key)
        this.writeValue(value, entry, depth + 1)
      } catch (error) {
        throw within(error, step)
      }
      if (this.canonical) entries.push(entry.subarray())
    }
    writeSorted(entries, out)
  }

  private writeSet(set: ReadonlySet<unknown>, out: ByteWriter, depth: number): void {
    out.u8(tags.SET)
    out.varint(set.size)
    const entries: Uint8Array[] = []
    for (const element of set) {
      const entry = this.canonical ? new ByteWriter(64) : out
      try {
        this.writeValue(element, entry, depth + 1)
      } catch (error) {
        throw within(error, '.element')
      }
      if (this.canonical) entries.push(entry.subarray())
    }
    writeSorted(entries, out)
  }
}

/** Encodings that are no prefix of one another, so that their concatenation in order of bytes stays injective. */
export function writeSorted(entries: Uint8Array[], out: ByteWriter): void {
  entries.sort(compareBytes)
  for (const entry of entries) out.raw(entry)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]! // i < both lengths
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function writeBigint(value: bigint, out: ByteWriter): void {
  if (BigInt.asIntN(64, value) === value) {
    out.u8(tags.BIGINT64)
    out.i64(value)
    return
  }
  const digits = (value < 0n ? -value : value).toString(16)
  const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  out.u8(value < 0n ? tags.NEGATIVE_BIGINT : tags.POSITIVE_BIGINT)
  out.varint(magnitude.length)
  out.raw(magnitude)
}

/** Buffers and the elements of typed arrays, little-endian as on every machine that Node runs on. */
function writeBinary(value: object, out: ByteWriter): boolean {
  if (value instanceof ArrayBuffer) {
    out.u8(tags.ARRAY_BUFFER)
    out.varint(value.byteLength)
    out.raw(new Uint8Array(value))
    return true
  }
  if (!ArrayBuffer.isView(value)) return false
  if (value instanceof Uint8Array) {
    out.u8(tags.BYTES)
  } else {
    const kind = typedArrayKinds.findIndex(candidate => value instanceof candidate)
    if (kind < 0) return false
    out.u8(tags.TYPED_ARRAY)
    out.u8(kind)
  }
  out.varint(value.byteLength)
  out.raw(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  return true
}

const plainWriter = new GenericWriter(false)

export const genericSerializer: TypeSerializer<unknown> = {
  write: (value, out) => plainWriter.write(value, out),
  read: readGeneric,
}
