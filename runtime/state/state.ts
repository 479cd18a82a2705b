/**
 * Keyed state as functions see it: always of the current key, always synchronous. An empty value is null; an empty list or map
 * iterates nothing. A value is written only by `update`, `add`, `put`: changing an object that a state returned, without writing it
 * back, is lost on every backend that stores bytes.
 */
export interface State {
  clear(): void
}

export interface ValueState<T> extends State {
  value(): T | null
  /** null or undefined clears. */
  update(value: T | null): void
}

export interface ListState<T> extends State {
  get(): Iterable<T>
  add(value: T): void
  addAll(values: Iterable<T>): void
  /** Replaces the whole list. */
  update(values: Iterable<T>): void
}

export interface MapState<K, V> extends State {
  get(key: K): V | null
  put(key: K, value: V): void
  putAll(entries: Iterable<readonly [K, V]>): void
  remove(key: K): void
  contains(key: K): boolean
  entries(): Iterable<readonly [K, V]>
  keys(): Iterable<K>
  values(): Iterable<V>
  isEmpty(): boolean
}

export interface ReducingState<T> extends State {
  get(): T | null
  add(value: T): void
}

export interface AggregatingState<IN, OUT> extends State {
  get(): OUT | null
  add(value: IN): void
}

/** Operator state: a list that is redistributed element by element (split) or handed whole to every subtask (union). */
export type OperatorListState<T> = ListState<T>

/** Broadcast state as those see it who must not change it. */
export interface ReadOnlyBroadcastState<K, V> {
  get(key: K): V | null
  contains(key: K): boolean
  immutableEntries(): Iterable<readonly [K, V]>
}

/** The same map on every subtask; written only by what every subtask sees. */
export interface BroadcastState<K, V> extends MapState<K, V>, ReadOnlyBroadcastState<K, V> {
  get(key: K): V | null
  contains(key: K): boolean
}
