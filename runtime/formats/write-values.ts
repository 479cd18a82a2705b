import type { ByteWriter } from '../common/bytes.ts'
import { civilOf } from '../common/civil.ts'
import { utf8Text } from '../common/utf8.ts'
import { utf8Encoder } from './utf8.ts'

/** Values as the texts that Flink's formats write, appended as bytes. */
const DIGITS_MAX = 20

export function writeInteger(writer: ByteWriter, value: number): void {
  const start = writer.reserve(DIGITS_MAX)
  const { bytes } = writer
  let at = start
  let rest = value
  if (value < 0) {
    bytes[at++] = 45
    rest = -value
  }
  let end = at + 1
  for (let bound = 10; rest >= bound; bound *= 10) end++
  for (let i = end - 1; i >= at; i--) {
    const next = Math.floor(rest / 10)
    // In this order: 48 more than the largest safe integer is no exact double.
    bytes[i] = rest - next * 10 + 48
    rest = next
  }
  writer.length = end
}

export function writeAscii(writer: ByteWriter, text: string): void {
  const start = writer.reserve(text.length)
  const { bytes } = writer
  for (let i = 0; i < text.length; i++) bytes[start + i] = text.charCodeAt(i)
}

/** Java's `Double.toString` and `Float.toString` (shortest digits): `1.0`, `1.0E7`, `1.5E-5`, `NaN`. */
export function doubleText(value: number, float: boolean): string {
  if (Number.isNaN(value)) return 'NaN'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return `${sign}Infinity`
  if (size === 0) return `${sign}0.0`
  if (Number.isInteger(size) && size < 1e7) return `${value}.0`
  const shortest = float ? shortestFloat(size) : String(size)
  if (size >= 1e-3 && size < 1e7) return sign + shortest
  const [mantissa = '', exponentText = '0'] = shortest.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const significant = (whole + fraction).replace(/^0+/, '')
  const leadingZeros = (whole + fraction).length - significant.length
  const digits = significant.replace(/0+$/, '')
  const exponent = whole.length - leadingZeros + Number(exponentText) - 1
  return `${sign}${digits[0] ?? '0'}.${digits.slice(1) || '0'}E${exponent}`
}

/** The fewest digits that read back as the same float. */
function shortestFloat(value: number): string {
  for (let precision = 1; precision < 9; precision++) {
    const text = value.toPrecision(precision)
    if (Math.fround(Number(text)) === value) return String(Number(text))
  }
  return String(Number(value.toPrecision(9)))
}

/** As Java's BigDecimal without zeros at its end prints: `1.5`, `1E-8`, `1E+2`, `0`; `plain` without exponents. */
export function strippedDecimal(unscaled: bigint, scale: number, plain: boolean): string {
  if (unscaled === 0n) return '0'
  const sign = unscaled < 0n ? '-' : ''
  let digits = (unscaled < 0n ? -unscaled : unscaled).toString()
  let places = scale
  const zeros = /0*$/.exec(digits)?.[0].length ?? 0
  digits = digits.slice(0, digits.length - zeros)
  places -= zeros
  const exponent = digits.length - 1 - places
  if (!plain && (places < 0 || exponent < -6)) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ''
    return `${sign}${digits[0] ?? '0'}${fraction}E${exponent >= 0 ? '+' : ''}${exponent}`
  }
  if (places <= 0) return sign + digits + '0'.repeat(-places)
  const padded = digits.padStart(places + 1, '0')
  return `${sign}${padded.slice(0, -places)}.${padded.slice(-places)}`
}

/** A decimal of more digits than a long has: its unscaled value is a text in the column. */
export function strippedDecimalOfText(writer: ByteWriter, data: Uint8Array, from: number, to: number, scale: number, plain: boolean): void {
  writeAscii(writer, strippedDecimal(BigInt(utf8Text(data, from, to)), scale, plain))
}

/** The last day's text is used again and again. */
let writtenDay = Number.NaN
let writtenDate = ''

export function dateText(day: number): string {
  if (day === writtenDay) return writtenDate
  const { year, month, day: dayOfMonth } = civilOf(day)
  // Java's year of the era has four digits, more get a sign.
  const yearText = `${year < 0 ? '-' : year > 9999 ? '+' : ''}${String(Math.abs(year)).padStart(4, '0')}`
  writtenDay = day
  writtenDate = `${yearText}-${two(month)}-${two(dayOfMonth)}`
  return writtenDate
}

