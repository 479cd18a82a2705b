import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { isStateTtlConfig, type StateTtlConfig } from './ttl-config.ts'

/**
 * Names and types of keyed states. Descriptors are declared as fields of the function object, so that a graph knows its states
 * without running; `getState` of an undeclared one is refused. They are data: one descriptor may be shared by several functions.
 */
export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating'

/** How a reducing state combines. The users' `ReduceFunction` fits it; this room must not know that one. */
export interface StateReducer<T> {
  reduce(a: T, b: T): T
}

/** How an aggregating state combines. The users' `AggregateFunction` fits it. */
export interface StateAggregator<IN, ACC, OUT> {
  createAccumulator(): ACC
  add(value: IN, accumulator: ACC): ACC
  getResult(accumulator: ACC): OUT
}

// The user's bundle and the engine may hold two copies of this module; a registered symbol is equal in both, a class is not.
const brand = Symbol.for('millrace.StateDescriptor')

abstract class NamedStateDescriptor {
  readonly name: string
  readonly [brand] = true
  /** undefined = values live until they are cleared. */
  ttl: StateTtlConfig | undefined = undefined

  constructor(name: string) {
    if (typeof name !== 'string' || name === '') throw new FlinkError('INVALID_PROGRAM', 'a state descriptor needs a name that is not empty')
    this.name = name
  }

  /** Values expire. Of keyed state only; part of the stored type, so that it cannot be turned on or off for state that exists. */
  enableTimeToLive(config: StateTtlConfig): void {
    if (!isStateTtlConfig(config))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `state ${this.name}: enableTimeToLive takes a StateTtlConfig, such as StateTtlConfig.newBuilder('1 h').build()`,
      )
    this.ttl = config.isEnabled ? config : undefined
  }
}

export class ValueStateDescriptor<T> extends NamedStateDescriptor {
  readonly kind = 'value'
  readonly type: TypeInformation<T>

  constructor(name: string, type?: TypeInformation<T>) {
    super(name)
    this.type = declaredType(name, 'type', type)
  }
}

export class ListStateDescriptor<T> extends NamedStateDescriptor {
  readonly kind = 'list'
  /** Of one element. */
  readonly type: TypeInformation<T>

  constructor(name: string, elementType?: TypeInformation<T>) {
    super(name)
    this.type = declaredType(name, 'element type', elementType)
  }
}

export class MapStateDescriptor<K, V> extends NamedStateDescriptor {
  readonly kind = 'map'
  readonly keyType: TypeInformation<K>
  readonly valueType: TypeInformation<V>

  constructor(name: string, keyType?: TypeInformation<K>, valueType?: TypeInformation<V>) {
    super(name)
    this.keyType = declaredType(name, 'key type', keyType)
    this.valueType = declaredType(name, 'value type', valueType)
  }
}

export class ReducingStateDescriptor<T> extends NamedStateDescriptor {
  readonly kind = 'reducing'
  readonly reducer: StateReducer<T>
  readonly type: TypeInformation<T>

  constructor(name: string, reducer: StateReducer<T> | ((a: T, b: T) => T), type?: TypeInformation<T>) {
    super(name)
    this.reducer = typeof reducer === 'function' ? { reduce: reducer } : reducer
    if (typeof this.reducer?.reduce !== 'function') throw new FlinkError('INVALID_PROGRAM', `state ${name}: a reducing state needs a reduce function`)
    this.type = declaredType(name, 'type', type)
  }
}

export class AggregatingStateDescriptor<IN, ACC, OUT> extends NamedStateDescriptor {
  readonly kind = 'aggregating'
  readonly aggregator: StateAggregator<IN, ACC, OUT>
  /** Of the accumulator: that is what is stored. */
  readonly type: TypeInformation<ACC>

  constructor(name: string, aggregator: StateAggregator<IN, ACC, OUT>, accumulatorType?: TypeInformation<ACC>) {
    super(name)
    this.aggregator = aggregator
    for (const method of ['createAccumulator', 'add', 'getResult'] as const)
      if (typeof aggregator?.[method] !== 'function')
        throw new FlinkError('INVALID_PROGRAM', `state ${name}: its aggregate function has no ${method}`)
    this.type = declaredType(name, 'accumulator type', accumulatorType)
  }
}

/** Of any value types: what registries and graphs hold. Functions are contravariant, hence `never` for what goes in. */
export type StateDescriptor =
  | ValueStateDescriptor<unknown>
  | ListStateDescriptor<unknown>
  | MapStateDescriptor<unknown, unknown>
  | ReducingStateDescriptor<unknown>
  | AggregatingStateDescriptor<unknown, unknown, unknown>

export function isStateDescriptor(value: unknown): value is StateDescriptor {
  return typeof value === 'object' && value !== null && brand in value
}

/** The descriptors among the fields of a user's function object, in order of declaration. */
export function declaredStates(functionObject: unknown): StateDescriptor[] {
  if (typeof functionObject !== 'object' || functionObject === null) return []
  const found: StateDescriptor[] = []
  for (const field of Object.values(functionObject)) if (isStateDescriptor(field) && !found.includes(field)) found.push(field)
  return found
}

/** As shown in plans and errors: `ValueState<LONG>`, `ValueState<LONG> with TTL`. */
export function describeState(descriptor: StateDescriptor): string {
  return descriptor.ttl === undefined ? describeStored(descriptor) : `${describeStored(descriptor)} with TTL`
}

function describeStored(descriptor: StateDescriptor): string {
  switch (descriptor.kind) {
    case 'value':
      return `ValueState<${descriptor.type}>`
    case 'list':
      return `ListState<${descriptor.type}>`
    case 'map':
      return `MapState<${descriptor.keyType}, ${descriptor.valueType}>`
    case 'reducing':
      return `ReducingState<${descriptor.type}>`
    case 'aggregating':
      return `AggregatingState<${descriptor.type}>`
  }
}

/** Without one, values are GENERIC: they say themselves what they are, and may be given a type later (typed-later.ts). */
function declaredType<T>(name: string, what: string, type: TypeInformation<T> | undefined): TypeInformation<T> {
  if (type === undefined) return Types.GENERIC as TypeInformation<T>
  if (typeof type !== 'object' || type === null || !('serializer' in type))
    throw new FlinkError('INVALID_PROGRAM', `state ${name}: its ${what} is not one of Types`)
  return type
}
