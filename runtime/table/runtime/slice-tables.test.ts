import { expect, test } from 'vitest'
import { seededRandom, systemRandom } from '../../common/random.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { SliceTables } from './slice-tables.ts'

const types = ['STRING', 'BIGINT', 'DOUBLE', 'INT']
const layouts = types.map(columnLayout)
const call = (name: string, distinct: boolean): AggregateCall => ({ name, argument: 3, distinct, filter: -1, inputType: 'INT', type: '' })
const tables = (random = systemRandom) => new SliceTables(layouts.slice(0, 3), [call('SUM', false), call('COUNT', true)], undefined, random)

/** Keys that come several times, some with a null in them. */
const rows = Array.from({ length: 2_000 }, (_, i) => [i % 7 === 0 ? null : `key ${i % 500}`, BigInt(i % 500) << 32n, (i % 500) / 3, i % 3])
const frame = frameOf(rows, layouts)
const all = Int32Array.from(rows.keys())
const slice = (of: SliceTables, end: number) => {
  const table = of.table(end)
  table.add(frame, [0, 1, 2], all, rows.length)
  return table
}

test('the tables of an operator instance share the seed of their hashes; two instances have two', () => {
  const [one, other] = [tables(), tables()]
  const merged = slice(one, 1)
  merged.mergeTable(slice(one, 2))
  const { count } = merged
  merged.mergeTable(slice(one, 3))
  expect(merged.count).toBe(count)
  const foreign = slice(other, 1)
  expect(() => merged.mergeTable(foreign)).toThrow('tables that share keys have one seed')
})

test('which keys there are, in which order, and what is aggregated do not depend on the seed', () => {
  const results = Array.from({ length: 20 }, (_, seed) => {
    const own = tables(seededRandom(seed))
    const table = slice(own, 1)
    table.mergeTable(slice(own, 2))
    const columns = [...table.keys(0, table.count), ...table.results(0, table.count)]
    return rowsOf(
      { kind: 'columnar', length: table.count, columns, timestamps: undefined, rowKinds: undefined },
      [...types, 'BIGINT'].map(columnLayout),
    )
  })
  const distinct = new Map(rows.map(([a, b, c]) => [`${a} ${b} ${c}`, [a, b, c]]))
  expect(results[0]!.map(row => (row as unknown[]).slice(0, 3))).toEqual([...distinct.values()])
  for (const result of results) expect(result).toEqual(results[0])
})
