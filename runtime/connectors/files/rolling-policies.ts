import { parseDuration, parseMemorySize } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { RollingPolicySettings } from '../../stream/operators/part-buckets.ts'

/** When a part ends: one of these two, as Flink has them. */
export type RollingPolicy = DefaultRollingPolicy | OnCheckpointRollingPolicy

/** By size, age and inactivity; at a checkpoint only by size. */
export class DefaultRollingPolicy {
  readonly settings: RollingPolicySettings

  constructor(settings: RollingPolicySettings) {
    this.settings = settings
  }

  static builder(): DefaultRollingPolicyBuilder {
    return new DefaultRollingPolicyBuilder()
  }
}

export class DefaultRollingPolicyBuilder {
  private partSizeBytes = 128 * 1024 * 1024
  private rolloverIntervalMs = 60_000
  private inactivityIntervalMs = 60_000

  /** `128 mb`, or bytes. */
  withMaxPartSize(size: string | number): this {
    this.partSizeBytes = positive('withMaxPartSize', typeof size === 'number' ? size : parseMemorySize(size))
    return this
  }

  /** `15 min`, or milliseconds. */
  withRolloverInterval(interval: string | number): this {
    this.rolloverIntervalMs = positive('withRolloverInterval', parseDuration(interval))
    return this
  }

  withInactivityInterval(interval: string | number): this {
    this.inactivityIntervalMs = positive('withInactivityInterval', parseDuration(interval))
    return this
  }

  build(): DefaultRollingPolicy {
    const { partSizeBytes, rolloverIntervalMs, inactivityIntervalMs } = this
    return new DefaultRollingPolicy({ rollOnCheckpoint: false, partSizeBytes, rolloverIntervalMs, inactivityIntervalMs })
  }
}

/** Only, and always, at a checkpoint. */
export class OnCheckpointRollingPolicy {
  readonly settings: RollingPolicySettings = {
    rollOnCheckpoint: true,
    partSizeBytes: Number.MAX_SAFE_INTEGER,
    rolloverIntervalMs: Number.MAX_SAFE_INTEGER,
    inactivityIntervalMs: Number.MAX_SAFE_INTEGER,
  }

  static build(): OnCheckpointRollingPolicy {
    return new OnCheckpointRollingPolicy()
  }
}

function positive(what: string, value: number): number {
  if (!Number.isFinite(value) || value <= 0) throw new FlinkError('INVALID_PROGRAM', `rolling policy: ${what} takes more than zero, got ${value}`)
  return value
}
