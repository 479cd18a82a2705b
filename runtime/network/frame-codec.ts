/**
 * Frames as bytes: the header and bodies of docs/decisions/0001-frame-header.md. The same bytes travel in rings and on TCP.
 *
 * Invariants:
 * - a wire frame holds at most ROWS_PER_FRAME_MAX rows; a larger or wider `ObjectFrame` or `ColumnarFrame` becomes several wire frames,
 *   never split between the -U and the +U of one update;
 * - decoding never returns made-up values: whatever does not fit is CORRUPT_FRAME naming the channel, and nothing is allocated
 *   from a length that was not checked against a bound first.
 */
import { crc32 } from 'node:zlib'
import { unreachable } from '../common/assert.ts'
import { ByteReader, type ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { isCheckpoint, snapshotTypes } from '../common/snapshot-type.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import type { WireFrame } from './columns.ts'
import { decodeColumns, encodeColumns, fixedRowSize, hasRangeSizes, textSize } from './columns-codec.ts'
import { type ChannelElement, type ControlElement, type ObjectFrame, PAGE_SIZE, type RawFrame, ROWS_PER_FRAME_MAX } from './frame.ts'

export const FRAME_HEADER_SIZE = 40
export const FRAME_MAGIC = 0x4d52
export const FRAME_VERSION = 1

const KIND_OBJECT = 1
const KIND_COLUMNAR = 2
const KIND_RAW = 3
const KIND_CONTROL = 4

const FLAG_ROW_KINDS = 1
const FLAG_EVENT_TIMES = 2
const FLAG_CHECKSUM = 4
const CODEC_SHIFT = 4
const CODEC_MASK = 0xf0
const FLAGS_KNOWN = FLAG_ROW_KINDS | FLAG_EVENT_TIMES | FLAG_CHECKSUM | CODEC_MASK

const AT_FLAGS = 4
const AT_ROW_COUNT = 8
const AT_BODY_LENGTH = 12
const AT_CHANNEL = 16
const AT_SEQUENCE = 24
const AT_CHECKSUM = 32

const UPDATE_BEFORE = 1
const UPDATE_AFTER = 2

/** What a channel puts into each of its headers and names in each of its errors. */
export interface FrameChannel {
  readonly channel: number
  readonly channelId: string
  /** Set on channels that cross a socket. */
  readonly checksum: boolean
}

/** The largest wire frame when one record may have `recordSizeMax` bytes: the last row of a frame may start just below the target, columns just below twice. */
export function frameSizeMax(recordSizeMax: number): number {
  return FRAME_HEADER_SIZE + ROWS_PER_FRAME_MAX * 9 + 3 * PAGE_SIZE + 2 * recordSizeMax
}

/**
 * Appends one wire frame with the rows of `frame` from index `from` on, until its bytes reach `targetSize`; answers the index of the
 * first row that it did not take.
 */
export function encodeObjectFrame(
  out: ByteWriter,
  frame: ObjectFrame,
  from: number,
  serializer: TypeSerializer<unknown>,
  channel: FrameChannel,
  sequence: number,
  targetSize: number,
  recordSizeMax: number,
): number {
  const { rows, timestamps, rowKinds } = frame
  const start = out.reserve(FRAME_HEADER_SIZE)
  let countMax = Math.min(rows.length - from, ROWS_PER_FRAME_MAX)
  if (rowKinds !== undefined && countMax === ROWS_PER_FRAME_MAX && isUpdatePair(rowKinds, from + countMax - 1)) countMax--
  // The columns come first, but how many rows fit is known only after encoding them: room is made for all, and the rows are moved
  // down when fewer fit.
  const columnsAt = out.length
  const columnsSize = (timestamps === undefined ? 0 : countMax * 8) + (rowKinds === undefined ? 0 : countMax)
  const rowsAt = out.reserve(columnsSize) + columnsSize
  let count = 0
  while (count < countMax) {
    const before = out.length
    const row = from + count
    try {
      serializer.write(rows[row], out)
    } catch (error) {
      throw beyondBuffer(error, channel, before, recordSizeMax)
    }
    count++
    const end = out.length
    if (end - before > recordSizeMax) throw tooLarge(channel, `${end - before}`, recordSizeMax, end - before)
    if (end - start >= targetSize && (rowKinds === undefined || !isUpdatePair(rowKinds, row))) break
  }
  let flags = 0
  let at = columnsAt
  if (timestamps !== undefined) {
    flags |= FLAG_EVENT_TIMES
    // Typed arrays are little-endian on every machine that Node runs on.
    out.bytes.set(new Uint8Array(timestamps.buffer, timestamps.byteOffset + from * 8, count * 8), at)
    at += count * 8
  }
  if (rowKinds !== undefined) {
    flags |= FLAG_ROW_KINDS
    out.bytes.set(rowKinds.subarray(from, from + count), at)
    at += count
  }
  if (at < rowsAt) {
    out.bytes.copyWithin(at, rowsAt, out.length)
    out.length -= rowsAt - at
  }
  finish(out, start, KIND_OBJECT, flags, count, channel, sequence)
  return from + count
}

/**
 * As `encodeObjectFrame`. A frame of up to twice `targetSize` stays whole: a second frame costs more than a second segment. The body's form is
 * in columns-codec.ts.
 */
export function encodeColumnarFrame(
  out: ByteWriter,
  frame: WireFrame,
  from: number,
  channel: FrameChannel,
  sequence: number,
  targetSize: number,
  recordSizeMax: number,
): number {
  const to = endOfColumnarFrame(frame, from, channel, targetSize, recordSizeMax)
  const start = out.reserve(FRAME_HEADER_SIZE)
  encodeColumns(out, frame, from, to)
  const flags = (frame.timestamps === undefined ? 0 : FLAG_EVENT_TIMES) | (frame.rowKinds === undefined ? 0 : FLAG_ROW_KINDS)
  finish(out, start, KIND_COLUMNAR, flags, to - from, channel, sequence)
  return to
}

function endOfColumnarFrame(frame: WireFrame, from: number, channel: FrameChannel, targetSize: number, recordSizeMax: number): number {
  const { rowKinds } = frame
  const rowSize = fixedRowSize(frame)
  const countMax = Math.min(frame.length - from, ROWS_PER_FRAME_MAX)
  const texts = textSize(frame, from, from + countMax)
  let to = from + countMax
  const mayBeTooLarge = texts + rowSize > recordSizeMax
  if (countMax * rowSize + texts > 2 * targetSize || mayBeTooLarge) {
    to =
      hasRangeSizes(frame) && !mayBeTooLarge
        ? endBySearch(frame, from, to, rowSize, targetSize)
        : endRowByRow(frame, from, to, rowSize, channel, targetSize, recordSizeMax)
  }
  if (rowKinds !== undefined && to - from === ROWS_PER_FRAME_MAX && isUpdatePair(rowKinds, to - 1)) to--
  return to
}

/** The row behind the one with which the frame reaches its size. */
function endRowByRow(
  frame: WireFrame,
  from: number,
  end: number,
  rowSize: number,
  channel: FrameChannel,
  targetSize: number,
  recordSizeMax: number,
): number {
  const { rowKinds } = frame
  let size = 0
  let to = from
  for (; to < end && (size < targetSize || (rowKinds !== undefined && isUpdatePair(rowKinds, to - 1))); to++) {
    const record = rowSize + textSize(frame, to, to + 1)
    if (record > recordSizeMax) throw tooLarge(channel, `${Math.ceil(record)}`, recordSizeMax, Math.ceil(record))
    size += record
  }
  return to
}

/** The same, where the size of any range of rows is known at once and no record is too large. */
function endBySearch(frame: WireFrame, from: number, end: number, rowSize: number, targetSize: number): number {
  let low = from + 1
  let high = end
  while (low < high) {
    const middle = (low + high) >> 1
    if (rowSize * (middle - from) + textSize(frame, from, middle) < targetSize) low = middle + 1
    else high = middle
  }
  const { rowKinds } = frame
  while (rowKinds !== undefined && low < end && isUpdatePair(rowKinds, low - 1)) low++
  return low
}

export function encodeRawFrame(out: ByteWriter, frame: RawFrame, channel: FrameChannel, sequence: number, recordSizeMax: number): void {
  if (frame.bytes.length > recordSizeMax) throw tooLarge(channel, `${frame.bytes.length}`, recordSizeMax, frame.bytes.length)
  const start = out.reserve(FRAME_HEADER_SIZE)
  out.u32(frame.tag)
  out.f64(frame.position)
  out.raw(frame.bytes)
  finish(out, start, KIND_RAW, 0, 0, channel, sequence)
}

export function encodeControlFrame(out: ByteWriter, control: ControlElement, channel: FrameChannel, sequence: number): void {
  const start = out.reserve(FRAME_HEADER_SIZE)
  encodeControl(out, control)
  finish(out, start, KIND_CONTROL, 0, 0, channel, sequence)
}

/** The body of a control frame; also what the one-entry control lane beside a channel holds. */
export function encodeControl(out: ByteWriter, control: ControlElement): void {
  switch (control.kind) {
    case 'watermark':
      out.u8(1)
      out.f64(control.timestamp)
      return
    case 'status':
      out.u8(2)
      out.u8(control.idle ? 1 : 0)
      return
    case 'barrier':
      out.u8(3)
      out.f64(control.barrier.checkpointId)
      out.f64(control.barrier.timestampMs)
      out.u8(snapshotTypes.indexOf(control.barrier.type))
      if (!isCheckpoint(control.barrier.type)) out.string(control.barrier.location ?? '')
      return
    case 'end':
      out.u8(4)
      return
    case 'event':
      out.u8(5)
      out.string(control.what)
      out.string(control.data)
      return
    default:
      unreachable(control)
  }
}

export function decodeControl(input: ByteReader, channel: FrameChannel): ControlElement {
  const type = input.u8()
  switch (type) {
    case 1:
      return { kind: 'watermark', timestamp: input.f64() }
    case 2:
      return { kind: 'status', idle: input.u8() === 1 }
    case 3: {
      const checkpointId = input.f64()
      const timestampMs = input.f64()
      const barrierType = snapshotTypes[input.u8()]
      if (barrierType === undefined) throw corrupt(channel, 'unknown barrier type')
      const barrier = { checkpointId, timestampMs, type: barrierType }
      return { kind: 'barrier', barrier: isCheckpoint(barrierType) ? barrier : { ...barrier, location: input.string() } }
    }
    case 4:
      return { kind: 'end' }
    case 5:
      return { kind: 'event', what: input.string(), data: input.string() }
    default:
      throw corrupt(channel, `unknown control type ${type}`)
  }
}

/** Checks what can be checked before the whole frame is there, and answers its length in bytes, header included. */
export function frameSize(header: Uint8Array, view: DataView, channel: FrameChannel, sizeMax: number): number {
  if (header.length < FRAME_HEADER_SIZE) throw corrupt(channel, `header of ${header.length} bytes`)
  const magic = view.getUint16(0, true)
  if (magic !== FRAME_MAGIC) throw corrupt(channel, `magic 0x${magic.toString(16)} instead of 0x${FRAME_MAGIC.toString(16)}`)
  if (view.getUint8(2) !== FRAME_VERSION) throw corrupt(channel, `version ${view.getUint8(2)} instead of ${FRAME_VERSION}`)
  const size = FRAME_HEADER_SIZE + view.getUint32(AT_BODY_LENGTH, true)
  if (size > sizeMax) throw corrupt(channel, `length of ${size} bytes where at most ${sizeMax} are allowed`)
  return size
}

/** Decodes the frame that fills `bytes` exactly. `bytes` may be reused afterwards: nothing of the result points into it. */
export function decodeFrame(
  bytes: Uint8Array,
  serializer: TypeSerializer<unknown> | undefined,
  channel: FrameChannel,
  sequence: number,
): ChannelElement {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = frameSize(bytes, view, channel, bytes.length)
  if (size !== bytes.length) throw corrupt(channel, `length of ${size} bytes in ${bytes.length} received`)
  const flags = view.getUint16(AT_FLAGS, true)
  if ((flags & ~FLAGS_KNOWN) !== 0 || view.getUint16(6, true) !== 0 || view.getUint32(20, true) !== 0 || view.getUint32(36, true) !== 0) {
    throw corrupt(channel, 'a reserved field is set')
  }
  if ((flags & FLAG_CHECKSUM) !== 0) verifyChecksum(bytes, view, channel)
  else if (channel.checksum) throw corrupt(channel, 'the checksum is missing')
  else if (view.getUint32(AT_CHECKSUM, true) !== 0) throw corrupt(channel, 'a checksum without its flag')
  if (view.getUint32(AT_CHANNEL, true) !== channel.channel)
    throw corrupt(channel, `channel number ${view.getUint32(AT_CHANNEL, true)} instead of ${channel.channel}`)
  const found = view.getUint32(AT_SEQUENCE, true) + view.getUint32(AT_SEQUENCE + 4, true) * 2 ** 32
  if (found !== sequence) throw corrupt(channel, `sequence number ${found} instead of ${sequence}`)
  const codec = (flags & CODEC_MASK) >> CODEC_SHIFT
  if (codec !== 0) throw new FlinkError('UNSUPPORTED', `codec ${codec} of a frame on channel ${channel.channelId} is not supported`)
  const kind = view.getUint8(3)
  if (kind !== KIND_OBJECT && kind !== KIND_COLUMNAR && kind !== KIND_RAW && kind !== KIND_CONTROL) throw corrupt(channel, `unknown kind ${kind}`)
  const rowCount = view.getUint32(AT_ROW_COUNT, true)
  if (rowCount > (kind === KIND_OBJECT || kind === KIND_COLUMNAR ? ROWS_PER_FRAME_MAX : 0)) throw corrupt(channel, `row count ${rowCount}`)
  const input = new ByteReader(bytes, FRAME_HEADER_SIZE)
  try {
    if (kind === KIND_COLUMNAR) {
      if (serializer?.columnKinds === undefined) throw corrupt(channel, 'columns on a channel without a type of columns')
      const hasTimes = (flags & FLAG_EVENT_TIMES) !== 0
      return decodeColumns(bytes.subarray(FRAME_HEADER_SIZE), rowCount, serializer.columnKinds, hasTimes, (flags & FLAG_ROW_KINDS) !== 0)
    }
    const element =
      kind === KIND_OBJECT
        ? decodeRows(input, rowCount, flags, serializer, channel)
        : kind === KIND_RAW
          ? decodeRaw(input)
          : decodeControl(input, channel)
    if (input.remaining !== 0) throw corrupt(channel, `${input.remaining} bytes behind the last value`)
    return element
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'CORRUPT_FRAME' && error.detail['channelId'] !== undefined) throw error
    throw new FlinkError(
      'CORRUPT_FRAME',
      `corrupt frame on channel ${channel.channelId}: ${(error as Error).message}`,
      { channelId: channel.channelId },
      error,
    )
  }
}

