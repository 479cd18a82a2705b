import { expect, test } from 'vitest'
import { SharedReads } from './shared-reads.ts'

test('what several restore from is read once while one of them restores, and again when a read has failed', async () => {
  const reads = new SharedReads<Uint8Array>()
  const asked: string[] = []
  const read = (name: string) =>
    reads.once(name, async () => {
      asked.push(name)
      if (asked.length === 1) throw new Error('away')
      return Uint8Array.of(asked.length)
    })
  await reads.during(async () => {
    await expect(read('a')).rejects.toThrow('away')
    const [first, second] = await Promise.all([reads.during(() => read('a')), reads.during(() => read('a'))])
    expect(second).toBe(first)
    expect(await read('b')).toEqual(Uint8Array.of(3))
    expect(await read('a')).toBe(first)
  })
  expect(asked).toEqual(['a', 'a', 'b'])
  expect(await reads.during(() => read('a'))).toEqual(Uint8Array.of(4))
})
