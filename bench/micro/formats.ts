/**
 * Reading and writing of records: `node bench/micro/formats.ts`. Nexmark-like bids as nested and flat JSON and as CSV, in pages of 64 KiB, CPU time
 * of this thread per row; frames are made and dropped. Figures: docs/decisions/0009-formats.md.
 */
import { ByteWriter } from '../../runtime/common/bytes.ts'
import { createDecoder } from '../../runtime/formats/decoders.ts'
import { createEncoder } from '../../runtime/formats/encoders.ts'
import type { FormatColumn } from '../../runtime/formats/format.ts'
import { RowSink } from '../../runtime/formats/row-sink.ts'
import type { ColumnarFrame } from '../../runtime/network/columns.ts'

const ROWS = 50_000
const PAGE_BYTES = 64 * 1024
const ROUNDS = 12

const columns: readonly FormatColumn[] = [
  { name: 'auction', type: 'BIGINT' },
  { name: 'bidder', type: 'BIGINT' },
  { name: 'price', type: 'BIGINT' },
  { name: 'channel', type: 'STRING' },
  { name: 'url', type: 'STRING' },
  { name: 'dateTime', type: 'TIMESTAMP(3)' },
  { name: 'extra', type: 'STRING' },
]

function bid(i: number): readonly (string | number)[] {
  const time = `2020-01-01 00:${String(Math.floor(i / 1000) % 60).padStart(2, '0')}:${String(i % 60).padStart(2, '0')}.${100 + (i % 900)}`
  return [
    1000 + (i % 5000),
    2000 + ((i * 7) % 9000),
    (i * 13) % 1_000_000,
    'apple',
    `https://www.nexmark.com/item.htm?query=${i % 100}`,
    time,
    'adfaehgkhakshdfasdf',
  ]
}

const flat = (i: number) =>
  `{${bid(i)
    .map((value, at) => `"${columns[at]?.name}":${JSON.stringify(value)}`)
    .join(',')}}`
const nested = (i: number) => `{"event_type":2,"person":null,"auction":null,"bid":${flat(i)}}`
const csv = (i: number) => bid(i).join(',')

function pagesOf(line: (i: number) => string): Uint8Array[] {
  const pages: Uint8Array[] = []
  let text = ''
  for (let i = 0; i < ROWS; i++) {
    text += `${line(i)}\n`
    if (text.length < PAGE_BYTES && i < ROWS - 1) continue
    pages.push(new TextEncoder().encode(text))
    text = ''
  }
  return pages
}

function report(name: string, bytesPerRow: number, round: () => number): void {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < ROUNDS; i++) {
    const before = process.threadCpuUsage()
    const rows = round()
    const spent = process.threadCpuUsage(before)
    best = Math.min(best, ((spent.user + spent.system) * 1000) / rows)
  }
  process.stdout.write(
    `${name.padEnd(44)} ${bytesPerRow.toFixed(0).padStart(5)} B ${best.toFixed(0).padStart(6)} ns/row ${(1000 / best).toFixed(2).padStart(7)} M rows/s\n`,
  )
}

function read(
  name: string,
  format: string,
  line: (i: number) => string,
  table: readonly FormatColumn[],
  projected: readonly number[],
  generated: boolean,
) {
  const pages = pagesOf(line)
  const settings = { framing: 'lines', generated, origin: { job: 'bench', vertex: name } } as const
  const decoder = createDecoder(format, table, projected, {}, settings)
  const sink = new RowSink(decoder.kinds)
  const frames: ColumnarFrame[] = []
  const bytes = pages.reduce((sum, page) => sum + page.length, 0)
  report(name, bytes / ROWS, () => {
    frames.length = 0
    let rows = 0
    for (const page of pages) {
      let at = 0
      while (at < page.length) {
        at = decoder.decode(page, at, page.length, sink)
        const made = sink.finish()
        rows += made.length
        frames.push({ kind: 'columnar', timestamps: undefined, rowKinds: undefined, ...made })
      }
    }
    return rows
  })
  return frames
}

const all = columns.map((_, i) => i)
const below = columns.map(column => ({ ...column, path: ['bid', column.name] }))
const frames = read('json flat, 7 columns', 'json', flat, columns, all, true)
read('json flat, 2 columns', 'json', flat, columns, [0, 2], true)
read('json flat, 7 columns, general reader', 'json', flat, columns, all, false)
read('json nested, 7 columns', 'json', nested, below, all, true)
read('json nested, 2 columns', 'json', nested, below, [0, 2], true)
read('json nested, 7 columns, general reader', 'json', nested, below, all, false)
read('csv, 7 columns', 'csv', csv, columns, all, true)
read('csv, 2 columns', 'csv', csv, columns, [0, 2], true)
read('csv, 7 columns, general reader', 'csv', csv, columns, all, false)

for (const [format, generated] of [
  ['json', true],
  ['json', false],
  ['csv', true],
  ['csv', false],
] as const) {
  const encoder = createEncoder(format, columns, {}, { framing: 'lines', generated, origin: { job: 'bench', vertex: format } })
  const writer = new ByteWriter(1 << 20)
  let bytes = 0
  let rows = 0
  for (const frame of frames) {
    writer.reset()
    encoder.encode(frame, 0, frame.length, writer)
    bytes += writer.length
    rows += frame.length
  }
  report(`${format} written, 7 columns${generated ? '' : ', interpreted'}`, bytes / rows, () => {
    for (const frame of frames) {
      writer.reset()
      encoder.encode(frame, 0, frame.length, writer)
    }
    return rows
  })
}