function decodeRows(
  input: ByteReader,
  rowCount: number,
  flags: number,
  serializer: TypeSerializer<unknown> | undefined,
  channel: FrameChannel,
): ObjectFrame {
  if (serializer === undefined) throw corrupt(channel, 'rows on a channel without a row type')
  let timestamps: Float64Array | undefined
  let rowKinds: Uint8Array | undefined
  if ((flags & FLAG_EVENT_TIMES) !== 0) {
    const at = input.take(rowCount * 8)
    timestamps = new Float64Array(rowCount)
    new Uint8Array(timestamps.buffer).set(input.bytes.subarray(at, at + rowCount * 8))
  }
  if ((flags & FLAG_ROW_KINDS) !== 0) {
    rowKinds = input.raw(rowCount)
    for (const kind of rowKinds) if (kind > 3) throw corrupt(channel, `row kind ${kind}`)
  }
  const rows: unknown[] = []
  for (let i = 0; i < rowCount; i++) rows.push(serializer.read(input))
  return { kind: 'object', rows, timestamps, rowKinds }
}

function decodeRaw(input: ByteReader): RawFrame {
  const tag = input.u32()
  const position = input.f64()
  return { kind: 'raw', tag, position, bytes: input.raw(input.remaining) }
}

function finish(out: ByteWriter, start: number, kind: number, flags: number, rowCount: number, channel: FrameChannel, sequence: number): void {
  const { view } = out
  view.setUint16(start, FRAME_MAGIC, true)
  view.setUint8(start + 2, FRAME_VERSION)
  view.setUint8(start + 3, kind)
  view.setUint16(start + AT_FLAGS, channel.checksum ? flags | FLAG_CHECKSUM : flags, true)
  view.setUint16(start + 6, 0, true)
  view.setUint32(start + AT_ROW_COUNT, rowCount, true)
  view.setUint32(start + AT_BODY_LENGTH, out.length - start - FRAME_HEADER_SIZE, true)
  view.setUint32(start + AT_CHANNEL, channel.channel, true)
  view.setUint32(start + 20, 0, true)
  view.setUint32(start + AT_SEQUENCE, sequence >>> 0, true)
  view.setUint32(start + AT_SEQUENCE + 4, Math.floor(sequence / 2 ** 32), true)
  view.setUint32(start + AT_CHECKSUM, 0, true)
  view.setUint32(start + 36, 0, true)
  if (channel.checksum) view.setUint32(start + AT_CHECKSUM, crc32(out.bytes.subarray(start, out.length)), true)
}

