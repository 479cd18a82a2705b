import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { refOf } from '../checkpoint/storage/manifest.ts'
import { createLogger } from '../common/log.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import { copyFilesIn } from './copy-files.ts'
import { LocalCopies } from './local-copies.ts'
import { TaskCopies } from './task-copies.ts'

const jobId = 'job'
const owner = (subtask: number, allocationId = 'slot') => ({ jobId, allocationId, subtask: `v/${subtask}` })
const bytesOf = (name: string) => new TextEncoder().encode(`what ${name} is`)
const ref = (name: string) => refOf(name, bytesOf(name))

async function inFolders(run: (copies: LocalCopies, folders: readonly string[], log: readonly string[]) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-copies-'))
  const log: string[] = []
  const folders = [join(root, 'a'), join(root, 'b')]
  try {
    await run(
      new LocalCopies(
        copyFilesIn(folders),
        createLogger(({ message }) => void log.push(message)),
      ),
      folders,
      log,
    )
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** All files, once they are these. */
async function files(folders: readonly string[], expected: readonly string[]): Promise<void> {
  const list = async () =>
    (await Promise.all(folders.map(folder => readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))))
      .flat()
      .flatMap(entry => (entry.isFile() ? [entry.name] : []))
      .sort()
  const wanted = JSON.stringify([...expected].sort())
  await expect.poll(async () => JSON.stringify(await list())).toBe(wanted)
}

test('what the newest complete checkpoint stands behind is kept, older copies go; all of a slot go with it', async () => {
  await inFolders(async (copies, folders) => {
    copies.begin(owner(0), 0, [])
    for (const id of [1, 2, 3]) {
      copies.put(owner(0), id, `${id}-a`, bytesOf(`${id}-a`))
      // Each stands behind the first as well.
      copies.taken(owner(0), id, ['1-a', `${id}-a`])
    }
    copies.put(owner(1, 'other'), 3, '3-b', bytesOf('3-b'))
    await files(folders, ['1-a', '2-a', '3-a', '3-b'])
    copies.completed(owner(0), 2)
    await files(folders, ['1-a', '2-a', '3-a', '3-b'])
    copies.completed(owner(0), 3)
    await files(folders, ['1-a', '3-a', '3-b'])
    expect(await copies.get(jobId, ref('1-a'))).toEqual(Buffer.from(bytesOf('1-a')))
    expect(await copies.get(jobId, ref('2-a'))).toBeUndefined()
    copies.release('slot')
    await files(folders, ['3-b'])
    copies.release('other')
    await files(folders, [])
    for (const folder of folders) expect(await readdir(folder)).toEqual([])
  })
})

test('a large one is read from where it lies', async () => {
  await inFolders(async (copies, folders) => {
    const bytes = new Uint8Array(2 << 20).fill(5)
    copies.put(owner(0), 1, '1-a', bytes)
    await files(folders, ['1-a'])
    expect(await copies.get(jobId, refOf('1-a', bytes))).toEqual({ file: join(folders[0] ?? '', jobId, '1-a'), offset: 0, length: bytes.length })
    expect(await copies.get(jobId, refOf('1-a', bytes.fill(6, 0, 1)))).toBeUndefined()
  })
})

test('a task that begins again keeps what it begins with, and what its neighbours have', async () => {
  await inFolders(async (copies, folders) => {
    for (const id of [1, 2]) for (const subtask of [0, 1]) copies.put(owner(subtask), id, `${id}-${subtask}`, bytesOf(`${id}-${subtask}`))
    copies.begin(owner(0), 1, ['1-0'])
    await files(folders, ['1-0', '1-1', '2-1'])
    copies.begin(owner(1), 1, ['1-1'])
    await files(folders, ['1-0', '1-1'])
    expect(await copies.get(jobId, ref('1-1'))).toEqual(Buffer.from(bytesOf('1-1')))
  })
})

test.each([
  ['changed', new TextEncoder().encode('what 1-a IS'), 'a local copy of state is damaged; it is read from the store'],
  ['cut', bytesOf('1-a').subarray(1), 'a local copy of state is damaged; it is read from the store'],
  ['gone', undefined, 'a local copy of state could not be read; it is read from the store'],
])('a copy that is %s is none, and the log says so', async (_what, damage, message) => {
  await inFolders(async (copies, folders, log) => {
    copies.put(owner(0), 1, '1-a', bytesOf('1-a'))
    await files(folders, ['1-a'])
    expect(await copies.get(jobId, ref('1-a'))).toBeDefined()
    const path = join(folders[0] ?? '', jobId, '1-a')
    if (damage === undefined) await rm(path)
    else await writeFile(path, damage)
    expect(await copies.get(jobId, ref('1-a'))).toBeUndefined()
    expect(log).toEqual([message])
  })
})

test('what a task still writes when the job has lost its slot is not copied', async () => {
  await inFolders(async (copies, folders) => {
    let isHeld = true
    const tasks = [{ executionId: 'e', vertex: { id: 'v' }, subtaskIndex: 0 }]
    const deployment = { jobId, allocationId: 'slot', tasks } as unknown as SlotDeployment
    const ofTask = new TaskCopies(copies, deployment, { writes: true, reads: true, isHeld: () => isHeld })
    ofTask.put('e', 1, '1-a', bytesOf('1-a'))
    await files(folders, ['1-a'])
    isHeld = false
    copies.release('slot')
    await files(folders, [])
    ofTask.put('e', 2, '2-a', bytesOf('2-a'))
    expect(await copies.get(jobId, ref('2-a'))).toBeUndefined()
  })
})

test('a copy that cannot be written is none; nobody waits for it', async () => {
  const log: string[] = []
  const refuse = () => Promise.reject(new Error('no space left'))
  const copies = new LocalCopies(
    { write: refuse, read: refuse, remove: async () => {} },
    createLogger(({ message }) => void log.push(message)),
  )
  copies.put(owner(0), 1, '1-a', bytesOf('1-a'))
  await turn()
  expect(await copies.get(jobId, ref('1-a'))).toBeUndefined()
  expect(log).toEqual(['a local copy of state could not be written; the store has it'])
})
