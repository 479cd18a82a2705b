import { FlinkError } from '../../common/errors.ts'
import type { BucketContext } from '../../stream/operators/file-sink-operator.ts'

/** The folder below the sink's path that a row goes to; '' = the path itself. */
export interface BucketAssigner<T> {
  getBucketId(element: T, context: BucketContext): string
}

export class BasePathBucketAssigner implements BucketAssigner<unknown> {
  getBucketId(): string {
    return ''
  }
}

/** By processing time. Letters of the pattern are Java's, of which there are y, M, d, H, m and s; `/` makes folders in folders. */
export class DateTimeBucketAssigner implements BucketAssigner<unknown> {
  readonly formatString: string
  /** undefined = the zone of the machine that writes. */
  readonly zoneId: string | undefined
  private readonly fields: readonly Field[]
  private readonly unitMs: number
  private readonly parts: Intl.DateTimeFormat
  private unit = Number.NaN
  private bucketId = ''

  constructor(formatString = 'yyyy-MM-dd--HH', zoneId?: string) {
    this.formatString = formatString
    this.zoneId = zoneId
    this.fields = parsePattern(formatString)
    // Zones differ by whole minutes, so within one the text is the same.
    this.unitMs = this.fields.some(field => typeof field === 'object' && field.type === 'second') ? 1_000 : 60_000
    try {
      this.parts = new Intl.DateTimeFormat('en-US', { ...numeric, calendar: 'iso8601', hourCycle: 'h23', timeZone: zoneId })
    } catch (error) {
      throw new FlinkError('INVALID_PROGRAM', `DateTimeBucketAssigner: ${JSON.stringify(zoneId)} is no time zone`, {}, error)
    }
  }

  getBucketId(_element: unknown, context: BucketContext): string {
    const nowMs = context.currentProcessingTime()
    const unit = Math.floor(nowMs / this.unitMs)
    if (unit !== this.unit) {
      this.unit = unit
      this.bucketId = this.format(nowMs)
    }
    return this.bucketId
  }

  private format(timeMs: number): string {
    const values = new Map(this.parts.formatToParts(timeMs).map(({ type, value }) => [type, Number(value)]))
    return this.fields.map(field => (typeof field === 'string' ? field : digits(values.get(field.type) ?? 0, field.width))).join('')
  }
}

type Field = string | { readonly type: keyof typeof numeric; readonly width: number }

const numeric = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const

const letters: Readonly<Record<string, keyof typeof numeric>> = {
  y: 'year',
  u: 'year',
  M: 'month',
  d: 'day',
  H: 'hour',
  m: 'minute',
  s: 'second',
}

function parsePattern(pattern: string): Field[] {
  const refuse = (what: string) =>
    new FlinkError(
      'INVALID_PROGRAM',
      `DateTimeBucketAssigner: pattern ${JSON.stringify(pattern)} has ${what}; there are y, M, d, H, m, s, digits and signs, and texts in '…'`,
    )
  return [...pattern.matchAll(/'((?:[^']|'')*)'|([a-zA-Z])\2*|[^'a-zA-Z]+|'/g)].map((match): Field => {
    const [text, quoted, letter] = match
    if (quoted !== undefined) return quoted === '' ? "'" : quoted.replaceAll("''", "'")
    if (letter !== undefined) {
      const type = letters[letter]
      if (type === undefined) throw refuse(`the letter ${letter}`)
      if (text.length > (type === 'year' ? 4 : 2) || (type === 'year' && text.length === 3)) throw refuse(text)
      return { type, width: text.length }
    }
    const sign = /['[\]{}#]/.exec(text)?.[0]
    if (sign !== undefined) throw refuse(sign)
    return text
  })
}

/** Two letters of a year are its last two digits. */
function digits(value: number, width: number): string {
  return String(width === 2 ? value % 100 : value).padStart(width, '0')
}
