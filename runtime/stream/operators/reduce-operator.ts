import type { TypeInformation } from '../../serde/type-information.ts'
import { ValueStateDescriptor } from '../../state/descriptors.ts'
import type { HeapState } from '../../state/heap-state.ts'
import type { KeyEntry } from '../../state/key-entry.ts'
import type { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import type { KeySpec, ReduceFunction } from '../functions.ts'
import type { AggregationFunction } from './aggregations.ts'
import { FunctionOperator } from './function-operator.ts'

export interface ReduceOptions {
  /** Batch mode: nothing per row, one row a key when the input ends. */
  readonly finalOnly: boolean
}

/** What it keeps of a key: also for the graph, which knows states without running. */
export function reducedDescriptor(valueType: TypeInformation): ValueStateDescriptor<unknown> {
  return new ValueStateDescriptor('_reduce', valueType)
}

/** Rolling reduce of a keyed stream: every row gives one row, the reduction of its key so far. */
export class ReduceOperator extends FunctionOperator {
  private readonly fn: ReduceFunction<unknown>
  private readonly descriptor: ValueStateDescriptor<unknown>
  private readonly finalOnly: boolean
  // Set by `registerStates`, which `setup` calls.
  private readonly checkFirst: ((value: unknown) => void) | undefined
  private reduced!: HeapState
  private flushing: IterableIterator<KeyEntry> | undefined = undefined

  constructor(key: KeySpec, fn: ReduceFunction<unknown>, valueType: TypeInformation, options: ReduceOptions) {
    super([fn], [key])
    this.fn = fn
    this.descriptor = reducedDescriptor(valueType)
    this.finalOnly = options.finalOnly
    this.checkFirst = (fn as AggregationFunction).checkFirst
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    const before = this.reduced.read()
    let after = value
    if (before === undefined) {
      if (this.checkFirst !== undefined) this.checkRow(value)
    } else {
      try {
        after = this.fn.reduce(before, value)
      } catch (error) {
        throw this.userError(error)
      }
      if (after instanceof Promise) throw this.promiseRefused('reduce', after)
    }
    this.reduced.write(after)
    if (!this.finalOnly) this.output.collect(after, timestamp)
  }

  private checkRow(value: unknown): void {
    try {
      this.checkFirst?.(value)
    } catch (error) {
      throw this.userError(error)
    }
  }

  override endInput(_input: number): boolean {
    if (!this.finalOnly || this.backend === undefined) return true
    this.flushing ??= this.backend.keys()
    for (;;) {
      if (this.context.shouldYield()) return false
      const next = this.flushing.next()
      if (next.done === true) return true
      const value = this.reduced.readFrom(next.value)
      if (value !== undefined) this.output.collect(value, Number.NaN)
    }
  }

  protected override registerStates(backend: KeyedStateBackend): void {
    this.reduced = backend.register(this.descriptor)
    super.registerStates(backend)
  }
}
