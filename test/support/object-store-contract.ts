import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'

/** What epoch-log.ts relies on, of every store: `open` hands out an empty one each time. */
export function objectStoreContract(name: string, open: () => Promise<ObjectStore>): void {
  describe(`objects of ${name}`, () => {
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

    test('are read in ranges: exactly those bytes, or an error that says how long the object is', async () => {
      const store = await open()
      const all = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251)
      await store.create('a/b', all)
      for (const [offset, length] of [
        [0, 1000],
        [0, 1],
        [999, 1],
        [17, 500],
        [0, 0],
        [1000, 0],
      ] as const)
        expect(await store.read('a/b', { offset, length }), `${length} from ${offset}`).toEqual(all.slice(offset, offset + length))
      for (const [offset, length] of [
        [0, 1001],
        [999, 2],
        [1000, 1],
        [5000, 10],
        [1001, 0],
      ] as const)
        await expect(store.read('a/b', { offset, length }), `${length} from ${offset}`).rejects.toMatchObject({
          code: 'CORRUPT_CHECKPOINT',
          message: expect.stringMatching(new RegExp(`^a/b of \\S+ has 1000 bytes, expected it to reach to ${offset + length}$`)),
        })
      for (const [offset, length] of [
        [-1, 2],
        [0, -1],
        [0.5, 1],
        [0, Number.NaN],
        [Number.MAX_SAFE_INTEGER, 1],
      ] as const)
        await expect(store.read('a/b', { offset, length })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await store.read('a/c', { offset: 0, length: 1 })).toBeUndefined()
      expect(await store.read('a/c', { offset: 0, length: 0 })).toBeUndefined()
      await store.create('a/empty', new Uint8Array(0))
      expect(await store.read('a/empty')).toEqual(new Uint8Array(0))
      expect(await store.read('a/empty', { offset: 0, length: 0 })).toEqual(new Uint8Array(0))
      await expect(store.read('a/empty', { offset: 0, length: 1 })).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT' })
    })

    test('may be big: 100 MiB come back as they were, whole and in part', async () => {
      const store = await open()
      const big = Buffer.alloc(100 * 2 ** 20)
      for (let i = 0; i < big.length; i += 4096) big.writeUInt32LE(i, i)
      expect(await store.create('job/shared/1-big', big)).toBe('created')
      expect(await store.size('job/shared/1-big')).toBe(big.length)
      expect(Buffer.compare((await store.read('job/shared/1-big')) as Uint8Array, big)).toBe(0)
      if (store.file !== undefined) {
        const file = await store.file('job/shared/1-big')
        expect(file).toMatchObject({ size: big.length, crc: crc32(big) })
        expect(Buffer.compare(readFileSync(file?.path ?? ''), big)).toBe(0)
        expect(await store.file('job/shared/2-big')).toBeUndefined()
      }
      const part = await store.read('job/shared/1-big', { offset: 90 * 2 ** 20 - 3, length: 8000 })
      expect(Buffer.compare(part as Uint8Array, big.subarray(90 * 2 ** 20 - 3, 90 * 2 ** 20 - 3 + 8000))).toBe(0)
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
      // The folder itself never goes: versitygw 1.8.0, which makes folders of names, then keeps saying `exists` of an object that it does not have.
      await store.create('f/kept', bytes('kept'))
      for (let round = 0; round < 20; round++) {
        await store.create('f/old', bytes('old'))
        const [created] = await Promise.all([store.create(`f/new-${round}`, bytes('new')), store.remove('f/old')])
        expect(created).toBe('created')
        expect(await store.list('f')).toEqual(['f/kept', `f/new-${round}`])
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
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
