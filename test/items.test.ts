import { expect, test } from 'vitest'
import { checkItems, parseItemTable, readItemTables } from './support/items.ts'

const table = `| id | what | state | test | title |
| --- | --- | --- | --- | --- |
| a | first | done | x.test.ts | works |
| b | second | open | | |
`

test('a done item without a passed test is a problem, an open one is not', () => {
  const items = parseItemTable('t.md', table)
  expect(items.map(item => [item.id, item.state])).toEqual([
    ['a', 'done'],
    ['b', 'open'],
  ])
  expect(checkItems(items, [], undefined)).toEqual(['t.md a is done, but x.test.ts has no test "works"'])
  expect(checkItems(items, [{ file: 'x.test.ts', title: 'works', status: 'skipped' }], undefined)).toEqual([
    't.md a is done, but its test skipped: x.test.ts: works',
  ])
  expect(checkItems(items, [{ file: 'x.test.ts', title: 'works', status: 'passed' }], undefined)).toEqual([])
})

test('a partial run checks only items of its files', () => {
  expect(checkItems(parseItemTable('t.md', table), [], new Set(['y.test.ts']))).toEqual([])
})

test('a missed figure names a test as well; nothing but a figure can be missed', () => {
  const missed = parseItemTable('t.md', '| figure-a | b | missed | x.test.ts | says so |')
  expect(checkItems(missed, [], undefined)).toEqual(['t.md figure-a is missed, but x.test.ts has no test "says so"'])
  expect(() => parseItemTable('t.md', '| build-a | b | missed | x.test.ts | says so |')).toThrow('t.md:1: only a figure can be missed')
})

test('a row of another shape is refused with its line', () => {
  expect(() => parseItemTable('t.md', '| a | b | maybe | c | d |')).toThrow('t.md:1')
})

test('every committed item table parses and has unique ids', () => {
  const items = readItemTables(new URL('../docs/items', import.meta.url).pathname)
  expect(items.length).toBeGreaterThan(50)
  expect(new Set(items.map(item => `${item.table} ${item.id}`)).size).toBe(items.length)
})
