import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Partitioners } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqlProgram } from '../../../runtime/table/index.ts'
import { startCluster } from '../../support/cluster.ts'
import { finishInProcess } from '../../support/in-process-job.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'

/** INSERT INTO topics of a real broker, read back by kafkajs, and by SQL itself. */
let broker: KafkaBroker
beforeAll(async () => {
  broker = await KafkaBroker.start()
})
afterAll(async () => {
  await broker?.close()
})

const sink = (topic: string, columns: string, options: string) =>
  `CREATE TABLE sink (${columns}) WITH ('connector' = 'kafka', 'topic' = '${topic}', 'properties.bootstrap.servers' = '${broker.bootstrapServers}', ${options});
`
const rows = (count: number, perSecond = 1_000_000) =>
  `CREATE TABLE g (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '${perSecond}', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '${count}');
`
const run = async (script: string, parallelism = 1) => {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'kafka.sql')(env, []), { batch: false, parallelism })
  return stdout.trimEnd().split('\n')
}

test('INSERT INTO a topic writes every row once, as json, spread over the partitions, and SQL reads it back', async () => {
  await broker.createTopic('numbers', 3)
  const table = sink(
    'numbers',
    'n INT, name STRING, price DECIMAL(10, 2), t TIMESTAMP(3)',
    "'format' = 'json', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', 'properties.group.id' = 'g', 'properties.batch.size' = '4096'",
  )
  const before = Date.now()
  const insert = `INSERT INTO sink SELECT n, 'row "' || CAST(n AS STRING) || '" ü', CAST(n AS DECIMAL(10, 2)) / 4, TIMESTAMP '2026-01-02 03:04:05.006' FROM g`
  await run(table + rows(20_000) + insert, 2)
  const written = await broker.records('numbers')
  const numbers = written.map(({ value }) => (JSON.parse(value ?? '') as { n: number }).n).sort((a, b) => a - b)
  expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, i) => i + 1))
  const first = written.find(({ value }) => value?.startsWith('{"n":1,'))
  expect(first).toMatchObject({ key: null, value: '{"n":1,"name":"row \\"1\\" ü","price":0.25,"t":"2026-01-02 03:04:05.006"}' })
  expect(first?.timestamp).toBeGreaterThanOrEqual(before)
  expect(new Set(written.map(({ partition }) => partition)).size).toBe(3)
  const read = await run(`${table}SELECT n, name, price, t FROM sink WHERE MOD(n, 5000) = 0`, 2)
  expect(read.sort()).toEqual([10_000, 15_000, 20_000, 5_000].map(n => `+I[${n}, row "${n}" ü, ${(n / 4).toFixed(2)}, 2026-01-02T03:04:05.006]`))
})

test('a key is written in its own format, and chooses the partition that any Kafka client would choose', async () => {
  await broker.createTopic('keyed', 5)
  const options =
    "'key.format' = 'csv', 'key.csv.field-delimiter' = '|', 'key.fields' = 'k_a;k_b', 'key.fields-prefix' = 'k_', 'value.fields-include' = 'EXCEPT_KEY', 'value.format' = 'json', 'value.json.encode.ignore-null-fields' = 'true', 'properties.compression.type' = 'gzip'"
  await run(
    sink('keyed', 'k_a STRING, n INT, k_b INT, nothing STRING', options) +
      rows(200) +
      "INSERT INTO sink SELECT 'key' || CAST(MOD(n, 17) AS STRING), n, MOD(n, 3), CAST(NULL AS STRING) FROM g",
    2,
  )
  const written = await broker.records('keyed')
  expect(written).toHaveLength(200)
  const partitioner = Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: 5 }, (_, partitionId) => ({
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
    partitionErrorCode: 0,
  }))
  for (const { key, value, partition } of written) {
    const n = (JSON.parse(value ?? '') as { n: number }).n
    expect([key, value]).toEqual([`"key${n % 17}"|${n % 3}`, `{"n":${n}}`])
    expect(partition).toBe(partitioner({ topic: 'keyed', partitionMetadata, message: { key, value } }))
  }
})

test('fixed gives each subtask its partition, raw writes NULL as a tombstone, csv and zstd arrive', async () => {
  await broker.createTopic('fixed', 2)
  await run(
    sink(
      'fixed',
      'n INT, s STRING',
      "'format' = 'csv', 'sink.partitioner' = 'fixed', 'sink.parallelism' = '2', 'properties.compression.type' = 'none'",
    ) +
      rows(100) +
      "INSERT INTO sink SELECT n, 'a,b' FROM g",
  )
  const fixed = await broker.records('fixed')
  expect(fixed.map(({ value }) => value).sort()).toEqual(Array.from({ length: 100 }, (_, i) => `${i + 1},"a,b"`).sort())
  expect(new Set(fixed.map(({ partition }) => partition)).size).toBe(2)
  await broker.createTopic('raw', 1)
  await run(`${sink('raw', 's STRING', "'format' = 'raw'")} INSERT INTO sink SELECT s FROM (VALUES ('a'), (CAST(NULL AS STRING)), ('')) AS t(s)`)
  expect((await broker.records('raw')).map(({ value }) => value)).toEqual(['a', null, ''])
  await broker.createTopic('zstd', 1)
  const options =
    "'format' = 'csv', 'properties.compression.type' = 'zstd', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'"
  await run(`${sink('zstd', 'n INT', options)}${rows(1000)}INSERT INTO sink SELECT n FROM g`)
  expect(await run(`${sink('zstd', 'n INT', options)}SELECT n FROM sink WHERE n > 998`)).toEqual(['+I[999]', '+I[1000]'])
})

