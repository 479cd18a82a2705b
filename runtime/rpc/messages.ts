import { FlinkError, type SerializedError } from '../common/errors.ts'
import type { JsonObject, JsonValue } from '../common/json.ts'
import type { SnapshotType } from '../common/snapshot-type.ts'
import type { HardwareDescription } from './job-manager-gateway.ts'

/**
 * Every message between a JobManager and its TaskManagers, by method name. Three ways of travelling, chosen per method:
 *
 * - `call` / `notify`: may be lost, doubled, reordered (by a slow network's retries). Slot messages travel so: each is idempotent, and
 *   heartbeats, which carry both sides' view of the slots, repair whatever was lost.
 * - `in order`: exactly once, in the order sent, for as long as the connection lives (`link.ts`). Deployments, cancels, task states and
 *   splits travel so: a split handed out twice or never would be wrong data.
 *
 * Every payload carries the JobManager's `generation`; whatever concerns a job also `jobId`. What concerns a task names its execution, whose id is new with each attempt. A receiver answers
 * STALE_GENERATION to what is older than itself.
 */
export type Fenced = { readonly generation: number }
export type OfJob = Fenced & { readonly jobId: string }

/** Methods that the TaskManager serves. */
export type TaskManagerMethods = {
  requestSlot: { payload: OfJob & { slotIndex: number; allocationId: string }; answer: RequestSlotAnswer }
  /** In order. `deployment` is a SlotDeployment of runtime/graph. */
  submitTasks: { payload: OfJob & { allocationId: string; deployment: JsonObject }; answer: null }
  /** In order. All that were deployed together with these. */
  cancelTasks: { payload: OfJob & { allocationId: string; executionIds: readonly string[] }; answer: null }
  /** In order. */
  assignSplits: {
    payload: OfJob & { allocationId: string; executionId: string; operatorId: string; splits: readonly JsonObject[] }
    answer: null
  }
  /** In order. */
  noMoreSplits: { payload: OfJob & { allocationId: string; executionId: string; operatorId: string }; answer: null }
  /** In order: what enumerators hand out behind it is no part of the checkpoint. `location`: of a savepoint, the URI of its folder. */
  triggerCheckpoint: {
    payload: OfJob & {
      allocationId: string
      executionIds: readonly string[]
      checkpointId: number
      timestampMs: number
      type: SnapshotType
      location: string | null
    }
    answer: null
  }
  /** In order. `complete`: sinks may commit; `aborted`: what was taken for it is of no use. */
  notifyCheckpoint: {
    payload: OfJob & { allocationId: string; executionIds: readonly string[]; checkpointId: number; outcome: 'complete' | 'aborted' }
    answer: null
  }
  /** In order. Blocking results of these executions, if they are there, have no reader any more. */
  releaseResults: { payload: OfJob & { executionIds: readonly string[] }; answer: null }
  /** The JobMaster has no use for the slot any more. */
  freeSlot: { payload: OfJob & { allocationId: string }; answer: null }
  heartbeat: { payload: HeartbeatRequest; answer: HeartbeatAnswer }
  readStdout: { payload: Fenced & { maxBytes: number }; answer: { text: string } }
  /** null = it writes no log file that it knows of. */
  readLog: { payload: Fenced & { maxBytes: number }; answer: { text: string | null } }
  shutDown: { payload: Fenced & { reason: string }; answer: null }
}

