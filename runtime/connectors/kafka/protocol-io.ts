import { FlinkError } from '../../common/errors.ts'

/** Primitives of Kafka's wire protocol (big-endian), in the flexible versions' compact forms; `fixed…` are those of the older versions. */
export class ProtocolWriter {
  private bytes = Buffer.alloc(256)
  private length = 0

  int8(value: number): this {
    const at = this.reserve(1)
    this.length = this.bytes.writeInt8(value, at)
    return this
  }

  int16(value: number): this {
    const at = this.reserve(2)
    this.length = this.bytes.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.reserve(4)
    this.length = this.bytes.writeInt32BE(value, at)
    return this
  }

  int64(value: bigint): this {
    const at = this.reserve(8)
    this.length = this.bytes.writeBigInt64BE(value, at)
    return this
  }

  unsignedVarint(value: number): this {
    let rest = value
    while (rest > 0x7f) {
      this.int8((((rest & 0x7f) | 0x80) << 24) >> 24)
      rest >>>= 7
    }
    return this.int8(rest)
  }

  string(value: string): this {
    const encoded = Buffer.from(value, 'utf8')
    return this.unsignedVarint(encoded.length + 1).raw(encoded)
  }

  nullString(): this {
    return this.unsignedVarint(0)
  }

  fixedString(value: string): this {
    const encoded = Buffer.from(value, 'utf8')
    return this.int16(encoded.length).raw(encoded)
  }

  fixedArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }

  fixedBytes(bytes: Buffer): this {
    return this.int32(bytes.length).raw(bytes)
  }

  private raw(bytes: Buffer): this {
    const at = this.reserve(bytes.length)
    this.length = at + bytes.copy(this.bytes, at)
    return this
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.unsignedVarint(items.length + 1)
    for (const item of items) write(item)
    return this
  }

  /** No tagged fields. */
  tags(): this {
    return this.int8(0)
  }

  take(): Buffer {
    return this.bytes.subarray(0, this.length)
  }

  /** Before `bytes` is read, which it may replace. */
  private reserve(count: number): number {
    if (this.length + count > this.bytes.length) {
      const larger = Buffer.alloc(Math.max(this.bytes.length * 2, this.length + count))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    return this.length
  }
}

export class ProtocolReader {
  readonly bytes: Buffer
  position = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  int8(): number {
    return this.bytes.readInt8(this.take(1))
  }

  int16(): number {
    return this.bytes.readInt16BE(this.take(2))
  }

  int32(): number {
    return this.bytes.readInt32BE(this.take(4))
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.take(8))
  }

  /** An offset: a 63-bit number in the protocol, far below 2^53 in any log. */
  offset(): number {
    return Number(this.int64())
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes.readUInt8(this.take(1))
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw broken('a length of more than five bytes')
  }

  string(): string {
    return this.nullableString() ?? ''
  }

  nullableString(): string | undefined {
    const bytes = this.nullableBytes()
    return bytes === undefined ? undefined : bytes.toString('utf8')
  }

  nullableBytes(): Buffer | undefined {
    const length = this.unsignedVarint()
    if (length === 0) return undefined
    const at = this.take(length - 1)
    return this.bytes.subarray(at, at + length - 1)
  }

  /** A null array is an empty one. */
  array<T>(read: () => T): T[] {
    const length = this.unsignedVarint()
    // Every element takes a byte or more: a broken length must not make a loop of billions.
    if (length > this.bytes.length) throw broken(`an array of ${length - 1} elements`)
    const items: T[] = []
    for (let i = 1; i < length; i++) items.push(read())
    return items
  }

  fixedString(): string | undefined {
    const length = this.int16()
    if (length < 0) return undefined
    const at = this.take(length)
    return this.bytes.toString('utf8', at, at + length)
  }

  fixedArray<T>(read: () => T): T[] {
    const length = this.int32()
    if (length > this.bytes.length) throw broken(`an array of ${length} elements`)
    const items: T[] = []
    for (let i = 0; i < length; i++) items.push(read())
    return items
  }

  tags(): void {
    for (let count = this.unsignedVarint(); count > 0; count--) {
      this.unsignedVarint()
      this.take(this.unsignedVarint())
    }
  }

  private take(count: number): number {
    const at = this.position
    if (at + count > this.bytes.length) throw broken(`an end after ${this.bytes.length} bytes`)
    this.position = at + count
    return at
  }
}

function broken(what: string): FlinkError {
  return new FlinkError('EXTERNAL_SYSTEM', `a kafka broker's answer does not parse: it has ${what}`)
}
