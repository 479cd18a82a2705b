import { unreachable } from '../../common/assert.ts'
import type { CatalogManager } from '../catalog/catalog-manager.ts'
import type { CatalogPath } from '../catalog/object-identifier.ts'
import { toRowForm } from '../functions/frame-values.ts'
import { interpretExpression } from '../functions/interpret.ts'
import { timeZone } from '../functions/time-zone.ts'
import { parseValueType } from '../functions/value-type.ts'
import type { Expression } from '../plan/expression.ts'
import type { Query, Select, TableReference, Values } from '../sql/ast-query.ts'
import { bindAggregation, isAggregated } from './bind-aggregate.ts'
import { bindCondition, bindExpression, callOf } from './bind-expression.ts'
import { bindSourceTable } from './bind-table.ts'
import { bindWindowTable } from './bind-window.ts'
import { findObject } from './catalog-names.ts'
import { columnReference, isNotNull } from './expressions.ts'
import { type LogicalNode, schemaOf } from './logical.ts'
import { notSupportedYet, planError, type SqlPosition } from './plan-error.ts'
import { type ExpandedItem, isRowtime, nameOf, project } from './projection.ts'
import { aliased, type Relation, requireNoRows, type ScopeColumn } from './scope.ts'

/** Queries to logical plans. What is not there yet is refused by name where it stands. */
export interface QueryContext {
  readonly catalog: CatalogManager
  /** Where names of one part are looked up: of a view, where it was declared. */
  readonly scope: CatalogPath
  readonly timeZone: string
  /** Options of tables that are read from Kafka, where they say nothing themselves. */
  readonly kafkaDefaults: Readonly<Record<string, string>>
  /** WITH tables in reach. */
  readonly common: ReadonlyMap<string, Relation>
  /** Views being expanded, so that one that reads itself is noticed. */
  readonly views: readonly string[]
}

export function bindQuery(query: Query, context: QueryContext): Relation {
  switch (query.kind) {
    case 'select':
      return bindSelect(query, context)
    case 'setOperation': {
      if (query.operator !== 'UNION' || !query.all) throw notSupportedYet(query.pos, `${query.operator}${query.all ? ' ALL' : ''}`)
      return bindUnion(query.pos, bindQuery(query.left, context), bindQuery(query.right, context))
    }
    case 'values':
      return bindValues(query, context)
    case 'explicitTable':
      return bindReference({ kind: 'table', pos: query.pos, path: query.path, hints: [], asOf: undefined, alias: undefined }, context)
    case 'ordered':
      if (query.orderBy.length > 0) throw notSupportedYet(query.orderBy[0]!.pos, 'ORDER BY')
      if (query.limit !== undefined) throw notSupportedYet(query.limit.pos, 'LIMIT')
      if (query.offset !== undefined) throw notSupportedYet(query.offset.pos, 'OFFSET')
      return bindQuery(query.query, context)
    case 'with': {
      let inner = context
      for (const table of query.tables) {
        const relation = bindQuery(table.query, inner)
        const columns = aliased(relation.columns, { name: table.name, columns: table.columns })
        inner = { ...inner, common: new Map([...inner.common, [table.name.text, { node: relation.node, columns }]]) }
      }
      return bindQuery(query.query, inner)
    }
    default:
      return unreachable(query)
  }
}

function bindSelect(select: Select, context: QueryContext): Relation {
  if (select.distinct) throw notSupportedYet(select.pos, 'SELECT DISTINCT')
  if (select.windows[0] !== undefined) throw notSupportedYet(select.windows[0].name.pos, 'WINDOW')
  if (select.qualify !== undefined) throw notSupportedYet(select.qualify.pos, 'QUALIFY')
  if (select.hints[0] !== undefined) throw notSupportedYet(select.hints[0].pos, `hint ${select.hints[0].name}`)
  let input = select.from === undefined ? oneRow() : bindReference(select.from, context)
  if (select.where !== undefined) {
    const condition = bindCondition(select.where, { columns: input.columns, clause: 'WHERE' })
    input = { node: { kind: 'filter', input: input.node, condition }, columns: input.columns }
  }
  const items = expandStars(select, input.columns)
  if (isAggregated(select)) return bindAggregation(select, items, input)
  return project(
    input.node,
    items.map(({ item, column }) => {
      if (column !== undefined) return column
      const expression = bindExpression(item.expression, { columns: input.columns, clause: 'SELECT' })
      return { expression, rowtime: isRowtime(item.expression, input.columns) }
    }),
    items.map(({ item, name }, i) => name ?? nameOf(item, i)),
  )
}

