import { FlinkError } from '../../common/errors.ts'
import type { MapStateDescriptor, StateDescriptor } from '../../state/descriptors.ts'
import type { BroadcastState, ReadOnlyBroadcastState, State } from '../../state/state.ts'
import type { KeyedBroadcastContext, KeyedBroadcastProcessFunction, KeyedStateFunction } from '../broadcast-functions.ts'
import type { KeySpec } from '../functions.ts'
import { OperatorProcessContext } from './process-context.ts'
import { TimerFunctionOperator } from './timer-function-operator.ts'

type Descriptor = MapStateDescriptor<unknown, unknown>

/**
 * A stream, keyed or not, connected with a broadcast one. Rows of the first input read broadcast state, those of the second write it: they come to every
 * subtask, so that the state is the same on all of them and a checkpoint's copy of one subtask is as good as another's. They have no key: keyed state is
 * reached by `applyToKeyedState` only, and timers not at all.
 */
export class BroadcastProcessOperator extends TimerFunctionOperator<KeyedBroadcastProcessFunction<unknown, unknown, unknown, unknown>> {
  protected override readonly processContext = new ReadingContext(this)
  private readonly broadcastContext = new WritingContext(this)
  private readonly descriptors: readonly Descriptor[]
  private readonly states = new Map<string, BroadcastState<unknown, unknown>>()
  private readonly views = new Map<string, ReadOnlyBroadcastState<unknown, unknown>>()

  constructor(fn: KeyedBroadcastProcessFunction<unknown, unknown, unknown, unknown>, descriptors: readonly Descriptor[], key?: KeySpec) {
    super(fn, key === undefined ? [] : [key], 2)
    this.descriptors = descriptors
  }

  override open(): void | Promise<void> {
    for (const descriptor of this.descriptors) {
      const state = this.functions.operatorState.getBroadcastState(descriptor)
      this.states.set(descriptor.name, state)
      this.views.set(descriptor.name, new ReadOnlyView(descriptor.name, state))
    }
    return super.open()
  }

  processElement(value: unknown, timestamp: number): void {
    this.beginElement(value, timestamp, 0)
    let result: unknown
    try {
      result = this.fn.processElement(value, this.processContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processElement', result)
  }

  processElement2(value: unknown, timestamp: number): void {
    this.backend?.unsetCurrentKey()
    this.collector.timestamp = timestamp
    this.broadcastContext.elementTimestamp = timestamp
    let result: unknown
    try {
      result = this.fn.processBroadcastElement(value, this.broadcastContext, this.collector)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('processBroadcastElement', result)
  }

  writable(descriptor: Descriptor): BroadcastState<unknown, unknown> {
    return found(this.states, descriptor)
  }

  readable(descriptor: Descriptor): ReadOnlyBroadcastState<unknown, unknown> {
    return found(this.views, descriptor)
  }

  applyToKeyedState(descriptor: StateDescriptor, process: (key: unknown, state: State) => void): void {
    const { backend } = this
    if (backend === undefined) throw new FlinkError('UNSUPPORTED', 'applyToKeyedState: there is keyed state on a keyed stream only')
    const state = backend.declared(descriptor)
    const stored = backend.register(descriptor)
    for (const entry of backend.keys()) if (stored.readFrom(entry) !== undefined) backend.visit(entry, () => process(entry.key, state))
  }

  /** A descriptor is often a field of the function as well. */
  protected override isKeyedState(descriptor: StateDescriptor): boolean {
    return !this.descriptors.some(({ name }) => name === descriptor.name)
  }
}

/** What rows of the first input and timers get. */
class ReadingContext extends OperatorProcessContext {
  private readonly broadcasts: BroadcastProcessOperator

  constructor(operator: BroadcastProcessOperator) {
    super(operator)
    this.broadcasts = operator
  }

  currentProcessingTime(): number {
    return this.broadcasts.nowMs()
  }

  currentWatermark(): number {
    return this.broadcasts.watermark()
  }

  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): ReadOnlyBroadcastState<K, V> {
    return this.broadcasts.readable(descriptor as Descriptor) as ReadOnlyBroadcastState<K, V>
  }
}

/** What rows of the broadcast input get. */
class WritingContext implements KeyedBroadcastContext<unknown> {
  elementTimestamp = Number.NaN
  private readonly operator: BroadcastProcessOperator

  constructor(operator: BroadcastProcessOperator) {
    this.operator = operator
  }

  timestamp(): number | null {
    return Number.isNaN(this.elementTimestamp) ? null : this.elementTimestamp
  }

  currentProcessingTime(): number {
    return this.operator.nowMs()
  }

  currentWatermark(): number {
    return this.operator.watermark()
  }

  output(tag: { readonly id: string }, value: unknown): void {
    this.operator.emitSideOutput(tag.id, value, this.elementTimestamp)
  }

  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V> {
    return this.operator.writable(descriptor as Descriptor) as BroadcastState<K, V>
  }

  applyToKeyedState(descriptor: unknown, fn: KeyedStateFunction<unknown, never>): void {
    const process = typeof fn === 'function' ? fn : (key: unknown, state: never) => fn.process(key, state)
    // The overloads of the interface pair each kind of descriptor with its state.
    this.operator.applyToKeyedState(descriptor as StateDescriptor, process as (key: unknown, state: State) => void)
  }

  /** Not in the type: for who comes from processElement. */
  timerService(): never {
    throw new FlinkError('USER_FUNCTION', 'processBroadcastElement has no timers: its row has no key')
  }
}

class ReadOnlyView implements ReadOnlyBroadcastState<unknown, unknown> {
  private readonly name: string
  private readonly state: BroadcastState<unknown, unknown>

  constructor(name: string, state: BroadcastState<unknown, unknown>) {
    this.name = name
    this.state = state
  }

  get(key: unknown): unknown {
    return this.state.get(key)
  }

  contains(key: unknown): boolean {
    return this.state.contains(key)
  }

  immutableEntries(): Iterable<readonly [unknown, unknown]> {
    return this.state.immutableEntries()
  }

  // Not in the type: programs without types, and casts.
  put(): never {
    throw this.refusal()
  }

  putAll(): never {
    throw this.refusal()
  }

  remove(): never {
    throw this.refusal()
  }

  clear(): never {
    throw this.refusal()
  }

  private refusal(): FlinkError {
    return new FlinkError(
      'USER_FUNCTION',
      `broadcast state ${this.name} is read-only in processElement and onTimer: only processBroadcastElement, which every subtask calls with the same rows, may change it`,
    )
  }
}

/** Flink's text, word for word. */
function found<S>(states: ReadonlyMap<string, S>, descriptor: Descriptor): S {
  const state = states.get(descriptor?.name)
  if (state === undefined)
    throw new FlinkError(
      'USER_FUNCTION',
      'The requested state does not exist. Check for typos in your state descriptor, or specify the state descriptor in the datastream.broadcast(...) call if you forgot to register it.',
    )
  return state
}
