import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'

/**
 * Strings as `ByteWriter.string` writes them (length in bytes, UTF-8), except that a lone surrogate keeps its three bytes (ED A0..BF xx,
 * "WTF-8") instead of becoming U+FFFD. A key is hashed before the edge and again behind it: a string that changed on the way would
 * be looked up in a key group that its subtask does not own.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
const NATIVE_FROM_CHARS = 256
const NATIVE_FROM_BYTES = 24

export function writeString(value: string, out: ByteWriter): void {
  const count = value.length
  if (count < 128) {
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
  writeAnyString(value, out)
}

function writeAnyString(value: string, out: ByteWriter): void {
  // A lone surrogate counts three bytes here, which is also what it takes below.
  const byteLength = Buffer.byteLength(value, 'utf8')
  out.varint(byteLength)
  const start = out.reserve(byteLength)
  if (value.length >= NATIVE_FROM_CHARS && value.isWellFormed()) {
    encoder.encodeInto(value, out.bytes.subarray(start, start + byteLength))
    return
  }
  const bytes = out.bytes
  let at = start
  for (let i = 0; i < value.length; i++) {
    let code = value.charCodeAt(i)
    if (code < 0x80) {
      bytes[at++] = code
      continue
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6)
      bytes[at++] = 0x80 | (code & 0x3f)
      continue
    }
    if ((code & 0xfc00) === 0xd800 && i + 1 < value.length) {
      const low = value.charCodeAt(i + 1)
      if ((low & 0xfc00) === 0xdc00) {
        i++
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff)
        bytes[at++] = 0xf0 | (code >> 18)
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f)
        bytes[at++] = 0x80 | ((code >> 6) & 0x3f)
        bytes[at++] = 0x80 | (code & 0x3f)
        continue
      }
    }
    bytes[at++] = 0xe0 | (code >> 12)
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f)
    bytes[at++] = 0x80 | (code & 0x3f)
  }
}

export function readString(input: ByteReader): string {
  const count = input.varint()
  const start = input.take(count)
  const end = start + count
  const bytes = input.bytes
  if (count < NATIVE_FROM_BYTES) {
    let text = ''
    let i = start
    for (; i < end; i++) {
      const byte = bytes[i]! // inside the bounds that take() checked
      if (byte > 127) break
      text += String.fromCharCode(byte)
    }
    if (i === end) return text
  }
  // TextDecoder refuses views of shared memory; slice() copies out of it.
  const text = decoder.decode(bytes.buffer instanceof SharedArrayBuffer ? bytes.slice(start, end) : bytes.subarray(start, end))
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
