import { describe, expect, test } from 'vitest'
import type { PartOwner, RecoverableWriter } from '../../runtime/connectors/files/recoverable-writer.ts'

/** What every RecoverableWriter promises. `partSizeBytes`: what one write of a test brings, so that stores that collect bytes send some of them. */
export interface WriterUnderTest {
  readonly partSizeBytes: number
  create(owner: PartOwner): RecoverableWriter
  /** What readers see: names below the path, with what is in them. */
  visible(): Promise<Readonly<Record<string, string>>>
  /** How many parts there are that nobody sees. */
  hiddenCount(): Promise<number>
}

export const ownerOf = (uid: string, changes: Partial<PartOwner> = {}): PartOwner => ({
  jobId: 'a'.repeat(32),
  operatorId: 'b'.repeat(32),
  subtaskIndex: 0,
  parallelism: 1,
  restoredCheckpointId: 0,
  uid,
  ...changes,
})

export function recoverableWriterContract(name: string, start: () => Promise<WriterUnderTest>): void {
  describe(`${name} as a recoverable writer`, () => {
    const contents = (world: WriterUnderTest, letters: string) => [...letters].map(letter => letter.repeat(world.partSizeBytes)).join('')
    const bytes = (world: WriterUnderTest, letters: string) => new TextEncoder().encode(contents(world, letters))

    test('a part is seen when it is committed, whole, under its name, and not before', async () => {
      const world = await start()
      const writer = world.create(ownerOf('u1'))
      const part = await writer.open('2026-01-31/part-u1-0')
      await part.write(bytes(world, 'ab'))
      await part.write(bytes(world, 'c'))
      const committable = await part.closeForCommit()
      expect(await world.visible()).toEqual({})
      expect(await writer.commit(committable)).toBe('committed')
      expect(await world.visible()).toEqual({ '2026-01-31/part-u1-0': contents(world, 'abc') })
      expect(await world.hiddenCount()).toBe(0)
    })

    test('a commit is repeated by another attempt without effect, from what went through a snapshot', async () => {
      const world = await start()
      const part = await world.create(ownerOf('u1')).open('part-u1-0')
      await part.write(bytes(world, 'a'))
      const committable = JSON.parse(JSON.stringify(await part.closeForCommit()))
      const other = world.create(ownerOf('u2', { restoredCheckpointId: 1 }))
      expect(await other.commit(committable)).toBe('committed')
      await other.commit(committable)
      await world.create(ownerOf('u3')).commit(committable)
      expect(await world.visible()).toEqual({ 'part-u1-0': contents(world, 'a') })
    })

    test('what was persisted is taken up twice, whatever its first writer appends afterwards', async () => {
      const world = await start()
      const part = await world.create(ownerOf('u1')).open('part-u1-0')
      await part.write(bytes(world, 'ab'))
      const recoverable = JSON.parse(JSON.stringify(await part.persist()))
      await part.write(bytes(world, 'z'))
      await part.persist()
      await part.close()
      const first = await world.create(ownerOf('u2', { restoredCheckpointId: 1 })).recover(recoverable, 'part-u2-0')
      await first.write(bytes(world, 'x'))
      await first.close()
      const writer = world.create(ownerOf('u3', { restoredCheckpointId: 1 }))
      const second = await writer.recover(recoverable, 'part-u3-0')
      await second.write(bytes(world, 'c'))
      await writer.commit(await second.closeForCommit())
      expect(Object.values(await world.visible())).toEqual([contents(world, 'abc')])
    })

    test('what is disposed of leaves nothing', async () => {
      const world = await start()
      const writer = world.create(ownerOf('u1'))
      const open = await writer.open('part-u1-0')
      await open.write(bytes(world, 'ab'))
      const complete = await writer.open('part-u1-1')
      await complete.write(bytes(world, 'c'))
      await complete.closeForCommit()
      expect(await world.hiddenCount()).toBe(2)
      await open.dispose()
      await complete.dispose()
      expect(await world.hiddenCount()).toBe(0)
      expect(await world.visible()).toEqual({})
    })

    test('a target that somebody else has written is not overwritten', async () => {
      const world = await start()
      const [mine, other] = [world.create(ownerOf('u1')), world.create(ownerOf('u2', { jobId: 'c'.repeat(32) }))]
      const parts = [await mine.open('same'), await other.open('same')]
      await parts[0]?.write(bytes(world, 'a'))
      await parts[1]?.write(bytes(world, 'b'))
      const [first, second] = [await parts[0]?.closeForCommit(), await parts[1]?.closeForCommit()]
      await mine.commit(first ?? {})
      await expect(other.commit(second ?? {})).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('same') })
      expect(await world.visible()).toEqual({ same: contents(world, 'a') })
    })

    test('what is neither committed nor waiting to be is an error that stops the job', async () => {
      const world = await start()
      const writer = world.create(ownerOf('u1'))
      const part = await writer.open('part-u1-0')
      await part.write(bytes(world, 'ab'))
      const recoverable = await part.persist()
      const committable = await part.closeForCommit()
      await part.dispose()
      await expect(writer.commit(committable)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('part-u1-0') })
      await expect(writer.recover(recoverable, 'part-u1-1').then(next => next.closeForCommit())).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    })

    test('a snapshot that is none of its own is refused', async () => {
      const writer = (await start()).create(ownerOf('u1'))
      await expect(writer.commit({ of: 'something else' })).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT' })
      await expect(writer.recover({}, 'part-u1-0')).rejects.toMatchObject({ code: 'CORRUPT_CHECKPOINT' })
    })
  })
}
