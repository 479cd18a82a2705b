import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { sqlProgram } from '../runtime/table/index.ts'
import { finishInProcess } from './support/in-process-job.ts'

/** Files that do not hold what their table says: the job fails and names table, file, line and what is wrong with it. */
const folder = mkdtempSync(join(tmpdir(), 'millrace-bad-data-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const columns = 'id INT, name STRING, at_time TIMESTAMP(3), amount DECIMAL(6, 2), b BOOLEAN, day_ DATE, r ROW<x BIGINT>'
const goodJson = '{"id":1,"name":"a","at_time":"2024-01-01 00:00:00","amount":1.5,"b":true,"day_":"2024-01-01","r":{"x":1}}'
const flat = columns.replace(', r ROW<x BIGINT>', '')
const goodCsv = '1,a,2024-01-01 00:00:00,1.5,true,2024-01-01'

let files = 0
async function failure(format: 'csv' | 'json', lines: readonly (string | Uint8Array)[], query: string, codegen: boolean): Promise<string> {
  const path = join(folder, `${++files}.${format}`)
  writeFileSync(path, Buffer.concat(lines.flatMap(line => [Buffer.from(line), Buffer.from('\n')])))
  const table = `CREATE TABLE t (${format === 'json' ? columns : flat}) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = '${format}');`
  try {
    await finishInProcess(
      env => {
        env.configure({ 'table.exec.codegen': codegen })
        sqlProgram(table + query, 'test.sql')(env, [])
      },
      { batch: false, parallelism: 1 },
    )
  } catch (error) {
    return (error as Error).message.replace(path, 'FILE')
  }
  return 'no failure'
}

const json: readonly (readonly [line: string | Uint8Array, problem: string])[] = [
  ['{"id":', 'json record does not parse: the record ends early'],
  ['{"name":"unclosed}', 'json record does not parse: the record ends early'],
  ['{"id":1}}', 'json record does not parse: something stands behind the object'],
  ['{"id":1} {"id":2}', 'json record does not parse: something stands behind the object'],
  ['hello', 'json record does not parse: an object is expected'],
  ['[1]', 'json record does not parse: an object is expected'],
  ['{id:1}', 'json record does not parse: a key is expected'],
  ["{'id':1}", 'json record does not parse: a key is expected'],
  ['{"id":01}', 'json record does not parse: a number has a leading zero'],
  ['{"id":NaN}', 'json record does not parse: a value is expected'],
  ['{"name":"\\ud8"}', 'json record does not parse: an escape has no four hexadecimal digits'],
  ['{"id":"x"}', 'json record: column id of type INT cannot be "x"'],
  ['{"id":2147483648}', 'json record: column id of type INT cannot be 2147483648'],
  ['{"id":true}', 'json record: column id of type INT cannot be true'],
  ['{"id":[1]}', 'json record: column id of type INT cannot be [1]'],
  ['{"at_time":"yesterday"}', 'json record: column at_time of type TIMESTAMP(3) cannot be "yesterday"'],
  ['{"at_time":5}', 'json record: column at_time of type TIMESTAMP(3) cannot be 5'],
  ['{"amount":"1,5"}', 'json record: column amount of type DECIMAL(6, 2) cannot be "1,5"'],
  ['{"day_":"2024-13-01"}', 'json record: column day_ of type DATE cannot be "2024-13-01"'],
  ['{"r":1}', 'json record: column r.x of type BIGINT cannot be 1'],
  ['{"r":{"x":"9223372036854775808"}}', 'json record: column r.x of type BIGINT cannot be "9223372036854775808"'],
]
const csv: readonly (readonly [line: string | Uint8Array, problem: string])[] = [
  ['', 'csv record: column id of type INT cannot be ""'],
  ['1,a', 'csv record does not parse: the record has 2 values, not 6'],
  [`${goodCsv},more`, 'csv record does not parse: the record has more than 6 values'],
  ['1,"a,2024-01-01 00:00:00,1.5,true,2024-01-01', 'csv record does not parse: a closing quote is missing'],
  ['1,"a"b,2024-01-01 00:00:00,1.5,true,2024-01-01', 'csv record does not parse: something stands behind a closing quote'],
  ['x,a,2024-01-01 00:00:00,1.5,true,2024-01-01', 'csv record: column id of type INT cannot be "x"'],
  ['99999999999,a,2024-01-01 00:00:00,1.5,true,2024-01-01', 'csv record: column id of type INT cannot be "99999999999"'],
  [',a,2024-01-01 00:00:00,1.5,true,2024-01-01', 'csv record: column id of type INT cannot be ""'],
  ['1,a,2024-01-01,1.5,true,2024-01-01', 'csv record: column at_time of type TIMESTAMP(3) cannot be "2024-01-01"'],
  ['1,a,2024-01-01 00:00:00,1.5.5,true,2024-01-01', 'csv record: column amount of type DECIMAL(6, 2) cannot be "1.5.5"'],
]

describe.each([true, false])('with codegen %s', codegen => {
  test.each(json)('json: %s', async (line, problem) => {
    const query = 'SELECT id, name, at_time, amount, b, day_, t.r.x FROM t'
    expect(await failure('json', [goodJson, goodJson, line, goodJson], query, codegen)).toBe(`table t, file FILE, line 3: ${problem}`)
  })

  test.each(csv)('csv: %s', async (line, problem) => {
    expect(await failure('csv', [goodCsv, goodCsv, line, goodCsv], 'SELECT * FROM t', codegen)).toBe(`table t, file FILE, line 3: ${problem}`)
  })

  test('the line is that of the file where the problem stands, beyond the first frames too', async () => {
    const many = Array.from({ length: 9_000 }, () => goodJson)
    expect(await failure('json', [...many, '{"id":"x"}', goodJson], 'SELECT COALESCE(id, 0) FROM t WHERE id > 1', codegen)).toBe(
      'table t, file FILE, line 9001: json record: column id of type INT cannot be "x"',
    )
  })
})

test('bytes that are no text in a column that is read', async () => {
  const line = Uint8Array.of(...Buffer.from('{"id":"'), 0xff, 0xfe, ...Buffer.from('"}'))
  expect(await failure('json', [goodJson, line], 'SELECT id FROM t', true)).toMatch(/^table t, file FILE, line 2: json record/)
})
