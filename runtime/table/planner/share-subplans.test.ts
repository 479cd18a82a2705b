import { expect, test } from 'vitest'
import { finishInProcess } from '../../../test/support/in-process-job.ts'
import { StreamExecutionEnvironment } from '../../api/environment.ts'
import { sqlProgram } from '../index.ts'

const table = (name: string) => `CREATE TABLE ${name} (a INT, b INT, c STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '100',
  'fields.a.kind' = 'sequence', 'fields.a.start' = '1', 'fields.a.end' = '100', 'fields.b.min' = '1', 'fields.b.max' = '9', 'fields.c.length' = '2');
`
const sinks = `CREATE TABLE p (x INT) WITH ('connector' = 'print', 'print-identifier' = 'p');
CREATE TABLE q (x INT) WITH ('connector' = 'print', 'print-identifier' = 'q');
`

function nodesOf(script: string): string[] {
  const env = StreamExecutionEnvironment.createForProgram({})
  sqlProgram(script, 'test.sql')(env, [])
  return env.getStreamGraph().nodes.map(({ name }) => name.replace(/\[\d+\]/, ''))
}

async function linesOf(script: string, parallelism = 2) {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'test.sql')(env, []), { batch: false, parallelism })
  const lines = stdout.trimEnd().split('\n')
  return (id: string) =>
    lines
      .filter(line => line.startsWith(`${id}:`) || line.startsWith(`${id}>`))
      .map(line => Number(/\[(\d+)\]/.exec(line)?.[1]))
      .sort((a, b) => a - b)
}

async function explained(script: string): Promise<string> {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'test.sql')(env, []), { batch: false, parallelism: 1 })
  return stdout.split('== Optimized Execution Plan ==\n')[1]?.trimEnd() ?? ''
}

test('two INSERTs from one table read it once, each its columns, and get the rows they would get alone', async () => {
  const script = `${table('t')}${sinks}INSERT INTO p SELECT a FROM t WHERE a > 90; INSERT INTO q SELECT b FROM t WHERE a <= 5;`
  expect(nodesOf(script)).toEqual(['Source: t', 'Calc', 'Sink: p', 'Calc', 'Sink: q'])
  const of = await linesOf(script)
  expect(of('p')).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  expect(of('q')).toHaveLength(5)
  // As random columns are drawn once, both see the same.
  const same = await linesOf(`${table('t')}${sinks}INSERT INTO p SELECT b FROM t; INSERT INTO q SELECT b FROM t WHERE a > 0;`)
  expect(same('p')).toEqual(same('q'))
})

test('equal sub-plans run once, wherever they stand in the script; UNION ALL of a table with itself gives its rows twice', async () => {
  const script = `${table('t')}${sinks}CREATE VIEW v AS SELECT a + 1 AS x FROM t WHERE a > 98; INSERT INTO p SELECT x FROM v;\n\nINSERT INTO q SELECT x FROM v UNION ALL SELECT x FROM v;`
  expect(nodesOf(script).filter(name => name === 'Source: t' || name === 'Calc')).toEqual(['Source: t', 'Calc'])
  const of = await linesOf(script)
  expect(of('p')).toEqual([100, 101])
  expect(of('q')).toEqual([100, 100, 101, 101])
})

test('EXPLAIN of a statement set shows what is read once', async () => {
  const script = `${table('t')}${sinks}EXPLAIN STATEMENT SET BEGIN INSERT INTO p SELECT a FROM t; INSERT INTO q SELECT b FROM t; END;`
  // Layout and numbers are those of Flink 2.3.
  expect(await explained(script)).toBe(`TableSourceScan(table=[[t]], connector=[datagen], fields=[a, b])(reuse_id=[1])

Sink(table=[p], fields=[x])
+- Calc(select=[a])
   +- Reused(reference_id=[1])

Sink(table=[q], fields=[x])
+- Calc(select=[b])
   +- Reused(reference_id=[1])`)
})

test('other tables, other hints and switched-off sharing stay apart', () => {
  const inserts = (first: string, second: string) => `${table('t')}${table('u')}${sinks}INSERT INTO p ${first}; INSERT INTO q ${second};`
  const sources = (script: string) => nodesOf(script).filter(name => name.startsWith('Source'))
  expect(sources(inserts('SELECT a FROM t', 'SELECT a FROM u'))).toEqual(['Source: t', 'Source: u'])
  expect(sources(inserts('SELECT a FROM t', "SELECT a FROM t /*+ OPTIONS('rows-per-second' = '5') */"))).toHaveLength(2)
  expect(sources(`SET 'table.optimizer.reuse-sub-plan-enabled' = 'false';${inserts('SELECT a FROM t', 'SELECT a FROM t')}`)).toHaveLength(2)
  expect(sources(`SET 'table.optimizer.reuse-source-enabled' = 'false';${inserts('SELECT a FROM t', 'SELECT a FROM t')}`)).toHaveLength(2)
  // As in Flink, a function of the moment is shared.
  const moment = 'SELECT CHAR_LENGTH(CAST(CURRENT_ROW_TIMESTAMP() AS STRING)) FROM t'
  const calcs = (script: string) => nodesOf(script).filter(name => name === 'Calc').length
  expect(calcs(inserts(moment, moment))).toBe(calcs(`${table('t')}${sinks}INSERT INTO p ${moment}`))
})
