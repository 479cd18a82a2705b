import { FlinkError } from '../../common/errors.ts'
import type { CatalogFunction, CatalogObject } from './catalog-objects.ts'
import { identifierText, type ObjectIdentifier } from './object-identifier.ts'

interface Database {
  readonly comment: string | undefined
  readonly objects: Map<string, CatalogObject>
  readonly functions: Map<string, CatalogFunction>
}

/** Flink's catalog of that name: databases with permanent tables, views and functions, for as long as the session lives. */
export class GenericInMemoryCatalog {
  readonly name: string
  readonly defaultDatabase: string
  private readonly databases = new Map<string, Database>()

  constructor(name: string, defaultDatabase: string) {
    this.name = name
    this.defaultDatabase = defaultDatabase
    this.createDatabase(defaultDatabase, undefined, false)
  }

  databaseNames(): readonly string[] {
    return [...this.databases.keys()].sort()
  }

  createDatabase(name: string, comment: string | undefined, ignoreIfExists: boolean): void {
    if (!this.databases.has(name)) this.databases.set(name, { comment, objects: new Map(), functions: new Map() })
    else if (!ignoreIfExists) throw new FlinkError('CONFLICT', `the database ${name} exists already in the catalog ${this.name}`)
  }

  dropDatabase(name: string, how: { readonly ignoreIfNotExists: boolean; readonly cascade: boolean }): void {
    const database = this.databases.get(name)
    if (database === undefined) {
      if (how.ignoreIfNotExists) return
      throw this.missingDatabase(name)
    }
    const size = database.objects.size + database.functions.size
    if (size > 0 && !how.cascade)
      throw new FlinkError('CONFLICT', `the database ${name} is not empty: it holds ${size} objects; CASCADE drops them too`)
    this.databases.delete(name)
  }

  requireDatabase(name: string): Database {
    const found = this.databases.get(name)
    if (found === undefined) throw this.missingDatabase(name)
    return found
  }

  object({ database, object }: ObjectIdentifier): CatalogObject | undefined {
    return this.databases.get(database)?.objects.get(object)
  }

  objectNames(database: string, kind?: CatalogObject['kind']): readonly string[] {
    return [...this.requireDatabase(database).objects].filter(([, object]) => kind === undefined || object.kind === kind).map(([name]) => name)
  }

  createObject(identifier: ObjectIdentifier, object: CatalogObject, ignoreIfExists: boolean): void {
    add(this.requireDatabase(identifier.database).objects, identifier, object, ignoreIfExists, 'table or view')
  }

  dropObject(identifier: ObjectIdentifier, kind: CatalogObject['kind'], ignoreIfNotExists: boolean): void {
    const objects = this.requireDatabase(identifier.database).objects
    const found = objects.get(identifier.object)
    if (found?.kind === kind) objects.delete(identifier.object)
    else if (found !== undefined)
      throw new FlinkError('CONFLICT', `${identifierText(identifier)} is a ${found.kind}; drop it with DROP ${found.kind.toUpperCase()}`)
    else if (!ignoreIfNotExists) throw new FlinkError('NOT_FOUND', `the ${kind} ${identifierText(identifier)} does not exist`)
  }

  function({ database, object }: ObjectIdentifier): CatalogFunction | undefined {
    return this.databases.get(database)?.functions.get(object)
  }

  functionNames(database: string): readonly string[] {
    return [...this.requireDatabase(database).functions.keys()]
  }

  createFunction(identifier: ObjectIdentifier, definition: CatalogFunction, ignoreIfExists: boolean): void {
    add(this.requireDatabase(identifier.database).functions, identifier, definition, ignoreIfExists, 'function')
  }

  dropFunction(identifier: ObjectIdentifier, ignoreIfNotExists: boolean): void {
    const dropped = this.requireDatabase(identifier.database).functions.delete(identifier.object)
    if (!dropped && !ignoreIfNotExists) throw new FlinkError('NOT_FOUND', `the function ${identifierText(identifier)} does not exist`)
  }

  private missingDatabase(name: string): FlinkError {
    return new FlinkError(
      'NOT_FOUND',
      `the database ${name} does not exist in the catalog ${this.name}; databases: ${this.databaseNames().join(', ')}`,
    )
  }
}

function add<T>(objects: Map<string, T>, identifier: ObjectIdentifier, object: T, ignoreIfExists: boolean, what: string): void {
  if (!objects.has(identifier.object)) objects.set(identifier.object, object)
  else if (!ignoreIfExists) throw new FlinkError('CONFLICT', `the ${what} ${identifierText(identifier)} exists already`)
}
