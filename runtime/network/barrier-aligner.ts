/**
 * Decides when a checkpoint barrier has arrived on every channel of a gate that has not ended.
 * - exactly-once: a channel that has delivered the barrier is blocked until the others have, so that no row behind the barrier is
 *   processed before the snapshot;
 * - at-least-once: nothing is blocked, the barrier is only counted; but savepoints are always aligned.
 * A newer checkpoint supersedes an older one that is not complete (the coordinator has given it up); barriers of the newest completed
 * checkpoint and older ones are ignored.
 */
import { isCheckpoint } from '../common/snapshot-type.ts'
import type { CheckpointBarrier } from './frame.ts'

export class BarrierAligner {
  /** Indexed by channel; read by the gate before each poll. */
  readonly blocked: boolean[]
  private readonly exactlyOnce: boolean
  private readonly arrived: boolean[]
  private readonly ended: boolean[]
  private remaining = 0
  private pending: CheckpointBarrier | undefined = undefined
  private newest = Number.NEGATIVE_INFINITY

  constructor(channelCount: number, exactlyOnce: boolean) {
    this.exactlyOnce = exactlyOnce
    this.blocked = new Array<boolean>(channelCount).fill(false)
    this.arrived = new Array<boolean>(channelCount).fill(false)
    this.ended = new Array<boolean>(channelCount).fill(false)
  }

  /** The barrier when it is now complete. */
  onBarrier(channel: number, barrier: CheckpointBarrier): CheckpointBarrier | undefined {
    const id = barrier.checkpointId
    if (id < this.newest || (id === this.newest && this.pending === undefined)) return undefined
    if (id > this.newest) this.begin(barrier)
    if (this.arrived[channel]!) return undefined
    this.arrived[channel] = true
    this.blocked[channel] = this.exactlyOnce || !isCheckpoint(barrier.type)
    this.remaining--
    return this.takeIfComplete()
  }

  /** An ended channel holds nothing up: its end may complete the pending barrier. */
  onEnd(channel: number): CheckpointBarrier | undefined {
    this.ended[channel] = true
    if (this.pending === undefined || this.arrived[channel]!) return undefined
    this.remaining--
    return this.takeIfComplete()
  }

  /** The coordinator gave the checkpoint up: its channels flow again. */
  abort(checkpointId: number): void {
    if (checkpointId < this.newest) return
    this.newest = checkpointId
    this.pending = undefined
    this.blocked.fill(false)
  }

  private begin(barrier: CheckpointBarrier): void {
    this.newest = barrier.checkpointId
    this.pending = barrier
    this.blocked.fill(false)
    this.arrived.fill(false)
    this.remaining = 0
    for (const ended of this.ended) if (!ended) this.remaining++
  }

  private takeIfComplete(): CheckpointBarrier | undefined {
    if (this.remaining > 0) return undefined
    const barrier = this.pending
    this.pending = undefined
    this.blocked.fill(false)
    return barrier
  }
}
