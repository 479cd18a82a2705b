import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import { typesEqual } from '../../serde/types.ts'
import { declaredStates } from '../../state/descriptors.ts'
import { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import type { Collector, KeySpec, RichFunction } from '../functions.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { BaseOperator } from './base-operator.ts'
import { OperatorRuntimeContext } from './runtime-context.ts'
import { promiseRefused, userError } from './user-code.ts'

/**
 * An operator that runs users' functions: opens and closes them, gives them a runtime context, and, on a keyed stream, keeps the
 * states that their fields declare. One `KeySpec` an input makes it keyed; none = not keyed.
 */
export abstract class FunctionOperator extends BaseOperator {
  protected readonly keys: readonly KeySpec[]
  protected readonly collector = new TimestampedCollector()
  /** undefined = the stream is not keyed. */
  protected backend: KeyedStateBackend | undefined = undefined
  private readonly functions: readonly RichFunction[]
  private openedCount = 0

  constructor(functions: readonly RichFunction[], keys: readonly KeySpec[], inputCount: 1 | 2 = 1) {
    super(inputCount)
    assert(keys.length === 0 || keys.length === inputCount, 'a keyed operator has one key an input')
    this.functions = functions
    this.keys = keys
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.collector.output = output
    const first = this.keys[0]
    if (first === undefined) return
    const second = this.keys[1] ?? first
    if (!typesEqual(first.type, second.type))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${context.operatorName}: its inputs are keyed by ${first.type} and by ${second.type}; connected streams need keys of one type`,
      )
    const { operatorName, maxParallelism, clock } = context
    this.backend = new KeyedStateBackend({ owner: operatorName, keyType: first.type, maxParallelism, nowMs: () => clock.nowMs() })
    this.registerStates(this.backend)
  }

  restore(state: OperatorSnapshot): void {
    if (state.keyed === undefined) return
    if (this.backend === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.context.operatorName}: the snapshot has keyed state, but its stream is not keyed any more`,
      )
    this.backend.restore([state.keyed])
  }

  override open(): void | Promise<void> {
    const context = new OperatorRuntimeContext(this.context, this.backend)
    for (const [i, fn] of this.functions.entries()) {
      this.openedCount = i + 1
      let opening: unknown
      try {
        opening = fn.open?.(context)
      } catch (error) {
        throw userError(this.context.operatorName, error)
      }
      if (opening instanceof Promise) return this.openRest(opening, context, i + 1)
    }
  }

  override snapshot(_barrier: CheckpointBarrier): OperatorSnapshot {
    return { keyed: this.backend?.snapshot(), lists: [] }
  }

  override async close(): Promise<void> {
    const opened = this.functions.slice(0, this.openedCount)
    this.openedCount = 0
    let first: { readonly error: unknown } | undefined
    for (const fn of opened) {
      try {
        await fn.close?.()
      } catch (error) {
        first ??= { error: userError(this.context.operatorName, error) }
      }
    }
    if (first !== undefined) throw first.error
  }

  /** In an order that does not depend on data. Overridden by operators with states of their own. */
  protected registerStates(backend: KeyedStateBackend): void {
    for (const fn of this.functions) for (const descriptor of declaredStates(fn)) backend.register(descriptor)
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

  private async openRest(opening: Promise<unknown>, context: OperatorRuntimeContext, from: number): Promise<void> {
    try {
      await opening
      for (let i = from; i < this.functions.length; i++) {
        this.openedCount = i + 1
        await this.functions[i]?.open?.(context)
      }
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
  }
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
