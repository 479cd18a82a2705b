import { FlinkError, nearestName } from '../../common/errors.ts'
import type { CatalogFunction, CatalogObject } from './catalog-objects.ts'
import { GenericInMemoryCatalog } from './generic-in-memory-catalog.ts'
import {
  type CatalogPath,
  defaultCatalog,
  defaultDatabase,
  identifierKey,
  identifierText,
  type ObjectIdentifier,
  objectIdentifier,
} from './object-identifier.ts'

/**
 * All names that SQL can use: catalogs with their databases, the current two, and temporary objects, which live here for the session and hide
 * permanent ones of the same path. Lookups never half succeed: what is found comes with its full identifier.
 */
export class CatalogManager {
  private readonly catalogs = new Map<string, GenericInMemoryCatalog>([[defaultCatalog, new GenericInMemoryCatalog(defaultCatalog, defaultDatabase)]])
  private readonly temporaryObjects = new Map<string, { readonly identifier: ObjectIdentifier; readonly object: CatalogObject }>()
  private readonly temporaryFunctions = new Map<string, { readonly identifier: ObjectIdentifier; readonly object: CatalogFunction }>()
  private readonly systemFunctions = new Map<string, CatalogFunction>()
  private current: CatalogPath = { catalog: defaultCatalog, database: defaultDatabase }

  get currentPath(): CatalogPath {
    return this.current
  }

  hasDatabase(catalog: string, database: string): boolean {
    return this.catalogs.get(catalog)?.databaseNames().includes(database) === true
  }

  catalogNames(): readonly string[] {
    return [...this.catalogs.keys()].sort()
  }

  catalog(name: string): GenericInMemoryCatalog {
    const found = this.catalogs.get(name)
    if (found !== undefined) return found
    throw new FlinkError('NOT_FOUND', `the catalog ${name} does not exist; ${candidatesText(name, this.catalogNames(), 'catalogs')}`)
  }

  useCatalog(name: string): void {
    this.current = { catalog: name, database: this.catalog(name).defaultDatabase }
  }

  /** `database` or `catalog.database`. */
  useDatabase(parts: readonly string[]): void {
    const { catalog, database } = this.databaseOf(parts)
    this.catalog(catalog).requireDatabase(database)
    this.current = { catalog, database }
  }

  databaseOf(parts: readonly string[]): { readonly catalog: string; readonly database: string } {
    const { database: catalog, object: database } = objectIdentifier(parts, { catalog: '', database: this.current.catalog })
    return { catalog, database }
  }

  identifier(parts: readonly string[]): ObjectIdentifier {
    return objectIdentifier(parts, this.current)
  }

  createObject(parts: readonly string[], object: CatalogObject, how: { readonly temporary: boolean; readonly ignoreIfExists: boolean }): void {
    const identifier = this.identifier(parts)
    if (!how.temporary) return this.catalog(identifier.catalog).createObject(identifier, object, how.ignoreIfExists)
    const key = identifierKey(identifier)
    if (!this.temporaryObjects.has(key)) this.temporaryObjects.set(key, { identifier, object })
    else if (!how.ignoreIfExists) throw new FlinkError('CONFLICT', `the temporary table or view ${identifierText(identifier)} exists already`)
  }

  /** The table or view of that name, the temporary one first. */
  find(parts: readonly string[]): { readonly identifier: ObjectIdentifier; readonly object: CatalogObject; readonly temporary: boolean } | undefined {
    const identifier = this.identifier(parts)
    const temporary = this.temporaryObjects.get(identifierKey(identifier))
    if (temporary !== undefined) return { ...temporary, temporary: true }
    const object = this.catalogs.get(identifier.catalog)?.object(identifier)
    return object === undefined ? undefined : { identifier, object, temporary: false }
  }

  require(parts: readonly string[]): { readonly identifier: ObjectIdentifier; readonly object: CatalogObject; readonly temporary: boolean } {
    const found = this.find(parts)
    if (found !== undefined) return found
    const identifier = this.identifier(parts)
    const candidates = this.objectNames(identifier.catalog, identifier.database)
    throw new FlinkError(
      'NOT_FOUND',
      `the table or view ${identifierText(identifier)} does not exist; ${candidatesText(identifier.object, candidates, 'tables and views')}`,
      { candidates: candidates.slice(0, candidatesMax) },
    )
  }

  /** Tables and views of a database, temporary ones included; the catalog and database must exist. */
  objectNames(catalog: string, database: string, kind?: CatalogObject['kind']): readonly string[] {
    const names = new Set(this.catalog(catalog).objectNames(database, kind))
    for (const { identifier, object } of this.temporaryObjects.values())
      if (identifier.catalog === catalog && identifier.database === database && (kind === undefined || object.kind === kind))
        names.add(identifier.object)
    return [...names].sort()
  }

