import type { JsonObject } from '../../common/json.ts'

/**
 * What a sink has written and not yet committed, from the oldest on: made between two checkpoints, part of the state of every checkpoint until it is
 * committed, and committed when a checkpoint that holds it has completed. What comes back with a snapshot belongs to a completed checkpoint; that it
 * may be committed already is the committer's business.
 *
 * Commits are answered in the order in which they were asked for, so what is under way is always the head of the queue.
 */
export class Committables {
  private queue: Committable[] = []
  private underWayCount = 0

  get count(): number {
    return this.queue.length
  }

  /** Commits that were asked for and not answered. */
  get underWay(): number {
    return this.underWayCount
  }

  add(committables: readonly JsonObject[]): void {
    for (const committable of committables) this.queue.push({ committable, checkpointId: undefined })
  }

  restore(items: readonly CommittableItem[]): void {
    this.queue.push(...items)
  }

  /** All of them; what no checkpoint held yet belongs to this one. */
  snapshot(checkpointId: number): CommittableItem[] {
    const items = this.queue.map(entry => ({ committable: entry.committable, checkpointId: entry.checkpointId ?? checkpointId }))
    this.queue = [...items]
    return items
  }

  /** What has to be committed now that this checkpoint has completed; it counts as under way. */
  complete(checkpointId: number): JsonObject[] {
    return this.commit(({ checkpointId: held }) => held !== undefined && held <= checkpointId)
  }

  /** After a restore, and at the end of a job without checkpoints. */
  completeAll(): JsonObject[] {
    return this.commit(() => true)
  }

  committed(count: number): void {
    this.queue.splice(0, count)
    this.underWayCount -= count
  }

  private commit(isDue: (entry: Committable) => boolean): JsonObject[] {
    const due: JsonObject[] = []
    // Checkpoints' ids grow, so what is due stands in front.
    for (let i = this.underWayCount; i < this.queue.length && isDue(this.queue[i]!); i++) due.push(this.queue[i]!.committable)
    this.underWayCount += due.length
    return due
  }
}

interface Committable {
  readonly committable: JsonObject
  readonly checkpointId: number | undefined
}

export type CommittableItem = { readonly committable: JsonObject; readonly checkpointId: number }
