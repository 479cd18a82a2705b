import { assert } from './assert.ts'
import { FlinkError } from './errors.ts'
import { utf8Text } from './utf8.ts'

const encoder = new TextEncoder()

/** A growing little-endian byte buffer. One is kept per channel or serializer and `reset`, so that writing a record allocates nothing. */
export class ByteWriter {
  bytes: Uint8Array
  view: DataView
  length: number
  readonly maxLength: number

  /** `initial`: how much room there is at first, or the bytes to begin with. */
  constructor(initial: number | Uint8Array = 1024, maxLength = 2 ** 31 - 1) {
    this.bytes = typeof initial === 'number' ? new Uint8Array(initial) : initial
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
    this.length = 0
    this.maxLength = maxLength
  }

  reset(): void {
    this.length = 0
  }

  /**
   * Makes room for `count` more bytes and returns the offset at which they start; `length` is advanced. `bytes` and `view` are replaced
   * when it grows: take the offset first, then read the fields (an expression like `view.setInt8(reserve(1), x)` writes to the old ones).
   */
  reserve(count: number): number {
    const start = this.length
    const end = start + count
    if (end > this.bytes.length) this.grow(end)
    this.length = end
    return start
  }

  u8(value: number): void {
    const at = this.reserve(1)
    this.bytes[at] = value
  }

  u16(value: number): void {
    const at = this.reserve(2)
    this.view.setUint16(at, value, true)
  }

  u32(value: number): void {
    const at = this.reserve(4)
    this.view.setUint32(at, value, true)
  }

  i32(value: number): void {
    const at = this.reserve(4)
    this.view.setInt32(at, value, true)
  }

  i64(value: bigint): void {
    const at = this.reserve(8)
    this.view.setBigInt64(at, value, true)
  }

  f32(value: number): void {
    const at = this.reserve(4)
    this.view.setFloat32(at, value, true)
  }

  f64(value: number): void {
    const at = this.reserve(8)
    this.view.setFloat64(at, value, true)
  }

  /** Unsigned LEB128 for lengths and counts up to 2^53-1. */
  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.u8(rest)
  }

  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.bytes.set(bytes, at)
  }

  /** Length-prefixed UTF-8. Lone surrogates become U+FFFD, as in every UTF-8 encoder. */
  string(value: string): void {
    // Most strings are short and ASCII: one pass without the encoder; anything else is undone and encoded properly.
    const count = value.length
    if (count < 64) {
      const mark = this.length
      this.varint(count)
      const at = this.reserve(count)
      const bytes = this.bytes
      let i = 0
      for (; i < count; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) break
        bytes[at + i] = code
      }
      if (i === count) return
      this.length = mark
    }
    const encoded = encoder.encode(value)
    this.varint(encoded.length)
    this.raw(encoded)
  }

  /** The written bytes as a view that the next write may change. */
  subarray(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** The written bytes as a copy that nobody changes. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }

  private grow(needed: number): void {
    if (needed > this.maxLength)
      throw new FlinkError('RECORD_TOO_LARGE', `an encoded record of more than ${this.maxLength} bytes is refused`, { bytes: needed })
    const bytes = new Uint8Array(Math.min(this.maxLength, Math.max(needed, this.bytes.length * 2)))
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
    this.view = new DataView(bytes.buffer)
  }
}

/** Reads what `ByteWriter` wrote. Reading beyond the end throws `CORRUPT_FRAME`: it never returns made-up values. */
export class ByteReader {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly end: number
  position: number

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    assert(position >= 0 && end <= bytes.length, 'reader bounds lie inside the bytes')
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.position = position
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  take(count: number): number {
    const start = this.position
    if (start + count > this.end) throw new FlinkError('CORRUPT_FRAME', `encoded data ends early: ${count} bytes wanted, ${this.end - start} left`)
    this.position = start + count
    return start
  }

  u8(): number {
    return this.bytes[this.take(1)]!
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true)
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true)
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true)
  }

  i64(): bigint {
    return this.view.getBigInt64(this.take(8), true)
  }

  f32(): number {
    return this.view.getFloat32(this.take(4), true)
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), true)
  }

  varint(): number {
    let result = 0
    let factor = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      result += (byte & 0x7f) * factor
      if (byte < 0x80) return result
      factor *= 0x80
    }
    throw new FlinkError('CORRUPT_FRAME', 'a variable-length number is longer than 8 bytes')
  }

  /** A copy: the bytes below may be a shared page that is reused. */
  raw(count: number): Uint8Array<ArrayBuffer> {
    const start = this.take(count)
    // Not bytes.slice(): that of a Buffer copies nothing.
    const copy = new Uint8Array(count)
    copy.set(this.bytes.subarray(start, start + count))
    return copy
  }

  string(): string {
    const count = this.varint()
    const start = this.take(count)
    return utf8Text(this.bytes, start, start + count)
  }
}
