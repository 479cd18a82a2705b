import { FlinkError } from '../../common/errors.ts'
import { crc32c } from './crc32c.ts'
import { decompress } from './decompress.ts'

/**
 * Kafka's record batches, format 2, as they lie in the log and on the wire: a header of 61 bytes (uncompressed), then the records
 * (together compressed, or not). This side runs in the slot: checks the CRC, decompresses, and walks the records; a record is only
 * numbers into `data`, so nothing is made per record. Control batches (transaction markers) hold nothing for users and are walked over.
 *
 * Keys and headers are skipped: the value formats do not look at them.
 */
export const BATCH_HEADER_SIZE = 61
/** Base offset and length: what lies before `length` counts. */
export const BATCH_PREFIX_SIZE = 12

const COMPRESSION_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

export interface BatchHeader {
  readonly baseOffset: number
  readonly lastOffset: number
  /** With its prefix. */
  readonly sizeBytes: number
  readonly transactional: boolean
  readonly control: boolean
  readonly producerId: bigint
}

/** Size with prefix of the batch at `at`; undefined when not even its prefix is there. */
export function batchSize(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < BATCH_PREFIX_SIZE) return undefined
  return BATCH_PREFIX_SIZE + bytes.readInt32BE(at + 8)
}

/** The whole batch must be there. */
export function readBatchHeader(bytes: Buffer, at: number): BatchHeader {
  const baseOffset = Number(bytes.readBigInt64BE(at))
  const magic = bytes.length - at > 16 ? bytes.readInt8(at + 16) : -1
  if (magic !== 2)
    throw new FlinkError(
      'UNSUPPORTED',
      `a record batch at offset ${baseOffset} has message format ${magic}; only format 2, written by brokers and clients from 0.11 on, is supported`,
      { offset: baseOffset },
    )
  const sizeBytes = BATCH_PREFIX_SIZE + bytes.readInt32BE(at + 8)
  if (sizeBytes < BATCH_HEADER_SIZE || at + sizeBytes > bytes.length) throw corrupt(baseOffset, `its length is ${sizeBytes}`)
  const attributes = bytes.readInt16BE(at + 21)
  return {
    baseOffset,
    lastOffset: baseOffset + bytes.readInt32BE(at + 23),
    sizeBytes,
    transactional: (attributes & TRANSACTIONAL) !== 0,
    control: (attributes & CONTROL) !== 0,
    producerId: bytes.readBigInt64BE(at + 43),
  }
}

/** Of a control batch, never compressed: true when it ends a transaction by abort. */
export function isAbortMarker(bytes: Buffer, at: number): boolean {
  const cursor = new Cursor()
  cursor.at = at + BATCH_HEADER_SIZE
  cursor.varint(bytes) // length
  cursor.at++
  cursor.varint(bytes) // timestamp
  cursor.varint(bytes) // offset
  const keyLength = cursor.varint(bytes)
  // Key: version, then type (0 = abort, 1 = commit).
  return keyLength >= 4 && bytes.readInt16BE(cursor.at + 2) === 0
}

export class RecordBatchReader {
  /** Of the record that `next` stands on. */
  offset = -1
  /** Epoch ms, NaN = the record has none. */
  timestamp = Number.NaN
  /** Value's bytes in `data`; start -1 = the record has no value. */
  valueStart = -1
  valueEnd = -1
  data: Buffer = noBytes
  /** Behind everything walked so far: where reading goes on. */
  nextOffset = -1
  private readonly checkCrcs: boolean
  private readonly cursor = new Cursor()
  private frame: Buffer = noBytes
  private frameAt = 0
  private recordsLeft = 0
  private recordsEnd = 0
  private baseOffset = 0
  private lastOffset = 0
  private baseTimestamp = 0
  private appendTimestamp = Number.NaN

  constructor(checkCrcs: boolean) {
    this.checkCrcs = checkCrcs
  }

