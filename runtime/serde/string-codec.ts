import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { decodeUtf8, shortAscii } from '../common/utf8.ts'

/**
 * Strings as `ByteWriter.string` writes them (length in bytes, UTF-8), except that a lone surrogate keeps its three bytes (ED A0..BF xx,
 * "WTF-8") instead of becoming U+FFFD. A key is hashed before the edge and again behind it: a string that changed on the way would
 * be looked up in a key group that its subtask does not own.
 */
/**
 * Node's own string copies, which Buffer's documented methods call after making a view. Here they run on the writer's bytes as they are, so
 * that nothing is allocated; they exist on every Buffer of the one Node version we ship. Figures: docs/decisions/0003-generic-codec.md.
 */
const native = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string
  latin1Write(this: Uint8Array, text: string, offset: number, length: number): number
  utf8Write(this: Uint8Array, text: string, offset: number, length: number): number
}
/** Below these lengths a loop in JS is faster than the call. */
const NATIVE_FROM_CHARS = 28
const NATIVE_FROM_BYTES = 13
/** Above this one TextDecoder is faster than testing for ASCII here. */
const TEXT_DECODER_FROM_BYTES = 64

export function writeString(value: string, out: ByteWriter): void {
  const count = value.length
  if (count < NATIVE_FROM_CHARS) {
    const mark = out.length
    const start = out.reserve(count + 1)
    const bytes = out.bytes
    bytes[start] = count
    let i = 0
    for (; i < count; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) break
      bytes[start + 1 + i] = code
    }
    if (i === count) return
    out.length = mark
  }
  // A lone surrogate counts three bytes here, which is also what it takes below.
  const byteLength = Buffer.byteLength(value, 'utf8')
  out.varint(byteLength)
  const start = out.reserve(byteLength)
  if (byteLength === count) native.latin1Write.call(out.bytes, value, start, byteLength)
  else if (value.isWellFormed()) native.utf8Write.call(out.bytes, value, start, byteLength)
  else writeWtf8(value, out.bytes, start)
}

/** Three bytes a unit are enough; answers where they end. */
export function writeWtf8(value: string, bytes: Uint8Array, start: number): number {
  let at = start
  for (const character of value) {
    const code = character.codePointAt(0)! // iteration never yields an empty string
    if (code < 0x80) {
      bytes[at++] = code
      continue
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6)
    } else {
      if (code < 0x10000) {
        bytes[at++] = 0xe0 | (code >> 12)
      } else {
        bytes[at++] = 0xf0 | (code >> 18)
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f)
      }
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f)
    }
    bytes[at++] = 0x80 | (code & 0x3f)
  }
  return at
}

export function readString(input: ByteReader): string {
  const count = input.varint()
  const start = input.take(count)
  const end = start + count
  const bytes = input.bytes
  if (count < NATIVE_FROM_BYTES) {
    const text = shortAscii(bytes, start, end)
    if (text !== undefined) return text
  } else if (count < TEXT_DECODER_FROM_BYTES) {
    let i = start
    while (i < end && bytes[i]! < 128) i++ // inside the bounds that take() checked
    if (i === end) return native.latin1Slice.call(bytes, start, end)
  }
  const text = decodeUtf8(bytes, start, end)
  // U+FFFD was either written by the user, or stands for a lone surrogate or for broken bytes: the slow decoder tells.
  return text.includes('\ufffd') ? decodeWtf8(bytes, start, end) : text
}

function decodeWtf8(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let previousHigh = false
  for (let at = start; at < end; ) {
    const lead = bytes[at]! // at < end
    const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
    if (length === 0 || at + length > end) throw brokenString(at - start)
    let code = length === 1 ? lead : lead & (0x7f >> length)
    for (let i = 1; i < length; i++) {
      const byte = bytes[at + i]! // at + length <= end
      if ((byte & 0xc0) !== 0x80) throw brokenString(at - start)
      code = (code << 6) | (byte & 0x3f)
    }
    // Longer than needed, beyond Unicode, or a pair written as two: another spelling of the same string is never written.
    const low = (code & 0xfffffc00) === 0xdc00
    if ((length === 3 && code < 0x800) || (length === 4 && (code < 0x10000 || code > 0x10ffff)) || (low && previousHigh))
      throw brokenString(at - start)
    previousHigh = (code & 0xfffffc00) === 0xd800
    text += String.fromCodePoint(code)
    at += length
  }
  return text
}

function brokenString(offset: number): FlinkError {
  return new FlinkError('CORRUPT_FRAME', `an encoded string is broken at byte ${offset}`)
}
