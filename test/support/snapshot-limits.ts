import type { SnapshotLimits } from '../../runtime/state/keyed-snapshots.ts'

/** Everything that happens to large states happens to a few rows: changes behind one another, bases in pieces of a row or two. */
export const smallStateLimits: SnapshotLimits = {
  wholeBytesMax: 0,
  wholeShare: 1.5,
  baseShare: 0.5,
  segmentsMax: 4,
  baseRate: 1,
  pieceBytes: 40,
}
