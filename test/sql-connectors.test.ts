import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { sqlProgram } from '../runtime/table/index.ts'
import { finishInProcess } from './support/in-process-job.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-sql-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(script: string, parallelism = 1): Promise<string[]> {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'test.sql')(env, []), { batch: false, parallelism })
  return stdout.trimEnd().split('\n')
}

const sequence = (rows: number) =>
  `CREATE TABLE g (n INT, s STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '${rows}', 'fields.s.length' = '3');`

test('datagen deals a sequence out to the subtasks, each number once', async () => {
  const rows = await run(`${sequence(5_000)} SELECT n, CHAR_LENGTH(s) FROM g`, 2)
  expect(rows.map(row => Number(/\d+/.exec(row)?.[0])).sort((a, b) => a - b)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1))
  expect(rows.every(row => row.endsWith(', 3]'))).toBe(true)
})

test('number-of-rows bounds random columns, which keep to min and max', async () => {
  const rows = await run(
    "CREATE TABLE g (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '500', 'fields.n.min' = '-3', 'fields.n.max' = '3'); SELECT n FROM g",
  )
  expect(rows.length).toBe(500)
  expect([...new Set(rows)].sort()).toEqual(['+I[-1]', '+I[-2]', '+I[-3]', '+I[0]', '+I[1]', '+I[2]', '+I[3]'])
})

test.each(['json', 'csv'])('a %s table is written as a folder of part files, one a subtask, and reads back as it was', async format => {
  const path = join(folder, format)
  const table = `CREATE TABLE o (n INT, s STRING) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = '${format}');`
  await run(`${table} ${sequence(100)} INSERT INTO o SELECT n, 'a "b", c' FROM g`, 2)
  expect(readdirSync(path).every(name => /^part-[0-9a-f]{32}-0$/.test(name))).toBe(true)
  const rows = await run(`${table} SELECT n, s FROM o`, 2)
  expect(readdirSync(path).length).toBe(2)
  expect(rows.length).toBe(100)
  expect(rows).toContain('+I[7, a "b", c]')
})

test('sink.rolling-policy.file-size ends parts; a failed job leaves nothing of what it wrote', async () => {
  const path = join(folder, 'rolled')
  const table = (size: string) =>
    `CREATE TABLE o (n INT, s STRING) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv', 'sink.rolling-policy.file-size' = '${size}');`
  const insert = `${sequence(5_000)} INSERT INTO o SELECT n, REPEAT('x', 100) FROM g`
  await expect(run(`${table('10 kb')} ${sequence(5_000)} INSERT INTO o SELECT n, REPEAT('x', 4999 / (4999 - n)) FROM g`)).rejects.toThrow(/by zero/)
  expect(readdirSync(path)).toEqual([])
  await run(`${table('100 kb')} ${insert}`)
  // 5,000 rows of about 106 bytes. A part ends with the first piece of up to 16 KiB that finds it above its size.
  const sizes = readdirSync(path).map(name => readFileSync(join(path, name)).length)
  expect(sizes.length).toBeGreaterThan(3)
  expect(Math.max(...sizes)).toBeLessThan(2 * 100 * 1024)
  const rows = await run(`${table('100 kb')} SELECT n FROM o`)
  expect(rows.map(row => Number(/\d+/.exec(row)?.[0])).sort((a, b) => a - b)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1))
})

test('rows of very different sizes are written in their order', async () => {
  const path = join(folder, 'sizes')
  await run(
    `CREATE TABLE o (n INT, s STRING) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv'); ${sequence(2_000)}
INSERT INTO o SELECT n, REPEAT('x', CASE WHEN MOD(n, 500) < 3 THEN 400000 * MOD(n, 500) ELSE 1 END) FROM g`,
  )
  const lines = readFileSync(join(path, readdirSync(path)[0] ?? ''), 'utf8').split('\n')
  expect(lines.pop()).toBe('')
  expect(lines.map(line => [Number(line.split(',')[0]), line.split(',')[1]?.replaceAll('"', '').length])).toEqual(
    Array.from({ length: 2_000 }, (_, i) => [i + 1, (i + 1) % 500 < 3 ? 400_000 * ((i + 1) % 500) : 1]),
  )
})

