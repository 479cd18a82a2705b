import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition, PartitionerSpec, StreamNode } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types, typesEqual } from '../serde/types.ts'
import type {
  CoFlatMapFunction,
  Collector,
  CoMapFunction,
  CoProcessFunction,
  FilterLike,
  FlatMapFunction,
  KeyedProcessLike,
  MapLike,
  OutputTag,
  ProcessLike,
  ReduceLike,
  SinkLike,
} from '../stream/functions.ts'
import { normaliseSink } from '../stream/functions.ts'
import type { WatermarkStrategy } from '../time/watermark-strategy.ts'
import type { TumblingWindowAssigner } from '../time/windows.ts'
import { BroadcastConnectedStream, type BroadcastDescriptor, BroadcastStream, KeyedBroadcastConnectedStream } from './broadcast-stream.ts'
import { builtInConnectors } from './built-in-connectors.ts'
import { DataStreamSink } from './data-stream-sink.ts'
import type { FieldOf, FieldValue, NumericFieldOf } from './fields.ts'
import type { StreamGraphBuilder, Upstream } from './graph-builder.ts'
import { forward } from './graph-builder.ts'
import type { KeySelector, ResolvedKey } from './keys.ts'
import { resolveKey } from './keys.ts'
import { disableChaining, setMaxParallelism, setName, setParallelism, setSlotSharingGroup, setUid } from './node-settings.ts'
import type { Sink } from './sinks.ts'
import { PrintSink, TextFileSink } from './sinks.ts'
import { SplitNames } from './split-names.ts'
import type { Aggregation } from './transformations.ts'
import * as transformations from './transformations.ts'
import { refuseAsync, sourceText } from './user-functions.ts'
import { WindowedStream } from './windowed-stream.ts'

/**
 * The streams of a program. They are one file because they make one another: keyBy answers a KeyedStream, which is a DataStream; only windows, which
 * are no stream, stand apart. Each method adds one node to the graph; what a node is made of stands in transformations.ts, what a key is in keys.ts.
 *
 * Types at run time: sources, `returns` and `Types` declare them; filter, keyBy, union, reduce and the aggregations keep them; what a
 * user's function makes is GENERIC until `returns` says more. A type is never taken from data.
 */

/** As a constraint of a result it changes nothing but inference: `w => [w, 1]` is a tuple [string, number], not an array. */
// biome-ignore lint/complexity/noBannedTypes: any value, spelled so that the union does not collapse to unknown
export type TupleHint = {} | null | undefined | []

