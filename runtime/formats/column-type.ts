import { FlinkError } from '../common/errors.ts'
import type { ColumnKind } from '../network/columns.ts'
import { columnLayout } from '../serde/columns-type.ts'
import type { FormatColumn } from './format.ts'

/** A column of a format, its type taken apart. */
export interface FormatField {
  readonly name: string
  readonly path: readonly string[]
  readonly root: FormatRoot
  /** DECIMAL: digits; times: digits of the fraction; texts and bytes: their greatest length. */
  readonly precision: number
  readonly scale: number
  readonly kind: ColumnKind
  readonly typeText: string
  readonly nullable: boolean
}

export type FormatRoot = (typeof formatRoots)[number]
const formatRoots = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INT',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL',
  'STRING',
  'BYTES',
  'DATE',
  'TIME',
  'TIMESTAMP',
  'TIMESTAMP_LTZ',
] as const

const aliases: Readonly<Partial<Record<string, FormatRoot>>> = {
  INTEGER: 'INT',
  DEC: 'DECIMAL',
  NUMERIC: 'DECIMAL',
  CHAR: 'STRING',
  VARCHAR: 'STRING',
  BINARY: 'BYTES',
  VARBINARY: 'BYTES',
}

/** Times of more than milliseconds, intervals and everything nested are refused by name. */
export function formatField(format: string, column: FormatColumn): FormatField {
  const { name, type } = column
  const text = type.trim().toUpperCase()
  const match = /^([A-Z_]+)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?(\s+WITHOUT TIME ZONE|\s+PRECISION)?(\s+NOT NULL)?(\s+NULL)?$/.exec(text)
  const word = match?.[1] ?? ''
  const root = Object.hasOwn(aliases, word) ? aliases[word] : formatRoots.find(candidate => candidate === word)
  const first = match?.[2] === undefined ? undefined : Number(match[2])
  if (match === null || root === undefined)
    throw new FlinkError('UNSUPPORTED', `format ${format} does not read or write column ${name} of type ${type}`, { column: name, type })
  if ((root === 'TIMESTAMP' || root === 'TIMESTAMP_LTZ') && (first ?? 6) > 3)
    throw new FlinkError('UNSUPPORTED', `column ${name} is a ${type}: times of more than 3 fractional digits are not supported`, {
      column: name,
      type,
    })
  const open = root === 'STRING' || root === 'BYTES' ? LENGTH_MAX : root === 'DECIMAL' ? 10 : 0
  const fixed = word === 'CHAR' || word === 'VARCHAR' || word === 'BINARY' || word === 'VARBINARY' ? 1 : open
  return {
    name,
    path: column.path ?? [name],
    root,
    precision: first ?? fixed,
    scale: Number(match[3] ?? 0),
    kind: columnLayout(type).kind,
    typeText: type,
    nullable: match[5] === undefined,
  }
}

const LENGTH_MAX = 2_147_483_647
