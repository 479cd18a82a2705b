import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DeadlineClock } from '../../../test/support/deadline-clock.ts'
import { connectS3 } from '../../checkpoint/storage/s3-store.ts'
import { S3MultipartUploads } from './s3-multipart-uploads.ts'

/** What a server may say to a commit and not mean; test/parts/s3 has a real one. */
let script: (response: ServerResponse) => void
let asked: number
let uploads: S3MultipartUploads
let stop: () => Promise<void>
const clock = new DeadlineClock()
beforeEach(async () => {
  asked = 0
  const server = createServer((request, response) => {
    asked++
    request.resume()
    request.on('end', () => script(response))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const credentials = { accessKeyId: 'AKIASEENBYNOBODY', secretAccessKey: 'hidden' }
  const client = await connectS3({ endpoint, region: 'us-east-1', pathStyle: true, credentials }, 2)
  uploads = new S3MultipartUploads(client, 'bkt', clock)
  stop = async () => {
    client.destroy()
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
})
afterEach(() => stop())

const commit = () => uploads.complete({ key: 'part-1', uploadId: 'u' }, [{ partNumber: 1, etag: '"e"' }])

function xml(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'Content-Type': 'application/xml' }).end(`<?xml version="1.0"?>${text}`)
}

test('a commit that is answered with 200 and an error is tried again, and is an error', async () => {
  script = response => xml(response, '<Error><Code>InternalError</Code><Message>try again</Message></Error>')
  await expect(commit()).rejects.toMatchObject({
    code: 'EXTERNAL_SYSTEM',
    message: expect.stringMatching(/^file sink: s3:\/\/bkt\/part-1 cannot be committed: .*InternalError/),
  })
  expect(asked).toBe(2)
  script = response => xml(response, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
  expect(await commit()).toBe('completed')
})

test('a commit that is not answered ends at its deadline', async () => {
  script = () => clock.expire()
  await expect(commit()).rejects.toMatchObject({
    code: 'EXTERNAL_SYSTEM',
    message: 'file sink: s3://bkt/part-1 cannot be committed: no answer within 60000 ms',
  })
})
