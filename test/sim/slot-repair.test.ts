import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type SlotAction, SlotManagerCore } from '../../runtime/jobmanager/slot-manager-core.ts'
import { SlotTable } from '../../runtime/taskmanager/slot-table.ts'

const request = (allocationId: string) => ({ allocationId, jobId: 'job' })

/**
 * A4 as a property: the ResourceManager's table against a TaskManager's, with every message held in a bag from which it is taken in any
 * order, any number of times, or never. After one last report both agree.
 */
test('however slot messages are dropped, doubled and reordered, one report makes both sides agree', () => {
  const step = fc.record({
    kind: fc.constantFrom('request', 'deliver', 'deliver', 'deliver', 'free', 'heartbeat', 'cancel'),
    pick: fc.nat(),
    keep: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.constantFrom('NONE' as const, 'SLOTS' as const),
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 80 }),
      (mode, slotCount, steps) => {
        const core = new SlotManagerCore(mode)
        const table = new SlotTable(slotCount)
        const bag: (() => void)[] = []
        const asked: { slotIndex: number; allocationId: string }[] = []
        let next = 0
        const act = (actions: readonly SlotAction[]) => {
          for (const action of actions) {
            if (action.kind !== 'requestSlot') continue
            const { slotIndex, request: wanted } = action
            asked.push({ slotIndex, allocationId: wanted.allocationId })
            bag.push(() => {
              const outcome = table.allocate({ slotIndex, ...wanted })
              const report = table.report()
              bag.push(() => act(core.answered('tm', slotIndex, wanted.allocationId, outcome !== 'occupied', report)))
            })
          }
        }
        act(core.register('tm', table.report()))
        for (const { kind, pick, keep } of steps) {
          if (kind === 'request') act(core.request(request(`a${next++}`)))
          if (kind === 'cancel') core.cancelRequest(`a${pick % Math.max(1, next)}`)
          if (kind === 'deliver' && bag.length > 0) {
            const index = pick % bag.length
            const message = bag[index]
            if (!keep) bag.splice(index, 1)
            message?.()
          }
          const allocation = table.allocations()[pick % slotCount]
          if (kind === 'free' && allocation !== undefined) {
            table.release(allocation.allocationId)
            if (keep) table.freed(allocation.allocationId)
          }
          if (kind === 'heartbeat') {
            const report = table.report()
            bag.push(() => act(core.report('tm', report)))
          }
          checkInvariants(core, slotCount)
        }
        // The network is calm now: reports arrive, and what is still pending is asked for again and answered, until nothing is left to do.
        for (let quiet = false; !quiet; ) {
          act(core.report('tm', table.report()))
          const pending = asked.find(({ slotIndex, allocationId }) => core.isPending('tm', slotIndex, allocationId))
          quiet = pending === undefined
          if (pending === undefined) continue
          const outcome = table.allocate({ ...request(pending.allocationId), slotIndex: pending.slotIndex })
          act(core.answered('tm', pending.slotIndex, pending.allocationId, outcome !== 'occupied', table.report()))
        }
        const theirs = table.report().slots.map(slot => slot.allocationId ?? undefined)
        expect(core.slotsOf('tm').map(slot => slot.allocationId)).toEqual(theirs)
      },
    ),
    { numRuns: 500 },
  )
})

function checkInvariants(core: SlotManagerCore, slotCount: number): void {
  const ids = core.slotsOf('tm').flatMap(slot => slot.allocationId ?? [])
  expect(new Set(ids).size).toBe(ids.length)
  expect(core.counts().free).toBe(slotCount - ids.length)
}
