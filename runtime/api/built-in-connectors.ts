import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import type { SinkFunction, SourceFunction } from '../stream/functions.ts'
import type { SourceReader, SourceReaderContext, SourceSplit } from '../stream/spi/source.ts'
import type { WatermarkStrategy } from '../time/watermark-strategy.ts'

/**
 * What `StreamExecutionEnvironment` and `DataStream` need of the connectors room. The api room may not import connectors (they import
 * it), so `bin/api.ts` hands an implementation in; `runtime/connectors/built-in.ts` is the one that ships.
 *
 * Every method answers a complete `OperatorDefinition`: `factory` is `(options: JsonObject) => StreamOperator` and reads data from the
 * `options` it is given, never from its closure (a worker runs with the options of the JobGraph); functions and types it may close over.
 * Sources also fill `source` (a `SourceDescription`: enumerator, options, bounded). Without a strategy, watermarks are those of the source
 * itself: none until the end of the input, then MAX.
 */
export interface BuiltInConnectors {
  /** `type` encodes the values into the options. Non-parallel. */
  collection(values: readonly unknown[], type: TypeInformation, watermarks: WatermarkStrategy<never> | undefined): OperatorDefinition
  /** from..to inclusive, in decimal text; rows are numbers when `type` is SAFE_LONG and bigints when it is LONG. Parallel. */
  sequence(from: string, to: string, type: TypeInformation, watermarks: WatermarkStrategy<never> | undefined): OperatorDefinition
  /** A file or a folder. Lines without their LF or CRLF, as strings. Parallel: several splits. */
  textFile(path: string, options: TextFileOptions, watermarks: WatermarkStrategy<never> | undefined): OperatorDefinition
  /** Non-parallel. */
  socket(options: SocketOptions, watermarks: WatermarkStrategy<never> | undefined): OperatorDefinition
  /** Rows `generator(index)` for index 0..count-1; count undefined = unbounded; rowsPerSecond is over all subtasks, undefined = as fast as possible. Parallel. */
  datagen(
    generator: (index: number) => unknown,
    options: DatagenOptions,
    type: TypeInformation,
    watermarks: WatermarkStrategy<never> | undefined,
  ): OperatorDefinition
  /** Own source in the `run(ctx)` / `cancel()` form. */
  functionSource(fn: SourceFunction<never>, type: TypeInformation): OperatorDefinition
  /** Own source in the split form: the splits were made while the graph was built and travel in the options; the JobManager only hands them out. */
  splitSource(source: SplitSource<unknown>, splits: readonly SourceSplit[], watermarks: WatermarkStrategy<never> | undefined): OperatorDefinition
  print(options: PrintOptions, type: TypeInformation): OperatorDefinition
  /** One line a row, as `print` formats it, one file a subtask when the parallelism is above 1 (`path/1`, `path/2`, …), else `path` itself. */
  writeAsText(path: string, options: WriteOptions, type: TypeInformation): OperatorDefinition
  functionSink(fn: SinkFunction<never>, options: { readonly inFlightMax: number }, type: TypeInformation): OperatorDefinition
}

export interface TextFileOptions {
  /** Read the whole again and again: an unbounded replay for demonstrations. */
  readonly loop: boolean
  /** Lines a second over all subtasks; undefined = as fast as possible. */
  readonly linesPerSecond: number | undefined
}

export interface SocketOptions {
  readonly host: string
  readonly port: number
  readonly delimiter: string
  /** How often to connect again, one second apart, after the server closed: 0 = end of input at once, -1 = for ever. */
  readonly retriesMax: number
}

export interface DatagenOptions {
  readonly count: number | undefined
  readonly rowsPerSecond: number | undefined
}

export interface PrintOptions {
  /** Prefix of every line, empty = none. */
  readonly id: string
  readonly toStderr: boolean
}

export interface WriteOptions {
  readonly overwrite: boolean
}

/** A user's own source made of splits; see `env.fromSource`. A split is plain JSON with a `splitId`; a reader keeps its position in it. */
export interface SplitSource<T> {
  readonly boundedness: Boundedness
  readonly producedType?: TypeInformation<T>
  /** Runs once, where the graph is built. */
  createSplits(): readonly SourceSplit[]
  createReader(context: SourceReaderContext): SourceReader
}

export type Boundedness = 'BOUNDED' | 'CONTINUOUS_UNBOUNDED'

let installed: BuiltInConnectors | undefined

export function setBuiltInConnectors(connectors: BuiltInConnectors): void {
  installed = connectors
}

export function builtInConnectors(): BuiltInConnectors {
  if (installed === undefined)
    throw new FlinkError('INTERNAL', "no connectors are installed: the entry point must import 'bin/api.ts' before a program runs")
  return installed
}
