import { describe, expect, test } from 'vitest'
import { checkRestorable, instantClock, jobId, Leader, logOf } from '../../../test/support/epoch-log-harness.ts'
import { Crash, FaultyStore, faults } from '../../../test/support/faulty-store.ts'
import { FlinkError } from '../../common/errors.ts'
import { noLog } from '../../common/log.ts'
import { seededRandom } from '../../common/random.ts'
import { EpochLog, newestRecordOf, objectName, readManifest } from './epoch-log.ts'
import { decodeManifest, encodeManifest, refOf } from './manifest.ts'
import { createMemoryStore } from './memory-store.ts'
import type { ObjectStore } from './object-store.ts'

describe('one JobManager after another', () => {
  test('each restores what the one before has published last; what nobody needs is removed', async () => {
    const store = createMemoryStore()
    const first = new Leader(store, 1)
    await first.run(4)
    expect([first.ended, first.restored, first.acknowledged]).toEqual([undefined, null, [1, 2, 3, 4]])
    expect(await newestRecordOf(store, jobId)).toMatchObject({ epoch: 5, kind: 'checkpoint', generation: 1, checkpointId: 4 })
    const second = new Leader(store, 2)
    await second.run(2)
    expect([second.ended, second.restored, second.acknowledged]).toEqual([undefined, 4, [5, 6]])
    expect(await store.list(jobId)).toEqual([
      `${jobId}/chk-5/_metadata`,
      `${jobId}/chk-6/_metadata`,
      `${jobId}/epochs/7`,
      `${jobId}/epochs/8`,
      `${jobId}/head/1`,
      `${jobId}/head/2`,
      // The newest one of the first process, which checkpoint 5 needs, and those of the second.
      ...['4', '5', '6'].map((id, i) => `${jobId}/shared/${objectName(Number(id), (i === 0 ? first : second).log.nonce.slice(0, 8))}`),
    ])
  })

  test('a generation is one process: a second one of the same number, and an older one, are fenced', async () => {
    const store = createMemoryStore()
    await new Leader(store, 3).run(1)
    await expect(logOf(store, 2).takeOver()).rejects.toMatchObject({
      code: 'FENCED',
      message: expect.stringContaining('generation 3 has taken over'),
    })
    expect(await store.list(`${jobId}/head`)).toEqual([`${jobId}/head/3`])
    const twin = new EpochLog({ store, jobId, generation: 3, clock: instantClock(), random: seededRandom(99), log: noLog })
    await expect(twin.takeOver()).rejects.toMatchObject({ code: 'FENCED', message: expect.stringContaining('generation 3 is another process') })
  })

  test('epochs are in order of their numbers, and a takeover stays the newest record when it cleans up', async () => {
    const store = createMemoryStore()
    await new Leader(store, 1).run(9)
    expect((await store.list(`${jobId}/epochs`)).at(-1)).toBe(`${jobId}/epochs/9`)
    expect((await newestRecordOf(store, jobId))?.epoch).toBe(10)
    const second = new Leader(store, 2)
    await second.takeOver()
    expect(second.restored).toBe(9)
    await second.log.cleanUp([])
    expect(await newestRecordOf(store, jobId)).toMatchObject({ epoch: 11, kind: 'takeover', generation: 2, checkpointId: 9 })
    expect(await store.list(`${jobId}/epochs`)).toEqual([`${jobId}/epochs/10`, `${jobId}/epochs/11`])
  })

  test('an old one that comes back writes nothing and removes nothing', async () => {
    const store = createMemoryStore()
    const old = new Leader(store, 1)
    await old.run(2)
    await new Leader(store, 2).takeOver()
    const before = await store.list(jobId)
    const publish = old.log.publish({ checkpointId: 3, timestampMs: 0, objects: [] }, new Uint8Array())
    await expect(publish).rejects.toMatchObject({ code: 'FENCED' })
    await expect(old.log.cleanUp([])).rejects.toMatchObject({ code: 'FENCED' })
    expect(await store.list(jobId)).toEqual(before)
  })

  test('a record that is removed between being listed and being read has a newer one behind it', async () => {
    const inner = createMemoryStore()
    await new Leader(inner, 1).run(5)
    let lists = 0
    const stale: ObjectStore = { ...inner, list: async folder => (lists++ === 0 ? [`${jobId}/epochs/2`] : inner.list(folder)) }
    expect(await newestRecordOf(stale, jobId)).toMatchObject({ epoch: 6, checkpointId: 5 })
  })

  test('nothing is published before the job was taken over, nor behind a later checkpoint', async () => {
    const store = createMemoryStore()
    const log = logOf(store, 1)
    const at = (checkpointId: number) => log.publish({ checkpointId, timestampMs: 0, objects: [] }, new Uint8Array())
    await expect(at(1)).rejects.toMatchObject({ code: 'INTERNAL' })
    await log.takeOver()
    await at(2)
    await expect(at(2)).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(at(1)).rejects.toMatchObject({ code: 'INTERNAL' })
    expect((await newestRecordOf(store, jobId))?.checkpointId).toBe(2)
  })

  test('a checkpoint whose object is missing or shorter is not published', async () => {
    const store = createMemoryStore()
    const log = logOf(store, 1)
    await log.takeOver()
    const ref = refOf('1-a', new TextEncoder().encode('whole'))
    const publish = () => log.publish({ checkpointId: 1, timestampMs: 0, objects: [ref] }, new Uint8Array())
    await expect(publish()).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining('1-a') })
    await store.create(`${jobId}/shared/1-a`, new TextEncoder().encode('who'))
    await expect(publish()).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT', message: expect.stringContaining('3 bytes, 5 were written') })
    expect((await newestRecordOf(store, jobId))?.checkpointId).toBeNull()
  })

  test('an id that somebody else has written is a conflict; the next one does', async () => {
    const store = createMemoryStore()
    await store.create(`${jobId}/chk-1/_metadata`, new TextEncoder().encode('of a process that was fenced'))
    const leader = new Leader(store, 1)
    await leader.run(3)
    expect([leader.ended, leader.acknowledged]).toEqual([undefined, [2, 3]])
    expect(await store.list(`${jobId}/chk-1`)).toEqual([])
  })
})

