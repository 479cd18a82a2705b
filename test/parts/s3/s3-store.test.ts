import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore } from '../../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { objectStoreContract } from '../../support/object-store-contract.ts'
import { S3Server } from '../../support/s3-server.ts'

let server: S3Server
beforeAll(async () => {
  server = await S3Server.start()
  server.createBucket('checkpoints')
})
afterAll(() => server.stop())

let stores = 0
const open = (configuration = server.configuration(), bucket = 'checkpoints') =>
  openStore(`s3://${bucket}/store-${stores++}/deep`, configuration, { clock: systemClock, random: systemRandom, log: noLog })

objectStoreContract('s3', () => open())

describe('s3://', () => {
  test('a list is whole, also where the server hands it out in pages of a thousand', async () => {
    const store = await open()
    const paths = Array.from({ length: 1_100 }, (_, i) => `job/shared/${String(i).padStart(4, '0')}-a`)
    for (let i = 0; i < paths.length; i += 50) await Promise.all(paths.slice(i, i + 50).map(path => store.create(path, new Uint8Array(1))))
    expect(await store.list('job')).toEqual(paths)
  })

  test('stores in one bucket do not see one another', async () => {
    const [one, other] = [await open(), await open()]
    await one.create('job/a', new Uint8Array(1))
    expect(await other.list('job')).toEqual([])
    expect(await other.create('job/a', new Uint8Array(2))).toBe('created')
    expect(await one.size('job/a')).toBe(1)
  })

  test('a bucket that is not there, or not any more, is an error that names it: never an object that is not there', async () => {
    const error = { code: 'EXTERNAL_SYSTEM', message: expect.stringContaining('there is no bucket "passing"') }
    await expect(open(undefined, 'passing')).rejects.toMatchObject(error)
    server.createBucket('passing')
    const store = await open(undefined, 'passing')
    await store.create('a/b', new Uint8Array(1))
    server.removeBucket('passing')
    await expect(store.read('a/b')).rejects.toMatchObject(error)
    await expect(store.size('a/b')).rejects.toMatchObject(error)
    await expect(store.list('a')).rejects.toMatchObject(error)
    await expect(store.create('a/c', new Uint8Array(1))).rejects.toMatchObject(error)
    await expect(store.remove('a/b')).rejects.toMatchObject(error)
  })

  test.each([
    ['s3.secret-key', 'another one', 'look at s3.secret-key'],
    // To an unknown user versitygw answers 404.
    ['s3.access-key', 'AKIAANOTHERONE', 'No user exists with the provided access key ID'],
  ])('a wrong %s is refused, and the value is not repeated', async (key, value, advice) => {
    const opening = open(server.configuration().with({ [key]: value }, 'client'))
    await expect(opening).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining(advice) })
    await expect(opening).rejects.not.toMatchObject({ message: expect.stringContaining(value) })
  })

  test('another region than that of the server is refused, and the error says which option to set', async () => {
    await expect(open(server.configuration().with({ 's3.region': 'eu-west-3' }, 'client'))).rejects.toMatchObject({
      code: 'EXTERNAL_SYSTEM',
      message: expect.stringContaining('is in another region: set s3.region'),
    })
  })
})
