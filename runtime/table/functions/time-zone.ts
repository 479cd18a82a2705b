import { DAY_MS, daysOf } from '../../common/civil.ts'
import { FlinkError } from '../../common/errors.ts'

/**
 * Offsets of a time zone (`America/New_York`, `UTC`, `+02:00`), from the runtime's own time zone data. Offsets are kept per quarter of an hour,
 * which is where zones change; the few old changes inside one are asked for each time.
 */
export interface TimeZone {
  readonly id: string
  /** What local clocks are ahead of UTC at that instant, in ms. */
  offsetAt(epochMs: number): number
}

const zones = new Map<string, TimeZone>()
const ZONES_MAX = 1000

export function timeZone(id: string): TimeZone {
  const known = zones.get(id)
  if (known !== undefined) return known
  const zone = makeZone(id)
  if (zones.size >= ZONES_MAX) zones.clear()
  zones.set(id, zone)
  return zone
}

function makeZone(id: string): TimeZone {
  const fixed = fixedOffset(id)
  if (fixed !== undefined) return { id, offsetAt: () => fixed }
  const offsetAt = offsetReader(id)
  const cache = new Map<number, number>()
  let lastSlot = Number.NaN
  let lastOffset = 0
  return {
    id,
    offsetAt(epochMs) {
      const slot = Math.floor(epochMs / SLOT_MS)
      if (slot === lastSlot) return lastOffset
      const known = cache.get(slot)
      if (known !== undefined) {
        lastSlot = slot
        lastOffset = known
        return known
      }
      const offset = offsetAt(slot * SLOT_MS)
      if (offset !== offsetAt((slot + 1) * SLOT_MS - 1000)) return offsetAt(epochMs)
      if (cache.size >= SLOTS_MAX) cache.clear()
      cache.set(slot, offset)
      lastSlot = slot
      lastOffset = offset
      return offset
    },
  }
}

const SLOT_MS = 900_000
const SLOTS_MAX = 65_536
const END_MS = 8.64e15 - 1000

/** Local time (as if UTC) of an instant. */
export function toLocal(zone: TimeZone, epochMs: number): number {
  return epochMs + zone.offsetAt(epochMs)
}

/** The instant of a local time; as in Java, one that clocks skip moves on by the gap, and of one that they show twice it is the first. */
export function toInstant(zone: TimeZone, localMs: number): number {
  const before = zone.offsetAt(localMs - DAY_MS)
  const after = zone.offsetAt(localMs + DAY_MS)
  if (before === after) return localMs - before
  const first = localMs - before
  if (zone.offsetAt(first) === before) return first
  const second = localMs - after
  return zone.offsetAt(second) === after ? second : first
}

function fixedOffset(id: string): number | undefined {
  if (/^(UTC|GMT|Z|Etc\/UTC|Etc\/GMT)$/.test(id)) return 0
  const match = /^(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?$/.exec(id)
  if (match === null) return undefined
  const ms = (Number(match[2]) * 60 + Number(match[3] ?? 0)) * 60_000
  return match[1] === '-' ? -ms : ms
}

function offsetReader(id: string): (epochMs: number) => number {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: id,
      calendar: 'iso8601',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `time zone '${id}' is unknown`, { timeZone: id }, error)
  }
  return epochMs => {
    // Beyond the years of the time zone data its ends count.
    const whole = Math.floor(Math.min(END_MS, Math.max(-END_MS, epochMs)) / 1000) * 1000
    const fields: Record<string, number> = {}
    let beforeChrist = false
    for (const { type, value } of format.formatToParts(whole))
      if (type === 'era') beforeChrist = value.startsWith('B')
      else fields[type] = Number(value)
    const year = fields['year'] ?? 1970
    const days = daysOf(beforeChrist ? 1 - year : year, fields['month'] ?? 1, fields['day'] ?? 1)
    const local = days * DAY_MS + (((fields['hour'] ?? 0) * 60 + (fields['minute'] ?? 0)) * 60 + (fields['second'] ?? 0)) * 1000
    return local - whole
  }
}
