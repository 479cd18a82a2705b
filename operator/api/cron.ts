/**
 * The five fields of crontab(5), in UTC: minute, hour, day of month, month, day of week. A field is a list of `*`, numbers and ranges, ranges and `*` with a step; months
 * and days of the week have names of three letters, Sunday is 0 and 7. When both days are restricted, which is when neither begins with `*`, either of them is enough.
 */
export interface Cron {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly daysOfMonth: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly daysOfWeek: ReadonlySet<number>
  readonly eitherDay: boolean
}

interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names: readonly string[]
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const fields = [
  { name: 'minute', min: 0, max: 59, names: [] },
  { name: 'hour', min: 0, max: 23, names: [] },
  { name: 'day of the month', min: 1, max: 31, names: [] },
  { name: 'month', min: 1, max: 12, names: months },
  { name: 'day of the week', min: 0, max: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
] as const satisfies readonly Field[]

/** Any day of the week on any day of a year comes within 40 years, leap days across 2100 included. */
const DAYS_MAX = 41 * 366
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

export type ParsedCron = { readonly kind: 'cron'; readonly cron: Cron } | { readonly kind: 'invalid'; readonly problem: string }

export function parseCron(text: string): ParsedCron {
  const parts = text.trim().split(/\s+/)
  const invalid = (problem: string) => ({ kind: 'invalid', problem }) as const
  const [minute, hour, dayOfMonth, month, dayOfWeek, ...more] = parts
  if (minute === undefined || hour === undefined || dayOfMonth === undefined || month === undefined || dayOfWeek === undefined || more.length > 0)
    return invalid(`expected five fields (minute, hour, day of the month, month, day of the week), got ${text.trim() === '' ? 0 : parts.length}`)
  const sets: ReadonlySet<number>[] = []
  for (const [index, field] of fields.entries()) {
    const parsed = parseField(parts[index] ?? '', field)
    if (typeof parsed === 'string') return invalid(parsed)
    sets.push(parsed)
  }
  const [minutes, hours, daysOfMonth, monthsOfYear, days] = sets as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>]
  const daysOfWeek = new Set([...days].map(day => day % 7))
  const eitherDay = !dayOfMonth.startsWith('*') && !dayOfWeek.startsWith('*')
  const cron = { minutes, hours, daysOfMonth, months: monthsOfYear, daysOfWeek, eitherDay }
  return nextTimeMs(cron, 0) === undefined ? invalid(`${JSON.stringify(text)} names a day that never comes`) : { kind: 'cron', cron }
}

/** Its numbers, or what is wrong with it. */
function parseField(text: string, field: Field): ReadonlySet<number> | string {
  const { name, min, max } = field
  const values = new Set<number>()
  for (const item of text.split(',')) {
    const [range = '', stepText, ...more] = item.split('/')
    const bounds = range === '*' ? [min, max] : range.split('-').map(bound => numberOf(bound, field))
    const [first, last = first] = bounds
    const step = stepText === undefined ? 1 : /^\d+$/.test(stepText) ? Number(stepText) : 0
    const isRange = range === '*' || bounds.length === 2
    const inRange = first !== undefined && last !== undefined && first >= min && last <= max && first <= last
    if (!inRange || bounds.length > 2 || more.length > 0 || step < 1 || (stepText !== undefined && !isRange)) {
      const example = name === 'minute' ? '0, 0,30, 10-20 or */15' : `${min}, ${min}-${max} or *`
      return `${JSON.stringify(item)} is no ${name}: expected numbers from ${min} to ${max}, such as ${example}`
    }
    for (let value = first; value <= last; value += step) values.add(value)
  }
  return values
}

function numberOf(text: string, { names, min }: Field): number {
  if (/^\d{1,2}$/.test(text)) return Number(text)
  const index = names.indexOf(text.toLowerCase())
  return index < 0 ? Number.NaN : index + min
}

/** The first minute after `afterMs`; undefined = there is none. */
export function nextTimeMs(cron: Cron, afterMs: number): number | undefined {
  const start = (Math.floor(afterMs / MINUTE_MS) + 1) * MINUTE_MS
  for (let day = Math.floor(start / DAY_MS), end = day + DAYS_MAX; day < end; day++) {
    if (!isDay(cron, new Date(day * DAY_MS))) continue
    const firstMinute = Math.max(0, (start - day * DAY_MS) / MINUTE_MS)
    for (let minute = firstMinute; minute < 1_440; minute++)
      if (cron.hours.has(Math.floor(minute / 60)) && cron.minutes.has(minute % 60)) return day * DAY_MS + minute * MINUTE_MS
  }
  return undefined
}

function isDay({ months: wanted, daysOfMonth, daysOfWeek, eitherDay }: Cron, date: Date): boolean {
  if (!wanted.has(date.getUTCMonth() + 1)) return false
  const [ofMonth, ofWeek] = [daysOfMonth.has(date.getUTCDate()), daysOfWeek.has(date.getUTCDay())]
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek
}
