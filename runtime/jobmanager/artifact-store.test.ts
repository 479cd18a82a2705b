import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { seededRandom } from '../common/random.ts'
import { type ArtifactStore, createFileArtifactStore, createMemoryArtifactStore } from './artifact-store.ts'

const bytes = new TextEncoder().encode('export default env => {}')
const digest = createHash('sha256').update(bytes).digest('hex')

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-artifacts-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

const stores: readonly (readonly [string, () => Promise<ArtifactStore>])[] = [
  ['memory', async () => createMemoryArtifactStore()],
  ['file', async () => createFileArtifactStore(join(await folder(), 'deep', 'er'), seededRandom(1))],
]

describe.each(stores)('%s store', (_, create) => {
  test('gives back what was put, as often as it is put', async () => {
    const store = await create()
    expect(await store.get(digest)).toBeUndefined()
    await store.put(digest, bytes)
    await store.put(digest, bytes)
    expect(Buffer.from((await store.get(digest)) ?? []).toString()).toBe('export default env => {}')
  })

  test('what was deleted is gone, and may be deleted again', async () => {
    const store = await create()
    await store.put(digest, bytes)
    for (let i = 0; i < 2; i++) await store.delete(digest)
    expect(await store.get(digest)).toBeUndefined()
  })

  test('refuses bytes that are not what their digest says', async () => {
    const store = await create()
    await expect(store.put(digest, bytes.slice(1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await store.get(digest)).toBeUndefined()
  })
})

test('a digest that is a path reads nothing outside the folder, and no temporary file is left', async () => {
  const path = await folder()
  const store = createFileArtifactStore(join(path, 'store'), seededRandom(1))
  await store.put(digest, bytes)
  expect(await store.get(`../store/${digest}`)).toBeUndefined()
  expect(await readdir(join(path, 'store'))).toEqual([digest])
})
