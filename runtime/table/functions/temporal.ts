import {
  addMonths,
  civilOf,
  DAY_MS,
  dayOfMs,
  dayOfWeek,
  dayOfYear,
  daysOf,
  isoDayOfWeek,
  isoWeek,
  isoYear,
  parseDate,
  parseTimestamp,
  timeOfMs,
  timestampText,
} from '../../common/civil.ts'
import { addInterval, toDouble } from './arithmetic.ts'
import { datePattern } from './date-format.ts'
import type { Argument, Environment, Resolution, ScalarFunction } from './function.ts'
import { bindRounding, resolveRounding } from './math.ts'
import { timeZone, toInstant, toLocal } from './time-zone.ts'
import { accept, anyNullable } from './type-rules.ts'
import {
  bigintType,
  dateType,
  intType,
  isInteger,
  isNumeric,
  isSmallInteger,
  isTemporal,
  isText,
  isTimestamp,
  stringType,
  type TypeRoot,
  timestampLtzType,
  timestampType,
  type Value,
  type ValueType,
  valueType,
  withNullable,
} from './value-type.ts'

/** Functions of dates and times. Units come as literal strings (`'YEAR'`), where the SQL says EXTRACT(YEAR FROM x) or FLOOR(x TO YEAR). */

/** Local milliseconds of a DATE, TIME, TIMESTAMP or LTZ. */
function localMs(root: TypeRoot, value: number, environment: Environment): number {
  return root === 'DATE' ? value * DAY_MS : root === 'TIMESTAMP_LTZ' ? toLocal(environment.timeZone, value) : value
}

const calendarUnits = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'DOY', 'DOW', 'ISODOW', 'ISOYEAR', 'DECADE', 'CENTURY', 'MILLENNIUM', 'EPOCH']
const clockUnits = ['HOUR', 'MINUTE', 'SECOND', 'MILLISECOND', 'MICROSECOND']

function extract(unit: string, ms: number): number {
  const days = dayOfMs(ms)
  const time = timeOfMs(ms)
  const { year, month, day } = civilOf(days)
  switch (unit) {
    case 'YEAR':
      return year
    case 'QUARTER':
      return Math.ceil(month / 3)
    case 'MONTH':
      return month
    case 'WEEK':
      return isoWeek(days)
    case 'DAY':
      return day
    case 'DOY':
      return dayOfYear(days)
    case 'DOW':
      return dayOfWeek(days)
    case 'ISODOW':
      return isoDayOfWeek(days)
    case 'ISOYEAR':
      return isoYear(days)
    case 'DECADE':
      return Math.floor(year / 10)
    case 'CENTURY':
      return Math.floor((year + 99) / 100)
    case 'MILLENNIUM':
      return Math.floor((year + 999) / 1000)
    case 'HOUR':
      return Math.floor(time / 3_600_000)
    case 'MINUTE':
      return Math.floor(time / 60_000) % 60
    case 'SECOND':
      return Math.floor(time / 1000) % 60
    case 'MILLISECOND':
      return time % 1000
    case 'MICROSECOND':
      return (time % 1000) * 1000
    default:
      return Math.floor(ms / 1000)
  }
}

function resolveExtract(unit: Value | undefined, time: Argument | undefined): ValueType | undefined {
  if (time === undefined || typeof unit !== 'string' || !isTemporal(time.type)) return undefined
  if (!clockUnits.includes(unit) && !calendarUnits.includes(unit)) return undefined
  if (time.type.root === 'TIME' && !clockUnits.includes(unit)) return undefined
  if (time.type.root === 'DATE' && unit === 'MICROSECOND') return undefined
  return withNullable(bigintType, time.type.nullable)
}

function bindExtract(unit: string, type: ValueType, environment: Environment): (value: number) => Value {
  return value => BigInt(extract(unit, localMs(type.root, value, environment)))
}