test('several INSERTs are one job; print has its identifier, blackhole nothing', async () => {
  const rows = await run(`CREATE TABLE p (n INT) WITH ('connector' = 'print', 'print-identifier' = 'out');
CREATE TABLE b (n INT) WITH ('connector' = 'blackhole');
INSERT INTO p VALUES 1; INSERT INTO b VALUES 2; INSERT INTO p VALUES 3;`)
  expect(rows.sort()).toEqual(['out> +I[1]', 'out> +I[3]'])
})

test('INSERT INTO takes the rows of a UNION ALL by position or by names, and EXPLAIN shows what runs for it', async () => {
  const tables = `CREATE TABLE p (n BIGINT, s STRING, d DOUBLE) WITH ('connector' = 'print');
CREATE VIEW v AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, s);
`
  const union = 'SELECT n, s, CAST(n AS DOUBLE) FROM v UNION ALL SELECT n * 10, UPPER(s), 0.5E0 FROM v WHERE n > 1'
  const rows = ['+I[1, a, 1.0]', '+I[2, b, 2.0]', '+I[20, B, 0.5]']
  for (const parallelism of [1, 2]) {
    const printed = await run(`${tables}INSERT INTO p ${union}`, parallelism)
    expect(printed.map(row => row.replace(/^\d> /, '')).sort()).toEqual(rows)
  }
  // By names: the order is the statement's, the column that is not named is NULL, and an INT becomes a BIGINT.
  expect((await run(`${tables}INSERT INTO p (d, n) SELECT 1.5E0, n FROM v UNION ALL VALUES (2.5E0, 7)`)).sort()).toEqual([
    '+I[1, null, 1.5]',
    '+I[2, null, 1.5]',
    '+I[7, null, 2.5]',
  ])
  const plan = (await run(`${tables}EXPLAIN INSERT INTO p ${union}`)).join('\n')
  expect(
    plan.split('== Optimized Execution Plan ==\n')[1],
  ).toBe(`TableSourceScan(table=[[values]], connector=[values], fields=[EXPR$0, EXPR$1])(reuse_id=[1])

Sink(table=[p], fields=[n, s, d])
+- Calc(select=[CAST(n AS BIGINT) AS n, CAST(s AS STRING) AS s, EXPR$2 AS d])
   +- Union(all=[true], select=[n, s, EXPR$2])
      +- Calc(select=[EXPR$0 AS n, EXPR$1 AS s, CAST(EXPR$0 AS DOUBLE) AS EXPR$2])
         +- Reused(reference_id=[1])
      +- Calc(select=[(EXPR$0 * 10) AS EXPR$0, UPPER(EXPR$1) AS EXPR$1, 0.5 AS EXPR$2], where=[(EXPR$0 > 1)])
         +- Reused(reference_id=[1])`)
})

test('a line that does not parse fails the job and names table, file and line, unless it is to be left out', async () => {
  const path = join(folder, 'broken.json')
  writeFileSync(path, '{"n":1}\n{"n":2}\n{"n":\n{"n":4}\n')
  const table = (option: string) => `CREATE TABLE t (n INT) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'json'${option});`
  await expect(run(`${table('')} SELECT n FROM t`)).rejects.toThrow(`table t, file ${path}, line 3: `)
  expect(await run(`${table(", 'json.ignore-parse-errors' = 'true'")} SELECT n FROM t`)).toEqual(['+I[1]', '+I[2]', '+I[4]'])
})

test('a CSV file with line feeds in its values is read by one reader, one without quotes by several', async () => {
  const path = join(folder, 'quoted.csv')
  const table = (option: string) =>
    `CREATE TABLE t (n INT, s STRING) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv'${option});`
  writeFileSync(path, Array.from({ length: 9 }, (_, n) => `${n},"one\n${n},two"\n`).join(''))
  for (const parallelism of [1, 2, 3, 4])
    expect(await run(`${table('')} SELECT n, CHAR_LENGTH(s) FROM t`, parallelism)).toEqual(Array.from({ length: 9 }, (_, n) => `+I[${n}, 9]`))
  writeFileSync(path, Array.from({ length: 9 }, (_, n) => `${n},"\n`).join(''))
  const rows = await run(`${table(", 'csv.disable-quote-character' = 'true'")} SELECT n, CHAR_LENGTH(s) FROM t`, 3)
  expect(rows.sort()).toEqual(Array.from({ length: 9 }, (_, n) => `+I[${n}, 1]`))
})

