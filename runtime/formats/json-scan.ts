import { isUtf8 } from './utf8.ts'

/** What a value is, by its first byte. MISSING is for the columns whose key has not come. */
export const MISSING = 0
export const NULL = 1
export const STRING = 2
export const INTEGER = 3
export const FRACTION = 4
export const TRUE = 5
export const FALSE = 6
export const OBJECT = 7
export const ARRAY = 8

export const DEPTH_MAX = 1000
const NUMBER_LENGTH_MAX = 1000

/** No position: the bytes are no JSON there; `problem` and `problemAt` say why and where. */
export const FAILED = -1

/**
 * JSON (RFC 8259, control characters in strings allowed as Flink allows them) in bytes, without making values. Positions go in and come out; a method that answers FAILED has left word in `problem`.
 * Held to by the generated loops: they take no record that this refuses.
 */
export class JsonScanner {
  data: Uint8Array = new Uint8Array(0)
  /** End of the record: nothing is read from there on. */
  to = 0
  problem = ''
  problemAt = 0
  /** The string scanned last has a backslash. */
  escaped = false
  /** The value scanned last, one of the kinds above. */
  kind = MISSING

  fail(at: number, problem: string): number {
    this.problem = at >= this.to ? 'the record ends early' : problem
    this.problemAt = Math.min(at, this.to)
    return FAILED
  }

  space(from: number): number {
    const { data, to } = this
    let at = from
    while (at < to) {
      const byte = data[at]!
      if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) break
      at++
    }
    return at
  }

  /** From behind the opening quote to the closing one. */
  string(from: number): number {
    const { data, to } = this
    let bits = 0
    let at = from
    this.escaped = false
    for (; at < to; at++) {
      const byte = data[at]!
      if (byte === QUOTE) {
        if (bits >= 0x80 && !isUtf8(data, from, at)) return this.fail(from, 'a string is not UTF-8')
        return at
      }
      bits |= byte
      if (byte === BACKSLASH) {
        this.escaped = true
        at = this.escape(at)
        if (at < 0) return FAILED
      }
    }
    return this.fail(at, '')
  }

  /** From the first byte of a value to behind it. */
  value(from: number, depth: number): number {
    const { data } = this
    if (from >= this.to) return this.fail(from, '')
    switch (data[from]) {
      case QUOTE: {
        const end = this.string(from + 1)
        this.kind = STRING
        return end < 0 ? FAILED : end + 1
      }
      case OPEN_BRACE:
        return this.object(from + 1, depth + 1)
      case OPEN_BRACKET:
        return this.array(from + 1, depth + 1)
      case 116:
        this.kind = TRUE
        return this.word(from, 'true')
      case 102:
        this.kind = FALSE
        return this.word(from, 'false')
      case 110:
        this.kind = NULL
        return this.word(from, 'null')
      default:
        return this.number(from)
    }
  }

  private escape(at: number): number {
    const { data, to } = this
    if (at + 1 >= to) return this.fail(to, '')
    switch (data[at + 1]) {
      case QUOTE:
      case BACKSLASH:
      case 47:
      case 98:
      case 102:
      case 110:
      case 114:
      case 116:
        return at + 1
      case 117:
        for (let i = at + 2; i < at + 6; i++) if (i >= to || hexDigit(data[i]!) < 0) return this.fail(i, 'an escape has no four hexadecimal digits')
        return at + 5
      default:
        return this.fail(at, 'an escape is unknown')
    }
  }

  private word(from: number, word: string): number {
    for (let i = 0; i < word.length; i++)
      if (from + i >= this.to || this.data[from + i] !== word.charCodeAt(i)) return this.fail(from + i, 'a word is unknown')
    return this.delimited(from + word.length)
  }

  private number(from: number): number {
    const { data, to } = this
    let at = from
    this.kind = INTEGER
    if (data[at] === 45) at++
    const digits = at
    while (at < to && isDigit(data[at]!)) at++
    if (at === digits) return this.fail(at, 'a value is expected')
    if (data[digits] === 48 && at - digits > 1) return this.fail(digits, 'a number has a leading zero')
    if (at < to && data[at] === 46) {
      this.kind = FRACTION
      const fraction = ++at
      while (at < to && isDigit(data[at]!)) at++
      if (at === fraction) return this.fail(at, 'a digit is expected')
    }
    if (at < to && (data[at]! | 32) === 101) {
      this.kind = FRACTION
      at++
      if (at < to && (data[at] === 43 || data[at] === 45)) at++
      const exponent = at
      while (at < to && isDigit(data[at]!)) at++
      if (at === exponent) return this.fail(at, 'a digit is expected')
    }
    if (at - from > NUMBER_LENGTH_MAX) return this.fail(from, 'a number is too long')
    return this.delimited(at)
  }

  /** Behind a number or a word only blanks, a comma or the end of something may come. */
  private delimited(at: number): number {
    if (at >= this.to) return at
    const byte = this.data[at]!
    return byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= 32 ? at : this.fail(at, 'a comma is expected')
  }

  /** From behind the opening brace. */
  private object(from: number, depth: number): number {
    const { data } = this
    if (depth > DEPTH_MAX) return this.fail(from - 1, `values are nested deeper than ${DEPTH_MAX}`)
    let at = this.space(from)
    if (at < this.to && data[at] === CLOSE_BRACE) {
      this.kind = OBJECT
      return at + 1
    }
    for (;;) {
      at = this.key(at)
      if (at < 0) return FAILED
      at = this.value(at, depth)
      if (at < 0) return FAILED
      at = this.space(at)
      if (at < this.to && data[at] === CLOSE_BRACE) break
      if (at >= this.to || data[at] !== COMMA) return this.fail(at, 'a comma is expected')
      at = this.space(at + 1)
    }
    this.kind = OBJECT
    return at + 1
  }

  /** From the quote of a key to the first byte of its value. */
  private key(from: number): number {
    if (from >= this.to || this.data[from] !== QUOTE) return this.fail(from, 'a key is expected')
    const end = this.string(from + 1)
    if (end < 0) return FAILED
    return this.colon(end + 1)
  }

  colon(from: number): number {
    const at = this.space(from)
    if (at >= this.to || this.data[at] !== COLON) return this.fail(at, 'a colon is expected')
    return this.space(at + 1)
  }

  private array(from: number, depth: number): number {
    const { data } = this
    if (depth > DEPTH_MAX) return this.fail(from - 1, `values are nested deeper than ${DEPTH_MAX}`)
    let at = this.space(from)
    if (at < this.to && data[at] === CLOSE_BRACKET) {
      this.kind = ARRAY
      return at + 1
    }
    for (;;) {
      at = this.value(at, depth)
      if (at < 0) return FAILED
      at = this.space(at)
      if (at < this.to && data[at] === CLOSE_BRACKET) break
      if (at >= this.to || data[at] !== COMMA) return this.fail(at, 'a comma is expected')
      at = this.space(at + 1)
    }
    this.kind = ARRAY
    return at + 1
  }
}

