/**
 * The DataStream API: the face of this room. A program's `import … from 'millrace'` gets this and the connectors' public classes,
 * both through bin/api.ts.
 *
 * A program is a function of the environment that adds sources, transformations and sinks. Each call adds one node to a StreamGraph;
 * nothing runs here. The planner runs the program once for the JobGraph; every worker runs it again to get the functions. Both must
 * build the same graph, so a program may depend on its arguments and options only, not on time, chance or the machine.
 *
 * Left to others: operators (runtime/stream), sources' and sinks' bytes (runtime/connectors), chaining (runtime/graph).
 */

export type { TypeInformation } from '../serde/type-information.ts'
export type { ValueOf } from '../serde/types.ts'
export { Types } from '../serde/types.ts'
export {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../state/descriptors.ts'
export type { OwnStateBackend, StateStore, StateStoreContext } from '../state/own-backend.ts'
export type {
  AggregatingState,
  BroadcastState,
  ListState,
  MapState,
  OperatorListState,
  ReadOnlyBroadcastState,
  ReducingState,
  ValueState,
} from '../state/state.ts'
export { StateTtlConfig } from '../state/ttl-config.ts'
export type {
  BroadcastContext,
  BroadcastProcessFunction,
  BroadcastReadOnlyContext,
  KeyedBroadcastContext,
  KeyedBroadcastOnTimerContext,
  KeyedBroadcastProcessFunction,
  KeyedBroadcastReadOnlyContext,
  KeyedStateFunction,
} from '../stream/broadcast-functions.ts'
export type {
  CheckpointedFunction,
  CheckpointListener,
  FunctionInitializationContext,
  FunctionSnapshotContext,
  OperatorStateStore,
} from '../stream/checkpointed-function.ts'
export type {
  AggregateFunction,
  CoFlatMapFunction,
  Collector,
  CoMapFunction,
  CoProcessFunction,
  FilterFunction,
  FlatMapFunction,
  KeyedProcessContext,
  KeyedProcessFunction,
  MapFunction,
  OnTimerContext,
  ProcessContext,
  ProcessFunction,
  ProcessWindowContext,
  ProcessWindowFunction,
  ReduceFunction,
  RichFunction,
  RuntimeContext,
  SinkContext,
  SinkFunction,
  SourceContext,
  SourceFunction,
  TimerService,
} from '../stream/functions.ts'
export { OutputTag } from '../stream/functions.ts'
export type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../stream/spi/source.ts'
export { formatWatermark } from '../time/watermark.ts'
export type { WatermarkGenerator, WatermarkOutput } from '../time/watermark-strategy.ts'
export { WatermarkStrategy } from '../time/watermark-strategy.ts'
export { TimeWindow, TumblingEventTimeWindows, TumblingProcessingTimeWindows } from '../time/windows.ts'
export { BroadcastConnectedStream, BroadcastStream, KeyedBroadcastConnectedStream } from './broadcast-stream.ts'
export type {
  Boundedness,
  BuiltInConnectors,
  DatagenOptions,
  PrintOptions,
  SocketOptions,
  SplitSource,
  TextFileOptions,
  WriteOptions,
} from './built-in-connectors.ts'
export { setBuiltInConnectors } from './built-in-connectors.ts'
export {
  CheckpointConfig,
  CheckpointingMode,
  CheckpointStorage,
  ExternalizedCheckpointRetention,
  FileSystemCheckpointStorage,
  FsStateBackend,
  HashMapStateBackend,
  JobManagerCheckpointStorage,
  MemoryStateBackend,
  StateBackend,
} from './checkpoint-config.ts'
export {
  AsyncDataStream,
  EmbeddedRocksDBStateBackend,
  EventTimeSessionWindows,
  ExecutionEnvironment,
  GlobalWindows,
  ProcessingTimeSessionWindows,
  RocksDBStateBackend,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TimeCharacteristic,
} from './data-set.ts'
export {
  ConnectedStreams,
  DataStream,
  DataStreamSource,
  KeyedStream,
  SingleOutputStreamOperator,
  SplitStream,
} from './data-stream.ts'
export { DataStreamSink } from './data-stream-sink.ts'
export type { EnvironmentSettings, RuntimeExecutionMode } from './environment.ts'
export { ExecutionConfig, StreamExecutionEnvironment } from './environment.ts'
export { apiOptions } from './options.ts'
export { ParameterTool } from './parameter-tool.ts'
export type { RestartStrategyConfiguration } from './restart-strategies.ts'
export { RestartStrategies } from './restart-strategies.ts'
export type { Sink } from './sinks.ts'
export { PrintSink, TextFileSink } from './sinks.ts'
export type { DataGeneratorOptions, Source } from './sources.ts'
export { CollectionSource, DataGeneratorSource, NumberSequenceSource, SocketSource, TextFileSource } from './sources.ts'
export { WindowedStream } from './windowed-stream.ts'
