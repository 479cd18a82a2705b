import type { FlinkSnapshot, FlinkSnapshotStatus } from '../api/flink-snapshot.ts'

/** What the rules of a FlinkSnapshot look at and what they answer: data, and small questions about it. */
export interface Input {
  readonly snapshot: FlinkSnapshot
  readonly observed: Observed
  readonly nowMs: number
  /** Offered for a trigger. */
  readonly freshTriggerId: string
}

export interface Observed {
  readonly job: ObservedJob
  /** What `status.triggerId` has triggered. */
  readonly operation: ObservedOperation
  /** What lies at the path of a savepoint that is said to exist already. */
  readonly existing: ObservedExisting
  /** FlinkJobs that go on from what would be removed; looked for when it is to be removed. */
  readonly usedBy: readonly string[]
}

export type ObservedJob =
  /** None is named. */
  | { readonly kind: 'none' }
  | { readonly kind: 'missing' }
  /** It is not deployed yet, restarts, is upgraded. */
  | { readonly kind: 'waiting'; readonly why: string }
  /** It will not run again before somebody edits it. */
  | { readonly kind: 'ended'; readonly why: string; readonly jobId: string | undefined }
  | { readonly kind: 'running'; readonly jobId: string; readonly webAddress: string }

export type ObservedOperation =
  /** Nobody could be asked, or there is nothing to ask for. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'in-progress' }
  /** A checkpoint that is not kept has no location. */
  | { readonly kind: 'completed'; readonly location: string | undefined }
  | { readonly kind: 'failed'; readonly message: string }

export type ObservedExisting =
  /** Nobody had to know. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'savepoint'; readonly location: string; readonly timestampMs: number }
  | { readonly kind: 'invalid'; readonly message: string }

/** Each may be repeated: the end is the same. */
export type SnapshotAction =
  | { readonly kind: 'addFinalizer' }
  | { readonly kind: 'dropFinalizer' }
  | {
      readonly kind: 'trigger'
      readonly type: 'savepoint' | 'checkpoint'
      readonly webAddress: string
      readonly jobId: string
      readonly triggerId: string
      readonly targetDirectory: string | undefined
    }
  /** Straight at the store. */
  | { readonly kind: 'dispose'; readonly location: string }

export interface Decision {
  readonly status: FlinkSnapshotStatus
  readonly actions: readonly SnapshotAction[]
  readonly requeueAfterMs: number
}

export type Rule = (input: Input) => Decision | undefined

export const POLL_MS = 500
/** While it waits for the job. */
export const WAIT_MS = 5_000
/** Nothing is to come. */
export const REST_MS = 600_000

const RETRY_FIRST_MS = 10_000
const RETRY_MAX_MS = 600_000

export function retryDelayMs(failures: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS)
}

export function answer(status: FlinkSnapshotStatus, requeueAfterMs: number, ...actions: SnapshotAction[]): Decision {
  return { status, actions, requeueAfterMs }
}

const initialStatus: FlinkSnapshotStatus = { state: 'TRIGGER_PENDING', conditions: [] }

export function statusOf({ snapshot }: Pick<Input, 'snapshot'>): FlinkSnapshotStatus {
  return snapshot.status ?? initialStatus
}

export function typeOf({ spec }: FlinkSnapshot): 'savepoint' | 'checkpoint' {
  return spec.savepoint === undefined ? 'checkpoint' : 'savepoint'
}

export function nameOf({ metadata, spec }: FlinkSnapshot): string {
  return spec.jobReference === undefined ? `${metadata.namespace}/${metadata.name}` : `FlinkJob ${spec.jobReference.name}`
}

export function untilMs({ nowMs }: Input, time: string): number {
  return Math.max(0, Date.parse(time) - nowMs)
}
