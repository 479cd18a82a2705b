/**
 * The columnar exchange: `node bench/micro/columns.ts`. Rows of 64 bytes (int, double, text of 52) are hashed by the text, scattered over two
 * rings and decoded; all in one thread, so the figures are CPU of both ends together. Beside it the same rows in object form.
 */
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { ColumnarFrame } from '../../runtime/network/columns.ts'
import { ColumnsKeyHasher } from '../../runtime/network/columns-hash.ts'
import { columnLayouts, frameOf } from '../../runtime/network/columns-rows.ts'
import { RowsByTarget, scatterFrame } from '../../runtime/network/columns-scatter.ts'
import { silentDoorbell } from '../../runtime/network/doorbell.ts'
import { PageBudget } from '../../runtime/network/page-pool.ts'
import { createSelector } from '../../runtime/network/partitioner.ts'
import { RecordWriter } from '../../runtime/network/record-writer.ts'
import { createUnpooledRing } from '../../runtime/network/ring.ts'
import { RingReader, RingWriter } from '../../runtime/network/ring-channel.ts'
import { murmurHash } from '../../runtime/serde/key-groups.ts'
import { Types } from '../../runtime/serde/types.ts'

const MIN_MS = 500
const ROWS = 2048
const ROW_SIZE = 64

/** In CPU time of this process, not by the clock: a busy machine then changes the figures little. */
function measure(name: string, round: () => { bytes: number; rows: number }): void {
  const run = (minMs: number) => {
    const startMs = systemClock.monotonicMs()
    const before = process.cpuUsage()
    let bytes = 0
    let rows = 0
    while (systemClock.monotonicMs() - startMs < minMs) {
      const moved = round()
      bytes += moved.bytes
      rows += moved.rows
    }
    const { user, system } = process.cpuUsage(before)
    return { bytes, rows, cpuUs: user + system }
  }
  run(MIN_MS)
  const { bytes, rows, cpuUs } = run(2 * MIN_MS)
  const rate = `${(bytes / cpuUs).toFixed(0).padStart(6)} MB/s  ${(rows / cpuUs).toFixed(2).padStart(7)} M rows/s`
  process.stdout.write(`${name.padEnd(50)} ${rate}  ${((cpuUs * 1e3) / rows).toFixed(1).padStart(7)} ns/row\n`)
}

const type = Types.columns([
  { name: 'id', type: 'INT' },
  { name: 'price', type: 'DOUBLE' },
  { name: 'text', type: 'STRING' },
])
const layouts = columnLayouts(type.json) ?? []
const random = seededRandom(1)
const rows = Array.from({ length: ROWS }, (_, i) => [i, i / 3, `${random.nextInt(1000)}`.padEnd(52, 'a row of a bench ')])
const contiguous = frameOf(rows, layouts)

/** Texts as a parser leaves them: parts of a page of input, with other bytes between. */
function inPage(frame: ColumnarFrame): ColumnarFrame {
  const text = frame.columns[2]
  if (text?.kind !== 'bytes') return frame
  const data = new Uint8Array(ROWS * ROW_SIZE)
  const starts = Int32Array.from(text.starts, (_, i) => i * ROW_SIZE + 7)
  for (let i = 0; i < ROWS; i++) data.set(text.data.subarray(text.starts[i], text.starts[i]! + 52), starts[i])
  return { ...frame, columns: [frame.columns[0]!, frame.columns[1]!, { ...text, data, starts }] }
}

function exchange(
  kind: 'HASH' | 'FORWARD' | 'REBALANCE',
  channels: number,
  put: (writer: RecordWriter) => void,
): () => { bytes: number; rows: number } {
  const rings = Array.from({ length: channels }, (_, i) => createUnpooledRing(4, i, `bench${i}`))
  const options = { serializer: type.serializer as never, doorbell: silentDoorbell }
  const writers = rings.map(ring => new RingWriter(ring, options))
  const readers = rings.map(ring => new RingReader(ring, options))
  const writer = new RecordWriter({
    operatorName: 'bench',
    channels: writers,
    pages: PageBudget.create(1000),
    selector: createSelector({
      kind,
      channelCount: channels,
      random,
      maxParallelism: 128,
      layout: { columns: layouts, shape: { kind: 'array' }, texts: false },
      isSql: true,
      key: { type: Types.STRING, select: row => (row as unknown[])[2], columns: [2] },
    }),
  })
  return () => {
    let received = 0
    for (let i = 0; i < 10; i++) {
      put(writer)
      for (let more = true; more; ) {
        more = false
        for (const reader of readers) {
          const frame = reader.poll()
          if (frame === undefined) continue
          more = true
          if (frame.kind === 'columnar') received += frame.length
          else if (frame.kind === 'object') received += frame.rows.length
        }
        if (!writer.drain()) more = true
      }
    }
    return { bytes: received * ROW_SIZE, rows: received }
  }
}

const targets = new Int32Array(ROWS)
const hasher = new ColumnsKeyHasher(layouts, [2])
hasher.hashes(contiguous, targets)
for (let row = 0; row < targets.length; row++) targets[row] = murmurHash(targets[row]!) % 8
const byTarget = new RowsByTarget(8, ROWS)
const parsed = inPage(contiguous)
const moved = { bytes: ROWS * ROW_SIZE, rows: ROWS }

measure('hashes of the text', () => {
  hasher.hashes(parsed, new Int32Array(ROWS))
  return moved
})
measure('counting sort over 8 targets', () => {
  byTarget.sort(targets, ROWS)
  return moved
})
measure('scatter over 8 new frames', () => {
  scatterFrame(parsed, targets, 8)
  return moved
})
measure(
  'HASH over 2 rings, columns',
  exchange('HASH', 2, writer => writer.collectFrame(parsed)),
)
measure(
  'HASH over 8 rings, columns',
  exchange('HASH', 8, writer => writer.collectFrame(parsed)),
)
measure(
  'REBALANCE over 2 rings, columns',
  exchange('REBALANCE', 2, writer => writer.collectFrame(contiguous)),
)
measure(
  'FORWARD over a ring, columns',
  exchange('FORWARD', 1, writer => writer.collectFrame(parsed)),
)
measure(
  'HASH over 2 rings, rows',
  exchange('HASH', 2, writer => {
    for (const row of rows) writer.collect(row, Number.NaN)
  }),
)
