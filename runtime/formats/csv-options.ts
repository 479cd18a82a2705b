import { FlinkError } from '../common/errors.ts'
import type { FormatOptions } from './format.ts'
import { FormatOptionReader } from './options.ts'
import { utf8Encoder } from './utf8.ts'

/** Characters as bytes; -1 = there is none. */
export interface CsvOptions {
  readonly delimiter: number
  readonly quote: number
  readonly escaping: number
  readonly comments: boolean
  readonly ignoreParseErrors: boolean
  readonly nullLiteral: Uint8Array | undefined
  readonly plainDecimals: boolean
}

export function csvOptions(options: FormatOptions): CsvOptions {
  const reader = new FormatOptionReader('csv', options)
  const unquoted = reader.flag('disable-quote-character', false)
  if (unquoted && reader.text('quote-character') !== undefined)
    throw new FlinkError('INVALID_CONFIGURATION', 'options csv.disable-quote-character and csv.quote-character exclude each other')
  const nullLiteral = reader.text('null-literal')
  reader.refuse('array-element-delimiter')
  const read: CsvOptions = {
    delimiter: reader.character('field-delimiter', ','),
    quote: unquoted ? -1 : reader.character('quote-character', '"'),
    escaping: reader.text('escape-character') === undefined ? -1 : reader.character('escape-character', '\\'),
    comments: reader.flag('allow-comments', false),
    ignoreParseErrors: reader.flag('ignore-parse-errors', false),
    nullLiteral: nullLiteral === undefined ? undefined : utf8Encoder.encode(nullLiteral),
    plainDecimals: !reader.flag('write-bigdecimal-in-scientific-notation', true),
  }
  reader.end()
  const special = [read.delimiter, read.quote, read.escaping].filter(byte => byte >= 0)
  if (new Set(special).size < special.length || special.some(byte => byte === 10 || byte === 13))
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      'delimiter, quote and escape character of format csv must differ from each other and from line ends',
    )
  // Values of dates and numbers are written without looking for these.
  if (/[\dT.:-]/.test(String.fromCharCode(...special)))
    throw new FlinkError('UNSUPPORTED', 'digits, T and the characters . : - are not supported as delimiter, quote or escape character of format csv')
  return read
}
