import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, processesOf, runMillrace, startCluster } from '../support/cluster.ts'
import { jobIdOf } from '../support/jobs.ts'

/** SQL as people run it: a script by `millrace run`, on an own local cluster and on a session cluster, and in a manifest by `millrace up`. */
let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ slots: 2 })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

const sensors = `sensor_1,1547718199,35.8
sensor_6,1547718201,15.4
sensor_1,1547718206,32.0
sensor_1,1547718210,29.7
`
const table = (path: string) => `CREATE TABLE sensor (
  id STRING, ts BIGINT, temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)), WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${path}', 'format' = 'csv');
`
const windows = `SELECT id, TUMBLE_START(rt, INTERVAL '10' SECOND) AS s, COUNT(*) AS n, MAX(temperature) AS t
FROM sensor GROUP BY id, TUMBLE(rt, INTERVAL '10' SECOND)`
const rows = [
  '[sensor_1, 2019-01-17T09:43:10, 1, 35.8]',
  '[sensor_1, 2019-01-17T09:43:20, 1, 32.0]',
  '[sensor_1, 2019-01-17T09:43:30, 1, 29.7]',
  '[sensor_6, 2019-01-17T09:43:20, 1, 15.4]',
]

test('run -t local prints the rows of a SELECT, run submits the script to a session cluster, and both name the place of an error', async () => {
  const data = await cluster.folder.write('sensor.csv', sensors)
  const select = await cluster.folder.write('select.sql', `-- a comment first\n${table(data)}${windows};\n`)
  const home = { MILLRACE_DIR: join(cluster.folder.path, 'local') }
  const local = await runMillrace(['run', '-t', 'local', '-p', '2', select], home)
  expect(local).toMatchObject({ code: 0, stderr: '' })
  expect(
    local.stdout
      .split('\n')
      .filter(line => line.startsWith('+I'))
      .sort(),
  ).toEqual(rows.map(row => `+I${row}`))

  const insert = await cluster.folder.write(
    'insert.sql',
    `${table(data)}CREATE TABLE out1 (id STRING, s TIMESTAMP(3), n BIGINT, t DOUBLE) WITH ('connector' = 'print', 'print-identifier' = 'w');\nINSERT INTO out1 ${windows};\n`,
  )
  const submitted = await cluster.run(['run', '-p', '2', insert])
  expect(submitted.code, submitted.stderr).toBe(0)
  expect((await cluster.printed()).map(line => line.replace(/^w:\d> /, '')).sort()).toEqual(rows.map(row => `+I${row}`))
  expect((await cluster.run(['list', '-a'])).stdout).toContain(jobIdOf(submitted))

  const wrong = await cluster.folder.write('wrong.sql', `${table(data)}SELECT id,\n  temprature FROM sensor;\n`)
  for (const run of [await runMillrace(['run', '-t', 'local', wrong], home), await cluster.run(['run', wrong])]) {
    expect(run.code).toBe(1)
    expect(run.stdout + run.stderr).toContain("invalid SQL at 6:3: column 'temprature' is not known; did you mean temperature?")
  }
})

test('a manifest with sql runs by millrace up, and an error in it has its line of the manifest', async () => {
  const data = await cluster.folder.write('sensor.csv', sensors)
  const manifest = (name: string, sql: string) =>
    cluster.folder.write(
      `${name}.yaml`,
      `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: ${name}\nspec:\n  job:\n    parallelism: 2\n    sql: |\n${sql.replaceAll(/^(?=.)/gm, '      ')}\n`,
    )
  const home = { MILLRACE_DIR: join(cluster.folder.path, 'up') }
  const up = await runMillrace(['up', '--once', await manifest('sensors', `${table(data)}${windows};`)], home)
  expect(up.code, up.stderr).toBe(0)
  expect(
    up.stdout
      .split('\n')
      .filter(line => line.includes('+I['))
      .map(line => line.slice(line.indexOf('+I[')))
      .sort(),
  ).toEqual(rows.map(row => `+I${row}`))
  expect(up.stderr).toMatch(/RUNNING\n.*FINISHED\n/s)

  const wrong = await runMillrace(['up', '--once', await manifest('wrong', `${table(data)}SELECT id FROM sensr;`)], home)
  expect(wrong.code).toBe(1)
  expect(wrong.stderr).toContain("invalid SQL at 13:16: table 'sensr' is not known; did you mean sensor?")
  expect(processesOf(home.MILLRACE_DIR)).toEqual([])
})
