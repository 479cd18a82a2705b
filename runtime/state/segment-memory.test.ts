import { expect, test } from 'vitest'
import { Types } from '../serde/types.ts'
import { SegmentMemory, segmentMemory } from './segment-memory.ts'
import { SegmentWriter } from './segment-writer.ts'
import { SequentialSegmentWriter } from './sequential-segment-writer.ts'

const KiB = 1024

test('what comes back is used again, by segments of about its size', () => {
  const memory = new SegmentMemory()
  const { room, isTouched } = memory.take(100 * KiB)
  expect([room.buffer instanceof SharedArrayBuffer, isTouched]).toEqual([true, false])
  expect(memory.giveBack([room.buffer])).toBe(0)
  expect(memory.take(200 * KiB).isTouched, 'too small').toBe(false)
  expect(memory.take(24 * KiB).room.buffer, 'small ones are copied').toBeInstanceOf(ArrayBuffer)
  const again = memory.take(70 * KiB)
  expect([again.room.buffer === room.buffer, again.isTouched]).toEqual([true, true])
  expect(memory.take(100 * KiB).room.buffer === room.buffer, 'nobody has it twice').toBe(false)
})

test('so much is kept, the newest; the rest is the garbage collector’s', () => {
  const memory = new SegmentMemory(250 * KiB)
  const buffers = [100, 100, 100].map(size => memory.take(size * KiB).room.buffer)
  expect(memory.giveBack(buffers)).toBe(100 * KiB)
  expect([memory.take(100 * KiB), memory.take(100 * KiB)].map(({ room }) => buffers.indexOf(room.buffer))).toEqual([1, 2])
  expect(memory.giveBack(buffers.slice(0, 1))).toBe(0)
  expect(memory.giveBack([new SharedArrayBuffer(300 * KiB)]), 'more than all that is kept').toBe(400 * KiB)
})

const bytes = new Uint8Array(10 * KiB).fill(7)

function write(writer: SegmentWriter, keyGroups: number): void {
  for (let key = 0; key < keyGroups; key++) writer.keyed(0, false, key, key).raw(bytes)
}

test.each([
  ['of changes', () => new SegmentWriter(Types.INT, 128)],
  ['of a base', () => new SequentialSegmentWriter(Types.INT, 128)],
])('a segment %s is handed over in one shared buffer, and the next is not written into it before it comes back', (_, create) => {
  const writer = create()
  const segment = () => {
    if (writer instanceof SequentialSegmentWriter) writer.expect(300 * KiB)
    write(writer, 20)
    while (writer.prepare()) {
      // A step at a time.
    }
    return [...writer.finish().keyGroups.values()]
  }
  const first = segment()
  const copy = first.map(piece => piece.slice())
  const second = segment()
  expect(new Set(first.map(({ buffer }) => buffer)).size).toBe(1)
  expect(first[0]?.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(second[0]?.buffer === first[0]?.buffer).toBe(false)
  expect(first).toEqual(copy)
  segmentMemory.giveBack([first[0]?.buffer as SharedArrayBuffer])
  expect(segment()[0]?.buffer === first[0]?.buffer).toBe(true)
})

test('what was written of a base that is given up goes into the next one', () => {
  const writer = new SequentialSegmentWriter(Types.INT, 128)
  writer.expect(500 * KiB)
  write(writer, 20)
  writer.drop()
  writer.expect(400 * KiB)
  write(writer, 20)
  const { keyGroups } = writer.finish()
  expect(keyGroups.get(0)?.buffer.byteLength).toBe(500 * KiB)
  expect(keyGroups.get(19)?.subarray(-10 * KiB)).toEqual(bytes)
})

test('room that was made for a segment is there for the next one when that segment turned out to be empty', () => {
  const writer = new SegmentWriter(Types.INT, 128)
  write(writer, 20)
  while (writer.prepare()) {
    // A step at a time.
  }
  writer.drop()
  expect(writer.finish().keyGroups.size).toBe(0)
  write(writer, 1)
  const [piece] = writer.finish().keyGroups.values()
  expect(piece?.buffer).toBeInstanceOf(SharedArrayBuffer)
})

test('room that a base has outgrown is there for the next one', () => {
  const writer = new SequentialSegmentWriter(Types.INT, 128)
  const memory = new Set<ArrayBufferLike>()
  const segment = (keyGroups: number) => {
    writer.expect(1_000 * KiB)
    write(writer, keyGroups)
    return [...writer.finish().keyGroups.values()].map(({ buffer }) => buffer)[0] as ArrayBufferLike
  }
  memory.add(segment(20))
  segmentMemory.giveBack(memory)
  expect(memory.has(segment(120)), 'outgrown').toBe(false)
  expect(memory.has(segment(20)), 'used again').toBe(true)
})
