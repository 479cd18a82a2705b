import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TypeSerializer } from '../serde/type-information.ts'
import { type ChannelElement, PAGE_SIZE } from './frame.ts'
import { createUnpooledRing, failRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const strings: TypeSerializer<unknown> = { write: (value, out) => out.string(value as string), read: input => input.string() }

function counted(): { rings: number; ring(): void } {
  return {
    rings: 0,
    ring() {
      this.rings++
    },
  }
}

function pair(slots: number, checksum = false, recordSizeMax?: number) {
  const ring = createUnpooledRing(slots, 1, 'e/0/0', checksum)
  const consumer = counted()
  const producer = counted()
  const limit = recordSizeMax === undefined ? {} : { recordSizeMax }
  const writer = new RingWriter(structuredClone(ring), { serializer: strings, doorbell: consumer, ...limit })
  const reader = new RingReader(ring, { serializer: strings, doorbell: producer, ...limit })
  return { ring, writer, reader, consumer, producer }
}

const rows = (...values: string[]): ChannelElement => ({ kind: 'object', rows: values, timestamps: undefined, rowKinds: undefined })

const element = fc.oneof(
  fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 6 }).map(lengths => rows(...lengths.map((length, i) => `${i}`.repeat(length)))),
  fc.nat({ max: 5 * PAGE_SIZE }).map(length => rows('x'.repeat(length))),
  fc.array(fc.nat({ max: 20_000 }), { minLength: 2, maxLength: 8 }).map(lengths => rows(...lengths.map(length => 'w'.repeat(length)))),
  fc.integer().map((timestamp): ChannelElement => ({ kind: 'watermark', timestamp })),
  fc
    .nat({ max: 3 * PAGE_SIZE })
    .map((size): ChannelElement => ({ kind: 'raw', tag: 2, position: size, bytes: new Uint8Array(size).fill(size % 251) })),
)

/** Neighbouring row frames joined: how a writer cuts rows into frames is its own affair. */
function flat(elements: readonly ChannelElement[]): unknown[] {
  return elements.flatMap(e => (e.kind === 'object' ? e.rows : [e]))
}

describe('ring channel', () => {
  test.each([1, 2, 3, 4])('elements arrive complete and in order under any interleaving with %i slots, also frames larger than the ring', slots => {
    fc.assert(
      fc.property(
        fc.array(element, { maxLength: 12 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 2 })),
        fc.boolean(),
        (elements, steps, checksum) => {
          const { writer, reader } = pair(slots, checksum)
          const received: ChannelElement[] = []
          let next = 0
          let idle = 0
          for (const step of steps) {
            const before = received.length + next
            if (step === 0 && next < elements.length && writer.offer(elements[next]!)) next++
            else if (step === 1) writer.flush()
            else if (step === 2) {
              const polled = reader.poll()
              if (polled !== undefined) received.push(polled)
            }
            idle = received.length + next === before ? idle + 1 : 0
            if (next === elements.length && idle > 200) break
          }
          expect(flat(received)).toEqual(flat(elements))
        },
      ),
      { numRuns: 60 },
    )
  })

  test('a refused offer takes nothing, and the next release rings the producer once', () => {
    const { writer, reader, producer, consumer } = pair(1)
    expect(writer.offer(rows('a'))).toBe(true)
    expect(consumer.rings).toBe(1)
    expect(writer.offer(rows('b'))).toBe(false)
    expect(producer.rings).toBe(0)
    expect(reader.poll()).toEqual(rows('a'))
    expect(producer.rings).toBe(1)
    expect(reader.poll()).toBeUndefined()
    expect(writer.offer(rows('b'))).toBe(true)
    expect(reader.poll()).toEqual(rows('b'))
    expect(producer.rings).toBe(1)
  })

  test('a frame larger than the ring is half written until the reader makes room', () => {
    const { writer, reader, producer } = pair(2)
    const big = 'y'.repeat(5 * PAGE_SIZE)
    expect(writer.offer(rows(big))).toBe(true)
    expect(writer.flush()).toBe(false)
    expect(writer.offer(rows('later'))).toBe(false)
    expect(reader.poll()).toBeUndefined()
    expect(producer.rings).toBeGreaterThan(0)
    expect(writer.flush()).toBe(false)
    expect(reader.poll()).toBeUndefined()
    expect(writer.flush()).toBe(true)
    expect(reader.poll()).toEqual(rows(big))
  })

  test('wide rows are cut into frames of about a page, and the writer tells how many fit', () => {
    const { writer, reader } = pair(4)
    const wide = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(1000))
    expect(writer.offer(rows(...wide))).toBe(true)
    expect(writer.rowsPerFrame).toBeGreaterThan(20)
    expect(writer.rowsPerFrame).toBeLessThan(33)
    const received: unknown[] = []
    for (;;) {
      const frame = reader.poll()
      if (frame === undefined && writer.flush()) break
      if (frame?.kind === 'object') received.push(...frame.rows)
    }
    expect(received).toEqual(wide)
  })

  test('the control lane overtakes a full ring and holds one entry', () => {
    const { writer, reader } = pair(1)
    writer.offer(rows('a'))
    const barrier = { kind: 'barrier', barrier: { checkpointId: 4, timestampMs: 5, type: 'checkpoint' } } as const
    expect(writer.offerPriority(barrier)).toBe(true)
    expect(writer.offerPriority({ kind: 'end' })).toBe(false)
    expect(reader.pollPriority()).toEqual(barrier)
    expect(reader.pollPriority()).toBeUndefined()
    expect(writer.offerPriority({ kind: 'end' })).toBe(true)
    expect(reader.poll()).toEqual(rows('a'))
  })

  test('a failed ring still delivers what it holds, then throws its error at both ends', () => {
    const { ring, writer, reader } = pair(1)
    writer.offer(rows('a'))
    failRing(ring, 'CONNECTION_LOST', 'connection to TaskManager tm-2 was lost')
    failRing(ring, 'TIMEOUT', 'a later error')
    expect(() => writer.offer(rows('b'))).toThrow('connection to TaskManager tm-2 was lost')
    expect(reader.poll()).toEqual(rows('a'))
    expect(reader.queued).toBe(1)
    expect(() => reader.poll()).toThrow(expect.objectContaining({ code: 'CONNECTION_LOST' }))
  })

  test('a record above the largest size is refused by the writer', () => {
    const { writer } = pair(1, false, 1000)
    expect(() => writer.offer(rows('z'.repeat(1001)))).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE' }))
    expect(() => writer.offer(rows('z'.repeat(1_000_000)))).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE' }))
  })

  test.each([2, 3])('the counts may wrap while %i slots are in use', slots => {
    for (const start of [2 ** 31 - 2, -2]) {
      const ring = createUnpooledRing(slots, 0, 'wrap')
      const words = new Int32Array(ring.control)
      words[0] = start
      words[32] = start
      const writer = new RingWriter(ring, { serializer: strings, doorbell: counted() })
      const reader = new RingReader(ring, { serializer: strings, doorbell: counted() })
      for (let i = 0; i < 9; i++) {
        expect(writer.offer(rows(`${i}a`))).toBe(true)
        expect(writer.offer(rows(`${i}b`))).toBe(true)
        expect(writer.offer(rows(`${i}c`))).toBe(slots === 3)
        expect(reader.poll()).toEqual(rows(`${i}a`))
        expect(reader.poll()).toEqual(rows(`${i}b`))
        expect(reader.poll()).toEqual(slots === 3 ? rows(`${i}c`) : undefined)
      }
    }
  })
})
