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
 * The slots that a job's plan asks for, over all its restarts: one of the pool for each planned one, which keeps it until it is lost. So tasks come back to
 * where they were.
 *
 *   want -> (a slot has come) -> onAvailable -> has, placed
 *
 * A slot that is lost while it is wanted is asked for again; otherwise it is missing until somebody wants it.
 */
export interface JobSlotsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly jobId: string
  readonly jobGraph: JobGraph
  readonly slotRequestTimeoutMs: number
  readonly slotIdleTimeoutMs: number
  requestSlot(request: SlotRequest): void
  cancelSlotRequest(allocationId: string): void
  /** To the TaskManager. */
  freeSlot(slot: AllocatedSlot): void
  slotCounts(): { readonly total: number; readonly free: number }
  taskManager(id: string): TaskManagerHandle | undefined
  /** One more of those that are wanted is there. */
  onAvailable(): void
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
  /** Tasks wait for these, by request id. */
  private wanted: ReadonlyMap<string, PlannedSlot> = new Map()
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
      requestSlot: allocationId => options.requestSlot({ allocationId, jobId }),
      cancelRequest: allocationId => options.cancelSlotRequest(allocationId),
      freeSlot: slot => options.freeSlot(slot),
      onAllocated: (requestId, slot) => {
        this.slots.set(requestId, slot)
        if (this.isWhole) this.shortageTimer?.cancel()
        options.onAvailable()
      },
      onTimeout: () => options.onTimeout(),
    })
  }

  get plan(): readonly PlannedSlot[] {
    return this.planned
  }

  /** Tasks wait for exactly these. */
  want(planned: readonly PlannedSlot[]): void {
    const before = this.wanted
    this.wanted = new Map(planned.map(slot => [requestIdOf(slot), slot]))
    for (const requestId of before.keys()) if (!this.wanted.has(requestId)) this.pool.withdraw(requestId)
    for (const slot of planned) if (!this.has([slot]) && this.isWanted(slot)) this.pool.request(requestIdOf(slot), slot.slotSharingGroup)
    if (this.isWhole) this.shortageTimer?.cancel()
    else if (before.size === 0) this.watchShortage(SHORTAGE_FIRST_MS)
  }

  has(planned: readonly PlannedSlot[]): boolean {
    return planned.every(slot => this.slots.has(requestIdOf(slot)))
  }

  /** None of their tasks runs, or is to run soon: others of the job may have them, until they have been idle for long. */
  giveBack(planned: readonly PlannedSlot[]): void {
    for (const requestId of planned.map(requestIdOf)) {
      const slot = this.slots.get(requestId)
      this.slots.delete(requestId)
      if (slot !== undefined) this.pool.release(slot.allocationId)
    }
  }

  /** The job has other parallelisms from now on, and no task runs. Slots that it does not need go back when they are idle for long. */
  replan(jobGraph: JobGraph): void {
    this.planned = planSlots(jobGraph)
    this.slots.clear()
    this.pool.releaseAll()
    this.pool.prefer(this.planned.length)
  }

  get ownedCount(): number {
    return this.pool.ownedCount
  }

  /** The job has ended. */
  close(): void {
    this.want([])
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
      const planned = this.wanted.get(requestId)
      if (planned !== undefined) this.pool.request(requestId, planned.slotSharingGroup)
    }
    return true
  }

  allocationsOn(taskManagerId: string): readonly string[] {
    return this.pool.allocationsOn(taskManagerId)
  }

  /** Where each of these is, once they are there. */
  placed(slots: readonly PlannedSlot[]): readonly PlacedSlot[] {
    return slots.map(planned => {
      const slot = this.slots.get(requestIdOf(planned))
      assert(slot !== undefined, 'the planned slot is allocated')
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

  /** Also behind what `onAvailable` has done. */
  private isWanted(slot: PlannedSlot): boolean {
    return this.wanted.has(requestIdOf(slot))
  }

  private get isWhole(): boolean {
    return this.has([...this.wanted.values()])
  }

  private watchShortage(delayMs: number): void {
    this.shortageTimer?.cancel()
    this.shortageTimer = this.options.clock.schedule(delayMs, () => {
      const shortage = this.shortage()
      if (this.isWhole || shortage === undefined) return
      this.options.log.warn(`job ${this.options.jobGraph.jobName} ${shortage}`)
      this.watchShortage(SHORTAGE_AGAIN_MS)
    })
  }
}

function requestIdOf({ slotSharingGroup, index }: PlannedSlot): string {
  return `${slotSharingGroup}/${index}`
}
