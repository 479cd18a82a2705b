import type { Binary, BinaryOperator, Expression, Is, Position } from './ast-expression.ts'
import type { Query } from './ast-query.ts'
import { startsQuery } from './parse-lookahead.ts'
import { parsePrimary } from './parse-primary.ts'
import type { TokenCursor } from './token-cursor.ts'

/**
 * Expressions by binding power, Flink's: OR 22, AND 24, NOT 26, IS 28, comparison 30, BETWEEN IN LIKE 32, + and - 40, * / % || 60, sign 80,
 * element and field access 100. All binary operators associate to the left; both loops below bound the depth of the tree they build.
 */
export function parseExpression(cursor: TokenCursor): Expression {
  return parseOperators(cursor, 0)
}

/** An expression that ends before BETWEEN, IN, LIKE and everything that binds less. */
export function parseOperand(cursor: TokenCursor): Expression {
  return parseOperators(cursor, predicate)
}

const or = 22
const and = 24
const not = 26
const is = 28
const comparison = 30
const predicate = 32
const sign = 80

const symbolOperators: Readonly<Record<string, { readonly operator: BinaryOperator; readonly power: number }>> = {
  '=': { operator: '=', power: comparison },
  '<>': { operator: '<>', power: comparison },
  '<': { operator: '<', power: comparison },
  '<=': { operator: '<=', power: comparison },
  '>': { operator: '>', power: comparison },
  '>=': { operator: '>=', power: comparison },
  '+': { operator: '+', power: 40 },
  '-': { operator: '-', power: 40 },
  '*': { operator: '*', power: 60 },
  '/': { operator: '/', power: 60 },
  '%': { operator: '%', power: 60 },
  '||': { operator: '||', power: 60 },
}

function parseOperators(cursor: TokenCursor, power: number): Expression {
  let left = cursor.nested(() => parsePrefix(cursor))
  for (let chain = 1; ; chain++) {
    const next = parseOperator(cursor, left, power)
    if (next === undefined) return left
    cursor.checkChain(chain)
    left = next
  }
}

function parsePrefix(cursor: TokenCursor): Expression {
  const pos = cursor.position
  if (cursor.isPossible('NOT')) {
    cursor.advance()
    return { kind: 'unary', pos, operator: 'NOT', operand: parseOperators(cursor, not) }
  }
  const operator = cursor.sees(0, '-') ? '-' : cursor.sees(0, '+') ? '+' : undefined
  if (operator === undefined) return parseAccess(cursor, parsePrimary(cursor))
  cursor.advance()
  return { kind: 'unary', pos, operator, operand: parseOperators(cursor, sign) }
}

/** `[index]` and `.field` after an operand. */
function parseAccess(cursor: TokenCursor, operand: Expression): Expression {
  let left = operand
  for (let chain = 1; ; chain++) {
    const pos = cursor.position
    if (cursor.sees(0, '[')) {
      cursor.advance()
      const index = cursor.grammar.expression(cursor)
      cursor.expectSymbol(']')
      left = { kind: 'element', pos, operand: left, index }
    } else if (cursor.sees(0, '.') && left.kind !== 'star') {
      cursor.advance()
      if (cursor.sees(0, '*')) return cursor.unsupported('* after an expression', pos)
      left = { kind: 'field', pos, operand: left, field: cursor.name('a field name') }
    } else return left
    cursor.checkChain(chain)
  }
}

/** The operator that stands after `left`, with its right side; undefined when there is none that binds tighter than `power`. */
function parseOperator(cursor: TokenCursor, left: Expression, power: number): Expression | undefined {
  const { token, position: pos } = cursor
  if (token.kind === 'symbol') {
    if (token.value === '!=') throw cursor.error("'!=' is no operator; write '<>'")
    const found = Object.hasOwn(symbolOperators, token.value) ? symbolOperators[token.value] : undefined
    if (found === undefined || found.power <= power) return undefined
    cursor.advance()
    return found.power === comparison ? parseComparison(cursor, left, found.operator, pos) : binary(cursor, pos, found.operator, left, found.power)
  }
  if (power < or && takes(cursor, 'OR')) return binary(cursor, pos, 'OR', left, or)
  if (power < and && takes(cursor, 'AND')) return binary(cursor, pos, 'AND', left, and)
  if (power < is && takes(cursor, 'IS')) return parseIs(cursor, pos, left)
  if (power < comparison && takes(cursor, 'OVERLAPS')) return binary(cursor, pos, 'OVERLAPS', left, comparison)
  return power < predicate ? parsePredicate(cursor, pos, left) : undefined
}

