import type { Expression, Name, Position } from './ast-expression.ts'
import type { ExplainDetail, Insert, QueryStatement, Show, ShowObject, Statement, StatementSet } from './ast-statement.ts'
import { parseCreate, parseDrop } from './parse-ddl.ts'
import { opensQuery, startsQuery } from './parse-lookahead.ts'
import type { TokenCursor } from './token-cursor.ts'

/** One statement, up to and without its `;`. The first word decides. */
export function parseStatementAt(cursor: TokenCursor): Statement {
  const { token, position: pos } = cursor
  if (startsQuery(cursor) || cursor.sees(0, '(')) return { kind: 'query', pos, query: cursor.grammar.query(cursor) }
  const parse = token.kind === 'word' && Object.hasOwn(statements, token.upper) ? statements[token.upper] : undefined
  if (parse !== undefined) return parse(cursor, pos)
  if (token.kind === 'word' && refused.has(token.upper)) return cursor.unsupported(`the statement ${token.upper}`)
  for (const word of ['SELECT', 'INSERT', 'CREATE', 'EXPLAIN', 'SET']) cursor.expecting(word)
  for (const word of ['WITH', 'VALUES', ...Object.keys(statements)]) cursor.isPossible(word)
  return cursor.fail()
}

const refused = new Set(
  'ALTER ANALYZE CALL CLEAR COMPILE DELETE HELP LOAD MERGE QUIT EXIT REMOVE ADD STOP TRUNCATE UNLOAD UPDATE UPSERT COMMIT ROLLBACK GRANT REVOKE'.split(
    ' ',
  ),
)

const statements: Readonly<Record<string, (cursor: TokenCursor, pos: Position) => Statement>> = {
  CREATE: parseCreate,
  DROP: parseDrop,
  INSERT: parseInsert,
  EXPLAIN: parseExplain,
  DESCRIBE: parseDescribe,
  DESC: parseDescribe,
  SHOW: parseShow,
  USE: parseUse,
  SET: parseSet,
  RESET: parseReset,
  BEGIN: parseBegin,
  END: (cursor, pos) => {
    cursor.advance()
    return { kind: 'endStatementSet', pos }
  },
  STATEMENT: (cursor, pos) => parseStatementSet(cursor, pos),
  EXECUTE: parseExecute,
}

function parseInsert(cursor: TokenCursor, pos: Position): Insert {
  cursor.advance()
  const overwrite = cursor.acceptOneOf(['INTO', 'OVERWRITE'] as const)
  if (overwrite === undefined) return cursor.fail()
  if (overwrite === 'OVERWRITE') cursor.accept('TABLE')
  const path = cursor.path('a table')
  if (cursor.token.kind === 'hint') return cursor.unsupported('a hint on the table of INSERT')
  const partition = cursor.accept('PARTITION') ? cursor.parenthesized(() => parsePartition(cursor)) : []
  const columns = cursor.sees(0, '(') && !opensQuery(cursor) ? cursor.parenthesized(() => cursor.path('a column')) : []
  for (const word of ['SELECT', 'VALUES']) cursor.expecting(word)
  return { kind: 'insert', pos, overwrite: overwrite === 'OVERWRITE', path, partition, columns, query: cursor.grammar.query(cursor) }
}

function parsePartition(cursor: TokenCursor): { readonly name: Name; readonly value: Expression } {
  const name = cursor.name('a partition column')
  cursor.expectSymbol('=')
  return { name, value: cursor.grammar.expression(cursor) }
}

const explainDetails: readonly ExplainDetail[] = ['ESTIMATED_COST', 'CHANGELOG_MODE', 'JSON_EXECUTION_PLAN', 'PLAN_ADVICE']

/** EXPLAIN [details | PLAN FOR | AST FOR] statement. */
function parseExplain(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  let details: readonly ExplainDetail[] = []
  if (cursor.accept('PLAN')) cursor.expect('FOR')
  else if (explainDetails.some(detail => cursor.isWord(detail))) {
    details = cursor.commaSeparated(() => cursor.expectOneOf(explainDetails))
  }
  return { kind: 'explain', pos, details, statement: parseExplained(cursor) }
}

function parseExplained(cursor: TokenCursor): QueryStatement | Insert | StatementSet {
  const pos = cursor.position
  if (cursor.isWord('INSERT')) return parseInsert(cursor, pos)
  if (cursor.isWord('STATEMENT')) return parseStatementSet(cursor, pos)
  if (cursor.isWord('EXECUTE')) return cursor.unsupported('EXPLAIN of EXECUTE')
  for (const word of refused) if (cursor.isPossible(word)) cursor.unsupported(`EXPLAIN of ${word}`)
  if (cursor.isPossible('CREATE')) return cursor.unsupported('EXPLAIN of CREATE')
  cursor.expecting('SELECT')
  return { kind: 'query', pos, query: cursor.grammar.query(cursor) }
}

function parseDescribe(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  if (!cursor.isName()) for (const word of ['DATABASE', 'CATALOG', 'FUNCTION']) if (cursor.sees(0, word)) cursor.unsupported(`DESCRIBE ${word}`)
  for (const word of ['CATALOG', 'DATABASE', 'FUNCTION', 'JOB', 'MODEL'])
    if (cursor.sees(0, word) && cursor.isName(1)) cursor.unsupported(`DESCRIBE ${word}`)
  const extended = cursor.accept('EXTENDED')
  return { kind: 'describe', pos, extended, path: cursor.path('a table') }
}

