import { SegmentChain } from '../../runtime/checkpoint/segment-chains.ts'
import type { OperatorIncrement, OperatorSnapshot } from '../../runtime/state/snapshot.ts'

/** What an operator has handed over, if it stands behind nothing. */
export function wholeSnapshot(increment: OperatorIncrement): OperatorSnapshot {
  return new SegmentChain<Uint8Array>(undefined).add(increment)
}
