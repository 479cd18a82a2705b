import { gzipSync, zstdCompressSync } from 'node:zlib'
import { crc32c } from './crc32c.ts'
import { BATCH_HEADER_SIZE, BATCH_PREFIX_SIZE } from './record-batch.ts'

/** Makes record batches of format 2; what `RecordBatchReader` reads. Bytes are copied once, into the batch. */
export type Compression = 'none' | 'gzip' | 'zstd'

const codecs: Readonly<Record<Compression, { readonly id: number; readonly compress: (bytes: Uint8Array) => Uint8Array }>> = {
  none: { id: 0, compress: bytes => bytes },
  gzip: { id: 1, compress: bytes => gzipSync(bytes) },
  zstd: { id: 4, compress: bytes => zstdCompressSync(bytes) },
}

export class RecordBatchBuilder {
  /** Of the records so far, without the header. */
  sizeBytes = 0
  recordCount = 0
  private readonly baseTimestampMs: number
  private maxTimestampMs: number
  private bytes: Buffer

  constructor(baseTimestampMs: number, capacity: number) {
    this.baseTimestampMs = baseTimestampMs
    this.maxTimestampMs = baseTimestampMs
    this.bytes = Buffer.allocUnsafe(BATCH_HEADER_SIZE + capacity)
  }

  /** Key and value are `[from, to)` of `data`; a negative `from` = there is none. */
  append(timestampMs: number, data: Uint8Array, keyFrom: number, keyTo: number, valueFrom: number, valueTo: number): void {
    const timestampDelta = Math.max(0, timestampMs - this.baseTimestampMs)
    this.maxTimestampMs = Math.max(this.maxTimestampMs, this.baseTimestampMs + timestampDelta)
    const keyLength = keyFrom < 0 ? -1 : keyTo - keyFrom
    const valueLength = valueFrom < 0 ? -1 : valueTo - valueFrom
    // Attributes, the key, the value, no headers.
    const body =
      2 +
      varintSize(timestampDelta) +
      varintSize(this.recordCount) +
      varintSize(keyLength) +
      varintSize(valueLength) +
      Math.max(0, keyLength) +
      Math.max(0, valueLength)
    let at = this.reserve(body + varintSize(body))
    at = this.varint(at, body)
    this.bytes[at++] = 0
    at = this.varint(at, timestampDelta)
    at = this.varint(at, this.recordCount)
    at = this.varint(at, keyLength)
    for (let i = keyFrom; keyFrom >= 0 && i < keyTo; i++) this.bytes[at++] = data[i]!
    at = this.varint(at, valueLength)
    if (valueLength > 0) this.bytes.set(data.subarray(valueFrom, valueTo), at)
    this.bytes[at + Math.max(0, valueLength)] = 0
    this.recordCount++
  }

  /** The batch; nothing may be appended afterwards. */
  build(compression: Compression): Buffer {
    const codec = codecs[compression]
    const plain = this.bytes.subarray(BATCH_HEADER_SIZE, BATCH_HEADER_SIZE + this.sizeBytes)
    const body = codec.compress(plain)
    const batch = body === plain ? this.bytes.subarray(0, BATCH_HEADER_SIZE + this.sizeBytes) : Buffer.allocUnsafe(BATCH_HEADER_SIZE + body.length)
    if (body !== plain) batch.set(body, BATCH_HEADER_SIZE)
    batch.writeBigInt64BE(0n, 0) // base offset: the broker's to give
    batch.writeInt32BE(batch.length - BATCH_PREFIX_SIZE, 8)
    batch.writeInt32BE(-1, 12) // leader epoch
    batch.writeInt8(2, 16)
    batch.writeInt16BE(codec.id, 21)
    batch.writeInt32BE(this.recordCount - 1, 23)
    batch.writeBigInt64BE(BigInt(this.baseTimestampMs), 27)
    batch.writeBigInt64BE(BigInt(this.maxTimestampMs), 35)
    batch.writeBigInt64BE(-1n, 43) // producer id: not idempotent
    batch.writeInt16BE(-1, 51)
    batch.writeInt32BE(-1, 53)
    batch.writeInt32BE(this.recordCount, 57)
    batch.writeUInt32BE(crc32c(batch, 21), 17)
    return batch
  }

  private reserve(count: number): number {
    const at = BATCH_HEADER_SIZE + this.sizeBytes
    if (at + count > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, at + count))
      this.bytes.copy(larger, 0, 0, at)
      this.bytes = larger
    }
    this.sizeBytes += count
    return at
  }

  /** Zigzag. */
  private varint(at: number, value: number): number {
    const { bytes } = this
    let rest = value < 0 ? -value * 2 - 1 : value * 2
    let out = at
    while (rest > 0x7f) {
      bytes[out++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    bytes[out++] = rest
    return out
  }
}

function varintSize(value: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let size = 1
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128)
    size++
  }
  return size
}