  /** Whole batches, only when `next` has answered false. The bytes must not change until then. */
  feed(bytes: Uint8Array): void {
    this.frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.frameAt = 0
    this.recordsLeft = 0
  }

  /** Stands on the next record; false at the end of what was fed. */
  next(): boolean {
    while (this.recordsLeft === 0) {
      if (this.frameAt >= this.frame.length) {
        this.data = noBytes
        this.frame = noBytes
        return false
      }
      this.openBatch()
    }
    this.readRecord()
    return true
  }

  private openBatch(): void {
    const { frame, frameAt: at } = this
    const header = readBatchHeader(frame, at)
    const end = at + header.sizeBytes
    this.frameAt = end
    this.baseOffset = header.baseOffset
    this.lastOffset = header.lastOffset
    // Offsets may be missing at the end of a batch (compaction): the batch still covers them.
    this.nextOffset = header.lastOffset + 1
    const crc = frame.readUInt32BE(at + 17)
    if (this.checkCrcs && crc32c(frame, at + 21, end) !== crc) throw corrupt(header.baseOffset, 'its checksum is wrong')
    if (header.control) return
    const attributes = frame.readInt16BE(at + 21)
    const maxTimestamp = Number(frame.readBigInt64BE(at + 35))
    this.baseTimestamp = Number(frame.readBigInt64BE(at + 27))
    this.appendTimestamp = (attributes & LOG_APPEND_TIME) === 0 ? Number.NaN : maxTimestamp
    const count = frame.readInt32BE(at + 57)
    if (count < 0) throw corrupt(header.baseOffset, `it says ${count} records`)
    const compression = attributes & COMPRESSION_MASK
    if (compression === 0) {
      this.data = frame
      this.cursor.at = at + BATCH_HEADER_SIZE
      this.recordsEnd = end
    } else {
      this.data = decompress(compression, frame.subarray(at + BATCH_HEADER_SIZE, end), header.baseOffset)
      this.cursor.at = 0
      this.recordsEnd = this.data.length
    }
    this.recordsLeft = count
  }

  private readRecord(): void {
    const { data, cursor } = this
    const length = cursor.varint(data)
    const end = cursor.at + length
    if (length < 0 || end > this.recordsEnd) throw corrupt(this.baseOffset, 'a record is longer than the batch')
    cursor.at++
    const timestampDelta = cursor.varint(data)
    this.offset = this.baseOffset + cursor.varint(data)
    // -1 = the producer gave no time.
    this.timestamp = this.baseTimestamp < 0 ? Number.NaN : this.baseTimestamp + timestampDelta
    if (this.appendTimestamp >= 0) this.timestamp = this.appendTimestamp
    const keyLength = cursor.varint(data)
    if (keyLength > 0) cursor.at += keyLength
    const valueLength = cursor.varint(data)
    this.valueStart = valueLength < 0 ? -1 : cursor.at
    this.valueEnd = cursor.at + valueLength
    if (cursor.at + Math.max(0, valueLength) > end) throw corrupt(this.baseOffset, 'a value is longer than its record')
    cursor.at = end
    this.recordsLeft--
    this.nextOffset = this.recordsLeft === 0 ? this.lastOffset + 1 : this.offset + 1
  }
}

/** Zigzag varints of up to 64 bits, as numbers: deltas lie far below 2^53. */
class Cursor {
  at = 0

  varint(data: Buffer): number {
    let value = 0
    let factor = 1
    for (let count = 0; count < 10; count++) {
      const byte = data[this.at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      factor *= 128
    }
    throw new FlinkError('EXTERNAL_SYSTEM', 'a kafka record batch is corrupt: a number in it does not end')
  }
}

const noBytes = Buffer.alloc(0)

function corrupt(baseOffset: number, what: string): FlinkError {
  return new FlinkError('EXTERNAL_SYSTEM', `a kafka record batch at offset ${baseOffset} is corrupt: ${what}`, { offset: baseOffset })
}
