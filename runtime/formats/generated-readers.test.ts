import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { bytesOf, type ReadSettings, readAll } from './format-test-kit.ts'

/** The generated readers against the general ones: same rows, same refusals, same counts, on documents that are nearly alike and partly broken. */
const types = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INT',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL(10, 2)',
  'DECIMAL(18, 3)',
  'DECIMAL(30, 4)',
  'STRING',
  'BYTES',
  'DATE',
  'TIME',
  'TIMESTAMP(3)',
  'TIMESTAMP_LTZ(3)',
] as const

const integerText = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -100, max: 100 }).map(String) },
  fc.integer().map(String),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
  fc.constantFrom(
    '9007199254740993',
    '-9223372036854775808',
    '9223372036854775808',
    '-0',
    '00',
    '01',
    '-',
    '2147483648',
    '1e3',
    '127',
    '128',
    '-128',
  ),
)
const numberText = fc.oneof(
  integerText,
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer({ min: -9999, max: 9999 }), fc.nat(99999)).map(([a, b]) => `${a}.${b}`),
  fc.constantFrom('1.', '.5', '1.5e400', '0.1', '123456789012345.123456', '12345678901234567.5', '0.000000000000000000001', '1E-7'),
)
const timeText = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom('2020-02-29 10:11:12', '2020-02-28 10:11:12.345') },
  fc.constantFrom(
    '2020-02-29 10:11:12',
    '2020-02-29 10:11:12.5',
    '2020-02-29 10:11:12.123456Z',
    '2020-02-29T10:11:12',
    '2020-02-30 10:11:12',
    '2020-02-29 24:00:00',
    '2020-02-29 10:11:12Z',
    '2020-02-29',
    '2019-02-29',
    '10:11:12',
    '10:11:12.25',
  ),
)
const plainText = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
  fc.constantFrom('', 'apple', 'a"b', '\\', 'é', '\u2028', 'x'.repeat(300)),
)

function jsonValue(type: string): fc.Arbitrary<string> {
  const quoted = (text: fc.Arbitrary<string>) => text.map(value => JSON.stringify(value))
  const any = fc.oneof(
    fc.constantFrom('null', 'true', 'false', '{}', '[]', '{"a":[1,{"b":null}]}', '[1 , 2]', '"\\u00e9"'),
    numberText,
    quoted(plainText),
  )
  const fitting = /INT|FLOAT|DOUBLE|DECIMAL/.test(type)
    ? type.endsWith('INT')
      ? integerText
      : numberText
    : type === 'BOOLEAN'
      ? fc.constantFrom('true', 'false')
      : type === 'STRING'
        ? quoted(plainText)
        : type === 'BYTES'
          ? quoted(fc.constantFrom('AQID', 'AQI=', '!'))
          : quoted(timeText)
  return fc.oneof({ weight: 30, arbitrary: fitting }, { weight: 1, arbitrary: fc.constant('null') }, { weight: 1, arbitrary: any })
}

interface Mutation {
  readonly at: number
  readonly byte: number
  readonly kind: 'set' | 'drop' | 'insert'
}
const mutations = fc.array(
  fc.record<Mutation>({
    at: fc.nat(2000),
    byte: fc.oneof(fc.constantFrom(...Array.from('"\\,:{}[] \n\r0-.e#;\'tn', c => c.charCodeAt(0)), 0xff, 0xc3, 0xa9, 0), fc.nat(255)),
    kind: fc.constantFrom('set', 'drop', 'insert'),
  }),
  { maxLength: 3 },
)

function mutated(bytes: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  const out = Array.from(bytes)
  for (const { at, byte, kind } of changes) {
    if (out.length === 0) break
    const place = at % out.length
    if (kind === 'set') out[place] = byte
    else if (kind === 'drop') out.splice(place, 1)
    else out.splice(place, 0, byte)
  }
  return Uint8Array.from(out)
}

function sameReading(pages: readonly Uint8Array[], settings: ReadSettings): { slow: number; rows: number } {
  const general = readAll(pages, { ...settings, generated: false })
  const generated = readAll(pages, { ...settings, generated: true })
  expect({ ...generated, slowRecords: 0 }).toEqual({ ...general, slowRecords: 0 })
  // And whatever the size of a frame.
  expect(readAll(pages, { ...settings, capacity: 1 }).rows).toEqual(general.rows)
  return { slow: generated.slowRecords, rows: general.rows.length }
}

const schema = fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 5 })
const keyNames = ['a', 'long key name', '"quo\\te"', '__proto__', 'é', '${x}', '*/', 'nested']