test('a broker that is killed and comes back costs no row', { timeout: 120_000 }, async () => {
  await broker.createTopic('restart', 2)
  const inserting = run(`${sink('restart', 'n INT', "'format' = 'csv'")}${rows(6_000, 2_000)}INSERT INTO sink SELECT n FROM g`)
  await expect.poll(async () => (await broker.endOffsets('restart')).reduce((sum, end) => sum + end, 0), { timeout: 20_000 }).toBeGreaterThan(500)
  await broker.stop()
  await broker.start()
  await inserting
  const values = new Set((await broker.records('restart')).map(({ value }) => Number(value)))
  expect(values.size).toBe(6_000)
})

test('a topic that is not there and a record that the topic refuses are named with topic and partition', async () => {
  await expect(run(`${sink('nowhere', 'n INT', "'format' = 'csv'")}INSERT INTO sink VALUES 1`)).rejects.toThrow(
    'kafka topic nowhere does not exist; writing never creates it',
  )
  await broker.createTopic('small', 1, { 'max.message.bytes': '200' })
  await expect(run(`${sink('small', 's STRING', "'format' = 'raw'")}INSERT INTO sink SELECT REPEAT('x', 500)`)).rejects.toThrow(
    /topic small, partition 0: 1 records were refused: MESSAGE_TOO_LARGE.*batch of \d+ bytes exceeds the topic's max.message.bytes/,
  )
})

test('rows from datagen pass through kafka and filesystem, csv and json, to print, and to a blackhole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-connectors-'))
  try {
    const columns = 'n INT, s STRING, d DOUBLE, t TIMESTAMP(3), none_at_all STRING'
    const table = (name: string, options: string) => `CREATE TABLE ${name} (${columns}) WITH (${options});\n`
    const topics = await Promise.all(['csv', 'json'].map(format => broker.createTopic(`chain-${format}`, 2)))
    expect(topics).toHaveLength(2)
    const kafka = (format: string) =>
      table(
        `kafka_${format}`,
        `'connector' = 'kafka', 'topic' = 'chain-${format}', 'properties.bootstrap.servers' = '${broker.bootstrapServers}', 'format' = '${format}', ${format === 'csv' ? "'csv.null-literal' = '-', " : ''}'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'`,
      )
    const file = (format: string) =>
      table(
        `file_${format}`,
        `'connector' = 'filesystem', 'path' = '${join(folder, format)}', 'format' = '${format}'${format === 'csv' ? ", 'csv.null-literal' = '-'" : ''}`,
      )
    const tables = `${kafka('csv')}${kafka('json')}${file('csv')}${file('json')}${table('printed', "'connector' = 'print'")}${table('nothing', "'connector' = 'blackhole'")}`
    const source = `${rows(500)}INSERT INTO kafka_csv SELECT n, 'text, "' || CAST(n AS STRING) || '" é', CAST(n AS DOUBLE) / 8, TIMESTAMP '2026-01-02 03:04:05.006', CAST(NULL AS STRING) FROM g`
    await run(tables + source, 2)
    for (const [to, from] of [
      ['file_json', 'kafka_csv'],
      ['kafka_json', 'file_json'],
      ['file_csv', 'kafka_json'],
    ])
      await run(`${tables}INSERT INTO ${to} SELECT * FROM ${from}`, 2)
    const printed = await run(`${tables}INSERT INTO printed SELECT * FROM file_csv; INSERT INTO nothing SELECT * FROM file_csv`, 2)
    const expected = Array.from(
      { length: 500 },
      (_, i) => `+I[${i + 1}, text, "${i + 1}" é, ${String((i + 1) / 8).replace(/^\d+$/, '$&.0')}, 2026-01-02T03:04:05.006, null]`,
    )
    expect(printed.map(line => line.replace(/^\d+> /, '')).sort()).toEqual(expected.sort())
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a script runs on a cluster of two TaskManagers, and a job that writes without end is cancelled in order', { timeout: 120_000 }, async () => {
  await broker.createTopic('cluster', 3)
  await broker.createTopic('endless', 2)
  await using cluster = await startCluster({ taskManagers: 2, slots: 1 })
  const columns = 'n INT, s STRING'
  const script = await cluster.folder.write(
    'write.sql',
    `${sink('cluster', columns, "'format' = 'json', 'key.format' = 'raw', 'key.fields' = 's'")}${rows(5_000)}INSERT INTO sink SELECT n, CAST(MOD(n, 100) AS STRING) FROM g`,
  )
  const result = await cluster.run(['run', '-p', '2', script])
  expect(result.code, result.stderr).toBe(0)
  const written = await broker.records('cluster')
  expect(written.map(({ value }) => (JSON.parse(value ?? '') as { n: number }).n).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 5_000 }, (_, i) => i + 1),
  )
  const partitionOf = new Map<string | null, number>()
  for (const { key, partition } of written) {
    expect(partitionOf.get(key) ?? partition).toBe(partition)
    partitionOf.set(key, partition)
  }
  expect(new Set(partitionOf.values()).size).toBe(3)
  const endless = await cluster.folder.write(
    'endless.sql',
    `${sink('endless', 'n INT', "'format' = 'csv'")}CREATE TABLE g (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000'); INSERT INTO sink SELECT n FROM g`,
  )
  const started = await cluster.run(['run', '-d', '-p', '2', endless])
  const id = /JobID ([0-9a-f]{32})/.exec(started.stdout)?.[1] ?? started.stderr
  await expect.poll(async () => (await broker.endOffsets('endless')).reduce((sum, end) => sum + end, 0), { timeout: 30_000 }).toBeGreaterThan(100)
  expect((await cluster.run(['cancel', id])).code).toBe(0)
  expect(await cluster.until<string>(`/jobs/${id}`, ({ state }: { state: string }) => (state === 'CANCELED' ? state : undefined))).toBe('CANCELED')
})
