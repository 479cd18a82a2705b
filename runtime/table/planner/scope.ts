import { nearestName } from '../../common/errors.ts'
import type { Expression } from '../plan/expression.ts'
import type { Path } from '../sql/ast-expression.ts'
import { columnReference } from './expressions.ts'
import type { LogicalNode } from './logical.ts'
import { candidatesText, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'

/** A column as a query sees it: one of a plan node, or a ROW made of several of them. */
export interface ScopeColumn {
  /** Path of the table or the one name of an alias; empty for a derived column. */
  readonly qualifier: readonly string[]
  readonly name: string
  readonly index: number
  readonly type: string
  /** An event time attribute: windows may be made over it. */
  readonly rowtime: boolean
  /** Of a ROW; `index` and `type` mean nothing then. */
  readonly fields: readonly ScopeColumn[] | undefined
}

/** A plan with names for its columns. */
export interface Relation {
  readonly node: LogicalNode
  readonly columns: readonly ScopeColumn[]
}

/** The column that a path names: `c`, `t.c`, `db.t.c`, `catalog.db.t.c`, each with fields of a ROW behind it. */
export function findColumn(path: Path, columns: readonly ScopeColumn[]): ScopeColumn {
  const parts = path.map(({ text }) => text)
  for (let qualifiers = Math.min(3, parts.length - 1); qualifiers >= 0; qualifiers--) {
    const prefix = parts.slice(0, qualifiers)
    const named = columns.filter(column => column.name === parts[qualifiers] && endsWith(column.qualifier, prefix))
    if (named.length > 1) throw planError(path[qualifiers]!.pos, `column '${parts[qualifiers]}' is ambiguous`)
    if (named[0] !== undefined) return field(named[0], path, qualifiers + 1)
  }
  const last = path.at(-1)!
  const qualified = parts.length > 1 ? columns.filter(column => endsWith(column.qualifier, parts.slice(0, -1))) : columns
  if (parts.length > 1 && qualified.length === 0) {
    const tables = [...new Set(columns.map(column => column.qualifier.at(-1) ?? ''))].filter(name => name !== '')
    const rows = columns.filter(column => column.fields !== undefined).map(({ name }) => name)
    throw planError(path[0]!.pos, `table '${parts.slice(0, -1).join('.')}' is not in FROM${candidatesText(parts.at(-2)!, [...tables, ...rows])}`)
  }
  const names = [...new Set(qualified.map(({ name }) => name))]
  // A misspelt word of SQL reads as a column.
  const word = parts.length === 1 && last.text.length > 3 && nearestName(last.text, names) === undefined ? nearestName(last.text, words) : undefined
  throw planError(last.pos, `column '${last.text}' is not known${candidatesText(last.text, word === undefined ? names : [word])}`)
}

/** What stands where a column may and is none. */
const words = [
  'NULL',
  'TRUE',
  'FALSE',
  'UNKNOWN',
  'CURRENT_DATE',
  'CURRENT_TIME',
  'CURRENT_TIMESTAMP',
  'LOCALTIME',
  'LOCALTIMESTAMP',
  'DESCRIPTOR',
  'INTERVAL',
]

/** A ROW column is read field by field; where columns go on as they are (`TABLE t`, UNION ALL) it has no place of its own. */
export function requireNoRows({ columns }: Relation, pos: SqlPosition): void {
  const whole = columns.find(({ fields }) => fields !== undefined)
  if (whole !== undefined) throw notSupportedYet(pos, `ROW column '${whole.name}' as a whole`)
}

export function referenceOf(column: ScopeColumn): Expression {
  return columnReference(column.index, column.type)
}

function field(column: ScopeColumn, path: Path, from: number): ScopeColumn {
  let found = column
  for (const part of path.slice(from)) {
    if (found.fields === undefined) throw planError(part.pos, `column '${found.name}' is a ${found.type}, which has no fields`)
    const next = found.fields.find(({ name }) => name === part.text)
    if (next === undefined) {
      const names = found.fields.map(({ name }) => name)
      throw planError(part.pos, `field '${part.text}' of column '${found.name}' is not known${candidatesText(part.text, names)}`)
    }
    found = next
  }
  return found
}

function endsWith(qualifier: readonly string[], suffix: readonly string[]): boolean {
  const from = qualifier.length - suffix.length
  return from >= 0 && suffix.every((part, i) => qualifier[from + i] === part)
}

/** The same columns under an alias, renamed where it lists names. */
export function aliased(
  columns: readonly ScopeColumn[],
  alias: { readonly name: { readonly text: string }; readonly columns: Path } | undefined,
): readonly ScopeColumn[] {
  if (alias === undefined) return columns
  if (alias.columns.length > 0 && alias.columns.length !== columns.length)
    throw planError(alias.columns[0]!.pos, `alias '${alias.name.text}' names ${alias.columns.length} columns, expected ${columns.length}`)
  return columns.map((column, i) => ({ ...column, qualifier: [alias.name.text], name: alias.columns[i]?.text ?? column.name }))
}
