import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  StateDescriptor,
  ValueStateDescriptor,
} from '../../state/descriptors.ts'
import type { HeapState } from '../../state/heap-state.ts'
import type { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import type { AggregatingState, ListState, MapState, ReducingState, State, ValueState } from '../../state/state.ts'
import { TimeWindow } from '../../time/windows.ts'
import type { KeyedStateStore, OutputTag, ProcessWindowContext, Window } from '../functions.ts'
import type { TimedOperator } from './timed-operator.ts'

/** The one context object of a window operator; `enter` sets the window before each call. No timers and no element timestamp, as in Flink. */
export class OperatorWindowContext implements ProcessWindowContext {
  private readonly operator: TimedOperator
  private current = new TimeWindow(0, 0)
  private timestamp = Number.NaN
  private windowStates: readonly HeapState[] = []
  // Set by `connect`, which the operator's setup calls.
  private keyStore!: KeyedStateStore
  private windowStore!: KeyedStateStore

  constructor(operator: TimedOperator) {
    this.operator = operator
  }

  connect(backend: KeyedStateBackend, windowStates: readonly HeapState[]): void {
    this.windowStates = windowStates
    this.keyStore = backend
    this.windowStore = new WindowStateStore(backend)
  }

  enter(window: TimeWindow, timestamp: number): void {
    this.current = window
    this.timestamp = timestamp
    for (const state of this.windowStates) state.setNamespace(window.start)
  }

  window(): Window {
    return this.current
  }

  currentProcessingTime(): number {
    return this.operator.nowMs()
  }

  currentWatermark(): number {
    return this.operator.watermark()
  }

  windowState(): KeyedStateStore {
    return this.windowStore
  }

  globalState(): KeyedStateStore {
    return this.keyStore
  }

  output<X>(tag: OutputTag<X>, value: X): void {
    this.operator.emitSideOutput(tag.id, value, this.timestamp)
  }
}

class WindowStateStore implements KeyedStateStore {
  private readonly backend: KeyedStateBackend

  constructor(backend: KeyedStateBackend) {
    this.backend = backend
  }

  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T> {
    return this.ofWindow(descriptor as StateDescriptor) as unknown as ValueState<T>
  }

  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.ofWindow(descriptor as StateDescriptor) as unknown as ListState<T>
  }

  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    return this.ofWindow(descriptor as StateDescriptor) as unknown as MapState<K, V>
  }

  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): ReducingState<T> {
    return this.ofWindow(descriptor as StateDescriptor) as unknown as ReducingState<T>
  }

  getAggregatingState<IN, ACC, OUT>(descriptor: AggregatingStateDescriptor<IN, ACC, OUT>): AggregatingState<IN, OUT> {
    return this.ofWindow(descriptor as StateDescriptor) as unknown as AggregatingState<IN, OUT>
  }

  private ofWindow(descriptor: StateDescriptor): State {
    return this.backend.declared(descriptor, Types.SAFE_LONG as TypeInformation)
  }
}
