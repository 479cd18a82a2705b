import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import type { FlinkSnapshotStatus } from '../api/flink-snapshot.ts'
import { type Input, statusOf } from './input.ts'

/** The one place that makes a status of a FlinkSnapshot: changed fields on top of the saved ones, the conditions derived. `undefined` clears a field. */
type StatusChange = { readonly [K in keyof Omit<FlinkSnapshotStatus, 'conditions'>]?: FlinkSnapshotStatus[K] | undefined }

/** What holds a deletion, in words. */
export interface Blocker {
  readonly reason: string
  readonly message: string
}

export function statusWith(input: Input, change: StatusChange, why = '', blocker?: Blocker): FlinkSnapshotStatus {
  const { conditions, ...fields } = { ...statusOf(input), ...change, observedGeneration: input.snapshot.metadata.generation }
  // Every field was one of a status; only undefined ones are dropped.
  const next = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Omit<FlinkSnapshotStatus, 'conditions'>
  const { nowMs } = input
  const wanted: readonly WantedCondition[] = [
    { type: 'Ready', status: next.state === 'COMPLETED' ? 'True' : 'False', reason: reasons[next.state], message: readiness(next, why) },
    { type: 'Progressing', status: isAtRest(next) ? 'False' : 'True', reason: reasons[next.state], message: isAtRest(next) ? '' : why },
    { type: 'Failed', status: isLost(next) ? 'True' : 'False', reason: reasons[next.state], message: isLost(next) ? (next.error ?? '') : '' },
    ...(blocker === undefined ? [] : [{ type: 'DeletionBlocked', status: 'True', ...blocker } as const]),
  ]
  return { ...next, conditions: conditionsAfter(conditions, wanted, { nowMs, observedGeneration: input.snapshot.metadata.generation }) }
}

export function completed(input: Input, path: string | undefined, resultTimestamp: string): FlinkSnapshotStatus {
  return statusWith(input, { state: 'COMPLETED', path, resultTimestamp, error: undefined, retryAt: undefined })
}

export function isAtRest({ state }: Pick<FlinkSnapshotStatus, 'state'>): boolean {
  return state === 'COMPLETED' || state === 'FAILED' || state === 'ABANDONED'
}

function isLost({ state }: Pick<FlinkSnapshotStatus, 'state'>): boolean {
  return state === 'FAILED' || state === 'ABANDONED'
}

function readiness({ state, path, error }: Omit<FlinkSnapshotStatus, 'conditions'>, why: string): string {
  if (state !== 'COMPLETED') return error ?? why
  return path === undefined ? 'the checkpoint is complete' : `it lies at ${path}`
}

const reasons: Readonly<Record<FlinkSnapshotStatus['state'], string>> = {
  TRIGGER_PENDING: 'TriggerPending',
  IN_PROGRESS: 'InProgress',
  COMPLETED: 'Completed',
  FAILED: 'Failed',
  ABANDONED: 'Abandoned',
}
