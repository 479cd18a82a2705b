import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import type { FormatColumn, FormatOptions } from './format.ts'
import { bytesOf, type ReadSettings, readAll } from './format-test-kit.ts'

/**
 * Bytes that nobody meant against both readers: whole records in front, so that the generated readers know the look, then records cut, spliced,
 * doubled and with bytes changed, and bytes by chance. What the general reader refuses the generated one must not take, and what both take must be equal.
 */
const RUNS = process.env['SOAK'] === undefined ? runs(2_000) : 100_000

const columns: readonly FormatColumn[] = [
  { name: 'b', type: 'BOOLEAN' },
  { name: 't', type: 'TINYINT' },
  { name: 'i', type: 'INT' },
  { name: 'l', type: 'BIGINT' },
  { name: 'd', type: 'DOUBLE' },
  { name: 'c', type: 'DECIMAL(12, 2)' },
  { name: 's', type: 'STRING' },
  { name: 'at', type: 'TIMESTAMP(3)' },
  { name: 'u', type: 'TIMESTAMP_LTZ(3)' },
]

const values = fc.tuple(
  fc.boolean(),
  fc.integer({ min: -128, max: 127 }),
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map(cents => (cents / 100).toFixed(2)),
  fc.string({ maxLength: 8 }).map(text => text.replaceAll(/["\\\n\r,]/g, '_')),
  fc.constantFrom('2020-02-29 10:11:12', '1969-12-31 23:59:59.999'),
  fc.constantFrom('2020-02-29 10:11:12Z', '2020-02-29 10:11:12.5Z'),
)

const json = (row: readonly unknown[]) =>
  `{${columns.map(({ name, type }, i) => `"${name}":${/STRING|TIMESTAMP/.test(type) ? `"${row[i]}"` : row[i]}`).join(',')}}`
const csv = (row: readonly unknown[]) => row.join(',')

interface Damage {
  readonly kind: 'set' | 'insert' | 'drop' | 'cut' | 'repeat' | 'move' | 'flip'
  readonly at: number
  readonly length: number
  readonly to: number
  readonly byte: number
}

const interesting = Array.from('"\\,:{}[] \n\r\t0123456789-+.eETZz#;\'truefalsn', character => character.charCodeAt(0))
const damage = fc.record<Damage>({
  kind: fc.constantFrom('set', 'insert', 'drop', 'cut', 'repeat', 'move', 'flip'),
  at: fc.nat(10_000),
  length: fc.oneof(fc.nat(4), fc.nat(200)),
  to: fc.nat(10_000),
  byte: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...interesting) },
    fc.constantFrom(0, 0x1f, 0x7f, 0x80, 0xc3, 0xe2, 0xed, 0xf0, 0xff),
    fc.nat(255),
  ),
})

function damaged(bytes: Uint8Array, all: readonly Damage[]): Uint8Array {
  const out = Array.from(bytes)
  for (const { kind, at, length, to, byte } of all) {
    if (out.length === 0) break
    const place = at % out.length
    if (kind === 'set') out[place] = byte
    else if (kind === 'flip') out[place]! ^= 1 << (byte & 7)
    else if (kind === 'insert') out.splice(place, 0, byte)
    else if (kind === 'drop') out.splice(place, length)
    else if (kind === 'cut') out.length = place
    else if (kind === 'repeat') out.splice(to % out.length, 0, ...out.slice(place, place + length))
    else out.splice(to % out.length, 0, ...out.splice(place, length))
  }
  return Uint8Array.from(out)
}

const optionsOf: Readonly<Record<'json' | 'csv', readonly FormatOptions[]>> = {
  json: [{}, { 'json.ignore-parse-errors': 'true' }, { 'json.fail-on-missing-field': 'true' }],
  csv: [
    {},
    { 'csv.ignore-parse-errors': 'true' },
    { 'csv.disable-quote-character': 'true' },
    { 'csv.escape-character': '\\', 'csv.allow-comments': 'true' },
  ],
}

test.each(['json', 'csv'] as const)(
  'the generated reader of %s never takes what the general one refuses, on damaged and on random bytes',
  format => {
    const write = format === 'json' ? json : csv
    const garbage = fc.array(fc.oneof(fc.constantFrom(...interesting), fc.nat(255)), { maxLength: 60 }).map(bytes => Uint8Array.from(bytes))
    const seen = { refused: 0, skipped: 0, fast: 0, rows: 0 }
    fc.assert(
      fc.property(
        fc.record({
          rows: fc.array(values, { minLength: 3, maxLength: 8 }),
          damages: fc.array(damage, { maxLength: 4 }),
          garbage: fc.option(garbage, { freq: 3 }),
          projected: fc.subarray(columns.map((_, i) => i)),
          options: fc.constantFrom(...optionsOf[format]),
          framing: fc.constantFrom('lines' as const, 'message' as const),
        }),
        input => {
          const records = input.rows.map(row => bytesOf(write(row)))
          const whole = records.slice(0, 2)
          const rest = records.slice(2)
          const behind = input.garbage === null ? [] : [input.garbage]
          const line = (all: readonly Uint8Array[]) => all.flatMap(record => [...record, 10])
          const pages =
            input.framing === 'lines'
              ? [Uint8Array.from([...line(whole), ...damaged(Uint8Array.from(line(rest)), input.damages), ...line(behind)])]
              : [...whole, ...rest.map(record => damaged(record, input.damages)), ...behind]
          const settings: ReadSettings = { format, columns, projected: input.projected, options: input.options, framing: input.framing }
          const general = readAll(pages, { ...settings, generated: false })
          const generated = readAll(pages, { ...settings, generated: true })
          expect({ ...generated, slowRecords: 0 }).toEqual({ ...general, slowRecords: 0 })
          if (general.error !== undefined) seen.refused++
          seen.skipped += general.skipped
          seen.rows += general.rows.length
          seen.fast += generated.recordsRead - generated.slowRecords
        },
      ),
      { numRuns: RUNS },
    )
    // Otherwise nothing was refused, or the generated reader was never asked.
    expect(seen.refused).toBeGreaterThan(RUNS / 10)
    expect(seen.skipped).toBeGreaterThan(RUNS / 100)
    expect(seen.fast).toBeGreaterThan(RUNS)
  },
  1_200_000,
)
