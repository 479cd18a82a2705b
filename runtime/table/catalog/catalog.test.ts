import { describe, expect, test } from 'vitest'
import { corpusStatements } from '../../../test/support/sql-corpus.ts'
import type { CreateTable, CreateView } from '../sql/ast-statement.ts'
import { parseStatement } from '../sql/parse.ts'
import { printType } from '../types/type-text.ts'
import { CatalogManager } from './catalog-manager.ts'
import { type CatalogTable, tableOf, viewOf } from './catalog-objects.ts'
import { currentOptions } from './legacy-options.ts'

function declared(sql: string): { table: CatalogTable; warnings: readonly string[] } {
  const statement = parseStatement(sql)
  if (statement.kind !== 'createTable') throw new Error(`no CREATE TABLE: ${sql}`)
  return tableOf(statement)
}

const permanent = { temporary: false, ignoreIfExists: false }
const temporary = { temporary: true, ignoreIfExists: false }

function withTables(...names: string[]): CatalogManager {
  const manager = new CatalogManager()
  for (const name of names) manager.createObject(name.split('.'), declared(`CREATE TABLE t (\`${name}\` INT)`).table, permanent)
  return manager
}

const columnsOf = (manager: CatalogManager, path: string) =>
  manager.require(path.split('.')).object.columns.map(column => (typeof column === 'string' ? column : column.name.text))

describe('names', () => {
  test('of one, two and three parts lead to the same table', () => {
    const manager = withTables('orders')
    for (const path of ['orders', 'default_database.orders', 'default_catalog.default_database.orders'])
      expect(manager.require(path.split('.')).identifier).toEqual({ catalog: 'default_catalog', database: 'default_database', object: 'orders' })
    expect(() => manager.find(['a', 'b', 'c', 'd'])).toThrow('a name has one to three parts (catalog.database.object), not 4: a.b.c.d')
  })

  test('are looked up in the current database', () => {
    const manager = withTables('orders')
    manager.catalog('default_catalog').createDatabase('shop', undefined, false)
    manager.useDatabase(['shop'])
    expect(manager.find(['orders'])).toBeUndefined()
    manager.createObject(['orders'], declared('CREATE TABLE t (shop INT)').table, permanent)
    expect([columnsOf(manager, 'orders'), columnsOf(manager, 'default_database.orders')]).toEqual([['shop'], ['orders']])
    manager.useDatabase(['default_catalog', 'default_database'])
    expect(columnsOf(manager, 'orders')).toEqual(['orders'])
  })

  test('that are unknown list the candidates', () => {
    const manager = withTables('orders', 'customers')
    expect(() => manager.require(['ordres'])).toThrow(
      'the table or view `default_catalog`.`default_database`.`ordres` does not exist; did you mean orders?',
    )
    expect(() => manager.require(['xyz'])).toThrow('does not exist; tables and views: customers, orders')
    expect(() => new CatalogManager().require(['xyz'])).toThrow('there are no tables and views')
    expect(() => manager.require(['nowhere', 'xyz'])).toThrow(
      'the database nowhere does not exist in the catalog default_catalog; databases: default_database',
    )
    expect(() => manager.require(['hive', 'd', 'xyz'])).toThrow('the catalog hive does not exist; catalogs: default_catalog')
    expect(() => manager.useCatalog('default_catalogue')).toThrow('did you mean default_catalog?')
  })

  test('are case-sensitive', () => {
    expect(() => withTables('orders').require(['Orders'])).toThrow('did you mean orders?')
  })
})

describe('temporary objects', () => {
  test('hide permanent ones of the same path until they are dropped', () => {
    const manager = withTables('orders')
    manager.createObject(['orders'], declared('CREATE TABLE t (temporary_one INT)').table, temporary)
    expect(columnsOf(manager, 'default_database.orders')).toEqual(['temporary_one'])
    expect(() => manager.dropObject(['orders'], 'table', { temporary: false, ignoreIfNotExists: false })).toThrow('a temporary table hides')
    manager.dropObject(['orders'], 'table', { temporary: true, ignoreIfNotExists: false })
    expect(columnsOf(manager, 'orders')).toEqual(['orders'])
  })

  test('may live in databases that do not exist, and are listed with the others', () => {
    const manager = withTables('b')
    manager.createObject(['x', 'y', 'z'], declared('CREATE TABLE t (a INT)').table, temporary)
    manager.createObject(['a'], declared('CREATE TABLE t (a INT)').table, temporary)
    expect(columnsOf(manager, 'x.y.z')).toEqual(['a'])
    expect(manager.objectNames('default_catalog', 'default_database')).toEqual(['a', 'b'])
  })
})

