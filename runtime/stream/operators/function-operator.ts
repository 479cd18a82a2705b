import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import { typesEqual } from '../../serde/types.ts'
import { declaredStates, type StateDescriptor } from '../../state/descriptors.ts'
import { KeyedStateBackend, type KeyedStateBackendOptions } from '../../state/keyed-state-backend.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'
import type { Collector, KeySpec, RichFunction } from '../functions.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { BaseOperator } from './base-operator.ts'
import { promiseRefused, userError } from './user-code.ts'
import { UserFunctions } from './user-functions.ts'

/**
 * An operator that runs users' functions: opens and closes them, gives them a runtime context, and, on a keyed stream, keeps the
 * states that their fields declare. One `KeySpec` an input makes it keyed, or one for the first input only; none = not keyed.
 */
export abstract class FunctionOperator extends BaseOperator {
  protected readonly keys: readonly KeySpec[]
  protected readonly collector = new TimestampedCollector()
  /** undefined = the stream is not keyed. */
  protected backend: KeyedStateBackend | undefined = undefined
  protected readonly functions: UserFunctions

  constructor(functions: readonly RichFunction[], keys: readonly KeySpec[], inputCount: 1 | 2 = 1) {
    super(inputCount)
    assert(keys.length <= inputCount, 'an operator has at most one key an input')
    this.functions = new UserFunctions(functions)
    this.keys = keys
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.collector.output = output
    this.backend = this.keyedBackend(context)
    this.snapshots = this.backend?.snapshots
    this.functions.setup(context, this.backend)
  }

  restore(state: RestoredSnapshot): void {
    this.functions.restore(state)
    if (state.keyed === undefined) return
    if (this.backend === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.context.operatorName}: the snapshot has keyed state, but its stream is not keyed any more`,
      )
    this.backend.snapshots.restore(state.keyed)
  }

  override open(): void | Promise<void> {
    return this.functions.open()
  }

  stateEntries(): number {
    return (this.backend?.keyCount ?? 0) + this.functions.stateEntries
  }

  get commitsOnCheckpoint(): boolean {
    return this.functions.listens
  }

  commitsDone(): boolean {
    return this.functions.notificationsDone()
  }

  override notifyCheckpointComplete(checkpointId: number): void {
    super.notifyCheckpointComplete(checkpointId)
    this.functions.notifyCheckpointComplete(checkpointId)
  }

  override notifyCheckpointAborted(checkpointId: number): void {
    super.notifyCheckpointAborted(checkpointId)
    this.functions.notifyCheckpointAborted(checkpointId)
  }

  override async close(): Promise<void> {
    try {
      await this.functions.close()
    } finally {
      this.backend?.close()
    }
  }

  protected override operatorState(barrier: CheckpointBarrier): readonly OperatorListSnapshot[] {
    return this.functions.snapshot(barrier)
  }

  /** In an order that does not depend on data. Overridden by operators with states of their own. */
  protected registerStates(backend: KeyedStateBackend): void {
    for (const fn of this.functions.list) for (const descriptor of declaredStates(fn)) if (this.isKeyedState(descriptor)) backend.register(descriptor)
  }

  /** Whether a descriptor among a function's fields is of keyed state. */
  protected isKeyedState(_descriptor: StateDescriptor): boolean {
    return true
  }

  /** Makes the record's key current. Does nothing on a stream that is not keyed. */
  protected setKeyOf(value: unknown, input: number): void {
    const backend = this.backend
    if (backend === undefined) return
    let key: unknown
    try {
      key = (this.keys[input] as KeySpec).select(value)
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
    if (key === null || key === undefined)
      throw new FlinkError('USER_FUNCTION', `operator ${this.context.operatorName}: the key of a record is ${key}; a key must not be null`)
    backend.setCurrentKey(key)
  }

  protected userError(error: unknown): unknown {
    return userError(this.context.operatorName, error)
  }

  protected promiseRefused(what: string, promise: Promise<unknown>): FlinkError {
    return promiseRefused(this.context.operatorName, what, promise)
  }

  private keyedBackend(context: OperatorContext): KeyedStateBackend | undefined {
    const { operatorName: owner, maxParallelism, clock, random, options } = context
    const [first, second = first] = this.keys
    if (first === undefined || second === undefined) return undefined
    if (!typesEqual(first.type, second.type))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${owner}: its inputs are keyed by ${first.type} and by ${second.type}; connected streams need keys of one type`,
      )
    const backend = new KeyedStateBackend({
      owner,
      keyType: first.type,
      maxParallelism,
      limits: options.snapshotLimits,
      hotKeysMax: options.hotKeysMax,
      seed: random.nextInt(2 ** 32),
      nowMs: () => clock.nowMs(),
      own: ownStore(context),
    })
    this.registerStates(backend)
    return backend
  }
}

function ownStore({ operatorName, subtaskIndex, parallelism, options }: OperatorContext): KeyedStateBackendOptions['own'] {
  const { stateBackend: backend, checkpointingEnabled } = options
  if (backend === undefined) return undefined
  if (checkpointingEnabled && !backend.can.snapshots)
    throw new FlinkError(
      'UNSUPPORTED',
      `operator ${operatorName}: state backend ${backend.name} says that it cannot take snapshots, and the job is to take checkpoints: leave execution.checkpointing.interval out, or take another backend`,
    )
  return { backend, store: backend.createStore({ operatorName, subtaskIndex, parallelism }) }
}

/** The collector that functions receive: one an operator, its timestamp set before each call. */
export class TimestampedCollector implements Collector<unknown> {
  output: OperatorOutput = unconnected
  timestamp = Number.NaN

  collect(value: unknown): void {
    this.output.collect(value, this.timestamp)
  }
}

const notSetUp = (): never => {
  throw new FlinkError('INTERNAL', 'an operator emits only after setup')
}
const unconnected: OperatorOutput = {
  collect: notSetUp,
  collectFrame: notSetUp,
  sideOutput: notSetUp,
  emitWatermark: notSetUp,
  emitStatus: notSetUp,
}
