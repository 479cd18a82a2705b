import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { systemRandom } from '../common/random.ts'
import { StateStorage, storageSettings } from './state-storage.ts'
import { openFileStore } from './storage/file-store.ts'
import { createMemoryStore } from './storage/memory-store.ts'
import type { ObjectStore } from './storage/object-store.ts'
import { objectsOf } from './task-state.ts'
import { TaskStateWriter } from './task-state-writer.ts'

const jobId = 'd'.repeat(32)
const MB = 1024 * 1024

/** A task whose one operator has so many bytes of keyed state. */
function operators(bytes: number) {
  const state = new Uint8Array(bytes).fill(7)
  const schema = { keyType: { kind: 'INT' } as const, schemas: [] }
  return {
    handedOver: [
      {
        operatorId: 'totals',
        snapshot: {
          keyed: { ...schema, written: new Map([['1', new Map([[3, state]])]]), chain: ['1'], chainBytes: bytes, kept: [], standalone: false },
          lists: [],
        },
      },
    ],
    restored: [{ operatorId: 'totals', snapshot: { keyed: { ...schema, keyGroups: new Map([[3, [state]]]), sized: true }, lists: [] } }],
  }
}

function storageOf(configuration: Readonly<Record<string, string>>, store: ObjectStore = createMemoryStore()) {
  return new StateStorage(jobId, Configuration.fromObject(configuration), async () => store)
}

describe('where state goes, by two keys as in Flink', () => {
  const settings = (configuration: Readonly<Record<string, string>>) => storageSettings(Configuration.fromObject(configuration))
  const [dir, storage, backend] = ['execution.checkpointing.dir', 'execution.checkpointing.storage', 'state.backend.type'] as const

  test.each([
    ['nothing', {}, undefined, 5 * MB],
    ['a directory', { [dir]: 'file:///c' }, 'file:///c', Number.POSITIVE_INFINITY],
    ['jobmanager with a directory', { [dir]: 'file:///c', [storage]: 'jobmanager' }, 'file:///c', 5 * MB],
    ['the 1.x name memory', { [dir]: 'file:///c', [backend]: 'memory' }, 'file:///c', 5 * MB],
    ['the 1.x name filesystem', { [dir]: 'file:///c', [backend]: 'filesystem' }, 'file:///c', Number.POSITIVE_INFINITY],
    [
      'a backend and another storage: the storage wins',
      { [dir]: 'file:///c', [backend]: 'memory', [storage]: 'filesystem' },
      'file:///c',
      Number.POSITIVE_INFINITY,
    ],
  ])('%s', (_what, configuration, directory, stateMaxBytes) => {
    expect(settings(configuration)).toMatchObject({ directory, stateMaxBytes })
  })

  test.each([{ [storage]: 'filesystem' }, { [backend]: 'filesystem' }])('filesystem without a directory is refused: %o', configuration => {
    expect(() => settings(configuration)).toThrow('option execution.checkpointing.storage: filesystem needs execution.checkpointing.dir')
  })
})

describe('the JobManager keeps state', () => {
  test('up to 5 MB an operator; above, the error names it, its size and the way out', async () => {
    const storage = storageOf({})
    const state = await new TaskStateWriter('e', storage, []).write(1, operators(5 * MB).handedOver, undefined)
    expect(objectsOf(state.operators)).toEqual([])
    await expect(new TaskStateWriter('e', storage, []).write(2, operators(5 * MB + 1).handedOver, undefined)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message:
        'the state of operator totals has 5242881 bytes, execution.checkpointing.storage jobmanager keeps at most 5242880 of one; set execution.checkpointing.dir',
    })
  })
})

describe('a directory keeps state', () => {
  const configuration = { 'execution.checkpointing.dir': 'sim://store' }

  test('above the threshold in an object that is named after checkpoint and execution; what is read is what was written', async () => {
    const store = createMemoryStore()
    const storage = storageOf(configuration, store)
    const small = await new TaskStateWriter('e1', storage, []).write(1, operators(20 * 1024).handedOver, undefined)
    const large = await new TaskStateWriter('e1', storage, []).write(2, operators(20 * 1024 + 1).handedOver, undefined)
    expect([objectsOf(small.operators).length, objectsOf(large.operators).map(({ name, size }) => [name, size])]).toEqual([
      0,
      [['2-e1', 20 * 1024 + 1]],
    ])
    expect(store.paths()).toEqual([`${jobId}/shared/2-e1`])
    for (const [state, bytes] of [
      [small, 20 * 1024],
      [large, 20 * 1024 + 1],
    ] as const)
      expect(await storage.read(state, undefined)).toEqual(operators(bytes).restored)
  })

  test('in files of this machine large ones stay there, as they were written or not at all; what is no keyed state is read', async () => {
    const root = mkdtempSync(join(tmpdir(), 'state-storage-'))
    try {
      const storage = storageOf(configuration, await openFileStore(root, systemRandom, 0))
      const [{ operatorId, snapshot }] = operators(2 * MB).handedOver as [ReturnType<typeof operators>['handedOver'][0]]
      const items = [Uint8Array.of(1, 2), Uint8Array.of(3)]
      const lists = [{ name: 'list', mode: 'split' as const, type: { kind: 'INT' as const }, items }]
      const state = await new TaskStateWriter('e', storage, []).write(1, [{ operatorId, snapshot: { ...snapshot, lists } }], undefined)
      const file = join(root, jobId, 'shared', '1-e')
      const [read] = await storage.read(state, undefined)
      expect(read?.snapshot.keyed?.keyGroups).toEqual(new Map([[3, [{ file, offset: 0, length: 2 * MB }]]]))
      expect(read?.snapshot.lists).toEqual(lists)
      const bytes = readFileSync(file)
      for (const [damaged, message] of [
        [bytes.fill(8, 5, 6), 'object 1-e has a wrong checksum: it was changed'],
        [bytes.subarray(1), `object 1-e has ${2 * MB + 2} bytes, ${2 * MB + 3} were written`],
      ] as const) {
        writeFileSync(file, damaged)
        await expect(storage.read(state, undefined)).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message })
      }
      rmSync(file)
      await expect(storage.read(state, undefined)).rejects.toThrow(`object 1-e of job ${jobId} is not in file://`)
    } finally {
      rmSync(root, { recursive: true })
    }
  })

  test('an answer that was lost is asked for again; one that stays lost declines the checkpoint', async () => {
    const inner = createMemoryStore()
    let lost = 2
    const store: ObjectStore = {
      ...inner,
      create: async (path, bytes) => {
        const answer = await inner.create(path, bytes)
        if (lost-- > 0) throw new FlinkError('OUTCOME_UNKNOWN', 'no answer')
        return answer
      },
    }
    const storage = storageOf(configuration, store)
    expect(await storage.read(await new TaskStateWriter('e', storage, []).write(1, operators(MB).handedOver, undefined), undefined)).toEqual(
      operators(MB).restored,
    )
    lost = 100
    await expect(new TaskStateWriter('e', storage, []).write(2, operators(MB).handedOver, undefined)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    })
  })

  test('an object that is gone is named', async () => {
    const store = createMemoryStore()
    const storage = storageOf(configuration, store)
    const state = await new TaskStateWriter('e', storage, []).write(1, operators(MB).handedOver, undefined)
    await store.remove(`${jobId}/shared/1-e`)
    await expect(storage.read(state, undefined)).rejects.toMatchObject({
      code: 'CORRUPT_CHECKPOINT',
      message: `object 1-e of job ${jobId} is not in jobmanager`,
    })
  })
})