describe('creating and dropping', () => {
  test('twice is a conflict unless IF NOT EXISTS is said', () => {
    const manager = withTables('t')
    const other = declared('CREATE TABLE t (other INT)').table
    expect(() => manager.createObject(['t'], other, permanent)).toThrow('the table or view `default_catalog`.`default_database`.`t` exists already')
    manager.createObject(['t'], other, { temporary: false, ignoreIfExists: true })
    expect(columnsOf(manager, 't')).toEqual(['t'])
    manager.dropObject(['t'], 'table', { temporary: false, ignoreIfNotExists: false })
    expect(() => manager.dropObject(['t'], 'table', { temporary: false, ignoreIfNotExists: false })).toThrow('the table `default_catalog`')
    manager.dropObject(['t'], 'table', { temporary: false, ignoreIfNotExists: true })
  })

  test('a view is not dropped as a table', () => {
    const manager = withTables()
    const statement = parseStatement('CREATE VIEW v (x) AS SELECT a FROM t') as CreateView // the text is one
    manager.createObject(['v'], viewOf(statement, manager.currentPath), permanent)
    expect(() => manager.dropObject(['v'], 'table', { temporary: false, ignoreIfNotExists: true })).toThrow('is a view; drop it with DROP VIEW')
    expect([
      manager.objectNames('default_catalog', 'default_database', 'view'),
      manager.objectNames('default_catalog', 'default_database', 'table'),
    ]).toEqual([['v'], []])
  })

  test('a database with objects needs CASCADE', () => {
    const manager = withTables('t')
    const catalog = manager.catalog('default_catalog')
    expect(() => catalog.dropDatabase('default_database', { ignoreIfNotExists: false, cascade: false })).toThrow('is not empty: it holds 1 objects')
    catalog.dropDatabase('default_database', { ignoreIfNotExists: false, cascade: true })
    expect(manager.find(['t'])).toBeUndefined()
  })

  test('functions are found in any case, temporary system ones first', () => {
    const manager = new CatalogManager()
    const create = (identifier: string, how: { temporary: boolean; system: boolean }) =>
      manager.createFunction(['AddScore'], { kind: 'function', identifier, language: undefined }, { ...how, ignoreIfExists: false })
    create('a#permanent', { temporary: false, system: false })
    expect(manager.findFunction(['addscore'])?.identifier).toBe('a#permanent')
    create('a#temporary', { temporary: true, system: false })
    expect(manager.findFunction(['default_database', 'ADDSCORE'])?.identifier).toBe('a#temporary')
    create('a#system', { temporary: true, system: true })
    expect([manager.findFunction(['addScore'])?.identifier, manager.functionNames()]).toEqual(['a#system', ['addscore']])
    manager.dropFunction(['addScore'], { temporary: true, system: true, ignoreIfNotExists: false })
    manager.dropFunction(['addScore'], { temporary: true, system: false, ignoreIfNotExists: false })
    expect(manager.findFunction(['addScore'])?.identifier).toBe('a#permanent')
  })
})

