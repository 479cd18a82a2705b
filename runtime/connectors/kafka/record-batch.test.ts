import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BatchSpec, buildBatch, controlBatch } from '../../../test/support/kafka-batches.ts'
import { runs } from '../../../test/support/runs.ts'
import { BatchCutter, PIECE_SIZE_BYTES } from './batch-cutter.ts'
import { crc32c } from './crc32c.ts'
import { RecordBatchReader } from './record-batch.ts'

interface Read {
  readonly offset: number
  readonly timestamp: number
  readonly value: string | null
}

function readAll(bytes: Buffer, reader = new RecordBatchReader(true)): Read[] {
  reader.feed(bytes)
  const read: Read[] = []
  while (reader.next()) {
    const { offset, timestamp, valueStart, valueEnd, data } = reader
    read.push({ offset, timestamp, value: valueStart < 0 ? null : data.toString('utf8', valueStart, valueEnd) })
  }
  return read
}

const values = (...texts: (string | null)[]) => texts.map(value => ({ value }))

describe('record batches', () => {
  test('CRC-32C of the texts whose sums the standard gives', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e)
    expect(crc32c(Buffer.from('__123456789__'), 2, 11)).toBe(0xe3069283)
  })

  test('offsets, times and values of several batches; headers and keys are walked over', () => {
    const bytes = Buffer.concat([
      buildBatch({
        baseOffset: 5,
        baseTimestamp: 1_000,
        records: [
          { value: 'a', key: 'k', headers: [['h', 'v']] },
          { value: null, timestampDelta: -3 },
          { value: '', timestampDelta: 70_000 },
        ],
      }),
      buildBatch({ baseOffset: 8, baseTimestamp: 2_000, maxTimestamp: 9_000, logAppendTime: true, records: values('é') }),
      buildBatch({ baseOffset: 9, baseTimestamp: -1, records: values('z') }),
    ])
    expect(readAll(bytes)).toEqual([
      { offset: 5, timestamp: 1_000, value: 'a' },
      { offset: 6, timestamp: 997, value: null },
      { offset: 7, timestamp: 71_000, value: '' },
      { offset: 8, timestamp: 9_000, value: 'é' },
      { offset: 9, timestamp: Number.NaN, value: 'z' },
    ])
  })

  test.each([
    ['gzip', { codec: 1, compress: (bytes: Buffer) => gzipSync(bytes) }],
    ['zstd', { codec: 4, compress: (bytes: Buffer) => zstdCompressSync(bytes) }],
  ])('batches compressed by %s', (_name, compression) => {
    const records = Array.from({ length: 500 }, (_, i) => ({ value: `value ${i}` }))
    expect(readAll(buildBatch({ baseOffset: 1_000, records, compression })).map(({ offset, value }) => `${offset} ${value}`)).toEqual(
      records.map(({ value }, i) => `${1_000 + i} ${value}`),
    )
  })

  test('what compaction left: gaps between offsets, a missing end, a batch without records', () => {
    const reader = new RecordBatchReader(true)
    const bytes = Buffer.concat([
      buildBatch({
        baseOffset: 10,
        lastOffset: 19,
        records: [
          { value: 'a', offset: 11 },
          { value: 'b', offset: 15 },
        ],
      }),
      buildBatch({ baseOffset: 30, lastOffset: 39, records: [] }),
    ])
    expect(readAll(bytes, reader).map(({ offset }) => offset)).toEqual([11, 15])
    expect(reader.nextOffset).toBe(40)
  })

  test('control batches hold nothing for users but move the position', () => {
    const reader = new RecordBatchReader(true)
    expect(
      readAll(
        Buffer.concat([buildBatch({ baseOffset: 0, records: values('a'), transactional: true, producerId: 7n }), controlBatch(1, 7n, 'commit')]),
        reader,
      ).map(each => each.value),
    ).toEqual(['a'])
    expect(reader.nextOffset).toBe(2)
  })

  test('the next offset is that behind the record just read', () => {
    const reader = new RecordBatchReader(true)
    reader.feed(buildBatch({ baseOffset: 3, lastOffset: 9, records: values('a', 'b') }))
    const positions: number[] = []
    while (reader.next()) positions.push(reader.nextOffset)
    expect(positions).toEqual([4, 10])
  })

  test('any changed byte behind the checksum is noticed, and passed where check.crcs is off', () => {
    const batch = buildBatch({ baseOffset: 42, records: values('hello') })
    for (let at = 21; at < batch.length; at++) {
      const broken = Buffer.from(batch)
      broken[at]! ^= 1
      expect(() => readAll(broken)).toThrow('a kafka record batch at offset 42 is corrupt: its checksum is wrong')
    }
    const changed = Buffer.from(batch)
    changed[changed.length - 2]! ^= 1
    expect(readAll(changed, new RecordBatchReader(false)).length).toBe(1)
  })

  test('message formats 0 and 1 and unknown compressions are refused with their offset', () => {
    const old = buildBatch({ baseOffset: 7, records: values('a') })
    old[16] = 1
    expect(() => readAll(old)).toThrow('a record batch at offset 7 has message format 1')
    expect(() => readAll(buildBatch({ baseOffset: 7, records: values('a'), compression: { codec: 6, compress: bytes => bytes } }))).toThrow(
      'unknown compression 6',
    )
  })

  test('broken lengths never read beyond the batch', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), fc.nat(), fc.integer({ min: 0, max: 255 }), (texts, position, byte) => {
        const batch = buildBatch({ baseOffset: 0, records: values(...texts) })
        batch[21 + (position % (batch.length - 21))] = byte
        try {
          for (const { value } of readAll(batch, new RecordBatchReader(false))) expect((value ?? '').length).toBeLessThanOrEqual(batch.length)
        } catch (error) {
          expect((error as Error).message).toMatch(/kafka record batch|decompress/)
        }
      }),
      { numRuns: runs(500) },
    )
  })
})