function expandStars(select: Select, columns: readonly ScopeColumn[]): ExpandedItem[] {
  return select.items.flatMap((item): ExpandedItem[] => {
    if (item.expression.kind !== 'star') return [{ item, column: undefined, name: undefined }]
    const { path, pos } = item.expression
    if (select.from === undefined) throw planError(pos, '* needs a FROM')
    const prefix = path.map(({ text }) => text)
    const named = columns.filter(({ qualifier }) => prefix.every((part, i) => qualifier[qualifier.length - prefix.length + i] === part))
    if (named.length === 0) throw planError(pos, `table '${prefix.join('.')}' is not in FROM`)
    return named.map(column => {
      if (column.fields !== undefined)
        throw notSupportedYet(
          pos,
          `ROW column '${column.name}' as a whole (name one of its fields: ${column.fields.map(({ name }) => name).join(', ')})`,
        )
      return { item, column: { expression: columnReference(column.index, column.type), rowtime: column.rowtime }, name: column.name }
    })
  })
}

function bindReference(reference: TableReference, context: QueryContext): Relation {
  switch (reference.kind) {
    case 'table':
      return bindNamedTable(reference, context)
    case 'derived': {
      if (reference.lateral) throw notSupportedYet(reference.pos, 'LATERAL')
      const relation = bindQuery(reference.query, context)
      return { node: relation.node, columns: aliased(relation.columns, reference.alias) }
    }
    case 'function': {
      const relation = bindWindowTable(reference.call, argument =>
        Array.isArray(argument)
          ? bindNamedTable({ kind: 'table', pos: argument[0]!.pos, path: argument, hints: [], asOf: undefined, alias: undefined }, context)
          : bindQuery(argument as Query, context),
      )
      return { node: relation.node, columns: aliased(relation.columns, reference.alias) }
    }
    case 'unnest':
      throw notSupportedYet(reference.pos, 'UNNEST')
    case 'join':
      throw notSupportedYet(reference.pos, reference.type === 'COMMA' ? 'a join (several tables in FROM)' : `${reference.type} JOIN`)
    default:
      return unreachable(reference)
  }
}

function bindNamedTable(reference: Extract<TableReference, { kind: 'table' }>, context: QueryContext): Relation {
  const { path, alias } = reference
  if (reference.asOf !== undefined) throw notSupportedYet(reference.asOf.pos, 'FOR SYSTEM_TIME AS OF')
  const common = path.length === 1 ? context.common.get(path[0]!.text) : undefined
  if (common !== undefined) return { node: common.node, columns: aliased(common.columns, alias) }
  const found = findObject(context.catalog, path, context.scope)
  if (found.object.kind === 'table') {
    const relation = bindSourceTable(found.object.declared, found.path, reference.hints, 'source', context.kafkaDefaults)
    return { node: relation.node, columns: aliased(relation.columns, alias) }
  }
  const name = found.path.join('.')
  if (context.views.includes(name)) throw planError(reference.pos, `view '${name}' reads itself`)
  const { columns: names, query, scope } = found.object
  const relation = bindQuery(query, { ...context, scope, common: new Map(), views: [...context.views, name] })
  const columns = relation.columns.map((column, i) => ({ ...column, qualifier: found.path, name: names[i] ?? column.name }))
  return { node: relation.node, columns: aliased(columns, alias) }
}

