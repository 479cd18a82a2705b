import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import type { Column, ColumnarFrame } from '../network/columns.ts'
import { columnLayout } from '../serde/columns-type.ts'
import { createEncoder } from './encoders.ts'
import type { FormatColumn, FormatOptions, Framing } from './format.ts'
import { bytesOf, readAll } from './format-test-kit.ts'

/** The generated writers against the interpreted ones: the same bytes for any schema, values, options and piece of a frame. */
const types = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INT',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL(10, 2)',
  'DECIMAL(18, 0)',
  'DECIMAL(18, 8)',
  'DECIMAL(18, 18)',
  'DECIMAL(30, 4)',
  'STRING',
  'CHAR(3) NOT NULL',
  'BYTES',
  'DATE',
  'TIME',
  'TIMESTAMP(3)',
  'TIMESTAMP_LTZ(3)',
] as const

const long = { min: -(2n ** 63n), max: 2n ** 63n - 1n }
const edges = [0n, 1n, -1n, 9n, 10n, 100n, 1000n, 10n ** 8n - 1n, 10n ** 8n, 10n ** 15n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 10n ** 18n]
const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', ';', "'", '\n', '\r', '\t', '\0', 'é', '€', '😀', '#', ' '), maxLength: 30 }),
  fc.constantFrom('', 'NULL', 'x'.repeat(24), 'x'.repeat(25), 'é'.repeat(24), '😀'.repeat(13), 'x'.repeat(5000), '"'.repeat(5000)),
)

function randomValue(type: string): fc.Arbitrary<number | bigint | Uint8Array> {
  const { kind } = columnLayout(type)
  if (type === 'BYTES') return fc.uint8Array({ maxLength: 40 })
  if (type === 'DATE') return fc.oneof(fc.integer({ min: -800_000, max: 3_000_000 }), fc.constantFrom(0, -719_529, 2_932_897, 5_000_000, -5_000_000))
  if (type === 'TIME') return fc.oneof(fc.nat(86_399_999), fc.constantFrom(0, 86_399_999, 100, 1_000, 60_010))
  if (type.startsWith('TIMESTAMP'))
    return fc.oneof(fc.integer({ min: -62_000_000_000_000, max: 253_000_000_000_000 }), fc.constantFrom(0, -1, 1.6e12, 8.64e15, -8.64e15))
  if (type === 'FLOAT') return fc.float().map(Math.fround)
  if (kind === 'f64')
    return fc.oneof(
      fc.double(),
      fc.integer().map(n => n / 1000),
      fc.integer({ min: -99_999, max: 99_999 }).map(n => n / 100),
      fc.constantFrom(
        0,
        -0,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        1e7,
        9999999.999,
        0.001,
        0.0009,
        1e-3,
        5e-324,
        1e21,
        123456.0005,
      ),
    )
  if (kind === 'i64')
    return fc.oneof(
      fc.bigInt(long),
      fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }),
      fc.constantFrom(...edges, ...edges.map(n => -n), long.min, long.max),
    )
  if (type.startsWith('DECIMAL')) return fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }).map(n => bytesOf(String(n)))
  if (kind === 'bytes') return text.map(bytesOf)
  if (kind === 'bool') return fc.constantFrom(0, 1)
  const max = type === 'TINYINT' ? 127 : type === 'SMALLINT' ? 32_767 : 2_147_483_647
  return fc.oneof(fc.integer({ min: -max - 1, max }), fc.constantFrom(0, -max - 1, max, 9, 10, 99, 100))
}

function columnOf(type: string, values: readonly (number | bigint | Uint8Array | null)[]): Column {
  const { kind } = columnLayout(type)
  const bits = new Uint8Array((values.length + 7) >> 3)
  for (const [i, value] of values.entries()) if (value !== null) bits[i >> 3]! |= 1 << (i & 7)
  const validity = values.includes(null) ? bits : undefined
  switch (kind) {
    case 'bool':
      return { kind, values: Uint8Array.from(values, value => Number(value)), validity }
    case 'i32':
      return { kind, values: Int32Array.from(values, value => Number(value)), validity }
    case 'f64':
      return { kind, values: Float64Array.from(values, value => Number(value)), validity }
    case 'i64': {
      // A view behind something else, as columns of a frame that came over a ring are.
      const all = new BigInt64Array(values.length + 1)
      for (const [i, value] of values.entries()) all[i + 1] = BigInt((value ?? 0) as bigint)
      return { kind, values: all.subarray(1), validity }
    }
    case 'bytes': {
      const parts = values.map(value => (value ?? new Uint8Array(0)) as Uint8Array)
      const lengths = Int32Array.from(parts, part => part.length)
      let at = 3
      const starts = Int32Array.from(parts, part => (at += part.length) - part.length)
      const data = Buffer.concat([bytesOf('+++'), ...parts])
      return { kind, data: new Uint8Array(data), starts, lengths, ids: undefined, validity }
    }
  }
}

