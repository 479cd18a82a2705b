import { expect, test } from 'vitest'
import type { SlotReport } from '../rpc/messages.ts'
import { type SlotAction, SlotManagerCore } from './slot-manager-core.ts'

const request = (allocationId: string, jobId = 'job') => ({ allocationId, jobId, attempt: 0 })
const freeSlots = (count: number, version = 0): SlotReport => ({
  version,
  slots: Array.from({ length: count }, (_, slotIndex) => ({ slotIndex, state: 'free', allocationId: null, jobId: null })),
})
const held = (allocationId: string, version: number, state: 'allocated' | 'releasing' = 'allocated'): SlotReport => ({
  version,
  slots: [{ slotIndex: 0, state, allocationId, jobId: 'job' }],
})
const places = (actions: readonly SlotAction[]) =>
  actions.map(action =>
    action.kind === 'requestSlot' ? `${action.request.allocationId} -> ${action.taskManagerId}/${action.slotIndex}` : `lost ${action.allocationId}`,
  )

test('A17: NONE takes the first free slot in order of registration', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm-a', freeSlots(2))
  core.register('tm-b', freeSlots(2))
  expect(['1', '2', '3', '4', '5'].flatMap(id => places(core.request(request(id))))).toEqual([
    '1 -> tm-a/0',
    '2 -> tm-a/1',
    '3 -> tm-b/0',
    '4 -> tm-b/1',
  ])
})

test('A17: SLOTS takes a slot where the smallest share is taken', () => {
  const core = new SlotManagerCore('SLOTS')
  core.register('small', freeSlots(1))
  core.register('large', freeSlots(4))
  expect(['1', '2', '3', '4', '5'].flatMap(id => places(core.request(request(id))))).toEqual([
    '1 -> small/0',
    '2 -> large/0',
    '3 -> large/1',
    '4 -> large/2',
    '5 -> large/3',
  ])
})

test('requests wait in order and are served when a TaskManager registers', () => {
  const core = new SlotManagerCore('NONE')
  for (const id of ['1', '2', '3']) expect(core.request(request(id))).toEqual([])
  core.cancelRequest('1')
  expect(core.counts()).toEqual({ total: 0, free: 0, queued: 2 })
  expect(places(core.register('tm', freeSlots(2)))).toEqual(['2 -> tm/0', '3 -> tm/1'])
})

test('a request asked for twice takes one slot', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm', freeSlots(2))
  core.request(request('1'))
  expect(core.request(request('1'))).toEqual([])
  core.answered('tm', 0, '1', true, held('1', 1))
  expect(core.request(request('1'))).toEqual([])
  expect(core.counts().free).toBe(1)
})

test('a report that shows the slot free does not take back a request that is under way', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm', freeSlots(1))
  core.request(request('1'))
  expect(core.report('tm', freeSlots(1))).toEqual([])
  expect(core.isPending('tm', 0, '1')).toBe(true)
})

test('a refused request goes to the head of the queue and elsewhere', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm-a', freeSlots(1))
  core.request(request('1'))
  core.request(request('2'))
  core.answered('tm-a', 0, '1', false, held('other', 1))
  expect(places(core.register('tm-b', freeSlots(2)))).toEqual(['1 -> tm-b/0', '2 -> tm-b/1'])
})

test('a freed slot is free by its report, and an older report does not undo it', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm', freeSlots(1))
  core.request(request('1'))
  core.answered('tm', 0, '1', true, held('1', 1))
  expect(places(core.report('tm', freeSlots(1, 3)))).toEqual(['lost 1'])
  expect(core.report('tm', held('1', 2, 'releasing'))).toEqual([])
  expect(core.counts().free).toBe(1)
})

test('a slot that was allocated and freed before its request was answered is free', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm', freeSlots(1))
  core.request(request('1'))
  core.report('tm', freeSlots(1, 3))
  expect(places(core.answered('tm', 0, '1', true, held('1', 1)))).toEqual(['lost 1'])
  expect(core.counts().free).toBe(1)
})

test('a slot that is being released is not given away', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm', held('old', 4, 'releasing'))
  expect(core.request(request('1'))).toEqual([])
  expect(places(core.report('tm', freeSlots(1, 5)))).toEqual(['lost old', '1 -> tm/0'])
})

test('a lost TaskManager gives unconfirmed requests back and names lost allocations', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm-a', freeSlots(2))
  core.request(request('1'))
  core.request(request('2'))
  core.answered('tm-a', 0, '1', true, { version: 1, slots: [{ slotIndex: 0, state: 'allocated', allocationId: '1', jobId: 'job' }] })
  core.request(request('3'))
  expect(places(core.unregister('tm-a'))).toEqual(['lost 1'])
  expect(places(core.register('tm-b', freeSlots(2)))).toEqual(['2 -> tm-b/0', '3 -> tm-b/1'])
})

test('a cancelled request that was under way is not asked for again', () => {
  const core = new SlotManagerCore('NONE')
  core.register('tm-a', freeSlots(1))
  core.request(request('1'))
  core.cancelRequest('1')
  core.unregister('tm-a')
  expect(core.register('tm-b', freeSlots(1))).toEqual([])
})
