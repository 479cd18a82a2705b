import { afterAll, describe, expect, test } from 'vitest'
import { type Catalogue, createCatalogue } from '../../runtime/checkpoint/catalogue.ts'
import { createJobResultStore, type EndedJob } from '../../runtime/checkpoint/job-results.ts'
import { type FolderOpener, locationOf, newSavepointFolder, type SavepointTarget, writeSavepoint } from '../../runtime/checkpoint/savepoint.ts'
import { objectName } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { encodeManifest, refOf } from '../../runtime/checkpoint/storage/manifest.ts'
import type { ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { jobId, Leader } from './epoch-log-harness.ts'

export interface CataloguePlace {
  /** An empty folder, other than those before. */
  newFolder(): Promise<string>
  readonly write: FolderOpener
  readonly read: FolderOpener
  close?(): Promise<void>
}

const other = 'f'.repeat(32)
const state = new TextEncoder().encode('state')

/** What the operator relies on, of every store. */
export function catalogueContract(name: string, place: CataloguePlace): void {
  const random = seededRandom(4711)

  async function empty(): Promise<{ checkpoints: string; store: ObjectStore; catalogue: Catalogue }> {
    const [checkpoints, results] = [await place.newFolder(), await place.newFolder()]
    return { checkpoints, store: await place.write(checkpoints), catalogue: createCatalogue({ checkpoints, results }, place.read) }
  }

  async function takeSavepoint(): Promise<SavepointTarget & { readonly location: string; readonly object: string }> {
    const target = { store: await place.write(await place.newFolder()), folder: newSavepointFolder(jobId, random) }
    const ref = refOf(objectName(9, 'e'.repeat(32)), state)
    await target.store.create(`${target.folder}/${ref.name}`, state)
    const head = { jobId, checkpointId: 9, generation: 1, nonce: 'ab', timestampMs: 9_000, objects: [ref] }
    await writeSavepoint(target, head, { operators: [], tasks: [] })
    return { ...target, location: locationOf(target), object: `${target.folder}/${ref.name}` }
  }

  describe(`the catalogue of ${name}`, () => {
    if (place.close !== undefined) afterAll(place.close)

    test('has nothing of a job that nobody has taken over, nor of one that has completed no checkpoint', async () => {
      const { store, catalogue } = await empty()
      expect([await catalogue.newest(jobId), await catalogue.retained(jobId), await catalogue.resultOf(jobId)]).toEqual([undefined, [], undefined])
      expect(await catalogue.knows(jobId)).toBe(false)
      await new Leader(store, 1).takeOver()
      expect([await catalogue.knows(jobId), await catalogue.knows(other)]).toEqual([true, false])
      expect([await catalogue.newest(jobId), await catalogue.retained(jobId)]).toEqual([undefined, []])
      const nowhere = createCatalogue({ checkpoints: undefined, results: undefined }, place.read)
      expect([await nowhere.newest(jobId), await nowhere.retained(jobId), await nowhere.resultOf(jobId)]).toEqual([undefined, [], undefined])
      expect(await nowhere.knows(jobId)).toBe(false)
    })

    test('removes all that lies under the id of a job, its result too, and nothing else; done again it goes on', async () => {
      const { store, catalogue, checkpoints } = await empty()
      await new Leader(store, 1).run(3)
      const savepoint = await takeSavepoint()
      await store.create(`${other}/epochs/1`, state)
      for (let time = 0; time < 2; time++) {
        await catalogue.removeJob(jobId)
        expect([await store.list(jobId), await catalogue.knows(jobId), await catalogue.newest(jobId)], checkpoints).toEqual([[], false, undefined])
      }
      expect(await store.list(other)).toEqual([`${other}/epochs/1`])
      expect((await catalogue.snapshotAt(savepoint.location)).kind).toBe('savepoint')
    })

    test('names the newest one that was claimed, whoever leads now, and all that are kept beside it', async () => {
      const { store, catalogue } = await empty()
      await new Leader(store, 3).run(4)
      const at = (id: number) => `${store.uri}/${jobId}/chk-${id}`
      const newest = { checkpointId: 4, kind: 'checkpoint', location: at(4), timestampMs: 4_000, generation: 3, epoch: 5 }
      expect(await catalogue.newest(jobId)).toMatchObject(newest)
      expect((await catalogue.newest(jobId))?.sizeBytes).toBe(2 * 'state of 4'.length + 'body 4'.length)
      // Written, and not claimed: a JobManager that was fenced may have left it.
      await store.create(`${jobId}/chk-5/_metadata`, state)
      const second = new Leader(store, 4)
      await second.takeOver()
      expect(await catalogue.newest(jobId)).toMatchObject({ ...newest, epoch: 6 })
      expect((await catalogue.retained(jobId)).map(({ checkpointId, location }) => [checkpointId, location])).toEqual([
        [4, at(4)],
        [3, at(3)],
      ])
      expect(await catalogue.newest(other)).toBeUndefined()
    })

    test('names a savepoint behind which the job was to stop as the newest, where it lies', async () => {
      const { store, catalogue } = await empty()
      const leader = new Leader(store, 1)
      await leader.run(2)
      const savepoint = await takeSavepoint()
      await leader.log.claimSavepoint(9, savepoint.location)
      const newest = { checkpointId: 9, kind: 'savepoint', location: savepoint.location, timestampMs: 9_000, generation: 1 }
      expect(await catalogue.newest(jobId)).toMatchObject(newest)
      expect((await catalogue.retained(jobId)).map(({ kind, checkpointId }) => [kind, checkpointId])).toEqual([
        ['savepoint', 9],
        ['checkpoint', 2],
        ['checkpoint', 1],
      ])
      await catalogue.disposeSavepoint(savepoint.location)
      const gone = { code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining(savepoint.location) }
      await expect(catalogue.newest(jobId)).rejects.toMatchObject(gone)
      await expect(catalogue.retained(jobId)).rejects.toMatchObject(gone)
    })

    test.each<[string, string, (path: string, store: ObjectStore) => Promise<unknown>]>([
      ['whose manifest is missing', `${jobId}/chk-2/_metadata`, (path, store) => store.remove(path)],
      ['whose manifest is damaged', `${jobId}/chk-2/_metadata`, replaceWith(state)],
      ['whose claim is damaged', `${jobId}/epochs/3`, replaceWith(state)],
    ])('never offers an older one in place of one %s: the error names the file', async (_, path, damage) => {
      const { store, catalogue } = await empty()
      await new Leader(store, 1).run(2)
      await damage(path, store)
      const error = { code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining(path) }
      await expect(catalogue.newest(jobId)).rejects.toMatchObject(error)
      await expect(catalogue.retained(jobId)).rejects.toMatchObject(error)
    })

    test('reads while a JobManager publishes and cleans up: always one that is there, and never back', async () => {
      const { store, catalogue } = await empty()
      const leader = new Leader(store, 1)
      await leader.run(1)
      let published = false
      const publishing = (async () => {
        for (let i = 0; i < 30; i++) await leader.checkpoint()
        published = true
      })()
      let last = 0
      while (!published) {
        const newest = await catalogue.newest(jobId)
        expect(newest?.epoch).toBeGreaterThanOrEqual(last)
        last = newest?.epoch ?? 0
        expect((await catalogue.retained(jobId))[0]?.epoch).toBeGreaterThanOrEqual(last)
      }
      await publishing
      expect((await catalogue.newest(jobId))?.checkpointId).toBe(31)
    })

    test('says how a job has ended until it is told to forget it; what is damaged is told', async () => {
      const [checkpoints, results] = [await place.newFolder(), await place.newFolder()]
      const catalogue = createCatalogue({ checkpoints, results }, place.read)
      const store = await place.write(results)
      const kept = createJobResultStore(store, { clock: systemClock, log: noLog, deleteOnCommit: false })
      const job: EndedJob = {
        jobId,
        name: 'sums',
        state: 'FAILED',
        startTimeMs: 1,
        endTimeMs: 5,
        netRuntimeMs: 4,
        failureCause: 'no more',
        savepoint: null,
      }
      await kept.record(job)
      // The first one counts.
      await kept.record({ ...job, state: 'CANCELED' })
      await kept.commit(jobId)
      expect([await catalogue.resultOf(jobId), await catalogue.resultOf(other)]).toEqual([job, undefined])
      await createJobResultStore(store, { clock: systemClock, log: noLog, deleteOnCommit: true }).commit(jobId)
      expect(await catalogue.resultOf(jobId)).toBeUndefined()
      await kept.record(job)
      for (const _ of ['once', 'again']) await catalogue.forgetResult(jobId)
      expect(await catalogue.resultOf(jobId)).toBeUndefined()
      await store.create(jobId, state)
      await expect(catalogue.resultOf(jobId)).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining(jobId) })
    })

    test('tells what lies at a path, when it is whole', async () => {
      const { store, catalogue } = await empty()
      const { store: place, location, object } = await takeSavepoint()
      const savepoint = { kind: 'savepoint', location, jobId, timestampMs: 9_000 }
      expect(await catalogue.snapshotAt(`${location}/_metadata`)).toEqual(savepoint)
      await expect(catalogue.snapshotAt(`${store.uri}/${jobId}/chk-9`)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      await place.remove(object)
      await expect(catalogue.snapshotAt(location)).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining(location) })
    })

    test("removes a savepoint's own files, also what a first try has left, and says nothing when it is gone", async () => {
      const { catalogue } = await empty()
      const { store, folder, location, object } = await takeSavepoint()
      const neighbour = 'savepoint-000000-000000000000/_metadata'
      await store.create(neighbour, state)
      await store.create(`${folder}/notes.txt`, state)
      await store.remove(`${folder}/_metadata`)
      await catalogue.disposeSavepoint(location)
      expect(await store.size(object)).toBeUndefined()
      await catalogue.disposeSavepoint(`${location}/_metadata`)
      expect(await store.list(folder)).toEqual([`${folder}/notes.txt`])
      const whole = await takeSavepoint()
      await catalogue.disposeSavepoint(whole.location)
      expect(await whole.store.list(whole.folder)).toEqual([])
      expect(await store.size(neighbour)).toBe(state.length)
    })

    test('removes nothing that is no savepoint of ours', async () => {
      const { checkpoints, store, catalogue } = await empty()
      await new Leader(store, 1).run(1)
      const foreign = 'savepoint-a1b2c3-a1b2c3a1b2c3'
      await store.create(`${foreign}/_metadata`, state)
      const copied = 'savepoint-a1b2c3-000000000000'
      const head = { jobId, checkpointId: 1, generation: 1, nonce: 'a', timestampMs: 1, objectsFolder: 'shared', objects: [] } as const
      await store.create(`${copied}/_metadata`, encodeManifest({ head, body: state }))
      const before = [...(await store.list(foreign)), ...(await store.list(copied)), ...(await store.list(jobId))]
      for (const [path, code, message] of [
        [`${checkpoints}/${jobId}/chk-1`, 'INVALID_ARGUMENT', 'expected the folder of a savepoint'],
        [`${checkpoints}/${jobId}`, 'INVALID_ARGUMENT', 'expected the folder of a savepoint'],
        [checkpoints, 'INVALID_ARGUMENT', 'expected the folder of a savepoint'],
        [`${checkpoints}/${foreign}/../../x`, 'INVALID_ARGUMENT', 'expected the folder of a savepoint'],
        [`${checkpoints}/${copied}`, 'INVALID_ARGUMENT', `it is checkpoint 1 of job ${jobId}, and no savepoint`],
        [`${checkpoints}/${foreign}`, 'CORRUPT_CHECKPOINT', `${foreign}/_metadata`],
      ] as const)
        await expect(catalogue.disposeSavepoint(path), path).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
      expect([...(await store.list(foreign)), ...(await store.list(copied)), ...(await store.list(jobId))]).toEqual(before)
      await expect(catalogue.newest('../x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })
  })
}

function replaceWith(bytes: Uint8Array) {
  return async (path: string, store: ObjectStore) => {
    await store.remove(path)
    await store.create(path, bytes)
  }
}