/** Methods that the JobManager serves. */
export type JobManagerMethods = {
  /** The one message whose generation may be -1: a TaskManager that has not met its JobManager yet. */
  registerTaskManager: { payload: Registration; answer: { generation: number; heartbeatIntervalMs: number; heartbeatTimeoutMs: number } }
  offerSlots: { payload: OfJob & { slots: readonly SlotOffer[]; slotVersion: number }; answer: OfferAnswer }
  /** At most `maxBytes` of a job's bundle from there on. */
  readArtifact: { payload: Fenced & { digest: string; offset: number; maxBytes: number }; answer: ArtifactPart }
  /** In order. */
  updateTaskState: { payload: TaskStateUpdate; answer: null }
  /** In order. */
  splitRequest: { payload: OfJob & { executionId: string; operatorId: string }; answer: null }
  /** In order. `state` is a TaskState of runtime/checkpoint; its objects are in the store. */
  acknowledgeCheckpoint: { payload: OfJob & { executionId: string; checkpointId: number; state: JsonObject }; answer: null }
  /** In order. */
  declineCheckpoint: { payload: OfJob & { executionId: string; checkpointId: number; error: SerializedErrorJson }; answer: null }
  /** In order. The task has come to its end, and waits for a checkpoint in which its last results are. */
  awaitCheckpoint: { payload: OfJob & { executionId: string }; answer: null }
  /** Notified: a slot has become free. Lost ones are repaired by the next heartbeat. */
  slotFreed: { payload: Fenced & { report: SlotReport }; answer: null }
  /** Notified, about once a second while something runs. */
  metricsReport: { payload: OfJob & { tasks: readonly TaskMetrics[] }; answer: null }
  /** Notified, about once a second: figures of the TaskManager itself, Flink's names. */
  taskManagerMetrics: { payload: Fenced & { metrics: { readonly [name: string]: number } }; answer: null }
}

export type Registration = Fenced & {
  readonly taskManagerId: string
  readonly host: string
  readonly dataHost: string
  readonly dataPort: number
  readonly hardware: HardwareDescription
  readonly report: SlotReport
}

/** A TaskManager's slots at one moment. `version` grows with every change, so that an older report is recognised. */
export type SlotReport = {
  readonly version: number
  readonly slots: readonly SlotStatus[]
}

export type SlotStatus = {
  readonly slotIndex: number
  /** `releasing`: of no use to its job any more, but its host has not ended yet. */
  readonly state: 'free' | 'allocated' | 'releasing'
  readonly allocationId: string | null
  readonly jobId: string | null
}

export type RequestSlotAnswer = {
  /** False: the slot holds another allocation, as `report` shows. */
  readonly accepted: boolean
  readonly report: SlotReport
}

export type SlotOffer = { readonly allocationId: string; readonly slotIndex: number }

export type OfferAnswer = {
  readonly accepted: readonly string[]
  readonly rejected: readonly string[]
  /** See `HeartbeatRequest.allocationVersion`. */
  readonly allocationVersion: number
}

export type ArtifactPart = {
  /** Of the whole. */
  readonly size: number
  readonly base64: string
}

export type HeartbeatRequest = Fenced & {
  /** What the JobMasters own on this TaskManager. */
  readonly allocations: readonly string[]
  /** Grows with every accepted offer: a slot accepted later than this list was made is not an orphan. */
  readonly allocationVersion: number
}

export type HeartbeatAnswer = Fenced & { readonly report: SlotReport }

export type TaskStateUpdate = OfJob & {
  readonly allocationId: string
  readonly executionId: string
  readonly state: 'INITIALIZING' | 'RUNNING' | 'FINISHED' | 'CANCELED' | 'FAILED'
  readonly error: SerializedErrorJson | null
  /** Last figures; with terminal states only. */
  readonly metrics: TaskMetrics | null
}

export type TaskMetrics = {
  readonly executionId: string
  readonly task: { readonly [name: string]: number }
  readonly operators: { readonly [operatorId: string]: { readonly [name: string]: number } }
}

export type SerializedErrorJson = {
  readonly name: string
  readonly code: SerializedError['code']
  readonly message: string
  readonly stack: string
  readonly cause: SerializedErrorJson | null
}

/** JSON has no undefined: a cause that is missing travels as null. */
export function errorToJson(error: SerializedError): SerializedErrorJson {
  return { ...error, cause: error.cause === undefined ? null : errorToJson(error.cause) }
}

export function errorFromJson(json: SerializedErrorJson): SerializedError {
  return { ...json, cause: json.cause === null || json.cause === undefined ? undefined : errorFromJson(json.cause) }
}

