import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  channelMessage,
  failedMessage,
  HELLO,
  jsonMessage,
  MessageReader,
  numberMessage,
  parseError,
  parseJson,
  readU32,
  requestMessage,
} from './exchange-protocol.ts'
import { PAGE_SIZE } from './frame.ts'

function collect(chunks: readonly Uint8Array[]): { type: number; payload: string }[] {
  const messages: { type: number; payload: string }[] = []
  const reader = new MessageReader((type, payload) => messages.push({ type, payload: Buffer.from(payload).toString('hex') }))
  for (const chunk of chunks) reader.push(chunk)
  return messages
}

test('messages come out whole however the stream is cut', () => {
  const message = fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 2 ** 31 }), fc.uint8Array({ maxLength: 300 }))
  fc.assert(
    fc.property(fc.array(message, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.flatMap(([type, number, payload]) => [channelMessage(type, number, payload.length), payload]))
      const chunks: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length]!
        chunks.push(stream.subarray(at, at + size))
        at += size
      }
      const expected = sent.map(([type, number, payload]) => {
        const numberBytes = Buffer.alloc(4)
        numberBytes.writeUInt32LE(number)
        return { type, payload: Buffer.concat([numberBytes, payload]).toString('hex') }
      })
      expect(collect(chunks)).toEqual(expected)
    }),
  )
})

test('a full page is the largest segment that passes', () => {
  const page = new Uint8Array(PAGE_SIZE).fill(7)
  expect(collect([channelMessage(5, 1, page.length), page])).toHaveLength(1)
})

test.each([0, PAGE_SIZE + 100, 2 ** 32 - 1])('a message length of %i is refused before anything of it is kept', length => {
  const bytes = new Uint8Array(5)
  new DataView(bytes.buffer).setUint32(0, length, true)
  for (const chunks of [[bytes], [...bytes].map(byte => Uint8Array.of(byte))]) {
    expect(() => collect(chunks)).toThrow(expect.objectContaining({ code: 'PROTOCOL_MISMATCH' }))
  }
})

test('numbers, requests and errors are read as they were written', () => {
  const messages: [number, Uint8Array][] = []
  const reader = new MessageReader((type, payload) => messages.push([type, payload.slice()]))
  reader.push(numberMessage(6, 3, 4_000_000_000))
  for (const piece of requestMessage(1, 2, 'e/0/ä')) reader.push(piece)
  for (const piece of failedMessage(9, 'TIMEOUT', 'x'.repeat(10_000))) reader.push(piece)
  reader.push(jsonMessage(HELLO, { token: 'a' }))
  const [credit, request, failed, hello] = messages.map(([, payload]) => payload)
  expect([readU32(credit!, 0), readU32(credit!, 4)]).toEqual([3, 4_000_000_000])
  expect([readU32(request!, 0), readU32(request!, 4), Buffer.from(request!.subarray(8)).toString()]).toEqual([1, 2, 'e/0/ä'])
  expect(parseError(failed!.subarray(4))).toMatchObject({ code: 'TIMEOUT', message: 'x'.repeat(4096) })
  expect(parseJson(hello!)).toEqual({ token: 'a' })
})

test.each(['', 'null', '[1]', '{"a":', '"text"'])('%j where an object is wanted is refused', text => {
  expect(() => parseJson(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'PROTOCOL_MISMATCH' }))
})

test('an error code that is not known becomes INTERNAL and keeps its message', () => {
  expect(parseError(Buffer.from('{"code":"toString","message":"m"}'))).toMatchObject({ code: 'INTERNAL', message: 'm' })
})
