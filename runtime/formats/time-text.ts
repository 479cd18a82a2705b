import { DAY_MS, daysInMonth, daysOf } from '../common/civil.ts'

/**
 * Dates and times as they stand in records, from bytes to numbers and back, by Flink's formats. NaN = not of the format.
 *
 * Java resolves the day of SQL and ISO times leniently ("smart"): 30 February is the month's last day, and 24:00:00 is the next day's
 * midnight; a plain DATE must exist.
 */

/** A day by its ten bytes is asked for again and again: the last one is remembered. */
let cachedHigh = 0
let cachedLow = 0
let cachedTail = 0
let cachedDay = Number.NaN

/** `yyyy-MM-dd` at `at`, ten bytes that must be there; with `smart` a day up to 31 of any month. */
export function dayAt(data: Uint8Array, at: number, smart: boolean): number {
  const high = (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!
  const low = (data[at + 4]! << 24) | (data[at + 5]! << 16) | (data[at + 6]! << 8) | data[at + 7]!
  const tail = (data[at + 8]! << 8) | data[at + 9]!
  if (high === cachedHigh && low === cachedLow && tail === cachedTail) return cachedDay
  const day = parseDay(data, at, smart)
  // A day that only the lenient way knows is not remembered, so that the strict way never sees it.
  if (!Number.isNaN(day) && (!smart || !Number.isNaN(parseDay(data, at, false)))) {
    cachedHigh = high
    cachedLow = low
    cachedTail = tail
    cachedDay = day
  }
  return day
}

function parseDay(data: Uint8Array, at: number, smart: boolean): number {
  if (data[at + 4] !== DASH || data[at + 7] !== DASH) return Number.NaN
  const high = two(data, at)
  const low = two(data, at + 2)
  const month = two(data, at + 5)
  const day = two(data, at + 8)
  if (high < 0 || low < 0 || month < 1 || month > 12 || day < 1 || day > 31) return Number.NaN
  const year = high * 100 + low
  const last = daysInMonth(year, month)
  if (day > last && !smart) return Number.NaN
  return daysOf(year, month, Math.min(day, last))
}

/** `yyyy-MM-dd` and nothing else. */
export function dateOf(data: Uint8Array, from: number, to: number): number {
  return to - from === 10 ? dayAt(data, from, false) : Number.NaN
}

/** `HH:mm:ss` with an optional fraction, as ms of the day; `from..to` and nothing else. With `brief` the seconds may be missing. 24:00:00 is DAY_MS. */
export function timeOf(data: Uint8Array, from: number, to: number, brief: boolean): number {
  const hour = two(data, from)
  const minute = two(data, from + 3)
  if (to - from < 5 || hour < 0 || minute < 0 || data[from + 2] !== COLON || hour > 24 || minute > 59) return Number.NaN
  let ms = (hour * 60 + minute) * 60_000
  let exact = minute === 0
  if (to - from > 5 || !brief) {
    const second = two(data, from + 6)
    if (to - from < 8 || data[from + 5] !== COLON || second < 0 || second > 59) return Number.NaN
    ms += second * 1000
    exact &&= second === 0
    if (to - from > 8) {
      const digits = to - from - 9
      if (data[from + 8] !== POINT || digits > 9) return Number.NaN
      let scale = 100
      for (let at = from + 9; at < to; at++) {
        const digit = data[at]! - ZERO
        if (digit < 0 || digit > 9) return Number.NaN
        if (digit !== 0) exact = false
        if (scale >= 1) ms += digit * scale
        scale = scale === 1 ? 0 : scale / 10
      }
    }
  }
  return hour === 24 && !exact ? Number.NaN : ms
}

/** Epoch ms of `yyyy-MM-dd<separator>HH:mm:ss[.fraction][Z]`. */
export function timestampOf(data: Uint8Array, from: number, to: number, separator: number, brief: boolean, zulu: boolean): number {
  let end = to
  if (zulu) {
    if (data[to - 1] !== CAPITAL_Z) return Number.NaN
    end--
  }
  if (end - from < 16 || data[from + 10] !== separator) return Number.NaN
  return dayAt(data, from, true) * DAY_MS + timeOf(data, from + 11, end, brief)
}

/** A minute by its sixteen bytes, likewise. */
const cachedMinute = new Int32Array(4)
let cachedMinuteMs = Number.NaN

/** Epoch ms of `yyyy-MM-dd HH:mm:ss.SSS` at `at`, 23 bytes that must be there; NaN also for what only `timestampOf` knows (24:00:00.000). */
export function millisecondTimestamp(data: Uint8Array, view: DataView, at: number): number {
  const known =
    view.getInt32(at, true) === cachedMinute[0] &&
    view.getInt32(at + 4, true) === cachedMinute[1] &&
    view.getInt32(at + 8, true) === cachedMinute[2] &&
    view.getInt32(at + 12, true) === cachedMinute[3]
  if (!known) learnMinute(data, view, at)
  const tens = data[at + 17]! - ZERO
  const ones = data[at + 18]! - ZERO
  const hundreds = data[at + 20]! - ZERO
  const tenth = data[at + 21]! - ZERO
  const last = data[at + 22]! - ZERO
  if (data[at + 16] !== COLON || data[at + 19] !== POINT || tens >>> 0 > 5) return Number.NaN
  if (ones >>> 0 > 9 || hundreds >>> 0 > 9 || tenth >>> 0 > 9 || last >>> 0 > 9) return Number.NaN
  return cachedMinuteMs + (tens * 10_000 + ones * 1000 + hundreds * 100 + tenth * 10 + last)
}

/** Hour 24 has one moment only: it is left to those who look at the rest. */
function learnMinute(data: Uint8Array, view: DataView, at: number): void {
  const minute = data[at + 11] === ZERO + 2 && data[at + 12] === ZERO + 4 ? Number.NaN : timestampOf(data, at, at + 16, BLANK, true, false)
  for (let i = 0; i < 4; i++) cachedMinute[i] = view.getInt32(at + 4 * i, true)
  cachedMinuteMs = minute
}

function two(data: Uint8Array, at: number): number {
  const tens = data[at]! - ZERO
  const ones = data[at + 1]! - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
}

export const ZERO = 48
const BLANK = 32
const DASH = 45
const COLON = 58
const POINT = 46
const CAPITAL_Z = 90