const showObjects: readonly ShowObject[] = [
  'TABLES',
  'VIEWS',
  'FUNCTIONS',
  'USER FUNCTIONS',
  'CATALOGS',
  'DATABASES',
  'COLUMNS',
  'CREATE TABLE',
  'CREATE VIEW',
  'CURRENT CATALOG',
  'CURRENT DATABASE',
]
/** Those of Flink that there is nothing to show of. */
const refusedShows = [
  'MODULES',
  'FULL MODULES',
  'JARS',
  'JOBS',
  'PARTITIONS',
  'PROCEDURES',
  'MODELS',
  'MATERIALIZED TABLES',
  'CONNECTIONS',
  'CREATE CATALOG',
  'CREATE MATERIALIZED TABLE',
  'CREATE MODEL',
]

function parseShow(cursor: TokenCursor, pos: Position): Show {
  cursor.advance()
  for (const feature of refusedShows) if (cursor.sees(0, ...feature.split(' '))) cursor.unsupported(`SHOW ${feature}`)
  const object = showObjects.find(candidate => cursor.accept(...candidate.split(' ')))
  if (object === undefined) {
    for (const candidate of showObjects) cursor.expecting(candidate)
    return cursor.fail()
  }
  let path: Show['path']
  if (object === 'COLUMNS') {
    cursor.expectOneOf(['FROM', 'IN'])
    path = cursor.path('a table')
  } else if (object.startsWith('CREATE')) path = cursor.path(object === 'CREATE VIEW' ? 'a view' : 'a table')
  else if (['TABLES', 'VIEWS', 'FUNCTIONS', 'USER FUNCTIONS', 'DATABASES'].includes(object) && cursor.acceptOneOf(['FROM', 'IN']) !== undefined)
    path = cursor.path(object === 'DATABASES' ? 'a catalog' : 'a database')
  return { kind: 'show', pos, object, path, like: /^(CREATE|CURRENT)/.test(object) ? undefined : parseShowLike(cursor) }
}

function parseShowLike(cursor: TokenCursor): Show['like'] {
  const negated = cursor.accept('NOT')
  const operator = cursor.acceptOneOf(['LIKE', 'ILIKE'] as const)
  if (operator === undefined) return negated ? cursor.fail() : undefined
  return { operator, negated, pattern: cursor.string('a pattern in quotes') }
}

function parseUse(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  if (cursor.isPossible('MODULES')) return cursor.unsupported('USE MODULES')
  if (cursor.sees(0, 'CATALOG') && cursor.isName(1)) {
    cursor.advance()
    return { kind: 'use', pos, object: 'CATALOG', path: [cursor.name('a catalog')] }
  }
  return { kind: 'use', pos, object: 'DATABASE', path: cursor.path('a database') }
}

/** SET 'key' = 'value'; Flink's older form without quotes too: its value is everything up to the end of the statement. */
function parseSet(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  if (atEnd(cursor)) return { kind: 'set', pos, key: undefined, value: undefined }
  const quoted = cursor.token.kind === 'string'
  const key = quoted ? cursor.advance().value : bareKey(cursor)
  cursor.expectSymbol('=')
  if (quoted || standsString(cursor)) return { kind: 'set', pos, key, value: cursor.string('a value in quotes') }
  const start = cursor.token.offset
  cursor.expecting('a value in quotes')
  if (atEnd(cursor)) return cursor.fail()
  while (!atEnd(cursor)) cursor.advance()
  return { kind: 'set', pos, key, value: cursor.text.slice(start, cursor.consumedEnd) }
}

/** A function, since the compiler takes `token` for the same one as before. */
function standsString(cursor: TokenCursor): boolean {
  return cursor.token.kind === 'string'
}

function atEnd(cursor: TokenCursor): boolean {
  return cursor.token.kind === 'end' || cursor.sees(0, ';')
}

/** Keys are dotted words and numbers with dashes; keywords count as words. */
function bareKey(cursor: TokenCursor): string {
  const start = cursor.token.offset
  cursor.expecting('an option in quotes')
  let end = start
  while (
    (cursor.token.kind === 'word' || cursor.token.kind === 'number' || cursor.sees(0, '.') || cursor.sees(0, '-')) &&
    (end === start || cursor.token.offset === end)
  )
    end = cursor.advance().end
  return end === start ? cursor.fail() : cursor.text.slice(start, end)
}

function parseReset(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  if (atEnd(cursor)) return { kind: 'reset', pos, key: undefined }
  return { kind: 'reset', pos, key: cursor.token.kind === 'string' ? cursor.advance().value : bareKey(cursor) }
}

function parseBegin(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  cursor.expect('STATEMENT', 'SET')
  return { kind: 'beginStatementSet', pos }
}

/** EXECUTE STATEMENT SET BEGIN …; END, or EXECUTE of an INSERT or a query, which is the same without the word. */
function parseExecute(cursor: TokenCursor, pos: Position): Statement {
  cursor.advance()
  if (cursor.isWord('STATEMENT')) return parseStatementSet(cursor, pos)
  if (cursor.isWord('INSERT')) return parseInsert(cursor, pos)
  if (cursor.isPossible('PLAN')) return cursor.unsupported('EXECUTE PLAN')
  cursor.expecting('SELECT')
  return { kind: 'query', pos, query: cursor.grammar.query(cursor) }
}

function parseStatementSet(cursor: TokenCursor, pos: Position): StatementSet {
  cursor.expect('STATEMENT', 'SET', 'BEGIN')
  const inserts: Insert[] = []
  do {
    const at = cursor.position
    if (!cursor.isWord('INSERT')) cursor.fail()
    inserts.push(parseInsert(cursor, at))
    cursor.expectSymbol(';')
  } while (!cursor.accept('END'))
  return { kind: 'statementSet', pos, statements: inserts }
}
