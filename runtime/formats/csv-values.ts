import { DAY_MS, daysOf } from '../common/civil.ts'
import { utf8Text } from '../common/utf8.ts'
import type { FormatField } from './column-type.ts'
import { putDecimal } from './json-values.ts'
import type { SinkColumn } from './row-sink.ts'
import { base64Of, doubleOf, integerOf, trimmed } from './text-values.ts'
import { timeOf, timestampOf } from './time-text.ts'
import { utf8Encoder } from './utf8.ts'

/** Texts of a CSV record into columns, as Flink's CSV format converts them. The value is `data[from..to)`; `aside` says that this is no part of the page. */
export function putCsvValue(
  field: FormatField,
  column: SinkColumn,
  row: number,
  data: Uint8Array,
  from: number,
  to: number,
  aside: boolean,
): boolean {
  switch (field.root) {
    case 'BOOLEAN':
      column.bools[row] = trimmed(utf8Text(data, from, to)).toLowerCase() === 'true' ? 1 : 0
      return true
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT': {
      const bits = { TINYINT: 7n, SMALLINT: 15n, INT: 31n, BIGINT: 63n }[field.root]
      const value = integerOf(trimmed(utf8Text(data, from, to)), -(1n << bits), (1n << bits) - 1n)
      if (value === undefined) return false
      if (column.kind === 'i64') column.longs[row] = value
      else column.ints[row] = Number(value)
      return true
    }
    case 'FLOAT':
    case 'DOUBLE': {
      const value = doubleOf(utf8Text(data, from, to))
      if (value === undefined) return false
      column.doubles[row] = field.root === 'FLOAT' ? Math.fround(value) : value
      return true
    }
    case 'DECIMAL':
      return putDecimal(field, column, row, utf8Text(data, from, to))
    case 'STRING':
      if (aside) {
        column.setAside(row, data.subarray(from, to))
      } else {
        column.starts[row] = from
        column.lengths[row] = to - from
      }
      return true
    case 'BYTES': {
      const bytes = base64Of(utf8Text(data, from, to))
      if (bytes !== undefined) column.setAside(row, bytes)
      return bytes !== undefined
    }
    case 'DATE': {
      const match = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(utf8Text(data, from, to))
      const month = Number(match?.[2])
      const day = Number(match?.[3])
      if (match === null || month < 1 || month > 12 || day < 1 || day > 31) return false
      // A day that the month does not have counts on into the next one, as java.sql.Date has it.
      column.ints[row] = daysOf(Number(match[1]), month, 1) + day - 1
      return true
    }
    case 'TIME': {
      const ms = timeOf(data, from, to, true)
      if (!(ms < DAY_MS) || data[to - 1] === 46) return false
      column.ints[row] = ms - (ms % 1000)
      return true
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const text = utf8Encoder.encode(trimmed(utf8Text(data, from, to)))
      const ms = timestampOf(text, 0, text.length, 32, false, field.root === 'TIMESTAMP_LTZ')
      column.doubles[row] = ms
      return !Number.isNaN(ms)
    }
  }
}
