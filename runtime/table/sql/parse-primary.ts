import type { Case, Expression, Name, Position } from './ast-expression.ts'
import { niladicWords, reservedFunctionWords } from './keywords.ts'
import { callOf, parseCall, parseSpecialCall } from './parse-call.ts'
import { parseIntervalLiteral, parseTemporalLiteral } from './parse-literal.ts'
import { startsQuery } from './parse-lookahead.ts'
import type { TokenCursor } from './token-cursor.ts'

/** What stands between operators: literals, names, calls, CASE, CAST, constructors, subqueries. */
export function parsePrimary(cursor: TokenCursor): Expression {
  const { token, position: pos } = cursor
  switch (token.kind) {
    case 'number':
      cursor.advance()
      return { kind: 'number', pos, text: token.value }
    case 'string':
      return { kind: 'string', pos, value: stringParts(cursor) }
    case 'binary':
      cursor.advance()
      return { kind: 'bytes', pos, hex: token.value }
    case 'quoted':
      return parseNameOrCall(cursor, pos)
    case 'word':
      return parseWord(cursor, pos)
    case 'symbol':
      if (token.value === '(') return parseParenthesis(cursor, pos)
      if (token.value === '?') return cursor.unsupported('a dynamic parameter (?)')
  }
  cursor.expecting('an expression')
  return cursor.fail()
}

/** `'a' 'b'` on two lines is one string, as the standard has it. */
function stringParts(cursor: TokenCursor): string {
  let value = cursor.advance().value
  while (cursor.token.kind === 'string' && cursor.text[cursor.token.offset] === "'") value += cursor.advance().value
  return value
}

function parseWord(cursor: TokenCursor, pos: Position): Expression {
  const { upper } = cursor.token
  const opens = cursor.sees(1, '(')
  switch (upper) {
    case 'NULL':
      cursor.advance()
      return { kind: 'null', pos }
    case 'TRUE':
    case 'FALSE':
    case 'UNKNOWN':
      cursor.advance()
      return { kind: 'boolean', pos, value: upper === 'UNKNOWN' ? undefined : upper === 'TRUE' }
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
      if (cursor.peek(1).kind === 'string') return parseTemporalLiteral(cursor, upper)
      break
    case 'INTERVAL':
      return parseIntervalLiteral(cursor)
    case 'CASE':
      return parseCase(cursor, pos)
    case 'CAST':
    case 'TRY_CAST':
      return parseCast(cursor, pos, upper === 'TRY_CAST')
    case 'EXISTS':
      if (!opens) break
      cursor.advance()
      return { kind: 'exists', pos, query: parseParenthesizedQuery(cursor) }
    case 'ROW':
      if (!opens) break
      cursor.advance()
      cursor.advance()
      return { kind: 'row', pos, explicit: true, items: parseItems(cursor, ')') }
    case 'ARRAY':
      if (cursor.sees(1, '[')) return parseArray(cursor, pos)
      if (opens && startsQuery(cursor, 2)) return cursor.unsupported('ARRAY of a query', pos)
      break
    case 'MAP':
      if (cursor.sees(1, '[')) return parseMap(cursor, pos)
      break
    case 'MULTISET':
    case 'CURSOR':
    case 'PERIOD':
      return cursor.unsupported(upper, pos)
    case 'NEXT':
    case 'CURRENT':
      if (cursor.sees(1, 'VALUE', 'FOR')) return cursor.unsupported('a sequence', pos)
      break
  }
  const special = parseSpecialCall(cursor, pos)
  if (special !== undefined) return special
  if (niladicWords.has(upper)) return parseNiladic(cursor, pos)
  if (opens && reservedFunctionWords.has(upper)) {
    cursor.advance()
    return parseCall(cursor, pos, [{ pos, text: upper }])
  }
  if (cursor.isName()) return parseNameOrCall(cursor, pos)
  cursor.expecting('an expression')
  return cursor.fail()
}

const niladicWithPrecision = new Set(['CURRENT_TIME', 'CURRENT_TIMESTAMP', 'LOCALTIME', 'LOCALTIMESTAMP'])

