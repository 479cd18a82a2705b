import { parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { StreamExecutionEnvironment } from './environment.ts'
import { refuseByName } from './refusals.ts'

export const CheckpointingMode = { EXACTLY_ONCE: 'EXACTLY_ONCE', AT_LEAST_ONCE: 'AT_LEAST_ONCE' } as const
export type CheckpointingMode = keyof typeof CheckpointingMode

export const ExternalizedCheckpointRetention = {
  RETAIN_ON_CANCELLATION: 'RETAIN_ON_CANCELLATION',
  DELETE_ON_CANCELLATION: 'DELETE_ON_CANCELLATION',
  NO_EXTERNALIZED_CHECKPOINTS: 'NO_EXTERNALIZED_CHECKPOINTS',
} as const
export type ExternalizedCheckpointRetention = keyof typeof ExternalizedCheckpointRetention

/** Milliseconds, or a text such as `10 s`. */
type Duration = string | number

/** Flink's `env.getCheckpointConfig()`: each setter is an option of `execution.checkpointing.*`, and wins over manifest and configuration. */
export class CheckpointConfig {
  private readonly env: StreamExecutionEnvironment

  constructor(env: StreamExecutionEnvironment) {
    this.env = env
  }

  setCheckpointInterval(interval: Duration): this {
    return this.setDuration('interval', interval)
  }

  setCheckpointingConsistencyMode(mode: CheckpointingMode): this {
    return this.setOneOf('mode', mode, CheckpointingMode)
  }

  setCheckpointingMode(mode: CheckpointingMode): this {
    return this.setCheckpointingConsistencyMode(mode)
  }

  setCheckpointTimeout(timeout: Duration): this {
    return this.setDuration('timeout', timeout)
  }

  setMinPauseBetweenCheckpoints(pause: Duration): this {
    return this.setDuration('min-pause', pause)
  }

  setMaxConcurrentCheckpoints(count: number): this {
    return this.setCount('max-concurrent-checkpoints', count, 1)
  }

  setTolerableCheckpointFailureNumber(count: number): this {
    return this.setCount('tolerable-failed-checkpoints', count, 0)
  }

  setExternalizedCheckpointRetention(retention: ExternalizedCheckpointRetention): this {
    return this.setOneOf('externalized-checkpoint-retention', retention, ExternalizedCheckpointRetention)
  }

  /** A directory, `file:///folder` or `s3://bucket/prefix`, or what says where. */
  setCheckpointStorage(storage: string | CheckpointStorage): this {
    if (storage instanceof CheckpointStorage) this.env.configure(storage.options)
    else this.env.configure(directoryOptions('setCheckpointStorage', storage))
    return this
  }

  private setDuration(key: string, value: Duration): this {
    let text: string
    try {
      text = `${Math.round(parseDuration(value))} ms`
    } catch {
      throw new FlinkError('INVALID_PROGRAM', `checkpoint ${key} is milliseconds or a text such as "10 s", got ${JSON.stringify(value)}`)
    }
    return this.set(key, text)
  }

  private setCount(key: string, value: number, least: number): this {
    if (!Number.isSafeInteger(value) || value < least)
      throw new FlinkError('INVALID_PROGRAM', `checkpoint ${key} is a whole number from ${least}, got ${JSON.stringify(value)}`)
    return this.set(key, String(value))
  }

  private setOneOf(key: string, value: string, values: Readonly<Record<string, string>>): this {
    if (!Object.hasOwn(values, value))
      throw new FlinkError('INVALID_PROGRAM', `checkpoint ${key} is one of ${Object.keys(values).join(', ')}, got ${JSON.stringify(value)}`)
    return this.set(key, value)
  }

  private set(key: string, value: string): this {
    this.env.configure(`execution.checkpointing.${key}`, value)
    return this
  }
}

refuseByName(CheckpointConfig.prototype, 'getCheckpointConfig()', {
  enableUnalignedCheckpoints: 'unaligned checkpoints are not supported yet',
  setAlignedCheckpointTimeout: 'unaligned checkpoints are not supported yet',
  setForceUnalignedCheckpoints: 'unaligned checkpoints are not supported yet',
  enableExternalizedCheckpoints: "use setExternalizedCheckpointRetention('RETAIN_ON_CANCELLATION')",
  setExternalizedCheckpointCleanup: "use setExternalizedCheckpointRetention('RETAIN_ON_CANCELLATION')",
  setFailOnCheckpointingErrors: 'use setTolerableCheckpointFailureNumber',
  setPreferCheckpointForRecovery: 'nothing needs it: a job goes on from its newest checkpoint or savepoint',
})

/** What `getCheckpointConfig().setCheckpointStorage` takes, where a directory is not enough. */
export class CheckpointStorage {
  readonly options: Readonly<Record<string, string>>

  constructor(options: Readonly<Record<string, string>>) {
    this.options = options
  }
}

/** In the memory of the JobManager: lost with it. */
export class JobManagerCheckpointStorage extends CheckpointStorage {
  constructor(...further: readonly never[]) {
    refuseArguments('JobManagerCheckpointStorage', further, 'no argument is')
    super({ 'execution.checkpointing.storage': 'jobmanager' })
  }
}

export class FileSystemCheckpointStorage extends CheckpointStorage {
  constructor(directory: string, ...further: readonly never[]) {
    refuseArguments('FileSystemCheckpointStorage', further, 'no argument behind the directory is')
    super(directoryOptions('FileSystemCheckpointStorage', directory))
  }
}

/** What `env.setStateBackend` takes: where state lives while the job runs, and with the names of Flink 1.x where its checkpoints go. */
export class StateBackend {
  readonly options: Readonly<Record<string, string>>

  constructor(options: Readonly<Record<string, string>>) {
    this.options = options
  }
}

/** On the heap. */
export class HashMapStateBackend extends StateBackend {
  constructor(...further: readonly never[]) {
    refuseArguments('HashMapStateBackend', further, 'no argument is')
    super({ 'state.backend.type': 'hashmap' })
  }
}

/** Flink 1.x: on the heap, checkpoints in the memory of the JobManager. */
export class MemoryStateBackend extends StateBackend {
  constructor(...further: readonly never[]) {
    refuseArguments('MemoryStateBackend', further, 'no argument is')
    super({ 'state.backend.type': 'hashmap', 'execution.checkpointing.storage': 'jobmanager' })
  }
}

/** Flink 1.x: on the heap, checkpoints in a directory. */
export class FsStateBackend extends StateBackend {
  constructor(directory: string, ...further: readonly never[]) {
    refuseArguments('FsStateBackend', further, 'no argument behind the directory is')
    super({ 'state.backend.type': 'hashmap', ...directoryOptions('FsStateBackend', directory) })
  }
}

function directoryOptions(what: string, directory: string): Readonly<Record<string, string>> {
  if (typeof directory !== 'string' || directory === '')
    throw new FlinkError('INVALID_PROGRAM', `${what} takes the URI of a directory, as in file:///checkpoints`)
  return { 'execution.checkpointing.storage': 'filesystem', 'execution.checkpointing.dir': directory }
}

/** Flink's further ones are sizes and flags of its own implementation: none is taken and ignored. */
function refuseArguments(what: string, further: readonly never[], none: string): void {
  if (further.length > 0) throw new FlinkError('UNSUPPORTED', `new ${what}(…): ${none} supported, got ${further.length} more`)
}
