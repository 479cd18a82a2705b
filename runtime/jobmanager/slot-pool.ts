import type { Clock, Timer } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { type Id, newId } from '../common/ids.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'

/**
 * The slots of one job. Requests wait here until a TaskManager offers the slot that the ResourceManager asked it for.
 *
 * 1. `request(profile)` takes an idle slot of the pool at once, the one that it had before all others, else queues and asks the ResourceManager under a new allocation id.
 * 2. `offer` completes the request of that allocation id; an offer that nobody waits for is refused, and the TaskManager frees the slot.
 * 3. `release` makes a slot idle: it stays allocated, so that a restarted task gets it back without asking anybody; after
 *    `slot.idle.timeout` it goes back through the TaskManager, which tells the ResourceManager.
 * 4. `close` gives everything back at once: the next job waits for it.
 *
 * A request not served within `slot.request.timeout` fails the whole pool with NO_RESOURCE_AVAILABLE, once.
 */
export interface AllocatedSlot {
  readonly allocationId: Id
  readonly taskManagerId: string
  readonly slotIndex: number
}

export interface SlotPoolOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  /** To the ResourceManager. */
  requestSlot(allocationId: Id): void
  cancelRequest(allocationId: Id): void
  /** To the TaskManager. */
  freeSlot(slot: AllocatedSlot): void
  onAllocated(requestId: string, slot: AllocatedSlot): void
  /** Once: what is missing stayed missing for `slot.request.timeout`. */
  onTimeout(): void
}

interface PendingRequest {
  readonly requestId: string
  readonly group: string
  allocationId: Id
}

interface OwnedSlot {
  readonly slot: AllocatedSlot
  /** The request it serves; undefined = idle. */
  requestId: string | undefined
  /** The one that it served before: what its tasks have left there is of use to the same ones. */
  servedLast: string | undefined
  idleTimer: Timer | undefined
  /** The job has become smaller. */
  isSpare: boolean
}

/** `taskmanager-10` stands behind `taskmanager-9`. */
const byName = new Intl.Collator('en', { numeric: true })

export class SlotPool {
  private readonly options: SlotPoolOptions
  private readonly pending = new Map<Id, PendingRequest>()
  private readonly owned = new Map<Id, OwnedSlot>()
  private timeout: Timer | undefined = undefined
  private closed = false

  constructor(options: SlotPoolOptions) {
    this.options = options
  }

  /** `requestId` names the shared slot, `default/0`; asking twice for the same one does nothing. */
  request(requestId: string, group: string): void {
    if (this.closed || this.isServed(requestId)) return
    const all = [...this.owned.values()].filter(entry => entry.requestId === undefined)
    const kept = all.filter(({ isSpare }) => !isSpare)
    const idle = kept.length > 0 ? kept : all
    const entry = idle.find(({ servedLast }) => servedLast === requestId) ?? idle.find(({ servedLast }) => servedLast === undefined) ?? idle[0]
    if (entry !== undefined) {
      entry.idleTimer?.cancel()
      entry.idleTimer = undefined
      entry.requestId = requestId
      entry.isSpare = false
      this.options.onAllocated(requestId, entry.slot)
      return
    }
    const allocationId = newId(this.options.random)
    this.pending.set(allocationId, { requestId, group, allocationId })
    this.timeout ??= this.options.clock.schedule(this.options.slotRequestTimeoutMs, () => this.expire())
    this.options.requestSlot(allocationId)
  }

  /** True = the slot is ours now (or was already, at that very place). */
  offer(slot: AllocatedSlot): boolean {
    if (this.closed) return false
    const known = this.owned.get(slot.allocationId)
    if (known !== undefined) return known.slot.taskManagerId === slot.taskManagerId && known.slot.slotIndex === slot.slotIndex
    const request = this.pending.get(slot.allocationId)
    if (request === undefined) return false
    this.pending.delete(slot.allocationId)
    this.owned.set(slot.allocationId, { slot, requestId: request.requestId, servedLast: undefined, idleTimer: undefined, isSpare: false })
    if (this.pending.size === 0) this.stopTimeout()
    this.options.onAllocated(request.requestId, slot)
    return true
  }

  /** Its tasks have ended; kept for the next ones until the idle timeout. */
  release(allocationId: Id): void {
    const entry = this.owned.get(allocationId)
    if (entry === undefined || entry.requestId === undefined) return
    entry.servedLast = entry.requestId
    entry.requestId = undefined
    for (const request of this.pending.values()) {
      // Somebody waits: serve him with this one and take back what was asked of the ResourceManager.
      this.pending.delete(request.allocationId)
      this.options.cancelRequest(request.allocationId)
      if (this.pending.size === 0) this.stopTimeout()
      entry.requestId = request.requestId
      this.options.onAllocated(request.requestId, entry.slot)
      return
    }
    entry.idleTimer = this.options.clock.schedule(this.options.slotIdleTimeoutMs, () => {
      this.owned.delete(allocationId)
      this.options.log.debug('slot is idle and goes back', { allocationId })
      this.options.freeSlot(entry.slot)
    })
  }