/**
 * Plain data (no functions, no class instances) as a message's field. TypeScript's interfaces have no index signature, so they are not
 * assignable to JsonObject although they are just that; this is the one place that says so.
 */
export function asJson(data: object): JsonObject {
  return data as JsonObject
}

/** Refuses what an earlier generation sent, and what a later one sent too: then this process is the stale one. */
export function checkGeneration(payload: JsonObject, own: number, what: string): void {
  const theirs = payload['generation']
  if (theirs !== own) throw new FlinkError('STALE_GENERATION', `${what} of generation ${String(theirs)} arrived at generation ${own}`)
}

type FieldKind = 'string' | 'number' | 'object' | 'array'

const jobFields = { jobId: 'string' } as const
const executionFields = { ...jobFields, allocationId: 'string', executionId: 'string', operatorId: 'string' } as const

/** Fields that a receiver relies on: a peer of another build must be answered with a clear error, not with a crash further in. */
const requiredFields: Readonly<Record<keyof TaskManagerMethods | keyof JobManagerMethods, Readonly<Record<string, FieldKind>>>> = {
  requestSlot: { ...jobFields, slotIndex: 'number', allocationId: 'string' },
  submitTasks: { ...jobFields, allocationId: 'string', deployment: 'object' },
  cancelTasks: { ...jobFields, allocationId: 'string', executionIds: 'array' },
  assignSplits: { ...executionFields, splits: 'array' },
  noMoreSplits: executionFields,
  triggerCheckpoint: {
    ...jobFields,
    allocationId: 'string',
    executionIds: 'array',
    checkpointId: 'number',
    timestampMs: 'number',
    type: 'string',
  },
  notifyCheckpoint: { ...jobFields, allocationId: 'string', executionIds: 'array', checkpointId: 'number', outcome: 'string' },
  releaseResults: { ...jobFields, executionIds: 'array' },
  freeSlot: { ...jobFields, allocationId: 'string' },
  heartbeat: { allocations: 'array', allocationVersion: 'number' },
  readStdout: { maxBytes: 'number' },
  readLog: { maxBytes: 'number' },
  shutDown: { reason: 'string' },
  registerTaskManager: { taskManagerId: 'string', host: 'string', dataHost: 'string', dataPort: 'number', hardware: 'object', report: 'object' },
  readArtifact: { digest: 'string', offset: 'number', maxBytes: 'number' },
  offerSlots: { ...jobFields, slots: 'array', slotVersion: 'number' },
  updateTaskState: { ...jobFields, allocationId: 'string', executionId: 'string', state: 'string' },
  splitRequest: { ...jobFields, executionId: 'string', operatorId: 'string' },
  acknowledgeCheckpoint: { ...jobFields, executionId: 'string', checkpointId: 'number', state: 'object' },
  declineCheckpoint: { ...jobFields, executionId: 'string', checkpointId: 'number', error: 'object' },
  awaitCheckpoint: { ...jobFields, executionId: 'string' },
  slotFreed: { report: 'object' },
  metricsReport: { ...jobFields, tasks: 'array' },
  taskManagerMetrics: { metrics: 'object' },
}

export function checkPayload(method: string, payload: JsonObject): void {
  if (!Object.hasOwn(requiredFields, method)) throw new FlinkError('PROTOCOL_MISMATCH', `rpc method ${method} does not exist`)
  // Own key of the table, as just checked.
  const fields = requiredFields[method as keyof typeof requiredFields]
  if (typeof payload['generation'] !== 'number') throw new FlinkError('PROTOCOL_MISMATCH', `rpc ${method} carries no generation`)
  for (const [field, kind] of Object.entries(fields)) {
    const value: JsonValue | undefined = payload[field]
    const actual = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value
    if (actual !== kind) throw new FlinkError('PROTOCOL_MISMATCH', `rpc ${method} field ${field} is ${actual}, not ${kind}`)
  }
}
