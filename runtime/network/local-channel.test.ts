import { expect, test } from 'vitest'
import type { ChannelElement } from './frame.ts'
import { LocalChannel } from './local-channel.ts'

const rows = (...values: string[]): ChannelElement => ({ kind: 'object', rows: values, timestamps: undefined, rowKinds: undefined })

function channel(capacity: number) {
  const rings = { consumer: 0, producer: 0 }
  const { writer, reader } = new LocalChannel(capacity, { ring: () => rings.consumer++ }, { ring: () => rings.producer++ })
  return { writer, reader, rings }
}

test('frames pass by reference, in order, as many as there is room for', () => {
  const { writer, reader } = channel(2)
  const [a, b, c] = [rows('a'), rows('b'), rows('c')]
  expect([writer.offer(a), writer.offer(b), writer.offer(c)]).toEqual([true, true, false])
  expect(reader.queued).toBe(2)
  expect(reader.poll()).toBe(a)
  expect(writer.offer(c)).toBe(true)
  expect([reader.poll(), reader.poll(), reader.poll()]).toEqual([b, c, undefined])
})

test('the producer is rung only when it was refused, the consumer only when the channel was empty', () => {
  const { writer, reader, rings } = channel(2)
  writer.offer(rows('a'))
  writer.offer(rows('b'))
  reader.poll()
  expect(rings).toEqual({ consumer: 1, producer: 0 })
  writer.offer(rows('c'))
  writer.offer(rows('d'))
  reader.poll()
  reader.poll()
  expect(rings).toEqual({ consumer: 1, producer: 1 })
})

test('the control lane overtakes and holds one entry', () => {
  const { writer, reader } = channel(1)
  writer.offer(rows('a'))
  expect(writer.offerPriority({ kind: 'end' })).toBe(true)
  expect(writer.offerPriority({ kind: 'end' })).toBe(false)
  expect(reader.pollPriority()).toEqual({ kind: 'end' })
  expect(reader.pollPriority()).toBeUndefined()
})

test('what was offered stays readable after the producer has closed', () => {
  const { writer, reader } = channel(1)
  writer.offer(rows('a'))
  writer.close()
  expect(reader.poll()).toEqual(rows('a'))
})
