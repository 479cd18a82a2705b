import { utf8Text } from '../common/utf8.ts'
import { dateOf, timestampOf } from './time-text.ts'
import { isUtf8 } from './utf8.ts'

/** What the generated readers call for the values that their loops do not read in place. */
export const powersOfTen: Float64Array = Float64Array.from({ length: 23 }, (_, i) => 10 ** i)

const LONG_MAX = 2n ** 63n - 1n

/** Digits of 16 and more as a long; false when it does not fit. */
export function longAt(longs: BigInt64Array, row: number, data: Uint8Array, from: number, to: number, negative: boolean): boolean {
  if (to - from > 19) return false
  const size = BigInt(utf8Text(data, from, to))
  if (size > LONG_MAX + (negative ? 1n : 0n)) return false
  longs[row] = negative ? -size : size
  return true
}

export function integerDigitsOf(max: number): number {
  return String(max).length
}

/** The closing quote of a string without escapes, from behind the opening one; -1 for any other and where it is not UTF-8. */
export function textEnd(data: Uint8Array, from: number, to: number): number {
  let bits = 0
  for (let at = from; at < to; at++) {
    const byte = data[at]!
    if (byte === 34) return bits < 128 || isUtf8(data, from, at) ? at : -1
    if (byte < 32 || byte === 92) return -1
    bits |= byte
  }
  return -1
}

export function quotedDate(data: Uint8Array, from: number, to: number): number {
  return dateOf(data, from, to)
}

export function quotedTimestamp(data: Uint8Array, from: number, to: number, iso: boolean, zulu: boolean): number {
  return timestampOf(data, from, to, iso ? 84 : 32, iso, zulu)
}

/** Behind an integer of up to 18 digits that a comma or brace follows; -1 for any other value. */
export function shortIntegerEnd(data: Uint8Array, from: number, to: number): number {
  let at = from
  if (at < to && data[at] === 45) at++
  const first = at
  while (at < to && data[at]! >= 48 && data[at]! <= 57) at++
  if (at === first || at >= to || at - first > 18 || (data[first] === 48 && at - first > 1)) return -1
  return data[at] === 44 || data[at] === 125 ? at : -1
}
