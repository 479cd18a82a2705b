import { FlinkError } from '../common/errors.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import { murmur3Hex } from '../graph/murmur3-128.ts'
import type { ExchangePeer } from '../network/exchange-client.ts'
import { type ExchangeScope, scopeKey } from '../network/exchange-scope.ts'
import type { PagePool, PageRef } from '../network/page-pool.ts'
import { createRing } from '../network/ring.ts'
import { type ChannelMedium, createMedium } from './channel-medium.ts'

/**
 * Media of the channels that leave slots, on the TaskManager's main thread: who shares which ring, and when its pages may be used again.
 *
 * Pages of an attempt of a region go back to the pool together, when no thread can touch them any more: what was deployed of it into slots here is released, and the
 * I/O worker has let go (it first sends what slots that finished in order have left behind).
 */
export interface ExchangePort {
  /** Offer a ring that a slot here writes into. */
  serve(scope: ExchangeScope, medium: ChannelMedium): void
  /** Fetch from `peer` into a ring that a slot here reads. */
  fetch(scope: ExchangeScope, peer: ExchangePeer, medium: ChannelMedium): void
  /** Store what a task here writes to a blocking edge. */
  store(scope: ExchangeScope, executionId: string, medium: ChannelMedium): void
  /** Give a slot here what was stored here. */
  feed(scope: ExchangeScope, medium: ChannelMedium): void
  /** The attempt is over here; `onExchangeReleased` follows. `orderly`: what was written must still reach its consumers. */
  release(scope: ExchangeScope, orderly: boolean): void
}

interface Attempt {
  readonly scope: ExchangeScope
  readonly media: Map<string, ChannelMedium>
  readonly pages: PageRef[]
  readonly allocations: Set<string>
  orderly: boolean
}

export class DataPlane {
  private readonly pool: PagePool
  private readonly exchange: ExchangePort
  private readonly pagesPerChannel: number
  private readonly floatingPages: number
  private readonly attempts = new Map<string, Attempt>()
  /** Resolved, and made anew, whenever pages of an attempt have come back. */
  private cameBack = Promise.withResolvers<void>()

  constructor(pool: PagePool, exchange: ExchangePort, pagesPerChannel: number, floatingPages: number) {
    this.pool = pool
    this.exchange = exchange
    this.pagesPerChannel = pagesPerChannel
    this.floatingPages = floatingPages
  }

  /** Out of pages when all that are on their way back have come: INSUFFICIENT_NETWORK_BUFFERS; the slot counts as not wired. */
  async wire(deployment: SlotDeployment): Promise<Record<string, ChannelMedium>> {
    const key = scopeKey(scopeOf(deployment))
    for (;;) {
      // Asked before it is tried: what this one gives back itself when it fails is no more room.
      const isReleasing = this.releasing(key)
      try {
        return this.tryWire(deployment)
      } catch (error) {
        if (!isReleasing || !(error instanceof FlinkError) || error.code !== 'INSUFFICIENT_NETWORK_BUFFERS') throw error
        // Its own rings were offered: they must be gone before they are made again.
        do await this.cameBack.promise
        while (this.attempts.get(key)?.allocations.size === 0)
      }
    }
  }

  /** Some attempt but this one is over here, and the exchange has not let go of it yet. */
  private releasing(but: string): boolean {
    return [...this.attempts].some(([key, { allocations }]) => key !== but && allocations.size === 0)
  }

  private tryWire(deployment: SlotDeployment): Record<string, ChannelMedium> {
    const scope = scopeOf(deployment)
    const key = scopeKey(scope)
    const owner = this.attempts.get(key) ?? {
      scope,
      media: new Map<string, ChannelMedium>(),
      pages: [],
      allocations: new Set<string>(),
      orderly: true,
    }
    this.attempts.set(key, owner)
    owner.allocations.add(deployment.allocationId)
    const media: Record<string, ChannelMedium> = {}
    try {
      for (const task of deployment.tasks) {
        for (const { channelId, peer } of task.outputs.flatMap(output => output.channels)) {
          if (peer.kind === 'slot') continue
          const medium = this.medium(owner, channelId, peer.kind !== 'local')
          media[channelId] = medium
          if (peer.kind === 'remote') this.exchange.serve(scope, medium)
          if (peer.kind === 'result') this.exchange.store(scope, task.executionId, medium)
        }
        for (const { channelId, peer } of task.inputs.flatMap(input => input.channels)) {
          if (peer.kind === 'slot') continue
          const medium = this.medium(owner, channelId, peer.kind !== 'local')
          media[channelId] = medium
          if (peer.kind === 'remote') this.exchange.fetch(scope, peer, medium)
          if (peer.kind === 'result') this.exchange.feed(scope, medium)
        }
      }
    } catch (error) {
      this.release(deployment, false)
      throw error
    }
    return media
  }

  /** `orderly`: all its tasks have finished. */
  release(deployment: SlotDeployment, orderly: boolean): void {
    const owner = this.attempts.get(scopeKey(scopeOf(deployment)))
    if (owner === undefined || !owner.allocations.delete(deployment.allocationId)) return
    owner.orderly &&= orderly
    if (owner.allocations.size === 0) this.exchange.release(owner.scope, owner.orderly)
  }

  onExchangeReleased(scope: ExchangeScope): void {
    const key = scopeKey(scope)
    const owner = this.attempts.get(key)
    // A slot of the same attempt may have come meanwhile: its own release asks the exchange again.
    if (owner === undefined || owner.allocations.size > 0) return
    this.attempts.delete(key)
    this.pool.release(owner.pages)
    const { resolve } = this.cameBack
    this.cameBack = Promise.withResolvers()
    resolve()
  }

  private medium(owner: Attempt, channelId: string, checksum: boolean): ChannelMedium {
    const present = owner.media.get(channelId)
    if (present !== undefined) return present
    const { used, total } = this.pool.budget
    // What a channel needs it gets or fails; more it gets while there is plenty, so that channels made later still get what they need.
    const isPlenty = 2 * (used + this.pagesPerChannel + this.floatingPages) <= total
    const pages = this.pool.acquire(this.pagesPerChannel + (isPlenty ? this.floatingPages : 0), `channel ${channelId}`)
    owner.pages.push(...pages)
    // Bytes that cross a socket, or have lain on a disk, carry a checksum.
    const medium = createMedium(createRing(pages, channelNumber(channelId), channelId, checksum))
    owner.media.set(channelId, medium)
    return medium
  }
}

function scopeOf({ jobId, generation, region, attempt }: SlotDeployment): ExchangeScope {
  return { jobId, generation, region, attempt }
}

/** In every frame's header, checked by the reader: both ends must come to the same number on their own. */
function channelNumber(channelId: string): number {
  return Number.parseInt(murmur3Hex(channelId).slice(0, 8), 16)
}
