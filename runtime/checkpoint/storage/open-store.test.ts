import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { Configuration } from '../../common/config.ts'
import { noLog } from '../../common/log.ts'
import { systemRandom } from '../../common/random.ts'
import { openStore } from './open-store.ts'

const root = mkdtempSync(join(tmpdir(), 'open-store-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const open = (uri: string, settingName?: string) =>
  openStore(uri, Configuration.empty, { clock: systemClock, random: systemRandom, log: noLog, ...(settingName === undefined ? {} : { settingName }) })
const bytes = (text: string) => new TextEncoder().encode(text)

describe('a place of objects', () => {
  test.each([
    ['an absolute path', (path: string) => path],
    ['file:// and three slashes', (path: string) => `file://${path}`],
    ['file: and one slash', (path: string) => `file:${path}`],
    ['the scheme in capitals, with the local host', (path: string) => `FILE://localhost${path}`],
    ['slashes that are too many', (path: string) => `file://${path.replaceAll('/', '//')}/`],
  ])('%s: objects lie below that folder', async (_, uriOf) => {
    const path = mkdtempSync(join(root, 'one-'))
    const store = await open(uriOf(path))
    await store.create('job/a', bytes('x'))
    expect(readFileSync(join(path, 'job/a'), 'utf8')).toBe('x')
  })

  test('the URI of a store leads to the same store, whatever is in its names', async () => {
    const path = join(root, 'a b%20#c?d ü')
    const first = await open(path)
    await first.create('a', bytes('x'))
    expect(first.uri).toMatch(/^file:\/\/\//)
    const second = await open(first.uri)
    expect(await second.read('a')).toEqual(bytes('x'))
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('x')
  })

  test.each([
    ['checkpoints', 'expected an absolute path, or a URI'],
    ['./checkpoints', 'expected an absolute path, or a URI'],
    ['', 'expected an absolute path, or a URI'],
    ['hdfs://name/a', 'there is no store for hdfs://, only for file:// and s3://'],
    ['s3a://bucket/a', 'there is no store for s3a://, only for file:// and s3://'],
    ['s3://', 'expected s3://, the name of a bucket'],
    ['s3:bucket/a', 'expected s3://, the name of a bucket'],
    ['s3:///a', 'expected s3://, the name of a bucket'],
    ['s3://Bucket/a', 'expected s3://, the name of a bucket'],
    ['s3://user@bucket/a', 'expected s3://, the name of a bucket'],
    ['s3://b:9000/a', 'expected s3://, the name of a bucket'],
    ['s3://bucket/a/../b', '"." and ".." are not allowed'],
    ['s3://bucket/..', '"." and ".." are not allowed'],
    ['s3://bucket/a\nb', 'it has control characters'],
    ['file://tmp/a', '"tmp" stands where a host does, expected three slashes: file:///tmp/a'],
    ['file:a', 'expected file:/// and an absolute path'],
    ['file:///', 'the root folder cannot be used'],
    ['/', 'the root folder cannot be used'],
    ['/a/../b', '"." and ".." are not allowed'],
    ['file:///a/..', '"." and ".." are not allowed'],
    ['file:///a/%2e%2E/b', '"." and ".." are not allowed'],
    ['file:///a/%2e%2e%2fb', '"." and ".." are not allowed'],
    ['file:///a/./b', '"." and ".." are not allowed'],
    ['/a\0b', 'it has control characters'],
    ['file:///a%00b', 'it has control characters'],
    ['file:///a%zz', 'a "%" is not followed by two hexadecimal digits'],
  ])('%j is refused: %s', async (uri, why) => {
    await expect(open(uri)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(why) })
  })

  test('the S3 client is loaded by the first s3:// URI, and by no other', async () => {
    const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
    const program = `
      import { registerHooks } from 'node:module'
      const urls = []
      registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
      const loaded = () => urls.some(url => url.includes('/@aws-sdk/'))
      const { openStore } = await import(${module('open-store.ts')})
      const { Configuration } = await import(${module('../../common/config.ts')})
      const { systemClock: clock } = await import(${module('../../common/clock.ts')})
      const { noLog: log } = await import(${module('../../common/log.ts')})
      const { systemRandom: random } = await import(${module('../../common/random.ts')})
      await openStore(${JSON.stringify(join(root, 'lazy'))}, Configuration.empty, { clock, random, log })
      const before = loaded()
      const configuration = Configuration.fromObject({ 's3.endpoint': 'http://127.0.0.1:1', 's3.access-key': 'a', 's3.secret-key': 'b' })
      await openStore('s3://bucket/a', configuration, { clock, random, log }).catch(error => console.log(error.code))
      console.log(before, loaded())`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    expect(stdout).toBe('EXTERNAL_SYSTEM\nfalse true\n')
  })

  test('s3://: an option that does not fit is refused before anybody is asked', async () => {
    const configuration = Configuration.fromObject({ 's3.access-key': 'a' })
    const parts = { clock: systemClock, random: systemRandom, log: noLog, settingName: 'execution.checkpointing.dir' }
    await expect(openStore('s3://bucket/a', configuration, parts)).rejects.toMatchObject({
      code: 'INVALID_CONFIGURATION',
      message: 'option execution.checkpointing.dir: option s3.access-key is set without s3.secret-key',
    })
  })

  test('an error names the option that the URI comes from', async () => {
    await expect(open('ftp://host/a', 'execution.checkpointing.dir')).rejects.toMatchObject({
      code: 'INVALID_CONFIGURATION',
      message: expect.stringMatching(/^option execution\.checkpointing\.dir: "ftp:\/\/host\/a" is no place for objects: /),
    })
    mkdirSync(join(root, 'taken'))
    writeFileSync(join(root, 'taken/file'), '')
    await expect(open(join(root, 'taken/file'), 'execution.checkpointing.savepoint-dir')).rejects.toMatchObject({
      code: 'EXTERNAL_SYSTEM',
      message: expect.stringMatching(/^option execution\.checkpointing\.savepoint-dir: checkpoint storage: file:\/\/\/\S+ cannot be used: /),
    })
    expect(existsSync(join(root, 'taken/file'))).toBe(true)
  })
})
