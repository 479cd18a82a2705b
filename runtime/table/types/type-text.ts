import { unreachable } from '../../common/assert.ts'
import { type LogicalType, lengthMax } from './logical-type.ts'

/** A type as Flink prints it: ``ROW<`a` INT NOT NULL, `b` STRING>``, `TIMESTAMP(3)`, `DECIMAL(10, 2) NOT NULL`. Parsing it again gives the same type. */
export function printType(type: LogicalType): string {
  return type.nullable ? printKind(type) : `${printKind(type)} NOT NULL`
}

/** Without the outermost nullability. */
export function printKind(type: LogicalType): string {
  switch (type.kind) {
    case 'VARCHAR':
      return type.length === lengthMax ? 'STRING' : `VARCHAR(${type.length})`
    case 'VARBINARY':
      return type.length === lengthMax ? 'BYTES' : `VARBINARY(${type.length})`
    case 'CHAR':
    case 'BINARY':
      return `${type.kind}(${type.length})`
    case 'DECIMAL':
      return `DECIMAL(${type.precision}, ${type.scale})`
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return `${type.kind}(${type.precision})`
    case 'INTERVAL_YEAR_MONTH':
      return `INTERVAL ${type.resolution.replace('YEAR', `YEAR(${type.yearPrecision})`)}`
    case 'INTERVAL_DAY_TIME':
      return `INTERVAL ${type.resolution.replace('DAY', `DAY(${type.dayPrecision})`).replace('SECOND', `SECOND(${type.fractionalPrecision})`)}`
    case 'ARRAY':
    case 'MULTISET':
      return `${type.kind}<${printType(type.element)}>`
    case 'MAP':
      return `MAP<${printType(type.key)}, ${printType(type.value)}>`
    case 'ROW':
      return `ROW<${type.fields.map(field => `${quoteName(field.name)} ${printType(field.type)}${printComment(field.comment)}`).join(', ')}>`
    case 'RAW':
      return `RAW(${quoteString(type.className)}, ${quoteString(type.snapshot)})`
    case 'BOOLEAN':
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT':
    case 'FLOAT':
    case 'DOUBLE':
    case 'DATE':
    case 'NULL':
    case 'VARIANT':
      return type.kind
    default:
      return unreachable(type)
  }
}

export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

export function quoteString(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function printComment(comment: string | undefined): string {
  return comment === undefined ? '' : ` ${quoteString(comment)}`
}
