import { parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'

/** What makes a value young again. */
export const UpdateType = { Disabled: 'Disabled', OnCreateAndWrite: 'OnCreateAndWrite', OnReadAndWrite: 'OnReadAndWrite' } as const
export type UpdateType = keyof typeof UpdateType

/** Whether a value that has expired and is still there may be read. */
export const StateVisibility = { NeverReturnExpired: 'NeverReturnExpired', ReturnExpiredIfNotCleanedUp: 'ReturnExpiredIfNotCleanedUp' } as const
export type StateVisibility = keyof typeof StateVisibility

export interface IncrementalCleanup {
  /** Keys that are looked at for each access of the state. */
  readonly keysPerStep: number
  /** Also for each record, whether it touches the state or not. */
  readonly everyRecord: boolean
}

// The user's bundle and the engine may hold two copies of this module; a registered symbol is equal in both, a class is not.
const brand = Symbol.for('millrace.StateTtlConfig')

/**
 * Flink's StateTtlConfig: how long a value of keyed state lives after its last write (or access), on the processing-time clock. What it says may change from
 * one run of a job to the next; whether a state has time-to-live at all is part of its stored type and may not.
 */
export class StateTtlConfig {
  static readonly UpdateType = UpdateType
  static readonly StateVisibility = StateVisibility
  readonly [brand] = true
  readonly ttlMs: number
  readonly updateType: UpdateType
  readonly stateVisibility: StateVisibility
  readonly cleanupInFullSnapshot: boolean
  /** undefined = expired values go when they are read, only. */
  readonly incrementalCleanup: IncrementalCleanup | undefined

  constructor(options: Pick<StateTtlConfig, 'ttlMs' | 'updateType' | 'stateVisibility' | 'cleanupInFullSnapshot' | 'incrementalCleanup'>) {
    this.ttlMs = options.ttlMs
    this.updateType = options.updateType
    this.stateVisibility = options.stateVisibility
    this.cleanupInFullSnapshot = options.cleanupInFullSnapshot
    this.incrementalCleanup = options.incrementalCleanup
  }

  /** `ttl` is a text such as '1 h', or milliseconds. */
  static newBuilder(ttl: string | number): StateTtlConfigBuilder {
    return new StateTtlConfigBuilder(parseDuration(ttl))
  }

  get isEnabled(): boolean {
    return this.updateType !== 'Disabled'
  }
}

export class StateTtlConfigBuilder {
  private readonly ttlMs: number
  private updateType: UpdateType = 'OnCreateAndWrite'
  private stateVisibility: StateVisibility = 'NeverReturnExpired'
  private fullSnapshot = false
  private inBackground = true
  private incremental: IncrementalCleanup | undefined

  constructor(ttlMs: number) {
    if (!(ttlMs > 0)) throw new FlinkError('INVALID_PROGRAM', `StateTtlConfig: TTL is expected to be positive, got ${ttlMs} ms`)
    this.ttlMs = ttlMs
  }

  setUpdateType(updateType: UpdateType): this {
    this.updateType = oneOf('setUpdateType', UpdateType, updateType)
    return this
  }

  updateTtlOnCreateAndWrite(): this {
    return this.setUpdateType('OnCreateAndWrite')
  }

  updateTtlOnReadAndWrite(): this {
    return this.setUpdateType('OnReadAndWrite')
  }

  setStateVisibility(visibility: StateVisibility): this {
    this.stateVisibility = oneOf('setStateVisibility', StateVisibility, visibility)
    return this
  }

  returnExpiredIfNotCleanedUp(): this {
    return this.setStateVisibility('ReturnExpiredIfNotCleanedUp')
  }

  neverReturnExpired(): this {
    return this.setStateVisibility('NeverReturnExpired')
  }

  /** The only one there is, in Flink too. */
  useProcessingTime(): this {
    return this
  }

  /** A checkpoint that holds all of the state (and a savepoint) holds nothing expired. */
  cleanupFullSnapshot(): this {
    this.fullSnapshot = true
    return this
  }

  /** With each access of the state up to `cleanupSize` keys are looked at, in turn; with `runCleanupForEveryRecord` for each record as well. */
  cleanupIncrementally(cleanupSize: number, runCleanupForEveryRecord: boolean): this {
    if (!Number.isInteger(cleanupSize) || cleanupSize < 1)
      throw new FlinkError('INVALID_PROGRAM', `StateTtlConfig: cleanupIncrementally takes a number of keys from 1, got ${cleanupSize}`)
    if (typeof runCleanupForEveryRecord !== 'boolean')
      throw new FlinkError('INVALID_PROGRAM', 'StateTtlConfig: cleanupIncrementally takes true or false for every record, as its second argument')
    this.incremental = { keysPerStep: cleanupSize, everyRecord: runCleanupForEveryRecord }
    return this
  }

  cleanupInRocksdbCompactFilter(): never {
    throw new FlinkError(
      'UNSUPPORTED',
      'StateTtlConfig.cleanupInRocksdbCompactFilter: there is no RocksDB state backend yet; on the heap cleanupIncrementally does it, and without it five keys are looked at for each access',
    )
  }

  /** No clean-up but what was asked for, and what is read. */
  disableCleanupInBackground(): this {
    this.inBackground = false
    return this
  }

  build(): StateTtlConfig {
    return new StateTtlConfig({
      ttlMs: this.ttlMs,
      updateType: this.updateType,
      stateVisibility: this.stateVisibility,
      cleanupInFullSnapshot: this.fullSnapshot,
      incrementalCleanup: this.incremental ?? (this.inBackground ? backgroundCleanup : undefined),
    })
  }
}

/** Flink's default for the heap. */
const backgroundCleanup: IncrementalCleanup = { keysPerStep: 5, everyRecord: false }

export function isStateTtlConfig(value: unknown): value is StateTtlConfig {
  return typeof value === 'object' && value !== null && brand in value
}

function oneOf<T extends string>(method: string, known: Readonly<Record<T, T>>, value: T): T {
  if (!Object.hasOwn(known, value))
    throw new FlinkError('INVALID_PROGRAM', `StateTtlConfig: ${method} takes ${Object.keys(known).join(' or ')}, got ${String(value)}`)
  return value
}
