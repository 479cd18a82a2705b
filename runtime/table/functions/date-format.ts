import { civilOf, DAY_MS, dayOfMs, dayOfWeek, dayOfYear, daysInMonth, daysOf, isoDayOfWeek, timeOfMs } from '../../common/civil.ts'
import { FlinkError } from '../../common/errors.ts'

/** Java's date patterns as far as they are used: y u M d D E a H h K k m s S Q, quoted text and punctuation. Other letters are refused by name. */
type Piece = { readonly letter: string; readonly count: number } | { readonly text: string }

const months = 'January February March April May June July August September October November December'.split(' ')
const weekdays = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split(' ')

export interface DatePattern {
  format(localMs: number): string
  /** undefined when the text does not follow the pattern. */
  parse(text: string): number | undefined
  /**
   * As Java's SimpleDateFormat reads: the text may go on behind what the pattern takes, numbers have any count of digits, and what is too large
   * goes over (February 30 is March 1).
   */
  parseLeniently(text: string): number | undefined
}

const cache = new Map<string, DatePattern>()
const CACHE_MAX = 1000

export function datePattern(pattern: string): DatePattern {
  const known = cache.get(pattern)
  if (known !== undefined) return known
  const pieces = split(pattern)
  const compiled = {
    format: (ms: number) => pieces.map(piece => formatPiece(piece, ms)).join(''),
    parse: (text: string) => parseText(pieces, text, false),
    parseLeniently: (text: string) => parseText(pieces, text, true),
  }
  if (cache.size >= CACHE_MAX) cache.clear()
  cache.set(pattern, compiled)
  return compiled
}

function split(pattern: string): Piece[] {
  const pieces: Piece[] = []
  for (let i = 0; i < pattern.length; ) {
    const letter = pattern[i] ?? ''
    if (letter === "'") {
      const end = pattern.indexOf("'", i + 1)
      if (end < 0) throw new FlinkError('INVALID_ARGUMENT', `date pattern '${pattern}' has a quote that does not end`, { pattern })
      pieces.push({ text: end === i + 1 ? "'" : pattern.slice(i + 1, end) })
      i = end + 1
    } else if (/[A-Za-z]/.test(letter)) {
      let count = 1
      while (pattern[i + count] === letter) count++
      if (!'yuMLdDEaHhKkmsSQw'.includes(letter))
        throw new FlinkError('UNSUPPORTED', `letter ${letter} of date pattern '${pattern}' is not supported yet`, { pattern })
      pieces.push({ letter, count })
      i += count
    } else {
      pieces.push({ text: letter })
      i++
    }
  }
  return pieces
}

function formatPiece(piece: Piece, ms: number): string {
  if ('text' in piece) return piece.text
  const { letter, count } = piece
  const days = dayOfMs(ms)
  const time = timeOfMs(ms)
  const hour = Math.floor(time / 3_600_000)
  const number = (value: number) => String(value).padStart(count, '0')
  const { year, month, day } = civilOf(days)
  switch (letter) {
    case 'y':
    case 'u':
      return count === 2 ? String(((year % 100) + 100) % 100).padStart(2, '0') : number(letter === 'y' && year < 1 ? 1 - year : year)
    case 'M':
    case 'L':
      return count < 3 ? number(month) : count === 3 ? (months[month - 1] ?? '').slice(0, 3) : (months[month - 1] ?? '')
    case 'd':
      return number(day)
    case 'D':
      return number(dayOfYear(days))
    case 'w':
      return number(usWeek(days))
    case 'E':
      return count < 4 ? (weekdays[isoDayOfWeek(days) - 1] ?? '').slice(0, 3) : (weekdays[isoDayOfWeek(days) - 1] ?? '')
    case 'a':
      return hour < 12 ? 'AM' : 'PM'
    case 'H':
      return number(hour)
    case 'k':
      return number(hour === 0 ? 24 : hour)
    case 'K':
      return number(hour % 12)
    case 'h':
      return number(hour % 12 === 0 ? 12 : hour % 12)
    case 'm':
      return number(Math.floor(time / 60_000) % 60)
    case 's':
      return number(Math.floor(time / 1000) % 60)
    case 'S':
      return String(time % 1000)
        .padStart(3, '0')
        .padEnd(count, '0')
        .slice(0, count)
    default: {
      const quarter = Math.ceil(month / 3)
      return count < 3 ? number(quarter) : `Q${quarter}`
    }
  }
}

