import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import type { CheckpointBody } from './checkpoint-body.ts'
import { disposeSavepoint, locationOf, newSavepointFolder, readSnapshot, removeUnfinished, splitLocation, writeSavepoint } from './savepoint.ts'
import { EpochLog, objectName } from './storage/epoch-log.ts'
import { refOf } from './storage/manifest.ts'
import { openStore } from './storage/open-store.ts'

const jobId = 'a1b2c3'.padEnd(32, '0')
const root = mkdtempSync(join(tmpdir(), 'savepoint-'))
afterAll(() => rm(root, { recursive: true }))
const random = seededRandom(1)
const parts = { clock: systemClock, random, log: noLog }
const open = (uri: string) => openStore(uri, Configuration.empty, { ...parts, access: 'read' })
const body: CheckpointBody = { operators: [], tasks: [{ vertexId: 'v', subtaskIndex: 0, state: 'finished' }] }
const bytes = new TextEncoder().encode('state')
const ref = refOf(objectName(7, 'task'), bytes)
const head = { jobId, checkpointId: 7, generation: 1, nonce: 'ab', timestampMs: 1, objects: [ref] }

async function taken(): Promise<{ readonly location: string; readonly path: string }> {
  const store = await openStore(`file://${root}/taken`, Configuration.empty, parts)
  const target = { store, folder: newSavepointFolder(jobId, random) }
  await store.create(`${target.folder}/${ref.name}`, bytes)
  await writeSavepoint(target, head, body)
  const location = locationOf(target)
  return { location, path: new URL(location).pathname }
}

test('has a folder of its own, named after the job, and nothing else is in its target', async () => {
  const { location, path } = await taken()
  expect(location).toMatch(/^file:\/\/\/.*\/taken\/savepoint-a1b2c3-[0-9a-f]{12}$/)
  expect(splitLocation(location)).toEqual({ target: `file://${root}/taken`, folder: path.slice(path.lastIndexOf('/') + 1) })
  expect(readdirSync(path).sort()).toEqual([ref.name, '_metadata'].sort())
  expect(readdirSync(join(root, 'taken')).every(name => name.startsWith('savepoint-'))).toBe(true)
})

test('is read by the path of its folder or of its manifest, as URI or path, wherever it is moved to', async () => {
  const { path } = await taken()
  const moved = join(root, 'my backups, the 2nd')
  await rename(path, moved)
  for (const from of [moved, `${moved}/`, `${moved}/_metadata`, `file://${moved}`]) {
    const snapshot = await readSnapshot(from, open)
    expect(snapshot).toMatchObject({ isSavepoint: true, head: { checkpointId: 7, objectsFolder: '' }, body })
    expect(await (await open(snapshot.objectsLocation)).read(ref.name)).toEqual(bytes)
  }
})

test('a checkpoint that a job has left is read by its folder as well, and is not to be disposed of', async () => {
  const store = await openStore(`file://${root}/checkpoints`, Configuration.empty, parts)
  const log = new EpochLog({ store, jobId, generation: 1, clock: systemClock, random, log: noLog })
  await log.takeOver()
  await store.create(`${jobId}/shared/${ref.name}`, bytes)
  await log.publish({ checkpointId: 7, timestampMs: 1, objects: [ref] }, new TextEncoder().encode(JSON.stringify({ operators: [], tasks: [] })))
  const path = `${root}/checkpoints/${jobId}/chk-7`
  const snapshot = await readSnapshot(path, open)
  expect([snapshot.isSavepoint, snapshot.objectsLocation]).toEqual([false, `${root}/checkpoints/${jobId}/shared`])
  expect(await (await open(snapshot.objectsLocation)).read(ref.name)).toEqual(bytes)
  await expect(disposeSavepoint(path, open)).rejects.toThrow(`is no savepoint, but checkpoint 7 of job ${jobId}`)
})

test('is gone with its folder when it is disposed of; a second time there is none', async () => {
  const { path } = await taken()
  const other = await taken()
  await disposeSavepoint(path, open)
  expect(existsSync(path)).toBe(false)
  await expect(disposeSavepoint(path, open)).rejects.toThrow(/there is no savepoint at ".*": cannot find the file "_metadata" in it/)
  expect((await readSnapshot(other.path, open)).head.checkpointId).toBe(7)
})

test('one without its objects does not come about; what was written of it is removed, and only that', async () => {
  const store = await openStore(`file://${root}/half`, Configuration.empty, parts)
  const target = { store, folder: 'savepoint-x' }
  await expect(writeSavepoint(target, head, body)).rejects.toMatchObject({
    code: 'CORRUPT_CHECKPOINT',
    message: expect.stringContaining('is missing'),
  })
  for (const name of [ref.name, objectName(77, 'task'), objectName(8, 'task')]) await store.create(`savepoint-x/${name}`, bytes)
  await removeUnfinished(target, 7)
  expect(await store.list('savepoint-x')).toEqual([`savepoint-x/${objectName(77, 'task')}`, `savepoint-x/${objectName(8, 'task')}`])
})

test.each<[string, (path: string) => Promise<unknown>, string]>([
  [
    'a manifest that was cut short',
    async path => writeFile(`${path}/_metadata`, (await readFile(`${path}/_metadata`)).subarray(0, 40)),
    'its checksum is wrong: it was cut short or changed',
  ],
  ['half a manifest', path => writeFile(`${path}/_metadata`, 'x'), 'it has 1 bytes and is cut short'],
  ['something else', path => writeFile(`${path}/_metadata`, 'x'.repeat(99)), 'it is no checkpoint of Millrace'],
  ['a missing object', path => rm(`${path}/${ref.name}`), `object ${ref.name} of file://`],
  ['an object with something behind it', path => appendFile(`${path}/${ref.name}`, '!'), 'has 6 bytes, 5 were written'],
])('%s is found before anything is done with it', async (_, damage, message) => {
  const { path } = await taken()
  await damage(path)
  await expect(readSnapshot(path, open)).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining(message) })
})

test.each([
  ['/a/../b', '"." and ".." are not allowed'],
  ['hdfs://host/a', 'there is no store for hdfs://, only for file:// and s3://'],
  ['a/b', 'expected an absolute path'],
  ['', 'expected an absolute path'],
])('the path %j is refused: %s', async (path, message) => {
  await expect(readSnapshot(path, open)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) })
})

test('looking for one leaves nothing behind', async () => {
  await expect(readSnapshot(`${root}/nowhere`, open)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(existsSync(`${root}/nowhere`)).toBe(false)
})
