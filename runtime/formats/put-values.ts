import { civilOf, DAY_MS } from '../common/civil.ts'
import { doubleText, strippedDecimal } from './write-values.ts'

/**
 * Values as bytes at a place, for the generated writers: each answers the place behind what it put, and makes no strings for the values that
 * come often. The caller has made room: `roomOf` says how much. Twin: `write-values.ts`, which the interpreted writers call.
 */
export const INTEGER_ROOM = 20
export const DECIMAL_ROOM = 48
export const DOUBLE_ROOM = 28
export const TIME_ROOM = 48

export function putAscii(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
  return at + text.length
}

export function putInt(bytes: Uint8Array, at: number, value: number): number {
  if (value >= 0) return putDigits(bytes, at, value)
  bytes[at] = MINUS
  // The smallest int has no int of its size.
  return value === INT_MIN ? putAscii(bytes, at + 1, '2147483648') : putDigits(bytes, at + 1, -value)
}

/** Of a whole number below 2^31. */
function putDigits(bytes: Uint8Array, at: number, value: number): number {
  let rest = value | 0
  const end = at + digitCount(rest)
  for (let i = end - 1; i >= at; i--) {
    const next = (rest / 10) | 0
    bytes[i] = ZERO + rest - next * 10
    rest = next
  }
  return end
}

function digitCount(value: number): number {
  if (value < 10_000) return value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : 4
  if (value < 100_000_000) return value < 1_000_000 ? (value < 100_000 ? 5 : 6) : value < 10_000_000 ? 7 : 8
  return value < 1_000_000_000 ? 9 : 10
}

/** With zeros in front. */
function putPadded(bytes: Uint8Array, at: number, value: number, count: number): number {
  let rest = value | 0
  for (let i = at + count - 1; i >= at; i--) {
    const next = (rest / 10) | 0
    bytes[i] = ZERO + rest - next * 10
    rest = next
  }
  return at + count
}

/** Of a whole number below 2^53. */
function putWhole(bytes: Uint8Array, at: number, value: number): number {
  if (value < HALF) return putDigits(bytes, at, value)
  const high = Math.floor(value / HALF)
  return putPadded(bytes, putDigits(bytes, at, high), value - high * HALF, HALF_DIGITS)
}

/** A long by its words: a bigint is made only where no double holds it. */
export function putLong(bytes: Uint8Array, at: number, low: number, high: number): number {
  if (high === 0 && low >= 0) return putDigits(bytes, at, low)
  if (high < -HIGH_MAX || high >= HIGH_MAX) return putAscii(bytes, at, String((BigInt(high) << 32n) | BigInt(low >>> 0)))
  const value = high * 4_294_967_296 + (low >>> 0)
  if (value >= 0) return putWhole(bytes, at, value)
  bytes[at] = MINUS
  return putWhole(bytes, at + 1, -value)
}

/** Java's BigDecimal without zeros at its end, of an unscaled long by its words. */
export function putDecimal(bytes: Uint8Array, at: number, low: number, high: number, scale: number, plain: boolean): number {
  if (high < -HIGH_MAX || high >= HIGH_MAX) return putAscii(bytes, at, strippedDecimal((BigInt(high) << 32n) | BigInt(low >>> 0), scale, plain))
  const signed = high * 4_294_967_296 + (low >>> 0)
  let value = Math.abs(signed)
  let places = scale
  while (places > 0 && value % 10 === 0 && value !== 0) {
    value /= 10
    places--
  }
  // Where an exponent may be written: the interpreter's text.
  if (value === 0 || (!plain && (value % 10 === 0 || places > 6))) return putAscii(bytes, at, strippedDecimal(BigInt(signed), scale, plain))
  let out = at
  if (signed < 0) bytes[out++] = MINUS
  if (places === 0) return putWhole(bytes, out, value)
  const unit = powersOfTen[places]!
  const whole = Math.floor(value / unit)
  out = putWhole(bytes, out, whole)
  bytes[out++] = POINT
  return putFraction(bytes, out, value - whole * unit, places)
}

function putFraction(bytes: Uint8Array, at: number, value: number, places: number): number {
  if (places <= HALF_DIGITS) return putPadded(bytes, at, value, places)
  let rest = value
  for (let i = at + places - 1; i >= at; i--) {
    const next = Math.floor(rest / 10)
    // In this order: 48 more than the largest safe integer is no exact double.
    bytes[i] = rest - next * 10 + ZERO
    rest = next
  }
  return at + places
}

/**
 * Java's `Double.toString`. A double that is a number of thousandths is written by its digits: they are at most 15, and no shorter decimal
 * of up to 15 digits is the same double.
 */
export function putDouble(bytes: Uint8Array, at: number, value: number): number {
  const size = Math.abs(value)
  if (size >= 1e-3 && size < 1e7) {
    const thousandths = Math.round(size * 1000)
    if (thousandths / 1000 === size) {
      let out = at
      if (value < 0) bytes[out++] = MINUS
      const whole = Math.floor(thousandths / 1000)
      out = putDigits(bytes, out, whole)
      bytes[out++] = POINT
      out = putPadded(bytes, out, thousandths - whole * 1000, 3)
      while (bytes[out - 1] === ZERO && bytes[out - 2] !== POINT) out--
      return out
    }
  }
  return putAscii(bytes, at, doubleText(value, false))
}

