import type { SlotReport } from '../rpc/messages.ts'

/**
 * Which slot goes to which request. Pure: methods change the tables and answer what must be done; `ResourceManager` does it.
 *
 * A slot is `free`; `pending` from the moment it was chosen until the TaskManager confirmed; `allocated` as long as the TaskManager says
 * so. Reports carry a version: one that is older than what is known already (a confirmation overtook it) is ignored. That, and
 * requests named by allocation id, make every message idempotent: doubled, late and lost ones are repaired by the next report.
 *
 * Invariants: an allocation id stands in the queue or in at most one slot, never in both; requests are served first come, first served.
 */
export type LoadBalanceMode = 'NONE' | 'SLOTS'

export interface SlotRequest {
  readonly allocationId: string
  readonly jobId: string
}

type SlotRecord =
  | { kind: 'free' }
  | { kind: 'pending'; request: SlotRequest; wanted: boolean }
  | { kind: 'allocated'; allocationId: string; jobId: string }

interface TaskManagerRecord {
  readonly id: string
  version: number
  readonly slots: SlotRecord[]
}

export type SlotAction =
  | { readonly kind: 'requestSlot'; readonly taskManagerId: string; readonly slotIndex: number; readonly request: SlotRequest }
  /** The slot that was given to this allocation is gone; its owner has to ask anew or give up. */
  | { readonly kind: 'allocationLost'; readonly allocationId: string; readonly jobId: string; readonly taskManagerId: string }

const free: SlotRecord = { kind: 'free' }

export class SlotManagerCore {
  private readonly mode: LoadBalanceMode
  /** In order of registration: NONE takes the first free slot in this order. */
  private readonly taskManagers = new Map<string, TaskManagerRecord>()
  private readonly queue = new Map<string, SlotRequest>()

  constructor(mode: LoadBalanceMode) {
    this.mode = mode
  }

  register(taskManagerId: string, report: SlotReport): SlotAction[] {
    const lost = this.unregister(taskManagerId)
    this.taskManagers.set(taskManagerId, { id: taskManagerId, version: -1, slots: report.slots.map(() => free) })
    return [...lost, ...this.report(taskManagerId, report)]
  }

  /** The TaskManager is gone: its unconfirmed requests go back to the head of the queue, its allocations are lost. */
  unregister(taskManagerId: string): SlotAction[] {
    const record = this.taskManagers.get(taskManagerId)
    if (record === undefined) return []
    this.taskManagers.delete(taskManagerId)
    const actions: SlotAction[] = []
    const unconfirmed: SlotRequest[] = []
    for (const slot of record.slots) {
      if (slot.kind === 'pending' && slot.wanted) unconfirmed.push(slot.request)
      if (slot.kind === 'allocated') actions.push({ kind: 'allocationLost', allocationId: slot.allocationId, jobId: slot.jobId, taskManagerId })
    }
    this.queueFirst(unconfirmed)
    return [...actions, ...this.match()]
  }

  request(request: SlotRequest): SlotAction[] {
    if (this.isKnown(request.allocationId)) return []
    this.queue.set(request.allocationId, request)
    return this.match()
  }

  /** A request that is on its way to a TaskManager stays pending: the JobMaster rejects the offer, which frees the slot. */
  cancelRequest(allocationId: string): void {
    this.queue.delete(allocationId)
    for (const record of this.taskManagers.values()) {
      for (const slot of record.slots) if (slot.kind === 'pending' && slot.request.allocationId === allocationId) slot.wanted = false
    }
  }

  /** The TaskManager's answer to `requestSlot`. */
  answered(taskManagerId: string, slotIndex: number, allocationId: string, accepted: boolean, report: SlotReport): SlotAction[] {
    const record = this.taskManagers.get(taskManagerId)
    const slot = record?.slots[slotIndex]
    if (record === undefined || slot?.kind !== 'pending' || slot.request.allocationId !== allocationId) return this.report(taskManagerId, report)
    if (!accepted) {
      record.slots[slotIndex] = free
      if (slot.wanted) this.queueFirst([slot.request])
    } else if (report.version < record.version) {
      // A newer report overtook the answer and showed the slot free, or it would not be pending: allocated and freed already.
      record.slots[slotIndex] = free
      return [{ kind: 'allocationLost', allocationId, jobId: slot.request.jobId, taskManagerId }, ...this.match()]
    }
    return this.report(taskManagerId, report)
  }

