import { appendFileSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ownerOf, recoverableWriterContract } from '../../../test/support/recoverable-writer-contract.ts'
import { LocalRecoverableWriter } from './local-recoverable-writer.ts'
import { inProgressName, isAbandoned } from './recoverable-writer.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-writer-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let folders = 0
const newFolder = () => join(root, String(folders++))
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
const isHidden = (path: string) => path.split('/').some(name => name.startsWith('.'))

recoverableWriterContract('file://', async () => {
  const folder = newFolder()
  mkdirSync(folder)
  return {
    partSizeBytes: 3,
    create: owner => new LocalRecoverableWriter(folder, owner),
    visible: async () =>
      Object.fromEntries(
        filesIn(folder)
          .filter(path => !isHidden(path))
          .map(path => [path, readFileSync(join(folder, path), 'utf8')]),
      ),
    hiddenCount: async () => filesIn(folder).filter(isHidden).length,
  }
})

async function pending(folder: string): Promise<{ writer: LocalRecoverableWriter; committable: { inProgress: string; target: string } }> {
  const writer = new LocalRecoverableWriter(folder, ownerOf('u1'))
  const part = await writer.open('part-u1-0')
  await part.write(Buffer.from('rows'))
  return { writer, committable: (await part.closeForCommit()) as { inProgress: string; target: string } }
}

test('a committer that died between giving the name and taking the hidden one away is followed up', async () => {
  const folder = newFolder()
  const { writer, committable } = await pending(folder)
  linkSync(committable.inProgress, committable.target)
  expect(await writer.commit(committable)).toBe('already')
  expect(filesIn(folder)).toEqual(['part-u1-0'])
})

test('a commit that is repeated says so', async () => {
  const { writer, committable } = await pending(newFolder())
  expect(await writer.commit(committable)).toBe('committed')
  expect(await writer.commit(committable)).toBe('already')
})

test('two that commit the same part at once both end well, and the part is there once', async () => {
  for (let i = 0; i < 20; i++) {
    const folder = newFolder()
    const { writer, committable } = await pending(folder)
    const zombie = new LocalRecoverableWriter(folder, ownerOf('u0'))
    const answers = await Promise.all([writer.commit(committable), zombie.commit(committable)])
    expect(answers.filter(answer => answer === 'committed').length).toBe(1)
    expect(filesIn(folder)).toEqual(['part-u1-0'])
    expect(readFileSync(committable.target, 'utf8')).toBe('rows')
  }
})

test('a complete part that has become shorter is not committed', async () => {
  const folder = newFolder()
  const { writer, committable } = await pending(folder)
  truncateSync(committable.inProgress, 2)
  await expect(writer.commit(committable)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('has 2') })
  expect(filesIn(folder).every(isHidden)).toBe(true)
})

test('a file of another length under the name of a committed part is somebody else’s', async () => {
  const { writer, committable } = await pending(newFolder())
  await writer.commit(committable)
  appendFileSync(committable.target, 'more')
  await expect(writer.commit(committable)).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('has 8') })
})

test('a part that is to go on and has become shorter is an error that says so', async () => {
  const writer = new LocalRecoverableWriter(newFolder(), ownerOf('u1'))
  const part = await writer.open('part-u1-0')
  await part.write(Buffer.from('rows'))
  const recoverable = (await part.persist()) as { inProgress: string }
  await part.close()
  truncateSync(recoverable.inProgress, 1)
  await expect(writer.recover(recoverable, 'part-u2-0')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('has 1') })
})

test('a path that cannot be written is an error that names it', async () => {
  const file = newFolder()
  writeFileSync(file, '')
  await expect(new LocalRecoverableWriter(file, ownerOf('u1')).open('part-u1-0')).rejects.toMatchObject({
    code: 'EXTERNAL_SYSTEM',
    message: expect.stringContaining(join(file, 'part-u1-0')),
  })
})

test('sweeping removes what earlier attempts of this subtask of this sink began, in every bucket, and nothing else', async () => {
  const folder = newFolder()
  const present = ownerOf('now', { subtaskIndex: 1, parallelism: 2, restoredCheckpointId: 7 })
  const name = (uid: string, changes: object) => inProgressName(`part-${uid}-0.csv`, { ...present, uid, ...changes })
  const removed = [name('old', {}), name('older', { restoredCheckpointId: 6 }), name('wide', { subtaskIndex: 3, restoredCheckpointId: 0 })]
  const kept = [
    name('now', {}),
    name('later', { restoredCheckpointId: 8 }),
    name('other', { subtaskIndex: 0 }),
    name('job', { jobId: 'c'.repeat(32) }),
    name('operator', { operatorId: 'c'.repeat(32) }),
    'part-old-0.csv',
    '.part-old-1.inprogress',
    name('old', {}).slice(1),
  ]
  const buckets = ['', '2026-01-31', '2026/01/30']
  for (const bucket of buckets) {
    mkdirSync(join(folder, bucket), { recursive: true })
    for (const file of [...removed, ...kept]) writeFileSync(join(folder, bucket, file), '')
  }
  await new LocalRecoverableWriter(folder, present).sweep()
  expect(filesIn(folder)).toEqual(buckets.flatMap(bucket => kept.map(file => join(bucket, file))).sort())
})

test('what would be swept is told by the name alone', () => {
  const owner = ownerOf('now', { restoredCheckpointId: 3 })
  expect(isAbandoned(inProgressName('part-old-0', { ...owner, uid: 'old' }), owner)).toBe(true)
  expect(isAbandoned(inProgressName('part-old-0', { ...owner, uid: 'old', restoredCheckpointId: 4 }), owner)).toBe(false)
})

test('a sweep of a path that nobody has written to yet finds nothing', async () => {
  await expect(new LocalRecoverableWriter(newFolder(), ownerOf('u1')).sweep()).resolves.toBeUndefined()
})
