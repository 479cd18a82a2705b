import { unreachable } from '../common/assert.ts'
import { TtlValue } from '../serde/ttl-type.ts'
import { ttlType } from '../serde/types.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import type { HeapMapState, HeapState } from './heap-state.ts'
import type { AggregatingState, ListState, MapState, ReducingState, State, ValueState } from './state.ts'
import type { StateTtlConfig } from './ttl-config.ts'

/**
 * Time-to-live of keyed state, as Flink's: a state of `TtlValue`s below, a state of the user's values above. A list expires by element, a map by entry, the
 * others as a whole, `ttlMs` after the last write; with OnReadAndWrite after the last access. Time is the task's clock.
 *
 * - A read of what has expired removes it (of a list: when nothing else is left) and answers null, or once more the value with ReturnExpiredIfNotCleanedUp.
 * - Clean-up beyond what is read: ttl-cleanup.ts.
 */
export interface TtlState extends State {
  /** Removes what has expired below the current key and namespace. */
  clearExpired(): void
}

/** One state's configuration, clock, and what is to happen before each access. */
export class Ttl {
  readonly refreshesOnRead: boolean
  readonly returnsExpired: boolean
  /** Set when there is a clean-up for each access. */
  onAccess: (() => void) | undefined = undefined
  private readonly ttlMs: number
  private readonly nowMs: () => number

  constructor(config: StateTtlConfig, nowMs: () => number) {
    this.refreshesOnRead = config.updateType === 'OnReadAndWrite'
    this.returnsExpired = config.stateVisibility === 'ReturnExpiredIfNotCleanedUp'
    this.ttlMs = config.ttlMs
    this.nowMs = nowMs
  }

  wrap(value: unknown): TtlValue {
    return new TtlValue(value ?? null, this.nowMs())
  }

  isExpired({ at }: TtlValue): boolean {
    return at + this.ttlMs <= this.nowMs()
  }

  accessed(): void {
    if (this.onAccess !== undefined) this.onAccess()
  }
}

/** What is registered in place of a state with time-to-live. A combining function sees the user's values; when to forget them is decided here. */
export function ttlDescriptor(descriptor: StateDescriptor, ttl: Ttl): StateDescriptor {
  const unexpired = (stored: TtlValue) => (ttl.isExpired(stored) && !ttl.returnsExpired ? undefined : stored.value)
  switch (descriptor.kind) {
    case 'value':
      return new ValueStateDescriptor(descriptor.name, ttlType(descriptor.type)) as StateDescriptor
    case 'list':
      return new ListStateDescriptor(descriptor.name, ttlType(descriptor.type)) as StateDescriptor
    case 'map':
      return new MapStateDescriptor(descriptor.name, descriptor.keyType, ttlType(descriptor.valueType)) as StateDescriptor
    case 'reducing': {
      const { reducer } = descriptor
      const reduce = (a: TtlValue, b: TtlValue) => {
        const before = unexpired(a)
        return before === undefined ? b : ttl.wrap(defined(reducer.reduce(before, b.value)))
      }
      return new ReducingStateDescriptor(descriptor.name, reduce, ttlType(descriptor.type)) as StateDescriptor
    }
    case 'aggregating': {
      const { aggregator } = descriptor
      return new AggregatingStateDescriptor<unknown, TtlValue, unknown>(
        descriptor.name,
        {
          createAccumulator: () => ttl.wrap(aggregator.createAccumulator()),
          add: (value, stored) => ttl.wrap(defined(aggregator.add(value, unexpired(stored) ?? aggregator.createAccumulator()))),
          getResult: stored => aggregator.getResult(stored.value),
        },
        ttlType(descriptor.type),
      ) as StateDescriptor
    }
    default:
      return unreachable(descriptor)
  }
}

/** `state` was registered with `ttlDescriptor(descriptor)`. */
export function createTtlState(descriptor: StateDescriptor, state: HeapState, ttl: Ttl): TtlState {
  switch (descriptor.kind) {
    case 'value':
      return new TtlValueState(state as HeapState<TtlValue>, ttl)
    case 'list':
      return new TtlListState(state as HeapState<TtlValue[]>, ttl)
    case 'map':
      return new TtlMapState(state as HeapMapState, ttl)
    case 'reducing':
      return new TtlReducingState(state as HeapState<TtlValue> & Adding, ttl)
    case 'aggregating':
      return new TtlAggregatingState(state as HeapState<TtlValue> & Adding, ttl, descriptor.aggregator.getResult.bind(descriptor.aggregator))
    default:
      return unreachable(descriptor)
  }
}

/** `HeapState.write` refuses undefined, which must not hide inside a TtlValue. */
function defined(value: unknown): unknown {
  if (value === undefined) throw new Error('undefined cannot be stored; did a function not return its result?')
  return value
}

/** One value a key. */
class TtlCell implements TtlState {
  protected readonly stored: HeapState<TtlValue>
  protected readonly ttl: Ttl

  constructor(stored: HeapState<TtlValue>, ttl: Ttl) {
    this.stored = stored
    this.ttl = ttl
  }

  clear(): void {
    this.stored.clear()
    this.ttl.accessed()
  }

  clearExpired(): void {
    const held = this.stored.read()
    if (held !== undefined && this.ttl.isExpired(held)) this.stored.clear()
  }

  protected readValue(): unknown {
    const { stored, ttl } = this
    ttl.accessed()
    const held = stored.read()
    if (held === undefined) return null
    if (ttl.isExpired(held)) {
      stored.clear()
      return ttl.returnsExpired ? held.value : null
    }
    if (ttl.refreshesOnRead) stored.write(ttl.wrap(held.value))
    return held.value
  }
}

class TtlValueState extends TtlCell implements ValueState<unknown> {
  value(): unknown {
    return this.readValue()
  }

