import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { MapStateDescriptor } from '../state/descriptors.ts'
import { isStateDescriptor } from '../state/descriptors.ts'
import type { BroadcastProcessFunction, KeyedBroadcastProcessFunction } from '../stream/broadcast-functions.ts'
import type { SingleOutputStreamOperator, TupleHint } from './data-stream.ts'
import type { Upstream } from './graph-builder.ts'
import type { ResolvedKey } from './keys.ts'
import * as transformations from './transformations.ts'

/** Any map, whatever its types: what `broadcast` takes. */
export type BroadcastDescriptor = MapStateDescriptor<unknown, unknown>

/** A stream whose rows go to every subtask of the operator behind it, with the states that they fill there. Only `connect` takes it. */
export class BroadcastStream<T> {
  readonly upstreams: readonly Upstream[]
  readonly descriptors: readonly BroadcastDescriptor[]
  /** Of its rows; only the compiler looks at it. */
  declare readonly rowType: T

  constructor(upstreams: readonly Upstream[], descriptors: readonly BroadcastDescriptor[]) {
    this.upstreams = upstreams
    this.descriptors = descriptors
    for (const [i, descriptor] of descriptors.entries()) {
      if (!isStateDescriptor(descriptor) || descriptor.kind !== 'map')
        throw new FlinkError('INVALID_PROGRAM', `broadcast takes MapStateDescriptors, and argument ${i + 1} is none`)
      if (descriptors.findIndex(({ name }) => name === descriptor.name) < i)
        throw new FlinkError('INVALID_PROGRAM', `broadcast: two states are named '${descriptor.name}'`)
      if (descriptor.ttl !== undefined)
        throw new FlinkError('INVALID_PROGRAM', `broadcast state ${descriptor.name}: only keyed state can have time-to-live`)
    }
  }
}

/** Adds the operator behind both streams. */
type AddOperator = <R>(name: string, definition: OperatorDefinition) => SingleOutputStreamOperator<R>

/** A stream without keys and a broadcast one. */
export class BroadcastConnectedStream<A, B> {
  protected readonly add: AddOperator
  protected readonly descriptors: readonly BroadcastDescriptor[]

  constructor(add: AddOperator, descriptors: readonly BroadcastDescriptor[]) {
    this.add = add
    this.descriptors = descriptors
  }

  process<R extends TupleHint>(fn: BroadcastProcessFunction<A, B, R>): SingleOutputStreamOperator<R> {
    // Flink's text. Without classes a function for keyed streams shows itself by its timers only.
    if (typeof (fn as Partial<KeyedBroadcastProcessFunction<unknown, A, B, R>>)?.onTimer === 'function')
      throw new FlinkError('INVALID_PROGRAM', 'A KeyedBroadcastProcessFunction can only be used on a keyed stream.')
    return this.add('Co-Process-Broadcast', transformations.broadcastProcess(fn as BroadcastProcessFunction<never, never, R>, this.descriptors))
  }
}

/** A keyed stream and a broadcast one. */
export class KeyedBroadcastConnectedStream<A, B, K> extends BroadcastConnectedStream<A, B> {
  private readonly key: ResolvedKey

  constructor(add: AddOperator, descriptors: readonly BroadcastDescriptor[], key: ResolvedKey) {
    super(add, descriptors)
    this.key = key
  }

  override process<R extends TupleHint>(fn: KeyedBroadcastProcessFunction<K, A, B, R>): SingleOutputStreamOperator<R> {
    return this.add(
      'Co-Process-Broadcast-Keyed',
      transformations.broadcastProcess(fn as KeyedBroadcastProcessFunction<never, never, never, R>, this.descriptors, this.key),
    )
  }
}
