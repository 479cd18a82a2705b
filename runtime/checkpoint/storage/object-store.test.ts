import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemRandom } from '../../common/random.ts'
import { openFileStore } from './file-store.ts'
import { createMemoryStore } from './memory-store.ts'
import type { ObjectStore } from './object-store.ts'

/** What epoch-log.ts relies on, of every store. */
const root = mkdtempSync(join(tmpdir(), 'object-store-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folders = 0
const folder = () => join(root, `store-${folders++}`)
const openFile = (path = folder()) => openFileStore(path, systemRandom, Date.now())
const bytes = (text: string) => new TextEncoder().encode(text)

const stores: readonly (readonly [string, () => Promise<ObjectStore>])[] = [
  ['jobmanager', async () => createMemoryStore()],
  ['file', () => openFile()],
]

describe.each(stores)('objects of %s', (_, open) => {
  test('are created once: the second create leaves what is there', async () => {
    const store = await open()
    expect(await store.create('job/epochs/1', bytes('first'))).toBe('created')
    expect(await store.create('job/epochs/1', bytes('second'))).toBe('exists')
    expect(await store.read('job/epochs/1')).toEqual(bytes('first'))
  })

  test('of many creates of one name at once, exactly one is done, and its bytes are what everybody reads', async () => {
    const store = await open()
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => store.create(`a/${round}`, new Uint8Array(5000).fill(i + 1))))
      expect(answers.filter(answer => answer === 'created')).toHaveLength(1)
      const found = await store.read(`a/${round}`)
      expect(new Set(found)).toEqual(new Set([answers.indexOf('created') + 1]))
      expect(found).toHaveLength(5000)
    }
  })

  test('are read, measured and listed; what is not there is no error', async () => {
    const store = await open()
    await store.create('job/chk-2/_metadata', bytes('two'))
    await store.create('job/chk-10/_metadata', bytes('ten'))
    await store.create('job/shared/10-a', new Uint8Array(0))
    await store.create('jobs/other', bytes('x'))
    expect(await store.list('job')).toEqual(['job/chk-10/_metadata', 'job/chk-2/_metadata', 'job/shared/10-a'])
    expect(await store.list('job/shared')).toEqual(['job/shared/10-a'])
    expect(await store.list('nothing/here')).toEqual([])
    expect(await store.size('job/chk-2/_metadata')).toBe(3)
    expect(await store.size('job/shared/10-a')).toBe(0)
    expect(await store.size('job/chk-3/_metadata')).toBeUndefined()
    expect(await store.read('job/chk-3/_metadata')).toBeUndefined()
  })

  test("are not the caller's bytes: neither side sees what the other writes into them", async () => {
    const store = await open()
    const mine = bytes('mine')
    await store.create('a', mine)
    mine.fill(0)
    const read = await store.read('a')
    read?.fill(0)
    expect(await store.read('a')).toEqual(bytes('mine'))
  })

  test('are removed, also twice, and can be created again; folders go with their last object', async () => {
    const store = await open()
    await store.create('job/chk-1/_metadata', bytes('one'))
    await store.create('job/chk-2/_metadata', bytes('two'))
    await store.remove('job/chk-1/_metadata')
    await store.remove('job/chk-1/_metadata')
    expect(await store.list('job')).toEqual(['job/chk-2/_metadata'])
    expect(await store.create('job/chk-1/_metadata', bytes('again'))).toBe('created')
  })

  test('creating and removing side by side in one folder loses nothing', async () => {
    const store = await open()
    for (let round = 0; round < 20; round++) {
      await store.create('f/old', bytes('old'))
      const [created] = await Promise.all([store.create(`f/new-${round}`, bytes('new')), store.remove('f/old')])
      expect(created).toBe('created')
      expect(await store.list('f')).toEqual([`f/new-${round}`])
      await store.remove(`f/new-${round}`)
    }
  })

  test.each(['../out', 'a/../../out', '/etc/passwd', 'a//b', 'a/', '', '.hidden', 'a/.tmp-1', 'a\\b', 'a\0b', 'a b', 's3://bucket/a', '%2e%2e/a'])(
    'have plain names: %j is refused by every call',
    async path => {
      const store = await open()
      const refused = { code: 'INVALID_ARGUMENT' }
      await expect(store.create(path, bytes('x'))).rejects.toMatchObject(refused)
      await expect(store.read(path)).rejects.toMatchObject(refused)
      await expect(store.size(path)).rejects.toMatchObject(refused)
      await expect(store.list(path)).rejects.toMatchObject(refused)
      await expect(store.remove(path)).rejects.toMatchObject(refused)
    },
  )
})

describe('file://', () => {
  test('another process, or the same one later, finds what was written; no temporary file stays', async () => {
    const path = folder()
    const first = await openFile(path)
    await first.create('job/epochs/1', bytes('one'))
    await first.create('job/epochs/1', bytes('two'))
    const second = await openFile(path)
    expect(await second.read('job/epochs/1')).toEqual(bytes('one'))
    expect(readdirSync(path)).toEqual(['job'])
  })

  test('temporary files of killed processes go after a day, younger ones stay', async () => {
    const path = folder()
    await openFile(path)
    writeFileSync(join(path, '.tmp-old'), 'x')
    utimesSync(join(path, '.tmp-old'), 1, 1)
    writeFileSync(join(path, '.tmp-young'), 'x')
    const store = await openFile(path)
    expect(readdirSync(path)).toEqual(['.tmp-young'])
    expect(await store.list('job')).toEqual([])
  })

  test('a root that is a file is refused at once, with its name', async () => {
    const path = folder()
    writeFileSync(path, 'x')
    await expect(openFile(path)).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining(`file://${path}`) })
  })

  test('a folder that stands where an object should be is an error, not an object', async () => {
    const store = await openFile()
    await store.create('a/b', bytes('x'))
    await expect(store.create('a', bytes('x'))).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
    await expect(store.create('a/b/c', bytes('x'))).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
    await expect(store.read('a')).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining('a of file://') })
    expect(await store.read('a/b/c')).toBeUndefined()
  })
})
