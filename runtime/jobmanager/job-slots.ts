import { assert } from '../common/assert.ts'
import type { Clock, Timer } from '../common/clock.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { AllocatedSlot as PlacedSlot } from '../graph/deployment-builder.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { type PlannedSlot, planSlots } from '../graph/slot-assignment.ts'
import type { SlotRequest } from './slot-manager-core.ts'
import { type AllocatedSlot, SlotPool, shortageText } from './slot-pool.ts'
import type { TaskManagerHandle } from './task-gateway.ts'

/**
 * The slots that a job's plan asks for, over all its attempts and their stages: one of the pool for each planned one.
 *
 *   acquire -> (each planned slot has one) -> onComplete -> the attempt runs in `placed()` -> release -> acquire ...
 *
 * A slot that is lost before the attempt was deployed is asked for again; afterwards it is missing until the next `acquire`.
 */
export interface JobSlotsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly jobId: string
  readonly jobGraph: JobGraph
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  attempt(): number
  requestSlot(request: SlotRequest): void
  cancelSlotRequest(allocationId: string): void
  /** To the TaskManager. */
  freeSlot(slot: AllocatedSlot): void
  slotCounts(): { readonly total: number; readonly free: number }
  taskManager(id: string): TaskManagerHandle | undefined
  onComplete(): void
  onTimeout(): void
}

/** A shortage is told at first after the short one, and again so often as long as it lasts. */
const SHORTAGE_FIRST_MS = 1_000
const SHORTAGE_AGAIN_MS = 60_000

export class JobSlots {
  private readonly options: JobSlotsOptions
  private readonly pool: SlotPool
  private planned: readonly PlannedSlot[]
  /** By the request id of a planned slot. */
  private readonly slots = new Map<string, AllocatedSlot>()
  /** All of them are wanted: an attempt waits for them. */
  private acquiring = false
  private shortageTimer: Timer | undefined = undefined

  constructor(options: JobSlotsOptions) {
    const { clock, random, log, jobId, slotRequestTimeoutMs, slotIdleTimeoutMs } = options
    this.options = options
    this.planned = planSlots(options.jobGraph)
    this.pool = new SlotPool({
      clock,
      random,
      log,
      slotRequestTimeoutMs,
      slotIdleTimeoutMs,
      requestSlot: allocationId => options.requestSlot({ allocationId, jobId, attempt: options.attempt() }),
      cancelRequest: allocationId => options.cancelSlotRequest(allocationId),
      freeSlot: slot => options.freeSlot(slot),
      onAllocated: (requestId, slot) => {
        this.slots.set(requestId, slot)
        this.checkComplete()
      },
      onTimeout: () => options.onTimeout(),
    })
  }

  /** For the next attempt, or the first. */
  acquire(): void {
    this.acquiring = true
    for (const slot of this.planned) this.request(slot)
    if (this.acquiring) this.watchShortage(SHORTAGE_FIRST_MS)
  }

  /** The next attempt or stage. Slots that it does not need go back when they are idle for long. */
  replan(jobGraph: JobGraph): void {
    this.planned = planSlots(jobGraph)
  }

  get ownedCount(): number {
    return this.pool.ownedCount
  }

  /** The attempt is over: nothing is asked for any more. */
  stop(): void {
    this.acquiring = false
    this.shortageTimer?.cancel()
    this.pool.stopRequesting()
  }

  /** All of its tasks have ended: its slots are the next one's, for a while. */
  release(): void {
    this.slots.clear()
    this.pool.releaseAll()
  }

  /** The job has ended. */
  close(): void {
    this.stop()
    this.pool.close()
  }

  offer(slot: AllocatedSlot): boolean {
    return this.pool.offer(slot)
  }

  /** True = it was ours, and what ran in it is lost. */
  lose(allocationId: string): boolean {
    if (!this.pool.lose(allocationId)) return false
    for (const [requestId, slot] of this.slots) {
      if (slot.allocationId !== allocationId) continue
      this.slots.delete(requestId)
      const planned = this.planned.find(candidate => requestIdOf(candidate) === requestId)
      if (this.acquiring && planned !== undefined) this.request(planned)
    }
    return true
  }

  allocationsOn(taskManagerId: string): readonly string[] {
    return this.pool.allocationsOn(taskManagerId)
  }

  /** Where each planned slot is; once they are complete. */
  placed(): readonly PlacedSlot[] {
    return this.planned.map(planned => {
      const slot = this.slots.get(requestIdOf(planned))
      assert(slot !== undefined, 'every planned slot is allocated')
      const { allocationId, taskManagerId } = slot
      const taskManager = this.options.taskManager(taskManagerId)
      return { planned, location: { allocationId, taskManagerId, host: taskManager?.dataHost ?? '', dataPort: taskManager?.dataPort ?? 0 } }
    })
  }

  /** Missing slots per sharing group. */
  missing(): ReadonlyMap<string, number> {
    return this.pool.missing()
  }

  /** What the job still waits for; undefined when it has all of them. */
  shortage(): string | undefined {
    return this.pool.pendingCount === 0 ? undefined : shortageText(this.pool.missing(), this.options.slotCounts().free)
  }

  private request(slot: PlannedSlot): void {
    this.pool.request(requestIdOf(slot), slot.slotSharingGroup)
  }

  private checkComplete(): void {
    if (!this.acquiring || this.slots.size < this.planned.length) return
    this.acquiring = false
    this.shortageTimer?.cancel()
    this.options.onComplete()
  }

  private watchShortage(delayMs: number): void {
    this.shortageTimer?.cancel()
    this.shortageTimer = this.options.clock.schedule(delayMs, () => {
      const shortage = this.shortage()
      if (!this.acquiring || shortage === undefined) return
      this.options.log.warn(`job ${this.options.jobGraph.jobName} ${shortage}`)
      this.watchShortage(SHORTAGE_AGAIN_MS)
    })
  }
}

function requestIdOf({ slotSharingGroup, index }: PlannedSlot): string {
  return `${slotSharingGroup}/${index}`
}
