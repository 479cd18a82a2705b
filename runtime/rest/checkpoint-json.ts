import { type SerializedError, stackWithCauses } from '../common/errors.ts'
import { isCheckpoint, isTerminating } from '../common/snapshot-type.ts'
import type {
  CheckpointConfigView,
  CheckpointStatisticsView,
  CheckpointTaskView,
  CheckpointView,
  Operation,
  RestoredView,
  Statistic,
} from '../rpc/job-manager-gateway.ts'
import type { AsyncOperationJson, ThrowableJson } from './types.ts'

/** Flink's JSON of checkpoints, savepoints and triggered operations. Aligned checkpoints buffer nothing, so what would count that is 0. */

/** Java clients pick the class by it, where it is not given nothing can be read. */
const classNames = { IN_PROGRESS: 'in_progress', COMPLETED: 'completed', FAILED: 'failed' } as const

/** The operator takes it for a checkpoint that no job can be started from. */
const NOT_ADDRESSABLE = '<checkpoint-not-externally-addressable>'

export function operationJson<T, V>(operation: Operation<T>, toJson: (value: T) => V, failureField: string): AsyncOperationJson {
  switch (operation.kind) {
    case 'in-progress':
      return { status: { id: 'IN_PROGRESS' }, operation: null }
    case 'completed':
      return { status: { id: 'COMPLETED' }, operation: toJson(operation.value) as Readonly<Record<string, unknown>> }
    case 'failed':
      return { status: { id: 'COMPLETED' }, operation: { [failureField]: throwableJson(operation.error) } }
  }
}

export function throwableJson(error: SerializedError): ThrowableJson {
  return { class: error.name, 'stack-trace': stackWithCauses(error), 'serialized-throwable': '' }
}

export function checkpointStatistics({ counts, summary, latest, history }: CheckpointStatisticsView) {
  const nothing = statistic(undefined)
  return {
    counts: {
      restored: counts.restored,
      total: counts.total,
      in_progress: counts.inProgress,
      completed: counts.completed,
      failed: counts.failed,
    },
    summary: {
      checkpointed_size: statistic(summary.writtenBytes),
      state_size: statistic(summary.sizeBytes),
      end_to_end_duration: statistic(summary.durationMs),
      alignment_buffered: nothing,
      processed_data: nothing,
      persisted_data: nothing,
    },
    latest: {
      completed: latest.completed === undefined ? null : checkpoint(latest.completed),
      savepoint: latest.savepoint === undefined ? null : checkpoint(latest.savepoint),
      failed: latest.failed === undefined ? null : checkpoint(latest.failed),
      restored: latest.restored === undefined ? null : restored(latest.restored),
    },
    history: history.map(view => checkpoint(view)),
  }
}

export function checkpointDetails(view: CheckpointStatisticsView['history'][number]) {
  return checkpoint(view, view.tasks)
}

/** As text: Flink's "never" is a number that JavaScript cannot write. */
export function checkpointConfigText(config: CheckpointConfigView): string {
  const json = {
    mode: config.exactlyOnce ? 'exactly_once' : 'at_least_once',
    interval: config.intervalMs ?? null,
    timeout: config.timeoutMs,
    min_pause: config.minPauseMs,
    max_concurrent: config.maxConcurrent,
    externalization: {
      enabled: config.retention !== 'NO_EXTERNALIZED_CHECKPOINTS',
      delete_on_cancellation: config.retention !== 'RETAIN_ON_CANCELLATION',
    },
    state_backend: config.stateBackend,
    checkpoint_storage: config.storage,
    unaligned_checkpoints: false,
    tolerable_failed_checkpoints: config.tolerableFailures,
    aligned_checkpoint_timeout: 0,
    checkpoints_after_tasks_finish: true,
    state_changelog_enabled: false,
  }
  return JSON.stringify(json).replace('"interval":null', '"interval":9223372036854775807')
}

function checkpoint(view: CheckpointView, tasks: Readonly<Record<string, CheckpointTaskView>> = {}) {
  const { type, status, failure } = view
  const isSavepoint = !isCheckpoint(type)
  return {
    className: classNames[status],
    ...figures(view),
    id: view.id,
    is_savepoint: isSavepoint,
    savepointFormat: isSavepoint ? 'CANONICAL' : null,
    trigger_timestamp: view.triggerMs,
    checkpoint_type: isSavepoint ? (isTerminating(type) ? 'SYNC_SAVEPOINT' : 'SAVEPOINT') : 'CHECKPOINT',
    tasks: Object.fromEntries(Object.entries(tasks).map(([vertexId, task]) => [vertexId, { id: view.id, ...figures(task) }])),
    ...(status === 'COMPLETED' ? { external_path: view.path ?? NOT_ADDRESSABLE, discarded: false } : {}),
    ...(failure === undefined ? {} : { failure_timestamp: failure.timestampMs, failure_message: failure.message }),
  }
}

function figures(view: CheckpointTaskView) {
  return {
    status: view.status,
    latest_ack_timestamp: view.latestAckMs,
    checkpointed_size: view.writtenBytes,
    state_size: view.sizeBytes,
    end_to_end_duration: view.durationMs,
    alignment_buffered: 0,
    processed_data: 0,
    persisted_data: 0,
    num_subtasks: view.subtasks,
    num_acknowledged_subtasks: view.acknowledged,
  }
}

function restored({ id, timestampMs, isSavepoint, path }: RestoredView) {
  return { id, restore_timestamp: timestampMs, is_savepoint: isSavepoint, external_path: path ?? NOT_ADDRESSABLE }
}

function statistic(value: Statistic | undefined): Statistic {
  return value ?? { min: 0, max: 0, avg: 0, p50: 0, p90: 0, p95: 0, p99: 0, p999: 0 }
}
