import type { Path } from '../sql/ast-expression.ts'
import type { Query } from '../sql/ast-query.ts'
import type { CreateTable, CreateView } from '../sql/ast-statement.ts'
import { candidatesText, planError, type SqlPosition } from './plan-error.ts'

/** Tables and views of a script, by three-part names; a temporary one hides a permanent one of the same path. */
export type CatalogObject =
  | { readonly kind: 'table'; readonly definition: CreateTable }
  | { readonly kind: 'view'; readonly definition: CreateView; readonly query: Query }

export type TablePath = readonly [catalog: string, database: string, name: string]

export class TableRegistry {
  currentCatalog = 'default_catalog'
  currentDatabase = 'default_database'
  private readonly permanent = new Map<string, { readonly path: TablePath; readonly object: CatalogObject }>()
  private readonly temporary = new Map<string, { readonly path: TablePath; readonly object: CatalogObject }>()

  fullPath(path: Path): TablePath {
    const parts = path.map(({ text }) => text)
    if (parts.length > 3) throw planError(path[0]!.pos, `'${parts.join('.')}' has ${parts.length} parts, expected at most catalog.database.name`)
    return [parts.at(-3) ?? this.currentCatalog, parts.at(-2) ?? this.currentDatabase, parts.at(-1)!]
  }

  create(path: Path, object: CatalogObject, temporary: boolean, ifNotExists: boolean): void {
    const full = this.fullPath(path)
    this.requireDatabase(full, path[0]!.pos)
    const objects = temporary ? this.temporary : this.permanent
    if (!objects.has(keyOf(full))) objects.set(keyOf(full), { path: full, object })
    else if (!ifNotExists) throw planError(path[0]!.pos, `${object.kind} '${full.join('.')}' exists already`)
  }

  drop(path: Path, kind: 'table' | 'view', temporary: boolean, ifExists: boolean): void {
    const full = this.fullPath(path)
    const objects = temporary ? this.temporary : this.permanent
    const found = objects.get(keyOf(full))
    if (found?.object.kind === kind) objects.delete(keyOf(full))
    else if (!ifExists) throw planError(path[0]!.pos, `${temporary ? 'temporary ' : ''}${kind} '${full.join('.')}' does not exist`)
  }

  find(path: Path): { readonly path: TablePath; readonly object: CatalogObject } {
    const full = this.fullPath(path)
    const found = this.temporary.get(keyOf(full)) ?? this.permanent.get(keyOf(full))
    if (found !== undefined) return found
    const all = [...this.temporary.values(), ...this.permanent.values()]
    const here = all.filter(entry => entry.path[0] === full[0] && entry.path[1] === full[1]).map(entry => entry.path[2])
    const name = path.map(({ text }) => text).join('.')
    const candidates = here.length > 0 ? here : all.map(entry => entry.path.join('.'))
    throw planError(path[0]!.pos, `table '${name}' is not known${candidatesText(full[2], [...new Set(candidates)])}`)
  }

  private requireDatabase(path: TablePath, at: SqlPosition): void {
    if (path[0] !== 'default_catalog' || path[1] !== 'default_database')
      throw planError(at, `database '${path[0]}.${path[1]}' is not known; there is default_catalog.default_database`)
  }
}

function keyOf(path: TablePath): string {
  return JSON.stringify(path)
}
