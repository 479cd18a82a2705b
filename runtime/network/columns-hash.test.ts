import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnar } from '../../test/support/columnar.ts'
import { runs } from '../../test/support/runs.ts'
import { columnLayout, heldValue } from '../serde/columns-type.ts'
import { javaHash } from '../serde/key.ts'
import { keyGroupOf, murmurHash } from '../serde/key-groups.ts'
import { Types } from '../serde/types.ts'
import { ColumnsKeyHasher, hashOfText } from './columns-hash.ts'
import { frameOf } from './columns-rows.ts'
import { textBytes, textOf, texts } from './columns-text.ts'

const hashOf = (bytes: Uint8Array) => hashOfText(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length)

describe('key groups of columns', () => {
  test('are those of the row form, for any columns, nulls and dictionaries', () => {
    fc.assert(
      fc.property(columnar({ rowsMin: 1 }), fc.integer({ min: 1, max: 32768 }), fc.infiniteStream(fc.nat()), (sample, maxParallelism, picks) => {
        const keys = sample.fields.map((_, i) => i).filter(() => picks.next().value % 3 !== 0)
        const hasher = new ColumnsKeyHasher(sample.layouts, keys)
        const out = new Int32Array(sample.frame.length)
        hasher.hashes(sample.frame, out)
        expect(Array.from(out, hash => murmurHash(hash) % maxParallelism)).toEqual(sample.rows.map(row => hasher.keyGroupOfRow(row, maxParallelism)))
      }),
      { numRuns: runs(300) },
    )
  })

  test('of one key column are those of its own type, of several those of their tuple', () => {
    fc.assert(
      fc.property(columnar({ rowsMin: 1, types: ['BOOLEAN', 'INT', 'BIGINT NOT NULL', 'DOUBLE', 'STRING', 'BYTES'] }), ({ layouts, rows }) => {
        const types = layouts.map(layout => Types[layout.held])
        const whole = new ColumnsKeyHasher(
          layouts,
          layouts.map((_, i) => i),
        )
        const first = new ColumnsKeyHasher(layouts, [0])
        for (const row of rows) {
          expect(whole.keyGroupOfRow(row, 128)).toBe(keyGroupOf(Types.tuple(...types), row, 128))
          if (row[0] !== null) expect(first.keyGroupOfRow(row, 128)).toBe(keyGroupOf(types[0]!, row[0], 128))
          else expect(first.keyGroupOfRow(row, 128)).toBe(murmurHash(0) % 128)
        }
      }),
    )
  })

  test('the hash of a whole row of the type COLUMNS is that of all its columns', () => {
    fc.assert(
      fc.property(columnar({ rowsMin: 1 }), ({ fields, layouts, rows }) => {
        const hasher = new ColumnsKeyHasher(
          layouts,
          layouts.map((_, i) => i),
        )
        for (const row of rows) expect(javaHash(Types.columns(fields), row)).toBe(hasher.hashOfRow(row))
      }),
    )
  })

  test('texts hash as Java hashes the string that their bytes are, malformed ones as what they are read as', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), bytes => {
        expect(hashOf(bytes)).toBe(javaHash(Types.STRING, textOf(bytes, 0, bytes.length)))
      }),
      { numRuns: runs(2000) },
    )
    // Worked out by hand from the definition of String.hashCode.
    for (const [text, hash] of [
      ['hello', 99162322],
      ['日本', 835047],
      ['😀', 1772899],
    ] as const) {
      const bytes = new TextEncoder().encode(text)
      expect(hashOf(bytes)).toBe(hash)
    }
  })

  test('a string has one key group before an edge and behind it, also with half of a surrogate pair', () => {
    const part = fc.constantFrom('\ud83d', '\ude00', 'é', 'a', '\ufffd', 'a long text of ASCII')
    fc.assert(
      fc.property(fc.array(fc.array(part, { maxLength: 4 }), { minLength: 1, maxLength: 20 }), all => {
        const values = all.map(parts => parts.join(''))
        const layouts = [columnLayout('STRING')]
        const hasher = new ColumnsKeyHasher(layouts, [0])
        const text = { kind: 'text', values, validity: undefined } as const
        const bytes = textBytes(text, values.length)
        const fromRows = frameOf(
          values.map(value => [value]),
          layouts,
        ).columns[0]!
        for (const column of [text, bytes, fromRows, texts(bytes, values.length)]) {
          const out = new Int32Array(values.length)
          hasher.hashes({ kind: 'columnar', length: values.length, columns: [column], timestamps: undefined, rowKinds: undefined }, out)
          expect([...out]).toEqual(values.map(value => javaHash(Types.STRING, value)))
        }
      }),
    )
  })

  test('every NaN is one key, a decimal hashes as its unscaled value', () => {
    const layouts = [columnLayout('DOUBLE'), columnLayout('DECIMAL(5, 2)')]
    const frame = frameOf([[Number.NaN, '1.50']], layouts)
    new Int32Array((frame.columns[0] as { values: Float64Array }).values.buffer)[0] = 5
    const out = new Int32Array(1)
    new ColumnsKeyHasher(layouts, [0]).hashes(frame, out)
    expect(out[0]).toBe(javaHash(Types.DOUBLE, Number.NaN))
    new ColumnsKeyHasher(layouts, [1]).hashes(frame, out)
    expect(out[0]).toBe(javaHash(Types.LONG, 150n))
    expect(heldValue(layouts[1]!, '-0.05')).toBe(-5n)
  })
})
