import type { DecimalType, LogicalType, TypeKind } from './logical-type.ts'

/** The families that Flink's rules speak of, and the decimal that holds every value of an exact number. */
export const integerKinds = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT'] as const
export type IntegerKind = (typeof integerKinds)[number]

const member = (kinds: readonly TypeKind[]) => (type: LogicalType) => kinds.includes(type.kind)

export const isInteger = member(integerKinds)

export const isApproximateNumeric = member(['FLOAT', 'DOUBLE'])
export const isNumeric = member([...integerKinds, 'DECIMAL', 'FLOAT', 'DOUBLE'])
export const isCharacter = member(['CHAR', 'VARCHAR'])
export const isBinary = member(['BINARY', 'VARBINARY'])

export const isDatetime = member(['DATE', 'TIME', 'TIMESTAMP', 'TIMESTAMP_LTZ'])
export const isInterval = member(['INTERVAL_YEAR_MONTH', 'INTERVAL_DAY_TIME'])

const digits: Readonly<Record<IntegerKind, number>> = { TINYINT: 3, SMALLINT: 5, INT: 10, BIGINT: 19 }

/** The decimal with room for every value of `type`; undefined for what is no exact number. */
export function asDecimal(type: LogicalType): DecimalType | undefined {
  if (type.kind === 'DECIMAL') return type
  const kind = integerKinds.find(candidate => candidate === type.kind)
  return kind === undefined ? undefined : { kind: 'DECIMAL', precision: digits[kind], scale: 0, nullable: type.nullable }
}
