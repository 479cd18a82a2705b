import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { BytesColumnBuilder } from './columns-builder.ts'
import { ownText, textBytes, textOf, texts } from './columns-text.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })
// Lone halves of pairs, their neighbours, plain text: what may not meet across two rows.
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.array(fc.constantFrom('\ud83d', '\ude00', 'é', 'a', '\ufeff', '\u0000'), { maxLength: 4 }).map(parts => parts.join('')),
)

test('strings as bytes and back, nulls and halves of pairs among them; what is whole as the runtime encodes each alone', () => {
  fc.assert(
    fc.property(fc.array(fc.option(text, { freq: 6 }), { maxLength: 300 }), fc.boolean(), (rows, plain) => {
      const values = rows.map(row => (row === null ? '' : plain ? row.replaceAll(/[^ -~]/g, 'x') : row))
      const validity = rows.includes(null) ? new Uint8Array((rows.length + 7) >> 3) : undefined
      for (const [i, row] of rows.entries()) if (validity !== undefined && row !== null) validity[i >> 3]! |= 1 << (i & 7)
      const column = textBytes({ kind: 'text', values, validity }, rows.length)
      const expected = values.map((value, i) => (rows[i] === null ? undefined : value))
      for (const [i, value] of expected.entries()) {
        const bytes = column.data.subarray(column.starts[i], column.starts[i]! + column.lengths[i]!)
        if (value?.isWellFormed() === true) expect(decoder.decode(bytes)).toBe(value)
        if (value !== undefined) expect(textOf(bytes, 0, bytes.length)).toBe(value)
      }
      expect(texts(column, rows.length).values.map((value, i) => (rows[i] === null ? undefined : value))).toEqual(expected)
      const builder = new BytesColumnBuilder()
      for (const value of expected) value === undefined ? builder.appendNull() : builder.appendText(value)
      expect(texts(builder.finish(), rows.length).values.map((value, i) => (rows[i] === null ? undefined : value))).toEqual(expected)
    }),
    { numRuns: runs(300) },
  )
})

test('malformed bytes of neighbours are replaced row by row', () => {
  const data = Uint8Array.of(0xc3, 0xa9, 0x61, 0xf0, 0x9f, 0x98, 0x80)
  const column = {
    kind: 'bytes' as const,
    data,
    starts: Int32Array.of(0, 1, 2, 5),
    lengths: Int32Array.of(1, 1, 3, 2),
    ids: undefined,
    validity: undefined,
  }
  expect(texts(column, 4).values).toEqual(['\ufffd', '\ufffd', 'a\ufffd', '\ufffd\ufffd'])
})

test('a text that is kept does not keep what it is a part of', () => {
  const large = 'a'.repeat(100)
  expect(ownText(large.slice(10, 60))).toBe('a'.repeat(50))
  expect(ownText('short')).toBe('short')
})