/** The start of the unit that `ms` lies in; weeks begin on Sunday, as in Flink. */
function floorTo(unit: string, ms: number): number {
  const days = dayOfMs(ms)
  const { year, month } = civilOf(days)
  switch (unit) {
    case 'MILLENNIUM':
      return daysOf(Math.floor((year - 1) / 1000) * 1000 + 1, 1, 1) * DAY_MS
    case 'CENTURY':
      return daysOf(Math.floor((year - 1) / 100) * 100 + 1, 1, 1) * DAY_MS
    case 'DECADE':
      return daysOf(Math.floor(year / 10) * 10, 1, 1) * DAY_MS
    case 'YEAR':
      return daysOf(year, 1, 1) * DAY_MS
    case 'QUARTER':
      return daysOf(year, month - ((month - 1) % 3), 1) * DAY_MS
    case 'MONTH':
      return daysOf(year, month, 1) * DAY_MS
    case 'WEEK':
      return (days - dayOfWeek(days) + 1) * DAY_MS
    default: {
      const size = unitMs[unit] ?? 1
      return Math.floor(ms / size) * size
    }
  }
}

const unitMs: Record<string, number> = { DAY: DAY_MS, HOUR: 3_600_000, MINUTE: 60_000, SECOND: 1000, MILLISECOND: 1, WEEK: 7 * DAY_MS }
const unitMonths: Record<string, number> = { MONTH: 1, QUARTER: 3, YEAR: 12, DECADE: 120, CENTURY: 1200, MILLENNIUM: 12_000 }

function ceilTo(unit: string, ms: number): number {
  const floor = floorTo(unit, ms)
  if (floor === ms) return ms
  const months = unitMonths[unit]
  return months === undefined ? floor + (unitMs[unit] ?? 1) : addMonths(dayOfMs(floor), months) * DAY_MS
}

function rounding(name: 'FLOOR' | 'CEIL'): ScalarFunction {
  const round = name === 'FLOOR' ? floorTo : ceilTo
  return {
    name,
    syntax: `${name}(x) or ${name}(time TO unit)`,
    doc: 'of a number, or of a date or time to a unit (called with the unit as second argument); weeks begin on Sunday',
    nulls: 'strict',
    resolve: args => {
      const [time, unit] = args
      if (args.length === 1) return resolveRounding(args)
      if (time === undefined || unit === undefined || typeof unit.literal !== 'string' || args.length > 2 || !isTemporal(time.type)) return undefined
      if (!(unit.literal in unitMs) && !(unit.literal in unitMonths)) return undefined
      if (time.type.root === 'TIME' && !clockUnits.includes(unit.literal)) return undefined
      return { type: time.type, args: [time.type, unit.type] }
    },
    bind: (call, environment) => {
      const [time, unit] = call.args
      if (time === undefined || unit === undefined) return bindRounding(name, call)
      const by = String(unit.literal)
      const { root } = time.type
      if (root === 'DATE') return (value: number) => dayOfMs(round(by, value * DAY_MS))
      if (root === 'TIMESTAMP_LTZ') return (value: number) => toInstant(environment.timeZone, round(by, toLocal(environment.timeZone, value)))
      return (value: number) => round(by, value)
    },
  }
}

function part(name: string, unit: string): ScalarFunction {
  return {
    name,
    syntax: `${name}(time)`,
    doc: `EXTRACT(${unit} FROM time)`,
    nulls: 'strict',
    resolve: args => {
      const type = args.length === 1 ? resolveExtract(unit, args[0]) : undefined
      return type && { type, args: args.map(arg => arg.type) }
    },
    bind: ({ args }, environment) => bindExtract(unit, args[0]?.type ?? timestampType, environment),
  }
}

/** Whole months between two local times; the last one counts when its day and time are reached. */
function monthsBetween(from: number, to: number): number {
  if (to < from) return -monthsBetween(to, from)
  const a = civilOf(dayOfMs(from))
  const b = civilOf(dayOfMs(to))
  const months = (b.year - a.year) * 12 + b.month - a.month
  return addMonths(dayOfMs(from), months) * DAY_MS + timeOfMs(from) > to ? months - 1 : months
}

