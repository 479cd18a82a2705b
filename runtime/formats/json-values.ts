import { DAY_MS } from '../common/civil.ts'
import { FlinkError } from '../common/errors.ts'
import { utf8Text } from '../common/utf8.ts'
import type { FormatField } from './column-type.ts'
import { ARRAY, FALSE, FRACTION, OBJECT, STRING, TRUE, unescaped } from './json-scan.ts'
import type { SinkColumn } from './row-sink.ts'
import { base64Of, decimalOf, doubleOf, integerOf, trimmed } from './text-values.ts'
import { dateOf, timeOf, timestampOf } from './time-text.ts'
import { utf8Encoder } from './utf8.ts'

/**
 * Values of a JSON record into columns, as Flink's JSON format converts them: numbers and texts into one another, anything into a STRING.
 * A fraction becomes an integer by truncation, a decimal is rounded half up and null where it has too many digits.
 */
export type TimestampStandard = 'SQL' | 'ISO-8601'

/** One scanned value: its kind and bytes (of a string those between the quotes). */
export interface Slot {
  kind: number
  from: number
  to: number
  escaped: boolean
}

const integerRanges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  TINYINT: [-128n, 127n],
  SMALLINT: [-32_768n, 32_767n],
  INT: [-2_147_483_648n, 2_147_483_647n],
  BIGINT: [-(2n ** 63n), 2n ** 63n - 1n],
}

/** Whether the value has become the column's at `row`. Nulls are not asked here. */
export function putJsonValue(
  field: FormatField,
  column: SinkColumn,
  row: number,
  data: Uint8Array,
  slot: Slot,
  standard: TimestampStandard,
): boolean {
  const { kind } = slot
  switch (field.root) {
    case 'BOOLEAN':
      if (kind === OBJECT || kind === ARRAY) return false
      column.bools[row] = kind === TRUE || (kind !== FALSE && trimmed(slotText(data, slot)).toLowerCase() === 'true') ? 1 : 0
      return true
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
      return putInteger(field, column, row, data, slot)
    case 'FLOAT':
    case 'DOUBLE': {
      if (kind === OBJECT || kind === ARRAY) return false
      const value = doubleOf(slotText(data, slot))
      if (value === undefined) return false
      column.doubles[row] = field.root === 'FLOAT' ? Math.fround(value) : value
      return true
    }
    case 'DECIMAL':
      return kind !== OBJECT && kind !== ARRAY && putDecimal(field, column, row, trimmed(slotText(data, slot)))
    case 'STRING':
      putText(column, row, data, slot)
      return true
    case 'BYTES': {
      const bytes = kind === STRING ? base64Of(slotText(data, slot)) : undefined
      if (bytes !== undefined) column.setAside(row, bytes)
      return bytes !== undefined
    }
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return putTime(field, column, row, data, slot, standard)
  }
}

function putInteger(field: FormatField, column: SinkColumn, row: number, data: Uint8Array, slot: Slot): boolean {
  const { kind } = slot
  if (kind === OBJECT || kind === ARRAY) return false
  const text = trimmed(slotText(data, slot))
  const [min, max] = integerRanges[field.root]!
  // TINYINT and SMALLINT are read from the text whatever it is, as Flink does; the others truncate a fraction.
  const wide = field.root === 'INT' || field.root === 'BIGINT'
  let value: bigint | undefined
  if (kind === FRACTION && wide) {
    const number = Number(text)
    value = Number.isFinite(number) ? BigInt(Math.trunc(number)) : undefined
    if (value !== undefined && (value < min || value > max)) value = undefined
  } else {
    value = integerOf(text, min, max)
  }
  if (value === undefined) return false
  if (column.kind === 'i64') column.longs[row] = value
  else column.ints[row] = Number(value)
  return true
}

export function putDecimal(field: FormatField, column: SinkColumn, row: number, text: string): boolean {
  const value = decimalOf(text, field.precision, field.scale)
  if (value === undefined) return false
  if (value === 'overflow') column.setNull(row)
  else if (column.kind === 'i64') column.longs[row] = value
  else column.setAside(row, utf8Encoder.encode(value.toString()))
  return true
}

function putText(column: SinkColumn, row: number, data: Uint8Array, slot: Slot): void {
  if (slot.kind === STRING && slot.escaped) {
    column.setAside(row, unescaped(data, slot.from, slot.to))
  } else if (slot.kind === OBJECT || slot.kind === ARRAY) {
    column.setAside(row, compacted(data, slot.from, slot.to))
  } else {
    column.starts[row] = slot.from
    column.lengths[row] = slot.to - slot.from
  }
}

function putTime(field: FormatField, column: SinkColumn, row: number, source: Uint8Array, slot: Slot, standard: TimestampStandard): boolean {
  if (slot.kind !== STRING) return false
  const data = slot.escaped ? unescaped(source, slot.from, slot.to) : source
  const from = slot.escaped ? 0 : slot.from
  const to = slot.escaped ? data.length : slot.to
  if (field.root === 'DATE') {
    const day = dateOf(data, from, to)
    column.ints[row] = day
    return !Number.isNaN(day)
  }
  if (field.root === 'TIME') {
    const ms = timeOf(data, from, to, false)
    column.ints[row] = ms % DAY_MS
    return !Number.isNaN(ms)
  }
  const iso = standard === 'ISO-8601'
  const ms = timestampOf(data, from, to, iso ? CAPITAL_T : BLANK, iso, field.root === 'TIMESTAMP_LTZ')
  column.doubles[row] = ms
  return !Number.isNaN(ms)
}

function slotText(data: Uint8Array, slot: Slot): string {
  if (!slot.escaped) return utf8Text(data, slot.from, slot.to)
  const bytes = unescaped(data, slot.from, slot.to)
  return utf8Text(bytes, 0, bytes.length)
}

/** A scanned object or array without the blanks between its parts. */
function compacted(data: Uint8Array, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from)
  let out = 0
  let quoted = false
  for (let at = from; at < to; at++) {
    const byte = data[at]!
    if (quoted) {
      bytes[out++] = byte
      if (byte === 92) bytes[out++] = data[++at]!
      else if (byte === 34) quoted = false
    } else if (byte > 32) {
      bytes[out++] = byte
      quoted = byte === 34
    }
  }
  return bytes.subarray(0, out)
}

/** What a column wanted and what stands there, for an error. */
export function malformedValue(format: string, field: FormatField, data: Uint8Array, slot: Slot, offset: number): FlinkError {
  const text = utf8Text(data, slot.from, Math.min(slot.to, slot.from + 40))
  const shown = slot.kind === STRING ? JSON.stringify(text) : text
  return new FlinkError('MALFORMED_RECORD', `${format} record: column ${field.name} of type ${field.typeText} cannot be ${shown}`, {
    column: field.name,
    offset,
    kind: 'value',
  })
}

const BLANK = 32
const CAPITAL_T = 84