describe('tables', () => {
  test('key columns are NOT NULL', () => {
    const { table } = declared('CREATE TABLE t (a INT, b STRING, PRIMARY KEY (b) NOT ENFORCED)')
    expect([table.primaryKey, table.columns.map(column => (column.kind === 'physical' ? printType(column.type) : ''))]).toEqual([
      ['b'],
      ['INT', 'STRING NOT NULL'],
    ])
  })

  test.each([
    ['CREATE TABLE t (a INT, b INT, a INT)', 'at 1:31: the column a stands twice in the table'],
    ['CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED)', 'at 1:37: the PRIMARY KEY names the unknown column b; columns: a'],
    ['CREATE TABLE t (a INT PRIMARY KEY)', 'at 1:23: nobody can enforce the PRIMARY KEY of a stream; write NOT ENFORCED'],
    ['CREATE TABLE t (a INT, b AS a + 1, PRIMARY KEY (b) NOT ENFORCED)', 'the column b of the PRIMARY KEY is not a physical one'],
    ['CREATE TABLE t (time_ TIMESTAMP(3), WATERMARK FOR tme_ AS tme_)', 'the watermark names the unknown column tme_; did you mean time_?'],
    ['CREATE TABLE t (a INT) PARTITIONED BY (dt)', 'PARTITIONED BY names the unknown column dt'],
  ])('%s is refused', (sql, message) => {
    expect(() => declared(sql)).toThrow(message)
  })
})

describe('options of Flink before 1.11', () => {
  const s0 = corpusStatements()
    .filter(({ file, text }) => file === 'seed-s0.sql' && text.startsWith('create table'))
    .map(({ text }) => tableOf(parseStatement(text) as CreateTable)) // by their first words

  test("S0's tables read as today's, each with one warning", () => {
    expect(s0.map(({ warnings }) => warnings.length)).toEqual([1, 1, 1])
    expect(s0.map(({ table }) => [table.legacy, table.options])).toEqual([
      [
        true,
        {
          connector: 'jdbc',
          url: 'jdbc:mysql://hadoop102:3306/test',
          'table-name': 'student_count',
          driver: 'com.mysql.jdbc.Driver',
          username: 'root',
          password: '123456',
        },
      ],
      [true, { connector: 'filesystem', path: 'file:///D:\\\\..\\\\sensor.txt', format: 'csv' }],
      [true, { connector: 'filesystem', path: 'file:///D:\\\\..\\\\sensor.txt', format: 'csv' }],
    ])
    expect(s0[1]?.warnings[0]).toBe("the table has options of Flink before 1.11; today 'connector' = 'filesystem', 'connector.path' is 'path'")
    expect(s0.map(({ table }) => table.columns.map(column => column.name.text))).toEqual([
      ['id', 'cnt'],
      ['id', 'ts', 'temperature', 'pt'],
      ['id', 'ts', 'temperature', 'rt'],
    ])
  })

  test('of Kafka keep the properties and drop what is true of every table today', () => {
    const { options } = currentOptions({
      'connector.type': 'kafka',
      'connector.version': '0.11',
      'connector.topic': 'sensor',
      'connector.properties.bootstrap.servers': 'hadoop102:9092',
      'connector.properties.zookeeper.connect': 'hadoop102:2181',
      'connector.startup-mode': 'earliest-offset',
      'format.type': 'csv',
      'format.field-delimiter': ';',
      'update-mode': 'append',
    })
    expect(options).toEqual({
      connector: 'kafka',
      topic: 'sensor',
      'properties.bootstrap.servers': 'hadoop102:9092',
      'scan.startup.mode': 'earliest-offset',
      format: 'csv',
      'csv.field-delimiter': ';',
    })
  })

  test.each([
    [{ 'connector.type': 'filesystem', 'connector.pth': 'x' }, "the old option 'connector.pth' of a filesystem table has no counterpart today"],
    [{ 'connector.type': 'kafka', 'format.type': 'csv', 'format.schema': 'ROW<a INT>' }, "'format.schema'"],
    [{ 'connector.type': 'hbase' }, "'connector.type' = 'hbase' is not supported"],
    [{ 'connector.type': 'elasticsearch', 'connector.version': '5' }, "with 'connector.version' = '5' is not supported"],
    [{ 'connector.path': 'x' }, "old options (connector.path) stand without 'connector.type'"],
    [{ connector: 'print', 'connector.type': 'kafka' }, "or beside 'connector'"],
  ])('%j are refused by name', (options, message) => {
    expect(() => currentOptions(options as Record<string, string>)).toThrow(message)
  })

  test('of today pass unchanged', () => {
    const options = { connector: 'kafka', 'scan.startup.mode': 'latest-offset' }
    expect(currentOptions(options)).toEqual({ options, legacy: false, warnings: [] })
  })
})
