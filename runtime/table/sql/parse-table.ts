import type { Call, Expression, Position } from './ast-expression.ts'
import type { Alias, Join, TableReference } from './ast-query.ts'
import { parseHints } from './parse-hint.ts'
import { startsQuery } from './parse-lookahead.ts'
import type { TokenCursor } from './token-cursor.ts'

/** What follows FROM: tables, queries, table functions, UNNEST, joined by commas and by every kind of JOIN. */
export function parseTableReferences(cursor: TokenCursor): TableReference {
  let left = parseJoins(cursor)
  for (let chain = 1; ; chain++) {
    const pos = cursor.position
    if (!cursor.acceptSymbol(',')) return left
    cursor.checkChain(chain)
    left = { kind: 'join', pos, type: 'COMMA', natural: false, left, right: parseJoins(cursor), condition: undefined }
  }
}

function parseJoins(cursor: TokenCursor): TableReference {
  let left = parseTable(cursor)
  for (let chain = 1; ; chain++) {
    const next = parseJoin(cursor, left)
    if (next === undefined) return left
    cursor.checkChain(chain)
    left = next
  }
}

function parseJoin(cursor: TokenCursor, left: TableReference): Join | undefined {
  const pos = cursor.position
  if (cursor.sees(0, 'CROSS', 'APPLY') || cursor.sees(0, 'OUTER', 'APPLY')) return cursor.unsupported('APPLY')
  if (cursor.acceptPossible('CROSS')) {
    cursor.expect('JOIN')
    return { kind: 'join', pos, type: 'CROSS', natural: false, left, right: parseTable(cursor), condition: undefined }
  }
  const natural = cursor.acceptPossible('NATURAL')
  const type = joinType(cursor)
  if (type === undefined) return natural ? cursor.fail() : undefined
  const right = parseTable(cursor)
  if (cursor.accept('ON')) {
    if (natural) throw cursor.error('a NATURAL join has no ON', {}, pos)
    return { kind: 'join', pos, type, natural, left, right, condition: { kind: 'on', expression: cursor.grammar.expression(cursor) } }
  }
  if (cursor.accept('USING')) {
    if (natural) throw cursor.error('a NATURAL join has no USING', {}, pos)
    return {
      kind: 'join',
      pos,
      type,
      natural,
      left,
      right,
      condition: { kind: 'using', columns: cursor.parenthesized(() => cursor.name('a column')) },
    }
  }
  return { kind: 'join', pos, type, natural, left, right, condition: undefined }
}

function joinType(cursor: TokenCursor): 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | undefined {
  if (cursor.accept('JOIN')) return 'INNER'
  if (cursor.acceptPossible('INNER')) {
    cursor.expect('JOIN')
    return 'INNER'
  }
  const outer = (['LEFT', 'RIGHT', 'FULL'] as const).find(word => cursor.acceptPossible(word))
  if (outer === undefined) return undefined
  cursor.accept('OUTER')
  for (const word of ['SEMI', 'ANTI']) if (cursor.isPossible(word)) cursor.unsupported(`${word} JOIN`)
  cursor.expect('JOIN')
  return outer
}

function parseTable(cursor: TokenCursor): TableReference {
  return cursor.nested(() => {
    const table = parseTableFactor(cursor)
    refuseTableSuffix(cursor)
    return table
  })
}

function parseTableFactor(cursor: TokenCursor): TableReference {
  const pos = cursor.position
  const lateral = cursor.accept('LATERAL')
  if (cursor.sees(0, 'TABLE', '(')) {
    cursor.advance()
    cursor.advance()
    const call = parseTableCall(cursor)
    cursor.expectSymbol(')')
    return { kind: 'function', pos, lateral, wrapped: true, call, alias: parseAlias(cursor) }
  }
  if (cursor.sees(0, '(')) return parseParenthesis(cursor, pos, lateral)
  if (cursor.accept('UNNEST')) {
    const expressions = cursor.parenthesized(() => cursor.grammar.expression(cursor))
    const withOrdinality = cursor.accept('WITH')
    if (withOrdinality) cursor.expect('ORDINALITY')
    return { kind: 'unnest', pos, expressions, withOrdinality, alias: parseAlias(cursor) }
  }
  if (lateral) {
    cursor.isWord('TABLE')
    return cursor.fail()
  }
  if (!cursor.isName()) {
    cursor.expecting('a table')
    return cursor.fail()
  }
  let after = 1
  while (cursor.sees(after, '.')) after += 2
  if (cursor.sees(after, '('))
    return { kind: 'function', pos, lateral: false, wrapped: false, call: parseTableCall(cursor), alias: parseAlias(cursor) }
  const path = cursor.path('a table')
  refuseTableSuffix(cursor)
  const hints = parseHints(cursor)
  let asOf: Expression | undefined
  if (cursor.accept('FOR')) {
    cursor.expect('SYSTEM_TIME', 'AS', 'OF')
    asOf = cursor.grammar.expression(cursor)
  }
  return { kind: 'table', pos, path, hints, asOf, alias: parseAlias(cursor) }
}

function parseTableCall(cursor: TokenCursor): Call {
  const call = cursor.grammar.expression(cursor)
  if (call.kind === 'call' && !call.niladic) return call
  throw cursor.error('TABLE(…) takes a call of a function', {}, call.pos)
}

/** `(SELECT …) AS t`, or joins in parentheses. */
function parseParenthesis(cursor: TokenCursor, pos: Position, lateral: boolean): TableReference {
  if (startsQuery(cursor, 1)) {
    cursor.advance()
    const query = cursor.grammar.query(cursor)
    cursor.expectSymbol(')')
    refuseTableSuffix(cursor)
    return { kind: 'derived', pos, lateral, query, alias: parseAlias(cursor) }
  }
  cursor.advance()
  const joined = cursor.nested(() => parseJoins(cursor))
  cursor.expectSymbol(')')
  if (joined.kind === 'function' && !joined.wrapped) throw cursor.error('a table function in parentheses is written TABLE(…)', {}, joined.pos)
  if (cursor.isName() || cursor.sees(0, 'AS')) return cursor.unsupported('an alias for joins in parentheses')
  return joined
}

function refuseTableSuffix(cursor: TokenCursor): void {
  for (const word of ['MATCH_RECOGNIZE', 'TABLESAMPLE', 'PIVOT', 'UNPIVOT']) if (cursor.isPossible(word)) cursor.unsupported(word)
}

function parseAlias(cursor: TokenCursor): Alias | undefined {
  refuseTableSuffix(cursor)
  const as = cursor.accept('AS')
  if (!as && !cursor.isName()) return undefined
  const name = cursor.name('an alias')
  const columns = cursor.sees(0, '(') ? cursor.parenthesized(() => cursor.name('a column')) : []
  return { name, columns }
}