  /**
   * The slot is gone (its TaskManager is lost, or freed it). A request that was still waiting for it is asked again under a new id;
   * an owned slot is forgotten, and true says so: its tasks are lost with it.
   */
  lose(allocationId: Id): boolean {
    const request = this.pending.get(allocationId)
    if (request !== undefined) {
      this.pending.delete(allocationId)
      request.allocationId = newId(this.options.random)
      this.pending.set(request.allocationId, request)
      this.options.requestSlot(request.allocationId)
      return false
    }
    const entry = this.owned.get(allocationId)
    if (entry === undefined) return false
    entry.idleTimer?.cancel()
    this.owned.delete(allocationId)
    return true
  }

  /** The tasks of every slot have ended: all are idle. */
  releaseAll(): void {
    for (const allocationId of [...this.owned.keys()]) this.release(allocationId)
  }

  /** All are idle, and the job needs so many from now on: those of the first TaskManagers by name, for others are the TaskManagers that may go. */
  prefer(count: number): void {
    const entries = [...this.owned.values()]
    entries.sort(({ slot: a }, { slot: b }) => byName.compare(a.taskManagerId, b.taskManagerId) || a.slotIndex - b.slotIndex)
    for (const [index, entry] of entries.entries()) entry.isSpare = index >= count
  }

  /** Nobody waits for it any more. */
  withdraw(requestId: string): void {
    for (const request of this.pending.values()) {
      if (request.requestId !== requestId) continue
      this.pending.delete(request.allocationId)
      this.options.cancelRequest(request.allocationId)
    }
    if (this.pending.size === 0) this.stopTimeout()
  }

  private stopRequesting(): void {
    this.stopTimeout()
    for (const allocationId of this.pending.keys()) this.options.cancelRequest(allocationId)
    this.pending.clear()
  }

  /** The job has ended: nothing is asked for any more, and every slot is free for others at once. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.stopRequesting()
    for (const entry of this.owned.values()) {
      entry.idleTimer?.cancel()
      this.options.freeSlot(entry.slot)
    }
    this.owned.clear()
  }

  /** What this job owns on a TaskManager, for heartbeats. */
  allocationsOn(taskManagerId: string): Id[] {
    const ids: Id[] = []
    for (const [allocationId, entry] of this.owned) if (entry.slot.taskManagerId === taskManagerId) ids.push(allocationId)
    return ids
  }

  get ownedCount(): number {
    return this.owned.size
  }

  get pendingCount(): number {
    return this.pending.size
  }

  /** Missing slots per sharing group. */
  missing(): ReadonlyMap<string, number> {
    const groups = new Map<string, number>()
    for (const { group } of this.pending.values()) groups.set(group, (groups.get(group) ?? 0) + 1)
    return groups
  }

  private isServed(requestId: string): boolean {
    for (const request of this.pending.values()) if (request.requestId === requestId) return true
    for (const entry of this.owned.values()) if (entry.requestId === requestId) return true
    return false
  }

  private expire(): void {
    this.timeout = undefined
    if (this.closed || this.pending.size === 0) return
    this.options.onTimeout()
  }

  private stopTimeout(): void {
    this.timeout?.cancel()
    this.timeout = undefined
  }
}

/** `needs 4 slots (group default: 3, group red: 1), 2 free`: the text in REST, list and log while a job waits. */
export function shortageText(missing: ReadonlyMap<string, number>, freeCount: number): string {
  let total = 0
  const groups: string[] = []
  for (const [group, count] of missing) {
    total += count
    groups.push(`group ${group}: ${count}`)
  }
  return `needs ${total} ${total === 1 ? 'slot' : 'slots'} (${groups.join(', ')}), ${freeCount} free`
}

export function noResourceAvailable(missing: ReadonlyMap<string, number>, freeCount: number, slotsTotal: number, timeoutMs: number): FlinkError {
  const error = new FlinkError(
    'NO_RESOURCE_AVAILABLE',
    `could not acquire the slots of the job within slot.request.timeout (${timeoutMs / 1000} s): it ${shortageText(missing, freeCount)}, ${slotsTotal} in the cluster`,
    { missing: Object.fromEntries(missing), free: freeCount, total: slotsTotal },
  )
  // Flink's name: it is what people search for.
  error.name = 'NoResourceAvailableException'
  return error
}
