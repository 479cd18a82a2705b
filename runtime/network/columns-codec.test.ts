import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnar, joined, shown, withIds } from '../../test/support/columnar.ts'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { columnLayout } from '../serde/columns-type.ts'
import { Types } from '../serde/types.ts'
import { absentColumn, type BytesColumn, type ColumnarFrame, type WireFrame } from './columns.ts'
import { frameOf } from './columns-rows.ts'
import { TextColumnBuilder, textBytes } from './columns-text.ts'
import { ROWS_PER_FRAME_MAX } from './frame.ts'
import { decodeFrame, encodeColumnarFrame, FRAME_HEADER_SIZE } from './frame-codec.ts'

const plain = { channel: 7, channelId: '3/0/1', checksum: false }
const checked = { ...plain, checksum: true }

function encodeAll(frame: ColumnarFrame, target = 1 << 20, channel = plain, recordSizeMax = 1 << 20): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let row = 0; row < frame.length; ) {
    const out = new ByteWriter(16)
    row = encodeColumnarFrame(out, frame, row, channel, frames.length, target, recordSizeMax)
    frames.push(out.copy())
  }
  return frames
}

function decode(bytes: Uint8Array, type: ReturnType<typeof Types.columns>, sequence = 0, channel = plain): ColumnarFrame {
  return decodeFrame(bytes, type.serializer, channel, sequence) as ColumnarFrame
}

const shopAmount = Types.columns([
  { name: 'shop', type: 'STRING' },
  { name: 'amount', type: 'INT' },
])
const shopLayouts = [columnLayout('STRING'), columnLayout('INT')]
const shops = (...rows: unknown[][]) => frameOf(rows, shopLayouts)

test('texts that are known to lie one behind the other make the same bytes, closed at the same rows', () => {
  const value = fc.option(fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: 'binary', maxLength: 10 }), fc.constant('x'.repeat(300))), {
    freq: 8,
  })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(value, fc.nat(3)), { minLength: 1, maxLength: 120 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 3000 }),
      (rows, kinds, target) => {
        const builder = new TextColumnBuilder()
        for (const [text] of rows) {
          if (text === null) builder.appendNull()
          else builder.append(text)
        }
        const column = textBytes(builder.finish(), rows.length)
        expect(column.packed).toBe(true)
        const { packed: _, ...unknown } = column
        const frame = (texts: BytesColumn): ColumnarFrame => ({
          kind: 'columnar',
          length: rows.length,
          columns: [{ kind: 'i32', values: Int32Array.from(rows, (__, i) => i), validity: undefined }, texts],
          timestamps: undefined,
          rowKinds: kinds ? Uint8Array.from(rows, ([, kind]) => kind) : undefined,
        })
        expect(encodeAll(frame(column), target)).toEqual(encodeAll(frame(unknown), target))
      },
    ),
    { numRuns: runs(1000) },
  )
})

