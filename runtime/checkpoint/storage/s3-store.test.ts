import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DeadlineClock } from '../../../test/support/deadline-clock.ts'
import { Configuration } from '../../common/config.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import { isSecretKey } from '../../common/options.ts'
import { systemRandom } from '../../common/random.ts'
import type { ObjectStore } from './object-store.ts'
import { openStore } from './open-store.ts'
import { s3OptionTable, s3SettingsOf } from './s3-options.ts'

/**
 * What a server says that is no good S3. A good one is versitygw: test/parts/s3 holds the store to the contract there, and to what faults may do.
 * Here a script answers, after the three requests that opening makes: two PUTs, of which the second is refused, and a DELETE.
 */
type Script = (request: IncomingMessage, response: ServerResponse) => void
const requests: { readonly line: string; readonly headers: IncomingMessage['headers'] }[] = []
let script: Script
let endpoint: string
let connections: number
let stop: () => Promise<void>
beforeEach(async () => {
  // The SDK finds nothing of this machine's.
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])
    vi.stubEnv(name, undefined)
  for (const name of ['AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE']) vi.stubEnv(name, '/nonexistent')
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  requests.length = 0
  connections = 0
  script = good
  const server = createServer((request, response) => {
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers })
    request.resume()
    request.on('end', () => script(request, response))
  })
    .on('connection', () => connections++)
    .listen(0, '127.0.0.1')
  await once(server, 'listening')
  endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  stop = async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await stop()
})

const KEYS = { 's3.access-key': 'AKIASEENBYNOBODY', 's3.secret-key': 'hidden/secret+key' }
const logged: LogEntry[] = []
const log = createLogger(entry => logged.push(entry), 'debug')

function open(entries: Readonly<Record<string, string>> = KEYS, clock = new DeadlineClock()): Promise<ObjectStore> {
  const configuration = Configuration.fromObject({ 's3.endpoint': endpoint, ...entries })
  return openStore('s3://bkt/a/b', configuration, { clock, random: systemRandom, log, settingName: 'execution.checkpointing.dir' })
}

const names = new Set<string>()
function good({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
  if (method === 'PUT' && names.has(url)) return answer(412, 'PreconditionFailed')(undefined, response)
  names.add(url)
  response.writeHead(method === 'DELETE' ? 204 : 200, { ETag: '"e"' }).end()
}

function answer(status: number, code: string, message = code): (_: unknown, response: ServerResponse) => void {
  return (_, response) =>
    response
      .writeHead(status, { 'Content-Type': 'application/xml' })
      .end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message><RequestId>R1</RequestId></Error>`)
}

function page(text: string, status = 200, headers: Readonly<Record<string, string>> = {}): Script {
  return (_, response) => response.writeHead(status, { 'Content-Type': 'text/html', 'Content-Length': text.length, ...headers }).end(text)
}

const HTML = '<html><body>Please sign in.<br></body></html>'
const external = (text: string) => ({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining(text) })
const bytes = (text: string) => new TextEncoder().encode(text)

describe('opening a store', () => {
  test.each([
    [404, 'NoSuchBucket', 'there is no bucket "bkt": create it'],
    [403, 'AccessDenied', 'access to bucket "bkt" is denied'],
    [403, 'SignatureDoesNotMatch', 'look at s3.secret-key'],
    [301, 'PermanentRedirect', 'set s3.region'],
    [400, 'AuthorizationHeaderMalformed', 'set s3.region'],
    [501, 'NotImplemented', 'PUT with If-None-Match'],
    [503, 'SlowDown', '503 SlowDown'],
  ])('%i %s: the error names the option, the store, and what to do: %s', async (status, code, text) => {
    script = answer(status, code)
    await expect(open()).rejects.toMatchObject({
      code: 'EXTERNAL_SYSTEM',
      message: expect.stringMatching(
        new RegExp(`^option execution\\.checkpointing\\.dir: checkpoint storage: .*probe-[0-9a-f]{16} of s3://bkt/a/b.*${text}`),
      ),
    })
  })

  test('where nobody listens it fails, and says so', async () => {
    await stop()
    await expect(open()).rejects.toMatchObject(external('ECONNREFUSED'))
    stop = async () => {}
  })

  test('a server that takes no notice of If-None-Match cannot be used', async () => {
    script = (_, response) => response.writeHead(200, { ETag: '"e"' }).end()
    await expect(open()).rejects.toMatchObject(external('it does not keep two processes from creating one object'))
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual(['*', '*', undefined])
  })

  test('the bucket stands in the path, the key below the prefix, and the probe is removed', async () => {
    await open()
    const [first, ...rest] = requests.map(({ line }) => line.replace(/probe-[0-9a-f]{16}/, 'probe').replace(/\?x-id=\w+$/, ''))
    expect([first, ...rest]).toEqual(['PUT /bkt/a/b/probe', 'PUT /bkt/a/b/probe', 'DELETE /bkt/a/b/probe'])
  })

  test.each([
    ['of the configuration', KEYS, {}, 'AKIASEENBYNOBODY', 'us-east-1'],
    ['and region of the configuration', { ...KEYS, 's3.region': 'eu-west-3' }, { AWS_REGION: 'ap-east-1' }, 'AKIASEENBYNOBODY', 'eu-west-3'],
    [
      'and region of the environment',
      {},
      { AWS_REGION: 'ap-east-1', AWS_ACCESS_KEY_ID: 'AKIAOFENV', AWS_SECRET_ACCESS_KEY: 's' },
      'AKIAOFENV',
      'ap-east-1',
    ],
  ])('requests are signed with the keys %s', async (_, entries, env, key, region) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    await open(entries)
    expect(requests[0]?.headers.authorization).toMatch(new RegExp(`Credential=${key}/\\d{8}/${region}/s3/aws4_request`))
  })

  test('without keys anywhere the error names the options', async () => {
    await expect(open({})).rejects.toMatchObject(external('no credentials: set s3.access-key and s3.secret-key'))
    expect(requests).toEqual([])
  })

  test('without an endpoint there has to be a region', async () => {
    const parts = { random: systemRandom, clock: new DeadlineClock(), log }
    await expect(openStore('s3://bkt', Configuration.fromObject(KEYS), parts)).rejects.toMatchObject({
      code: 'INVALID_CONFIGURATION',
      message: 'no region is known for s3://: set s3.region, or AWS_REGION',
    })
  })
})

