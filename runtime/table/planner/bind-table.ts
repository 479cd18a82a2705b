import type { Expression, Field } from '../plan/expression.ts'
import { kafkaTableSource } from '../runtime/kafka-table-reader.ts'
import type { Hint, Property } from '../sql/ast-query.ts'
import type { CreateTable } from '../sql/ast-statement.ts'
import type { LogicalType } from '../types/logical-type.ts'
import { printType } from '../types/type-text.ts'
import { bindExpression } from './bind-expression.ts'
import type { TablePath } from './catalog-names.ts'
import { checkOptions } from './connector-options.ts'
import { columnReference } from './expressions.ts'
import type { LogicalNode } from './logical.ts'
import { at, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'
import { type Relation, referenceOf, type ScopeColumn } from './scope.ts'

/**
 * A table as a source: a scan of its physical columns' leaves, a projection that adds the computed columns where they are declared, and the
 * watermark. The rules drop what nobody reads.
 */
export function bindSourceTable(
  table: CreateTable,
  path: TablePath,
  hints: readonly Hint[],
  use: 'source' | 'declared' = 'source',
  kafkaDefaults: Readonly<Record<string, string>> = {},
): Relation {
  const name = path[2]
  const leaves: { readonly field: Field; readonly path: readonly string[] }[] = []
  const physical = table.columns.filter(column => column.kind === 'physical')
  const physicalColumns = physical.map(column => leafColumns(path, column.name.text, column.type, [column.name.text], leaves, column.pos))
  const { connector, options: given } = checkOptions(
    name,
    withHints(table.options, hints),
    table.pos,
    use,
    physical.map(column => column.name.text),
  )
  const options = connector === 'kafka' ? { ...kafkaDefaults, ...given } : given
  // A table that is perhaps only written need not say where reading starts.
  const startAtWill = use === 'declared' && options['scan.startup.mode'] === undefined ? { 'scan.startup.mode': 'earliest-offset' } : {}
  if (connector === 'kafka') at(table.pos, () => kafkaTableSource({ ...options, ...startAtWill }))
  let node: LogicalNode = {
    kind: 'scan',
    table: name,
    connector,
    options,
    physical: leaves.map(({ field }) => field),
    paths: leaves.map(leaf => leaf.path),
    projected: leaves.map((_, i) => i),
    rows: undefined,
  }
  const projections: Expression[] = leaves.map(({ field }, i) => columnReference(i, field.type))
  const names = leaves.map(({ field }) => field.name)
  const columns: ScopeColumn[] = []
  let nextPhysical = 0
  for (const column of table.columns) {
    if (column.kind === 'physical') {
      columns.push(physicalColumns[nextPhysical++]!)
    } else {
      if (column.kind === 'metadata') throw notSupportedYet(column.pos, `metadata column '${column.name.text}'`)
      const expression = bindExpression(column.expression, { columns: physicalColumns, clause: 'a computed column' })
      columns.push({ qualifier: path, name: column.name.text, index: projections.length, type: expression.type, rowtime: false, fields: undefined })
      projections.push(expression)
      names.push(column.name.text)
    }
  }
  if (projections.length > leaves.length) node = { kind: 'project', input: node, projections, names }
  return table.watermark === undefined ? { node, columns } : withWatermark(table, node, columns)
}

function withWatermark(table: CreateTable, input: LogicalNode, columns: readonly ScopeColumn[]): Relation {
  const watermark = table.watermark!
  const [target, ...rest] = watermark.column
  const names = watermark.column.map(({ text }) => text).join('.')
  const index = columns.findIndex(column => column.name === target!.text)
  const column = columns[index]
  if (column === undefined)
    throw planError(watermark.pos, `watermark column '${names}' is not known; there are ${columns.map(each => each.name).join(', ')}`)
  if (rest.length > 0 || column.fields !== undefined) throw notSupportedYet(watermark.pos, 'a watermark for a field of a ROW')
  if (!/^TIMESTAMP(_LTZ)?\(/.test(column.type))
    throw planError(watermark.pos, `watermark column '${names}' is of type ${column.type}, expected TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p up to 3`)
  const expression = bindExpression(watermark.expression, { columns, clause: 'a watermark' })
  if (!/^TIMESTAMP(_LTZ)?\(/.test(expression.type))
    throw planError(watermark.pos, `the watermark of '${names}' is of type ${expression.type}, expected a TIMESTAMP as the column`)
  return {
    node: { kind: 'watermark', input, rowtime: referenceIndex(column), expression },
    columns: columns.map((each, i) => (i === index ? { ...each, rowtime: true } : each)),
  }
}

function referenceIndex(column: ScopeColumn): number {
  const reference = referenceOf(column)
  return reference.kind === 'column' ? reference.index : -1
}

function leafColumns(
  qualifier: readonly string[],
  name: string,
  type: LogicalType,
  path: readonly string[],
  leaves: { field: Field; path: readonly string[] }[],
  pos: SqlPosition,
): ScopeColumn {
  if (type.kind === 'ROW') {
    const fields = type.fields.map(field =>
      leafColumns([], field.name, type.nullable ? { ...field.type, nullable: true } : field.type, [...path, field.name], leaves, pos),
    )
    return { qualifier, name, index: -1, type: printType(type), rowtime: false, fields }
  }
  requireColumnType(type, path.join('.'), pos)
  const text = printType(type)
  leaves.push({ field: { name: path.join('.'), type: text }, path })
  return { qualifier, name, index: leaves.length - 1, type: text, rowtime: false, fields: undefined }
}

/** What columns can hold; the rest is refused where the table is declared. */
export function requireColumnType(type: LogicalType, name: string, pos: SqlPosition): void {
  const isTime = type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ' || type.kind === 'TIME'
  if (isTime && type.precision > 3) throw notSupportedYet(pos, `column '${name}' of type ${printType(type)} (times have up to 3 fractional digits)`)
  if (['ARRAY', 'MAP', 'MULTISET', 'RAW', 'VARIANT', 'ROW', 'NULL', 'INTERVAL_YEAR_MONTH', 'INTERVAL_DAY_TIME'].includes(type.kind))
    throw notSupportedYet(pos, `column '${name}' of type ${printType(type)}`)
}

/** Options of an OPTIONS hint go over the table's. */
function withHints(options: readonly Property[], hints: readonly Hint[]): readonly Property[] {
  let result = options
  for (const hint of hints) {
    if (hint.name.toUpperCase() !== 'OPTIONS') throw notSupportedYet(hint.pos, `hint ${hint.name}`)
    const keys = new Set(hint.options.map(({ key }) => key))
    result = [...result.filter(({ key }) => !keys.has(key)), ...hint.options]
  }
  return result
}
