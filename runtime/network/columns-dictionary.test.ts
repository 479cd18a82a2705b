import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shown, withIds } from '../../test/support/columnar.ts'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import { columnLayout } from '../serde/columns-type.ts'
import type { BytesColumn, ColumnarFrame } from './columns.ts'
import { BytesColumnBuilder } from './columns-builder.ts'
import { decodeColumns, encodeColumns } from './columns-codec.ts'
import { frameOf } from './columns-rows.ts'

const layouts = [columnLayout('STRING')]
const textsOf = (column: BytesColumn) => shown(frameAround(column), layouts).rows.map(([value]) => value)
const frameAround = (column: BytesColumn): ColumnarFrame => ({
  kind: 'columnar',
  length: column.starts.length,
  columns: [column],
  timestamps: undefined,
  rowKinds: undefined,
})
const columnOf = (texts: readonly (string | null)[]) =>
  frameOf(
    texts.map(text => [text]),
    layouts,
  ).columns[0] as BytesColumn

const text = fc.constantFrom('', 'a', 'b', 'a text that is longer than a word', '😀', null)
const part = fc.record({ texts: fc.array(text, { minLength: 1, maxLength: 40 }), ids: fc.boolean(), range: fc.boolean(), seed: fc.nat() })

test('rows of one id have one text, over frames of several dictionaries and on the wire; values without ids, or that do not repeat, end them', () => {
  const builder = new BytesColumnBuilder()
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), fc.boolean(), (parts, recycles) => {
      const expected: unknown[] = []
      let keepsIds = true
      for (const { texts, ids, range, seed } of parts) {
        const plain = columnOf(texts)
        const column = ids ? (withIds(plain) as BytesColumn) : plain
        const order = range ? Int32Array.from(texts.keys()) : Int32Array.from(texts, (_, i) => (i * 7 + (seed % 1000)) % texts.length)
        if (range) builder.appendRange(column, 0, texts.length)
        else builder.gather(column, order, 0, order.length)
        const values = Array.from(order, row => texts[row])
        expected.push(...values)
        keepsIds &&= ids && new Set(values.filter(value => value !== null)).size <= Math.ceil(values.length / 4)
      }
      const gathered = builder.finish()
      expect(textsOf(gathered)).toEqual(expected)
      expect(gathered.ids !== undefined).toBe(keepsIds)
      const known = new Map<number, unknown>()
      for (const [row, id] of (gathered.ids ?? new Int32Array(0)).entries()) {
        if (expected[row] === null) continue
        expect(known.get(id) ?? expected[row]).toEqual(expected[row])
        known.set(id, expected[row])
      }
      const out = new ByteWriter(64)
      encodeColumns(out, frameAround(gathered), 0, expected.length)
      expect(textsOf(decodeColumns(out.copy(), expected.length, ['bytes'], false, false).columns[0] as BytesColumn)).toEqual(expected)
      if (recycles) builder.recycle(gathered)
    }),
    { numRuns: runs(500) },
  )
})

test('values that repeat are copied once on the way into an exchange', () => {
  const builder = new BytesColumnBuilder()
  const column = withIds(columnOf(Array.from({ length: 100 }, (_, i) => `a channel of long name ${i % 4}`))) as BytesColumn
  builder.gather(
    column,
    Int32Array.from({ length: 100 }, (_, i) => i),
    0,
    100,
  )
  expect(builder.finish().data.length).toBe(4 * 'a channel of long name 0'.length)
})
