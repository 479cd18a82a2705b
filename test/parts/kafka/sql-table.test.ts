import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqlProgram } from '../../../runtime/table/index.ts'
import { finishInProcess } from '../../support/in-process-job.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'

/** SQL over topics of a real broker. */
let broker: KafkaBroker
beforeAll(async () => {
  broker = await KafkaBroker.start()
})
afterAll(async () => {
  await broker?.close()
})

const table = (topic: string, format: string) => `CREATE TABLE clicks (
  page STRING, n INT, ts BIGINT, at_time AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR at_time AS at_time - INTERVAL '1' MINUTE
) WITH ('connector' = 'kafka', 'topic' = '${topic}', 'properties.bootstrap.servers' = '${broker.bootstrapServers}',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', 'format' = '${format}');
`

const run = async (script: string, parallelism = 1) => {
  const { stdout } = await finishInProcess(env => sqlProgram(script, 'kafka.sql')(env, []), { batch: false, parallelism })
  return stdout.trimEnd().split('\n').sort()
}

test('json and csv topics are read into columns and aggregated by window', async () => {
  await broker.createTopic('clicks-json', 2)
  await broker.createTopic('clicks-csv', 1)
  for (let partition = 0; partition < 2; partition++)
    await broker.produce(
      'clicks-json',
      partition,
      Array.from({ length: 50 }, (_, i) => JSON.stringify({ ts: i * 100, page: i % 2 === 0 ? 'a' : 'ü', n: i, other: [1] })),
    )
  await broker.produce('clicks-csv', 0, ['a,1,5', '"b,c",2,6'])
  const windows =
    "SELECT window_end, page, COUNT(*), SUM(n) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(at_time), INTERVAL '2.5' SECOND)) GROUP BY window_start, window_end, page"
  const expected = [
    '+I[1970-01-01T00:00:02.500, a, 26, 312]',
    '+I[1970-01-01T00:00:02.500, ü, 24, 288]',
    '+I[1970-01-01T00:00:05, a, 24, 888]',
    '+I[1970-01-01T00:00:05, ü, 26, 962]',
  ]
  for (const parallelism of [1, 2]) expect(await run(table('clicks-json', 'json') + windows, parallelism)).toEqual(expected)
  expect(await run(`${table('clicks-csv', 'csv')}SELECT n, page FROM clicks`)).toEqual(['+I[1, a]', '+I[2, b,c]'])
})

test('a record that does not parse fails the job and names topic, partition and offset', async () => {
  await broker.createTopic('broken', 2)
  await broker.produce('broken', 0, ['{"page":"a","ts":1}'])
  await broker.produce('broken', 1, ['{"page":"a","ts":1}', '{"page":"b","ts":2}', '{"page":'])
  await broker.createTopic('broken-csv', 1)
  await broker.produce('broken-csv', 0, ['a,1,5', 'a,one,5'])
  const failure = (topic: string, format: string, options = '') =>
    run(`${table(topic, format).replace(');', `${options});`)}SELECT page, n FROM clicks`).catch(error => (error as Error).message)
  expect(await failure('broken', 'json')).toBe('table clicks, topic broken, partition 1, offset 2: json record does not parse: the record ends early')
  expect(await failure('broken-csv', 'csv')).toBe(
    'table clicks, topic broken-csv, partition 0, offset 1: csv record: column n of type INT cannot be "one"',
  )
  expect(await failure('broken', 'json', ", 'json.ignore-parse-errors' = 'true'")).toEqual(['+I[a, null]', '+I[a, null]', '+I[b, null]'])
})
