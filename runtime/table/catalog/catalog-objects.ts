import { FlinkError, nearestName } from '../../common/errors.ts'
import type { Name } from '../sql/ast-expression.ts'
import type { Query } from '../sql/ast-query.ts'
import type { Column, CreateTable, CreateView, PrimaryKey, Watermark } from '../sql/ast-statement.ts'
import { type LogicalType, notNull } from '../types/logical-type.ts'
import { currentOptions } from './legacy-options.ts'
import type { CatalogPath } from './object-identifier.ts'

/** What a catalog holds, as plain data. Expressions and queries are trees: what they name is resolved where they are used. */
export interface CatalogTable {
  readonly kind: 'table'
  readonly columns: readonly Column[]
  readonly watermark: Watermark | undefined
  /** Names of physical columns, in the key's order; each of them is NOT NULL. */
  readonly primaryKey: readonly string[]
  readonly partitionedBy: readonly string[]
  readonly comment: string | undefined
  readonly options: Readonly<Record<string, string>>
  /** Declared with options of Flink before 1.11; a file system sink then writes one file. */
  readonly legacy: boolean
  /** The statement with the columns and options above, and the places where they stand in the user's text. */
  readonly declared: CreateTable
}

export interface CatalogView {
  readonly kind: 'view'
  /** New names for the query's columns; empty: its own. */
  readonly columns: readonly string[]
  readonly comment: string | undefined
  readonly query: Query
  /** Where names in the query that have one part are looked up. */
  readonly scope: CatalogPath
}

export interface CatalogFunction {
  readonly kind: 'function'
  /** `module#export`. */
  readonly identifier: string
  readonly language: string | undefined
}

export type CatalogObject = CatalogTable | CatalogView

/** The table of a statement, checked as far as its own text allows. Warnings are for the user, once each. */
export function tableOf(statement: CreateTable): { readonly table: CatalogTable; readonly warnings: readonly string[] } {
  const { columns, watermark } = statement
  const names = columns.map(({ name }) => name.text)
  for (const [i, { name }] of columns.entries()) if (names.indexOf(name.text) < i) throw at(name, `the column ${name.text} stands twice in the table`)
  const find = (name: Name, what: string) => columnNamed(columns, name, what)
  const root = watermark?.column[0]
  if (root !== undefined) find(root, 'the watermark')
  const keyed = primaryKeyOf(statement.primaryKey, find)
  for (const name of statement.partitionedBy) find(name, 'PARTITIONED BY')
  const { options, legacy, warnings } = currentOptions(Object.fromEntries(statement.options.map(({ key, value }) => [key, value])))
  const current = columns.map(column =>
    keyed.includes(column.name.text) && column.kind === 'physical' ? { ...column, type: notNull<LogicalType>(column.type) } : column,
  )
  // Options by today's names stand where the table does.
  const properties = Object.entries(options).map(
    ([key, value]) => statement.options.find(option => option.key === key) ?? { key, value, pos: statement.pos },
  )
  const table: CatalogTable = {
    kind: 'table',
    columns: current,
    watermark,
    primaryKey: keyed,
    partitionedBy: statement.partitionedBy.map(({ text }) => text),
    comment: statement.comment,
    options,
    legacy,
    // All as written where nothing is old: an option that is given twice is found later.
    declared: { ...statement, columns: current, options: legacy ? properties : statement.options },
  }
  return { table, warnings }
}

export function viewOf(statement: CreateView, scope: CatalogPath): CatalogView {
  return { kind: 'view', columns: statement.columns.map(({ text }) => text), comment: statement.comment, query: statement.query, scope }
}

function primaryKeyOf(key: PrimaryKey | undefined, find: (name: Name, what: string) => Column): readonly string[] {
  if (key === undefined) return []
  if (key.enforced)
    throw new FlinkError('INVALID_SQL', `at ${key.pos.line}:${key.pos.column}: nobody can enforce the PRIMARY KEY of a stream; write NOT ENFORCED`, {
      line: key.pos.line,
      column: key.pos.column,
    })
  for (const name of key.columns)
    if (find(name, 'the PRIMARY KEY').kind !== 'physical') throw at(name, `the column ${name.text} of the PRIMARY KEY is not a physical one`)
  return key.columns.map(({ text }) => text)
}

function columnNamed(columns: readonly Column[], name: Name, what: string): Column {
  const found = columns.find(column => column.name.text === name.text)
  if (found !== undefined) return found
  const candidates = columns.map(column => column.name.text)
  // A single letter is near to every other.
  const nearest = name.text.length > 1 ? nearestName(name.text, candidates) : undefined
  const advice = nearest === undefined ? `; columns: ${candidates.slice(0, 20).join(', ')}` : `; did you mean ${nearest}?`
  throw at(name, `${what} names the unknown column ${name.text}${advice}`)
}

function at(name: Name, problem: string): FlinkError {
  const { line, column } = name.pos
  return new FlinkError('INVALID_SQL', `at ${line}:${column}: ${problem}`, { line, column })
}