function bindUnion(pos: SqlPosition, left: Relation, right: Relation): Relation {
  const [a, b] = [schemaOf(left.node), schemaOf(right.node)]
  if (left.columns.length !== right.columns.length)
    throw planError(pos, `UNION ALL of ${left.columns.length} and ${right.columns.length} columns, expected as many on both sides`)
  requireNoRows(left, pos)
  requireNoRows(right, pos)
  const types = left.columns.map((column, i) => {
    // The rule that gives a CASE its type gives a column of a union its.
    const test = { kind: 'literal', value: true, type: 'BOOLEAN NOT NULL' } as const
    const common = unionType(() => callOf('CASE', [test, columnReference(0, column.type), columnReference(1, right.columns[i]!.type)], pos).type)
    if (common === undefined)
      throw planError(pos, `column '${column.name}' of UNION ALL is of type ${column.type} on one side and ${right.columns[i]!.type} on the other`)
    return common
  })
  const rowtimes = left.columns.map((column, i) => column.rowtime && right.columns[i]!.rowtime)
  const names = left.columns.map(({ name }) => name)
  const side = (relation: Relation, schema: typeof a): LogicalNode => {
    const same = relation.columns.every((column, i) => column.index === i && column.type === types[i]) && schema.length === types.length
    return same
      ? relation.node
      : project(
          relation.node,
          relation.columns.map((column, i) => ({ expression: castTo(columnReference(column.index, column.type), types[i]!), rowtime: false })),
          names,
        ).node
  }
  const node: LogicalNode = {
    kind: 'union',
    inputs: [side(left, a), side(right, b)].flatMap(input => (input.kind === 'union' ? input.inputs : [input])),
  }
  return {
    node,
    columns: names.map((name, index) => ({ qualifier: [], name, index, type: types[index]!, rowtime: rowtimes[index]!, fields: undefined })),
  }
}

function unionType(resolve: () => string): string | undefined {
  try {
    return resolve()
  } catch {
    return undefined
  }
}

export function castTo(expression: Expression, type: string): Expression {
  if (expression.type === type) return expression
  const bare = (text: string) => text.replace(/ NOT NULL$/, '')
  // A nullable type holds what is not null as it is.
  if (bare(expression.type) === bare(type) && !isNotNull(type)) return expression.kind === 'column' ? { ...expression, type } : expression
  const target = isNotNull(expression.type) ? `${bare(type)} NOT NULL` : bare(type)
  if (expression.kind === 'literal' && expression.value === null) return { ...expression, type: bare(type) }
  return { kind: 'call', name: 'CAST', arguments: [expression], type: target, position: '' }
}

function oneRow(): Relation {
  const node: LogicalNode = {
    kind: 'scan',
    table: 'values',
    connector: 'values',
    options: {},
    physical: [{ name: '$row', type: 'BOOLEAN NOT NULL' }],
    paths: [['$row']],
    projected: [0],
    rows: [[true]],
  }
  return { node, columns: [] }
}

/** Rows of constants, worked out here. */
function bindValues(values: Values, context: QueryContext): Relation {
  const width = values.rows[0]!.length
  const bound = values.rows.map(row => {
    if (row.length !== width)
      throw planError(row[0]?.pos ?? values.pos, `a row of VALUES has ${row.length} values, expected ${width} as the first one`)
    return row.map(item => bindExpression(item, { columns: [], clause: 'VALUES' }))
  })
  const types = bound[0]!.map((_, i) => {
    const column = bound.map(row => row[i]!)
    if (column.length === 1) return column[0]!.type
    const tests = column.slice(1).flatMap(expression => [{ kind: 'literal', value: true, type: 'BOOLEAN NOT NULL' } as const, expression])
    return callOf('CASE', [...tests, column[0]!], values.rows[0]![i]!.pos).type
  })
  const environment = { timeZone: timeZone(context.timeZone), frameTimeMs: 0 }
  const rows = bound.map(row =>
    row.map((expression, i) => {
      const type = types[i]!
      const value = toRowForm(parseValueType(type), interpretExpression(castTo(expression, type), environment)([]))
      return typeof value === 'bigint' ? value.toString() : value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
    }),
  )
  const names = types.map((_, i) => `EXPR$${i}`)
  const physical = types.map((type, i) => ({ name: names[i]!, type }))
  const node: LogicalNode = {
    kind: 'scan',
    table: 'values',
    connector: 'values',
    options: {},
    physical,
    paths: names.map(name => [name]),
    projected: names.map((_, i) => i),
    rows,
  }
  return { node, columns: physical.map(({ name, type }, index) => ({ qualifier: [], name, index, type, rowtime: false, fields: undefined })) }
}
