import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { objectStoreContract } from '../../../test/support/object-store-contract.ts'
import { systemRandom } from '../../common/random.ts'
import { openFileStore } from './file-store.ts'
import { createMemoryStore } from './memory-store.ts'

const root = mkdtempSync(join(tmpdir(), 'object-store-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folders = 0
const folder = () => join(root, `store-${folders++}`)
const openFile = (path = folder()) => openFileStore(path, systemRandom, Date.now())
const bytes = (text: string) => new TextEncoder().encode(text)

objectStoreContract('jobmanager', async () => createMemoryStore())
objectStoreContract('file', () => openFile())

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

  test('creating in a folder whose last object is removed at the same time loses nothing', async () => {
    const store = await openFile()
    for (let round = 0; round < 50; round++) {
      await store.create('f/old', bytes('old'))
      const [created] = await Promise.all([store.create(`f/new-${round}`, bytes('new')), store.remove('f/old')])
      expect(created).toBe('created')
      expect(await store.list('f')).toEqual([`f/new-${round}`])
      await store.remove(`f/new-${round}`)
    }
  })

  test('what is removed below a folder while it is listed does not hide the rest', async () => {
    const path = folder()
    const store = await openFile(path)
    await store.create('jobs/kept/1', bytes('x'))
    const others = Array.from({ length: 200 }, (_, i) => join(path, 'jobs', `other-${i}`))
    for (const other of others) mkdirSync(other)
    const listed = store.list('jobs')
    // It has read the names by then, and looks into one after another.
    for (let i = 0; i < 2; i++) await readdir(join(path, 'jobs'))
    for (const other of others) rmdirSync(other)
    expect(await listed).toEqual(['jobs/kept/1'])
    expect(await store.list('others')).toEqual([])
    expect(await store.list('jobs/kept/1')).toEqual([])
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
