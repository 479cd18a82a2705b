import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import { type ChannelElement, type ControlElement, MAX_WATERMARK, MIN_WATERMARK, type ObjectFrame } from './frame.ts'
import { decodeFrame, encodeControlFrame, encodeObjectFrame, encodeRawFrame, FRAME_HEADER_SIZE } from './frame-codec.ts'

const strings: TypeSerializer<unknown> = { write: (value, out) => out.string(value as string), read: input => input.string() }
const plain = { channel: 7, channelId: '3/0/1', checksum: false }
const checked = { ...plain, checksum: true }
const RECORD_MAX = 1000

function encodeAll(frame: ObjectFrame, target: number, channel = plain): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let row = 0; row < frame.rows.length; ) {
    const out = new ByteWriter(16)
    row = encodeObjectFrame(out, frame, row, strings, channel, frames.length, target, RECORD_MAX)
    frames.push(out.copy())
  }
  return frames
}

const objectFrame = fc
  .array(
    fc.record({ value: fc.string({ maxLength: 40 }), time: fc.oneof(fc.constant(Number.NaN), fc.integer()), kind: fc.integer({ min: 0, max: 3 }) }),
    { minLength: 1, maxLength: 60 },
  )
  .chain(rows => fc.record({ rows: fc.constant(rows), times: fc.boolean(), kinds: fc.boolean() }))
  .map(
    ({ rows, times, kinds }): ObjectFrame => ({
      kind: 'object',
      rows: rows.map(row => row.value),
      timestamps: times ? Float64Array.from(rows, row => row.time) : undefined,
      rowKinds: kinds ? Uint8Array.from(rows, row => row.kind) : undefined,
    }),
  )