describe('a savepoint behind which the job stops', () => {
  const savepoint = 's3://savepoints/savepoint-1'

  test('is the newest checkpoint until there is a later one, over as many takeovers as it takes', async () => {
    const store = createMemoryStore()
    const first = new Leader(store, 1)
    await first.run(2)
    await first.log.claimSavepoint(3, savepoint)
    expect(first.log.savepoint).toBe(savepoint)
    await expect(first.log.claimSavepoint(3, savepoint)).rejects.toMatchObject({ code: 'INTERNAL' })
    for (const generation of [2, 3]) {
      const log = logOf(store, generation)
      expect([await log.takeOver(), log.savepoint]).toEqual([3, savepoint])
    }
    const last = logOf(store, 4)
    await last.takeOver()
    await last.publish({ checkpointId: 4, timestampMs: 0, objects: [] }, new Uint8Array())
    expect(last.savepoint).toBeNull()
    // Nothing of it is in the job's folder: what it has subsumed goes.
    await last.cleanUp([])
    expect(await store.list(`${jobId}/chk-4`)).toHaveLength(1)
    expect(await store.list(`${jobId}/shared`)).toEqual([])
    expect([await logOf(store, 5).takeOver(), last.savepoint]).toEqual([4, null])
  })

  test('an old JobManager cannot make it one', async () => {
    const store = createMemoryStore()
    const old = new Leader(store, 1)
    await old.run(1)
    await new Leader(store, 2).takeOver()
    await expect(old.log.claimSavepoint(2, savepoint)).rejects.toMatchObject({ code: 'FENCED' })
    expect(await newestRecordOf(store, jobId)).toMatchObject({ checkpointId: 1, savepoint: null })
  })

  test.each(faults)('%s of each call: once it is acknowledged, the next one begins with it; before, with it or with the one before', async fault => {
    const run = async (store: ObjectStore) => {
      const leader = new Leader(store, 1)
      await leader.run(1)
      let acknowledged = false
      try {
        await leader.log.claimSavepoint(2, savepoint)
        acknowledged = true
      } catch (error) {
        if (!(error instanceof FlinkError || error instanceof Crash)) throw error
      }
      return acknowledged
    }
    const plain = new FaultyStore(createMemoryStore())
    expect(await run(plain)).toBe(true)
    let acknowledgements = 0
    for (let at = 0; at < plain.calls; at++) {
      const inner = createMemoryStore()
      const store = new FaultyStore(inner, at, fault)
      const acknowledged = await run(store)
      if (acknowledged) acknowledgements++
      for (const generation of [2, 3]) {
        const log = logOf(inner, generation)
        const restored = await log.takeOver()
        if (acknowledged) expect([restored, log.savepoint], `call ${at}: ${store.log[at]}`).toEqual([2, savepoint])
        else expect(log.savepoint, `call ${at}: ${store.log[at]}`).toBe(restored === 2 ? savepoint : null)
        // What was late arrives when somebody else leads already.
        await store.settle()
      }
    }
    expect(acknowledgements > 0).toBe(fault !== 'before' && fault !== 'after')
  })
})

