import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../state/descriptors.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from '../state/state.ts'
import type { CheckpointedFunction, CheckpointListener } from './checkpointed-function.ts'

/**
 * Users' functions. Each is a lambda or an object with `open` and `close`; `normalise…` turns both into the object form that
 * operators call. Functions between source and sink are synchronous: one that returns a promise fails on its first record. Values
 * travel by reference inside a slot, so a function must not change its input; it may do what it likes with what it makes.
 */
export interface RichFunction extends Partial<CheckpointedFunction>, Partial<CheckpointListener> {
  open?(context: RuntimeContext): void | Promise<void>
  close?(): void | Promise<void>
}

export interface Collector<T> {
  collect(value: T): void
}

/** Names a side output; equal ids are the same output. */
export class OutputTag<T> {
  readonly id: string
  readonly type: TypeInformation<T> | undefined

  constructor(id: string, type?: TypeInformation<T>) {
    if (typeof id !== 'string' || id === '') throw new FlinkError('INVALID_PROGRAM', 'an OutputTag needs an id that is not empty')
    this.id = id
    this.type = type
  }
}

export interface MapFunction<I, O> extends RichFunction {
  map(value: I): O
}
export interface FilterFunction<T> extends RichFunction {
  filter(value: T): boolean
}
export interface FlatMapFunction<I, O> extends RichFunction {
  flatMap(value: I, out: Collector<O>): void
}
export interface ReduceFunction<T> extends RichFunction {
  /** Must not change `a` or `b`: both may have been handed to others. */
  reduce(a: T, b: T): T
}
export interface AggregateFunction<IN, ACC, OUT> extends RichFunction {
  createAccumulator(): ACC
  add(value: IN, accumulator: ACC): ACC
  getResult(accumulator: ACC): OUT
  merge(a: ACC, b: ACC): ACC
}
export interface CoMapFunction<I1, I2, O> extends RichFunction {
  map1(value: I1): O
  map2(value: I2): O
}
export interface CoFlatMapFunction<I1, I2, O> extends RichFunction {
  flatMap1(value: I1, out: Collector<O>): void
  flatMap2(value: I2, out: Collector<O>): void
}

export interface TimerService {
  currentProcessingTime(): number
  /** -Infinity before the first watermark, Infinity after the last; `formatWatermark` shows them as Flink's longs. */
  currentWatermark(): number
  registerProcessingTimeTimer(timeMs: number): void
  registerEventTimeTimer(timeMs: number): void
  deleteProcessingTimeTimer(timeMs: number): void
  deleteEventTimeTimer(timeMs: number): void
}

export type TimeDomain = 'EVENT_TIME' | 'PROCESSING_TIME'

/** Valid only during the call that received it: operators reuse one object. */
export interface ProcessContext {
  /** Of the record; null when it has none. */
  timestamp(): number | null
  timerService(): TimerService
  output<X>(tag: OutputTag<X>, value: X): void
}
export interface KeyedProcessContext<K> extends ProcessContext {
  getCurrentKey(): K
}
export interface OnTimerContext<K> extends KeyedProcessContext<K> {
  timeDomain(): TimeDomain
}

export interface ProcessFunction<I, O> extends RichFunction {
  processElement(value: I, context: ProcessContext, out: Collector<O>): void
  /** Never called: timers need a keyed stream. Kept so that Flink's shape compiles. */
  onTimer?(timestamp: number, context: OnTimerContext<never>, out: Collector<O>): void
}
export interface KeyedProcessFunction<K, I, O> extends RichFunction {
  processElement(value: I, context: KeyedProcessContext<K>, out: Collector<O>): void
  onTimer?(timestamp: number, context: OnTimerContext<K>, out: Collector<O>): void
}
export interface CoProcessFunction<I1, I2, O, K = unknown> extends RichFunction {
  processElement1(value: I1, context: KeyedProcessContext<K>, out: Collector<O>): void
  processElement2(value: I2, context: KeyedProcessContext<K>, out: Collector<O>): void
  onTimer?(timestamp: number, context: OnTimerContext<K>, out: Collector<O>): void
}

