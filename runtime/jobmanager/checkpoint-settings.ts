import type { CoordinatorOptions } from '../checkpoint/coordinator-core.ts'
import * as options from '../checkpoint/options.ts'
import { storageSettings } from '../checkpoint/state-storage.ts'
import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { CheckpointConfigView } from '../rpc/job-manager-gateway.ts'

export interface CheckpointSettings {
  /** Checkpoints are taken by themselves; savepoints, and checkpoints that somebody asks for, always. */
  readonly periodic: boolean
  readonly coordinator: CoordinatorOptions
  readonly view: CheckpointConfigView
  /** What a job without checkpoints of its own begins with. */
  readonly recovery: { readonly path: string; readonly claim: boolean } | undefined
  readonly ignoresUnclaimedState: boolean
}

/** Values that are out of their range are INVALID_CONFIGURATION. */
export function checkpointSettings(configuration: Configuration): CheckpointSettings {
  const least = (option: Parameters<typeof configuration.get<number>>[0], from: number): number => {
    const value = configuration.get(option)
    if (value < from) throw new FlinkError('INVALID_CONFIGURATION', `option ${option.key}: expected a number from ${from}, got ${value}`)
    return value
  }
  const { directory } = storageSettings(configuration)
  const periodic = options.isCheckpointingEnabled(configuration)
  const minPauseMs = configuration.get(options.checkpointMinPause)
  const coordinator: CoordinatorOptions = {
    intervalMs: periodic ? configuration.get(options.checkpointInterval) : undefined,
    timeoutMs: least(options.checkpointTimeout, 10),
    minPauseMs,
    // Flink's rule: a pause between checkpoints means one at a time.
    maxConcurrent: minPauseMs > 0 ? 1 : least(options.maxConcurrentCheckpoints, 1),
    tolerableFailures: least(options.tolerableFailedCheckpoints, 0),
    retainedMax: least(options.numRetainedCheckpoints, 1),
  }
  const path = configuration.get(options.recoveryPath)
  const backend = configuration.get(options.stateBackendType)
  return {
    periodic,
    coordinator,
    recovery: path === undefined ? undefined : { path, claim: configuration.get(options.recoveryClaimMode) === 'CLAIM' },
    ignoresUnclaimedState: configuration.get(options.ignoreUnclaimedState),
    view: {
      exactlyOnce: configuration.get(options.checkpointMode) === 'EXACTLY_ONCE',
      intervalMs: coordinator.intervalMs,
      timeoutMs: coordinator.timeoutMs,
      minPauseMs,
      maxConcurrent: coordinator.maxConcurrent,
      tolerableFailures: coordinator.tolerableFailures,
      retention: configuration.get(options.checkpointRetention),
      stateBackend: backend === 'own' || backend.includes('#') ? backend : 'HashMapStateBackend',
      storage: directory === undefined ? 'JobManagerCheckpointStorage' : 'FileSystemCheckpointStorage',
    },
  }
}
