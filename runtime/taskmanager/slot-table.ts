import { assert } from '../common/assert.ts'
import type { SlotOffer, SlotReport } from '../rpc/messages.ts'

/**
 * The TaskManager's own truth about its slots; the ResourceManager and the JobMasters only remember what it said. Pure.
 *
 * free --allocate--> allocated (to be offered) --accepted--> allocated --release--> releasing --freed--> free.
 * A slot is `releasing` while its host ends: nobody may have it yet. Every change raises `version`, so that reports can be ordered.
 */
export interface SlotAllocation {
  readonly slotIndex: number
  readonly jobId: string
  readonly allocationId: string
}

type Slot =
  | { readonly state: 'free' }
  /** `acceptedVersion`: the JobMaster's allocation version with which it took the offer; undefined until then. */
  | { readonly state: 'allocated'; readonly allocation: SlotAllocation; readonly acceptedVersion: number | undefined }
  | { readonly state: 'releasing'; readonly allocation: SlotAllocation }

export class SlotTable {
  private readonly slots: Slot[]
  private version = 0

  constructor(slotCount: number) {
    assert(slotCount > 0, 'a TaskManager has slots')
    this.slots = Array.from({ length: slotCount }, (): Slot => ({ state: 'free' }))
  }

  /** `known`: it holds this very allocation already, the request was doubled. */
  allocate(allocation: SlotAllocation): 'allocated' | 'known' | 'occupied' {
    const slot = this.slots[allocation.slotIndex]
    if (slot === undefined) return 'occupied'
    if (slot.state === 'allocated' && slot.allocation.allocationId === allocation.allocationId) return 'known'
    // The id elsewhere: a request that was repeated for another slot although the first one arrived.
    if (slot.state !== 'free' || this.find(allocation.allocationId) !== undefined) return 'occupied'
    this.set(allocation.slotIndex, { state: 'allocated', allocation, acceptedVersion: undefined })
    return 'allocated'
  }

  accepted(allocationId: string, allocationVersion: number): void {
    const slot = this.find(allocationId)
    if (slot?.state !== 'allocated') return
    this.slots[slot.allocation.slotIndex] = { ...slot, acceptedVersion: Math.max(slot.acceptedVersion ?? 0, allocationVersion) }
  }

  /** The allocation as long as it is usable. */
  allocation(allocationId: string): SlotAllocation | undefined {
    const slot = this.find(allocationId)
    return slot?.state === 'allocated' ? slot.allocation : undefined
  }

  /** True when there was something to release; false: unknown, or under way already. */
  release(allocationId: string): boolean {
    const slot = this.find(allocationId)
    if (slot?.state !== 'allocated') return false
    this.set(slot.allocation.slotIndex, { state: 'releasing', allocation: slot.allocation })
    return true
  }

  freed(allocationId: string): void {
    const slot = this.find(allocationId)
    if (slot?.state === 'releasing') this.set(slot.allocation.slotIndex, { state: 'free' })
  }

  /** Allocations that their JobMaster has not taken yet, as far as is known here: to be offered (again). */
  unaccepted(): readonly SlotAllocation[] {
    return this.slots.flatMap(slot => (slot.state === 'allocated' && slot.acceptedVersion === undefined ? [slot.allocation] : []))
  }

  /** Accepted once, but not among what the JobMasters own in a list that is not older than the acceptance: nobody will ever free them. */
  orphans(owned: readonly string[], allocationVersion: number): readonly SlotAllocation[] {
    const ids = new Set(owned)
    return this.slots.flatMap(slot => {
      if (slot.state !== 'allocated' || slot.acceptedVersion === undefined) return []
      return slot.acceptedVersion <= allocationVersion && !ids.has(slot.allocation.allocationId) ? [slot.allocation] : []
    })
  }

  allocations(): readonly SlotAllocation[] {
    return this.slots.flatMap(slot => (slot.state === 'allocated' ? [slot.allocation] : []))
  }

  report(): SlotReport {
    return {
      version: this.version,
      slots: this.slots.map((slot, slotIndex) =>
        slot.state === 'free'
          ? { slotIndex, state: 'free' as const, allocationId: null, jobId: null }
          : { slotIndex, state: slot.state, allocationId: slot.allocation.allocationId, jobId: slot.allocation.jobId },
      ),
    }
  }

  private find(allocationId: string): Exclude<Slot, { state: 'free' }> | undefined {
    for (const slot of this.slots) if (slot.state !== 'free' && slot.allocation.allocationId === allocationId) return slot
    return undefined
  }

  private set(slotIndex: number, slot: Slot): void {
    this.slots[slotIndex] = slot
    this.version++
  }
}

export function asOffer({ allocationId, slotIndex }: SlotAllocation): SlotOffer {
  return { allocationId, slotIndex }
}
