import { describe, expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import { noResourceAvailable, SlotPool, shortageText } from './slot-pool.ts'

function pool() {
  const clock = new SimulatedClock()
  const events: string[] = []
  const asked: string[] = []
  const made = new SlotPool({
    clock,
    random: seededRandom(1),
    log: noLog,
    slotRequestTimeoutMs: 300_000,
    slotIdleTimeoutMs: 50_000,
    requestSlot: allocationId => asked.push(allocationId),
    cancelRequest: allocationId => events.push(`cancel ${asked.indexOf(allocationId)}`),
    freeSlot: slot => events.push(`free ${asked.indexOf(slot.allocationId)}`),
    onAllocated: (requestId, slot) => events.push(`${requestId} = ${asked.indexOf(slot.allocationId)}`),
    onTimeout: () => events.push('timeout'),
  })
  const offer = (index: number, taskManagerId = 'tm') => made.offer({ allocationId: asked[index] ?? 'unknown', taskManagerId, slotIndex: index })
  return { clock, events, asked, offer, pool: made, id: (index: number) => asked[index] ?? '' }
}

describe('requests and offers', () => {
  test('an offer completes the request of its allocation id, once, also when it is repeated', () => {
    const { pool: p, offer, events } = pool()
    p.request('default/0', 'default')
    p.request('default/1', 'default')
    expect(offer(1)).toBe(true)
    expect(offer(1)).toBe(true)
    expect(offer(1, 'elsewhere')).toBe(false)
    expect(events).toEqual(['default/1 = 1'])
    expect(p.missing()).toEqual(new Map([['default', 1]]))
  })

  test('an offer that nobody waits for is refused', () => {
    const { pool: p, offer } = pool()
    p.request('default/0', 'default')
    expect(p.offer({ allocationId: 'other', taskManagerId: 'tm', slotIndex: 0 })).toBe(false)
    p.close()
    expect(offer(0)).toBe(false)
  })

  test('a shared slot gets the one back that it had, in whatever order they are asked for', () => {
    const { pool: p, offer, events } = pool()
    for (const index of [0, 1, 2]) p.request(`default/${index}`, 'default')
    for (const index of [2, 0, 1]) offer(index)
    p.releaseAll()
    events.length = 0
    for (const index of [1, 2, 0]) p.request(`default/${index}`, 'default')
    expect(events).toEqual(['default/1 = 1', 'default/2 = 2', 'default/0 = 0'])
  })

  test('a smaller job keeps the slots of the first TaskManagers by name; the others go back when they are idle for long', () => {
    const { pool: p, offer, events, clock } = pool()
    for (const index of [0, 1, 2]) p.request(`default/${index}`, 'default')
    for (const [index, name] of ['taskmanager-10', 'taskmanager-9', 'taskmanager-2'].entries()) offer(index, name)
    p.releaseAll()
    p.prefer(2)
    events.length = 0
    for (const index of [0, 1]) p.request(`default/${index}`, 'default')
    expect(events).toEqual(['default/0 = 1', 'default/1 = 2'])
    clock.advanceBy(50_000)
    expect(events.at(-1)).toBe('free 0')
  })

  test('asking twice for the same shared slot asks the resource manager once', () => {
    const { pool: p, offer, asked } = pool()
    p.request('default/0', 'default')
    p.request('default/0', 'default')
    offer(0)
    p.request('default/0', 'default')
    expect(asked).toHaveLength(1)
  })

  test('a slot lost before it was offered is asked for again under a new id; a lost one of ours is gone', () => {
    const { pool: p, offer, asked, id } = pool()
    p.request('default/0', 'default')
    expect(p.lose(id(0))).toBe(false)
    expect(asked).toHaveLength(2)
    expect(offer(0)).toBe(false)
    expect(offer(1)).toBe(true)
    expect(p.lose(id(1))).toBe(true)
    expect(p.allocationsOn('tm')).toEqual([])
    expect(asked).toHaveLength(2)
  })
})

describe('release (A3)', () => {
  test('a released slot serves the next request without asking the resource manager', () => {
    const { pool: p, offer, events, asked, clock, id } = pool()
    p.request('default/0', 'default')
    offer(0)
    p.release(id(0))
    clock.advanceBy(49_999)
    p.request('default/0', 'default')
    clock.advanceBy(100_000)
    expect(asked).toHaveLength(1)
    expect(events).toEqual(['default/0 = 0', 'default/0 = 0'])
  })

  test('an idle slot goes back after slot.idle.timeout, not earlier', () => {
    const { pool: p, offer, events, clock, id } = pool()
    p.request('default/0', 'default')
    offer(0)
    p.release(id(0))
    p.release(id(0))
    clock.advanceBy(49_999)
    expect(events).toEqual(['default/0 = 0'])
    clock.advanceBy(1)
    expect(events).toEqual(['default/0 = 0', 'free 0'])
    expect(p.ownedCount).toBe(0)
  })

  test('a released slot serves a waiting request, which is taken back from the resource manager', () => {
    const { pool: p, offer, events, id } = pool()
    p.request('default/0', 'default')
    offer(0)
    p.request('default/1', 'default')
    p.release(id(0))
    expect(events).toEqual(['default/0 = 0', 'cancel 1', 'default/1 = 0'])
    expect(p.pendingCount).toBe(0)
  })

  test('the end of the job gives everything back at once and leaves no timer', () => {
    const { pool: p, offer, events, clock, id } = pool()
    for (const index of [0, 1, 2]) p.request(`default/${index}`, 'default')
    offer(0)
    offer(1)
    p.release(id(1))
    p.close()
    p.close()
    expect(events).toEqual(['default/0 = 0', 'default/1 = 1', 'cancel 2', 'default/2 = 1', 'free 0', 'free 1'])
    expect(clock.pendingCount).toBe(0)
  })
})

describe('timeout (A5)', () => {
  test('fires once, slot.request.timeout after the first unserved request', () => {
    const { pool: p, offer, events, clock } = pool()
    p.request('default/0', 'default')
    clock.advanceBy(200_000)
    p.request('red/0', 'red')
    offer(0)
    clock.advanceBy(99_999)
    expect(events).toEqual(['default/0 = 0'])
    clock.advanceBy(1)
    clock.advanceBy(1_000_000)
    expect(events).toEqual(['default/0 = 0', 'timeout'])
  })

  test('does not fire when everything came in time', () => {
    const { pool: p, offer, events, clock } = pool()
    p.request('default/0', 'default')
    offer(0)
    clock.advanceBy(1_000_000)
    expect(events).toEqual(['default/0 = 0'])
  })

  test('the text names number, groups and what is free', () => {
    const missing = new Map([
      ['default', 3],
      ['red', 1],
    ])
    expect(shortageText(missing, 2)).toBe('needs 4 slots (group default: 3, group red: 1), 2 free')
    expect(shortageText(new Map([['default', 1]]), 0)).toBe('needs 1 slot (group default: 1), 0 free')
    const error = noResourceAvailable(missing, 2, 8, 300_000)
    expect(error.name).toBe('NoResourceAvailableException')
    expect(error.code).toBe('NO_RESOURCE_AVAILABLE')
    expect(error.message).toBe(
      'could not acquire the slots of the job within slot.request.timeout (300 s): it needs 4 slots (group default: 3, group red: 1), 2 free, 8 in the cluster',
    )
  })
})
