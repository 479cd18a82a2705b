import { FlinkError } from '../common/errors.ts'
import { formatField } from './column-type.ts'
import { CsvDecoder } from './csv-decoder.ts'
import { csvOptions } from './csv-options.ts'
import type { DecoderSettings, FormatColumn, FormatOptions, RecordDecoder } from './format.ts'
import { JsonDecoder } from './json-decoder.ts'
import { FormatOptionReader } from './options.ts'
import { checkRawOptions, RawDecoder } from './raw-decoder.ts'

/** The formats by Flink's names. `projected` are indices into `columns`; the others' types are checked too, as they must be readable. */
export function createDecoder(
  format: string,
  columns: readonly FormatColumn[],
  projected: readonly number[],
  options: FormatOptions,
  settings: DecoderSettings,
): RecordDecoder {
  const fields = columns.map(column => formatField(format, column))
  const wanted = projected.map(index => fields[index]!)
  if (format === 'json') {
    const reader = new FormatOptionReader(format, options)
    const readOptions = {
      failOnMissingField: reader.flag('fail-on-missing-field', false),
      ignoreParseErrors: reader.flag('ignore-parse-errors', false),
      timestampStandard: reader.choice('timestamp-format.standard', ['SQL', 'ISO-8601'], 'SQL'),
    } as const
    if (readOptions.failOnMissingField && readOptions.ignoreParseErrors)
      throw new FlinkError('INVALID_CONFIGURATION', 'options json.fail-on-missing-field and json.ignore-parse-errors exclude each other')
    jsonWriterOptions(reader)
    reader.end()
    return new JsonDecoder(wanted, readOptions, settings)
  }
  if (format === 'csv') return new CsvDecoder(fields, projected, csvOptions(options), settings)
  if (format === 'raw') {
    checkRawOptions(options)
    return new RawDecoder(fields, wanted, settings)
  }
  throw new FlinkError('UNSUPPORTED', `format ${format} is not supported; there are json, csv and raw`, { format })
}

/** With the framing of lines: no record holds a line feed, so a file may be cut behind any. */
export function recordsAreLines(format: string, options: FormatOptions): boolean {
  if (format !== 'csv') return true
  const { quote, escaping } = csvOptions(options)
  return quote < 0 && escaping < 0
}

/** Options of writing, which a table that is read may carry. */
export function jsonWriterOptions(reader: FormatOptionReader): { ignoreNullFields: boolean; plainDecimals: boolean } {
  reader.choice('map-null-key.mode', ['FAIL', 'DROP', 'LITERAL'], 'FAIL')
  reader.text('map-null-key.literal')
  reader.flag('decode.json-parser.enabled', true)
  return { ignoreNullFields: reader.flag('encode.ignore-null-fields', false), plainDecimals: reader.flag('encode.decimal-as-plain-number', false) }
}
