import type { Call, Expression, FrameBound, Name, Path, Position, TableArgument, WindowSpecification } from './ast-expression.ts'
import { parseTimeUnit } from './parse-literal.ts'
import { parseSortItems } from './parse-sort.ts'
import type { TokenCursor } from './token-cursor.ts'

/** `name(…)` with everything that may follow it; the name was read, the parenthesis stands next. */
export function parseCall(cursor: TokenCursor, pos: Position, path: Path): Call {
  cursor.expectSymbol('(')
  const quantifier = cursor.acceptOneOf(['DISTINCT', 'ALL'] as const)
  const args = cursor.sees(0, ')') && quantifier === undefined ? [] : parseArguments(cursor)
  let call: Call = { ...callOf(pos, path, args), quantifier }
  if (cursor.isPossible('ORDER')) return cursor.unsupported('ORDER BY inside a call')
  if (cursor.isPossible('SEPARATOR')) return cursor.unsupported('SEPARATOR inside a call')
  const inside = parseNullTreatment(cursor)
  cursor.expectSymbol(')')
  call = { ...call, nulls: inside }
  return parseCallTail(cursor, call)
}

export function callOf(pos: Position, path: Path, args: readonly Expression[]): Call {
  return {
    kind: 'call',
    pos,
    path,
    niladic: false,
    quantifier: undefined,
    args,
    nulls: undefined,
    withinGroup: [],
    filter: undefined,
    over: undefined,
  }
}

function parseNullTreatment(cursor: TokenCursor): 'IGNORE' | 'RESPECT' | undefined {
  for (const word of ['IGNORE', 'RESPECT'] as const) {
    if (!cursor.sees(0, word, 'NULLS')) continue
    cursor.advance()
    cursor.advance()
    return word
  }
  return undefined
}

/** RESPECT NULLS, WITHIN GROUP, FILTER and OVER. */
function parseCallTail(cursor: TokenCursor, call: Call): Call {
  let result: Call = { ...call, nulls: call.nulls ?? parseNullTreatment(cursor) }
  if (cursor.isPossible('WITHIN')) {
    if (cursor.sees(0, 'WITHIN', 'DISTINCT')) return cursor.unsupported('WITHIN DISTINCT')
    cursor.expect('WITHIN', 'GROUP')
    cursor.expectSymbol('(')
    cursor.expect('ORDER', 'BY')
    result = { ...result, withinGroup: parseSortItems(cursor) }
    cursor.expectSymbol(')')
  }
  if (cursor.isPossible('FILTER')) {
    cursor.advance()
    cursor.expectSymbol('(')
    cursor.expect('WHERE')
    result = { ...result, filter: cursor.grammar.expression(cursor) }
    cursor.expectSymbol(')')
  }
  if (!cursor.isPossible('OVER')) return result
  cursor.advance()
  return { ...result, over: cursor.sees(0, '(') ? parseWindowSpecification(cursor) : cursor.name('a window') }
}

/** A query may be the only argument without parentheses of its own. To a table function it is a table, to any other a scalar. */
function parseArguments(cursor: TokenCursor): readonly Expression[] {
  const pos = cursor.position
  if (['SELECT', 'WITH', 'VALUES'].some(word => cursor.sees(0, word))) return [{ kind: 'subquery', pos, query: cursor.grammar.query(cursor) }]
  return cursor.commaSeparated(() => parseArgument(cursor))
}

function parseArgument(cursor: TokenCursor): Expression {
  const pos = cursor.position
  if (cursor.isName() && cursor.sees(1, '=>')) {
    const name: Name = { pos, text: cursor.advance().value }
    cursor.advance()
    return { kind: 'named', pos, name, value: parseValueArgument(cursor) }
  }
  return parseValueArgument(cursor)
}

function parseValueArgument(cursor: TokenCursor): Expression {
  const pos = cursor.position
  if (cursor.sees(0, 'DEFAULT')) {
    cursor.advance()
    return { kind: 'default', pos }
  }
  if (cursor.sees(0, 'DESCRIPTOR', '(')) {
    cursor.advance()
    return { kind: 'descriptor', pos, columns: cursor.parenthesized(() => cursor.name('a column')) }
  }
  if (cursor.sees(0, 'TABLE')) return parseTableArgument(cursor, pos)
  if (cursor.sees(0, '*')) {
    cursor.advance()
    return { kind: 'star', pos, path: [] }
  }
  const value = cursor.grammar.expression(cursor)
  if (value.kind === 'subquery' && (cursor.sees(0, 'PARTITION') || cursor.sees(0, 'ORDER'))) return parseTableOrder(cursor, pos, value.query)
  return value
}

