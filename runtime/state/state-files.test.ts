import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { mapSnapshot } from '../checkpoint/task-state.ts'
import { Types } from '../serde/types.ts'
import { ListStateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'
import type { KeyedSnapshot } from './snapshot.ts'
import { objectFile, readFileBytes, type StateBytes, StateFiles } from './state-files.ts'

const root = mkdtempSync(join(tmpdir(), 'state-files-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const path = join(root, 'object')
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31) >> 3)

describe('a file of state', () => {
  test('has the checksum of what is in it, however many reads that takes', async () => {
    for (const length of [0, 1, 9 << 20]) {
      const bytes = pattern(length)
      writeFileSync(path, bytes)
      expect(await objectFile(path)).toEqual({ path, size: length, crc: crc32(bytes) })
    }
    expect(await readFileBytes({ file: path, offset: 5, length: 7 })).toEqual(pattern(12).subarray(5))
    await expect(objectFile(join(root, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('comes in parts that end where they may end, all of it, in order', () => {
    const bytes = pattern((5 << 20) + 3)
    writeFileSync(path, bytes)
    const files = new StateFiles()
    const taken: Uint8Array[] = []
    // Ends of what is 1,000 bytes long, and once of 3 MiB.
    let at = 0
    const ends = [3 << 20, ...Array.from({ length: 5000 }, (_, i) => (3 << 20) + 1000 * i)]
    const whole = (part: Uint8Array) => Math.max(0, ...ends.filter(end => end > at && end <= at + part.length)) - at
    files.each(
      { file: path, offset: 0, length: bytes.length },
      part => Math.max(0, whole(part)),
      part => {
        taken.push(part.slice())
        at += part.length
        if (at < bytes.length) expect(ends).toContain(at)
      },
    )
    files.close()
    expect(taken.length).toBeGreaterThan(2)
    expect(Buffer.compare(Buffer.concat(taken), bytes)).toBe(0)
  })

  test('that is shorter than it was, or gone, is an error that names it', () => {
    const read = (bytes: StateBytes) => {
      const files = new StateFiles()
      try {
        files.each(bytes, part => part.length, () => {}) // biome-ignore format: one call
      } finally {
        files.close()
      }
    }
    writeFileSync(path, pattern(100))
    truncateSync(path, 50)
    expect(() => read({ file: path, offset: 20, length: 60 })).toThrow(`${path} ends at byte 50, though it was longer`)
    expect(() => read({ file: join(root, 'none'), offset: 0, length: 1 })).toThrow(`state cannot be read from ${join(root, 'none')}: ENOENT`)
  })
})

describe('keyed state that is restored from files', () => {
  const text = new ValueStateDescriptor('text', Types.STRING)
  const list = new ListStateDescriptor('list', Types.INT)

  function backend(): KeyedStateBackend {
    const made = new KeyedStateBackend({ owner: 'test', keyType: Types.INT, maxParallelism: 4 })
    made.register(text)
    made.register(list)
    return made
  }

  const keys = 400
  /** Some values are larger than what is read at once. */
  const textOf = (key: number) => `${key} `.repeat(key % 100 === 7 ? 700_000 : key)

  function saved(): KeyedSnapshot {
    const full = backend()
    for (let key = 0; key < keys; key++) {
      full.setCurrentKey(key)
      full.getState(text).update(textOf(key))
      if (key % 3 === 0) full.getListState(list).update([key, key + 1])
    }
    const increment = full.snapshots.snapshot({ checkpointId: 1, type: 'savepoint' })
    const [segment] = increment?.written.values() ?? []
    return {
      ...(increment as NonNullable<typeof increment>),
      keyGroups: new Map([...(segment ?? [])].map(([group, bytes]) => [group, [bytes]])),
      sized: true,
    }
  }

  function inFile(keyed: KeyedSnapshot): KeyedSnapshot<StateBytes> {
    const all: Uint8Array[] = []
    let offset = 11
    const { keyed: placed } = mapSnapshot<Uint8Array, StateBytes>({ keyed, lists: [] }, bytes => {
      all.push(bytes)
      offset += bytes.length
      return { file: path, offset: offset - bytes.length, length: bytes.length }
    })
    writeFileSync(path, Buffer.concat([pattern(11), ...all]))
    return placed as KeyedSnapshot<StateBytes>
  }

  /** Format 2: records that do not say how long they are. */
  function unsized({ sized: _, ...keyed }: KeyedSnapshot): KeyedSnapshot {
    const strip = (bytes: Uint8Array) => {
      const out: Uint8Array[] = []
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      for (let at = 0; at < bytes.length; ) {
        const length = view.getUint32(at + 1, true)
        out.push(bytes.subarray(at, at + 1), bytes.subarray(at + 5, at + 5 + length))
        at += 5 + length
      }
      return new Uint8Array(Buffer.concat(out))
    }
    return { ...keyed, keyGroups: new Map([...keyed.keyGroups].map(([group, segments]) => [group, segments.map(strip)])) }
  }

  test.each([
    ['of records that say how long they are', saved],
    ['of format 2', () => unsized(saved())],
  ])('%s is what it was, keys larger than one read among it', (_what, snapshot) => {
    const copy = backend()
    copy.snapshots.restore(inFile(snapshot()))
    expect(copy.keyCount).toBe(keys)
    for (let key = 0; key < keys; key++) {
      copy.setCurrentKey(key)
      if (copy.getState(text).value() !== textOf(key)) expect.fail(`key ${key} has another text`)
      expect([...(copy.getListState(list).get() ?? [])]).toEqual(key % 3 === 0 ? [key, key + 1] : [])
    }
  })
})
