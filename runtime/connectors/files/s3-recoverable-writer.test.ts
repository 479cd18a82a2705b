import { describe, expect, test } from 'vitest'
import { MemoryMultipartUploads } from '../../../test/support/memory-multipart-uploads.ts'
import { ownerOf, recoverableWriterContract } from '../../../test/support/recoverable-writer-contract.ts'
import { PIECE_SIZE_BYTES, S3RecoverableWriter } from './s3-recoverable-writer.ts'

const isHidden = (key: string) => key.split('/').at(-1)?.startsWith('.') === true

for (const partSizeBytes of [1_000, PIECE_SIZE_BYTES, PIECE_SIZE_BYTES + 7])
  recoverableWriterContract(`s3:// with writes of ${partSizeBytes} bytes`, async () => {
    const store = new MemoryMultipartUploads()
    return {
      partSizeBytes,
      create: owner => new S3RecoverableWriter(store, 's3://b', 'out', owner),
      visible: async () =>
        Object.fromEntries(
          [...store.objects].filter(([key]) => !isHidden(key)).map(([key, bytes]) => [key.slice('out/'.length), Buffer.from(bytes).toString()]),
        ),
      hiddenCount: async () => store.uploads.size + [...store.objects.keys()].filter(isHidden).length,
    }
  })

describe('s3://', () => {
  const start = () => {
    const store = new MemoryMultipartUploads()
    return { store, writer: (uid: string) => new S3RecoverableWriter(store, 's3://b', '', ownerOf(uid)) }
  }

  test('bytes are sent in pieces of 5 MiB; what is put beside at checkpoints goes with the commit', async () => {
    const { store, writer } = start()
    const part = await writer('u1').open('x/part')
    const uploaded = () => [...store.uploads.values()].map(({ parts }) => [...parts.values()].map(piece => piece.length))
    const hidden = () => [...store.objects].map(([key, bytes]) => [isHidden(key), key.startsWith('x/'), bytes.length])
    await part.write(new Uint8Array(PIECE_SIZE_BYTES - 1))
    await part.persist()
    expect(uploaded()).toEqual([[]])
    await part.write(new Uint8Array(3))
    await part.persist()
    expect(uploaded()).toEqual([[PIECE_SIZE_BYTES]])
    // Nothing new: nothing is put.
    await part.persist()
    expect(hidden()).toEqual([
      [true, true, PIECE_SIZE_BYTES - 1],
      [true, true, 2],
    ])
    const committable = await part.closeForCommit()
    expect(uploaded()).toEqual([[PIECE_SIZE_BYTES, 2]])
    await writer('u2').commit(committable)
    expect([...store.objects].map(([key, bytes]) => [key, bytes.length])).toEqual([['x/part', PIECE_SIZE_BYTES + 2]])
  })

  test('a part without any bytes is an empty file', async () => {
    const { store, writer } = start()
    const part = await writer('u1').open('empty')
    expect(await writer('u1').commit(await part.closeForCommit())).toBe('committed')
    expect(store.objects.get('empty')?.length).toBe(0)
  })

  test('an attempt that is over and goes on in the same upload does not reach what its follower commits', async () => {
    const { store, writer } = start()
    const zombie = await writer('u1').open('part')
    await zombie.write(Buffer.from('a'))
    const recovered = await writer('u2').recover(await zombie.persist(), 'other')
    await recovered.write(Buffer.from('b'))
    const committable = await recovered.closeForCommit()
    await zombie.write(Buffer.from('z'))
    await zombie.closeForCommit()
    await writer('u2').commit(committable)
    expect(store.objects.get('part')?.toString()).toBe('ab')
  })

  test('a piece that is not what it was makes the commit an error, never another content', async () => {
    const { store, writer } = start()
    const part = await writer('u1').open('part')
    await part.write(Buffer.from('a'))
    const committable = await part.closeForCommit()
    for (const { parts } of store.uploads.values()) parts.set(1, Buffer.from('z'))
    await expect(writer('u1').commit(committable)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    expect(store.objects.has('part')).toBe(false)
  })

  test('what is taken up and disposed of stays for whoever takes it up again', async () => {
    const { store, writer } = start()
    const first = await writer('u1').open('part')
    await first.write(Buffer.from('a'))
    const recoverable = await first.persist()
    const second = await writer('u2').recover(recoverable, 'other')
    await second.write(Buffer.from('b'))
    await second.persist()
    await second.dispose()
    const third = await writer('u3').recover(recoverable, 'another')
    await third.write(Buffer.from('c'))
    await writer('u3').commit(await third.closeForCommit())
    expect([...store.objects].map(([key, bytes]) => [key, Buffer.from(bytes).toString()])).toEqual([['part', 'ac']])
  })

  test('a lost answer to the commit: the object that is there is ours', async () => {
    const { store, writer } = start()
    const part = await writer('u1').open('part')
    await part.write(Buffer.from('a'))
    const committable = await part.closeForCommit()
    const { complete } = store
    store.complete = async (...args) => {
      await complete.apply(store, args)
      return complete.apply(store, args)
    }
    expect(await writer('u1').commit(committable)).toBe('already')
  })
})
