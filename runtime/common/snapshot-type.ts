/**
 * What a barrier asks for. A checkpoint is the job's own; a full one stands behind no earlier one. Savepoints are somebody's: aligned, whole, in a folder of their own. Behind the two last ones the
 * job stops: `savepoint-terminate` leaves everything as it stands, `savepoint-drain` is taken behind the MAX watermark and the end of all inputs.
 */
export const snapshotTypes = ['checkpoint', 'savepoint', 'savepoint-terminate', 'savepoint-drain', 'full-checkpoint'] as const

export type SnapshotType = (typeof snapshotTypes)[number]

/** The job's own. */
export function isCheckpoint(type: SnapshotType): boolean {
  return type === 'checkpoint' || type === 'full-checkpoint'
}

/** The job ends when it is complete. */
export function isTerminating(type: SnapshotType): boolean {
  return type === 'savepoint-terminate' || type === 'savepoint-drain'
}
