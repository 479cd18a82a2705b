import { expect, test } from 'vitest'
import { SlotTable } from './slot-table.ts'

const allocation = (slotIndex: number, allocationId: string) => ({ slotIndex, jobId: 'job', allocationId })

test('a slot is allocated once; the doubled request finds it, another one is refused', () => {
  const table = new SlotTable(2)
  expect(table.allocate(allocation(0, 'a'))).toBe('allocated')
  expect(table.allocate(allocation(0, 'a'))).toBe('known')
  expect(table.allocate(allocation(0, 'b'))).toBe('occupied')
  expect(table.allocate(allocation(1, 'a'))).toBe('occupied')
  expect(table.allocate(allocation(2, 'c'))).toBe('occupied')
})

test("a slot is nobody else's while it is being released", () => {
  const table = new SlotTable(1)
  table.allocate(allocation(0, 'a'))
  expect(table.release('a')).toBe(true)
  expect(table.release('a')).toBe(false)
  expect(table.allocate(allocation(0, 'b'))).toBe('occupied')
  expect(table.report().slots[0]).toEqual({ slotIndex: 0, state: 'releasing', allocationId: 'a', jobId: 'job' })
  table.freed('a')
  expect(table.allocate(allocation(0, 'b'))).toBe('allocated')
})

test('the version of the report grows with every change and with nothing else', () => {
  const table = new SlotTable(1)
  const versions = [table.report().version]
  const step = (change: () => unknown) => {
    change()
    versions.push(table.report().version)
  }
  step(() => table.allocate(allocation(0, 'a')))
  step(() => table.allocate(allocation(0, 'a')))
  step(() => table.accepted('a', 1))
  step(() => table.release('a'))
  step(() => table.freed('a'))
  step(() => table.freed('a'))
  expect(versions).toEqual([0, 1, 1, 1, 2, 3, 3])
})

test('offers are repeated until they are accepted', () => {
  const table = new SlotTable(2)
  table.allocate(allocation(0, 'a'))
  table.allocate(allocation(1, 'b'))
  table.accepted('a', 1)
  expect(table.unaccepted().map(slot => slot.allocationId)).toEqual(['b'])
})

test('an accepted slot that no job lists is an orphan, unless the list is older than the acceptance', () => {
  const table = new SlotTable(3)
  for (const [index, id] of ['a', 'b', 'c'].entries()) table.allocate(allocation(index, id))
  table.accepted('a', 1)
  table.accepted('b', 3)
  const ids = (owned: string[], version: number) => table.orphans(owned, version).map(slot => slot.allocationId)
  expect(ids([], 2)).toEqual(['a'])
  expect(ids(['a'], 2)).toEqual([])
  expect(ids(['a'], 3)).toEqual(['b'])
  expect(ids([], 9)).toEqual(['a', 'b'])
})