  update(value: unknown): void {
    this.ttl.accessed()
    if (value === null || value === undefined) this.stored.clear()
    else this.stored.write(this.ttl.wrap(value))
  }
}

interface Adding {
  add(value: unknown): void
}

class TtlReducingState extends TtlCell implements ReducingState<unknown> {
  declare protected readonly stored: HeapState<TtlValue> & Adding

  get(): unknown {
    return this.readValue()
  }

  add(value: unknown): void {
    this.ttl.accessed()
    this.stored.add(this.ttl.wrap(defined(value)))
  }
}

class TtlAggregatingState extends TtlCell implements AggregatingState<unknown, unknown> {
  declare protected readonly stored: HeapState<TtlValue> & Adding
  private readonly resultOf: (accumulator: unknown) => unknown

  constructor(stored: HeapState<TtlValue> & Adding, ttl: Ttl, resultOf: (accumulator: unknown) => unknown) {
    super(stored, ttl)
    this.resultOf = resultOf
  }

  get(): unknown {
    const accumulator = this.readValue()
    return accumulator === null ? null : this.resultOf(accumulator)
  }

  add(value: unknown): void {
    this.ttl.accessed()
    this.stored.add(value)
  }
}

const nothing: readonly unknown[] = Object.freeze([])

class TtlListState implements ListState<unknown>, TtlState {
  private readonly stored: HeapState<TtlValue[]>
  private readonly ttl: Ttl

  constructor(stored: HeapState<TtlValue[]>, ttl: Ttl) {
    this.stored = stored
    this.ttl = ttl
  }

  get(): Iterable<unknown> {
    const { stored, ttl } = this
    ttl.accessed()
    const held = stored.read()
    if (held === undefined) return nothing
    const unexpired = held.filter(element => !ttl.isExpired(element))
    if (unexpired.length === 0) stored.clear()
    else if (ttl.refreshesOnRead) stored.write(unexpired.map(({ value }) => ttl.wrap(value)))
    return (ttl.returnsExpired ? held : unexpired).map(({ value }) => value)
  }

  add(value: unknown): void {
    this.addAll([value])
  }

  addAll(values: Iterable<unknown>): void {
    this.ttl.accessed()
    this.append(this.stored.read() ?? [], values)
  }

  update(values: Iterable<unknown>): void {
    this.ttl.accessed()
    this.append([], values)
  }

  clear(): void {
    this.stored.clear()
    this.ttl.accessed()
  }

  clearExpired(): void {
    const held = this.stored.read()
    if (held === undefined || !held.some(element => this.ttl.isExpired(element))) return
    const unexpired = held.filter(element => !this.ttl.isExpired(element))
    if (unexpired.length === 0) this.stored.clear()
    else this.stored.write(unexpired)
  }

  private append(list: TtlValue[], values: Iterable<unknown>): void {
    for (const value of values) list.push(this.ttl.wrap(value))
    if (list.length === 0) this.stored.clear()
    else this.stored.write(list)
  }
}

class TtlMapState implements MapState<unknown, unknown>, TtlState {
  private readonly stored: HeapMapState
  private readonly ttl: Ttl

  constructor(stored: HeapMapState, ttl: Ttl) {
    this.stored = stored
    this.ttl = ttl
  }

  get(key: unknown): unknown {
    this.ttl.accessed()
    return this.read(key, this.stored.get(key) as TtlValue | null)?.value ?? null
  }

  put(key: unknown, value: unknown): void {
    this.ttl.accessed()
    this.stored.put(key, this.ttl.wrap(value))
  }

  putAll(entries: Iterable<readonly [unknown, unknown]>): void {
    this.ttl.accessed()
    for (const [key, value] of [...entries]) this.stored.put(key, this.ttl.wrap(value))
  }

  remove(key: unknown): void {
    this.ttl.accessed()
    this.stored.remove(key)
  }

  contains(key: unknown): boolean {
    this.ttl.accessed()
    return this.read(key, this.stored.get(key) as TtlValue | null) !== undefined
  }

  entries(): Iterable<readonly [unknown, unknown]> {
    this.ttl.accessed()
    return this.visible()
  }

  keys(): Iterable<unknown> {
    return (this.entries() as IteratorObject<readonly [unknown, unknown]>).map(([key]) => key)
  }

  values(): Iterable<unknown> {
    return (this.entries() as IteratorObject<readonly [unknown, unknown]>).map(([, value]) => value)
  }

  isEmpty(): boolean {
    this.ttl.accessed()
    const { ttl } = this
    for (const held of this.stored.values() as Iterable<TtlValue>) if (ttl.returnsExpired || !ttl.isExpired(held)) return false
    return true
  }

  clear(): void {
    this.stored.clear()
    this.ttl.accessed()
  }

  clearExpired(): void {
    for (const [key, held] of this.stored.entries() as Iterable<readonly [unknown, TtlValue]>) if (this.ttl.isExpired(held)) this.stored.remove(key)
  }

  /** As Flink's: what the iteration passes is made young again, or removed. */
  private *visible(): Generator<readonly [unknown, unknown], undefined> {
    for (const [key, held] of this.stored.entries() as Iterable<readonly [unknown, TtlValue]>) {
      const visible = this.read(key, held)
      if (visible !== undefined) yield [key, visible.value]
    }
    return undefined
  }

  private read(key: unknown, held: TtlValue | null): TtlValue | undefined {
    if (held === null) return undefined
    const { stored, ttl } = this
    if (ttl.isExpired(held)) {
      stored.remove(key)
      return ttl.returnsExpired ? held : undefined
    }
    if (ttl.refreshesOnRead) stored.put(key, ttl.wrap(held.value))
    return held
  }
}