describe('columnar frames on the wire', () => {
  test('values of all kinds, nulls, event times and row kinds survive, whatever the size at which frames are closed', () => {
    fc.assert(
      fc.property(columnar({ rowsMin: 1 }), fc.integer({ min: 1, max: 3000 }), fc.boolean(), ({ frame, fields, layouts }, target, checksum) => {
        const channel = checksum ? checked : plain
        const parts = encodeAll(frame, target, channel).map((bytes, i) => decode(bytes, Types.columns(fields), i, channel))
        expect(joined(parts, layouts)).toEqual(shown(frame, layouts))
      }),
      { numRuns: 200 },
    )
  })

  test('a dictionary sends each value once, and the receiver has ids again', () => {
    const rows = Array.from({ length: 100 }, (_, i) => [i % 10 === 0 ? null : `a shop with a long name ${i % 3}`, i])
    const plainFrame = shops(...rows)
    const frame = { ...plainFrame, columns: plainFrame.columns.map(withIds) }
    const [bytes] = encodeAll(frame)
    const decoded = decode(bytes!, shopAmount)
    expect(shown(decoded, shopLayouts)).toEqual(shown(frame, shopLayouts))
    const names = decoded.columns[0]
    expect(names?.kind === 'bytes' && names.ids !== undefined && names.data.length).toBe(3 * 'a shop with a long name 0'.length)
    expect(bytes!.length).toBeLessThan(encodeAll(plainFrame)[0]!.length / 2)
  })

  test('arrays begin at multiples of 8 and are read in place, the bytes of the message may change afterwards', () => {
    const [bytes] = encodeAll(shops(['a', 1], ['bcd', 2], [null, 3]))
    const decoded = decode(bytes!, shopAmount)
    bytes!.fill(0xff)
    expect(shown(decoded, shopLayouts).rows).toEqual([
      ['a', 1],
      ['bcd', 2],
      [null, 3],
    ])
    expect(new Set(decoded.columns.map(column => (column.kind === 'bytes' ? column.data.buffer : column.values.buffer))).size).toBe(1)
  })

  test('only the bytes of the rows sent travel, not the page that they lie in', () => {
    const page = new Uint8Array(10_000).fill(120)
    const frame: ColumnarFrame = {
      kind: 'columnar',
      length: 2,
      columns: [
        { kind: 'bytes', data: page, starts: Int32Array.of(5000, 10), lengths: Int32Array.of(3, 2), ids: undefined, validity: undefined },
        { kind: 'i32', values: Int32Array.of(1, 2), validity: undefined },
      ],
      timestamps: undefined,
      rowKinds: undefined,
    }
    const [bytes] = encodeAll(frame)
    expect(bytes!.length).toBeLessThan(FRAME_HEADER_SIZE + 100)
    expect(shown(decode(bytes!, shopAmount), shopLayouts).rows).toEqual([
      ['xxx', 1],
      ['xx', 2],
    ])
  })

  test('a frame is split above 2,048 rows and where it is far larger than wanted, never inside an update', () => {
    const rows = Array.from({ length: 5000 }, (_, i) => [`${i}`, i])
    const kinds = Uint8Array.from(rows, (_, i) => (i % 2 === 1 ? 1 : i === 0 ? 0 : 2))
    const parts = encodeAll({ ...shops(...rows), rowKinds: kinds }).map((bytes, i) => decode(bytes, shopAmount, i))
    expect(parts.map(part => part.length)).toEqual([ROWS_PER_FRAME_MAX - 1, ROWS_PER_FRAME_MAX, 5000 - 2 * ROWS_PER_FRAME_MAX + 1])
    const wide = encodeAll(shops(...rows.slice(0, 100).map(([_, i]) => ['x'.repeat(1000), i])), 10_000)
    expect(wide.length).toBeGreaterThan(5)
    for (const bytes of wide) expect(bytes.length).toBeLessThan(21_000)
  })

  test('a column that the edge leaves out is its header, and comes only where it is expected', () => {
    const frame: WireFrame = { ...shops(['a', 1], ['bc', 2]), columns: [absentColumn, shops(['a', 1], ['bc', 2]).columns[1]!] }
    const out = new ByteWriter(16)
    expect(encodeColumnarFrame(out, frame, 0, plain, 0, 1 << 20, 1 << 20)).toBe(2)
    const sent = { ...shopAmount.serializer, columnKinds: ['absent', 'i32'] } as typeof shopAmount.serializer
    expect(decodeFrame(out.copy(), sent, plain, 0)).toEqual(frame)
    expect(() => decode(out.copy(), shopAmount)).toThrow('a column of kind absent where the edge')
    const [whole] = encodeAll(shops(['a', 1], ['bc', 2]))
    expect(() => decodeFrame(whole!, sent, plain, 0)).toThrow('a column of kind bytes where the edge')
    // Behind frame header and column count, the word of the first column: it may have no nulls.
    const damaged = out.copy()
    damaged[FRAME_HEADER_SIZE + 9] = 1
    expect(() => decodeFrame(damaged, sent, plain, 0)).toThrow('a reserved field of a column is set')
  })

  test('rows of which nothing is read are only counted', () => {
    const frame: WireFrame = { ...shops(...Array.from({ length: 3000 }, (_, i) => ['a', i])), columns: [absentColumn, absentColumn] }
    const out = new ByteWriter(16)
    expect(encodeColumnarFrame(out, frame, 0, plain, 0, 1000, 1000)).toBe(ROWS_PER_FRAME_MAX)
    const sent = { ...shopAmount.serializer, columnKinds: ['absent', 'absent'] } as typeof shopAmount.serializer
    expect(decodeFrame(out.copy(), sent, plain, 0)).toEqual({ ...frame, length: ROWS_PER_FRAME_MAX })
    expect(out.length).toBe(FRAME_HEADER_SIZE + 8 + 2 * 16)
  })

  test('a row above the record size is refused by name', () => {
    expect(() => encodeAll(shops(['x'.repeat(2000), 1]), 1 << 20, plain, 1000)).toThrow(/a record of 2\d\d\d bytes on channel 3\/0\/1 exceeds/)
  })

  test('columns of another type than the edge declares are refused', () => {
    const [bytes] = encodeAll(shops(['a', 1]))
    expect(() => decode(bytes!, Types.columns([{ name: 'a', type: 'INT' }]))).toThrow(/2 columns instead of 1/)
    const swapped = Types.columns([
      { name: 'a', type: 'STRING' },
      { name: 'b', type: 'DOUBLE' },
    ])
    expect(() => decode(bytes!, swapped)).toThrow(/a column of kind i32 where the edge's type has f64/)
    expect(() => decode(bytes!, Types.STRING as never)).toThrow(/columns on a channel without a type of columns/)
  })

  test('broken bytes are CORRUPT_FRAME or decode to readable columns: never another error, never values outside the frame', () => {
    fc.assert(
      fc.property(
        columnar({ rowsMin: 1, rowsMax: 12 }),
        fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), { minLength: 1, maxLength: 3 }),
        ({ frame, fields, layouts }, changes) => {
          const [bytes] = encodeAll(frame)
          for (const { at, value } of changes) {
            const body = bytes!.length - FRAME_HEADER_SIZE
            bytes![FRAME_HEADER_SIZE + (at % body)] = value
          }
          try {
            const decoded = decode(bytes!, Types.columns(fields))
            expect(decoded.length).toBe(frame.length)
            for (const column of decoded.columns) {
              if (column.kind !== 'bytes') continue
              for (let row = 0; row < decoded.length; row++) {
                expect(column.starts[row]! >= 0 && column.lengths[row]! >= 0).toBe(true)
                expect(column.starts[row]! + column.lengths[row]!).toBeLessThanOrEqual(column.data.length)
              }
            }
            shown(
              decoded,
              layouts.map(layout => ({ ...layout, scale: -1 })),
            )
          } catch (error) {
            if (!(error instanceof FlinkError)) throw error
            expect(error.code).toBe('CORRUPT_FRAME')
          }
        },
      ),
      { numRuns: runs(500) },
    )
  })

  test.each([0, 1, 7, 8, 40])('a body cut after %i bytes is refused', length => {
    const [bytes] = encodeAll(shops(['abc', 1], ['de', 2]))
    const cut = bytes!.slice(0, FRAME_HEADER_SIZE + length)
    new DataView(cut.buffer).setUint32(12, length, true)
    expect(() => decode(cut, shopAmount)).toThrow(FlinkError)
  })
})