describe('every call of a JobManager, with everything that can happen to it', () => {
  const checkpoints = 3

  test.each(faults)('%s: the next one restores what was acknowledged, whole', async fault => {
    const plain = new FaultyStore(createMemoryStore())
    await new Leader(plain, 1).run(checkpoints)
    expect(plain.calls).toBeGreaterThan(40)
    const hit = new Set<string>()
    for (let at = 0; at < plain.calls; at++) {
      const inner = createMemoryStore()
      const store = new FaultyStore(inner, at, fault)
      const leader = new Leader(store, 1)
      await leader.run(checkpoints)
      hit.add((store.log[at] ?? '').replace(/\d+/g, 'n'))
      if (fault === 'before' || fault === 'after') expect(leader.ended).toBeInstanceOf(Crash)
      else expect(leader.ended, `call ${at}: ${store.log[at]}`).toBeUndefined()
      await checkRestorable(inner, leader.acknowledged, 2)
      // What was late arrives when somebody else leads already.
      await store.settle()
      await checkRestorable(inner, leader.acknowledged, 3)
    }
    // Each step of publishing and cleaning up was met.
    expect([...hit].map(call => call.replace(/[0-9a-f]{8,}|n+(?=-)/g, '')).length).toBeGreaterThan(8)
    for (const step of ['head', 'epochs', 'shared', 'chk-n/_metadata']) {
      expect(
        [...hit].some(call => call.startsWith('create') && call.includes(step)),
        `create of ${step}`,
      ).toBe(true)
    }
    expect([...hit].some(call => call.startsWith('remove'))).toBe(true)
  })
})