  /** Full paths of all tables and views. */
  objectPaths(): readonly (readonly [catalog: string, database: string, object: string])[] {
    const paths = [...this.temporaryObjects.values()].map(({ identifier: { catalog, database, object } }) => [catalog, database, object] as const)
    for (const [name, catalog] of this.catalogs)
      for (const database of catalog.databaseNames())
        for (const object of catalog.objectNames(database))
          if (!paths.some(path => path.join('\0') === [name, database, object].join('\0'))) paths.push([name, database, object])
    return paths
  }

  dropObject(parts: readonly string[], kind: CatalogObject['kind'], how: { readonly temporary: boolean; readonly ignoreIfNotExists: boolean }): void {
    const identifier = this.identifier(parts)
    const key = identifierKey(identifier)
    const hidden = this.temporaryObjects.get(key)
    if (how.temporary) {
      if (hidden?.object.kind === kind) this.temporaryObjects.delete(key)
      else if (!how.ignoreIfNotExists) throw new FlinkError('NOT_FOUND', `the temporary ${kind} ${identifierText(identifier)} does not exist`)
      return
    }
    if (hidden?.object.kind === kind)
      throw new FlinkError(
        'CONFLICT',
        `a temporary ${kind} hides ${identifierText(identifier)}; drop it first with DROP TEMPORARY ${kind.toUpperCase()}`,
      )
    this.catalog(identifier.catalog).dropObject(identifier, kind, how.ignoreIfNotExists)
  }

  createFunction(
    parts: readonly string[],
    object: CatalogFunction,
    how: { readonly temporary: boolean; readonly system: boolean; readonly ignoreIfExists: boolean },
  ): void {
    // Names of functions are the same in any case, as in Flink.
    const identifier = this.functionIdentifier(parts)
    if (!how.temporary) return this.catalog(identifier.catalog).createFunction(identifier, object, how.ignoreIfExists)
    const functions: Map<string, unknown> = how.system ? this.systemFunctions : this.temporaryFunctions
    const key = how.system ? identifier.object : identifierKey(identifier)
    if (!functions.has(key)) functions.set(key, how.system ? object : { identifier, object })
    else if (!how.ignoreIfExists) throw new FlinkError('CONFLICT', `the temporary function ${parts.join('.')} exists already`)
  }

  /** Users' functions only: temporary system ones for a single name, then temporary ones, then the catalog's. Built-in ones are not here. */
  findFunction(parts: readonly string[]): CatalogFunction | undefined {
    const identifier = this.functionIdentifier(parts)
    const system = parts.length === 1 ? this.systemFunctions.get(identifier.object) : undefined
    return system ?? this.temporaryFunctions.get(identifierKey(identifier))?.object ?? this.catalogs.get(identifier.catalog)?.function(identifier)
  }

  functionNames(): readonly string[] {
    const { catalog, database } = this.current
    const names = new Set([...this.systemFunctions.keys(), ...this.catalog(catalog).functionNames(database)])
    for (const { identifier } of this.temporaryFunctions.values())
      if (identifier.catalog === catalog && identifier.database === database) names.add(identifier.object)
    return [...names].sort()
  }

  dropFunction(parts: readonly string[], how: { readonly temporary: boolean; readonly system: boolean; readonly ignoreIfNotExists: boolean }): void {
    const identifier = this.functionIdentifier(parts)
    if (!how.temporary) return this.catalog(identifier.catalog).dropFunction(identifier, how.ignoreIfNotExists)
    const dropped = how.system ? this.systemFunctions.delete(identifier.object) : this.temporaryFunctions.delete(identifierKey(identifier))
    if (!dropped && !how.ignoreIfNotExists) throw new FlinkError('NOT_FOUND', `the temporary function ${parts.join('.')} does not exist`)
  }

  private functionIdentifier(parts: readonly string[]): ObjectIdentifier {
    const identifier = this.identifier(parts)
    return { ...identifier, object: identifier.object.toLowerCase() }
  }
}

const candidatesMax = 20

/** The nearest name, else all there are, up to a number that one reads. */
function candidatesText(name: string, candidates: readonly string[], what: string): string {
  const nearest = name.length > 1 ? nearestName(name, candidates) : undefined
  if (nearest !== undefined) return `did you mean ${nearest}?`
  if (candidates.length === 0) return `there are no ${what}`
  const shown = candidates.slice(0, candidatesMax).join(', ')
  return `${what}: ${shown}${candidates.length > candidatesMax ? ` and ${candidates.length - candidatesMax} others` : ''}`
}