/** One signature for both forms: with two overloads the compiler would not type the parameters of a lambda that has the other's number of them. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without a result returns
export type FlatMapLambda<T, R> = (value: T, out: Collector<R>) => Iterable<R> | void

export class DataStream<T> {
  protected readonly graph: StreamGraphBuilder
  protected readonly upstreams: readonly Upstream[]

  constructor(graph: StreamGraphBuilder, upstreams: readonly Upstream[]) {
    this.graph = graph
    this.upstreams = upstreams
  }

  getType(): TypeInformation<T> {
    const types = this.upstreams.map(outputTypeOf)
    const [first] = types
    // A union with a stream of undeclared type is undeclared. T is what the user's program says; the type at run time follows it.
    return (first === undefined || types.some(type => !typesEqual(type, first)) ? Types.GENERIC : first) as TypeInformation<T>
  }

  map<R extends TupleHint>(fn: MapLike<T, R>): SingleOutputStreamOperator<R> {
    return this.transform('Map', Types.GENERIC, transformations.map(fn))
  }

  /** With one parameter the function returns what it makes, `line => line.split(' ')`; with two it collects, `(line, out) => …`. */
  flatMap<R extends TupleHint>(fn: FlatMapLambda<T, R> | FlatMapFunction<T, R>): SingleOutputStreamOperator<R> {
    return this.transform('Flat Map', Types.GENERIC, transformations.flatMap(fn))
  }

  filter<S extends T>(fn: (value: T) => value is S): SingleOutputStreamOperator<S>
  filter(fn: FilterLike<T>): SingleOutputStreamOperator<T>
  filter(fn: FilterLike<T>): SingleOutputStreamOperator<T> {
    return this.transform('Filter', this.getType(), transformations.filter(fn))
  }

  process<R extends TupleHint>(fn: ProcessLike<T, R>): SingleOutputStreamOperator<R> {
    return this.transform('Process', Types.GENERIC, transformations.process(fn))
  }

  /** By a tuple's position, a field's name, several of them (the key is the tuple of their values), or a function. */
  keyBy<F extends FieldOf<T>>(field: F): KeyedStream<T, FieldValue<T, F>>
  keyBy<K>(selector: KeySelector<T, K>, keyType?: TypeInformation<K>): KeyedStream<T, K>
  keyBy(first: FieldOf<T>, second: FieldOf<T>, ...more: FieldOf<T>[]): KeyedStream<T, unknown[]>
  keyBy(...args: unknown[]): KeyedStream<T, unknown> {
    return new KeyedStream<T, unknown>(this.graph, this.upstreams, resolveKey(this.getType(), args))
  }

  /** Any number of streams of this type, in no particular order; a stream may be united with itself. */
  union(...streams: DataStream<T>[]): DataStream<T> {
    for (const stream of streams) {
      const [mine, theirs] = [this.getType(), stream.getType()]
      if (isDeclared(mine) && isDeclared(theirs) && !typesEqual(mine, theirs))
        throw new FlinkError(
          'INVALID_PROGRAM',
          `union takes streams of one type, got ${mine} and ${theirs}; connect joins two streams of different types`,
        )
    }
    return new DataStream<T>(this.graph, [...this.upstreams, ...streams.flatMap(stream => stream.upstreams)])
  }

  connect<U>(other: DataStream<U>): ConnectedStreams<T, U>
  connect<U>(other: BroadcastStream<U>): BroadcastConnectedStream<T, U>
  connect<U>(other: DataStream<U> | BroadcastStream<U>, ...none: never[]): ConnectedStreams<T, U> | BroadcastConnectedStream<T, U> {
    if (other instanceof BroadcastStream && none.length === 0)
      return new BroadcastConnectedStream<T, U>(
        (name, definition) => this.addOperator(name, [this.upstreams, other.upstreams], definition),
        other.descriptors,
      )
    if (none.length > 0 || !(other instanceof DataStream))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `connect joins exactly two streams, got ${none.length + 2 - (other instanceof DataStream ? 0 : 1)}; union takes any number of streams of one type`,
      )
    return new ConnectedStreams<T, U>(this.graph, [this.upstreams, other.upstreams], [this.keyOf(), other.keyOf()])
  }

  /** Names for each row, any number of them; `select` reads them. Names in `names` are all there are. */
  split<N extends string>(selector: ((value: T) => readonly N[]) | { select(value: T): readonly N[] }, names?: readonly N[]): SplitStream<T, N> {
    const splitNames = new SplitNames(selector, names)
    const node = this.graph.add({
      name: 'Split',
      kind: 'operator',
      inputs: [this.upstreams],
      outputType: this.getType(),
      definition: transformations.split(splitNames),
    })
    return new SplitStream<T, N>(this.graph, node, splitNames)
  }

  assignTimestampsAndWatermarks(strategy: WatermarkStrategy<T>): SingleOutputStreamOperator<T> {
    return this.transform('Timestamps/Watermarks', this.getType(), transformations.timestampsAndWatermarks(strategy))
  }

  rebalance(): DataStream<T> {
    return this.partitioned({ kind: 'REBALANCE', explicit: true })
  }

  rescale(): DataStream<T> {
    return this.partitioned({ kind: 'RESCALE', explicit: true })
  }

  shuffle(): DataStream<T> {
    return this.partitioned({ kind: 'SHUFFLE', explicit: true })
  }

  /** Every row to every subtask; with descriptors of the states that they are to fill, for `connect`. */
  broadcast(): DataStream<T>
  broadcast(first: BroadcastDescriptor, ...more: BroadcastDescriptor[]): BroadcastStream<T>
  broadcast(...descriptors: BroadcastDescriptor[]): DataStream<T> | BroadcastStream<T> {
    const stream = this.partitioned({ kind: 'BROADCAST', explicit: true })
    return descriptors.length === 0 ? stream : new BroadcastStream<T>(stream.upstreams, descriptors)
  }

  global(): DataStream<T> {
    return this.partitioned({ kind: 'GLOBAL', explicit: true })
  }

  /** Refuses unequal parallelism instead of dealing rows out. */
  forward(): DataStream<T> {
    return this.partitioned({ kind: 'FORWARD', explicit: true })
  }

  partitionCustom<F extends FieldOf<T>>(partitioner: PartitionerLike<FieldValue<T, F>>, key: F): DataStream<T>
  partitionCustom<K>(partitioner: PartitionerLike<K>, key: KeySelector<T, K>): DataStream<T>
  partitionCustom(partitioner: PartitionerLike<never>, key: unknown): DataStream<T> {
    refuseAsync('partitionCustom', partitioner)
    const partition =
      typeof partitioner === 'function' ? partitioner : withSource(partitioner, (k: never, count: number) => partitioner.partition(k, count))
    const { selector } = resolveKey(this.getType(), [key])
    return this.partitioned({ kind: 'CUSTOM', explicit: true, key: selector, partition: partition as (key: unknown, channelCount: number) => number })
  }

  /** One line a row to the TaskManager's stdout; `id` stands before each. */
  print(id = ''): DataStreamSink<T> {
    return this.sinkTo(new PrintSink<T>(id))
  }

  printToErr(id = ''): DataStreamSink<T> {
    return this.sinkTo(new PrintSink<T>(id, true))
  }

  writeAsText(path: string, options: { readonly overwrite?: boolean } = {}): DataStreamSink<T> {
    return this.sinkTo(new TextFileSink<T>(path, options))
  }

  sinkTo(sink: Sink<T>): DataStreamSink<T> {
    if (typeof sink?.define !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'sinkTo takes a Sink; addSink takes a function or an object with invoke')
    return this.sink(sink.name, sink.define(this.getType()))
  }

  /** `invoke` may be async: at most `inFlightMax` of its promises are pending, and all are awaited before a checkpoint and at the end. */
  addSink(fn: SinkLike<T>, options: { readonly inFlightMax?: number } = {}): DataStreamSink<T> {
    const inFlightMax = options.inFlightMax ?? 100
    if (!Number.isInteger(inFlightMax) || inFlightMax < 1)
      throw new FlinkError('INVALID_PROGRAM', `addSink: inFlightMax is a whole number from 1, got ${inFlightMax}`)
    return this.sink('Unnamed', builtInConnectors().functionSink(normaliseSink(fn), { inFlightMax }, this.getType()))
  }

  protected keyOf(): ResolvedKey | undefined {
    return undefined
  }

  protected addOperator<R>(name: string, inputs: readonly (readonly Upstream[])[], definition: OperatorDefinition): SingleOutputStreamOperator<R> {
    return new SingleOutputStreamOperator<R>(this.graph, this.graph.add({ name, kind: 'operator', inputs, outputType: Types.GENERIC, definition }))
  }

  protected transform<R>(name: string, outputType: TypeInformation, definition: OperatorDefinition): SingleOutputStreamOperator<R> {
    return new SingleOutputStreamOperator<R>(this.graph, this.graph.add({ name, kind: 'operator', inputs: [this.upstreams], outputType, definition }))
  }

  private sink(name: string, definition: OperatorDefinition): DataStreamSink<T> {
    return new DataStreamSink<T>(this.graph.add({ name, kind: 'sink', inputs: [this.upstreams], outputType: Types.VOID, definition }))
  }

  private partitioned(partitioner: PartitionerSpec): DataStream<T> {
    return new DataStream<T>(
      this.graph,
      this.upstreams.map(upstream => ({ ...upstream, partitioner })),
    )
  }
}

