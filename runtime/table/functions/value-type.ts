import { FlinkError } from '../../common/errors.ts'
import type { ColumnKind } from '../../network/columns.ts'

/** What the functions know of a logical type: parsed once from its text. `precision` of times is that of fractions of a second. */
export interface ValueType {
  readonly root: TypeRoot
  readonly nullable: boolean
  /** DECIMAL: digits; times: fraction digits; CHAR, VARCHAR, BINARY, VARBINARY: length (STRING and BYTES: 2147483647). */
  readonly precision: number
  readonly scale: number
}

export type TypeRoot = (typeof typeRoots)[number]
export const typeRoots = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INT',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL',
  'CHAR',
  'VARCHAR',
  'BINARY',
  'VARBINARY',
  'DATE',
  'TIME',
  'TIMESTAMP',
  'TIMESTAMP_LTZ',
  'INTERVAL_MONTHS',
  'INTERVAL_MS',
  'NULL',
] as const

/** Values as functions see them: INT family, dates and times are numbers, BIGINT and the unscaled DECIMAL are bigints. */
export type Value = null | boolean | number | bigint | string | Uint8Array

export const LENGTH_MAX = 2_147_483_647

export function valueType(root: TypeRoot, nullable = true, precision = 0, scale = 0): ValueType {
  return { root, nullable, precision, scale }
}

export const booleanType = valueType('BOOLEAN')
export const intType = valueType('INT')
export const bigintType = valueType('BIGINT')
export const doubleType = valueType('DOUBLE')
export const stringType = valueType('VARCHAR', true, LENGTH_MAX)

export const dateType = valueType('DATE')
export const timestampType = valueType('TIMESTAMP', true, 3)
export const timestampLtzType = valueType('TIMESTAMP_LTZ', true, 3)
export const decimalType = (precision: number, scale: number): ValueType => valueType('DECIMAL', true, precision, scale)
export const withNullable = (type: ValueType, nullable: boolean): ValueType => (type.nullable === nullable ? type : { ...type, nullable })

const names: Record<string, { readonly root: TypeRoot; readonly precision: number }> = {
  BOOLEAN: { root: 'BOOLEAN', precision: 0 },
  TINYINT: { root: 'TINYINT', precision: 0 },
  SMALLINT: { root: 'SMALLINT', precision: 0 },
  INT: { root: 'INT', precision: 0 },
  INTEGER: { root: 'INT', precision: 0 },
  BIGINT: { root: 'BIGINT', precision: 0 },
  FLOAT: { root: 'FLOAT', precision: 0 },
  DOUBLE: { root: 'DOUBLE', precision: 0 },
  'DOUBLE PRECISION': { root: 'DOUBLE', precision: 0 },
  DECIMAL: { root: 'DECIMAL', precision: 10 },
  DEC: { root: 'DECIMAL', precision: 10 },
  NUMERIC: { root: 'DECIMAL', precision: 10 },
  CHAR: { root: 'CHAR', precision: 1 },
  VARCHAR: { root: 'VARCHAR', precision: 1 },
  STRING: { root: 'VARCHAR', precision: LENGTH_MAX },
  BINARY: { root: 'BINARY', precision: 1 },
  VARBINARY: { root: 'VARBINARY', precision: 1 },
  BYTES: { root: 'VARBINARY', precision: LENGTH_MAX },
  DATE: { root: 'DATE', precision: 0 },
  TIME: { root: 'TIME', precision: 0 },
  'TIME WITHOUT TIME ZONE': { root: 'TIME', precision: 0 },
  TIMESTAMP: { root: 'TIMESTAMP', precision: 6 },
  'TIMESTAMP WITHOUT TIME ZONE': { root: 'TIMESTAMP', precision: 6 },
  TIMESTAMP_LTZ: { root: 'TIMESTAMP_LTZ', precision: 6 },
  'TIMESTAMP WITH LOCAL TIME ZONE': { root: 'TIMESTAMP_LTZ', precision: 6 },
  NULL: { root: 'NULL', precision: 0 },
}

const parsed = new Map<string, ValueType>()
const PARSED_MAX = 4096

/** Reads `DECIMAL(10, 2) NOT NULL` and its like. Types that have no column kind are refused by name. */
export function parseValueType(text: string): ValueType {
  const known = parsed.get(text)
  if (known !== undefined) return known
  const type = parse(text)
  if (parsed.size >= PARSED_MAX) parsed.clear()
  parsed.set(text, type)
  return type
}