test('a table declared with options of Flink before 1.11 is read', async () => {
  const path = join(folder, 'legacy.csv')
  writeFileSync(path, 'sensor_1,35.8\n')
  const table = `CREATE TABLE t (id STRING, temperature DOUBLE) WITH ('connector.type' = 'filesystem', 'connector.path' = '${path}', 'format.type' = 'csv');`
  expect(await run(`${table} SELECT id, temperature FROM t`)).toEqual(['+I[sensor_1, 35.8]'])
})

test('a division by zero names the expression and its place', async () => {
  await expect(run('SELECT a / (a - a) FROM (VALUES (1), (2)) AS t(a)')).rejects.toThrow(/division by zero in .* at 1:1\d, row 0/)
})

test('a NULL does not get into a column that is NOT NULL', async () => {
  const script =
    "CREATE TABLE b (n INT NOT NULL) WITH ('connector' = 'blackhole'); INSERT INTO b SELECT a FROM (VALUES (1), (CAST(NULL AS INT))) AS t(a)"
  await expect(run(script)).rejects.toThrow("column 'n' of table 'b' is NOT NULL, but a row holds NULL in it")
})

test('names of columns may be hostile', async () => {
  const path = join(folder, 'hostile.json')
  writeFileSync(path, '{"__proto__":1,"a\'b\\"c*/${x}":2}\n')
  const table = `CREATE TABLE t (\`__proto__\` INT, \`a'b"c*/\${x}\` INT) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'json');`
  expect(await run(`${table} SELECT * FROM t WHERE \`__proto__\` = 1`)).toEqual(['+I[1, 2]'])
})

test('EXPLAIN prints three sections, and the generated source on request', async () => {
  const rows = await run(`SET 'table.explain.generated-source' = 'true'; ${sequence(3)} EXPLAIN SELECT n + 1 FROM g WHERE n > 1`, 2)
  expect(rows.filter(row => row.startsWith('=='))).toEqual([
    '== Abstract Syntax Tree ==',
    '== Optimized Physical Plan ==',
    '== Optimized Execution Plan ==',
    '== Generated Source ==',
  ])
  expect(rows.some(row => row.startsWith('//# sourceURL=millrace/explain/Calc'))).toBe(true)
})

test('a row that is late behind a watermark of its own frame is dropped, aggregated in one phase or in two', async () => {
  const path = join(folder, 'late.csv')
  writeFileSync(path, ['00:00:01,1', '00:00:15,1', '00:00:02,100', '00:00:16,1'].map(line => `2020-01-01 ${line}\n`).join(''))
  const table = `CREATE TABLE t (ts TIMESTAMP(3), n INT, WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv');`
  const query = "SELECT SUM(n) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end"
  for (const phases of ['ONE_PHASE', 'TWO_PHASE'])
    for (const columnar of [true, false]) {
      const settings = `SET 'table.optimizer.agg-phase-strategy' = '${phases}'; SET 'table.exec.columnar' = '${columnar}'; SET 'pipeline.auto-watermark-interval' = '0 ms';`
      expect((await run(`${settings} ${table} ${query}`)).sort(), `${phases} ${columnar}`).toEqual(['+I[1]', '+I[2]'])
    }
})

test('a table of 2,000 columns is read, computed on and written', async () => {
  const path = join(folder, 'wide.csv')
  writeFileSync(path, `${Array.from({ length: 2_000 }, (_, i) => i).join(',')}\n`)
  const columns = Array.from({ length: 2_000 }, (_, i) => `c${i} INT`).join(', ')
  const sums = Array.from({ length: 2_000 }, (_, i) => `c${i} + 1`).join(', ')
  const [row] = await run(
    `CREATE TABLE t (${columns}) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv'); SELECT ${sums} FROM t`,
  )
  expect(row).toBe(`+I[${Array.from({ length: 2_000 }, (_, i) => i + 1).join(', ')}]`)
  expect(readFileSync(path, 'utf8').length).toBeGreaterThan(0)
})