function written(
  format: string,
  columns: readonly FormatColumn[],
  options: FormatOptions,
  framing: Framing,
  frame: ColumnarFrame,
  generated: boolean,
) {
  const encoder = createEncoder(format, columns, options, { framing, generated, origin: { job: 'test', vertex: 'sink' } })
  const writer = new ByteWriter(0)
  const middle = frame.length >> 1
  encoder.encode(frame, 0, middle, writer)
  encoder.encode(frame, middle, frame.length, writer)
  return Buffer.from(writer.copy()).toString('latin1')
}

const keyNames = ['a', 'a long name of a column', '"quo\\te"', '__proto__', 'é', '${x}', '*/', "'\n\u2028"]
const optionsOf = {
  json: [
    {},
    { 'json.encode.decimal-as-plain-number': 'true' },
    { 'json.encode.ignore-null-fields': 'true' },
    { 'json.timestamp-format.standard': 'ISO-8601' },
    { 'json.encode.ignore-null-fields': 'true', 'json.encode.decimal-as-plain-number': 'true' },
  ],
  csv: [
    {},
    { 'csv.field-delimiter': ';' },
    { 'csv.field-delimiter': '\\t' },
    { 'csv.disable-quote-character': 'true' },
    { 'csv.quote-character': "'" },
    { 'csv.escape-character': '\\' },
    { 'csv.null-literal': 'NULL' },
    { 'csv.null-literal': '"n,l"', 'csv.write-bigdecimal-in-scientific-notation': 'false' },
    { 'csv.field-delimiter': '|', 'csv.escape-character': '#' },
  ],
} as const

test.each(['json', 'csv'] as const)(
  'generated writers of %s write the bytes that the interpreted ones write',
  format => {
    const table = fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 6 }).chain(chosen =>
      fc.record({
        types: fc.constant(chosen),
        rows: fc.array(fc.tuple(...chosen.map(type => fc.option(randomValue(type), { freq: 6 }))), { maxLength: 12 }),
        options: fc.constantFrom<FormatOptions>(...optionsOf[format]),
        framing: fc.constantFrom('lines' as const, 'message' as const),
      }),
    )
    let bytes = 0
    fc.assert(
      fc.property(table, ({ types: chosen, rows, options, framing }) => {
        const columns = chosen.map((type, i) => ({ name: keyNames[i] ?? `k${i}`, type }))
        const frame: ColumnarFrame = {
          kind: 'columnar',
          length: rows.length,
          columns: chosen.map((type, i) =>
            columnOf(
              type,
              rows.map(row => row[i] ?? null),
            ),
          ),
          timestamps: undefined,
          rowKinds: undefined,
        }
        const interpreted = written(format, columns, options, framing, frame, false)
        expect(written(format, columns, options, framing, frame, true)).toBe(interpreted)
        bytes += interpreted.length
      }),
      { numRuns: runs(2000) },
    )
    expect(bytes).toBeGreaterThan(50_000)
  },
  120_000,
)

test.each(['json', 'csv'])(
  'what %s writes reads back as it was',
  format => {
    const rows = fc.array(fc.tuple(fc.option(fc.bigInt(long)), fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })), text), {
      maxLength: 20,
    })
    const columns = [
      { name: 'l', type: 'BIGINT' },
      { name: 'd', type: 'DOUBLE' },
      { name: 's', type: 'STRING' },
    ]
    const options: FormatOptions = format === 'csv' ? { 'csv.null-literal': 'null' } : {}
    fc.assert(
      fc.property(rows, given => {
        // Half surrogates are no text.
        const kept = given.filter(([, , s]) => s.isWellFormed())
        const frame: ColumnarFrame = {
          kind: 'columnar',
          length: kept.length,
          columns: columns.map(({ type }, i) =>
            columnOf(
              type,
              kept.map(row => (i === 2 ? bytesOf(row[2]) : (row[i] as number | bigint | null))),
            ),
          ),
          timestamps: undefined,
          rowKinds: undefined,
        }
        const page = Buffer.from(written(format, columns, options, 'lines', frame, true), 'latin1')
        const expected = kept.map(([l, d, s]) => [l, d, format === 'csv' && s === 'null' ? null : Buffer.from(s).toString('latin1')])
        expect(readAll([new Uint8Array(page)], { format, columns, options }).rows).toEqual(expected)
      }),
      { numRuns: runs(300) },
    )
  },
  60_000,
)

test('a table too wide for one function is written by the interpreter', () => {
  const columns = Array.from({ length: 1_000 }, (_, i) => ({ name: `column ${i}`, type: 'INT' }))
  const frame: ColumnarFrame = {
    kind: 'columnar',
    length: 1,
    columns: columns.map((_, i) => columnOf('INT', [i])),
    timestamps: undefined,
    rowKinds: undefined,
  }
  expect(JSON.parse(written('json', columns, {}, 'lines', frame, true))).toEqual(Object.fromEntries(columns.map(({ name }, i) => [name, i])))
})
