import type { CatalogManager } from '../catalog/catalog-manager.ts'
import type { Schema } from '../plan/expression.ts'
import type { Describe, Show } from '../sql/ast-statement.ts'
import { printExpression } from '../sql/print-expression.ts'
import { printQuery } from '../sql/print-query.ts'
import { bindSourceTable } from './bind-table.ts'
import { databaseOf, findObject } from './catalog-names.ts'
import { notSupportedYet } from './plan-error.ts'
import type { Relation, ScopeColumn } from './scope.ts'

/** SHOW and DESCRIBE as tables of Flink's columns. */
export interface ShownTable {
  readonly schema: Schema
  readonly rows: readonly (readonly (string | boolean | null)[])[]
}

export function showTable(statement: Show, catalog: CatalogManager): ShownTable {
  const { object, path, pos } = statement
  if (statement.like !== undefined) throw notSupportedYet(pos, `SHOW ${object} ${statement.like.operator}`)
  const inDatabase = (kind: 'view' | undefined) => {
    const database = databaseOf(catalog, path)
    return catalog.objectNames(database.catalog, database.database, kind)
  }
  switch (object) {
    case 'TABLES':
      return names('table name', inDatabase(undefined))
    case 'VIEWS':
      return names('view name', inDatabase('view'))
    case 'CATALOGS':
      return names('catalog name', catalog.catalogNames())
    case 'CURRENT CATALOG':
      return names('current catalog name', [catalog.currentPath.catalog])
    case 'CURRENT DATABASE':
      return names('current database name', [catalog.currentPath.database])
    case 'DATABASES':
      if (path !== undefined) throw notSupportedYet(pos, 'SHOW DATABASES FROM a catalog')
      return names('database name', catalog.catalog(catalog.currentPath.catalog).databaseNames())
    default:
      throw notSupportedYet(pos, `SHOW ${object}`)
  }
}

function names(title: string, all: readonly string[]): ShownTable {
  return { schema: [{ name: title, type: 'STRING NOT NULL' }], rows: all.map(name => [name]) }
}

const described: Schema = [
  { name: 'name', type: 'STRING NOT NULL' },
  { name: 'type', type: 'STRING NOT NULL' },
  { name: 'null', type: 'BOOLEAN NOT NULL' },
  { name: 'key', type: 'STRING' },
  { name: 'extras', type: 'STRING' },
  { name: 'watermark', type: 'STRING' },
]

export function describeTable(statement: Describe, catalog: CatalogManager, bindView: (statement: Describe) => Relation): ShownTable {
  if (statement.extended) throw notSupportedYet(statement.pos, 'DESCRIBE EXTENDED')
  const { path, object } = findObject(catalog, statement.path)
  if (object.kind === 'view') return { schema: described, rows: bindView(statement).columns.map(column => describedRow(column, {})) }
  const { declared, primaryKey } = object
  const rows = bindSourceTable(declared, path, [], 'declared').columns.map(column => {
    const written = declared.columns.find(each => each.name.text === column.name)
    const watermark = declared.watermark?.column[0]?.text === column.name ? printExpression(declared.watermark.expression, printQuery) : undefined
    return describedRow(column, {
      key: primaryKey.includes(column.name) ? `PRI(${primaryKey.join(', ')})` : undefined,
      extras: written?.kind === 'computed' ? `AS ${printExpression(written.expression, printQuery)}` : undefined,
      watermark,
    })
  })
  return { schema: described, rows }
}

function describedRow(
  { name, type, rowtime }: ScopeColumn,
  more: { key?: string | undefined; extras?: string | undefined; watermark?: string | undefined },
): (string | boolean | null)[] {
  const plain = type.replace(/ NOT NULL$/, '')
  return [name, rowtime ? `${plain} *ROWTIME*` : plain, plain === type, more.key ?? null, more.extras ?? null, more.watermark ?? null]
}