  report(taskManagerId: string, report: SlotReport): SlotAction[] {
    const record = this.taskManagers.get(taskManagerId)
    if (record === undefined || report.version < record.version) return []
    record.version = report.version
    const actions: SlotAction[] = []
    for (const status of report.slots) {
      const known = record.slots[status.slotIndex]
      if (known === undefined) continue
      // `releasing` counts as taken, by the job that it still belongs to.
      const held = status.state === 'free' ? undefined : { allocationId: status.allocationId ?? '', jobId: status.jobId ?? '' }
      if (known.kind === 'pending') {
        // Free: our request has not arrived yet and is under way. Another allocation: it will be refused; ask elsewhere at once.
        if (held === undefined) continue
        if (held.allocationId !== known.request.allocationId && known.wanted) this.queueFirst([known.request])
      } else if (known.kind === 'allocated' && held?.allocationId !== known.allocationId) {
        actions.push({ kind: 'allocationLost', allocationId: known.allocationId, jobId: known.jobId, taskManagerId })
      }
      record.slots[status.slotIndex] = held === undefined ? free : { kind: 'allocated', ...held }
      if (held !== undefined) this.queue.delete(held.allocationId)
    }
    return [...actions, ...this.match()]
  }

  /** Still wanted? Decides whether an unanswered `requestSlot` is repeated. */
  isPending(taskManagerId: string, slotIndex: number, allocationId: string): boolean {
    const slot = this.taskManagers.get(taskManagerId)?.slots[slotIndex]
    return slot?.kind === 'pending' && slot.request.allocationId === allocationId
  }

  counts(): { readonly total: number; readonly free: number; readonly queued: number } {
    let total = 0
    let freeCount = 0
    for (const record of this.taskManagers.values()) {
      total += record.slots.length
      for (const slot of record.slots) if (slot.kind === 'free') freeCount++
    }
    return { total, free: freeCount, queued: this.queue.size }
  }

  slotsOf(taskManagerId: string): readonly { readonly allocationId: string | undefined; readonly jobId: string | undefined }[] {
    const record = this.taskManagers.get(taskManagerId)
    return (record?.slots ?? []).map(slot => {
      if (slot.kind === 'free') return { allocationId: undefined, jobId: undefined }
      return slot.kind === 'pending'
        ? { allocationId: slot.request.allocationId, jobId: slot.request.jobId }
        : { allocationId: slot.allocationId, jobId: slot.jobId }
    })
  }

  private match(): SlotAction[] {
    const actions: SlotAction[] = []
    for (const request of this.queue.values()) {
      const choice = this.choose()
      if (choice === undefined) break
      this.set(choice.taskManagerId, choice.slotIndex, { kind: 'pending', request, wanted: true })
      this.queue.delete(request.allocationId)
      actions.push({ kind: 'requestSlot', ...choice, request })
    }
    return actions
  }

  /** NONE: the first free slot. SLOTS: a slot of the TaskManager that has the smallest share of its slots taken; the first of equals. */
  private choose(): { taskManagerId: string; slotIndex: number } | undefined {
    let best: { taskManagerId: string; slotIndex: number } | undefined
    let bestShare = Number.POSITIVE_INFINITY
    for (const record of this.taskManagers.values()) {
      const slotIndex = record.slots.findIndex(slot => slot.kind === 'free')
      if (slotIndex < 0) continue
      if (this.mode === 'NONE') return { taskManagerId: record.id, slotIndex }
      const share = record.slots.filter(slot => slot.kind !== 'free').length / record.slots.length
      if (share < bestShare) {
        best = { taskManagerId: record.id, slotIndex }
        bestShare = share
      }
    }
    return best
  }

  private isKnown(allocationId: string): boolean {
    if (this.queue.has(allocationId)) return true
    for (const record of this.taskManagers.values()) {
      for (const slot of record.slots) {
        if (slot.kind === 'pending' && slot.request.allocationId === allocationId) return true
        if (slot.kind === 'allocated' && slot.allocationId === allocationId) return true
      }
    }
    return false
  }

  private set(taskManagerId: string, slotIndex: number, slot: SlotRecord): void {
    const record = this.taskManagers.get(taskManagerId)
    if (record !== undefined) record.slots[slotIndex] = slot
  }

  /** Requests that had a slot already were first: they stay first. */
  private queueFirst(requests: readonly SlotRequest[]): void {
    if (requests.length === 0) return
    const rest = [...this.queue.values()]
    this.queue.clear()
    for (const request of [...requests, ...rest]) this.queue.set(request.allocationId, request)
  }
}
