import { crc32c } from '../../runtime/connectors/kafka/crc32c.ts'

/** Writes record batches of format 2 as a broker stores them, for tests: an encoder of its own, from the protocol's description. */
export interface BatchSpec {
  readonly baseOffset: number
  readonly records: readonly TestRecord[]
  /** Default: of the last record. Larger where compaction took the end away. */
  readonly lastOffset?: number
  readonly baseTimestamp?: number
  readonly maxTimestamp?: number
  readonly logAppendTime?: boolean
  readonly compression?: { readonly codec: number; readonly compress: (bytes: Buffer) => Buffer }
  readonly transactional?: boolean
  readonly control?: boolean
  readonly producerId?: bigint
}

export interface TestRecord {
  readonly value: string | Buffer | null
  readonly key?: string | Buffer
  /** Default: one after the other. */
  readonly offset?: number
  readonly timestampDelta?: number
  readonly headers?: readonly (readonly [string, string])[]
}

export function buildBatch(spec: BatchSpec): Buffer {
  const offsets = spec.records.map((record, i) => record.offset ?? spec.baseOffset + i)
  const lastOffset = spec.lastOffset ?? offsets.at(-1) ?? spec.baseOffset
  const plain = Buffer.concat(spec.records.map((record, i) => encodeRecord(record, offsets[i]! - spec.baseOffset)))
  const body = spec.compression === undefined ? plain : spec.compression.compress(plain)
  const batch = Buffer.alloc(61 + body.length)
  const baseTimestamp = spec.baseTimestamp ?? 1_000
  batch.writeBigInt64BE(BigInt(spec.baseOffset), 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12)
  batch.writeInt8(2, 16)
  batch.writeInt16BE(
    (spec.compression?.codec ?? 0) |
      (spec.logAppendTime === true ? 8 : 0) |
      (spec.transactional === true ? 16 : 0) |
      (spec.control === true ? 32 : 0),
    21,
  )
  batch.writeInt32BE(lastOffset - spec.baseOffset, 23)
  batch.writeBigInt64BE(BigInt(baseTimestamp), 27)
  batch.writeBigInt64BE(BigInt(spec.maxTimestamp ?? baseTimestamp), 35)
  batch.writeBigInt64BE(spec.producerId ?? -1n, 43)
  batch.writeInt16BE(-1, 51)
  batch.writeInt32BE(-1, 53)
  batch.writeInt32BE(spec.records.length, 57)
  body.copy(batch, 61)
  batch.writeUInt32BE(crc32c(batch, 21), 17)
  return batch
}

/** A transaction's end. */
export function controlBatch(offset: number, producerId: bigint, end: 'commit' | 'abort'): Buffer {
  const key = Buffer.from([0, 0, 0, end === 'commit' ? 1 : 0])
  return buildBatch({ baseOffset: offset, records: [{ key, value: Buffer.alloc(6) }], transactional: true, control: true, producerId })
}

function encodeRecord(record: TestRecord, offsetDelta: number): Buffer {
  const headers = record.headers ?? []
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(record.timestampDelta ?? 0),
    varint(offsetDelta),
    nullable(record.key),
    nullable(record.value),
    varint(headers.length),
    ...headers.flatMap(([name, value]) => [nullable(name), nullable(value)]),
  ])
  return Buffer.concat([varint(body.length), body])
}

function nullable(value: string | Buffer | null | undefined): Buffer {
  if (value === null || value === undefined) return varint(-1)
  const bytes = Buffer.from(value)
  return Buffer.concat([varint(bytes.length), bytes])
}

/** Zigzag, by big integers: slow and plain. */
export function varint(value: number): Buffer {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  const bytes: number[] = []
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