describe('two JobManagers that both believe they lead', () => {
  /** The old one stops before call `at`; the new one takes over, takes checkpoints, cleans up; then the old one goes on. */
  async function split(at: number): Promise<{ old: Leader; young: Leader; oldCalls: readonly string[]; resumedAt: number; inner: ObjectStore }> {
    const inner = createMemoryStore()
    const paused = Promise.withResolvers<void>()
    const resumed = Promise.withResolvers<void>()
    let calls = 0
    const store = new FaultyStore(inner, -1, 'failed', async () => {
      if (calls++ !== at) return
      paused.resolve()
      await resumed.promise
    })
    const old = new Leader(store, 1)
    const running = old.run(4)
    await Promise.race([paused.promise, running])
    const young = new Leader(inner, 2)
    await young.run(3)
    const resumedAt = store.log.length
    resumed.resolve()
    await running
    return { old, young, oldCalls: store.log, resumedAt, inner }
  }

  test('wherever the old one stood: what it had acknowledged is restored, what it does later has no effect, and it learns that it is old', async () => {
    const plain = new FaultyStore(createMemoryStore())
    await new Leader(plain, 1).run(4)
    let fenced = 0
    let adopted = 0
    let conflicts = 0
    for (let at = 0; at < plain.calls; at++) {
      const { old, young, oldCalls, resumedAt, inner } = await split(at)
      const where = `old one paused before call ${at}: ${plain.log[at]}`
      expect(young.ended, where).toBeUndefined()
      // One id may be lost to a manifest that the old one has left.
      expect(young.acknowledged.length, where).toBeGreaterThanOrEqual(2)
      if (young.acknowledged.length === 2) conflicts++
      expect(young.restored ?? 0, where).toBeGreaterThanOrEqual(Math.max(0, ...old.acknowledged))
      if ((young.restored ?? 0) > Math.max(0, ...old.acknowledged)) adopted++
      const last = at >= plain.calls - 1
      if (!last) {
        // Clean-up that had begun may end with what it was about to remove; a new one does not begin.
        if (old.ended !== undefined) {
          expect(old.ended, where).toMatchObject({ code: 'FENCED' })
          fenced++
        }
        expect(oldCalls.slice(resumedAt + 1).filter(call => call.startsWith('create') && /epochs/.test(call)).length, where).toBeLessThanOrEqual(1)
      }
      expect((await newestRecordOf(inner, jobId))?.generation, where).toBe(2)
      const newest = await checkRestorable(inner, young.acknowledged, 3)
      expect(newest, where).toBe(Math.max(...young.acknowledged))
    }
    expect(fenced).toBeGreaterThan(plain.calls / 2)
    // Claimed, but not yet acknowledged when the new one came.
    expect(adopted).toBeGreaterThan(0)
    expect(conflicts).toBeGreaterThan(0)
  })

  test('an epoch that was removed meanwhile can be created again, but counts for nothing', async () => {
    const plain = new FaultyStore(createMemoryStore())
    await new Leader(plain, 1).run(1)
    const { old, young, oldCalls, resumedAt, inner } = await split(plain.log.indexOf(`create ${jobId}/epochs/2`))
    // The young one had that number itself and has removed it.
    expect(young.ended).toBeUndefined()
    expect(oldCalls.slice(resumedAt)).toEqual([`create ${jobId}/epochs/2`, `list ${jobId}/epochs`])
    expect(old.ended).toMatchObject({ code: 'FENCED', message: expect.stringMatching(/epoch \d is claimed/) })
    expect(await newestRecordOf(inner, jobId)).toMatchObject({ generation: 2, checkpointId: Math.max(...young.acknowledged) })
    await expect(old.checkpoint()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    await expect(old.takeOver()).rejects.toMatchObject({ code: 'FENCED' })
  })
})

describe('a job that has ended', () => {
  test('leaves nothing where one JobManager has led it; the newest head where there were more', async () => {
    const store = createMemoryStore()
    const first = new Leader(store, 1)
    await first.run(3)
    await first.log.discard()
    expect(await store.list(jobId)).toEqual([])
    expect(first.log.leads).toBe(false)
    await new Leader(store, 1).run(2)
    const second = new Leader(store, 2)
    await second.run(2)
    await second.log.discard()
    expect(await store.list(jobId)).toEqual([`${jobId}/head/2`])
  })

  test('wherever discarding stops, the newest pointer goes last of the pointers, and another one can end it', async () => {
    const setUp = async () => {
      const inner = createMemoryStore()
      await new Leader(inner, 1).run(2)
      const leader = new Leader(inner, 2)
      await leader.run(3)
      return { inner, acknowledged: leader.acknowledged }
    }
    const { inner: plainInner } = await setUp()
    const plain = new FaultyStore(plainInner)
    const plainLog = logOf(plain, 3)
    await plainLog.takeOver()
    const begin = plain.calls
    await plainLog.discard()
    let restorable = 0
    for (const fault of ['before', 'after', 'failed'] as const) {
      for (let at = begin; at < plain.calls; at++) {
        const { inner, acknowledged } = await setUp()
        const log = logOf(new FaultyStore(inner, at, fault), 3)
        await log.takeOver()
        await log.discard().catch(() => {})
        const pointers = await inner.list(`${jobId}/epochs`)
        // As long as there is a pointer, what it points at is whole.
        if (pointers.length > 0) {
          restorable++
          expect(await checkRestorable(inner, acknowledged, 4), `call ${at}: ${plain.log[at]}`).toBe(Math.max(...acknowledged))
        }
        const last = logOf(inner, 5)
        await last.takeOver()
        await last.discard()
        expect((await inner.list(jobId)).filter(path => !path.startsWith(`${jobId}/head/`))).toEqual([])
      }
    }
    expect(restorable).toBeGreaterThan(3)
  })

  test('an old leader that slept meanwhile does not find a job without checkpoints, and leaves what is there alone', async () => {
    const store = createMemoryStore()
    const old = new Leader(store, 1)
    await old.run(2)
    const young = new Leader(store, 2)
    await young.run(1)
    await young.log.discard()
    for (const act of [() => old.checkpoint(), () => old.takeOver(), () => old.log.discard()])
      await expect(act()).rejects.toMatchObject({ code: 'FENCED' })
    expect((await store.list(jobId)).filter(path => !path.includes('/shared/'))).toEqual([`${jobId}/head/2`])
  })
})

describe('a store that is away', () => {
  /** From call `at` on every write gets lost, `done` or not. */
  function away(inner: ObjectStore, isAway: (call: string) => boolean, done: boolean): ObjectStore {
    const lost = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
      if (!isAway(what)) return act()
      if (done) await act()
      throw new FlinkError('OUTCOME_UNKNOWN', `${what}: no answer`)
    }
    return {
      uri: 's3://bucket',
      create: (path, bytes) => lost(`create ${path}`, () => inner.create(path, bytes)),
      read: (path, range) => lost(`read ${path}`, () => inner.read(path, range)),
      size: path => inner.size(path),
      list: folder => inner.list(folder),
      remove: path => inner.remove(path),
    }
  }

  test.each([true, false])(
    'while an epoch is claimed (done: %s): the outcome is unknown and is said to be, nothing more is published, and taking over finds it out',
    async done => {
      const inner = createMemoryStore()
      let out = false
      const log = logOf(
        away(inner, call => out && call.includes('/epochs/'), done),
        1,
      )
      await log.takeOver()
      const publish = (checkpointId: number) => log.publish({ checkpointId, timestampMs: 0, objects: [] }, new Uint8Array())
      out = true
      await expect(publish(1)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('still unknown after 60000 ms') })
      out = false
      await expect(publish(2)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
      await expect(log.cleanUp([])).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
      expect(await log.takeOver()).toBe(done ? 1 : null)
      await publish(3)
      expect((await newestRecordOf(inner, jobId))?.checkpointId).toBe(3)
    },
  )

  test('while a manifest is written: the checkpoint has failed, the next one does', async () => {
    const inner = createMemoryStore()
    let out = true
    const log = logOf(
      away(inner, call => out && call.includes('_metadata'), true),
      1,
    )
    await log.takeOver()
    const publish = (checkpointId: number) => log.publish({ checkpointId, timestampMs: 0, objects: [] }, new Uint8Array())
    await expect(publish(1)).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining('manifest of checkpoint 1') })
    out = false
    await publish(2)
    await log.cleanUp([])
    expect(await inner.list(jobId)).toEqual([`${jobId}/chk-2/_metadata`, `${jobId}/epochs/2`, `${jobId}/head/1`])
  })
})

