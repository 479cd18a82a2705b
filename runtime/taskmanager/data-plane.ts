import type { SlotDeployment } from '../graph/deployment.ts'
import type { ExchangePeer } from '../network/exchange-client.ts'
import type { ExchangeScope } from '../network/exchange-server.ts'
import type { PagePool, PageRef } from '../network/page-pool.ts'
import { createRing } from '../network/ring.ts'
import { type ChannelMedium, createMedium } from './channel-medium.ts'

/**
 * Media of the channels that leave slots, on the TaskManager's main thread: who shares which ring, and when its pages may be used again.
 *
 * A ring's pages go back to the pool when no thread can touch them any more:
 * - between two slots here: when both slots are released, or no slot of the attempt is left here;
 * - to another TaskManager: when the producer's slot is released and the I/O worker says the consumer has everything or is gone;
 * - from another TaskManager: when the consumer's slot is released and the I/O worker has let the ring go.
 */
export interface ExchangePort {
  /** Offer a ring that a slot here writes into. */
  serve(scope: ExchangeScope, medium: ChannelMedium): void
  /** Fetch from `peer` into a ring that a slot here reads. */
  fetch(scope: ExchangeScope, peer: ExchangePeer, medium: ChannelMedium): void
  /** The producer's slot is gone; `onIoReleased` follows when the ring has been drained or given up. */
  endServing(scope: ExchangeScope, channelId: string, orderly: boolean): void
  /** The consumer's slot is gone; `onIoReleased` follows. */
  endFetching(scope: ExchangeScope, channelId: string): void
}

interface Entry {
  readonly medium: ChannelMedium
  readonly pages: readonly PageRef[]
  /** Allocations and the I/O worker that may still touch the ring. */
  readonly users: Set<string>
  readonly kind: 'local' | 'out' | 'in'
  readonly channelId: string
}

interface Attempt {
  readonly scope: ExchangeScope
  readonly entries: Map<string, Entry>
  readonly allocations: Set<string>
}

const IO = 'io worker'

export class DataPlane {
  private readonly pool: PagePool
  private readonly exchange: ExchangePort
  private readonly pagesPerChannel: number
  private readonly attempts = new Map<string, Attempt>()
  private nextChannel = 0

  constructor(pool: PagePool, exchange: ExchangePort, pagesPerChannel: number) {
    this.pool = pool
    this.exchange = exchange
    this.pagesPerChannel = pagesPerChannel
  }

  /** Out of pages: INSUFFICIENT_NETWORK_BUFFERS, and nothing stays acquired for this allocation. */
  wire(deployment: SlotDeployment): Record<string, ChannelMedium> {
    const { jobId, generation, attempt, allocationId } = deployment
    const scope = { jobId, generation, attempt }
    const key = scopeKey(scope)
    const owner = this.attempts.get(key) ?? { scope, entries: new Map<string, Entry>(), allocations: new Set<string>() }
    this.attempts.set(key, owner)
    owner.allocations.add(allocationId)
    const media: Record<string, ChannelMedium> = {}
    try {
      for (const task of deployment.tasks) {
        for (const { channels } of task.outputs) {
          for (const { channelId, peer } of channels) {
            if (peer.kind === 'slot') continue
            const entry = this.entry(owner, channelId, peer.kind === 'local' ? 'local' : 'out', allocationId)
            media[channelId] = entry.medium
            if (entry.kind === 'out') this.exchange.serve(scope, entry.medium)
          }
        }
        for (const { channels } of task.inputs) {
          for (const { channelId, peer } of channels) {
            if (peer.kind === 'slot') continue
            const entry = this.entry(owner, channelId, peer.kind === 'local' ? 'local' : 'in', allocationId)
            media[channelId] = entry.medium
            if (peer.kind === 'remote') this.exchange.fetch(scope, peer, entry.medium)
          }
        }
      }
    } catch (error) {
      this.release(jobId, attempt, allocationId, false)
      throw error
    }
    return media
  }

  /** `orderly`: the slot's tasks finished, so what they wrote must still reach its consumers. */
  release(jobId: string, attempt: number, allocationId: string, orderly: boolean): void {
    for (const [key, owner] of this.attempts) {
      if (owner.scope.jobId !== jobId || owner.scope.attempt !== attempt || !owner.allocations.delete(allocationId)) continue
      const last = owner.allocations.size === 0
      for (const entry of [...owner.entries.values()]) {
        if (entry.users.delete(allocationId)) {
          if (entry.kind === 'out') this.exchange.endServing(owner.scope, entry.channelId, orderly)
          if (entry.kind === 'in') this.exchange.endFetching(owner.scope, entry.channelId)
        }
        // A slot that was to be the other end never came: nobody else will.
        if (last && entry.kind === 'local') entry.users.clear()
        this.freeIfUnused(owner, entry)
      }
      if (last && owner.entries.size === 0) this.attempts.delete(key)
    }
  }

  onIoReleased(scope: ExchangeScope, channelId: string): void {
    const key = scopeKey(scope)
    const owner = this.attempts.get(key)
    const entry = owner?.entries.get(channelId)
    if (owner === undefined || entry === undefined) return
    entry.users.delete(IO)
    this.freeIfUnused(owner, entry)
    if (owner.allocations.size === 0 && owner.entries.size === 0) this.attempts.delete(key)
  }

  private entry(owner: Attempt, channelId: string, kind: Entry['kind'], allocationId: string): Entry {
    const present = owner.entries.get(channelId)
    if (present !== undefined) {
      present.users.add(allocationId)
      return present
    }
    const pages = this.pool.acquire(this.pagesPerChannel, `channel ${channelId}`)
    const medium = createMedium(createRing(pages, this.nextChannel++, channelId, kind !== 'local'))
    const entry: Entry = { medium, pages, users: new Set(kind === 'local' ? [allocationId] : [allocationId, IO]), kind, channelId }
    owner.entries.set(channelId, entry)
    return entry
  }

  private freeIfUnused(owner: Attempt, entry: Entry): void {
    if (entry.users.size > 0) return
    owner.entries.delete(entry.channelId)
    this.pool.release(entry.pages)
  }
}

function scopeKey({ jobId, generation, attempt }: ExchangeScope): string {
  return `${jobId}/${generation}/${attempt}`
}
