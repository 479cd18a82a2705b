/**
 * The types of SQL as data. Values in columns and rows follow the type, never the data:
 *
 * - BOOLEAN boolean; TINYINT, SMALLINT, INT, FLOAT, DOUBLE number; BIGINT bigint; CHAR, VARCHAR string; BINARY, VARBINARY Uint8Array.
 * - DECIMAL(p, s) is the unscaled bigint: 12.50 as DECIMAL(4, 2) is 1250n. A column keeps it in 64 bits up to p = 18 and in two words above.
 * - DATE is days since 1970-01-01 and TIME milliseconds of the day, both number; TIMESTAMP(p) and TIMESTAMP_LTZ(p) are milliseconds since
 *   1970-01-01T00:00 as number (p up to 3; TIMESTAMP's in no time zone). More digits parse, and are refused where a plan is made.
 * - INTERVAL of years and months is months, of days and times is milliseconds, both number.
 * - ARRAY, MAP, MULTISET, ROW parse and print; what a plan makes of them is the planner's.
 *
 * `nullable` is part of the type, and types are compared with it by `sameType`, without it by `sameKind`.
 */
export type LogicalType =
  | SimpleType
  | LengthType
  | DecimalType
  | TimeType
  | YearMonthIntervalType
  | DayTimeIntervalType
  | ArrayType
  | MultisetType
  | MapType
  | RowType
  | RawType

export interface SimpleType {
  readonly kind: 'BOOLEAN' | 'TINYINT' | 'SMALLINT' | 'INT' | 'BIGINT' | 'FLOAT' | 'DOUBLE' | 'DATE' | 'NULL' | 'VARIANT'
  readonly nullable: boolean
}
export interface LengthType {
  readonly kind: 'CHAR' | 'VARCHAR' | 'BINARY' | 'VARBINARY'
  readonly length: number
  readonly nullable: boolean
}
export interface DecimalType {
  readonly kind: 'DECIMAL'
  readonly precision: number
  readonly scale: number
  readonly nullable: boolean
}
export interface TimeType {
  readonly kind: 'TIME' | 'TIMESTAMP' | 'TIMESTAMP_LTZ'
  readonly precision: number
  readonly nullable: boolean
}
export interface YearMonthIntervalType {
  readonly kind: 'INTERVAL_YEAR_MONTH'
  readonly resolution: 'YEAR' | 'YEAR TO MONTH' | 'MONTH'
  readonly yearPrecision: number
  readonly nullable: boolean
}
export interface DayTimeIntervalType {
  readonly kind: 'INTERVAL_DAY_TIME'
  readonly resolution: DayTimeResolution
  readonly dayPrecision: number
  readonly fractionalPrecision: number
  readonly nullable: boolean
}
export type DayTimeResolution =
  | 'DAY'
  | 'DAY TO HOUR'
  | 'DAY TO MINUTE'
  | 'DAY TO SECOND'
  | 'HOUR'
  | 'HOUR TO MINUTE'
  | 'HOUR TO SECOND'
  | 'MINUTE'
  | 'MINUTE TO SECOND'
  | 'SECOND'
export interface ArrayType {
  readonly kind: 'ARRAY'
  readonly element: LogicalType
  readonly nullable: boolean
}
export interface MultisetType {
  readonly kind: 'MULTISET'
  readonly element: LogicalType
  readonly nullable: boolean
}
export interface MapType {
  readonly kind: 'MAP'
  readonly key: LogicalType
  readonly value: LogicalType
  readonly nullable: boolean
}
export interface RowField {
  readonly name: string
  readonly type: LogicalType
  readonly comment?: string
}
export interface RowType {
  readonly kind: 'ROW'
  readonly fields: readonly RowField[]
  readonly nullable: boolean
}
/** RAW('class', 'snapshot'): known to be a type, never to have values here. */
export interface RawType {
  readonly kind: 'RAW'
  readonly className: string
  readonly snapshot: string
  readonly nullable: boolean
}

export type TypeKind = LogicalType['kind']

export const lengthMax = 2_147_483_647
export const decimalPrecisionMax = 38

const simple = (kind: SimpleType['kind']): SimpleType => ({ kind, nullable: true })

/** Nullable types; `notNull` makes the others. */
export const LogicalTypes = {
  BOOLEAN: simple('BOOLEAN'),
  TINYINT: simple('TINYINT'),
  SMALLINT: simple('SMALLINT'),
  INT: simple('INT'),
  BIGINT: simple('BIGINT'),
  FLOAT: simple('FLOAT'),
  DOUBLE: simple('DOUBLE'),
  DATE: simple('DATE'),
  NULL: simple('NULL'),
  STRING: { kind: 'VARCHAR', length: lengthMax, nullable: true } as LengthType,
  BYTES: { kind: 'VARBINARY', length: lengthMax, nullable: true } as LengthType,
  char: (length: number): LengthType => ({ kind: 'CHAR', length, nullable: true }),
  varchar: (length: number): LengthType => ({ kind: 'VARCHAR', length, nullable: true }),
  binary: (length: number): LengthType => ({ kind: 'BINARY', length, nullable: true }),
  decimal: (precision: number, scale: number): DecimalType => ({ kind: 'DECIMAL', precision, scale, nullable: true }),
  time: (precision = 0): TimeType => ({ kind: 'TIME', precision, nullable: true }),
  timestamp: (precision = 6): TimeType => ({ kind: 'TIMESTAMP', precision, nullable: true }),
  timestampLtz: (precision = 6): TimeType => ({ kind: 'TIMESTAMP_LTZ', precision, nullable: true }),
  array: (element: LogicalType): ArrayType => ({ kind: 'ARRAY', element, nullable: true }),
  map: (key: LogicalType, value: LogicalType): MapType => ({ kind: 'MAP', key, value, nullable: true }),
  row: (fields: readonly RowField[]): RowType => ({ kind: 'ROW', fields, nullable: true }),
} as const

export function withNullability<T extends LogicalType>(type: T, nullable: boolean): T {
  return type.nullable === nullable ? type : { ...type, nullable }
}

export function notNull<T extends LogicalType>(type: T): T {
  return withNullability(type, false)
}

export function sameType(a: LogicalType, b: LogicalType): boolean {
  return a.nullable === b.nullable && sameKind(a, b)
}

/** Equal but for the outermost nullability. */
export function sameKind(a: LogicalType, b: LogicalType): boolean {
  if (a.kind !== b.kind) return false
  if (a.kind === 'ROW' && b.kind === 'ROW')
    return (
      a.fields.length === b.fields.length && a.fields.every((field, i) => field.name === b.fields[i]?.name && sameType(field.type, b.fields[i].type))
    )
  if ((a.kind === 'ARRAY' && b.kind === 'ARRAY') || (a.kind === 'MULTISET' && b.kind === 'MULTISET')) return sameType(a.element, b.element)
  if (a.kind === 'MAP' && b.kind === 'MAP') return sameType(a.key, b.key) && sameType(a.value, b.value)
  // The other kinds hold plain values only.
  const other: Readonly<Record<string, unknown>> = { ...b }
  return Object.entries(a).every(([property, value]) => property === 'nullable' || other[property] === value)
}
