import { unreachable } from '../../common/assert.ts'
import { quoteString } from '../types/type-text.ts'
import type { Expression } from './ast-expression.ts'
import type { Alias, GroupingElement, Hint, Query, Select, TableReference } from './ast-query.ts'
import { printExpression, printName, printPath, printSortItems, printWindow } from './print-expression.ts'

/** A query as SQL on one line. */
export function printQuery(query: Query): string {
  switch (query.kind) {
    case 'select':
      return printSelect(query)
    case 'setOperation':
      return `${operand(query.left)} ${query.operator}${query.all ? ' ALL' : ''} ${operand(query.right)}`
    case 'values':
      return `VALUES ${query.rows.map(row => `(${row.map(print).join(', ')})`).join(', ')}`
    case 'explicitTable':
      return `TABLE ${printPath(query.path)}`
    case 'ordered': {
      const orderBy = query.orderBy.length === 0 ? '' : ` ORDER BY ${printSortItems(query.orderBy, printQuery)}`
      const offset = query.offset === undefined ? '' : ` OFFSET ${print(query.offset)}`
      const limit = query.limit === undefined ? (orderBy === '' && offset === '' ? ' LIMIT ALL' : '') : ` LIMIT ${print(query.limit)}`
      return `${query.query.kind === 'ordered' || query.query.kind === 'with' ? `(${printQuery(query.query)})` : printQuery(query.query)}${orderBy}${limit}${offset}`
    }
    case 'with': {
      const tables = query.tables.map(table => `${printName(table.name)}${columnList(table.columns)} AS (${printQuery(table.query)})`)
      return `WITH ${tables.join(', ')} ${query.query.kind === 'with' ? `(${printQuery(query.query)})` : printQuery(query.query)}`
    }
    default:
      return unreachable(query)
  }
}

const print = (expression: Expression) => printExpression(expression, printQuery)

/** Sides of a set operation stand in parentheses where reading them back could bind otherwise. */
function operand(query: Query): string {
  return query.kind === 'setOperation' || query.kind === 'ordered' || query.kind === 'with' ? `(${printQuery(query)})` : printQuery(query)
}

function columnList(columns: readonly { readonly text: string; readonly pos: Expression['pos'] }[]): string {
  return columns.length === 0 ? '' : ` (${columns.map(printName).join(', ')})`
}

function printSelect(select: Select): string {
  const items = select.items.map(item => `${print(item.expression)}${item.alias === undefined ? '' : ` AS ${printName(item.alias)}`}`)
  const windows = select.windows.map(window => `${printName(window.name)} AS ${printWindow(window.specification, printQuery)}`)
  const parts = [`SELECT${printHints(select.hints)}${select.distinct ? ' DISTINCT' : ''} ${items.join(', ')}`]
  if (select.from !== undefined) parts.push(`FROM ${printTable(select.from)}`)
  if (select.where !== undefined) parts.push(`WHERE ${print(select.where)}`)
  if (select.groupBy.length > 0) parts.push(`GROUP BY ${select.groupByDistinct ? 'DISTINCT ' : ''}${select.groupBy.map(printGrouping).join(', ')}`)
  if (select.having !== undefined) parts.push(`HAVING ${print(select.having)}`)
  if (windows.length > 0) parts.push(`WINDOW ${windows.join(', ')}`)
  if (select.qualify !== undefined) parts.push(`QUALIFY ${print(select.qualify)}`)
  return parts.join(' ')
}

function printGrouping(element: GroupingElement): string {
  switch (element.kind) {
    case 'expression':
      return print(element.expression)
    case 'set':
      return `(${element.items.map(print).join(', ')})`
    case 'rollup':
    case 'cube':
    case 'groupingSets': {
      const word = { rollup: 'ROLLUP', cube: 'CUBE', groupingSets: 'GROUPING SETS' }[element.kind]
      return `${word} (${element.items.map(printGrouping).join(', ')})`
    }
    default:
      return unreachable(element)
  }
}

function printHints(hints: readonly Hint[]): string {
  if (hints.length === 0) return ''
  const texts = hints.map(hint => {
    const parts = [...hint.options.map(({ key, value }) => `${quoteString(key)} = ${quoteString(value)}`), ...hint.arguments.map(quoteString)]
    return `${hint.name}${parts.length === 0 ? '' : `(${parts.join(', ')})`}`
  })
  return ` /*+ ${texts.join(', ')} */`
}

function printAlias(alias: Alias | undefined): string {
  return alias === undefined ? '' : ` AS ${printName(alias.name)}${columnList(alias.columns)}`
}

export function printTable(table: TableReference): string {
  const lateral = 'lateral' in table && table.lateral ? 'LATERAL ' : ''
  switch (table.kind) {
    case 'table': {
      const asOf = table.asOf === undefined ? '' : ` FOR SYSTEM_TIME AS OF ${print(table.asOf)}`
      return `${printPath(table.path)}${printHints(table.hints)}${asOf}${printAlias(table.alias)}`
    }
    case 'derived':
      return `${lateral}(${printQuery(table.query)})${printAlias(table.alias)}`
    case 'function':
      return `${lateral}${table.wrapped ? `TABLE(${print(table.call)})` : print(table.call)}${printAlias(table.alias)}`
    case 'unnest': {
      const ordinality = table.withOrdinality ? ' WITH ORDINALITY' : ''
      return `UNNEST(${table.expressions.map(print).join(', ')})${ordinality}${printAlias(table.alias)}`
    }
    case 'join': {
      const right = table.right.kind === 'join' ? `(${printTable(table.right)})` : printTable(table.right)
      const left =
        table.type !== 'COMMA' && table.left.kind === 'join' && table.left.type === 'COMMA' ? `(${printTable(table.left)})` : printTable(table.left)
      if (table.type === 'COMMA') return `${left}, ${right}`
      return `${left} ${table.natural ? 'NATURAL ' : ''}${table.type} JOIN ${right}${printCondition(table.condition)}`
    }
    default:
      return unreachable(table)
  }
}

function printCondition(condition: (TableReference & { kind: 'join' })['condition']): string {
  if (condition === undefined) return ''
  return condition.kind === 'on' ? ` ON ${print(condition.expression)}` : ` USING${columnList(condition.columns)}`
}