/** The bytes of a scanned string with escapes; a lone surrogate becomes `?`, as Java writes it. */
export function unescaped(data: Uint8Array, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from)
  let out = 0
  let at = from
  while (at < to) {
    const byte = data[at]!
    if (byte !== BACKSLASH) {
      bytes[out++] = byte
      at++
      continue
    }
    const what = data[at + 1]!
    if (what !== 117) {
      bytes[out++] = what === 98 ? 8 : what === 102 ? 12 : what === 110 ? 10 : what === 114 ? 13 : what === 116 ? 9 : what
      at += 2
      continue
    }
    let code = codeUnit(data, at + 2)
    at += 6
    if (code >= 0xd800 && code < 0xdc00 && at + 6 <= to && data[at] === BACKSLASH && data[at + 1] === 117) {
      const low = codeUnit(data, at + 2)
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
        at += 6
      }
    }
    out = writeCode(bytes, out, code)
  }
  return bytes.subarray(0, out)
}

function writeCode(bytes: Uint8Array, at: number, code: number): number {
  if (code < 0x80) {
    bytes[at] = code
    return at + 1
  }
  if (code < 0x800) {
    bytes[at] = 0xc0 | (code >> 6)
    bytes[at + 1] = 0x80 | (code & 63)
    return at + 2
  }
  if (code >= 0xd800 && code < 0xe000) {
    bytes[at] = 63
    return at + 1
  }
  if (code < 0x10000) {
    bytes[at] = 0xe0 | (code >> 12)
    bytes[at + 1] = 0x80 | ((code >> 6) & 63)
    bytes[at + 2] = 0x80 | (code & 63)
    return at + 3
  }
  bytes[at] = 0xf0 | (code >> 18)
  bytes[at + 1] = 0x80 | ((code >> 12) & 63)
  bytes[at + 2] = 0x80 | ((code >> 6) & 63)
  bytes[at + 3] = 0x80 | (code & 63)
  return at + 4
}

function codeUnit(data: Uint8Array, at: number): number {
  return (hexDigit(data[at]!) << 12) | (hexDigit(data[at + 1]!) << 8) | (hexDigit(data[at + 2]!) << 4) | hexDigit(data[at + 3]!)
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57
}

export const QUOTE = 34
export const BACKSLASH = 92
export const COMMA = 44
export const COLON = 58
export const OPEN_BRACE = 123
export const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