describe('json', () => {
  test('generated readers take what the general one takes, with the same values', () => {
    let slow = 0
    let rows = 0
    const document = schema.chain(chosen =>
      fc.record({
        types: fc.constant(chosen),
        nested: fc.array(fc.boolean(), { minLength: chosen.length, maxLength: chosen.length }),
        projected: fc.uniqueArray(fc.nat(chosen.length - 1), { maxLength: chosen.length }),
        order: fc.shuffledSubarray(
          chosen.map((_, i) => i),
          { minLength: Math.max(0, chosen.length - 1) },
        ),
        records: fc.array(
          fc.record({
            values: fc.tuple(...chosen.map(jsonValue)),
            odd: fc.option(fc.constantFrom('reversed', 'blanks', 'null parent'), { freq: 12 }),
          }),
          { minLength: 2, maxLength: 14 },
        ),
        style: fc.constantFrom(['', ':', ','], [' ', ': ', ', ']),
        end: fc.constantFrom('\n', '\r\n'),
        changes: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: mutations }),
        ignore: fc.boolean(),
        iso: fc.boolean(),
        framing: fc.constantFrom('lines' as const, 'message' as const),
      }),
    )
    fc.assert(
      fc.property(document, input => {
        const columns = input.types.map((type, i) => {
          const name = keyNames[i] ?? `k${i}`
          return { name, type, path: input.nested[i] === true ? ['parent', name] : [name] }
        })
        const [blank = '', colon = ':', comma = ','] = input.style
        const object = (members: readonly string[]) => `{${blank}${members.join(comma)}${blank}}`
        const lines = input.records.map(({ values, odd }) => {
          const order = odd === 'reversed' ? [...input.order].reverse() : input.order
          const member = (i: number) => `${JSON.stringify(columns[i]?.name)}${odd === 'blanks' ? ' : ' : colon}${values[i] ?? 'null'}`
          const flat = order.filter(i => input.nested[i] !== true).map(member)
          const below = order.filter(i => input.nested[i] === true).map(member)
          const parent = below.length === 0 ? [] : [`"parent"${colon}${odd === 'null parent' ? 'null' : object(below)}`]
          return object([`"other"${colon}"thing"`, ...flat, ...parent])
        })
        const pages =
          input.framing === 'lines'
            ? [mutated(bytesOf(lines.map(line => line + input.end).join('')), input.changes)]
            : lines.map((line, i) => (i === lines.length - 1 ? mutated(bytesOf(line), input.changes) : bytesOf(line)))
        const done = sameReading(pages, {
          format: 'json',
          columns,
          projected: input.projected,
          options: { 'json.ignore-parse-errors': String(input.ignore), 'json.timestamp-format.standard': input.iso ? 'ISO-8601' : 'SQL' },
          framing: input.framing,
        })
        slow += done.slow
        rows += done.rows
      }),
      { numRuns: runs(3000) },
    )
    // Otherwise only the general reader was tested.
    expect(slow).toBeLessThan(rows * 0.7)
  }, 120_000)

  test('general reader and JSON.parse take the same documents', () => {
    const text = fc.oneof(
      fc.json(),
      fc
        .tuple(fc.json(), fc.nat(200), fc.constantFrom(...Array.from('"\\,:{}[] 0-.eE+tnul')))
        .map(([json, at, c]) => json.slice(0, at % (json.length + 1)) + c + json.slice(at % (json.length + 1))),
    )
    fc.assert(
      fc.property(text, value => {
        const line = `{"a":${value}}`
        // The one difference wanted: control characters in strings are taken.
        fc.pre(Array.from(line).every(c => c >= ' ' && (c < '\ud800' || c > '\udfff')))
        let parses = true
        try {
          JSON.parse(line)
        } catch {
          parses = false
        }
        const read = readAll([bytesOf(line)], { format: 'json', columns: [{ name: 'b', type: 'STRING' }], framing: 'message', generated: false })
        expect(read.error === undefined).toBe(parses)
      }),
      { numRuns: runs(3000) },
    )
  }, 60_000)
})

describe('csv', () => {
  test('generated readers take what the general one takes, with the same values', () => {
    let slow = 0
    let rows = 0
    const cell = (type: string) =>
      fc.oneof(
        {
          weight: 8,
          arbitrary: /INT|FLOAT|DOUBLE|DECIMAL/.test(type)
            ? type.endsWith('INT')
              ? integerText
              : numberText
            : type === 'BOOLEAN'
              ? fc.constantFrom('true', 'false', 'TRUE', 'x')
              : type === 'STRING'
                ? plainText.map(text => text.replaceAll(/[",\\\n\r]/g, ''))
                : timeText,
        },
        { weight: 1, arbitrary: fc.constantFrom('', '""', '"a,b"', '"a""b"', ' 1 ', '#', 'NULL', '"1" ', '"a\nb"', 'a"b', '\\"') },
      )
    const table = schema.chain(chosen =>
      fc.record({
        types: fc.constant(chosen),
        projected: fc.uniqueArray(fc.nat(chosen.length - 1), { maxLength: chosen.length }),
        records: fc.array(fc.tuple(...chosen.map(cell)), { minLength: 1, maxLength: 6 }),
        options: fc.constantFrom<Record<string, string>>(
          {},
          { 'csv.field-delimiter': ';' },
          { 'csv.disable-quote-character': 'true' },
          { 'csv.escape-character': '\\' },
          { 'csv.allow-comments': 'true' },
          { 'csv.null-literal': 'NULL' },
          { 'csv.quote-character': "'" },
        ),
        end: fc.constantFrom('\n', '\r\n'),
        changes: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: mutations }),
        ignore: fc.boolean(),
        framing: fc.constantFrom('lines' as const, 'message' as const),
      }),
    )
    fc.assert(
      fc.property(table, input => {
        const columns = input.types.map((type, i) => ({ name: `c${i}`, type }))
        const lines = input.records.map(values => values.join(input.options['csv.field-delimiter'] ?? ','))
        const pages =
          input.framing === 'lines'
            ? [mutated(bytesOf(lines.map(line => line + input.end).join('')), input.changes)]
            : lines.map((line, i) => (i === lines.length - 1 ? mutated(bytesOf(line), input.changes) : bytesOf(line)))
        const options = { ...input.options, 'csv.ignore-parse-errors': String(input.ignore) }
        const done = sameReading(pages, { format: 'csv', columns, projected: input.projected, options, framing: input.framing })
        slow += done.slow
        rows += done.rows
      }),
      { numRuns: runs(3000) },
    )
    expect(slow).toBeLessThan(rows * 0.85)
  }, 120_000)
})
