import { SegmentChain } from '../../runtime/checkpoint/segment-chains.ts'
import { assert } from '../../runtime/common/assert.ts'
import type { KeyedStateBackend } from '../../runtime/state/keyed-state-backend.ts'
import type { KeyedSnapshot, OperatorIncrement, OperatorSnapshot } from '../../runtime/state/snapshot.ts'

/** What an operator has handed over, if it stands behind nothing. */
export function wholeSnapshot(increment: OperatorIncrement): OperatorSnapshot {
  return new SegmentChain<Uint8Array>(undefined).add(increment)
}

/** All that a backend without limits holds. */
export function wholeKeyedSnapshot({ snapshots }: KeyedStateBackend): KeyedSnapshot {
  const keyed = snapshots.snapshot({ checkpointId: 1, type: 'checkpoint' })
  assert(keyed?.standalone === true, 'states are registered, and without limits each snapshot is whole')
  const { keyed: whole } = wholeSnapshot({ keyed, lists: [] })
  assert(whole !== undefined, 'keyed state stays keyed state')
  return whole
}
