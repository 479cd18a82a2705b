import type { Name, Position } from './ast-expression.ts'
import type { Property } from './ast-query.ts'
import type { Column, CreateFunction, CreateTable, CreateView, Drop, PrimaryKey, Statement, Watermark } from './ast-statement.ts'
import type { TokenCursor } from './token-cursor.ts'

/** CREATE and DROP of tables, views, functions and databases. */
export function parseCreate(cursor: TokenCursor): Statement {
  const pos = cursor.position
  cursor.advance()
  for (const [words, feature] of refusedCreates) if (cursor.sees(0, ...words)) return cursor.unsupported(feature)
  const temporary = cursor.accept('TEMPORARY')
  if (cursor.accept('TABLE')) return parseCreateTable(cursor, pos, temporary)
  if (cursor.accept('VIEW')) return parseCreateView(cursor, pos, temporary)
  const system = temporary && cursor.accept('SYSTEM')
  if (cursor.accept('FUNCTION')) return parseCreateFunction(cursor, pos, temporary, system)
  if (!temporary && cursor.accept('DATABASE')) {
    const ifNotExists = cursor.accept('IF', 'NOT', 'EXISTS')
    const path = cursor.path('a database')
    const comment = parseComment(cursor)
    return { kind: 'createDatabase', pos, ifNotExists, path, comment, options: cursor.accept('WITH') ? parseProperties(cursor) : [] }
  }
  for (const [word, feature] of [
    ['MODEL', 'CREATE MODEL'],
    ['CONNECTION', 'CREATE CONNECTION'],
  ] as const)
    if (cursor.sees(0, word)) return cursor.unsupported(feature)
  return cursor.fail()
}

const refusedCreates = [
  [['OR', 'REPLACE'], 'CREATE OR REPLACE'],
  [['OR', 'ALTER'], 'CREATE OR ALTER'],
  [['CATALOG'], 'CREATE CATALOG'],
  [['MATERIALIZED'], 'CREATE MATERIALIZED TABLE'],
] as const

/** `('key' = 'value', …)`; an empty list is allowed as in Flink. */
export function parseProperties(cursor: TokenCursor): readonly Property[] {
  cursor.expectSymbol('(')
  if (cursor.acceptSymbol(')')) return []
  const properties = cursor.commaSeparated((): Property => {
    const pos = cursor.position
    const key = cursor.string('an option in quotes')
    cursor.expectSymbol('=')
    return { pos, key, value: cursor.string('a value in quotes') }
  })
  cursor.expectSymbol(')')
  return properties
}

function parseComment(cursor: TokenCursor): string | undefined {
  return cursor.accept('COMMENT') ? cursor.string('a comment in quotes') : undefined
}

/** What a table's parentheses hold, gathered: at most one watermark and one key. */
interface TableElements {
  readonly columns: Column[]
  watermark: Watermark | undefined
  primaryKey: PrimaryKey | undefined
}

function parseCreateTable(cursor: TokenCursor, pos: Position, temporary: boolean): CreateTable {
  const ifNotExists = cursor.accept('IF', 'NOT', 'EXISTS')
  const path = cursor.path('a table')
  const elements: TableElements = { columns: [], watermark: undefined, primaryKey: undefined }
  if (cursor.acceptSymbol('(')) {
    if (!cursor.acceptSymbol(')')) {
      cursor.commaSeparated(() => parseTableElement(cursor, elements))
      cursor.expectSymbol(')')
    }
  }
  const comment = parseComment(cursor)
  if (cursor.isPossible('DISTRIBUTED')) return cursor.unsupported('DISTRIBUTED')
  let partitionedBy: readonly Name[] = []
  if (cursor.accept('PARTITIONED')) {
    cursor.expect('BY')
    partitionedBy = cursor.parenthesized(() => cursor.name('a column'))
  }
  const options = cursor.accept('WITH') ? parseProperties(cursor) : []
  if (cursor.isPossible('LIKE')) return cursor.unsupported('CREATE TABLE … LIKE')
  if (cursor.isPossible('AS')) return cursor.unsupported('CREATE TABLE … AS SELECT')
  return { kind: 'createTable', pos, temporary, ifNotExists, path, ...elements, comment, partitionedBy, options }
}

function parseTableElement(cursor: TokenCursor, elements: TableElements): void {
  const pos = cursor.position
  if (cursor.accept('WATERMARK')) {
    if (elements.watermark !== undefined) throw cursor.error('a table has one WATERMARK', {}, pos)
    cursor.expect('FOR')
    const column = cursor.path('a column')
    cursor.expect('AS')
    elements.watermark = { pos, column, expression: cursor.grammar.expression(cursor) }
    return
  }
  const constraint = cursor.accept('CONSTRAINT') ? cursor.name('a constraint') : undefined
  if (cursor.accept('PRIMARY')) {
    cursor.expect('KEY')
    const columns = cursor.parenthesized(() => cursor.name('a column'))
    setKey(cursor, elements, { pos, name: constraint, columns, enforced: parseEnforced(cursor) })
    return
  }
  if (cursor.isPossible('UNIQUE')) cursor.unsupported('a UNIQUE constraint')
  if (constraint !== undefined) cursor.fail()
  elements.columns.push(parseColumn(cursor, elements))
}