function parse(text: string): ValueType {
  const notNull = /\s+NOT NULL$/.test(text)
  const body = text
    .replace(/\s+NOT NULL$/, '')
    .replace(/\s+\*(ROWTIME|PROCTIME)\*$/, '')
    .trim()
  if (/^INTERVAL\b/.test(body)) return valueType(/\b(YEAR|MONTH)\b/.test(body) ? 'INTERVAL_MONTHS' : 'INTERVAL_MS', !notNull, 3)
  const match = /^([A-Z_]+)(?:\((\d+)(?:,\s*(\d+))?\))?((?: [A-Z]+)*)$/.exec(body)
  const name = match === null ? undefined : names[`${match[1]}${match[4]}`]
  if (match === null || name === undefined) throw new FlinkError('UNSUPPORTED', `expressions over type ${body} are not supported yet`, { type: text })
  return valueType(name.root, !notNull, match[2] === undefined ? name.precision : Number(match[2]), Number(match[3] ?? 0))
}

export function typeText(type: ValueType): string {
  return type.nullable || type.root === 'NULL' ? bodyText(type) : `${bodyText(type)} NOT NULL`
}

function bodyText({ root, precision, scale }: ValueType): string {
  switch (root) {
    case 'DECIMAL':
      return `DECIMAL(${precision}, ${scale})`
    case 'CHAR':
    case 'BINARY':
      return `${root}(${precision})`
    case 'VARCHAR':
      return precision === LENGTH_MAX ? 'STRING' : `VARCHAR(${precision})`
    case 'VARBINARY':
      return precision === LENGTH_MAX ? 'BYTES' : `VARBINARY(${precision})`
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return `${root}(${precision})`
    case 'INTERVAL_MONTHS':
      return 'INTERVAL YEAR TO MONTH'
    case 'INTERVAL_MS':
      return 'INTERVAL DAY TO SECOND(3)'
    default:
      return root
  }
}

export function columnKindOfValue({ root, precision }: ValueType): ColumnKind {
  switch (root) {
    case 'BOOLEAN':
      return 'bool'
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'DATE':
    case 'TIME':
    case 'INTERVAL_MONTHS':
    case 'NULL':
      return 'i32'
    case 'FLOAT':
    case 'DOUBLE':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
    case 'INTERVAL_MS':
      return 'f64'
    case 'BIGINT':
      return 'i64'
    case 'DECIMAL':
      return precision <= 18 ? 'i64' : 'bytes'
    case 'CHAR':
    case 'VARCHAR':
    case 'BINARY':
    case 'VARBINARY':
      return 'bytes'
  }
}

const integerRoots: readonly TypeRoot[] = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT']
export const isInteger = ({ root }: ValueType): boolean => integerRoots.includes(root)
export const isSmallInteger = ({ root }: ValueType): boolean => root === 'TINYINT' || root === 'SMALLINT' || root === 'INT'
export const isApproximate = ({ root }: ValueType): boolean => root === 'FLOAT' || root === 'DOUBLE'
export const isDecimal = ({ root }: ValueType): boolean => root === 'DECIMAL'
export const isNumeric = (type: ValueType): boolean => isInteger(type) || isApproximate(type) || isDecimal(type)
export const isText = ({ root }: ValueType): boolean => root === 'CHAR' || root === 'VARCHAR'
export const isBinary = ({ root }: ValueType): boolean => root === 'BINARY' || root === 'VARBINARY'
export const isTimestamp = ({ root }: ValueType): boolean => root === 'TIMESTAMP' || root === 'TIMESTAMP_LTZ'
export const isTemporal = (type: ValueType): boolean => type.root === 'DATE' || type.root === 'TIME' || isTimestamp(type)
export const isInterval = ({ root }: ValueType): boolean => root === 'INTERVAL_MONTHS' || root === 'INTERVAL_MS'

/** DECIMAL of the same values as an exact numeric type; undefined for others. */
export function asDecimal(type: ValueType): ValueType | undefined {
  if (isDecimal(type)) return type
  const digits = { TINYINT: 3, SMALLINT: 5, INT: 10, BIGINT: 19 }[type.root as string]
  return digits === undefined ? undefined : { ...decimalType(digits, 0), nullable: type.nullable }
}
