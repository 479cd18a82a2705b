import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import { createDecoder } from './decoders.ts'
import { createEncoder } from './encoders.ts'
import type { FormatColumn } from './format.ts'
import { bytesOf, readAll, rowsOf } from './format-test-kit.ts'
import { RowSink } from './row-sink.ts'

const settings = { framing: 'lines', origin: { job: 'test', vertex: 'source' } } as const
const ab: readonly FormatColumn[] = [
  { name: 'a', type: 'BIGINT' },
  { name: 'b', type: 'STRING' },
]

describe('frames and pages', () => {
  test('decoding stops at a border of records where the sink is full and goes on from there', () => {
    const page = bytesOf('{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n{"a":3,"b":"z"}\n')
    const decoder = createDecoder('json', ab, [0, 1], {}, settings)
    const sink = new RowSink(decoder.kinds, 2)
    const at = decoder.decode(page, 0, page.length, sink)
    expect(at).toBe(32)
    expect(rowsOf(sink)).toEqual([
      [1n, 'x'],
      [2n, 'y'],
    ])
    expect(decoder.decode(page, at, page.length, sink)).toBe(page.length)
    expect(rowsOf(sink)).toEqual([[3n, 'z']])
  })

  test('texts are not copied out of the page', () => {
    const page = bytesOf('{"a":1,"b":"x"}\n{"a":2,"b":"yy"}\n')
    const decoder = createDecoder('json', ab, [1], {}, settings)
    const sink = new RowSink(decoder.kinds)
    decoder.decode(page, 0, page.length, sink)
    const [column] = sink.finish().columns
    expect(column?.kind === 'bytes' && column.data === page && [...column.starts]).toEqual([12, 28])
  })

  test('a frame may go on with another page, and hold unescaped texts beside plain ones', () => {
    const read = readAll(
      [bytesOf('{"a":1,"b":"x\\ny"}\n{"a":2,"b":"plain"}\n'), bytesOf('{"a":3,"b":"other"}\n{"a":4,"b":null}\n{"a":5,"b":"\\u00e9"}')],
      {
        format: 'json',
        columns: ab,
        projected: [1],
      },
    )
    expect(read.rows).toEqual([['x\ny'], ['plain'], ['other'], [null], ['\u00c3\u00a9']])
  })

  test('a shared page is read like any other', () => {
    const source = bytesOf('{"a":9007199254740993,"b":"\u00e9 and more than twenty four bytes"}\n{"a":"7","b":"x"}\n')
    const page = new Uint8Array(new SharedArrayBuffer(source.length))
    page.set(source)
    expect(readAll([page], { format: 'json', columns: ab }).rows.map(row => row[0])).toEqual([9007199254740993n, 7n])
  })

  test('only the columns asked for are converted, the others only looked through', () => {
    const input = { format: 'json', columns: ab, projected: [1] } as const
    expect(readAll([bytesOf('{"a":"no number","b":"x"}')], input).rows).toEqual([['x']])
    expect(readAll([bytesOf('{"a":tru,"b":"x"}')], input).error).toContain('a word is unknown')
  })

  test('records without any column asked for are counted as rows', () => {
    expect(readAll([bytesOf('{"a":1}\n{"a":2}\n')], { format: 'json', columns: ab, projected: [] }).rows).toEqual([[], []])
  })
})

describe('json', () => {
  test('after the first record of a look the general reader is not asked', () => {
    const bid = (i: number) => `{"type":2,"person":null,"bid":{"auction":${i},"extra":"${'e'.repeat(i % 50)}"}}\n`
    const person = (i: number) => `{"type":0,"person":{"id":${i}},"bid":null}\n`
    const lines = Array.from({ length: 500 }, (_, i) => (i % 10 === 0 ? person(i) : bid(i))).join('')
    const columns = [
      { name: 'auction', type: 'BIGINT', path: ['bid', 'auction'] },
      { name: 'id', type: 'INT', path: ['person', 'id'] },
    ]
    const read = readAll([bytesOf(lines)], { format: 'json', columns })
    expect(read.rows[0]).toEqual([null, 0])
    expect(read.rows[499]).toEqual([499n, null])
    expect(read.rows).toHaveLength(500)
    expect(read.slowRecords).toBe(2)
  })

  test('a new order of keys is learned while the input goes on', () => {
    const old = '{"a":1,"b":"x"}\n'.repeat(100)
    const other = '{"b":"x","a":1}\n'.repeat(100)
    const read = readAll([bytesOf(old + other)], { format: 'json', columns: ab })
    expect(read.rows).toHaveLength(200)
    expect(read.slowRecords).toBe(2)
  })

  test('keys without any order do not compile for ever', () => {
    const lines = Array.from({ length: 3000 }, (_, i) => `{"k${i}":1,"a":${i}}\n`).join('')
    const read = readAll([bytesOf(lines)], { format: 'json', columns: ab, projected: [0] })
    expect(read.rows).toHaveLength(3000)
  })

  test('a value that does not convert is refused with its column and place', () => {
    const read = readAll([bytesOf('{"a":1,"b":"x"}\n{"a":"y","b":"x"}\n')], { format: 'json', columns: ab })
    expect(read.rows).toEqual([[1n, 'x']])
    expect(read.recordStart).toBe(16)
    expect(read.recordsRead).toBe(2)
    expect(read.error).toBe('MALFORMED_RECORD json record: column a of type BIGINT cannot be "y" {"column":"a","offset":16,"kind":"value"}')
  })

  test('a table of 2,000 columns is read', () => {
    const columns = Array.from({ length: 2000 }, (_, i) => ({ name: `c${i}`, type: 'INT' }))
    const line = `{${columns.map(({ name }, i) => `"${name}":${i}`).join(',')}}\n`
    const read = readAll([bytesOf(line.repeat(3))], { format: 'json', columns })
    expect(read.rows.map(row => row[1999])).toEqual([1999, 1999, 1999])
    const cells = columns.map((_, i) => i).join(',')
    expect(readAll([bytesOf(`${cells}\n`.repeat(3))], { format: 'csv', columns }).rows[2]?.[1999]).toBe(1999)
  })
})

