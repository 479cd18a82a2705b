import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type S3Settings, s3SettingsOf } from '../../../runtime/checkpoint/storage/s3-options.ts'
import { connectS3 } from '../../../runtime/checkpoint/storage/s3-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { SimpleStringEncoder } from '../../../runtime/connectors/files/encoders.ts'
import { FileSink } from '../../../runtime/connectors/files/file-sink.ts'
import { S3MultipartUploads } from '../../../runtime/connectors/files/s3-multipart-uploads.ts'
import { PIECE_SIZE_BYTES, S3RecoverableWriter } from '../../../runtime/connectors/files/s3-recoverable-writer.ts'
import { Types } from '../../../runtime/serde/types.ts'
import type { FileSinkOperator } from '../../../runtime/stream/operators/file-sink-operator.ts'
import { ConnectorHarness, operatorOf } from '../../support/connector-harness.ts'
import { recoverableWriterContract } from '../../support/recoverable-writer-contract.ts'
import { S3Server } from '../../support/s3-server.ts'

let server: S3Server
let client: S3Client
let settings: S3Settings
let buckets = 0
beforeAll(async () => {
  server = await S3Server.start()
  settings = s3SettingsOf(server.configuration())
  client = await connectS3(settings, 1)
})
afterAll(() => server.stop())

const isHidden = (key: string) => key.split('/').at(-1)?.startsWith('.') === true

for (const partSizeBytes of [1_000, PIECE_SIZE_BYTES + 7])
  recoverableWriterContract(`a real S3 server with writes of ${partSizeBytes} bytes`, async () => {
    const bucket = `sink-${buckets++}`
    server.createBucket(bucket)
    const keys = async () =>
      ((await client.send(new ListObjectsV2Command({ Bucket: bucket }))).Contents ?? []).map(({ Key }) => Key ?? '').filter(key => !key.endsWith('/'))
    return {
      partSizeBytes,
      create: owner => new S3RecoverableWriter(new S3MultipartUploads(client, bucket, systemClock), `s3://${bucket}`, 'out', owner),
      visible: async () => {
        const visible = (await keys()).filter(key => !isHidden(key))
        const texts = visible.map(async key => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
          return [key.slice('out/'.length), (await Body?.transformToString()) ?? '']
        })
        return Object.fromEntries(await Promise.all(texts))
      },
      hiddenCount: async () => {
        const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
        return Uploads.length + (await keys()).filter(isHidden).length
      },
    }
  })

test('rows of a job become objects when their checkpoint has completed', async () => {
  const bucket = `sink-${buckets++}`
  server.createBucket(bucket)
  const builder = FileSink.forRowFormat<string>(`s3://${bucket}/out`, new SimpleStringEncoder()).withBucketAssigner(row => row.slice(0, 1))
  // The definition's factory makes it.
  const operator = operatorOf(builder.build().define(Types.STRING as never)) as FileSinkOperator
  const harness = new ConnectorHarness(operator, { checkpointingEnabled: true, s3: settings })
  await harness.open()
  for (const row of ['a1', 'b1', 'a2']) operator.processElement(row, Number.NaN)
  await harness.until(() => operator.endInput())
  operator.snapshot({ checkpointId: 1, timestampMs: 0, type: 'checkpoint' })
  const list = () => client.send(new ListObjectsV2Command({ Bucket: bucket }))
  expect((await list()).KeyCount).toBe(0)
  operator.notifyCheckpointComplete(1)
  await harness.until(() => operator.commitsDone())
  await harness.close()
  const objects = ((await list()).Contents ?? []).filter(({ Key }) => Key?.endsWith('/') === false)
  expect(objects.map(({ Key, Size }) => [Key?.replace(/[0-9a-f]{32}-\d/, '<uid>'), Size])).toEqual([
    ['out/a/part-<uid>', 6],
    ['out/b/part-<uid>', 3],
  ])
})

test('a bucket that does not exist fails the task, by name', async () => {
  const builder = FileSink.forRowFormat<string>('s3://nobody-made-it/out', new SimpleStringEncoder())
  const operator = operatorOf(builder.build().define(Types.STRING as never)) as FileSinkOperator
  const harness = new ConnectorHarness(operator, { s3: settings })
  await harness.open()
  await expect(harness.sink(['a'])).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringMatching(/nobody-made-it.*NoSuchBucket/) })
  await harness.close()
})
