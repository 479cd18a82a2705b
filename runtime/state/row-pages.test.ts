import { expect, test } from 'vitest'
import { assert } from '../common/assert.ts'
import { seededRandom } from '../common/random.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { keyIndexOf } from './key-index.ts'
import { RowKeys } from './row-keys.ts'
import { RowPages } from './row-pages.ts'

const type = Types.STRING as TypeInformation
const heads = [0, 2, 200]

/** One key group and what its rows should be, by state and key. */
class Subject {
  readonly rows = new RowPages(0, new Uint16Array(256), 0)
  readonly keys = new RowKeys(type, keyIndexOf(type), 7)
  readonly model = new Map<string, Uint8Array>()

  put(head: number, key: string, value: Uint8Array): void {
    const { keys } = this
    keys.set(key, key)
    keys.writer.raw(value)
    keys.bytes = keys.writer.bytes
    this.rows.put(this.rows.find(head, keys), head, keys, keys.writer.bytes, 0, keys.writer.length, false)
    this.model.set(`${head} ${key}`, value)
  }

  remove(head: number, key: string): void {
    this.keys.set(key, key)
    const slot = this.rows.find(head, this.keys)
    if (slot >= 0) this.rows.remove(slot, this.keys, false)
    this.model.delete(`${head} ${key}`)
  }

  /** The value that a key has in a state. */
  value(head: number, key: string): Uint8Array | undefined {
    this.keys.set(key, key)
    const slot = this.rows.find(head, this.keys)
    if (slot < 0) return undefined
    const input = this.rows.readerOf(slot)
    this.keys.stepOver(input)
    return input.raw(this.rows.sizeOf(slot) - (head < 0x80 ? 1 : 2) - 4 - this.keys.length)
  }

  get pageBytes(): number {
    const { pages } = this.rows as unknown as { pages: { reader: { bytes: Uint8Array } }[] }
    return pages.reduce((sum, { reader }) => sum + reader.bytes.length, 0)
  }
}

test('rows of all sizes that change, go and come are what was put last, and what they were before does not pile up', () => {
  const random = seededRandom(3)
  const subject = new Subject()
  for (let step = 0; step < 60_000; step++) {
    const head = heads[random.nextInt(heads.length)]
    assert(head !== undefined, 'one of them')
    const key = `key ${random.nextInt(2_000)}`
    // Some are larger than a page.
    const size = random.nextInt(5_000) === 0 ? random.nextInt(300_000) : random.nextInt(400)
    if (random.nextInt(4) === 0) subject.remove(head, key)
    else subject.put(head, key, new Uint8Array(size).fill(step))
  }
  expect(subject.model.size).toBeGreaterThan(3_000)
  expect(subject.rows.rowCount).toBe(subject.model.size)
  let bytes = 0
  for (const [name, value] of subject.model) {
    const at = name.indexOf(' ')
    expect(Buffer.compare(subject.value(Number(name.slice(0, at)), name.slice(at + 1)) ?? Buffer.alloc(0), value), name).toBe(0)
    bytes += value.length + 20
  }
  // At most a third of a page is dead, and its end may be unused.
  expect(subject.pageBytes / bytes).toBeLessThan(1.7)
  for (const name of [...subject.model.keys()]) subject.remove(Number(name.slice(0, name.indexOf(' '))), name.slice(name.indexOf(' ') + 1))
  expect(subject.rows.rowCount).toBe(0)
  expect(subject.pageBytes).toBeLessThanOrEqual(128 * 1024)
})

test('a row that keeps its size stays where it is', () => {
  const subject = new Subject()
  for (let key = 0; key < 1_000; key++) subject.put(0, `${key}`, new Uint8Array(100))
  const before = subject.pageBytes
  for (let round = 0; round < 20; round++) for (let key = 0; key < 1_000; key++) subject.put(0, `${key}`, new Uint8Array(100).fill(round))
  expect(subject.pageBytes).toBe(before)
  expect(subject.value(0, '7')).toEqual(new Uint8Array(100).fill(19))
})
