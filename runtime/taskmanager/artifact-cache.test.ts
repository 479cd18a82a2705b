import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { noLog } from '../common/log.ts'
import { ArtifactCache } from './artifact-cache.ts'

function cache(fetch?: (digest: string) => Promise<Uint8Array>) {
  const directory = mkdtempSync(join(tmpdir(), 'artifact-cache-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const fetched: string[] = []
  const bundles = new Map<string, Uint8Array>()
  const created = new ArtifactCache({
    directory,
    keptMax: 2,
    log: noLog,
    async fetch({ digest }) {
      fetched.push(digest)
      return fetch === undefined ? (bundles.get(digest) ?? new Uint8Array()) : fetch(digest)
    },
  })
  const ref = (text: string) => {
    const bytes = new TextEncoder().encode(text)
    const digest = createHash('sha256').update(bytes).digest('hex')
    bundles.set(digest, bytes)
    return { digest, url: '', entry: 'default' }
  }
  const files = () => readdirSync(directory).filter(name => name !== 'unpacked')
  return { created, directory, fetched, ref, files }
}

test('of the bundles that no slot runs those used last stay; the others go with what was unpacked of them', async () => {
  const { created, directory, fetched, ref, files } = cache()
  const [a, b, c, d] = [ref('a'), ref('b'), ref('c'), ref('d')]
  for (const each of [a, b, c, d]) {
    await created.ensure(each)
    created.hold(`on ${each.digest}`, each.digest)
  }
  mkdirSync(join(directory, 'unpacked', b.digest), { recursive: true })
  for (const each of [b, c, d]) created.release(`on ${each.digest}`)
  // Behind the removals; c is known, so it is not fetched again. b is.
  await created.ensure(c)
  await created.ensure(b)
  expect(files().sort()).toEqual([a, b, c, d].map(({ digest }) => digest).sort())
  expect(readdirSync(join(directory, 'unpacked'))).toEqual([])
  expect(fetched).toEqual([a, b, c, d, b].map(({ digest }) => digest))
  created.release(`on ${a.digest}`)
  await created.ensure(ref('e'))
  expect(files()).not.toContain(a.digest)
})

test('one bundle is fetched once for many slots, and again after a fetch that failed', async () => {
  let answers = 0
  const bytes = new TextEncoder().encode('a')
  const { created, fetched, ref } = cache(() => (answers++ === 0 ? Promise.reject(new Error('down')) : Promise.resolve(bytes)))
  const a = ref('a')
  const first = [created.ensure(a), created.ensure(a)]
  expect((await Promise.allSettled(first)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await created.ensure(a)).toBe(created.path(a.digest))
  expect(fetched.length).toBe(2)
})

test('a bundle with another content is refused', async () => {
  const { created, ref } = cache(() => Promise.resolve(new TextEncoder().encode('other')))
  await expect(created.ensure(ref('a'))).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM' })
})

test('closed, it has written what it was writing, and writes nothing that arrives later', async () => {
  const late = Promise.withResolvers<Uint8Array>()
  const bytes = new TextEncoder().encode('a')
  let fetches = 0
  const { created, files, ref } = cache(() => (fetches++ === 0 ? Promise.resolve(bytes) : late.promise))
  const first = created.ensure(ref('a'))
  const second = created.ensure(ref('b'))
  second.catch(() => {})
  // The bytes are there, their file is not.
  await Promise.resolve()
  await created.close()
  const left = files()
  late.resolve(new TextEncoder().encode('b'))
  await expect(second).rejects.toMatchObject({ code: 'CANCELLED', message: expect.stringContaining('was closing') })
  await first.catch(() => {})
  expect(files()).toEqual(left)
})