describe('frame codec', () => {
  test('rows, event times and row kinds survive, whatever the size at which frames are closed', () => {
    fc.assert(
      fc.property(objectFrame, fc.integer({ min: 1, max: 2000 }), fc.boolean(), (frame, target, checksum) => {
        const channel = checksum ? checked : plain
        const decoded = encodeAll(frame, target, channel).map((bytes, i) => decodeFrame(bytes, strings, channel, i) as ObjectFrame)
        expect(decoded.flatMap(part => part.rows)).toEqual(frame.rows)
        for (const part of decoded) {
          expect(part.timestamps === undefined).toBe(frame.timestamps === undefined)
          expect(part.rowKinds === undefined).toBe(frame.rowKinds === undefined)
        }
        expect(decoded.flatMap(part => [...(part.timestamps ?? [])])).toEqual([...(frame.timestamps ?? [])])
        expect(decoded.flatMap(part => [...(part.rowKinds ?? [])])).toEqual([...(frame.rowKinds ?? [])])
      }),
    )
  })

  test('the two rows of an update are never split between frames', () => {
    fc.assert(
      fc.property(objectFrame, fc.integer({ min: 1, max: 300 }), (frame, target) => {
        for (const bytes of encodeAll(frame, target).slice(0, -1)) {
          const kinds = [...((decodeFrame(bytes, strings, plain, new DataView(bytes.buffer).getUint32(24, true)) as ObjectFrame).rowKinds ?? [])]
          if (kinds.at(-1) !== 1) continue
          const rowsBefore = encodeAll(frame, target)
            .slice(0, new DataView(bytes.buffer).getUint32(24, true) + 1)
            .reduce((sum, part) => sum + new DataView(part.buffer).getUint32(8, true), 0)
          expect(frame.rowKinds?.[rowsBefore]).not.toBe(2)
        }
      }),
    )
  })

  test('the header lies as docs/decisions/0001 says', () => {
    const out = new ByteWriter()
    encodeObjectFrame(
      out,
      { kind: 'object', rows: ['a'], timestamps: Float64Array.of(5), rowKinds: undefined },
      0,
      strings,
      { ...plain, channel: 0x01020304 },
      2 ** 32 + 9,
      1000,
      RECORD_MAX,
    )
    expect(Buffer.from(out.subarray()).toString('hex')).toBe(
      [
        '524d',
        '01',
        '01',
        '0200',
        '0000',
        '01000000',
        '0a000000',
        '04030201',
        '00000000',
        '0900000001000000',
        '00000000',
        '00000000',
        '0000000000001440',
        '0161',
      ].join(''),
    )
  })

  test.each<ControlElement>([
    { kind: 'watermark', timestamp: 12.5 },
    { kind: 'watermark', timestamp: MAX_WATERMARK },
    { kind: 'watermark', timestamp: MIN_WATERMARK },
    { kind: 'status', idle: true },
    { kind: 'status', idle: false },
    { kind: 'barrier', barrier: { checkpointId: 2 ** 50, timestampMs: 1.7e12, type: 'checkpoint' } },
    { kind: 'barrier', barrier: { checkpointId: 3, timestampMs: 1, type: 'full-checkpoint' } },
    { kind: 'barrier', barrier: { checkpointId: 1, timestampMs: 2, type: 'savepoint-drain', location: 's3://bücket/savepoint-1' } },
    { kind: 'end' },
    { kind: 'event', what: 'finished', data: '{"tag":1,"näme":"𝄞"}' },
  ])('control element $kind survives', control => {
    const out = new ByteWriter()
    encodeControlFrame(out, control, checked, 3)
    expect(decodeFrame(out.subarray(), undefined, checked, 3)).toEqual(control)
  })

  test('raw bytes survive with tag and position, as a copy', () => {
    const out = new ByteWriter()
    encodeRawFrame(out, { kind: 'raw', tag: 4, position: 2 ** 40, bytes: Uint8Array.of(1, 2, 3) }, plain, 0, RECORD_MAX)
    const bytes = out.copy()
    const decoded = decodeFrame(bytes, undefined, plain, 0)
    bytes.fill(0)
    expect(decoded).toEqual({ kind: 'raw', tag: 4, position: 2 ** 40, bytes: Uint8Array.of(1, 2, 3) })
  })

  test('any changed byte of a frame with a checksum is refused as corrupt and names the channel', () => {
    const [bytes] = encodeAll(
      { kind: 'object', rows: ['hello', 'world'], timestamps: Float64Array.of(1, 2), rowKinds: Uint8Array.of(0, 0) },
      1000,
      checked,
    )
    fc.assert(
      fc.property(fc.nat({ max: bytes!.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const broken = bytes!.slice()
        broken[at]! ^= flip
        expect(codeOf(() => decodeFrame(broken, strings, checked, 0))).toMatchObject({
          code: 'CORRUPT_FRAME',
          message: expect.stringContaining('3/0/1'),
        })
      }),
      { numRuns: runs(1000) },
    )
  })

  test('arbitrary damage without a checksum is an answer or a FlinkError, never another error', () => {
    fc.assert(
      fc.property(objectFrame, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), fc.nat({ max: 30 }), (frame, changes, cut) => {
        const bytes = encodeAll(frame, 10_000)[0]!
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        try {
          decodeFrame(bytes.subarray(0, bytes.length - cut), strings, plain, 0)
        } catch (error) {
          expect(error).toBeInstanceOf(FlinkError)
        }
      }),
      { numRuns: runs(1000) },
    )
  })

  test.each([
    ['magic', 0, 0x00, 'CORRUPT_FRAME'],
    ['version', 2, 2, 'CORRUPT_FRAME'],
    ['columnar kind on a channel of rows', 3, 2, 'CORRUPT_FRAME'],
    ['unknown kind', 3, 9, 'CORRUPT_FRAME'],
    ['codec', 4, 0x10, 'UNSUPPORTED'],
    ['unknown flag', 5, 1, 'CORRUPT_FRAME'],
    ['row count', 8, 200, 'CORRUPT_FRAME'],
    ['row count beyond any frame', 11, 1, 'CORRUPT_FRAME'],
    ['length', 12, 1, 'CORRUPT_FRAME'],
    ['channel number', 16, 8, 'CORRUPT_FRAME'],
    ['sequence number', 24, 1, 'CORRUPT_FRAME'],
  ])('a wrong %s is refused', (_what, at, value, code) => {
    const bytes = encodeAll({ kind: 'object', rows: ['hello'], timestamps: undefined, rowKinds: undefined }, 1000)[0]!
    bytes[at] = value
    expect(codeOf(() => decodeFrame(bytes, strings, plain, 0))?.code).toBe(code)
  })

  test('a channel that must have checksums refuses a frame without one', () => {
    const bytes = encodeAll({ kind: 'object', rows: ['hello'], timestamps: undefined, rowKinds: undefined }, 1000)[0]!
    expect(codeOf(() => decodeFrame(bytes, strings, checked, 0))?.code).toBe('CORRUPT_FRAME')
  })

  test('a record above the largest size is refused with its size', () => {
    const frame: ObjectFrame = { kind: 'object', rows: ['x'.repeat(RECORD_MAX + 1)], timestamps: undefined, rowKinds: undefined }
    expect(codeOf(() => encodeAll(frame, 100))).toMatchObject({ code: 'RECORD_TOO_LARGE', detail: { recordSizeMax: RECORD_MAX } })
  })

  test('the header is 40 bytes', () => {
    const out = new ByteWriter()
    encodeControlFrame(out, { kind: 'end' }, plain, 0)
    expect(out.length).toBe(FRAME_HEADER_SIZE + 1)
    expect(FRAME_HEADER_SIZE).toBe(40)
  })
})

function codeOf(action: () => ChannelElement | Uint8Array[]): FlinkError | undefined {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(FlinkError)
    return error as FlinkError
  }
  return undefined
}
