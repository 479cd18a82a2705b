import type { Expression, Name, Position } from './ast-expression.ts'
import type { CommonTable, GroupingElement, Query, Select, SelectItem, Values } from './ast-query.ts'
import { parseWindowSpecification } from './parse-call.ts'
import { parseHints } from './parse-hint.ts'
import { startsQuery } from './parse-lookahead.ts'
import { parseSortItems } from './parse-sort.ts'
import { parseTableReferences } from './parse-table.ts'
import type { TokenCursor } from './token-cursor.ts'

/** WITH, set operations (INTERSECT before UNION and EXCEPT), ORDER BY and limits around SELECT, VALUES, TABLE t and parentheses. */
export function parseQuery(cursor: TokenCursor): Query {
  return cursor.nested(() => {
    const pos = cursor.position
    if (!cursor.accept('WITH')) return parseOrdered(cursor)
    if (cursor.isPossible('RECURSIVE')) return cursor.unsupported('WITH RECURSIVE')
    const tables = cursor.commaSeparated(() => parseCommonTable(cursor))
    return { kind: 'with', pos, tables, query: parseOrdered(cursor) }
  })
}

function parseCommonTable(cursor: TokenCursor): CommonTable {
  const pos = cursor.position
  const name = cursor.name('a name')
  const columns = cursor.sees(0, '(') ? cursor.parenthesized(() => cursor.name('a column')) : []
  cursor.expect('AS')
  cursor.expectSymbol('(')
  const query = parseQuery(cursor)
  cursor.expectSymbol(')')
  return { pos, name, columns, query }
}

function parseOrdered(cursor: TokenCursor): Query {
  const pos = cursor.position
  const query = parseSetOperations(cursor, parseIntersections(cursor))
  let orderBy: ReturnType<typeof parseSortItems> = []
  if (cursor.acceptPossible('ORDER')) {
    cursor.expect('BY')
    orderBy = parseSortItems(cursor)
  }
  const { offset, limit, any } = parseLimit(cursor)
  return orderBy.length === 0 && !any ? query : { kind: 'ordered', pos, query, orderBy, offset, limit }
}

/** LIMIT n [OFFSET m], LIMIT m, n, LIMIT ALL, OFFSET m [ROWS] [FETCH FIRST n ROWS ONLY]. */
function parseLimit(cursor: TokenCursor): { readonly offset: Expression | undefined; readonly limit: Expression | undefined; readonly any: boolean } {
  let offset: Expression | undefined
  let limit: Expression | undefined
  let any = false
  const rows = () => cursor.accept('ROWS') || cursor.accept('ROW')
  if (cursor.acceptPossible('LIMIT')) {
    any = true
    if (!cursor.accept('ALL')) {
      limit = parseRowCount(cursor)
      if (cursor.sees(0, ',')) return cursor.unsupported('LIMIT with two numbers; write LIMIT … OFFSET …')
    }
  }
  if (cursor.acceptPossible('OFFSET')) {
    any = true
    offset = parseRowCount(cursor)
    rows()
    if (limit === undefined && cursor.sees(0, 'LIMIT')) cursor.fail()
  }
  if (!any || limit === undefined) {
    if (cursor.acceptPossible('FETCH')) {
      any = true
      cursor.expectOneOf(['FIRST', 'NEXT'])
      limit = parseRowCount(cursor)
      if (!rows()) cursor.fail()
      cursor.expect('ONLY')
    }
  }
  return { offset, limit, any }
}

function parseRowCount(cursor: TokenCursor): Expression {
  const pos = cursor.position
  return { kind: 'number', pos, text: String(cursor.integer('a number of rows', Number.MAX_SAFE_INTEGER)) }
}

function parseSetOperations(cursor: TokenCursor, first: Query): Query {
  let left = first
  for (let chain = 1; ; chain++) {
    const pos = cursor.position
    const operator = (['UNION', 'EXCEPT', 'MINUS'] as const).find(word => cursor.acceptPossible(word))
    if (operator === undefined) return left
    const all = parseAll(cursor)
    left = { kind: 'setOperation', pos, operator: operator === 'MINUS' ? 'EXCEPT' : operator, all, left, right: parseIntersections(cursor) }
    cursor.checkChain(chain)
  }
}

function parseIntersections(cursor: TokenCursor): Query {
  let left = parseQueryTerm(cursor)
  for (let chain = 1; ; chain++) {
    const pos = cursor.position
    if (!cursor.acceptPossible('INTERSECT')) return left
    left = { kind: 'setOperation', pos, operator: 'INTERSECT', all: parseAll(cursor), left, right: parseQueryTerm(cursor) }
    cursor.checkChain(chain)
  }
}

