import { dateText, timestampText, timeText } from '../../common/civil.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import { valueAt } from '../../network/columns-rows.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import { doubleText, floatText } from '../functions/number-text.ts'

/** A row as Flink's print connector writes it: `+I[sensor_1, 35.8, 2019-01-17T09:43:19]`. */
export function rowPrinter(types: readonly string[]): (frame: ColumnarFrame, row: number) => string {
  const columns = types.map(type => ({ layout: columnLayout(type), text: textOf(type) }))
  return (frame, row) => {
    let line = `${rowKinds[frame.rowKinds?.[row] ?? 0]}[`
    for (let i = 0; i < columns.length; i++) {
      const { layout, text } = columns[i]!
      if (i > 0) line += ', '
      line += valueText(frame, i, row, layout, text)
    }
    return `${line}]`
  }
}

const rowKinds = ['+I', '-U', '+U', '-D']

function valueText(frame: ColumnarFrame, column: number, row: number, layout: ColumnLayout, text: (value: never) => string): string {
  const value = valueAt(frame.columns[column]!, row, layout)
  // The value follows the layout of the type that `text` was made for.
  return value === null ? 'null' : text(value as never)
}

function textOf(type: string): (value: never) => string {
  const word = /^[A-Z_]+/.exec(type)?.[0]
  switch (word) {
    case 'FLOAT':
      return (value: number) => floatText(value)
    case 'DOUBLE':
      return (value: number) => doubleText(value)
    case 'DECIMAL':
      return bigDecimalText
    case 'DATE':
      return (value: number) => dateText(value)
    case 'TIME':
      return (value: number) => javaTime(timeText(value, 3))
    case 'TIMESTAMP':
      return (value: number) => localDateTime(value)
    case 'TIMESTAMP_LTZ':
      return (value: number) => `${instant(value)}Z`
    case 'BYTES':
    case 'BINARY':
    case 'VARBINARY':
      return (value: Uint8Array) => `[${Array.from(value, byte => (byte << 24) >> 24).join(', ')}]`
    default:
      return (value: unknown) => String(value)
  }
}

/** BigDecimal.toString: scientific where the first digit stands more than six places behind the point (`0E-14`). */
function bigDecimalText(plain: string): string {
  const scale = plain.length - 1 - plain.indexOf('.')
  if (!plain.includes('.') || scale <= 6) return plain
  const sign = plain.startsWith('-') ? '-' : ''
  const digits = plain.replace(/[-.]/g, '').replace(/^0+(?=\d)/, '')
  const exponent = digits.length - 1 - scale
  if (exponent >= -6) return plain
  return `${sign}${digits[0]}${digits.length > 1 ? `.${digits.slice(1)}` : ''}E${exponent}`
}

/** LocalDateTime.toString: seconds only where there are some, a fraction of three digits. */
function localDateTime(ms: number): string {
  const [date, time] = timestampText(ms, 3).split(' ')
  return `${date}T${javaTime(time!)}`
}

/** Instant.toString: always seconds. */
function instant(ms: number): string {
  const [date, time] = timestampText(ms, 3).split(' ')
  return `${date}T${time!.replace(/\.000$/, '')}`
}

function javaTime(text: string): string {
  return text.replace(/\.000$/, '').replace(/^(\d\d:\d\d):00$/, '$1')
}