describe('an open store', () => {
  test('shares its connections with all others, however many are opened', async () => {
    for (let n = 0; n < 10; n++) await (await open()).list('j').catch(() => {})
    expect(requests.length).toBeGreaterThanOrEqual(40)
    expect(connections).toBe(1)
  })

  test('an answer that is no list is no empty list', async () => {
    const store = await open()
    for (const [text, status] of [
      [HTML, 200],
      ['', 200],
      [HTML, 404],
      ['', 404],
      ['<ListBucketResult></ListBucketResult>', 200],
      ['<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>', 200],
      ['<ListBucketResult><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>a/b/j/1</Key></Contents></ListBucketResult>', 200],
    ] as const) {
      script = page(text, status)
      await expect(store.list('j'), `${status} ${text}`).rejects.toMatchObject(external('j of s3://bkt/a/b cannot be listed'))
    }
  })

  test('the signature covers the bytes', async () => {
    const store = await open()
    await store.create('j', bytes('content'))
    const { headers } = requests.at(-1) ?? {}
    expect(headers?.['x-amz-content-sha256']).toBe(createHash('sha256').update('content').digest('hex'))
    expect(headers?.authorization).toMatch(/SignedHeaders=[^,]*x-amz-content-sha256/)
  })

  test('a list goes on where its page ends; folders that tools have drawn are no objects', async () => {
    const store = await open()
    script = ({ url = '' }, response) => {
      const more = !url.includes('continuation-token=next')
      const keys = more ? ['a/b/j/', 'a/b/j/2'] : ['a/b/j/1']
      const contents = keys.map(key => `<Contents><Key>${key}</Key></Contents>`).join('')
      const token = more ? '<NextContinuationToken>next</NextContinuationToken>' : ''
      response.end(`<ListBucketResult><IsTruncated>${more}</IsTruncated><KeyCount>${keys.length}</KeyCount>${token}${contents}</ListBucketResult>`)
    }
    expect(await store.list('j')).toEqual(['j/1', 'j/2'])
  })

  test('a 404 that does not mean the object is an error, not an absence', async () => {
    const store = await open()
    for (const script404 of [page(HTML, 404), page('', 404), answer(404, 'NoSuchBucket')]) {
      script = script404
      await expect(store.read('j')).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
      await expect(store.size('j')).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
      await expect(store.create('j', bytes('x'))).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
    }
    script = answer(404, 'NoSuchKey')
    expect(await store.read('j')).toBeUndefined()
  })

  test('a server that serves no ranges is refused, and so is one that sends other bytes than those asked for', async () => {
    const store = await open()
    for (const [status, headers] of [
      [200, {}],
      [206, { 'Content-Range': 'bytes 0-3/10' }],
      [206, { 'Content-Range': 'bytes 2-7/10' }],
      [206, { 'Content-Range': 'none' }],
    ] as const) {
      script = page('abcd', status, headers)
      await expect(store.read('j', { offset: 2, length: 4 }), inspect(headers)).rejects.toMatchObject(external('the answer to bytes=2-5 is'))
    }
    script = page('abcd', 206, { 'Content-Range': 'bytes 2-5/10' })
    expect(await store.read('j', { offset: 2, length: 4 })).toEqual(bytes('abcd'))
  })

  test('a call that is not answered ends at its deadline, whatever the client does; of a create the outcome is unknown', async () => {
    const clock = new DeadlineClock()
    const store = await open(KEYS, clock)
    script = () => clock.expire()
    await expect(store.create('j', bytes('x'))).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: 'checkpoint storage: whether j of s3://bkt/a/b was written is not known: no answer within 15001 ms',
    })
    await expect(store.read('j')).rejects.toMatchObject(external('j of s3://bkt/a/b cannot be read: no answer within 15000 ms'))
    await expect(store.list('j')).rejects.toMatchObject(external('no answer within 15000 ms'))
  })

  test('an object that is on its way has time for its length, and no more', async () => {
    const clock = new DeadlineClock()
    const store = await open(KEYS, clock)
    script = (_, response) => {
      response.writeHead(200, { 'Content-Length': String(2 ** 20) })
      response.write('begun')
    }
    clock.onDeadline = delayMs => {
      if (delayMs > 16_000) setImmediate(() => clock.expire())
    }
    await expect(store.read('j')).rejects.toMatchObject(external('no answer within 16024 ms'))
  })

  test('no secret is in an error or a log, even where the server repeats it', async () => {
    const store = await open()
    logged.length = 0
    script = ({ headers }, response) => answer(500, 'InternalError', `${headers.authorization} ${KEYS['s3.secret-key']}`)(undefined, response)
    const error: unknown = await store.create('j', bytes('x')).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('500 InternalError') })
    expect(logged.length).toBeGreaterThan(0)
    const all = inspect([error, logged], { depth: 20, showHidden: true })
    expect(all).not.toContain(KEYS['s3.access-key'])
    expect(all).not.toContain(KEYS['s3.secret-key'])
  })
})