export interface Window {
  getStart(): number
  /** Exclusive. */
  getEnd(): number
  maxTimestamp(): number
}
/** States of the window's key; `windowState` additionally of the window. */
export interface KeyedStateStore {
  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T>
  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V>
  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): ReducingState<T>
  getAggregatingState<IN, ACC, OUT>(descriptor: AggregatingStateDescriptor<IN, ACC, OUT>): AggregatingState<IN, OUT>
}
export interface ProcessWindowContext {
  window(): Window
  currentProcessingTime(): number
  currentWatermark(): number
  windowState(): KeyedStateStore
  globalState(): KeyedStateStore
  output<X>(tag: OutputTag<X>, value: X): void
}
export interface ProcessWindowFunction<I, O, K> extends RichFunction {
  process(key: K, context: ProcessWindowContext, elements: Iterable<I>, out: Collector<O>): void
  /** Once, when the window expires: the place to clear `windowState`. */
  clear?(context: ProcessWindowContext): void
}

/**
 * Own source: `run` emits until the input ends or `cancel` was called. May be async; awaiting gives way to the rest of the slot, and to checkpoints. What
 * stands between two awaits is one piece to them, as inside Flink's `getCheckpointLock()`: collect a row and move on before awaiting what collect answered.
 */
export interface SourceContext<T> {
  collect(value: T): void | Promise<void>
  collectWithTimestamp(value: T, timestamp: number): void | Promise<void>
  emitWatermark(timestamp: number): void
  markAsTemporarilyIdle(): void
}
export interface SourceFunction<T> extends RichFunction {
  run(context: SourceContext<T>): void | Promise<void>
  cancel(): void
}
export interface SinkContext {
  currentProcessingTime(): number
  currentWatermark(): number
  /** Of the record; null when it has none. */
  timestamp(): number | null
}
/** Own sink; `invoke` may be async, bounded in flight. */
export interface SinkFunction<T> extends RichFunction {
  invoke(value: T, context: SinkContext): void | Promise<void>
}

export interface RuntimeContext extends KeyedStateStore {
  getJobId(): string
  getJobName(): string
  /** `Source: words -> Flat Map` */
  getTaskName(): string
  /** `Source: words -> Flat Map (2/4)#0` */
  getTaskNameWithSubtasks(): string
  getOperatorName(): string
  getIndexOfThisSubtask(): number
  getNumberOfParallelSubtasks(): number
  getMaxNumberOfParallelSubtasks(): number
  getAttemptNumber(): number
  getGlobalJobParameters(): Readonly<Record<string, unknown>>
  getMetricGroup(): MetricGroup
}
export interface MetricGroup {
  counter(name: string): { inc(count?: number): void; readonly value: number }
  gauge(name: string, read: () => number): void
}

/** Extracts the key of a row; `type` decides hashing, comparison and how the key is stored. */
export interface KeySpec {
  select(value: unknown): unknown
  readonly type: TypeInformation
}

export type MapLike<I, O> = ((value: I) => O) | MapFunction<I, O>
export type FilterLike<T> = ((value: T) => boolean) | FilterFunction<T>
export type FlatMapLike<I, O> = ((value: I, out: Collector<O>) => void) | FlatMapFunction<I, O>
export type ReduceLike<T> = ((a: T, b: T) => T) | ReduceFunction<T>
export type ProcessLike<I, O> = ((value: I, context: ProcessContext, out: Collector<O>) => void) | ProcessFunction<I, O>
export type KeyedProcessLike<K, I, O> = ((value: I, context: KeyedProcessContext<K>, out: Collector<O>) => void) | KeyedProcessFunction<K, I, O>
export type ProcessWindowLike<I, O, K> =
  | ((key: K, context: ProcessWindowContext, elements: Iterable<I>, out: Collector<O>) => void)
  | ProcessWindowFunction<I, O, K>
export type SinkLike<T> = ((value: T, context: SinkContext) => void | Promise<void>) | SinkFunction<T>
export type SourceLike<T> = ((context: SourceContext<T>) => void | Promise<void>) | SourceFunction<T>