export type PartitionerLike<K> = ((key: K, channelCount: number) => number) | { partition(key: K, channelCount: number): number }

/** The result of one operator, which can still be named and tuned. */
export class SingleOutputStreamOperator<T> extends DataStream<T> {
  /** Part of the graph; the engine's, not the program's. */
  readonly node: StreamNode
  readonly name = setName
  /** Identifies the operator's state across versions of the program. */
  readonly uid = setUid
  readonly setParallelism = setParallelism
  readonly setMaxParallelism = setMaxParallelism
  readonly slotSharingGroup = setSlotSharingGroup
  readonly disableChaining = disableChaining

  constructor(graph: StreamGraphBuilder, node: StreamNode) {
    super(graph, [{ node, tag: undefined, partitioner: forward }])
    this.node = node
  }

  startNewChain(): this {
    if (this.node.chaining === 'always') this.node.chaining = 'head'
    return this
  }

  /** Declares the type of the rows: how they are encoded and hashed, and which fields there are. */
  returns<R = T>(type: TypeInformation<R>): SingleOutputStreamOperator<R> {
    if (typeof type !== 'object' || type === null || !('serializer' in type))
      throw new FlinkError('INVALID_PROGRAM', `operator '${this.node.name}': returns takes one of Types`)
    if (this.graph.isRead(this.node))
      throw new FlinkError('INVALID_PROGRAM', `operator '${this.node.name}': returns must stand before the stream is used`)
    this.node.outputType = type as TypeInformation
    // The same node, seen with its declared type.
    return this as unknown as SingleOutputStreamOperator<R>
  }