describe('csv', () => {
  test('whole records end behind line feeds outside quotes', () => {
    const decoder = createDecoder('csv', ab, [0], {}, settings)
    const page = bytesOf('1,"a\nb"\n2,"c"",\nd"\n3,"e\n')
    expect(decoder.completeEnd(page, 0, page.length)).toBe(19)
    expect(createDecoder('json', ab, [0], {}, settings).completeEnd(page, 0, page.length)).toBe(page.length)
  })

  test.each([{}, { 'csv.escape-character': '\\', 'csv.allow-comments': 'true' }])(
    'cut where records end, a page gives the rows that it gives whole (%j)',
    options => {
      const parts = fc.constantFrom('a', ',', '"', '\n', '\r\n', ' ', '\\', '#', '""', '"a', 'a"', '","', '\ufeff')
      let cuts = 0
      fc.assert(
        fc.property(fc.array(parts, { maxLength: 12 }), fc.nat(30), (all, near) => {
          const page = bytesOf(`${all.join('')}\nx,y\n`)
          const columns = ['a', 'b'].map(name => ({ name, type: 'STRING' }))
          const read = (pages: readonly Uint8Array[]) => readAll(pages, { format: 'csv', columns, options })
          const whole = read([page])
          if (whole.error !== undefined) return
          const decoder = createDecoder('csv', columns, [0, 1], options, settings)
          const to = Math.min(near, page.length)
          const end = decoder.completeEnd(page, 0, to)
          expect(read([page.subarray(0, end), page.subarray(end)]).rows).toEqual(whole.rows)
          // No record that ends in front of the cut is kept waiting.
          const sink = new RowSink(decoder.kinds, 1)
          for (let at = 0; at < to; sink.finish()) {
            at = decoder.decode(page, at, page.length, sink)
            if (at <= to) expect(end).toBeGreaterThanOrEqual(at)
          }
          cuts++
        }),
        { numRuns: runs(5_000) },
      )
      expect(cuts).toBeGreaterThan(runs(5_000) / 25)
    },
  )

  test('a malformed record that is ignored ends with its line', () => {
    const read = readAll([bytesOf('1,"a"x\n2,b\n3,c,d\n4,e\n')], { format: 'csv', columns: ab, options: { 'csv.ignore-parse-errors': 'true' } })
    expect(read.rows.map(row => row[0])).toEqual([2n, 4n])
    expect(read.skipped).toBe(2)
  })
})

describe('options', () => {
  test.each([
    ['json', { 'json.ignore-parse-error': 'true' }, /no option json.ignore-parse-error, did you mean json.ignore-parse-errors/],
    ['json', { 'json.ignore-parse-errors': 'maybe' }, /is true or false, not "maybe"/],
    ['json', { 'json.ignore-parse-errors': 'true', 'json.fail-on-missing-field': 'true' }, /exclude each other/],
    ['csv', { 'csv.field-delimiter': '||' }, /one ASCII character/],
    ['csv', { 'csv.array-element-delimiter': ';' }, /not supported/],
    ['csv', { 'csv.quote-character': ',' }, /must differ/],
    ['raw', {}, /exactly one column/],
    ['avro', {}, /format avro is not supported/],
  ])('%s refuses %j', (format, options, message) => {
    expect(() => createDecoder(format, ab, [0], options as Record<string, string>, settings)).toThrow(message)
  })

  test.each(['ARRAY<INT>', 'ROW<`a` INT>', 'TIMESTAMP(6)', 'INTERVAL DAY TO SECOND(3)'])('a column of type %s is refused by name', type => {
    expect(() => createDecoder('json', [{ name: 'column x', type }], [0], {}, settings)).toThrow(/column x/)
  })
})

test.each(['json', 'csv'])('%s reads what it has written', format => {
  const columns: readonly FormatColumn[] = [
    { name: 'l', type: 'BIGINT' },
    { name: 'd', type: 'DOUBLE' },
    { name: 's', type: 'STRING' },
    { name: 't', type: 'TIMESTAMP(3)' },
    { name: 'n', type: 'DECIMAL(30, 2)' },
  ]
  const input = [
    '{"l":-9223372036854775808,"d":1e300,"s":"a\\"b, \\n\\u0001\\ud83d\\ude00","t":"1969-12-31 23:59:59.001","n":1234567890123456789.01}',
    '{"l":9007199254740993,"d":-1.5,"s":"","t":"2020-02-29 00:00:00","n":-0.5}',
    '{"l":-1,"d":0.1,"s":"x","t":"9999-12-31 23:59:59.999","n":100}',
  ].join('\n')
  const decoder = createDecoder('json', columns, [0, 1, 2, 3, 4], {}, settings)
  const sink = new RowSink(decoder.kinds)
  const page = bytesOf(input)
  decoder.decode(page, 0, page.length, sink)
  const frame = { kind: 'columnar', timestamps: undefined, rowKinds: undefined, ...sink.finish() } as const
  const writer = new ByteWriter(0)
  createEncoder(format, columns, {}, settings).encode(frame, 0, frame.length, writer)
  const expected = readAll([page], { format: 'json', columns })
  expect(expected.rows).toHaveLength(3)
  expect(readAll([writer.copy()], { format, columns }).rows).toEqual(expected.rows)
})
