import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import type { FormatCase, WriteCase } from '../../test/oracle/formats/cases.ts'
import { ByteWriter } from '../common/bytes.ts'
import { createDecoder } from './decoders.ts'
import { createEncoder } from './encoders.ts'
import type { FormatColumn } from './format.ts'
import { readAll } from './format-test-kit.ts'
import { RowSink } from './row-sink.ts'

/** Against what a real Flink read and wrote (test/oracle/formats/run.sh). */
interface Expected {
  readonly read: readonly (FormatCase & { readonly rows?: readonly (readonly (string | null)[])[]; readonly error?: string })[]
  readonly write: readonly (WriteCase & { readonly text: string })[]
}
const expected = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../test/oracle/formats/expected.json'), 'utf8')) as Expected

function columnsOf(schema: string): FormatColumn[] {
  return schema.split(/,(?![^(]*\))/).map(part => {
    const [name = '', ...type] = part.trim().split(' ')
    return { name, type: type.join(' ') }
  })
}

/** Where Millrace differs, and why; the key is the input. Listed in docs/decisions/0009-formats.md. */
const deviations: Readonly<Record<string, string>> = {
  '{"a":"0x1p3"}': 'hexadecimal floating point is refused',
  '0x1p3': 'hexadecimal floating point is refused',
  '{"a":{}}': 'an object is no BOOLEAN; Flink makes false of it',
  '{"a":{"b": 1, "c" : [1, 2.50]}}': 'numbers inside a document taken as text keep their digits',
  '[]': 'a record is one object; Flink reads arrays of records',
  '[{"a":1}]': 'a record is one object; Flink reads arrays of records',
  '{"a":1}}': 'what stands behind the object is refused; Flink does not look',
  '{"a":1} x': 'what stands behind the object is refused; Flink does not look',
  '{"a":1}{"a":2}': 'what stands behind the object is refused; Flink does not look',
  '{"a":"x","a":2}': 'only the last value of a key is converted; Flink converts each',
  '{"a":1,"b': 'ignored like other malformed records; Flink ends with a NullPointerException',
  '7b2261223a22eda080227d': 'invalid UTF-8 is refused; Flink takes surrogates',
  '7b2261223a22c080227d': 'invalid UTF-8 is refused; Flink takes overlong forms',
  '7b2261223a22f4908080227d': 'invalid UTF-8 is refused; Flink takes what lies above U+10FFFF',
}