describe('cutting what a fetch answered', () => {
  const specs: BatchSpec[] = Array.from({ length: 6 }, (_, i) => ({
    baseOffset: i * 10,
    records: Array.from({ length: 10 }, (_r, r) => ({ value: `${i * 10 + r}` })),
  }))
  const log = Buffer.concat(specs.map(buildBatch))
  const offsetsOf = (cut: { pieces: readonly { readonly kind: string }[] }) =>
    cut.pieces.flatMap(piece =>
      piece.kind === 'batches' ? readAll(Buffer.from((piece as { bytes?: Uint8Array }).bytes ?? [])).map(({ offset }) => offset) : [],
    )

  test('wherever the answer ends, only whole batches are taken and the next offset follows them', () => {
    const sizes = specs.map(spec => buildBatch(spec).length)
    for (let end = 0; end <= log.length; end++) {
      const cut = new BatchCutter('read_uncommitted').cut(log.subarray(0, end), 0, Number.POSITIVE_INFINITY, [])
      let whole = 0
      for (let size = 0; whole < sizes.length && size + sizes[whole]! <= end; whole++) size += sizes[whole]!
      expect(cut.nextOffset).toBe(whole * 10)
      if (end % 97 === 0) expect(offsetsOf(cut)).toEqual(Array.from({ length: whole * 10 }, (_, i) => i))
    }
  })

  test('stops with the batch that holds the last wanted offset', () => {
    expect(new BatchCutter('read_uncommitted').cut(log, 5, 25, []).nextOffset).toBe(30)
  })

  test('batches before the position are left out', () => {
    expect(offsetsOf(new BatchCutter('read_uncommitted').cut(log, 20, Number.POSITIVE_INFINITY, []))[0]).toBe(20)
  })

  test('small batches travel together, large ones alone', () => {
    const large = (baseOffset: number) => buildBatch({ baseOffset, records: [{ value: 'x'.repeat(PIECE_SIZE_BYTES) }] })
    const { pieces } = new BatchCutter('read_uncommitted').cut(
      Buffer.concat([...specs.map(buildBatch), large(60), large(61)]),
      0,
      Number.POSITIVE_INFINITY,
      [],
    )
    expect(pieces.map(piece => (piece.kind === 'batches' ? piece.position : -1))).toEqual([0, 60, 61])
  })

  test('read_committed leaves out what aborted producers wrote, and nothing of the others between', () => {
    const write = (baseOffset: number, producerId: bigint, value: string) =>
      buildBatch({ baseOffset, records: values(value), transactional: true, producerId })
    const bytes = Buffer.concat([
      write(0, 1n, 'aborted'),
      write(1, 2n, 'committed'),
      write(2, 1n, 'aborted too'),
      controlBatch(3, 1n, 'abort'),
      write(4, 1n, 'next transaction of the same producer'),
      controlBatch(5, 2n, 'commit'),
      controlBatch(6, 1n, 'commit'),
      buildBatch({ baseOffset: 7, records: values('plain') }),
    ])
    const aborted = [{ producerId: 1n, firstOffset: 0 }]
    const committed = new BatchCutter('read_committed').cut(bytes, 0, Number.POSITIVE_INFINITY, aborted)
    expect(offsetsOf(committed)).toEqual([1, 4, 7])
    expect(committed.pieces.filter(piece => piece.kind === 'skipped').map(piece => (piece.kind === 'skipped' ? piece.nextOffset : 0))).toEqual([
      1, 3, 4, 6, 7,
    ])
    expect(committed.nextOffset).toBe(8)
    expect(offsetsOf(new BatchCutter('read_uncommitted').cut(bytes, 0, Number.POSITIVE_INFINITY, aborted))).toEqual([0, 1, 2, 4, 7])
  })

  test('a batch larger than a record may be is refused', () => {
    expect(() => new BatchCutter('read_uncommitted', 50).cut(log, 0, 10, [])).toThrow(
      /a record batch of \d+ bytes at offset 0 is refused: the largest is 50/,
    )
  })
})