function setKey(cursor: TokenCursor, elements: TableElements, key: PrimaryKey): void {
  if (elements.primaryKey !== undefined) throw cursor.error('a table has one PRIMARY KEY', {}, key.pos)
  elements.primaryKey = key
}

function parseEnforced(cursor: TokenCursor): boolean {
  if (cursor.accept('NOT', 'ENFORCED')) return false
  cursor.accept('ENFORCED')
  return true
}

function parseColumn(cursor: TokenCursor, elements: TableElements): Column {
  const pos = cursor.position
  const name = cursor.name('a column')
  if (cursor.accept('AS')) return { kind: 'computed', pos, name, expression: cursor.grammar.expression(cursor), comment: parseComment(cursor) }
  const type = cursor.grammar.type(cursor)
  if (cursor.accept('METADATA')) {
    const key = cursor.accept('FROM') ? cursor.string('a metadata key in quotes') : undefined
    const virtual = cursor.accept('VIRTUAL')
    return { kind: 'metadata', pos, name, type, key, virtual, comment: parseComment(cursor) }
  }
  const at = cursor.position
  const constraint = cursor.accept('CONSTRAINT') ? cursor.name('a constraint') : undefined
  if (cursor.accept('PRIMARY')) {
    cursor.expect('KEY')
    setKey(cursor, elements, { pos: at, name: constraint, columns: [name], enforced: parseEnforced(cursor) })
  } else if (cursor.isPossible('UNIQUE')) cursor.unsupported('a UNIQUE constraint')
  else if (constraint !== undefined) cursor.fail()
  return { kind: 'physical', pos, name, type, comment: parseComment(cursor) }
}

function parseCreateView(cursor: TokenCursor, pos: Position, temporary: boolean): CreateView {
  const ifNotExists = cursor.accept('IF', 'NOT', 'EXISTS')
  const path = cursor.path('a view')
  const columns = cursor.sees(0, '(') ? cursor.parenthesized(() => cursor.name('a column')) : []
  const comment = parseComment(cursor)
  cursor.expect('AS')
  return { kind: 'createView', pos, temporary, ifNotExists, path, columns, comment, query: cursor.grammar.query(cursor) }
}

const languages = ['JAVA', 'SCALA', 'PYTHON', 'JAVASCRIPT', 'TYPESCRIPT'] as const

function parseCreateFunction(cursor: TokenCursor, pos: Position, temporary: boolean, system: boolean): CreateFunction {
  const ifNotExists = cursor.accept('IF', 'NOT', 'EXISTS')
  const path = system ? [cursor.name('a function')] : cursor.path('a function')
  cursor.expect('AS')
  const identifier = cursor.string("'module#export' in quotes")
  const language = cursor.accept('LANGUAGE') ? cursor.expectOneOf(languages) : undefined
  const using = cursor.accept('USING')
    ? cursor.commaSeparated(() => {
        const type = cursor.expectOneOf(['JAR', 'ARTIFACT', 'FILE'] as const)
        return { type, path: cursor.string('a path in quotes') }
      })
    : []
  if (cursor.isPossible('WITH')) return cursor.unsupported('CREATE FUNCTION … WITH')
  return { kind: 'createFunction', pos, temporary, system, ifNotExists, path, identifier, language, using }
}

export function parseDrop(cursor: TokenCursor): Drop {
  const pos = cursor.position
  cursor.advance()
  const temporary = cursor.accept('TEMPORARY')
  const system = temporary && cursor.accept('SYSTEM')
  for (const word of ['CATALOG', 'MATERIALIZED', 'MODEL', 'CONNECTION']) if (cursor.isPossible(word)) cursor.unsupported(`DROP ${word}`)
  const object = system ? cursor.expectOneOf(['FUNCTION'] as const) : cursor.expectOneOf(temporary ? dropTemporary : dropPermanent)
  const ifExists = cursor.accept('IF', 'EXISTS')
  const path = cursor.path(`a ${object.toLowerCase()}`)
  const behaviour = object === 'DATABASE' ? cursor.acceptOneOf(['CASCADE', 'RESTRICT'] as const) : undefined
  return { kind: 'drop', pos, object, temporary, system, ifExists, path, cascade: behaviour === 'CASCADE' }
}

const dropTemporary = ['TABLE', 'VIEW', 'FUNCTION'] as const
const dropPermanent = [...dropTemporary, 'DATABASE'] as const
