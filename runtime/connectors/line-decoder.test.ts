import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RECORD_SIZE_MAX } from '../network/frame.ts'
import { LINE_SIZE_MAX_BYTES, LineDecoder } from './line-decoder.ts'

const encoder = new TextEncoder()

/** Lines of `bytes` fed in the given chunk sizes, with the offset behind each. */
function decode(bytes: Uint8Array, chunkSizes: readonly number[], delimiter = '\n'): { lines: string[]; offsets: number[] } {
  const decoder = new LineDecoder(delimiter)
  const lines: string[] = []
  const offsets: number[] = []
  decoder.restart(0)
  const take = (line: string | undefined) => {
    if (line === undefined) return false
    lines.push(line)
    offsets.push(decoder.offset)
    return true
  }
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + (chunkSizes[i % chunkSizes.length] ?? 1))
    decoder.feed(bytes.slice(at, end))
    at = end
    while (take(decoder.next())) {}
  }
  take(decoder.finish())
  return { lines, offsets }
}

describe('line decoder', () => {
  test('joins lines that span chunks and drops the CR of CRLF only', () => {
    const { lines } = decode(encoder.encode('one\r\ntwo\nth\rree\r\n\r\nlast\r'), [2])
    expect(lines).toEqual(['one', 'two', 'th\rree', '', 'last'])
  })

  test('answers the same lines however the bytes are cut, and an offset behind each line', () => {
    const text = fc.array(fc.constantFrom('a', 'é', '漢', '😀', ' ', '\r', '\n', '\n'), { maxLength: 60 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }), (content, chunkSizes) => {
        const bytes = encoder.encode(content)
        const pieces = content.split('\n')
        if (pieces.at(-1) === '') pieces.pop()
        const { lines, offsets } = decode(bytes, chunkSizes)
        expect(lines).toEqual(pieces.map(piece => piece.replace(/\r$/, '')))
        let at = 0
        expect(offsets).toEqual(pieces.map(piece => Math.min(bytes.length, (at += encoder.encode(piece).length + 1))))
      }),
    )
  })

  test('finds a delimiter of several bytes across the border of two chunks and keeps CR', () => {
    expect(decode(encoder.encode('a\r||b|c||'), [4, 1]).lines).toEqual(['a\r||b|c||'])
    expect(decode(encoder.encode('a\r||b|c||'), [4, 1], '||').lines).toEqual(['a\r', 'b|c'])
  })

  test('takes a line of many chunks and refuses one above the largest record size by name', () => {
    const long = 'x'.repeat(300_000)
    expect(decode(encoder.encode(`${long}\nend`), [65_536]).lines).toEqual([long, 'end'])
    expect(LINE_SIZE_MAX_BYTES).toBe(RECORD_SIZE_MAX)
    const decoder = new LineDecoder('\n', 100)
    decoder.restart(0)
    decoder.feed(new Uint8Array(60).fill(120))
    expect(() => decoder.feed(new Uint8Array(60).fill(120))).toThrow(/a line of more than 100 bytes is refused/)
  })

  test('keeps a byte order mark and replaces invalid bytes without losing a line', () => {
    const bytes = Uint8Array.from([0xef, 0xbb, 0xbf, 97, 10, 0xff, 98, 10])
    const { lines, offsets } = decode(bytes, [3])
    expect(lines).toEqual(['\ufeffa', '\ufffdb'])
    expect(offsets).toEqual([5, 8])
  })
})
