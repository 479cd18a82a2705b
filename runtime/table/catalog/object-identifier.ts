import { FlinkError } from '../../common/errors.ts'
import { quoteName } from '../types/type-text.ts'

/** Where a table, view or function lives: `catalog.database.object`. Names are case-sensitive. */
export interface ObjectIdentifier {
  readonly catalog: string
  readonly database: string
  readonly object: string
}

/** Where names of one part are looked up. */
export interface CatalogPath {
  readonly catalog: string
  readonly database: string
}

export const defaultCatalog = 'default_catalog'
export const defaultDatabase = 'default_database'

/** One part is an object of the current database, two are database and object of the current catalog. */
export function objectIdentifier(parts: readonly string[], current: CatalogPath): ObjectIdentifier {
  const [object, database, catalog, ...more] = parts.toReversed()
  if (object === undefined || more.length > 0)
    throw new FlinkError('INVALID_SQL', `a name has one to three parts (catalog.database.object), not ${parts.length}: ${parts.join('.')}`)
  return { catalog: catalog ?? current.catalog, database: database ?? current.database, object }
}

/** As Flink writes it in messages and plans. */
export function identifierText({ catalog, database, object }: ObjectIdentifier): string {
  return [catalog, database, object].map(quoteName).join('.')
}

/** A key for maps; parts may hold dots. */
export function identifierKey({ catalog, database, object }: ObjectIdentifier): string {
  return JSON.stringify([catalog, database, object])
}