function verifyChecksum(bytes: Uint8Array, view: DataView, channel: FrameChannel): void {
  const expected = view.getUint32(AT_CHECKSUM, true)
  // The field counts as zero in its own checksum: three pieces instead of changing bytes that are not ours.
  const before = crc32(bytes.subarray(0, AT_CHECKSUM))
  const found = crc32(bytes.subarray(AT_CHECKSUM + 4), crc32(zeroField, before))
  if (found !== expected) throw corrupt(channel, 'wrong checksum', { expected, found })
}

const zeroField = new Uint8Array(4)

function isUpdatePair(rowKinds: Uint8Array, row: number): boolean {
  return rowKinds[row] === UPDATE_BEFORE && rowKinds[row + 1] === UPDATE_AFTER
}

function corrupt(channel: FrameChannel, what: string, detail: Readonly<Record<string, unknown>> = {}): FlinkError {
  return new FlinkError('CORRUPT_FRAME', `corrupt frame on channel ${channel.channelId}: ${what}`, { ...detail, channelId: channel.channelId })
}

/** A record that does not even fit the buffer: the buffer knows neither the limit that was set nor where the record began. */
function beyondBuffer(error: unknown, channel: FrameChannel, start: number, recordSizeMax: number): unknown {
  if (!(error instanceof FlinkError) || error.code !== 'RECORD_TOO_LARGE') return error
  const size = Number(error.detail['bytes']) - start
  return tooLarge(channel, `at least ${size}`, recordSizeMax, size)
}

function tooLarge(channel: FrameChannel, sizeText: string, recordSizeMax: number, size: number): FlinkError {
  return new FlinkError(
    'RECORD_TOO_LARGE',
    `a record of ${sizeText} bytes on channel ${channel.channelId} exceeds taskmanager.network.record-size-max of ${recordSizeMax} bytes`,
    { size, recordSizeMax },
  )
}