const unixType = withNullable(stringType, true)
const text = isText
const defaultFormat = 'yyyy-MM-dd HH:mm:ss'

/** Like DATE_FORMAT: a pattern that is a literal is read when the plan is made, so that a bad one is refused there. */
function pattern(args: readonly Argument[], index: number): void {
  const literal = args[index]?.literal
  if (typeof literal === 'string') datePattern(literal)
}

const INSTANT_MAX = 8.64e15
const LONG_MIN = -(2n ** 63n)

function unixTime(ms: number | undefined, environment: Environment): bigint {
  return ms === undefined ? LONG_MIN : BigInt(Math.floor(toInstant(environment.timeZone, ms) / 1000))
}

const parsing = (
  name: string,
  syntax: string,
  doc: string,
  type: ValueType,
  read: (text: string, format: string | undefined) => number | undefined,
): ScalarFunction => ({
  name,
  syntax,
  doc,
  nulls: 'strict',
  answersNull: true,
  resolve: args => {
    const resolved = accept(type, [text, text], 1)(args)
    if (resolved !== undefined) pattern(args, 1)
    return resolved && { ...resolved, type: withNullable(type, true) }
  },
  bind: () => (s: string, format?: string) => read(s, format) ?? null,
})

const now = (name: string, type: ValueType, doc: string, read: (environment: Environment) => Value): ScalarFunction => ({
  name,
  syntax: name === 'NOW' || name === 'CURRENT_ROW_TIMESTAMP' ? `${name}()` : name,
  doc,
  nulls: 'strict',
  dynamic: true,
  resolve: args => (args.length === 0 ? { type: withNullable(type, false), args: [] } : undefined),
  bind: (_, environment) => () => read(environment),
})