  getSideOutput<X>(tag: OutputTag<X>): DataStream<X> {
    const type = tag.type ?? Types.GENERIC
    const known = this.node.sideOutputs.get(tag.id)
    if (known !== undefined && !typesEqual(known, type as TypeInformation))
      throw new FlinkError('INVALID_PROGRAM', `operator '${this.node.name}': side output '${tag.id}' has type ${known} and is read as ${type}`)
    this.node.sideOutputs.set(tag.id, type as TypeInformation)
    return new DataStream<X>(this.graph, [{ node: this.node, tag: tag.id, partitioner: forward }])
  }
}

export class DataStreamSource<T> extends SingleOutputStreamOperator<T> {}

export class KeyedStream<T, K> extends DataStream<T> {
  private readonly key: ResolvedKey

  constructor(graph: StreamGraphBuilder, upstreams: readonly Upstream[], key: ResolvedKey) {
    super(
      graph,
      upstreams.map(upstream => ({ ...upstream, partitioner: { kind: 'HASH', explicit: true, key: key.selector } })),
    )
    this.key = key
  }

  getKeyType(): TypeInformation<K> {
    return this.key.spec.type as TypeInformation<K>
  }

  /** A rich function may use its declared states here: they are the key's. */
  override map<R extends TupleHint>(fn: MapLike<T, R>): SingleOutputStreamOperator<R> {
    return this.transform('Map', Types.GENERIC, transformations.map(fn, this.key))
  }

  override flatMap<R extends TupleHint>(fn: FlatMapLambda<T, R> | FlatMapFunction<T, R>): SingleOutputStreamOperator<R> {
    return this.transform('Flat Map', Types.GENERIC, transformations.flatMap(fn, this.key))
  }

  override filter<S extends T>(fn: (value: T) => value is S): SingleOutputStreamOperator<S>
  override filter(fn: FilterLike<T>): SingleOutputStreamOperator<T>
  override filter(fn: FilterLike<T>): SingleOutputStreamOperator<T> {
    return this.transform('Filter', this.getType(), transformations.filter(fn, this.key))
  }

  override process<R extends TupleHint>(fn: KeyedProcessLike<K, T, R>): SingleOutputStreamOperator<R> {
    return this.transform('KeyedProcess', Types.GENERIC, transformations.keyedProcess(fn, this.key))
  }

  /** One result for every row: the reduction of the key's rows so far; in batch mode only the last one. */
  reduce(fn: ReduceLike<T>): SingleOutputStreamOperator<T> {
    return this.transform('Keyed Reduce', this.getType(), transformations.reduce(this.graph, fn, this.key, this.getType()))
  }

  sum(field?: NumericFieldOf<T> | ((value: T) => number | bigint)): SingleOutputStreamOperator<T> {
    return this.aggregate('sum', field)
  }

  /** Replaces only the field: the others stay those of the key's first row. */
  min(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregate('min', field)
  }

  max(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregate('max', field)
  }

  /** The whole row that has the smallest value, the first one among equals. */
  minBy(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregate('minBy', field)
  }

  maxBy(field?: FieldOf<T> | ((value: T) => unknown)): SingleOutputStreamOperator<T> {
    return this.aggregate('maxBy', field)
  }

  override connect<U>(other: DataStream<U>): ConnectedStreams<T, U>
  override connect<U>(other: BroadcastStream<U>): KeyedBroadcastConnectedStream<T, U, K>
  override connect<U>(other: DataStream<U> | BroadcastStream<U>, ...none: never[]): ConnectedStreams<T, U> | KeyedBroadcastConnectedStream<T, U, K> {
    if (!(other instanceof BroadcastStream)) return super.connect(other, ...(none as []))
    const add = <R>(name: string, definition: OperatorDefinition) => this.addOperator<R>(name, [this.upstreams, other.upstreams], definition)
    return new KeyedBroadcastConnectedStream<T, U, K>(add, other.descriptors, this.key)
  }

  window(assigner: TumblingWindowAssigner): WindowedStream<T, K> {
    return new WindowedStream<T, K>((name, type, definition) => this.transform(name, type, definition), this.key, this.getType(), assigner)
  }

  protected override keyOf(): ResolvedKey {
    return this.key
  }

  private aggregate(kind: Aggregation, field: unknown): SingleOutputStreamOperator<T> {
    return this.transform('Keyed Aggregation', this.getType(), transformations.aggregation(this.graph, kind, field, this.key, this.getType()))
  }
}