function parseTableArgument(cursor: TokenCursor, pos: Position): Expression {
  cursor.advance()
  if (cursor.sees(0, '(') && !cursor.isName(1)) {
    cursor.advance()
    const query = cursor.grammar.query(cursor)
    cursor.expectSymbol(')')
    return parseTableOrder(cursor, pos, query)
  }
  if (cursor.acceptSymbol('(')) {
    const path = cursor.path('a table')
    cursor.expectSymbol(')')
    return parseTableOrder(cursor, pos, path)
  }
  return parseTableOrder(cursor, pos, cursor.path('a table'))
}

function parseTableOrder(cursor: TokenCursor, pos: Position, table: TableArgument['table']): TableArgument {
  const column = (): Expression => ({ kind: 'column', pos: cursor.position, path: cursor.path('a column') })
  const list = (): readonly Expression[] => {
    cursor.expect('BY')
    return cursor.sees(0, '(') ? cursor.parenthesized(column) : [column()]
  }
  const partitionBy = cursor.accept('PARTITION') ? list() : []
  if (!cursor.accept('ORDER')) return { kind: 'table', pos, table, partitionBy, orderBy: [] }
  cursor.expect('BY')
  const parenthesis = cursor.acceptSymbol('(')
  const orderBy = parseSortItems(cursor)
  if (parenthesis) cursor.expectSymbol(')')
  return { kind: 'table', pos, table, partitionBy, orderBy }
}

export function parseWindowSpecification(cursor: TokenCursor): WindowSpecification {
  const pos = cursor.position
  cursor.expectSymbol('(')
  const base = cursor.isName() && !['PARTITION', 'ORDER', 'ROWS', 'RANGE'].includes(cursor.token.upper) ? cursor.name('a window') : undefined
  const expression = () => cursor.grammar.expression(cursor)
  let partitionBy: readonly Expression[] = []
  if (cursor.accept('PARTITION')) {
    cursor.expect('BY')
    partitionBy = cursor.commaSeparated(expression)
  }
  let orderBy: WindowSpecification['orderBy'] = []
  if (cursor.accept('ORDER')) {
    cursor.expect('BY')
    orderBy = parseSortItems(cursor)
  }
  const unit = cursor.acceptOneOf(['ROWS', 'RANGE'] as const)
  const frame = unit === undefined ? undefined : { unit, ...parseFrame(cursor) }
  for (const word of ['ALLOW', 'DISALLOW', 'EXCLUDE']) if (cursor.isPossible(word)) cursor.unsupported(`${word} in a window`)
  cursor.expectSymbol(')')
  return { kind: 'window', pos, base, partitionBy, orderBy, frame }
}

function parseFrame(cursor: TokenCursor): { readonly from: FrameBound; readonly to: FrameBound | undefined } {
  if (!cursor.accept('BETWEEN')) return { from: parseBound(cursor), to: undefined }
  const from = parseBound(cursor)
  cursor.expect('AND')
  return { from, to: parseBound(cursor) }
}

function parseBound(cursor: TokenCursor): FrameBound {
  if (cursor.accept('CURRENT')) {
    cursor.expect('ROW')
    return { kind: 'currentRow' }
  }
  if (cursor.accept('UNBOUNDED')) {
    return { kind: cursor.expectOneOf(['PRECEDING', 'FOLLOWING'] as const) === 'PRECEDING' ? 'unboundedPreceding' : 'unboundedFollowing' }
  }
  const distance = cursor.grammar.expression(cursor)
  return { kind: cursor.expectOneOf(['PRECEDING', 'FOLLOWING'] as const) === 'PRECEDING' ? 'preceding' : 'following', distance }
}

const refusedCalls = [
  'JSON_OBJECT',
  'JSON_OBJECTAGG',
  'JSON_ARRAYAGG',
  'CONVERT',
  'TRANSLATE_REGEX',
  'GROUP_CONCAT',
  'STRING_AGG',
  'PERCENTILE_CONT',
  'PERCENTILE_DISC',
  'CLASSIFIER',
  'MATCH_NUMBER',
  'PREV',
  'NEXT',
]

