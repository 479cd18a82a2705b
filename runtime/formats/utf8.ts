/** As Java and TextDecoder in fatal mode: no overlong forms, no surrogates, nothing above U+10FFFF. */
export function isUtf8(data: Uint8Array, from: number, to: number): boolean {
  let at = from
  while (at < to) {
    const first = data[at]!
    if (first < 0x80) {
      at++
    } else if (first < 0xe0) {
      if (first < 0xc2 || at + 1 >= to || !isTail(data[at + 1]!)) return false
      at += 2
    } else if (first < 0xf0) {
      if (at + 2 >= to || !isTail(data[at + 1]!) || !isTail(data[at + 2]!)) return false
      const second = data[at + 1]!
      if ((first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f)) return false
      at += 3
    } else {
      if (first > 0xf4 || at + 3 >= to || !isTail(data[at + 1]!) || !isTail(data[at + 2]!) || !isTail(data[at + 3]!)) return false
      const second = data[at + 1]!
      if ((first === 0xf0 && second < 0x90) || (first === 0xf4 && second > 0x8f)) return false
      at += 4
    }
  }
  return true
}

function isTail(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

export const utf8Encoder = new TextEncoder()