function takes(cursor: TokenCursor, word: string): boolean {
  if (!cursor.isPossible(word)) return false
  cursor.advance()
  return true
}

function binary(cursor: TokenCursor, pos: Position, operator: BinaryOperator, left: Expression, power: number): Binary {
  return { kind: 'binary', pos, operator, left, right: parseOperators(cursor, power) }
}

const quantifiers = ['ALL', 'ANY', 'SOME'] as const

function parseComparison(cursor: TokenCursor, left: Expression, operator: BinaryOperator, pos: Position): Expression {
  const quantifier = quantifiers.find(word => cursor.sees(0, word, '('))
  if (quantifier === undefined) return binary(cursor, pos, operator, left, comparison)
  cursor.advance()
  return { kind: 'quantified', pos, operator, quantifier, operand: left, list: parseListOrQuery(cursor) }
}

const isTests = ['NULL', 'TRUE', 'FALSE', 'UNKNOWN'] as const
const jsonTests = ['VALUE', 'OBJECT', 'ARRAY', 'SCALAR'] as const

function parseIs(cursor: TokenCursor, pos: Position, operand: Expression): Is {
  const negated = cursor.accept('NOT')
  if (cursor.accept('DISTINCT')) {
    cursor.expect('FROM')
    return { kind: 'is', pos, test: 'DISTINCT FROM', negated, operand, other: parseOperators(cursor, comparison) }
  }
  if (cursor.accept('JSON')) {
    const kind = cursor.acceptOneOf(jsonTests)
    return { kind: 'is', pos, test: kind === undefined ? 'JSON' : `JSON ${kind}`, negated, operand, other: undefined }
  }
  for (const feature of ['A', 'EMPTY', 'NORMALIZED'])
    if (cursor.isPossible(feature)) cursor.unsupported(`IS ${feature === 'A' ? 'A SET' : feature}`, pos)
  return { kind: 'is', pos, test: cursor.expectOneOf(isTests), negated, operand, other: undefined }
}

const periodPredicates = ['CONTAINS', 'EQUALS', 'PRECEDES', 'SUCCEEDS', 'IMMEDIATELY', 'MEMBER', 'SUBMULTISET', 'MULTISET', 'FORMAT']

function parsePredicate(cursor: TokenCursor, pos: Position, operand: Expression): Expression | undefined {
  const negated = ['BETWEEN', 'IN', 'LIKE', 'SIMILAR', 'RLIKE', 'ILIKE', 'MEMBER', 'SUBMULTISET'].some(word => cursor.sees(0, 'NOT', word))
  if (negated) cursor.advance()
  if (takes(cursor, 'BETWEEN')) {
    const symmetric = cursor.accept('SYMMETRIC')
    if (!symmetric) cursor.accept('ASYMMETRIC')
    const low = parseOperators(cursor, predicate)
    cursor.expect('AND')
    return { kind: 'between', pos, negated, symmetric, operand, low, high: parseOperators(cursor, predicate) }
  }
  if (takes(cursor, 'IN')) return { kind: 'in', pos, negated, operand, list: parseListOrQuery(cursor) }
  if (cursor.sees(0, 'RLIKE') || cursor.sees(0, 'ILIKE')) return cursor.unsupported(`the operator ${cursor.token.upper}`, pos)
  const similar = takes(cursor, 'SIMILAR')
  if (similar) cursor.expect('TO')
  if (similar || takes(cursor, 'LIKE')) {
    const pattern = parseOperators(cursor, predicate)
    const escapedBy = takes(cursor, 'ESCAPE') ? parseOperators(cursor, predicate) : undefined
    return { kind: 'like', pos, operator: similar ? 'SIMILAR TO' : 'LIKE', negated, operand, pattern, escape: escapedBy }
  }
  for (const word of periodPredicates) if (cursor.sees(0, word) && !cursor.sees(1, '(')) refusePeriod(cursor, word, pos)
  return undefined
}

/** Non-reserved words may as well be an alias; the reserved ones can only be the operator. */
function refusePeriod(cursor: TokenCursor, word: string, pos: Position): void {
  if (!cursor.isName()) cursor.unsupported(`the operator ${word}`, pos)
}

/** `(a, b)` or `(SELECT …)`. */
function parseListOrQuery(cursor: TokenCursor): readonly Expression[] | Query {
  cursor.expectSymbol('(')
  if (startsQuery(cursor)) {
    const query = cursor.grammar.query(cursor)
    cursor.expectSymbol(')')
    return query
  }
  const items = cursor.commaSeparated(() => cursor.grammar.expression(cursor))
  cursor.expectSymbol(')')
  return items
}
