import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import type { AggregateFunction, ProcessWindowLike, ReduceLike } from '../stream/functions.ts'
import type { TumblingWindowAssigner } from '../time/windows.ts'
import type { SingleOutputStreamOperator, TupleHint } from './data-stream.ts'
import type { FieldOf, NumericFieldOf } from './fields.ts'
import type { ResolvedKey } from './keys.ts'
import type { Aggregation } from './transformations.ts'
import * as transformations from './transformations.ts'

/** Adds an operator behind the keyed stream. */
type AddOperator = <R>(name: string, outputType: TypeInformation, definition: OperatorDefinition) => SingleOutputStreamOperator<R>

/** Keyed windows; each method adds the operator that evaluates them. */
export class WindowedStream<T, K> {
  private readonly add: AddOperator
  private readonly key: ResolvedKey
  private readonly type: TypeInformation<T>
  private readonly assigner: TumblingWindowAssigner

  constructor(add: AddOperator, key: ResolvedKey, type: TypeInformation<T>, assigner: TumblingWindowAssigner) {
    this.add = add
    this.key = key
    this.type = type
    this.assigner = assigner
  }

  reduce(fn: ReduceLike<T>): SingleOutputStreamOperator<T>
  reduce<R extends TupleHint>(fn: ReduceLike<T>, processWindow: ProcessWindowLike<T, R, K>): SingleOutputStreamOperator<R>
  reduce<R>(fn: ReduceLike<T>, processWindow?: unknown): SingleOutputStreamOperator<R> {
    return this.transform(
      processWindow === undefined ? this.type : Types.GENERIC,
      transformations.windowReduce(this.assigner, fn, processWindow, this.key, this.type),
    )
  }

  aggregate<ACC, R extends TupleHint>(
    fn: AggregateFunction<T, ACC, R>,
    processWindow?: undefined,
    types?: WindowTypes<ACC, R>,
  ): SingleOutputStreamOperator<R>
  aggregate<ACC, V, R extends TupleHint>(
    fn: AggregateFunction<T, ACC, V>,
    processWindow: ProcessWindowLike<V, R, K>,
    types?: WindowTypes<ACC, R>,
  ): SingleOutputStreamOperator<R>
  aggregate(fn: unknown, processWindow?: unknown, types: WindowTypes<unknown, unknown> = {}): SingleOutputStreamOperator<unknown> {
    const definition = transformations.windowAggregate(
      this.assigner,
      fn as AggregateFunction<unknown, unknown, unknown>,
      processWindow,
      this.key,
      this.type,
      types.accumulatorType,
    )
    return this.transform(types.resultType ?? Types.GENERIC, definition)
  }

  /** Keeps every row of a window until it fires; with reduce or aggregate before it only one value is kept. */
  process<R extends TupleHint>(fn: ProcessWindowLike<T, R, K>): SingleOutputStreamOperator<R> {
    return this.transform(Types.GENERIC, transformations.windowProcess(this.assigner, fn, this.key, this.type))
  }

  sum(field?: NumericFieldOf<T> | ((value: T) => number | bigint)): SingleOutputStreamOperator<T> {
    return this.aggregateField('sum', field)
  }

  min(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregateField('min', field)
  }

  max(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregateField('max', field)
  }

  minBy(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregateField('minBy', field)
  }

  maxBy(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregateField('maxBy', field)
  }

  private aggregateField(kind: Aggregation, field: unknown): SingleOutputStreamOperator<T> {
    return this.transform(this.type, transformations.windowAggregation(this.assigner, kind, field, this.key, this.type))
  }

  private transform<R>(outputType: TypeInformation, definition: OperatorDefinition): SingleOutputStreamOperator<R> {
    return this.add(transformations.windowName(this.assigner), outputType, definition)
  }
}

export interface WindowTypes<ACC, R> {
  readonly accumulatorType?: TypeInformation<ACC>
  readonly resultType?: TypeInformation<R>
}
