/** The proleptic Gregorian calendar by days since 1970-01-01, and times by milliseconds. No time zones here. */
export const DAY_MS = 86_400_000

/** Fields of a day, reused by callers: months and days count from 1. */
export interface Civil {
  year: number
  month: number
  day: number
}

export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

export function civilOf(days: number): Civil {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const m = Math.floor((5 * dayOfYear + 2) / 153)
  const month = m < 10 ? m + 3 : m - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * m + 2) / 5) + 1 }
}

export function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

export function daysInMonth(year: number, month: number): number {
  return month === 2 ? (isLeap(year) ? 29 : 28) : month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** The last day of the month when the day does not exist: 31 January + 1 month = 28 or 29 February. */
export function addMonths(days: number, months: number): number {
  const { year, month, day } = civilOf(days)
  const total = year * 12 + month - 1 + months
  const newYear = Math.floor(total / 12)
  const newMonth = total - newYear * 12 + 1
  return daysOf(newYear, newMonth, Math.min(day, daysInMonth(newYear, newMonth)))
}

export const dayOfMs = (ms: number): number => Math.floor(ms / DAY_MS)
export const timeOfMs = (ms: number): number => ms - Math.floor(ms / DAY_MS) * DAY_MS

/** 1 = Sunday … 7 = Saturday. */
export const dayOfWeek = (days: number): number => ((((days + 4) % 7) + 7) % 7) + 1
/** 1 = Monday … 7 = Sunday. */
export const isoDayOfWeek = (days: number): number => ((((days + 3) % 7) + 7) % 7) + 1

export function dayOfYear(days: number): number {
  return days - daysOf(civilOf(days).year, 1, 1) + 1
}

/** The year of the Thursday of the day's week. */
export function isoYear(days: number): number {
  return civilOf(days - isoDayOfWeek(days) + 4).year
}

export function isoWeek(days: number): number {
  const thursday = days - isoDayOfWeek(days) + 4
  return Math.floor((thursday - daysOf(civilOf(thursday).year, 1, 1)) / 7) + 1
}

const two = (value: number): string => (value < 10 ? `0${value}` : String(value))

export function dateText(days: number): string {
  const { year, month, day } = civilOf(days)
  return `${yearText(year)}-${two(month)}-${two(day)}`
}

function yearText(year: number): string {
  return year < 0 ? `-${String(-year).padStart(4, '0')}` : String(year).padStart(4, '0')
}

/** `10:11:12`, with `fractionDigits` (0 to 3) of the milliseconds. */
export function timeText(msOfDay: number, fractionDigits: number): string {
  const seconds = Math.floor(msOfDay / 1000)
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
  if (fractionDigits === 0) return text
  return `${text}.${String(msOfDay % 1000)
    .padStart(3, '0')
    .slice(0, fractionDigits)}`
}

export function timestampText(ms: number, fractionDigits: number): string {
  return `${dateText(dayOfMs(ms))} ${timeText(timeOfMs(ms), fractionDigits)}`
}

const datePattern = /^(\d{1,4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?$/

/** `2020-1-2`, `2020-01`, `2020`; undefined for anything else or a day that does not exist. */
export function parseDate(text: string): number | undefined {
  const match = datePattern.exec(text)
  if (match === null) return undefined
  const year = Number(match[1])
  const month = Number(match[2] ?? 1)
  const day = Number(match[3] ?? 1)
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  return daysOf(year, month, day)
}

const timePattern = /^(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?)?$/

export function parseTime(text: string): number | undefined {
  const match = timePattern.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)]
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + Number((match[4] ?? '').padEnd(3, '0').slice(0, 3))
}

/** `2020-01-02 03:04:05.678`, `2020-01-02`; a time has seconds; `24:00:00` is the end of the day. */
export function parseTimestamp(text: string): number | undefined {
  const at = text.includes(' ') ? text.indexOf(' ') : text.length
  const days = parseDate(text.slice(0, at))
  if (days === undefined) return undefined
  if (at === text.length) return days * DAY_MS
  const clock = text.slice(at + 1)
  if (/^24:0{1,2}:0{1,2}(\.0*)?$/.test(clock)) return (days + 1) * DAY_MS
  const time = /:.*:/.test(text) ? parseTime(clock) : undefined
  return time === undefined ? undefined : days * DAY_MS + time
}
