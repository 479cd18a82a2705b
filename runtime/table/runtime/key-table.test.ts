import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Column, ColumnKind } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { KeyTable } from './key-table.ts'

type Value = number | bigint | boolean | string | null

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** `withIds`: equal texts have equal ids, as behind a reader or a ring. */
function column(kind: ColumnKind, values: readonly Value[], withIds = false): Column {
  const bits = new Uint8Array((values.length + 7) >> 3)
  for (const [i, value] of values.entries()) if (value !== null) bits[i >> 3]! |= 1 << (i & 7)
  const validity = values.includes(null) ? bits : undefined
  switch (kind) {
    case 'bool':
      return { kind, values: Uint8Array.from(values, value => (value === true ? 1 : 0)), validity }
    case 'i32':
      return { kind, values: Int32Array.from(values, value => Number(value ?? 77)), validity }
    case 'f64':
      return { kind, values: Float64Array.from(values, value => Number(value ?? 77)), validity }
    case 'i64':
      return { kind, values: BigInt64Array.from(values, value => BigInt(value ?? 77n)), validity }
    case 'bytes': {
      const pieces = values.map(value => encoder.encode(String(value ?? 'x')))
      const data = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
      const starts = new Int32Array(values.length)
      const lengths = new Int32Array(values.length)
      let at = 0
      for (const [i, piece] of pieces.entries()) {
        data.set(piece, at)
        starts[i] = at
        lengths[i] = piece.length
        at += piece.length
      }
      const distinct = [...new Set(values)].reverse()
      return { kind, data, starts, lengths, ids: withIds ? Int32Array.from(values, value => distinct.indexOf(value)) : undefined, validity }
    }
  }
}

function valueAt(column: Column, row: number): Value {
  if (!isValid(column.validity, row)) return null
  if (column.kind === 'bytes') return decoder.decode(column.data.subarray(column.starts[row]!, column.starts[row]! + column.lengths[row]!))
  return column.kind === 'bool' ? column.values[row] === 1 : column.values[row]!
}

function sameIdSameText(column: Column, ids: Int32Array): boolean {
  const texts = new Map<number, Value>()
  for (const [row, id] of ids.entries()) {
    const text = valueAt(column, row)
    if (text === null) continue
    if (texts.has(id) && texts.get(id) !== text) return false
    texts.set(id, text)
  }
  return true
}

const values: Record<ColumnKind, fc.Arbitrary<Value>> = {
  bool: fc.constantFrom(true, false, null),
  i32: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer(), fc.constant(null)),
  f64: fc.oneof(fc.constantFrom(0, -0, Number.NaN, 1.5, Number.POSITIVE_INFINITY), fc.double(), fc.constant(null)),
  i64: fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constant(null)),
  bytes: fc.oneof(fc.constantFrom('', 'a', 'aa', 'b', '\u{1f600}'), fc.string({ maxLength: 12 }), fc.constant(null)),
}

const keyText = (key: readonly Value[]) =>
  JSON.stringify(key.map(value => (Object.is(value, -0) ? '-0' : typeof value === 'bigint' ? `${value}n` : value === null ? null : String(value))))

test('a key has the index of its first sight, whatever its columns, nulls and frames, and keys come back as they were', () => {
  const kinds = fc.array(fc.constantFrom<ColumnKind>('bool', 'i32', 'f64', 'i64', 'bytes'), { minLength: 1, maxLength: 3 })
  const input = kinds.chain(kinds =>
    fc.tuple(
      fc.constant(kinds),
      fc.array(fc.array(fc.tuple(...kinds.map(kind => values[kind])), { maxLength: 60 }), { maxLength: 4 }),
      fc.integer(),
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    ),
  )
  fc.assert(
    fc.property(input, ([kinds, frames, seed, withIds]) => {
      const table = new KeyTable(kinds, seed)
      const model = new Map<string, number>()
      const order: Value[][] = []
      for (const [f, rows] of frames.entries()) {
        const columns = kinds.map((kind, c) =>
          column(
            kind,
            rows.map(row => row[c] ?? null),
            withIds[f],
          ),
        )
        const out = new Int32Array(rows.length)
        table.lookup(columns, Int32Array.from(rows.keys()), 0, rows.length, out)
        for (const [i, row] of rows.entries()) {
          const text = keyText(row)
          if (!model.has(text)) {
            model.set(text, model.size)
            order.push(row)
          }
          expect(out[i]).toBe(model.get(text))
        }
      }
      expect(table.count).toBe(model.size)
      const keys = table.keys(0, table.count)
      for (const key of keys) if (key.kind === 'bytes' && key.ids !== undefined) expect(sameIdSameText(key, key.ids)).toBe(true)
      // The same keys in another table, from this one's columns and hashes.
      const other = new KeyTable(kinds, seed)
      const out = new Int32Array(table.count)
      other.lookupEntries(table, out)
      expect([...out]).toEqual([...out.keys()])
      other.copyFrom(table)
      other.lookupEntries(table, out)
      expect([...out]).toEqual([...out.keys()])
      for (const [index, key] of order.entries()) expect(keyText(keys.map(column => valueAt(column, index)))).toBe(keyText(key))
    }),
  )
})

test('100,000 keys are found again after the table has grown', () => {
  const table = new KeyTable(['i64'], 1)
  const keys = column(
    'i64',
    Array.from({ length: 100_000 }, (_, i) => BigInt(i) * 4294967296n),
  )
  const rows = Int32Array.from({ length: 100_000 }, (_, i) => i)
  const first = new Int32Array(rows.length)
  const second = new Int32Array(rows.length)
  table.lookup([keys], rows, 0, rows.length, first)
  table.lookup([keys], rows, 0, rows.length, second)
  expect(second).toEqual(first)
  expect(table.count).toBe(100_000)
  table.clear()
  table.lookup([keys], rows, 50_000, 50_010, second)
  expect(table.count).toBe(10)
})

test('each id of a frame is looked up once: a text behind a known id is not read again', () => {
  const table = new KeyTable(['bytes'], 1)
  const texts = column('bytes', ['a', 'b', 'a', 'a', null, 'b'], true)
  if (texts.kind !== 'bytes') throw new Error('texts are bytes')
  // Were they read, these rows would be other keys.
  texts.starts[2] = texts.starts[1]!
  texts.starts[3] = texts.starts[1]!
  const out = new Int32Array(6)
  table.lookup([texts], Int32Array.from([0, 1, 2, 3, 4, 5]), 0, 6, out)
  expect([...out]).toEqual([0, 1, 0, 0, 2, 1])
})

test('texts of a key of several columns leave with ids, values that do not repeat leave without', () => {
  const table = new KeyTable(['bytes', 'i32'], 1)
  const texts = column('bytes', ['x', 'y', 'x', null, 'y', 'x'])
  const numbers = column('i32', [1, 2, 3, 4, 5, 6])
  table.lookup([texts, numbers], Int32Array.from([0, 1, 2, 3, 4, 5]), 0, 6, new Int32Array(6))
  const [keys] = table.keys(0, 6)
  expect(keys?.kind === 'bytes' && keys.ids && [...keys.ids]).toEqual([0, 1, 0, 0, 1, 0])
  const alone = new KeyTable(['bytes'], 1)
  alone.lookup([texts], Int32Array.from([0, 1, 2, 3, 4, 5]), 0, 6, new Int32Array(6))
  expect(alone.keys(0, 3)[0]).toMatchObject({ kind: 'bytes', ids: undefined })
})