/** Weeks from Sunday, the first holds 1 January, as in Java's locale en-US. */
function usWeek(days: number): number {
  const { year } = civilOf(days)
  const start = (y: number) => {
    const first = daysOf(y, 1, 1)
    return first - (dayOfWeek(first) - 1)
  }
  return days >= start(year + 1) ? 1 : Math.floor((days - start(year)) / 7) + 1
}

function parseText(pieces: readonly Piece[], text: string, lenient: boolean): number | undefined {
  const fields: Record<string, number> = {}
  let at = 0
  for (const [i, piece] of pieces.entries()) {
    if ('text' in piece) {
      if (!text.startsWith(piece.text, at)) return undefined
      at += piece.text.length
      continue
    }
    const { letter, count } = piece
    if ((letter === 'M' || letter === 'L' || letter === 'E') && count >= 3) {
      const names = (letter === 'E' ? weekdays : months).map(name => (count === 3 ? name.slice(0, 3) : name))
      const index = names.findIndex(name => text.startsWith(name, at))
      if (index < 0) return undefined
      at += names[index]?.length ?? 0
      fields[letter === 'L' ? 'M' : letter] = index + 1
    } else if (letter === 'a') {
      const half = text.slice(at, at + 2)
      if (half !== 'AM' && half !== 'PM') return undefined
      fields['a'] = half === 'AM' ? 0 : 12
      at += 2
    } else {
      const next = pieces[i + 1]
      // Digits that follow one another without a separator have the width of their letters.
      const fixed = count > 1 && (letter !== 'y' || count !== 4 || (next !== undefined && 'letter' in next))
      const adjacent = next !== undefined && 'letter' in next
      const digits =
        adjacent || (fixed && !lenient) ? new RegExp(`^\\d{${count}}`) : count === 1 || lenient ? /^\d{1,9}/ : new RegExp(`^\\d{${count},9}`)
      const match = digits.exec(text.slice(at))
      if (match === null) return undefined
      at += match[0].length
      fields[letter] =
        letter === 'S' ? Number(match[0].padEnd(3, '0').slice(0, 3)) : letter === 'y' && count === 2 ? 2000 + Number(match[0]) : Number(match[0])
    }
  }
  if (lenient) return lenientInstantOf(fields)
  return at === text.length ? instantOf(fields) : undefined
}

function instantOf(fields: Record<string, number>): number | undefined {
  const year = fields['y'] ?? fields['u'] ?? 1970
  const month = fields['M'] ?? 1
  const day = fields['d'] ?? 1
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  const [hour, minute, second] = [hourOf(fields), fields['m'] ?? 0, fields['s'] ?? 0]
  // The end of a day may be written as its hour 24.
  const midnight = hour === 24 && minute === 0 && second === 0 && (fields['S'] ?? 0) === 0
  if ((hour > 23 && !midnight) || minute > 59 || second > 59) return undefined
  return fieldsMs(fields, year, month, day)
}

/** Whatever is too large goes over into what is above it. */
function lenientInstantOf(fields: Record<string, number>): number {
  const months = (fields['M'] ?? 1) - 1
  const year = (fields['y'] ?? fields['u'] ?? 1970) + Math.floor(months / 12)
  return fieldsMs(fields, year, (((months % 12) + 12) % 12) + 1, fields['d'] ?? 1)
}

function fieldsMs(fields: Record<string, number>, year: number, month: number, day: number): number {
  const days = fields['D'] === undefined ? daysOf(year, month, 1) + day - 1 : daysOf(year, 1, 1) + fields['D'] - 1
  return days * DAY_MS + ((hourOf(fields) * 60 + (fields['m'] ?? 0)) * 60 + (fields['s'] ?? 0)) * 1000 + (fields['S'] ?? 0)
}

function hourOf(fields: Record<string, number>): number {
  const twelve = fields['h'] === undefined ? fields['K'] : fields['h'] % 12
  return fields['H'] ?? (fields['k'] === undefined ? undefined : fields['k'] % 24) ?? (twelve === undefined ? 0 : twelve + (fields['a'] ?? 0))
}
