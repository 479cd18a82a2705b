import { type ByteReader, ByteWriter } from '../common/bytes.ts'
import { writeKey } from '../serde/key.ts'
import type { TypeInformation, TypeSerializer } from '../serde/type-information.ts'
import type { KeyIndex } from './key-index.ts'

/**
 * One key at a time as the rows in pages have it (row-pages.ts): its bytes, and their hash. Where equal keys have equal bytes these decide; else keys that
 * hash alike are read and their indices compared.
 */
export class RowKeys {
  hash = 0
  /** The key is `bytes[start]` to `bytes[start + length - 1]`. */
  bytes: Uint8Array
  start = 0
  length = 0
  /** Holds the key after `set`; the value may be written behind it. */
  readonly writer = new ByteWriter(256)
  private readonly serializer: TypeSerializer<unknown>
  private readonly type: TypeInformation
  private readonly indexOf: KeyIndex
  private readonly seed: number
  /** Bytes of a key; 0 = a length stands in front of them; -1 = equal keys may have several encodings. */
  private readonly size: number
  private readonly canonical = new ByteWriter(64)
  private index: unknown = undefined

  constructor(type: TypeInformation, indexOf: KeyIndex, seed: number) {
    this.type = type
    this.serializer = type.serializer
    this.indexOf = indexOf
    this.seed = seed | 0x40000001
    this.size = sizes[type.json.kind] ?? -1
    this.bytes = this.writer.bytes
  }

  set(key: unknown, index: unknown): void {
    const { writer } = this
    writer.reset()
    this.serializer.write(key, writer)
    this.bytes = writer.bytes
    this.start = 0
    this.length = writer.length
    this.index = index
    this.hash = this.size < 0 ? this.canonicalHash(key) : this.hashOf(writer.bytes, 0, writer.length)
  }

  /** The key that `input` stands in front of; it stands behind it afterwards. */
  setFrom(input: ByteReader): void {
    const start = input.position
    if (this.size > 0) input.take(this.size)
    else if (this.size === 0) input.take(input.varint())
    else {
      const key = this.serializer.read(input)
      this.index = this.indexOf(key)
      this.hash = this.canonicalHash(key)
    }
    this.bytes = input.bytes
    this.start = start
    this.length = input.position - start
    if (this.size >= 0) this.hash = this.hashOf(input.bytes, start, input.position)
  }

  /** Of bytes that are not its own: they may be part of much. */
  release(): void {
    this.bytes = this.writer.bytes
    this.length = 0
  }

  /** Past this key, in front of which `input` stands. */
  stepOver(input: ByteReader): void {
    if (this.size >= 0) input.position += this.length
    else this.serializer.read(input)
  }

  /** Whether this key stands there. */
  isAt(page: ByteReader, at: number): boolean {
    if (this.size < 0) {
      page.position = at
      return Object.is(this.indexOf(this.serializer.read(page)), this.index)
    }
    const { bytes, start, length } = this
    const other = page.bytes
    // Encodings of keys are prefixes of one another only where they are equal.
    for (let i = 0; i < length; i++) if (bytes[start + i] !== other[at + i]) return false
    return true
  }

  private canonicalHash(key: unknown): number {
    this.canonical.reset()
    writeKey(this.type, key, this.canonical)
    return this.hashOf(this.canonical.bytes, 0, this.canonical.length)
  }

  private hashOf(bytes: Uint8Array, start: number, end: number): number {
    const { seed } = this
    let hash = 0
    for (let i = start; i < end; i++) hash = (Math.imul(hash, seed) + bytes[i]!) | 0
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    return hash ^ (hash >>> 13)
  }
}

/** Of keys whose encodings are canonical (serde/key.ts). */
const sizes: Readonly<Record<string, number>> = {
  STRING: 0,
  BYTES: 0,
  BOOLEAN: 1,
  BYTE: 1,
  VOID: 1,
  SHORT: 2,
  INT: 4,
  FLOAT: 4,
  LONG: 8,
  SAFE_LONG: 8,
  DOUBLE: 8,
  DATE: 8,
}