function parseNiladic(cursor: TokenCursor, pos: Position): Expression {
  const word = cursor.advance().upper
  const path = [{ pos, text: word }]
  if (niladicWithPrecision.has(word) && cursor.acceptSymbol('(')) {
    const args: Expression[] = []
    if (!cursor.sees(0, ')')) args.push(cursor.grammar.expression(cursor))
    cursor.expectSymbol(')')
    return { ...callOf(pos, path, args), niladic: args.length === 0 }
  }
  // CURRENT_DATE() is read as CURRENT_DATE.
  if (cursor.sees(0, '(', ')')) {
    cursor.advance()
    cursor.advance()
  }
  return { ...callOf(pos, path, []), niladic: true }
}

function parseNameOrCall(cursor: TokenCursor, pos: Position): Expression {
  const path: Name[] = [cursor.name('a name')]
  while (cursor.sees(0, '.')) {
    cursor.advance()
    if (cursor.sees(0, '*')) {
      cursor.advance()
      return { kind: 'star', pos, path }
    }
    path.push(cursor.name("a name or '*'"))
  }
  return cursor.sees(0, '(') ? parseCall(cursor, pos, path) : { kind: 'column', pos, path }
}

/** `(x)`, `(x, y)` as a row, `(SELECT …)`. */
function parseParenthesis(cursor: TokenCursor, pos: Position): Expression {
  if (startsQuery(cursor, 1)) return { kind: 'subquery', pos, query: parseParenthesizedQuery(cursor) }
  cursor.advance()
  const items = parseItems(cursor, ')')
  const [only] = items
  if (only === undefined || items.length > 1) return { kind: 'row', pos, explicit: false, items }
  return only
}

function parseItems(cursor: TokenCursor, close: string): readonly Expression[] {
  const items = cursor.commaSeparated(() => cursor.grammar.expression(cursor))
  cursor.expectSymbol(close)
  return items
}

function parseParenthesizedQuery(cursor: TokenCursor) {
  cursor.expectSymbol('(')
  const query = cursor.grammar.query(cursor)
  cursor.expectSymbol(')')
  return query
}

function parseCase(cursor: TokenCursor, pos: Position): Case {
  cursor.advance()
  const operand = cursor.isWord('WHEN') ? undefined : cursor.grammar.expression(cursor)
  const branches: { when: readonly Expression[]; result: Expression }[] = []
  while (cursor.accept('WHEN')) {
    const expression = () => cursor.grammar.expression(cursor)
    // CASE x WHEN 1, 2 THEN …: several values for one result.
    const when = operand === undefined ? [expression()] : cursor.commaSeparated(expression)
    cursor.expect('THEN')
    branches.push({ when, result: expression() })
  }
  if (branches.length === 0) cursor.fail()
  const otherwise = cursor.accept('ELSE') ? cursor.grammar.expression(cursor) : undefined
  cursor.expect('END')
  return { kind: 'case', pos, operand, branches, otherwise }
}

function parseCast(cursor: TokenCursor, pos: Position, safe: boolean): Expression {
  cursor.advance()
  cursor.expectSymbol('(')
  const operand = cursor.grammar.expression(cursor)
  cursor.expect('AS')
  cursor.intervalTypes = cursor.sees(0, 'INTERVAL')
  const type = cursor.grammar.type(cursor)
  cursor.intervalTypes = false
  if (cursor.sees(0, 'FORMAT')) return cursor.unsupported('CAST with FORMAT')
  cursor.expectSymbol(')')
  return { kind: 'cast', pos, safe, operand, type }
}

function parseArray(cursor: TokenCursor, pos: Position): Expression {
  cursor.advance()
  cursor.advance()
  const items = cursor.sees(0, ']') ? [] : cursor.commaSeparated(() => cursor.grammar.expression(cursor))
  cursor.expectSymbol(']')
  return { kind: 'array', pos, items }
}

function parseMap(cursor: TokenCursor, pos: Position): Expression {
  cursor.advance()
  cursor.advance()
  const items = cursor.sees(0, ']') ? [] : cursor.commaSeparated(() => cursor.grammar.expression(cursor))
  if (items.length % 2 !== 0) throw cursor.error('a MAP takes keys and values in turn', {}, pos)
  cursor.expectSymbol(']')
  return { kind: 'map', pos, items }
}