/** `10:11:12`, with the milliseconds up to their last digit that is not 0. */
export function timeText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const rest = ms - seconds * 1000
  const fraction = rest === 0 ? '' : `.${String(rest).padStart(3, '0').replace(/0+$/, '')}`
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`
}

/** `2020-02-29 10:11:12.5`, `2020-02-29T10:11:12Z`, as bytes without a string on the way. */
export function writeTimestamp(writer: ByteWriter, ms: number, separator: number, zulu: boolean): void {
  const day = Math.floor(ms / 86_400_000)
  writeAscii(writer, dateText(day))
  let rest = ms - day * 86_400_000
  const start = writer.reserve(14)
  const { bytes } = writer
  const fraction = rest % 1000
  rest = (rest - fraction) / 1000
  const second = rest % 60
  const minute = ((rest - second) / 60) % 60
  bytes[start] = separator
  writeTwo(bytes, start + 1, Math.floor(rest / 3600))
  bytes[start + 3] = 58
  writeTwo(bytes, start + 4, minute)
  bytes[start + 6] = 58
  writeTwo(bytes, start + 7, second)
  let end = start + 9
  if (fraction > 0) {
    const tens = Math.floor(fraction / 10)
    bytes[end] = 46
    writeTwo(bytes, end + 1, tens)
    bytes[end + 3] = 48 + fraction - tens * 10
    end += 4
    while (bytes[end - 1] === 48) end--
  }
  if (zulu) bytes[end++] = 90
  writer.length = end
}

function writeTwo(bytes: Uint8Array, at: number, value: number): void {
  const tens = Math.floor(value / 10)
  bytes[at] = 48 + tens
  bytes[at + 1] = 48 + value - tens * 10
}

/** Short pieces: a loop costs less than a view to copy from. */
export function writePiece(writer: ByteWriter, piece: Uint8Array): void {
  const { length } = piece
  const start = writer.reserve(length)
  const { bytes } = writer
  for (let i = 0; i < length; i++) bytes[start + i] = piece[i]!
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}

export function base64Text(data: Uint8Array, from: number, to: number): string {
  let binary = ''
  for (let at = from; at < to; at++) binary += String.fromCharCode(data[at]!)
  return btoa(binary)
}

/** A JSON string with its quotes. Characters beyond U+FFFF are written as two escapes, as Flink writes them. */
export function writeJsonString(writer: ByteWriter, data: Uint8Array, from: number, to: number): void {
  const length = to - from
  const start = writer.reserve(length + 2)
  const { bytes } = writer
  bytes[start] = 34
  for (let i = 0; i < length; i++) {
    const byte = data[from + i]!
    if (byte < 32 || byte === 34 || byte === 92 || byte >= 0xf0) {
      writer.length = start + 1 + i
      writeEscaped(writer, data, from + i, to)
      return
    }
    bytes[start + 1 + i] = byte
  }
  bytes[start + 1 + length] = 34
}

const HEX = '0123456789ABCDEF'

/** The rest of a string from its first character that needs an escape, and the closing quote. */
export function writeEscaped(writer: ByteWriter, data: Uint8Array, from: number, to: number): void {
  // A byte becomes six at most, four bytes of one character twelve.
  let out = writer.reserve((to - from) * 6 + 1)
  const { bytes } = writer
  let at = from
  while (at < to) {
    const byte = data[at++]!
    if (byte === 34 || byte === 92) {
      bytes[out++] = 92
      bytes[out++] = byte
    } else if (byte < 32) {
      const short = byte === 8 ? 98 : byte === 9 ? 116 : byte === 10 ? 110 : byte === 12 ? 102 : byte === 13 ? 114 : 0
      if (short !== 0) {
        bytes[out++] = 92
        bytes[out++] = short
      } else {
        out = writeUnit(bytes, out, byte)
      }
    } else if (byte >= 0xf0 && at + 3 <= to) {
      const code = (((byte & 7) << 18) | ((data[at]! & 63) << 12) | ((data[at + 1]! & 63) << 6) | (data[at + 2]! & 63)) - 0x10000
      at += 3
      out = writeUnit(bytes, out, 0xd800 + (code >> 10))
      out = writeUnit(bytes, out, 0xdc00 + (code & 1023))
    } else {
      bytes[out++] = byte
    }
  }
  bytes[out++] = 34
  writer.length = out
}

function writeUnit(bytes: Uint8Array, at: number, unit: number): number {
  bytes[at] = 92
  bytes[at + 1] = 117
  for (let i = 0; i < 4; i++) bytes[at + 2 + i] = HEX.charCodeAt((unit >> (12 - 4 * i)) & 15)
  return at + 6
}

/** A key with what stands in front of it: the comma, or nothing. */
export function keyBytes(name: string, before: string): Uint8Array {
  return utf8Encoder.encode(`${before}${JSON.stringify(name)}:`)
}