export function normaliseMap<I, O>(fn: MapLike<I, O>): MapFunction<I, O> {
  return typeof fn === 'function' ? { map: fn } : withMethods(fn, 'map function', 'map')
}

export function normaliseFilter<T>(fn: FilterLike<T>): FilterFunction<T> {
  return typeof fn === 'function' ? { filter: fn } : withMethods(fn, 'filter function', 'filter')
}

export function normaliseFlatMap<I, O>(fn: FlatMapLike<I, O>): FlatMapFunction<I, O> {
  return typeof fn === 'function' ? { flatMap: fn } : withMethods(fn, 'flatMap function', 'flatMap')
}

export function normaliseReduce<T>(fn: ReduceLike<T>): ReduceFunction<T> {
  return typeof fn === 'function' ? { reduce: fn } : withMethods(fn, 'reduce function', 'reduce')
}

export function normaliseAggregate<IN, ACC, OUT>(fn: AggregateFunction<IN, ACC, OUT>): AggregateFunction<IN, ACC, OUT> {
  return withMethods(fn, 'aggregate function', 'createAccumulator', 'add', 'getResult')
}

export function normaliseCoMap<I1, I2, O>(first: ((value: I1) => O) | CoMapFunction<I1, I2, O>, second?: (value: I2) => O): CoMapFunction<I1, I2, O> {
  if (typeof first === 'function') return { map1: first, map2: secondLambda(second, 'map') }
  return withMethods(first, 'co-map function', 'map1', 'map2')
}

export function normaliseCoFlatMap<I1, I2, O>(
  first: ((value: I1, out: Collector<O>) => void) | CoFlatMapFunction<I1, I2, O>,
  second?: (value: I2, out: Collector<O>) => void,
): CoFlatMapFunction<I1, I2, O> {
  if (typeof first === 'function') return { flatMap1: first, flatMap2: secondLambda(second, 'flatMap') }
  return withMethods(first, 'co-flatMap function', 'flatMap1', 'flatMap2')
}

export function normaliseProcess<I, O>(fn: ProcessLike<I, O>): ProcessFunction<I, O> {
  return typeof fn === 'function' ? { processElement: fn } : withMethods(fn, 'process function', 'processElement')
}

export function normaliseKeyedProcess<K, I, O>(fn: KeyedProcessLike<K, I, O>): KeyedProcessFunction<K, I, O> {
  return typeof fn === 'function' ? { processElement: fn } : withMethods(fn, 'keyed process function', 'processElement')
}

export function normaliseCoProcess<I1, I2, O, K>(fn: CoProcessFunction<I1, I2, O, K>): CoProcessFunction<I1, I2, O, K> {
  return withMethods(fn, 'co-process function', 'processElement1', 'processElement2')
}

export function normaliseProcessWindow<I, O, K>(fn: ProcessWindowLike<I, O, K>): ProcessWindowFunction<I, O, K> {
  return typeof fn === 'function' ? { process: fn } : withMethods(fn, 'process window function', 'process')
}

export function normaliseSink<T>(fn: SinkLike<T>): SinkFunction<T> {
  return typeof fn === 'function' ? { invoke: fn } : withMethods(fn, 'sink function', 'invoke')
}

export function normaliseSource<T>(fn: SourceLike<T>): SourceFunction<T> {
  return typeof fn === 'function' ? { run: fn, cancel: () => {} } : withMethods(fn, 'source function', 'run', 'cancel')
}

function secondLambda<F>(second: F | undefined, method: string): F {
  if (typeof second !== 'function') throw new FlinkError('INVALID_PROGRAM', `${method} on connected streams takes two functions, one for each input`)
  return second
}

export function withMethods<F extends object>(fn: F, what: string, ...methods: readonly (keyof F & string)[]): F {
  for (const method of methods)
    if (typeof fn?.[method] !== 'function')
      throw new FlinkError('INVALID_PROGRAM', `${what}: expected a function or an object with ${methods.join(', ')}; ${method} is missing`)
  return fn
}
