import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { catalogueContract } from '../../test/support/catalogue-contract.ts'
import { folderOf } from '../../test/support/store-folder.ts'
import { systemClock } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import { catalogueLocations, createCatalogue } from './catalogue.ts'
import { createMemoryStore } from './storage/memory-store.ts'
import { openStore, type StoreAccess } from './storage/open-store.ts'

const memory = createMemoryStore('sim://')
let folders = 0
const inMemory = async (uri: string) => folderOf(memory, uri)
catalogueContract('memory', { newFolder: async () => `sim:///folder-${folders++}`, write: inMemory, read: inMemory })

const root = mkdtempSync(join(tmpdir(), 'catalogue-'))
const opener = (access: StoreAccess) => (uri: string) =>
  openStore(uri, Configuration.empty, { clock: systemClock, random: seededRandom(1), log: noLog, access })
catalogueContract('file://', {
  newFolder: async () => `file://${root}/folder-${folders++}`,
  write: opener('write'),
  read: opener('read'),
  close: () => rm(root, { recursive: true, force: true }),
})

test.each(['/a/../savepoint-a1b2c3-a1b2c3a1b2c3', 'hdfs://host/savepoint-a1b2c3-a1b2c3a1b2c3', 'savepoint-a1b2c3-a1b2c3a1b2c3', ''])(
  'nothing is removed at %j',
  async path => {
    const catalogue = createCatalogue({ checkpoints: undefined, results: undefined }, opener('read'))
    await expect(catalogue.disposeSavepoint(path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  },
)

test('finds checkpoints and results where the keys of a job and its cluster say', () => {
  const of = (entries: Record<string, string>) => catalogueLocations(Configuration.fromObject(entries))
  expect(of({})).toEqual({ checkpoints: undefined, results: undefined })
  const ha = { 'high-availability.type': 'filesystem', 'high-availability.storageDir': 's3://b/ha/', 'high-availability.cluster-id': 'one' }
  expect(of({ ...ha, 'execution.checkpointing.dir': 's3://b/chk' })).toEqual({ checkpoints: 's3://b/chk', results: 's3://b/ha/job-result-store/one' })
  expect(of({ ...ha, 'job-result-store.storage-path': 'file:///results' }).results).toBe('file:///results')
  expect(of({ 'job-result-store.storage-path': 'file:///results' }).results).toBe('file:///results')
})
