/**
 * Texts out of UTF-8; malformed bytes become U+FFFD. A call of the runtime costs more than a short text of ASCII does here.
 */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const SHORT_TEXT = 24

export function utf8Text(data: Uint8Array, start: number, end: number): string {
  return shortAscii(data, start, end) ?? decodeUtf8(data, start, end)
}

/** Four characters a call: each concatenation makes a string. Undefined where the text is long or a byte is no ASCII. */
export function shortAscii(data: Uint8Array, start: number, end: number): string | undefined {
  if (end - start >= SHORT_TEXT) return undefined
  let text = ''
  let i = start
  for (; i + 4 <= end; i += 4) {
    const a = data[i]!
    const b = data[i + 1]!
    const c = data[i + 2]!
    const d = data[i + 3]!
    if ((a | b | c | d) > 127) return undefined
    text += String.fromCharCode(a, b, c, d)
  }
  for (; i < end; i++) {
    const a = data[i]!
    if (a > 127) return undefined
    text += String.fromCharCode(a)
  }
  return text
}

/** By the runtime, of any length. */
export function decodeUtf8(data: Uint8Array, start: number, end: number): string {
  // TextDecoder refuses views of shared memory; slice copies out of it.
  return decoder.decode(data.buffer instanceof SharedArrayBuffer ? data.slice(start, end) : data.subarray(start, end))
}
