import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../state/descriptors.ts'
import type {
  AggregatingState,
  BroadcastState,
  ListState,
  MapState,
  ReadOnlyBroadcastState,
  ReducingState,
  State,
  ValueState,
} from '../state/state.ts'
import { type Collector, type OutputTag, type RichFunction, type TimeDomain, type TimerService, withMethods } from './functions.ts'

/**
 * Functions of a stream that is connected with a broadcast one, in Flink's words. Broadcast state is the same on every subtask because only what every
 * subtask sees writes it: `processBroadcastElement`, which must do the same to it everywhere, whatever the subtask and the order of the other input.
 */
interface BaseBroadcastContext {
  /** Of the record; null when it has none. */
  timestamp(): number | null
  currentProcessingTime(): number
  currentWatermark(): number
  output<X>(tag: OutputTag<X>, value: X): void
}
export interface BroadcastContext extends BaseBroadcastContext {
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V>
}
export interface BroadcastReadOnlyContext extends BaseBroadcastContext {
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): ReadOnlyBroadcastState<K, V>
}
export interface KeyedBroadcastContext<K> extends BroadcastContext {
  /** Calls `fn` once for each key that has state of this descriptor, with the key and its state. */
  applyToKeyedState<T>(descriptor: ValueStateDescriptor<T>, fn: KeyedStateFunction<K, ValueState<T>>): void
  applyToKeyedState<T>(descriptor: ListStateDescriptor<T>, fn: KeyedStateFunction<K, ListState<T>>): void
  applyToKeyedState<UK, UV>(descriptor: MapStateDescriptor<UK, UV>, fn: KeyedStateFunction<K, MapState<UK, UV>>): void
  applyToKeyedState<T>(descriptor: ReducingStateDescriptor<T>, fn: KeyedStateFunction<K, ReducingState<T>>): void
  applyToKeyedState<IN, ACC, OUT>(descriptor: AggregatingStateDescriptor<IN, ACC, OUT>, fn: KeyedStateFunction<K, AggregatingState<IN, OUT>>): void
}
export interface KeyedBroadcastReadOnlyContext<K> extends BroadcastReadOnlyContext {
  timerService(): TimerService
  getCurrentKey(): K
}
export interface KeyedBroadcastOnTimerContext<K> extends KeyedBroadcastReadOnlyContext<K> {
  timeDomain(): TimeDomain
}

export type KeyedStateFunction<K, S extends State> = ((key: K, state: S) => void) | { process(key: K, state: S): void }

export interface BroadcastProcessFunction<IN1, IN2, OUT> extends RichFunction {
  processElement(value: IN1, context: BroadcastReadOnlyContext, out: Collector<OUT>): void
  processBroadcastElement(value: IN2, context: BroadcastContext, out: Collector<OUT>): void
}
export interface KeyedBroadcastProcessFunction<K, IN1, IN2, OUT> extends RichFunction {
  processElement(value: IN1, context: KeyedBroadcastReadOnlyContext<K>, out: Collector<OUT>): void
  processBroadcastElement(value: IN2, context: KeyedBroadcastContext<K>, out: Collector<OUT>): void
  onTimer?(timestamp: number, context: KeyedBroadcastOnTimerContext<K>, out: Collector<OUT>): void
}

export function normaliseBroadcastProcess(
  fn: BroadcastProcessFunction<never, never, unknown> | KeyedBroadcastProcessFunction<never, never, never, unknown>,
): KeyedBroadcastProcessFunction<unknown, unknown, unknown, unknown> {
  // The operator hands it rows and keys of the very streams that it was written for.
  return withMethods(fn, 'broadcast process function', 'processElement', 'processBroadcastElement') as never
}
