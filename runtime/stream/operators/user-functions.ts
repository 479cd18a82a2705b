import { FlinkError } from '../../common/errors.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import type { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import { OperatorStateBackend } from '../../state/operator-state-backend.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'
import type { FunctionInitializationContext, OperatorStateStore } from '../checkpointed-function.ts'
import type { KeyedStateStore, RichFunction } from '../functions.ts'
import type { OperatorContext } from '../operator.ts'
import { OperatorRuntimeContext } from './runtime-context.ts'
import { userError } from './user-code.ts'

/**
 * The life of an operator's user functions, whatever calls them for rows: `initializeState` of all, `open` of all, `snapshotState`, notifications, `close`
 * of those that had begun, in order of the functions. Holds their operator state. Functions of a task that a checkpoint calls finished never begin.
 *
 * A notification may answer a promise: nobody waits for it but the end of the job (`notificationsDone`), and a rejection fails the task.
 */
export class UserFunctions {
  readonly list: readonly RichFunction[]
  // Set by `setup`, which precedes every other call.
  operatorState!: OperatorStateBackend
  private context!: OperatorContext
  private runtimeContext!: OperatorRuntimeContext
  private isRestored = false
  private begun = new Set<RichFunction>()
  private notificationsUnderWay = 0

  constructor(list: readonly RichFunction[]) {
    this.list = list
  }

  setup(context: OperatorContext, keyed: KeyedStateBackend | undefined): void {
    this.context = context
    this.operatorState = new OperatorStateBackend(context.operatorName)
    this.runtimeContext = new OperatorRuntimeContext(context, keyed)
  }

  /** Lists whose names begin with `_` are the engine's. */
  restore({ lists }: RestoredSnapshot): void {
    this.isRestored = true
    this.operatorState.restore(lists.filter(({ name }) => !name.startsWith('_')))
  }

  /** Waits only where a function does. */
  open(): void | Promise<void> {
    const steps = this.opening()
    try {
      for (let step = steps.next(); step.done !== true; step = steps.next())
        if (step.value instanceof Promise) return this.openRest(step.value, steps)
    } catch (error) {
      throw this.userError(error)
    }
  }

  get stateEntries(): number {
    return this.operatorState.entryCount
  }

  /** Some function wants to hear of checkpoints, so that the end of its input waits for one. */
  get listens(): boolean {
    return this.list.some(fn => typeof fn.notifyCheckpointComplete === 'function')
  }

  snapshot({ checkpointId, timestampMs }: CheckpointBarrier): OperatorListSnapshot[] {
    const context = { getCheckpointId: () => checkpointId, getCheckpointTimestamp: () => timestampMs }
    for (const fn of this.begun) {
      let result: unknown
      try {
        result = fn.snapshotState?.(context)
      } catch (error) {
        throw this.userError(error)
      }
      if (result instanceof Promise) {
        result.catch(() => {})
        throw new FlinkError(
          'UNSUPPORTED',
          `operator ${this.context.operatorName}: snapshotState returned a promise, but a snapshot is taken between two rows, which wait for nothing`,
        )
      }
    }
    return this.operatorState.snapshot()
  }

  notifyCheckpointComplete(checkpointId: number): void {
    for (const fn of this.begun) this.notify(() => fn.notifyCheckpointComplete?.(checkpointId))
  }

  notifyCheckpointAborted(checkpointId: number): void {
    for (const fn of this.begun) this.notify(() => fn.notifyCheckpointAborted?.(checkpointId))
  }

  notificationsDone(): boolean {
    return this.notificationsUnderWay === 0
  }

  async close(): Promise<void> {
    const { begun } = this
    this.begun = new Set()
    let first: { readonly error: unknown } | undefined
    for (const fn of begun) {
      try {
        await fn.close?.()
      } catch (error) {
        first ??= { error: this.userError(error) }
      }
    }
    if (first !== undefined) throw first.error
  }

  private *opening(): Generator<unknown, void> {
    const { list, begun, operatorState, runtimeContext } = this
    const context = new InitializationContext(this.isRestored, operatorState, runtimeContext)
    for (const fn of list) {
      if (fn.initializeState === undefined) continue
      begun.add(fn)
      yield fn.initializeState(context)
    }
    for (const fn of list) {
      begun.add(fn)
      yield fn.open?.(runtimeContext)
    }
    operatorState.checkAllDeclared()
  }

  private async openRest(first: Promise<unknown>, steps: Generator<unknown, void>): Promise<void> {
    try {
      await first
      for (const result of steps) await result
    } catch (error) {
      throw this.userError(error)
    }
  }

  private notify(call: () => void | Promise<void>): void {
    let result: unknown
    try {
      result = call()
    } catch (error) {
      throw this.userError(error)
    }
    if (!(result instanceof Promise)) return
    this.notificationsUnderWay++
    const settled = () => {
      this.notificationsUnderWay--
      this.context.wake()
    }
    result.then(settled, error => {
      settled()
      this.context.fail(this.userError(error))
    })
  }

  private userError(error: unknown): unknown {
    return userError(this.context.operatorName, error)
  }
}

class InitializationContext implements FunctionInitializationContext {
  private readonly restored: boolean
  private readonly operatorState: OperatorStateStore
  private readonly keyedState: KeyedStateStore

  constructor(restored: boolean, operatorState: OperatorStateStore, keyedState: KeyedStateStore) {
    this.restored = restored
    this.operatorState = operatorState
    this.keyedState = keyedState
  }

  isRestored(): boolean {
    return this.restored
  }

  getOperatorStateStore(): OperatorStateStore {
    return this.operatorState
  }

  getKeyedStateStore(): KeyedStateStore {
    return this.keyedState
  }
}