export function putFloat(bytes: Uint8Array, at: number, value: number): number {
  return putAscii(bytes, at, doubleText(value, true))
}

/** The bytes of a day are asked for again and again: the last ones are remembered. */
const dayBytes = new Uint8Array(16)
let dayLength = 0
let dayWritten = Number.NaN

export function putDate(bytes: Uint8Array, at: number, day: number): number {
  if (day !== dayWritten) {
    const civil = civilOf(day)
    const size = Math.abs(civil.year)
    let end = 0
    if (civil.year < 0) dayBytes[end++] = MINUS
    else if (size > 9999) dayBytes[end++] = PLUS
    end = size > 9999 ? putDigits(dayBytes, end, size) : putPadded(dayBytes, end, size, 4)
    dayBytes[end++] = MINUS
    end = putPadded(dayBytes, end, civil.month, 2)
    dayBytes[end++] = MINUS
    dayLength = putPadded(dayBytes, end, civil.day, 2)
    dayWritten = day
  }
  for (let i = 0; i < dayLength; i++) bytes[at + i] = dayBytes[i]!
  return at + dayLength
}

/** `10:11:12`, with the milliseconds up to their last digit that is not 0 where `ms` has some. */
export function putTime(bytes: Uint8Array, at: number, ms: number): number {
  const seconds = (ms / 1000) | 0
  const fraction = ms - seconds * 1000
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  putPadded(bytes, at, hours, 2)
  bytes[at + 2] = COLON
  putPadded(bytes, at + 3, minutes - hours * 60, 2)
  bytes[at + 5] = COLON
  let out = putPadded(bytes, at + 6, seconds - minutes * 60, 2)
  if (fraction === 0) return out
  bytes[out] = POINT
  out = putPadded(bytes, out + 1, fraction, 3)
  while (bytes[out - 1] === ZERO) out--
  return out
}

export function putTimestamp(bytes: Uint8Array, at: number, ms: number, separator: number): number {
  const day = Math.floor(ms / DAY_MS)
  const out = putDate(bytes, at, day)
  bytes[out] = separator
  return putTime(bytes, out + 1, ms - day * DAY_MS)
}

/** Bytes that a JSON string holds as they are; others leave the loop. */
const escaped = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 32 || byte === 34 || byte === 92 || byte >= 0xf0 ? 1 : 0))

/** Copies up to the first byte that JSON escapes; answers how many. */
export function putPlain(bytes: Uint8Array, at: number, data: Uint8Array, from: number, to: number): number {
  let out = at
  for (let i = from; i < to; i++) {
    const byte = data[i]!
    if (escaped[byte] !== 0) return i - from
    bytes[out++] = byte
  }
  return to - from
}

/**
 * A text of a CSV record, room for twice its length and two quotes: as it is up to 24 UTF-16 units without a byte below `safeMin` or a backslash,
 * else in quotes with quotes and escapes doubled. Without a quote character (-1) always as it is.
 */
export function putCsvText(
  bytes: Uint8Array,
  at: number,
  data: Uint8Array,
  from: number,
  to: number,
  safeMin: number,
  quote: number,
  escaping: number,
): number {
  let out = at
  let units = 0
  let i = from
  for (; i < to; i++) {
    const byte = data[i]!
    if (quote >= 0) {
      if (byte < safeMin || byte === BACKSLASH) break
      if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1
      if (units > QUOTE_CHECK_MAX) break
    }
    bytes[out++] = byte
  }
  if (i === to) return out
  out = at
  bytes[out++] = quote
  for (i = from; i < to; i++) {
    const byte = data[i]!
    if (byte === quote || byte === escaping) bytes[out++] = byte
    bytes[out++] = byte
  }
  bytes[out++] = quote
  return out
}

const BASE64 = Uint8Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', character => character.charCodeAt(0))

export function putBase64(bytes: Uint8Array, at: number, data: Uint8Array, from: number, to: number): number {
  let out = at
  let i = from
  for (; i + 2 < to; i += 3) {
    const three = (data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!
    bytes[out] = BASE64[three >> 18]!
    bytes[out + 1] = BASE64[(three >> 12) & 63]!
    bytes[out + 2] = BASE64[(three >> 6) & 63]!
    bytes[out + 3] = BASE64[three & 63]!
    out += 4
  }
  if (i === to) return out
  const rest = (data[i]! << 16) | (i + 1 < to ? data[i + 1]! << 8 : 0)
  bytes[out] = BASE64[rest >> 18]!
  bytes[out + 1] = BASE64[(rest >> 12) & 63]!
  bytes[out + 2] = i + 1 < to ? BASE64[(rest >> 6) & 63]! : EQUALS
  bytes[out + 3] = EQUALS
  return out + 4
}

/** Texts up to this length are looked through for characters to quote, longer ones are quoted, as Flink's writer does. */
const QUOTE_CHECK_MAX = 24
/** 2^53 is this many times 2^32. */
const HIGH_MAX = 2_097_152
const HALF_DIGITS = 8
const HALF = 100_000_000
const INT_MIN = -2_147_483_648
const powersOfTen: Float64Array = Float64Array.from({ length: 19 }, (_, i) => 10 ** i)
const ZERO = 48
const MINUS = 45
const PLUS = 43
const POINT = 46
const COLON = 58
const EQUALS = 61
const BACKSLASH = 92
