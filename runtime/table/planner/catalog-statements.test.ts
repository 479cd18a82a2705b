import { expect, test } from 'vitest'
import { finishInProcess } from '../../../test/support/in-process-job.ts'
import { StreamExecutionEnvironment } from '../../api/environment.ts'
import { sqlProgram } from '../index.ts'

const table = (name: string, columns = 'a INT') => `CREATE TABLE ${name} (${columns}) WITH ('connector' = 'datagen', 'number-of-rows' = '1');
`

async function run(script: string): Promise<string[]> {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'test.sql')(env, []), { batch: false, parallelism: 1 })
  return stdout.trimEnd().split('\n')
}

function problem(script: string): string {
  try {
    sqlProgram(script, 'test.sql')(StreamExecutionEnvironment.createForProgram({}), [])
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

test('SHOW lists what there is where the script stands', async () => {
  const script = `${table('t')}${table('b')}CREATE TEMPORARY VIEW v AS SELECT a FROM t;CREATE DATABASE shop;`
  expect(await run(`${script}SHOW TABLES`)).toEqual(['+I[b]', '+I[t]', '+I[v]'])
  expect(await run(`${script}SHOW VIEWS`)).toEqual(['+I[v]'])
  expect(await run(`${script}DROP TABLE b; SHOW TABLES FROM default_database`)).toEqual(['+I[t]', '+I[v]'])
  expect(await run(`${script}SHOW DATABASES`)).toEqual(['+I[default_database]', '+I[shop]'])
  expect(await run('SHOW CATALOGS')).toEqual(['+I[default_catalog]'])
  expect(await run(`${script}USE shop; SHOW CURRENT DATABASE`)).toEqual(['+I[shop]'])
  expect(await run('SHOW CURRENT CATALOG')).toEqual(['+I[default_catalog]'])
})

test('DESCRIBE gives the columns of tables and views as Flink names them', async () => {
  const columns =
    "id BIGINT, s STRING NOT NULL, twice AS id * 2, ts TIMESTAMP(3), r ROW<x INT>, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED"
  expect(await run(`${table('t', columns)}DESCRIBE t`)).toEqual([
    '+I[id, BIGINT, false, PRI(id), null, null]',
    '+I[s, STRING, false, null, null, null]',
    '+I[twice, BIGINT, false, null, AS id * 2, null]',
    "+I[ts, TIMESTAMP(3) *ROWTIME*, true, null, null, ts - INTERVAL '5' SECOND]",
    '+I[r, ROW<`x` INT>, true, null, null, null]',
  ])
  expect(await run(`${table('t', columns)}CREATE VIEW v (n, time_of_day) AS SELECT id, ts FROM t; DESC v`)).toEqual([
    '+I[n, BIGINT, false, null, null, null]',
    '+I[time_of_day, TIMESTAMP(3) *ROWTIME*, true, null, null, null]',
  ])
})

test('names are looked up in the current database, those in a view where it was declared', async () => {
  const values = (name: string, n: number) => `CREATE VIEW ${name} AS SELECT * FROM (VALUES (${n})) AS t(n);`
  const script = `${values('x', 1)}CREATE VIEW v AS SELECT n FROM x; CREATE DATABASE shop; USE shop; ${values('x', 2)}`
  expect(await run(`${script}SELECT n FROM x`)).toEqual(['+I[2]'])
  expect(await run(`${script}SELECT n FROM default_database.v`)).toEqual(['+I[1]'])
  expect(await run(`${script}USE CATALOG default_catalog; SELECT n FROM x`)).toEqual(['+I[1]'])
})

test('a temporary table hides the permanent one of its name until it is dropped', async () => {
  const values = (how: string, n: number) => `CREATE ${how} VIEW x AS SELECT * FROM (VALUES (${n})) AS t(n);`
  const script = `${values('', 1)}${values('TEMPORARY', 2)}`
  expect(await run(`${script}SELECT n FROM x`)).toEqual(['+I[2]'])
  expect(await run(`${script}DROP TEMPORARY VIEW x; SELECT n FROM x`)).toEqual(['+I[1]'])
  expect(problem(`${script}\nDROP VIEW x`)).toMatch(/a temporary view hides .*`x`; drop it first with DROP TEMPORARY VIEW, at 2:11/)
})

test.each([
  [
    "CREATE TABLE nowhere.t (a INT) WITH ('connector' = 'datagen')",
    "invalid SQL at 1:14: database 'default_catalog.nowhere' is not known; there is default_catalog.default_database",
  ],
  ['CREATE DATABASE d; USE dd', "invalid SQL at 1:24: database 'dd' is not known; there are default_catalog.d, default_catalog.default_database"],
  ['USE CATALOG hive', 'the catalog hive does not exist; catalogs: default_catalog, at 1:13'],
  ['CREATE DATABASE d; CREATE DATABASE d', 'the database d exists already in the catalog default_catalog, at 1:36'],
  [`${table('t')}DROP DATABASE default_database`, 'the database default_database is not empty: it holds 1 objects; CASCADE drops them too, at 2:15'],
  [`${table('t')}DROP VIEW t`, '`default_catalog`.`default_database`.`t` is a table; drop it with DROP TABLE, at 2:11'],
  [`${table('t')}DROP TEMPORARY TABLE t`, "invalid SQL at 2:22: temporary table 'default_catalog.default_database.t' does not exist"],
  ['DESCRIBE nope', "invalid SQL at 1:10: table 'nope' is not known"],
  [`${table('t')}DESCRIBE EXTENDED t`, 'DESCRIBE EXTENDED is not supported yet, at 2:1'],
  ["SHOW TABLES LIKE 'a%'", 'SHOW TABLES LIKE is not supported yet, at 1:1'],
  ['SHOW CREATE TABLE t', 'SHOW CREATE TABLE is not supported yet, at 1:1'],
  ['SHOW TABLES FROM nowhere', "invalid SQL at 1:18: database 'nowhere' is not known; there is default_catalog.default_database"],
])('%s is refused by name', (script, message) => {
  expect(problem(script)).toBe(message)
})