/** Two streams of any types, read by one operator. */
export class ConnectedStreams<A, B> {
  private readonly graph: StreamGraphBuilder
  private readonly inputs: readonly [readonly Upstream[], readonly Upstream[]]
  private readonly keys: readonly [ResolvedKey | undefined, ResolvedKey | undefined]

  constructor(
    graph: StreamGraphBuilder,
    inputs: readonly [readonly Upstream[], readonly Upstream[]],
    keys: readonly [ResolvedKey | undefined, ResolvedKey | undefined],
  ) {
    this.graph = graph
    this.inputs = inputs
    this.keys = keys
  }

  keyBy<K>(first: FieldOf<A> | KeySelector<A, K>, second: FieldOf<B> | KeySelector<B, K>): ConnectedStreams<A, B> {
    const keyed = [first, second].map((argument, input) => {
      const upstreams = this.inputs[input === 0 ? 0 : 1]
      const stream = new DataStream<unknown>(this.graph, upstreams)
      const key = resolveKey(stream.getType(), [argument])
      return {
        key,
        upstreams: upstreams.map((upstream): Upstream => ({ ...upstream, partitioner: { kind: 'HASH', explicit: true, key: key.selector } })),
      }
    })
    const [a, b] = keyed as [(typeof keyed)[0], (typeof keyed)[0]]
    if (!typesEqual(a.key.spec.type, b.key.spec.type))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `connected streams are keyed by two types: ${a.key.spec.type} and ${b.key.spec.type}; equal keys would not meet`,
      )
    return new ConnectedStreams<A, B>(this.graph, [a.upstreams, b.upstreams], [a.key, b.key])
  }

  map<R extends TupleHint>(fn: CoMapFunction<A, B, R>): SingleOutputStreamOperator<R>
  map<R extends TupleHint, S extends TupleHint = R>(first: (value: A) => R, second: (value: B) => S): SingleOutputStreamOperator<R | S>
  map<R>(first: unknown, second?: unknown): SingleOutputStreamOperator<R> {
    return this.transform('Co-Map', transformations.coMap(first, second, this.keys))
  }

  flatMap<R extends TupleHint>(fn: CoFlatMapFunction<A, B, R>): SingleOutputStreamOperator<R>
  flatMap<R extends TupleHint>(
    first: (value: A, out: Collector<R>) => void,
    second: (value: B, out: Collector<R>) => void,
  ): SingleOutputStreamOperator<R>
  flatMap<R>(first: unknown, second?: unknown): SingleOutputStreamOperator<R> {
    return this.transform('Co-Flat Map', transformations.coFlatMap(first, second, this.keys))
  }

  process<R extends TupleHint, K = unknown>(fn: CoProcessFunction<A, B, R, K>): SingleOutputStreamOperator<R> {
    return this.transform(this.keys[0] === undefined ? 'Co-Process' : 'Co-Keyed-Process', transformations.coProcess(fn, this.keys))
  }

  private transform<R>(name: string, definition: OperatorDefinition): SingleOutputStreamOperator<R> {
    return new SingleOutputStreamOperator<R>(
      this.graph,
      this.graph.add({ name, kind: 'operator', inputs: this.inputs, outputType: Types.GENERIC, definition }),
    )
  }
}

export class SplitStream<T, N extends string> {
  private readonly graph: StreamGraphBuilder
  private readonly node: StreamNode
  private readonly names: SplitNames

  constructor(graph: StreamGraphBuilder, node: StreamNode, names: SplitNames) {
    this.graph = graph
    this.node = node
    this.names = names
  }

  /** The rows that carry any of `names`, each once. */
  select(...names: N[]): DataStream<T> {
    const tag = this.names.select(names)
    this.node.sideOutputs.set(tag, this.node.outputType)
    return new DataStream<T>(this.graph, [{ node: this.node, tag, partitioner: forward }])
  }
}

function outputTypeOf(upstream: Upstream): TypeInformation {
  const type = upstream.tag === undefined ? upstream.node.outputType : upstream.node.sideOutputs.get(upstream.tag)
  return type ?? Types.GENERIC
}

/** The graph hash takes a partitioner's text: that of the user's object, not of the lambda around it. */
function withSource<F extends object>(written: object, fn: F): F {
  return Object.assign(fn, { toString: () => sourceText(written) })
}

function isDeclared(type: TypeInformation): boolean {
  return type.json.kind !== 'GENERIC'
}