/** Calls whose arguments have a grammar of their own. Undefined: nothing of the kind stands here. */
export function parseSpecialCall(cursor: TokenCursor, pos: Position): Expression | undefined {
  if (!cursor.sees(1, '(')) return undefined
  const { upper } = cursor.token
  const parse = Object.hasOwn(specialCalls, upper) ? specialCalls[upper] : undefined
  if (parse === undefined) {
    if (refusedCalls.includes(upper)) return cursor.unsupported(`the function ${upper}`, pos)
    return undefined
  }
  cursor.advance()
  cursor.expectSymbol('(')
  const result = parse(cursor, pos, [{ pos, text: upper }])
  if (upper.startsWith('JSON_') && cursor.token.kind === 'word' && !cursor.sees(0, ')'))
    return cursor.unsupported(`${cursor.token.upper} inside ${upper}`)
  cursor.expectSymbol(')')
  return result
}

type SpecialCall = (cursor: TokenCursor, pos: Position, path: Path) => Expression

const expression = (cursor: TokenCursor) => cursor.grammar.expression(cursor)

const extract: SpecialCall = (cursor, pos, path) => {
  const unit = parseTimeUnit(cursor)
  cursor.expect('FROM')
  return callOf(pos, path, [unit, expression(cursor)])
}

const roundTo: SpecialCall = (cursor, pos, path) => {
  const args = [expression(cursor)]
  if (cursor.accept('TO')) args.push(parseTimeUnit(cursor))
  return callOf(pos, path, args)
}

const position: SpecialCall = (cursor, pos, path) => {
  const sought = cursor.grammar.operand(cursor)
  cursor.expect('IN')
  const args = [sought, expression(cursor)]
  if (cursor.accept('FROM')) args.push(expression(cursor))
  return callOf(pos, path, args)
}

const substring: SpecialCall = (cursor, pos, path) => {
  const args = [expression(cursor)]
  const words = cursor.accept('FROM')
  if (!words) cursor.expectSymbol(',')
  args.push(expression(cursor))
  if (words ? cursor.accept('FOR') : cursor.acceptSymbol(',')) args.push(expression(cursor))
  return callOf(pos, path, args)
}

const overlay: SpecialCall = (cursor, pos, path) => {
  const args = [expression(cursor)]
  cursor.expect('PLACING')
  args.push(expression(cursor))
  cursor.expect('FROM')
  args.push(expression(cursor))
  if (cursor.accept('FOR')) args.push(expression(cursor))
  return callOf(pos, path, args)
}

const trim: SpecialCall = (cursor, pos) => {
  const where = cursor.acceptOneOf(['BOTH', 'LEADING', 'TRAILING'] as const)
  const first = where !== undefined && cursor.sees(0, 'FROM') ? undefined : expression(cursor)
  if (first !== undefined && where === undefined && !cursor.isWord('FROM'))
    return { kind: 'trim', pos, where: 'BOTH', characters: undefined, operand: first }
  cursor.expect('FROM')
  return { kind: 'trim', pos, where: where ?? 'BOTH', characters: first, operand: expression(cursor) }
}

const unitFirst: SpecialCall = (cursor, pos, path) => {
  const args = [parseTimeUnit(cursor)]
  for (let i = 0; i < 2; i++) {
    cursor.expectSymbol(',')
    args.push(expression(cursor))
  }
  return callOf(pos, path, args)
}

const twoArguments: SpecialCall = (cursor, pos, path) => {
  const args = [expression(cursor)]
  cursor.expectSymbol(',')
  args.push(expression(cursor))
  return callOf(pos, path, args)
}

const specialCalls: Readonly<Record<string, SpecialCall>> = {
  EXTRACT: extract,
  CEIL: roundTo,
  CEILING: roundTo,
  FLOOR: roundTo,
  POSITION: position,
  SUBSTRING: substring,
  OVERLAY: overlay,
  TRIM: trim,
  TIMESTAMPADD: unitFirst,
  TIMESTAMPDIFF: unitFirst,
  JSON_VALUE: twoArguments,
  JSON_EXISTS: twoArguments,
  JSON_QUERY: twoArguments,
}