function shown(value: unknown, type: string): string | null {
  if (value === null) return null
  const decimal = /^DECIMAL\(\d+, (\d+)\)/.exec(type)
  if (decimal !== null) {
    const scale = Number(decimal[1])
    const digits = String(value)
      .replace('-', '')
      .padStart(scale + 1, '0')
    return `${String(value).startsWith('-') ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  }
  if (type === 'BOOLEAN') return value === 1 ? 'true' : 'false'
  if (type === 'BYTES') return Buffer.from(String(value), 'latin1').toString('hex')
  if (type === 'DOUBLE') return String(value)
  if (type === 'FLOAT') return String(value)
  return typeof value === 'string' ? Buffer.from(value, 'latin1').toString('utf8') : String(value)
}

/** Numbers of Flink as our numbers. */
function number(text: string | null, type: string): string | null {
  if (text === null || (type !== 'DOUBLE' && type !== 'FLOAT')) return text
  return String(type === 'FLOAT' ? Math.fround(Number(text)) : Number(text))
}

test.each(['json', 'csv', 'raw'])('reads %s as Flink does', format => {
  const differing: string[] = []
  const met = new Set<string>()
  for (const one of expected.read.filter(candidate => candidate.format === format)) {
    const columns = columnsOf(one.schema)
    const input = one.text ?? one.hex ?? ''
    const bytes = one.hex === undefined ? new TextEncoder().encode(one.text) : Uint8Array.from(Buffer.from(one.hex, 'hex'))
    for (const generated of [true, false]) {
      const read = readAll([bytes], { format, columns, options: one.options, framing: 'message', generated })
      const ours =
        read.error === undefined ? JSON.stringify(read.rows.map(row => row.map((value, i) => shown(value, columns[i]?.type ?? '')))) : 'refused'
      const theirs =
        one.rows === undefined ? 'refused' : JSON.stringify(one.rows.map(row => row.map((text, i) => number(text, columns[i]?.type ?? ''))))
      if (ours === theirs) continue
      if (deviations[input] === undefined) differing.push(`${one.schema} ${JSON.stringify(one.options)} ${input}: ours ${ours}, Flink ${theirs}`)
      met.add(input)
    }
  }
  expect(differing).toEqual([])
  // A deviation that is none any more is taken from the list.
  const used = expected.read.filter(one => one.format === format).map(one => one.text ?? one.hex ?? '')
  expect(Object.keys(deviations).filter(input => used.includes(input) && !met.has(input))).toEqual([])
})

test.each([
  ['json', 'generated', true],
  ['csv', 'generated', true],
  ['json', 'interpreted', false],
  ['csv', 'interpreted', false],
] as const)('writes %s as Flink does, %s', (format, _, generated) => {
  const differing: string[] = []
  let compared = 0
  for (const one of expected.write.filter(candidate => candidate.format === format)) {
    const columns = columnsOf(one.columns)
    const values = valuesOf(one.row)
    // -0.0 as a text is 0.0 in Flink's cast, which is not the writer's doing.
    if (values === undefined || one.row.includes('-0.0')) continue
    const record = `{${columns.map((column, i) => `"${column.name}":${values[i] ?? 'null'}`).join(',')}}`
    const decoder = createDecoder(
      'json',
      columns,
      columns.map((_, i) => i),
      {},
      { framing: 'message', origin: { job: '', vertex: '' } },
    )
    const sink = new RowSink(decoder.kinds)
    const bytes = new TextEncoder().encode(record)
    decoder.decode(bytes, 0, bytes.length, sink)
    const { length, columns: made } = sink.finish()
    const writer = new ByteWriter(0)
    const frame = { kind: 'columnar', length, columns: made, timestamps: undefined, rowKinds: undefined } as const
    createEncoder(format, columns, one.options, { framing: 'lines', generated, origin: { job: '', vertex: '' } }).encode(frame, 0, length, writer)
    const ours = new TextDecoder().decode(writer.copy())
    compared++
    if (ours !== one.text)
      differing.push(`${one.columns} ${JSON.stringify(one.options)} ${one.row}: ours ${JSON.stringify(ours)}, Flink ${JSON.stringify(one.text)}`)
  }
  expect(differing).toEqual([])
  expect(compared).toBeGreaterThan(40)
})

/** SQL literals of cases.ts as JSON values. */
function valuesOf(row: string): string[] | undefined {
  const parts = row.match(
    /(?:U&)?X?'(?:[^']|'')*'|CAST\(NULL AS \w+\)|CAST\('?[-\d.]+'? AS [^)]*(?:\([^)]*\))?\)|TO_TIMESTAMP_LTZ\([^)]*\)|(?:DATE|TIME|TIMESTAMP) '[^']*'|TRUE|FALSE|-?[\d.]+(?:e-?\d+)?/g,
  )
  return parts?.map(part => {
    if (part.startsWith('CAST(NULL')) return 'null'
    const cast = /^CAST\('?([-\d.]+)'? AS/.exec(part)
    if (cast !== null) return cast[1] ?? ''
    const instant = /^TO_TIMESTAMP_LTZ\((\d+)/.exec(part)
    if (instant !== null) return `"${new Date(Number(instant[1])).toISOString().replace('T', ' ')}"`
    const time = /^(?:DATE|TIME|TIMESTAMP) ('.*')$/.exec(part)
    if (time !== null) return JSON.stringify(time[1]?.slice(1, -1))
    if (part.startsWith('X')) return JSON.stringify(Buffer.from(part.slice(2, -1), 'hex').toString('base64'))
    const text = /^(U&)?'(.*)'$/s.exec(part)
    if (text !== null) {
      const plain = (text[2] ?? '').replaceAll("''", "'")
      return JSON.stringify(
        text[1] === undefined ? plain : plain.replaceAll(/\\([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      )
    }
    return part.toLowerCase()
  })
}
