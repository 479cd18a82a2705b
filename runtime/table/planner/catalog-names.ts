import type { CatalogManager } from '../catalog/catalog-manager.ts'
import type { CatalogObject } from '../catalog/catalog-objects.ts'
import type { CatalogPath } from '../catalog/object-identifier.ts'
import type { Path } from '../sql/ast-expression.ts'
import { at, candidatesText, planError } from './plan-error.ts'

/** The catalogs' tables and views by the names of statements: what is wrong is said with its place. The catalogs themselves know no places. */
export type TablePath = readonly [catalog: string, database: string, name: string]

export function findObject(
  catalog: CatalogManager,
  path: Path,
  scope: CatalogPath = catalog.currentPath,
): { path: TablePath; object: CatalogObject } {
  const full = fullPath(catalog, path, scope)
  const found = catalog.find(full)
  if (found !== undefined) return { path: full, object: found.object }
  // In the order in which they were declared.
  const all = catalog.objectPaths()
  const here = all.filter(([name, database]) => name === full[0] && database === full[1]).map(([, , object]) => object)
  const name = path.map(({ text }) => text).join('.')
  const candidates = here.length > 0 ? here : all.map(parts => parts.join('.'))
  throw planError(path[0]!.pos, `table '${name}' is not known${candidatesText(full[2], candidates)}`)
}

export function fullPath(catalog: CatalogManager, path: Path, scope: CatalogPath = catalog.currentPath): TablePath {
  const parts = path.map(({ text }) => text)
  if (parts.length > 3) throw planError(path[0]!.pos, `'${parts.join('.')}' has ${parts.length} parts, expected at most catalog.database.name`)
  return [parts.at(-3) ?? scope.catalog, parts.at(-2) ?? scope.database, parts.at(-1)!]
}

export function createObject(catalog: CatalogManager, path: Path, object: CatalogObject, how: { temporary: boolean; ifNotExists: boolean }): void {
  const full = fullPath(catalog, path)
  const place = path[0]!.pos
  if (!catalog.hasDatabase(full[0], full[1])) throw planError(place, `database '${full[0]}.${full[1]}' is not known; there ${databasesText(catalog)}`)
  const found = catalog.find(full)
  if (found !== undefined && found.temporary === how.temporary && !how.ifNotExists)
    throw planError(place, `${object.kind} '${full.join('.')}' exists already`)
  at(place, () => catalog.createObject(full, object, { temporary: how.temporary, ignoreIfExists: how.ifNotExists }))
}

export function dropObject(catalog: CatalogManager, path: Path, kind: CatalogObject['kind'], how: { temporary: boolean; ifExists: boolean }): void {
  const full = fullPath(catalog, path)
  const place = path[0]!.pos
  const found = catalog.find(full)
  if (!how.ifExists && (found === undefined || (how.temporary && !found.temporary)))
    throw planError(place, `${how.temporary ? 'temporary ' : ''}${kind} '${full.join('.')}' does not exist`)
  at(place, () => catalog.dropObject(full, kind, { temporary: how.temporary, ignoreIfNotExists: how.ifExists }))
}

/** `database` or `catalog.database`; it must exist. */
export function databaseOf(catalog: CatalogManager, path: Path | undefined): CatalogPath {
  if (path === undefined) return catalog.currentPath
  const place = path[0]!.pos
  const found = at(place, () => catalog.databaseOf(path.map(({ text }) => text)))
  if (!catalog.hasDatabase(found.catalog, found.database))
    throw planError(place, `database '${path.map(({ text }) => text).join('.')}' is not known; there ${databasesText(catalog)}`)
  return found
}

function databasesText(catalog: CatalogManager): string {
  const all = catalog.catalogNames().flatMap(name =>
    catalog
      .catalog(name)
      .databaseNames()
      .map(database => `${name}.${database}`),
  )
  return `${all.length === 1 ? 'is' : 'are'} ${all.join(', ')}`
}