function parseAll(cursor: TokenCursor): boolean {
  const all = cursor.accept('ALL')
  if (!all) cursor.accept('DISTINCT')
  return all
}

function parseQueryTerm(cursor: TokenCursor): Query {
  const pos = cursor.position
  if (cursor.accept('SELECT')) return parseSelect(cursor, pos)
  if (cursor.accept('VALUES')) return parseValues(cursor, pos)
  if (cursor.accept('TABLE')) return { kind: 'explicitTable', pos, path: cursor.path('a table') }
  cursor.expectSymbol('(')
  const query = parseQuery(cursor)
  cursor.expectSymbol(')')
  return query
}

function parseValues(cursor: TokenCursor, pos: Position): Values {
  const rows = cursor.commaSeparated(() => {
    if (cursor.sees(0, '(') && !startsQuery(cursor, 1)) return cursor.parenthesized(() => cursor.grammar.expression(cursor))
    const value = cursor.grammar.expression(cursor)
    return value.kind === 'row' ? value.items : [value]
  })
  return { kind: 'values', pos, rows }
}

function parseSelect(cursor: TokenCursor, pos: Position): Select {
  const hints = parseHints(cursor)
  if (cursor.isPossible('STREAM')) return cursor.unsupported('SELECT STREAM')
  const distinct = cursor.accept('DISTINCT')
  if (!distinct) cursor.accept('ALL')
  const items = cursor.commaSeparated(() => parseSelectItem(cursor))
  // Clauses without FROM are refused by the planner's rules in Flink's parser as well.
  const from = cursor.accept('FROM') ? parseTableReferences(cursor) : undefined
  const expression = () => cursor.grammar.expression(cursor)
  const clauses = from !== undefined
  const where = clauses && cursor.accept('WHERE') ? expression() : undefined
  let groupBy: readonly GroupingElement[] = []
  let groupByDistinct = false
  if (clauses && cursor.accept('GROUP')) {
    cursor.expect('BY')
    groupByDistinct = cursor.accept('DISTINCT')
    if (!groupByDistinct) cursor.accept('ALL')
    groupBy = cursor.commaSeparated(() => parseGroupingElement(cursor))
  }
  const having = clauses && cursor.acceptPossible('HAVING') ? expression() : undefined
  const windows = clauses && cursor.acceptPossible('WINDOW') ? cursor.commaSeparated(() => parseNamedWindow(cursor)) : []
  const qualify = clauses && cursor.acceptPossible('QUALIFY') ? expression() : undefined
  return { kind: 'select', pos, hints, distinct, items, from, where, groupBy, groupByDistinct, having, windows, qualify }
}

function parseSelectItem(cursor: TokenCursor): SelectItem {
  const pos = cursor.position
  if (cursor.acceptSymbol('*')) return { pos, expression: { kind: 'star', pos, path: [] }, alias: undefined }
  const expression = cursor.grammar.expression(cursor)
  if (expression.kind === 'star') return { pos, expression, alias: undefined }
  return { pos, expression, alias: parseColumnAlias(cursor) }
}

/** Also a string is an alias in Calcite's grammar; Flink's dialect refuses it. */
function parseColumnAlias(cursor: TokenCursor): Name | undefined {
  if (cursor.accept('AS')) return cursor.name('an alias')
  return cursor.isName() ? cursor.name('an alias') : undefined
}

function parseNamedWindow(cursor: TokenCursor) {
  const name = cursor.name('a window')
  cursor.expect('AS')
  return { name, specification: parseWindowSpecification(cursor) }
}

function parseGroupingElement(cursor: TokenCursor): GroupingElement {
  const pos = cursor.position
  return cursor.nested((): GroupingElement => {
    if (cursor.accept('GROUPING', 'SETS')) return { kind: 'groupingSets', pos, items: cursor.parenthesized(() => parseGroupingElement(cursor)) }
    for (const [word, kind] of [
      ['ROLLUP', 'rollup'],
      ['CUBE', 'cube'],
    ] as const)
      if (cursor.accept(word))
        return { kind, pos, items: cursor.parenthesized(() => ({ kind: 'expression', expression: cursor.grammar.expression(cursor) })) }
    if (cursor.sees(0, '(', ')')) {
      cursor.advance()
      cursor.advance()
      return { kind: 'set', pos, items: [] }
    }
    const expression = cursor.grammar.expression(cursor)
    return expression.kind === 'row' && !expression.explicit ? { kind: 'set', pos, items: expression.items } : { kind: 'expression', expression }
  })
}