export const temporalFunctions: readonly ScalarFunction[] = [
  rounding('FLOOR'),
  rounding('CEIL'),
  {
    name: 'EXTRACT',
    syntax: 'EXTRACT(unit FROM time)',
    doc: 'called with the unit as first argument; local time of an instant',
    nulls: 'strict',
    resolve: args => {
      const [unit, time] = args
      const type = args.length === 2 ? resolveExtract(unit?.literal, time) : undefined
      return type && { type, args: args.map(arg => arg.type) }
    },
    bind: ({ args }, environment) => {
      const run = bindExtract(String(args[0]?.literal), args[1]?.type ?? timestampType, environment)
      return (_: string, value: number) => run(value)
    },
  },
  part('YEAR', 'YEAR'),
  part('QUARTER', 'QUARTER'),
  part('MONTH', 'MONTH'),
  part('WEEK', 'WEEK'),
  part('DAYOFYEAR', 'DOY'),
  part('DAYOFMONTH', 'DAY'),
  part('DAYOFWEEK', 'DOW'),
  part('HOUR', 'HOUR'),
  part('MINUTE', 'MINUTE'),
  part('SECOND', 'SECOND'),
  {
    name: 'TIMESTAMPADD',
    syntax: 'TIMESTAMPADD(unit, n, time)',
    doc: 'a month without the day ends on its last',
    nulls: 'strict',
    resolve: ([unit, n, time, ...rest]): Resolution | undefined => {
      if (unit === undefined || n === undefined || time === undefined || rest.length > 0 || !isSmallInteger(n.type)) return undefined
      if (typeof unit.literal !== 'string' || !(unit.literal in unitMs || unit.literal in unitMonths)) return undefined
      if (!isTimestamp(time.type) && time.type.root !== 'DATE') return undefined
      const days = time.type.root === 'DATE' && unit.literal in unitMs && unit.literal !== 'DAY' && unit.literal !== 'WEEK'
      if (days) return undefined
      return { type: withNullable(time.type, n.type.nullable || time.type.nullable), args: [unit.type, n.type, time.type] }
    },
    bind: ({ args, type }, environment) => {
      const unit = String(args[0]?.literal)
      const months = unitMonths[unit]
      const size = months ?? unitMs[unit] ?? 1
      return (_: string, n: number, time: number) =>
        addInterval(type, months === undefined ? 'INTERVAL_MS' : 'INTERVAL_MONTHS', time, n * size, environment)
    },
  },
  {
    name: 'TIMESTAMPDIFF',
    syntax: 'TIMESTAMPDIFF(unit, from, to)',
    doc: 'whole units, an INT that wraps',
    nulls: 'strict',
    resolve: args => {
      const [unit, from, to] = args
      if (unit === undefined || from === undefined || to === undefined || args.length > 3) return undefined
      if (typeof unit.literal !== 'string' || !(unit.literal in unitMs || unit.literal in unitMonths)) return undefined
      const fits = ({ type }: Argument) => isTimestamp(type) || type.root === 'DATE'
      if (!fits(from) || !fits(to)) return undefined
      return { type: withNullable(intType, anyNullable([from, to])), args: args.map(arg => arg.type) }
    },
    bind: ({ args }, environment) => {
      const unit = String(args[0]?.literal)
      const months = unitMonths[unit]
      const [a, b] = [args[1]?.type.root ?? 'TIMESTAMP', args[2]?.type.root ?? 'TIMESTAMP']
      const local = months !== undefined || a !== b
      const ms = (root: TypeRoot, value: number) => (local || root === 'DATE' ? localMs(root, value, environment) : value)
      return (_: string, from: number, to: number) => {
        const [x, y] = [ms(a, from), ms(b, to)]
        return (months === undefined ? Math.trunc((y - x) / (unitMs[unit] ?? 1)) : Math.trunc(monthsBetween(x, y) / months)) | 0
      }
    },
  },
  parsing('TO_DATE', 'TO_DATE(s[, format])', 'NULL when the text is no date', dateType, (s, format) => {
    if (format === undefined) return parseDate(s)
    const ms = datePattern(format).parse(s)
    return ms === undefined ? undefined : dayOfMs(ms)
  }),
  parsing('TO_TIMESTAMP', 'TO_TIMESTAMP(s[, format])', 'TIMESTAMP(3); NULL when the text is none', timestampType, (s, format) =>
    format === undefined || format === defaultFormat ? parseTimestamp(s) : datePattern(format).parse(s),
  ),
  {
    name: 'TO_TIMESTAMP_LTZ',
    syntax: 'TO_TIMESTAMP_LTZ(n[, 0 or 3]) or (s[, format])',
    doc: 'seconds (0) or milliseconds (3, the default) since 1970, or a text in UTC',
    nulls: 'strict',
    answersNull: true,
    resolve: args => {
      const [value, second] = args
      if (value === undefined || args.length > 2) return undefined
      const number = isNumeric(value.type) && (second === undefined || second.literal === 0 || second.literal === 3)
      if (!number && !args.every(arg => isText(arg.type))) return undefined
      pattern(args, 1)
      return { type: withNullable(timestampLtzType, true), args: args.map(arg => arg.type) }
    },
    bind: ({ args }) => {
      const type = args[0]?.type ?? stringType
      if (isText(type)) return (s: string, format?: string) => (format === undefined ? parseTimestamp(s) : datePattern(format).parse(s)) ?? null
      const factor = args[1]?.literal === 0 ? 1000 : 1
      return (n: Value) => {
        const ms = Math.trunc((isInteger(type) ? Number(n) : toDouble(type, n)) * factor)
        // Beyond any calendar there is no instant.
        return Math.abs(ms) <= INSTANT_MAX ? ms : null
      }
    },
  },
  {
    name: 'FROM_UNIXTIME',
    syntax: 'FROM_UNIXTIME(seconds[, format])',
    doc: 'local time as text',
    nulls: 'strict',
    resolve: args => {
      const resolved = accept(unixType, [isInteger, text], 1)(args)
      if (resolved !== undefined) pattern(args, 1)
      return resolved && { type: resolved.type, args: [withNullable(bigintType, args[0]?.type.nullable ?? true), ...resolved.args.slice(1)] }
    },
    bind: (_, environment) => (seconds: bigint, format?: string) => {
      const ms = toLocal(environment.timeZone, Number(seconds) * 1000)
      return format === undefined ? timestampText(ms, 0) : datePattern(format).format(ms)
    },
  },
  {
    name: 'UNIX_TIMESTAMP',
    syntax: 'UNIX_TIMESTAMP([s[, format]])',
    doc: 'seconds of now, or of a local time at the start of a text, what is too large goes over (the smallest BIGINT when it is none)',
    nulls: 'strict',
    dynamic: true,
    resolve: args => {
      const resolved = accept(bigintType, [text, text], 2)(args)
      if (resolved !== undefined) pattern(args, 1)
      return resolved
    },
    bind: ({ args }, environment) => {
      if (args.length === 0) return () => BigInt(Math.floor(environment.frameTimeMs / 1000))
      return (s: string, format = defaultFormat) => unixTime(datePattern(format).parseLeniently(s), environment)
    },
  },
  {
    name: 'DATE_FORMAT',
    syntax: 'DATE_FORMAT(time, format)',
    doc: "Java's letters y M d D E a H h K k m s S Q w; local time of an instant; a text is read as a timestamp",
    nulls: 'strict',
    answersNull: true,
    resolve: args => {
      const [time] = args
      if (time === undefined || args.length !== 2 || !isText(args[1]?.type ?? dateType)) return undefined
      if (!isTimestamp(time.type) && !isText(time.type)) return undefined
      pattern(args, 1)
      return { type: withNullable(stringType, true), args: args.map(arg => arg.type) }
    },
    bind: ({ args }, environment) => {
      const root = args[0]?.type.root ?? 'TIMESTAMP'
      if (root === 'TIMESTAMP' || root === 'TIMESTAMP_LTZ')
        return (time: number, format: string) => datePattern(format).format(localMs(root, time, environment))
      return (s: string, format: string) => {
        const ms = parseTimestamp(s)
        return ms === undefined ? null : datePattern(format).format(ms)
      }
    },
  },
  {
    name: 'CONVERT_TZ',
    syntax: 'CONVERT_TZ(s, from, to)',
    doc: 'a local time as text in another zone; NULL when the text is none',
    nulls: 'strict',
    answersNull: true,
    resolve: args => {
      const resolved = accept(stringType, [text, text, text])(args)
      return resolved && { ...resolved, type: withNullable(stringType, true) }
    },
    bind: ({ args }) => {
      const zone = (index: number) => {
        const literal = args[index]?.literal
        const known = typeof literal === 'string' ? timeZone(literal) : undefined
        return (id: string) => known ?? timeZone(id)
      }
      const [fromZone, toZone] = [zone(1), zone(2)]
      return (s: string, from: string, to: string) => {
        const ms = parseTimestamp(s)
        return ms === undefined ? null : timestampText(toLocal(toZone(to), toInstant(fromZone(from), ms)), 0)
      }
    },
  },
  now('CURRENT_TIMESTAMP', timestampLtzType, 'one value for all rows of a frame', env => env.frameTimeMs),
  now('NOW', timestampLtzType, 'CURRENT_TIMESTAMP', env => env.frameTimeMs),
  now('CURRENT_ROW_TIMESTAMP', timestampLtzType, 'CURRENT_TIMESTAMP', env => env.frameTimeMs),
  now('LOCALTIMESTAMP', timestampType, 'local time; one value for all rows of a frame', env => toLocal(env.timeZone, env.frameTimeMs)),
  now('LOCALTIME', valueType('TIME'), 'local time of day', env => timeOfMs(toLocal(env.timeZone, env.frameTimeMs))),
  now('CURRENT_TIME', valueType('TIME'), 'local time of day', env => timeOfMs(toLocal(env.timeZone, env.frameTimeMs))),
  now('CURRENT_DATE', dateType, 'local date', env => dayOfMs(toLocal(env.timeZone, env.frameTimeMs))),
]
