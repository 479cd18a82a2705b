/**
 * Throughput of the exchange between threads: `node bench/micro/ring.ts`. Writer and reader take turns in one thread, so the figures
 * are CPU per byte or row of both ends together, without the effect of two cores.
 */
import { systemClock } from '../../runtime/common/clock.ts'
import { silentDoorbell } from '../../runtime/network/doorbell.ts'
import { PAGE_SIZE } from '../../runtime/network/frame.ts'
import { createUnpooledRing, SegmentReader, SegmentWriter } from '../../runtime/network/ring.ts'
import { RingReader, RingWriter } from '../../runtime/network/ring-channel.ts'
import { Types } from '../../runtime/serde/types.ts'

const MIN_MS = 500

/** Runs `round` for at least MIN_MS after a warm-up; prints MB/s and rows/s of what the rounds moved. */
function measure(name: string, round: () => { bytes: number; rows: number }): void {
  const run = (minMs: number) => {
    const startMs = systemClock.monotonicMs()
    let bytes = 0
    let rows = 0
    let spentMs = 0
    while (spentMs < minMs) {
      const moved = round()
      bytes += moved.bytes
      rows += moved.rows
      spentMs = systemClock.monotonicMs() - startMs
    }
    return { bytes, rows, spentMs }
  }
  run(MIN_MS / 2)
  const { bytes, rows, spentMs } = run(MIN_MS)
  const rowText = rows === 0 ? '' : `${(rows / spentMs / 1000).toFixed(2)} M rows/s`
  process.stdout.write(`${name.padEnd(40)} ${(bytes / spentMs / 1000).toFixed(0).padStart(8)} MB/s  ${rowText}\n`)
}

function segments(size: number): () => { bytes: number; rows: number } {
  const ring = createUnpooledRing(2, 0, 'bench')
  const writer = new SegmentWriter(ring, silentDoorbell)
  const reader = new SegmentReader(ring, silentDoorbell)
  const source = new Uint8Array(size)
  const target = new Uint8Array(size)
  return () => {
    for (let i = 0; i < 1000; i++) {
      writer.write(source, 0, size)
      const segment = reader.next()
      if (segment === undefined) continue
      target.set(segment)
      reader.release()
    }
    return { bytes: 1000 * size, rows: 0 }
  }
}

function frames(row: unknown, type: ReturnType<typeof Types.tuple> | typeof Types.INT, checksum: boolean): () => { bytes: number; rows: number } {
  const ring = createUnpooledRing(2, 0, 'bench', checksum)
  // The row type of this bench is data: each serializer gets the rows it was declared for.
  const serializer = type.serializer as never
  const writer = new RingWriter(ring, { serializer, doorbell: silentDoorbell })
  const reader = new RingReader(ring, { serializer, doorbell: silentDoorbell })
  const rows = new Array<unknown>(1024).fill(row)
  return () => {
    const before = writer.bytesWritten
    let received = 0
    for (let i = 0; i < 20; i++) {
      writer.offer({ kind: 'object', rows, timestamps: undefined, rowKinds: undefined })
      for (let more = true; more; ) {
        const frame = reader.poll()
        if (frame?.kind === 'object') received += frame.rows.length
        more = frame !== undefined || !writer.flush()
      }
    }
    return { bytes: writer.bytesWritten - before, rows: received }
  }
}

const pair = Types.tuple(Types.STRING, Types.INT)
measure('segments of 32 KiB', segments(PAGE_SIZE))
measure('segments of 128 B', segments(128))
measure('frames of INT', frames(7, Types.INT, false))
measure('frames of TUPLE<STRING, INT>', frames(['millrace', 1], pair, false))
measure('frames of TUPLE<STRING, INT>, checksum', frames(['millrace', 1], pair, true))
measure('frames of 1 KiB strings', frames(['x'.repeat(1024), 1], pair, false))
measure('frames of 1 KiB strings, checksum', frames(['x'.repeat(1024), 1], pair, true))
