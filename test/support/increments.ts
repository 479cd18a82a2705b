import { SegmentChain } from '../../runtime/checkpoint/segment-chains.ts'
import { assert } from '../../runtime/common/assert.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { CheckpointBarrier } from '../../runtime/network/frame.ts'
import type { SnapshotLimits } from '../../runtime/state/keyed-snapshots.ts'
import type { OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import type { StreamOperator } from '../../runtime/stream/operator.ts'

/** Everything that happens to large states happens to a few rows: changes behind one another, bases in pieces of a row or two. */
export const smallStateLimits: SnapshotLimits = {
  wholeBytesMax: 0,
  wholeShare: 1.5,
  baseShare: 0.5,
  segmentsMax: 4,
  baseRate: 1,
  pieceBytes: 40,
}

type SnapshotOperator = Pick<StreamOperator, 'snapshot' | 'restore' | 'writeAhead' | 'notifyCheckpointComplete' | 'notifyCheckpointAborted'>

/** The snapshots of an operator, put together as the TaskManager does. */
export class OperatorIncrements {
  readonly operator: SnapshotOperator
  /** Of the snapshot that was taken last. */
  checkpointId = 0
  private chain = new SegmentChain<Uint8Array>(undefined)

  constructor(operator: SnapshotOperator) {
    this.operator = operator
  }

  restore(snapshot: OperatorSnapshot): void {
    this.chain = new SegmentChain(snapshot.keyed)
    this.operator.restore?.(snapshot)
  }

  snapshot(timestampMs = 0): OperatorSnapshot {
    const snapshot = this.handOver(true, 'checkpoint', timestampMs)
    assert(snapshot !== undefined, 'a snapshot stands behind what is there')
    return snapshot
  }

  /** As `snapshot`, unless it, or what it stands behind, could not be written. */
  handOver(written: boolean, type: CheckpointBarrier['type'] = 'checkpoint', timestampMs = 0): OperatorSnapshot | undefined {
    const increment = this.operator.snapshot({ checkpointId: ++this.checkpointId, timestampMs, type })
    return written && this.chain.missing(increment) === undefined ? this.chain.add(increment) : undefined
  }
}

/** A checkpoint of all subtasks, sooner or later confirmed or given up; now and then one that is to be restored from. */
export function takeIncrements(subtasks: readonly OperatorIncrements[], random: Random): OperatorSnapshot[] | undefined {
  for (const subtask of subtasks) for (let pieces = random.nextInt(4); pieces > 0; pieces--) subtask.operator.writeAhead?.()
  const lost = random.nextInt(subtasks.length * 3)
  const handedOver = subtasks.map((subtask, i) => subtask.handOver(i !== lost, random.nextInt(8) === 0 ? 'savepoint' : 'checkpoint'))
  const whole = handedOver.filter(snapshot => snapshot !== undefined)
  const isWhole = whole.length === subtasks.length
  // What becomes of a checkpoint may be told behind the next one's barrier.
  const told = random.nextInt(3)
  for (const { operator, checkpointId } of subtasks) {
    if (told === 0) continue
    if (isWhole && told === 1) operator.notifyCheckpointComplete?.(checkpointId)
    else operator.notifyCheckpointAborted?.(checkpointId)
  }
  return isWhole && random.nextInt(5) === 0 ? whole : undefined
}