describe('what is damaged', () => {
  const head = {
    jobId,
    checkpointId: 7,
    generation: 1,
    nonce: 'ab',
    timestampMs: 1,
    objectsFolder: 'shared' as const,
    objects: [{ name: '7-a', size: 3, crc: 9 }],
  }
  const whole = encodeManifest({ head, body: new TextEncoder().encode('state') })

  test('a manifest says what it said, and nothing at all when one bit is another or its end is missing', () => {
    expect(decodeManifest(whole, 'm')).toEqual({ head, body: new TextEncoder().encode('state') })
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeManifest(whole.subarray(0, length), 'chk-7/_metadata')).toThrow(expect.objectContaining({ code: 'CORRUPT_CHECKPOINT' }))
    }
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = whole.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => decodeManifest(flipped, 'chk-7/_metadata'), `bit ${bit}`).toThrow(/^chk-7\/_metadata cannot be read: /)
    }
  })

  test.each(['', '{', '{"epoch":3}', '{"epoch":2,"kind":"checkpoint","generation":1,"nonce":"a"}', 'null', '\xff\xfe'])(
    'the newest claim %j: an error that names it, never an older checkpoint',
    async text => {
      const store = createMemoryStore()
      await new Leader(store, 1).run(0)
      await store.create(`${jobId}/epochs/2`, Buffer.from(text, 'latin1'))
      await expect(logOf(store, 2).takeOver()).rejects.toMatchObject({
        code: 'CORRUPT_CHECKPOINT',
        message: expect.stringContaining(`${jobId}/epochs/2 of jobmanager cannot be read`),
      })
    },
  )

  test('a manifest that is claimed and gone, damaged or of another checkpoint is an error', async () => {
    const store = createMemoryStore()
    await new Leader(store, 1).run(2)
    const path = `${jobId}/chk-2/_metadata`
    const good = (await store.read(path)) as Uint8Array
    await store.remove(path)
    await expect(readManifest(store, jobId, 2)).rejects.toMatchObject({
      code: 'CORRUPT_CHECKPOINT',
      message: expect.stringContaining('claimed, but not there'),
    })
    await store.create(path, good.subarray(0, 20))
    await expect(readManifest(store, jobId, 2)).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT' })
    await store.remove(path)
    await store.create(path, (await store.read(`${jobId}/chk-1/_metadata`)) as Uint8Array)
    await expect(readManifest(store, jobId, 2)).rejects.toMatchObject({
      code: 'CORRUPT_CHECKPOINT',
      message: expect.stringContaining('is checkpoint 1'),
    })
  })

  test('clean-up stops before data when a manifest that stays cannot be read', async () => {
    const store = createMemoryStore()
    const leader = new Leader(store, 1)
    await leader.run(3)
    await store.remove(`${jobId}/chk-2/_metadata`)
    await store.create(`${jobId}/chk-2/_metadata`, new TextEncoder().encode('damaged'))
    const before = await store.list(`${jobId}/shared`)
    await expect(leader.log.cleanUp([2])).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT' })
    expect(await store.list(`${jobId}/shared`)).toEqual(before)
  })
})