describe('the options of s3://', () => {
  const settingsOf = (entries: Readonly<Record<string, string>>) => s3SettingsOf(Configuration.fromObject(entries))

  test.each([
    [{}, false],
    [{ 's3.endpoint': 'http://minio:9000' }, true],
    [{ 's3.endpoint': 'http://minio:9000', 's3.path.style.access': 'false' }, false],
    [{ 's3.path.style.access': 'true' }, true],
  ])('%j: path style is %s', (entries, pathStyle) => {
    expect(settingsOf(entries as Record<string, string>).pathStyle).toBe(pathStyle)
  })

  test('the spellings of all three S3 file systems of Flink are known, and of each the keys are secret', () => {
    const entries = { 's3.access.key': 'a', 's3.secret.key': 'b', 's3.path-style-access': 'true', 's3.endpoint.region': 'eu-west-3' }
    const { configuration, problems } = Configuration.parse(entries, [s3OptionTable])
    expect(problems).toEqual([])
    expect(s3SettingsOf(configuration)).toEqual({
      endpoint: undefined,
      region: 'eu-west-3',
      pathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    })
    const keys = [...Object.keys(entries), ...s3OptionTable.map(({ key }) => key)]
    expect(keys.filter(isSecretKey).sort()).toEqual(['s3.access-key', 's3.access.key', 's3.secret-key', 's3.secret.key'])
  })

  test.each([
    ['minio.local:9000', 'https://minio.local:9000/'],
    ['https://s3.example.com', 'https://s3.example.com/'],
    ['http://[::1]:9000/base', 'http://[::1]:9000/base'],
  ])('endpoint %s is %s', (text, href) => {
    expect(settingsOf({ 's3.endpoint': text }).endpoint).toBe(href)
  })

  test.each([
    [{ 's3.endpoint': 'ftp://host' }, 'option s3.endpoint: expected an address such as '],
    [{ 's3.endpoint': 'http://' }, 'option s3.endpoint: expected an address such as '],
    [{ 's3.endpoint': 'http://me:secret@host' }, 'option s3.endpoint: expected no user and password in it'],
    [{ 's3.endpoint': 'http://host/?a=b' }, 'option s3.endpoint: expected an address without "?"'],
    [{ 's3.access-key': 'a' }, 'option s3.access-key is set without s3.secret-key'],
    [{ 's3.secret-key': 'a' }, 'option s3.secret-key is set without s3.access-key'],
  ])('%j is refused', (entries, text) => {
    expect(() => settingsOf(entries as Record<string, string>)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIGURATION', message: expect.stringMatching(new RegExp(`^${text.replace('?', '\\?')}`)) }),
    )
  })
})
